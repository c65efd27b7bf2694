"""The judges, over real HTTP: what they are shown, what they say, what is made of it."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core import CHANNEL, F32, U8, InvalidInput, Portrait, SaccadeError, Unavailable
from engines.evaluate.judges import agreement, answers, command, evidence, rubrics, sheets
from engines.evaluate.judges.answers import Unreadable, read_better, read_score
from engines.evaluate.judges.asking import AGAIN, MOST_FAILURES
from engines.evaluate.judges.cache import Cache, Entry, question_key
from engines.evaluate.judges.close_ups import crops, follow
from engines.evaluate.judges.endpoint import Endpoint, EndpointSettings, Sampling, retry_after
from engines.evaluate.judges.evidence import Showing
from engines.evaluate.judges.panel import judge_run
from engines.evaluate.judges.rubrics import EXPRESSIVENESS, LIP_SYNC, MOTION, RUBRICS
from engines.evaluate.judges.summary import MEAN, as_markdown, film_marks, summarise
from engines.evaluate.judges.verdicts import Panel, Plan
from engines.evaluate.results import TRUTH, Facts, Run, film_path, load_run, save_facts, write_json
from engines.film import write_film
from engines.landmarks import FaceMesh
from engines.puppet import Puppet
from engines.rig import Rig, build_rig
from tests.engines.evaluate.judge_endpoint import JudgeEndpoint, pictures, texts

FRAMES = 40
KEY = "sk-very-secret-0123"
ROWS = ("walking-puppet", "stone-puppet")
CASES = ("case-anna", "case-bert")
WHOLE = Showing("video", audio=True)
"Nothing has to be decoded and no face found: for tests that are not about pictures."
BRIEF = Plan(showing=WHOLE)


@pytest.fixture(scope="module")
def rig(portrait: Portrait) -> Rig:
    return build_rig(portrait, 256)


@pytest.fixture(scope="module")
def mesh() -> Iterator[FaceMesh]:
    with FaceMesh() as mesh:
        yield mesh


def voice(late: float = 0.0) -> F32:
    """Syllables at 2.5 a second."""
    t = np.arange(FRAMES * 640) / 16_000
    return np.asarray(0.3 * np.sin(2 * np.pi * 150 * t) * opening(t - late), np.float32)


def opening(t: Any) -> Any:
    return np.clip(np.sin(2 * np.pi * 2.5 * t), 0.01, 1) ** 2


def moving(rig: Rig, *, turn: float = 12.0) -> list[U8]:
    puppet, out = Puppet(rig), []
    for k in range(FRAMES):
        c, m = np.zeros(17, np.float32), np.zeros(9, np.float32)
        c[CHANNEL["yaw"]] = turn * np.sin(k / 6)
        for name in ("AU1_L", "AU1_R", "AU2_L", "AU2_R"):
            c[CHANNEL[name]] = 0.5 + 0.5 * np.sin(k / 5)
        c[[CHANNEL["AU45_L"], CHANNEL["AU45_R"]]] = float(20 <= k < 25)
        m[0] = 0.7 * opening((k + 0.5) / 25)
        out.append(puppet.render(c, m))
    return out


@pytest.fixture(scope="module")
def films(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a film of every row."""
    folder = tmp_path_factory.mktemp("films")
    frames = moving(rig)
    write_film(folder / f"{TRUTH}.mp4", frames, voice())
    write_film(folder / f"{ROWS[0]}.mp4", frames)
    write_film(folder / f"{ROWS[1]}.mp4", [frames[0]] * FRAMES, voice())
    write_film(folder / "silent.mp4", frames)
    return folder


@pytest.fixture
def run(films: Path, tmp_path: Path) -> Run:
    return make_run(films, tmp_path / "run")


def make_run(films: Path, folder: Path, cases: Iterable[str] = CASES) -> Run:
    save_facts(folder, Facts("set", "2026-01-01", "", 256, "mesh"), ROWS)
    for case in cases:
        write_json(folder / "cases" / case / "case.json", {"category": "idle", "person": case})
        for row in (TRUTH, *ROWS):
            # An empty box at the end: films of different cases are never the same bytes.
            box = b"\0\0\0\x0cfree" + hash_of(case)
            film_path(folder, case, row).write_bytes((films / f"{row}.mp4").read_bytes() + box)
        for row in ROWS:
            write_json(folder / "cases" / case / f"{row}.json", {"values": {}})
    return load_run(folder)


