"""The portraits a server knows: ten built-in people, and what users upload."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import Final

import cv2
import openpeople

from core import Busy, InvalidInput, NotFound, Portrait, PortraitRejected, Unavailable
from engines.enrol import enrol, portrait_id
from engines.images import decode_image
from engines.landmarks import FaceMesh
from engines.portrait_file import load_note, load_portrait, save_portrait

log = logging.getLogger(__name__)

THUMBNAIL: Final = 192
MAX_NAME: Final = 80
MAX_WAITING: Final = 4
"Uploads at work or in line; each holds a thread of the pool that all blocking work shares."
NAMES: Final = {
    "P001": "Amira", "P002": "Lucia", "P003": "Claire", "P004": "Noor", "P005": "Elias",
    "P006": "Priya", "P007": "Malik", "P008": "Dakota", "P009": "Imani", "P010": "Leila",
}  # fmt: skip
"What we call the ten synthetic people, whom the package only numbers."
ADAPTED: Final = "adapted"
"Folder of what was learnt for single portraits."
BUILTIN: Final = Path(openpeople.__file__).parent / "data" / "curated"


@dataclass(frozen=True, slots=True)
class PortraitInfo:
    """One line of the list of portraits."""

    id: str
    name: str
    builtin: bool
    warnings: list[str] = field(default_factory=list)


class PortraitStore:
    """Portraits on disk under their content hash.

    Thread-safe. All calls may block: pictures are enrolled one after the other, so that a rush of
    uploads leaves the processor to those who watch; nobody else waits for them.
    """

    def __init__(self, root: Path, *, limit: int) -> None:
        """``limit`` bounds uploaded portraits; built-in ones do not count."""
        self.root = root
        self._uploads, self._cache = root / "uploads", root / "builtin"
        self._limit = limit
        self._enrolling = Lock()  # owns _meshes, and all that is written
        self._places = BoundedSemaphore(MAX_WAITING)
        self._meshes: FaceMesh | None = None
        self._listed: dict[str, PortraitInfo] = {}
        for folder in (self._uploads, self._cache):
            folder.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        """Free the face mesh; idempotent. The store can still be used and then opens another."""
        with self._enrolling:
            self._drop_meshes()

    @cached_property
    def _builtin(self) -> dict[str, tuple[str, Path]]:
        """Id → name and file of the built-in people, without enrolling them."""
        found = {}
        for folder in sorted(BUILTIN.iterdir()):
            image = folder / "assets" / "studio_portrait.jpg"
            if image.is_file():
                name = NAMES.get(folder.name, folder.name)
                found[portrait_id(image.read_bytes())] = name, image
        return found

    def list(self) -> list[PortraitInfo]:
        """Built-in people first, then uploads by name."""
        people = [PortraitInfo(id, name, True) for id, (name, _) in self._builtin.items()]
        uploads = [info for path in self._uploads.glob("*.npz") if (info := self._describe(path))]
        return people + sorted(uploads, key=lambda info: (info.name.lower(), info.id))

    def info(self, id: str) -> PortraitInfo:
        """The portrait's line of the list. Raises NotFound."""
        if id in self._builtin:
            return PortraitInfo(id, self._builtin[id][0], True)
        info = self._describe(self._path(id))
        if info is None:
            raise _not_found()
        return info

    def get(self, id: str) -> Portrait:
        """The portrait; a built-in one is enrolled on first use. Raises NotFound."""
        portrait = self._load(self._path(id))
        if portrait is not None:
            return portrait
        if id not in self._builtin:
            raise _not_found()
        with self._enrolling:
            portrait = self._load(self._path(id))  # someone else may have been faster
            return portrait or self._make_builtin(id)

    def file(self, id: str) -> Path:
        """Where the portrait lies, enrolled. Raises NotFound, or Unavailable: it is not kept."""
        self.get(id)
        path = self._path(id)
        if not path.exists():
            raise Unavailable("The portrait is not on disk; look at the disk of the server.")
        return path

    def adapted_file(self, id: str) -> Path:
        """Where features that were learnt for it are kept (`engines.video.adapted`)."""
        return self.root / ADAPTED / self._path(id).name

    def add(self, data: bytes, name: str = "") -> Portrait:
        """Enrol an upload; the same picture again gives the portrait that is there.

        Raises:
            PortraitRejected: See `enrol`; nothing is stored.
            Busy: The store is full, or too many pictures wait to be enrolled.
            Unavailable: The portrait can not be written.
        """
        id = portrait_id(data)
        if id in self._builtin:
            return self.get(id)
        if not self._places.acquire(blocking=False):
            raise Busy("Other pictures are being read; try again in a moment.", retry_after=3)
        try:
            with self._enrolling:
                return self._load(self._path(id)) or self._make_upload(id, data, name)
        finally:
            self._places.release()

    def remove(self, id: str) -> None:
        """Delete an upload. Raises NotFound, or InvalidInput for a built-in portrait."""
        if id in self._builtin:
            raise InvalidInput("Built-in portraits can not be deleted.")
        try:
            self._path(id).unlink()
        except FileNotFoundError:
            raise _not_found() from None
        finally:
            self._listed.pop(id, None)
        self.adapted_file(id).unlink(missing_ok=True)

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

    def _make_builtin(self, id: str) -> Portrait:
        name, image = self._builtin[id]
        portrait = self._enrol(image.read_bytes(), name)
        try:
            save_portrait(portrait, self._path(id))
        except OSError as error:
            log.warning("portrait of %s is not cached: %s", name, error)
        return portrait

    def _make_upload(self, id: str, data: bytes, name: str) -> Portrait:
        if len([*self._uploads.glob("*.npz")]) >= self._limit:
            raise Busy(f"{self._limit} portraits are stored; delete one first.")
        portrait = self._enrol(data, _clean(name))
        try:
            save_portrait(portrait, self._path(id))
        except OSError as error:
            raise Unavailable(
                f"The portrait can not be stored: {error.strerror}. Ask who runs this server to"
                " look at its disk."
            ) from error
        log.info("portrait enrolled", extra={"portrait": id})
        return portrait

    def _enrol(self, data: bytes, name: str) -> Portrait:
        """`enrol` with the face mesh kept open: to open it anew each time scatters memory."""
        if self._meshes is None:
            self._meshes = FaceMesh()
        try:
            return enrol(data, name, meshes=self._meshes)
        except PortraitRejected:
            raise
        except BaseException:
            self._drop_meshes()  # a graph that failed once fails for good
            raise

    def _drop_meshes(self) -> None:
        meshes, self._meshes = self._meshes, None
        if meshes is not None:
            meshes.close()

    def _path(self, id: str) -> Path:
        if not (id.isascii() and id.isalnum() and len(id) <= 64):
            raise _not_found()
        return (self._cache if id in self._builtin else self._uploads) / f"{id}.npz"

    def _load(self, path: Path) -> Portrait | None:
        """From disk; a damaged file is dropped, so that it is made again."""
        try:
            return load_portrait(path)
        except FileNotFoundError:
            return None
        except ValueError as error:
            self._drop(path, error)
            return None

    def _describe(self, path: Path) -> PortraitInfo | None:
        """The line of an upload; read once, as lists are asked for often."""
        known = self._listed.get(path.stem)
        if known is not None and path.exists():
            return known
        try:
            name, warnings = load_note(path)
        except FileNotFoundError:
            return None
        except ValueError as error:
            self._drop(path, error)
            return None
        self._listed[path.stem] = PortraitInfo(path.stem, name, False, warnings)
        return self._listed[path.stem]

    def _drop(self, path: Path, error: ValueError) -> None:
        log.warning("damaged portrait dropped: %s", error)
        self._listed.pop(path.stem, None)
        path.unlink(missing_ok=True)


def _not_found() -> NotFound:
    return NotFound("There is no such portrait; GET /v1/portraits lists them.")


def _clean(name: str) -> str:
    """A name fit to show: printable, single-spaced, short."""
    kept = "".join(c if c.isprintable() else " " for c in name)
    return " ".join(kept.split())[:MAX_NAME] or "Portrait"
