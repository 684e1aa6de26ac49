"""Corrections outlast filters as they outlast the two sliders, and filtered cells follow every edit."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellseg.corrections import tools
from napari_cellseg.corrections.corrected import CorrectedInstances
from napari_cellseg.corrections.view import CellView
from napari_cellseg.instances.filters import AREA, AT_LEAST, AT_MOST, CIRCULARITY, EDGES, Filter, Filters
from napari_cellseg.instances.measure import measure

from .corrections_model import SHAPE, fresh_view, random_patch
from .test_claims import steps, take

NOTHING_PASSES = Filters((Filter(AREA, AT_MOST, 0),))
filters = st.builds(
    lambda area, roundness, edges: Filters(
        (Filter(AREA, AT_MOST, area), Filter(CIRCULARITY, AT_LEAST, roundness)), edges
    ),
    st.integers(5, 120),
    st.floats(0, 0.9),
    st.sampled_from(EDGES),
)


@settings(max_examples=40)
@given(st.integers(0, 40), steps, filters, st.floats(0, 1), st.integers(0, 40))
def test_counts_labels_ids_and_curve_agree(seed: int, done: list, asked: Filters, threshold: float, least: int) -> None:
    view = fresh_view(seed)
    for step in done:
        view, _changed = take(view, step)
    cells = view.corrected.filtered(asked)
    labels = cells.labels(threshold, least)
    present = np.unique(labels[labels > 0])
    ids = cells.ids(threshold, least)
    # A cell may be claimed in full by others; what is on the screen is what is counted.
    np.testing.assert_array_equal(ids, present)
    assert cells.count(threshold, least) == len(present)
    everything = np.arange(1, cells.top_id + 1)
    np.testing.assert_array_equal(everything[cells.is_shown(everything, threshold, least)], present)
    at, counts = cells.count_curve(least)
    for place in range(0, len(at), 17):
        assert counts[place] == cells.count(at[place], least)
    owned = cells.corrections.owned_ids
    strict = view.corrected.filtered(NOTHING_PASSES).ids(threshold, least)
    np.testing.assert_array_equal(strict, [id_ for id_ in owned.tolist() if cells.corrections.area(id_)])


@settings(max_examples=40)
@given(st.integers(0, 40), steps, st.floats(0, 1), st.integers(0, 40))
def test_centroids_without_pixels_are_those_that_are_measured(
    seed: int, done: list, threshold: float, least: int
) -> None:
    view = fresh_view(seed)
    for step in done:
        view, _changed = take(view, step)
    table = measure(view.corrected.labels(threshold, least))
    found = view.corrected.centroids_at(table["index"], threshold)
    np.testing.assert_array_equal(found, np.stack([table["centroid_y"], table["centroid_x"]], axis=1))
    assert np.isnan(view.corrected.centroids_at(np.array([view.corrected.top_id + 1]), threshold)).all()


@settings(max_examples=30)
@given(st.integers(0, 40), filters, st.integers(0, 2**32 - 1))
def test_an_edit_reaches_filtered_cells_and_those_without(seed: int, asked: Filters, edit: int) -> None:
    view = fresh_view(seed)
    filtered = view.corrected.filtered(asked)
    patch = random_patch(CellView(filtered, view.threshold, view.min_size), np.random.default_rng(edit))
    if patch is None:
        return
    corrections = view.corrected.corrections
    corrections.apply(patch)
    fresh = CorrectedInstances(view.corrected.instances, corrections)
    for now, wanted in ((filtered, fresh.filtered(asked)), (view.corrected, fresh)):
        np.testing.assert_array_equal(now.labels(view.threshold, 3), wanted.labels(view.threshold, 3))
        assert now.count(view.threshold, 3) == wanted.count(view.threshold, 3)
    assert filtered.last_region == view.corrected.last_region and filtered.shape == SHAPE


def test_filtered_cells_follow_edits_when_nobody_holds_the_others() -> None:
    filtered = fresh_view(3).corrected.filtered(Filters(edges="frame"))
    view = CellView(filtered, 0.5, 0)
    id_ = int(view.ids()[0])
    filtered.corrections.apply(tools.delete(view, id_))
    assert id_ not in view.ids()


def test_an_accepted_cell_counts_whatever_is_filtered() -> None:
    view = fresh_view(1)
    id_ = int(view.ids()[0])
    view.corrected.corrections.apply(tools.accept(view, id_))
    nothing = view.corrected.filtered(NOTHING_PASSES)
    assert nothing.ids(0.5).tolist() == [id_] and nothing.count(0.9, 10**6) == 1
    assert view.corrected.count(view.threshold, view.min_size) > 1
