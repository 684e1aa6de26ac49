"""How much k corrected images of another kind bring, and what they cost on the kind that the base knows.

``python -m tests.benchmarks.finetune_curve --base FLUORESCENCE_MODEL --data stage1_train.zip --out DIR``

Writes ``results.json`` and ``results.md`` in DIR. A cell of the table that is finished is not computed again, so the
command can be broken off and repeated.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_cellseg.imaging.write.write import write_json
from napari_cellseg.network.versions import ModelVersion, load_model
from napari_cellseg.training.data.datasets import read_dataset
from napari_cellseg.training.finetune_params import FineTuneParams

from .finetuning import add_options, cell, figures_on, finetune, fresh_folder, pool_and_test, say

FIGURES = ("ap50", "ap", "count_mape")


def main() -> None:
    """Fill the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--ks", nargs="+", type=int, default=[1, 2, 5, 10], metavar="K")
    args = parser.parse_args()
    out, base = Path(args.out), load_model(args.base)
    samples = read_dataset(args.data)
    known = set(base.training["validation_images"])
    # Not those that the check of the general samples was cut from, nor any that are mixed in.
    fluorescence = [s for s in samples if s.kind == "fluorescence" and s.name in known]
    params = replace(FineTuneParams(), minutes=args.minutes, seed=args.seed, learning_rate=args.learning_rate)
    if args.steps:
        params = replace(params, steps=args.steps)
    kept = cell(out, "fluorescence_base", lambda: figures_on(base, fluorescence))
    rows: list[dict[str, Any]] = []
    for kind in args.kinds:
        pool, test = pool_and_test(samples, kind)
        say(f"{kind}: {len(pool)} images to choose from, {len(test)} to test on")
        start = cell(out, f"{kind}_0", lambda test=test: figures_on(base, test))  # type: ignore[misc]
        rows.append(
            {
                "kind": kind,
                "k": 0,
                "minutes": 0.0,
                **start,
                "fluorescence_ap50": kept["ap50"],
                "change": 0.0,
                "forgot": 0.0,
            }
        )
        for k in args.ks:
            name = f"{kind}_{k}_{args.minutes:g}min" + (f"_seed{args.seed}" if args.seed else "")

            def work(k: int = k, kind: str = kind, pool: Any = pool, test: Any = test) -> dict[str, Any]:
                folder = fresh_folder(out / "versions" / f"{kind}_{k}")
                result, minutes = finetune(pool[:k], base, folder, params, ["fluorescence"])
                assert result.version is not None
                return {
                    **figures_on(result.version, test),
                    "minutes": minutes,
                    "n_learned_cells": result.version.training["n_cells"],
                    "steps": result.version.training["steps"],
                    "best_step": result.version.training["best_step"],
                    "threshold": result.version.threshold,
                    "min_size": result.version.min_size,
                    "fluorescence_ap50": figures_on(result.version, fluorescence)["ap50"],
                    # What the weights forgot, apart from where the sliders start.
                    "weights_ap50": figures_on(result.version, fluorescence, base.threshold, base.min_size)["ap50"],
                }

            values = cell(out, name, work)
            change = values["fluorescence_ap50"] - kept["ap50"]
            forgot = values["weights_ap50"] - kept["ap50"]
            rows.append({"kind": kind, "k": min(k, len(pool)), **values, "change": change, "forgot": forgot})
        _write(out, rows, args, base, kept["n_images"])


def _write(
    out: Path, rows: list[dict[str, Any]], args: argparse.Namespace, base: ModelVersion, n_fluorescence: int
) -> None:
    write_json(out / "results.json", {"budget_minutes": args.minutes, "seed": args.seed, "rows": rows})
    lines = [
        f"Budget {args.minutes:g} minutes; AP as mean over the test images of the kind; fluorescence on "
        f"{int(n_fluorescence)} images that no model here was trained on.",
        "",
        "| kind | images (k) | cells learned | minutes | AP50 | AP .5-.9 | count error | sliders start at | "
        "fluorescence AP50 | change | at the base's sliders |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        figures = " | ".join(f"{row[name]:.3f}" for name in FIGURES[:2])
        sliders = f"{row.get('threshold', base.threshold):g}, {row.get('min_size', base.min_size)} px"
        lines.append(
            f"| {row['kind']} | {row['k']} | {row.get('n_learned_cells', 0)} | {row['minutes']:.1f} | {figures} | "
            f"{row['count_mape']:.0%} | {sliders} | "
            f"{row['fluorescence_ap50']:.3f} | {row['change']:+.3f} | {row['forgot']:+.3f} |"
        )
    (out / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    say(f"table in {out / 'results.md'}")


if __name__ == "__main__":
    main()
