"""Sampling: Euler steps, guidance, and streams that equal whole clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engines.video.guidance import UNGUIDED, Guidance, eye_map, fixed, omega
from engines.video.sampler import generate, sample_window
from engines.video.schedule import euler, flow_times, shifted, window_noise
from engines.video.windows import Stream
from tests.engines.video.faces_in_regions import conditions, random_latents, stirred


def test_times_fall_from_noise_to_picture() -> None:
    times = flow_times(4, 5.0)
    assert times == pytest.approx([1, 0.9375, 5 / 6, 0.625, 0])
    assert flow_times(2, 1.0) == [1, 0.5, 0] and shifted(0.5, 3.0) == pytest.approx(0.75)
    assert len(flow_times()) == 41
    for steps, shift in ((0, 1.0), (3, 0.0), (3, float("nan"))):
        with pytest.raises(ValueError, match="steps"):
            flow_times(steps, shift)


def test_euler_converges_with_order_one() -> None:
    # dx/dσ = x from σ = 1 to 0: x e^-1.
    errors = [
        abs(euler(lambda x, s, r: x, np.ones(1), flow_times(n, 2.0))[0] - np.exp(-1))
        for n in (20, 40, 80)
    ]
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.1)
    assert errors[1] / errors[2] == pytest.approx(2, abs=0.1)
    seen: list[tuple[float, float]] = []

    def straight(x: float, sigma: float, rho: float) -> float:
        seen.append((sigma, rho))
        return 3.0

    # A straight path is exact with any number of steps.
    assert euler(straight, 5.0, flow_times(4, 5.0)) == pytest.approx(2.0)
    assert [r for _, r in seen] == [0, 0.25, 0.5, 0.75]


def test_noise_is_known_by_seed_and_window() -> None:
    one = window_noise(7, 3, 8)
    assert one.shape == (2, 3, 8, 6, 6) and one.dtype == np.float32
    assert np.array_equal(one, window_noise(7, 3, 8))
    for seed, window in ((7, 4), (8, 3), (3, 7)):
        assert not np.array_equal(one, window_noise(seed, window, 8))


def test_guidance_is_the_formula() -> None:
    """One guided step by hand from the conditional and the unconditional velocity."""
    dit, given, reference = stirred(), conditions(2, 2), random_latents(2, seed=2)
    noise = random_latents(2, 2)
    knobs = Guidance(high=5.0, low=2.0, kappa=0.4, background=0.5)
    with torch.no_grad():
        stream = Stream(dit, reference, given.reference_points)
        one, memory = torch.ones(2), stream.memory()
        v_c = dit.step(noise, one, stream.tell(given), stream.sink, memory)[0]
        bare = stream.tell(given.unconditional())
        v_u = dit.step(noise, one, bare, stream.sink, memory)[0]
    made = sample_window(stream, given, noise, knobs, steps=1)
    gauss = np.stack([eye_map(p.numpy(), 0.4) for p in given.points])
    pull = torch.from_numpy(omega(knobs, gauss, 0.0))[:, :, :, None]
    assert torch.allclose(made, noise - (v_u + pull * (v_c - v_u)), atol=1e-4)
    assert (v_c - v_u).abs().max() > 0.1 and stream.made == 1


@pytest.mark.parametrize("guidance", [Guidance(), UNGUIDED, fixed(1.0)])
def test_unguided_is_the_conditional_velocity(guidance: Guidance) -> None:
    dit, given, reference = stirred(), conditions(1, 2), random_latents(1, seed=2)
    plain = generate(dit, given, reference, 3, UNGUIDED, steps=3)
    made = generate(dit, given, reference, 3, guidance, steps=3)
    assert torch.equal(made, plain) == (guidance != Guidance())
    # Both passes with a weight of almost 1 come to the same.
    near = generate(dit, given, reference, 3, Guidance(high=1.0, low=1.0 + 1e-7), steps=3)
    assert torch.allclose(near, plain, atol=1e-3)


def test_streaming_equals_offline_and_clips_do_not_mix() -> None:
    dit, given, reference = stirred(), conditions(3, 8), random_latents(3, seed=2)
    together = generate(dit, given, reference, [4, 5, 6], steps=3)
    assert together.shape == (3, 8, 3, 8, 6, 6) and together.isfinite().all()
    again = generate(dit, given, reference, [4, 5, 6], steps=3)
    assert torch.equal(again, together)
    stream = Stream(dit, reference[1:2], given.reference_points[1:2])
    alone = given.stretch(0, 8)
    for w in range(4):
        part = alone.stretch(2 * w, 2)
        mine = type(part)(*(getattr(part, n)[1:2] for n in part.__dataclass_fields__))
        noise = torch.from_numpy(window_noise(5, w, 8))[None]
        made = sample_window(stream, mine, noise, steps=3)
        assert torch.allclose(made[0], together[1, 2 * w : 2 * w + 2], atol=1e-3, rtol=1e-3)
    other = generate(dit, given, reference, [4, 9, 6], steps=3)
    assert not torch.allclose(other[1], together[1], atol=0.1)
    assert torch.allclose(other[0], together[0], atol=1e-3, rtol=1e-3)


def test_what_can_not_be_generated() -> None:
    dit, reference = stirred(), random_latents(1)
    with pytest.raises(ValueError, match="seeds"):
        generate(dit, conditions(1, 2), reference, [1, 2])
    with pytest.raises(ValueError, match="clips of 3"):
        generate(dit, conditions(1, 3), reference, 1)
