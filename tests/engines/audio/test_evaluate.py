"""The measures measure: truth is perfect, what is late is late by just that, noise is chance."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import (
    CHANNELS,
    F32,
    FPS,
    MOUTH,
    MOUTH_CHANNELS,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    U8,
    InvalidInput,
    MouthTrack,
    Portrait,
)
from engines.audio.corpus import Phone, Utterance, save_shard
from engines.audio.evidence import clips, evaluate, film, lip_tracking
from engines.audio.evidence.contacts import lip_gap, pressed, tucked
from engines.audio.evidence.listeners import Guess, energy, nearest_visemes, open_listener, through
from engines.audio.evidence.measures import measure, visemes_at
from engines.audio.evidence.tally import Errors, Tally, accuracy, f1, macro_f1, ratio
from engines.audio.visemes import MOUTHS, VISEME, VISEMES
from engines.film import write_film
from engines.puppet import Puppet
from engines.rig import build_rig

F64 = npt.NDArray[np.float64]
TOKEN = 0.02
SOUNDS = {
    "sil": "", "pbm": "b", "fv": "f", "th": "θ", "td": "t", "kg": "k", "ch": "ʃ", "sz": "s",
    "nl": "n", "r": "ɹ", "a": "a", "e": "ɛ", "i": "i", "o": "ɔ", "u": "u",
}  # fmt: skip


def said(*parts: tuple[str, int]) -> list[Phone]:
    """Phones of the named visemes, each so many tokens long."""
    phones, at = [], 0
    for name, tokens in parts:
        phones.append(Phone(SOUNDS[name], at * TOKEN, (at + tokens) * TOKEN))
        at += tokens
    return phones


def ideal(phones: list[Phone], late: int = 0) -> Guess:
    """What hears everything, ``late`` tokens after it is said."""
    tokens = round(phones[-1].end / TOKEN)
    classes = visemes_at(phones, (np.arange(tokens) + 0.5 - late) * TOKEN)
    mouth = np.zeros((tokens, len(MOUTH_CHANNELS)), np.float32)
    for k, kind in enumerate(classes):
        for name, value in MOUTHS[VISEMES[kind]].items():
            mouth[k, MOUTH[name]] = value
    return Guess(np.eye(len(VISEMES), dtype=np.float32)[classes], mouth)


def mouths(tokens: int, **channels: float) -> F32:
    """The same mouth all the time."""
    return MouthTrack.rest(tokens, **channels).values


@st.composite
def speech(draw: st.DrawFn) -> list[Phone]:
    """Pauses and sounds of 60 to 200 ms, no two neighbours alike, silence at both ends."""
    names = draw(st.lists(st.sampled_from(VISEMES[1:]), min_size=1, max_size=25))
    parts = [("sil", 20)]
    for name in names:
        if name == parts[-1][0]:
            parts.append(("sil", 20))
        parts.append((name, draw(st.integers(3, 10))))
    return said(*parts, ("sil", 20))


# --- truth, late truth, noise ----------------------------------------------------------------


@given(speech())
@settings(max_examples=60, deadline=None)
def test_truth_is_perfect(phones: list[Phone]) -> None:
    tally = measure(ideal(phones), phones)
    for confusion in (tally.strict, tally.lenient):
        assert accuracy(confusion) == macro_f1(confusion) == 1.0
    for contact in (tally.bilabial, tally.labiodental):
        assert contact.made == contact.wanted and contact.false == 0
        assert contact.right == contact.held
        assert contact.onset.missed == 0
        if contact.onset.found:
            assert contact.onset.median == contact.onset.most == 0
    assert tally.onset.found >= 1 and tally.onset.missed == 0
    assert tally.onset.median == tally.onset.most == 0
    assert tally.shut == tally.silent > 0


@given(speech(), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_late_truth_is_late_by_just_that(phones: list[Phone], late: int) -> None:
    tally = measure(ideal(phones, late), phones)
    assert tally.onset.median == tally.onset.most == 20 * late
    for name, contact in (("pbm", tally.bilabial), ("fv", tally.labiodental)):
        # Where the next one begins as soon as the late one does, nobody can tell them apart.
        begun = [p.start for p in phones if p.symbol == SOUNDS[name]]
        apart = np.diff(begun).min(initial=1.0) > 2 * TOKEN * late + 1e-6
        if contact.onset.found and apart:
            assert contact.onset.median == 20 * late
    assert accuracy(tally.strict) < 1
    # One token late is within the margin; more is not.
    assert (accuracy(tally.lenient) == 1) == (late == 1)


def test_early_truth_is_early() -> None:
    phones = said(("sil", 30), ("a", 8), ("pbm", 5), ("a", 8), ("sil", 30))
    tally = measure(ideal(phones, -2), phones)
    assert tally.onset.median == tally.bilabial.onset.median == -40


def test_noise_is_chance() -> None:
    rng = np.random.default_rng(3)
    parts = [(name, 6) for _ in range(60) for name in rng.permutation(VISEMES[1:])]
    phones = said(("sil", 20), *parts, ("sil", 20))
    tokens = round(phones[-1].end / TOKEN)
    guess = np.eye(15, dtype=np.float32)[rng.integers(15, size=tokens)]
    tally = measure(Guess(guess, mouths(tokens)), phones)
    assert accuracy(tally.strict) == pytest.approx(1 / 15, abs=0.02)
    assert macro_f1(tally.strict) == pytest.approx(1 / 15, abs=0.02)
    # Where two answers are right, chance is greater, but only there.
    assert 1 / 15 < accuracy(tally.lenient) < 2 / 15


def test_one_class_heard_as_another_costs_these_two_alone() -> None:
    phones = said(("sil", 20), ("a", 10), ("sz", 10), ("o", 10), ("sil", 20))
    heard = ideal(phones)
    classes = heard.visemes.argmax(1)
    classes[classes == VISEME["o"]] = VISEME["a"]
    scores = f1(measure(Guess(np.eye(15, dtype=np.float32)[classes], heard.mouth), phones).strict)
    assert scores[VISEME["o"]] == 0 and scores[VISEME["sz"]] == scores[VISEME["sil"]] == 1
    assert scores[VISEME["a"]] == pytest.approx(2 * 10 / (10 + 20))
    assert np.isnan(scores[VISEME["u"]])


# --- contacts --------------------------------------------------------------------------------


def _closing(start: int, end: int, tokens: int) -> Guess:
    mouth = mouths(tokens, jaw=0.4)
    mouth[start:end] = mouths(end - start, press=0.9)
    return Guess(np.eye(15, dtype=np.float32)[np.full(tokens, VISEME["a"])], mouth)


@pytest.mark.parametrize(
    ("start", "end", "made"),
    [(40, 44, 1), (42, 43, 1), (36, 38, 0), (37, 39, 1), (45, 47, 1), (46, 48, 0), (50, 54, 0)],
)
def test_a_closure_counts_within_40_ms_of_its_phone(start: int, end: int, made: int) -> None:
    phones = said(("sil", 20), ("a", 20), ("pbm", 4), ("a", 20), ("sil", 20))
    contact = measure(_closing(start, end, 84), phones).bilabial
    assert (contact.wanted, contact.made, contact.onset.missed) == (1, made, 1 - made)
    if made:
        assert contact.onset.median == 20 * (start - 40)


def test_a_mouth_that_never_or_always_closes_is_found_out() -> None:
    parts = [("a", 12), ("pbm", 4)] * 20
    phones = said(("sil", 20), *parts, ("a", 12), ("sil", 20))
    tokens = round(phones[-1].end / TOKEN)
    never = measure(_closing(0, 0, tokens), phones).bilabial
    assert never.recall == 0 and never.false == 0 and np.isnan(never.precision)
    always = measure(_closing(0, tokens, tokens), phones).bilabial
    assert always.recall == 1 and always.false == 21
    # 8 of every 16 tokens lie within 40 ms of a b.
    assert always.precision == pytest.approx(0.5, abs=0.02)
    assert always.false_rate == pytest.approx(21 / (always.elsewhere * TOKEN))


def test_a_single_token_is_no_false_closure_and_silence_none_either() -> None:
    phones = said(("sil", 30), ("a", 30), ("sil", 30))
    assert measure(_closing(40, 41, 90), phones).bilabial.false == 0
    assert measure(_closing(40, 42, 90), phones).bilabial.false == 1
    assert measure(_closing(0, 25, 90), phones).bilabial.false == 0


def test_pressing_needs_the_jaw_and_tucking_the_teeth() -> None:
    assert pressed(mouths(1, press=0.5, jaw=0.1))[0]
    assert not pressed(mouths(1, press=0.5, jaw=0.3))[0]
    assert not pressed(mouths(1))[0], "lips that only rest are not pressed"
    assert tucked(mouths(1, tuck=0.8, jaw=0.1))[0]
    assert not tucked(mouths(1, tuck=0.45, jaw=0.5))[0]
    assert not tucked(mouths(1, jaw=0.05))[0]


def test_lip_gap_is_the_puppets(portrait: Portrait) -> None:
    face = build_rig(portrait, 256).face
    rng = np.random.default_rng(1)
    mouth = (rng.random((400, 9)) * rng.random((400, 1))).astype(np.float32)
    mesh = face.deform(np.zeros((400, len(CHANNELS)), np.float32), mouth)
    seen = (mesh[:, 14, 1] - mesh[:, 13, 1]) / face.mouth.half
    gap = lip_gap(mouth)
    parted = gap > 0.05
    assert parted.sum() > 30
    assert np.abs(seen - gap)[parted].max() < 0.06
    assert np.corrcoef(seen[parted], gap[parted])[0, 1] > 0.98
    assert seen[pressed(mouth)].max() < 0.06


def test_silence_wants_the_jaw_up() -> None:
    phones = said(("sil", 30), ("a", 10), ("sil", 30))
    heard = ideal(phones)
    for jaw, share in ((0.05, 1.0), (0.07, 0.0)):
        tally = measure(Guess(heard.visemes, mouths(70, jaw=jaw)), phones)
        assert ratio(tally.shut, tally.silent) == share
        # 100 ms next to the a are not judged.
        assert tally.silent == 50


# --- sums ------------------------------------------------------------------------------------


@given(st.lists(st.floats(-0.39, 0.39), min_size=1, max_size=40))
def test_errors_have_the_quantiles_of_what_went_in(seconds: list[float]) -> None:
    errors = Errors.of(seconds)
    ms = np.rint(np.array(seconds) * 1000)
    assert errors.median == np.percentile(ms, 50, method="inverted_cdf")
    assert errors.most == np.percentile(np.abs(ms), 90, method="inverted_cdf")
    halves = Errors.of(seconds[::2]) + Errors.of(seconds[1::2], missed=2)
    assert (halves.counts == errors.counts).all() and halves.missed == 2


def test_of_nothing_nothing_is_known() -> None:
    empty = measure(Guess(np.zeros((0, 15), np.float32), mouths(0)), [])
    assert np.isnan(accuracy(empty.strict)) and np.isnan(macro_f1(empty.strict))
    assert np.isnan(empty.bilabial.recall) and np.isnan(empty.onset.median)
    assert (Tally() + empty).utterances == 1


# --- listeners -------------------------------------------------------------------------------


def test_energy_opens_with_loudness_whatever_the_gain() -> None:
    rng = np.random.default_rng(0)
    loud = np.repeat([0.0, 1.0, 0.0, 0.5, 0.0], SAMPLE_RATE // 2)
    sound = (0.3 * loud * rng.standard_normal(len(loud))).astype(np.float32)
    heard = energy(sound)
    jaw = heard.mouth[:, MOUTH["jaw"]].reshape(5, 25)[:, 5:-5]
    assert (jaw[::2] == 0).all() and jaw[1].mean() > jaw[3].mean() + 0.2 > 0.2
    classes = heard.visemes.argmax(1).reshape(5, 25)[:, 5:-5]
    assert (classes[::2] == VISEME["sil"]).all() and (classes[1] == VISEME["a"]).all()
    quiet = energy(0.02 * sound)
    assert np.abs(quiet.mouth - heard.mouth).max() < 0.01
    assert len(energy(np.zeros(0, np.float32)).mouth) == 0
    assert not energy(np.zeros(16_000, np.float32)).mouth.any()


@dataclass
class EchoMouth:
    """A mouth whose jaw is the level of the sound of ``lookahead`` samples ago."""

    lookahead: int
    loudness: float = 0.0
    speaking: bool = False

    def __post_init__(self) -> None:
        self._held = np.zeros(self.lookahead, np.float32)

    @property
    def tokens(self) -> F32:
        raise AssertionError("nobody asked for them")

    def push(self, samples: F32) -> MouthTrack:
        held = np.concatenate((self._held, samples))
        self._held = held[len(samples) :]
        track = MouthTrack.rest(len(samples) // SAMPLES_PER_FRAME)
        track.values[:, 0] = held[: len(samples)].reshape(-1, SAMPLES_PER_FRAME).mean(1)
        return track

    def reset(self) -> None:
        raise AssertionError("a new recording gets a new mouth")


@pytest.mark.parametrize("lookahead", [0, 640, 1280])
@pytest.mark.parametrize("length", [64_000, 64_001, 64_321, 63_679])
def test_the_delay_of_a_live_mouth_is_taken_out(lookahead: int, length: int) -> None:
    sound = np.repeat(np.arange(200, dtype=np.float32) / 400, 640)[:length]
    rows = through(lambda: EchoMouth(lookahead))(sound).mouth[:, 0]
    assert len(rows) == -(-length // 320)
    whole = length // 640 * 2
    assert rows[:whole] == pytest.approx(sound[: whole * 320 : 320], abs=1e-5)


def test_the_nearest_viseme_of_every_mouth_is_its_own() -> None:
    table = np.zeros((15, 9), np.float32)
    for k, name in enumerate(VISEMES):
        for channel, value in MOUTHS[name].items():
            table[k, MOUTH[channel]] = value
    assert (nearest_visemes(table).argmax(1) == np.arange(15)).all()


@pytest.mark.parametrize("name", ["", "nobody", "energy:40", "trained:x"])
def test_an_unknown_listener_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="Choose from"):
        open_listener(name)


# --- clips -----------------------------------------------------------------------------------

CLIP = clips.Clip(Path("x.mp4"), "x.mp4", True, False)


def _babble(seed: int = 0) -> Callable[[F64], F64]:
    """Something as unrepeated as speech, at any times."""
    rng = np.random.default_rng(seed)
    tones = [(rng.uniform(0.5, 5), rng.uniform(0, 7), rng.uniform(0.5, 1)) for _ in range(12)]
    return lambda t: sum((a * np.sin(2 * np.pi * f * t + p) for f, p, a in tones), 0 * t)


@given(st.floats(-350, 350), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_a_lag_is_found_between_frames(late_ms: float, seed: int) -> None:
    wave = _babble(seed)
    t = np.arange(300) / FPS
    found = clips.agreement(CLIP, wave(t - late_ms / 1000).astype(np.float32), wave(t))
    assert found.lag == pytest.approx(late_ms, abs=6)
    assert found.best > 0.85
    assert found.chance < 0.8


def test_frames_without_a_face_do_not_count() -> None:
    wave = _babble()
    t = np.arange(300) / FPS
    seen = wave(t)
    seen[50:120] = np.nan
    found = clips.agreement(CLIP, wave(t).astype(np.float32), seen)
    assert found.correlation == pytest.approx(1) and found.seconds == 230 / FPS
    assert abs(found.lag) < 2


def test_noise_agrees_no_better_than_chance() -> None:
    rng = np.random.default_rng(0)
    best, chance = [], []
    for seed in range(20):
        seen = _babble(seed)(np.arange(300) / FPS)
        heard = _babble(1000 + seed)(np.arange(300) / FPS).astype(np.float32)
        found = clips.agreement(CLIP, heard, seen)
        best.append(found.best)
        chance.append(found.chance)
    assert np.mean(best) == pytest.approx(np.mean(chance), abs=0.08)
    white = clips.agreement(CLIP, rng.random(300).astype(np.float32), rng.random(300))
    assert np.isnan(white.lag) and abs(white.correlation) < 0.2


@pytest.mark.parametrize(
    ("seen", "reason"),
    [(np.full(200, np.nan), "0.0 s"), (np.full(200, 0.1), "do not move"), (np.ones(20), "0.8 s")],
)
def test_a_clip_that_says_nothing_is_refused(seen: F64, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        clips.agreement(CLIP, np.random.default_rng(0).random(200).astype(np.float32), seen)


def test_openings_are_not_bridged_over_long_gaps() -> None:
    lips = lip_tracking.Lips(
        np.array([0.0, 0.1, 0.2, 0.6, 0.7]), np.array([0, 1, 2, 6, np.nan], "f4")
    )
    at = clips.seen_at(lips, np.array([-0.01, 0.05, 0.15, 0.4, 0.65]))
    assert np.isnan(at[[0, 3, 4]]).all() and at[1:3] == pytest.approx([0.5, 1.5])


def test_the_interval_holds_the_median() -> None:
    middle, low, high = clips.median_interval([0.1, 0.2, float("nan"), 0.4, 0.5, 0.3])
    assert middle == pytest.approx(0.3)
    assert low <= middle <= high and high - low > 0.1
    assert np.isnan(clips.median_interval([float("nan")])).all()


@pytest.fixture(scope="module")
def spoken_clip(portrait: Portrait, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of a puppet whose jaw follows the loudness of its sound."""
    puppet = Puppet(build_rig(portrait, 256))
    t = np.arange(4 * FPS) / FPS
    loud = 0.5 + 0.5 * np.sin(2 * np.pi * (1.3 * t + 0.35 * t * t))
    carrier = np.sin(2 * np.pi * 200 * np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE)
    sound = (0.3 * np.repeat(loud, SAMPLES_PER_FRAME) * carrier).astype(np.float32)
    still = np.zeros(len(CHANNELS), np.float32)

    def frames() -> Iterator[U8]:
        for level in loud:
            yield puppet.render(still, MouthTrack.rest(1, jaw=0.7 * float(level)).values[0])

    path = tmp_path_factory.mktemp("clip") / "talk.mp4"
    assert write_film(path, frames(), sound) == 100
    return path


