"""Trickle fragments, and the status table of the WHEP resource."""

from __future__ import annotations

import asyncio
import random

import pytest
from aiortc import RTCPeerConnection
from hypothesis import given, settings
from hypothesis import strategies as st

from core import InvalidInput
from stream.offer import MAX_CANDIDATES
from stream.sdpfrag import parse_fragment
from tests.stream.conftest import Live

CANDIDATE = "a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"
MDNS = "a=candidate:1 1 udp 2130706431 0a1b.local 5000 typ host"


def test_a_fragment_is_read() -> None:
    fragment = parse_fragment(
        f"a=ice-ufrag:EsAw\r\na=ice-pwd:P2\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
        f"{CANDIDATE}\r\n{MDNS}\r\na=end-of-candidates\r\n"
    )
    assert fragment.ufrag == "EsAw" and fragment.done
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


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=200) | st.text("a=cndit:m019 .\r\n", max_size=120).map("a=candidate:".__add__)
)
def test_wild_fragments_are_read_or_refused(text: str) -> None:
    try:
        parse_fragment(text)
    except InvalidInput as error:
        assert error.message


async def offer() -> str:
    pc = RTCPeerConnection()
    pc.addTransceiver("video", direction="recvonly")
    pc.addTransceiver("audio", direction="recvonly")
    await pc.setLocalDescription(await pc.createOffer())
    sdp = str(pc.localDescription.sdp)
    await pc.close()
    return sdp


async def test_the_status_table(live: Live) -> None:
    session = await live.session()
    auth = live.auth(session)
    whep = session["whep"]
    sdp = {"Content-Type": "application/sdp"} | auth
    http = live.http

    assert (await http.get(whep)).status_code == 405
    options = await http.options(whep)
    assert options.status_code == 204 and options.headers["accept-post"] == "application/sdp"
    for headers, body, status in [
        ({"Content-Type": "application/sdp"}, "v=0", 401),
        ({"Content-Type": "text/plain"} | auth, "v=0", 415),
        (sdp, "", 400),
        (sdp, "\xff\xfe", 422),
        (sdp, "hello", 422),
        (sdp, "v=0\r\n", 422),
        (sdp, "x" * 70_000, 413),
    ]:
        answer = await http.post(whep, headers=headers, content=body.encode())
        assert answer.status_code == status, (body[:20], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"

    refused = await http.post(whep, headers=sdp | {"Accept": "text/html"}, content=await offer())
    assert refused.status_code == 406
    made = await http.post(whep, headers=sdp, content=await offer())
    assert made.status_code == 201 and made.headers["content-type"].startswith("application/sdp")
    resource, etag = made.headers["location"], made.headers["etag"]
    assert len(resource.rsplit("/", 1)[1]) >= 20
    frag = {"Content-Type": "application/trickle-ice-sdpfrag"} | auth
    text = f"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n{CANDIDATE}\r\na=end-of-candidates\r\n"
    for extra, body, status in [
        ({}, text, 428),
        ({"If-Match": '"other"'}, text, 412),
        ({"If-Match": "*"}, "a=ice-ufrag:other\r\na=ice-pwd:x\r\n" + text, 422),
        ({"If-Match": etag}, "a=ice-ufrag:other\r\na=ice-pwd:x\r\n" + text, 422),
        ({"If-Match": etag}, "nonsense", 422),
        ({"If-Match": f'"other", {etag}'}, text, 204),
        ({"If-Match": "*"}, text, 204),  # after the end of candidates: changes nothing
    ]:
        answer = await http.patch(resource, headers=frag | extra, content=body)
        assert answer.status_code == status, answer.text
    assert (await http.put(resource, headers=auth)).status_code == 405

    other = await live.session()
    stolen = resource.replace(session["id"], other["id"])
    assert (await http.delete(stolen, headers=live.auth(other))).status_code == 404
    assert (await http.delete(resource, headers=auth)).status_code == 200
    assert (await http.delete(resource, headers=auth)).status_code == 404


async def test_mangled_offers_leave_neither_500_nor_peers(live: Live) -> None:
    session = await live.session()
    headers = {"Content-Type": "application/sdp"} | live.auth(session)
    lines = (await offer()).splitlines()
    chance = random.Random(7)
    statuses = set()
    for _ in range(40):
        mangled = lines.copy()
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(mangled))
            match chance.randrange(3):
                case 0:
                    mangled[at] = mangled[at][: chance.randrange(len(mangled[at]))]
                case 1:
                    mangled.insert(at, chance.choice(lines))
                case _:
                    del mangled[at]
        answer = await live.http.post(
            session["whep"], headers=headers, content="\r\n".join(mangled) + "\r\n"
        )
        statuses.add(answer.status_code)
        if answer.status_code == 201:
            gone = await live.http.delete(answer.headers["location"], headers=headers)
            assert gone.status_code == 200
    assert statuses == {201, 422}
    assert live.sessions.get(session["id"]).viewers == 0


async def test_too_many_viewers_are_told_to_come_back(live: Live) -> None:
    session = await live.session()
    headers = {"Content-Type": "application/sdp"} | live.auth(session)
    offers = [await offer() for _ in range(3)]
    answers = await asyncio.gather(
        *(live.http.post(session["whep"], headers=headers, content=sdp) for sdp in offers)
    )
    assert sorted(a.status_code for a in answers) == [201, 201, 503]
    refused = next(a for a in answers if a.status_code == 503)
    assert int(refused.headers["retry-after"]) > 0


async def test_a_peer_that_never_connects_is_closed(live: Live) -> None:
    session = await live.session()
    headers = {"Content-Type": "application/sdp"} | live.auth(session)
    made = await live.http.post(session["whep"], headers=headers, content=await offer())
    await asyncio.sleep(2.5)
    gone = await live.http.delete(made.headers["location"], headers=live.auth(session))
    assert gone.status_code == 404
    assert live.sessions.get(session["id"]).viewers == 0
