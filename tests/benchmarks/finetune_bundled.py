"""What a fine-tune of the bundled model brings on images that it has not seen, and what it costs elsewhere.

``python -m tests.benchmarks.finetune_bundled --base cells --data stage1_train.zip --out DIR``

The images that were held out when the bundled model was trained are divided by group: `k` of a kind are learned from,
the others of that kind are tested on, and so are the held-out images of the other kinds (forgetting).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_cellseg.imaging.write.write import write_json
from napari_cellseg.network.versions import load_model
from napari_cellseg.training.data.datasets import Sample, read_dataset
from napari_cellseg.training.finetune_params import FineTuneParams

from .finetuning import add_options, cell, figures_on, finetune, fresh_folder

KINDS = ("fluorescence", "histology", "brightfield")


def divide(samples: list[Sample], kind: str, k: int) -> tuple[list[Sample], list[Sample]]:
    """Take k images of a kind to learn from, out of the smallest groups; the other groups are for testing."""
    of_kind = [s for s in samples if s.kind == kind]
    sizes = {s.group: sum(other.group == s.group for other in of_kind) for s in of_kind}
    learned: list[Sample] = []
    for group in sorted(sizes, key=lambda group: (sizes[group], group))[:-1]:
        learned += [s for s in of_kind if s.group == group][: k - len(learned)]
    groups = {s.group for s in learned}
    return learned, [s for s in of_kind if s.group not in groups]


def main() -> None:
    """Fill the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--k", type=int, default=3, help="images to learn from (default 3)")
    args = parser.parse_args()
    out, base = Path(args.out), load_model(args.base)
    known = set(base.training["validation_images"])
    samples = [s for s in read_dataset(args.data) if s.name in known]
    params = replace(FineTuneParams(), minutes=args.minutes, seed=args.seed, learning_rate=args.learning_rate)
    if args.steps:
        params = replace(params, steps=args.steps)
    lines = [
        f"{args.k} images, {args.minutes:g} minutes, learning rate {args.learning_rate:g}.",
        "",
        "| learned | tested on | images | AP50 before | AP50 after | AP .5-.9 | count error |",
        "|---|---|---|---|---|---|---|",
    ]
    rows: list[dict[str, Any]] = []
    for kind in args.kinds:
        learned, test = divide(samples, kind, args.k)
        tests = {other: test if other == kind else [s for s in samples if s.kind == other] for other in KINDS}

        def work(kind: str = kind, learned: Any = learned, tests: Any = tests) -> dict[str, Any]:
            result, minutes = finetune(learned, base, fresh_folder(out / "versions" / kind), params, KINDS)
            assert result.version is not None
            figures = {other: figures_on(result.version, part) for other, part in tests.items()}
            return {"minutes": minutes, "steps": result.version.training["steps"], "figures": figures}

        after = cell(out, f"{kind}_{args.k}_{args.minutes:g}min_{args.learning_rate:g}_seed{args.seed}", work)
        for other, part in tests.items():
            before = cell(out, f"before_{kind}_{args.k}_{other}", lambda part=part: figures_on(base, part))  # type: ignore[misc]
            now = after["figures"][other]
            rows.append({"learned": kind, "tested": other, "before": before, "after": now, "steps": after["steps"]})
            lines.append(
                f"| {kind} | {other} | {len(part)} | {before['ap50']:.3f} | {now['ap50']:.3f} | "
                f"{before['ap']:.3f} to {now['ap']:.3f} | {before['count_mape']:.0%} to {now['count_mape']:.0%} |"
            )
    write_json(out / "results.json", {"budget_minutes": args.minutes, "k": args.k, "rows": rows})
    (out / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
