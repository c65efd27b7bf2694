"""How fast a machine is, kept between starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime import machine_speed
from runtime.machine_speed import KEPT, recall, remember


def test_what_was_measured_is_known_again(tmp_path: Path) -> None:
    path = tmp_path / "data" / "speed.json"
    assert recall(path, ("weights", 4)) is None
    remember(path, ("weights", 4), {"openvino": 0.45, "other": 2.0})
    assert recall(path, ("weights", 4)) == {"openvino": 0.45, "other": 2.0}
    assert recall(path, ("weights", 2)) is None
    assert [p.name for p in path.parent.iterdir()] == ["speed.json"]


def test_another_machine_measures_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "speed.json"
    remember(path, (1,), {"openvino": 0.45})
    monkeypatch.setattr(machine_speed, "_processor", lambda: "another")
    assert recall(path, (1,)) is None


def test_after_a_while_it_is_measured_again(tmp_path: Path) -> None:
    """A machine may have been busy; and a clock may have been wrong."""
    path = tmp_path / "speed.json"
    remember(path, (1,), {"openvino": 0.45}, now=1e9)
    assert recall(path, (1,), now=1e9 + KEPT)
    assert recall(path, (1,), now=1e9 + KEPT + 1) is None
    assert recall(path, (1,), now=1e9 - 1) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"of": [], "at": 1, "shares": {}}',
        b'{"shares": [0.1]}',
    ],
)
def test_a_broken_file_is_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "speed.json"
    path.write_bytes(content)
    assert recall(path, (1,)) is None


@pytest.mark.parametrize("share", ["NaN", "-1", "0", "Infinity", '"fast"', "null"])
def test_what_is_no_speed_is_measured_again(tmp_path: Path, share: str) -> None:
    path = tmp_path / "speed.json"
    remember(path, (1,), {"openvino": 0.5})
    path.write_text(path.read_text().replace("0.5", share))
    assert recall(path, (1,)) is None


def test_where_nothing_can_be_written_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    remember(tmp_path / "file" / "speed.json", (1,), {"openvino": 0.5})
    assert "is not kept" in caplog.text
    remember(None, (1,), {"openvino": 0.5})
    assert recall(None, (1,)) is None
