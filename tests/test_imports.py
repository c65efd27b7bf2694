"""The arrows of the house: imports point down, the pillars do not see each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED: dict[str, set[str]] = {
    "core": set(),
    "face": {"core"},
    "planner": {"core", "face", "planner"},
    "engines": {"core", "face", "engines"},
    "runtime": {"core", "face", "planner", "engines", "runtime"},
    "stream": {"core", "face", "planner", "engines", "runtime", "stream"},
    "server": {"core", "face", "planner", "engines", "runtime", "stream"},
}


def sources() -> list[Path]:
    found = [p for room in ALLOWED for p in (ROOT / room).rglob("*.py")]
    return sorted(found + [p for room in ALLOWED if (p := ROOT / f"{room}.py").exists()])


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield (node.module or "").split(".")[0]


def test_every_room_is_there() -> None:
    rooms = {p.relative_to(ROOT).parts[0].removesuffix(".py") for p in sources()}
    assert rooms == set(ALLOWED)


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    seen = set(imported(ast.parse(path.read_text())))
    assert seen & set(ALLOWED) <= ALLOWED[room]


def test_core_and_face_need_numpy_alone() -> None:
    for name in ("core.py", "face.py"):
        seen = set(imported(ast.parse((ROOT / name).read_text())))
        assert seen - set(sys.stdlib_module_names) <= {"numpy", "core", "__future__"}


def test_serving_loads_nothing_it_does_not_need() -> None:
    """`import server` stays light: optional and GPL parts are loaded when asked for."""
    heavy = ("torch", "piper", "jax", "matplotlib", "onnx", "engines.evaluate")
    code = f"import server, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_finding_faces_loads_nothing_to_draw_with_and_leaves_it_usable() -> None:
    code = (
        "import sys; from engines.landmarks import FaceMesh; FaceMesh().close();"
        "print('matplotlib' in sys.modules); from matplotlib.figure import Figure; Figure()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_no_root_file_shadows_the_standard_library() -> None:
    names = {p.stem for p in ROOT.glob("*.py")} | {"stream", "planner", "runtime", "engines"}
    assert not names & set(sys.stdlib_module_names)
