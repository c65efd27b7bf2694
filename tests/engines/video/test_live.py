"""The exported graphs: the same pictures as torch makes, stream for stream, without torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from core import F32, U8, InvalidInput, Unavailable
from engines.backends.cuda_memory import gpu_there
from engines.backends.engine import Description, Engine
from engines.backends.memory import OnDevice
from engines.backends.onnx_bound import OnnxBound
from engines.backends.onnx_cpu import open_session
from engines.backends.openvino_cpu import OpenVinoCpu
from engines.backends.providers import PROVIDERS, Backend, Provider, names_of
from engines.backends.tensorrt_gpu import build
from engines.video import export
from engines.video.adapted import Adapted
from engines.video.codec import PRESETS, Codec, load_codec, save_codec, to_bytes, to_unit
from engines.video.conditions import Conditions
from engines.video.dit_file import load_dit
from engines.video.guidance import UNGUIDED, Guidance
from engines.video.live import TOLD, Asked, BrokenWindow, LiveStream, Networks, make_windows
from engines.video.sampler import sample_window
from engines.video.schedule import WINDOW, window_noise
from engines.video.shipped import codec_file, dit_file, graph_file
from engines.video.weights import places_in
from engines.video.windows import Stream
from tests.engines.backends.host_memory import HostMemory
from tests.engines.video.faces_in_regions import conditions

STEPS = 2
PROCESSOR = ("CPUExecutionProvider",)
STRONG = Guidance(high=6.0, low=3.0)
WINDOWS = 4
"One more than the context holds beside the window itself, and one to see it move on."


@pytest.fixture
def folder(networks_folder: Path) -> Path:
    return networks_folder


@pytest.fixture(scope="module", params=["onnxruntime", "openvino", "bound", "torch"])
def networks(networks_folder: Path, request: pytest.FixtureRequest) -> Networks:
    """In float32 on either; bound to a device's memory, which is the processor's own here."""
    if request.param == "openvino":
        return Networks(lambda name: OpenVinoCpu(graph_file(networks_folder, name), 1, "float32"))
    if request.param == "bound":
        return bound(networks_folder, HostMemory())
    return Networks.open(networks_folder, backend=request.param)


def bound(folder: Path, memory: HostMemory) -> Networks:
    return Networks(lambda name: OnnxBound(graph_file(folder, name), 1, memory, PROCESSOR))


@pytest.fixture(scope="module")
def whole(networks_folder: Path) -> Networks:
    """What others are held against."""
    return Networks.open(networks_folder, backend="onnxruntime")


def decibels(whole: Networks, other: Networks) -> float:
    """How near the pictures of two windows are."""
    told, reference = conditions(1, 2 * WINDOW, 3), picture(0)
    made = []
    for each in (whole, other):
        stream = LiveStream(each, each.prepare(reference, points(told)), STEPS, seed=5)
        made.append(np.stack([stream.make(asked(told, window)) for window in range(2)]))
    apart = np.square(made[0].astype(np.float64) - made[1]).mean()
    return float(10 * np.log10(255**2 / (apart + 1e-9)))


def picture(seed: int) -> U8:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (3, 96, 96, 3), np.uint8)


def asked(told: Conditions, window: int) -> Asked:
    part = told.stretch(window * WINDOW, WINDOW)
    return Asked(
        part.points[0].numpy(), part.felt[0].numpy(), part.audio[0].numpy(),
        part.hears[0].numpy(), part.words[0].numpy(),
    )  # fmt: skip


def points(told: Conditions) -> F32:
    out: F32 = told.reference_points[0].numpy()
    return out


def by_torch(folder: Path, reference: U8, told: Conditions) -> list[U8]:
    """The windows as torch makes them."""
    codec, (dit, _) = load_codec(codec_file(folder)), load_dit(dit_file(folder))
    made = []
    with torch.inference_mode():
        unit, region = to_unit(torch.from_numpy(reference)), torch.arange(3)
        still = codec.encoder.still(unit, region)
        stream = Stream(dit, still[None], told.reference_points)
        features, cache = codec.reference(unit, region), codec.decoder.cache(3)
        for window in range(WINDOWS):
            part = told.stretch(window * WINDOW, WINDOW)
            noise = torch.from_numpy(window_noise(5, window, 32)[None])
            latents = sample_window(stream, part, noise, STRONG, STEPS)
            frames, cache = codec.decoder(latents[0].transpose(0, 1), features, cache)
            made.append(to_bytes(frames).swapaxes(0, 1))
    return made


def test_graphs_show_what_torch_shows(folder: Path, networks: Networks) -> None:
    told, reference = conditions(1, WINDOWS * WINDOW, 3), picture(0)
    prepared = networks.prepare(reference, points(told))
    stream = LiveStream(networks, prepared, STEPS, guidance=STRONG, seed=5)
    true = by_torch(folder, reference, told)
    made = [stream.make(asked(told, window)) for window in range(WINDOWS)]
    for one, other in zip(made, true, strict=True):
        assert one.shape == (8, 3, 96, 96, 3)
        assert np.abs(one.astype(np.int16) - other).max() <= 1
    assert np.abs(made[2].astype(np.int16) - made[3]).mean() > 2  # they are not all the same
    stream = LiveStream(networks, prepared, STEPS, guidance=UNGUIDED, seed=5)
    calm = stream.make(asked(told, 0)).astype(np.int16)
    assert np.abs(calm - made[0]).mean() > 0.2  # a student is guided in its one pass


@pytest.mark.parametrize("backend", ["openvino", "openvino-int8"])
def test_fewer_digits_show_the_same(folder: Path, whole: Networks, backend: Backend) -> None:
    """In what the processor is fastest with, pictures differ by less than is seen."""
    assert decibels(whole, Networks.open(folder, backend=backend)) > 35


def test_products_in_bfloat16_show_the_same(folder: Path, whole: Networks) -> None:
    """The graphs that TensorRT gets; here in float32 between roundings to bfloat16."""
    mixed = Networks(lambda name: OpenVinoCpu(_mixed(folder, name), 1, "float32"))
    assert 35 < decibels(whole, mixed) < 70


def test_what_is_remembered_stays_on_its_device(folder: Path) -> None:
    """Latents and pictures cross; keys, values, features and the decoder's memory do not."""
    memory = HostMemory()
    networks, told = bound(folder, memory), conditions(1, 3 * WINDOW, 3)
    prepared = networks.prepare(picture(0), points(told))
    assert isinstance(prepared.keys, OnDevice)
    learnt = {name: np.ones(x.shape, np.float32) for name, x in prepared.features.items()}
    prepared = prepared.adapted(Adapted("", "", learnt, {}, {}))
    stream = LiveStream(networks, prepared, STEPS, seed=5)
    for window in range(3):
        memory.crossed = 0
        stream.make(asked(told, window))
    keys, values = stream._seen()
    assert isinstance(keys, OnDevice) and isinstance(values, OnDevice)
    assert not any(isinstance(x, np.ndarray) for x in stream._memory.values())
    given = asked(told, 2)
    parts = (given.points, given.felt, given.audio, given.hears, given.words, prepared.pictures)
    latents, scalars = stream._noise().nbytes, 16
    passes = (STEPS + 1) * (latents + stream._pull(given).nbytes + scalars)
    assert memory.crossed == sum(x.nbytes for x in parts) + passes + latents


