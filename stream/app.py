"""The HTTP application: what it is put together from. The routes are in the `api_` modules."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from runtime.sessions import Sessions
from stream import problems
from stream.access import BodyLimit, RateLimit, Tokens
from stream.api_check import check_routes
from stream.api_portraits import PORTRAITS, portrait_routes
from stream.api_publish import publication_routes
from stream.api_record import recording_routes
from stream.api_sessions import NOT_THERE, session_routes
from stream.api_speech import SPEECH_PATHS, speech_routes
from stream.api_whep import whep_routes
from stream.broadcast import Broadcasts
from stream.echo import Echoes
from stream.farewell import Farewells
from stream.metrics import Metrics
from stream.prefix import Prefix, inside
from stream.publications import Publications
from stream.rates import Proxies, Rates
from stream.recordings import Recordings
from stream.reference import reference_page
from stream.settings import StreamSettings
from stream.whep import Peers

WEB: Final = Path(__file__).parent / "web"
MAX_BODY: Final = 128 * 1024
"Bytes of any body but a file: twice the largest SDP."
HEALTH: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"Asked by those who would take the server for dead if it refused."
SECURITY: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
        " media-src 'self' blob:; connect-src 'self' ws: wss:; worker-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def create_app(
    sessions: Sessions, settings: StreamSettings, recordings: Path | None = None
) -> FastAPI:
    """The application over entered ``sessions``.

    Its lifespan owns all peers, publications and recordings, which go to the folder
    ``recordings``; without one nothing is recorded.
    """
    broadcasts = Broadcasts(settings)
    peers = Peers(settings, broadcasts)
    recorded = Recordings(recordings, settings)
    published = Publications(settings, broadcasts)
    echoes = Echoes(settings)
    tokens = Tokens()
    farewells = Farewells(sessions, peers.connecting)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with contextlib.closing(broadcasts):
            async with peers, recorded, published, echoes, farewells:
                yield

    app = FastAPI(
        title="Saccade",
        version="1",
        summary="Streaming avatars whose eyes mean something",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    problems.install(app)
    files = dict.fromkeys((PORTRAITS, SPEECH_PATHS), settings.max_upload)
    app.add_middleware(BodyLimit, limit=MAX_BODY, larger=files, timeout=settings.body_timeout)
    rates, proxies = Rates(settings.request_rate), Proxies(settings.trusted_proxies)
    app.add_middleware(RateLimit, rates=rates, proxies=proxies, free=HEALTH)
    if settings.allowed_origins:  # outside of the others: what they refuse can be read, too
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.allowed_origins),
            allow_methods=["OPTIONS", "GET", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "If-Match"],
            expose_headers=["*"],  # whatever a route sets; the API wants no cookies
        )
    app.add_middleware(Prefix, prefix=settings.root_path)
    routers = (
        health_routes(sessions, Metrics(sessions, peers, published, recorded, rates)),
        portrait_routes(sessions.portraits, sessions.adaptations),
        session_routes(sessions, tokens, settings, farewells),
        speech_routes(sessions, tokens),
        whep_routes(sessions, tokens, peers, settings),
        publication_routes(sessions, tokens, published),
        recording_routes(sessions, tokens, recorded),
        check_routes(echoes, settings),
    )
    app.include_router(routers[0])
    for router in routers[1:]:
        app.include_router(router, responses=problems.may_answer(429))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(reference_page(app.openapi()), media_type="text/html", headers=SECURITY)

    @app.get("/check", include_in_schema=False)
    async def check() -> Response:
        headers = SECURITY | {"Cache-Control": "no-cache"}
        return FileResponse(WEB / "check.html", headers=headers)

    app.mount("/", Page([route for router in routers for route in router.routes]))
    return app


def health_routes(sessions: Sessions, metrics: Metrics) -> APIRouter:
    """For those who keep the server running."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def alive() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @router.get("/readyz", responses={503: {"description": "Not yet."}})
    async def ready() -> JSONResponse:
        """Whether the first viewer would not have to wait."""
        checks = {"renderer": sessions.ready, "voice": sessions.voice is not None}
        fine = sessions.ready and not sessions.draining
        told = {
            "ready": fine,
            "status": "draining" if sessions.draining else "ready" if fine else "starting",
            "checks": checks,
            "sessions": len(sessions.list()),
            "waiting": sessions.waiting,
            "capacity": sessions.capacity.facts(),
        }
        return JSONResponse(told, 200 if fine else 503)

    @router.get("/metrics", response_class=Response)
    async def scrape() -> Response:
        """Prometheus."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return router


class Page(StaticFiles):
    """The web page: revalidated on each load, locked down by its policy."""

    def __init__(self, api: Sequence[BaseRoute]) -> None:
        super().__init__(directory=WEB, html=True, check_dir=False)
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything that no route took ends here, also sockets to nowhere."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            reason = "There is no socket at this address."
            await send({"type": "websocket.close", "code": NOT_THERE, "reason": reason})
            return
        await super().__call__(scope, receive, send)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """See starlette's StaticFiles. An API path with a wrong method ends here: 405."""
        asked = {**scope, "path": inside(scope), "root_path": ""}
        near = [route for route in self._api if route.matches(asked)[0] is Match.PARTIAL]
        if near:
            allowed = sorted({m for route in near for m in getattr(route, "methods", None) or ()})
            detail = f"{scope['method']} is not a method of this resource."
            raise HTTPException(405, detail, {"Allow": ", ".join(allowed)})
        response = await super().get_response(path, scope)
        response.headers.update(SECURITY | {"Cache-Control": "no-cache"})
        return response
