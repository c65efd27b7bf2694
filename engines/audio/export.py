"""A checkpoint → the files that ship: ``python -m engines.audio export``.

``encoder.safetensors`` holds the averaged weights in fp16 with the sizes in its header, the form
to train on from; ``encoder.onnx`` is the same network from sound to heads in fp32, and
``encoder.int8.onnx`` its matrix products in int8 (dynamic quantisation, weights by channel).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core import InvalidInput
from engines.audio.encoder import TOKEN
from engines.audio.network import HOP, WINDOW, AudioNetwork, Shape, Streaming


def read_checkpoint(path: Path, shape: Shape) -> AudioNetwork:
    """The averaged network of a training folder.

    Raises:
        InvalidInput: There is none, or it has other sizes.
    """
    try:
        state = torch.load(path / "checkpoint.pt", weights_only=True, map_location="cpu")
        network = AudioNetwork(shape)
        network.load_state_dict(state["average"])
    except (OSError, RuntimeError, KeyError) as error:
        raise InvalidInput(
            f"{path} holds no checkpoint of this shape ({error}). Train one first: "
            "python -m engines.audio train"
        ) from error
    return network.eval()


def save_weights(network: AudioNetwork, path: Path) -> None:
    """Write fp16 safetensors."""
    from safetensors.torch import save_file

    halves = {n: t.half().contiguous() for n, t in network.state_dict().items()}
    save_file(halves, str(path), {"shape": json.dumps(network.shape.as_dict())})


def load_weights(path: Path) -> AudioNetwork:
    """Read what `save_weights` wrote, as fp32."""
    from safetensors import safe_open

    with safe_open(str(path), "pt") as file:
        sizes = json.loads(file.metadata()["shape"])
        state = {n: file.get_tensor(n).float() for n in file.keys()}
    for name in ("dilations", "lookaheads"):
        sizes[name] = tuple(sizes[name])
    network = AudioNetwork(Shape(**sizes))
    network.load_state_dict(state)
    return network.eval()


INPUTS = ["samples", "tail", "memory"]
OUTPUTS = ["tokens", "visemes", "mouth", "activity", "loudness", "next_tail", "next_memory"]


def save_graph(network: AudioNetwork, path: Path) -> None:
    """Write the streaming graph in fp32; its number of tokens is free."""
    import onnx

    streaming = Streaming(network).eval()
    tokens = torch.export.Dim("tokens", min=1, max=1 << 16)
    example = (
        torch.zeros(1, 4 * TOKEN),
        torch.zeros(1, WINDOW - HOP),
        torch.cat(network.memories(), dim=1),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of the exporter's own making
        program = torch.onnx.export(
            streaming,
            example,
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_shapes={"samples": {1: tokens * TOKEN}, "tail": None, "memory": None},
            dynamo=True,
            verbose=False,
        )
    model = program.model_proto  # type: ignore[union-attr]
    del model.metadata_props[:]
    model.metadata_props.append(
        onnx.StringStringEntryProto(key="shape", value=json.dumps(network.shape.as_dict()))
    )
    onnx.save(model, str(path))


def save_int8(source: Path, path: Path) -> None:
    """Write the graph with int8 matrix products; the mel filters stay fp32."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(str(source))
    keep = [n.name for n in model.graph.node if n.op_type == "MatMul" and _is_mel(n, model)]
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        onnx.save(model, str(plain))
        quantize_dynamic(
            plain,
            path,
            op_types_to_quantize=["MatMul", "Gemm"],
            nodes_to_exclude=keep,
            per_channel=True,
            weight_type=QuantType.QInt8,
        )


def _is_mel(node: Any, model: Any) -> bool:
    sizes = {t.name: list(t.dims) for t in model.graph.initializer}
    return any(sizes.get(name, [0])[0] == WINDOW // 2 + 57 for name in node.input)


def agreement(first: Path, second: Path, seconds: float = 4.0) -> dict[str, float]:
    """Largest difference of two graphs' outputs on the same noise-like speech, by name."""
    from engines.audio.encoder import AudioEncoder

    rng = np.random.default_rng(0)
    time = np.arange(int(seconds * 50) * TOKEN) / 16_000
    voice = np.sign(np.sin(2 * np.pi * 120 * time)) * (np.sin(2 * np.pi * 3 * time) > 0)
    sound = (0.1 * voice + 0.01 * rng.standard_normal(len(time))).astype(np.float32)
    one, two = (AudioEncoder(graph=g).push(sound) for g in (first, second))
    return {
        n: float(np.max(np.abs(getattr(one, n) - getattr(two, n))))
        for n in ("visemes", "mouth", "activity")
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("folder", type=Path, help="of the training")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "weights")
    parser.add_argument("--width", type=int, default=Shape().width)


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Write all three files; both graphs are made of the fp16 weights that ship."""
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    save_weights(
        read_checkpoint(options.folder, Shape(width=options.width)), out / "encoder.safetensors"
    )
    progress(1, 3, "weights")
    save_graph(load_weights(out / "encoder.safetensors"), out / "encoder.onnx")
    progress(2, 3, "graph")
    save_int8(out / "encoder.onnx", out / "encoder.int8.onnx")
    apart = agreement(out / "encoder.onnx", out / "encoder.int8.onnx")
    progress(3, 3, "int8 against fp32: " + ", ".join(f"{n} {v:.3f}" for n, v in apart.items()))
