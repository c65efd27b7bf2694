"""The route that takes speech as a file."""

from __future__ import annotations

import asyncio
import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel

from engines.audio_file import decode_audio
from runtime.session import Session
from runtime.sessions import Sessions
from stream.access import Tokens
from stream.api_sessions import SESSIONS, opener
from stream.control import check_turn
from stream.problems import may_answer
from stream.uploads import described, uploaded

SPEECH = SESSIONS + "/{id}/speech"
SPEECH_PATHS = SESSIONS + r"/[^/]+/speech"
"Pattern of the paths of all sessions."


class AcceptedSpeech(BaseModel):
    """A file that will be spoken."""

    id: str
    "The `cause` of the events that tell when it begins and ends."
    seconds: float
    warnings: list[str]
    "What was wrong with the file and did not keep it from being used."


def speech_routes(sessions: Sessions, tokens: Tokens) -> APIRouter:
    """The route over one `Sessions`."""
    router = APIRouter(tags=["sessions"])
    opened = Depends(opener(sessions, tokens))
    decoding = asyncio.Semaphore(1)  # the other core has pictures to render

    @router.post(
        SPEECH,
        status_code=202,
        responses=may_answer(400, 401, 404, 409, 413, 422, 503),
        openapi_extra=described("audio/*"),
    )
    async def speak_file(
        request: Request,
        session: Session = opened,
        cause: Annotated[str | None, Query(max_length=64)] = None,
        turn: Annotated[int | None, Query(ge=0)] = None,
    ) -> AcceptedSpeech:
        """Speak a sound file, after what is being said: the body itself, or `file` of a form.

        With a `turn`, in that one only: 409 `stale-turn` when an interruption has ended it.
        """
        check_turn(session, turn)
        data, _ = await uploaded(request)
        async with decoding:
            limit = session.settings.max_recorded
            recording = await asyncio.to_thread(decode_audio, data, limit=limit)
        check_turn(session, turn)  # it may have ended while the file came, or was read
        cause = cause or f"file-{secrets.token_hex(4)}"
        session.play(recording.samples, cause)
        return AcceptedSpeech(
            id=cause, seconds=round(recording.seconds, 3), warnings=list(recording.warnings)
        )

    return router
