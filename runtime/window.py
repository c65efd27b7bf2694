"""A window: everything one rendering pass needs, gathered once."""

from __future__ import annotations

from dataclasses import dataclass

from core import F32, SAMPLES_PER_FRAME, AudioChunk, ControlTrack, MouthTrack


@dataclass(frozen=True, slots=True)
class Window:
    """The conditions of ``len(self)`` consecutive video frames. No look-ups later."""

    start: int
    "First frame, counted since the session began."
    controls: ControlTrack
    mouth: MouthTrack
    audio: AudioChunk
    "The audio of exactly these frames."
    felt: MouthTrack
    "The share of the mouth that the expression asks for."
    tokens: F32
    "float32 ``[2 n, 256]``: what was heard, see `engines.mouth.Mouth.tokens`."
    label: str
    instruction: str
    eyes: float = 1.0
    "How strongly the eyes are guided: 0 not at all, 1 as usual."

    def __post_init__(self) -> None:
        frames = len(self.controls)
        if frames != len(self.mouth):
            raise ValueError(f"tracks differ in length: {frames}, {len(self.mouth)}")
        if len(self.felt) != frames or len(self.tokens) != 2 * frames:
            raise ValueError(
                f"{len(self.felt)} felt rows, {len(self.tokens)} tokens, {frames} frames"
            )
        if len(self.audio.samples) != frames * SAMPLES_PER_FRAME:
            raise ValueError(f"{len(self.audio.samples)} samples for {frames} frames")
        if self.audio.pts != self.start * SAMPLES_PER_FRAME:
            raise ValueError(f"audio starts at pts {self.audio.pts}, the window at {self.start}")

    def __len__(self) -> int:
        return len(self.controls)

    def audio_of(self, frame: int) -> AudioChunk:
        """The 640 samples of the ``frame``-th frame of this window."""
        offset = frame * SAMPLES_PER_FRAME
        samples = self.audio.samples[offset : offset + SAMPLES_PER_FRAME]
        return AudioChunk(samples, self.audio.pts + offset)
