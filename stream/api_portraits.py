"""Routes of the portraits: list, upload, show, forget."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from runtime.portraits import PortraitInfo, PortraitStore
from stream.problems import may_answer
from stream.uploads import described, uploaded

PORTRAITS = "/v1/portraits"
JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}}}


def portrait_routes(store: PortraitStore) -> APIRouter:
    """All of them over one store, whose calls block and so run in threads."""
    router = APIRouter(tags=["portraits"])

    @router.get(PORTRAITS)
    async def list_portraits() -> list[dict[str, Any]]:
        """Everybody the avatar can be."""
        return [_on_wire(info) for info in await asyncio.to_thread(store.list)]

    @router.post(
        PORTRAITS,
        status_code=201,
        responses=may_answer(413, 422, 503),
        openapi_extra=described("image/*"),
    )
    async def upload_portrait(request: Request, name: str = "") -> JSONResponse:
        """Make a portrait of an image: the body itself, or the field `file` of a form."""
        data, name = await uploaded(request, name)
        made = await asyncio.to_thread(store.add, data, name)
        info = await asyncio.to_thread(store.info, made.id)
        return JSONResponse(_on_wire(info), 201, {"Location": f"{PORTRAITS}/{made.id}"})

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

    return router


def _on_wire(info: PortraitInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "name": info.name,
        "builtin": info.builtin,
        "warnings": info.warnings,
        "thumbnail": f"{PORTRAITS}/{info.id}/thumbnail",
    }
