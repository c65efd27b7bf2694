"""How often one address may come. Pure; times are arguments.

A token bucket for each address, in the form of the generic cell rate algorithm (ITU-T I.371): all
there is to keep is when the bucket will be full again. The table is bounded: who has not come for a
while is forgotten first, and a full bucket is the same as none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

BURST: Final = 2.0
"Seconds' worth that may come at once, after a while of little: a page brings forty files."
ADDRESSES: Final = 4096
"Addresses that are kept."
HERE: Final = ("127.0.0.1", "::1")
"Addresses from which a proxy on this machine comes."


def group(host: str) -> str:
    """Whom an address stands for: itself, or an IPv6 network of 64 bits, as one machine has as many
    addresses of that as it likes (RFC 7421). What is no address is one of its own."""
    found = _parsed(host)
    if found is None:
        return ""
    if isinstance(found, IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64))


def _parsed(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


class Proxies:
    """Those whose word on the client's address is taken: on this machine, and as configured."""

    def __init__(self, more: Iterable[str]) -> None:
        """``more``: addresses or networks. Raises ValueError."""
        self._networks = [ip_network(entry) for entry in (*HERE, *more)]

    def __contains__(self, host: str) -> bool:
        found = _parsed(host)
        return found is not None and any(found in network for network in self._networks)


class Rates:
    """All addresses' buckets."""

    def __init__(self, rate: float, addresses: int = ADDRESSES) -> None:
        """Args:
        rate: So often a second; 0 for no bound.
        addresses: How many are kept.
        """
        self._step = 1 / rate if rate else 0.0
        self._addresses = addresses
        self._full: OrderedDict[str, float] = OrderedDict()  # when it will be full again
        self.refused = 0
        "How often somebody was turned away."

    def __len__(self) -> int:
        return len(self._full)

    def wait(self, host: str, now: float) -> float:
        """Seconds until this address may come; 0 for at once."""
        full = self._full.get(group(host), now)
        return max(0.0, full + self._step - now - BURST) if self._step else 0.0

    def take(self, host: str, now: float) -> None:
        """It comes now, or after its `wait`."""
        if not self._step:
            return
        key = group(host)
        self._full[key] = max(self._full.get(key, now), now) + self._step
        self._full.move_to_end(key)
        while len(self._full) > self._addresses or next(iter(self._full.values())) <= now:
            self._full.popitem(last=False)
