"""What instructions come to: a table of sentences, and anything else survived."""

from __future__ import annotations

import time
from typing import TypeAlias

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core import CHANNELS, MOUTH_CHANNELS, POSE_SLICE, InvalidInput
from planner import physiology as ph
from planner.categories import LABELS
from planner.cues import Cue
from planner.grammar import MAX_CHARACTERS, parse
from planner.moves import RULES
from planner.words import languages, load_language, read_language


def only(text: str) -> Cue:
    parsed = parse(text)
    assert not parsed.unknown, parsed.unknown
    assert len(parsed.cues) == 1, parsed.cues
    return parsed.cues[0]


@pytest.mark.parametrize(
    ("text", "x", "y"),
    [
        ("look left", 1, 0),
        ("look right", -1, 0),
        ("look up", 0, -1),
        ("look down", 0, 1),
        ("look up and left", 1, -1),
        ("look down right", -1, 1),
        ("eyes left", 1, 0),
        ("lower your eyes", 0, 1),
        ("Please glance to your right.", -1, 0),
        ("look at me", 0, 0),
        ("keep eye contact", 0, 0),
        ("look straight ahead", 0, 0),
    ],
)
def test_gaze_goes_to_the_persons_own_side(text: str, x: int, y: int) -> None:
    gaze = only(text).gaze
    assert gaze is not None
    assert [(v > 0) - (v < 0) for v in gaze] == [x, y]


def test_amounts_of_gaze() -> None:
    sizes = []
    for how in ("slightly ", "a little ", "", "far "):
        gaze = only(f"look {how}left").gaze
        assert gaze is not None
        sizes.append(gaze[0])
    assert sizes == sorted(sizes) and sizes[0] < sizes[2] < sizes[3]
    assert only("look 12 degrees to the left").gaze == (12, 0)
    assert only("look 50% left").gaze == (0.5 * sizes[2], 0)
    assert only("look up 10°").gaze == (0, -10)


@pytest.mark.parametrize(
    ("text", "raised", "still"),
    [
        ("raise your left eyebrow", {"AU1_L", "AU2_L"}, {"AU1_R", "AU2_R"}),
        ("Raise the RIGHT brow", {"AU1_R", "AU2_R"}, {"AU1_L", "AU2_L"}),
        ("left eyebrow up", {"AU1_L", "AU2_L"}, {"AU1_R", "AU2_R"}),
        ("raise both eyebrows", {"AU1_L", "AU1_R", "AU2_L", "AU2_R"}, set()),
        ("frown", {"AU4"}, set()),
        ("close your left eye", {"AU45_L"}, set()),
        ("close your eyes", {"AU45_L", "AU45_R"}, set()),
        ("keep your eyes closed", {"AU45_L", "AU45_R"}, set()),
        ("open your eyes wide", {"AU5"}, {"AU45_L", "AU45_R"}),
        ("squint", {"AU7"}, {"AU5"}),
        ("smile", {"smile", "AU6"}, set()),
    ],
)
def test_units_of_the_face(text: str, raised: set[str], still: set[str]) -> None:
    controls = only(text).controls
    assert all(controls[name] > 0.3 for name in raised)
    assert all(controls[name] == 0 for name in still)


@pytest.mark.parametrize(
    ("text", "axis", "degrees"),
    [
        ("turn your head left", "yaw", 16),
        ("turn your head to the right 20 degrees", "yaw", -20),
        ("tilt your head left", "roll", 9),
        ("tilt your head to the right", "roll", -9),
        ("lower your head", "pitch", 11),
        ("raise your head", "pitch", -11),
        ("chin up", "pitch", -11),
        ("head down", "pitch", 11),
        ("tilt your head back", "pitch", -11),
        ("turn your head 900 degrees left", "yaw", 31),
    ],
)
def test_head_axes_and_signs(text: str, axis: str, degrees: float) -> None:
    assert only(text).controls == {axis: pytest.approx(degrees)}


def test_gestures() -> None:
    assert (only("blink twice").gesture, only("blink twice").times) == ("blink", 2)
    assert only("blink three times").times == 3
    assert only("nod 4 times").times == 4
    assert (only("wink").gesture, only("wink right").side) == ("wink", "R")
    assert only("wink with your left eye").side == "L"
    assert only("shake your head").gesture == "shake"
    assert only("blink 5000 times").times <= 8


def starts(text: str) -> list[tuple[str, float]]:
    parsed = parse(text)
    assert not parsed.unknown, parsed.unknown
    return [(cue.words, round(cue.at, 2)) for cue in parsed.cues]


