"""The commands ``train`` and ``evaluate``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..imaging.errors import CellsegError
from .common import add_recipe_options, bar_of, drain_with_bar, recipe_of

if TYPE_CHECKING:
    from ..batch.evaluate import Evaluation
    from ..training.datasets import Sample


def _add_dataset_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "dataset",
        metavar="DATASET",
        help="zip or folder of images with masks (Kaggle 2018 layout, or images/ and labels/)",
    )
    sub.add_argument("--groups", metavar="CSV", help="image_id,kind,group; default: groups.csv in or beside DATASET")
    sub.add_argument(
        "--kind", action="append", default=[], metavar="KIND", help="only images of this kind (repeatable)"
    )
    sub.add_argument("--out", required=True, metavar="DIR", help="folder for the results")


def _read(args: argparse.Namespace) -> list[Sample]:
    """Read the dataset that was asked for, or its images of some kinds."""
    from ..training.datasets import iter_dataset

    samples: list[Sample] = drain_with_bar("reading", iter_dataset(args.dataset, args.groups))
    kinds = sorted({s.kind for s in samples} - {""})
    for kind in args.kind:
        if kind not in kinds:
            raise CellsegError(
                f"{args.dataset} has no image of kind {kind!r}. Its kinds are: {', '.join(kinds) or 'none'}."
            )
    return [s for s in samples if not args.kind or s.kind in args.kind]


def add_train(commands: Any) -> None:
    from ..batch.recipe import DEVICES

    sub = commands.add_parser("train", help="train a model version on images with masks")
    _add_dataset_options(sub)
    sub.add_argument("--parent", metavar="MODEL", help="start from this model's weights")
    sub.add_argument("--steps", type=int, default=3000, help="optimiser steps at most (default 3000)")
    sub.add_argument("--minutes", type=float, help="time budget; the schedule ends with whichever comes first")
    sub.add_argument("--batch-size", type=int, default=8, help="crops per step (default 8)")
    sub.add_argument("--crop", type=int, default=256, help="side of the crops in pixels (default 256)")
    sub.add_argument("--learning-rate", type=float, default=1.5e-3, help="peak learning rate (default 0.0015)")
    sub.add_argument("--base-channels", type=int, default=32, help="width of the first level (default 32)")
    sub.add_argument("--levels", type=int, default=4, help="number of poolings (default 4)")
    sub.add_argument("--dropout", type=float, default=0.0, help="0 to below 1, at the two deepest levels (default 0)")
    sub.add_argument("--validation", type=float, default=0.1, help="part of the images held out (default 0.1)")
    sub.add_argument("--kind-weight", action="append", default=[], metavar="KIND=W", help="how often a kind is drawn")
    sub.add_argument("--seed", type=int, default=0, help="of the split and of every random choice (default 0)")
    sub.add_argument("--device", choices=DEVICES, default="auto", help="where the network is trained (default auto)")
    sub.set_defaults(run=run_train)


def run_train(args: argparse.Namespace) -> int:
    """``napari-cellseg train``: train, calibrate and evaluate on the images held out."""
    from ..network.config import UNetConfig
    from ..network.versions import load_model
    from ..training.datasets import split_by_group
    from ..training.trainer import TrainParams, iter_train

    params = TrainParams(
        steps=args.steps,
        minutes=args.minutes,
        batch_size=args.batch_size,
        crop=args.crop,
        learning_rate=args.learning_rate,
        kind_weights=_kind_weights(args.kind_weight),
        seed=args.seed,
        device=args.device,
        network=UNetConfig(base_channels=args.base_channels, levels=args.levels, dropout=args.dropout),
    )
    parent = load_model(args.parent) if args.parent else None
    samples = _read(args)
    training, validation = split_by_group(samples, args.validation, args.seed)
    print(f"{len(training)} images to train on, {len(validation)} held out", flush=True)
    with bar_of(1000, "per mille") as bar:
        steps = iter_train(training, validation, args.out, params, parent, args.command)
        for progress in steps:
            bar.update(round(1000 * progress.done) - bar.n)
            if progress.validation_loss == progress.validation_loss:
                bar.write(
                    f"step {progress.step}: loss {progress.loss:.4f}, validation loss {progress.validation_loss:.4f}, "
                    f"{progress.seconds_left / 60:.0f} min left"
                )
    if validation:
        _finish(validation, Path(args.out), args)
    print(f"model version in {args.out}")
    return 0


def _kind_weights(items: Sequence[str]) -> dict[str, float]:
    weights = {}
    for item in items:
        kind, equals, value = item.partition("=")
        try:
            weights[kind] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise CellsegError(f"--kind-weight {item} is not of the form KIND=NUMBER, such as histology=0.2.")
    return weights


def _finish(validation: Sequence[Sample], out: Path, args: argparse.Namespace) -> None:
    """Calibrate the new version's thresholds on the held-out images and record how it does there."""
    from ..batch.evaluate import calibrate, iter_predict_samples, score
    from ..batch.recipe import Recipe
    from ..imaging.writing import write_json
    from ..network.versions import METRICS_FILE, read_version, set_defaults

    recipe = Recipe(model=str(out), device=args.device)
    predicted = drain_with_bar("predicting", iter_predict_samples(validation, recipe))
    threshold, min_size = calibrate(validation, predicted)
    set_defaults(read_version(out), threshold, min_size)
    evaluation = score(validation, predicted, threshold, min_size)
    write_json(out / METRICS_FILE, evaluation.to_dict())
    _print_evaluation(evaluation)


