"""The status table of the WHEP resource, and how many may have one."""

from __future__ import annotations

import asyncio
import random

from aiortc import RTCPeerConnection

from tests.stream.conftest import Live

CANDIDATE = "a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"


async def offer() -> str:
    pc = RTCPeerConnection()
    pc.addTransceiver("video", direction="recvonly")
    pc.addTransceiver("audio", direction="recvonly")
    await pc.setLocalDescription(await pc.createOffer())
    sdp = str(pc.localDescription.sdp)
    await pc.close()
    return sdp


async def test_the_endpoint_s_status_table(live: Live) -> None:
    """RFC 9725 section 4.2, draft-ietf-wish-whep section 4: discover and start."""
    session = await live.session()
    auth = live.auth(session)
    whep = session["whep"]
    sdp = {"Content-Type": "application/sdp"} | auth
    http = live.http

    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH"):
        wrong = await http.request(method, whep, headers=auth)
        assert wrong.status_code == 405, method
        assert set(wrong.headers["allow"].split(", ")) == {"OPTIONS", "POST"}
    options = await http.options(whep)
    assert options.status_code == 204 and options.content == b""
    assert options.headers["accept-post"] == "application/sdp"
    for headers, body, status in [
        ({"Content-Type": "application/sdp"}, "v=0", 401),
        ({"Content-Type": "application/sdp", "Authorization": "Bearer other"}, "v=0", 401),
        ({"Content-Type": "application/sdp", "Authorization": "Basic eDp5"}, "v=0", 401),
        ({"Content-Type": "text/plain"} | auth, "v=0", 415),
        (auth, "v=0", 415),
        (sdp, "", 400),
        (sdp, " \r\n", 400),
        (sdp, "\xff\xfe", 422),
        (sdp, "hello", 422),
        (sdp, "v=0\r\n", 422),
        (sdp, "x" * 70_000, 413),
    ]:
        answer = await http.post(whep, headers=headers, content=body.encode())
        assert answer.status_code == status, (body[:20], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert ("www-authenticate" in answer.headers) == (status == 401)
    binary = await http.post(whep, headers=sdp, content=b"v=0\xff")
    assert binary.status_code == 400
    nowhere = whep.replace(session["id"], "nosuch")
    assert (await http.post(nowhere, headers=sdp, content=await offer())).status_code == 404
    for accept in ("text/html", "application/sdp;q=0", "application/json, text/*"):
        refused = await http.post(whep, headers=sdp | {"Accept": accept}, content=await offer())
        assert refused.status_code == 406, accept
    assert live.sessions.get(session["id"]).viewers == 0

    made = await http.post(
        whep,
        headers=auth
        | {"Content-Type": "application/sdp; charset=utf-8", "Accept": "application/*"},
        content=await offer(),
    )
    assert made.status_code == 201 and made.headers["content-type"].startswith("application/sdp")
    assert made.headers["etag"].strip('"') and made.headers["location"].startswith(whep + "/")
    assert made.headers["accept-patch"] == "application/trickle-ice-sdpfrag"


async def test_the_resource_s_status_table(live: Live) -> None:
    """RFC 9725 sections 4.2 and 4.3: trickle, ICE restart, stop."""
    session, other = await live.session(), await live.session()
    auth = live.auth(session)
    http = live.http
    headers = {"Content-Type": "application/sdp"} | auth
    made = await http.post(session["whep"], headers=headers, content=await offer())
    resource, etag = made.headers["location"], made.headers["etag"]

    for method in ("GET", "HEAD", "POST", "PUT"):
        wrong = await http.request(method, resource, headers=auth)
        assert wrong.status_code == 405, method
        assert set(wrong.headers["allow"].split(", ")) == {"DELETE", "PATCH"}
    frag = {"Content-Type": "application/trickle-ice-sdpfrag"} | auth
    text = f"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n{CANDIDATE}\r\na=end-of-candidates\r\n"
    restart = "a=ice-ufrag:other\r\na=ice-pwd:0123456789012345678901\r\n" + text
    for extra, body, status in [
        ({"If-Match": etag, "Authorization": "Bearer other"}, text, 401),
        ({"If-Match": etag, "Content-Type": "application/sdp"}, text, 415),
        ({"If-Match": etag}, "", 400),
        ({"If-Match": etag}, "m=" + "x" * 70_000, 413),
        ({}, text, 428),
        ({}, restart, 428),
        ({"If-Match": '"other"'}, text, 412),
        ({"If-Match": '"other"'}, restart, 412),
        ({"If-Match": "*"}, "a=ice-ufrag:other\r\na=ice-pwd:x\r\n" + text, 422),
        ({"If-Match": "*"}, restart, 409),  # it never connected: there is nothing to restart
        ({"If-Match": etag}, "nonsense", 422),
        ({"If-Match": f'"other", {etag}'}, text, 204),
        ({"If-Match": "*"}, text, 204),  # after the end of candidates: changes nothing
    ]:
        answer = await http.patch(resource, headers=frag | extra, content=body)
        assert answer.status_code == status, (extra, body[:30], answer.text)
    assert (await http.patch(resource + "x", headers=frag, content=text)).status_code == 404

    # Another one: the first may have been given up meanwhile, it never connected.
    made = await http.post(session["whep"], headers=headers, content=await offer())
    resource, etag = made.headers["location"], made.headers["etag"]
    stolen = resource.replace(session["id"], other["id"])
    assert (await http.delete(stolen, headers=live.auth(other))).status_code == 404
    assert (await http.delete(resource)).status_code == 401
    assert (await http.delete(resource, headers=auth)).status_code == 200
    assert (await http.delete(resource, headers=auth)).status_code == 404
    gone = await http.patch(resource, headers=frag | {"If-Match": etag}, content=text)
    assert gone.status_code == 404


async def test_a_resource_can_not_be_guessed(live: Live) -> None:
    """128 bits at least, no two alike, nothing of one in the other."""
    session = await live.session()
    headers = {"Content-Type": "application/sdp"} | live.auth(session)
    names = set()
    for _ in range(6):
        made = await live.http.post(session["whep"], headers=headers, content=await offer())
        name = made.headers["location"].rsplit("/", 1)[1]
        assert len(name) * 6 >= 128
        names.add(name)
        await live.http.delete(made.headers["location"], headers=headers)
    assert len(names) == 6 and len({name[:6] for name in names}) == 6


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
