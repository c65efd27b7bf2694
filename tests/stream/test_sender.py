"""The sender: reports follow the media clock, lost packets are resent, nobody waits for others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal

import numpy as np
import pytest
from aiortc.codecs.vpx import VpxPayloadDescriptor
from aiortc.rtcrtpparameters import (
    RTCRtcpParameters,
    RTCRtpCodecParameters,
    RTCRtpSendParameters,
)
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
    RtpPacket,
    pack_remb_fci,
    unwrap_rtx,
)
from hypothesis import given
from hypothesis import strategies as st

from core import SAMPLES_PER_FRAME, VIDEO_CLOCK, WIRE_SAMPLE_RATE, AudioChunk, VideoFrame
from stream.broadcast import OPUS_DELAY, Broadcasts
from stream.pacer import NTP_UNIX, Pacer
from stream.rendition import PICTURES, View
from stream.sender import (
    AT_ONCE,
    HISTORY,
    RESEND_RATE,
    SPREAD,
    TICK,
    Budget,
    MediaSender,
    spread,
)
from stream.settings import StreamSettings
from tests.stream.test_broadcast import Show

VP8 = RTCRtpCodecParameters(mimeType="video/VP8", clockRate=VIDEO_CLOCK, payloadType=96)
RTX = RTCRtpCodecParameters(
    mimeType="video/rtx", clockRate=VIDEO_CLOCK, payloadType=98, parameters={"apt": 96}
)
OPUS = RTCRtpCodecParameters(
    mimeType="audio/opus", clockRate=WIRE_SAMPLE_RATE, channels=2, payloadType=97
)
SETTINGS = StreamSettings(bitrate=1_000_000, min_bitrate=100_000)


class Wire:
    """A transport that keeps what is sent, and can stand still."""

    state = "connected"
    _stats_id = "wire"

    def __init__(self) -> None:
        self.packets: list[tuple[float, RtpPacket]] = []
        self.reports: list[RtcpSrPacket] = []
        self.reported = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    def _register_rtp_sender(self, sender: Any, parameters: Any) -> None: ...

    def _unregister_rtp_sender(self, sender: Any) -> None: ...

    async def _send_rtp(self, data: bytes) -> None:
        if 200 <= data[1] <= 206:
            self.reports += [p for p in RtcpPacket.parse(data) if isinstance(p, RtcpSrPacket)]
            if self.reports:
                self.reported.set()
            return
        await self.open.wait()
        self.packets.append((time.monotonic(), RtpPacket.parse(data)))

    @property
    def timestamps(self) -> list[int]:
        """Of the frames, in order."""
        return list(dict.fromkeys(packet.timestamp for _, packet in self.packets))

    @property
    def keys(self) -> list[float]:
        """When a key frame began (RFC 6386 section 9.1)."""
        found = []
        for at, packet in self.packets:
            descriptor, data = VpxPayloadDescriptor.parse(packet.payload)
            if descriptor.partition_start and not data[0] & 1:
                found.append(at)
        return found

    def presented(self, index: int, rate: int) -> float:
        """NTP seconds at which a receiver takes frame ``index`` to belong."""
        info = self.reports[-1].sender_info
        ticks = (self.timestamps[index] - info.rtp_timestamp + (1 << 31)) % (1 << 32) - (1 << 31)
        return info.ntp_timestamp / (1 << 32) + ticks / rate


class Stage:
    """A show, its broadcasts and as many senders as wanted."""

    def __init__(self, show: Show, broadcasts: Broadcasts, stack: AsyncExitStack) -> None:
        self.show, self.broadcasts, self._stack = show, broadcasts, stack

    async def sender(
        self, kind: Literal["audio", "video"], *more: RTCRtpCodecParameters
    ) -> tuple[MediaSender, Wire]:
        wire, show = Wire(), self.show
        broadcast = await self._stack.enter_async_context(self.broadcasts.watch(show))
        pacer = Pacer(lambda: show.epoch, wall=time.time(), now=time.monotonic())
        sender = MediaSender(kind, wire, broadcast=broadcast, pacer=pacer, settings=SETTINGS)
        codecs = [VP8 if kind == "video" else OPUS, *more]
        rtcp = RTCRtcpParameters(cname="test")
        await sender.send(RTCRtpSendParameters(codecs=codecs, rtcp=rtcp))
        self._stack.push_async_callback(sender.stop)
        return sender, wire


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    show, broadcasts = Show(), Broadcasts(SETTINGS)
    try:
        async with AsyncExitStack() as stack:
            yield Stage(show, broadcasts, stack)
    finally:
        broadcasts.close()


def psfb(fmt: int, sender: MediaSender, fci: bytes = b"") -> RtcpPsfbPacket:
    return RtcpPsfbPacket(fmt=fmt, ssrc=1, media_ssrc=sender._ssrc, fci=fci)


def remb(bitrate: int, sender: MediaSender) -> RtcpPsfbPacket:
    return psfb(RTCP_PSFB_APP, sender, pack_remb_fci(bitrate, [sender._ssrc]))


def nack(*lost: int) -> RtcpRtpfbPacket:
    return RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=1, media_ssrc=2, lost=list(lost))


@pytest.mark.parametrize(("picture_late", "sound_late"), [(38, 0), (0, 38), (10, 0)])
async def test_lips_and_voice_map_to_one_clock_however_late_one_of_them_starts(
    picture_late: int, sound_late: int
) -> None:
    """A receiver aligns tracks by sender reports; a first frame 1.5 s late must not shift them."""
    async with stage() as on:
        _, sound = await on.sender("audio")
        _, picture = await on.sender("video")
        await asyncio.sleep(0)
        on.show.epoch = epoch = time.monotonic() + 0.1
        for k in range(picture_late + sound_late + 30):
            await asyncio.sleep(max(0.0, epoch + k * 0.04 - 0.08 - time.monotonic()))
            pts = k * SAMPLES_PER_FRAME
            pixels = np.full((64, 64, 3), k * 5, np.uint8)
            frame = VideoFrame(pixels, pts) if k >= picture_late else None
            chunk = AudioChunk(np.zeros(SAMPLES_PER_FRAME, np.float32), pts)
            on.show.hub.publish(chunk if k >= sound_late else None, frame)
        async with asyncio.timeout(2):
            await sound.reported.wait()
            await picture.reported.wait()
    heard = sound.presented(0, WIRE_SAMPLE_RATE)
    seen = picture.presented(0, VIDEO_CLOCK)
    heard += OPUS_DELAY / WIRE_SAMPLE_RATE  # which the decoder adds
    assert seen - heard == pytest.approx((picture_late - sound_late) * 0.04, abs=1e-3)
    began = time.time() - (time.monotonic() - epoch) + sound_late * 0.04
    assert heard - NTP_UNIX == pytest.approx(began, abs=0.05)
    steps = np.diff(picture.timestamps) % (1 << 32)
    assert (steps % 3600 == 0).all() and np.median(steps) == 3600
    assert set(np.diff(sound.timestamps) % (1 << 32)) == {960}
    info = picture.reports[-1].sender_info
    assert 0 < info.packet_count <= len(picture.packets) and info.octet_count > 0


async def test_both_tracks_are_reported_before_they_go_on_after_the_clock_has_moved() -> None:
    async with stage() as on:
        wires = [(await on.sender(kind))[1] for kind in ("audio", "video")]
        await asyncio.sleep(0)

        async def show(first: int, last: int) -> None:
            for k in range(first, last):
                wait = on.show.epoch + k * 0.04 - 0.08 - time.monotonic()
                await asyncio.sleep(max(0.0, wait))
                pts = k * SAMPLES_PER_FRAME
                sound = AudioChunk(np.zeros(SAMPLES_PER_FRAME, np.float32), pts)
                on.show.hub.publish(sound, VideoFrame(np.full((64, 64, 3), k, np.uint8), pts))

        on.show.epoch = time.monotonic() + 0.1
        await show(0, 8)
        await asyncio.sleep(0.15)
        before = [len(wire.reports) for wire in wires]
        assert min(before) >= 1, "the first comes with the first frames, not a second later"
        on.show.epoch += 0.7
        await show(8, 12)
        await asyncio.sleep(0.15)
        for wire, rate, count in zip(wires, (WIRE_SAMPLE_RATE, VIDEO_CLOCK), before, strict=True):
            assert len(wire.reports) > count
            told = wire.presented(-1, rate)
            left = wire.packets[-1][0] - time.monotonic() + time.time() + NTP_UNIX
            assert told == pytest.approx(left, abs=0.06), "by the old report it is off by 0.7 s"


async def test_frames_leave_when_they_are_due_although_they_are_encoded_before() -> None:
    async with stage() as on:
        _, wire = await on.sender("video")
        await asyncio.sleep(0)
        due = []
        for _ in range(8):
            on.show.publish()
            due.append(time.monotonic() + 0.08)
            await asyncio.sleep(0.04)
        await asyncio.sleep(0.15)
        first = [next(at for at, p in wire.packets if p.timestamp == t) for t in wire.timestamps]
        late = np.subtract(first, due[: len(first)])
        assert len(first) == 8 and np.median(np.abs(late)) < 0.02, late


async def test_each_viewer_has_numbers_of_its_own_without_gaps() -> None:
    async with stage() as on:
        wires = [(await on.sender("video"))[1] for _ in range(2)]
        await asyncio.sleep(0)
        await on.show.run(20, step=0.025)
        await asyncio.sleep(0.2)
    for wire in wires:
        numbers = [p.sequence_number for _, p in wire.packets]
        assert set(np.diff(numbers)) == {1}
        ids: list[int] = []
        for _, packet in wire.packets:
            number = VpxPayloadDescriptor.parse(packet.payload)[0].picture_id
            assert number is not None
            ids += [number] if number not in ids[-1:] else []
        assert set(np.diff(ids)) == {1} and len(ids) == len(wire.timestamps)
        ends = [p.timestamp for _, p in wire.packets if p.marker]
        assert ends == wire.timestamps, "the last packet of each picture is marked"
    assert wires[0].packets[0][1].ssrc != wires[1].packets[0][1].ssrc
    assert wires[0].timestamps != wires[1].timestamps


@pytest.mark.parametrize("kind", [RTCP_PSFB_PLI, RTCP_PSFB_FIR])
async def test_a_picture_loss_is_answered_with_a_key_frame_within_300_ms(kind: int) -> None:
    async with stage() as on:
        sender, wire = await on.sender("video")
        await asyncio.sleep(0)
        await on.show.run(30, step=0.025)
        before, asked = len(wire.keys), time.monotonic()
        await sender._handle_rtcp_packet(psfb(kind, sender))
        await on.show.run(15, step=0.025)
        assert len(wire.keys) == before + 1
        assert wire.keys[-1] - asked < 0.3


async def test_a_storm_of_picture_losses_gives_two_key_frames_a_second_for_all_viewers() -> None:
    async with stage() as on:
        senders = [await on.sender("video") for _ in range(3)]
        await asyncio.sleep(0)
        for _ in range(100):
            for sender, _ in senders:
                await sender._handle_rtcp_packet(psfb(RTCP_PSFB_PLI, sender))
            await on.show.run(1, step=0.025)
        wire = senders[0][1]
        seconds = wire.packets[-1][0] - wire.packets[0][0]
        assert 3 <= len(wire.keys) <= 2 * seconds + 1
        assert on.broadcasts.stats.keys <= 2 * seconds + 2
        bits = 8 * sum(len(p.payload) for _, p in wire.packets) / (len(wire.timestamps) / 25)
        assert bits < 1.5 * SETTINGS.bitrate


async def test_an_estimate_that_goes_down_and_up_reaches_the_same_encoder() -> None:
    """Without a key frame, and without a second encoder, as long as the size stays."""
    async with stage() as on:
        sender, wire = await on.sender("video")
        await asyncio.sleep(0)
        await on.show.run(5, step=0.025)
        assert isinstance(sender.outlet, View) and sender.outlet.shown is not None
        rendition = sender.outlet.shown
        for bitrate in (500_000, 1_500_000):
            await sender._handle_rtcp_packet(remb(bitrate, sender))
            await on.show.run(20, step=0.025)
            assert rendition._encoder.bitrate == bitrate
        assert sender.outlet.shown is rendition
        await asyncio.sleep(0.1)
        assert len(wire.keys) == 1 == on.broadcasts.stats.keys


async def say_lost(sender: MediaSender, share: float, highest: int) -> None:
    """A receiver report."""
    report = RtcpReceiverInfo(
        ssrc=sender._ssrc, fraction_lost=round(256 * share), packets_lost=30,
        highest_sequence=highest, jitter=0, lsr=0, dlsr=0,
    )  # fmt: skip
    await sender._handle_rtcp_packet(RtcpRrPacket(ssrc=1, reports=[report]))


async def test_reported_losses_lower_the_bit_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.losses.SPAN", 0.0)
    async with stage() as on:
        sender, _ = await on.sender("video")
        await asyncio.sleep(0)
        await on.show.run(30, step=0.025)
        await say_lost(sender, 0.3, highest=100)
        await say_lost(sender, 0.3, highest=200)
        assert isinstance(sender.outlet, View)
        assert sender.outlet.bandwidth.allowed < 0.9 * SETTINGS.bitrate


@pytest.mark.parametrize("apart", [False, True])
async def test_where_asking_again_takes_long_each_picture_is_sent_twice(
    apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As retransmissions that nobody asked for, with the next picture; not without RFC 4588."""
    monkeypatch.setattr("stream.losses.SPAN", 0.0)
    monkeypatch.setattr("stream.aiortc_ways.round_trip", lambda sender: 0.1)
    async with stage() as on:
        sender, wire = await on.sender("video", *([RTX] if apart else []))
        await asyncio.sleep(0)
        for highest in range(100, 600, 100):
            await say_lost(sender, 0.05, highest)
        await on.show.run(10, step=0.025)
        while len(wire.timestamps) < 10:  # noqa: ASYNC110 - what left is not announced
            await asyncio.sleep(0.01)
        packets = [packet for _, packet in wire.packets]
        once = [p for p in packets if p.payload_type != RTX.payloadType]
        again = [
            unwrap_rtx(p, payload_type=96, ssrc=sender._ssrc)
            for p in packets if p.payload_type == RTX.payloadType
        ]  # fmt: skip
        assert len({p.sequence_number for p in once}) == len(once)
        numbers = [p.sequence_number for p in again]
        seen = on.broadcasts
        assert seen.repeated == len(numbers) and seen.repeating == int(apart)
        await sender.stop()
        assert (seen.repeated, seen.repeating) == (len(numbers), 0), "what was sent stays counted"
        if not apart:
            assert not numbers
            return
        told = [p.sequence_number for p in once if p.timestamp != once[-1].timestamp]
        assert numbers == told[: len(numbers)] and len(numbers) >= len(told) - 1
        assert [p.payload for p in again] == [p.payload for p in once[: len(again)]]


