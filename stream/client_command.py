"""``python -m stream.client URL TEXT``: have a text spoken, print what happens, save what came."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from core import SaccadeError
from stream.client import Avatar, connect
from stream.mp4 import Mp4

AFTER: Final = 1.0
"Seconds saved after the last word."
MANY: Final = ("controls", "plan", "score", "stats")
"Events too many to print."


@asynccontextmanager
async def saving(avatar: Avatar, path: Path) -> AsyncIterator[None]:
    """Write what comes to an MP4 file meanwhile. Encodes in the event loop: for one avatar and a
    command, not for a server.

    Raises:
        OSError: The file can not be written.
        SaccadeError: The session was lost.
    """
    with path.open("w+b") as file, contextlib.closing(Mp4(file)) as mp4:

        async def see() -> None:
            async for frame in avatar.video():
                mp4.picture(frame)

        async def hear() -> None:
            async for chunk in avatar.sound():
                mp4.sound(chunk)

        writing = [asyncio.create_task(part) for part in (see(), hear())]
        try:
            yield
        finally:
            for task in writing:
                task.cancel()
            ends = await asyncio.gather(*writing, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):  # which its being cancelled is not
                raise end


async def speak(url: str, text: str, path: Path) -> None:
    """Raises SaccadeError, OSError."""
    async with await connect(url) as avatar, saving(avatar, path):
        said = await avatar.say(text)
        async for event in avatar.events():
            if event["type"] not in MANY:
                print(json.dumps(event)[:200])
            if event["cause"] == said and event.get("phase") == "ended":
                await asyncio.sleep(AFTER)
                return


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m stream.client", description=__doc__)
    parser.add_argument("url", help="of a running server, as http://127.0.0.1:8080")
    parser.add_argument("text", help="to speak")
    parser.add_argument("--save", type=Path, default=Path("saccade.mp4"), help="where to")
    given = parser.parse_args(arguments)
    try:
        asyncio.run(speak(given.url, given.text, given.save))
    except (SaccadeError, OSError) as error:
        raise SystemExit(f"client: {error}") from None
    print(f"saved {given.save}")
