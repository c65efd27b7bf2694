"""``python -m engines.video export``: weights → ONNX graphs that serving runs without torch.

Four graphs (`engines.video.graphs`), one file each, two of them once more with products in bfloat16
(`engines.video.mixed`), and a decoder in int8 where there are latents to find its scales on
(`engines.video.quantise`). The batch is free everywhere but in
``portrait``; so is the number of keys a step sees, as a stream begins with the reference's alone.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from core import KEYPOINTS, LATENT_FRAMES, MOUTH_CHANNELS, InvalidInput
from engines.video.clip import OWN, REACH, TOKEN_WIDTH
from engines.video.codec import GRID, Codec, load_codec
from engines.video.data.shards import open_shards
from engines.video.dit import NOISY, DiT
from engines.video.dit_file import load_dit_of
from engines.video.graphs import (
    LEVELS,
    DecodeGraph,
    DitGraph,
    PortraitGraph,
    TellGraph,
)
from engines.video.guidance import FRAME
from engines.video.latents import open_latents, require_latents_of
from engines.video.mixed import mixed
from engines.video.quantise import quantised, stretches, take_apart
from engines.video.regions import REGIONS, SIDE
from engines.video.schedule import WINDOW
from engines.video.shipped import BF16, INT8, SHIPPED, codec_file, dit_file, graph_file
from engines.video.text import LENGTH
from engines.video.weights import places_in

OPSET: Final = 20
"The first in which rows are sampled off the grid with the names that torch writes (GridSample)."
MIXED: Final = ("dit", "decode")
"Graphs that are written with products in bfloat16, too: all but those that take no time."
FOLDED: Final = 128
"""Numbers of a constant at most of which others are computed when a graph is written: less than any
weight has that is not a scale or a bias."""
LARGEST: Final = 4096
"Numbers of what is computed."
TOLD: Final = ("pose", "text", "sound")
PORTRAIT: Final = ("reference", "beside", "keys", "values")
FEATURES: Final = tuple(f"features_{SIDE >> level}" for level in range(1, LEVELS + 1))


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A module with what `torch.onnx.export` asks for."""

    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: Sequence[str]
    free: Mapping[str, dict[int, Any]]
    "Axes of the inputs whose length is free."


