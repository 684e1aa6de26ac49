"""The report of an evaluation: figures, curves and the worst images with their pictures, in one HTML file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as PillowImage

from ..evaluation.doubt_order import ERROR_IOUS, best_overlap
from ..evaluation.evaluate import Evaluation, ImageScore, pixels_of
from ..imaging.normalize import normalize
from ..instances.metrics import FIGURES_IN_WORDS, IOU_THRESHOLDS
from ..instances.pixels import CLASSES, thinned
from ..segmentation.segmented import Segmented
from ..training.data.datasets import Sample
from .diagrams import heat_map_svg, points_svg
from .html import Html, facts, figure, paragraph, section, table, tag, write_page
from .svg import lines_svg

if TYPE_CHECKING:
    from ..evaluation.calibration_map import CalibrationMap

REPORT_FILE = "report.html"
N_WORST = 24
_SIDE = 512
_WIDE = "grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr))"
_TRUE_FOUND, _TRUE_MISSED = (120, 255, 60), (255, 60, 200)
_RIGHT, _WRONG = (0, 200, 255), (255, 150, 0)


def write_report(
    out: Path,
    evaluation: Evaluation,
    samples: Sequence[Sample],
    predicted: Sequence[Segmented],
    n_worst: int = N_WORST,
    calibration: CalibrationMap | None = None,
    overwrite: bool = False,
) -> Path:
    """Write ``report.html``, which needs no other file and no network.

    Parameters
    ----------
    out : Path
        Folder.
    evaluation : Evaluation
    samples, predicted : sequences of equal length
        What was evaluated, for the pictures.
    n_worst : int
        How many images are shown, the worst first.
    calibration : CalibrationMap, optional
        Shown too.
    overwrite : bool
        Also replace a page that this package did not write.

    Raises
    ------
    OutputError
        There is a page of others (unless `overwrite`), or the system refused to write.
    """
    metrics = evaluation.to_dict()
    total = metrics["all"]
    pairs = {sample.name: (sample, segmented) for sample, segmented in zip(samples, predicted, strict=True)}
    worst = evaluation.worst_first()
    how = "connected components, cells that touch are one" if evaluation.counting == "components" else "cells, split"
    return write_page(
        out / REPORT_FILE,
        f"How good is {evaluation.model}?",
        paragraph(
            f"{total['n_images']} images with {total['n_true']:,} true cells; threshold {evaluation.threshold:g}, "
            f"smallest size {evaluation.smallest}; counted: {how}."
        ),
        facts(
            [
                ("AP (cells matched at IoU 0.5), mean over images", f"{total['ap_mean']['0.50']:.3f}"),
                ("F1 (cells matched at IoU 0.5), mean over images", f"{total['f1_mean']:.3f}"),
                ("Dice of the foreground", f"{total['dice']:.3f}"),
                ("mean count error, cells", f"{total['count_mae']:.2f}"),
                ("mean count error", _percent(total["count_mape"])),
            ]
        ),
        section("Cells", *_cells(evaluation, metrics)),
        section("Pixels", *_pixels(evaluation)),
        section("Sliders", *_sliders(calibration)) if calibration else Html(""),
        section("Worst images first", *_worst(worst[:n_worst], pairs, evaluation)),
        section("All images", _all_images(worst, n_worst)),
        overwrite=overwrite,
    )


def _cells(evaluation: Evaluation, metrics: dict[str, Any]) -> list[Html]:
    header = ("images", "n", "cells", "found", "AP .5", "AP .75", "AP .5–.9", "AP .5–.95", "F1 .5", "IoU", "Dice",
              "count error, cells", "count error", "bias")  # fmt: skip
    rows, curves, counts, names = [], {}, {}, {}
    for name, scores in evaluation.groups.items():
        m = metrics[name]
        ap = m["ap_mean"]
        rows.append((
            name, m["n_images"], m["n_true"], m["n_pred"], *(_3(v) for v in (ap["0.50"], ap["0.75"],
            m["ap_mean_50_90"], m["ap_mean_all"], m["f1_mean"], m["iou"], m["dice"])), f"{m['count_mae']:.2f}",
            _percent(m["count_mape"]), _percent(m["count_bias"]),
        ))  # fmt: skip
        curves[name] = (IOU_THRESHOLDS, list(ap.values()))
        if name != "all" or len(evaluation.groups) == 1:
            counts[name] = ([s.match.n_true for s in scores], [s.match.n_pred for s in scores])
            names[name] = [s.name for s in scores]
    return [
        table(header, rows, f"Means over images. {FIGURES_IN_WORDS} IoU and Dice are those of the foreground; "
              "count error is |found − true|."),
        tag("h3", "AP by IoU threshold"),
        lines_svg(curves, "IoU threshold", "AP, mean over images", (0.5, 0.95), (0, 1)),
        tag("h3", "Counts"),
        points_svg(counts, "true cells", "cells found", names, diagonal=True),
    ]  # fmt: skip


def _pixels(evaluation: Evaluation) -> list[Html]:
    groups = {name: pixels_of(scores) for name, scores in evaluation.groups.items()}
    figures = {name: counts.scores() for name, counts in groups.items()}
    columns = ("iou", "dice", "precision", "recall", "f1", "f1_weighted", "accuracy")
    header = ("images", "IoU", "Dice", "precision", "recall", "F1", "F1 weighted", "accuracy", "ROC AUC",
              "probability off by")  # fmt: skip
    rows = [
        (name, *(_3(m[c]) for c in columns), "" if m["auc"] is None else f"{m['auc']:.4f}", _3(m["calibration_error"]))
        for name, m in figures.items()
    ]
    report = groups["all"].classification_report()
    confusion = groups["all"].confusion
    parts = [
        table(header, rows, "All pixels of the images together. F1 weighted: mean of both classes' F1, weighted by "
              "their pixels."),
        tag("h3", "Confusion matrix"),
        table(("", *(f"found: {name}" for name in CLASSES)),
              [(f"true: {name}", *(int(n) for n in row)) for name, row in zip(CLASSES, confusion, strict=True)]),
        tag("h3", "Classification report"),
        table(("class", "precision", "recall", "F1", "pixels"),
              [(name, _3(r["precision"]), _3(r["recall"]), _3(r["f1-score"]), int(r["support"]))
               for name, r in report.items() if isinstance(r, dict)]),
    ]  # fmt: skip
    rocs = {name: thinned(*counts.roc()) for name, counts in groups.items()}
    rocs = {name: curve for name, curve in rocs.items() if len(curve[0])}
    if rocs:
        parts += [
            tag("h3", "ROC curve"),
            lines_svg(rocs, "false positive rate", "true positive rate", (0, 1), (0, 1), diagonal=True),
        ]
    reliable = {name: counts.reliability() for name, counts in groups.items()}
    parts += [
        tag("h3", "Is the probability reliable?"),
        lines_svg({name: (c["probability"], c["share"]) for name, c in reliable.items()}, "predicted probability",
                  "share of cell pixels", (0, 1), (0, 1), diagonal=True),
        paragraph("On the dashed line it does; above it cells are more likely than predicted.", quiet=True),
    ]  # fmt: skip
    return parts


def _sliders(found: CalibrationMap) -> list[Html]:
    return [
        paragraph(
            f"{found.figure}: {found.before[2]:.3f} at threshold {found.before[0]:g} and {found.before[1]} px (cross), "
            f"{found.value:.3f} at {found.threshold:g} and {found.min_size} px (ring). Light is good."
        ),
        heat_map_svg(found),
    ]


def _worst(
    scores: Sequence[ImageScore], pairs: dict[str, tuple[Sample, Segmented]], evaluation: Evaluation
) -> list[Html]:
    shown = []
    for i, s in enumerate(scores):
        sample, segmented = pairs[s.name]
        picture = as_jpeg(outlined(sample, labels_of(segmented, evaluation)))
        caption = f"{s.match.n_pred} found of {s.match.n_true} ({s.count_error:+d}); AP {s.match.ap.mean():.2f}"
        shown.append(
            tag("div", figure(picture, tag("b", s.name), tag("br"), f"{s.kind} {caption}", alt=caption), id=f"i{i}")
        )
    key = " ".join(
        f"{tag('b', text, style=f'color: rgb{color}; background: #444; padding: 0 .4em')}"
        for text, color in (
            ("true cell", _TRUE_FOUND), ("true cell that was missed", _TRUE_MISSED), ("cell found", _RIGHT),
            ("cell found where there is none like it", _WRONG),
        )
    )  # fmt: skip
    return [
        paragraph("By AP (mean over IoU .5 to .95). Outlines: ", Html(key)),
        tag("div", *shown, class_="gallery", style=_WIDE),
    ]


def _all_images(worst: Sequence[ImageScore], n_shown: int) -> Html:
    header = ("image", "kind", "true", "found", "error", "AP .5", "AP .5–.95", "Dice", "IoU", "ROC AUC")
    rows = []
    for i, s in enumerate(worst):
        m = s.to_dict()
        name = tag("a", s.name, href=f"#i{i}") if i < n_shown else s.name
        auc = "" if m["auc"] is None else f"{m['auc']:.4f}"
        rows.append((name, s.kind, s.match.n_true, s.match.n_pred, s.count_error,
                     *(_3(m[k]) for k in ("ap50", "ap", "dice", "iou")), auc))  # fmt: skip
    return table(header, rows)


def labels_of(segmented: Segmented, evaluation: Evaluation) -> np.ndarray:
    """Return the labels that were evaluated."""
    smallest = segmented.min_size if evaluation.fitted else evaluation.min_size
    if evaluation.counting == "components":
        from ..instances.components import component_labels

        return component_labels(segmented.prediction.probability, evaluation.threshold, smallest)
    return segmented.labels(evaluation.threshold, smallest)


def outlined(sample: Sample, labels: np.ndarray, side: int = _SIDE) -> np.ndarray:
    """Draw an image with the outlines of true cells and of those found: uint8 (Y, X, 3), at most `side` pixels.

    A true cell that no found cell fits (IoU .5) has another colour, and so has a found cell that fits none.
    """
    plane = (255 * np.clip(normalize(sample.image), 0, 1)).astype(np.uint8)
    picture = np.repeat(plane[..., None], 3, axis=2) if plane.ndim == 2 else plane
    of_true, of_found = best_overlap(sample.labels, labels)
    scale = side / max(picture.shape[:2])
    shape = tuple(max(1, round(n * scale)) for n in picture.shape[:2])
    resized = PillowImage.fromarray(picture).resize(shape[::-1], PillowImage.Resampling.BILINEAR)
    drawn = np.array(resized)
    rows, columns = (
        np.minimum((np.arange(n) / scale).astype(int), m - 1) for n, m in zip(shape, labels.shape, strict=True)
    )
    for cells, fit, colors in (
        (sample.labels, of_true, (_TRUE_FOUND, _TRUE_MISSED)),
        (labels, of_found, (_RIGHT, _WRONG)),
    ):
        border = _inner_border(cells[np.ix_(rows, columns)])
        ids = np.unique(cells[cells > 0])
        good = np.isin(border, ids[fit >= ERROR_IOUS[0]])
        drawn[good] = colors[0]
        drawn[(border > 0) & ~good] = colors[1]
    return drawn


def _inner_border(labels: np.ndarray) -> np.ndarray:
    """Keep the labels of pixels next to another label, or at the edge; the others become 0."""
    padded = np.pad(labels, 1)
    inner = np.ones(labels.shape, bool)
    for dy, dx in ((0, 1), (1, 0), (1, 2), (2, 1)):
        inner &= padded[dy : dy + labels.shape[0], dx : dx + labels.shape[1]] == labels
    return np.where(inner, 0, labels)


def as_jpeg(picture: np.ndarray) -> bytes:
    """Return the picture as the bytes of a JPEG file."""
    buffer = io.BytesIO()
    PillowImage.fromarray(picture).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _3(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
