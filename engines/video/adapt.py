"""``python -m engines.video adapt``: learn one face's features for the decoder.

The puppet plays the portrait, and the feature maps that the decoder reads beside the picture are
moved until it shows the same: of latents that the encoder made of the puppet's pictures, and of
those that the transformer makes of the same motion. All weights stay as they are (as in Gal et al.
2023, "An Image is Worth One Word", ICLR, where an input is learnt for one subject), so nothing of
what the generator can do is unlearnt, and serving costs nothing more. Each region's features touch
that region alone: where unseen motion, generated, gains nothing, the region keeps those it had.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from core import F32, LATENT_FRAMES, MOUTH_CHANNELS, U8, ControlTrack, InvalidInput, Portrait
from engines.enrol import enrol
from engines.portrait_file import load_portrait
from engines.puppet import Puppet
from engines.rig import build_rig
from engines.video.adapted import Adapted, codec_mark, save_adapted
from engines.video.codec import Codec, load_codec, to_bytes, to_unit
from engines.video.coding import encode
from engines.video.data.drive import draw_motion, ramps
from engines.video.decoder import ReferenceFeatures
from engines.video.dit import DiT
from engines.video.dit_file import load_dit_of
from engines.video.export import FEATURES
from engines.video.generator import Script, conditions_of
from engines.video.guidance import UNGUIDED
from engines.video.losses import absolute, emphasis, gradient, temporal
from engines.video.performance import from_controls
from engines.video.regions import REGIONS, SIDE, Regions
from engines.video.sampler import generate
from engines.video.shipped import SHIPPED, codec_file, dit_file

CLIPS: Final = 24
"Generated ones to learn from, at most; half as many speak."
A_CLIP: Final = 7.5
"Seconds of learning for which another clip is filmed."
FEWEST: Final = 2
"""Clips of any kind. A third as many as are learnt from choose the regions, as many again measure
the gain."""
FRAMES: Final = 24
"Of a clip."
WINDOWS: Final = (1, 2, 3)
"Latent frames of a window, drawn for each step."
LATENTS: Final = 4
"Latent frames of each region in a step, about."
RATE: Final = 0.02
"Of Adam; features are moved in units of their own deviation."
WARM: Final = 10
"Steps until it is reached."
TEMPORAL: Final = 0.5
WORTH: Final = 0.1
"Decibels that a region has to gain."
CHANGED: Final = 0.05 * 255
"Grey levels: what differs more from the portrait counts."
BACKGROUND: Final = 10
"Niceness of a process that learns beside a server."
STEPS: Final = 2
"Of the sampler: what sessions use."

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """What the puppet played, and latents of it."""

    frames: U8
    "uint8 ``[clips, T, 3, 96, 96, 3]``."
    latents: Tensor
    "float32 ``[clips, 3, T / 4, latent, 6, 6]``."

    def and_then(self, other: Film) -> Film:
        """The clips of both."""
        frames = np.concatenate((self.frames, other.frames))
        return Film(frames, torch.cat((self.latents, other.latents)))


def adapt(
    codec: Codec,
    dit: DiT,
    portrait: Portrait,
    seconds: float,
    progress: Progress,
    *,
    seed: int = 0,
    steps: int | None = None,
) -> tuple[list[Tensor], dict[str, float], dict[str, float]]:
    """Learn the features of a portrait.

    Args:
        codec: Not changed.
        dit: A student, likewise.
        portrait: Whose.
        seconds: Wall clock for learning; filming and measuring come on top, as much as half.
        progress: Told often.
        seed: Of motion and noise.
        steps: Learn so many steps, however long they take: the same features every time.

    Returns:
        Features at 48, 24, 12 and 6, ``[3, width, side, side]``; PSNR by region over unseen
        motion before and after.
    """
    torch.manual_seed(seed)
    codec.eval().requires_grad_(requires_grad=False)
    regions = Regions.of(portrait.mesh)
    picture = to_unit(torch.from_numpy(regions.cut(portrait.crop)))
    own = list(codec.reference(picture, torch.arange(len(REGIONS))).levels)
    studio = _Studio(codec, dit, portrait, regions)
    clips = min(CLIPS, max(FEWEST, round(seconds / A_CLIP)))
    checked = max(FEWEST, clips // 3)
    progress(0, 100, "filming")
    learnt_from = studio.speaking(clips // 2, np.random.default_rng([seed, 0]))
    progress(2, 100, "generating")
    learnt_from = learnt_from.and_then(studio.generated(clips, np.random.default_rng([seed, 1])))
    choosing, measuring = (
        studio.generated(checked, np.random.default_rng([seed, kind])) for kind in (2, 3)
    )
    learner = _Learner(codec, picture, own, learnt_from, np.random.default_rng([seed, 9]))
    began, done, step = time.monotonic(), 0.0, 0
    while done < 1:
        loss = learner.step(step, done)
        step += 1
        spent = (time.monotonic() - began) / seconds
        done = min(1.0, spent if steps is None else step / steps)
        progress(5 + int(90 * done), 100, f"step {step}, loss {loss:.4f}")
    learnt = [x.detach() for x in learner.features()]
    progress(95, 100, "measuring")
    kept = _worthwhile(codec, picture, own, learnt, choosing)
    best = [
        torch.where(kept[:, None, None, None], new, old)
        for new, old in zip(learnt, own, strict=True)
    ]
    before, after = (quality(codec, picture, x, measuring) for x in (own, best))
    progress(100, 100, "done")
    return best, before, after


@dataclass(frozen=True, slots=True, eq=False)
class _Studio:
    """Where one portrait is filmed."""

    codec: Codec
    dit: DiT
    portrait: Portrait
    regions: Regions

    def speaking(self, clips: int, rng: np.random.Generator) -> Film:
        """A mouth that moves as if it spoke; latents by the encoder, as there is no sound."""
        motions = [draw_motion((), FRAMES, rng) for _ in range(clips)]
        mouths = [np.clip(m.felt + _babble(rng), 0, 1).astype(np.float32) for m in motions]
        frames = self._film([m.controls for m in motions], mouths)
        region = torch.arange(len(REGIONS))
        with torch.no_grad():
            latents = [self.codec.encode(_unit(clip), region) for clip in frames]
        return Film(frames, torch.stack(latents))

    def generated(self, clips: int, rng: np.random.Generator) -> Film:
        """Expressions in silence, with the latents that the transformer makes of them."""
        motions = [draw_motion((), FRAMES, rng) for _ in range(clips)]
        frames = self._film([m.controls for m in motions], [m.felt for m in motions])
        asked = []
        for motion in motions:
            controls = ControlTrack(motion.controls)
            script = Script(from_controls(self.portrait, controls, motion.felt, motion.felt))
            asked.append(conditions_of(self.portrait, script))
        still = np.repeat(self.regions.cut(self.portrait.crop)[None, None], LATENT_FRAMES, axis=1)
        known = encode(self.codec, still)
        latents = [
            generate(self.dit, one, known, int(rng.integers(2**31)), UNGUIDED, STEPS)
            for one in asked
        ]
        return Film(frames, torch.cat(latents).transpose(1, 2))

    def _film(self, controls: Sequence[F32], mouths: Sequence[F32]) -> U8:
        puppet = Puppet(build_rig(self.portrait, self.portrait.size))
        out = np.empty((len(controls), FRAMES, len(REGIONS), SIDE, SIDE, 3), np.uint8)
        canvas = np.empty((self.portrait.size, self.portrait.size, 3), np.uint8)
        for clip, rows, lips in zip(out, controls, mouths, strict=True):
            for shown, row, lip in zip(clip, rows, lips, strict=True):
                shown[:] = self.regions.cut(puppet.render(row, lip, canvas))
        return out


def _babble(rng: np.random.Generator) -> F32:
    """A mouth that is moved by a few channels at a time, ``[T, 9]``."""
    mouth = np.zeros((FRAMES, len(MOUTH_CHANNELS)), np.float32)
    for channel in rng.choice(len(MOUTH_CHANNELS), int(rng.integers(2, 5)), replace=False):
        mouth[:, channel] = ramps(FRAMES, rng) * rng.uniform(0.3, 1)
    return mouth


def _unit(clip: U8) -> Tensor:
    """uint8 ``[T, 3, 96, 96, 3]`` → ``[3, T, 3, 96, 96]`` in [-1, 1]."""
    return to_unit(torch.from_numpy(clip)).transpose(0, 1)


class _Learner:
    """Features that are moved, step by step."""

    def __init__(
        self, codec: Codec, picture: Tensor, own: list[Tensor], seen: Film,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self._codec, self._picture, self._own, self._seen, self._rng = (
            codec,
            picture,
            own,
            seen,
            rng,
        )
        self._units = [x.std((2, 3), keepdim=True).mean(1, keepdim=True) for x in own]
        self._moved = [torch.zeros_like(x, requires_grad=True) for x in own]
        self._optimiser = torch.optim.Adam(self._moved, lr=RATE, betas=(0.9, 0.99))

    def features(self) -> list[Tensor]:
        """As they are now."""
        parts = zip(self._own, self._moved, self._units, strict=True)
        return [own + moved * unit for own, moved, unit in parts]

    def step(self, number: int, done: float) -> float:
        """Learn from a few windows; returns the loss."""
        for group in self._optimiser.param_groups:
            group["lr"] = RATE * min(1, (number + 1) / WARM) * (1 + np.cos(np.pi * done)) / 2
        count = int(self._rng.choice(WINDOWS))
        rows = max(1, LATENTS // count)
        latents, true = self._draw(rows, count)
        noise = self._codec.config.noise * torch.rand(len(latents), 1, 1, 1, 1)
        latents = latents + noise * torch.randn_like(latents)
        made = _decoded(self._codec, self._picture, self.features(), latents, rows)
        flat, real = made.flatten(0, 1), true.flatten(0, 1)
        beside = self._picture.repeat(rows, 1, 1, 1).repeat_interleave(true.shape[1], 0)
        weight = emphasis(real, beside)
        loss = absolute(flat, real, weight) + gradient(flat, real, weight)
        loss = loss + TEMPORAL * temporal(made, true)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return loss.item()

    def _draw(self, rows: int, count: int) -> tuple[Tensor, Tensor]:
        """Windows of ``count`` latents and their frames, ``[rows * 3, …]``."""
        latents, frames = [], []
        clips, length = len(self._seen.frames), self._seen.latents.shape[2]
        for _ in range(rows):
            clip = int(self._rng.integers(clips))
            at = int(self._rng.integers(length - count + 1))
            latents.append(self._seen.latents[clip, :, at : at + count])
            part = self._seen.frames[clip, LATENT_FRAMES * at : LATENT_FRAMES * (at + count)]
            frames.append(_unit(part))
        return torch.cat(latents), torch.cat(frames)


def _decoded(
    codec: Codec, picture: Tensor, features: list[Tensor], latents: Tensor, rows: int = 1
) -> Tensor:
    """``rows`` windows of all regions, ``[rows * 3, T, 3, 96, 96]``."""
    region = torch.arange(len(REGIONS)).repeat(rows)
    levels = tuple(x.repeat(rows, 1, 1, 1) for x in features)
    reference = ReferenceFeatures(picture.repeat(rows, 1, 1, 1), levels, region)
    made: Tensor = codec.decoder(latents, reference, codec.decoder.cache(len(latents)))[0]
    return made


@torch.no_grad()
def quality(codec: Codec, picture: Tensor, features: list[Tensor], seen: Film) -> dict[str, float]:
    """PSNR, dB, of the pixels of each region that differ from the portrait's."""
    start = to_bytes(picture)[:, None].astype(np.float32)
    wrong, counted = np.zeros(len(REGIONS)), np.zeros(len(REGIONS))
    for frames, latents in zip(seen.frames, seen.latents, strict=True):
        true = frames.swapaxes(0, 1).astype(np.float32)
        made = to_bytes(_decoded(codec, picture, features, latents)).astype(np.float32)
        error = np.square((made - true) / 255).mean(-1)
        changed = np.abs(true - start).mean(-1) > CHANGED
        wrong += (error * changed).sum((1, 2, 3))
        counted += changed.sum((1, 2, 3))
    mean = wrong / np.maximum(counted, 1) + 1e-8
    return {name: float(-10 * np.log10(x)) for name, x in zip(REGIONS, mean, strict=True)}