def hash_of(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:4]


def settings(judge: JudgeEndpoint, **others: Any) -> EndpointSettings:
    given: dict[str, Any] = {"model": "m", "api_key": KEY, "first_wait": 0.01} | others
    return EndpointSettings(judge.url, **given)


def asks(run: Run) -> int:
    return len(RUBRICS) * (len(run.rows) + 1) * len({m.case for m in run.measured})


# --- a whole panel ---------------------------------------------------------------------------


def test_a_still_film_is_found_out_and_nothing_is_asked_twice(
    run: Run, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(command.KEY, KEY)
    options = ["--judge-model", "m", str(run.folder)]
    steps: list[tuple[int, int]] = []
    with JudgeEndpoint(["late", "broken", "prose", "leaks"]) as judge:
        run_command(judge, options, steps)
        first = len(judge.bodies)
        run_command(judge, options)
        assert len(judge.bodies) == first == asks(run) + 2
    printed = capsys.readouterr().out
    assert steps[-1] == (asks(run), asks(run))
    data = json.loads((run.folder / "judges.json").read_text())
    assert data["complete"] and len(data["verdicts"]) == asks(run)
    by = data["rows"]
    for aspect in (*rubrics.RUBRIC, MEAN):
        assert by[ROWS[0]][aspect]["mean"] > by[ROWS[1]][aspect]["mean"] + 1, aspect
        assert by[ROWS[0]][aspect]["cases"] == len(CASES)
    for line in (TRUTH, *ROWS, "motion and background"):
        assert line in printed
    # The key is in the header, and nowhere else.
    assert judge.headers[0]["authorization"] == f"Bearer {KEY}"
    written = [p.read_text("utf-8", "replace") for p in run.folder.rglob("*.json")]
    assert not any(KEY in text for text in (*written, caplog.text, printed))


def run_command(
    judge: JudgeEndpoint, arguments: list[str], steps: list[tuple[int, int]] | None = None
) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    options = parser.parse_args(["--judge-url", judge.url, *arguments])
    command.run(options, lambda done, total, note: steps.append((done, total)) if steps is not None
                else None)  # fmt: skip


def test_judges_are_blind(films: Path, tmp_path: Path) -> None:
    """Nothing in a question tells the row, the case or the file."""
    run = make_run(films, tmp_path / "run", CASES[:1])
    with JudgeEndpoint() as judge:
        judge_run(run, Plan(), settings(judge))
    assert len(judge.bodies) == asks(run)
    for body in judge.bodies:
        told = (texts(body) + str(judge.headers[0])).lower()
        assert not any(name in told for name in (*ROWS, *CASES, TRUTH, "puppet", ".mp4"))
        assert not any(case.encode() in json.dumps(body).encode() for case in CASES)


def test_the_order_is_random(films: Path, tmp_path: Path) -> None:
    run = make_run(films, tmp_path / "run")

    def order(seed: int, where: str) -> list[bytes]:
        plan = Plan(seed=seed, showing=WHOLE)
        with JudgeEndpoint(always="five") as judge:
            judge_run(run, plan, settings(judge, connections=1), run.folder / where)
        assert [b["seed"] for b in judge.bodies] == [seed] * asks(run)
        return [json.dumps(b["messages"], sort_keys=True).encode() for b in judge.bodies]

    first, again, other = order(1, "a"), order(1, "b"), order(2, "c")
    assert first == again
    assert first != other and sorted(first) == sorted(other)


def test_one_judge_is_told_of_one_aspect(run: Run) -> None:
    with JudgeEndpoint() as judge:
        judge_run(run, BRIEF, settings(judge))
    for body in judge.bodies:
        system = body["messages"][0]["content"]
        assert sum(f"Judge its {rubric.name} and nothing else" in system for rubric in RUBRICS) == 1
        assert sum(rubric.marks[0] in system for rubric in RUBRICS) == 1


def test_a_judge_that_goes_down_loses_nothing(run: Run) -> None:
    """Answers before it are kept; the next go asks for the rest alone."""
    before = 5
    with JudgeEndpoint(["ok"] * before, always="locked") as judge:
        with pytest.raises(Unavailable, match="Check the URL") as caught:
            judge_run(run, BRIEF, settings(judge, connections=1))
        assert f"{before} of {asks(run)} questions are answered" in str(caught.value)
        assert KEY not in str(caught.value)
        assert len(judge.bodies) == before + 1
    data = json.loads((run.folder / "judges.json").read_text())
    assert not data["complete"] and len(data["verdicts"]) == before
    with JudgeEndpoint() as judge:
        assert judge_run(run, BRIEF, settings(judge)).complete
        assert len(judge.bodies) == asks(run) - before


def test_retries_are_bounded(run: Run) -> None:
    with JudgeEndpoint(always="error") as judge:
        with pytest.raises(Unavailable, match="out of memory"):
            judge_run(run, BRIEF, settings(judge, tries=2, connections=1))
        assert len(judge.bodies) == 2 * MOST_FAILURES


def test_a_question_that_is_refused_once_stays_open(run: Run) -> None:
    with JudgeEndpoint(["refuses"]) as judge:
        panel = judge_run(run, BRIEF, settings(judge))
        assert not panel.complete
        assert [v.why for v in panel.verdicts if v.open][0].count("[key]") == 1
        assert "run the command again" in as_markdown(summarise(panel, run.rows, {}), panel)
        assert judge_run(run, BRIEF, settings(judge)).complete
        assert len(judge.bodies) == asks(run) + 1


def test_what_can_not_be_read_is_asked_again_and_then_counted(run: Run) -> None:
    with JudgeEndpoint(["out of range"] * (AGAIN + 1)) as judge:
        panel = judge_run(run, BRIEF, settings(judge, connections=1))
        assert len(judge.bodies) == asks(run) + AGAIN
        seeds = [body["seed"] for body in judge.bodies[: AGAIN + 1]]
        assert len(set(seeds)) == AGAIN + 1
    missing = [v for v in panel.verdicts if v.value is None]
    assert len(missing) == 1 and "score 9" in missing[0].why
    summary = summarise(panel, run.rows, {})
    assert sum(line.unanswered for line in summary.lines) == 1


def test_broken_and_silent_films_are_left_out(films: Path, tmp_path: Path) -> None:
    run = make_run(films, tmp_path / "run", CASES[:1])
    film_path(run.folder, CASES[0], ROWS[1]).write_bytes(b"no film")
    silent = (films / "silent.mp4").read_bytes()
    for row in (TRUTH, ROWS[0]):
        film_path(run.folder, CASES[0], row).write_bytes(silent)
    with JudgeEndpoint() as judge:
        panel = judge_run(run, Plan(), settings(judge))
    assert {v.asked.aspect for v in panel.verdicts} == {EXPRESSIVENESS.key, MOTION.key}
    assert {v.asked.rows for v in panel.verdicts} == {(TRUTH,), (ROWS[0],)}
    assert any("silent" in why for why in panel.left_out.values())
    assert any("decoded" in why for why in panel.left_out.values())
    # Without one of the three there is no mean of three.
    assert all(MEAN not in marks for marks in film_marks(panel.verdicts).values())


def test_pairs_are_asked_in_both_orders(films: Path, tmp_path: Path) -> None:
    run = make_run(films, tmp_path / "run", CASES[:1])
    with JudgeEndpoint() as judge:
        panel = judge_run(run, Plan("pairs", showing=WHOLE), settings(judge))
    shown = {(v.asked.case, v.asked.rows, v.asked.aspect) for v in panel.verdicts}
    assert len(shown) == len(panel.verdicts) == 2 * 3 * len(RUBRICS)
    assert all((case, (b, a), aspect) in shown for case, (a, b), aspect in shown)
    summary = summarise(panel, run.rows, {}, [agreement.Preference(CASES[0], *ROWS)])
    wins = {line.row: line.values[MEAN].mean for line in summary.lines}
    assert wins[ROWS[1]] < 0.2 < wins[ROWS[0]]
    assert summary.people is not None and summary.people.accuracy == 1
    # The films of the first row and of the truth are alike, so that a sway shows there alone.
    assert summary.position is not None and summary.position.swayed < 0.5


def test_a_judge_that_takes_the_first_film_is_found_out(run: Run) -> None:
    with JudgeEndpoint(always="first") as judge:
        panel = judge_run(run, Plan("pairs", showing=WHOLE), settings(judge))
    summary = summarise(panel, run.rows, {})
    assert summary.position == agreement.Position(36, 1.0, 1.0)
    assert all(line.values[MEAN].mean == 0.5 for line in summary.lines)
    assert any("order" in warning for warning in summary.warnings)


def test_a_judge_that_finds_all_splendid_is_found_out(run: Run) -> None:
    with JudgeEndpoint(always="five") as judge:
        panel = judge_run(run, Plan(repeats=5, showing=WHOLE), settings(judge, connections=8))
        assert {body["seed"] for body in judge.bodies} == set(range(5))
    summary = summarise(panel, run.rows, {})
    assert summary.high == {rubric.key: 1.0 for rubric in RUBRICS}
    assert len(summary.warnings) == len(RUBRICS)


def test_what_depends_on_the_question_asks_again(films: Path, tmp_path: Path) -> None:
    run = make_run(films, tmp_path / "run", CASES[:1])
    with JudgeEndpoint(always="five") as judge:
        judge_run(run, BRIEF, settings(judge))
        for plan, model in (
            (Plan(sampling=Sampling(0.1), showing=WHOLE), "m"), (BRIEF, "other"),
            (Plan(showing=Showing("video", frames=3, audio=True)), "m"),
            (Plan(seed=3, showing=WHOLE), "m"),
        ):  # fmt: skip
            before = len(judge.bodies)
            judge_run(run, plan, settings(judge, model=model))
            assert len(judge.bodies) - before == asks(run)


def test_without_a_url_nothing_is_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(command.URL, raising=False)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    with pytest.raises(InvalidInput, match="There is no judge"):
        command.run(parser.parse_args([str(run.folder)]), lambda *_: None)


# --- what a judge is shown -------------------------------------------------------------------


def message(
    path: Path, rubric: rubrics.Rubric, mesh: FaceMesh, showing: Showing | None = None,
    words: Iterable[sheets.Word] = (), truth: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    film = evidence.open_film(path, truth or path, tuple(words))
    parts = evidence.messages(film, [rubric], showing or Showing(), lambda: mesh)
    return {"messages": [{"content": ""}, {"content": parts[rubric.key]}]}


def test_whole_pictures_are_spread_over_the_film(films: Path, mesh: FaceMesh) -> None:
    body = message(films / f"{TRUTH}.mp4", MOTION, mesh, Showing(frames=4, side=128))
    whole = [p for p in pictures(body) if p.shape[1] == 128]
    assert len(whole) == 4
    assert "lasts 1.60 s" in texts(body) and "0.00, 0.48, 1.04, 1.52 s" in texts(body)


def test_close_ups_hold_on_to_the_mouth(rig: Rig, mesh: FaceMesh) -> None:
    """The head turns; the lips stay in the middle of their pictures."""
    frames = moving(rig, turn=25.0)
    course = follow(frames, mesh)
    assert course is not None
    tiles = crops(frames, course, "mouth", 192)
    still = crops(frames, None, "mouth", 192)
    assert len(tiles) == FRAMES and {tile.shape for tile in tiles} == {(154, 192, 3)}

    def wander(some: list[U8]) -> float:
        """How far the reddest part, which are the lips, moves sideways."""
        red = np.stack([t[..., 0].astype(float) - t[..., 1] for t in some])
        lips = np.clip(red - np.percentile(red, 85, axis=(1, 2), keepdims=True), 0, None)
        x = (lips.sum(axis=1) * np.arange(192)).sum(axis=1) / lips.sum(axis=(1, 2))
        assert 70 < np.median(x) < 122
        return float(np.std(x))

    assert wander(tiles) < 0.5 * wander(still)


def test_no_face_gives_the_middle(tmp_path: Path, mesh: FaceMesh) -> None:
    grey = [np.full((128, 128, 3), 90, np.uint8)] * 10
    write_film(tmp_path / "grey.mp4", grey, voice()[: 10 * 640])
    for rubric in RUBRICS:
        assert pictures(message(tmp_path / "grey.mp4", rubric, mesh))


def test_marks_follow_the_sound(rig: Rig, tmp_path: Path, mesh: FaceMesh) -> None:
    """The sheet says enough: from it alone a film with late sound is told from one in time."""
    from tests.engines.evaluate.judge_endpoint import follows

    frames = moving(rig, turn=0)
    found = {}
    for late in (0.0, 0.2):
        write_film(tmp_path / "a.mp4", frames, voice(late))
        shown = pictures(message(tmp_path / "a.mp4", LIP_SYNC, mesh))
        found[late] = follows([p for p in shown if p.shape[1] == sheets.COLUMNS * sheets.WIDTH])
    assert found[0.0] > 0.7 and found[0.0] > found[0.2] + 0.5


def test_sound_comes_from_the_truth_where_a_film_has_none(films: Path, mesh: FaceMesh) -> None:
    silent, truth = films / "silent.mp4", films / f"{TRUTH}.mp4"
    alone = evidence.open_film(silent, silent)
    assert evidence.can_judge(alone, LIP_SYNC, Showing()) == "it is silent"
    assert evidence.can_judge(alone, MOTION, Showing()) == ""
    film = evidence.open_film(silent, truth)
    assert evidence.can_judge(film, LIP_SYNC, Showing()) == ""
    assert "--judge-audio" in evidence.can_judge(film, LIP_SYNC, Showing("video"))
    assert evidence.can_judge(film, LIP_SYNC, Showing("video", audio=True)) == ""
    assert evidence.facts(film, LIP_SYNC, Showing()) != evidence.facts(alone, LIP_SYNC, Showing())


def test_words_are_drawn_and_told(films: Path, mesh: FaceMesh, tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("case,start,end,word\nc,0.1,0.4,hello\nc,0.4,0.9,Grüße\n")
    words = command.read_words(tmp_path / "w.csv")["c"]
    film = films / f"{TRUTH}.mp4"
    plain, told = (message(film, LIP_SYNC, mesh, words=w) for w in ((), words))
    assert "[0.10-0.40] hello [0.40-0.90] Grüße" in texts(told)
    assert pictures(told)[-1].shape[0] > pictures(plain)[-1].shape[0]


def test_films_and_sound_go_as_they_are(films: Path, mesh: FaceMesh) -> None:
    import base64
    import io
    import wave

    film = films / f"{TRUTH}.mp4"
    parts = message(film, LIP_SYNC, mesh, Showing("video", audio=True))["messages"][1]["content"]
    url = parts[0]["video_url"]["url"]
    assert url.startswith("data:video/mp4;base64,")
    assert base64.b64decode(url.split(",")[1]) == film.read_bytes()
    sound = base64.b64decode(parts[-1]["input_audio"]["data"])
    with wave.open(io.BytesIO(sound)) as file:
        assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
        assert abs(file.getnframes() - FRAMES * 640) < 640


def test_loudness() -> None:
    loud = sheets.loudness(np.concatenate([voice()[:3200] * 0, voice()[1000:4200]]))
    assert not loud[:20].any() and loud.max() == 1
    assert not sheets.loudness(np.zeros(1600, np.float32)).any()
    assert len(sheets.loudness(np.zeros(10, np.float32))) == 0


@pytest.mark.parametrize("values", [{"frames": 0}, {"frames": 65}, {"side": 9}, {"side": 4096}])
def test_showings_that_make_no_sense(values: dict[str, int]) -> None:
    with pytest.raises(InvalidInput):
        Showing(**values)  # type: ignore[arg-type]


# --- the endpoint ----------------------------------------------------------------------------

HELLO = [{"type": "text", "text": "hello"}]


async def asked(judge: JudgeEndpoint, **others: Any) -> str:
    async with Endpoint(settings(judge, **others)) as endpoint:
        return await endpoint.ask("system", HELLO, Sampling())


async def test_a_busy_judge_is_given_the_time_it_asks_for() -> None:
    with JudgeEndpoint(["busy"], always="five") as judge:
        assert read_score(await asked(judge)) == 5
        assert 0.95 < judge.times[1] - judge.times[0] < 3


async def test_a_judge_that_asks_for_a_day_is_left_alone() -> None:
    with JudgeEndpoint(always="busy for long") as judge:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="come back tomorrow"):
            await asked(judge)
        assert time.monotonic() - began < 2 and len(judge.bodies) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3), ("", 0), ("soon", 0), ("-1", 0), ("9" * 9, 0), ("Fri, 31 Dec 1999 23:59:59 GMT", 0)],
)
def test_times_a_server_asks_for(value: str, seconds: float) -> None:
    assert retry_after(value) == seconds


