"""The wire vocabulary of the control socket, version 1. Nothing else parses its JSON."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from core import InvalidInput

VERSION: Final = 1
MAX_TEXT: Final = 16_384
"Characters of one JSON command."

Id = Annotated[str, Field(max_length=64)]


Turn = Annotated[int | None, Field(ge=0)]
"""The turn it is meant for, as `hello` and `interrupted` tell it: refused once there was another
interruption. None for whichever it is."""


class Command(BaseModel):
    """What all commands share."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: Id | None = None
    "Comes back as `cause` with everything this command causes."


class Say(Command):
    """Speak a text; utterances queue."""

    type: Literal["say"]
    text: str
    turn: Turn = None


class Behave(Command):
    """Change what the eyes mean, from the next window on."""

    type: Literal["behave"]
    label: str | None = None
    instruction: str | None = None
    eyes: float | None = None
    "How strongly the eyes are guided: 0 to 2.5, 1 is usual."


class Attend(Command):
    """Tell the avatar what goes on: the user talks, the model thinks, nothing."""

    type: Literal["state"]
    state: Literal["idle", "listening", "thinking"]


class Interrupt(Command):
    """Stop speaking."""

    type: Literal["interrupt"]


class AudioStart(Command):
    """The format of the binary frames that follow."""

    type: Literal["audio_start"]
    rate: int = Field(16_000, ge=8_000, le=96_000)
    channels: Literal[1, 2] = 1
    live: bool = False
    "A microphone: late audio is dropped, speech is told by voice activity."
    turn: Turn = None


class AudioEnd(Command):
    """Nothing follows the streamed speech."""

    type: Literal["audio_end"]


class Ping(Command):
    """Answered with `ok`."""

    type: Literal["ping"]


AnyCommand = Annotated[
    Say | Behave | Attend | Interrupt | AudioStart | AudioEnd | Ping, Field(discriminator="type")
]
_COMMANDS: TypeAdapter[Any] = TypeAdapter(AnyCommand)


class BadMessage(InvalidInput):
    """A message outside the vocabulary; ``facts["cause"]`` is its id where it had one."""

    code = "bad-message"


def parse(text: str) -> Command:
    """One JSON command. Raises BadMessage."""
    if len(text) > MAX_TEXT:
        raise BadMessage(f"A command has at most {MAX_TEXT} characters, this one {len(text)}.")
    try:
        command: Command = _COMMANDS.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"][1:] or first["loc"])) or "message"
        raise BadMessage(f"{where}: {first['msg']}.", cause=_id_of(text)) from None
    return command


def _id_of(text: str) -> str | None:
    """The id of a rejected command, where one can be made out."""
    try:
        given = json.loads(text)
    except ValueError:
        return None
    found = given.get("id") if isinstance(given, dict) else None
    return found if isinstance(found, str) and len(found) <= 64 else None
