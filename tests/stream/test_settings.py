"""What the transport can not be told, and how ICE servers are told on."""

from __future__ import annotations

from typing import Any

import pytest

from stream.ice import ice_servers, link_header
from stream.settings import StreamSettings


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"max_viewers": 0}, "max_viewers"),
        ({"connect_timeout": -1.0}, "connect_timeout"),
        ({"bitrate": 100}, "bitrate"),
        ({"ice_servers": ("example.com",)}, "example.com"),
        ({"ice_servers": ("turn:example.com secret",)}, "turn:example.com"),
        ({"ice_servers": ('stun:a>; rel="x"',)}, "ice_servers"),
    ],
)
def test_nonsense_is_refused_by_name(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        StreamSettings(**wrong)


def test_a_secret_is_not_repeated_in_the_error() -> None:
    with pytest.raises(ValueError) as caught:
        StreamSettings(ice_servers=("turn.example.com ann sesame",))
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
