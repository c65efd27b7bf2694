"""The endpoint against a real server that breaks every rule: answered in time, or one error."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterable
from typing import Any

import pytest

from core import InvalidInput, Unavailable
from planner.backends.backend import Answer, PlannerFailed, Question
from planner.backends.breaker import Breaker
from planner.backends.endpoint import Endpoint, EndpointSettings
from planner.backends.manners import FORMATS, Manners
from planner.messages import Reflection, ReflectionRequest
from planner.prompts import SYSTEM, fenced
from tests.planner.backends.unruly import Unruly

USER = fenced(ReflectionRequest(label="idle", instruction="", events=()))
PATIENT = 10_000
"Failures; for tests that are not about the breaker."


def question(image: bytes | None = None) -> Question[Reflection]:
    return Question("reflection", SYSTEM["reflection"], USER, Reflection, image, seed=7)


def endpoint(server: Unruly, *, patience: int = PATIENT, **settings: Any) -> Endpoint:
    given: dict[str, Any] = {
        "model": "m",
        "total_seconds": 4.0,
        "read_seconds": 1.0,
        "tries": 1,
    } | settings
    return Endpoint(EndpointSettings(server.url, **given), breaker=Breaker(patience))


async def ask(
    moods: str | Iterable[str], image: bytes | None = None, **settings: Any
) -> tuple[Answer[Reflection], Unruly]:
    """One answer; the server's own record goes with it."""
    async with Unruly(moods, pace=0.5) as server:
        backend = endpoint(server, **settings)
        try:
            return await backend.ask(question(image), 10), server
        finally:
            await backend.aclose()


async def failure(moods: str | Iterable[str], **settings: Any) -> PlannerFailed:
    with pytest.raises(PlannerFailed) as caught:
        await ask(moods, **settings)
    assert isinstance(caught.value, Unavailable)
    return caught.value


# --- what goes well --------------------------------------------------------------------------


@pytest.mark.parametrize("mood", ["ok", "think", "fenced", "injected", "late", "reasoning_apart"])
async def test_usable_answers_are_used(mood: str) -> None:
    answer, _ = await ask(mood)
    assert answer.content.advice == "carry on"
    assert answer.reasoning.endswith("went well")


async def test_what_is_sent() -> None:
    _, server = await ask("ok", b"\xff\xd8jpeg", api_key="sk-1", headers={"X-Team": "a"})
    body, headers = server.requests[0], server.headers[0]
    assert body["model"] == "m" and body["stream"] is False and body["seed"] == 7
    assert body["response_format"]["json_schema"]["strict"] is True
    text, picture = body["messages"][1]["content"]
    assert text["text"] == USER
    assert picture["image_url"]["url"] == "data:image/jpeg;base64,/9hqcGVn"
    assert headers["authorization"] == "Bearer sk-1" and headers["x-team"] == "a"
    assert headers["accept-encoding"] == "identity"


async def test_without_a_picture_the_message_is_plain_text() -> None:
    _, server = await ask("ok")
    assert server.requests[0]["messages"][1]["content"] == USER
    assert "authorization" not in server.headers[0]


async def test_the_first_model_listed_is_taken_when_none_is_named() -> None:
    _, server = await ask("ok", model="")
    assert server.requests[0]["model"] == "unruly-1"


# --- what goes wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mood", "kind"),
    [
        ("mute", "timeout"),
        ("cut_off", "truncated"),
        ("prose", "not_json"),
        ("half_json", "not_json"),
        ("nested", "not_json"),
        ("wrong_schema", "wrong_schema"),
        ("empty", "empty"),
        ("refuses", "refused"),
        ("unauthorised", "refused"),
        ("no_choices", "http"),
        ("error_500", "http"),
        ("overloaded", "http"),
        ("rejects", "http"),
        ("redirects", "http"),
        ("garbage", "http"),
        ("bomb", "http"),
        ("hang_up", "connection"),
        ("hang_up_at_once", "connection"),
        ("not_http", "connection"),
        ("huge", "too_large"),
        ("endless", "too_large"),
    ],
)
async def test_every_failure_is_one_error_of_a_kind(mood: str, kind: str) -> None:
    caught = await failure(mood)
    assert caught.kind == kind
    assert caught.message and len(caught.message) < 400


