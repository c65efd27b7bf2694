"""Shards give back what was put in, and say what is wrong with what is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core import InvalidInput
from engines.audio.corpus import Phone, Utterance, load_shard, save_shard


def utterance(name: str, count: int) -> Utterance:
    return Utterance(
        name=name,
        samples=np.arange(count, dtype=np.int16),
        phones=(Phone("ɑː", 0.0, 0.1), Phone("", 0.1, 0.2)),
        text="ah",
        language="en",
        speaker="x/y",
        source="recorded",
        training=False,
    )


def test_a_shard_round_trips(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "one.npz"
    save_shard(path, [utterance("a", 300), utterance("b", 7)])
    first, second = load_shard(path)
    assert first.phones == utterance("a", 300).phones
    assert (second.name, second.speaker, second.training) == ("b", "x/y", False)
    assert np.array_equal(second.samples, np.arange(7))


def test_an_empty_shard_round_trips(tmp_path: Path) -> None:
    save_shard(tmp_path / "none.npz", [])
    assert load_shard(tmp_path / "none.npz") == []


def test_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.npz").write_bytes(b"nothing")
    with pytest.raises(InvalidInput, match="synthesise"):
        load_shard(tmp_path / "no.npz")
    with pytest.raises(InvalidInput):
        load_shard(tmp_path / "missing.npz")
