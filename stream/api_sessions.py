"""Routes of the sessions: create, show, end, and their control sockets."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from weakref import WeakKeyDictionary

from fastapi import APIRouter, Depends, Header, Query, Request, WebSocket
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from core import SaccadeError
from planner.categories import LABELS
from runtime.log_context import SESSION, about
from runtime.session import MOST_EYES, Session
from runtime.sessions import Sessions
from stream import control
from stream.access import Tokens, bearer, socket_token
from stream.farewell import Farewells
from stream.prefix import shown
from stream.probe_mark import overlay
from stream.problems import may_answer
from stream.settings import StreamSettings
from stream.share import Share

SESSIONS = "/v1/sessions"
NOT_THERE = 4404
"Close code: no such session."
NOT_ALLOWED = 4401
"Close code: the token does not open this session."


class NewSession(BaseModel):
    """What a session is created with."""

    model_config = ConfigDict(extra="forbid")
    portrait: str | None = Field(None, max_length=64)
    "Id of a portrait; the first one when there is none."
    label: str = Field("idle", max_length=64)
    "State to begin in; `/v1/labels` lists them."
    instruction: str = Field("", max_length=2000)
    eyes: float = Field(1.0, ge=0, le=MOST_EYES)
    "How strongly the generator's eyes are guided: 0 not at all, 1 as usual."
    seed: int | None = Field(None, ge=0, lt=2**63)
    "The same seed moves the same way."
    ticket: str | None = Field(None, max_length=64)
    "From an answer 503: it keeps the turn."


class CreatedSession(BaseModel):
    """How to reach a new session."""

    id: str
    whep: str
    "Where to POST an offer (WHEP)."
    control: str
    "Where the control socket is."
    token: str
    "Opens all routes of this session."
    portrait: str
    unknown: list[str]
    "Parts of the instruction that were not understood."
    expires_in: float | None
    "Seconds until it ends without viewers and commands; null for never."


def label_list() -> list[dict[str, str]]:
    """The states an avatar can be in, as the API tells them."""
    return [
        {"name": name, "title": kind.title, "description": kind.description}
        for name, kind in LABELS.items()
    ]


def opener(sessions: Sessions, tokens: Tokens) -> Callable[..., Awaitable[Session]]:
    """The dependency that finds the session of a path and checks the caller's token."""

    async def opened(id: str, authorization: Annotated[str | None, Header()] = None) -> Session:
        session = sessions.get(id)
        if not tokens.accepts(session, bearer(authorization)):
            raise HTTPException(
                401,
                "This needs the session's token: Authorization: Bearer …",
                {"WWW-Authenticate": "Bearer"},
            )
        SESSION.set(session.id)  # the request's own context, and that of tasks it starts
        return session

    return opened


def session_routes(
    sessions: Sessions, tokens: Tokens, settings: StreamSettings, farewells: Farewells
) -> APIRouter:
    """All of them over one `Sessions`."""
    router = APIRouter(tags=["sessions"])
    opened = Depends(opener(sessions, tokens))
    sockets: Counter[Session] = Counter()
    shares: WeakKeyDictionary[Session, Share] = WeakKeyDictionary()

    @router.get("/v1/labels")
    async def list_labels() -> list[dict[str, str]]:
        """The states an avatar can be in."""
        return label_list()

    @router.post(
        SESSIONS,
        status_code=201,
        response_model=CreatedSession,
        responses=may_answer(400, 404, 413, 422, 503),
    )
    async def create_session(request: Request, wanted: NewSession | None = None) -> JSONResponse:
        """A living avatar. It ends on DELETE, or when nobody watched or spoke for a while."""
        wanted = wanted or NewSession.model_validate({})
        session = await sessions.create(**wanted.model_dump())
        if await request.is_disconnected():  # nobody learns its name: it would idle in its place
            await sessions.close(session.id, "vanished")
            raise HTTPException(503, "The caller left before its session was there.")
        if settings.probe:
            session.delivery.overlay = overlay
        base = shown(f"{SESSIONS}/{session.id}")
        body = CreatedSession(
            id=session.id,
            whep=f"{base}/whep",
            control=f"{base}/control",
            token=tokens.issue(session),
            portrait=session.portrait.id,
            unknown=session.unknown,
            expires_in=session.info()["expires_in"],
        )
        return JSONResponse(body.model_dump(), 201, {"Location": base})

    @router.get(SESSIONS + "/{id}", responses=may_answer(401, 404))
    async def show_session(session: Session = opened) -> dict[str, Any]:
        """What it does right now."""
        return session.info()

    @router.get(SESSIONS + "/{id}/plans", responses=may_answer(401, 404))
    async def show_plans(session: Session = opened) -> dict[str, Any]:
        """Why the eyes do what they do: the latest plans and how each came about."""
        return {"plans": session.plans()}

    @router.delete(SESSIONS + "/{id}", status_code=204, responses=may_answer(401, 404))
    async def end_session(
        session: Session = opened, after: Annotated[float, Query(ge=0, le=60)] = 0.0
    ) -> None:
        """End it; its viewers are disconnected. With `after`: then, unless somebody is back."""
        if after:
            farewells.say(session, after)
        else:
            await sessions.close(session.id)

    @router.websocket(SESSIONS + "/{id}/control")
    async def control_socket(socket: WebSocket, id: str) -> None:
        """Commands and sound in, events out. A browser only sees why if we accept first."""
        token, subprotocol = socket_token(socket)
        await socket.accept(subprotocol)
        try:
            session = sessions.get(id)
        except SaccadeError as error:
            await socket.close(NOT_THERE, error.message)
            return
        if not tokens.accepts(session, token):
            await socket.close(NOT_ALLOWED, "The token does not open this session.")
            return
        if sockets[session] >= settings.max_sockets:
            await socket.close(control.TRY_AGAIN, "Too many control sockets.")
            return
        sockets[session] += 1
        share = shares.setdefault(session, Share(settings.command_share, time.monotonic()))
        try:
            with about(session.id):
                await control.serve(
                    socket, session, label_list(), share=share, patience=settings.write_timeout
                )
        finally:
            sockets[session] -= 1
            if not sockets[session]:
                del sockets[session]

    return router
