"""Trickle-ICE fragments: what was written is read, and wild ones are refused in words."""

from __future__ import annotations

import pytest
from aiortc import RTCIceCandidate
from hypothesis import given, settings
from hypothesis import strategies as st

from core import InvalidInput
from stream.offer import MAX_CANDIDATES
from stream.sdpfrag import Fragment, credentials, parse_fragment, write_fragment

CANDIDATE = "a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"
MDNS = "a=candidate:1 1 udp 2130706431 0a1b.local 5000 typ host"
ICE_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"

hosts = st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str))
candidates = st.builds(
    RTCIceCandidate,
    component=st.integers(1, 2),
    foundation=st.text(ICE_CHARS, min_size=1, max_size=32),
    ip=hosts,
    port=st.integers(1, 65535),
    priority=st.integers(0, 2**31 - 1),
    protocol=st.just("udp"),
    type=st.sampled_from(["host", "srflx", "prflx", "relay"]),
)


def test_a_fragment_is_read() -> None:
    fragment = parse_fragment(
        f"a=ice-ufrag:EsAw\r\na=ice-pwd:P2\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
        f"{CANDIDATE}\r\n{MDNS}\r\na=end-of-candidates\r\n"
    )
    assert fragment.ufrag == "EsAw" and fragment.password == "P2" and fragment.done
    assert [(c.ip, c.sdpMid) for c in fragment.candidates] == [
        ("192.0.2.1", "0"),
        ("0a1b.local", "0"),
    ]


@pytest.mark.parametrize("text", ["nonsense", "a=candidate:1 1 udp", "a=candidate:"])
def test_malformed_fragments_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_fragment(text)


def test_too_many_candidates_are_refused() -> None:
    with pytest.raises(InvalidInput, match="at most"):
        parse_fragment("\n".join([CANDIDATE] * (MAX_CANDIDATES + 1)))


@settings(max_examples=100, deadline=None)
@given(
    st.text(ICE_CHARS, min_size=4, max_size=40),
    st.text(ICE_CHARS, min_size=22, max_size=60),
    st.lists(candidates, max_size=8),
    st.sampled_from(["", "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:7"]),
)
def test_what_is_written_is_read(
    ufrag: str, password: str, told: list[RTCIceCandidate], media: str
) -> None:
    text = write_fragment(ufrag, password, told, media=media)
    read = parse_fragment(text)
    assert credentials(read) == (ufrag, password)
    assert read.done and read.media == media
    for before, after in zip(told, read.candidates, strict=True):
        before.sdpMid, before.sdpMLineIndex = ("7" if media else None), 0
        assert after == before


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=200)
    | st.text("a=cndit:m019 .\r\n", max_size=120).map("a=candidate:".__add__)
    | st.lists(st.sampled_from(["a=ice-ufrag:", "a=ice-pwd:", "a=mid:", "m=", CANDIDATE])).map(
        "\r\n".join
    )
)
def test_wild_fragments_are_read_or_refused(text: str) -> None:
    try:
        fragment = parse_fragment(text)
        credentials(fragment)
    except InvalidInput as error:
        assert error.message
    else:
        assert len(fragment.candidates) <= MAX_CANDIDATES


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=40), st.text(max_size=60))
def test_only_ice_chars_make_credentials(ufrag: str, password: str) -> None:
    """They are written into SDP and STUN: a line break among them would be another line."""
    fragment = Fragment(ufrag=ufrag, password=password)
    good = 4 <= len(ufrag) <= 256 and 22 <= len(password) <= 256
    good = good and set(ufrag + password) <= set(ICE_CHARS)
    if good:
        assert credentials(fragment) == (ufrag, password)
    else:
        with pytest.raises(InvalidInput):
            credentials(fragment)
