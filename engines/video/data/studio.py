"""Where training clips are filmed: a person sits down, and some clips of them are made.

Everything that is drawn for a sitting comes from (seed, its number), so that any shard can be made
again, anywhere, alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from core import CHANNELS, F32, KEYPOINTS, MOUTH_CHANNELS, POSE_SLICE, U8, Portrait
from engines.enrol import head_yaw
from engines.puppet import Puppet
from engines.rig import build_rig
from engines.video.clip import STILL, TOKEN_WIDTH, TOKENS_PER_FRAME, Clip
from engines.video.data.augment import Camera, varied
from engines.video.data.drive import Motion, draw_expression, draw_motion
from engines.video.data.mirror import mirrored
from engines.video.data.morph import alike, morph
from engines.video.data.people import Likeness, Sitter, by_person, portraits_of
from engines.video.data.sound import draw_sound
from engines.video.regions import REGIONS, SIDE, Regions
from face import FaceModel

FRAMES: Final = 40
"Of a clip: 1.6 s."
SITTING: Final = 8
"Clips of a person in a row: making a rig ready costs as much as one of them."
MORPHED: Final = 0.6
"Share of sittings with a person who is a mixture of others."
MIRRORED: Final = 0.5
UPRIGHT: Final = 0.35
"Share of clips without a turn of the head."
TURN: Final = np.array([10.0, 16.0, 8.0], np.float32)
"Largest pitch, yaw and roll that a clip is given, degrees."
FARTHEST_YAW: Final = 26.0
"Degrees, with the portrait's own."
WHILE_SPEAKING: Final = 0.6
"Share of the felt mouth that a live session keeps while it speaks."
STILL_FRAMES: Final = 4
SPEAKING: Final = "speaking"


def usable(likeness: Likeness) -> bool:
    """Whether the puppet can move a picture: eyes that are open, a mouth that is not wide open."""
    return likeness.eyes > 0.19 and likeness.lips < 0.4 and abs(likeness.yaw) < FARTHEST_YAW


@dataclass(frozen=True, slots=True, eq=False)
class Studio:
    """All that clips are made of."""

    people: Mapping[str, Sequence[Sitter]]
    "Pictures that the puppet can move, by person."
    stills: Mapping[str, Sequence[Sitter]]
    "Labelled expressions, at least two a person."
    tracks: Sequence[Motion]
    speech: Sequence[Path]
    seed: int
    size: int
    "Side of the picture that is rendered, pixels."

    @classmethod
    def furnish(
        cls,
        sitters: Sequence[Sitter],
        tracks: Sequence[Motion],
        speech: Sequence[Path],
        *,
        seed: int = 0,
        size: int = 512,
    ) -> Studio:
        """A studio for these people; held-out ones must have been taken out before."""
        faces = [s for s in sitters if s.expression]
        stills = {name: found for name, found in by_person(faces).items() if len(found) > 1}
        people = by_person([s for s in sitters if usable(s.likeness)])
        return cls(people, stills, tracks, speech, seed, size)

    def sitting(self, number: int) -> Iterator[Clip]:
        """The clips of one person, `SITTING` of them."""
        rng = np.random.default_rng([self.seed, number])
        portrait = varied(self._sitter(number, rng), rng)
        puppet = Puppet(build_rig(portrait, self.size))
        for _ in range(SITTING):
            yield self._film(portrait, puppet, rng)

    def still(self, number: int) -> Clip | None:
        """Two real expressions of one person: the reference, and a picture that stands still."""
        if not self.stills:
            return None
        rng = np.random.default_rng([self.seed, number, 1])
        person = list(self.stills)[int(rng.integers(len(self.stills)))]
        found = self.stills[person]
        pair = [found[int(i)] for i in rng.choice(len(found), 2, replace=False)]
        flip = rng.random() < MIRRORED
        again = int(rng.integers(2**31))
        crops, points = [], []
        for portrait in portraits_of(pair):
            portrait = mirrored(portrait, person) if flip else portrait
            # Drawn alike for both: one camera, one light.
            same = np.random.default_rng(again)
            portrait = varied(portrait, same, 0.0)
            camera = Camera.draw(Regions.of(portrait.mesh), same)
            crops.append(camera.see(portrait.crop))
            points.append(camera.regions.to_region(portrait.keypoints))
        return _still(person, crops, points)

    def _sitter(self, number: int, rng: np.random.Generator) -> Portrait:
        """Whose turn it is: a real picture, or a mixture; either may be its mirror image."""
        first = self._anyone(rng)
        portrait = None
        if rng.random() < MORPHED:
            others = self._like(first, rng)
            if others:
                name = f"morph-{self.seed}-{number}"
                portrait = morph(list(portraits_of([first, *others])), name, rng)
        if portrait is None:
            loaded = next(portraits_of([first]))
            portrait = Portrait(loaded.id, first.person, loaded.crop, loaded.mesh, loaded.extra)
        if rng.random() < MIRRORED:
            portrait = mirrored(portrait, portrait.name)
        return portrait

    def _anyone(self, rng: np.random.Generator) -> Sitter:
        person = list(self.people)[int(rng.integers(len(self.people)))]
        found = self.people[person]
        return found[int(rng.integers(len(found)))]

    def _like(self, first: Sitter, rng: np.random.Generator) -> list[Sitter]:
        """One or two other people whom a face may be mixed with; none where nobody is alike."""
        fitting = []
        for person, found in self.people.items():
            close = [s for s in found if alike(s.likeness, first.likeness)]
            if person != first.person and close:
                fitting.append(close[int(rng.integers(len(close)))])
        count = min(1 + int(rng.random() < 0.35), len(fitting))
        return [fitting[int(i)] for i in rng.choice(len(fitting), count, replace=False)]

    def _film(self, portrait: Portrait, puppet: Puppet, rng: np.random.Generator) -> Clip:
        """One clip."""
        motion = draw_motion(self.tracks, FRAMES, rng)
        sound = draw_sound(self.speech, FRAMES, rng)
        felt = motion.felt * (WHILE_SPEAKING if sound.speech else 1.0)
        mouth = np.clip(sound.mouth + felt, 0, 1).astype(np.float32)
        controls, lips = draw_expression(self.tracks, rng)
        turn = _turn(portrait, rng)
        scale = self.size / portrait.size
        shape = _Shape(FaceModel.from_mesh(portrait.mesh), turn, scale)
        camera = Camera.draw(shape.regions(), rng)
        rest = np.concatenate([controls[None], motion.controls])
        said = np.concatenate([lips[None], mouth])
        crops = np.empty((FRAMES + 1, len(REGIONS), SIDE, SIDE, 3), np.uint8)
        canvas = np.empty((self.size, self.size, 3), np.uint8)
        posed = rest.copy()
        posed[:, POSE_SLICE] = turn
        for crop, row, lip in zip(crops, posed, said, strict=True):
            crop[:] = camera.see(puppet.render(row, lip, canvas))
        points = camera.regions.to_region(shape.keypoints(rest, said))
        points = np.ascontiguousarray(points.swapaxes(0, 1), np.float32)
        label = motion.label or (SPEAKING if sound.speech else "")
        return Clip(
            portrait.name, label, motion.text, crops[0], crops[1:], points[0], points[1:],
            felt.astype(np.float32), sound.tokens, sound.mouth,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    """A face in the pose of its clip, in pixels of the rendered picture."""

    face: FaceModel
    turn: F32
    scale: float

    def regions(self) -> Regions:
        row = np.zeros(len(CHANNELS), np.float32)
        row[POSE_SLICE] = self.turn
        return Regions.of(self._placed(self.face.pose(self.face.neutral, row)))

    def keypoints(self, controls: F32, mouth: F32) -> F32:
        """float32 ``[T, 62, 2]``."""
        row = np.zeros(len(CHANNELS), np.float32)
        row[POSE_SLICE] = self.turn
        points = self.face.deform(controls, mouth)[:, list(KEYPOINTS)]
        return self._placed(self.face.pose(points, row))[..., :2]

    def _placed(self, points: F32) -> F32:
        """Scaled about the centres of pixels, as `engines.rig.build_rig` does."""
        placed = points * np.float32(self.scale)
        placed[..., :2] += np.float32(0.5 * self.scale - 0.5)
        return placed


def _turn(portrait: Portrait, rng: np.random.Generator) -> F32:
    if rng.random() < UPRIGHT:
        return np.zeros(3, np.float32)
    turn = rng.uniform(-TURN, TURN).astype(np.float32)
    own = head_yaw(portrait.mesh)
    turn[1] = np.clip(own + turn[1], -FARTHEST_YAW, FARTHEST_YAW) - own
    return turn


def _still(person: str, crops: list[U8], points: list[F32]) -> Clip:
    count = STILL_FRAMES
    mouth = np.zeros((count, len(MOUTH_CHANNELS)), np.float32)
    return Clip(
        person, STILL, "", crops[0], np.repeat(crops[1][None], count, axis=0),
        points[0].astype(np.float32), np.repeat(points[1][None], count, axis=0).astype(np.float32),
        mouth, np.zeros((TOKENS_PER_FRAME * count, TOKEN_WIDTH), np.float32), mouth,
    )  # fmt: skip