def test_a_date_a_server_asks_for() -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 27 < retry_after(then) <= 30


async def test_parameters_that_are_not_taken_are_left_out() -> None:
    with JudgeEndpoint(always="no temperature") as judge:
        async with Endpoint(settings(judge, extra={"top_p": 0.5})) as endpoint:
            for _ in range(2):
                with pytest.raises(KeyError):  # the test's judge finds no pictures in a hello
                    json.loads(await endpoint.ask("s", HELLO, Sampling()))["nothing"]
        first, *rest = judge.bodies
        assert "temperature" in first and len(rest) == 2
        assert all("temperature" not in body and "max_tokens" not in body for body in rest)
        assert all(body["max_completion_tokens"] == 4_000 for body in rest)
        assert all(body["top_p"] == 0.5 for body in judge.bodies)


async def test_the_first_model_listed_is_taken_when_none_is_named() -> None:
    with JudgeEndpoint(always="five") as judge:
        await asked(judge, model="")
        assert judge.bodies[0]["model"] == "eyes-of-a-test"


@pytest.mark.parametrize(
    ("mood", "kind", "why"),
    [
        ("locked", Unavailable, "401"),
        ("error", Unavailable, "out of memory"),
        ("refuses", InvalidInput, "--judge-input"),
        ("huge", InvalidInput, "too long"),
    ],
)
async def test_failures_say_what_to_do(mood: str, kind: type[SaccadeError], why: str) -> None:
    with JudgeEndpoint(always=mood) as judge:
        with pytest.raises(kind, match=why) as caught:
            await asked(judge, tries=2)
        assert KEY not in str(caught.value)
        assert len(judge.bodies) <= 2