def test_order() -> None:
    """ "then" and commas follow each other, "and" and "while" go together."""
    (_, a), (_, b) = starts("look left, then blink")
    assert a == 0 and b > 0.5
    assert [at for _, at in starts("nod and blink twice")] == [0, 0]
    assert [at for _, at in starts("while looking at me, turn your head left")] == [0, 0]
    assert [at for _, at in starts("smile while looking down")] == [0, 0]
    assert [at for _, at in starts("look left, then right, then at me")] == [0, 1.1, 2.2]
    # The same eyes can not do both at once:
    assert [at for _, at in starts("look left and right")] == [0, 1.1]
    assert [at for _, at in starts("look left and look right")] == [0, 1.1]


def test_time() -> None:
    assert only("look left for 2 seconds").hold == 2
    assert only("close your eyes for 1500 ms").hold == 1.5
    assert only("look left").hold is None
    assert only("after 1 second, look down").at == 1
    assert only("wait 2 seconds then wink").at == 2
    assert only("look up in 3 seconds").at == 3
    cues = parse("look right for 2 seconds, then close your eyes for half a second, nod").cues
    assert [cue.at for cue in cues] == pytest.approx([0, 2, 2.5])
    assert only("slowly lower your head").rise > 1.8 * only("lower your head").rise


def test_the_example_of_the_paper() -> None:
    look, lower = parse("look slightly to the left, then lower the head smoothly").cues
    assert look.gaze is not None and 4 < look.gaze[0] < 12
    assert lower.at >= 0.7 and lower.controls["pitch"] > 5
    assert lower.gaze is not None and lower.gaze[0] == look.gaze[0]  # still to the left
    assert lower.rise > look.rise


def test_eyes_go_along_with_the_head_unless_told_otherwise() -> None:
    assert only("turn your head left").gaze == (16, 0)
    turn, look = parse("turn your head left while looking at me").cues
    assert turn.gaze is None and look.gaze == (0, 0)


def test_the_head_comes_back_when_the_eyes_go_too_far() -> None:
    _, look = parse("turn your head left, then look at me").cues
    assert set(look.free) == {"yaw"}
    _, look = parse("lower your head, then look at me").cues
    assert not look.free  # a look from under the brows
    _, look = parse("turn your head left while looking at me").cues
    assert not look.free


def test_letting_go() -> None:
    assert set(only("stop smiling").free) == {"smile", "AU6"}
    assert "gaze" in only("relax").free
    assert set(only("open your eyes").free) >= {"AU45_L", "AU45_R"}
    close, widen = parse("close your eyes for 2 seconds, then open them wide").cues
    assert close.ending == widen.at == 2 and widen.controls["AU5"] > 0.8


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("make me a sandwich", ("make me a sandwich",)),
        ("look at the purple elephant", ("look at the purple elephant",)),
        ("nod, then juggle, then wink", ("juggle",)),
        ("look left at the Eiffel tower", ("Eiffel tower",)),
        ("katso vasemmalle", ("katso vasemmalle",)),
        ("", ()),
        ("  \t\n ", ()),
        ("... !", ()),
    ],
)
def test_what_is_not_understood_is_returned(text: str, unknown: tuple[str, ...]) -> None:
    assert parse(text).unknown == unknown


def test_too_long_a_text_is_refused() -> None:
    parse("x" * MAX_CHARACTERS)
    with pytest.raises(InvalidInput, match="501 characters"):
        parse("x" * (MAX_CHARACTERS + 1))


WORDS = st.lists(
    st.one_of(
        st.sampled_from(sorted(load_language("en").lexicon)),
        st.integers(0, 10**12).map(str),
        st.sampled_from(["☃", "0.5", "\x00", "٣", "'", "°", "left,", "twice."]),
    ),
    max_size=30,
).map(lambda words: " ".join(words)[:MAX_CHARACTERS])


@given(st.one_of(WORDS, st.text(max_size=MAX_CHARACTERS)), st.integers(0, 2**31))
@example("blink " * 80, 0)
@example("then and while , " * 29, 0)
@example("9" * 500, 0)
@settings(max_examples=300, deadline=None)
def test_any_text_gives_playable_cues_soon(text: str, seed: int) -> None:
    begun = time.perf_counter()
    parsed = parse(text, seed=seed)
    assert time.perf_counter() - begun < 0.5
    assert parse(text, seed=seed) == parsed
    limits = dict(zip(CHANNELS[POSE_SLICE], ph.POSE_LIMITS, strict=True))
    for cue in parsed.cues:
        assert 0 <= cue.at <= 600 and cue.rise > 0 and 1 <= cue.times <= 8
        assert cue.hold is None or 0 <= cue.hold <= 600
        for name, value in cue.controls.items():
            assert name in CHANNELS or name in MOUTH_CHANNELS
            assert abs(value) <= limits.get(name, 1.0)
        if cue.gaze is not None:
            assert abs(cue.gaze[0]) < 70 and abs(cue.gaze[1]) < 45
    assert all(part in text for part in parsed.unknown)


