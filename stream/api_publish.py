"""Routes of publications: a session sent to other servers by WHIP."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from runtime.session import Session
from runtime.sessions import Sessions
from stream.access import Tokens
from stream.api_sessions import SESSIONS, opener
from stream.prefix import shown
from stream.problems import may_answer
from stream.publications import Publications
from stream.publish import Codec, PublicationInfo

PUBLICATIONS = SESSIONS + "/{id}/publications"


class WantedVideo(BaseModel):
    """How pictures are sent."""

    model_config = ConfigDict(extra="forbid")
    codec: Codec | None = None
    "The server chooses when there is none."


class NewPublication(BaseModel):
    """Where to publish."""

    model_config = ConfigDict(extra="forbid")
    url: str = Field(max_length=2048)
    "A WHIP endpoint that `stream.publish_to` allows."
    token: str = Field("", max_length=4096, pattern=r"^([A-Za-z0-9._~+/-]+=*)?$", repr=False)
    "Sent to it as `Authorization: Bearer` (RFC 6750 section 2.1)."
    video: WantedVideo = WantedVideo()


def publication_routes(sessions: Sessions, tokens: Tokens, publications: Publications) -> APIRouter:
    """Publish, look, end."""
    router = APIRouter(tags=["publications"])
    opened = Depends(opener(sessions, tokens))

    @router.post(
        PUBLICATIONS, status_code=201, responses=may_answer(400, 401, 403, 404, 413, 422, 503)
    )
    async def publish(
        wanted: NewPublication, response: Response, session: Session = opened
    ) -> PublicationInfo:
        """Send the session to a WHIP endpoint, and again whenever the connection is lost."""
        made = publications.start(session, wanted.url, wanted.token, wanted.video.codec)
        where = f"{SESSIONS}/{session.id}/publications/{made.id}"
        response.headers["Location"] = shown(where)
        return made.info

    @router.get(PUBLICATIONS, responses=may_answer(401, 404))
    async def list_publications(session: Session = opened) -> list[PublicationInfo]:
        """Where the session is published, oldest first; failed ones are kept to be looked at."""
        return [publication.info for publication in publications.list(session)]

    @router.get(PUBLICATIONS + "/{publication}", responses=may_answer(401, 404))
    async def show_publication(publication: str, session: Session = opened) -> PublicationInfo:
        """What it is at."""
        return publications.get(session, publication).info

    @router.delete(PUBLICATIONS + "/{publication}", status_code=204, responses=may_answer(401, 404))
    async def end_publication(publication: str, session: Session = opened) -> None:
        """End it, there too."""
        await publications.stop(publications.get(session, publication))

    return router