async def test_nobody_there_too_slow_too_large_or_no_chat() -> None:
    with JudgeEndpoint(always="not json") as judge:
        assert await asked(judge) == ""
        with pytest.raises(InvalidInput, match="fewer frames"):
            await asked(judge, max_request=100)
        url = judge.url
    judge.always = "five"
    gone = EndpointSettings(url, "m", KEY, tries=2, first_wait=0.01)
    async with Endpoint(gone) as endpoint:
        with pytest.raises(Unavailable, match="can not be reached"):
            await endpoint.ask("s", HELLO, Sampling())
    with JudgeEndpoint(always="late") as judge:
        with pytest.raises(Unavailable, match="in time"):
            await asked(judge, total_seconds=0.1)


@pytest.mark.parametrize(
    "url",
    ["", "judge", "ftp://a/v1", "http://", "http://a:b@c/v1", "http://c/v1?key=x", "http://[",
     "http://c:port/v1", "http://c/v1#x"],
)  # fmt: skip
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(InvalidInput, match="URL"):
        EndpointSettings(url)


def test_keys_that_are_none_and_do_not_show() -> None:
    with pytest.raises(InvalidInput, match="key"):
        EndpointSettings("http://a/v1", api_key="a\r\nX: y")
    assert KEY not in repr(EndpointSettings("http://a/v1", api_key=KEY))


