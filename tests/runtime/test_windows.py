"""What is planned is what is shown, wherever windows touch."""

from __future__ import annotations

import numpy as np

from core import CHANNELS, FPS, Portrait
from planner.behaviour import Behaviour
from planner.library import load_library
from runtime.lookahead import Lookahead
from tests.runtime.test_session import Flat
from tests.runtime.test_taking_back import Eights, Played
from tests.runtime.test_voice_track import DelayedMouth

LIDS = [CHANNELS.index("AU45_L"), CHANNELS.index("AU45_R")]


def test_a_blink_where_two_windows_touch_is_as_deep_as_planned(portrait: Portrait) -> None:
    """Windows follow one another; nothing is averaged or blended from one into the next."""
    performer = Behaviour(1, label="idle", instruction="", library=load_library())
    planned = Lookahead(performer, seed=1).take(14 * FPS)[0].values
    shut = planned[:, LIDS].min(axis=1)
    blinks = np.flatnonzero((shut > 0.8) & (shut >= np.roll(shut, 1)) & (shut >= np.roll(shut, -1)))
    assert {int(frame) % 8 for frame in blinks} & {7, 0, 1}, "some are where windows touch"
    for renderer in (Flat, Eights):
        played = Played(portrait, DelayedMouth(640), renderer=renderer)
        played.run(14.0)
        shown = played.controls()
        assert len(shown) >= 13 * FPS
        count = min(len(shown), len(planned))
        assert np.abs(shown[:count] - planned[:count]).max() < 1e-6