@pytest.mark.parametrize("name", ["portrait", "tell", "dit", "decode", "dit-bf16", "decode-bf16"])
def test_tensorrt_can_read_the_graphs(folder: Path, name: str) -> None:
    """What its parser refuses: computed axes, sequences, bytes that are more than cast."""
    graph = onnx.load(str(graph_file(folder, name)), load_external_data=False).graph
    made = {output: node for node in graph.node for output in node.output}
    given = {tensor.name for tensor in graph.initializer}
    bytes_ = {v.name for v in (*graph.input, *graph.output) if v.type.tensor_type.elem_type == 2}
    assert ("pictures" in bytes_) == (name in ("portrait", "decode", "decode-bf16"))
    for node in graph.node:
        assert "Sequence" not in node.op_type
        if node.op_type.startswith("Reduce"):
            axes = node.input[1]
            assert axes in given or made[axes].op_type == "Constant"
        if bytes_ & {*node.input, *node.output}:
            assert node.op_type == "Cast"


def test_tensorrt_compiles_the_graphs(folder: Path) -> None:
    """For a GPU that is not here, which TensorRT for RTX can: all shapes of two sessions."""
    trt = pytest.importorskip("tensorrt_rtx")
    sizes = {"batch": 2, "count": 108 + 216}
    for name in ("portrait", "tell", "dit", "decode"):
        path = _mixed(folder, name)
        inputs = Description(open_session(graph_file(folder, name), 1, PROCESSOR)).inputs
        shapes = tuple(
            (entry, tuple(int(sizes.get(str(side), side)) for side in shape))
            for entry, shape in inputs.items()
        )
        assert len(build(trt, path, shapes, "SM89")) > 10_000
    broken = graph_file(folder, "nothing")
    with pytest.raises(Unavailable, match="can not read"):
        build(trt, broken, ())


@pytest.mark.skipif(gpu_there(), reason="there is a GPU")
@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx", "cuda"])
def test_without_a_gpu_its_back_ends_say_so(folder: Path, backend: Backend) -> None:
    with pytest.raises(Unavailable, match=r"GPU|CUDA|pip install"):
        Networks.open(folder, backend=backend)
    assert backend not in names_of("auto")


def _mixed(folder: Path, name: str) -> Path:
    special = graph_file(folder, f"{name}-bf16")
    return special if special.exists() else graph_file(folder, name)


def test_the_next_provider_takes_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(path: Path, threads: int) -> Engine:
        raise Unavailable("This processor is none.")

    for name in ("openvino-int8", "openvino"):
        monkeypatch.setitem(PROVIDERS, name, Provider(fails))
    networks = Networks.open(folder)
    assert networks.channels == 32
    assert "onnxruntime runs the networks instead: This processor is none." in caplog.text