# --- answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('{"score": 4}', 4),
        ("<think>He blinks. {\"score\": 1}</think>\n{'score': 3}", 3),
        ("no opening tag </think> {'score': 3}", 3),
        ('```json\n{"score": 2}\n```', 2),
        ('<THINK>x</THINK>{"score": 4.0} I hope this helps!', 4),
        ('{"Score" : "5"}', 5),
        ('{"score": 3/5}', 3),
        ('{"score": 4, "why": "good"}', 4),
        ("{score: 1}", 1),
        ("{“score”: 2}", 2),
        ("4", 4),
        ("Score: 4.", 4),
        ('{"score": 4} {"score": 4}', 4),
        ('<think>I forget to end this. {"score": 2}', 2),
    ],
)
def test_scores_are_read(text: str, score: int) -> None:
    assert read_score(text) == score


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "Four stars.", '{"score": }', '{"score": 0}', '{"score": 6}', '{"score": -3}',
        '{"score": 3.5}', '{"score": 4} or {"score": 2}', '<think>maybe {"score": 4}, or not',
        '<think>{"score": 4}</think>', '{"score": null}', '{"score": ٤}', '{"score": 4e9}',
        '{"score": "integer between 1 and 5"}', "4 5",
    ],
)  # fmt: skip
def test_what_is_no_score(text: str) -> None:
    with pytest.raises(Unreadable):
        read_score(text)


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ('{"better": "first"}', "first"),
        ("<think>first</think>{'better': 'Second'}", "second"),
        ('{"better": 2}', "second"),
    ],
)
def test_choices_are_read(text: str, better: str) -> None:
    assert read_better(text) == better


