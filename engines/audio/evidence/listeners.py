"""What hears: anything that turns a recording into visemes and a mouth.

Two need no training: loudness alone, and any `engines.mouth.Mouth` as a live session drives it.
They are what a trained network has to beat, and how it is measured as viewers get it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np

from core import (
    F32,
    MOUTH,
    MOUTH_CHANNELS,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    InvalidInput,
)
from engines.audio.encoder import TOKEN, AudioEncoder, hear
from engines.audio.visemes import MOUTHS, VISEME, VISEMES
from engines.mouth import Mouth, SpeechMouth

TOKENS_PER_FRAME: Final = SAMPLES_PER_FRAME // TOKEN


class Hearing(Protocol):
    """What was made of a recording; row k belongs to samples ``[320 k, 320 k + 320)``."""

    @property
    def visemes(self) -> F32:
        """float32 ``[T, 15]``, columns as `VISEMES`; the largest of a row is what was heard."""

    @property
    def mouth(self) -> F32:
        """float32 ``[T, 9]`` in [0, 1], columns as `core.MOUTH_CHANNELS`."""


Listener: TypeAlias = Callable[[F32], Hearing]
"Samples, float32 ``[N]`` at 16 kHz → ``⌊N / 320⌋`` rows, or one more when N leaves a rest."


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """The plainest `Hearing`."""

    visemes: F32
    mouth: F32


# --- loudness alone --------------------------------------------------------------------------

RANGE_DB: Final = 10.0
"""The mouth is shut this far below the speaker's level, and fully open at it. Of 10 to 40 dB this
follows the lips of the very clips best that it is judged by."""
WIDEST: Final = 0.6
"Jaw of the loudest sound: that of an a said clearly."
THRESHOLD_DB: Final = -17.5
"""What lies above, against the speaker's level, is called a, and the rest silence. Of every 2.5 dB
this gives the best accuracy on held-out synthetic speech."""


def energy(samples: F32) -> Guess:
    """A mouth that opens as far as the voice is loud; it knows silence and a, nothing else.

    The speaker's level is the 95th percentile of the whole recording, and the smoothing looks
    ahead: both flatter it against anything live.
    """
    level = relative_level(samples)
    opening = np.clip(1.0 + level / RANGE_DB, 0.0, 1.0)
    mouth = np.zeros((len(level), len(MOUTH_CHANNELS)), np.float32)
    mouth[:, MOUTH["jaw"]] = WIDEST * opening
    heard = np.where(level > THRESHOLD_DB, VISEME["a"], VISEME["sil"])
    return Guess(np.eye(len(VISEMES), dtype=np.float32)[heard], mouth)


def relative_level(samples: F32) -> F32:
    """Smoothed level of every token against the speaker's own, dB, float32 ``[T]``."""
    tokens = _whole(samples, TOKEN).reshape(-1, TOKEN)
    power = np.square(tokens, dtype=np.float64).mean(axis=1)
    if not len(power):
        return np.zeros(0, np.float32)
    # A triangle of 100 ms: about a syllable's flank.
    kernel = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 9.0
    smooth = np.convolve(np.pad(power, 2, mode="edge"), kernel, mode="valid")
    level = 10.0 * np.log10(smooth + 1e-9)
    relative: F32 = (level - max(float(np.percentile(level, 95)), -60.0)).astype(np.float32)
    return relative


# --- a live mouth ----------------------------------------------------------------------------


def through(make: Callable[[], Mouth]) -> Listener:
    """Hear as a live session does: pushes of one second, frames of 40 ms, held for two rows.

    The delay a mouth announces is taken out. Its visemes are those whose mouth is nearest.
    """

    def listen(samples: F32) -> Guess:
        mouth = make()
        whole = _whole(samples, SAMPLES_PER_FRAME)
        padded = np.concatenate((whole, np.zeros(mouth.lookahead, np.float32)))
        padded = _whole(padded, SAMPLES_PER_FRAME)
        pieces = [padded[at : at + SAMPLE_RATE] for at in range(0, len(padded), SAMPLE_RATE)]
        frames = [mouth.push(piece).values for piece in pieces]
        values = np.concatenate([np.zeros((0, len(MOUTH_CHANNELS)), np.float32), *frames])
        rows = np.repeat(values, TOKENS_PER_FRAME, axis=0)[mouth.lookahead // TOKEN :]
        rows = rows[: -(-len(samples) // TOKEN)]
        return Guess(nearest_visemes(rows), rows)

    return listen


def nearest_visemes(mouth: F32) -> F32:
    """The viseme whose mouth (`MOUTHS`) is nearest, float32 ``[T, 9]`` → one-hot ``[T, 15]``."""
    shapes = np.zeros((len(VISEMES), len(MOUTH_CHANNELS)), np.float32)
    for viseme, name in enumerate(VISEMES):
        for channel, value in MOUTHS[name].items():
            shapes[viseme, MOUTH[channel]] = value
    distance = np.square(mouth[:, None] - shapes[None]).sum(axis=2)
    nearest: F32 = np.eye(len(VISEMES), dtype=np.float32)[distance.argmin(axis=1)]
    return nearest


def _whole(samples: F32, step: int) -> F32:
    """Filled up with silence to a whole number of steps."""
    rest = -len(samples) % step
    return np.concatenate((samples, np.zeros(rest, np.float32))) if rest else samples


# --- by name ---------------------------------------------------------------------------------

NAMES: Final = ("trained", "live", "energy")


def open_listener(name: str) -> Listener:
    """``trained`` (the encoder, whole recordings), ``live`` (the mouth a session uses), either
    with another look-ahead in ms (``live:80``), or ``energy``.

    Raises:
        InvalidInput: No such name.
        Unavailable: It is not there, or can not be loaded.
    """
    kind, _, detail = name.partition(":")
    if kind not in NAMES or (detail and (kind == "energy" or not detail.isdecimal())):
        raise InvalidInput(f"There is no listener {name!r}. Choose from: {', '.join(NAMES)}.")
    if kind == "energy":
        return energy
    lookahead_ms = int(detail or 40)
    AudioEncoder(lookahead_ms)  # what is missing is missed here, not in the middle of a table
    if kind == "live":
        return through(lambda: SpeechMouth(lookahead_ms))
    return lambda samples: hear(samples, lookahead_ms)