def _level(samples: F32) -> Guess:
    rows = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    mouth = mouths(len(rows))
    mouth[:, 0] = np.sqrt(np.square(rows).mean(1)) * 2
    return Guess(np.eye(15, dtype=np.float32)[np.zeros(len(rows), int)], mouth)


def test_a_film_of_ours_agrees_with_itself(spoken_clip: Path, tmp_path: Path) -> None:
    """Through H.264, AAC, the tracker and back: in step, and the delay put in comes out."""
    clip = clips.Clip(spoken_clip, spoken_clip.name, True, True)
    lips = lip_tracking.lips_of(spoken_clip, tmp_path)
    assert len(lips.times) == 100 and lips.times[0] == pytest.approx(0.02)
    found = clips.compare(_level, clip, lips)
    assert found.correlation > 0.9 and abs(found.lag) < 20

    def late(samples: F32) -> Guess:
        return _level(np.concatenate((np.zeros(1920, np.float32), samples)))

    assert clips.compare(late, clip, lips).lag == pytest.approx(found.lag + 120, abs=10)


def test_lips_are_tracked_once(
    spoken_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = lip_tracking.Lips(np.arange(50) / 25, np.linspace(0, 1, 50).astype(np.float32))
    calls: list[Path] = []

    def track(path: Path) -> lip_tracking.Lips:
        calls.append(path)
        return made

    monkeypatch.setattr(lip_tracking, "track", track)
    for _ in range(2):
        assert (lip_tracking.lips_of(spoken_clip, tmp_path).opening == made.opening).all()
    assert len(calls) == 1
    [kept] = tmp_path.glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:100])
    assert (lip_tracking.lips_of(spoken_clip, tmp_path).opening == made.opening).all()
    assert len(calls) == 2


