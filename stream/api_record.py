"""Routes of recordings. A session's token still opens them when the session has ended."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

from core import NotFound
from runtime.session import Session
from runtime.sessions import Sessions
from stream.access import Tokens, bearer
from stream.api_sessions import SESSIONS, opener
from stream.prefix import shown
from stream.problems import may_answer
from stream.record import Recording, RecordingInfo
from stream.recordings import Recordings

RECORDINGS = SESSIONS + "/{id}/recordings"


def recording_routes(sessions: Sessions, tokens: Tokens, recordings: Recordings) -> APIRouter:
    """Start, look, fetch, stop, delete."""
    router = APIRouter(tags=["recordings"])
    living = opener(sessions, tokens)
    opened = Depends(living)
    one = RECORDINGS + "/{recording}"

    async def holder(id: str, authorization: Annotated[str | None, Header()] = None) -> str:
        """The caller's token, if it opens the session, living or recorded."""
        token = bearer(authorization)
        try:
            await living(id, authorization)
        except NotFound:
            if not recordings.list(id, token):
                raise
        return token

    held = Depends(holder)

    async def find(id: str, recording: str, token: str = held) -> Recording:
        return recordings.get(id, recording, token)

    found = Depends(find)

    @router.post(RECORDINGS, status_code=201, responses=may_answer(401, 403, 404, 503, 507))
    async def record(
        response: Response, session: Session = opened, token: str = held
    ) -> RecordingInfo:
        """Record the session from now on, until DELETE, its end, or a limit."""
        recording = await recordings.start(session, token)
        where = f"{SESSIONS}/{session.id}/recordings/{recording.id}"
        response.headers["Location"] = shown(where)
        return recording.info()

    @router.get(RECORDINGS, responses=may_answer(401, 404))
    async def list_recordings(id: str, token: str = held) -> list[RecordingInfo]:
        """All recordings of the session, oldest first."""
        return [recording.info() for recording in recordings.list(id, token)]

    @router.get(one, responses=may_answer(401, 404))
    async def show_recording(recording: Recording = found) -> RecordingInfo:
        """What it is at."""
        return recording.info()

    @router.get(one + "/file", response_class=FileResponse, responses=may_answer(401, 404, 409))
    async def fetch(recording: Recording = found) -> FileResponse:
        """The file, MP4, once the recording has ended; ranges can be asked for."""
        if recordings.running(recording):
            raise HTTPException(409, "The recording goes on; stop it first (DELETE).")
        if not recording.path.is_file():
            raise NotFound("The recording has no file: no picture was recorded, or it was deleted.")
        return FileResponse(recording.path, media_type="video/mp4", filename=recording.path.name)

    @router.delete(one, responses=may_answer(401, 404))
    async def stop(recording: Recording = found) -> RecordingInfo:
        """Stop it, when it runs; delete it with its file, when it has ended."""
        if recordings.running(recording):
            await recordings.stop(recording)
        else:
            await recordings.remove(recording)
        return recording.info()

    return router
