"""What a viewer measures of a running server (`python -m engines.evaluate live`)."""

from __future__ import annotations

import httpx
import pytest

from core import InvalidInput, Unavailable
from engines.evaluate.live import freezes, watch
from tests.stream.conftest import Live


def quiet(done: int, total: int, note: str) -> None:
    assert done <= total


def test_a_gap_is_a_freeze_when_it_is_long() -> None:
    even = [k * 0.04 for k in range(100)]
    assert freezes(even) == 0 and freezes([]) == freezes([1.0]) == 0
    # 150 ms more than the mean is what browsers count; three frames late is not.
    assert freezes([*even, even[-1] + 0.16]) == 0
    assert freezes([*even, even[-1] + 0.30]) == 1


async def test_a_viewer_sees_the_stream_and_its_stats(live: Live) -> None:
    found = await watch(live.base, 3.0, quiet)
    assert 0 < found["first frame after the answer"]["value"] < 5000
    assert 15 < found["frames received"]["value"] < 30
    assert found["server: fps"]["value"] > 15 and "server: render_ms" in found
    listed = await live.http.get("/metrics")
    assert "saccade_sessions 0.0" in listed.text, "the session it opened has to be closed"


async def test_nobody_there_and_somebody_else_there(live: Live) -> None:
    with pytest.raises(Unavailable, match="No server"):
        await watch("http://127.0.0.1:9", 1.0, quiet)
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{live.base}/docs")).status_code == 200
    with pytest.raises(InvalidInput, match="no Saccade"):
        await watch(f"{live.base}/docs", 1.0, quiet)
