"""PortraitStore: bounded, atomic, and the same picture is the same portrait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import runtime.portraits
from core import Busy, InvalidInput, NotFound, Portrait, PortraitRejected, Unavailable
from engines.enrol import portrait_id
from runtime.portraits import MAX_NAME, MAX_WAITING, PortraitStore
from tests.conftest import PEOPLE, studio_portrait


def selfie(person: str) -> bytes:
    return (PEOPLE / person / "assets" / "amateur_selfie.jpg").read_bytes()


def files(root: Path) -> list[str]:
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PortraitStore]:
    made = PortraitStore(tmp_path, limit=5)
    yield made
    made.close()


@pytest.fixture
def quick(portrait: Portrait, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enrolment without the work, for tests of what happens around it."""

    def enrol(data: bytes, name: str, **_: object) -> Portrait:
        if data == b"broken":
            raise RuntimeError("a broken graph")
        return Portrait(portrait_id(data), name, portrait.crop, portrait.mesh, {"warnings": ["w"]})

    monkeypatch.setattr(runtime.portraits, "enrol", enrol)


def test_ten_people_are_listed_without_enrolling_them(store: PortraitStore, tmp_path: Path) -> None:
    people = store.list()
    assert len(people) == 10 and all(p.builtin and p.name for p in people)
    assert len({p.id for p in people}) == len({p.name for p in people}) == 10
    assert all(store.thumbnail(p.id)[:2] == b"\xff\xd8" for p in people)
    assert files(tmp_path) == []


def test_a_builtin_person_is_enrolled_on_first_use(store: PortraitStore, tmp_path: Path) -> None:
    first = store.list()[0]
    made = store.get(first.id)
    assert made.name == first.name and made.id == first.id
    assert files(tmp_path) == [f"builtin/{first.id}.npz"]
    assert np.array_equal(PortraitStore(tmp_path, limit=0).get(first.id).crop, made.crop)
    assert len(store.list()) == 10
    with pytest.raises(InvalidInput):
        store.remove(first.id)


def test_upload_list_thumbnail_remove(store: PortraitStore) -> None:
    made = store.add(selfie("P001"), "  My\tself \x00 ")
    assert made.name == "My self"
    info = store.list()[-1]
    assert info == store.info(made.id)
    assert (info.id, info.name, info.builtin) == (made.id, "My self", False)
    assert store.thumbnail(made.id)[:2] == b"\xff\xd8"
    store.remove(made.id)
    assert len(store.list()) == 10
    for call in (store.get, store.info, store.remove, store.thumbnail):
        with pytest.raises(NotFound):
            call(made.id)


@pytest.mark.usefixtures("quick")
def test_uploads_survive_a_restart(store: PortraitStore, tmp_path: Path) -> None:
    made = [store.add(bytes([n]), name) for n, name in enumerate(("Zoe", "adam"))]
    again = PortraitStore(tmp_path, limit=5).list()[10:]
    assert [(p.id, p.name, p.warnings) for p in again] == [
        (made[1].id, "adam", ["w"]),
        (made[0].id, "Zoe", ["w"]),
    ]


@pytest.mark.usefixtures("quick")
def test_a_deletion_by_another_process_is_noticed(store: PortraitStore, tmp_path: Path) -> None:
    made = store.add(b"1", "me")
    assert len(store.list()) == 11
    PortraitStore(tmp_path, limit=5).remove(made.id)
    assert len(store.list()) == 10
    with pytest.raises(NotFound):
        store.info(made.id)


def test_two_threads_adding_one_picture_give_one_portrait(
    store: PortraitStore, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda _: store.add(selfie("P001"), "me"), range(3)))
    assert len({p.id for p in made}) == 1
    assert files(tmp_path) == [f"uploads/{made[0].id}.npz"]


def test_uploading_a_builtin_picture_finds_the_builtin(tmp_path: Path) -> None:
    store = PortraitStore(tmp_path, limit=0)
    assert store.add(studio_portrait("P002"), "mine").name == "Lucia"
    store.close()


@pytest.mark.usefixtures("quick")
def test_a_full_store_refuses(tmp_path: Path) -> None:
    store = PortraitStore(tmp_path, limit=1)
    first = store.add(b"1", "one")
    with pytest.raises(Busy, match="delete one"):
        store.add(b"2", "two")
    assert store.add(b"1", "again").id == first.id  # what is there already costs no place
    assert len(files(tmp_path)) == 1
    store.remove(first.id)
    store.add(b"2", "two")


