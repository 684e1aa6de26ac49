"""Does learning while correcting help? ``python -m tests.benchmarks.quick_learning DATASET --model MODEL --out FILE``.

For every image of the kinds asked for that the model was not trained on: segment it, correct 1, 3 and 10 errors as a
person would, refit, and score the rest of the image, which nobody touched, without and with the refit. An error is a
true cell that no predicted cell fits (IoU .5), which is then painted, or a predicted cell where there is none, which is
then deleted; in turns, in random order. The rest of the image is the true cells that were not painted against the
predicted cells that are not the person's. Writes FILE.json and FILE.md.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage as ndi

from napari_cellseg.cli.common import bar_of, drain_with_bar
from napari_cellseg.corrections import tools as edits
from napari_cellseg.corrections.claims import Corrections
from napari_cellseg.corrections.corrected import CorrectedInstances
from napari_cellseg.corrections.doubt import doubt
from napari_cellseg.corrections.view import CellView
from napari_cellseg.evaluation.doubt_order import best_overlap
from napari_cellseg.imaging.from_array import as_image
from napari_cellseg.imaging.normalize import normalize
from napari_cellseg.instances import Instances, match
from napari_cellseg.network.features import Features, features
from napari_cellseg.network.versions import ModelVersion, load_model
from napari_cellseg.training.data.datasets import Sample, iter_dataset
from napari_cellseg.training.quick import PROMISING, QuickParams, learn, mean_doubt

N_CORRECTED = (1, 3, 10)
CLEAR = 0.02  # of AP50: what counts as better or worse


@dataclass(frozen=True)
class Row:
    """One image after some corrections: AP50 of the rest without and with learning, and how long learning took.

    `doubt` is the mean doubt about the image's cells before anything was corrected.
    """

    image: str
    kind: str
    doubt: float
    pixels: int
    corrected: int
    before: float
    after: float
    seconds: float


def errors(sample: Sample, labels: np.ndarray, min_size: int, rng: np.random.Generator) -> list[tuple[str, int]]:
    """Errors in random order, missed cells and false ones in turns; when they run out, nothing more."""
    best = best_overlap(sample.labels, labels)[0]
    ids, areas = np.unique(sample.labels[sample.labels > 0], return_counts=True)
    missed = [("paint", int(i)) for i in rng.permutation(ids[(best < 0.5) & (areas >= min_size)])]
    shown, sizes = np.unique(labels[labels > 0], return_counts=True)
    inside = np.bincount(labels.ravel(), weights=(sample.labels > 0).ravel(), minlength=int(labels.max()) + 1)[shown]
    false = [("delete", int(i)) for i in rng.permutation(shown[inside < 0.1 * sizes])]
    in_turns = []
    while missed or false:
        in_turns += missed[:1] + false[:1]
        missed, false = missed[1:], false[1:]
    return in_turns


def correct(cells: CorrectedInstances, sample: Sample, todo: tuple[str, int], threshold: float, min_size: int) -> None:
    """Correct one error with the tools that a person has."""
    view = CellView(cells, threshold, min_size)
    what, id_ = todo
    if what == "delete":
        if id_ in view.ids():
            cells.corrections.apply(edits.delete(view, [id_]))
        return
    region = ndi.find_objects((sample.labels == id_).astype(np.int8))[0]
    after = view.labels(region).astype(np.int32)
    after[sample.labels[region] == id_] = cells.fresh_id()
    cells.corrections.apply(edits.painted(view, region, after))


def rest_ap50(cells: CorrectedInstances, sample: Sample, painted: list[int], threshold: float, min_size: int) -> float:
    """AP50 of what the person did not touch."""
    labels = cells.labels(threshold, min_size)
    truth = np.where(np.isin(sample.labels, painted), 0, sample.labels)
    ids = np.unique(labels[labels > 0])
    return float(match(truth, np.where(np.isin(labels, ids[cells.is_owned(ids)]), 0, labels), (0.5,)).ap[0])


def rows_of(sample: Sample, seen: Features, model: ModelVersion, params: QuickParams, seed: int) -> list[Row]:
    """One row for no correction and one for each of `N_CORRECTED` that the image has errors for."""
    threshold, min_size = model.threshold, model.min_size
    parent = Instances.from_prediction(seen.prediction, model.split)
    cells = CorrectedInstances(parent, Corrections(seen.shape))
    doubted = mean_doubt(doubt(cells, seen.prediction, model.split, threshold, min_size))
    about = (sample.name[:12], sample.kind, round(doubted, 3), sample.labels.size)
    start = rest_ap50(cells, sample, [], threshold, min_size)
    rows = [Row(*about, 0, start, start, 0.0)]
    queue = errors(sample, cells.labels(threshold, min_size), min_size, np.random.default_rng(seed))
    for i, todo in enumerate(queue[: max(N_CORRECTED)], start=1):
        correct(cells, sample, todo, threshold, min_size)
        painted = [id_ for what, id_ in queue[:i] if what == "paint"]
        if i not in N_CORRECTED or len(painted) > 0.6 * len(np.unique(sample.labels)):
            continue
        draft = learn(seen, cells, threshold, min_size, params)
        new = CorrectedInstances(Instances.from_prediction(draft.prediction, model.split), cells.corrections)
        before, after = (rest_ap50(c, sample, painted, threshold, min_size) for c in (cells, new))
        rows.append(Row(*about, i, before, after, round(draft.seconds, 3)))
    return rows


def table(rows: list[Row]) -> str:
    """Means over images, as Markdown; also of the images that the mean doubt sets apart."""
    lines = [
        "| images | corrected | n | AP50 of the rest as it was | after learning | better | worse | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups = {kind: [r for r in rows if r.kind == kind] for kind in dict.fromkeys(r.kind for r in rows)}
    groups[f"all of mean doubt {PROMISING} and more"] = [r for r in rows if r.doubt >= PROMISING]
    groups[f"all of mean doubt below {PROMISING}"] = [r for r in rows if r.doubt < PROMISING]
    for name, group in groups.items():
        for n in (0, *N_CORRECTED):
            some = [r for r in group if r.corrected == n]
            if not some:
                continue
            change = np.array([r.after - r.before for r in some])
            lines.append(
                f"| {name} | {n} | {len(some)} | {np.mean([r.before for r in some]):.3f} "
                f"| {np.mean([r.after for r in some]):.3f} | {np.mean(change > CLEAR):.0%} "
                f"| {np.mean(change < -CLEAR):.0%} | {np.median([r.seconds for r in some]):.2f} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Read, correct, learn, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--model", required=True)
    parser.add_argument("--kind", action="append", default=[])
    parser.add_argument("--images", type=int, default=1000, help="of each kind, at most")
    parser.add_argument("--repeats", type=int, default=1, help="orders of the errors to try on each image")
    parser.add_argument("--pull", type=float, default=QuickParams().pull)
    parser.add_argument("--out", required=True, help="without suffix")
    args = parser.parse_args()
    model, params = load_model(args.model), QuickParams(pull=args.pull)
    kinds = args.kind or ["histology", "brightfield"]
    known = set(model.training.get("training_images", ()))
    samples = [s for s in drain_with_bar("reading", iter_dataset(args.dataset)) if s.name not in known]
    samples = [s for kind in kinds for s in [s for s in samples if s.kind == kind][: args.images]]
    rows: list[Row] = []
    with bar_of(len(samples), "learning") as bar:
        for sample in samples:
            seen = features(normalize(as_image(sample.image).plane(), model.normalizer), model, "cpu")
            for seed in range(args.repeats):
                rows += rows_of(sample, seen, model, params, seed)
            bar.update(1)
    lines = ",\n ".join(json.dumps(asdict(row)) for row in rows)
    text = f'{{"model": "{model.name}", "sha256": "{model.sha256}", "params": {json.dumps(asdict(params))},\n'
    Path(f"{args.out}.json").write_text(f'{text}"rows": [\n {lines}\n]}}\n', encoding="utf-8")
    Path(f"{args.out}.md").write_text(table(rows) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
