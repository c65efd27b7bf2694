"""From pictures to weights that make films, by one command."""

from __future__ import annotations

import shutil
from argparse import ArgumentParser
from pathlib import Path

import openpeople
import pytest
import torch

from core import InvalidInput
from engines.video import dit_config, train_all, train_codec, train_dit, train_student
from engines.video.data.people import is_held_out, take_census
from engines.video.dit_config import DitConfig
from engines.video.dit_file import load_dit
from engines.video.generator import VideoGenerator
from engines.video.shipped import codec_file, dit_file, teacher_file
from engines.video.train_all import Sizes
from runtime.export_motion import export

PEOPLE = Path(openpeople.__file__).parent / "data" / "curated"


@pytest.fixture
def portraits(tmp_path: Path) -> Path:
    """Three people in the layout of the collection; one name is among those held out."""
    folder = tmp_path / "portraits" / "openpeople_pypi"
    folder.mkdir(parents=True)
    names = [f"P{n}" for n in range(200)]
    held = [name for name in names if is_held_out(name)][:1]
    known = [name for name in names if not is_held_out(name)][:2]
    lines = ["file,source,label"]
    for name, person in zip(known + held, ("P001", "P002", "P004"), strict=True):
        shutil.copy(PEOPLE / person / "assets" / "studio_portrait.jpg", folder / f"{name}_a.jpg")
        lines.append(f"openpeople_pypi/{name}_a.jpg,openpeople_pypi,neutral")
    (tmp_path / "portraits" / "index.csv").write_text("\n".join(lines))
    return tmp_path / "portraits"


def test_all_stages(portraits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # a process takes 4 s to start
    least = DitConfig(channels=32, width=32, blocks=1, heads=2, feed=64, text=16)
    monkeypatch.setitem(dit_config.PRESETS, "least", least)
    monkeypatch.setitem(train_all.SIZES, "cpu", Sizes("tiny", "least", 2, 2, 4, 128))
    monkeypatch.setattr(train_all, "LEAST", 1.0)
    monkeypatch.setattr(train_all, "HELD_HOURS", 1e-4)
    for name in ("TEACHER_STEPS", "FREE_STEPS", "COMPARED", "SHOWN", "LENGTH"):
        monkeypatch.setattr(train_student, name, 2)  # decoding is what takes long here
    for name in ("SAMPLED", "MEASURED", "STEPS", "SHOWN"):
        monkeypatch.setattr(train_dit, name, 2)
    for name in ("HELD", "SHOWN"):
        monkeypatch.setattr(train_codec, name, 2)
    export(tmp_path / "motion", 1, 50, 0)
    parser = ArgumentParser()
    train_all.add_arguments(parser)
    out = tmp_path / "out"
    words = ["--portraits", portraits, "--motion", tmp_path / "motion", "--out", out,
             "--budget", "4s", "--hours", 1e-4, "--device", "cpu"]  # fmt: skip
    notes = []

    def progress(done: int, total: int, note: str) -> None:
        notes.append(note.partition(":")[0])

    train_all.run(parser.parse_args([str(word) for word in words]), progress)
    stages = list(dict.fromkeys(notes))
    assert stages == ["data.render", "train_codec", "make_latents", "train_dit", "train_student"]
    enrolled: list[int] = []
    take_census(portraits, out / "portraits", progress=lambda done, *_: enrolled.append(done))
    assert not enrolled, "who is known is not enrolled again"
    for made, maps in ((dit_file, 2), (teacher_file, 0)):
        assert load_dit(made(out / "weights"))[0].config.maps == maps
    VideoGenerator.open(codec_file(out / "weights"), dit_file(out / "weights"), device="cpu")
    with pytest.raises(InvalidInput, match="budget"):
        train_all.run(parser.parse_args([*map(str, words), "--budget", "0"]), progress)
