"""How image-mask pairs lie on the disk: Kaggle 2018, two folders, arrays in one file, a training set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np

from ...imaging.damage import DAMAGE
from ...imaging.errors import CellsegError, DatasetError, ImageError
from ...imaging.from_array import as_image
from ...imaging.read.cells.cell_files import CELL_SUFFIXES, read_cells
from ...imaging.read.packed.zip_entries import read_entry
from ...imaging.read.pictures.arrays import read_named
from ...imaging.read.pictures.raster import decode_bytes
from ...imaging.read.read import read_image
from .coco import Coco
from .masks import LABELS, Mask, read_mask
from .replacing import SET_FILE, finish_replacing
from .sample import IMAGE_SUFFIXES, Sample, files_by_stem, read_pair
from .zipped import folder_of_images, open_entries, unpack

LABEL_FOLDERS = ("labels", "masks")
REVIEWED_FOLDER = "reviewed"
ARRAY_NAMES = (("X", "x", "images", "image"), ("y", "Y", "masks", "labels", "mask"))
# Ends of the names of masks beside their images: of ImageJ and others, Cellpose, this package, QuPath.
MASK_ENDS = (
    *(f"{name}{suffix}" for name in ("_cp_masks", "_masks", "_mask", "_labels", "_label") for suffix in IMAGE_SUFFIXES),
    *("_rois.zip", "_roiset.zip", "_outlines.geojson", ".geojson", "_seg.npy"),
)
# Bytes of a picture of one image or cell.
LARGEST_PICTURE = 1 << 28
EXPECTED = (
    "Expected ID/images/ID.png with ID/masks/*.png, the folders images and labels (or masks) with files of equal "
    "names, images with masks such as NAME_masks.tif beside them, a COCO .json, or an .npz with X and y."
)


@dataclass(frozen=True, eq=False)
class Layout:
    """A dataset whose images are known by name and not read yet.

    Parameters
    ----------
    what : str
        In words.
    names : list of str
    read : callable
        Name to sample and what its mask was like.
    skipped : list of (str, str)
        What has no partner, and why it is skipped.
    """

    what: str
    names: list[str]
    read: Callable[[str], tuple[Sample, Mask]]
    skipped: list[tuple[str, str]] = field(default_factory=list)


def open_layout(path: Path, masks: Path | None = None) -> Layout:
    """Find out how a dataset lies on the disk.

    Parameters
    ----------
    path : Path
        A folder, zip or ``.npz``.
    masks : Path, optional
        The folder of masks, where `path` is the folder of images.

    Raises
    ------
    DatasetError
        If nothing usable is found.
    """
    if masks is not None:
        for folder in (path, masks):
            if not folder.is_dir():
                raise DatasetError(f"{folder} is not a folder. Give a folder of images and a folder of their masks.")
        return _paired(path, masks, None)
    if path.is_file() and path.suffix.lower() == ".npz":
        return _arrays(path)
    if path.is_file() and path.suffix.lower() == ".json":
        return _coco(path)
    if path.is_file():
        return _zip(path)
    labels = next((path / name for name in LABEL_FOLDERS if (path / name).is_dir()), None)
    if (path / "images").is_dir() and labels is not None:
        return _paired(path / "images", labels, path)
    if (path / "train" / "images").is_dir():
        return _stardist(path)
    if masks_by_stem(path).keys() & files_by_stem(path).keys():
        return _paired(path, path, None)
    entries = [p.relative_to(path).as_posix() for p in path.rglob("*.png")]
    return _kaggle(entries, lambda name: _content(path / name), path)


def _content(path: Path) -> bytes:
    if not path.is_file() or path.stat().st_size > LARGEST_PICTURE:
        raise ValueError(f"it is no file, or has more than {LARGEST_PICTURE:,} bytes")
    return path.read_bytes()


def _zip(path: Path) -> Layout:
    archive, entries = open_entries(path)
    root = folder_of_images(entries)
    if root is None:
        return _kaggle(entries, lambda name: read_entry(archive, name, LARGEST_PICTURE), path)
    kept = unpack(archive, entries, root, path, LARGEST_PICTURE)

    def named(error: CellsegError) -> DatasetError:
        return DatasetError(str(error).replace(kept.name, str(path)))

    try:
        layout = open_layout(Path(kept.name))
    except CellsegError as error:
        raise named(error) from error

    def read_one(name: str) -> tuple[Sample, Mask]:
        try:
            return layout.read(name)
        except CellsegError as error:
            raise named(error) from error

    return replace(layout, read=read_one)


def _kaggle(entries: Sequence[str], read: Callable[[str], bytes], path: Path) -> Layout:
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
        raise DatasetError(f"{path} holds no image with masks. {EXPECTED}")
    skipped = [(name, "it has no mask") for name in sorted(images) if not masks[name]]
    skipped += [(name, "there are masks, but no image") for name in sorted(masks) if name not in images]

    def decode(entry: str, size: tuple[int, ...] | None = None) -> np.ndarray:
        try:
            return decode_bytes(read(entry), f"{entry} in {path}", size)
        except DAMAGE as error:
            raise DatasetError(f"{entry} in {path} cannot be read ({error}). Remove or replace it.") from error

    def read_one(name: str) -> tuple[Sample, Mask]:
        image = as_image(decode(images[name]), name=name).plane()
        labels = np.zeros(image.shape[:2], np.int32)
        for i, entry in enumerate(masks[name], start=1):
            values = decode(entry, labels.shape)
            mask: np.ndarray = np.any(values[..., :3], axis=-1) if values.ndim == 3 else values > 0
            labels[mask & (labels == 0)] = i
        return Sample(name, image, labels), Mask(labels, LABELS)

    return Layout("one mask per cell, as in the Data Science Bowl 2018", names, read_one, skipped)


def _coco(path: Path) -> Layout:
    coco = Coco(path)
    if not coco.names:
        raise DatasetError(f"{path} has no image with annotations. {EXPECTED}")
    return Layout("a COCO file", coco.names, coco.read, coco.skipped)


def _stardist(path: Path) -> Layout:
    """Open the images that StarDist trains on; those in ``test`` are for an evaluation."""
    layout = open_layout(path / "train")
    is_test = (path / "test").is_dir()
    kept = [("test", f"these images are for an evaluation: give {path / 'test'} there")] if is_test else []
    return replace(layout, skipped=[*layout.skipped, *kept])


def is_mask(file: Path) -> bool:
    """Whether a file beside images holds cells, by the end of its name."""
    return file.name.lower().endswith(MASK_ENDS)


def masks_by_stem(folder: Path) -> dict[str, Path]:
    """Return the files of cells in a folder, by the names of their images as far as their own names show them."""
    files = [p for p in sorted(folder.iterdir()) if p.name[0] != "."] if folder.is_dir() else []
    found: dict[str, Path] = {}
    for end in MASK_ENDS:
        # The first kind that is there counts: one program may leave several.
        for file in files:
            if file.name.lower().endswith(end) and len(file.name) > len(end):
                found.setdefault(file.name[: -len(end)], file)
    return found


def _paired(images: Path, labels: Path, root: Path | None) -> Layout:
    if root is not None:
        finish_replacing(root)
    by_stem, found = masks_by_stem(labels), files_by_stem(images)
    if images == labels:
        found = {stem: file for stem, file in found.items() if not is_mask(file)}
    else:
        by_stem |= {p.stem: p for p in sorted(labels.iterdir()) if p.suffix.lower() in CELL_SUFFIXES}
        by_stem |= files_by_stem(labels)
    pairs = {stem: (p, by_stem[stem]) for stem, p in found.items() if stem in by_stem}
    if not pairs:
        raise DatasetError(f"No file in {images} has a partner of the same name in {labels}. Name them alike.")
    used = {p for _, p in pairs.values()}
    skipped = [(p.name, f"no mask of that name is in {labels.name}") for stem, p in found.items() if stem not in pairs]
    alone = [p for p in dict.fromkeys(by_stem.values()) if p not in used]
    skipped += [(p.name, f"no image of that name is in {images.name}") for p in alone]
    others = [p for p in _same_stem(images, found) if images != labels or not is_mask(p)]
    skipped += [(p.name, "another file has the same name") for p in others]
    areas = files_by_stem(root / REVIEWED_FOLDER) if root is not None else {}
    is_set = root is not None and ((root / SET_FILE).is_file() or bool(areas))

    def read_one(name: str) -> tuple[Sample, Mask]:
        if is_set:
            # A training set has an id for each cell: nothing is guessed.
            sample = read_pair(name, *pairs[name], areas.get(name))
            return sample, Mask(sample.labels, LABELS)
        image = read_image(pairs[name][0]).plane()
        mask_path = pairs[name][1]
        mask = _read_mask_file(mask_path, (int(image.shape[0]), int(image.shape[1])))
        if mask.labels.shape != image.shape[:2]:
            raise DatasetError(
                f"Labels {mask_path} are {mask.labels.shape} pixels but {pairs[name][0]} is {image.shape[:2]}. "
                "Replace one of them, or remove both."
            )
        return Sample(name, image, mask.labels), mask

    return Layout("a training set" if is_set else "images with label or mask files", list(pairs), read_one, skipped)


def _read_mask_file(path: Path, shape: tuple[int, int]) -> Mask:
    if path.suffix.lower() in CELL_SUFFIXES:
        labels = read_cells(path, shape)
        return read_mask(labels) if path.suffix.lower() == ".npy" else Mask(labels, LABELS)
    values = read_image(path).plane()
    try:
        return read_mask(values, lossy=path.suffix.lower() in (".jpg", ".jpeg"))
    except DatasetError as error:
        raise DatasetError(f"The mask {path} cannot be used: {error}.") from error


def _same_stem(folder: Path, used: dict[str, Path]) -> list[Path]:
    files = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES and p.name[0] != "."]
    return [p for p in files if p not in used.values()]


def _arrays(path: Path) -> Layout:
    try:
        images, masks = read_named(path, ARRAY_NAMES)
    except ImageError as error:
        raise DatasetError(f"{error} A dataset is X (images of one size) and y (masks).") from error
    except DAMAGE as error:
        raise DatasetError(f"{path} cannot be read ({error}). Save it again with numpy.savez.") from error
    if masks.ndim == 4 and masks.shape[3] == 1:
        masks = masks[..., 0]
    if images.ndim == 4 and images.shape[3] in (1, 4):
        images = images[..., 0] if images.shape[3] == 1 else images[..., :3]
    if images.ndim not in (3, 4) or images.shape[3:] not in ((), (3,)) or masks.ndim != 3:
        raise DatasetError(
            f"In {path}, X is {images.shape} and y is {masks.shape}; X must be (N, Y, X) or (N, Y, X, 1, 3 or 4) and "
            "y (N, Y, X), perhaps with one channel."
        )
    if images.shape[:3] != masks.shape:
        raise DatasetError(
            f"In {path}, X is {images.shape[:3]} and y is {masks.shape}. Give one mask for each image, of its size."
        )
    if images.dtype.kind not in "buif" or masks.dtype.kind not in "buif":
        raise DatasetError(f"In {path}, X holds {images.dtype} and y {masks.dtype}; both must hold numbers.")
    digits = len(str(len(images) - 1))
    names = [f"{path.stem}_{i:0{digits}d}" for i in range(len(images))]
    index = {name: i for i, name in enumerate(names)}

    def read_one(name: str) -> tuple[Sample, Mask]:
        i = index[name]
        try:
            mask = read_mask(masks[i])
        except DatasetError as error:
            raise DatasetError(f"The mask {name} of {path} cannot be used: {error}.") from error
        return Sample(name, np.ascontiguousarray(images[i]), mask.labels), mask

    return Layout("arrays X and y", names, read_one)
