"""Does the doubt find the errors? Looking at cells in its order against looking at them in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..corrections.doubt import Doubt, doubt
from ..instances.metrics import iou_matrix
from ..segmentation.segmented import Segmented
from ..training.data.datasets import Sample

REVIEW_FILE = "review.json"
ERROR_IOUS = (0.5, 0.7)
LOOKED = 100  # cells looked at
PART = 0.2  # of each image's cells, looked at image by image
OFFERED = 0.3  # a place is offered as missed cell from this chance on


@dataclass(frozen=True, eq=False)
class ImageReview:
    """Doubt about the cells of one image, beside the truth.

    Attributes
    ----------
    name, kind : str
    score : numpy.ndarray
        float (n,), doubt about each predicted cell.
    best_iou : numpy.ndarray
        float (n,), overlap of each predicted cell with the true cell that fits it best; 0 where there is none.
    missed_score : numpy.ndarray
        float (m,), chance that a place holds a missed cell.
    missed_hit : numpy.ndarray
        bool (m,), whether a true cell lies there that no predicted cell fits (IoU .5).
    n_missed : int
        True cells that no predicted cell fits.
    """

    name: str
    kind: str
    score: np.ndarray
    best_iou: np.ndarray
    missed_score: np.ndarray
    missed_hit: np.ndarray
    n_missed: int


def best_overlap(labels_true: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Highest IoU of every true cell, and of every predicted cell, each in the order of rising ids."""
    iou = iou_matrix(labels_true, labels)
    of_true, of_predicted = np.zeros(iou.shape[0]), np.zeros(iou.shape[1])
    pairs = iou.tocoo()
    np.maximum.at(of_true, pairs.row, pairs.data)
    np.maximum.at(of_predicted, pairs.col, pairs.data)
    return of_true, of_predicted


def lost_cells(labels_true: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """True labels without the cells that a predicted cell fits (IoU .5)."""
    of_true, _ = best_overlap(labels_true, labels)
    ids = np.unique(labels_true[labels_true > 0])
    result: np.ndarray = np.where(np.isin(labels_true, ids[of_true < ERROR_IOUS[0]]), labels_true, 0)
    return result


def review_image(sample: Sample, segmented: Segmented, threshold: float, min_size: int) -> ImageReview:
    """Doubt about one image's cells and how well they fit the truth."""
    instances = segmented.instances
    labels = instances.labels(threshold, min_size)
    about: Doubt = doubt(instances, segmented.prediction, segmented.model.split, threshold, min_size)
    lost = lost_cells(sample.labels, labels)
    rows, columns = np.round(about.missed_yx).astype(int).T if len(about.missed_ids) else (np.zeros(0, int),) * 2
    return ImageReview(
        sample.name,
        sample.kind,
        about.score,
        best_overlap(sample.labels, labels)[1],
        about.missed_score,
        lost[rows, columns] > 0,
        len(np.unique(lost[lost > 0])),
    )


def review(
    samples: Sequence[Sample],
    predicted: Sequence[Segmented],
    threshold: float | None = None,
    min_size: int | None = None,
) -> list[ImageReview]:
    """`review_image` for every image, at the given settings (None: the recipe's or the model's)."""
    return [
        review_image(
            sample,
            segmented,
            segmented.threshold if threshold is None else threshold,
            segmented.min_size if min_size is None else min_size,
        )
        for sample, segmented in zip(samples, predicted, strict=True)
    ]


def summarize_review(reviews: Sequence[ImageReview]) -> dict[str, Any]:
    """Figures over all images and per kind, JSON-able.

    For each of `ERROR_IOUS` (a cell is wrong when no true cell overlaps it that much): ``wrong`` cells, and of the
    first `LOOKED` cells of one queue of all images how many were wrong by doubt, in any order (the mean of all orders)
    and at best; and looking at `PART` of every image's cells, the share of all errors that turns up. ``auc``: the
    chance that a wrong cell is doubted more than a right one.
    """
    kinds = sorted({r.kind for r in reviews if r.kind})
    return {
        "all": _figures(reviews),
        **{kind: _figures([r for r in reviews if r.kind == kind]) for kind in kinds},
    }


def _figures(reviews: Sequence[ImageReview]) -> dict[str, Any]:
    score = np.concatenate([r.score for r in reviews])
    best = np.concatenate([r.best_iou for r in reviews])
    missed = np.concatenate([r.missed_score for r in reviews])
    hit = np.concatenate([r.missed_hit for r in reviews])
    offered = missed >= OFFERED
    figures: dict[str, Any] = {"images": len(reviews), "cells": len(score)}
    for iou in ERROR_IOUS:
        figures[f"iou_{iou:.1f}"] = _order_figures(score, best < iou, [(r.score, r.best_iou < iou) for r in reviews])
    figures["missed"] = {
        "true_cells_missed": sum(r.n_missed for r in reviews),
        "places_offered": int(offered.sum()),
        "places_right": int(hit[offered].sum()),
    }
    return figures


def _order_figures(
    score: np.ndarray, wrong: np.ndarray, images: Sequence[tuple[np.ndarray, np.ndarray]]
) -> dict[str, Any]:
    n_looked = min(LOOKED, len(score))
    n_wrong = int(wrong.sum())
    found = sum(int(w[np.argsort(-s, kind="stable")][: int(np.ceil(PART * len(s)))].sum()) for s, w in images)
    looked = sum(int(np.ceil(PART * len(s))) for s, _ in images)
    return {
        "wrong": n_wrong,
        "looked": n_looked,
        "by_doubt": int(wrong[np.argsort(-score, kind="stable")][:n_looked].sum()),
        "any_order": n_wrong * n_looked / max(len(score), 1),
        "at_best": min(n_looked, n_wrong),
        "part_looked": looked / max(len(score), 1),
        "part_found": found / max(n_wrong, 1),
        "auc": _auc(score, wrong),
    }


def _auc(score: np.ndarray, wrong: np.ndarray) -> float | None:
    right = np.sort(score[~wrong])
    if not len(right) or not wrong.any():
        return None
    below = np.searchsorted(right, score[wrong], "left") + np.searchsorted(right, score[wrong], "right")
    return float(below.mean() / 2 / len(right))


def review_table(summary: dict[str, Any]) -> str:
    """The figures as a Markdown table, one row per kind and kind of error."""
    lines = [
        "| images | wrong below IoU | cells | wrong | wrong of the first 100: by doubt | in any order | at best "
        f"| errors in the first {PART:.0%} of each image | AUC |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, figures in summary.items():
        for iou in ERROR_IOUS:
            f = figures[f"iou_{iou:.1f}"]
            auc = "" if f["auc"] is None else f"{f['auc']:.2f}"
            lines.append(
                f"| {kind} ({figures['images']}) | {iou:.1f} | {figures['cells']} | {f['wrong']} | {f['by_doubt']} "
                f"| {f['any_order']:.1f} | {f['at_best']} | {f['part_found']:.0%} | {auc} |"
            )
    lines.append("")
    lines += ["| images | true cells missed | places offered | of these right |", "|---|---|---|---|"]
    for kind, figures in summary.items():
        m = figures["missed"]
        lines.append(f"| {kind} | {m['true_cells_missed']} | {m['places_offered']} | {m['places_right']} |")
    return "\n".join(lines)
