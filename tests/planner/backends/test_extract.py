"""From text to an answer: prose, fences and thoughts around it, and nothing that is not one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.backends.backend import PlannerFailed
from planner.backends.extract import part_thoughts, read_answer
from planner.messages import Critique, Planning, Reflection

GOOD = '{"reasoning": "why not", "keep": true, "advice": "look up"}'


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"Here you are:\n```json\n{GOOD}\n```\nAnything else?",
        f"<think>first {{}} then</think>{GOOD}",
        f"no opening tag, only this</think>\n{GOOD}",
        f'{{not json}} {{}} {{"keep": 3}} {GOOD}',
        GOOD[:-1] + ', "more": {"a": [1]}}',
        f"{GOOD} {GOOD.replace('look up', 'look down')}",
        GOOD.replace("look up", "look\n\tup"),
    ],
)
def test_the_answer_is_found(text: str) -> None:
    answer = read_answer(text, Reflection)
    assert answer.content.advice == "look up"
    assert answer.reasoning.endswith("why not")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "empty"),
        ("  \n ", "empty"),
        ("<think>never comes to an end", "empty"),
        ("I would rather not.", "not_json"),
        ("[1, 2]", "not_json"),
        ('{"keep": NaN}', "not_json"),
        (GOOD[:-2], "not_json"),
        ('{"a":' * 100_000, "not_json"),
        ("{" * 100_000, "not_json"),
        ('{"keep": ' + "9" * 10_000 + "}", "not_json"),
        ('{"advice": "look up"}', "wrong_schema"),
        ('{"keep": "\\ud800"}', "wrong_schema"),
        ('{"keep": {"$ref": "#"}}', "wrong_schema"),
    ],
)
def test_what_is_no_answer_is_refused(text: str, kind: str) -> None:
    with pytest.raises(PlannerFailed) as failure:
        read_answer(text, Reflection)
    assert failure.value.kind == kind
    assert len(failure.value.message) < 400


def test_thoughts_are_kept_apart() -> None:
    answer = read_answer(f"<think>hm\nhm</think>{GOOD}", Reflection, "told apart")
    assert answer.reasoning == "told apart hm hm why not"
    assert part_thoughts("a<thinking>b</thinking>c<THINK>d") == ("a c ", "b d")


def test_an_answer_that_speaks_of_thinking_is_not_cut() -> None:
    text = json.dumps({"reasoning": "a </think> b", "keep": True, "advice": "<think>"})
    assert read_answer(text, Reflection).content.advice == "<think>"


def test_half_a_surrogate_pair_does_not_get_through() -> None:
    answer = read_answer('{"keep": true, "advice": "\\ud83d look"}', Reflection)
    assert answer.content.advice == "look"


def test_a_complaint_tells_where_and_not_what() -> None:
    text = '{"events": [{"start": 0, "end": "EVIL", "semantics": "x"}]}'
    with pytest.raises(PlannerFailed, match=r"events\.0\.end") as failure:
        read_answer(text, Planning)
    assert "EVIL" not in failure.value.message


@given(st.text(st.characters() | st.sampled_from('{}[]":,<>/'), max_size=200))
@settings(deadline=None)
def test_any_text_is_an_answer_or_one_kind_of_error(text: str) -> None:
    for reply in (Planning, Critique):
        try:
            read_answer(text, reply)
        except PlannerFailed as failure:
            assert failure.kind in ("empty", "not_json", "wrong_schema")
