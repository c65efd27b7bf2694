"""What the outside may do, with defaults for one machine on a trusted network."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from ipaddress import ip_network

ICE_SERVER = re.compile(
    r"(stuns?:[\w.-]+(:\d+)?|turns?:[\w.-]+(:\d+)?(\?transport=(udp|tcp))?( [!-~]+ [!-~]+)?)",
    re.ASCII,
)
PORTS = re.compile(r"(\d{1,5})-(\d{1,5})")

PREFIX = re.compile(r"(/(?!\.{1,2}(/|$))[\w.~-]+)+", re.ASCII)
PLACE = re.compile(r"https?://[^\s/?#@\\]+(/[^\s?#\\]*)?")
MAY_BE_ZERO = ("drain_seconds", "recordings_bytes", "request_rate", "connection_rate")


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Limits and addresses of the transport."""

    allowed_origins: tuple[str, ...] = ()
    "Other web origins that may call the API (CORS), such as https://app.example.com."
    root_path: str = ""
    """Path below which a proxy shows this server, such as /avatar. Empty: as the proxy says in
    ``X-Forwarded-Prefix``, else none."""
    ice_servers: tuple[str, ...] = ()
    """STUN or TURN servers told to clients and used here, each ``URL`` or ``URL username
    credential``. None: host candidates, the quickest start."""
    turn_secret: str = field(default="", repr=False)
    "Shared with the TURN servers that have no user name above: logins that expire are made of it."
    turn_ttl: float = 86_400.0
    "Seconds such a login is good for."
    gather_timeout: float = 0.5
    "Seconds an answer waits for STUN and TURN servers; who is later is left out."
    advertised_hosts: tuple[str, ...] = ()
    """Addresses or names at which viewers reach this machine, told in place of its own: for 1:1 NAT
    and containers. Names are resolved at the start; STUN and TURN are not asked here then."""
    advertise_local: bool = False
    "Tell the machine's own addresses as well, for viewers on its side of the NAT."
    udp_ports: str = ""
    "Ports for media, such as 50000-50100; a viewer takes one. Empty: whatever the system picks."
    max_viewers: int = 16
    "WebRTC peers of one session; they share its encoders, so one more costs only packets."
    max_sockets: int = 4
    "Control sockets of one session."
    max_upload: int = 32 * 1024 * 1024
    "Bytes of one file, portrait or speech."
    max_connections: int = 500
    "TCP connections at once; one more takes the place of the one that waits longest for a request."
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks (10.0.0.0/8) of proxies, beside this machine, that are believed in
    ``X-Forwarded-For`` who asks."""
    request_rate: float = 50.0
    """Requests a second from one address (IPv6: one /64), and two seconds' worth at once; more wait
    for three seconds, and are answered 429 beyond. 0 for no bound. Health, metrics, this machine
    and proxies that name nobody are not bound."""
    connection_rate: float = 50.0
    """TCP connections, the same; more wait for their turn, for half of `header_timeout`, and are
    cut beyond. 0 for no bound. Those of proxies are not bound."""
    header_timeout: float = 10.0
    "Seconds a TLS handshake may take, and after it the head of a request."
    body_timeout: float = 20.0
    "Seconds a body may take to arrive, and one more for each 32 KiB of it."
    write_timeout: float = 15.0
    "Seconds in which a client has to take something of its answer, or of its events."
    command_share: float = 0.1
    "Share of the event loop's time that one session's commands may take; faster ones wait."
    connect_timeout: float = 20.0
    "A peer that is not connected after this many seconds is closed."
    disconnect_grace: float = 10.0
    "A peer may lose its network for this many seconds."
    bitrate: int = 1_500_000
    "Video bit/s to start with."
    max_bitrate: int = 3_000_000
    "Video bit/s that a fast receiver may ask for."
    min_bitrate: int = 200_000
    "Video bit/s that a slow receiver may ask for."

    publish_to: tuple[str, ...] = ()
    """Where sessions may be published: WHIP endpoints or the beginnings of their URLs, such as
    https://sfu.example.com/whip. None: nowhere."""
    max_publications: int = 2
    "Places one session is published to at once."
    max_recording: float = 3600.0
    "Seconds of one recording."
    max_recording_bytes: int = 1 << 30
    "Bytes of one recording."
    recordings_bytes: int = 4 << 30
    "Bytes of all recordings together; 0 turns recording off."
    drain_seconds: float = 30.0
    "Watched sessions may go on for so long after SIGTERM or Ctrl-C; 0 for not at all."
    probe: bool = False
    "Burn frame ids and beeps into every stream, to measure it with `python -m stream.probe`."

    def __post_init__(self) -> None:
        for place, entry in enumerate(self.ice_servers, 1):
            if not ICE_SERVER.fullmatch(entry):
                # Not the entry itself: a comma in a credential makes it begin in that.
                raise ValueError(
                    f"ice_servers: entry {place} is neither 'stun:HOST' nor 'turn:HOST:PORT"
                    " USERNAME CREDENTIAL' (where a credential has a comma, use the TOML file)"
                )
        if self.root_path and not PREFIX.fullmatch(self.root_path):
            raise ValueError(
                f"root_path: expected a path such as '/avatar', without a slash at its end,"
                f" got {self.root_path!r}"
            )
        for entry in self.publish_to:
            if not PLACE.fullmatch(entry):
                raise ValueError(
                    "publish_to: each entry is https://HOST or http://HOST, with a port or path or"
                    " without, and neither user, query nor spaces"
                )
        for entry in self.trusted_proxies:
            try:
                ip_network(entry)
            except ValueError:
                raise ValueError(
                    "trusted_proxies: each entry is an address such as 10.0.0.1, or a network such"
                    f" as 10.0.0.0/8, got {entry!r}"
                ) from None
        for limit in fields(self):
            value = getattr(self, limit.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                continue
            if value < 0 or (value == 0 and limit.name not in MAY_BE_ZERO):
                raise ValueError(f"{limit.name}: expected more than 0, got {value}")
        if self.udp_ports:
            found = PORTS.fullmatch(self.udp_ports)
            if not found or not 1024 <= int(found[1]) <= int(found[2]) < 1 << 16:
                raise ValueError(
                    f"udp_ports: expected two ports from 1024 to 65535 such as '50000-50100',"
                    f" got {self.udp_ports!r}"
                )
        if not self.min_bitrate <= self.bitrate <= self.max_bitrate:
            raise ValueError("bitrate: expected min_bitrate ≤ bitrate ≤ max_bitrate")

    @property
    def ports(self) -> range:
        """The UDP ports of `udp_ports`; empty for whatever the system picks."""
        first, _, last = self.udp_ports.partition("-")
        return range(int(first), int(last) + 1) if self.udp_ports else range(0)
