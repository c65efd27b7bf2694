"""A film as a multimodal model is shown it: parts of a chat message.

As ``frames`` (any model that sees pictures): some whole pictures, evenly spread, and sheets of
close-ups at 12.5 a second of what the judge in question looks at: the mouth, the eyes and brows, or
all of it, as blinks and trembling fall between pictures that are further apart. As such models do
not hear, the loudness is drawn under the close-ups, and what is said, where that is known. As
``video``: the file as it is, for models that take one.

Source of the parts: OpenAI API reference, "Create chat completion" (text, image_url,
input_audio); video_url as vLLM's multimodal inputs have it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import cv2
import numpy as np

from core import F32, FPS, SAMPLE_RATE, U8, InvalidInput
from engines.evaluate.judges.close_ups import Part, crops, follow
from engines.evaluate.judges.rubrics import EXPRESSIVENESS, LIP_SYNC, MOTION, Rubric
from engines.evaluate.judges.sheets import WIDTH, Strip, Word, draw_sheets, label, loudness
from engines.evaluate.soundtrack import soundtrack
from engines.evaluate.video import Video
from engines.landmarks import FaceMesh
from engines.resample import to_pcm16

VERSION: Final = "1"
"Counted up when a film is shown otherwise: answers to what was shown before are not used again."
STEP: Final = 2
"Of 25 pictures a second one in so many is shown close: 12.5 a second."
LONGEST: Final = 15.0
"Seconds that are shown of a film as pictures (free)."
MOST_SIDE: Final = 512
"Pixels to which pictures are made smaller as they are read."
MOST_BYTES: Final = 32 << 20
"Of a file."
MOST_WORDS: Final = 400
QUALITY: Final = 85
"Of JPEGs."
CLOSE: Final[dict[str, Part]] = {
    LIP_SYNC.key: "mouth", EXPRESSIVENESS.key: "eyes", MOTION.key: "whole",
}  # fmt: skip
_SHOWN: Final = {"mouth": "the mouth", "eyes": "eyes and brows", "whole": "the whole picture"}

Message: TypeAlias = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Showing:
    """How films are shown."""

    input: Literal["frames", "video"] = "frames"
    frames: int = 8
    "Whole pictures."
    side: int = 384
    "Of a whole picture, pixels at most."
    audio: bool = False
    "Also send the sound, for models that hear."

    def __post_init__(self) -> None:
        if not 1 <= self.frames <= 64:
            raise InvalidInput(f"A judge can be shown 1 to 64 frames, not {self.frames}.")
        if not 64 <= self.side <= MOST_SIDE:
            raise InvalidInput(f"Frames for a judge are 64 to {MOST_SIDE} pixels, not {self.side}.")


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """A film with the sound that belongs to it."""

    path: Path
    data: bytes
    sound: F32 | None
    "float32 ``[N]``, 16 kHz; None where there is none at all."
    own_sound: bool
    "Whether the file itself has it."
    words: tuple[Word, ...] = ()


def open_film(path: Path, truth: Path, words: Sequence[Word] = ()) -> Film:
    """A film of a run. Where it has no sound it was made to that of the truth.

    Raises:
        InvalidInput: It is missing or too large.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InvalidInput(f"{path.name} is larger than {MOST_BYTES >> 20} MB.")
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path.name} can not be read: {error.strerror}.") from error
    sound = _sound(path)
    own = sound is not None
    return Film(path, data, sound if own else _sound(truth), own, tuple(words)[:MOST_WORDS])


def can_judge(film: Film, rubric: Rubric, showing: Showing) -> str:
    """Why a judge can not be asked about a film; empty where it can."""
    if not rubric.needs_sound:
        return ""
    if film.sound is None or not loudness(film.sound).any():
        return "it is silent"
    if showing.input == "video" and not film.own_sound and not showing.audio:
        return "its file has no sound: use --judge-audio"
    return ""


