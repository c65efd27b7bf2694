"""Text waiting for the voice: one task a session turns it into speech, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import aclosing

from core import Busy, SaccadeError, Unavailable
from engines.voice import Voice, speakable
from runtime.speech import SpeechQueue


class Utterances:
    """The `say` queue of one session. The task lives only while there is something to say."""

    def __init__(
        self,
        voice: Voice | None,
        speech: SpeechQueue,
        limit: int,
        failed: Callable[[Exception, str | None], None],
    ) -> None:
        self._voice = voice
        self._speech = speech
        self._limit = limit
        self._failed = failed
        self._texts: deque[tuple[str, str | None]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._drained = asyncio.Event()

    @property
    def waiting(self) -> bool:
        """Whether text waits or is being turned into speech."""
        return self._task is not None and not self._task.done()

    def say(self, text: str, cause: str | None) -> None:
        """Queue one utterance. Raises InvalidInput, Busy or Unavailable; then nothing changed."""
        if self._voice is None:
            raise Unavailable(
                "This server has no voice. Install the extra 'saccade[voice]', or set"
                " SACCADE_VOICE__KIND=endpoint and SACCADE_VOICE__URL."
            )
        text = speakable(text)
        if len(self._texts) >= self._limit:
            raise Busy(f"{self._limit} utterances are waiting; interrupt or wait.", retry_after=2)
        self._texts.append((text, cause))
        if not self.waiting:
            self._task = asyncio.create_task(self._run(self._voice), name="utterances")

    def drained(self) -> None:
        """Some speech was taken from the queue: a voice that waits for room may look again."""
        self._drained.set()

    def interrupt(self) -> None:
        """Forget all text; the piece being spoken is cut by the speech queue."""
        self._texts.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def close(self) -> None:
        """Stop, and wait until the voice let go."""
        task = self._task
        self.interrupt()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self, voice: Voice) -> None:
        while self._texts:
            text, cause = self._texts.popleft()
            try:
                await self._speak(voice, text, cause)
            except SaccadeError as error:
                self._failed(error, cause)

    async def _speak(self, voice: Voice, text: str, cause: str | None) -> None:
        segment = self._speech.open(cause)
        try:
            async with aclosing(voice.synthesise(text)) as pieces:
                async for piece in pieces:
                    while len(piece) > self._speech.room:
                        self._drained.clear()
                        await self._drained.wait()
                    self._speech.push(segment, piece)
        finally:
            self._speech.close(segment)
