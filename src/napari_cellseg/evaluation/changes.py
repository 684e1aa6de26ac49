"""Find the cells that a new version draws differently, and make pictures of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from ..imaging.damage import DAMAGE
from ..imaging.errors import CellsegError
from ..imaging.read.values.json_types import parse_json
from ..imaging.write.atomic import atomic_path
from ..instances.metrics import iou_matrix
from ..training.data.datasets import Sample

PICTURES_FILE = "changes.npz"
N_PICTURES = 24
MARGIN = 12
LARGEST = 160
# Overlaps from which two cells are related, and from which they are the same.
TOUCHING, SAME = 0.1, 0.7
_PLANES = ("image", "truth", "old", "new")


@dataclass(frozen=True)
class CellChange:
    """A cell, or a few that touch, that the two versions draw differently.

    Parameters
    ----------
    image : str
    part : {'held_out', 'general'}
    box : tuple of int
        y0, x0, y1, x1 in pixels.
    what : {'gained', 'lost', 'split', 'merged', 'reshaped'}
    better : bool or None
        Whether the new version is nearer to the truth there; None where both are equally near.
    """

    image: str
    part: str
    box: tuple[int, int, int, int]
    what: str
    better: bool | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", tuple(int(v) for v in self.box))


@dataclass(frozen=True, eq=False)
class ChangePicture:
    """A change with its surroundings: raw image, true, old and new labels, all of one crop at `origin` (y, x)."""

    change: CellChange
    image: np.ndarray
    truth: np.ndarray
    old: np.ndarray
    new: np.ndarray
    origin: tuple[int, int]


def changes_of(sample: Sample, part: str, truth: np.ndarray, old: np.ndarray, new: np.ndarray) -> list[ChangePicture]:
    """Find the differences between two label images of a sample.

    Parameters
    ----------
    sample : Sample
    part : str
    truth, old, new : ndarray of int
        ``(Y, X)``.

    Returns
    -------
    list of ChangePicture
        Largest difference first.
    """
    old_ids, new_ids = (ids[ids > 0] for ids in (np.unique(old), np.unique(new)))
    if not len(old_ids) and not len(new_ids):
        return []
    iou = iou_matrix(old, new)
    iou.data[iou.data <= TOUCHING] = 0
    iou.eliminate_zeros()
    back = iou.tocsc()
    old_boxes, new_boxes = ndimage.find_objects(old), ndimage.find_objects(new)
    found: list[tuple[float, tuple[slice, slice], str]] = []
    for i, id_ in enumerate(old_ids):
        row = slice(iou.indptr[i], iou.indptr[i + 1])
        partners, best = iou.indices[row], iou.data[row].max(initial=0.0)
        if best >= SAME:
            continue
        boxes = [old_boxes[id_ - 1], *(new_boxes[new_ids[j] - 1] for j in partners)]
        what = "lost" if not len(partners) else "split" if len(partners) > 1 else "reshaped"
        if len(partners) == 1:
            together = back.indices[back.indptr[partners[0]] : back.indptr[partners[0] + 1]]
            if len(together) > 1:
                what = "merged"
                if together.min() != i:
                    continue
                boxes += [old_boxes[old_ids[k] - 1] for k in together]
        found.append((1 - best, _around(boxes), what))
    found += [(1.0, new_boxes[new_ids[j] - 1], "gained") for j in np.flatnonzero(np.diff(back.indptr) == 0)]
    found.sort(key=lambda item: -item[0])
    return [_picture(sample, part, box, what, truth, old, new) for _, box, what in found]


def _around(boxes: Sequence[tuple[slice, slice]]) -> tuple[slice, slice]:
    rows, columns = ([box[axis] for box in boxes] for axis in (0, 1))
    return (
        slice(min(s.start for s in rows), max(s.stop for s in rows)),
        slice(min(s.start for s in columns), max(s.stop for s in columns)),
    )


def _picture(
    sample: Sample, part: str, box: tuple[slice, slice], what: str, truth: np.ndarray, old: np.ndarray, new: np.ndarray
) -> ChangePicture:
    window = tuple(
        slice(max(0, s.start - MARGIN), min(n, s.stop + MARGIN, s.start - MARGIN + LARGEST))
        for s, n in zip(box, truth.shape, strict=True)
    )
    nearness = [_nearness(truth[box], side[box]) for side in (old, new)]
    better = None if abs(nearness[1] - nearness[0]) < 0.02 else nearness[1] > nearness[0]
    change = CellChange(sample.name, part, (box[0].start, box[1].start, box[0].stop, box[1].stop), what, better)
    true, before, after = (np.ascontiguousarray(m[window], np.int32) for m in (truth, old, new))
    origin = (window[0].start, window[1].start)
    return ChangePicture(change, sample.image[window], true, before, after, origin)


def _nearness(truth: np.ndarray, found: np.ndarray) -> float:
    """Return how well cells match in a small window, 0 to 1: sum of best overlaps per cell of either."""
    # Dense: a window holds few cells, and there may be thousands of windows.
    (true_ids, true), (found_ids, cells) = (np.unique(side, return_inverse=True) for side in (truth, found))
    both = np.bincount(true.ravel() * len(found_ids) + cells.ravel(), minlength=len(true_ids) * len(found_ids))
    both = both.reshape(len(true_ids), len(found_ids))
    union = both.sum(axis=1, keepdims=True) + both.sum(axis=0) - both
    iou = (both / union)[np.ix_(true_ids > 0, found_ids > 0)]
    if not iou.size:
        return float(iou.shape == (0, 0))
    return float(iou.max(axis=1).sum() / max(iou.shape))


def write_pictures(folder: Path, pictures: Sequence[ChangePicture]) -> None:
    """Write the first pictures into a version's folder."""
    chosen = pictures[:N_PICTURES]
    arrays = {f"{name}_{i}": getattr(p, name) for i, p in enumerate(chosen) for name in _PLANES}
    about = json.dumps([{"change": asdict(p.change), "origin": [int(v) for v in p.origin]} for p in chosen])
    with atomic_path(folder / PICTURES_FILE) as temporary:
        np.savez_compressed(temporary, about=np.array(about), **arrays)


def read_pictures(folder: Path) -> list[ChangePicture]:
    """Read the pictures in a version's folder; an empty list where there are none.

    Raises
    ------
    CellsegError
        If they are damaged.
    """
    path = Path(folder) / PICTURES_FILE
    if not path.is_file():
        return []
    try:
        with np.load(path, allow_pickle=False) as arrays:
            about = parse_json(str(arrays["about"]))
            return [
                ChangePicture(
                    change=CellChange(**row["change"]),
                    origin=(int(row["origin"][0]), int(row["origin"][1])),
                    **{name: arrays[f"{name}_{i}"] for name in _PLANES},
                )
                for i, row in enumerate(about)
            ]
    except DAMAGE as error:
        raise CellsegError(f"{path} cannot be read ({error}). Fine-tune again to compare anew.") from error