def messages(
    film: Film, rubrics: Sequence[Rubric], showing: Showing, mesh: Callable[[], FaceMesh]
) -> dict[str, Message]:
    """What each judge is shown, by the rubric's key.

    Args:
        film: The film.
        rubrics: Of the judges.
        showing: How.
        mesh: Opens what finds faces; called for pictures only.

    Raises:
        InvalidInput: The film can not be decoded.
    """
    if showing.input == "video":
        url = _data_url("video/mp4", film.data)
        shown: Message = [{"type": "video_url", "video_url": {"url": url}}]
        return {rubric.key: [*shown, *_heard(film, showing)] for rubric in rubrics}
    times, pictures, seconds = _read(film.path)
    course = follow(pictures, mesh()) if any(CLOSE[r.key] != "whole" for r in rubrics) else None
    common = _whole(times, pictures, seconds, showing)
    loud = None if film.sound is None else loudness(film.sound)
    out = {}
    for rubric in rubrics:
        part = CLOSE[rubric.key]
        close = crops(pictures, course, part, WIDTH)
        # Loudness says nothing about motion; a judge is shown what it needs.
        hears = rubric.key != MOTION.key
        strip = Strip(times, close, loud, film.words) if hears else Strip(times, close)
        sound = _heard(film, showing) if hears else []
        out[rubric.key] = [*common, *_close(strip, part), *sound]
    return out


def pair(first: Message, second: Message) -> Message:
    """Two films one after the other."""
    return [_text("The first video."), *first, _text("The second video."), *second]


def facts(film: Film, rubric: Rubric, showing: Showing) -> dict[str, Any]:
    """Everything that what a judge is shown depends on, as JSON can hold it."""
    sound = b"" if film.sound is None else film.sound.tobytes()
    return {
        "evidence": VERSION,
        "film": hashlib.sha256(film.data).hexdigest(),
        "sound": hashlib.sha256(sound).hexdigest(),
        "words": [[w.start, w.end, w.text] for w in film.words],
        "shown": [showing.input, showing.frames, showing.side, showing.audio],
        "part": CLOSE[rubric.key],
    }


# --- parts -----------------------------------------------------------------------------------


def _whole(
    times: Sequence[float], pictures: Sequence[U8], seconds: float, showing: Showing
) -> Message:
    count = min(showing.frames, len(pictures))
    chosen = np.linspace(0, len(pictures) - 1, count).round().astype(int).tolist()
    listed = ", ".join(f"{times[k]:.2f}" for k in chosen)
    text = f"The video lasts {seconds:.2f} s. Here it is at {listed} s."
    return [_text(text), *(_picture(_small(pictures[k], times[k], showing.side)) for k in chosen)]


def _small(picture: U8, time: float, side: int) -> U8:
    scale = min(1.0, side / max(picture.shape[:2]))
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return label(np.asarray(small, np.uint8), f"{time:.2f} s")


def _close(strip: Strip, part: Part) -> Message:
    text = [
        f"Now {_SHOWN[part]} at {FPS / STEP:g} pictures a second, to be read row by row from left "
        "to right; above each picture is its time."
    ]
    if strip.loud is not None:
        text.append(
            "The blue curve under it is the loudness of the voice from then until the next "
            "picture, silence at the bottom."
        )
    if strip.words:
        said = " ".join(f"[{w.start:.2f}-{w.end:.2f}] {w.text}" for w in strip.words)
        text.append(f"Under that is what is said, a mark where a word begins. In full: {said}")
    return [_text(" ".join(text)), *(_picture(sheet) for sheet in draw_sheets(strip))]


def _heard(film: Film, showing: Showing) -> Message:
    if not showing.audio or film.sound is None:
        return []
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(to_pcm16(film.sound))
    data = base64.b64encode(held.getvalue()).decode()
    return [
        _text("This is its sound."),
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
    ]


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _picture(rgb: U8) -> dict[str, Any]:
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return {"type": "image_url", "image_url": {"url": _data_url("image/jpeg", jpeg.tobytes())}}


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


# --- reading ---------------------------------------------------------------------------------


def _read(path: Path) -> tuple[list[float], list[U8], float]:
    """When frames are shown, every second frame of a film's first seconds, how long that is."""
    pictures: list[U8] = []
    count = 0
    with Video(path) as video:
        for k, picture in enumerate(video.pictures(0.0, round(LONGEST * FPS))):
            count = k + 1
            if k % STEP == 0:
                pictures.append(picture.rgb(MOST_SIDE / max(picture.size)))
    if not pictures:
        raise InvalidInput(f"{path.name} has no picture that can be decoded.")
    if any(picture.shape != pictures[0].shape for picture in pictures):
        raise InvalidInput(f"{path.name} changes its size.")
    return [k * STEP / FPS for k in range(len(pictures))], pictures, count / FPS


def _sound(path: Path) -> F32 | None:
    """The sound beside the pictures, `LONGEST` at most."""
    try:
        with Video(path) as video:
            origin, seconds = video.origin, min(video.seconds(), LONGEST)
    except InvalidInput:
        return None
    return soundtrack(path, origin, seconds) if seconds > 0 else None
