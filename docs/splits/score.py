"""Score models on images that they never learned from: ``python docs/splits/score.py DATA MODEL [MODEL ...]``.

DATA is the folder that ``join.py`` wrote. MODEL is the name of a model, the folder of a version, or the
``checkpoint.pt`` of a training that is running: then its present average of the weights is scored. Every model is
compared with the first, kind by kind.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from napari_cellseg.evaluation.evaluate import iter_predict_samples, score
from napari_cellseg.imaging.progress import drain
from napari_cellseg.network.version_files import write_config
from napari_cellseg.network.versions import load_model, read_version
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.training.data.datasets import read_dataset
from napari_cellseg.training.data.sample import Sample
from napari_cellseg.training.fit.record import save_version

HELD_OUT = Path(__file__).with_name("held_out.csv")
FIGURES = {
    "AP50": lambda m: m["ap_mean"]["0.50"],
    "AP75": lambda m: m["ap_mean"]["0.75"],
    ".5-.9": lambda m: m["ap_mean_50_90"],
    ".5-.95": lambda m: m["ap_mean_all"],
    "MAPE": lambda m: m["count_mape"],
    "bias": lambda m: m["count_bias"],
}
# A model that is worse than this on one kind is not landed, however good it is on average.
TOLERANCE = 0.01


@contextmanager
def version(model: str, smooth: float | None) -> Generator[str, None, None]:
    """Give the folder or name of a model; a checkpoint, or other smoothing, is put into a temporary version."""
    source = load_model(model if Path(model).suffix != ".pt" else str(Path(model).parent))
    if Path(model).suffix != ".pt" and smooth is None:
        yield model
        return
    config = source.config if smooth is None else replace(source.config, smooth=smooth)
    settings = {name: getattr(source, name) for name in ("normalizer", "split", "threshold", "min_size", "diameter")}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, Path(model).parent.name or "model")
        out.mkdir()
        if Path(model).suffix == ".pt":
            state = torch.load(model, map_location="cpu", weights_only=True)
            save_version(out, state["learner"]["average"], config=config, parent=source.parent, **settings)
        else:
            (out / source.weights.name).write_bytes(source.weights.read_bytes())
            write_config(out, config=config, parent=source.parent, **settings)
        yield str(read_version(out).path)


def figures(samples: list[Sample], model: str, accurate: bool) -> dict[str, dict[str, float]]:
    """Return the figures of a model by kind, at its default sliders."""
    predicted = drain(iter_predict_samples(samples, Recipe(model=model, accurate=accurate)))
    evaluation = score(samples, predicted)
    metrics: dict[str, Any] = evaluation.to_dict()
    return {kind: {name: of(metrics[kind]) for name, of in FIGURES.items()} for kind in evaluation.groups}


def main() -> None:
    """Score the models named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument(
        "--part", choices=("third", "validation"), default="third", help="choices are made on validation"
    )
    parser.add_argument("--smooth", type=float, help="smooth the probability of all models but the first by this")
    parser.add_argument("--accurate", action="store_true", help="score the accurate way")
    args = parser.parse_args()
    with open(HELD_OUT, newline="", encoding="utf-8") as file:
        wanted = {row["image_id"] for row in csv.DictReader(file) if row["part"] == args.part}
    samples = [sample for sample in read_dataset(args.data) if sample.name in wanted]
    first: dict[str, dict[str, float]] = {}
    for model in args.models:
        with version(model, args.smooth if first else None) as name:
            found = figures(samples, name, args.accurate)
        first = first or found
        print(f"\n{model}\n{'':14}" + "".join(f"{name:>16}" for name in FIGURES))
        for kind, values in found.items():
            cells = [f"{value:.3f} ({value - first[kind][name]:+.3f})" for name, value in values.items()]
            print(f"{kind:14}" + "".join(f"{cell:>16}" for cell in cells), flush=True)
        worse = [kind for kind in found if found[kind]["AP50"] < first[kind]["AP50"] - TOLERANCE]
        if worse:
            print(f"AP50 is lower by more than {TOLERANCE} on: {', '.join(worse)}")


if __name__ == "__main__":
    main()
