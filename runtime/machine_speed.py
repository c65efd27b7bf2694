"""How fast this machine computes something, measured and kept in a file for a while."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

log = logging.getLogger(__name__)

KEPT = 7 * 24 * 3600.0
"Seconds."
COMPUTE = ("openvino", "onnxruntime")
"Packages whose version changes speed."


def recall(
    path: Path | None, asked: Sequence[object], now: float | None = None
) -> dict[str, float] | None:
    """What `remember` wrote for the same question on the same machine; None: measure.

    Args:
        path: The file; None forgets everything.
        asked: What was measured; plain values.
        now: Unix time. What is older than `KEPT` is measured again: the machine may have had
            something else to do that day.
    """
    if path is None:
        return None
    try:
        kept = json.loads(path.read_text())
        age = (time.time() if now is None else now) - float(kept["at"])
        if kept["of"] != _of(asked) or not 0 <= age <= KEPT:
            return None
        shares = {str(name): float(share) for name, share in kept["shares"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    fine = all(math.isfinite(share) and share > 0 for share in shares.values())
    return shares if shares and fine else None


def remember(
    path: Path | None,
    asked: Sequence[object],
    shares: Mapping[str, float],
    now: float | None = None,
) -> None:
    """Keep measurements by name; what can not be written is measured again next time."""
    if path is None:
        return
    fresh = path.with_suffix(".part")
    kept = {
        "of": _of(asked),
        "at": time.time() if now is None else now,
        "shares": dict(shares),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(kept))
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