@pytest.mark.parametrize(
    "packet",
    [
        RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=b"REM"),
        RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=pack_remb_fci(9, [7])),
        nack(1, 2, 65535),
        RtcpRrPacket(ssrc=1, reports=[]),
    ],
)
async def test_reports_that_mean_nothing_change_nothing(packet: AnyRtcpPacket) -> None:
    async with stage() as on:
        sender, _ = await on.sender("video")
        await asyncio.sleep(0)
        await sender._handle_rtcp_packet(packet)
        assert isinstance(sender.outlet, View)
        assert sender.outlet.bandwidth.allowed == SETTINGS.bitrate


@pytest.mark.parametrize("apart", [False, True])
async def test_packets_older_than_128_are_resent(apart: bool) -> None:
    """aiortc forgets all but 128 packets, which a key frame may be alone."""
    async with stage() as on:
        sender, wire = await on.sender("video", *([RTX] if apart else []))
        await asyncio.sleep(0)
        while len(wire.packets) < 150:
            await on.show.run(10, step=0.025)
        lost = wire.packets[3][1]
        assert len(wire.packets) > 128
        sent = len(wire.packets)
        await sender._handle_rtcp_packet(nack(lost.sequence_number))
        again = next(
            p for _, p in wire.packets[sent:] if apart == (p.payload_type == RTX.payloadType)
            and (apart or p.sequence_number == lost.sequence_number)
        )  # fmt: skip
        if apart:
            assert again.ssrc == sender._rtx_ssrc
            again = unwrap_rtx(again, payload_type=96, ssrc=sender._ssrc)
        assert (again.sequence_number, again.timestamp) == (lost.sequence_number, lost.timestamp)
        assert again.payload == lost.payload
        assert len(sender._history) <= HISTORY


