"""Where the generator's weights lie. No torch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

SHIPPED: Final = Path(__file__).parent / "trained"
"Of the weights that come with Saccade; docs/model-card.md says what they are."
INT8: Final = "-int8"
"Follows the name of a graph whose convolutions are bytes."
BF16: Final = "-bf16"
"Follows the name of a graph whose products are bfloat16."


def codec_file(folder: Path) -> Path:
    """The codec's weights in a folder."""
    return folder / "codec.safetensors"


def dit_file(folder: Path) -> Path:
    """The transformer's; what is too large for one file lies beside it."""
    return folder / "dit.safetensors"


def teacher_file(folder: Path) -> Path:
    """What the transformer learnt from, where it is a student: two passes a step, many steps."""
    return folder / "teacher.safetensors"


def graph_file(folder: Path, name: str) -> Path:
    """One of the exported graphs."""
    return folder / f"{name}.onnx"


def fingerprint(folder: Path) -> str:
    """Tells weights apart: of all there are in a folder; empty where there are none."""
    files = sorted(folder.glob("*.safetensors"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16] if files else ""
