"""A slow, plain account of what a person decided, to hold the real one against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_cellseg.corrections import CellView, CorrectedInstances, Corrections
from napari_cellseg.corrections import tools as edits
from napari_cellseg.corrections.patching import EditError
from napari_cellseg.corrections.run_lengths import Patch
from napari_cellseg.instances import Instances, Prediction
from tests.instances.maps import random_maps

SHAPE = (40, 52)


def instances_of(seed: int) -> Instances:
    """Cells of a made-up prediction; another seed is another model."""
    probability, distance = random_maps(seed, SHAPE, 2.2)
    return Instances.from_prediction(Prediction(probability, distance))


def by_hand(view: CellView) -> np.ndarray:
    """Shown labels by the documented rules, from claims, entries and basins alone, pixel by pixel."""
    corrections, instances = view.corrected.corrections, view.corrected.instances
    claims = corrections.claims()
    footprint = claims != 0
    for id_ in [*corrections.owned_ids.tolist(), *corrections.erased_ids.tolist()]:
        for core in corrections.cell(id_).cores:
            footprint[core.region] |= core.mask()
    labels = np.where(claims > 0, claims, 0).astype(np.int64)
    level = int(np.floor(np.float32(view.threshold) * np.float32(255) + np.float32(0.5)))
    for basin in range(1, instances.n_basins + 1):
        pixels = instances.basins == basin
        if not pixels.any():
            continue
        values = np.sort(instances.levels[pixels])[::-1]
        core = pixels & (instances.levels >= values[(len(values) + 1) // 2 - 1])
        if 2 * np.count_nonzero(core & footprint) > np.count_nonzero(core):
            continue
        left = pixels & (instances.levels >= level) & (claims == 0)
        if np.count_nonzero(left) >= max(view.min_size, 1):
            labels[left] = basin
    return labels


def random_patch(view: CellView, rng: np.random.Generator) -> Patch | None:
    """One edit as a person might make it; None where it makes no sense there."""
    ids = view.ids()
    y, x = rng.integers(0, SHAPE[0]), rng.integers(0, SHAPE[1])

    def some(n: int) -> list[int]:
        return rng.choice(ids, min(n, len(ids)), replace=False).tolist()

    def brush() -> Patch:
        height, width = rng.integers(1, 12, 2)
        region = (slice(y, min(SHAPE[0], y + height)), slice(x, min(SHAPE[1], x + width)))
        after = view.labels(region).astype(np.int64)
        disc = rng.random(after.shape) < 0.9
        free = int(rng.integers(1, view.corrected.top_id + 5))
        after[disc] = rng.choice([0, free, view.corrected.fresh_id(), *(some(1) or [0])])
        return edits.painted(view, region, after)

    def taken_back() -> Patch:
        corrections = view.corrected.corrections
        mine = [*corrections.owned_ids.tolist(), *corrections.erased_ids.tolist()]
        return edits.release(view, rng.choice(mine, 1).tolist() if mine else [])

    tools: list[Callable[[], Patch]] = [
        brush,
        brush,
        brush,
        lambda: edits.delete(view, some(1)),
        lambda: edits.accept(view, some(2)),
        lambda: edits.merge(view, some(2)),
        lambda: edits.fill_holes(view, some(3)),
        lambda: edits.split_by_stroke(view, rng.uniform((-3, -3), np.array(SHAPE) + 3, (2, 2))),
        lambda: edits.add_at(view, y, x),
        lambda: edits.mark_reviewed(view, (slice(y, y + 9), slice(x, x + 9)), bool(rng.integers(2))),
        taken_back,
    ]
    try:
        return tools[rng.integers(len(tools))]()
    except EditError:
        return None


def rebound(view: CellView, seed: int) -> CellView:
    """The same corrections over another prediction."""
    return CellView(CorrectedInstances(instances_of(seed), view.corrected.corrections), view.threshold, view.min_size)


def fresh_view(seed: int, threshold: float = 0.4, min_size: int = 5) -> CellView:
    """Cells that nobody corrected yet."""
    return CellView(CorrectedInstances(instances_of(seed), Corrections(SHAPE)), threshold, min_size)
