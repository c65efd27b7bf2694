"""Routes of WHEP (draft-ietf-wish-whep; the resource model is that of WHIP, RFC 9725)."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from starlette.exceptions import HTTPException

from runtime.session import Session
from runtime.sessions import Sessions
from stream.access import Tokens, acceptable
from stream.api_sessions import SESSIONS, opener
from stream.ice import link_header
from stream.prefix import shown
from stream.problems import may_answer
from stream.sdpfrag import FRAGMENT, parse_fragment
from stream.settings import StreamSettings
from stream.whep import MAX_SDP, Peers

SDP = "application/sdp"
TEXT: dict[str, Any] = {"schema": {"type": "string"}}
ANSWER: dict[int | str, dict[str, Any]] = {201: {"content": {SDP: TEXT}}}
RESTARTED: dict[int | str, dict[str, Any]] = {
    200: {"description": "ICE was restarted.", "content": {FRAGMENT: TEXT}}
}


def body_of(kind: str) -> dict[str, Any]:
    """How OpenAPI says that a route takes text of a media type."""
    return {"requestBody": {"required": True, "content": {kind: TEXT}}}


def links_of(settings: StreamSettings) -> dict[str, str]:
    """The `Link` header with the ICE servers, when there are any; their logins may expire."""
    links = link_header(settings, time.time())
    return {"Link": links} if links else {}


def whep_routes(
    sessions: Sessions, tokens: Tokens, peers: Peers, settings: StreamSettings
) -> APIRouter:
    """Offer, trickle, restart ICE, leave."""
    router = APIRouter(tags=["whep"])
    opened = Depends(opener(sessions, tokens))
    endpoint = SESSIONS + "/{id}/whep"
    resource = endpoint + "/{secret}"

    def common() -> dict[str, str]:
        return {"Accept-Patch": FRAGMENT} | links_of(settings)

    @router.options(endpoint, status_code=204, response_class=Response)
    async def discover(id: str) -> Response:
        """What the endpoint takes, and which ICE servers help."""
        return Response(status_code=204, headers={"Accept-Post": SDP} | common())

    @router.post(
        endpoint,
        status_code=201,
        response_class=Response,
        responses=ANSWER | may_answer(400, 401, 404, 406, 413, 415, 422, 503),
        openapi_extra=body_of(SDP),
    )
    async def watch(
        request: Request,
        session: Session = opened,
        accept: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Offer → answer. Audio that the offer sends drives the avatar."""
        if not acceptable(accept, SDP):
            raise HTTPException(406, f"The answer is {SDP}, which Accept does not allow.")
        peer, answer = await peers.answer(session, await text_of(request, SDP))
        where = shown(f"{SESSIONS}/{session.id}/whep/{peer.id}")
        return Response(answer, 201, {"Location": where, "ETag": peer.etag} | common(), SDP)

    @router.patch(
        resource,
        status_code=204,
        response_class=Response,
        responses=RESTARTED | may_answer(400, 401, 404, 409, 412, 413, 415, 422, 428, 503),
        openapi_extra=body_of(FRAGMENT),
    )
    async def trickle(
        request: Request,
        secret: str,
        session: Session = opened,
        if_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """More candidates (RFC 8840). Another ice-ufrag and ice-pwd restart ICE: 200, and ours."""
        peer = peers.get(session, secret)
        fragment = parse_fragment(await text_of(request, FRAGMENT))
        _check(peer.etag, if_match)
        answer = None
        if fragment.ufrag not in (None, peer.ufrag):
            answer = await peer.restart(fragment)
        for candidate in fragment.candidates:
            await peer.add_candidate(candidate)
        if fragment.done:
            await peer.add_candidate(None)
        if answer is None:
            return Response(status_code=204)
        return Response(answer, 200, {"ETag": peer.etag}, FRAGMENT)

    @router.delete(
        resource, status_code=200, response_class=Response, responses=may_answer(401, 404)
    )
    async def leave(secret: str, session: Session = opened) -> Response:
        """Stop watching."""
        await peers.get(session, secret).close()
        return Response(status_code=200)

    return router


def _check(etag: str, if_match: str | None) -> None:
    """Raises HTTPException when a fragment is not meant for this ICE session."""
    if if_match is None:
        raise HTTPException(428, "Send the ETag of the resource as If-Match.")
    if not {"*", etag} & {tag.strip() for tag in if_match.split(",")}:
        raise HTTPException(412, "The ETag is not that of this resource.")


async def text_of(request: Request, expected: str) -> str:
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
