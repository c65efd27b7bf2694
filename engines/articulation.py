"""How a hop of sound would look on lips: the targets a mouth moves towards.

Every shape grows and fades smoothly with what is heard; only what is learnt and remembered has
thresholds. Loudness and the reach of the formants are relative to the speaker, learnt while
listening. Nothing looks ahead.
"""

from __future__ import annotations

from typing import Final

from core import MOUTH, MOUTH_CHANNELS
from engines.spectral import HOP_SECONDS, Hop

GATE_DBFS: Final = -46.0
"What is quieter never moves the mouth: room tone, microphone noise. A clear voice gets 8 dB."
SILENT_DBFS: Final = -120.0
VOICED: Final = 0.3
"Voicing above which a hop counts as voice (`Hop.voicing`)."
HANG_HOPS: Final = 24
"A voice counts as speaking until this long after its last voiced hop: a stop's gap and more."


def ramp(low: float, high: float, x: float) -> float:
    """0 at ``low``, 1 at ``high`` (either order), smooth between (Hermite) and flat outside."""
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


class _Levels:
    """Levels that move slowly: what is background here, and how loud this voice is."""

    __slots__ = ("_mean", "_variance", "floor", "loud")

    def __init__(self) -> None:
        self.floor = -75.0
        "Background, dBFS: follows every dip at once, rises slowly, faster under a steady sound."
        self.loud = -22.0
        "The loud vowels of this voice, dBFS."
        self._mean = SILENT_DBFS
        self._variance = 0.0

    def hear(self, level: float, voicing: float, tilt: float) -> float:
        """Take in one hop; returns how surely it is more than background, 0 to 1."""
        deviation = level - self._mean
        self._mean += 0.06 * deviation
        self._variance += 0.06 * (deviation * deviation - self._variance)
        steady = self._variance < 2.5
        if level < self.floor:
            self.floor += 0.4 * (level - self.floor)
        else:
            rate = (30.0 if voicing < VOICED else 5.0) if steady else 1.5  # dB/s
            self.floor = min(self.floor + rate * HOP_SECONDS, level)
        self.floor = max(self.floor, -90.0)
        gate = GATE_DBFS - 8.0 * ramp(VOICED, 0.7, voicing) * ramp(-30.0, -22.0, tilt)
        threshold = max(gate, self.floor + 7.0)
        active = ramp(threshold, threshold + 6.0, level)
        if active > 0.0 and voicing > VOICED:
            if level > self.loud:
                self.loud += 0.06 * (level - self.loud)
            else:
                self.loud -= 2.5 * HOP_SECONDS * active
            self.loud = min(max(self.loud, -42.0), -6.0)
        return active


class _Reach:
    """The 10th and 90th percentile of a feature in this voice, learnt within bounds.

    Source of the update: Robbins & Monro, "A stochastic approximation method", 1951.
    """

    __slots__ = ("_high_bounds", "_low_bounds", "_step", "high", "low")

    def __init__(self, low: tuple[float, float, float], high: tuple[float, float, float]) -> None:
        """Each percentile as (least, at first, greatest)."""
        self._low_bounds, self._high_bounds = low[::2], high[::2]
        self.low, self.high = low[1], high[1]
        self._step = 0.08 * (self.high - self.low)

    def hear(self, value: float, weight: float) -> None:
        step = self._step * weight
        low = self.low + step * (0.1 - (value < self.low))
        high = self.high + step * (0.9 - (value < self.high))
        self.low = min(max(low, self._low_bounds[0]), self._low_bounds[1])
        self.high = min(max(high, self._high_bounds[0]), self._high_bounds[1])

    def place(self, value: float) -> float:
        """0 at the low percentile, 1 at the high one, not bounded."""
        return (value - self.low) / (self.high - self.low)


