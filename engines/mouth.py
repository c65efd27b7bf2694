"""Sound → mouth: what a session asks for, and the trained network behind it."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from core import F32, MOUTH, MOUTH_CHANNELS, SAMPLES_PER_FRAME, MouthTrack
from engines.audio.encoder import TOKEN, AudioEncoder, Heard
from engines.audio.visemes import VISEME
from engines.resample import sanitise
from engines.video.clip import AUDIO_LEAD, TOKEN_WIDTH


class Mouth(Protocol):
    """What turns a session's sound into its mouth; one instance a session."""

    @property
    def lookahead(self) -> int:
        """Samples by which a track lags the sound pushed with it; 0 when they belong together."""
        ...

    @property
    def speaking(self) -> bool:
        """Whether a voice was heard in the last push, or within a syllable's pause before."""
        ...

    @property
    def tokens(self) -> F32:
        """What was heard for the frames of the last push, float32 ``[2 n, 256]``: the generator's.

        They lead the frames by 40 ms, if the mouth looks that far ahead.
        """
        ...

    def push(self, samples: F32) -> MouthTrack:
        """Sound, float32 ``[640 * n]`` at 16 kHz → the mouth of the same ``n`` video frames."""
        ...

    def reset(self) -> None:
        """Forget the past, as for a new session."""
        ...


HANG_FRAMES: Final = 6
"A voice counts as speaking for 240 ms after it: the gap of a stop and more."
FLOOR_DBFS: Final = -55.0
"What is quieter is never a voice: microphones and voices in use speak 20 dB above it."
_OPENING: Final = 0.5
_CLOSING: Final = 0.2
"A frame: the lips part within 80 ms and come to rest within 200 ms after the hang."
_CONTACTS: Final = ((VISEME["pbm"], MOUTH["press"]), (VISEME["fv"], MOUTH["tuck"]))
_LIKELY: Final = (0.3, 0.5)
"Probability of a contact at which it begins to be made, and is made in full (docs/audio.md)."
_CONTACT: Final = 0.9
_JAW_UP: Final = 0.8
_SPEED: Final = np.array(
    [0.7 if name in ("press", "tuck") else 0.36 for name in MOUTH_CHANNELS], np.float32
)
"A frame: lips in fast speech reach their targets in 50 to 100 ms; contacts are quicker."


def _insist(heard: Heard) -> F32:
    """Make the closures and touches that are likely: an undecided mouth would leave them out.

    A p without a closure is seen at once, a closure too many hardly, so the odds are taken early.
    """
    mouth = heard.mouth.copy()
    for viseme, channel in _CONTACTS:
        low, high = _LIKELY
        sure = np.clip((heard.visemes[:, viseme] - low) / (high - low), 0.0, 1.0)
        mouth[:, channel] = np.maximum(mouth[:, channel], _CONTACT * sure)
        mouth[:, MOUTH["jaw"]] *= 1.0 - _JAW_UP * sure
    return mouth


class SpeechMouth:
    """The `Mouth` that understands speech: the trained audio encoder, two tokens a video frame."""

    def __init__(self, lookahead_ms: int = 40) -> None:
        """Raises as `AudioEncoder` does; loading takes 30 ms once a process."""
        self._encoder = AudioEncoder(lookahead_ms)
        self.lookahead: Final = self._encoder.lookahead
        self.reset()

    def reset(self) -> None:
        """Forget the past, as for a new session."""
        self._encoder.reset()
        self._hang = 0
        self._open = 0.0
        self._heard = np.zeros(self.lookahead // SAMPLES_PER_FRAME, np.float32)
        self._last = np.zeros(len(MOUTH_CHANNELS), np.float32)
        late = max(0, self.lookahead // TOKEN - AUDIO_LEAD)
        self._waiting = np.zeros((late, TOKEN_WIDTH), np.float32)
        self._tokens = np.zeros((0, TOKEN_WIDTH), np.float32)

    @property
    def tokens(self) -> F32:
        """See `Mouth`."""
        return self._tokens

    @property
    def speaking(self) -> bool:
        """Whether a voice was heard in the last push, or up to 240 ms before its end."""
        return self._hang > 0

    def push(self, samples: F32) -> MouthTrack:
        """Sound, float32 ``[640 * n]`` at 16 kHz → the mouth of ``n`` video frames.

        NaN counts as silence and what lies outside [-1, 1] is clipped.

        Raises:
            ValueError: Not a whole number of video frames.
        """
        if samples.ndim != 1 or len(samples) % SAMPLES_PER_FRAME:
            raise ValueError(f"samples: expected [{SAMPLES_PER_FRAME} * n], got {samples.shape}")
        heard = self._encoder.push(samples)
        tokens = np.concatenate((self._waiting, heard.tokens))
        self._tokens, self._waiting = np.split(tokens, [len(heard.tokens)])
        if not len(samples):
            return MouthTrack.rest(0)
        pairs = _insist(heard).reshape(-1, 2, len(MOUTH_CHANNELS))
        mouth = pairs.mean(axis=1)
        # A closure may last one token: at 25 frames a second an average would leave the lips open.
        for _, channel in _CONTACTS:
            mouth[:, channel] = pairs[:, :, channel].max(axis=1)
        activity = heard.activity.reshape(-1, 2).max(axis=1) * self._audible(samples)
        for row, active in zip(mouth, activity.tolist(), strict=True):
            row *= self._gate(active)
            self._last += np.clip(row - self._last, -_SPEED, _SPEED)
            row[:] = self._last
        return MouthTrack(mouth)

    def _audible(self, samples: F32) -> F32:
        """1 for each frame of the track whose sound could be a voice, 0 where it is too quiet."""
        frames = sanitise(samples).reshape(-1, SAMPLES_PER_FRAME)
        loud: F32 = (frames.std(axis=1) > 10.0 ** (FLOOR_DBFS / 20.0)).astype(np.float32)
        late = np.concatenate((self._heard, loud))
        self._heard = late[len(loud) :]
        # The track lags by whole frames; what is to come may already be opened for.
        either: F32 = np.maximum(late[: len(loud)], loud)
        return either

    def _gate(self, active: float) -> float:
        """How much of the mouth is shown: all while somebody speaks, none soon after."""
        self._hang = HANG_FRAMES if active > 0.5 else max(self._hang - 1, 0)
        wanted = 1.0 if self._hang else 0.0
        self._open += min(max(wanted - self._open, -_CLOSING), _OPENING)
        return self._open
