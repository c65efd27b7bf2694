"""The portraits a server knows: ten built-in people, and what users upload."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import Final

import cv2
import openpeople

from core import Busy, InvalidInput, NotFound, Portrait
from engines.enrol import enrol, load_portrait, portrait_id, save_portrait
from engines.images import decode_image

log = logging.getLogger(__name__)

THUMBNAIL: Final = 192
MAX_NAME: Final = 80
NAMES: Final = {
    "P001": "Amira", "P002": "Lucia", "P003": "Claire", "P004": "Noor", "P005": "Elias",
    "P006": "Priya", "P007": "Malik", "P008": "Dakota", "P009": "Imani", "P010": "Leila",
}  # fmt: skip
"What we call the ten synthetic people, whom the package only numbers."
BUILTIN: Final = Path(openpeople.__file__).parent / "data" / "curated"


@dataclass(frozen=True, slots=True)
class PortraitInfo:
    """One line of the list of portraits."""

    id: str
    name: str
    builtin: bool
    warnings: list[str] = field(default_factory=list)


class PortraitStore:
    """Portraits on disk under their content hash. Thread-safe; all calls may block on work."""

    def __init__(self, root: Path, *, limit: int) -> None:
        """``limit`` bounds uploaded portraits; built-in ones do not count."""
        self._root = root
        self._limit = limit
        self._lock = RLock()
        root.mkdir(parents=True, exist_ok=True)

    @cached_property
    def _builtin(self) -> dict[str, tuple[str, Path]]:
        """Id → name and file of the built-in people, without enrolling them."""
        found = {}
        for folder in sorted(BUILTIN.iterdir()):
            image = folder / "assets" / "studio_portrait.jpg"
            if image.is_file():
                found[portrait_id(image.read_bytes())] = (
                    NAMES.get(folder.name, folder.name),
                    image,
                )
        return found

    def list(self) -> list[PortraitInfo]:
        """Built-in people first, then uploads by name."""
        people = [PortraitInfo(id, name, True) for id, (name, _) in self._builtin.items()]
        uploads = [
            PortraitInfo(p.id, p.name, False, [*p.extra.get("warnings", [])])
            for p in map(self._load, self._uploads())
            if p is not None
        ]
        return people + sorted(uploads, key=lambda p: p.name.lower())

    def info(self, id: str) -> PortraitInfo:
        """The portrait's line of the list. Raises NotFound."""
        if id in self._builtin:
            return PortraitInfo(id, self._builtin[id][0], True)
        portrait = self.get(id)
        return PortraitInfo(id, portrait.name, False, [*portrait.extra.get("warnings", [])])

    def get(self, id: str) -> Portrait:
        """The portrait; a built-in one is enrolled on first use. Raises NotFound."""
        path = self._path(id)
        portrait = self._load(path)
        if portrait is not None:
            return portrait
        if id not in self._builtin:
            raise NotFound("There is no such portrait; GET /v1/portraits lists them.")
        name, image = self._builtin[id]
        with self._lock:  # two callers, one enrolment
            portrait = self._load(path)
            if portrait is not None:
                return portrait
            portrait = enrol(image.read_bytes(), name)
            save_portrait(portrait, path)
            return portrait

    def add(self, data: bytes, name: str = "") -> Portrait:
        """Enrol an upload; the same picture again gives the portrait that is there.

        Raises:
            PortraitRejected: See `enrol`; nothing is stored.
            Busy: The store is full.
        """
        with self._lock:
            id = portrait_id(data)
            known = self._load(self._path(id))
            if known is not None:
                return known
            if id in self._builtin:
                return self.get(id)
            if len(self._uploads()) >= self._limit:
                raise Busy(f"{self._limit} portraits are stored; delete one first.")
            portrait = enrol(data, _clean(name))
            save_portrait(portrait, self._path(id))
            log.info("portrait enrolled", extra={"portrait": id})
            return portrait

    def remove(self, id: str) -> None:
        """Delete an upload. Raises NotFound, or InvalidInput for a built-in portrait."""
        with self._lock:
            if id in self._builtin:
                raise InvalidInput("Built-in portraits can not be deleted.")
            try:
                self._path(id).unlink()
            except FileNotFoundError:
                raise NotFound("There is no such portrait.") from None

    def thumbnail(self, id: str) -> bytes:
        """The face as a small JPEG. Raises NotFound.

        A built-in person is shown from its picture: a page that lists all ten should not have to
        wait for ten enrolments.
        """
        if id in self._builtin:
            picture = decode_image(self._builtin[id][1].read_bytes(), max_side=2 * THUMBNAIL)
        else:
            picture = self.get(id).crop
        crop = cv2.resize(picture, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
        done, jpeg = cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
        assert done
        return bytes(jpeg)

    def _path(self, id: str) -> Path:
        if not (id.isascii() and id.isalnum() and len(id) <= 64):
            raise NotFound("There is no such portrait; GET /v1/portraits lists them.")
        return self._root / f"{id}.npz"

    def _uploads(self) -> Sequence[Path]:
        return [p for p in sorted(self._root.glob("*.npz")) if p.stem not in self._builtin]

    def _load(self, path: Path) -> Portrait | None:
        """From disk; a damaged file is dropped, so that it is made again."""
        try:
            return load_portrait(path)
        except FileNotFoundError:
            return None
        except ValueError as error:
            log.warning("damaged portrait dropped: %s", error)
            path.unlink(missing_ok=True)
            return None


def _clean(name: str) -> str:
    """A name fit to show: printable, single-spaced, short."""
    kept = "".join(c if c.isprintable() else " " for c in name)
    return " ".join(kept.split())[:MAX_NAME] or "Portrait"
