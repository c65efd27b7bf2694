"""The generator's graphs run by torch itself: the reference the others are held against.

On a GPU it takes bfloat16 and torch's fused attention. That was never run; on a processor it is, by
the tests. `engines.backends.providers` loads this only when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from core import InvalidInput, Unavailable
from engines.backends.engine import Values
from engines.video.codec import load_codec
from engines.video.dit_file import load_dit_of
from engines.video.export import Graph as Exported
from engines.video.export import about_of, graphs_of
from engines.video.shipped import codec_file, dit_file

KEPT: Final = 2
"Folders whose networks stay loaded."


class TorchGraph:
    """An `Engine`."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Load a graph.

        Args:
            path: The file of the exported graph. Its name and the weights beside it are used.
            threads: Of the processor; torch has one number of them for all.

        Raises:
            Unavailable: There are no such weights.
        """
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cpu":
            torch.set_num_threads(threads)
        try:
            graphs, about = _load(path.parent, device)
        except InvalidInput as error:
            raise Unavailable(
                f"torch can not load the networks of {path.parent}: {error}"
            ) from error
        if path.stem not in graphs:
            raise Unavailable(f"There is no graph {path.stem} of the networks in {path.parent}.")
        graph = graphs[path.stem]
        self._module = graph.module
        self._outputs = list(graph.outputs)
        self._inputs = {name: tuple(x.shape) for name, x in graph.inputs.items()}
        self._about = about
        self._device = device

    @property
    def inputs(self) -> Mapping[str, tuple[int | str, ...]]:
        """See `Engine`, as for all below."""
        return self._inputs

    @property
    def about(self) -> Mapping[str, str]:
        return self._about

    @torch.inference_mode()
    def run(
        self, feeds: Values, outputs: Sequence[str], kept: Sequence[str] = ()
    ) -> dict[str, Any]:
        given = [
            torch.from_numpy(np.ascontiguousarray(feeds[name])).to(self._device)
            for name in self._inputs
        ]
        with torch.autocast(self._device, torch.bfloat16, enabled=self._device == "cuda"):
            made = self._module(*given)
        wanted = {n: x for n, x in zip(self._outputs, made, strict=True) if n in {*outputs, *kept}}
        return {
            name: (x.float() if x.is_floating_point() else x).cpu().numpy()
            for name, x in wanted.items()
        }


@lru_cache(KEPT)
def _load(folder: Path, device: str) -> tuple[dict[str, Exported], dict[str, str]]:
    codec = load_codec(codec_file(folder)).eval()
    dit = load_dit_of(codec, dit_file(folder)).eval()
    graphs = graphs_of(codec, dit)
    for graph in graphs.values():
        graph.module.eval().to(device)
    return graphs, about_of(dit)
