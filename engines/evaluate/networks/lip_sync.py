"""Sync-C and Sync-D: do lips and sound belong together, and how far are they apart in time?

Both come from SyncNet (Chung & Zisserman 2016, "Out of Time: Automated Lip Sync in the Wild", ACCV
workshops), whose weights come with no package. Somebody who has them exports them to
``syncnet_lip.onnx`` (float32 ``[n, 3, 5, 224, 224]``, pixels 0 to 255 in the order BGR unless
``syncnet_lip.json`` says otherwise → ``[n, D]``) and ``syncnet_audio.onnx`` (``[n, 1, 13, 20]`` →
``[n, D]``), or both in one ``syncnet.onnx`` with inputs and outputs in this order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from core import F32, MESH_POINTS, U8, InvalidInput
from engines.evaluate.networks.graph import Net, check_frames, planes
from engines.evaluate.networks.mfcc import mfcc
from engines.evaluate.networks.weights import Scaling, Weights, scaling

SIDE: Final = 224
FRAMES: Final = 5
"Of video in one embedding, at 25 a second."
ROWS: Final = 20
"Of cepstra in one embedding: the same 200 ms."
ROWS_PER_FRAME: Final = 4
REACH: Final = 15
"Frames by which sound is shifted to either side."
SHORTEST: Final = 2 * REACH + FRAMES
"Frames of a clip: at every shift half of it is compared (free)."
BATCH: Final = 8
RAW: Final = Scaling(mean=0.0, scale=1.0, order="BGR")
STEADY: Final = 13
"Frames over which the median of the crop is taken."
BESIDE: Final = 0.4
"Surroundings to each side of the face, as a share of half its size, and twice that below."
GREY: Final = (110, 110, 110)
"Outside the picture."


@dataclass(frozen=True, slots=True)
class Sync:
    """How well lips and sound agree."""

    distance: float
    "Sync-D: mean distance of the embeddings at the best shift; lower is better."
    confidence: float
    "Sync-C: median over the shifts less that; higher is better."
    lag: int
    "Frames by which the lips are late."


class SyncNet:
    """Embeds lips and sound so that what happens together lies together."""

    def __init__(self, weights: Weights, threads: int = 1) -> None:
        """Find the weights and load them.

        Raises:
            Unavailable, InvalidInput: No weights, or graphs of another kind.
        """
        whole = weights.find("syncnet")
        found = whole or weights.need("syncnet_lip")
        self._lip = Net(found.path, threads)
        self._audio: Net | None = None
        if whole is not None:
            self._lip.expect((5, 4), 2)
        else:
            self._audio = Net(weights.need("syncnet_audio").path, threads)
            self._lip.expect((5,), 1)
            self._audio.expect((4,), 1)
        self._scaling = scaling(found.path, RAW)
        self.name: Final = found.title
        "As tables show it."

    def measure(self, frames: U8, meshes: F32, samples: F32) -> Sync:
        """Args:
            frames: uint8 ``[T, H, W, 3]``, RGB, 25 a second.
            meshes: float32 ``[T, 478, 3]``, pixels; NaN where no face was seen.
            samples: float32 ``[N]``, 16 kHz, the sound from the first frame on.

        Raises:
            InvalidInput: Too short, too little sound, or no face for half of the time.
        """
        crops, seen = face_crops(frames, meshes)
        cepstra = mfcc(samples)
        length = min(len(frames) - FRAMES, (len(cepstra) - ROWS) // ROWS_PER_FRAME) + 1
        if length < SHORTEST - FRAMES + 1:
            raise InvalidInput(
                f"Lip sync needs {SHORTEST} frames with sound; this clip has "
                f"{max(length + FRAMES - 1, 0)}."
            )
        whole = np.lib.stride_tricks.sliding_window_view(seen, FRAMES)[:length].all(axis=1)
        if 2 * whole.sum() < length:
            raise InvalidInput("Lip sync can not be measured: no face for half of the clip.")
        lips, sound = self._embed(crops, cepstra, length)
        lips[~whole] = np.nan
        return agreement(lips, sound)

    def _embed(self, crops: U8, cepstra: F32, length: int) -> tuple[F32, F32]:
        """Embeddings of ``length`` windows, ``[length, D]`` each."""
        pixels = planes(crops, self._scaling)
        lips, sound = [], []
        for at in range(0, length, BATCH):
            here = range(at, min(at + BATCH, length))
            seen = np.stack([pixels[i : i + FRAMES].transpose(1, 0, 2, 3) for i in here])
            heard = np.stack(
                [cepstra[ROWS_PER_FRAME * i : ROWS_PER_FRAME * i + ROWS].T[None] for i in here]
            )
            if self._audio is None:
                one, other = self._lip.run(seen, heard, batch=BATCH)[:2]
            else:
                one = self._lip.run(seen, batch=BATCH)[0]
                other = self._audio.run(heard, batch=BATCH)[0]
            lips.append(one.reshape(len(seen), -1))
            sound.append(other.reshape(len(seen), -1))
        return np.concatenate(lips), np.concatenate(sound)


def agreement(lips: F32, sound: F32, reach: int = REACH) -> Sync:
    """Sync-D, Sync-C and lag of embeddings.

    At every shift the distances of all windows that then have a partner are averaged. (The
    authors' code gives those without one a partner of zeros, which in clips of a few seconds
    moves the outer shifts.)

    Args:
        lips: float32 ``[N, D]``, one a frame; rows of NaN are left out.
        sound: float32 ``[N, D]``.
        reach: Frames; N > 2 reach.

    Source: Chung & Zisserman 2016, section 4 (lip-sync error).
    """
    if lips.shape != sound.shape or len(lips) <= 2 * reach:
        raise ValueError(f"expected [N, D] twice, N > {2 * reach}: {lips.shape}, {sound.shape}")
    means = np.array([_mean_distance(lips, sound, lag) for lag in range(-reach, reach + 1)])
    if not np.isfinite(means).any():
        raise InvalidInput("Lip sync can not be measured: the embeddings are not finite.")
    best = int(np.nanargmin(means))
    least = float(means[best])
    return Sync(least, float(np.nanmedian(means)) - least, best - reach)


def _mean_distance(lips: F32, sound: F32, lag: int) -> float:
    """Lips of frame i against the sound of frame i - lag."""
    count = len(lips) - abs(lag)
    a, b = lips[max(lag, 0) :][:count], sound[max(-lag, 0) :][:count]
    distances = np.linalg.norm(a - b, axis=1)
    distances = distances[np.isfinite(distances)]
    return float(distances.mean()) if len(distances) else float("nan")


def face_crops(frames: U8, meshes: F32) -> tuple[U8, npt.NDArray[np.bool_]]:
    """Faces as SyncNet looks at them: chin and mouth in the middle, held steady.

    Args:
        frames: uint8 ``[T, H, W, 3]``.
        meshes: float32 ``[T, 478, 3]``, NaN where no face was seen.

    Returns:
        uint8 ``[T, 224, 224, 3]`` and bool ``[T]``, which frames show a face; others are grey.
    """
    check_frames(frames)
    if meshes.shape != (len(frames), MESH_POINTS, 3):
        raise ValueError(f"meshes: expected [{len(frames)}, 478, 3], got {list(meshes.shape)}")
    flat = meshes[..., :2]
    seen = np.isfinite(flat).all(axis=(1, 2))
    out = np.full((len(frames), SIDE, SIDE, 3), GREY[0], np.uint8)
    if not seen.any():
        return out, seen
    low, high = flat[seen].min(axis=1), flat[seen].max(axis=1)
    halves = np.maximum((high - low).max(axis=1) / 2, 1)
    boxes = _steady(np.column_stack([(low + high) / 2, halves]))
    for at, (x, y, half) in zip(np.flatnonzero(seen), boxes, strict=True):
        scale = SIDE / (2 * half * (1 + BESIDE))
        left, top = x - half * (1 + BESIDE), y - half
        matrix = np.array([[scale, 0, -scale * left], [0, scale, -scale * top]])
        out[at] = cv2.warpAffine(frames[at], matrix, (SIDE, SIDE), borderValue=GREY)
    return out, seen


def _steady(boxes: F32) -> F32:
    """The running median of ``[T, 3]``."""
    reach = STEADY // 2
    padded = np.pad(boxes, ((reach, reach), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, STEADY, axis=0)
    return np.asarray(np.median(windows, axis=-1), np.float32)
