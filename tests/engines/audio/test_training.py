"""Speech in, a network that has learnt something out: the whole chain, small, with real torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core import SAMPLE_RATE, InvalidInput
from engines.audio.corpus import Phone, Utterance, save_shard, shards_in
from engines.audio.encoder import AudioEncoder

torch = pytest.importorskip("torch", reason="torch (the train extra) is not installed")

from engines.audio.bank import Bank, build, open_bank  # noqa: E402
from engines.audio.export import load_weights, save_graph, save_int8, save_weights  # noqa: E402
from engines.audio.network import AudioNetwork, LogMel, Shape, Streaming  # noqa: E402
from engines.audio.train import Plan, stretch, train, vary  # noqa: E402

SMALL = Shape(width=32, dilations=(1, 2))


def quiet(done: int, total: int, note: str) -> None:
    assert 0 <= done <= total


def utterance(name: str, seed: int, training: bool = True) -> Utterance:
    """Vowel-like buzzes (a) and hisses (s) in turn, with their times."""
    rng = np.random.default_rng(seed)
    parts, phones, at = [], [], 0.0
    for k in range(30):
        length = int(rng.uniform(0.08, 0.2) * SAMPLE_RATE)
        t = np.arange(length) / SAMPLE_RATE
        buzz = np.sign(np.sin(2 * np.pi * rng.uniform(90, 200) * t))
        hiss = np.diff(rng.standard_normal(length + 1))
        parts.append(0.1 * buzz if k % 2 else 0.05 * hiss)
        phones.append(Phone("a" if k % 2 else "s", at, at + length / SAMPLE_RATE))
        at += length / SAMPLE_RATE
    samples = np.round(np.concatenate(parts) * 32767).astype(np.int16)
    return Utterance(name, samples, tuple(phones), "", "en", name, "test", training)


@pytest.fixture(scope="module")
def banks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bank, Bank]:
    folder = tmp_path_factory.mktemp("banks")
    save_shard(folder / "shards" / "one.npz", [utterance(f"u{k}", k) for k in range(6)])
    held = [utterance(f"h{k}", 50 + k, training=False) for k in range(3)]
    save_shard(folder / "shards" / "two.npz", held)
    shards = shards_in([folder / "shards"])
    build(shards, folder / "a", copies=1, background_minutes=0.2, workers=1, progress=quiet)
    build(shards, folder / "b", copies=0, held_out=True, workers=1, progress=quiet)
    return open_bank(folder / "a"), open_bank(folder / "b")


def test_a_bank_holds_what_may_be_trained_on(banks: tuple[Bank, Bank]) -> None:
    seen, unseen = banks
    assert len(seen.mels) == 2 * len(seen.rows)
    assert len(seen.rows) > 1.5 * len(unseen.rows) > 500
    assert np.isfinite(seen.mels).all()
    np.testing.assert_allclose(seen.rows[:, :15].sum(1), 1.0, atol=0.01)


def test_training_learns_and_resumes_at_any_step(banks: tuple[Bank, Bank], tmp_path: Path) -> None:
    seen, unseen = banks
    plan = Plan(steps=120, batch=6, rate=6e-3, warm=5, every=60, average=0.9)
    whole = train(SMALL, plan, seen, unseen, tmp_path / "whole", quiet)
    rows = (tmp_path / "whole" / "curve.csv").read_text().splitlines()
    columns = rows[0].split(",")
    first, last = (dict(zip(columns, r.split(","), strict=True)) for r in (rows[1], rows[-1]))
    assert float(last["loss"]) < float(first["loss"])
    assert float(last["accuracy"]) > 0.7  # two sounds to tell apart

    def stop(done: int, total: int, note: str) -> None:
        if done == 80:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(SMALL, plan, seen, unseen, tmp_path / "cut", stop)
    again = train(SMALL, plan, seen, unseen, tmp_path / "cut", quiet)
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, atol=1e-4, rtol=1e-3)


def test_the_exported_graph_says_what_torch_says(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_weights(AudioNetwork(SMALL), tmp_path / "w.safetensors")
    network = load_weights(tmp_path / "w.safetensors")
    save_graph(network, tmp_path / "w.onnx")
    save_int8(tmp_path / "w.onnx", tmp_path / "w8.onnx")
    sound = np.random.default_rng(0).normal(0, 0.1, 640).astype(np.float32)
    sound[:320] = 0.0  # silence is where a logarithm can go wrong
    heard = AudioEncoder(40, graph=tmp_path / "w.onnx").push(sound)
    with torch.inference_mode():
        memory = torch.cat(network.memories(), dim=1)
        said = Streaming(network)(torch.from_numpy(sound[None]), torch.zeros(1, 240), memory)
    np.testing.assert_allclose(heard.tokens, said[0][0].numpy(), atol=1e-4)
    np.testing.assert_allclose(heard.mouth, said[2][0, :, 1].numpy(), atol=1e-5)
    assert np.isfinite(AudioEncoder(40, graph=tmp_path / "w8.onnx").push(sound).mouth).all()


def test_log_mel_hears_a_tone_in_its_band() -> None:
    t = torch.arange(16_000 + 240) / SAMPLE_RATE
    low, high = (LogMel(64)(torch.sin(2 * np.pi * f * t)[None])[0].mean(0) for f in (300, 3_000))
    assert int(low.argmax()) < 15 < 35 < int(high.argmax())
    assert torch.isfinite(LogMel(64)(torch.zeros(1, 400))).all()


def test_varying_keeps_times_and_is_the_same_for_the_same_seed() -> None:
    mels = torch.full((4, 100, 64), -2.0)
    mels[:, 40:60] = 1.5
    one, two = (vary(mels, np.random.default_rng(3)) for _ in range(2))
    torch.testing.assert_close(one, two)
    loud = one.mean(2)
    assert (loud[:, 45:55].mean(1) > loud[:, :35].mean(1)).all()
    assert stretch(mels, np.random.default_rng(1)).shape == mels.shape


def test_without_a_bank_the_way_out_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="engines.audio bank"):
        open_bank(tmp_path)
    with pytest.raises(InvalidInput, match="synthesise"):
        shards_in([tmp_path])
