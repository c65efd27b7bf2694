"""``python -m engines.video train``: all stages, one after the other, in the time there is.

The stages are the other commands of this package, and each goes on where it was stopped; so does
this one. Sizes follow the machine: what a CPU can train in hours, or what a GPU can.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from core import InvalidInput
from engines.video.plan import Plan, seconds_of
from engines.video.shipped import codec_file, dit_file, teacher_file

RENDER, CODEC, DIT, GUIDED, FEW = 0.14, 0.31, 0.38, 0.06, 0.06
"Shares of the budget (free); what is left is for latents, measuring and starting."
FEW_STEPS: Final = 2
"Of the student."
HELD_HOURS: Final = 0.03
"Of clips of people that are never learnt from: sixty of 1.6 s."
HELD_SEED: Final = 77
LEAST: Final = 60.0
"Seconds of all stages."


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is trained."""

    codec: str
    dit: str
    codec_batch: int
    dit_batch: int
    frames: int
    "Latent frames of a clip for the transformer."
    picture: int = 512
    "Pixels of the pictures that clips are cut from."


SIZES: Final = {
    "cpu": Sizes("mini", "small", 12, 4, 6),
    "cuda": Sizes("mini", "mini", 64, 32, 8),
}
Progress = Callable[[int, int, str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``train``."""
    add = parser.add_argument
    add("--portraits", type=Path, required=True, help="folder with an index.csv")
    add("--motion", type=Path, required=True, help="from: python -m runtime.export_motion")
    add("--speech", type=Path, nargs="*", default=[], help="from: python -m engines.audio")
    add("--out", type=Path, required=True, help="folder of everything that is made")
    add("--budget", default="4h", metavar="TIME", help="wall clock of all stages: 30m, 4h, …")
    add("--hours", type=float, default=10.0, help="of clips, if there is time (default: 10)")
    add("--device", default="auto", help="cpu, cuda, …; by default what is there")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Render, train codec, transformer and its student, and lay them side by side.

    Raises:
        InvalidInput: An option is wrong, or a stage has nothing to work on.
        Stopped: Interrupted; the same command goes on.
    """
    budget = seconds_of(options.budget)
    if budget < LEAST:
        raise InvalidInput(f"--budget: {LEAST:.0f} seconds are the least, four hours a start.")
    out: Path = options.out
    device = Plan(device=options.device).device_name
    sizes = SIZES["cuda" if device.startswith("cuda") else "cpu"]
    filmed = [
        "--portraits", options.portraits, "--motion", options.motion,
        *(("--speech", *options.speech) if options.speech else ()),
        "--cache", out / "portraits", "--workers", os.cpu_count() or 1,
        "--size", sizes.picture,
    ]  # fmt: skip
    held = ["--held-out", "--out", out / "held", "--hours", HELD_HOURS, "--seed", HELD_SEED]
    minutes = ["--hours", options.hours, "--budget", RENDER * budget / 60]
    _stage("data.render", [*filmed, *held], progress)
    _stage("data.render", [*filmed, "--out", out / "clips", *minutes], progress)
    codec = out / "codec" / "weights.safetensors"
    on = ["--device", device]
    _stage("train_codec", [
        out / "clips", out / "held", out / "codec", "--budget", _seconds(CODEC * budget),
        "--size", sizes.codec, "--batch", sizes.codec_batch, *on,
    ], progress)  # fmt: skip
    for clips, latents in (("clips", "latents"), ("held", "held-latents")):
        _stage("make_latents", [out / clips, codec, out / latents, *on], progress)
    _stage("train_dit", [
        out / "latents", out / "held-latents", out / "held", codec, out / "dit",
        "--size", sizes.dit, "--batch", sizes.dit_batch, "--frames", sizes.frames,
        "--budget", _seconds(DIT * budget), *on,
    ], progress)  # fmt: skip
    teacher, guided, few = (out / n / "weights.safetensors" for n in ("dit", "guided", "few"))
    pupil = [out / "latents", out / "held-latents", out / "held", codec]
    _stage("train_student", [
        *pupil, teacher, out / "guided", "--batch", sizes.dit_batch,
        "--budget", _seconds(GUIDED * budget), *on,
    ], progress)  # fmt: skip
    _stage("train_student", [
        *pupil, guided, out / "few", "--begin-with", guided, "--nodes", FEW_STEPS,
        "--batch", sizes.dit_batch, "--budget", _seconds(FEW * budget), *on,
    ], progress)  # fmt: skip
    lay_out(codec, few, teacher, out / "weights")


def _seconds(share: float) -> str:
    """A stage's budget, as its command takes it."""
    return f"{max(1, round(share))}"


def lay_out(codec: Path, student: Path, teacher: Path, out: Path) -> None:
    """Copy trained weights to a folder as the generator expects it; the first files last."""
    out.mkdir(parents=True, exist_ok=True)
    pairs = ((codec, codec_file(out)), (teacher, teacher_file(out)), (student, dit_file(out)))
    for source, target in pairs:
        parts = sorted(source.parent.glob(f"{source.stem}-*{source.suffix}"))
        for part in [*parts, source]:
            fresh = target.with_name(target.stem + part.stem.removeprefix(source.stem) + ".part")
            fresh.write_bytes(part.read_bytes())
            fresh.replace(fresh.with_suffix(target.suffix))


def _stage(module: str, words: Sequence[object], progress: Progress) -> None:
    """Another command of this package, as if it were called by itself."""
    command = import_module(f"engines.video.{module}")
    parser = argparse.ArgumentParser(prog=module)
    command.add_arguments(parser)
    command.run(
        parser.parse_args([str(word) for word in words]),
        lambda done, total, note: progress(done, total, f"{module}: {note}"),
    )
