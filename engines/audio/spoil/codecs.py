"""What telephones and browsers do to speech: real Opus, G.711, narrow bands.

Every one of them gives back as many samples as it got, with the delay of the codec taken out.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import av
import numpy as np

from core import F32, SAMPLE_RATE, WIRE_SAMPLE_RATE
from engines.audio.spoil.filters import equalise, fit
from engines.resample import MAX_RATE, MIN_RATE, resample, sanitise

OPUS_BITRATES: Final = (6_000, 128_000)
"Accepted, bit/s, mono."
PACKET: Final = 320
"20 ms, the usual Opus packet (RFC 6716 section 2.1.4)."
_COMPLEXITY: Final = 5
"Effort of the encoder, of 10; full effort takes about a third longer."
_TELEPHONE: Final = (300.0, 3_400.0)
"The band of a telephone line, Hz (ITU-T G.712)."


def opus(samples: F32, bitrate: int) -> F32:
    """Through libopus and back, 20-ms packets, variable rate, tuned for voice (RFC 6716).

    Args:
        samples: float32 ``[N]`` at 16 kHz, in [-1, 1].
        bitrate: Bit/s, 6,000 to 128,000.

    Returns:
        float32 ``[N]``: the decoder's output with the pre-skip (RFC 7845 section 4.2) taken out.

    Raises:
        ValueError: The bit rate is out of range.
    """
    if not OPUS_BITRATES[0] <= bitrate <= OPUS_BITRATES[1]:
        raise ValueError(f"bitrate: expected {OPUS_BITRATES}, got {bitrate}")
    if not len(samples):
        return samples.copy()
    packets, skip = _encode_opus(samples, bitrate)
    decoder: Any = av.CodecContext.create("libopus", "r")
    decoder.layout, decoder.sample_rate = "mono", WIRE_SAMPLE_RATE
    # New packets: the encoder's own would tell the decoder to trim, by a count in another rate.
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(packet))]
    wire = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    heard = wire[skip:].astype(np.float32) / np.float32(32_768.0)
    return sanitise(fit(resample(heard, WIRE_SAMPLE_RATE, SAMPLE_RATE), len(samples)))


def _encode_opus(samples: F32, bitrate: int) -> tuple[list[bytes], int]:
    """The packets, and the samples at 48 kHz to drop from what they decode to."""
    encoder: Any = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = SAMPLE_RATE, "mono", "flt"
    encoder.bit_rate, encoder.time_base = bitrate, Fraction(1, SAMPLE_RATE)
    encoder.options = {
        "application": "voip", "frame_duration": "20", "compression_level": str(_COMPLEXITY),
    }  # fmt: skip
    # A packet more than the speech: the last of it comes out only after the codec's delay.
    whole = fit(samples, (-(-len(samples) // PACKET) + 1) * PACKET)
    packets: list[bytes] = []
    for start in range(0, len(whole), PACKET):
        frame: Any = av.AudioFrame.from_ndarray(whole[None, start : start + PACKET], "flt", "mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, start
        frame.time_base = encoder.time_base
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    packets += [bytes(packet) for packet in encoder.encode(None)]
    # "OpusHead", version, channels, then the pre-skip (RFC 7845 section 5.1).
    return packets, int.from_bytes(encoder.extradata[10:12], "little")


@lru_cache(maxsize=1)
def _mu_law_table() -> F32:
    """float32 ``[8192]``: a magnitude of 14-bit PCM → the one its 8 bits decode to (G.711)."""
    biased = np.minimum(np.arange(8_192), 8_158) + 33
    segment = np.floor(np.log2(biased)).astype(np.int64) - 5
    mantissa = (biased >> (segment + 1)) & 15
    decoded = ((2 * mantissa + 33) << segment) - 33
    table: F32 = (decoded / 8_192.0).astype(np.float32)
    table.setflags(write=False)
    return table


def mu_law(samples: F32) -> F32:
    """Samples in [-1, 1] → what they are after 8-bit mu-law and back, at the same rate.

    Source: ITU-T Recommendation G.711, table 2.
    """
    steps = np.minimum(np.abs(samples) * 8_192.0, 8_191.0).astype(np.int64)
    decoded: F32 = np.copysign(_mu_law_table()[steps], samples)
    return decoded


def telephone(samples: F32) -> F32:
    """A telephone line: ``[N]`` at 16 kHz → 300 to 3,400 Hz, 8 kHz, mu-law → ``[N]`` at 16 kHz."""
    low, high = _TELEPHONE
    band = equalise(
        samples,
        lambda hertz: (
            1.0 / np.sqrt((1.0 + (low / (hertz + 1.0)) ** 8) * (1.0 + (hertz / high) ** 8))
        ),
    )
    coded = mu_law(sanitise(resample(band, SAMPLE_RATE, MIN_RATE)))
    return sanitise(fit(resample(coded, MIN_RATE, SAMPLE_RATE), len(samples)))


def narrow_band(samples: F32, rate: int) -> F32:
    """``[N]`` at 16 kHz through another sample rate and back: below 16 kHz the highs are gone.

    Raises:
        ValueError: The rate is not between 8,000 and 96,000 Hz.
    """
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ValueError(f"rate: expected {MIN_RATE} to {MAX_RATE} Hz, got {rate}")
    there = resample(samples, SAMPLE_RATE, rate)
    return sanitise(fit(resample(there, rate, SAMPLE_RATE), len(samples)))
