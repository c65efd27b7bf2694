"""Shared fixtures: a real enrolled portrait, made once."""

from __future__ import annotations

import tests.one_thread  # noqa: F401 - before what it speaks to is loaded

# isort: split
import gc
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import certifi
import openpeople
import pytest
from filelock import FileLock

import engines
from core import Portrait
from engines.enrol import enrol
from engines.rig import Rig, build_rig

PEOPLE = Path(openpeople.__file__).parent / "data" / "curated"


def studio_portrait(person: str = "P001") -> bytes:
    """The JPEG of one of the ten synthetic people, P001 … P010."""
    return (PEOPLE / person / "assets" / "studio_portrait.jpg").read_bytes()


@pytest.fixture(scope="session", autouse=True)
def no_generator_unless_asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Sessions show the puppet: whether the generator keeps up would depend on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runtime.renderers.SHIPPED", tmp_path_factory.mktemp("nothing"))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """HTTP clients load one certificate and not all of certifi: a tenth of a second each else.

    Nothing here is fetched from elsewhere; tests of TLS bring what they trust.
    """
    end = "-----END CERTIFICATE-----\n"
    path = tmp_path_factory.mktemp("authorities") / "one.pem"
    path.write_text(certifi.contents().partition(end)[0] + end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        yield


@pytest.fixture(scope="session", autouse=True)
def rigs_are_kept() -> Iterator[None]:
    """Servers share what they prepare of a portrait: half a second of a core for each else."""
    rigs: dict[tuple[str, int], Rig] = {}

    def kept(portrait: Portrait, size: int) -> Rig:
        asked = (portrait.id, size)
        if asked not in rigs:
            rigs[asked] = build_rig(portrait, size)
        return rigs[asked]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runtime.renderer.build_rig", kept)
        yield


@pytest.fixture(scope="session")
def networks_folder(request: pytest.FixtureRequest) -> Path:
    """Weights of a small student that says something although it learnt nothing; its graphs.

    Exporting takes half a minute, so they are kept until the code that makes them changes.
    """
    digest = hashlib.sha256()
    here = Path(__file__)
    made_by = [*(Path(engines.__file__).parent / "video").glob("*.py"), here]
    for source in sorted([*made_by, here.parent / "engines" / "video" / "in_bytes.py"]):
        digest.update(source.read_bytes())
    cache = request.config.cache
    assert cache is not None
    folder = cache.mkdir("networks") / digest.hexdigest()[:16]
    with FileLock(f"{folder}.lock"):  # tests may run in several processes
        if not folder.exists():
            for old in folder.parent.iterdir():
                if old.is_dir():
                    shutil.rmtree(old)
            fresh = folder.with_suffix(".part")
            fresh.mkdir()
            _export_networks(fresh)
            fresh.rename(folder)
    return folder


def _export_networks(folder: Path) -> None:
    import torch  # takes a second, and few tests need it
    from torch import nn

    from engines.video import export
    from engines.video.codec import PRESETS, Codec, save_codec
    from engines.video.coding import codec_id
    from engines.video.dit import DiT
    from engines.video.dit_config import DitConfig
    from engines.video.dit_file import save_dit
    from engines.video.shipped import codec_file, dit_file
    from tests.engines.video.in_bytes import bytes_file, in_bytes

    torch.set_num_threads(1)
    torch.manual_seed(0)
    codec = Codec(PRESETS["tiny"]).eval()
    nn.init.normal_(codec.decoder.paint.weight, std=0.2)
    sizes = DitConfig(width=48, blocks=1, heads=2, feed=64, text=16, maps=2)
    dit = DiT(sizes)
    for parameter in dit.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    save_codec(codec_file(folder), codec)
    save_dit(dit, codec_id(codec), dit_file(folder))
    export.export(folder)
    decode = export.graphs_of(in_bytes(codec), dit)["decode"]
    export.write_graph(decode, {}, [codec_file(folder)], bytes_file(folder))
    # The exporter leaves half a million objects; collections that walk through them take half a
    # second, in which streams of later tests would stand still.
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def portrait() -> Portrait:
    """P001, enrolled."""
    return enrol(studio_portrait(), "P001")