@pytest.mark.parametrize(
    "text", ["", "first", '{"better": "tie"}', '{"better":"first"}{"better":"second"}']
)
def test_what_is_no_choice(text: str) -> None:
    with pytest.raises(Unreadable):
        read_better(text)


WILD = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(
            ["<think>", "</think>", "{", "}", '"score"', "'score'", ":", "4", "9", "```json", "<",
             '{"score": 4}', '{"better": "first"}', " ", "\n"]
        ),
    ),
    max_size=30,
).map("".join)  # fmt: skip


@hypothesis_settings(deadline=None)
@given(WILD)
@example("<think>" * 5_000)
@example('{"score":' * 5_000)
@example("{" + '"' * 100_000)
@example("</think>" * 50_000)
def test_wild_text_is_a_mark_or_no_answer(text: str) -> None:
    began = time.monotonic()
    for read in (read_score, read_better):
        try:
            assert read(text) in (1, 2, 3, 4, 5, answers.FIRST, answers.SECOND)
        except Unreadable as error:
            assert error.message
    assert time.monotonic() - began < 2


@hypothesis_settings(deadline=None)
@given(
    WILD.filter(lambda t: "<" not in t),
    st.integers(1, 5),
    st.sampled_from(["{}", " {} ", "```json\n{}\n```"]),
)
def test_whatever_was_thought_the_mark_is_read(thought: str, mark: int, around: str) -> None:
    said = around.format('{"score": %d}' % mark)  # noqa: UP031
    assert read_score(f"<think>{thought}</think>{said}") == mark


