"""A graph's large products in bfloat16, everything else as it was.

TensorRT 11 takes the types that a graph states, and has fused attention for half types alone: with
float32 anywhere between two products of an attention they are computed one by one. So products,
convolutions, and what lies between them without arithmetic of its own (or is a bias, a softmax, an
activation) are bfloat16; norms, residuals, rotations and sampling stay float32.
"""

from __future__ import annotations

from typing import Any, Final

PRODUCTS: Final = frozenset({"MatMul", "Gemm", "Conv", "ConvTranspose"})
CARRIED: Final = frozenset(
    {
        "Reshape", "Transpose", "Slice", "Concat", "Split", "Squeeze", "Unsqueeze", "Expand",
        "Gather", "Identity", "Softmax", "Gelu", "Relu",
    }
)  # fmt: skip
"Kinds whose results are as precise as what comes in, or as a half type can hold."


def mixed(model: Any) -> Any:
    """A copy of an ``onnx.ModelProto`` of float32 with products in bfloat16.

    Inputs and outputs keep their types, weights their places. Nodes have to be in order, as the
    format wants it.
    """
    import onnx
    from onnx import TensorProto, helper

    typed = onnx.shape_inference.infer_shapes(model)
    graph = typed.graph
    floats = {t.name for t in graph.initializer if t.data_type == TensorProto.FLOAT} | {
        v.name
        for v in (*graph.input, *graph.value_info, *graph.output)
        if v.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    constant = {t.name for t in graph.initializer}
    half: set[str] = set()
    there: set[str] = set()
    nodes: list[Any] = []

    def cast(name: str, to: int, suffix: str) -> str:
        other = f"{name}.{suffix}"
        if other not in there:
            there.add(other)
            nodes.append(helper.make_node("Cast", [name], [other], to=to))
        return other

    for node in graph.node:
        given = [name for name in node.input if name in floats or name in half]
        inner = _is_half(node, given, half, constant)
        for i, name in enumerate(node.input):
            if inner and name in floats and name not in half:
                node.input[i] = cast(name, TensorProto.BFLOAT16, "bf16")
            elif not inner and name in half:
                node.input[i] = cast(name, TensorProto.FLOAT, "f32")
        nodes.append(node)
        if all(name in constant for name in node.input if name):
            constant.update(node.output)
        if inner:
            half.update(name for name in node.output if name in floats)
    for value in graph.output:
        if value.name in half:
            _rename(nodes, value.name, f"{value.name}.whole")
            nodes.append(
                helper.make_node(
                    "Cast", [f"{value.name}.whole"], [value.name], to=TensorProto.FLOAT
                )
            )
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    return typed


def _is_half(node: Any, given: list[str], half: set[str], constant: set[str]) -> bool:
    """Whether a node is to compute in bfloat16, by the floats that it is given."""
    if node.op_type in PRODUCTS:
        return not all(name in constant for name in given)
    coming = [name for name in given if name not in constant]
    carried = node.op_type in CARRIED or (node.op_type == "Add" and len(coming) < len(given))
    return carried and bool(coming) and all(name in half for name in coming)


def _rename(nodes: list[Any], old: str, new: str) -> None:
    for node in nodes:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == old:
                    names[i] = new
