"""Clean speech → speech as it arrives: a room, other sounds, a microphone, a codec, a network.

Label times stay true: no effect moves sound by more than 2 ms. What each effect costs:
``python -m engines.audio.spoil.augment``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Final, TypeAlias

import numpy as np

from core import F32, SAMPLE_RATE
from engines.audio.spoil import degrade, room
from engines.audio.spoil.codecs import PACKET, narrow_band, opus, telephone
from engines.audio.spoil.filters import mix
from engines.audio.spoil.music import music
from engines.audio.spoil.noise import any_noise, babble, clicks, coloured, fan, hum
from engines.resample import sanitise

Range: TypeAlias = tuple[float, float]
NARROW_RATES: Final = (8_000, 11_025, 22_050)
_SOFT_DRIVE_DB: Final[Range] = (3.0, 18.0)
_PUMP_DBFS: Final[Range] = (-28.0, -12.0)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How often each effect is used (a share of utterances) and how strongly (lowest, highest).

    The shares and ranges are free, but for the ones that follow a source named where they are used.

    Raises:
        ValueError: A share is not in [0, 1], a range is upside down, or the codecs' shares add up
            to more than 1.
    """

    clean: float = 0.1
    "Left exactly as they are."
    reverb: float = 0.35
    rt60: Range = (0.1, 0.8)
    "Seconds; short ones are more likely."
    direct_db: Range = (0.0, 18.0)
    "Direct sound over the rest: far from the microphone, close to it."
    noise: float = 0.5
    noise_snr: Range = (-5.0, 30.0)
    "dB, as are all ratios here."
    babble: float = 0.15
    babble_snr: Range = (0.0, 30.0)
    "Only where other utterances are given. At 0 dB another mouth could be meant."
    music: float = 0.12
    music_snr: Range = (0.0, 20.0)
    clicks: float = 0.1
    clicks_snr: Range = (-5.0, 25.0)
    tilt: float = 0.35
    slope: Range = (-4.0, 4.0)
    "dB an octave."
    low_cut: Range = (20.0, 250.0)
    high_cut: Range = (3_500.0, 8_000.0)
    pump: float = 0.1
    soft_clip: float = 0.08
    gain: float = 0.8
    gain_db: Range = (-30.0, 12.0)
    "0 dB is the most likely; what is too loud clips."
    offset: float = 0.08
    dc: Range = (-0.1, 0.1)
    flip: float = 0.5
    opus: float = 0.4
    opus_bitrate: Range = (16e3, 64e3)
    telephone: float = 0.05
    narrow: float = 0.08
    loss: float = 0.12
    loss_share: Range = (0.01, 0.15)
    loss_burst: Range = (1.0, 4.0)
    "Mean packets of 20 ms lost in a row."

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                if not value[0] <= value[1]:
                    raise ValueError(f"{field.name}: expected lowest <= highest, got {value}")
            elif not 0.0 <= value <= 1.0:
                raise ValueError(f"{field.name}: expected a share in [0, 1], got {value}")
        if self.opus + self.telephone + self.narrow > 1.0:
            raise ValueError("opus + telephone + narrow: at most 1, as each excludes the others")


DEFAULT: Final = Recipe()


def augment(
    samples: F32,
    rng: np.random.Generator,
    *,
    others: Sequence[F32] = (),
    recipe: Recipe = DEFAULT,
) -> F32:
    """An utterance as it might arrive.

    Args:
        samples: float32 ``[N]`` at 16 kHz; NaN counts as silence, overs are clipped.
        rng: All chance comes from here: the same state gives the same samples.
        others: Utterances to make babble of, 16 kHz.
        recipe: What happens how often.

    Returns:
        float32 ``[N]`` in [-1, 1], finite, aligned with ``samples`` to 2 ms.
    """
    sound = sanitise(samples)
    if not len(sound) or rng.uniform() < recipe.clean:
        return sound
    sound = _surround(sound, rng, others, recipe)
    sound = _record(sound, rng, recipe)
    return sanitise(_transmit(sound, rng, recipe))


def _surround(sound: F32, rng: np.random.Generator, others: Sequence[F32], recipe: Recipe) -> F32:
    """The room and what else is heard in it."""
    length = len(sound)
    if rng.uniform() < recipe.reverb:
        low, high = recipe.rt60
        rt60 = low + (high - low) * float(rng.uniform()) ** 1.5
        direct_db = rng.uniform(*recipe.direct_db)
        sound = room.reverberate(sound, room.room_response(rng, rt60, direct_db))
    if rng.uniform() < recipe.noise:
        sound = mix(sound, any_noise(length, rng), rng.uniform(*recipe.noise_snr))
    if rng.uniform() < recipe.babble and others:
        sound = mix(sound, babble(length, rng, others), rng.uniform(*recipe.babble_snr))
    if rng.uniform() < recipe.music:
        sound = mix(sound, music(length, rng), rng.uniform(*recipe.music_snr))
    if rng.uniform() < recipe.clicks:
        sound = mix(sound, clicks(length, rng), rng.uniform(*recipe.clicks_snr))
    return sound


