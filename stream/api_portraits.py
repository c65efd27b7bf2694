"""Routes of the portraits: list, upload, show, forget."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile

from core import InvalidInput
from runtime.portraits import PortraitInfo, PortraitStore
from stream.problems import may_answer

PORTRAITS = "/v1/portraits"
BINARY = {"schema": {"type": "string", "format": "binary"}}
JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}}}
UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": BINARY,
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": BINARY["schema"], "name": {"type": "string"}},
                }
            },
        },
    }
}


def portrait_routes(store: PortraitStore) -> APIRouter:
    """All of them over one store, whose calls block and so run in threads."""
    router = APIRouter(tags=["portraits"])

    @router.get(PORTRAITS)
    async def list_portraits() -> list[dict[str, Any]]:
        """Everybody the avatar can be."""
        return [_on_wire(info) for info in await asyncio.to_thread(store.list)]

    @router.post(
        PORTRAITS, status_code=201, responses=may_answer(413, 422, 503), openapi_extra=UPLOAD
    )
    async def upload_portrait(request: Request, name: str = "") -> JSONResponse:
        """Make a portrait of an image: the body itself, or the field `file` of a form."""
        data, name = await _uploaded(request, name)
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