@pytest.mark.parametrize("code", languages())
def test_every_verb_and_part_of_a_language_has_a_rule(code: str) -> None:
    lexicon = load_language(code).lexicon.values()
    used = {pair.strip().partition(" ")[0] for said, _ in RULES for pair in said.split("/")}
    assert {v for kind, v in lexicon if kind == "verbs"} <= used | {"wait", "act", "again"}
    parts = {pair.strip().partition(" ")[2] for said, _ in RULES for pair in said.split("/")}
    assert {v for kind, v in lexicon if kind == "parts"} == parts - {"", "*"}


@pytest.mark.parametrize("code", languages())
def test_a_language_has_words_for_everything(code: str) -> None:
    lexicon = load_language(code).lexicon.values()
    values = {(kind, str(value)) for kind, value in lexicon}
    for kind, names in (
        ("links", "then while and list"),
        ("parts", "eyes lids brows head"),
        ("ways", "left right up down viewer away back"),
        ("stretches", "for after every"),
        ("units", "degrees percent times 1"),
        ("labels", " ".join(LABELS.keys() - {"speaking"})),
        ("verbs", "look turn tilt raise lower close open widen squint frown blink wink nod shake "
         "smile rest wait still contact away again"),
    ):  # fmt: skip
        spoken = values | {("verbs", verb) for verb in load_language(code).separable.values()}
        assert {(kind, name) for name in names.split()} <= spoken


def test_a_wrong_language_file_says_what_is_wrong() -> None:
    with pytest.raises(InvalidInput, match="unknown tables: verb"):
        read_language("xx", {"verb": {}})
    with pytest.raises(InvalidInput, match="no 'leap'"):
        read_language("xx", {"verbs": {"leap": ["hop"]}})
    with pytest.raises(InvalidInput, match="'hop' stands in"):
        read_language("xx", {"verbs": {"nod": ["hop"], "wink": ["hop"]}})
    with pytest.raises(InvalidInput, match="Languages: en, de, es"):
        parse("hop", language="xx")


# --- Beyond single movements -------------------------------------------------------------------


def test_a_state_is_acted_for_a_while() -> None:
    sad, left = parse("look sad for 3 seconds, then look left").cues
    assert (sad.label, sad.hold, left.at) == ("sadness", 3.0, 3.0)
    tired, happy = parse("act tired, then be happy").cues
    assert (tired.label, happy.label) == ("drowsiness", "social_engagement")


def test_what_shall_not_be_done() -> None:
    (open_eyed,) = parse("don't blink for 5 seconds").cues
    assert open_eyed.no_blink == 5.0
    (away,) = parse("don't look at me").cues
    assert away.gaze is not None and abs(away.gaze[0]) > 8
    still, look = parse("look left without moving your head").cues
    assert still.still and still.at == look.at == 0 and look.gaze is not None
    assert parse("keep your head still").cues[0].still
    assert parse("don't sing").unknown == ("don't sing",)


def test_repetition() -> None:
    blinks = parse("blink every 3 seconds for 12 seconds").cues
    assert [cue.at for cue in blinks] == [0, 3, 6, 9]
    look, wink, again = parse("look left, wink, do it again").cues
    assert again.gesture == wink.gesture == "wink" and again.at > wink.at
    assert len(parse("nod every second for 10 minutes").cues) <= 40


def test_stop_and_never_mind_let_go_of_everything() -> None:
    for text in ("stop", "never mind", "hör auf", "relájate"):
        (cue,) = parse(text).cues
        assert {"gaze", "pitch", "AU4"} <= set(cue.free)


