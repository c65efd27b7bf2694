"""What the transport can not be told, and how ICE servers are told on."""

from __future__ import annotations

from typing import Any

import pytest

from stream.ice import ice_servers, link_header, turn_login
from stream.settings import StreamSettings


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"max_viewers": 0}, "max_viewers"),
        ({"connect_timeout": -1.0}, "connect_timeout"),
        ({"bitrate": 100}, "bitrate"),
        ({"ice_servers": ("example.com",)}, "entry 1"),
        ({"ice_servers": ("turn:example.com secret",)}, "entry 1"),
        ({"ice_servers": ('stun:a>; rel="x"',)}, "ice_servers"),
        ({"ice_servers": ("stun:a.example?transport=udp",)}, "ice_servers"),
        ({"ice_servers": ("turn:a.example ann sésame",)}, "ice_servers"),
        ({"udp_ports": "50000"}, "udp_ports"),
        ({"udp_ports": "50100-50000"}, "udp_ports"),
        ({"udp_ports": "80-90"}, "udp_ports"),
        ({"udp_ports": "50000-99999"}, "udp_ports"),
        ({"gather_timeout": 0.0}, "gather_timeout"),
    ],
)
def test_nonsense_is_refused_by_name(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        StreamSettings(**wrong)


def test_a_secret_is_not_repeated_in_the_error() -> None:
    with pytest.raises(ValueError) as caught:
        StreamSettings(ice_servers=("stun:a.example", "sesame"))  # after a comma in a credential
    assert "sesame" not in str(caught.value)


def test_ice_servers_go_to_aiortc_and_into_links() -> None:
    settings = StreamSettings(ice_servers=("stun:a.example:3478", "turns:b.example ann sesame"))
    stun, turn = ice_servers(settings)
    assert (stun.urls, stun.username) == ("stun:a.example:3478", None)
    assert (turn.urls, turn.username, turn.credential) == ("turns:b.example", "ann", "sesame")
    assert link_header(settings) == (
        '<stun:a.example:3478>; rel="ice-server", <turns:b.example>; rel="ice-server";'
        ' username="ann"; credential="sesame"; credential-type="password"'
    )
    assert link_header(StreamSettings()) == ""


def test_a_port_range_has_both_ends() -> None:
    assert StreamSettings(udp_ports="50000-50100").ports == range(50_000, 50_101)
    assert len(StreamSettings().ports) == 0


def test_a_credential_may_hold_what_ends_a_quoted_string() -> None:
    settings = StreamSettings(ice_servers=('turn:b.example an\\n se"s,;<>ame',))
    assert ice_servers(settings)[0].credential == 'se"s,;<>ame'
    assert 'username="an\\\\n"; credential="se\\"s,;<>ame"' in link_header(settings)


def test_logins_of_a_shared_secret_expire() -> None:
    """The worked-out HMAC-SHA1 was computed with openssl."""
    settings = StreamSettings(
        ice_servers=("turn:a.example", "turn:b.example ann sesame", "stun:c.example"),
        turn_secret="north",
        turn_ttl=600.0,
    )
    shared, own, stun = ice_servers(settings, now=1_800_000_000.5)
    assert shared.username == "1800000600:saccade"
    assert shared.credential == "Czu/nJhkjBtw6qiXKa991H73Bqs="
    assert (own.username, own.credential) == ("ann", "sesame")
    assert stun.username is None
    assert turn_login("north", 1) != turn_login("south", 1)
    assert "north" not in repr(settings) and "north" not in link_header(settings)