def add_evaluate(commands: Any) -> None:
    sub = commands.add_parser("evaluate", help="score a model on images with known cells")
    _add_dataset_options(sub)
    add_recipe_options(sub, image=False)
    sub.add_argument(
        "--only", choices=("all", "validation"), default="all",
        help="validation: only the images that the model's training record says were held out",
    )  # fmt: skip
    sub.add_argument(
        "--doubt", action="store_true",
        help="also: how many errors turn up when cells are looked at in the order of their doubt (review.json)",
    )  # fmt: skip
    sub.set_defaults(run=run_evaluate)


def run_evaluate(args: argparse.Namespace) -> int:
    """``napari-cellseg evaluate``: write metrics.json, and review.json where asked for."""
    from ..batch.evaluate import iter_predict_samples, score
    from ..imaging.writing import write_json
    from ..network.versions import METRICS_FILE, load_model

    recipe = recipe_of(args)
    samples = _read(args)
    if args.only == "validation":
        held_out = set(load_model(recipe.model).training.get("validation_images", ()))
        samples = [s for s in samples if s.name in held_out]
        if not samples:
            raise CellsegError(
                f"No image of {args.dataset} is among those held out when {recipe.model} was trained. Use --only all."
            )
    predicted = drain_with_bar("predicting", iter_predict_samples(samples, recipe))
    evaluation = score(samples, predicted)
    out = Path(args.out)
    write_json(out / METRICS_FILE, evaluation.to_dict())
    _print_evaluation(evaluation)
    print(f"metrics in {out / METRICS_FILE}")
    if args.doubt:
        from ..batch.review import REVIEW_FILE, review, review_table, summarize_review

        summary = summarize_review(review(samples, predicted))
        write_json(out / REVIEW_FILE, summary)
        print(f"\n{review_table(summary)}\n\nerrors by order of looking in {out / REVIEW_FILE}")
    return 0


def _print_evaluation(evaluation: Evaluation) -> None:
    print(f"threshold {evaluation.threshold:g}, min_size {evaluation.min_size} px; AP as mean over images")
    print(
        f"{'kind':14}{'images':>7}{'cells':>7}{'AP50':>7}{'AP75':>7}{'.5-.9':>7}{'.5-.95':>7}{'F1@.5':>7}{'Dice':>7}{'MAE':>7}{'MAPE':>7}{'bias':>7}"
    )
    metrics = evaluation.to_dict()
    for kind in ("all", *sorted(k for k, v in metrics.items() if k != "all" and isinstance(v, dict))):
        m = metrics[kind]
        figures = (
            m["ap_mean"]["0.50"],
            m["ap_mean"]["0.75"],
            m["ap_mean_50_90"],
            m["ap_mean_all"],
            m["f1_mean"],
            m["dice"],
        )
        print(
            f"{kind:14}{m['n_images']:7}{m['n_true']:7}"
            + "".join(f"{value:7.3f}" for value in figures)
            + f"{m['count_mae']:7.2f}{m['count_mape'] or 0:7.1%}{m['count_bias'] or 0:7.1%}"
        )
