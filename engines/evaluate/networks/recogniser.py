"""Who is in the picture: face embeddings and ID-Sim.

Papers measure with ArcFace (Deng et al. 2019, "ArcFace: Additive Angular Margin Loss for Deep Face
Recognition", CVPR), which by its licence comes with no package. Somebody who has one puts it into
the folder of weights as ``arcface.onnx``; else SFace (Zhong et al. 2021, "SFace: Sigmoid-
Constrained Hypersphere Loss for Robust Face Recognition", IEEE TIP 30) stands in, under its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from core import F32, MESH_POINTS, U8, InvalidInput
from engines.evaluate.networks.graph import Net, planes
from engines.evaluate.networks.weights import Found, Scaling, Weights, scaling

SIDE: Final = 112
"Pixels of an aligned face."
TEMPLATE: Final[F32] = np.array(
    [
        [38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366],
        [41.5493, 92.3655], [70.7299, 92.2041],
    ],
    np.float32,
)  # fmt: skip
"""Where ArcFace's training put eyes, nose tip and mouth corners, image left first (Deng et al.
2019, in the numbers of their code); SFace's put them at the same places."""
TEMPLATE.setflags(write=False)
POINTS: Final = ((33, 133), (362, 263), (4,), (78,), (308,))
"""Mesh points whose mean each point of the template is: corners of the eyes (pupils move), tip of
the nose, inner corners of the mouth. Of the choices near each other these miss the template least
(3.0 px over the twenty openpeople pictures) and lie nearest to what YuNet sees, the detector that
comes with SFace."""
RAW: Final = Scaling(mean=0.0, scale=1.0)


class Recogniser:
    """Turns faces into unit vectors: the cosine of two says whether they are one person."""

    def __init__(self, weights: Weights, threads: int = 1) -> None:
        """Find the weights and load them.

        Raises:
            Unavailable, InvalidInput: No weights, or files that are none.
        """
        found = weights.first("arcface", "sface")
        self._net = Net(weights.converted(found, build_sface), threads)
        self._net.expect((4,), 1)
        self._scaling = _scaling(found)
        self.name: Final = found.title
        "As tables show it."

    def embed(self, frame: U8, mesh: F32) -> F32:
        """Args:
            frame: uint8 ``[H, W, 3]``, RGB.
            mesh: float32 ``[478, 3]``, pixels of the frame.

        Returns:
            float32 ``[D]``, length 1.

        Raises:
            InvalidInput: The mesh is no face that can be cut out.
        """
        found: F32 = self.embed_all(frame[None], mesh[None])[0]
        if np.isnan(found).any():
            raise InvalidInput("There is no face at the mesh: nothing to recognise.")
        return found

    def embed_all(self, frames: U8, meshes: F32) -> F32:
        """Args:
            frames: uint8 ``[T, H, W, 3]``, RGB.
            meshes: float32 ``[T, 478, 3]``, NaN where no face was seen.

        Returns:
            float32 ``[T, D]`` of length 1 each, NaN where no face was seen.
        """
        if frames.ndim != 4 or meshes.shape != (len(frames), MESH_POINTS, 3) or not len(frames):
            raise ValueError(f"expected a mesh a frame, got {frames.shape} and {meshes.shape}")
        crops = np.zeros((len(frames), SIDE, SIDE, 3), np.uint8)
        seen = np.zeros(len(frames), np.bool_)
        for i, (frame, mesh) in enumerate(zip(frames, meshes, strict=True)):
            crop = aligned(frame, mesh)
            if crop is not None:
                crops[i], seen[i] = crop, True
        if not seen.any():  # a row of nothing tells how long an embedding is
            width = self._vectors(crops[:1]).shape[1]
            return np.full((len(frames), width), np.nan, np.float32)
        vectors = self._vectors(crops[seen])
        out = np.full((len(frames), vectors.shape[1]), np.nan, np.float32)
        out[seen] = vectors
        return out

    def _vectors(self, crops: U8) -> F32:
        out = self._net.run(planes(crops, self._scaling))[0].reshape(len(crops), -1)
        lengths = np.linalg.norm(out, axis=1, keepdims=True)
        return np.asarray(out / np.maximum(lengths, 1e-12), np.float32)


def id_sim(embeddings: F32, reference: F32) -> float:
    """ID-Sim: mean cosine of the embeddings of frames with the portrait's; 1 is the same picture.

    Args:
        embeddings: float32 ``[N, D]`` of unit length; rows of NaN are left out.
        reference: float32 ``[D]`` of unit length.

    Returns:
        A value in [-1, 1]; NaN where no frame shows a face.

    Source: CogPortrait section 4.1 (ID-Sim); a cosine as in Deng et al. 2019.
    """
    cosines = embeddings @ reference
    seen = np.isfinite(cosines)
    return float(np.clip(cosines[seen].mean(), -1, 1)) if seen.any() else float("nan")


