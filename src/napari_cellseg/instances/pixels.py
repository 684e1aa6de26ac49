"""How well the foreground probability separates cells from background, by pixels summed over any number of images.

Pixels are counted by truth and by probability in bins of equal width of the log odds: both ends, where nearly all
pixels of a good model lie, are resolved as finely as the middle. The counts for all curves and tables take a few
kilobytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import trapezoid

N_BINS = 4096
_REACH = 16.0  # log odds: float32 has no probability between this one and 1
CLASSES = ("background", "cell")


@dataclass(frozen=True, eq=False)
class PixelCounts:
    """Pixels of one or more images.

    Attributes
    ----------
    by_probability : numpy.ndarray
        int64 (2, N_BINS): background and cell pixels of the truth by ascending probability.
    confusion : numpy.ndarray
        int64 (2, 2): rows are the truth, columns the result (background, cell).
    """

    by_probability: np.ndarray
    confusion: np.ndarray

    @classmethod
    def from_maps(
        cls,
        labels_true: np.ndarray,
        probability: np.ndarray,
        labels: np.ndarray,
        reviewed: np.ndarray | None = None,
    ) -> PixelCounts:
        """Count the pixels of one image.

        Parameters
        ----------
        labels_true, labels : numpy.ndarray
            (Y, X), values above 0 are cells: the truth and the result.
        probability : numpy.ndarray
            Float (Y, X), 0 to 1.
        reviewed : numpy.ndarray, optional
            Bool (Y, X): only these pixels are counted.

        Raises
        ------
        ValueError
            When the shapes differ.
        """
        if not labels_true.shape == probability.shape == labels.shape:
            raise ValueError(
                f"Truth {labels_true.shape}, probability {probability.shape} and labels {labels.shape} must be maps "
                "of one image."
            )
        area = slice(None) if reviewed is None else reviewed
        true, found = (labels_true[area] > 0).ravel(), (labels[area] > 0).ravel()
        p = np.nan_to_num(probability[area].ravel().astype(np.float64))
        with np.errstate(divide="ignore"):
            odds = np.log(np.clip(p, 0, 1)) - np.log1p(-np.clip(p, 0, 1))
        bins = np.clip((odds + _REACH) * (N_BINS / (2 * _REACH)), 0, N_BINS - 1).astype(np.intp)
        return cls(
            np.bincount(true * N_BINS + bins, minlength=2 * N_BINS).reshape(2, N_BINS),
            np.bincount(true * 2 + found, minlength=4).reshape(2, 2),
        )

    def __add__(self, other: PixelCounts) -> PixelCounts:
        return PixelCounts(self.by_probability + other.by_probability, self.confusion + other.confusion)

    @property
    def n_pixels(self) -> int:
        """Number of pixels."""
        return int(self.confusion.sum())

    def scores(self) -> dict[str, float | None]:
        """Return scores of the foreground as values for JSON.

        Returns
        -------
        dict
            ``iou``, ``dice``, ``precision``, ``recall``, ``f1`` of cell pixels (1 if both are empty);
            ``f1_weighted``, the mean of both classes' F1 weighted by their pixels; ``accuracy``; ``auc``, the area
            under the ROC curve (None with one class only); ``calibration_error``, the mean distance of the
            reliability curve from the diagonal.
        """
        (tn, fp), (fn, tp) = self.confusion.tolist()
        f1, f1_background = _ratio(2 * tp, 2 * tp + fp + fn), _ratio(2 * tn, 2 * tn + fp + fn)
        return {
            "iou": _ratio(tp, tp + fp + fn),
            "dice": f1,
            "precision": _ratio(tp, tp + fp),
            "recall": _ratio(tp, tp + fn),
            "f1": f1,
            "f1_weighted": _ratio(f1 * (tp + fn) + f1_background * (tn + fp), self.n_pixels),
            "accuracy": _ratio(tp + tn, self.n_pixels),
            "auc": self.auc(),
            "calibration_error": self.calibration_error(),
        }

    def roc(self) -> tuple[np.ndarray, np.ndarray]:
        """ROC curve: rates of false and of true positives, from (0, 0) to (1, 1); empty with one class only."""
        totals = self.by_probability.sum(axis=1)
        if not totals.all():
            return np.zeros(0), np.zeros(0)
        filled = self.by_probability.any(axis=0)
        above = np.cumsum(self.by_probability[:, filled][:, ::-1], axis=1) / totals[:, None]
        false, true = np.pad(above, ((0, 0), (1, 0)))
        return false, true

    def auc(self) -> float | None:
        """Area under the ROC curve: the chance that a cell pixel has the higher probability."""
        false, true = self.roc()
        return float(trapezoid(true, false)) if len(false) else None

    def reliability(self, n: int = 20) -> dict[str, list[float]]:
        """Share of cell pixels among those of a probability, in `n` bins of equal width.

        Returns
        -------
        dict
            ``probability`` (mean of the bin), ``share`` and ``pixels``; empty bins are skipped.
        """
        which = np.minimum((_CENTRES * n).astype(int), n - 1)
        pixels = np.bincount(which, self.by_probability.sum(axis=0), n)
        filled = pixels > 0
        predicted = np.bincount(which, self.by_probability.sum(axis=0) * _CENTRES, n)[filled] / pixels[filled]
        true = np.bincount(which, self.by_probability[1], n)[filled] / pixels[filled]
        return {"probability": predicted.tolist(), "share": true.tolist(), "pixels": pixels[filled].tolist()}

    def calibration_error(self) -> float:
        """Mean distance between the probability and the share of cell pixels that have it, weighted by pixels."""
        curve = {name: np.array(values) for name, values in self.reliability().items()}
        off = np.abs(curve["probability"] - curve["share"]) * curve["pixels"]
        return float(off.sum() / max(curve["pixels"].sum(), 1))

    def classification_report(self) -> dict[str, Any]:
        """scikit-learn's report on both classes: precision, recall, F1 and support, with their means."""
        from sklearn.metrics import classification_report

        report: dict[str, Any] = classification_report(
            [0, 0, 1, 1], [0, 1, 0, 1], labels=[0, 1], target_names=CLASSES, sample_weight=self.confusion.ravel(),
            output_dict=True, zero_division=1.0,
        )  # fmt: skip
        return report


def thinned(x: np.ndarray, y: np.ndarray, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Return about n points of a curve, evenly spaced along it."""
    if len(x) <= n:
        return x, y
    along = np.concatenate([[0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    some = np.unique(np.searchsorted(along, np.linspace(0, along[-1], n)))
    return x[some], y[some]


_CENTRES = 1 / (1 + np.exp(_REACH - (np.arange(N_BINS) + 0.5) * (2 * _REACH / N_BINS)))


def _ratio(part: float, whole: float) -> float:
    """part / whole, 1 where whole is 0."""
    return part / whole if whole else 1.0
