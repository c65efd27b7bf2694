"""Small tools over ONNX: put a graph together, and run one on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from core import F32, U8, InvalidInput, Unavailable
from engines.evaluate.networks.weights import Scaling

OPSET: Final = 18
IR_VERSION: Final = 9


class GraphBuilder:
    """Collects nodes and constants; every method returns the name of what it made."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, array: npt.NDArray[Any]) -> str:
        """A constant, as it is: dtypes are the caller's."""
        import onnx

        name = f"c{len(self._constants)}"
        self._constants.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, op: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """A node with one output."""
        import onnx

        out = name or f"n{len(self._nodes)}"
        self._nodes.append(onnx.helper.make_node(op, list(inputs), [out], **attributes))
        return out

    def split(self, x: str) -> tuple[str, str]:
        """Two halves of the first axis."""
        import onnx

        halves = [f"n{len(self._nodes)}a", f"n{len(self._nodes)}b"]
        self._nodes.append(onnx.helper.make_node("Split", [x], halves, axis=0, num_outputs=2))
        return halves[0], halves[1]

    def model(
        self,
        inputs: Mapping[str, Sequence[int | str]],
        outputs: Mapping[str, Sequence[int | str]],
    ) -> Any:
        """The ``onnx.ModelProto``; all inputs and outputs are float32, strings are free sizes."""
        import onnx

        values = [
            [
                onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(shape))
                for name, shape in ends.items()
            ]
            for ends in (inputs, outputs)
        ]
        graph = onnx.helper.make_graph(
            self._nodes, "saccade", values[0], values[1], self._constants
        )
        model = onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        onnx.checker.check_model(model)
        return model


class Net:
    """A graph in ONNX Runtime, on the CPU. Not thread-safe by promise."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Args:
            path: ONNX.
            threads: It may use, at least 1.

        Raises:
            Unavailable: The file can not be loaded.
        """
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = max(1, threads)
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        try:
            self._session = ort.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's own errors share no base class
            raise Unavailable(f"{path} can not be loaded as ONNX: {error}") from error
        self.path: Final = path
        self.shapes: Final[list[list[int | str | None]]] = [
            list(i.shape) for i in self._session.get_inputs()
        ]
        "Of the inputs, in their order; sizes that are not fixed are strings or None."
        self.outputs: Final = len(self._session.get_outputs())

    def expect(self, ranks: Sequence[int], outputs: int) -> None:
        """Refuse a graph of another kind.

        Raises:
            InvalidInput: Its inputs are not of these ranks, or it has too few outputs.
        """
        found = [len(shape) for shape in self.shapes]
        if found != list(ranks) or self.outputs < outputs:
            raise InvalidInput(
                f"{self.path.name} takes inputs of {found} dimensions and has {self.outputs} "
                f"outputs; expected {list(ranks)} and at least {outputs}."
            )

    def size(self, input: int, axis: int, default: int) -> int:
        """A side of an input: as the graph fixes it, else ``default``."""
        side = self.shapes[input][axis]
        return side if isinstance(side, int) and side > 0 else default

    def run(self, *arrays: F32, batch: int = 8) -> list[F32]:
        """Run over the first axis of all inputs, some rows at a time.

        Args:
            arrays: float32 ``[N, ...]``, one an input; N >= 1 is the same for all.
            batch: Rows at a time, where the graph does not fix them.

        Returns:
            One array an output, float32 ``[N, ...]``.

        Raises:
            InvalidInput: The graph does not take such arrays.
        """
        names = [i.name for i in self._session.get_inputs()]
        step = self.size(0, 0, batch)
        total = len(arrays[0])
        parts: list[list[F32]] = []
        for at in range(0, total, step):
            rows = [a[at : at + step] for a in arrays]
            lacking = step - len(rows[0]) if self.size(0, 0, 0) else 0
            if lacking:  # a fixed number of rows is always filled
                rows = [np.concatenate([r, np.repeat(r[-1:], lacking, axis=0)]) for r in rows]
            parts.append(self._once(dict(zip(names, rows, strict=True)), min(step, total - at)))
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def _once(self, feed: dict[str, F32], rows: int) -> list[F32]:
        try:
            out = self._session.run(None, feed)
        except Exception as error:  # as above
            shapes = [list(a.shape) for a in feed.values()]
            raise InvalidInput(f"{self.path.name} does not take {shapes}: {error}") from error
        if any(len(np.atleast_1d(o)) < rows for o in out):
            raise InvalidInput(f"{self.path.name} gives fewer rows than it got.")
        return [np.asarray(np.atleast_1d(o)[:rows], np.float32) for o in out]


def planes(frames: U8, scaling: Scaling) -> F32:
    """Frames as a network takes them.

    Args:
        frames: uint8 ``[N, H, W, 3]``, RGB.
        scaling: What the network wants.

    Returns:
        float32 ``[N, 3, H, W]``.
    """
    ordered = frames if scaling.order == "RGB" else frames[..., ::-1]
    turned = np.ascontiguousarray(ordered.transpose(0, 3, 1, 2), np.float32)
    turned -= scaling.mean
    turned /= scaling.scale
    return turned


def resized(frames: U8, height: int, width: int) -> U8:
    """Frames ``[N, H, W, 3]`` at another size, bilinear; the very same where it is theirs."""
    if frames.shape[1:3] == (height, width):
        return frames
    out = np.empty((len(frames), height, width, 3), np.uint8)
    for source, target in zip(frames, out, strict=True):
        cv2.resize(source, (width, height), dst=target, interpolation=cv2.INTER_LINEAR)
    return out


def check_frames(frames: npt.NDArray[Any], name: str = "frames") -> None:
    """Raise ValueError unless uint8 ``[N, H, W, 3]`` with N >= 1."""
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise ValueError(
            f"{name}: expected uint8 [N, H, W, 3], got {frames.dtype} {list(frames.shape)}"
        )
