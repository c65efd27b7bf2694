"""The WHIP client's reading: which places are allowed, and what servers may answer."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import InvalidInput, NotAllowed
from stream.settings import StreamSettings
from stream.whip import Places, Refused, ice_links, read_answer, retry_after, shown

PLACES = Places(["https://sfu.example.com/whip", "http://127.0.0.1:8889", "https://[::1]:1/a/"])


@pytest.mark.parametrize(
    "url",
    [
        "https://sfu.example.com/whip",
        "https://SFU.example.com:443/whip/room?key=1",
        "http://127.0.0.1:8889/any/where",
        "http://127.0.0.1:8889",
        "https://[::1]:1/a/b",
    ],
)
def test_what_is_allowed_is_allowed(url: str) -> None:
    assert str(PLACES.read(url)).lower().startswith(url[:20].lower())


@pytest.mark.parametrize(
    "url",
    [
        "http://sfu.example.com/whip",
        "https://sfu.example.com/whipper",
        "https://sfu.example.com/",
        "https://sfu.example.com/whip/../admin",
        "https://sfu.example.com/whip/%2e%2e/admin",
        "https://sfu.example.com/whip/%252e%252e/admin",
        "https://sfu.example.com/whip/..%2fadmin",
        "https://sfu.example.com/whip/..%5cadmin",
        "https://sfu.example.com:8443/whip",
        "https://sfu.example.com.evil.test/whip",
        "https://evil.test/sfu.example.com/whip",
        "http://127.0.0.1:88/",
        "http://127.1:8890/",
        "https://sfu.example.com./whip",
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:8889@evil.test/",
    ],
)
def test_what_only_looks_allowed_is_not(url: str) -> None:
    with pytest.raises((NotAllowed, InvalidInput)):
        PLACES.read(url)


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1:8889/", "nonsense", "https://", "http://a:b"])
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        PLACES.read(url)


def test_a_password_in_the_url_is_refused() -> None:
    with pytest.raises(InvalidInput, match="token"):
        PLACES.read("http://ann:sesame@127.0.0.1:8889/")


def test_only_the_origin_is_shown() -> None:
    assert shown(httpx.URL("https://sfu.example.com/key?token=x")) == "https://sfu.example.com/…"
    assert shown(httpx.URL("http://[::1]:80/key")) == "http://[::1]/…"


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60).map("https://sfu.example.com/whip".__add__) | st.text(max_size=80))
def test_wild_urls_stay_within_or_are_refused(url: str) -> None:
    try:
        read = PLACES.read(url)
    except (NotAllowed, InvalidInput):
        return
    assert (read.scheme, read.host) in {
        ("https", "sfu.example.com"), ("http", "127.0.0.1"), ("https", "::1"),
    }  # fmt: skip
    assert ".." not in read.path.split("/")


@pytest.mark.parametrize(
    "entry",
    ["sfu.example.com", "ftp://a", "https://", "https://a b", "https://u@a", "https://a/?key=1"],
)
def test_a_place_that_says_too_little_or_too_much_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="publish_to"):
        StreamSettings(publish_to=(entry,))


def test_ice_servers_of_link_headers_are_read() -> None:
    headers = [
        '<stun:stun.example.net>; rel="ice-server", </next>; rel=next',
        '<turn:turn.example.net?transport=udp>; rel=ice-server; username="user";'
        ' credential="s;e,c"; credential-type="password"',
        '<http://evil.test>; rel="ice-server", <stun:a:b:c>; rel="ice-server"',
    ]
    assert ice_links(headers) == (
        "stun:stun.example.net",
        "turn:turn.example.net?transport=udp user s;e,c",
    )


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after("12", 0) == 12
    assert retry_after("Thu, 01 Jan 1970 00:01:40 GMT", 40) == 60
    assert retry_after("Thu, 01 Jan 1970 00:01:40 GMT", 4000) == 0
    assert retry_after("", 0) is None and retry_after("soon", 0) is None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.text(max_size=120))
def test_wild_answers_are_refused(body: bytes, header: str) -> None:
    try:
        read_answer(body)
    except Refused as error:
        assert error.message
    retry_after(header, 0.0)
    ice_links([header])


ANSWER = """v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
m=video {port} UDP/TLS/RTP/SAVPF 97
c=IN IP4 0.0.0.0
a=mid:0
a=rtcp-mux
a=recvonly
a=rtpmap:97 VP8/90000
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=fingerprint:sha-256 {print}
a=setup:passive
a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host
a=candidate:2 1 tcp 2130706431 192.0.2.1 5000 typ host tcptype passive
a=candidate:3 1 udp 2130706431 sfu.local 5000 typ host
"""
PRINT = ":".join(["AB"] * 32)


def test_candidates_that_can_not_be_checked_are_left_out() -> None:
    answer = read_answer(ANSWER.format(port=9, print=PRINT).replace("\n", "\r\n").encode())
    assert answer.count("a=candidate") == 1 and "a=rtcp-mux" in answer


def test_an_answer_that_takes_nothing_is_refused() -> None:
    with pytest.raises(Refused, match="does not take our video"):
        read_answer(ANSWER.format(port=0, print=PRINT).replace("\n", "\r\n").encode())
