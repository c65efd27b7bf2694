"""Session time of RTP timestamps: told in the answer, right across wraps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.media_clock import read_clocks, session_pts, with_clocks

SDP = (
    "v=0\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 97\r\na=mid:1\r\nm=video 9 UDP/TLS/RTP/SAVPF 98\r\na=inactive\r\n"
)


def test_each_section_tells_its_own_beginning() -> None:
    told = with_clocks(SDP, {"video": 7, "audio": 2**32 - 1})
    assert read_clocks(told) == {"video": 7, "audio": 2**32 - 1}
    assert told.index("mediaclk:direct=7\r\n") < told.index("RTP/SAVPF 98"), "the first of a kind"
    assert told.count("a=ts-refclk:private") == 2 and told.endswith("a=inactive\r\n")
    assert with_clocks(SDP, {}) == SDP and read_clocks(SDP) == {}
    assert read_clocks(with_clocks(SDP, {"video": 7})) == {"video": 7}


@pytest.mark.parametrize("rate", [90_000, 48_000])
@given(
    origin=st.integers(0, 2**32 - 1),
    frame=st.integers(0, 25 * 3600 * 100),
    late=st.integers(-(16_000 * 3600), 16_000 * 3600),
)
def test_time_comes_back_whatever_the_origin_and_however_long_it_runs(
    rate: int, origin: int, frame: int, late: int
) -> None:
    pts = frame * 640
    rtp = (origin + pts * rate // 16_000) % 2**32
    assert session_pts(rtp, origin, rate, max(0, pts + late)) == pts
