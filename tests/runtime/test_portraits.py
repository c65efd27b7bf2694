"""PortraitStore: bounded, atomic, and the same picture is the same portrait."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from core import Busy, InvalidInput, NotFound, PortraitRejected
from engines.enrol import portrait_id
from runtime.portraits import PortraitStore
from tests.conftest import PEOPLE, studio_portrait


def selfie(person: str) -> bytes:
    return (PEOPLE / person / "assets" / "amateur_selfie.jpg").read_bytes()


def files(store: Path) -> list[str]:
    return sorted(p.name for p in store.iterdir())


def test_ten_people_are_listed_without_enrolling_them(tmp_path: Path) -> None:
    people = PortraitStore(tmp_path, limit=5).list()
    assert len(people) == 10 and all(p.builtin and p.name for p in people)
    assert files(tmp_path) == []


def test_a_builtin_person_is_enrolled_on_first_use(tmp_path: Path) -> None:
    store = PortraitStore(tmp_path, limit=0)
    first = store.list()[0]
    made = store.get(first.id)
    assert made.name == first.name
    assert files(tmp_path) == [f"{first.id}.npz"]
    assert np.array_equal(PortraitStore(tmp_path, limit=0).get(first.id).crop, made.crop)
    with pytest.raises(InvalidInput):
        store.remove(first.id)


def test_upload_list_thumbnail_remove(tmp_path: Path) -> None:
    store = PortraitStore(tmp_path, limit=2)
    made = store.add(selfie("P001"), "  My\tself \x00 ")
    assert made.name == "My self"
    info = store.list()[-1]
    assert (info.id, info.name, info.builtin) == (made.id, "My self", False)
    assert store.thumbnail(made.id)[:2] == b"\xff\xd8"
    store.remove(made.id)
    assert len(store.list()) == 10
    for call in (store.get, store.remove, store.thumbnail):
        with pytest.raises(NotFound):
            call(made.id)


def test_two_threads_adding_one_picture_give_one_portrait(tmp_path: Path) -> None:
    store = PortraitStore(tmp_path, limit=5)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: store.add(selfie("P001"), "me"), range(4)))
    assert len({p.id for p in made}) == 1
    assert files(tmp_path) == [f"{made[0].id}.npz"]


def test_uploading_a_builtin_picture_finds_the_builtin(tmp_path: Path) -> None:
    store = PortraitStore(tmp_path, limit=0)
    assert store.add(studio_portrait("P002"), "mine").name == "Lucia"


def test_a_full_store_refuses(tmp_path: Path) -> None:
    store = PortraitStore(tmp_path, limit=1)
    store.add(selfie("P001"))
    with pytest.raises(Busy):
        store.add(selfie("P002"))
    assert len(files(tmp_path)) == 1


def test_a_refused_picture_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(PortraitRejected):
        PortraitStore(tmp_path, limit=5).add(b"not an image", "x")
    assert files(tmp_path) == []


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    store = PortraitStore(tmp_path, limit=5)
    id = portrait_id(studio_portrait("P001"))
    (tmp_path / f"{id}.npz").write_bytes(b"damaged")
    assert store.get(id).name == "Amira"


@pytest.mark.parametrize("id", ["", "../../etc/passwd", "a/b", "nosuch", "é", "x" * 100])
def test_wild_ids_are_not_found(tmp_path: Path, id: str) -> None:
    with pytest.raises(NotFound):
        PortraitStore(tmp_path, limit=5).get(id)
