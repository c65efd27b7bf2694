"""The HTTP application: every route a few lines over runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request, Response, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from core import InvalidInput, SaccadeError
from planner.categories import LABELS
from runtime.portraits import PortraitInfo
from runtime.session import Session
from runtime.sessions import Sessions
from stream import codecs, control, problems
from stream.access import BodyLimit, Tokens, bearer
from stream.metrics import Metrics
from stream.reference import reference_page
from stream.settings import StreamSettings
from stream.whep import MAX_SDP, Peers, parse_fragment

WEB = Path(__file__).parent / "web"
SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
        " media-src 'self' blob:; connect-src 'self' ws: wss:; worker-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class NewSession(BaseModel):
    """What a session is created with."""

    model_config = ConfigDict(extra="forbid")
    portrait: str | None = Field(None, max_length=64)
    label: str = Field("idle", max_length=64)
    instruction: str = Field("", max_length=2000)
    seed: int | None = Field(None, ge=0, lt=2**63)


def create_app(sessions: Sessions, settings: StreamSettings) -> FastAPI:
    """The application over entered ``sessions``. Its lifespan owns all peers."""
    codecs.install(settings)
    peers = Peers(settings)
    metrics = Metrics(sessions, peers)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with peers:
            yield

    app = FastAPI(title="Saccade", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    problems.install(app)
    app.add_middleware(BodyLimit, limit=settings.max_upload)
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.allowed_origins),
            allow_methods=["OPTIONS", "GET", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "If-Match"],
            expose_headers=["Location", "Link", "ETag", "Accept-Patch", "Retry-After"],
        )
    _add_health(app, sessions, metrics)
    _add_portraits(app, sessions)
    tokens = Tokens()
    _add_sessions(app, sessions, tokens, settings)
    _add_whep(app, sessions, tokens, peers, settings)
    app.mount("/", Page(list(app.routes)))
    return app


class Page(StaticFiles):
    """The web page: revalidated on each load, locked down by its policy."""

    def __init__(self, api: Sequence[BaseRoute]) -> None:
        super().__init__(directory=WEB, html=True, check_dir=False)
        self._api = api

    async def get_response(self, path: str, scope: Scope) -> Response:
        """See starlette's StaticFiles. An API path with a wrong method ends here: 405."""
        asked = {**scope, "path": scope["path"], "root_path": ""}
        if any(route.matches(asked)[0] is Match.PARTIAL for route in self._api):
            raise HTTPException(405, f"{scope['method']} is not a method of this resource.")
        response = await super().get_response(path, scope)
        response.headers.update(SECURITY | {"Cache-Control": "no-cache"})
        return response


def _add_health(app: FastAPI, sessions: Sessions, metrics: Metrics) -> None:
    @app.get("/healthz")
    async def alive() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def ready() -> JSONResponse:
        checks = {"renderer": sessions.ready, "voice": sessions.voice is not None}
        status = 200 if sessions.ready else 503
        return JSONResponse({"ready": sessions.ready, "checks": checks}, status)

    @app.get("/metrics")
    async def scrape() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(reference_page(app.openapi()), media_type="text/html", headers=SECURITY)

    @app.get("/v1/labels")
    async def labels() -> list[dict[str, str]]:
        return label_list()


def label_list() -> list[dict[str, str]]:
    """The states an avatar can be in, as the API tells them."""
    return [
        {"name": name, "title": kind.title, "description": kind.description}
        for name, kind in LABELS.items()
    ]


def _add_portraits(app: FastAPI, sessions: Sessions) -> None:
    store = sessions.portraits

    def listed(info: PortraitInfo) -> dict[str, Any]:
        return {
            "id": info.id,
            "name": info.name,
            "builtin": info.builtin,
            "warnings": info.warnings,
            "thumbnail": f"/v1/portraits/{info.id}/thumbnail",
        }

    @app.get("/v1/portraits")
    async def portraits() -> list[dict[str, Any]]:
        return [listed(info) for info in await asyncio.to_thread(store.list)]

    @app.post("/v1/portraits", status_code=201)
    async def upload(request: Request, name: str = "") -> JSONResponse:
        data, name = await _uploaded(request, name)
        made = await asyncio.to_thread(store.add, data, name)
        info = await asyncio.to_thread(store.info, made.id)
        return JSONResponse(listed(info), 201, {"Location": f"/v1/portraits/{made.id}"})

    @app.get("/v1/portraits/{id}")
    async def portrait(id: str) -> dict[str, Any]:
        return listed(await asyncio.to_thread(store.info, id))

    @app.delete("/v1/portraits/{id}", status_code=204)
    async def forget(id: str) -> None:
        await asyncio.to_thread(store.remove, id)

    @app.get("/v1/portraits/{id}/thumbnail")
    async def thumbnail(id: str) -> Response:
        jpeg = await asyncio.to_thread(store.thumbnail, id)
        headers = {"Cache-Control": "max-age=86400"}
        return Response(jpeg, media_type="image/jpeg", headers=headers)


