"""How fast this machine computes something, measured once and kept in a file."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

log = logging.getLogger(__name__)

COMPUTE = ("openvino", "onnxruntime")
"Packages whose version changes speed."


def recall(path: Path | None, asked: Sequence[object]) -> float | None:
    """What `remember` wrote for the same question on the same machine; None: measure.

    Args:
        path: The file; None forgets everything.
        asked: What was measured; plain values.
    """
    if path is None:
        return None
    try:
        kept = json.loads(path.read_text())
        if kept["of"] != _of(asked):
            return None
        share = float(kept["share"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return share if math.isfinite(share) and share > 0 else None


def remember(path: Path | None, asked: Sequence[object], share: float) -> None:
    """Keep a measurement; one that can not be written is measured again next time."""
    if path is None:
        return
    fresh = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps({"of": _of(asked), "share": share}))
        fresh.replace(path)
    except OSError as error:
        log.warning("how fast the generator is here is not kept: %s", error)


def _of(asked: Sequence[object]) -> list[object]:
    """The question and the machine, as JSON has them."""
    machine = [platform.machine(), _processor(), os.cpu_count()]
    return [*asked, *machine, *(_version(name) for name in COMPUTE)]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
