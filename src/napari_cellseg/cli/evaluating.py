"""The commands ``evaluate`` and ``calibrate``."""

from __future__ import annotations

import argparse
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..imaging.errors import CellsegError
from ..imaging.progress import Progress, drain
from .common import add_overwrite_option, add_recipe_options, check_places, drain_with_bar, recipe_of
from .dataset_options import add_dataset_options, dataset_values, load, read_samples
from .reporting import BarReport, Report, StopRequest, add_report_options, run_reported

if TYPE_CHECKING:
    from ..evaluation.evaluate import Evaluation
    from ..network.versions import ModelVersion
    from ..segmentation.recipe import Recipe
    from ..segmentation.segmented import Segmented
    from ..training.data.datasets import Sample

Result = TypeVar("Result")


def _add_counting(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--counting", choices=("cells", "components"), default="cells",
        help="what is counted: cells, split where they touch (default), or connected components without splitting",
    )  # fmt: skip


def _add_squares(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--crops", type=int, metavar="N", help="cut every image into squares of N pixels, each an image of its own"
    )


def add_evaluate(commands: Any) -> None:
    sub = commands.add_parser("evaluate", help="score a model on images with known cells")
    add_dataset_options(sub)
    add_recipe_options(sub, image=False)
    sub.add_argument(
        "--only", choices=("all", "validation"), default="all",
        help="validation: only the images that the model's training record names as held out",
    )  # fmt: skip
    _add_counting(sub)
    _add_squares(sub)
    sub.add_argument("--worst", type=int, default=24, metavar="N", help="pictures in the report (default 24)")
    sub.add_argument(
        "--doubt", action="store_true",
        help="also: how many errors turn up when cells are looked at in the order of their doubt (review.json)",
    )  # fmt: skip
    add_overwrite_option(sub)
    sub.set_defaults(run=run_evaluate)


def run_evaluate(args: argparse.Namespace) -> int:
    """``napari-cellseg evaluate``: write metrics.json, curves.json, report.html, and review.json where asked for."""
    from ..evaluation.calibration_map import read_calibration
    from ..evaluation.doubt_order import REVIEW_FILE, review, review_table, summarize_review
    from ..evaluation.evaluate import CURVES_FILE, iter_predict_samples, score
    from ..imaging.write.write import write_json
    from ..network.versions import METRICS_FILE
    from ..reports.metrics_report import REPORT_FILE, write_report

    out = Path(args.out)
    names = (METRICS_FILE, CURVES_FILE, REPORT_FILE, *([REVIEW_FILE] if args.doubt else []))
    check_places(args, *(out / name for name in names))
    recipe, options = recipe_of(args)
    model = recipe.load_model()
    samples = _chosen(read_samples(args), args, args.only == "validation", recipe, model)
    predicted: list[Segmented] = drain_with_bar("predicting", iter_predict_samples(samples, recipe, options.device))
    evaluation = score(samples, predicted, counting=args.counting)
    write_json(out / METRICS_FILE, evaluation.to_dict())
    write_json(out / CURVES_FILE, evaluation.curves())
    print_evaluation(evaluation)
    calibration = read_calibration(model.path)
    report = write_report(out, evaluation, samples, predicted, args.worst, calibration, args.overwrite)
    print(f"metrics in {out / METRICS_FILE}, report in {report}")
    if args.doubt:
        summary = summarize_review(review(samples, predicted))
        write_json(out / REVIEW_FILE, summary)
        print(f"\n{review_table(summary)}\n\nerrors by order of looking in {out / REVIEW_FILE}")
    return 0


def _chosen(
    samples: list[Sample], args: argparse.Namespace, held_out_only: bool, recipe: Recipe, model: ModelVersion
) -> list[Sample]:
    """Return the images that were held out, or all, in squares where that was asked for."""
    from ..evaluation.evaluate import in_squares
    from ..evaluation.held_out import held_out_names

    if held_out_only:
        held_out = held_out_names(model)
        samples = [s for s in samples if s.name in held_out]
        if not samples:
            raise CellsegError(
                f"No image of {args.dataset} is among those held out when {recipe.model} was trained. Use --only all."
            )
    return samples if args.crops is None else in_squares(samples, args.crops)


def add_calibrate(commands: Any) -> None:
    sub = commands.add_parser("calibrate", help="find the threshold and smallest size that suit a model best")
    add_dataset_options(sub)
    add_recipe_options(sub, image=False)
    sub.add_argument(
        "--goal", choices=("count", "ap"), default="count",
        help="the lowest mean error of the count (default), or the highest AP (mean over IoU .5 to .9)",
    )  # fmt: skip
    sub.add_argument(
        "--only", choices=("all", "validation"),
        help="validation: only images that were held out in training (default where DATASET holds any)",
    )  # fmt: skip
    _add_counting(sub)
    _add_squares(sub)
    sub.add_argument("--set-defaults", action="store_true", help="store what was chosen as the model's defaults")
    add_overwrite_option(sub)
    add_report_options(sub, "stop")
    sub.set_defaults(run=run_calibrate)


def run_calibrate(args: argparse.Namespace) -> int:
    """``napari-cellseg calibrate``: write calibration.json and report.html; with --set-defaults also into the model."""
    return run_reported(args, CalibrationText, _calibrate)


