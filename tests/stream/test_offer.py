"""Offers: what browsers and players send is served, all else is refused in words."""

from __future__ import annotations

import random

import pytest
from aiortc import RTCPeerConnection
from hypothesis import given, settings
from hypothesis import strategies as st

from core import InvalidInput
from stream.offer import MAX_SECTIONS, read_echo, read_offer

VIDEO = """m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 39 102\r
c=IN IP4 0.0.0.0\r
a=mid:0\r
a=recvonly\r
a=rtcp-mux\r
a=ice-ufrag:abcd\r
a=ice-pwd:0123456789012345678901\r
a=fingerprint:sha-256 AA:BB\r
a=setup:actpass\r
a=rtpmap:96 VP8/90000\r
a=rtpmap:97 rtx/90000\r
a=fmtp:97 apt=96\r
a=rtpmap:98 VP9/90000\r
a=rtpmap:39 H264/90000\r
a=fmtp:39 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f\r
a=rtpmap:102 H264/90000\r
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r
"""
AUDIO = """m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r
a=mid:1\r
a=recvonly\r
a=rtcp-mux\r
a=ice-ufrag:abcd\r
a=ice-pwd:0123456789012345678901\r
a=fingerprint:sha-256 AA:BB\r
a=setup:actpass\r
a=rtpmap:111 opus/48000/2\r
a=rtpmap:0 PCMU/8000\r
"""
HEAD = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n"
DATA = """m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r
a=mid:2\r
a=ice-ufrag:abcd\r
a=ice-pwd:0123456789012345678901\r
a=fingerprint:sha-256 AA:BB\r
a=setup:actpass\r
a=sctp-port:5000\r
"""


def test_a_players_offer_keeps_what_we_have_in_its_order() -> None:
    offer = read_offer(HEAD + VIDEO + AUDIO + DATA)
    assert offer.kinds == {"video", "audio"} and offer.ufrag == "abcd" and not offer.hides
    lines = offer.sdp.splitlines()
    assert "m=video 9 UDP/TLS/RTP/SAVPF 96 97 102" in lines
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 111" in lines
    assert read_offer(offer.sdp) == offer  # reading it again changes nothing


def test_a_probe_is_one_data_channel() -> None:
    assert "m=application" in read_echo(HEAD + DATA)
    for other in (HEAD, HEAD + DATA + VIDEO, HEAD + VIDEO):
        with pytest.raises(InvalidInput, match="one data channel"):
            read_echo(other)
    with pytest.raises(InvalidInput, match="DTLS"):
        read_echo(HEAD + DATA.replace("a=setup:actpass\r\n", ""))


def test_no_direction_means_sendrecv() -> None:
    offer = read_offer(HEAD + VIDEO.replace("a=recvonly\r\n", ""))
    assert offer.kinds == {"video"} and "a=sendrecv" in offer.sdp


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("hello", "media"),
        (HEAD, "media"),
        (HEAD + VIDEO.replace("recvonly", "sendonly"), "neither"),
        (HEAD + VIDEO.replace("recvonly", "inactive"), "neither"),
        (HEAD + DATA, "neither"),
        (HEAD + VIDEO.replace("VP8", "AV1").replace("mode=1", "mode=0"), "VP8"),
        (HEAD + AUDIO.replace("opus", "speex"), "Opus"),
        (HEAD + VIDEO.replace("a=ice-pwd:0123456789012345678901\r\n", ""), "ice-pwd"),
        (HEAD + VIDEO.replace("a=setup:actpass\r\n", ""), "DTLS"),
        (HEAD + VIDEO.replace("a=fingerprint:sha-256 AA:BB\r\n", ""), "DTLS"),
        (HEAD + VIDEO.replace("a=rtcp-mux\r\n", ""), "rtcp-mux"),
        (HEAD + VIDEO.replace("m=video", "m=text"), "text"),
        (HEAD + VIDEO * (MAX_SECTIONS + 1), "sections"),
        (HEAD + VIDEO.replace("VP8/90000", "VP8"), "read"),
    ],
)
def test_what_can_not_be_served_is_refused_in_words(text: str, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        read_offer(text)


def test_hidden_addresses_leave_hope() -> None:
    """Firefox hides its address and says that there are no more: it must not be given up."""
    candidate = "a=candidate:1 1 udp 2130706431 {} 5000 typ host\r\n"
    hidden = HEAD + VIDEO + candidate.format("0a1b.local") + "a=end-of-candidates\r\n"
    offer = read_offer(hidden)
    assert offer.hides and "candidate" not in offer.sdp
    plain = read_offer(HEAD + VIDEO + candidate.format("192.0.2.1") + "a=end-of-candidates\r\n")
    assert not plain.hides
    assert "192.0.2.1" in plain.sdp and "a=end-of-candidates" in plain.sdp


@pytest.mark.parametrize("line", ["1 1 tcp 9 192.0.2.1 9", "1 1 udp 9 example.com 9"])
def test_addresses_that_can_not_be_checked_are_left_out(line: str) -> None:
    assert "candidate" not in read_offer(HEAD + VIDEO + f"a=candidate:{line} typ host\r\n").sdp


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300), st.randoms(use_true_random=False), st.integers(0, 4))
def test_wild_offers_are_read_or_refused(noise: str, chance: random.Random, edits: int) -> None:
    lines = (HEAD + VIDEO + AUDIO).splitlines()
    for _ in range(edits):
        at = chance.randrange(len(lines))
        match chance.randrange(4):
            case 0:
                del lines[at]
            case 1:
                lines[at] = lines[at][: chance.randrange(len(lines[at]) + 1)]
            case 2:
                lines.insert(at, noise)
            case _:
                lines[at], lines[-1] = lines[-1], lines[at]
    for read in (read_offer, read_echo):
        try:
            read("\r\n".join(lines))
        except InvalidInput as error:
            assert error.message


async def test_aiortc_s_own_offers_are_served() -> None:
    pc = RTCPeerConnection()
    pc.addTransceiver("video", direction="recvonly")
    pc.addTransceiver("audio")
    pc.createDataChannel("events")
    await pc.setLocalDescription(await pc.createOffer())
    offer = read_offer(str(pc.localDescription.sdp))
    await pc.close()
    assert offer.kinds == {"video", "audio"}