def test_clips_that_can_not_be_used_say_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(500))
    noise = np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), np.uint8)
    faceless = tmp_path / "noise.mp4"
    write_film(faceless, iter(noise), np.zeros(12_800, np.float32))
    for path, reason in ((broken, "decoded"), (faceless, "0 of 20"), (tmp_path / "no", "No such")):
        with pytest.raises(InvalidInput, match=reason):
            lip_tracking.lips_of(path, tmp_path / "cache")
    with pytest.raises(InvalidInput, match=r"index\.csv"):
        clips.read_index(tmp_path)


# --- the commands ----------------------------------------------------------------------------


def _options(module: object, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)  # type: ignore[attr-defined]
    return parser.parse_args(words)


def _utterance(name: str, phones: list[Phone], training: bool = False) -> Utterance:
    rng = np.random.default_rng(len(name))
    sound = rng.standard_normal(round(phones[-1].end * SAMPLE_RATE))
    voiced = np.repeat(ideal(phones).visemes[:, 0] == 0, 320)
    samples = (3000 * sound * voiced).astype(np.int16)
    return Utterance(name, samples, tuple(phones), "", "en", "s", "test", training)


def test_evaluate_prints_a_table_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phones = said(("sil", 30), ("a", 10), ("pbm", 5), ("o", 10), ("sil", 30))
    odd = [Phone("a", 0.0, 0.2), Phone("\N{SNOWMAN}", 0.2, 0.4)]
    shard = tmp_path / "shards" / "a.npz"
    save_shard(shard, [
        _utterance("first", phones),
        _utterance("trained", phones, training=True),
        Utterance("odd", np.zeros(6400, np.int16), tuple(odd), "", "en", "s", "test", False),
    ])  # fmt: skip
    out = tmp_path / "numbers.json"
    words = (str(shard.parent), "--listener", "energy", "--json", str(out))
    evaluate.run(_options(evaluate, *words), lambda *_: None)
    shown = capsys.readouterr().out
    assert "| energy" in shown and "| phones" in shown
    assert "Real clips: no folder" in shown and "odd: the phone" in shown
    numbers = json.loads(out.read_text())
    ceiling, guessed = (numbers["speech"][name]["all"] for name in ("phones", "energy"))
    assert ceiling["utterances"] == guessed["utterances"] == 1, "training speech is left out"
    assert ceiling["bilabial"]["recall"] == 1 and guessed["bilabial"]["recall"] == 0
    assert ceiling["macro_f1_lenient"] > 0.9 and guessed["macro_f1_lenient"] < 0.5
    assert abs(guessed["onset_ms"]) <= 60
    assert numbers["speech"]["energy"]["test en"] == guessed


