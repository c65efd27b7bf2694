"""Every error leaves as problem+json (RFC 9457): what is wrong, and what to do next."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from core import (
    Busy,
    Conflict,
    Full,
    InvalidInput,
    NotAllowed,
    NotFound,
    SaccadeError,
    Unavailable,
)

log = logging.getLogger(__name__)

STATUS: dict[type[SaccadeError], int] = {
    NotFound: 404,
    InvalidInput: 422,
    NotAllowed: 403,
    Full: 507,
    Conflict: 409,
    Busy: 503,
    Unavailable: 503,
}

SCHEMA: Final = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "urn:saccade:CODE"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong and what to do next."},
    },
}


def status_of(error: SaccadeError) -> int:
    """The HTTP status of an error: that of its nearest listed ancestor, else 500."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **facts: Any,
) -> JSONResponse:
    """A problem+json response."""
    body = {
        "type": f"urn:saccade:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **facts,
    }
    return JSONResponse(
        body, status, headers=dict(headers or {}), media_type="application/problem+json"
    )


def from_error(error: SaccadeError) -> JSONResponse:
    """The response for one of ours."""
    headers = {}
    if "retry_after" in error.facts:
        headers["Retry-After"] = str(error.facts["retry_after"])
    return problem(status_of(error), error.code, error.message, headers=headers, **error.facts)


def may_answer(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems a route may answer with, for its OpenAPI description."""
    content = {"application/problem+json": {"schema": SCHEMA}}
    return {s: {"description": HTTPStatus(s).phrase, "content": content} for s in statuses}


def install(app: FastAPI) -> None:
    """Answer all errors of ``app`` with problems."""

    @app.exception_handler(SaccadeError)
    async def ours(request: Request, error: SaccadeError) -> JSONResponse:
        return from_error(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body") or "the body"
        return problem(422, "invalid-input", f"{where}: {first['msg']}.")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        return problem(error.status_code, code, str(error.detail), headers=error.headers)

    @app.exception_handler(ClientDisconnect)
    async def left(request: Request, error: ClientDisconnect) -> JSONResponse:
        return problem(400, "bad-request", "The body ended early.")  # nobody reads it

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        log.error("unhandled error at %s", request.url.path, exc_info=error)
        return problem(500, "internal-error", "Something broke on the server; it was logged.")