def test_what_is_resent_is_bounded() -> None:
    """Requests for everything, again and again, must not multiply what is sent."""
    budget = Budget(now=0.0)
    assert sum(budget.take(k / 10_000) for k in range(20_000)) <= 3 * RESEND_RATE


async def test_a_viewer_whose_network_stands_still_holds_nobody_and_grows_nothing() -> None:
    async with stage() as on:
        stalled, wall = await on.sender("video")
        _, wire = await on.sender("video")
        await asyncio.sleep(0)
        await on.show.run(5, step=0.025)
        wall.open.clear()
        await on.show.run(60, step=0.025)
        assert len(wire.timestamps) > 50
        assert stalled.outlet is not None and len(stalled.outlet) <= PICTURES
        stood = len(wall.packets)
        wall.open.set()
        await on.show.run(40, step=0.04)
        after = [p for _, p in wall.packets[stood:]]
        steps = np.diff(list(dict.fromkeys(p.timestamp for p in after))) % (1 << 32)
        assert len(steps) > 10, "it goes on"
        first = next(p for p in after if p.timestamp != wall.packets[stood - 1][1].timestamp)
        gaps = np.flatnonzero(steps > 3600)
        if gaps.size:  # whatever follows a gap can be decoded by itself
            at = list(dict.fromkeys(p.timestamp for p in after))[gaps[0] + 1]
            first = next(p for p in after if p.timestamp == at)
            _, data = VpxPayloadDescriptor.parse(first.payload)
            assert not data[0] & 1


