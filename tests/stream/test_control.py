"""The control protocol: what is said is done or answered, and nothing else happens."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import Portrait
from runtime.events import Event
from runtime.session import Session
from stream.control import Protocol, encode
from stream.messages import MAX_TEXT, BadMessage, parse
from tests.runtime.test_session import ToneVoice, make, run, vowel


class Talk:
    """A protocol over a real session, with what it replied."""

    def __init__(self, portrait: Portrait, voice: ToneVoice | None = None) -> None:
        self.session: Session = make(portrait, voice)
        self.replies: list[Event] = []
        self.now = 100.0
        self.protocol = self.another()

    def another(self) -> Protocol:
        """Another client's socket."""
        return Protocol(self.session, self.replies.append, lambda: self.now)

    def sound(self, data: bytes) -> None:
        for _ in self.protocol.sound(data):
            pass

    def send(self, **message: object) -> Event:
        self.protocol.text(json.dumps(message))
        return self.replies[-1]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "behave", "label": "surprise"},
        {"type": "state", "state": "listening"},
        {"type": "interrupt"},
        {"type": "audio_start", "rate": 48_000, "channels": 2},
        {"type": "audio_end"},
        {"type": "ping"},
    ],
)
def test_good_commands_are_answered_with_their_id(
    portrait: Portrait, message: dict[str, object]
) -> None:
    reply = Talk(portrait).send(id="m1", **message)
    assert (reply.type, reply.cause) == ("ok", "m1")


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ({"type": "dance"}, "dance"),
        ({"type": "say"}, "text"),
        ({"type": "say", "text": "x", "shout": True}, "shout"),
        ({"type": "say", "text": "hello"}, "voice"),
        ({"type": "behave", "label": "flabbergasted"}, "flabbergasted"),
        ({"type": "behave", "instruction": "x" * 5000}, "characters"),
        ({"type": "state", "state": "dancing"}, "state"),
        ({"type": "audio_start", "rate": 5}, "rate"),
        ({"type": "audio_start", "channels": 7}, "channels"),
        ({}, "type"),
    ],
)
def test_bad_commands_are_refused_in_words_and_change_nothing(
    portrait: Portrait, message: dict[str, object], word: str
) -> None:
    talk = Talk(portrait)
    before = talk.session.info()
    reply = talk.send(id="m1", **message)
    assert (reply.type, reply.cause) == ("error", "m1")
    assert word in reply.data["detail"]
    assert talk.session.info() == before


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "42", '"say"', '{"type": 3}'])
def test_what_is_no_command_is_refused(text: str) -> None:
    with pytest.raises(BadMessage):
        parse(text)


def test_an_oversized_command_is_refused() -> None:
    with pytest.raises(BadMessage, match="characters"):
        parse(json.dumps({"type": "say", "text": "x" * MAX_TEXT}))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200) | st.binary(max_size=60).map(repr))
def test_wild_text_is_refused_cleanly(text: str) -> None:
    try:
        parse(text)
    except BadMessage as error:
        assert error.message


def test_unknown_parts_of_an_instruction_come_back(portrait: Portrait) -> None:
    talk = Talk(portrait)
    talk.send(id="m1", type="behave", instruction="look left, then frobnicate the gizmo")
    understood = next(r for r in talk.replies if r.type == "understood")
    assert any("frobnicate" in part for part in understood.data["unknown"])


def test_sound_in_odd_pieces_speaks(portrait: Portrait) -> None:
    talk = Talk(portrait)
    pcm = (vowel(0.5) * 32767).astype("<i2").tobytes()
    for at in range(0, len(pcm), 333):  # samples are cut in two
        talk.sound(pcm[at : at + 333])
    talk.send(id="m1", type="audio_end")
    windows = run(talk.session, 16)
    assert max(w.mouth.values.max() for w in windows) > 0.1
    assert not [r for r in talk.replies if r.type == "error"]


def test_stereo_at_48_khz_lasts_as_long(portrait: Portrait) -> None:
    talk = Talk(portrait)
    talk.send(type="audio_start", rate=48_000, channels=2)
    talk.sound(b"\x01\x00" * 2 * 48_000)
    talk.send(type="audio_end")
    sound = sum(bool(w.audio.samples.any()) for w in run(talk.session, 40))
    assert sound == 25


def test_too_much_sound_at_once_is_refused(portrait: Portrait) -> None:
    talk = Talk(portrait)
    talk.sound(bytes(2 * 16_000 * 11))
    assert talk.replies[-1].type == "error"
    assert not any(w.audio.samples.any() for w in run(talk.session, 3))


