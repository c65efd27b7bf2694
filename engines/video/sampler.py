"""The reference sampler: 40 guided Euler steps a window, window after window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from engines.video.attention import KeysValues
from engines.video.conditions import Conditions
from engines.video.dit import DiT
from engines.video.guidance import EYE_AWARE, Guidance, eye_map, needs_both, omega, pull_of
from engines.video.schedule import SHIFT, STEPS, WINDOW, euler, flow_times, window_noise
from engines.video.told import Sink, Told
from engines.video.windows import Stream


@torch.no_grad()
def sample_window(
    stream: Stream,
    conditions: Conditions,
    noise: Tensor,
    guidance: Guidance = EYE_AWARE,
    steps: int = STEPS,
    shift: float = SHIFT,
) -> Tensor:
    """Make the next window of a stream and remember it.

    Args:
        stream: The stream; one window longer afterwards.
        conditions: Of the window's two latent frames, and the sound around.
        noise: ``[B, 2, 3, C, 6, 6]``: `schedule.window_noise`.
        guidance: Ω; `guidance.UNGUIDED` takes half the time. A student is told it instead.
        steps: Euler steps.
        shift: Of the flow times.

    Returns:
        Clean latents, the shape of ``noise``.
    """
    told, memory = stream.tell(conditions), stream.memory()
    student = stream.dit.config.maps > 0
    pull = None
    if student:
        maps = pull_of(guidance, _eye_maps(conditions, guidance.kappa))
        pull = torch.from_numpy(maps).to(noise)
    elif needs_both(guidance):
        both = _beside(told, stream.tell(conditions.unconditional()))
        one = stream.sink
        sink = Sink(torch.cat((one.latents,) * 2), torch.cat((one.beside,) * 2), [])
        twice = [(torch.cat((k, k)), torch.cat((v, v))) for k, v in memory]
        gauss = _eye_maps(conditions, guidance.kappa)

    def velocity(x: Tensor, sigma: float, rho: float) -> Tensor:
        if student or not needs_both(guidance):
            level = x.new_full((len(x),), sigma)
            return stream.dit.step(x, level, told, stream.sink, memory, pull=pull)[0]
        level = x.new_full((2 * len(x),), sigma)
        v_c, v_u = stream.dit.step(torch.cat((x, x)), level, both, sink, twice)[0].chunk(2)
        strength = torch.from_numpy(omega(guidance, gauss, rho)).to(x)
        return v_u + strength.unsqueeze(3) * (v_c - v_u)

    latents = euler(velocity, noise, flow_times(steps, shift))
    stream.write(latents, told, memory)
    return latents


@torch.no_grad()
def generate(
    dit: DiT,
    conditions: Conditions,
    reference: Tensor,
    seed: int | Sequence[int],
    guidance: Guidance = EYE_AWARE,
    steps: int = STEPS,
    shift: float = SHIFT,
) -> Tensor:
    """Whole clips: the very windows that a stream with the same seed makes.

    Args:
        dit: The network, in evaluation mode.
        conditions: Of B clips of L latent frames, L even.
        reference: ``[B, 3, C, 6, 6]``.
        seed: One for all, or one a clip.
        guidance: As in `sample_window`, like the rest.
        steps: Euler steps.
        shift: Of the flow times.

    Returns:
        Latents ``[B, L, 3, C, 6, 6]``.
    """
    seeds = [seed] * len(conditions) if isinstance(seed, int) else list(seed)
    if len(seeds) != len(conditions) or conditions.latents % WINDOW:
        raise ValueError(f"{len(seeds)} seeds, {len(conditions)} clips of {conditions.latents}")
    stream = Stream(dit, reference, conditions.reference_points)
    made = []
    for window in range(conditions.latents // WINDOW):
        noise = np.stack([window_noise(s, window, dit.config.channels) for s in seeds])
        part = conditions.stretch(window * WINDOW, WINDOW)
        x = torch.from_numpy(noise).to(reference.device)
        made.append(sample_window(stream, part, x, guidance, steps, shift))
    return torch.cat(made, 1)


def _eye_maps(conditions: Conditions, kappa: float) -> np.typing.NDArray[np.float32]:
    """``G`` of every clip, float32 ``[B, 2, 3, 6, 6]``."""
    points = conditions.points.detach().cpu().numpy()
    return np.stack([eye_map(clip, kappa) for clip in points])


def _beside(a: Told, b: Told) -> Told:
    """Two sets of conditions as one batch."""

    def join(one: list[KeysValues], two: list[KeysValues]) -> list[KeysValues]:
        pairs = zip(one, two, strict=True)
        return [(torch.cat((p[0], q[0])), torch.cat((p[1], q[1]))) for p, q in pairs]

    return Told(torch.cat((a.pose, b.pose)), join(a.text, b.text), join(a.audio, b.audio))
