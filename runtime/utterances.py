"""What waits to be spoken, texts and recordings: a task a session makes speech of it, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final

from core import F32, SAMPLE_RATE, Busy, SaccadeError, Unavailable
from engines.voice import Voice, speakable
from runtime.settings import RuntimeSettings
from runtime.speech import SpeechQueue

PIECE: Final = SAMPLE_RATE // 2
"Samples of a recording that are queued at once: 0.5 s."


@dataclass(frozen=True, slots=True)
class _Utterance:
    """Something to speak."""

    sound: Callable[[], AsyncGenerator[F32, None]]
    cause: str | None
    text: str = ""
    recorded: int = 0
    "Samples, if it is a recording."


class Utterances:
    """The `say` queue of one session. The task lives only while there is something to say."""

    def __init__(
        self,
        voice: Voice | None,
        speech: SpeechQueue,
        settings: RuntimeSettings,
        failed: Callable[[Exception, str | None], None],
    ) -> None:
        self._voice = voice
        self._speech = speech
        self._limit = settings.max_utterances
        self._longest = round(settings.max_recorded * SAMPLE_RATE)
        self._failed = failed
        self._queue: deque[_Utterance] = deque()
        self._task: asyncio.Task[None] | None = None
        self._drained = asyncio.Event()

    @property
    def waiting(self) -> bool:
        """Whether anything waits or is being turned into speech."""
        return self._task is not None and not self._task.done()

    def say(self, text: str, cause: str | None) -> None:
        """Queue one utterance. Raises InvalidInput, Busy or Unavailable; then nothing changed."""
        if self._voice is None:
            raise Unavailable(
                "This server has no voice. Install the extra 'saccade[voice]', or set"
                " SACCADE_VOICE__KIND=endpoint and SACCADE_VOICE__URL."
            )
        self._add(_Utterance(partial(self._voice.synthesise, speakable(text)), cause, text))

    def play(self, samples: F32, cause: str | None) -> None:
        """Queue a recording, float32 ``[N]`` at 16 kHz. Raises Busy; then nothing changed."""
        waiting = sum(u.recorded for u in self._queue)
        if waiting + len(samples) > self._longest:
            raise Busy(
                f"Recordings of {waiting / SAMPLE_RATE:.0f} s are waiting, and at most"
                f" {self._longest / SAMPLE_RATE:.0f} s may; interrupt or wait.",
                retry_after=5,
            )
        self._add(_Utterance(partial(_pieces, samples), cause, recorded=len(samples)))

    def _add(self, utterance: _Utterance) -> None:
        if len(self._queue) >= self._limit:
            raise Busy(f"{self._limit} utterances are waiting; interrupt or wait.", retry_after=2)
        self._queue.append(utterance)
        if not self.waiting:
            self._task = asyncio.create_task(self._run(), name="utterances")

    def drained(self) -> None:
        """Some speech was taken from the queue: a voice that waits for room may look again."""
        self._drained.set()

    def interrupt(self) -> None:
        """Forget all that waits; the piece being spoken is cut by the speech queue."""
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def close(self) -> None:
        """Stop, and wait until the voice let go."""
        task = self._task
        self.interrupt()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while self._queue:
            utterance = self._queue.popleft()
            try:
                await self._speak(utterance)
            except SaccadeError as error:
                self._failed(error, utterance.cause)

    async def _speak(self, utterance: _Utterance) -> None:
        segment = self._speech.open(utterance.cause, text=utterance.text)
        try:
            async with aclosing(utterance.sound()) as pieces:
                async for piece in pieces:
                    while len(piece) > self._speech.room:
                        self._drained.clear()
                        await self._drained.wait()
                    self._speech.push(segment, piece)
        finally:
            self._speech.close(segment)


async def _pieces(samples: F32) -> AsyncGenerator[F32, None]:
    """A recording in pieces, without a copy."""
    for at in range(0, len(samples), PIECE):
        yield samples[at : at + PIECE]