# --- the cache -------------------------------------------------------------------------------


def test_entries_come_back(tmp_path: Path) -> None:
    cache, key = Cache(tmp_path), question_key({"a": 1})
    assert cache.get(key) is None
    for entry in (Entry("4", "", "said"), Entry(None, "no score", "…", 3)):
        cache.put(key, entry)
        assert cache.get(key) == entry
    assert key != question_key({"a": 2}) and len(key) == 64
    assert [p.name for p in tmp_path.iterdir()] == [f"{key}.json"]


@hypothesis_settings(deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
@example(b"[" * 100_000)
@example(b'{"version": 1, "key": "k", "value": 4, "why": "", "said": "", "tries": 1}')
@example(b'{"version": 1, "key": "other", "value": "4", "why": "", "said": "", "tries": 1}')
@example(b" " * (2 << 20))
def test_damaged_entries_are_ignored(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "k.json").write_bytes(data)
    assert Cache(folder).get("k") is None


# --- agreement -------------------------------------------------------------------------------

NO = float("nan")
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NO, NO, NO],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NO, 3],
        [NO, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NO],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NO],
    ]
)
"Four observers, twelve units: section E of Krippendorff (2011), where the ordinal α is 0.815."


def test_krippendorffs_own_example() -> None:
    assert agreement.krippendorff(PUBLISHED) == pytest.approx(0.815, abs=5e-4)


