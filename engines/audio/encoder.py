"""Speech → audio tokens, visemes and mouth: the trained network on ONNX Runtime, as a stream.

The network is causal and carries its state, so any cutting of the same sound gives the same
numbers. Its heads can wait for up to 80 ms of what comes next: a choice made when a stream opens.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from core import F32, SAMPLE_RATE, InvalidInput, Unavailable
from engines.resample import sanitise

TOKEN: Final = 320
"Samples of one token: 20 ms."
TAIL: Final = 240
"Samples that the next spectrum shares with the past."
WEIGHTS: Final = Path(__file__).parent / "weights"
LOOKAHEADS_MS: Final = (0, 40, 80)
_AT_ONCE: Final = 500 * TOKEN
"10 s: what a whole recording is cut into, to bound the memory."
_HEARD: Final = ("tokens", "visemes", "mouth", "activity", "loudness")


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What was heard, one row for each token of 20 ms."""

    tokens: F32
    "float32 ``[T, D]``: features, the audio tokens of the video model."
    visemes: F32
    "float32 ``[T, 15]``: probabilities, `engines.audio.visemes.VISEMES`."
    mouth: F32
    "float32 ``[T, 9]``: `core.MOUTH_CHANNELS` in [0, 1]."
    activity: F32
    "float32 ``[T]``: how surely somebody speaks, in [0, 1]."
    loudness: F32
    "float32 ``[T]``: of the voice alone against its usual level, dB."


@dataclass(frozen=True, slots=True, eq=False)
class _Graph:
    """A loaded network, shared by all streams."""

    session: Any
    width: int
    memory: tuple[int, int, int]
    lookaheads: tuple[int, ...]


@lru_cache(maxsize=4)
def _load(path: Path) -> _Graph:
    """Load a graph once a process; some 30 ms.

    Raises:
        Unavailable: The file is missing or not such a graph.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    # A push is below a millisecond: handing it to more threads costs more than it gains.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Without VNNI its products of bytes overflow; this makes them exact, and some slower.
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        shape = json.loads(session.get_modelmeta().custom_metadata_map["shape"])
        memory = tuple(session.get_inputs()[2].shape)
        lookaheads = tuple(shape["lookaheads"])
    except Exception as error:  # ONNX Runtime's own errors share no base class
        raise Unavailable(
            f"The audio encoder {path.name} can not be loaded: {error}. Reinstall Saccade, or "
            "make it again with: python -m engines.audio export"
        ) from error
    return _Graph(session, int(shape["width"]), memory, lookaheads)


class AudioEncoder:
    """One stream of sound through the network."""

    def __init__(self, lookahead_ms: int = 40, *, graph: Path | None = None) -> None:
        """Args:
            lookahead_ms: 0, 40 or 80: how much of the following sound the heads wait for.
            graph: Another network than the one that ships.

        Raises:
            InvalidInput: A look-ahead the network was not trained for.
            Unavailable: The network can not be loaded.
        """
        self._graph = _load(graph or WEIGHTS / "encoder.onnx")
        tokens = lookahead_ms * SAMPLE_RATE // (1000 * TOKEN)
        if tokens not in self._graph.lookaheads or lookahead_ms % 20:
            offered = ", ".join(str(20 * n) for n in self._graph.lookaheads)
            raise InvalidInput(
                f"The audio encoder can not look {lookahead_ms} ms ahead. Choose one of: {offered}."
            )
        self._head = self._graph.lookaheads.index(tokens)
        self.lookahead: Final = tokens * TOKEN
        "Samples by which the heads' rows lag the sound."
        self.reset()

    def reset(self) -> None:
        """Forget the past, as for a new stream."""
        self._tail = np.zeros((1, TAIL), np.float32)
        self._memory = np.zeros(self._graph.memory, np.float32)

    def push(self, samples: F32) -> Heard:
        """Sound, float32 ``[320 * n]`` at 16 kHz → ``n`` rows.

        The heads' last row speaks of the token `lookahead` samples before the end; ``tokens``
        are not delayed. NaN counts as silence and what lies outside [-1, 1] is clipped, so
        nothing that goes in makes what comes out other than finite.

        Raises:
            ValueError: Not a whole number of tokens.
        """
        if samples.ndim != 1 or len(samples) % TOKEN:
            raise ValueError(f"samples: expected [{TOKEN} * n], got {samples.shape}")
        if not len(samples):
            return self._nothing()
        feeds = {"samples": sanitise(samples)[None], "tail": self._tail, "memory": self._memory}
        tokens, visemes, mouth, activity, loudness, self._tail, self._memory = (
            self._graph.session.run(None, feeds)
        )
        head = self._head
        return Heard(
            tokens[0],
            visemes[0, :, head],
            mouth[0, :, head],
            activity[0, :, head],
            loudness[0, :, head],
        )

    def _nothing(self) -> Heard:
        sizes = ((0, self._graph.width), (0, 15), (0, 9), (0,), (0,))
        return Heard(*(np.zeros(s, np.float32) for s in sizes))


def hear(samples: F32, lookahead_ms: int = 40, *, graph: Path | None = None) -> Heard:
    """A whole recording, float32 ``[N]`` at 16 kHz; row k is of samples [320 k, 320 k + 320).

    The last token is filled up with silence.
    """
    encoder = AudioEncoder(lookahead_ms, graph=graph)
    tokens = -(-len(samples) // TOKEN)
    delay = encoder.lookahead // TOKEN
    padded = np.zeros((tokens + delay) * TOKEN, np.float32)
    padded[: len(samples)] = samples
    cuts = range(0, max(1, len(padded)), _AT_ONCE)
    parts = [encoder.push(padded[at : at + _AT_ONCE]) for at in cuts]
    whole = {n: np.concatenate([getattr(p, n) for p in parts]) for n in _HEARD}
    features = whole.pop("tokens")[:tokens]
    return Heard(features, *(rows[delay:] for rows in whole.values()))
