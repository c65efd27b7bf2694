"""What is kept of compiled engines; compiling itself is in tests/engines/video/test_live.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import Unavailable
from engines.backends.tensorrt_gpu import engines_folder, import_tensorrt, keep, mark_of


def test_an_engine_of_other_weights_or_another_gpu_is_another(tmp_path: Path) -> None:
    graph, weights = tmp_path / "dit.onnx", tmp_path / "dit.safetensors"
    graph.write_bytes(b"graph")
    weights.write_bytes(b"weights")
    first = mark_of(graph, "tensorrt 11.4, GPU 9.0, driver 13000")
    assert first == mark_of(graph, "tensorrt 11.4, GPU 9.0, driver 13000")
    assert first != mark_of(graph, "tensorrt 11.4, GPU 9.0, driver 13010")
    weights.write_bytes(b"learnt")
    assert first != mark_of(graph, "tensorrt 11.4, GPU 9.0, driver 13000")


def test_what_is_compiled_is_kept_where_that_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = engines_folder() / "dit-0.engine"
    keep(file, b"engine")
    assert file.read_bytes() == b"engine" and len(list(file.parent.iterdir())) == 1
    (tmp_path / "file").write_bytes(b"")
    keep(tmp_path / "file" / "dit.engine", b"engine")
    assert "can not be kept" in caplog.text


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(Unavailable, match="pip install tensorrt-rtx"):
        import_tensorrt("tensorrt_rtx")
