"""Routes of the portraits: list, upload, show, forget."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from core import Busy, Unavailable
from runtime.adaptation import Adaptation, Adaptations
from runtime.portraits import PortraitInfo, PortraitStore
from stream.prefix import shown
from stream.problems import may_answer
from stream.uploads import described, uploaded

PORTRAITS = "/v1/portraits"
JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}}}


def portrait_routes(store: PortraitStore, adaptations: Adaptations) -> APIRouter:
    """All of them over one store, whose calls block and so run in threads."""
    router = APIRouter(tags=["portraits"])
    adaptation = PORTRAITS + "/{id}/adaptation"

    @router.get(PORTRAITS)
    async def list_portraits() -> list[dict[str, Any]]:
        """Everybody the avatar can be."""
        return [_on_wire(info) for info in await asyncio.to_thread(store.list)]

    @router.post(
        PORTRAITS,
        status_code=201,
        responses=may_answer(400, 413, 422, 503),
        openapi_extra=described("image/*"),
    )
    async def upload_portrait(
        request: Request, name: str = "", adapt: bool | None = None
    ) -> JSONResponse:
        """Make a portrait of an image: the body itself, or the field `file` of a form.

        With `adapt` its features are learnt in the background; without, as the server is set up.
        """
        problem = adaptations.problem()
        if adapt and problem is not None:
            raise Unavailable(problem)
        data, name = await uploaded(request, name)
        made = await asyncio.to_thread(store.add, data, name)
        info = await asyncio.to_thread(store.info, made.id)
        if adapt or (adapt is None and adaptations.by_itself):
            with contextlib.suppress(Busy):  # the portrait is there all the same
                await adaptations.ask(made.id)
        return JSONResponse(_on_wire(info), 201, {"Location": shown(f"{PORTRAITS}/{made.id}")})

    @router.get(PORTRAITS + "/{id}", responses=may_answer(404))
    async def show_portrait(id: str) -> dict[str, Any]:
        """One portrait."""
        return _on_wire(await asyncio.to_thread(store.info, id))

    @router.delete(PORTRAITS + "/{id}", status_code=204, responses=may_answer(404, 422))
    async def forget_portrait(id: str) -> None:
        """Delete an uploaded portrait; those who are built in stay."""
        await asyncio.to_thread(store.remove, id)

    @router.get(
        PORTRAITS + "/{id}/thumbnail",
        response_class=Response,
        responses=JPEG | may_answer(404),
    )
    async def show_thumbnail(id: str) -> Response:
        """A small JPEG."""
        jpeg = await asyncio.to_thread(store.thumbnail, id)
        headers = {"Cache-Control": "max-age=86400"}
        return Response(jpeg, media_type="image/jpeg", headers=headers)

    @router.get(adaptation, responses=may_answer(404))
    async def show_adaptation(id: str) -> dict[str, Any]:
        """How far the learning of a portrait's features is, and what was gained."""
        return _told(await adaptations.of(id), adaptations)

    @router.post(adaptation, status_code=202, responses=may_answer(404, 503))
    async def adapt_portrait(id: str) -> dict[str, Any]:
        """Learn a portrait's features in the background: sharper eyes in its next sessions."""
        return _told(await adaptations.ask(id), adaptations)

    @router.delete(adaptation, status_code=204, responses=may_answer(404))
    async def forget_adaptation(id: str) -> None:
        """Stop learning, and show the portrait as it was enrolled again."""
        await adaptations.forget(id)

    return router


def _told(adaptation: Adaptation, adaptations: Adaptations) -> dict[str, Any]:
    return {
        "state": adaptation.state,
        "done": round(adaptation.done, 3),
        "note": adaptation.note,
        "gain_db": adaptation.gain,
        "problem": adaptations.problem(),
    }


def _on_wire(info: PortraitInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "name": info.name,
        "builtin": info.builtin,
        "warnings": info.warnings,
        "thumbnail": shown(f"{PORTRAITS}/{info.id}/thumbnail"),
    }
