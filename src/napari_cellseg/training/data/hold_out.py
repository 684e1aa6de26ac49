"""Hold out images for checking: whole ones where there are enough of them, else a strip of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .datasets import Sample, split_by_group

ENOUGH_IMAGES = 3
FEWEST_CELLS = 4
MARGIN = 4


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A training set in two parts.

    Parameters
    ----------
    learned, held_out : tuple of Sample
        An image that is in both has reviewed areas that share no pixel and no cell.
    how : {'images', 'crops', 'none'}
        ``none``: there were too few cells to keep any, and `held_out` is what is learned.
    """

    learned: tuple[Sample, ...]
    held_out: tuple[Sample, ...]
    how: str


def reviewed_area(sample: Sample) -> np.ndarray:
    """Return where a sample's labels are to be trusted, bool ``(Y, X)``."""
    return np.ones(sample.labels.shape, bool) if sample.reviewed is None else sample.reviewed


def keep_inside(labels: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Return the labels of the cells that lie more than half inside an area; the others become 0."""
    if area.all():
        return labels
    top = int(labels.max(initial=0)) + 1
    whole = np.bincount(labels.ravel(), minlength=top)
    inside = np.bincount(labels[area], minlength=top)
    kept = 2 * inside > whole
    kept[0] = False
    return np.where(kept[labels], labels, 0)


def count_cells(samples: Sequence[Sample]) -> int:
    """Count the cells that lie more than half in the reviewed areas."""
    return sum(int(np.count_nonzero(np.unique(keep_inside(s.labels, reviewed_area(s))))) for s in samples)


def hold_out(samples: Sequence[Sample], fraction: float = 0.2, seed: int = 0) -> HeldOut:
    """Keep part of what was reviewed for checking.

    Three groups of images and more: whole images, at least one, never inside a group. Fewer: a strip at one end of
    each image's reviewed area, whose border runs around cells, never through them.

    Parameters
    ----------
    samples : sequence of Sample
    fraction : float
        Part of the images, or of each image's cells, that is kept.
    seed : int
        Of the choice; the same samples and seed give the same parts.
    """
    if len({(s.kind, s.group) for s in samples}) >= ENOUGH_IMAGES:
        splits = [split_by_group(samples, fraction, seed + attempt) for attempt in range(12)]
        n_cells = {id(s): count_cells([s]) for s in samples}
        wanted = fraction * sum(n_cells.values())
        # Images differ a lot in how many cells they hold: a check on three cells would mean nothing.
        learned, kept = min(splits, key=lambda split: abs(sum(n_cells[id(s)] for s in split[1]) - wanted))
        if kept and count_cells(learned) and count_cells(kept):
            return HeldOut(tuple(learned), tuple(kept), "images")
    rng = np.random.default_rng(seed)
    # Images of one group, such as frames of a film, show the same place: all of them keep the same end.
    ends: dict[tuple[str, str], bool] = {}
    strips = [_strip(s, fraction, ends.setdefault((s.kind, s.group), bool(rng.integers(2)))) for s in samples]
    kept = [part for pair in strips if (part := pair[1]) is not None]
    if not kept or not count_cells(kept):
        return HeldOut(tuple(samples), tuple(samples), "none")
    return HeldOut(tuple(pair[0] for pair in strips), tuple(kept), "crops")


def _strip(sample: Sample, fraction: float, from_end: bool) -> tuple[Sample, Sample | None]:
    """Divide a sample's reviewed area; (all of it, None) where it has too few cells."""
    area = reviewed_area(sample)
    labels = keep_inside(sample.labels, area)
    rows, columns = np.nonzero(area)
    axis = 0 if np.ptp(rows) >= np.ptp(columns) else 1
    place = np.indices(labels.shape)[axis]
    ids, inverse = np.unique(labels, return_inverse=True)
    inverse = inverse.reshape(labels.shape)
    if len(ids) - (ids[0] == 0) < FEWEST_CELLS:
        return sample, None
    centres = np.bincount(inverse.ravel(), place.ravel().astype(float)) / np.bincount(inverse.ravel())
    order = np.sort(centres[ids > 0])
    n_kept = max(1, round(fraction * len(order)))
    border = (order[-n_kept - 1] + order[-n_kept]) / 2 if from_end else (order[n_kept - 1] + order[n_kept]) / 2
    in_strip = place > border if from_end else place < border
    cell_in_strip = (centres > border) if from_end else (centres < border)
    kept = np.where(labels > 0, cell_in_strip[inverse], in_strip)
    # The pixels between are neither learned nor checked.
    near = np.abs(place - border) <= MARGIN
    undecided = near & (labels == 0)
    return (
        replace(sample, reviewed=area & ~kept & ~undecided),
        replace(sample, reviewed=area & kept & ~undecided),
    )
