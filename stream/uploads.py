"""A file in a request: the body itself, or a field of a form."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from fastapi import Request
from starlette.datastructures import UploadFile

from core import InvalidInput

BINARY: Final = {"schema": {"type": "string", "format": "binary"}}


def described(kind: str) -> dict[str, Any]:
    """What OpenAPI shall say of a route that takes a file of a kind such as ``image/*``."""
    form = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": BINARY["schema"], "name": {"type": "string"}},
    }
    content = {kind: BINARY, "multipart/form-data": {"schema": form}}
    return {"requestBody": {"required": True, "content": content}}


async def uploaded(request: Request, name: str = "") -> tuple[bytes, str]:
    """Bytes and name of the file; a form's own name goes before ``name``. Raises InvalidInput."""
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
