"""A judge to test with: an HTTP server that looks at the pictures it is sent.

It is no language model, but its marks follow from the pixels: motion from how much whole pictures
differ, lip-sync from how mouths change with the curve drawn under them, expressiveness from how
much the eyes change. On request it misbehaves as real servers do.
"""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import uvicorn
from fastapi import FastAPI, Request, Response

from core import U8
from engines.evaluate.judges.sheets import BAR, COLUMNS, CURVE, SOUND, WIDTH

Json = dict[str, Any]
F64 = npt.NDArray[np.float64]


class JudgeEndpoint:
    """Runs in a thread on a free port while it is open."""

    def __init__(self, moods: Iterable[str] = (), *, always: str = "ok") -> None:
        self.moods = deque(moods)
        "What to do with the next requests; afterwards `always`."
        self.always = always
        self.bodies: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.raw: list[bytes] = []
        app = FastAPI()
        app.add_api_route("/v1/chat/completions", self._chat, methods=["POST"])
        app.add_api_route("/v1/models", self._models, methods=["GET"])
        config = uvicorn.Config(app, port=0, log_level="error", ws="none", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> JudgeEndpoint:
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < deadline, "the test's server does not start"
            time.sleep(0.01)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.force_exit = self._server.should_exit = True
        self._thread.join(10)

    @property
    def url(self) -> str:
        """With the version."""
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/v1"

    async def _models(self) -> Json:
        return {"data": [{"id": "eyes-of-a-test"}]}

    async def _chat(self, request: Request) -> Response:
        raw = await request.body()
        body = json.loads(raw)
        self.raw.append(raw)
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.times.append(time.monotonic())
        mood = self.moods.popleft() if self.moods else self.always
        return self._behave(mood, body, request)

    def _behave(self, mood: str, body: Json, request: Request) -> Response:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        match mood:
            case "busy":
                return _error(429, "slow down", {"Retry-After": "1"})
            case "busy for long":
                return _error(429, "come back tomorrow", {"Retry-After": "86400"})
            case "error":
                return _error(500, "out of memory")
            case "locked":
                return _error(401, f"Incorrect API key: {key}")
            case "refuses":
                return _error(400, f"too many images for {key}")
            case "no temperature":
                if "temperature" in body or "max_tokens" in body:
                    return _error(400, "Unsupported: temperature, max_tokens")
                return _say('{"score": 5}')
            case "prose":
                return _say("A splendid film, I would give it a solid four.")
            case "broken":
                return _say('<think>hm</think>{"score": ')
            case "out of range":
                return _say('{"score": 9}')
            case "huge":
                return _say("x" * 6_000_000)
            case "not json":
                return Response(b"<html>gateway</html>", 200)
            case "late":
                time.sleep(0.3)
            case "leaks":
                return _say(f"<think>{key}</think>" + '{"score": 3}')
            case "five":
                return _say('{"score": 5}')
            case "first":
                return _say('{"better": "first"}')
        return _say(f"<think>Looking at { {'score': 1} }.</think>\n```json\n{answer(body)}\n```")


def answer(body: Json) -> str:
    """What the pictures deserve."""
    films = _films(body)
    text = json.dumps(body)
    if len(films) == 2:
        marks = [_mark(film, text) for film in films]
        return json.dumps({"better": "first" if marks[0] >= marks[1] else "second"})
    return "{'score': %d}" % round(_mark(films[0], text))  # noqa: UP031


def pictures(body: Json) -> list[U8]:
    """All pictures of a request, RGB."""
    return [picture for film in _films(body) for picture in film]


def texts(body: Json) -> str:
    """All text of a request."""
    parts = [part.get("text", "") for part in body["messages"][1]["content"]]
    return "\n".join([body["messages"][0]["content"], *parts])


def _films(body: Json) -> list[list[U8]]:
    films: list[list[U8]] = [[]]
    for part in body["messages"][1]["content"]:
        if part["type"] == "text" and part["text"] == "The second video.":
            films.append([])
        if part["type"] == "image_url":
            data = base64.b64decode(part["image_url"]["url"].split(",")[1])
            bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            assert bgr is not None
            films[-1].append(np.asarray(bgr[..., ::-1], np.uint8))
        if part["type"] == "video_url":
            data = base64.b64decode(part["video_url"]["url"].split(",")[1])
            with av.open(io.BytesIO(data), "r") as container:
                for k, frame in enumerate(container.decode(video=0)):
                    if k % 5 == 0:
                        films[-1].append(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
    return films


def _mark(film: list[U8], text: str) -> float:
    whole = [p[BAR:] for p in film if p.shape[1] != COLUMNS * WIDTH]
    sheets = [p for p in film if p.shape[1] == COLUMNS * WIDTH]
    if "the mouth at" in text:
        return 1 + 4 * max(0.0, follows(sheets))
    if "eyes and brows at" in text:
        tiles = _tiles(sheets, round(0.5 * WIDTH))
        return float(np.clip(1 + _change(tiles) / 2, 1, 5))
    return float(np.clip(1 + _change(whole) / 2, 1, 5))


def follows(sheets: list[U8]) -> float:
    """Correlation of the curve under mouths with how far each mouth is from the quietest one."""
    tall = round(0.8 * WIDTH)
    mouths = [tile.astype(np.float64) for tile in _tiles(sheets, tall)]
    curve = [
        float((np.abs(tile.astype(int) - SOUND).max(-1) < 40).mean())
        for tile in _tiles(sheets, CURVE, skip=BAR + tall)
    ]
    quiet = mouths[int(np.argmin(curve))]
    opened = [float(np.abs(mouth - quiet).mean()) for mouth in mouths]
    if np.std(opened) < 1 or np.std(curve) < 1e-3:
        return 0.0
    return float(np.corrcoef(opened, curve)[0, 1])


def _tiles(sheets: list[U8], tall: int, skip: int = BAR) -> list[U8]:
    """Cells of sheets: ``tall`` rows from ``skip`` on."""
    out = []
    for sheet in sheets:
        high = round(sheet.shape[0] / max(1, round(sheet.shape[0] / _row_height(sheet))))
        for top in range(0, sheet.shape[0], high):
            for k in range(COLUMNS):
                cell = sheet[top : top + high, k * WIDTH : (k + 1) * WIDTH]
                if cell[BAR + 4 :, 4:].mean() > 30:
                    out.append(cell[skip + 1 : skip + tall - 2, 2:-2])
    return out


def _row_height(sheet: U8) -> int:
    """Rows of a sheet end in a black line."""
    dark = np.flatnonzero((sheet.mean(axis=(1, 2)) < 4) & (np.arange(len(sheet)) > BAR))
    return int(dark[0]) + 1 if len(dark) else len(sheet)


def _change(tiles: list[U8]) -> float:
    stack = np.stack([tile.astype(np.float64) for tile in tiles])
    return float(np.abs(stack - stack.mean(axis=0)).mean())


def _say(content: str) -> Response:
    message = {"role": "assistant", "content": content}
    data = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    return Response(json.dumps(data), 200, media_type="application/json")


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return Response(
        json.dumps({"error": {"message": message}}), status, headers, "application/json"
    )
