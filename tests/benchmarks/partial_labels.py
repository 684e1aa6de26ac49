"""With a fifth of the cells labelled: leave the rest out, or take it for background?

``python -m tests.benchmarks.partial_labels --base FLUORESCENCE_MODEL --data stage1_train.zip --out DIR``

Both ways learn from the same cells of the same images for the same time. *ignored*: the loss counts only on the
labelled cells and a margin around them, without the pixels of other cells that the base shows there, as the widget
does it. *background*: everything that has no label counts as background. Cells of the table that are finished are kept.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from napari_cellseg.evaluation.evaluate import iter_predict_samples
from napari_cellseg.imaging.progress import drain
from napari_cellseg.imaging.write.write import write_json
from napari_cellseg.network.versions import ModelVersion, load_model
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.training.data.datasets import Sample, read_dataset
from napari_cellseg.training.finetune_params import FineTuneParams

from .finetuning import add_options, cell, figures_on, finetune, fresh_folder, pool_and_test, say

MARGIN = 8


def labelled_part(samples: list[Sample], part: float, seed: int) -> list[Sample]:
    """Keep the labels of some cells of each image."""
    rng = np.random.default_rng(seed)
    kept = []
    for sample in samples:
        ids = np.unique(sample.labels)
        ids = ids[ids > 0]
        chosen = rng.choice(ids, max(1, round(part * len(ids))), replace=False)
        kept.append(replace(sample, labels=np.where(np.isin(sample.labels, chosen), sample.labels, 0)))
    return kept


def reviewed_around(samples: list[Sample], base: ModelVersion) -> list[Sample]:
    """Mark the labelled cells and a margin around them, without the other cells that the base shows, as reviewed."""
    predicted = drain(iter_predict_samples(samples, Recipe(model=str(base.path))))
    marked = []
    for sample, segmented in zip(samples, predicted, strict=True):
        near = ndimage.distance_transform_edt(sample.labels == 0) <= MARGIN
        others = (segmented.labels() > 0) & (sample.labels == 0)
        marked.append(replace(sample, reviewed=near & ~others))
    return marked


def main() -> None:
    """Fill the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--k", type=int, default=10, help="images to learn from (default 10)")
    parser.add_argument("--part", type=float, default=0.2, help="part of the cells that is labelled (default 0.2)")
    args = parser.parse_args()
    out, base = Path(args.out), load_model(args.base)
    samples = read_dataset(args.data)
    params = replace(FineTuneParams(), minutes=args.minutes, seed=args.seed, learning_rate=args.learning_rate)
    if args.steps:
        params = replace(params, steps=args.steps)
    rows: list[dict[str, Any]] = []
    for kind in args.kinds:
        pool, test = pool_and_test(samples, kind)
        few = labelled_part(pool[: args.k], args.part, args.seed)
        ways = {
            "ignored": lambda few=few: reviewed_around(few, base),  # type: ignore[misc]
            "background": lambda few=few: few,  # type: ignore[misc]
            "all labelled": lambda pool=pool: pool[: args.k],  # type: ignore[misc]
        }
        start = cell(out, f"{kind}_base", lambda test=test: figures_on(base, test))  # type: ignore[misc]
        rows.append({"kind": kind, "way": "before", **start})
        for way, make in ways.items():

            def work(make: Any = make, way: str = way, kind: str = kind, test: Any = test) -> dict[str, Any]:
                folder = fresh_folder(out / "versions" / f"{kind}_{way.replace(' ', '_')}")
                result, minutes = finetune(make(), base, folder, params, ["fluorescence"])
                assert result.version is not None
                record = result.version.training
                return {
                    **figures_on(result.version, test),
                    "minutes": minutes,
                    "n_learned_cells": record["n_cells"],
                    "steps": record["steps"],
                }

            name = f"{kind}_{args.k}x{args.part:g}_{way.replace(' ', '_')}_{args.minutes:g}min_seed{args.seed}"
            rows.append({"kind": kind, "way": way, **cell(out, name, work)})
        _write(out, rows, args)


def _write(out: Path, rows: list[dict[str, Any]], args: argparse.Namespace) -> None:
    write_json(out / "results.json", {"budget_minutes": args.minutes, "k": args.k, "part": args.part, "rows": rows})
    lines = [
        f"{args.k} images, {args.part:.0%} of their cells labelled, {args.minutes:g} minutes each; "
        "AP as mean over the test images.",
        "",
        "| kind | cells without a label are | AP50 | AP .5-.9 | count error |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['kind']} | {row['way']} | {row['ap50']:.3f} | {row['ap']:.3f} | {row['count_mape']:.0%} |"
        )
    (out / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    say(f"table in {out / 'results.md'}")


if __name__ == "__main__":
    main()
