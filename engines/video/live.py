"""The generator without torch: a portrait prepared once, then window after window.

A stream remembers a bounded past: keys and values of the last few windows, and the decoder's
memory. Nothing grows with its length. On a GPU all of that stays there, with what a portrait is
prepared to: latents and pictures cross, nothing else.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from core import F32, U8, SaccadeError, Unavailable
from engines.backends.engine import Engine, Values
from engines.backends.memory import OnDevice, Value, concatenate, on_device, part_of
from engines.backends.providers import Backend, Provider, first_that_loads
from engines.video.adapted import Adapted
from engines.video.guidance import UNGUIDED, Guidance, eye_map, pull_of
from engines.video.schedule import SHIFT, WINDOW, flow_times, window_noise
from engines.video.shipped import SHIPPED, graph_file

GRAPHS: Final = ("portrait", "tell", "dit", "decode")
CONTEXT: Final = ("reference", "beside")
"Of a portrait, beside its keys and values: what each pass is told."
TOLD: Final = ("pose", "text", "sound")
"Of a window: what each of its passes is told."
WRITTEN: Final = ("written_keys", "written_values")
"What a pass leaves for later windows."
STEPS: Final = 4
"Euler steps of a window."
_NOISY: Final = np.array(0, np.int64)
_CLEAN: Final = np.array(1, np.int64)
"Kinds of a pass, as `engines.video.dit` numbers them."


class BrokenWindow(SaccadeError):
    """A window came out as something else than numbers; the stream has begun anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What a window is to show; see `engines.video.conditions.Conditions`."""

    points: F32
    "float32 ``[8, 3, 62, 2]``: keypoints in region coordinates."
    felt: F32
    "float32 ``[8, 9]``."
    audio: F32
    "float32 ``[24, 256]``: tokens, from 160 ms before."
    hears: npt.NDArray[np.bool_]
    "bool ``[24]``."
    words: npt.NDArray[np.int64]
    "int64 ``[16]``."


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What the graphs need of a portrait; shared by its streams and not changed."""

    pictures: U8
    "uint8 ``[1, 3, 96, 96, 3]``."
    context: dict[str, Value]
    "``reference`` and ``beside`` of the passes."
    keys: Value
    "float32 ``[layers, 1, 108, heads, head]``."
    values: Value
    features: dict[str, Value]
    "Of the decoder."

    def adapted(self, learnt: Adapted) -> Prepared:
        """With features that were learnt, where those are that they replace; as it is where they
        are of another size."""
        sizes = [{n: x.shape for n, x in part.items()} for part in (self.features, learnt.features)]
        if sizes[0] != sizes[1]:
            return self
        features = {
            name: on_device(old.memory, learnt.features[name])
            if isinstance(old, OnDevice)
            else learnt.features[name]
            for name, old in self.features.items()
        }
        return replace(self, features=features)