async def test_a_dripping_answer_ends_with_the_budget() -> None:
    began = time.monotonic()
    assert (await failure("drip", total_seconds=0.3)).kind == "timeout"
    assert time.monotonic() - began < 1


async def test_the_caller_can_allow_less_time() -> None:
    async with Unruly("mute") as server:
        backend = endpoint(server)
        began = time.monotonic()
        with pytest.raises(PlannerFailed, match=r"within 0\.2 s"):
            await backend.ask(question(), 0.2)
        assert time.monotonic() - began < 1
        await backend.aclose()


async def test_nobody_listens() -> None:
    async with Unruly() as server:
        pass
    backend = endpoint(server)
    with pytest.raises(PlannerFailed) as caught:
        await backend.ask(question(), 5)
    assert caught.value.kind == "connection"
    await backend.aclose()


async def test_cancelling_a_question_leaves_the_endpoint_usable() -> None:
    async with Unruly(["mute", "ok"]) as server:
        backend = endpoint(server)
        task = asyncio.create_task(backend.ask(question(), 5))
        await server.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await backend.ask(question(), 5)).content.keep
        await backend.aclose()


async def test_a_closed_endpoint_says_so() -> None:
    async with Unruly() as server:
        backend = endpoint(server)
        await backend.aclose()
        with pytest.raises(PlannerFailed, match="closed"):
            await backend.ask(question(), 5)


# --- trying again ----------------------------------------------------------------------------


@pytest.mark.parametrize("mood", ["error_500", "hang_up", "hang_up_at_once", "overloaded"])
async def test_what_may_pass_is_tried_again(mood: str) -> None:
    answer, server = await ask([mood, "ok"], tries=2)
    assert answer.content.keep and len(server.requests) == 2
    assert server.requests[0] == server.requests[1]


async def test_no_try_begins_that_can_not_end_in_time() -> None:
    began = time.monotonic()
    assert (await failure("overloaded", tries=3, total_seconds=0.8)).kind == "http"
    assert time.monotonic() - began < 0.5


async def test_an_answer_that_was_cut_off_gets_more_tokens_once() -> None:
    _, server = await ask("cut_off_when_short")
    assert [r["max_tokens"] for r in server.requests] == [1500, 4000]


# --- finding out what a server takes ---------------------------------------------------------


@pytest.mark.parametrize(
    ("mood", "level"),
    [("no_bounds", 1), ("no_schema", 2), ("no_format", 4)],
)
async def test_formats_that_are_refused_are_given_up_and_remembered(mood: str, level: int) -> None:
    async with Unruly(mood) as server:
        backend = endpoint(server)
        await backend.ask(question(), 5)
        tried = len(server.requests)
        assert tried == level + 1 and backend.manners.format == level
        await backend.ask(question(), 5)
        assert len(server.requests) == tried + 1
        await backend.aclose()


@pytest.mark.parametrize("mood", ["no_images", "no_lists", "silent_about_images"])
async def test_pictures_that_are_refused_are_left_out_and_remembered(mood: str) -> None:
    async with Unruly(mood) as server:
        backend = endpoint(server)
        for _ in range(2):
            await backend.ask(question(b"jpeg"), 5)
        kinds = [type(r["messages"][1]["content"]) for r in server.requests]
        assert kinds == [list, str, str]
        assert backend.manners == Manners(images=False)
        await backend.aclose()


async def test_parameters_that_are_refused_are_left_out() -> None:
    _, server = await ask("modern")
    last = server.requests[-1]
    assert "temperature" not in last and "max_tokens" not in last
    assert last["max_completion_tokens"] == 1500


async def test_a_refusal_for_another_reason_is_not_remembered() -> None:
    async with Unruly(["rejects"] * len(FORMATS) + ["ok"]) as server:
        backend = endpoint(server)
        with pytest.raises(PlannerFailed, match="context length"):
            await backend.ask(question(), 5)
        assert backend.manners == Manners()
        await backend.aclose()


