"""A training set: a plain folder of images, labels, reviewed areas and where they come from. Loads no torch.

::

    my corrections/
      training_set.json       what this folder is
      images/NAME.tif         the plane that was segmented, raw values
      labels/NAME.tif         0 is background, each cell has its own id
      reviewed/NAME.tif       255 where the labels were reviewed; without the file, everywhere
      provenance/NAME.json    image hash, model, recipe, time; may be missing
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ...imaging.errors import DatasetError
from ...imaging.home import user_home
from ...imaging.progress import Progress, drain
from ...imaging.write.atomic import make_folder, output_error
from ...imaging.write.write import write_json
from .entries import Entry, EntryFiles, Stamp
from .layouts import REVIEWED_FOLDER
from .replacing import SET_FILE
from .training_files import (
    IMAGES,
    LABELS,
    PROVENANCE,
    check_fit,
    free_name,
    plane_sha256,
    raw_plane,
    read_json,
    write_files,
)

FORMAT = 1

# Two images that are added at once must not both find the same name free.
_one_at_a_time = threading.Lock()


class DuplicateError(DatasetError):
    """The image is in the training set already; `name` is the entry that holds it."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(
            f"This image is in the training set {path} already, as {name}. Replace that entry, or leave it as it is."
        )
        self.name = name


def default_training_set() -> Path:
    """Folder that corrections are added to unless another is chosen."""
    return user_home() / "training" / "my corrections"


