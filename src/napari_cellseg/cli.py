"""The command line: the same functions as the window, without one."""

from __future__ import annotations

import argparse
import io
import logging
import os
import shlex
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from . import __version__
from .imaging.errors import CellsegError
from .imaging.progress import Progress

if TYPE_CHECKING:
    from .batch.evaluate import Evaluation
    from .training.datasets import Sample

Result = TypeVar("Result")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status (0 done, 1 something failed, 2 wrong usage)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file name that this terminal cannot show must not stop the run.
            stream.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(words)
    args.command = shlex.join(["napari-cellseg", *words])
    # It reports every oddity of a damaged file by itself; the error that follows says it once, in our words.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        status: int = args.run(args)
    except CellsegError as error:
        print(f"napari-cellseg: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read our output has seen enough; the exit must not try to write the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("napari-cellseg: stopped; what was finished is kept.", file=sys.stderr)
        return 130
    return status


def build_parser() -> argparse.ArgumentParser:
    """Describe all commands and options."""
    parser = argparse.ArgumentParser(prog="napari-cellseg", description="Segment and count cells in images.")
    parser.add_argument("--version", action="version", version=f"napari-cellseg {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_segment(commands)
    _add_demo(commands)
    _add_models(commands)
    _add_train(commands)
    _add_evaluate(commands)
    return parser


def _add_segment(commands: Any) -> None:
    sub = commands.add_parser("segment", help="segment images or folders of images")
    sub.add_argument("input", nargs="+", metavar="INPUT", help="image file or folder")
    sub.add_argument("--out", required=True, metavar="DIR", help="folder for labels, counts.csv and recipe.json")
    sub.add_argument("--recipe", metavar="FILE", help="recipe.json of an earlier run; the options below override it")
    _add_recipe_options(sub)
    sub.add_argument("--pattern", metavar="GLOB", help="only files of a folder that match, such as '*.tif'")
    sub.add_argument("--no-subfolders", action="store_true", help="do not look in the folders of a folder")
    sub.add_argument(
        "--overwrite", action="store_true", help="also replace label files that a person made"
    )
    sub.add_argument("--cells", action="store_true", help="also write cells.csv, one row per cell")
    sub.set_defaults(run=run_segment)


def _add_recipe_options(sub: argparse.ArgumentParser, image: bool = True) -> None:
    from .batch.recipe import DEVICES, Recipe

    helps = {name: f.metadata["help"] for name, f in Recipe.__dataclass_fields__.items()}
    sub.add_argument("--model", metavar="NAME_OR_DIR", help=f"{helps['model']}; default: cells")
    sub.add_argument("--threshold", type=float, metavar="T", help=f"{helps['threshold']}; default: the model's")
    sub.add_argument("--min-size", type=int, metavar="N", help=f"{helps['min_size']}; default: the model's")
    if image:
        sub.add_argument("--channel", type=int, metavar="N", help=helps["channel"])
        sub.add_argument("--axes", metavar="AXES", help=helps["axes"])
    sub.add_argument("--device", choices=DEVICES, help=f"{helps['device']}; default: auto")


def _recipe(args: argparse.Namespace) -> Any:
    from .batch.recipe import Recipe

    base = Recipe.read(args.recipe).to_dict() if getattr(args, "recipe", None) else {}
    given = {name: getattr(args, name, None) for name in Recipe.__dataclass_fields__}
    return Recipe.from_dict({**base, **{name: value for name, value in given.items() if value is not None}})


def run_segment(args: argparse.Namespace) -> int:
    """``napari-cellseg segment``: 1 if any image failed, after doing the others."""
    from .batch.counts import FileResult
    from .batch.folder import iter_segment_files
    from .imaging.reading import find_images

    files = find_images(args.input, pattern=args.pattern, recursive=not args.no_subfolders)
    recipe = _recipe(args)
    n_failed = n_cells = 0
    with _bar(len(files), "image") as bar:
        for step in iter_segment_files(files, Path(args.out), recipe, args.cells, args.overwrite):
            if isinstance(step, FileResult):
                bar.update()
                for note in step.notes:
                    bar.write(f"{step.image}: {note}", file=sys.stderr)
                n_cells += step.count or 0
                if step.error:
                    n_failed += 1
                    bar.write(f"{step.image}: {step.error}", file=sys.stderr)
                else:
                    bar.write(f"{step.image}: {step.count} cells")
            else:
                bar.set_postfix_str(f"{step.message} {step.fraction:.0%}" if step.total else step.message)
    print(f"{len(files) - n_failed} of {len(files)} images, {n_cells} cells; results in {args.out}")
    return 1 if n_failed else 0


def _bar(total: int, unit: str) -> Any:
    from tqdm import tqdm

    # disable=None shows the bar on a terminal only.
    return tqdm(total=total, unit=unit, disable=None, file=sys.stderr)


def _add_demo(commands: Any) -> None:
    sub = commands.add_parser("demo", help="open napari on a sample image, segmented by the bundled model")
    sub.add_argument("--out", default="cellseg-demo", metavar="DIR", help="folder for results where there is no screen")
    sub.add_argument("--no-window", action="store_true", help="save a screenshot and results even if there is a screen")
    sub.set_defaults(run=run_demo)


def run_demo(args: argparse.Namespace) -> int:
    """``napari-cellseg demo``: a window where there is a screen, else files from a virtual one."""
    from .gui.display import has_screen, virtual_display

    out = Path(args.out)
    if has_screen():
        return _open_demo(out, show=not args.no_window)
    with virtual_display():
        return _open_demo(out, show=False)


def _open_demo(out: Path, show: bool) -> int:
    try:
        from .gui.demo import run_demo as open_window
    except ModuleNotFoundError as error:
        raise CellsegError(
            f'The demo opens a window, and {error.name} is not installed. Run: pip install "napari-cellseg[all]"'
        ) from error
    demo = open_window(out, show=show)
    if demo is None:
        return 0
    print(f"screenshot  {demo.screenshot}\nlabels      {demo.labels}\ncounts      {demo.counts}\n{demo.count} cells")
    return 0


def _add_models(commands: Any) -> None:
    sub = commands.add_parser("models", help="list, show or import models")
    sub.add_argument("name", nargs="?", help="show this model in full")
    sub.add_argument("--import", dest="source", metavar="PATH", help="import a model folder or a zip of one")
    sub.set_defaults(run=run_models)


def run_models(args: argparse.Namespace) -> int:
    """``napari-cellseg models``."""
    import json

    from .network.importing import import_model
    from .network.versions import list_models, load_model

    if args.source:
        model = import_model(args.source, args.name)
        print(f"imported {model.name} into {model.path}")
        return 0
    if args.name:
        model = load_model(args.name)
        settings = {
            "network": model.config.to_dict(),
            "threshold": model.threshold,
            "min_size": model.min_size,
        }
        details = {**settings, "training": dict(model.training), "metrics": dict(model.metrics)}
        print(f"{model.name}: {model.path}\n{json.dumps(details, indent=1)}")
        return 0
    for model in list_models():
        origin = "bundled" if model.bundled else f"from {model.parent}" if model.parent else "own"
        try:
            figure = f"AP50 {model.metrics['all']['ap_mean']['0.50']:.3f} on validation images"
        except (KeyError, TypeError, ValueError):
            figure = "not evaluated"
        print(f"{model.name}\t{origin}\tthreshold {model.threshold:g}, min_size {model.min_size} px\t{figure}")
    return 0


def _add_dataset_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "dataset",
        metavar="DATASET",
        help="zip or folder of images with masks (Kaggle 2018 layout, or images/ and labels/)",
    )
    sub.add_argument(
        "--groups", metavar="CSV", help="image_id,kind,group; default: groups.csv in or beside DATASET"
    )
    sub.add_argument("--out", required=True, metavar="DIR", help="folder for the results")


def _add_train(commands: Any) -> None:
    from .batch.recipe import DEVICES

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
    from .network.config import UNetConfig
    from .network.versions import load_model
    from .training.datasets import iter_dataset, split_by_group
    from .training.trainer import TrainParams, iter_train

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
    samples = _show("reading", iter_dataset(args.dataset, args.groups))
    training, validation = split_by_group(samples, args.validation, args.seed)
    print(f"{len(training)} images to train on, {len(validation)} held out", flush=True)
    with _bar(1000, "per mille") as bar:
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
    from .batch.evaluate import calibrate, iter_predict_samples, score
    from .batch.recipe import Recipe
    from .imaging.writing import write_json
    from .network.versions import METRICS_FILE, read_version, set_defaults

    predicted = _show("predicting", iter_predict_samples(validation, Recipe(model=str(out), device=args.device)))
    threshold, min_size = calibrate(validation, predicted)
    set_defaults(read_version(out), threshold, min_size)
    evaluation = score(validation, predicted, threshold, min_size)
    write_json(out / METRICS_FILE, evaluation.to_dict())
    _print_evaluation(evaluation)


def _add_evaluate(commands: Any) -> None:
    sub = commands.add_parser("evaluate", help="score a model on images with known cells")
    _add_dataset_options(sub)
    _add_recipe_options(sub, image=False)
    sub.add_argument(
        "--only", choices=("all", "validation"), default="all",
        help="validation: only the images that the model's training record says were held out",
    )  # fmt: skip
    sub.set_defaults(run=run_evaluate)


def run_evaluate(args: argparse.Namespace) -> int:
    """``napari-cellseg evaluate``: write metrics.json."""
    from .batch.evaluate import iter_predict_samples, score
    from .imaging.writing import write_json
    from .network.versions import METRICS_FILE, load_model
    from .training.datasets import iter_dataset

    recipe = _recipe(args)
    samples = _show("reading", iter_dataset(args.dataset, args.groups))
    if args.only == "validation":
        held_out = set(load_model(recipe.model).training.get("validation_images", ()))
        samples = [s for s in samples if s.name in held_out]
        if not samples:
            raise CellsegError(
                f"No image of {args.dataset} is among those held out when {recipe.model} was trained. Use --only all."
            )
    evaluation = score(samples, _show("predicting", iter_predict_samples(samples, recipe)))
    out = Path(args.out)
    write_json(out / METRICS_FILE, evaluation.to_dict())
    _print_evaluation(evaluation)
    print(f"metrics in {out / METRICS_FILE}")
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


def _show(verb: str, steps: Generator[Progress, None, Result]) -> Result:
    """Drain a generator with a progress bar on the terminal."""
    with _bar(0, "image") as bar:
        bar.set_description(verb)
        while True:
            try:
                progress = next(steps)
            except StopIteration as stop:
                result: Result = stop.value
                return result
            bar.total = progress.total
            bar.update(progress.done - bar.n)


if __name__ == "__main__":
    sys.exit(main())