def aligned(frame: U8, mesh: F32) -> U8 | None:
    """The face of a frame where the template wants it.

    Returns:
        uint8 ``[112, 112, 3]``; None where the mesh is not finite or has no extent.
    """
    points = np.stack([mesh[list(group), :2].mean(axis=0) for group in POINTS])
    if not np.isfinite(points).all() or np.ptp(points, axis=0).max() < 1:
        return None
    matrix = similarity(points, TEMPLATE)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.5:  # a warp alone would skip pixels of a large face
        frame = cv2.GaussianBlur(frame, (0, 0), 0.4 / scale).astype(np.uint8, copy=False)
    return np.asarray(cv2.warpAffine(frame, matrix, (SIDE, SIDE)), np.uint8)


def similarity(source: npt.NDArray[Any], target: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The rotation, scale and shift, without mirroring, that take points nearest to others.

    Args:
        source: ``[N, 2]``, not all the same.
        target: ``[N, 2]``.

    Returns:
        float64 ``[2, 3]``, as ``cv2.warpAffine`` takes it.

    Source: Umeyama 1991, IEEE TPAMI 13(4), equations 40 to 42.
    """
    a, b = np.asarray(source, np.float64), np.asarray(target, np.float64)
    here, there = a.mean(axis=0), b.mean(axis=0)
    left, values, right = np.linalg.svd((b - there).T @ (a - here) / len(a))
    signs = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    turned = left @ np.diag(signs) @ right * (values @ signs / (a - here).var(axis=0).sum())
    return np.hstack([turned, (there - turned @ here)[:, None]])


def _scaling(found: Found) -> Scaling:
    """A graph that begins with a subtraction, product or quotient scales by itself, as those of
    MXNet do; InsightFace's others want [-1, 1]. A JSON beside the graph overrules (`scaling`)."""
    if found.packaged:
        return RAW
    return scaling(found.path, RAW if _scales_itself(found.path) else Scaling())


def _scales_itself(path: Path) -> bool:
    try:
        import onnx
    except ImportError:
        return False
    graph = onnx.load(str(path), load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    data = [entry.name for entry in graph.input if entry.name not in constants]
    return any(
        node.op_type in ("Sub", "Add", "Mul", "Div") and data[0] in node.input
        for node in graph.node
    )


# --- SFace, as its package has it --------------------------------------------------------------


def build_sface(path: Path) -> Any:
    """The package's graph as ``onnx.ModelProto`` with float32 weights and any number of faces.

    It ships with int8 weights in blocks, which ONNX Runtime would unpack anew in every run, and
    lists its weights as inputs.

    Raises:
        InvalidInput: It is no such graph.
    """
    import onnx

    try:
        model = onnx.load(str(path))
        graph = model.graph
        values = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
        kept = []
        for node in graph.node:
            if node.op_type == "DequantizeLinear":
                values[node.output[0]] = _unpacked(node, values)
            elif node.op_type == "Reshape" and node.input[0] in values:
                shape = values[node.input[1]]
                values[node.output[0]] = values[node.input[0]].reshape(shape)
            elif node.op_type == "PRelu":
                kept += _fast_prelu(node, values)
            else:
                kept.append(node)
        used = {name for node in kept for name in node.input}
        (data,) = [i for i in graph.input if i.name in used and i.name not in values]
    except Exception as error:  # a broken file raises protobuf's own errors, among others
        raise InvalidInput(f"{path} is not the SFace that was expected: {error}.") from error
    for entry in (data, graph.output[0]):
        entry.type.tensor_type.shape.dim[0].dim_param = "n"
    tensors = [onnx.numpy_helper.from_array(v, n) for n, v in values.items() if n in used]
    flat = onnx.helper.make_graph(kept, "sface", [data], graph.output[:1], tensors)
    slim = onnx.helper.make_model(flat, opset_imports=model.opset_import, ir_version=9)
    onnx.checker.check_model(slim)
    return slim


def _unpacked(node: Any, values: dict[str, npt.NDArray[Any]]) -> F32:
    """``(quantised - zero point) x scale``, one scale a block along one axis (ONNX, opset 21)."""
    attributes = {a.name: a.i for a in node.attribute}
    quantised, scales, zeros = (values[name] for name in node.input)
    axis, block = attributes["axis"], attributes["block_size"]
    length = quantised.shape[axis]
    spread = [
        np.take(np.repeat(v, block, axis=axis), range(length), axis=axis) for v in (scales, zeros)
    ]
    offset = quantised.astype(np.float32) - spread[1].astype(np.float32)
    return np.asarray(offset * spread[0], np.float32)


def _fast_prelu(node: Any, values: dict[str, npt.NDArray[Any]]) -> list[Any]:
    """PReLU as ``a x + (1 - a) max(x, 0)``, the products as 1 x 1 convolutions of single channels.

    The same values, but all of it stays in the layout ONNX Runtime convolves in: a face takes
    15 ms instead of 28.
    """
    from onnx.helper import make_node

    (x, slope), (out,) = node.input, node.output
    slopes = values[slope].reshape(-1, 1, 1, 1)
    values[f"{out}/slope"], values[f"{out}/rest"] = slopes, 1 - slopes
    group = len(slopes)
    return [
        make_node("Relu", [x], [f"{out}/positive"]),
        make_node("Conv", [x, f"{out}/slope"], [f"{out}/a"], group=group),
        make_node("Conv", [f"{out}/positive", f"{out}/rest"], [f"{out}/b"], group=group),
        make_node("Add", [f"{out}/a", f"{out}/b"], [out]),
    ]