Expected: TypeAlias = dict[str, object]
GERMAN: list[tuple[str, Expected]] = [
    ("schau nach links", {"gaze": "left"}),
    ("Schau bitte nach rechts oben", {"gaze": "right up"}),
    ("blick nach unten", {"gaze": "down"}),
    ("sieh mich an", {"gaze": "viewer"}),
    ("schau mir in die Augen", {"gaze": "viewer"}),
    ("hebe die linke Augenbraue", {"AU2_L": 1, "AU2_R": 0}),
    ("zieh die rechte Augenbraue hoch", {"AU2_R": 1, "AU2_L": 0}),
    ("zieh die Augenbrauen hoch", {"AU2_L": 1, "AU2_R": 1}),
    ("zieh die Augenbrauen zusammen", {"AU4": 1}),
    ("runzle die Stirn", {"AU4": 1}),
    ("reiß die Augen auf", {"AU5": 1}),
    ("mach die Augen weit auf", {"AU5": 1}),
    ("mach die Augen zu", {"AU45_L": 1, "AU45_R": 1}),
    ("schließe die Augen für 2 Sekunden", {"AU45_L": 1, "hold": 2.0}),
    ("schließ das linke Auge", {"AU45_L": 1}),
    ("kneif die Augen zusammen", {"AU7": 1}),
    ("blinzle", {"gesture": "blink", "times": 1}),
    ("blinzle dreimal", {"gesture": "blink", "times": 3}),
    ("blinzle langsam", {"gesture": "blink"}),
    ("zwinkere mit dem linken Auge", {"gesture": "wink", "side": "L"}),
    ("nicke zweimal", {"gesture": "nod", "times": 2}),
    ("schüttle den Kopf", {"gesture": "shake"}),
    ("dreh den Kopf nach links", {"yaw": 1}),
    ("dreh den Kopf 12,5 Grad nach rechts", {"yaw": -12.5}),
    ("neige den Kopf nach rechts", {"roll": -1}),
    ("hebe den Kopf", {"pitch": -1}),
    ("senke den Kopf leicht", {"pitch": 1}),
    ("lächle", {"smile": 1}),
    ("entspann dich", {"free": True}),
    ("halt den Kopf still", {"still": True}),
    ("nicht blinzeln", {"no_blink": True}),
    ("sei traurig", {"label": "sadness"}),
    ("wirke müde", {"label": "drowsiness"}),
]
SPANISH: list[tuple[str, Expected]] = [
    ("mira a la izquierda", {"gaze": "left"}),
    ("mira hacia arriba", {"gaze": "up"}),
    ("mira abajo y a la derecha", {"gaze": "right down"}),
    ("mírame", {"gaze": "viewer"}),
    ("mira a la cámara", {"gaze": "viewer"}),
    ("levanta la ceja izquierda", {"AU2_L": 1, "AU2_R": 0}),
    ("levanta las cejas", {"AU2_L": 1, "AU2_R": 1}),
    ("frunce el ceño", {"AU4": 1}),
    ("cierra los ojos durante 3 segundos", {"AU45_L": 1, "hold": 3.0}),
    ("cierra el ojo derecho", {"AU45_R": 1}),
    ("abre mucho los ojos", {"AU5": 1}),
    ("entorna los ojos", {"AU45_L": 1}),
    ("parpadea dos veces", {"gesture": "blink", "times": 2}),
    ("guiña el ojo izquierdo", {"gesture": "wink", "side": "L"}),
    ("asiente tres veces", {"gesture": "nod", "times": 3}),
    ("niega con la cabeza", {"gesture": "shake"}),
    ("gira la cabeza 20 grados a la derecha", {"yaw": -20.0}),
    ("inclina la cabeza a la izquierda", {"roll": 1}),
    ("baja la cabeza lentamente", {"pitch": 1}),
    ("levanta la barbilla", {"pitch": -1}),
    ("sonríe un poco", {"smile": 1}),
    ("relájate", {"free": True}),
    ("no parpadees", {"no_blink": True}),
    ("ponte triste", {"label": "sadness"}),
    ("parece cansada", {"label": "drowsiness"}),
]


@pytest.mark.parametrize(("text", "expected"), GERMAN + SPANISH)
def test_other_languages_say_the_same(text: str, expected: Expected) -> None:
    parsed = parse(text)
    assert parsed.unknown == ()
    cue = parsed.cues[0]
    for key, value in expected.items():
        if key == "gaze":
            assert value == _where(cue)
        elif key in CHANNELS or key in MOUTH_CHANNELS:
            assert _agrees(cue.controls[key], value)
        elif value is True:
            assert getattr(cue, key)
        else:
            assert getattr(cue, key) == value


def _agrees(found: float, wanted: object) -> bool:
    if isinstance(wanted, float):
        return found == wanted
    assert isinstance(wanted, int)
    return found == 0 if wanted == 0 else found * wanted > 0


def _where(cue: Cue) -> str:
    assert cue.gaze is not None
    x, y = cue.gaze
    if (x, y) == (0, 0):
        return "viewer"
    sides = "left" if x > 1 else "right" if x < -1 else ""
    level = "up" if y < -1 else "down" if y > 1 else ""
    return f"{sides} {level}".strip()


def test_looking_away_is_looking_away_in_every_language() -> None:
    for text in ("look away", "schau weg", "aparta la mirada"):
        (cue,) = parse(text).cues
        assert cue.gaze is not None and abs(cue.gaze[0]) > 5


def test_order_in_other_languages() -> None:
    look, brow = parse("Schau nach links, dann zieh die linke Augenbraue hoch").cues
    assert 0 == look.at < brow.at
    look, wink = parse("nach 2 Sekunden schau nach oben, 3 Sekunden später zwinkere").cues
    assert look.at == 2.0 and wink.at >= 5.0
    still, look = parse("mira arriba sin mover la cabeza").cues
    assert still.still and still.at == look.at


def test_the_language_is_found() -> None:
    assert parse("mira arriba", language="es").cues == parse("mira arriba").cues
    assert parse("mira arriba", language="de").cues == ()
