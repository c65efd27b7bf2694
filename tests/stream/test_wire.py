"""What a real viewer gets packet by packet: after an interruption, and over a bad network."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from aiortc import RTCPeerConnection
from aiortc.rtp import RtpPacket, unwrap_rtx

from core import SAMPLE_RATE, WIRE_SAMPLE_RATE
from runtime.portraits import PortraitStore
from stream.aiortc_ways import is_resent, on_packet
from stream.broadcast import OPUS_DELAY
from stream.impaired import Relay
from stream.media_clock import session_pts
from stream.sender import MediaSender
from tests.runtime.test_session import vowel
from tests.stream.conftest import Live, serving
from tests.stream.test_viewer import viewer

pytestmark = pytest.mark.realtime
LOUD = 50
"dB below full scale; a packet that is quieter is silence (RFC 6464 tells it as a number)."


def senders() -> list[MediaSender]:
    """The server's; it runs in this process."""
    return [thing for thing in gc.get_objects() if isinstance(thing, MediaSender)]


def receiver_of(pc: RTCPeerConnection, kind: str) -> Any:
    return next(t.receiver for t in pc.getTransceivers() if t.kind == kind)


async def test_no_sound_of_before_an_interruption_leaves_later_than_100_ms(live: Live) -> None:
    """Read from the packets: what they say how loud they are, and which moment they are of."""
    session = await live.session(seed=3)
    living = live.sessions.get(session["id"])
    chance, packets, said = random.Random(2), list[RtpPacket](), vowel(2.0)
    old: list[float] = []
    async with viewer(live, session) as seen:
        on_packet(receiver_of(seen.pc, "audio"), packets.append)
        await seen.frames("audio", 20)
        (origin,) = {sender.origin for sender in senders() if sender.kind == "audio"}
        for turn in range(4):
            living.push_audio(said)
            if turn % 2:
                living.end_audio()
            await asyncio.sleep(chance.uniform(0.5, 0.9))
            living.interrupt()
            asked = time.monotonic() - living.epoch
            await asyncio.sleep(0.6)
            loud = [
                session_pts(p.timestamp + OPUS_DELAY, origin, WIRE_SAMPLE_RATE, living.pts)
                for p in packets
                if p.extensions.audio_level is not None and p.extensions.audio_level[1] < LOUD
            ]
            assert len(loud) > 10, "it spoke"
            old.append(loud[-1] / SAMPLE_RATE + 0.02 - asked)
            packets.clear()
    assert max(old) <= 0.1, old


@dataclass
class Arrivals:
    """When each packet of a track came first, and which did so only as a retransmission."""

    at: dict[int, float] = field(default_factory=dict)
    resent: set[int] = field(default_factory=set)

    def note(self, receiver: Any, packet: RtpPacket) -> None:
        again = is_resent(receiver, packet)
        if again:
            packet = unwrap_rtx(packet, payload_type=96, ssrc=1)
        if packet.sequence_number not in self.at:
            self.at[packet.sequence_number] = time.monotonic()
            self.resent |= {packet.sequence_number} if again else set()


async def test_at_5_per_cent_loss_and_100_ms_what_is_lost_comes_again_in_time(
    store: PortraitStore,
) -> None:
    """aiortc asks once for each packet, so one of ten stays lost until pictures are sent twice."""
    async with (
        # A DTLS flight that is lost comes again after a second, the next after two.
        serving(store, connect_timeout=15.0) as live,
        Relay(loss=0.05, delay=0.05, seed=5) as relay,
        viewer(live, await live.session(seed=3), relay=relay, sound=False) as seen,
    ):
        await seen.frames("video", 1)
        receiver, arrivals = receiver_of(seen.pc, "video"), Arrivals()
        on_packet(receiver, lambda packet: arrivals.note(receiver, packet))
        await asyncio.sleep(5.0)
        assert relay.lost > 10
    numbers = sorted(arrivals.at)
    first, last = numbers[5], numbers[-1]
    last = next(n for n in reversed(numbers) if arrivals.at[n] < arrivals.at[last] - 0.6)
    recovered = [n for n in arrivals.resent if first <= n < last]
    missing = [n for n in range(first, last) if n not in arrivals.at]
    assert len(recovered) >= max(2, len(missing)), (recovered, missing)
    after = [min(arrivals.at[m] for m in range(n + 1, n + 12) if m in arrivals.at)
             for n in recovered]  # fmt: skip
    late = [arrivals.at[n] - then for n, then in zip(recovered, after, strict=True)]
    assert np.median(late) < 0.4, late