class TrainingSet(EntryFiles):
    """A training set's folder: its entries are listed with what is wrong with them, added, replaced and removed.

    Parameters
    ----------
    path : Path
        Use :meth:`open`, which checks it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._seen: dict[str, tuple[Stamp, Entry]] = {}

    @classmethod
    def open(cls, path: str | Path, create: bool = False) -> TrainingSet:
        """Open a folder that holds a training set.

        Parameters
        ----------
        path : path
            The folder; one with ``images`` and ``labels`` that another program made will do.
        create : bool
            Make it where there is none; the folder must then be missing or empty.

        Raises
        ------
        DatasetError
            If it is no training set, or one of a newer format.
        OutputError
            If it cannot be made.
        """
        path = Path(path)
        if (path / SET_FILE).is_file():
            values = read_json(path / SET_FILE)
            if values.get("format") != FORMAT:
                raise DatasetError(
                    f"The training set {path} has format {values.get('format')!r}; this version reads format "
                    f"{FORMAT}. Update napari-cellseg, or choose another folder."
                )
            return cls(path)
        if (path / IMAGES).is_dir() and (path / LABELS).is_dir():
            return cls(path)
        if not create:
            state = "does not exist" if not path.exists() else f"has no {SET_FILE} and no folders images and labels"
            raise DatasetError(f"{path} is not a training set: it {state}. Choose a folder that holds one.")
        if path.exists() and (not path.is_dir() or any(p.name[0] != "." for p in path.iterdir())):
            raise DatasetError(
                f"{path} holds other things, and a training set needs a folder of its own. Choose a new or empty one."
            )
        for folder in (IMAGES, LABELS, REVIEWED_FOLDER, PROVENANCE):
            make_folder(path / folder)
        opened = cls(path)
        opened._write_set_file()
        return opened

    def entries(self) -> list[Entry]:
        """Read and check every entry; see :meth:`iter_entries`."""
        return drain(self.iter_entries())

    def iter_entries(self) -> Generator[Progress, None, list[Entry]]:
        """Read and check every entry; of one that cannot be used the entry names the problem.

        Yields
        ------
        Progress

        Returns
        -------
        list of Entry
            By name. Entries whose files have not changed since this object last read them are not read again.
        """
        names = self.names()
        found = []
        for i, name in enumerate(names):
            found.append(self._entry(name))
            yield Progress(i + 1, len(names), f"checking {name}")
        return found

    def add(
        self,
        name: str,
        image: np.ndarray,
        labels: np.ndarray,
        reviewed: np.ndarray | None = None,
        provenance: Mapping[str, Any] | None = None,
        pixel_size: tuple[float, float] | None = None,
        replace: bool = False,
    ) -> Entry:
        """Write an image with its labels into the folder.

        Parameters
        ----------
        name : str
            What to call it; signs that file names cannot have become ``_``, a name in use gets a number.
        image : ndarray
            ``(Y, X)`` or ``(Y, X, 3)``, raw values.
        labels : ndarray of int
            ``(Y, X)``, 0 is background.
        reviewed : ndarray of bool, optional
            ``(Y, X)``; None is everywhere.
        provenance : mapping, optional
            JSON-able; a result's metadata, for example. The image's hash and the time are added. Entries of one
            ``group`` (without one: of one ``source``) are not divided between what is learned and what is held out.
        pixel_size : tuple of float, optional
            Micrometres per pixel (Y, X).
        replace : bool
            Whether an entry of the same image may be replaced.

        Returns
        -------
        Entry

        Raises
        ------
        DuplicateError
            If an entry has the same image values and `replace` is not set.
        DatasetError
            If shapes differ, or nothing was reviewed.
        OutputError
            If the folder cannot be written to; what was there is untouched.
        """
        image, labels = np.asarray(image), np.asarray(labels)
        if reviewed is not None:
            reviewed = np.asarray(reviewed).astype(bool)
        check_fit(name, image, labels, reviewed)
        image = raw_plane(image)
        digest = plane_sha256(image)
        with _one_at_a_time:
            same = self.name_of_image(digest)
            if same is not None and not replace:
                raise DuplicateError(same, self.path)
            name = same or free_name(name, self.names())
            record = {**(provenance or {}), "image_sha256": digest}
            return self._write(name, image, labels, reviewed, record, pixel_size)

    def put_back(self, name: str, image: np.ndarray, labels: np.ndarray, reviewed: np.ndarray, stamp: Stamp) -> Stamp:
        """Replace an entry by a version of it that the user edited.

        Parameters
        ----------
        name : str
        image : ndarray
            ``(Y, X)`` or ``(Y, X, 3)``, raw values.
        labels : ndarray of int
            ``(Y, X)``, 0 is background.
        reviewed : ndarray of bool
            ``(Y, X)``.
        stamp : tuple
            `stamp` of the entry when it was read.

        Returns
        -------
        tuple
            Its `stamp` from now on.

        Raises
        ------
        DatasetError
            If the entry was changed or removed since, shapes differ, or nothing was reviewed.
        OutputError
            If the folder cannot be written to; what was there is untouched.
        """
        check_fit(name, image, labels, reviewed)
        image = raw_plane(image)
        with _one_at_a_time:
            if not self.present(name) or self.stamp(name) != stamp:
                raise DatasetError(
                    f"'{name}' in the training set {self.path} was changed or removed since it was shown, and what is "
                    "there now is left as it is. View it again, then change and replace that."
                )
            record = {**self.provenance(name), "image_sha256": plane_sha256(image)}
            self._write(name, image, labels, reviewed, record)
            return self.stamp(name)

    def remove(self, name: str) -> None:
        """Delete an entry's files.

        Raises
        ------
        DatasetError
            If there is no such entry.
        OutputError
            If a file cannot be deleted.
        """
        with _one_at_a_time:
            present = self.present(name)
            if not present:
                raise DatasetError(
                    f"The training set {self.path} has no entry {name}. It may have been removed already."
                )
            for path in (*present, self.path / PROVENANCE / f"{name}.json"):
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise output_error(path, error) from error
        self._seen.pop(name, None)

    def _write(
        self,
        name: str,
        image: np.ndarray,
        labels: np.ndarray,
        reviewed: np.ndarray | None,
        record: Mapping[str, Any],
        pixel_size: tuple[float, float] | None = None,
    ) -> Entry:
        """Write an entry, in the place of the one of this name where there is one."""
        record = {**record, "name": name, "added": datetime.now(UTC).isoformat(timespec="seconds")}
        if not (self.path / SET_FILE).is_file():
            self._write_set_file()
        area = np.ones(labels.shape, bool) if reviewed is None else reviewed
        before = set(self.present(name))
        for path in before - write_files(self.path, name, image, labels, area, record, pixel_size):
            path.unlink(missing_ok=True)
        self._seen.pop(name, None)
        return self._entry(name)

    def _entry(self, name: str) -> Entry:
        try:
            stamp = self.stamp(name)
            if name in self._seen and self._seen[name][0] == stamp:
                return self._seen[name][1]
            sample, provenance = self.read(name), self.provenance(name)
        except (DatasetError, OSError) as error:
            return Entry(name, problem=str(error))
        entry = Entry.from_sample(name, sample, provenance)
        self._seen[name] = (stamp, entry)
        return entry

    def _write_set_file(self) -> None:
        values = {
            "format": FORMAT,
            "what": "training set of napari-cellseg",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_json(self.path / SET_FILE, values)
