"""``python -m planner.library report``: what building and retrieval do to the dynamics.

Velocity percentiles and the shares of velocity energy in four bands, for brows, lids and head:
of the recordings as they were tracked, at 25 frames a second, cut into prototypes, and after
trimming, rescaling and stitching. Then closing and opening times of blinks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TextIO

import numpy as np

from core import CHANNEL, F32, FPS, InvalidInput
from planner.blink_shapes import RATE, clean_curve, episodes, timing
from planner.blinks import Blinks
from planner.library import Library, Prototype
from planner.motion import F64, minimum_jerk
from planner.recordings import Eyes, Recording, read_eyes, read_recordings
from planner.retrieval import rescale, stitch, trim

BANDS: Final = (0.0, 1.0, 3.0, 6.0, 12.5)
"Hz. Expressions and posture; gestures; accents and onsets; jerks and blinks."
SLOWEST: Final = 19.0
"Frames a second below which a recording can not be compared up to 12.5 Hz at all."
SEGMENT_SECONDS: Final = 2.0
AMPLITUDE: Final = 0.7
"Of the composed material, as a share of the prototype's own range."
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "brows": ("AU1_L", "AU1_R", "AU2_L", "AU2_R", "AU4"),
    "lids": ("AU45_L", "AU45_R"),
    "head": ("pitch", "yaw", "roll"),
}
NATIVE: Final[Mapping[str, tuple[int, ...]]] = {
    "brows": (0, 1, 2, 3, 4), "lids": (8, 9), "head": (12, 13, 14),
}  # fmt: skip
Piece = tuple[F64, float]
"Values of a group, float64 [T, C], and frames a second."


def report(library: Library, data: Path, out: TextIO) -> None:
    """Write the tables for ``library`` and the recordings below ``data``.

    Raises:
        InvalidInput: There are no recordings.
    """
    recordings = [r for r in read_recordings(data) if r.native_rate >= SLOWEST]
    if not recordings:
        raise InvalidInput(f"There is no usable recording below {data}.")
    names = {p.name.partition("@")[0] for p in library.prototypes if p.kind == "recorded"}
    taken = [r for r in recordings if r.name in names]
    recorded = [p for p in library.prototypes if p.kind == "recorded"]
    for group in GROUPS:
        unit = "deg/s" if group == "head" else "1/s"
        out.write(f"\n{group}: velocity {unit}, share of velocity energy by band (Hz)\n")
        out.write(f"{'':34s}{'median':>8s}{'p95':>8s}{'p99':>8s}")
        out.write("".join(f"{f'{a:g}-{b:g}':>9s}" for a, b in _bands()) + "\n")
        _line(out, "every recording, as tracked", _native(recordings, group))
        _line(out, "every recording, 25 fps", _resampled(recordings, group))
        _line(out, "the library's sources, as tracked", _native(taken, group))
        _line(out, "the library's sources, 25 fps", _resampled(taken, group))
        _line(out, "recorded prototypes", _pieces(recorded, group))
        _line(out, "trimmed, rescaled", _composed(recorded, group, apart=True))
        _line(out, "trimmed, rescaled, stitched", _composed(recorded, group, apart=False))
    _blink_table(library, read_eyes(data), out)


def edited(prototypes: Sequence[Prototype], seed: int = 0) -> list[F32]:
    """A piece of each prototype, float32 ``[Ti, 17]``, trimmed and rescaled to `AMPLITUDE`."""
    rng = np.random.default_rng(seed)
    pieces = []
    for prototype in prototypes:
        values = trim(prototype.controls, int(rng.integers(40, 100)), rng)
        low, high = np.percentile(values, (5, 95), axis=0).astype(np.float32)
        middle, half = (low + high) / 2, (high - low) / 2 * np.float32(AMPLITUDE)
        pieces.append(rescale(values, middle - half, middle + half))
    return pieces


# --- inside ----------------------------------------------------------------------------------


def _bands() -> list[tuple[float, float]]:
    return list(zip(BANDS, BANDS[1:], strict=False))


def _native(recordings: Iterable[Recording], group: str) -> list[Piece]:
    found = []
    for r in recordings:
        if group in r.measured:
            columns = list(NATIVE[group])
            values = r.native[:, columns]
            values = values if group == "head" else np.clip(values, 0, 1)
            even = np.arange(len(r.time)) / r.native_rate
            steady = [np.interp(even, r.time, values[:, i]) for i in range(len(columns))]
            found.append((np.stack(steady, axis=1), r.native_rate))
    return found


def _resampled(recordings: Iterable[Recording], group: str) -> list[Piece]:
    columns = [CHANNEL[name] for name in GROUPS[group]]
    return [
        (r.controls.values[:, columns].astype(np.float64), FPS)
        for r in recordings
        if group in r.measured
    ]


def _pieces(prototypes: Iterable[Prototype], group: str) -> list[Piece]:
    columns = [CHANNEL[name] for name in GROUPS[group]]
    parts = [p.controls[:, columns].astype(np.float64) for p in prototypes]
    return [(part, float(FPS)) for part in parts if np.ptp(part, axis=0).any()]


def _composed(prototypes: Sequence[Prototype], group: str, *, apart: bool) -> list[Piece]:
    """Pieces with their amplitude taken back to that of the prototypes, stitched or apart."""
    columns = [CHANNEL[name] for name in GROUPS[group]]
    moving = [p for p in prototypes if np.ptp(p.controls[:, columns], axis=0).any()]
    found: list[Piece] = []
    for seed in range(8):
        pieces = edited(moving, seed)
        for piece in pieces if apart else [stitch(pieces)]:
            found.append((piece[:, columns].astype(np.float64) / AMPLITUDE, float(FPS)))
    return found


def _line(out: TextIO, name: str, pieces: Sequence[Piece]) -> None:
    speeds = np.concatenate([np.abs(np.diff(v, axis=0) * rate).ravel() for v, rate in pieces])
    median, high, top = np.percentile(speeds, (50, 95, 99))
    shares = energy_shares(pieces)
    out.write(f"{name:34s}{median:8.3f}{high:8.2f}{top:8.2f}")
    out.write("".join(f"{share:9.3f}" for share in shares) + "\n")


def energy_shares(pieces: Iterable[Piece]) -> F64:
    """Shares of velocity energy in `BANDS`, float64 ``[4]``, over all pieces and channels."""
    total = np.zeros(len(BANDS) - 1)
    for values, rate in pieces:
        length = min(int(SEGMENT_SECONDS * rate), len(values) - 1)
        if length < rate / 2:
            continue
        window = np.hanning(length)[:, None]
        hertz = np.fft.rfftfreq(length, 1 / rate)
        speed = np.diff(values, axis=0) * rate
        for start in range(0, len(speed) - length + 1, max(1, length // 2)):
            spectrum = np.abs(np.fft.rfft(speed[start : start + length] * window, axis=0)) ** 2
            power = spectrum.sum(axis=1) / (window**2).sum() / rate
            for i, (low, high) in enumerate(_bands()):
                total[i] += power[(hertz >= low) & (hertz < high)].sum() * (hertz[1] - hertz[0])
    shares: F64 = total / max(float(total.sum()), 1e-12)
    return shares


def _blink_table(library: Library, eyes: Sequence[Eyes], out: TextIO) -> None:
    out.write("\nblinks: seconds from 10 to 95 % shut, above 95 %, and back to 10 %\n")
    out.write(f"{'':34s}{'count':>8s}{'closing':>9s}{'held':>9s}{'opening':>9s}{'ratio':>9s}\n")
    kept = [c / c.max(axis=0) for e in eyes for c in episodes(e) if clean_curve(c) is not None]
    _times(out, "as recorded (IER, clean ones)", [c[:, i] for c in kept for i in (0, 1)], RATE)
    shapes = library.blinks
    _times(out, "in the library", [lid for both in shapes.curves for lid in both], shapes.rate)
    _times(out, "played, 1 kHz", _played(1000.0), 1000.0)
    _times(out, "played, 25 fps between frames", _played(float(FPS)), 1000.0)
    _times(out, "a minimum-jerk blink, for contrast", [_parametric()], 1000.0)


def _played(rate: float) -> list[F64]:
    """Blinks as performed, seen ``rate`` times a second and drawn with straight lines at 1 kHz."""
    blinks = Blinks(np.random.default_rng(0))
    found = []
    for k in range(200):
        blink = blinks.ask(10.0 * k, "report")
        first, last = int(blink.start * rate) - 2, int(blink.end * rate) + 3
        times = np.arange(first, last) / rate
        lids = np.array([blink.at(float(t)) for t in times])
        fine = np.arange(times[0], times[-1], 1e-3)
        found += [np.interp(fine, times, lids[:, i] / lids[:, i].max()) for i in (0, 1)]
    return found


def _parametric() -> F64:
    """The mean blink of `planner.physiology`, drawn with minimum-jerk curves."""
    t = np.arange(-0.2, 0.6, 1e-3)
    down = [minimum_jerk(1 + x / 0.092) for x in t if x <= 0]
    up = [1 - minimum_jerk(max((x - 0.02) / 0.215, 0.0) ** 0.8) for x in t if x > 0]
    return np.array(down + up)


def _times(out: TextIO, name: str, lids: Sequence[F64], rate: float) -> None:
    found = [seconds for lid in lids if (seconds := timing(lid, rate)) is not None]
    closing, held, opening = np.median(np.array(found), axis=0)
    ratio = float(np.median([o / c for c, _, o in found]))
    out.write(f"{name:34s}{len(found):8d}{closing:9.3f}{held:9.3f}{opening:9.3f}{ratio:9.2f}\n")
