"""Sound from outside: any cut, any layout, one speaker."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import InvalidInput, Portrait
from engines.resample import resample
from stream.ingest import MAX_SECONDS, Floor, PcmStream, RtpAudio
from tests.runtime.test_session import make


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([(16_000, 1), (48_000, 2), (44_100, 1), (8_000, 1)]),
    st.lists(st.integers(0, 900), min_size=1, max_size=12),
)
def test_however_the_bytes_are_cut_the_sound_is_the_same(
    form: tuple[int, int], cuts: list[int]
) -> None:
    rate, channels = form
    total = sum(cuts) // (2 * channels) * (2 * channels)
    data = np.random.default_rng(total).integers(0, 256, total, np.uint8).tobytes()
    pcm, at, got = PcmStream(rate, channels), 0, []
    for cut in cuts:
        got.append(pcm.push(data[at : at + cut]))
        at += cut
    got.append(pcm.flush())
    whole = np.frombuffer(data, "<i2").reshape(-1, channels).mean(axis=1) / 32768
    wanted = resample(whole.astype(np.float32), rate, 16_000)
    assert np.concatenate(got) == pytest.approx(wanted, abs=1e-5)


def test_too_long_a_message_is_refused_by_its_length() -> None:
    pcm = PcmStream(48_000, 2)
    pcm.check(bytes(MAX_SECONDS * 48_000 * 4))
    with pytest.raises(InvalidInput, match="10 s"):
        pcm.check(bytes(MAX_SECONDS * 48_000 * 4 + 4))


@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("form", ["s16", "s16p", "fltp"])
@pytest.mark.parametrize("rate", [48_000, 16_000])
def test_decoded_frames_of_any_form_sound_the_same(layout: str, form: str, rate: int) -> None:
    ears = RtpAudio()
    wave = 0.5 * np.sin(2 * np.pi * 200 * np.arange(rate) / rate)
    step, heard = rate // 50, []
    for k in range(50):
        part = wave[step * k : step * k + step]
        values = part.astype(np.float32) if form == "fltp" else (part * 32767).astype(np.int16)
        channels = len(av.AudioLayout(layout).channels)
        planes = np.tile(values, (channels, 1))
        if form == "s16":
            planes = planes.T.reshape(1, -1).copy()
        frame = av.AudioFrame.from_ndarray(planes, format=form, layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, step * k, Fraction(1, rate)
        heard.append(ears.push(frame))
    sound = np.concatenate(heard)
    wanted = 0.5 * np.sin(2 * np.pi * 200 * np.arange(len(sound)) / 16_000)
    assert len(sound) > 15_900
    assert np.abs(sound - wanted)[200:].max() < 2e-3


def test_the_first_microphone_has_the_floor_until_it_leaves(portrait: Portrait) -> None:
    floor, session, other = Floor(), make(portrait), make(portrait)
    assert floor.take(session, "ann") and not floor.take(session, "bob")
    assert floor.take(other, "bob")
    assert not floor.leave(session, "bob")
    assert floor.leave(session, "ann") and floor.take(session, "bob")
