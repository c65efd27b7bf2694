"""The benchmark of the generator: it measures what there is, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import WINDOW_FRAMES
from engines.video.guidance import FRAME
from engines.video.schedule import WINDOW
from engines.video.speed import Work, work_of
from runtime.settings import RuntimeSettings
from stream.bench import BACK_END_COLUMNS, LIVE_COLUMNS, back_end, live, report


def test_work_is_counted_in_the_graph(networks_folder: Path) -> None:
    """Of the transformer: what its sizes say, and more with more keys to see."""
    tokens = WINDOW * FRAME
    first, later = (work_of(networks_folder, "dit", keys) for keys in (FRAME, FRAME + tokens))
    width, feed = 48, 64
    dense = 2 * tokens * width * (4 * width + 2 * feed)
    assert later.flops > first.flops > dense
    assert later.flops - first.flops == 4 * tokens * tokens * width
    work = Work(flops=200, weights=10)
    assert work.floor(rate=100, memory=10, width=1) == 2
    assert work.floor(rate=1000, memory=10, width=4) == 4
    assert work.floor(rate=100, memory=10, width=1, rows=3) == 6


@pytest.mark.realtime
async def test_back_ends_and_sessions_are_measured(networks_folder: Path) -> None:
    found = back_end(networks_folder, "openvino", 1, 1, rows=2)
    assert 0 < found["step_ms"] < found["window_ms"]
    assert found["frame_ms"] * 2 * WINDOW_FRAMES == pytest.approx(found["window_ms"])
    assert found["sessions"] * found["real_time"] == pytest.approx(1)
    assert all(0 < found[name] < 1.2 for name in ("step_floor", "decode_floor", "window_floor"))
    settings = RuntimeSettings(
        size=256, renderer="generator", generator_weights=str(networks_folder),
        generator_backend="openvino", generator_steps=1,
    )  # fmt: skip
    seen = await live(settings, 1, 5.0)
    assert 15 < seen["fps"] < 27 and seen["lips_p50_ms"] < 1500
    assert 0 < seen["first_ms"] < 2000 and seen["encode_ms"] > 0
    text = report([("a", found)], BACK_END_COLUMNS) + report([("b", seen)], LIVE_COLUMNS)
    assert "| a | " in text and "step" in text
