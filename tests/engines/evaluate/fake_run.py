"""A run folder as the benchmark writes it, of puppets whose controls are known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core import AU_SLICE, CHANNEL, CHANNELS, F32, MOUTH_CHANNELS, Portrait
from engines.evaluate.case import Annotation, Case, Manifest
from engines.evaluate.metrics.action_units import (
    TARGETS,
    THRESHOLDS,
    au_f1,
    au_temp,
    intensities,
    targets,
)
from engines.evaluate.results import TRUTH, Facts, Run, film_path, load_run, save_facts, write_json
from engines.film import write_film
from engines.puppet import Puppet
from engines.rig import build_rig

REST = np.zeros(len(MOUTH_CHANNELS), np.float32)
ROWS = ("puppet-keypoints", "still")


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody does: bumps of channels, each with its middle and half width as shares."""

    category: str
    what: str
    bumps: tuple[tuple[str, float, float, float], ...]

    def controls(self, frames: int) -> F32:
        """float32 ``[T, 17]``."""
        out = np.zeros((frames, len(CHANNELS)), np.float32)
        time = np.linspace(0, 1, frames, dtype=np.float32)
        for name, middle, half, height in self.bumps:
            wave = np.cos(np.clip((time - middle) / half, -1, 1) * np.pi) / 2 + 0.5
            out[:, CHANNEL[name]] += height * wave
        return out


def both(name: str, middle: float, half: float, height: float) -> tuple[
    tuple[str, float, float, float], ...
]:  # fmt: skip
    return tuple((f"{name}_{side}", middle, half, height) for side in "LR")


ACTS = (
    Act("drowsiness", "droopy lids", (
        *both("AU45", 0.3, 0.25, 0.75), *both("AU45", 0.75, 0.08, 1.0), *both("AU1", 0.4, 0.4, 0.4),
        ("gaze_down", 0.6, 0.3, 0.5), ("pitch", 0.6, 0.4, 9.0),
    )),
    Act("surprise", "brows fly up", (
        *both("AU1", 0.45, 0.25, 1.0), *both("AU2", 0.45, 0.25, 0.9), ("AU5", 0.45, 0.2, 0.9),
        *both("AU45", 0.85, 0.07, 1.0), ("pitch", 0.45, 0.3, -6.0),
    )),
    Act("cognitive_effort", "looks away", (
        ("AU4", 0.5, 0.5, 0.6), ("AU7", 0.5, 0.4, 0.6), ("gaze_left", 0.35, 0.2, 0.8),
        ("gaze_up", 0.35, 0.2, 0.6), ("gaze_right", 0.8, 0.15, 0.6), *both("AU45", 0.6, 0.06, 1.0),
        ("yaw", 0.35, 0.3, 12.0), ("roll", 0.7, 0.3, 6.0),
    )),
)  # fmt: skip


def copied(row: str, truth: F32, seed: int) -> tuple[F32, F32]:
    """What a row is told, and what is seen of it: a copy that is weaker, late and noisy."""
    rng = np.random.default_rng(seed)
    asked = truth.copy()
    if row == "still":
        asked[:] = 0
    elif row != ROWS[0]:
        asked = float(rng.uniform(0.1, 1)) * np.roll(truth, 2, axis=0)
    seen = 0.9 * asked + rng.normal(0, 0.02, truth.shape).astype(np.float32)
    seen[:, :14] = np.clip(seen[:, :14], 0, 1)
    seen[len(seen) // 2] = np.nan
    return asked.astype(np.float32), seen.astype(np.float32)


def plausible(category: str, seen: F32, truth: F32, seed: int) -> dict[str, float]:
    """Metrics of the catalogue that controls alone give, and made-up ones of pictures."""
    rng = np.random.default_rng(seed)
    mine, theirs = intensities(np.nan_to_num(seen)), intensities(truth)
    aus = slice(0, len(CHANNELS[AU_SLICE]))
    out = {
        "eye_lmd": 0.008 + 0.05 * float(abs(mine - theirs).mean()),
        "au_f1": au_f1(mine[:, aus], theirs[:, aus], THRESHOLDS[aus]),
        "gaze_error": 30 * float(abs(mine[:, 10:] - theirs[:, 10:]).mean()),
        "pose_error": float(np.nanmean(abs(seen[:, 14:] - truth[:, 14:]))),
        "id_sim": 0.93 - 0.02 * float(rng.random()),
        "psnr": 28 + 3 * float(rng.random()),
        "sync_lag": 40 * float(rng.normal()),
    }
    if category in TARGETS:
        out["au_temp"] = au_temp(mine, theirs, targets(category))
    if rng.random() > 0.3:
        out["blink_f1"] = float(rng.random())
    return out


def build_run(
    folder: Path, portrait: Portrait, *, cases: int = 3, rows: tuple[str, ...] = ROWS,
    frames: int = 30, size: int = 256,
) -> tuple[Run, Manifest]:  # fmt: skip
    """Write a run of puppets with films, controls and values; two cases of it are skipped."""
    puppet = Puppet(build_rig(portrait, size))
    facts = Facts(
        "puppets", "2025-01-02T03:04:05Z", "python -m engines.evaluate run puppets.json", size,
        "blendshapes", {"id_sim": "SFace instead of ArcFace"},
        {"fvd": "I3D weights not found", "lpips": "weights not found"},
        {"AU4": 0.8, "AU45": 0.6}, 12.0,
    )  # fmt: skip
    save_facts(folder, facts, rows)
    listed = []
    for n in range(cases):
        act, id = ACTS[n % len(ACTS)], f"{ACTS[n % len(ACTS)].category}-{n:02}"
        truth = act.controls(frames)
        note = {"category": act.category, "person": f"P{n // 2:02}"}
        write_json(folder / "cases" / id / "case.json", note)
        np.savez(folder / "cases" / id / f"{TRUTH}.npz", controls=truth)
        _film(folder, id, TRUTH, puppet, truth)
        for k, row in enumerate(rows):
            asked, seen = copied(row, truth, 100 * n + k)
            told = {} if row == "still" else {"asked": asked}
            np.savez(folder / "cases" / id / f"{row}.npz", controls=seen, **told)
            values = plausible(act.category, seen, truth, 100 * n + k)
            write_json(folder / "cases" / id / f"{row}.json", {"values": values})
            _film(folder, id, row, puppet, asked)
        event = Annotation(frames // 5, frames // 2, act.what)
        blink = Annotation(frames // 2, 4 * frames // 5, "second event", "extractor")
        prompt = f"Somebody shows {act.category.replace('_', ' ')}."
        listed.append(Case(id, folder / "none.mp4", act.category, note["person"], 0.0, frames,
                           prompt, (event, blink)))  # fmt: skip
    for id, why in (("faceless", "no face is found"), ("torn", "the file can not be decoded")):
        write_json(folder / "cases" / id / "case.json", {"skipped": why})
    pooled = {row: {"fid": 20.0 + 15 * k} for k, row in enumerate(rows)}
    write_json(folder / "pooled.json", pooled)
    return load_run(folder), Manifest("puppets", tuple(listed))


def _film(folder: Path, case: str, row: str, puppet: Puppet, controls: F32) -> None:
    write_film(film_path(folder, case, row), (puppet.render(c, REST) for c in controls))