def _record(sound: F32, rng: np.random.Generator, recipe: Recipe) -> F32:
    """The microphone and its settings."""
    if rng.uniform() < recipe.tilt:
        cuts = rng.uniform(*recipe.low_cut), rng.uniform(*recipe.high_cut)
        sound = degrade.tilt(sound, rng.uniform(*recipe.slope), *cuts)
    if rng.uniform() < recipe.pump:
        sound = degrade.pump(sound, rng.uniform(*_PUMP_DBFS))
    if rng.uniform() < recipe.soft_clip:
        sound = degrade.soft_clip(sound, rng.uniform(*_SOFT_DRIVE_DB))
    if rng.uniform() < recipe.gain:
        sound = degrade.gain(sound, _likely_near(rng, 0.0, recipe.gain_db))
    if rng.uniform() < recipe.offset:
        sound = degrade.offset(sound, rng.uniform(*recipe.dc))
    return -sound if rng.uniform() < recipe.flip else sound


def _likely_near(rng: np.random.Generator, mode: float, between: Range) -> float:
    low, high = between
    if low == high:
        return low
    return float(rng.triangular(low, min(max(mode, low), high), high))


def _transmit(sound: F32, rng: np.random.Generator, recipe: Recipe) -> F32:
    """The codec and the network. Packets begin anywhere, not only where tokens do."""
    phase = int(rng.integers(PACKET))
    sent = np.concatenate((np.zeros(phase, np.float32), sound))
    codec = rng.uniform()
    if codec < recipe.opus:
        sent = opus(sent, round(rng.uniform(*recipe.opus_bitrate)))
    elif codec < recipe.opus + recipe.telephone:
        sent = telephone(sent)
    elif codec < recipe.opus + recipe.telephone + recipe.narrow:
        sent = narrow_band(sent, int(rng.choice(NARROW_RATES)))
    if rng.uniform() < recipe.loss:
        share, burst = rng.uniform(*recipe.loss_share), rng.uniform(*recipe.loss_burst)
        lost = degrade.lost_packets(-(-len(sent) // PACKET), rng, share, burst)
        sent = degrade.lose(sent, lost, repeat=bool(rng.uniform() < 0.7))
    return sent[phase:]


def _effects(rng: np.random.Generator, voices: Sequence[F32]) -> dict[str, Callable[[F32], F32]]:
    """Every effect by name, as one function of the speech."""
    made: dict[str, Callable[[int], F32]] = {
        "white noise": lambda n: coloured(n, rng, 0.0),
        "pink noise": lambda n: coloured(n, rng, 1.0),
        "hum": lambda n: hum(n, rng),
        "fan": lambda n: fan(n, rng),
        "babble": lambda n: babble(n, rng, voices),
        "music": lambda n: music(n, rng),
        "clicks": lambda n: clicks(n, rng),
    }
    effects: dict[str, Callable[[F32], F32]] = {
        name: lambda x, noise=noise: mix(x, noise(len(x)), 10.0)  # type: ignore[misc]
        for name, noise in made.items()
    }
    for rt60 in (0.2, 0.8):
        effects[f"reverb {rt60} s"] = partial(_in_a_room, rng, rt60)
    effects |= {
        "tilt": lambda x: degrade.tilt(x, 3.0, 100.0, 6_000.0),
        "pumping": lambda x: degrade.pump(x, -20.0),
        "soft clip": lambda x: degrade.soft_clip(x, 10.0),
        "gain": lambda x: degrade.gain(x, 12.0),
        "telephone": telephone,
        "packet loss": lambda x: degrade.lose(
            x, degrade.lost_packets(-(-len(x) // PACKET), rng, 0.1, 2.0), repeat=True
        ),
        "speed 1.1": lambda x: degrade.resample_speed(x, 1.1),
    }
    for rate in NARROW_RATES:
        effects[f"through {rate} Hz"] = partial(narrow_band, rate=rate)
    for bitrate in (16_000, 32_000, 64_000):
        effects[f"Opus {bitrate // 1000} kbit/s"] = partial(opus, bitrate=bitrate)
    return effects


def _in_a_room(rng: np.random.Generator, rt60: float, samples: F32) -> F32:
    wet: F32 = room.reverberate(samples, room.room_response(rng, rt60, 5.0))
    return wet


def main(seconds: float = 4.0, times: int = 20) -> None:
    """Print the processor time of every effect, and of `augment` with and without Opus."""
    rng = np.random.default_rng(0)
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    buzz = sum(np.sin(2 * np.pi * 110 * k * t + k * k) / k for k in range(1, 40))
    speech = (0.1 * buzz * (1 - np.cos(2 * np.pi * 4 * t)) / 2).astype(np.float32)
    effects = _effects(rng, [speech] * 8)
    no_opus = Recipe(opus=0.0)
    effects["augment, no Opus"] = lambda x: augment(x, rng, others=[x] * 8, recipe=no_opus)
    effects["augment"] = lambda x: augment(x, rng, others=[x] * 8)
    print(f"{'effect':18} {'ms per second':>14} {f'ms per {seconds:g} s':>12}")
    for name, effect in effects.items():
        effect(speech)  # filters and tables are made once
        rounds = 10 * times if name.startswith("augment") else times
        began = time.process_time()
        for _ in range(rounds):
            effect(speech)
        cost = 1e3 * (time.process_time() - began) / rounds
        print(f"{name:18} {cost / seconds:14.2f} {cost:12.1f}")


if __name__ == "__main__":
    main()
