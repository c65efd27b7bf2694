"""The self-test page and the connection it tries."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from stream.api_whep import ANSWER, SDP, body_of, links_of, text_of
from stream.echo import Echoes
from stream.problems import may_answer
from stream.settings import StreamSettings

CHECK = "/v1/check"


def check_routes(echoes: Echoes, settings: StreamSettings) -> APIRouter:
    """Try UDP without a session."""
    router = APIRouter(tags=["check"])

    @router.options(CHECK, status_code=204, response_class=Response)
    async def discover() -> Response:
        """What it takes, and which ICE servers help."""
        return Response(status_code=204, headers={"Accept-Post": SDP} | links_of(settings))

    @router.post(
        CHECK,
        status_code=201,
        response_class=Response,
        responses=ANSWER | may_answer(400, 413, 415, 422, 503),
        openapi_extra=body_of(SDP),
    )
    async def try_connection(request: Request) -> Response:
        """Offer of one data channel → answer. It echoes for 15 s, and needs no session."""
        answer = await echoes.answer(await text_of(request, SDP))
        return Response(answer, 201, links_of(settings), SDP)

    return router
