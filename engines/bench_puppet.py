"""How long a frame takes: ``python -m engines.bench_puppet [IMAGE] [--frames N]``.

One thread, a new random expression for every frame. Prints medians and 95th percentiles of wall
time in milliseconds, per size and kind of motion.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from core import CHANNELS, F32, MOUTH_CHANNELS, POSE_SLICE, Portrait
from engines.puppet import Puppet
from engines.rig import build_rig

CASES = {
    "rest": (False, False, False),
    "eyes": (True, False, False),
    "speech": (False, True, False),
    "head": (False, False, True),
    "everything": (True, True, True),
}


def measure(portrait: Portrait, size: int, frames: int) -> dict[str, tuple[float, float]]:
    """Median and 95th percentile of milliseconds a frame, by case."""
    puppet = Puppet(build_rig(portrait, size))
    out = np.empty((size, size, 3), np.uint8)
    found = {}
    for name, (eyes, speech, head) in CASES.items():
        rng = np.random.default_rng(0)
        times = []
        for _ in range(frames):
            controls, mouth = _sample(rng, eyes, speech, head)
            start = time.perf_counter()
            puppet.render(controls, mouth, out)
            times.append((time.perf_counter() - start) * 1e3)
        found[name] = float(np.median(times)), float(np.percentile(times, 95))
    return found


def _sample(rng: np.random.Generator, eyes: bool, speech: bool, head: bool) -> tuple[F32, F32]:
    controls = np.zeros(len(CHANNELS), np.float32)
    mouth = np.zeros(len(MOUTH_CHANNELS), np.float32)
    if eyes:
        controls[: POSE_SLICE.start] = rng.uniform(0, 0.6, POSE_SLICE.start)
    if speech:
        mouth[:] = rng.uniform(0, 0.5, len(mouth))
    if head:
        controls[POSE_SLICE] = rng.uniform(-10, 10, 3)
    return controls, mouth


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="engines.bench_puppet", description=__doc__)
    parser.add_argument("image", nargs="?", type=Path)
    parser.add_argument("--frames", type=int, default=200)
    options = parser.parse_args()
    from engines.enrol import enrol  # slow to import, and not what is measured

    image = options.image or _default_image()
    portrait = enrol(image.read_bytes(), image.stem)
    for size in (256, 512):
        start = time.perf_counter()
        build_rig(portrait, size)
        print(f"{size} px: rig {(time.perf_counter() - start) * 1e3:.0f} ms")
        for name, (median, late) in measure(portrait, size, options.frames).items():
            print(f"  {name:<11} {median:6.2f} ms median {late:6.2f} ms p95")


def _default_image() -> Path:
    import openpeople

    people = Path(openpeople.__file__).parent / "data" / "curated"
    return people / "P001" / "assets" / "studio_portrait.jpg"


if __name__ == "__main__":
    main()