def _calibrate(args: argparse.Namespace, report: Report, stop_request: StopRequest) -> int:
    from ..evaluation.calibration_map import CALIBRATION_FILE, store_calibration
    from ..evaluation.held_out import held_out_names, learned_from
    from ..evaluation.measured import iter_calibrated
    from ..reports.metrics_report import REPORT_FILE, write_report

    out = Path(args.out)
    check_places(args, out / CALIBRATION_FILE, out / REPORT_FILE)
    recipe, options = recipe_of(args)
    model = recipe.load_model()
    if args.set_defaults:
        _check_settable(args, model)
    loaded = load(dataset_values(args))
    if loaded.report.odd or loaded.report.notes:
        report.send({"event": "note", "text": "\n".join(loaded.report.lines())})
    samples = list(loaded.samples)
    held_out, learned = held_out_names(model), learned_from(model)
    only_held_out = args.only == "validation" or (args.only is None and any(s.name in held_out for s in samples))
    flatters = not only_held_out and any(s.name in learned for s in samples)
    if flatters:
        text = "Some of these images were learned from: the figures flatter. --only validation skips them."
        report.send({"event": "note", "text": text, "learned_from": True})
    samples = _chosen(samples, args, only_held_out, recipe, model)
    found, measured = _drain(
        iter_calibrated(samples, recipe, args.goal, args.counting, options.device), report, stop_request
    )
    path = found.write(out)
    page = write_report(
        out, measured.evaluation, samples, measured.predicted, calibration=found, overwrite=args.overwrite
    )
    lines = [
        *evaluation_lines(measured.evaluation),
        f"{found.figure} on {len(samples)} images, {found.n_cells} cells",
        f"  before  threshold {found.before[0]:g}, {found.before[1]} px: {found.before[2]:.3f}",
        f"  chosen  threshold {found.threshold:g}, {found.min_size} px: {found.value:.3f}",
    ]
    if args.set_defaults:
        store_calibration(found, model)
        lines.append(f"these are now the defaults of {model.name}; labels that it made before stay as they are")
    lines.append(f"heat map in {page}")
    done = {"event": "done", "file": str(path), "report": str(page), "lines": lines}
    report.send({**done, "held_out": only_held_out, "learned_from": flatters})
    return 0


def _drain(steps: Generator[Progress, None, Result], report: Report, stop_request: StopRequest) -> Result:
    """Drain a generator; report how far it is, and stop when that is asked for."""

    def on_event(progress: Progress) -> None:
        report.send({"event": "progress", "done": progress.done, "total": progress.total, "message": progress.message})
        if stop_request.given() or report.unread:
            steps.close()
            raise CellsegError("Calibration was stopped. Nothing was changed.")

    return drain(steps, on_event)


class CalibrationText(BarReport):
    """A calibration in text."""

    def send(self, event: dict[str, Any]) -> None:
        """Report one event."""
        if event["event"] == "progress":
            self.advance(event["done"], event["total"], "image", event["message"])
        else:
            self.close()
            self.write(*(event["lines"] if event["event"] == "done" else [event["text"]]))


def _check_settable(args: argparse.Namespace, model: ModelVersion) -> None:
    if model.bundled:
        raise CellsegError(
            f"{model.name} came with the package and cannot be changed. Make a copy of your own, "
            f"napari-cellseg models NEW_NAME --import {model.path}, and calibrate that with --model NEW_NAME."
        )
    if args.counting != "cells":
        raise CellsegError(
            "A model's defaults are those of cells that are split; what suits components does not suit them. "
            "Omit --counting or --set-defaults."
        )


def print_evaluation(evaluation: Evaluation) -> None:
    """Print a line of figures for all images and for each kind."""
    print("\n".join(evaluation_lines(evaluation)))


def evaluation_lines(evaluation: Evaluation) -> list[str]:
    """Return a line of figures for all images and for each kind, under a heading."""
    from ..instances.metrics import FIGURES_IN_WORDS

    counted = ", counted without splitting" if evaluation.counting == "components" else ""
    lines = [
        f"threshold {evaluation.threshold:g}, min_size {evaluation.smallest}{counted}; means over images, "
        "pixel figures over all pixels",
        FIGURES_IN_WORDS,
        "kind           images  cells   AP50   AP75  .5-.9 .5-.95  F1@.5    IoU   Dice    MAE   MAPE   bias"
        "   pxF1    wF1    AUC",
    ]
    metrics = evaluation.to_dict()
    for kind in evaluation.groups:
        m = metrics[kind]
        at_one = (m["ap_mean"][overlap] for overlap in ("0.50", "0.75"))
        figures = (*at_one, *(m[name] for name in ("ap_mean_50_90", "ap_mean_all", "f1_mean", "iou", "dice")))
        pixels = m["pixels"]
        auc = "" if pixels["auc"] is None else f"{pixels['auc']:.4f}"
        lines.append(
            f"{kind:14}{m['n_images']:7}{m['n_true']:7}"
            + "".join(f"{value:7.3f}" for value in figures)
            + f"{m['count_mae']:7.2f}{_share(m['count_mape'])}{_share(m['count_bias'])}"
            + f"{pixels['f1']:7.3f}{pixels['f1_weighted']:7.3f}{auc:>7}"
        )
    return lines


def _share(value: float | None) -> str:
    """Return a share of the true cells; images without any have none."""
    return f"{'–':>7}" if value is None else f"{value:7.1%}"