def test_long_messages_are_worked_off_in_small_steps(portrait: Portrait) -> None:
    talk = Talk(portrait)
    talk.send(type="audio_start", rate=44_100, channels=2)
    assert sum(1 for _ in talk.protocol.sound(bytes(4 * 44_100))) == 4


def test_errors_in_a_row_are_counted_and_forgiven(portrait: Portrait) -> None:
    talk = Talk(portrait)
    for _ in range(3):
        talk.protocol.text("nonsense")
    assert talk.protocol.errors == 3
    talk.send(type="ping")
    assert talk.protocol.errors == 0


def test_events_go_out_with_version_number_and_cause() -> None:
    wire = json.loads(encode(Event("speech", {"phase": "started"}, 640, "m1"), 7))
    assert wire == {
        "v": 1, "id": "e7", "cause": "m1", "type": "speech", "pts": 640, "phase": "started",
    }  # fmt: skip


PIECE = (vowel(0.5) * 32767).astype("<i2").tobytes()


def spoken(talk: Talk) -> bool:
    """Whether anything is heard in the next second."""
    return any(np.abs(w.audio.samples).max() > 0.01 for w in run(talk.session, 25))


def interrupted(talk: Talk, **start: object) -> Talk:
    """A client streams; another one interrupts, and the fade is over."""
    talk.send(type="audio_start", **start)
    talk.sound(PIECE)
    run(talk.session, 5)
    other = talk.another()
    other.text('{"type": "interrupt"}')
    run(talk.session, 5)
    return talk


@pytest.mark.parametrize("start", [{}, {"turn": 0}, {"rate": 48_000, "channels": 2}])
def test_sound_sent_before_another_s_interruption_was_known_is_not_spoken_in_the_new_turn(
    portrait: Portrait, start: dict[str, object]
) -> None:
    talk = interrupted(Talk(portrait), **start)
    for _ in range(8):
        talk.now += 0.1
        talk.sound(PIECE)
        assert not spoken(talk)
    talk.send(type="audio_end")
    assert not spoken(talk) and not [r for r in talk.replies if r.type == "error"]
    talk.sound(PIECE)  # another utterance
    assert spoken(talk)


@pytest.mark.parametrize("command", [{"type": "interrupt"}, {"type": "audio_start", "turn": 1}])
def test_a_client_that_has_learnt_of_it_goes_on_at_once(
    portrait: Portrait, command: dict[str, object]
) -> None:
    talk = interrupted(Talk(portrait), turn=0)
    talk.sound(PIECE[:1001])  # cut in the middle of a sample
    talk.send(**command)
    talk.sound(PIECE)
    assert talk.session._speech.waiting == len(PIECE) // 2, "from its first sample"
    assert spoken(talk)


@pytest.mark.parametrize("silence", ["nothing", "zeros"])
def test_half_a_second_of_silence_begins_an_utterance_of_who_only_sends_sound(
    portrait: Portrait, silence: str
) -> None:
    talk = interrupted(Talk(portrait))
    talk.sound(PIECE)
    if silence == "zeros":
        talk.sound(bytes(16_000))
    else:
        talk.now += 0.6
    assert not spoken(talk)
    talk.sound(PIECE)
    assert spoken(talk)
    named = interrupted(Talk(portrait), turn=0)
    named.sound(PIECE)
    named.now += 5
    named.sound(PIECE)
    assert not spoken(named), "it was meant for turn 0, however late"


def test_what_names_a_turn_that_is_over_is_refused_and_its_sound_dropped(
    portrait: Portrait,
) -> None:
    talk = interrupted(Talk(portrait, ToneVoice()))
    for command in ({"type": "say", "text": "Old."}, {"type": "audio_start"}):
        reply = talk.send(id="late", turn=0, **command)
        assert (reply.type, reply.cause, reply.data["code"]) == ("error", "late", "stale-turn")
        assert reply.data["status"] == 409 and reply.data["turn"] == 1
    talk.sound(PIECE)
    assert not spoken(talk)
    assert talk.send(type="audio_start", turn=1).type == "ok"
    talk.sound(PIECE)
    assert spoken(talk)


def test_a_microphone_is_not_held_back(portrait: Portrait) -> None:
    talk = interrupted(Talk(portrait), live=True)
    talk.sound(PIECE)
    assert spoken(talk)


def test_who_leaves_after_an_interruption_does_not_end_the_new_speaker(portrait: Portrait) -> None:
    talk = interrupted(Talk(portrait))
    other = talk.another()
    for _ in other.sound(PIECE):
        pass
    talk.protocol.end()
    segment = talk.session._voice._stream
    assert segment is not None and segment.open
