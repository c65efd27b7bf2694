"""One face's features: learnt from the puppet, kept where they help, taken by the live graphs."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core import InvalidInput, Portrait
from engines.portrait_file import save_portrait
from engines.video import adapt
from engines.video.adapted import Adapted, codec_mark, load_adapted, save_adapted
from engines.video.codec import load_codec, to_unit
from engines.video.dit_file import load_dit_of
from engines.video.live import Asked, LiveStream, Networks
from engines.video.performance import in_regions
from engines.video.regions import REGIONS, Regions
from engines.video.shipped import codec_file, dit_file


@pytest.fixture(scope="module")
def learnt(
    networks_folder: Path, portrait: Portrait, tmp_path_factory: pytest.TempPathFactory
) -> Adapted:
    """By the command, in some steps, for a decoder that never learnt anything."""
    folder = tmp_path_factory.mktemp("adapted")
    save_portrait(portrait, folder / "portrait.npz")
    parser = argparse.ArgumentParser()
    adapt.add_arguments(parser)
    out = folder / "deep" / "features.npz"
    given = [str(folder / "portrait.npz"), str(out), "--weights", str(networks_folder)]
    options = parser.parse_args([*given, "--seconds", "3", "--steps", "15", "--threads", "1"])
    told: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapt, "RATE", 0.3)  # so untrained a decoder hardly looks at its features
        adapt.run(options, lambda done, total, note: told.append(done))
    assert told == sorted(told) and told[-1] == 100
    return load_adapted(out)


def test_unseen_motion_looks_better(learnt: Adapted) -> None:
    gained = {name: learnt.after[name] - learnt.before[name] for name in REGIONS}
    assert learnt.gain > 0.3, gained
    assert min(gained.values()) > -0.3, gained


def test_a_region_that_gains_nothing_keeps_its_features(
    networks_folder: Path, portrait: Portrait, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapt, "WORTH", 100.0)
    codec = load_codec(codec_file(networks_folder))
    dit = load_dit_of(codec, dit_file(networks_folder))
    levels, before, after = adapt.adapt(codec, dit, portrait, 0.1, lambda *_: None)
    picture = to_unit(torch.from_numpy(Regions.of(portrait.mesh).cut(portrait.crop)))
    own = codec.reference(picture, torch.arange(len(REGIONS))).levels
    assert all(torch.equal(a, b) for a, b in zip(levels, own, strict=True))
    assert before == after


def test_a_live_stream_takes_them(
    learnt: Adapted, networks_folder: Path, portrait: Portrait
) -> None:
    networks = Networks.open(networks_folder, backend="onnxruntime")
    assert learnt.codec == codec_mark(networks_folder) and learnt.portrait == portrait.id
    regions = Regions.of(portrait.mesh).cut(portrait.crop)
    own = networks.prepare(regions, in_regions(portrait.keypoints, portrait))
    adapted = own.adapted(learnt)
    points = np.repeat(in_regions(portrait.keypoints, portrait)[None], 8, 0).astype(np.float32)
    asked = Asked(
        points, np.zeros((8, 9), np.float32), np.zeros((24, 256), np.float32),
        np.ones(24, np.bool_), np.zeros(16, np.int64),
    )  # fmt: skip
    plain, sharper = (LiveStream(networks, p, 1).make(asked) for p in (own, adapted))
    assert plain.shape == sharper.shape and (plain != sharper).any()
    # Of another network: not taken.
    odd = replace(learnt, features={name: x[..., :1] for name, x in learnt.features.items()})
    assert own.adapted(odd) is own


def test_a_damaged_file_says_so(learnt: Adapted, tmp_path: Path) -> None:
    path = tmp_path / "features.npz"
    save_adapted(learnt, path)
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"PK" + whole[2:200]):
        path.write_bytes(damaged)
        with pytest.raises(InvalidInput, match="no adapted portrait"):
            load_adapted(path)
    broken = {name: np.full_like(x, np.nan) for name, x in learnt.features.items()}
    save_adapted(replace(learnt, features=broken), path)
    with pytest.raises(InvalidInput, match="no numbers"):
        load_adapted(path)
    with pytest.raises(FileNotFoundError):
        load_adapted(tmp_path / "none.npz")