def test_alpha_by_hand() -> None:
    """Two observers, three units, values 1 1, 2 2, 1 2: pairs o11 = 2, o22 = 2, o12 = o21 = 1.

    Both values come three times, so of two values any distance will do: disagreement observed
    2 / 6, expected 2 · 3 · 3 / (6 · 5); α = 1 - (1/3) / (3/5) = 4/9.
    """
    ratings = np.array([[1.0, 2, 1], [1, 2, 2]])
    assert agreement.krippendorff(ratings) == pytest.approx(4 / 9)
    assert agreement.krippendorff(np.array([[1.0, 2, 5], [1, 2, 5]])) == 1
    assert agreement.krippendorff(np.array([[1.0, 5], [5, 1]])) < 0
    for nothing in ([[1.0, NO], [NO, 2]], [[3.0, 3], [3, 3]]):
        assert np.isnan(agreement.krippendorff(np.array(nothing)))


@hypothesis_settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 5), min_size=3, max_size=3), min_size=2, max_size=9))
def test_alpha_asks_for_order_alone(units: list[list[int]]) -> None:
    ratings = np.array(units, np.float64).T
    alpha = agreement.krippendorff(ratings)
    assert np.isnan(alpha) or alpha <= 1 + 1e-12
    for other in (np.exp(ratings), ratings[::-1]):
        np.testing.assert_allclose(agreement.krippendorff(other), alpha, atol=1e-9)


def test_accuracy_gives_ties_half_credit() -> None:
    prefer = [agreement.Preference("c", "a", row) for row in ("b", "d", "e", "f")]
    scores = {("c", "a"): 3.0, ("c", "b"): 2.0, ("c", "d"): 3.0, ("c", "e"): 4.0}
    found = agreement.accuracy(prefer, scores)  # right, tied, wrong; of f nothing is known
    assert found == agreement.Accuracy(3, 0.5, 2 / 3, 0.5)
    assert agreement.accuracy(prefer, {}) is None
    third = {("c", "a"): (1 + 2 + 3) / 3, ("c", "b"): (0.1 + 0.2 + 5.7) / 3}
    tied = agreement.accuracy(prefer, third)
    assert tied is not None and tied.coverage == 0 and tied.accuracy == 0.5


def test_people_of_one_mind_count(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(
        "case,a,b,preferred\n1,x,y,x\n1,y,x,x\n2,x,y,x\n2,x,y,y\n3,x,y,tie\n4,x,truth,truth\n"
    )
    kept, unclear = agreement.read_preferences(path)
    expected = [agreement.Preference("1", "x", "y"), agreement.Preference("4", "truth", "x")]
    assert kept == expected and unclear == 2


@pytest.mark.parametrize("text", ["", "case,a\n1,2\n", "case,a,b,preferred\n1,x,y,z\n", "\0"])
def test_preferences_that_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "people.csv"
    path.write_text(text)
    for each in (path, tmp_path / "missing.csv"):
        with pytest.raises(InvalidInput):
            agreement.read_preferences(each)


def test_position_bias() -> None:
    first, second = answers.FIRST, answers.SECOND
    found = agreement.position([(first, second), (first, first), (second, first), (first, first)])
    assert found == agreement.Position(8, 0.75, 0.5)
    assert agreement.position([]) is None


def test_saturation() -> None:
    assert agreement.saturation([5, 4, 3, 1]) == 0.5
    assert np.isnan(agreement.saturation([]))


@pytest.mark.parametrize("text", ["case,start,end,word\nc,2,1,a\n", "case,word\nc,a\n", "\0"])
def test_words_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "w.csv").write_text(text)
    with pytest.raises(InvalidInput):
        command.read_words(tmp_path / "w.csv")


def test_a_summary_of_nothing() -> None:
    panel = Panel("m", Plan(), 0)
    assert "row" in as_markdown(summarise(panel, ROWS, {}), panel)