class Articulator:
    """Hop after hop of one sound → targets. One instance a session."""

    def __init__(self) -> None:
        self._levels = _Levels()
        # Hz and dB; bounds from the spread between speakers of several languages.
        self._first = _Reach((330.0, 385.0, 450.0), (560.0, 640.0, 740.0))
        self._second = _Reach((1060.0, 1170.0, 1340.0), (1700.0, 1950.0, 2150.0))
        self._tilt = _Reach((-28.0, -19.0, -13.0), (-5.0, 3.0, 12.0))
        self._peak = SILENT_DBFS
        self._since_voice = 1.0
        self._voiced_run = 0
        self._hang = 0
        self._colour = self._colour_before = 0.5
        self._dark, self._dull = -5.0, -20.0

    @property
    def speaking(self) -> bool:
        """Whether a voice is heard, or was within `HANG_HOPS`."""
        return self._hang > 0

    def target(self, hop: Hop) -> list[float]:
        """The mouth this hop asks for: 9 channels in [0, 1]."""
        levels = self._levels
        active = levels.hear(max(hop.level, hop.hiss), hop.voicing, hop.tilt)
        loud = min(max((hop.level - levels.loud + 30.0) / 30.0, 0.0), 1.1)
        fricative = active * _fricative(hop)
        voiced = active * (1.0 - fricative)
        self._follow_voice(hop, voiced * loud)
        labial = self._labial(hop)
        colour = self._second.place(hop.second)
        opening = self._first.place(hop.first)
        breath = self._weak_noise(hop) * (1.0 - active)
        sharp = ramp(2_900.0, 3_900.0, hop.edge)
        return _shape(
            drive=voiced * loud,
            openness=ramp(0.0, 1.0, opening),
            front=ramp(0.45, 1.0, colour),
            back=ramp(0.35, 0.0, colour),
            murmur=self._murmur(hop.tilt, colour, opening) * ramp(0.15, 0.4, loud) * voiced,
            closure=self._gap(hop.level) * (1.0 - fricative) * (1.0 - breath),
            labial=labial,
            breath=breath,
            sharp=fricative * sharp,
            hushed=fricative * (1.0 - sharp),
            talking=ramp(0.20, 0.08, self._since_voice),
        )

    def _follow_voice(self, hop: Hop, strength: float) -> None:
        """Learn this voice, and how long ago it was heard."""
        heard = strength > 0.15 and hop.voicing > VOICED
        self._voiced_run = min(self._voiced_run + 1, 3) if heard else 0
        # One periodic hop may be chance, unless a voice has just been heard.
        if self._voiced_run == 3 or (heard and self._hang):
            self._since_voice = 0.0
            self._hang = HANG_HOPS
        else:
            self._since_voice = min(self._since_voice + HOP_SECONDS, 1.0)
            self._hang = max(self._hang - 1, 0)
        if not heard:
            return
        self._first.hear(hop.first, strength)
        self._second.hear(hop.second, strength)
        self._tilt.hear(hop.tilt, strength)

    def _labial(self, hop: Hop) -> float:
        """How much the last of the voice sounded like lips closing, rather than tongue, 0 to 1.

        Closing lips lower F2 and darken the voice; a closing tongue raises F2 and keeps more of
        the high band (Stevens, "Acoustic Phonetics", MIT Press 1998, chapter 7). While the gap
        is silent the last answer stands.
        """
        if hop.level > max(self._levels.floor + 8.0, self._peak - 26.0):
            colour = self._second.place(hop.second)
            self._colour += 0.4 * (colour - self._colour)
            self._colour_before += 0.12 * (colour - self._colour_before)
            self._dark += 0.4 * (hop.tilt - self._dark)
            dull = max(hop.hiss, -75.0) - max(hop.level, -75.0)
            self._dull += 0.4 * (dull - self._dull)
        evidence = (
            0.45 * ramp(0.1, -0.2, self._colour - self._colour_before)
            + 0.20 * ramp(0.7, 0.25, self._colour)
            + 0.25 * ramp(-2.0, -16.0, self._dark)
            + 0.10 * ramp(-20.0, -36.0, self._dull)
        )
        return ramp(0.25, 0.65, evidence)

    def _murmur(self, tilt: float, colour: float, opening: float) -> float:
        """How much this sounds through the nose with the mouth shut (m; n and ng alike).

        A murmur has its energy below 500 Hz, no open vowel's F1, and neither the high F2 of
        i nor the low one of u.
        """
        dark = ramp(self._tilt.low + 5.0, self._tilt.low - 2.0, tilt)
        middle = ramp(0.15, 0.4, colour) * ramp(1.1, 0.7, colour)
        return dark * middle * ramp(0.35, 0.05, opening)

    def _gap(self, level: float) -> float:
        """How much this is the gap of a stop: a sharp fall right after voice."""
        self._peak = max(level, self._peak - 80.0 * HOP_SECONDS)
        return ramp(9.0, 18.0, self._peak - level) * ramp(0.20, 0.10, self._since_voice)

    def _weak_noise(self, hop: Hop) -> float:
        """How much this is an f: weak broad noise within speech, above the background."""
        above = ramp(8.0, 14.0, max(hop.level, hop.hiss) - self._levels.floor)
        broad = ramp(-14.0, -6.0, hop.hiss - hop.level) * ramp(2_800.0, 3_400.0, hop.edge)
        return above * broad * ramp(0.16, 0.10, self._since_voice)


def _fricative(hop: Hop) -> float:
    """How much this is s, z, sh or their like, 0 to 1."""
    hissing = ramp(-4.0, 4.0, hop.hiss - hop.level + 3.0 * (1.0 - hop.voicing))
    rushing = ramp(-13.0, -6.0, hop.hiss - hop.level) * ramp(8.0, 15.0, hop.tilt)
    return max(hissing, rushing * ramp(0.4, 0.2, hop.voicing))


def _shape(
    *,
    drive: float,
    openness: float,
    front: float,
    back: float,
    murmur: float,
    closure: float,
    labial: float,
    breath: float,
    sharp: float,
    hushed: float,
    talking: float,
) -> list[float]:
    """What is heard, each 0 to 1, as a mouth. Strengths were set by eye on rendered speech."""
    fricative = sharp + hushed
    shut = max(murmur, closure * (0.4 + 0.6 * labial))
    rounded = back * (1.0 - 0.85 * openness)
    jaw = (0.12 + 0.42 * openness) * drive + 0.04 * talking
    target = [0.0] * len(MOUTH_CHANNELS)
    target[_JAW] = jaw * (1.0 - 0.9 * shut) + 0.07 * fricative
    target[_WIDE] = 0.65 * drive * front + 0.4 * sharp
    target[_PUCKER] = 0.9 * drive * rounded + 0.5 * hushed
    target[_PRESS] = max(closure * (0.15 + 0.8 * labial), 0.65 * murmur)
    target[_UPPER] = (0.08 + 0.10 * front) * drive + 0.25 * fricative
    target[_LOWER] = (0.15 + 0.30 * front) * drive * (1.0 - shut) + 0.5 * fricative
    target[_TUCK] = 0.8 * breath
    return target


_JAW, _WIDE, _PUCKER, _PRESS = (MOUTH[n] for n in ("jaw", "wide", "pucker", "press"))
_UPPER, _LOWER, _TUCK = (MOUTH[n] for n in ("upper_lip", "lower_lip", "tuck"))
