"""Learn a kind of images that the bundled model has never seen from one outlined cell per image, with the defaults.

``python -m tests.benchmarks.finetune_phase --data phase_partial --out DIR``

Of 117 crops of phase contrast the last 57 of a fixed order are tested on, k of the others are learned from. A test
cell counts as matched where a cell that is found, at the default sliders and with its size estimated, overlaps its
outline by at least half (three quarters). Neighbours are not outlined, so precision is unknown.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellseg.evaluation.evaluate import predict_sample
from napari_cellseg.evaluation.make_version import iter_finetune_version
from napari_cellseg.imaging.progress import drain
from napari_cellseg.instances.measure import typical_diameter
from napari_cellseg.network.versions import ModelVersion, load_model
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.training.data.datasets import read_dataset
from napari_cellseg.training.data.sample import Sample
from napari_cellseg.training.finetune_params import FineTuneParams

from .finetuning import cell, figures_on, fresh_folder, say

FIRST_OF_TEST = 60


def matched(model: ModelVersion, samples: Sequence[Sample], size_given: bool = False) -> dict[str, float]:
    """Share of the outlined cells that are found at IoU .5 and .75, and the median of their IoU."""
    overlaps = []
    for sample in samples:
        size = typical_diameter(sample.labels) if size_given else None
        found = predict_sample(sample, Recipe(model=str(model.path), diameter=size)).labels()
        true = sample.labels > 0
        ids = np.unique(found[true])
        ious = [np.count_nonzero((found == i) & true) / np.count_nonzero((found == i) | true) for i in ids[ids > 0]]
        overlaps.append(max(ious, default=0.0))
    values = np.array(overlaps)
    return {
        "iou50": float((values >= 0.5).mean()),
        "iou75": float((values >= 0.75).mean()),
        "median": float(np.median(values)),
    }


def main() -> None:
    """Fill the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="DIR", help="phase_partial.zip, unpacked")
    parser.add_argument("--others", metavar="ZIP", help="stage1_train.zip, to see what it costs on fluorescence")
    parser.add_argument("--out", required=True, metavar="DIR", help="results; finished cells of the table are kept")
    parser.add_argument("--ks", nargs="+", type=int, default=[5, 20, 60], metavar="K")
    parser.add_argument("--minutes", type=float, default=5.0, help="budget of each fine-tune (default 5)")
    parser.add_argument("--steps", type=int, default=20_000, help="at most so many steps")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    out, base = Path(args.out), load_model("cells")
    samples = read_dataset(args.data)
    samples = [samples[i] for i in np.random.default_rng(0).permutation(len(samples))]
    test = samples[FIRST_OF_TEST:]
    known = set(base.training["validation_images"])
    others = (
        [s for s in read_dataset(args.others) if s.kind == "fluorescence" and s.name in known] if args.others else []
    )
    params = FineTuneParams(minutes=args.minutes, steps=args.steps, seed=args.seed)

    def figures(model: ModelVersion) -> dict[str, Any]:
        given = {f"{name}_given": value for name, value in matched(model, test, True).items()}
        elsewhere = {"fluorescence_ap50": figures_on(model, others)["ap50"]} if others else {}
        return {**matched(model, test), **given, **elsewhere}

    cell(out, "before", lambda: figures(base))
    for k in args.ks:

        def work(k: int = k) -> dict[str, Any]:
            made = drain(iter_finetune_version(samples[:k], fresh_folder(out / "versions" / str(k)), base, params))
            assert made.version is not None and made.comparison is not None
            facts = {"steps": made.version.training["steps"], "verdict": made.comparison.verdict}
            return {**figures(made.version), **facts}

        cell(out, f"k{k}_{args.minutes:g}min_{args.steps}steps_seed{args.seed}", work)
    say(f"figures in {out / 'cells'}")


if __name__ == "__main__":
    main()
