"""Images with instance masks from files: the Kaggle 2018 layout (folder or zip) and image + label folders."""

from __future__ import annotations

import csv
import zipfile
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from ..imaging.damage import DAMAGE
from ..imaging.errors import CellsegError, DatasetError
from ..imaging.image import as_image
from ..imaging.progress import Progress, drain
from ..imaging.raster import decode_bytes
from ..imaging.reading import read_image
from ..imaging.writing import read_labels

IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
LABEL_FOLDERS = ("labels", "masks")
REVIEWED_FOLDER = "reviewed"


@dataclass(frozen=True, eq=False)
class Sample:
    """One image and what a person says is in it.

    Parameters
    ----------
    name : str
        Identifier, unique within a dataset.
    image : ndarray
        ``(Y, X)`` or ``(Y, X, 3)``, raw values.
    labels : ndarray of int32
        ``(Y, X)``, 0 is background, each cell has its own id.
    kind, group : str
        Kind of image (``fluorescence``, ``histology``, ...) and the field of view it was cut from; may be empty.
    reviewed : ndarray of bool, optional
        ``(Y, X)``, where a person vouches for the labels, background included; None is everywhere.
    """

    name: str
    image: np.ndarray
    labels: np.ndarray
    kind: str = ""
    group: str = ""
    reviewed: np.ndarray | None = None


def read_dataset(path: str | Path, groups: str | Path | None = None) -> list[Sample]:
    """Read every sample of a dataset; see :func:`iter_dataset`."""
    return drain(iter_dataset(path, groups))


def iter_dataset(path: str | Path, groups: str | Path | None = None) -> Generator[Progress, None, list[Sample]]:
    """Read a dataset image by image.

    Parameters
    ----------
    path : path
        A zip or folder in the layout of the Kaggle 2018 Data Science Bowl (``ID/images/ID.png`` and one PNG per
        nucleus in ``ID/masks/``), or a folder with ``images/`` and ``labels/`` (or ``masks/``) that hold files of
        equal stem, labels as one id per cell; a file of that stem in ``reviewed/`` is not 0 where they are to be
        trusted.
    groups : path, optional
        CSV with columns ``image_id``, ``kind`` and ``group``. By default ``groups.csv`` inside or beside `path`,
        if there is one; else each image is its own group.

    Yields
    ------
    Progress

    Returns
    -------
    list of Sample
        Sorted by name.

    Raises
    ------
    DatasetError
        If nothing usable is found, or an image and its labels differ in size.
    """
    path = Path(path)
    if not path.exists():
        raise DatasetError(f"The dataset {path} does not exist. Give a folder or zip of images with masks.")
    known = _read_groups(path, groups)
    n_total, read_one, names = _open_layout(path)
    samples = []
    for i, name in enumerate(names):
        sample = read_one(name)
        row = known.get(sample.name, {})
        samples.append(replace(sample, kind=row.get("kind", ""), group=row.get("group", "") or sample.name))
        yield Progress(i + 1, n_total, f"reading {sample.name[:12]}")
    return samples


def _read_groups(path: Path, groups: str | Path | None) -> dict[str, dict[str, str]]:
    if groups is None:
        beside = [p for p in (path / "groups.csv", path.parent / "groups.csv") if p.is_file()]
        if not beside:
            return {}
        groups = beside[0]
    if not Path(groups).is_file():
        raise DatasetError(
            f"The group table {groups} does not exist. Leave it out, or give a CSV with image_id,kind,group."
        )
    try:
        with open(groups, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"The group table {groups} cannot be read ({error}). Save it as CSV in UTF-8.") from error
    if rows and not {"image_id", "kind", "group"} <= set(rows[0]):
        raise DatasetError(
            f"The group table {groups} has columns {', '.join(rows[0])}; it needs image_id, kind and group."
        )
    return {row["image_id"]: row for row in rows}


def _open_layout(path: Path) -> tuple[int, Callable[[str], Sample], list[str]]:
    if path.is_file():
        try:
            archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise DatasetError(
                f"{path} is not a readable zip ({error}). Give a zip or folder of images with masks."
            ) from error
        entries = [name for name in archive.namelist() if not name.endswith("/")]
        return _kaggle_layout(entries, archive.read, path)
    labels = next((path / name for name in LABEL_FOLDERS if (path / name).is_dir()), None)
    if (path / "images").is_dir() and labels is not None:
        return _paired_layout(path / "images", labels, path / REVIEWED_FOLDER)
    entries = [p.relative_to(path).as_posix() for p in path.rglob("*.png")]
    return _kaggle_layout(entries, lambda name: (path / name).read_bytes(), path)


