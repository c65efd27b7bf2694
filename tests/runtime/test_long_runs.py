"""A session that has run for hours does what it did in its first minute."""

from __future__ import annotations

import pytest

from core import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, Portrait
from runtime.timeline import PIECE, SOUND_AHEAD
from tests.runtime.test_session import Flat
from tests.runtime.test_taking_back import TICK, Eights, Played

HOURS = 8 * 3600


@pytest.mark.parametrize("renderer", [Flat, Eights])
def test_after_eight_hours_sound_and_pictures_leave_when_their_media_time_says(
    portrait: Portrait, renderer: type[Flat]
) -> None:
    """Time is a count of samples since the beginning, not a sum of waits: nothing drifts."""
    played = Played(portrait, renderer=renderer)
    session, clock = played.session, played.clock
    session.clock.frame = HOURS * FPS
    clock.now = session.epoch + HOURS - 0.5
    began = session.epoch
    heard, seen = [], []
    for _ in range(round(2.0 / TICK)):
        clock.now += TICK
        if session.clock.due() <= clock.now:
            window = session.plan()
            session.timeline.add(window, "made")
            for frame, picture in enumerate(session.renderer.render(window, 0), window.start):
                session.timeline.show(window, frame, picture)
        for leaving in session.timeline.leave(clock.now - session.epoch):
            if leaving.audio is not None:
                heard.append((leaving.audio.pts, clock.now))
            if leaving.video is not None:
                seen.append((leaving.video.pts, clock.now))
    assert session.epoch == began and session.stats.stalls == 0
    assert len(heard) > 60 and len(seen) > 30
    for track, step, ahead in ((heard, PIECE, SOUND_AHEAD), (seen, SAMPLES_PER_FRAME, 0.08)):
        assert {b[0] - a[0] for a, b in zip(track, track[1:], strict=False)} == {step}
        late = [at - (began + pts / SAMPLE_RATE - ahead) for pts, at in track]
        assert -1e-6 <= min(late) and max(late) <= TICK + 1e-6