def test_evaluate_without_anything_says_so(tmp_path: Path) -> None:
    shard = tmp_path / "a.npz"
    phones = said(("sil", 30), ("a", 10), ("sil", 30))
    save_shard(shard, [_utterance("trained", phones, training=True)])
    for words in ((), (str(shard),), (str(tmp_path / "missing.npz"),)):
        with pytest.raises(InvalidInput, match="Nothing could be measured"):
            evaluate.run(_options(evaluate, "--listener", "energy", *words), lambda *_: None)


def test_evaluate_measures_clips(
    spoken_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = spoken_clip.parent
    (folder / "gone.mp4").write_bytes(b"nothing")
    (folder / "index.csv").write_text(
        "file,audio,what_it_shows\ntalk.mp4,yes,AI-generated talk\ngone.mp4,yes,talking\n"
        "mute.mp4,no,talking\n"
    )
    out = tmp_path / "n.json"
    words = ("--listener", "energy", "--clips", str(folder), "--cache", str(tmp_path))
    evaluate.run(_options(evaluate, *words, "--json", str(out)), lambda *_: None)
    assert "clip gone.mp4" in capsys.readouterr().out
    [found] = json.loads(out.read_text())["clips"]["energy"]
    assert found["clip"] == "talk.mp4" and found["correlation"] > 0.5 and abs(found["lag"]) < 60


def test_a_film_begins_picture_and_sound_together(tmp_path: Path) -> None:
    """A flash and a click at the same moment are found at the same moment."""
    flash = 37
    pictures = [np.full((64, 64, 3), 255 if k == flash else 0, np.uint8) for k in range(75)]
    sound = np.zeros(75 * SAMPLES_PER_FRAME, np.float32)
    sound[flash * SAMPLES_PER_FRAME : flash * SAMPLES_PER_FRAME + 40] = 0.9
    path = tmp_path / "flash.mp4"
    write_film(path, iter(pictures), sound)
    with av.open(str(path)) as container:
        bright = [f.time for f in container.decode(video=0) if f.to_ndarray().mean() > 100]
    with av.open(str(path)) as container:
        parts = [(f.time, f.to_ndarray().ravel(), f.sample_rate) for f in container.decode(audio=0)]
    time, part, rate = max(parts, key=lambda p: float(np.abs(p[1]).max()))
    assert bright == [pytest.approx(flash / FPS)]
    assert time is not None
    assert time + int(np.abs(part).argmax()) / rate == pytest.approx(flash / FPS, abs=0.005)


def test_film_makes_a_video_and_a_sheet(portrait: Portrait, tmp_path: Path) -> None:
    phones = said(("sil", 10), ("a", 15), ("pbm", 10), ("fv", 10), ("sil", 10))
    sound = np.random.default_rng(0).normal(0, 0.1, round(phones[-1].end * SAMPLE_RATE))
    rig = build_rig(portrait, 256)

    def hear(samples: F32) -> Guess:
        return ideal([*phones, Phone("", phones[-1].end, len(samples) / SAMPLE_RATE)])

    recording = film.Recording("bafa", sound.astype(np.float32), tuple(phones))
    video, sheet = film.film(recording, hear, rig, tmp_path)
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 38  # 1.1 s and 0.4 s of silence
    picture = cv2.imread(str(sheet))
    assert picture is not None and picture.shape[1] == 1920
    empty = film.Recording("empty", np.zeros(0, np.float32))
    for path in film.film(empty, energy, rig, tmp_path):
        assert path.stat().st_size > 500


def test_film_refuses_what_is_not_there(tmp_path: Path) -> None:
    for words in ((), (str(tmp_path / "a.wav"), "--seconds", "1000")):
        with pytest.raises(InvalidInput):
            film.run(_options(film, *words), lambda *_: None)
    with pytest.raises(InvalidInput, match="no portrait"):
        film.open_portrait(str(tmp_path / "nobody.jpg"))
