"""The weights that come with Saccade: they load, and somebody blinks, looks and smiles by them."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from core import CHANNELS, F32, KEYPOINT_SLICES, MOUTH_CHANNELS, U8, ControlTrack, Portrait
from engines.backends.onnx_cpu import OnnxCpu
from engines.video.generator import Script, conditions_of
from engines.video.live import Asked, LiveStream, Networks
from engines.video.performance import from_controls, in_regions
from engines.video.regions import SIDE
from engines.video.render_frames import PortraitCanvas
from engines.video.schedule import WINDOW
from engines.video.shipped import SHIPPED, codec_file, dit_file, graph_file
from engines.video.weights import LARGEST, read_weights

FRAMES = 16
"The second window shows what is asked for, whole."
Shown = Callable[..., tuple[U8, F32]]


@pytest.fixture(scope="module")
def shown(portrait: Portrait) -> Shown:
    """Of some controls: regions, uint8 ``[3, 96, 96, 3]``, and keypoints in them."""
    networks = Networks.open(SHIPPED, threads=2)
    canvas = PortraitCanvas(portrait, 512)
    ready = networks.prepare(canvas.reference, in_regions(portrait.keypoints, portrait))

    def show(mouth: float = 0.0, **controls: float) -> tuple[U8, F32]:
        track = ControlTrack.neutral(FRAMES)
        for name, value in controls.items():
            track.values[:, CHANNELS.index(name)] = value
        felt = np.zeros((FRAMES, len(MOUTH_CHANNELS)), np.float32)
        felt[:, MOUTH_CHANNELS.index("smile")] = mouth
        told = conditions_of(portrait, Script(from_controls(portrait, track, felt, felt)))
        stream = LiveStream(networks, ready, 4)
        for first in range(0, told.latents, WINDOW):
            part = told.stretch(first, WINDOW)
            frames = stream.make(Asked(
                part.points[0].numpy(), part.felt[0].numpy(), part.audio[0].numpy(),
                part.hears[0].numpy(), part.words[0].numpy(),
            ))  # fmt: skip
        return frames[-1], part.points[0, -1].numpy()

    return show


def apart(a: U8, b: U8) -> F32:
    """Root mean square of each region, grey levels."""
    out: F32 = np.sqrt(np.square(a.astype(np.float32) - b).mean((1, 2, 3)))
    return out


def test_lids_close_and_a_smile_leaves_the_eyes(shown: Shown, portrait: Portrait) -> None:
    rest, _ = shown()
    assert (apart(rest, PortraitCanvas(portrait, 512).reference) < 8).all()
    closed, _ = shown(AU45_L=1.0, AU45_R=1.0)
    assert (apart(closed, rest)[:2] > 10).all() and apart(closed, rest)[2] < 4
    smile, _ = shown(mouth=1.0)
    assert apart(smile, rest)[2] > 5 and (apart(smile, rest)[:2] < 6).all()


def test_eyes_look_where_they_are_told(shown: Shown) -> None:
    """Where the iris is to be it is darker than when it is to be on the other side."""
    left, at_left = shown(gaze_left=1.0)
    right, at_right = shown(gaze_right=1.0)
    for region, name in enumerate(("iris_left", "iris_right")):
        pupil = KEYPOINT_SLICES[name].start
        for here, there, points in ((left, right, at_left), (right, left, at_right)):
            x, y = ((points[region, pupil] + 1) * (SIDE / 2)).astype(int)
            spot = region, slice(y - 2, y + 3), slice(x - 2, x + 3)
            assert here[spot].mean() < there[spot].mean() - 15


def test_files_are_whole_and_go_together() -> None:
    """Every number is one, no file is too large for a repository, graphs are of these sizes."""
    for path in (codec_file(SHIPPED), dit_file(SHIPPED)):
        assert path.stat().st_size < LARGEST
        tensors = read_weights(path)[1]
        assert all(bool(t.isfinite().all()) for t in tensors.values())
    about = json.loads(OnnxCpu(graph_file(SHIPPED, "dit")).about["saccade"])
    config = read_weights(dit_file(SHIPPED))[0]
    assert about and all(config[name] == value for name, value in about.items())