def _kaggle_layout(
    entries: Sequence[str], read: Callable[[str], bytes], path: Path
) -> tuple[int, Callable[[str], Sample], list[str]]:
    images: dict[str, str] = {}
    masks: dict[str, list[str]] = defaultdict(list)
    for entry in sorted(entries):
        parts = PurePosixPath(entry).parts
        if len(parts) >= 3 and entry.lower().endswith(".png"):
            if parts[-2] == "images":
                images[parts[-3]] = entry
            elif parts[-2] == "masks":
                masks[parts[-3]].append(entry)
    names = sorted(name for name in images if masks[name])
    if not names:
        raise DatasetError(
            f"{path} holds no image with masks. Expected ID/images/ID.png with ID/masks/*.png, "
            "or the folders images and labels with files of equal names."
        )

    def decode(entry: str) -> np.ndarray:
        try:
            return decode_bytes(read(entry))
        except DAMAGE as error:
            raise DatasetError(f"{entry} in {path} cannot be read ({error}). Remove or replace it.") from error

    def read_one(name: str) -> Sample:
        image = as_image(decode(images[name]), name=name).plane()
        labels = np.zeros(image.shape[:2], np.int32)
        for i, entry in enumerate(masks[name], start=1):
            values = decode(entry)
            mask: np.ndarray = np.any(values[..., :3], axis=-1) if values.ndim == 3 else values > 0
            if mask.shape != labels.shape:
                raise DatasetError(
                    f"Mask {entry} is {mask.shape} pixels but its image is {labels.shape}. Remove or replace it."
                )
            labels[mask & (labels == 0)] = i
        return Sample(name, image, labels)

    return len(names), read_one, names


def files_by_stem(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder by their names without suffix; nothing for a folder that is not there."""
    if not folder.is_dir():
        return {}
    return {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES and p.name[0] != "."}


def read_pair(name: str, image_path: Path, label_path: Path, reviewed_path: Path | None) -> Sample:
    """Read an image, its labels and its reviewed area (None: all of it) and check that they fit."""
    image = read_image(image_path).plane()
    ids = read_labels(label_path)
    if ids.shape != image.shape[:2]:
        raise DatasetError(
            f"Labels {label_path} are {ids.shape} pixels but {image_path} is {image.shape[:2]}. "
            "Replace one of them, or remove both."
        )
    reviewed = None
    if reviewed_path is not None:
        values = read_image(reviewed_path).plane()
        reviewed = np.any(values > 0, axis=-1) if values.ndim == 3 else values > 0
        if reviewed.shape != ids.shape:
            raise DatasetError(
                f"The reviewed area {reviewed_path} is {reviewed.shape} pixels but {image_path} is {ids.shape}. "
                "Replace it, or remove it if all of the image was reviewed."
            )
    return Sample(name, image, ids.astype(np.int32), reviewed=reviewed)


def _paired_layout(images: Path, labels: Path, reviewed: Path) -> tuple[int, Callable[[str], Sample], list[str]]:
    by_stem = {stem.removesuffix("_labels"): p for stem, p in files_by_stem(labels).items()}
    pairs = {stem: (p, by_stem[stem]) for stem, p in files_by_stem(images).items() if stem in by_stem}
    if not pairs:
        raise DatasetError(f"No file in {images} has a partner of the same name in {labels}. Name them alike.")
    areas = files_by_stem(reviewed)
    return len(pairs), lambda name: read_pair(name, *pairs[name], areas.get(name)), list(pairs)


def split_by_group(
    samples: Sequence[Sample], fraction: float = 0.1, seed: int = 0
) -> tuple[list[Sample], list[Sample]]:
    """Split samples into training and validation, kind by kind, never inside a group.

    Parameters
    ----------
    samples : sequence of Sample
    fraction : float
        Part of each kind's images that goes to validation, 0 to below 1. A kind of two groups or more gives at
        least one group (when `fraction` is above 0) and always keeps one.
    seed : int
        Seed of the shuffle; the same samples and seed give the same split.

    Returns
    -------
    training, validation : list of Sample
    """
    if not 0 <= fraction < 1:
        raise CellsegError(f"The validation fraction is {fraction}; it must be at least 0 and below 1.")
    if seed < 0:
        raise CellsegError(f"The seed is {seed}; it must be 0 or more.")
    rng = np.random.default_rng(seed)
    held_out: set[tuple[str, str]] = set()
    for kind in sorted({s.kind for s in samples}):
        sizes: dict[str, int] = defaultdict(int)
        for sample in samples:
            if sample.kind == kind:
                sizes[sample.group] += 1
        wanted, taken = fraction * sum(sizes.values()), 0
        order = [sorted(sizes)[i] for i in rng.permutation(len(sizes))]
        for group in order[:-1]:
            if taken >= wanted:
                break
            held_out.add((kind, group))
            taken += sizes[group]
    training = [s for s in samples if (s.kind, s.group) not in held_out]
    validation = [s for s in samples if (s.kind, s.group) in held_out]
    return training, validation
