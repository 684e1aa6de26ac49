"""Compare predicted labels with true ones: matching by overlap, average precision, counts.

Average precision here is TP / (TP + FP + FN) at one IoU threshold, the measure of the 2018 Data Science Bowl
(Caicedo et al., Nature Methods 2019). The mean over images and the value pooled over all cells differ, so both are
given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array

IOU_THRESHOLDS: tuple[float, ...] = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
# Stands wherever these figures are shown as a table.
FIGURES_IN_WORDS = (
    "AP and F1: cells matched one to one with true ones at the named overlap (IoU; else 0.5); "
    "AP = TP / (TP + FP + FN), F1 = 2 TP / (2 TP + FP + FN)."
)


@dataclass(frozen=True, eq=False)
class MatchResult:
    """Matched and unmatched cells of one image at each IoU threshold.

    Attributes
    ----------
    thresholds : tuple of float
        IoU thresholds.
    tp, fp, fn : numpy.ndarray
        int64, one entry per threshold: cells matched, predicted cells without a partner, true cells without one.
    n_true, n_pred : int
        Cells in the true and in the predicted labels.
    """

    thresholds: tuple[float, ...]
    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    n_true: int
    n_pred: int

    @property
    def ap(self) -> np.ndarray:
        """TP / (TP + FP + FN) at each threshold; 1 if both images are empty."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def f1(self) -> np.ndarray:
        """2 TP / (2 TP + FP + FN) at each threshold; 1 when both images are empty."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def precision(self) -> np.ndarray:
        """TP / (TP + FP) at each threshold; 1 when nothing was predicted."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> np.ndarray:
        """TP / (TP + FN) at each threshold; 1 when there was nothing to find."""
        return _ratio(self.tp, self.tp + self.fn)


def iou_matrix(labels_true: np.ndarray, labels_pred: np.ndarray) -> csr_array:
    """Intersection over union of every pair of cells that overlap.

    Parameters
    ----------
    labels_true, labels_pred : numpy.ndarray
        Integer arrays of one shape, 0 = background. Ids need not be consecutive.

    Returns
    -------
    scipy.sparse.csr_array
        float64 (n_true, n_pred), rows and columns in the order of ascending ids.

    Raises
    ------
    ValueError
        When shapes differ, or labels are not integers or negative.
    """
    if labels_true.shape != labels_pred.shape:
        raise ValueError(f"True labels have shape {labels_true.shape}, predicted ones {labels_pred.shape}.")
    true, n_true = _consecutive(labels_true, "labels_true")
    pred, n_pred = _consecutive(labels_pred, "labels_pred")
    area_true = np.bincount(true, minlength=n_true + 1)[1:]
    area_pred = np.bincount(pred, minlength=n_pred + 1)[1:]
    both = (true > 0) & (pred > 0)
    rows, columns = true[both] - 1, pred[both] - 1
    overlap = coo_array((np.ones(len(rows), dtype=np.int64), (rows, columns)), shape=(n_true, n_pred)).tocsr()
    overlap.sum_duplicates()
    pairs = overlap.tocoo()
    union = area_true[pairs.row] + area_pred[pairs.col] - pairs.data
    return coo_array((pairs.data / union, (pairs.row, pairs.col)), shape=(n_true, n_pred)).tocsr()


def match(
    labels_true: np.ndarray,
    labels_pred: np.ndarray,
    thresholds: Sequence[float] = IOU_THRESHOLDS,
) -> MatchResult:
    """Match true and predicted cells one to one at each IoU threshold.

    A pair may match when its IoU is at least the threshold. Above 0.5 a cell has at most one such partner; at 0.5
    and below, the largest possible number of pairs is taken.

    Parameters
    ----------
    labels_true, labels_pred : numpy.ndarray
        Integer arrays of one shape, 0 = background.
    thresholds : sequence of float
        IoU thresholds, above 0 and up to 1.

    Returns
    -------
    MatchResult

    Raises
    ------
    ValueError
        As `iou_matrix`, or for a threshold outside 0 to 1.
    """
    levels = tuple(float(t) for t in thresholds)
    if not all(0 < t <= 1 for t in levels):
        raise ValueError(f"IoU thresholds must be above 0 and at most 1, got {levels}.")
    iou = iou_matrix(labels_true, labels_pred)
    n_true, n_pred = iou.shape
    tp = np.array([_n_matched(iou, t) for t in levels], dtype=np.int64)
    return MatchResult(levels, tp, n_pred - tp, n_true - tp, n_true, n_pred)