class Networks:
    """The four graphs, loaded; one set serves all streams."""

    def __init__(self, open_graph: Callable[[str], Engine]) -> None:
        """Args:
            open_graph: Loads a graph by its name, one of `GRAPHS`.

        Raises:
            Unavailable: One can not be loaded, or is not of Saccade.
        """
        self._engines = {name: open_graph(name) for name in GRAPHS}
        try:
            about = json.loads(self._engines["dit"].about["saccade"])
            self.channels: Final = int(about["channels"])
            self.past: Final = int(about["context"]) // WINDOW
            "Windows that a window sees before itself."
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(
                "The generator's graphs are not of this version. Make them again: "
                "python -m engines.video export"
            ) from error
        self.guided: Final = "pull" in self._engines["dit"].inputs
        "Whether one pass can be guided."
        decodes = self._engines["decode"].inputs
        self._memory: dict[str, tuple[int, ...]] = {
            name: (1, *(int(n) for n in shape[1:]))
            for name, shape in decodes.items()
            if name.startswith("memory_")
        }
        self._features = tuple(name for name in decodes if name.startswith("features_"))

    @classmethod
    def open(cls, folder: Path = SHIPPED, threads: int = 1, backend: Backend = "auto") -> Networks:
        """Load the graphs of a folder.

        Raises:
            Unavailable: They can not be loaded, or are not of Saccade.
        """

        def load(provider: Provider) -> Networks:
            def open_graph(name: str) -> Engine:
                special = graph_file(folder, name + provider.suffix)
                path = special if special.exists() else graph_file(folder, name)
                return provider.open(path, threads)

            return cls(open_graph)

        return first_that_loads(backend, load)

    def prepare(self, reference: U8, points: F32) -> Prepared:
        """What is needed of a portrait: once, some tens of milliseconds.

        Args:
            reference: uint8 ``[3, 96, 96, 3]``: its regions.
            points: float32 ``[3, 62, 2]``: its keypoints in region coordinates.
        """
        kept = (*CONTEXT, "keys", "values", *self._features)
        made = self.run("portrait", {"pictures": reference, "points": points[None]}, (), kept)
        context = {name: made.pop(name) for name in CONTEXT}
        return Prepared(reference[None], context, made.pop("keys"), made.pop("values"), made)

    def memory(self) -> dict[str, Value]:
        """What a decoder remembers at the start."""
        return {name: np.zeros(shape, np.float32) for name, shape in self._memory.items()}

    def run(
        self, graph: str, feeds: Values, outputs: Sequence[str], kept: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Run a graph by its name; see `Engine.run`."""
        return self._engines[graph].run(feeds, outputs, kept)


class LiveStream:
    """Windows of one portrait. One stream, one thread at a time."""

    def __init__(
        self,
        networks: Networks,
        portrait: Prepared,
        steps: int = STEPS,
        *,
        guidance: Guidance = UNGUIDED,
        seed: int = 0,
        shift: float = SHIFT,
    ) -> None:
        """Args:
        networks: Shared, not changed.
        portrait: Who it is.
        steps: Euler steps a window.
        guidance: How strongly the eyes are pulled; only students can be.
        seed: Of all noise.
        shift: Of the flow times.
        """
        self.steps, self.guidance = steps, guidance
        self.made = 0
        "Windows so far."
        self._networks, self._portrait = networks, portrait
        self._seed, self._shift = seed, shift
        self._past: deque[tuple[Value, Value]] = deque(maxlen=networks.past)
        self._memory = networks.memory()
        self._before = (self._past.copy(), self._memory)

    def make(self, asked: Asked) -> U8:
        """The next window, uint8 ``[8, 3, 96, 96, 3]``.

        Raises:
            BrokenWindow: It is no picture; what follows starts from the portrait again.
        """
        (made,) = make_windows((self,), (asked,))
        if isinstance(made, BrokenWindow):
            raise made
        return made

    def fits(self, other: LiveStream) -> bool:
        """Whether both can make their next windows in the same passes."""
        mine, theirs = ((id(s._networks), s.steps, s._shift, len(s._past)) for s in (self, other))
        return mine == theirs

    def rewind(self) -> None:
        """The last window was taken back: go on as if it had not been made."""
        self._past, self._memory = self._before[0].copy(), self._before[1]

    def forget(self) -> None:
        """Begin anew: what was shown before no longer counts."""
        self._past.clear()
        self._memory = self._networks.memory()
        self.made += 1  # with other noise than what failed

    def _pull(self, asked: Asked) -> F32:
        """What a student is told of guidance, ``[2, 3, 6, 6, 2]``."""
        return pull_of(self.guidance, eye_map(asked.points, self.guidance.kappa))

    def _noise(self) -> F32:
        return window_noise(self._seed, self.made, self._networks.channels)

    def _seen(self) -> tuple[Value, Value]:
        """Keys and values of the reference, then of the windows before, from the oldest on."""
        ages = range(len(self._past), 0, -1)
        keys = [_of_age(turned, age) for age, (turned, _) in zip(ages, self._past, strict=True)]
        portrait = self._portrait
        return (
            concatenate((portrait.keys, *keys), 2),
            concatenate((portrait.values, *(values for _, values in self._past)), 2),
        )

    def _remember(self, keys: Value, values: Value, memory: dict[str, Value]) -> None:
        self._before = (self._past.copy(), self._memory)
        self._past.append((keys, values))
        self._memory = memory
        self.made += 1


def make_windows(streams: Sequence[LiveStream], asked: Sequence[Asked]) -> list[U8 | BrokenWindow]:
    """The next window of each of some streams that fit together, in the same passes.

    Args:
        streams: One or more of which each `LiveStream.fits` the first.
        asked: What each of them is to show.

    Returns:
        Of each uint8 ``[8, 3, 96, 96, 3]``, or what is wrong with it: that stream has begun anew.
    """
    first = streams[0]
    networks, steps, shift = first._networks, first.steps, first._shift
    run, rows = networks.run, len(streams)
    conditions = ("points", "felt", "audio", "hears", "words")
    told = run("tell", {n: np.stack([getattr(a, n) for a in asked]) for n in conditions}, (), TOLD)
    seen = [stream._seen() for stream in streams]
    common = told | {
        name: concatenate([s._portrait.context[name] for s in streams], 0) for name in CONTEXT
    }
    common["keys"] = concatenate([keys for keys, _ in seen], 1)
    common["values"] = concatenate([values for _, values in seen], 1)
    guided = networks.guided
    pulled: dict[str, Value] = (
        {"pull": np.stack([s._pull(a) for s, a in zip(streams, asked, strict=True)])}
        if guided
        else {}
    )
    x: F32 = np.stack([stream._noise() for stream in streams])
    for now, after in pairwise(flow_times(steps, shift)):
        levels = _levels(now, after, rows)
        feeds: dict[str, Value] = {"latents": x, "kind": _NOISY, **levels, **common, **pulled}
        step = run("dit", feeds, ("next_latents",))
        x = step["next_latents"]
    sound = np.isfinite(x).all(axis=tuple(range(1, x.ndim)))
    x[~sound] = 0  # so that it breaks no other
    # What is remembered is not guided, so that turning the knob leaves the past as it is.
    calm = {name: np.ones(maps.shape, np.float32) for name, maps in pulled.items()}
    levels = _levels(0.0, 0.0, rows)
    feeds = {"latents": x, "kind": _CLEAN, **levels, **common, **calm}
    left = run("dit", feeds, (), WRITTEN)
    states = {
        name: concatenate([part[name] for part in parts], 0)
        for parts in ([s._memory for s in streams], [s._portrait.features for s in streams])
        for name in parts[0]
    }
    pictures = concatenate([s._portrait.pictures for s in streams], 0)
    remembered = [f"next_{name}" for name in first._memory]
    feeds = {"latents": x, "pictures": pictures, **states}
    decoded = run("decode", feeds, ("frames",), remembered)
    frames = decoded.pop("frames")
    out: list[U8 | BrokenWindow] = []
    for i, stream in enumerate(streams):
        if not sound[i]:
            stream.forget()
            out.append(BrokenWindow("A window of the generator is not a picture. It goes on anew."))
            continue
        keys, values = part_of(left["written_keys"], 2, i), part_of(left["written_values"], 1, i)
        memory = {n.removeprefix("next_"): part_of(x, 0, i) for n, x in decoded.items()}
        stream._remember(keys, values, memory)
        out.append(frames[i])
    return out


def _of_age(turned: Value, age: int) -> Value:
    """The keys of a window as they are seen so many windows later, ``[layers, 1, 216, …]``."""
    return part_of(turned, 0, age - 1).reshape(turned.shape[1:])


def _levels(now: float, after: float, rows: int) -> dict[str, F32]:
    return {name: np.full(rows, at, np.float32) for name, at in (("sigma", now), ("after", after))}