def test_sessions_share_networks_and_nothing_else(networks: Networks) -> None:
    """Two streams in turn make what each makes alone; steps may change on the way."""
    told = [conditions(1, 3 * WINDOW, seed) for seed in (1, 2)]
    prepared = [networks.prepare(picture(k), points(t)) for k, t in enumerate(told)]
    alone = []
    for k in range(2):
        stream = LiveStream(networks, prepared[k], 1, seed=k)
        alone.append([stream.make(asked(told[k], window)) for window in range(3)])
    both = [LiveStream(networks, prepared[k], 1, seed=k) for k in range(2)]
    for window in range(3):
        for k in range(2):
            assert np.array_equal(both[k].make(asked(told[k], window)), alone[k][window])
    together = [LiveStream(networks, prepared[k], 1, seed=k) for k in range(2)]
    for window in range(3):
        made = make_windows(together, [asked(told[k], window) for k in range(2)])
        for k in range(2):
            apart = np.abs(made[k] - alone[k][window].astype(np.int16))  # type: ignore[operator]
            assert apart.max() <= 1
    assert both[0].fits(both[1]) and not both[0].fits(LiveStream(networks, prepared[0], 1))
    both[0].steps = 3
    assert not both[0].fits(both[1])
    assert both[0].make(asked(told[0], 0)).shape == (8, 3, 96, 96, 3)


def test_several_sessions_go_through_a_graph_at_once(networks: Networks) -> None:
    told = conditions(3, WINDOW, 4)
    names = ("points", "felt", "audio", "hears", "words")
    rows = {name: getattr(told, name).numpy() for name in names}
    together = networks.run("tell", rows, TOLD)
    assert all(isinstance(x, np.ndarray) for x in together.values())
    for k in range(3):
        one = networks.run("tell", {name: row[k : k + 1] for name, row in rows.items()}, TOLD)
        np.testing.assert_allclose(together["pose"][k], one["pose"][0], atol=1e-5)
        np.testing.assert_allclose(together["sound"][:, :, k], one["sound"][:, :, 0], atol=1e-5)


def test_a_broken_window_ends_nothing(networks: Networks) -> None:
    """What is not a number does not reach the pictures, nor the windows after."""
    told = conditions(1, 2 * WINDOW, 6)
    stream = LiveStream(networks, networks.prepare(picture(1), points(told)), 1)
    good = asked(told, 0)
    stream.make(good)
    bad = replace(good, felt=np.full((8, 9), np.nan, np.float32))
    with pytest.raises(BrokenWindow, match="anew"):
        stream.make(bad)
    again = stream.make(good)
    fresh = LiveStream(networks, networks.prepare(picture(1), points(told)), 1)
    fresh.made = 2
    assert np.array_equal(again, fresh.make(good))


def test_graphs_read_the_weights_beside_them(folder: Path, tmp_path: Path) -> None:
    """Weights are stored once, nothing tells of the machine, and what is missing is said."""
    for name in ("portrait", "tell", "dit", "decode"):
        content = graph_file(folder, name).read_bytes()
        assert len(content) < 250_000
        assert str(Path(export.__file__).parent).encode() not in content
        assert b"site-packages" not in content
    model = onnx.load(str(graph_file(folder, "dit")), load_external_data=False)
    halves = [t for t in model.graph.initializer if t.name.endswith(".half")]
    assert len(halves) > 30
    for name in ("portrait", "tell", "dit", "decode"):
        (tmp_path / f"{name}.onnx").write_bytes(graph_file(folder, name).read_bytes())
    for backend in ("auto", "openvino", "onnxruntime"):
        for place in (tmp_path, tmp_path / "nowhere"):
            with pytest.raises(Unavailable, match=r"can not (be loaded|load)"):
                Networks.open(place, backend=backend)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\xff" * 40)
    with pytest.raises(InvalidInput, match="no weights"):
        places_in(broken)


def test_weights_that_do_not_go_together_are_not_exported(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    save_codec(codec_file(tmp_path), Codec(PRESETS["tiny"]))
    dit_file(tmp_path).write_bytes(dit_file(folder).read_bytes())
    with pytest.raises(InvalidInput, match="another codec"):
        export.export(tmp_path)


def test_needs_no_torch_and_tells_nobody(folder: Path) -> None:
    """Nor does it load what OpenVINO reports to its makers with."""
    code = f"""
import sys
from pathlib import Path
from engines.video.live import Networks
Networks.open(Path({str(folder)!r}), backend="openvino")
print([m for m in sys.modules if m in ("torch", "onnx") or "telemetry.backend" in m])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_signal_finds_its_handler_when_networks_are_gone(folder: Path) -> None:
    """A server whose last generator has ended still stops in order."""
    code = f"""
import os, signal
from pathlib import Path
from engines.video.live import Networks
networks = Networks.open(Path({str(folder)!r}), backend="openvino")
del networks
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGTERM)
print("alive")
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["handled", "alive"]
