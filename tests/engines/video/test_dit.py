"""The transformer: what sees what, and that it learns to follow its conditions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from core import InvalidInput
from engines.video.adapter import Raster
from engines.video.attention import attend
from engines.video.clip import REACH, Clip
from engines.video.conditions import Conditions
from engines.video.dit import DiT
from engines.video.dit_config import PRESETS, DitConfig, flops, preset
from engines.video.flow import FlowConfig, draw_sigma, mix, random_drop, training_loss
from engines.video.guidance import UNGUIDED
from engines.video.rope import positions, rotate
from engines.video.sampler import generate
from engines.video.text import BLANK, LENGTH, NOTHING, WORDS, tokenise
from tests.engines.video.faces_in_regions import conditions, keypoints, random_latents, stirred

HALF = torch.bfloat16
STEPS = 120


def _velocity(dit: DiT, given: Conditions, sigma: float = 0.5) -> torch.Tensor:
    latents = random_latents(len(given), given.latents)
    with torch.no_grad():
        out = dit(
            latents,
            torch.full((len(given),), sigma),
            random_latents(len(given), seed=1),
            given,
            clean=random_latents(len(given), given.latents, seed=2),
        )
    assert isinstance(out, torch.Tensor) and out.shape == latents.shape
    return out


def _changed(a: torch.Tensor, b: torch.Tensor) -> list[bool]:
    """Which latent frames differ."""
    return [bool((x - y).abs().max() > 1e-6) for x, y in zip(a[0], b[0], strict=True)]


def test_a_fresh_network_paints_the_reference_and_learns_everywhere() -> None:
    torch.manual_seed(0)
    dit = DiT(PRESETS["tiny"]).eval()
    dit.spread.fill_(0.1)
    given, reference = conditions(1, 2), random_latents(1, seed=1)
    made = generate(dit, given, reference, 0, UNGUIDED, 40)
    apart = made - reference[:, None]
    assert abs(float(apart.mean())) < 0.02 and 0.05 < float(apart.std()) < 0.15
    net, rng = stirred(), torch.Generator().manual_seed(0)
    often = FlowConfig(drop=0.5, drop_all=0.0)
    loss, _ = training_loss(
        net, random_latents(4, 4), random_latents(4), conditions(4, 4), rng, often
    )
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in net.named_parameters():
        grad = parameter.grad
        assert grad is not None and grad.isfinite().all() and grad.any(), name


def test_audio_beyond_160_ms_is_not_heard() -> None:
    dit, given = stirred(), conditions(1, 6)
    before = _velocity(dit, given)
    # Latent frame 4 hears tokens 24 to 39 of the clip; the context tells nothing of later.
    for token, frames in (
        (8 * 5 + 7, (4, 5)),
        (8 * 4, (4, 5)),
        (-8, (0, 1, 2, 3, 4, 5)),
    ):
        audio = given.audio.clone()
        audio[:, token + REACH] += 3.0
        seen = _changed(before, _velocity(dit, replace(given, audio=audio)))
        assert not any(seen[f] for f in range(6) if f not in frames)


def test_a_latent_frame_hears_its_own_sound_and_what_was_before() -> None:
    dit, given = stirred(), conditions(1, 2)
    with torch.no_grad():
        told = dit.tell(given)
    for frame in range(2):
        for token in range(8 * 2 + REACH):
            audio = given.audio.clone()
            audio[:, token] = audio[:, token].flip(-1)
            with torch.no_grad():
                other = dit.tell(replace(given, audio=audio))
            differs = bool((told.audio[0][0] != other.audio[0][0])[0, frame].any())
            assert differs == (8 * frame <= token < 8 * frame + 16)


def test_windows_see_the_past_alone() -> None:
    dit, given = stirred(), conditions(1, 8)
    clean, noisy = random_latents(1, 8, seed=2), random_latents(1, 8)
    sigma, reference = torch.full((1, 4), 0.5), random_latents(1, seed=1)

    def velocity(clean: torch.Tensor, noisy: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            out: torch.Tensor = dit(noisy, sigma, reference, given, clean=clean)
        return out

    before = velocity(clean, noisy)
    other = clean.clone()
    other[:, 2:4] += 1
    assert _changed(before, velocity(other, noisy)) == [False] * 4 + [True] * 4
    other = noisy.clone()
    other[:, 2] += 1
    assert _changed(before, velocity(clean, other)) == [False] * 2 + [True] * 2 + [False] * 4


def test_memory_is_bounded_by_layers_and_context() -> None:
    """With one layer a window sees two latent frames back, and nothing before."""
    sizes = DitConfig(channels=8, width=64, blocks=1, heads=4, feed=64, text=32, context=2)
    torch.manual_seed(0)
    dit = DiT(sizes)
    for parameter in dit.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.1)
    given, clean, noisy = conditions(1, 6), random_latents(1, 6, seed=2), random_latents(1, 6)
    sigma, reference = torch.full((1,), 0.5), random_latents(1, seed=1)
    other = clean.clone()
    other[:, :2] += 1
    with torch.no_grad():
        a = dit(noisy, sigma, reference, given, clean=clean)
        b = dit(noisy, sigma, reference, given, clean=other)
    assert _changed(a, b) == [False, False, True, True, False, False]


def test_noise_levels_are_by_window() -> None:
    dit, given = stirred(), conditions(1, 4)
    clean, noisy, reference = (
        random_latents(1, 4, seed=2),
        random_latents(1, 4),
        random_latents(1, seed=1),
    )
    with torch.no_grad():
        a = dit(noisy, torch.tensor([[0.3, 0.3]]), reference, given, clean=clean)
        b = dit(noisy, torch.tensor([[0.3, 0.9]]), reference, given, clean=clean)
    assert _changed(a, b) == [False, False, True, True]
    with pytest.raises(ValueError, match="clean"):
        dit(noisy, torch.tensor([0.3]), reference, given)


def test_each_condition_is_seen_and_what_is_dropped_is_not() -> None:
    dit, given, other = stirred(), conditions(1, 2), conditions(1, 2, seed=5)
    for names, without in (
        (("points", "felt"), {"pose": True}),
        (("audio",), {"audio": True}),
        (("words",), {"text": True}),
    ):
        changed = replace(given, **{n: getattr(other, n) for n in names})
        if names == ("words",):
            changed = replace(given, words=torch.from_numpy(tokenise("fear", "sit"))[None])
        assert all(_changed(_velocity(dit, given), _velocity(dit, changed)))
        dropped = given.drop(**without)
        assert all(_changed(_velocity(dit, given), _velocity(dit, dropped)))
        np.testing.assert_array_equal(
            _velocity(dit, dropped).numpy(), _velocity(dit, changed.drop(**without)).numpy()
        )
    nothing = given.unconditional()
    assert not nothing.points.any() and not nothing.felt.any() and not nothing.audio.any()
    assert not nothing.hears.any() and not nothing.posed.any() and not nothing.words.any()
    assert torch.equal(nothing.reference_points, given.reference_points)


def test_random_drops_come_as_often_as_they_should() -> None:
    given = conditions(1, 2)
    many = Conditions.stack([given] * 4000)
    dropped = random_drop(many, FlowConfig(), torch.Generator().manual_seed(3))
    gone = [~dropped.posed, ~dropped.hears.any(1), (dropped.words == NOTHING).all(1)]
    for one in gone:
        assert one.float().mean().item() == pytest.approx(1 - 0.9 * 0.9, abs=0.03)
    everything = gone[0] & gone[1] & gone[2]
    assert everything.float().mean().item() == pytest.approx(0.1 + 0.9 * 0.001, abs=0.02)
    untouched = random_drop(many, FlowConfig(drop=0, drop_all=0))
    assert torch.equal(untouched.audio, many.audio) and bool(untouched.posed.all())


def test_text_order_and_label_are_seen() -> None:
    dit, given = stirred(), conditions(1, 2)
    answers = [
        _velocity(dit, replace(given, words=torch.from_numpy(tokenise(label, text))[None]))
        for label, text in (
            ("anger", "blink then smile"),
            ("anger", "smile then blink"),
            ("fear", "blink then smile"),
        )
    ]
    assert all(_changed(answers[0], answers[1])) and all(_changed(answers[0], answers[2]))


def test_words() -> None:
    row = tokenise("anger", "Look LEFT, then blink!")
    assert row.shape == (LENGTH,) and row.dtype == np.int64
    assert list(row[5:]) == [BLANK] * 11 and len(set(row[:5])) == 5
    assert np.array_equal(row, tokenise("anger", "look left then blink"))
    assert tokenise("anger")[0] != tokenise("", "anger")[1] and tokenise("")[0] == BLANK
    long = tokenise("x", "word " * 100_000)
    assert (long > BLANK).all() and long.max() < WORDS
    # The same on every machine: a table trained elsewhere must fit.
    assert tokenise("anger", "look")[:2].tolist() == [729, 2055]


def test_a_raster_follows_the_eye() -> None:
    still, left = np.zeros(1, np.float32), np.full(1, -1.0, np.float32)
    closed = np.ones(1, np.float32)
    faces = [keypoints(still, still), keypoints(left, still), keypoints(still, closed)]
    planes = Raster()(torch.from_numpy(np.concatenate(faces)))
    assert planes.shape == (3, 2, 6, 24, 24)
    assert planes.min() >= 0 and 0.8 < planes.max() < 1.4
    columns = torch.arange(24.0)
    where = (planes[:, :, 5].sum(2) * columns).sum(-1) / planes[:, :, 5].sum((2, 3))
    # Gaze -1 moves the pupil by 0.3, 3.6 pixels; the left region is mirrored.
    assert (where[0] - where[1]).tolist() == pytest.approx([-3.6, 3.6], abs=0.05)
    rows = torch.arange(24.0)[:, None]
    lids = (planes[:, :, :2] * rows).sum((3, 4)) / planes[:, :, :2].sum((3, 4))
    opening = lids[:, :, 0] - lids[:, :, 1]
    assert (opening[0] > 3).all() and (opening[2] < opening[0] / 2 + 0.1).all()
    wild = torch.from_numpy(np.concatenate(faces)) * 1e4
    assert Raster()(wild).isfinite().all()


def test_rope_sees_differences_alone() -> None:
    rng = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 216, 4, 16, generator=rng) for _ in range(2))
    dots = [
        rotate(q, positions([t, t + 1], 16)).flatten(2)
        @ rotate(k, positions([t + 5, t + 9], 16)).flatten(2).transpose(1, 2)
        for t in (0, 1000)
    ]
    assert (dots[0] - dots[1]).abs().max() < 1e-3
    left, right, mouth = positions([3], 16)[0].split(36)  # type: ignore[no-untyped-call]
    assert torch.equal(left, right) and not torch.allclose(left, mouth)


def test_attention_in_half_precision_is_the_same() -> None:
    rng = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, 40, 4, 16, generator=rng) for _ in range(3))
    exact, half = (attend(q.to(t), k.to(t), v.to(t)) for t in (torch.float32, HALF))
    assert half.dtype == HALF and (exact - half.float()).abs().max() < 0.05


def test_conditions_of_a_clip_know_the_sound_around() -> None:
    frames, rng = 16, np.random.default_rng(0)
    clip = Clip(
        "somebody", "anger", "look up",
        np.zeros((3, 96, 96, 3), np.uint8), np.zeros((frames, 3, 96, 96, 3), np.uint8),
        np.zeros((3, 62, 2), np.float32),
        rng.normal(size=(frames, 3, 62, 2)).astype(np.float32),
        rng.random((frames, 9), np.float32),
        rng.normal(size=(2 * frames, 256)).astype(np.float32),
        np.zeros((frames, 9), np.float32),
    )  # fmt: skip
    whole = Conditions.of(clip)
    assert whole.latents == 4 and len(whole) == 1
    assert whole.hears.sum() == 32 and not whole.hears[0, :8].any()
    part, same = Conditions.of(clip, 4, 8), whole.stretch(1, 2)
    for name in ("points", "felt", "audio", "hears", "words"):
        assert torch.equal(getattr(part, name), getattr(same, name)), name
    np.testing.assert_array_equal(part.audio[0].numpy(), clip.audio[:24])
    assert len(Conditions.stack([part, part]).to("cpu")) == 2
    for first, count in ((-4, 8), (12, 8), (0, 6)):
        with pytest.raises(ValueError, match="frames"):
            Conditions.of(clip, first, count)


def test_sizes_and_their_cost() -> None:
    assert preset("mini") == DitConfig() and DitConfig(**DitConfig().as_dict()) == DitConfig()
    with pytest.raises(InvalidInput, match="tiny, small, mini"):
        preset("huge")
    with pytest.raises(ValueError, match="fit"):
        DitConfig(width=100, heads=6)
    with torch.device("meta"):
        sizes = {n: sum(p.numel() for p in DiT(PRESETS[n]).parameters()) for n in PRESETS}
    assert 20e6 < sizes["mini"] < 29e6 and 8e6 < sizes["small"] < 12e6
    cost = flops(PRESETS["mini"])
    assert cost["feed-forward"] == 12 * 216 * 2 * 2 * 384 * 1152
    assert cost["attention"] == 12 * 216 * (108 + 432 + 216) * 2 * 2 * 384
    assert cost["total"] == sum(v for k, v in cost.items() if k != "total")
    assert flops(PRESETS["mini"], cached=False)["total"] > 2.5 * cost["total"]
    assert flops(PRESETS["mini"], 0)["total"] < cost["total"]


def test_levels_of_noise() -> None:
    rng = torch.Generator().manual_seed(0)
    sigma = draw_sigma((20_000,), 1.0, rng)
    assert 0 < sigma.min() and sigma.max() < 1
    assert sigma.median().item() == pytest.approx(0.5, abs=0.01)
    assert draw_sigma((20_000,), 3.0, rng).median().item() == pytest.approx(0.75, abs=0.01)
    x0, noise = torch.zeros(1, 4, 3, 2, 6, 6), torch.ones(1, 4, 3, 2, 6, 6)
    levels = mix(x0, noise, torch.tensor([[0.25, 1.0]])).mean((2, 3, 4, 5))[0]
    assert levels.tolist() == [0.25, 0.25, 1.0, 1.0]


PATTERN = random_latents(1, seed=9)[0] * 0.8


def _asked(given: Conditions) -> torch.Tensor:
    """What each region is asked to show, ``[B, L, 3]`` in [-1, 1]."""
    gaze = given.points[:, ::4, 1, 57, 0] / 0.3
    jaw = given.felt[:, ::4, 0] * 2 - 1
    return torch.stack((gaze, gaze, jaw), -1)


def _world(clips: int, frames: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, Conditions]:
    """Latents that are half the reference and half what is asked for."""
    given = conditions(clips, frames, seed)
    reference = random_latents(clips, seed=seed + 1)
    latents = reference[:, None] * 0.5 + _asked(given)[..., None, None, None] * PATTERN
    return latents, reference, given


def test_a_tiny_network_learns_to_follow() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(1)
    dit = DiT(DitConfig(channels=8, width=64, blocks=1, heads=2, feed=128, text=32))
    rng = torch.Generator().manual_seed(2)
    optimiser = torch.optim.AdamW(dit.parameters(), 6e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=STEPS)
    losses = []
    for step in range(STEPS):
        loss, parts = training_loss(dit, *_world(1, 4, 10 * step), rng)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    assert set(parts) == {"eye_left", "eye_right", "mouth", "less_noise", "more_noise"}
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) / 2
    latents, reference, given = _world(4, 4, 7_777)
    made = generate(dit.eval(), given, reference, 5, UNGUIDED, steps=6)
    shown = ((made - reference[:, None] * 0.5) * PATTERN).sum((3, 4, 5))
    for region in range(3):
        both = torch.stack((shown[:, :, region].flatten(), _asked(given)[:, :, region].flatten()))
        assert torch.corrcoef(both)[0, 1] > 0.8
