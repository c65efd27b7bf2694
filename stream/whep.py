"""WHEP: the peers of all sessions.

Sources: draft-ietf-wish-whep; RFC 9725 (WHIP, the same resource model).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from types import TracebackType
from typing import Final

from core import Busy, InvalidInput, NotFound
from runtime.session import Session
from stream.aiortc_ways import tune_ice
from stream.broadcast import Broadcasts
from stream.gather import resolved
from stream.ingest import Floor
from stream.offer import read_offer
from stream.peer import Peer
from stream.settings import StreamSettings

MAX_SDP: Final = 64 * 1024
"Bytes of an offer or fragment; browsers send 5 to 10 KB."


class Peers:
    """Owner of all peers. ``async with``: leaving it closes them."""

    def __init__(self, settings: StreamSettings, broadcasts: Broadcasts) -> None:
        """``broadcasts`` are closed by whoever made them, after this."""
        self._settings = settings
        self._peers: dict[str, Peer] = {}
        self._floor = Floor()
        self.broadcasts = broadcasts
        "What the sessions send, encoded once."
        self.offers: Counter[str] = Counter(accepted=0, refused=0, busy=0)
        "Offers since the start, by what became of them."

    def __len__(self) -> int:
        return len(self._peers)

    def connecting(self, session: Session) -> bool:
        """Whether one of its viewers has not connected yet."""
        mine = (peer for peer in self._peers.values() if peer.session is session)
        return not all(peer.connected for peer in mine)

    def lip_gaps(self) -> list[float]:
        """See `Peer.lip_gap`, of all viewers that have both."""
        return [gap for p in self._peers.values() if (gap := p.lip_gap) is not None]

    async def __aenter__(self) -> Peers:
        self._settings = await resolved(self._settings)
        tune_ice(self._settings.disconnect_grace)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.gather(*(peer.close() for peer in list(self._peers.values())))

    async def answer(self, session: Session, offer: str) -> tuple[Peer, str]:
        """A new peer and its SDP answer. Raises InvalidInput, or Busy with too many viewers."""
        try:
            wanted = read_offer(offer)
            peer = self._admit(session)
            answer = await peer.answer(wanted)
        except InvalidInput:
            self.offers["refused"] += 1
            raise
        except Busy:
            self.offers["busy"] += 1
            raise
        self.offers["accepted"] += 1
        return peer, answer

    def get(self, session: Session, id: str) -> Peer:
        """Raises NotFound, also for a peer of another session."""
        peer = self._peers.get(id)
        if peer is None or peer.session is not session:
            raise NotFound("There is no such WHEP resource; it may have been closed.")
        return peer

    def _admit(self, session: Session) -> Peer:
        mine = sum(peer.session is session for peer in self._peers.values())
        if mine >= self._settings.max_viewers:
            raise Busy(f"This session has {mine} viewers, its limit.", retry_after=5)
        peer = Peer(
            session,
            self._settings,
            broadcasts=self.broadcasts,
            floor=self._floor,
            closed=self._forget,
        )
        self._peers[peer.id] = peer  # counted while it is being made
        return peer

    def _forget(self, peer: Peer) -> None:
        self._peers.pop(peer.id, None)
