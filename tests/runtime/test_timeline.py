"""What is planned leaves on time, once, in order; or is taken back."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core import (
    FPS,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    U8,
    AudioChunk,
    ControlTrack,
    MouthTrack,
)
from runtime.timeline import PATIENCE, PIECE, SOUND_AHEAD, Leaving, Timeline
from runtime.window import Window

AHEAD = 0.08


def window(start: int, frames: int = 8) -> Window:
    return Window(
        start=start,
        controls=ControlTrack.neutral(frames),
        mouth=MouthTrack.rest(frames),
        audio=AudioChunk(
            np.zeros(frames * SAMPLES_PER_FRAME, np.float32), start * SAMPLES_PER_FRAME
        ),
        felt=MouthTrack.rest(frames),
        tokens=np.zeros((2 * frames, 256), np.float32),
        label="idle",
        instruction="",
    )


def picture(frame: int) -> U8:
    return np.full((2, 2, 3), frame % 256, np.uint8)


def sounds(leaving: list[Leaving]) -> list[int]:
    """In halves of a frame."""
    return [x.audio.pts // PIECE for x in leaving if x.audio is not None]


def pictures(leaving: list[Leaving]) -> list[int]:
    return [x.video.pts // SAMPLES_PER_FRAME for x in leaving if x.video is not None]


def test_sound_does_not_wait_for_pictures() -> None:
    timeline = Timeline(AHEAD)
    one = window(0)
    timeline.add(one, "made")
    assert timeline.next() == -SOUND_AHEAD
    first = list(timeline.leave(0.0))
    assert sounds(first) == [0, 1] and pictures(first) == []
    assert timeline.next() == PIECE * 2 / SAMPLE_RATE - SOUND_AHEAD
    timeline.show(one, 0, picture(0))
    assert pictures(list(timeline.leave(0.01))) == [0]
    timeline.show(one, 2, picture(2))  # frame 1 may still come
    assert pictures(list(timeline.leave(0.02))) == []
    late = list(timeline.leave(1 / FPS + PATIENCE + 0.001))
    assert [x.held for x in late if x.audio is None] == [True, False]
    assert pictures(late) == [2]
    timeline.show(one, 1, picture(1))  # too late: ignored
    assert pictures(list(timeline.leave(0.1))) == []


def test_what_is_taken_back_never_leaves() -> None:
    timeline = Timeline(AHEAD)
    one, two = window(0), window(5)
    timeline.add(one, "made")
    list(timeline.leave(0.0))
    assert timeline.loose == 7
    assert [m.frame for m in timeline.cut(5)] == [5, 6, 7]
    timeline.add(two, "made")
    timeline.show(one, 6, picture(200))
    for frame in range(5):
        timeline.show(one, frame, picture(frame))
    for frame in range(5, 13):
        timeline.show(two, frame, picture(frame))
    left = list(timeline.leave(1.0))
    assert pictures(left) == list(range(13))
    assert all(x.video.pixels[0, 0, 0] == x.video.pts // 640 for x in left if x.video)
    assert len(timeline) == 0 and timeline.next() is None


def test_who_comes_late_sees_what_was_planned_for_nobody() -> None:
    timeline = Timeline(AHEAD)
    one = window(0)
    timeline.add(one, "for nobody")
    list(timeline.leave(0.0))
    blank = timeline.blank()
    assert blank is not None and blank[0] is one and blank[1] == 3
    timeline.want(one)
    assert timeline.blank() is None
    timeline.give_up(one)
    assert timeline.blank() is None  # nobody makes it twice


@given(
    st.lists(
        st.tuples(
            st.floats(0, 0.1), st.booleans(), st.lists(st.integers(0, 40), max_size=6),
            st.integers(0, 12),
        ),
        max_size=40,
    )
)  # fmt: skip
def test_whatever_comes_sound_and_pictures_are_in_order(
    steps: list[tuple[float, bool, list[int], int]],
) -> None:
    """Each moment sounds exactly once; pictures never go back; nothing piles up."""
    timeline, planned, now = Timeline(AHEAD), 0, 0.0
    newest: Window | None = None
    heard: list[int] = []
    seen: list[int] = []
    for wait, cutting, shown, back in steps:
        now += wait
        if cutting:
            planned -= len(timeline.cut(max(planned - back, 0)))
        while planned / FPS - 0.3 <= now:
            newest = window(planned)
            timeline.add(newest, "made")
            planned += 8
        for frame in shown:
            if newest is not None:
                timeline.show(newest, newest.start + frame, picture(newest.start + frame))
        left = list(timeline.leave(now))
        heard += sounds(left)
        seen += pictures(left)
        assert len(timeline) <= 0.3 * FPS + 8 + (AHEAD + PATIENCE + 0.1) * FPS
    assert heard == list(range(len(heard)))
    assert seen == sorted(set(seen))
