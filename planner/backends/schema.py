"""JSON schemas of the answers, in the subset that servers agree on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from planner.messages import Reply

_BOUNDS: Final = frozenset({"minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems"})
_NOISE: Final = frozenset({"title", "default", "description", "$defs"})


def schema_of(reply: type[Reply], *, bounds: bool = True) -> dict[str, Any]:
    """JSON schema of an answer as models are given it.

    References are written out, every field is required and nothing may be added.

    Args:
        reply: A type of answer.
        bounds: Keep lengths and limits of numbers. Some hosted models refuse them; grammars of
            local ones need them to come to an end.
    """
    made = reply.model_json_schema()
    dropped = _NOISE if bounds else _NOISE | _BOUNDS
    written: dict[str, Any] = _write_out(made, made.get("$defs", {}), dropped)
    return written


def _write_out(node: Any, definitions: Mapping[str, Any], dropped: frozenset[str]) -> Any:
    if isinstance(node, list):
        return [_write_out(item, definitions, dropped) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _write_out(definitions[node["$ref"].rpartition("/")[2]], definitions, dropped)
    kept = {k: _write_out(v, definitions, dropped) for k, v in node.items() if k not in dropped}
    if "properties" in node:
        # Its keys are names of fields, not keywords: none may be dropped.
        fields = node["properties"].items()
        kept["properties"] = {k: _write_out(v, definitions, dropped) for k, v in fields}
        kept["required"] = list(node["properties"])
        kept["additionalProperties"] = False
    return kept
