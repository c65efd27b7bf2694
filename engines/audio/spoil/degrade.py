"""What microphones, their settings and the network do to speech: levels, clipping, lost packets."""

from __future__ import annotations

from math import exp, log10
from typing import Final

import numpy as np
import numpy.typing as npt

from core import F32, SAMPLE_RATE
from engines.audio.spoil.codecs import PACKET
from engines.audio.spoil.filters import LEVEL_FRAME, equalise, within
from engines.resample import resample, sanitise

SPEED_STEP: Final = 0.01
_AGC_MAX_DB: Final = 24.0
_FADE_PACKETS: Final = 3
"Repeated packets fade to nothing within 60 ms, as in ITU-T G.711 Appendix I."


def gain(samples: F32, db: float) -> F32:
    """Louder or quieter, clipped at [-1, 1]."""
    return np.clip(samples * np.float32(10.0 ** (db / 20.0)), -1.0, 1.0)


def soft_clip(samples: F32, drive_db: float) -> F32:
    """An amplifier driven ``drive_db`` into saturation; the peak level is kept."""
    drive = np.float32(10.0 ** (drive_db / 20.0))
    driven: F32 = np.tanh(samples * drive) / np.tanh(drive)
    return driven


def pump(samples: F32, target_db: float, attack: float = 0.02, release: float = 0.5) -> F32:
    """Automatic gain control that is heard working: it ducks after onsets and swells in pauses.

    Args:
        samples: float32 ``[N]``.
        target_db: The level it steers to, dBFS.
        attack: Seconds in which it follows a louder sound.
        release: Seconds in which it follows a quieter one.

    Returns:
        float32 ``[N]``, clipped at [-1, 1]. The gain is within 24 dB of 1.
    """
    if not len(samples):
        return samples.copy()
    frames = -(-len(samples) // LEVEL_FRAME)
    padded = np.zeros(frames * LEVEL_FRAME, np.float32)
    padded[: len(samples)] = samples
    blocks = padded.reshape(frames, LEVEL_FRAME)
    power = np.einsum("fn,fn->f", blocks, blocks) / LEVEL_FRAME
    step = LEVEL_FRAME / SAMPLE_RATE
    rise, fall = 1.0 - exp(-step / attack), 1.0 - exp(-step / release)
    followed = float(power[0])
    gains_db = np.empty(frames + 1)
    gains_db[0] = _agc_gain(followed, target_db)
    for i, now in enumerate(power.tolist()):
        followed += (rise if now > followed else fall) * (now - followed)
        gains_db[i + 1] = _agc_gain(followed, target_db)
    at = np.arange(len(samples)) / LEVEL_FRAME
    gains = np.interp(at, np.arange(frames + 1), 10.0 ** (gains_db / 20.0)).astype(np.float32)
    return np.clip(samples * gains, -1.0, 1.0)


def _agc_gain(power: float, target_db: float) -> float:
    wanted = target_db - 10.0 * log10(power + 1e-12)
    return min(max(wanted, -_AGC_MAX_DB), _AGC_MAX_DB)


def offset(samples: F32, dc: float) -> F32:
    """A constant added, as cheap sound cards do; clipped at [-1, 1]."""
    return np.clip(samples + np.float32(dc), -1.0, 1.0)


def tilt(samples: F32, db_per_octave: float, low_cut: float = 0.0, high_cut: float = 8e3) -> F32:
    """The colour of a microphone: a slope about 1 kHz, with 12 dB an octave beyond the cuts.

    Args:
        samples: float32 ``[N]``.
        db_per_octave: Positive is brighter. The lift is at most 12 dB.
        low_cut: Hz below which it falls; 0 for none.
        high_cut: Hz above which it falls; 8,000 for none.

    Returns:
        float32 ``[N]``, made quieter where it would clip. No frequency is delayed.
    """

    def curve(hertz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        octaves = np.log2(np.maximum(hertz, 31.25) / 1_000.0)
        response: npt.NDArray[np.float64] = 10.0 ** (
            np.clip(db_per_octave * octaves, -40.0, 12.0) / 20.0
        )
        if low_cut > 0.0:
            response /= 1.0 + (low_cut / np.maximum(hertz, 1.0)) ** 2
        if high_cut < 0.5 * SAMPLE_RATE:
            response /= 1.0 + (hertz / high_cut) ** 2
        return response

    return within(equalise(samples, curve))


def lost_packets(
    count: int, rng: np.random.Generator, share: float, burst: float
) -> npt.NDArray[np.bool_]:
    """Which of ``count`` packets are lost: a two-state chain, good and bad; bad ones are lost.

    Args:
        count: Packets sent.
        rng: Draws the losses.
        share: Share of packets lost in the long run, in [0, 0.5].
        burst: Mean packets lost in a row, at least 1.

    Returns:
        bool ``[count]``, True where lost.

    Raises:
        ValueError: ``share`` or ``burst`` is out of range.

    Source: E. N. Gilbert, "Capacity of a burst-noise channel", Bell System Technical Journal
    39(5), 1960; E. O. Elliott, "Estimates of error rates for codes on burst-noise channels", Bell
    System Technical Journal 42(5), 1963. Here nothing is lost in the good state.
    """
    if not 0.0 <= share <= 0.5 or not burst >= 1.0:
        raise ValueError(f"expected share in [0, 0.5] and burst >= 1, got {share} and {burst}")
    recover = 1.0 / burst
    fail = recover * share / (1.0 - share)
    lost = np.zeros(count, np.bool_)
    bad = rng.uniform() < share
    for i, draw in enumerate(rng.uniform(size=count).tolist()):
        lost[i] = bad
        bad = draw >= recover if bad else draw < fail
    return lost


def lose(samples: F32, lost: npt.NDArray[np.bool_], repeat: bool) -> F32:
    """Speech ``[N]`` without its lost 20-ms packets.

    Args:
        samples: float32 ``[N]``; packet k is samples 320 k to 320 (k + 1).
        lost: bool ``[ceil(N / 320)]``.
        repeat: Fill a gap with the last packet received, fading to silence within 60 ms, as a
            receiver does; otherwise with silence.

    Raises:
        ValueError: ``lost`` has another length.
    """
    if len(lost) != -(-len(samples) // PACKET):
        raise ValueError(f"lost: expected {-(-len(samples) // PACKET)} flags, got {len(lost)}")
    padded = np.zeros(len(lost) * PACKET, np.float32)
    padded[: len(samples)] = samples
    packets = padded.reshape(-1, PACKET)
    fade = np.linspace(1.0, 0.0, _FADE_PACKETS * PACKET + 1, dtype=np.float32)[:-1]
    fades = fade.reshape(_FADE_PACKETS, PACKET)
    last, run = -1, 0
    for k, gone in enumerate(lost.tolist()):
        if not gone:
            last, run = k, 0
        else:
            heard = repeat and last >= 0 and run < _FADE_PACKETS
            packets[k] = packets[last] * fades[run] if heard else 0.0
            run += 1
    return padded[: len(samples)]


def resample_speed(samples: F32, factor: float) -> F32:
    """Faster and higher together: ``[N]`` → ``[N / factor]``; times of labels are / ``factor``.

    Args:
        samples: float32 ``[N]`` at 16 kHz.
        factor: A whole number of hundredths, 0.5 to 2: 1.1 is ten per cent faster.

    Raises:
        ValueError: ``factor`` is out of range or no whole number of hundredths. (It is not rounded
            here: labels scaled by another factor would drift apart from the sound.)
    """
    hundredths = round(factor / SPEED_STEP)
    if not 50 <= hundredths <= 200 or abs(factor - hundredths * SPEED_STEP) > 1e-6:
        raise ValueError(f"factor: expected 0.5 to 2 in steps of {SPEED_STEP}, got {factor}")
    return sanitise(resample(samples, SAMPLE_RATE * hundredths // 100, SAMPLE_RATE))