@given(st.integers(0, 2000))
def test_a_small_frame_leaves_at_once_and_a_large_one_within_its_time(packets: int) -> None:
    groups = list(spread(packets))
    assert sum(groups) == packets
    assert (len(groups) - 1) * TICK <= SPREAD
    assert (len(groups) <= 1) == (packets <= AT_ONCE)
    assert max(groups, default=0) <= max(AT_ONCE, packets * TICK / SPREAD + packets / 6)


async def test_the_packets_of_a_large_frame_are_spread_and_sound_goes_in_between() -> None:
    async with stage() as on:
        _, wire = await on.sender("video")
        _, sound = await on.sender("audio")
        await asyncio.sleep(0)
        noise = np.random.default_rng(0).integers(0, 255, (640, 640, 3)).astype(np.uint8)
        on.show.epoch = time.monotonic() + 0.08
        for k in range(8):
            pts = k * SAMPLES_PER_FRAME
            chunk = AudioChunk(np.zeros(SAMPLES_PER_FRAME, np.float32), pts)
            on.show.hub.publish(chunk, VideoFrame(noise, pts) if k == 2 else None)
            await asyncio.sleep(0.04)
        await asyncio.sleep(0.1)
        times = [at for at, _ in wire.packets]
        assert len(times) > 3 * AT_ONCE and len(wire.timestamps) == 1
        assert 0.008 < times[-1] - times[0] < SPREAD + 0.03
        gaps = np.diff([at for at, _ in sound.packets])
        assert len(gaps) > 10 and np.median(gaps) < 0.03


async def test_a_sender_that_is_closed_leaves_its_encoder() -> None:
    async with stage() as on:
        sender, _ = await on.sender("video")
        await asyncio.sleep(0)
        await on.show.run(3, step=0.025)
        assert on.broadcasts.renditions == 1
        async with asyncio.timeout(2):
            await sender.stop()
        assert on.broadcasts.renditions == 0