def graphs_of(codec: Codec, dit: DiT) -> dict[str, Graph]:
    """All graphs of two networks that go together, by name."""
    config, blocks = dit.config, dit.config.blocks
    head = config.width // config.heads
    rows, own = 2, WINDOW * FRAME  # 1 would be taken for a constant
    batch = torch.export.Dim("batch", min=1, max=64)
    count = torch.export.Dim("count", min=FRAME, max=64 * own)
    latents = torch.zeros(rows, WINDOW, len(REGIONS), config.channels, GRID, GRID)
    spots = (len(REGIONS), len(KEYPOINTS), 2)
    frames = WINDOW * LATENT_FRAMES
    heard = REACH + WINDOW * OWN
    told = {
        "pose": torch.zeros(rows, WINDOW, FRAME, config.width),
        "text": torch.zeros(blocks, 2, rows, LENGTH, max(config.heads // 2, 1), head),
        "sound": torch.zeros(blocks, 2, rows, WINDOW, REACH + OWN, config.heads, head),
    }
    seen = {
        "reference": torch.zeros(rows, FRAME, config.channels),
        "beside": torch.zeros(rows, FRAME, config.width),
        "keys": torch.zeros(blocks, rows, FRAME + own, config.heads, head),
        "values": torch.zeros(blocks, rows, FRAME + own, config.heads, head),
    }
    by_row = {
        "pose": {0: batch}, "text": {2: batch}, "sound": {2: batch},
        "reference": {0: batch}, "beside": {0: batch},
        "keys": {1: batch, 2: count}, "values": {1: batch, 2: count},
        "latents": {0: batch}, "sigma": {0: batch}, "after": {0: batch}, "kind": {},
        "pull": {0: batch},
    }  # fmt: skip
    # Two tensors: inputs that are one object are exported as one.
    guided = {"pull": torch.ones(*latents.shape[:3], GRID, GRID, 2)} if config.maps else {}
    level, after = torch.full((rows,), 0.5), torch.full((rows,), 0.5)
    picture = torch.zeros(len(REGIONS), SIDE, SIDE, 3, dtype=torch.uint8)
    asked = {
        "points": torch.zeros(rows, frames, *spots),
        "felt": torch.zeros(rows, frames, len(MOUTH_CHANNELS)),
        "audio": torch.zeros(rows, heard, TOKEN_WIDTH),
        "hears": torch.ones(rows, heard, dtype=torch.bool),
        "words": torch.zeros(rows, LENGTH, dtype=torch.int64),
    }
    return {
        "portrait": Graph(
            PortraitGraph(codec, dit), {"pictures": picture, "points": torch.zeros(1, *spots)},
            (*PORTRAIT, *FEATURES), {},
        ),
        "tell": Graph(TellGraph(dit), asked, TOLD, {name: {0: batch} for name in asked}),
        "dit": Graph(
            DitGraph(dit),
            {"latents": latents, "sigma": level, "after": after, "kind": torch.tensor(NOISY)}
            | told | seen | guided,
            ("next_latents", "written_keys", "written_values"), by_row,
        ),
        "decode": _decode(codec, latents, picture),
    }  # fmt: skip


def _decode(codec: Codec, latents: Tensor, picture: Tensor) -> Graph:
    codec = deepcopy(codec)
    take_apart(codec.decoder)
    rows, batch = len(latents), torch.export.Dim("batch", min=1, max=64)
    with torch.no_grad():
        still = torch.zeros(len(REGIONS), codec.config.latent, GRID, GRID)
        unit = torch.zeros(len(REGIONS), 3, SIDE, SIDE)
        levels = codec.decoder.reference(unit, still, torch.arange(len(REGIONS))).levels
    memory = codec.decoder.cache(len(REGIONS))
    inputs = {"latents": latents, "pictures": picture[None].repeat(rows, 1, 1, 1, 1)}
    states = dict(zip(FEATURES, levels, strict=True))
    states |= {f"memory_{n}": x for n, x in enumerate(memory)}
    inputs |= {name: x[None].repeat(rows, 1, 1, 1, 1) for name, x in states.items()}
    outputs = ("frames", *(f"next_memory_{n}" for n in range(len(memory))))
    return Graph(DecodeGraph(codec), inputs, outputs, {name: {0: batch} for name in inputs})


def about_of(dit: DiT) -> dict[str, str]:
    """What graphs say of the networks that they are of."""
    names = ("blocks", "heads", "width", "channels", "context")
    return {"saccade": json.dumps({name: getattr(dit.config, name) for name in names})}


def write_graph(graph: Graph, about: Mapping[str, str], shared: Sequence[Path], path: Path) -> None:
    """Export one graph, and what `MIXED` says; each file whole or not at all.

    Args:
        graph: What to export.
        about: Goes into the file's metadata.
        shared: Weights files in the same folder, see `share_weights`.
        path: The file.
    """
    import onnx
    from onnxscript.optimizer import fold_constants, remove_unused_nodes

    free = {name: graph.free.get(name) for name in graph.inputs}
    shapes: Any = tuple(free.values())
    if isinstance(graph.module, DecodeGraph):  # the last of its arguments are a tuple
        shapes = (*shapes[:2], tuple(shapes[2:]))
    # It warns of packages that it does not need.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own making
        program = torch.onnx.export(
            graph.module.eval(),
            tuple(graph.inputs.values()),
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            optimize=False,  # or weights are no longer those of the file
            verbose=False,
        )
        assert program is not None
        # What shapes are made of: half of the nodes, and TensorRT takes no axes that are computed.
        fold_constants(
            program.model, onnx_shape_inference=True, input_size_limit=FOLDED,
            output_size_limit=LARGEST, should_fold=_of_small_numbers,
        )  # fmt: skip
        remove_unused_nodes(program.model)
    model = program.model_proto
    share_weights(model, shared)
    forget_origins(model)
    for key, value in about.items():
        model.metadata_props.append(onnx.StringStringEntryProto(key=key, value=value))
    _save(model, path)
    if path.stem in MIXED:
        _save(mixed(model), graph_file(path.parent, path.stem + BF16))


def _save(model: Any, path: Path) -> None:
    import onnx

    fresh = path.with_suffix(".part")
    onnx.save(model, str(fresh))
    fresh.replace(path)


def _of_small_numbers(node: Any) -> bool | None:
    """Weights stay as they are in their file, even where turning them once would do."""
    sizes = (x.const_value.size for x in node.inputs if x is not None)
    return False if any(size > FOLDED for size in sizes) else None


def forget_origins(model: Any) -> None:
    """Drop what the exporter notes of the code and of the machine: it is most of the file."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
    for part in (model, graph, *graph.node):
        part.ClearField("doc_string")
    del graph.value_info[:]


def share_weights(model: Any, files: Sequence[Path]) -> None:
    """Have a graph read its weights, in half precision, out of weights files beside it.

    So weights are stored once, whichever graphs use them. What reads a graph folds the casts.

    Args:
        model: An ``onnx.ModelProto``; changed.
        files: Of `engines.video.weights`. A graph's ``codec.x`` and ``dit.x`` are the tensors x
            of the files with such names.
    """
    from onnx import TensorProto, helper

    graph = model.graph
    there = {
        f"{file.stem.split('-')[0]}.{name}": (file, place)
        for file in files
        for name, place in places_in(file).items()
    }
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    casts = []
    for i, tensor in enumerate(kept):
        name, part = _origin(tensor.name)
        if name not in there or tensor.data_type != TensorProto.FLOAT:
            continue
        file, place = there[name]
        if part is not None:
            length = place.length // 2
            place = replace(place, begin=place.begin + part * length, length=length)
        if place.dtype != "F16" or place.length != 2 * math.prod(tensor.dims):
            raise InvalidInput(f"{file} and the graph differ in {tensor.name}.")
        half = TensorProto(
            name=f"{tensor.name}.half", data_type=TensorProto.FLOAT16, dims=tensor.dims,
            data_location=TensorProto.EXTERNAL,
        )  # fmt: skip
        where = {"location": file.name, "offset": place.begin, "length": place.length}
        for key, value in where.items():
            half.external_data.add(key=key, value=str(value))
        casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
        kept[i] = half
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)


def _origin(name: str) -> tuple[str, int | None]:
    """The name of a graph's tensor in its file, and which half of that it is.

    Halves are of `blocks.Apart`; what `quantise` makes bytes of has another name, too.
    """
    name = re.sub(r"\.parametrizations\.(\w+)\.original$", r".\1", name)
    half = re.match(r"(.*)\.(now|past)\.(weight|bias)$", name)
    if half is None:
        return name, None
    return f"{half[1]}.{half[3]}", int(half[2] == "past")


def export(
    folder: Path,
    progress: Callable[[int, int, str], None] | None = None,
    learnt: tuple[Path, Path] | None = None,
) -> None:
    """Write all graphs of a folder of weights into the same folder, which they read.

    Args:
        folder: Of the weights.
        progress: Told after each graph.
        learnt: Folders of latents and of the clips they are of: for a decoder in int8. Without,
            one that is there is removed, as it is of other weights.

    Raises:
        InvalidInput: There are no weights, or they do not go together.
        Unavailable: A part of them is missing.
    """
    codec = load_codec(codec_file(folder))
    dit = load_dit_of(codec, dit_file(folder))
    about = about_of(dit)
    shared = sorted(folder.glob("*.safetensors"))
    graphs = graphs_of(codec, dit)
    whole = f"decode{INT8}"
    if learnt is None:
        graph_file(folder, whole).unlink(missing_ok=True)
    else:
        latents, clips = open_latents(learnt[0]), open_shards(learnt[1])
        require_latents_of(codec, latents)
        in_bytes = quantised(codec.eval(), stretches(latents, clips))
        graphs[whole] = graphs_of(in_bytes, dit)["decode"]
    for done, (name, graph) in enumerate(graphs.items(), 1):
        write_graph(graph, about, shared, graph_file(folder, name))
        if progress is not None:
            progress(done, len(graphs), name)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``export``."""
    parser.add_argument("folder", type=Path, nargs="?", default=SHIPPED,
                        help="of weights; the graphs go there, too")  # fmt: skip
    parser.add_argument("--learnt", type=Path, nargs=2, metavar=("LATENTS", "CLIPS"),
                        help="what was learnt from: makes a decoder in int8, too")  # fmt: skip


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Export."""
    export(options.folder, progress, tuple(options.learnt) if options.learnt else None)