@pytest.mark.usefixtures("quick")
def test_many_threads_never_pass_the_limit(tmp_path: Path) -> None:
    store = PortraitStore(tmp_path, limit=3)

    def add(n: int) -> bool:
        try:
            return bool(store.add(bytes([n])))
        except Busy:
            return False

    with ThreadPoolExecutor(MAX_WAITING) as pool:
        assert sum(pool.map(add, range(12))) == 3
    assert len(files(tmp_path)) == 3


def test_a_long_line_is_refused_and_readers_do_not_wait(
    store: PortraitStore, portrait: Portrait, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go = threading.Semaphore(0), threading.Event()

    def enrol(data: bytes, name: str, **_: object) -> Portrait:
        started.release()
        assert go.wait(10)
        return Portrait(portrait_id(data), name, portrait.crop, portrait.mesh, {"warnings": []})

    monkeypatch.setattr(runtime.portraits, "enrol", enrol)
    with ThreadPoolExecutor(MAX_WAITING) as pool:
        line = [pool.submit(store.add, bytes([n])) for n in range(MAX_WAITING)]
        assert started.acquire(timeout=10)
        while store._places.acquire(blocking=False):  # until all of them stand in line
            store._places.release()
        with pytest.raises(Busy, match="try again") as caught:
            store.add(b"one too many")
        assert caught.value.facts["retry_after"] > 0
        assert len(store.list()) == 10
        with pytest.raises(NotFound):
            store.get("nosuch")
        go.set()
        assert len({future.result().id for future in line}) == MAX_WAITING
    store.add(b"now there is a place")


def test_a_refused_picture_leaves_nothing(store: PortraitStore, tmp_path: Path) -> None:
    for data in (b"", b"not an image"):
        with pytest.raises(PortraitRejected):
            store.add(data, "x")
    assert files(tmp_path) == []


@pytest.mark.usefixtures("quick")
def test_a_crash_leaves_nothing_and_the_store_usable(store: PortraitStore, tmp_path: Path) -> None:
    for _ in range(MAX_WAITING + 1):
        with pytest.raises(RuntimeError):
            store.add(b"broken", "x")
    assert files(tmp_path) == []
    assert store.add(b"fine", "x").name == "x"


@pytest.mark.usefixtures("quick")
def test_a_full_disk_is_told(
    store: PortraitStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(portrait: Portrait, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runtime.portraits, "save_portrait", full)
    with pytest.raises(Unavailable, match="No space left"):
        store.add(b"1", "x")
    assert store.get(store.list()[0].id).name == "Amira"  # works, only is not cached
    assert files(tmp_path) == []


def test_a_damaged_cache_is_made_again(store: PortraitStore, tmp_path: Path) -> None:
    id = portrait_id(studio_portrait("P001"))
    path = tmp_path / "builtin" / f"{id}.npz"
    path.write_bytes(b"damaged")
    made = store.get(id)
    assert made.name == "Amira"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert np.array_equal(store.get(id).mesh, made.mesh)


def test_a_damaged_upload_is_dropped(store: PortraitStore, tmp_path: Path) -> None:
    path = tmp_path / "uploads" / "abc123.npz"
    path.write_bytes(b"damaged")
    assert len(store.list()) == 10
    assert files(tmp_path) == []


@pytest.mark.usefixtures("quick")
def test_a_file_that_can_not_be_opened_is_not_dropped(
    store: PortraitStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the process has too many files open: that passes, a deleted upload does not."""
    made = store.add(b"1", "me")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refuse)
        with pytest.raises(OSError):
            store.get(made.id)
    assert files(tmp_path) == [f"uploads/{made.id}.npz"]
    assert store.get(made.id).name == "me"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("given", "kept"),
    [("", "Portrait"), (" \n\t ", "Portrait"), ("a\u202eb", "a b"), ("x" * 500, "x" * MAX_NAME)],
)
def test_names_are_made_fit_to_show(store: PortraitStore, given: str, kept: str) -> None:
    assert store.add(b"1", given).name == kept


@pytest.mark.parametrize("id", ["", "../../etc/passwd", "a/b", "nosuch", "é", "x" * 100, "\0"])
def test_wild_ids_are_not_found(store: PortraitStore, id: str) -> None:
    for call in (store.get, store.info, store.remove, store.thumbnail):
        with pytest.raises(NotFound):
            call(id)
