"""The entries of a training set as its folder has them: names, files, values. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...imaging.errors import CellsegError, DatasetError
from .layouts import REVIEWED_FOLDER
from .replacing import finish_replacing
from .sample import Sample, files_by_stem, read_pair
from .training_files import IMAGES, LABELS, PROVENANCE, plane_sha256, read_json

# What is on the disk of an entry: path, size in bytes and time of its last change in nanoseconds, file by file.
Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Entry:
    """One image of a training set.

    Parameters
    ----------
    name : str
    n_cells : int
        Cells in the reviewed area.
    size : tuple of int
        ``(Y, X)`` in pixels.
    reviewed_fraction : float
        Part of the image that was reviewed, 0 to 1.
    added : str
        When, in ISO form; empty where it is not known.
    provenance : mapping
    problem : str
        Why the entry cannot be used and what to do; empty when it can.
    note : str
        What else there is to know of it.
    """

    name: str
    n_cells: int = 0
    size: tuple[int, int] = (0, 0)
    reviewed_fraction: float = 0.0
    added: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)
    problem: str = ""
    note: str = ""

    @classmethod
    def from_sample(cls, name: str, sample: Sample, provenance: Mapping[str, Any]) -> Entry:
        """Describe an entry that was read."""
        reviewed = np.ones(sample.labels.shape, bool) if sample.reviewed is None else sample.reviewed
        digest = provenance.get("image_sha256")
        changed = bool(digest) and plane_sha256(sample.image) != digest
        return cls(
            name,
            n_cells=int(np.count_nonzero(np.unique(sample.labels[reviewed]))),
            size=(sample.labels.shape[0], sample.labels.shape[1]),
            reviewed_fraction=float(reviewed.mean()),
            added=str(provenance.get("added", "")),
            provenance=provenance,
            problem="" if reviewed.any() else f"Nothing of {name} is marked as reviewed. Review it, or remove it.",
            note="The image was changed after it was added." if changed else "",
        )


class EntryFiles:
    """Finds and reads the files of entries; the folder is read anew each time, as other programs may edit it.

    Parameters
    ----------
    path : Path
        The training set's folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    def names(self) -> list[str]:
        """Return the names of all entries, usable or not, without reading their files."""
        images, labels = (self._by_stem(folder) for folder in (IMAGES, LABELS))
        return sorted({*images, *(stem.removesuffix("_labels") for stem in labels)})

    def read(self, name: str) -> Sample:
        """Read one entry.

        Raises
        ------
        DatasetError
            If there is no such entry, a file of it is missing or damaged, or its files do not fit each other.
        """
        images, labels, reviewed = self.files(name)
        try:
            sample = read_pair(name, images, labels, reviewed)
        except DatasetError:
            raise
        except CellsegError as error:
            raise DatasetError(f"Entry {name} of {self.path}: {error} Or remove the entry.") from error
        provenance = self.provenance(name)
        # Frames of one film, slices of one stack and parts of one image are not divided when some are held out.
        group = str(provenance.get("group") or provenance.get("source") or name)
        return replace(sample, kind=str(provenance.get("kind", "")), group=group)

    def stamp(self, name: str) -> Stamp:
        """Return sizes and times of an entry's files, which change when the files do, without reading them.

        Raises
        ------
        DatasetError
            If there is no such entry, or a file of it is missing.
        """
        paths = [*(p for p in self.files(name) if p is not None), self.path / PROVENANCE / f"{name}.json"]
        found = ((path, path.stat()) for path in paths if path.is_file())
        return tuple((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in found)

    def provenance(self, name: str) -> dict[str, Any]:
        """Return where an entry comes from; empty where that is not recorded."""
        finish_replacing(self.path)
        path = self.path / PROVENANCE / f"{name}.json"
        return read_json(path) if path.is_file() else {}

    def present(self, name: str) -> list[Path]:
        """Return an entry's files, whatever their kind, but for the provenance."""
        stems = ((LABELS, name), (LABELS, f"{name}_labels"), (REVIEWED_FOLDER, name), (IMAGES, name))
        found = (self._by_stem(folder).get(stem) for folder, stem in stems)
        return [path for path in found if path is not None]

    def files(self, name: str) -> tuple[Path, Path, Path | None]:
        """Return an entry's image, labels and, where there is one, its reviewed area.

        Raises
        ------
        DatasetError
            If there is no such entry, or a file of it is missing.
        """
        by_folder = {folder: self._by_stem(folder) for folder in (IMAGES, LABELS, REVIEWED_FOLDER)}
        image = by_folder[IMAGES].get(name)
        labels = by_folder[LABELS].get(name) or by_folder[LABELS].get(f"{name}_labels")
        if image is None or labels is None:
            if image is None and labels is None:
                raise DatasetError(f"The training set {self.path} has no entry {name}.")
            missing = self.path / (IMAGES if image is None else LABELS) / f"{name}.tif"
            raise DatasetError(f"Entry {name} lacks {missing}. Put the file back, or remove the entry.")
        return image, labels, by_folder[REVIEWED_FOLDER].get(name)

    def _by_stem(self, folder: str) -> dict[str, Path]:
        """Return the files of a folder by name, after what a killed process left of replacing some is done."""
        finish_replacing(self.path)
        return files_by_stem(self.path / folder)

    def name_of_image(self, digest: str) -> str | None:
        """Return the name of the entry whose image has this hash; None where there is none."""
        for name in self.names():
            try:
                if self.provenance(name).get("image_sha256") == digest:
                    return name
            except DatasetError:
                continue
        return None