async def _uploaded(request: Request, name: str) -> tuple[bytes, str]:
    """Image bytes and name of a form or a raw body. Raises InvalidInput."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        return await request.body(), name
    async with request.form(max_files=1, max_fields=4) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidInput("The form has no file field named 'file'.")
        given = form.get("name")
        name = given if isinstance(given, str) and given else name
        return await file.read(), name or Path(file.filename or "").stem


def _add_sessions(
    app: FastAPI, sessions: Sessions, tokens: Tokens, settings: StreamSettings
) -> None:
    sockets: dict[str, int] = {}

    @app.post("/v1/sessions", status_code=201)
    async def create(wanted: NewSession | None = None) -> JSONResponse:
        wanted = wanted or NewSession.model_validate({})
        session = await sessions.create(**wanted.model_dump())
        base = f"/v1/sessions/{session.id}"
        body = {
            "id": session.id,
            "whep": f"{base}/whep",
            "control": f"{base}/control",
            "token": tokens.issue(session),
            "portrait": session.portrait.id,
            "expires_in": session.info()["expires_in"],
        }
        return JSONResponse(body, 201, {"Location": base})

    opened = Depends(_opener(sessions, tokens))

    @app.get("/v1/sessions/{id}")
    async def show(session: Session = opened) -> dict[str, Any]:
        return session.info()

    @app.delete("/v1/sessions/{id}", status_code=204)
    async def end(session: Session = opened) -> None:
        await sessions.close(session.id)

    @app.websocket("/v1/sessions/{id}/control")
    async def control_socket(socket: WebSocket, id: str, token: str = "") -> None:
        token = token or bearer(socket.headers.get("authorization"))
        await socket.accept()
        try:
            session = sessions.get(id)
        except SaccadeError as error:
            await socket.close(4404, error.message)
            return
        if not tokens.accepts(session, token):
            await socket.close(4401, "The token does not open this session.")
            return
        if sockets.get(id, 0) >= settings.max_sockets:
            await socket.close(control.TRY_AGAIN, "Too many control sockets.")
            return
        sockets[id] = sockets.get(id, 0) + 1
        try:
            await control.serve(socket, session, label_list())
        finally:
            sockets[id] -= 1
            if not sockets[id]:
                del sockets[id]


def _opener(sessions: Sessions, tokens: Tokens) -> Any:
    """The dependency that finds the session of a path and checks the caller's token."""

    def opened(id: str, authorization: Annotated[str | None, Header()] = None) -> Session:
        session = sessions.get(id)
        if not tokens.accepts(session, bearer(authorization)):
            raise HTTPException(
                401,
                "This needs the session's token: Authorization: Bearer …",
                {"WWW-Authenticate": "Bearer"},
            )
        return session

    return opened


def _add_whep(
    app: FastAPI, sessions: Sessions, tokens: Tokens, peers: Peers, settings: StreamSettings
) -> None:
    opened = Depends(_opener(sessions, tokens))
    links = ", ".join(f'<{url}>; rel="ice-server"' for url in settings.ice_servers)
    common = {"Accept-Patch": FRAGMENT} | ({"Link": links} if links else {})

    @app.options("/v1/sessions/{id}/whep", status_code=204)
    async def discover(id: str) -> Response:
        return Response(status_code=204, headers={"Accept-Post": SDP} | common)

    @app.post("/v1/sessions/{id}/whep", status_code=201)
    async def offer(request: Request, session: Session = opened) -> Response:
        text = await _sdp_body(request, SDP)
        peer, answer = await peers.answer(session, text)
        where = f"/v1/sessions/{session.id}/whep/{peer.id}"
        headers = {"Location": where, "ETag": peer.etag} | common
        return Response(answer, 201, headers, SDP)

    @app.patch("/v1/sessions/{id}/whep/{secret}", status_code=204)
    async def trickle(
        request: Request,
        secret: str,
        session: Session = opened,
        if_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        peer = peers.get(session, secret)
        fragment = parse_fragment(await _sdp_body(request, FRAGMENT))
        if if_match is None:
            raise HTTPException(428, "Send the ETag of the resource as If-Match.")
        if if_match.strip() == "*":
            # RFC 9725 section 4.3.1: trickle without restarts answers restarts with 422.
            raise HTTPException(422, "ICE restart is not supported; POST a new offer.")
        if if_match.strip() != peer.etag:
            raise HTTPException(412, "The ETag is not that of this resource.")
        for candidate in fragment.candidates:
            await peer.add_candidate(candidate)
        if fragment.done:
            await peer.add_candidate(None)
        return Response(status_code=204)

    @app.delete("/v1/sessions/{id}/whep/{secret}", status_code=200)
    async def leave(secret: str, session: Session = opened) -> Response:
        await peers.get(session, secret).close()
        return Response(status_code=200)


async def _sdp_body(request: Request, expected: str) -> str:
    """The body as text. Raises 415 for another type, 413 and 400 for what can not be SDP."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != expected:
        raise HTTPException(415, f"Send {expected}, not {kind or 'an untyped body'}.")
    body = await request.body()
    if len(body) > MAX_SDP:
        raise HTTPException(413, f"The body has more than {MAX_SDP} bytes.")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise HTTPException(400, "The body is not text.") from None
    if not text.strip():
        raise HTTPException(400, "The body is empty.")
    return text
