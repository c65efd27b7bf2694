"""Streams of windows: the same numbers as the pass that trains, for ever, in bounded memory."""

from __future__ import annotations

import pytest
import torch

from engines.video.flow import mix
from engines.video.windows import Stream
from tests.engines.video.faces_in_regions import conditions, random_latents, stirred


@pytest.mark.parametrize("context", [0, 2, 4])
def test_a_stream_is_the_masked_pass(context: int) -> None:
    dit, frames = stirred(context=context), 10
    given = conditions(2, frames)
    clean, noise = random_latents(2, frames), random_latents(2, frames, seed=1)
    reference = random_latents(2, seed=2)
    sigma = torch.rand(2, frames // 2, generator=torch.Generator().manual_seed(0))
    noisy = mix(clean, noise, sigma)
    told_less = given.drop(pose=torch.tensor([True, False]), audio=torch.tensor([True, True]))
    with torch.no_grad():
        whole = dit(
            noisy, sigma, reference, told_less, clean=clean, clean_conditions=given, offset=11
        )
        stream = Stream(dit, reference, given.reference_points, offset=11)
        for w in range(frames // 2):
            part, memory = slice(2 * w, 2 * w + 2), stream.memory()
            less = stream.tell(told_less.stretch(2 * w, 2))
            out, _ = dit.step(noisy[:, part], sigma[:, w], less, stream.sink, memory)
            assert out.std() > 0.5
            assert (out - whole[:, part]).abs().max() < 1e-4
            stream.write(clean[:, part], stream.tell(given.stretch(2 * w, 2)), memory)
    assert stream.made == frames // 2


def test_memory_stays_bounded_and_forgets() -> None:
    dit, given, reference = stirred(), conditions(1, 2), random_latents(1, seed=2)
    with torch.no_grad():
        stream = Stream(dit, reference, given.reference_points)
        told = stream.tell(given)
        sizes = []
        for w in range(5):
            sizes.append(stream.memory()[0][0].shape[1])
            stream.write(random_latents(1, 2, seed=w), told)
        assert sizes == [108, 108 + 216, 108 + 432, 108 + 432, 108 + 432]
        kept = stream.memory()[0][1][:, -216:]
        stream.forget()
        assert stream.memory()[0][0].shape[1] == 108 + 216
        assert torch.equal(stream.memory()[0][1][:, -216:], kept)
        with pytest.raises(ValueError, match="latent frames"):
            stream.tell(conditions(1, 4))


def test_nothing_depends_on_how_long_a_stream_runs() -> None:
    """After the same three windows, the next is the same at any time of day."""
    dit, given, reference = stirred(), conditions(1, 2), random_latents(1, seed=2)
    answers = []
    with torch.no_grad():
        for before in (0, 20):
            stream = Stream(dit, reference, given.reference_points)
            told = stream.tell(given)
            # Beyond layers times context nothing of what was before is left.
            for w in range(before + 6):
                stream.write(random_latents(1, 2, seed=max(w - before, 0)), told)
            noisy = random_latents(1, 2, seed=9)
            memory = stream.memory()
            answers.append(dit.step(noisy, torch.ones(1), told, stream.sink, memory)[0])
    assert torch.allclose(answers[0], answers[1], atol=1e-5)


def test_the_reference_is_seen_and_its_keypoints_too() -> None:
    dit, given = stirred(), conditions(1, 2)
    noisy, sigma = random_latents(1, 2), torch.full((1,), 0.7)
    other = given.reference_points.roll(1, 2)
    with torch.no_grad():
        answers = [
            dit.step(noisy, sigma, told, stream.sink, stream.memory())[0]
            for stream in (
                Stream(dit, random_latents(1, seed=2), given.reference_points),
                Stream(dit, random_latents(1, seed=3), given.reference_points),
                Stream(dit, random_latents(1, seed=2), other),
                Stream(dit, random_latents(1, seed=2), given.reference_points, offset=20),
            )
            for told in [stream.tell(given)]
        ]
    assert all((answers[0] - a).abs().max() > 1e-3 for a in answers[1:])
