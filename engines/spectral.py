"""What a short stretch of speech sounds like, in the few numbers the mouth needs.

Windows of 25 ms end at the newest sample and advance by 10 ms; nothing looks ahead.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from core import F32, SAMPLE_RATE

HOP_SECONDS: Final = 0.01
HOP: Final = round(SAMPLE_RATE * HOP_SECONDS)
WINDOW: Final = 400
"25 ms."
_FFT: Final = 640
"The window and 15 ms of zeros, so that the autocorrelation does not wrap into its lags."
_SILENCE: Final = 1e-12
"-120 dBFS: what a logarithm is kept from falling below."


class Hop(NamedTuple):
    """How 25 ms of sound sound."""

    level: float
    "RMS between 200 Hz and 4 kHz, dBFS: loudness without hum, rumble and DC."
    hiss: float
    "RMS between 3.5 kHz and 7.8 kHz, dBFS."
    tilt: float
    "700 Hz to 4 kHz against 200 to 500 Hz, dB: very low in the murmur of m, n and in voice bars."
    first: float
    "Centre of the amplitudes around the first formant, Hz: how open the vowel is."
    second: float
    "Centre of the amplitudes around the second formant, Hz: front (high) or rounded (low)."
    edge: float
    "Centre of power above 1.5 kHz, Hz: s lies high, sh lower."
    voicing: float
    "How periodic it is, 0 to 1: noise stays below 0.3, vowels lie above."


def _band(low: float, high: float) -> slice:
    """FFT bins from ``low`` to ``high`` Hz."""
    return slice(round(low * _FFT / SAMPLE_RATE), round(high * _FFT / SAMPLE_RATE) + 1)


_FREQUENCY: Final = (np.arange(_FFT // 2 + 1) * (SAMPLE_RATE / _FFT)).astype(np.float32)
# Blackman: side lobes 58 dB down and a main lobe of 120 Hz, so DC and mains hum stay below 200 Hz.
_TAPER: Final = np.blackman(WINDOW).astype(np.float32)
_TAPER_POWER: Final = float(2.0 / (_FFT * np.sum(_TAPER.astype(np.float64) ** 2)))
_LEVEL, _HISS = _band(200, 4_000), _band(3_500, 7_800)
_LOW, _HIGH = _band(200, 500), _band(700, 4_000)
_FIRST, _SECOND, _EDGE = _band(250, 1_000), _band(850, 2_600), _band(1_500, 7_800)
_LAGS: Final = slice(SAMPLE_RATE // 400, SAMPLE_RATE // 80 + 1)
_AUTOCORRELATION_FLOOR: Final = np.fft.irfft(np.abs(np.fft.rfft(_TAPER, _FFT)) ** 2)
_LAG_GAIN: Final = np.minimum(
    _AUTOCORRELATION_FLOOR[0] / _AUTOCORRELATION_FLOOR[_LAGS], 4.0
).astype(np.float32)


def _decibel(power: F32) -> F32:
    level: F32 = 10.0 * np.log10(power + np.float32(_SILENCE))
    return level


def _centre(weights: F32, band: slice) -> F32:
    """Mean frequency of ``band`` under ``weights`` ``[n, bins]``, Hz; mid-band where all is 0."""
    part = weights[:, band] + np.float32(1e-9)
    centre: F32 = part @ _FREQUENCY[band] / part.sum(axis=1)
    return centre


class SpectralAnalyser:
    """Carries the 15 ms that the next window shares with the past."""

    def __init__(self) -> None:
        self._tail = np.zeros(WINDOW - HOP, np.float32)

    def frame(self, samples: F32) -> list[Hop]:
        """One video frame, float32 ``[640]``, finite and in [-1, 1] → its four hops."""
        held = np.concatenate((self._tail, samples))
        self._tail = held[-(WINDOW - HOP) :]
        windows = np.lib.stride_tricks.sliding_window_view(held, WINDOW)[::HOP]
        spectrum = np.fft.rfft(windows * _TAPER, _FFT)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        power *= np.float32(_TAPER_POWER)
        amplitude = np.sqrt(power)
        columns = (
            _decibel(power[:, _LEVEL].sum(axis=1)),
            _decibel(power[:, _HISS].sum(axis=1)),
            _decibel(power[:, _HIGH].sum(axis=1)) - _decibel(power[:, _LOW].sum(axis=1)),
            _centre(amplitude, _FIRST),
            _centre(amplitude, _SECOND),
            _centre(power, _EDGE),
            self._voicing(amplitude),
        )
        return [Hop(*row) for row in np.stack(columns, axis=1).tolist()]

    @staticmethod
    def _voicing(amplitude: F32) -> F32:
        """The highest peak of the autocorrelation, corrected for the window, less that of noise.

        The transform back is of amplitudes, not powers: so flattened, noise of any colour
        stays near 0.1 and even a creaky voice above 0.25.

        Source: Tolonen & Karjalainen, "A computationally efficient multipitch analysis model",
        IEEE Trans. Speech and Audio Processing 8(6), 2000 (the compression); Boersma, IFA
        Proceedings 17, 1993 (the correction).
        """
        clean = amplitude.copy()
        clean[:, : _LOW.start // 2] = 0.0  # below 100 Hz there is hum, not voice
        correlation = np.fft.irfft(clean)
        peak = (correlation[:, _LAGS] * _LAG_GAIN).max(axis=1) / (correlation[:, 0] + _SILENCE)
        voicing: F32 = np.clip((peak - 0.1) / 0.4, 0.0, 1.0).astype(np.float32)
        return voicing