def _worthwhile(
    codec: Codec, picture: Tensor, own: list[Tensor], learnt: list[Tensor], seen: Film
) -> Tensor:
    """Which regions are better for it, bool ``[3]``."""
    before, after = (quality(codec, picture, x, seen) for x in (own, learnt))
    return torch.tensor([after[name] - before[name] >= WORTH for name in REGIONS])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``adapt``."""
    parser.add_argument("portrait", type=Path, help="a picture, or an enrolled portrait (.npz)")
    parser.add_argument("out", type=Path, help="file of the features (.npz)")
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="folder with the codec")
    parser.add_argument("--seconds", type=float, default=180.0,
                        help="to learn (default: 180)")  # fmt: skip
    parser.add_argument("--steps", type=int, help="to learn, instead of seconds")
    parser.add_argument("--threads", type=int, default=0, help="0 for torch's own choice")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--background", action="store_true",
                        help="give way to others; progress as lines of JSON")  # fmt: skip


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Learn, write, say what was gained."""
    if options.seconds <= 0 or (options.steps is not None and options.steps < 1):
        raise InvalidInput("--seconds and --steps must be above 0.")
    if options.threads:
        torch.set_num_threads(options.threads)
    codec = load_codec(codec_file(options.weights))
    dit = load_dit_of(codec, dit_file(options.weights)).eval()
    portrait = read_portrait(options.portrait)
    tell = progress
    if options.background:
        os.nice(BACKGROUND)
        tell = _tell_json
    levels, before, after = adapt(
        codec, dit, portrait, options.seconds, tell, seed=options.seed, steps=options.steps
    )
    features = {name: x[None].numpy() for name, x in zip(FEATURES, levels, strict=True)}
    made = Adapted(portrait.id, codec_mark(options.weights), features, before, after)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_adapted(made, options.out)
    if not options.background:
        print("\n" + told(before, after))


def told(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """The gain in words, a line a region."""
    return "\n".join(
        f"{name}: {before[name]:.2f} → {after[name]:.2f} dB"
        + ("" if after[name] != before[name] else " (kept as it was)")
        for name in REGIONS
    )


def read_portrait(path: Path) -> Portrait:
    """An enrolled portrait, or a picture that is enrolled now.

    Raises:
        InvalidInput: It is neither.
        PortraitRejected: See `engines.enrol.enrol`.
    """
    try:
        if path.suffix == ".npz":
            return load_portrait(path)
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} can not be read: {error}.") from error
    return enrol(data, path.stem)


def _tell_json(done: int, total: int, note: str) -> None:
    print(json.dumps({"done": done / total, "note": note}), flush=True, file=sys.stdout)