async def test_a_server_that_took_it_before_is_not_suspected() -> None:
    async with Unruly(["ok", "rejects", "ok"]) as server:
        backend = endpoint(server)
        await backend.ask(question(), 5)
        with pytest.raises(PlannerFailed, match="context length"):
            await backend.ask(question(), 5)
        assert len(server.requests) == 2 and backend.manners == Manners()
        await backend.aclose()


def test_an_error_that_merely_rhymes_with_format_changes_nothing() -> None:
    assert Manners().humbler(500, "no further information; revision 3", image=True) is None
    assert Manners().humbler(404, "no such model", image=False) is None


# --- leaving it alone ------------------------------------------------------------------------


async def test_a_dead_endpoint_costs_nothing_after_a_while() -> None:
    async with Unruly("error_500") as server:
        backend = endpoint(server, patience=2)
        kinds = []
        for _ in range(5):
            with pytest.raises(PlannerFailed) as caught:
                await backend.ask(question(), 5)
            kinds.append(caught.value.kind)
        assert kinds == ["http", "http", "paused", "paused", "paused"]
        assert len(server.requests) == 2
        await backend.aclose()


async def test_a_model_that_answers_nonsense_is_not_a_dead_endpoint() -> None:
    async with Unruly("prose") as server:
        backend = endpoint(server, patience=1)
        for _ in range(4):
            with pytest.raises(PlannerFailed, match="other than JSON"):
                await backend.ask(question(), 5)
        await backend.aclose()


async def test_it_is_tried_again_after_the_pause() -> None:
    now = [0.0]
    async with Unruly(["error_500", "ok"]) as server:
        settings = EndpointSettings(server.url, model="m", tries=1)
        breaker = Breaker(1, first_pause=9)
        backend = Endpoint(settings, breaker=breaker, clock=lambda: now[0])
        with pytest.raises(PlannerFailed):
            await backend.ask(question(), 5)
        now[0] = 9.0
        assert (await backend.ask(question(), 5)).content.keep
        assert breaker.failures == 0
        await backend.aclose()


# --- secrets and settings --------------------------------------------------------------------


async def test_the_key_is_neither_logged_nor_shown(caplog: pytest.LogCaptureFixture) -> None:
    key = "sk-very-secret-123"
    with caplog.at_level(logging.DEBUG):
        caught = await failure("unauthorised", api_key=key)
    assert "Incorrect API key: ***" in caught.message
    assert key not in caplog.text
    assert key not in repr(EndpointSettings("http://127.0.0.1/v1", api_key=key))


@pytest.mark.parametrize(
    "given",
    [
        {"url": "127.0.0.1:8000"},
        {"url": "file:///etc/passwd"},
        {"url": "http://"},
        {"url": "http://x/v1", "api_key": "a\r\nX-Evil: 1"},
        {"url": "http://x/v1", "headers": {"X-Team": "søk"}},
        {"url": "http://x/v1", "tries": 0},
    ],
)
def test_bad_settings_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        EndpointSettings(**given)


async def test_many_questions_at_once_leave_nothing_behind() -> None:
    before = len(asyncio.all_tasks())
    async with Unruly(["ok", "hang_up", "prose", "ok"] * 10) as server:
        backend = endpoint(server, connections=4)
        asked = [backend.ask(question(), 5) for _ in range(30)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(f, Answer | PlannerFailed) for f in found)
        assert any(isinstance(f, Answer) for f in found)
        await backend.aclose()
    assert len(asyncio.all_tasks()) == before


async def test_a_question_survives_as_json() -> None:
    """Lone surrogates and control characters in a prompt do not break the request."""
    odd = Question("reflection", SYSTEM["reflection"], USER + "\ud800\x00\u202e", Reflection)
    async with Unruly("ok") as server:
        backend = endpoint(server)
        assert (await backend.ask(odd, 5)).content.keep
        assert json.dumps(server.requests[0])
        await backend.aclose()