def foreground_scores(labels_true: np.ndarray, labels_pred: np.ndarray) -> dict[str, float]:
    """Overlap of the foregrounds, without distinguishing cells.

    Parameters
    ----------
    labels_true, labels_pred : numpy.ndarray
        Arrays of one shape; values above 0 are foreground.

    Returns
    -------
    dict
        ``dice`` and ``iou``, 0 to 1; both 1 when both images are empty.

    Raises
    ------
    ValueError
        When shapes differ.
    """
    if labels_true.shape != labels_pred.shape:
        raise ValueError(f"True labels have shape {labels_true.shape}, predicted ones {labels_pred.shape}.")
    true, pred = labels_true > 0, labels_pred > 0
    both = int(np.count_nonzero(true & pred))
    total = int(np.count_nonzero(true)) + int(np.count_nonzero(pred))
    if total == 0:
        return {"dice": 1.0, "iou": 1.0}
    return {"dice": 2 * both / total, "iou": both / (total - both)}


def summarize(results: Sequence[MatchResult]) -> dict[str, Any]:
    """Summarize the scores of a set of images, as values for JSON.

    Parameters
    ----------
    results : sequence of MatchResult
        One per image, all with the same thresholds.

    Returns
    -------
    dict
        ``n_images``, ``n_true``, ``n_pred``; ``ap_mean`` (mean over images) and ``ap_pooled`` (over all cells),
        each a dict keyed ``"0.50"`` and so on; ``ap_mean_all`` and ``ap_pooled_all``, their means over the
        thresholds; ``f1_mean`` and ``f1_pooled`` at the lowest threshold; ``count_mae`` in cells; ``count_mape``
        and ``count_bias``, mean of \\|pred - true\\| / true and of (pred - true) / true over images that have
        cells (None when no image has).

    Raises
    ------
    ValueError
        For no images, or results with different thresholds.
    """
    if not results:
        raise ValueError("No images to summarize: give at least one MatchResult.")
    thresholds = results[0].thresholds
    if any(r.thresholds != thresholds for r in results):
        raise ValueError("Results with different IoU thresholds can't be summarized together.")
    keys = [f"{t:.2f}" for t in thresholds]
    tp, fp, fn = (np.sum([getattr(r, name) for r in results], axis=0) for name in ("tp", "fp", "fn"))
    pooled = MatchResult(
        thresholds,
        tp,
        fp,
        fn,
        n_true=sum(r.n_true for r in results),
        n_pred=sum(r.n_pred for r in results),
    )
    ap_mean = np.mean([r.ap for r in results], axis=0)
    true = np.array([r.n_true for r in results], dtype=np.float64)
    error = np.array([r.n_pred for r in results], dtype=np.float64) - true
    relative = error[true > 0] / true[true > 0]
    lowest = int(np.argmin(thresholds))
    return {
        "n_images": len(results),
        "n_true": pooled.n_true,
        "n_pred": pooled.n_pred,
        "ap_mean": dict(zip(keys, ap_mean.tolist(), strict=True)),
        "ap_pooled": dict(zip(keys, pooled.ap.tolist(), strict=True)),
        "ap_mean_all": float(ap_mean.mean()),
        "ap_pooled_all": float(pooled.ap.mean()),
        "f1_mean": float(np.mean([r.f1[lowest] for r in results])),
        "f1_pooled": float(pooled.f1[lowest]),
        "count_mae": float(np.abs(error).mean()),
        "count_mape": float(np.abs(relative).mean()) if len(relative) else None,
        "count_bias": float(relative.mean()) if len(relative) else None,
    }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 1 where whole is 0."""
    return np.where(whole > 0, part / np.maximum(whole, 1), 1.0)


def _n_matched(iou: csr_array, threshold: float) -> int:
    good = iou >= threshold
    if threshold > 0.5:
        return int(good.nnz)
    # Imported late: it takes a tenth of a second, which a window that opens has no need of.
    from scipy.sparse.csgraph import maximum_bipartite_matching

    return int(np.count_nonzero(maximum_bipartite_matching(good.tocsr(), perm_type="column") >= 0))


def _consecutive(labels: np.ndarray, name: str) -> tuple[np.ndarray, int]:
    """Flat intp array with ids 0 to n in the order of the ids given, and n."""
    if labels.dtype != np.bool_ and not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{name} must hold whole numbers, got {labels.dtype}.")
    flat = labels.ravel()
    if flat.size and int(flat.min()) < 0:
        raise ValueError(f"{name} must not be negative, got {int(flat.min())}.")
    top = int(flat.max(initial=0))
    if top > 4 * flat.size + 1000:
        ids, inverse = np.unique(flat, return_inverse=True)
        n = int(np.count_nonzero(ids))
        return inverse.astype(np.intp) + (n == len(ids)), n
    present = np.zeros(top + 1, dtype=bool)
    present[flat.astype(np.intp, copy=False)] = True
    present[0] = False
    lookup = np.where(present, np.cumsum(present), 0).astype(np.intp)
    return lookup[flat.astype(np.intp, copy=False)], int(lookup.max(initial=0))
