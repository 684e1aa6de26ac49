"""Corrections survive everything: any sequence of edits, slider moves, other predictions, undo and redo."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellseg.corrections import Cell, CellView, CorrectedInstances, Corrections, Patch, confirmed
from napari_cellseg.corrections import tools as edits
from napari_cellseg.corrections.run_lengths import Runs
from napari_cellseg.instances import Instances
from tests.corrections.corrections_model import SHAPE, by_hand, fresh_view, instances_of, random_patch, rebound
from tests.instances.maps import disc_maps

thresholds = st.floats(0, 1)
sizes = st.integers(0, 60)
steps = st.lists(
    st.one_of(
        *[st.tuples(st.just("edit"), st.integers(0, 2**32 - 1))] * 5,
        st.tuples(st.just("threshold"), st.floats(0, 0.8)),
        st.tuples(st.just("min_size"), sizes),
        st.tuples(st.just("predict"), st.integers(0, 40)),
        st.tuples(st.just("undo"), st.none()),
        st.tuples(st.just("redo"), st.none()),
    ),
    min_size=8,
    max_size=30,
)


def take(view: CellView, step: tuple[str, object]) -> tuple[CellView, bool]:
    """One step of a person's; True where it may change the person's own pixels."""
    kind, value = step
    corrections = view.corrected.corrections
    if kind == "edit":
        patch = random_patch(view, np.random.default_rng(value))
        if patch is not None:
            corrections.apply(patch)
        return view, patch is not None
    if kind == "undo":
        return view, corrections.undo() is not None
    if kind == "redo":
        return view, corrections.redo() is not None
    if kind == "predict":
        return rebound(view, int(value)), False  # type: ignore[call-overload]
    threshold, min_size = (value, view.min_size) if kind == "threshold" else (view.threshold, value)
    return CellView(view.corrected, threshold, min_size), False  # type: ignore[arg-type]


@settings(max_examples=150)
@given(st.integers(0, 40), steps)
def test_what_a_person_decided_stays_through_sliders_predictions_and_other_edits(seed: int, steps: list) -> None:
    view = fresh_view(seed)
    corrections = view.corrected.corrections
    for step in steps:
        before, owned = corrections.claims().copy(), corrections.owned_ids
        view, may_change = take(view, step)
        labels = view.labels()
        if not may_change:
            assert np.array_equal(corrections.claims(), before)
            assert np.array_equal(corrections.owned_ids, owned)
        claims = corrections.claims()
        assert np.array_equal(labels[claims != 0], np.maximum(claims, 0)[claims != 0])
        # A cell of the person's is all of it: no automatic pixel has its id.
        assert not np.isin(labels[claims == 0], corrections.owned_ids).any()


@settings(max_examples=80)
@given(st.integers(0, 40), steps, thresholds, sizes)
def test_labels_follow_the_rules_and_everything_else_agrees_with_them(
    seed: int, steps: list, threshold: float, min_size: int
) -> None:
    view = fresh_view(seed)
    for step in steps:
        view, _changed = take(view, step)
    view = CellView(view.corrected, threshold, min_size)
    corrected = view.corrected
    labels = view.labels()
    assert np.array_equal(labels, by_hand(view))
    assert labels.dtype == corrected.dtype
    ids, areas = np.unique(labels[labels > 0], return_counts=True)
    assert np.array_equal(view.ids(), ids)
    assert corrected.count(threshold, min_size) == len(ids)
    assert np.array_equal(corrected.areas(threshold)[ids - 1], areas)
    assert np.array_equal(corrected.ids(threshold, min_size), np.flatnonzero(corrected.keep(threshold, min_size)) + 1)
    at, counts = corrected.count_curve(min_size)
    assert counts.tolist() == [corrected.count(t, min_size) for t in at]
    assert (np.diff(counts) <= 0).all()
    assert np.isin(ids, corrected.corrections.owned_ids).tolist() == corrected.is_owned(ids).tolist()
    assert (
        view.is_shown(range(-1, corrected.top_id + 3)).tolist()
        == np.isin(range(-1, corrected.top_id + 3), ids).tolist()
    )
    region = (slice(7, 30), slice(11, 45))
    assert np.array_equal(view.labels(region), labels[region])
    for id_ in ids[:: max(1, len(ids) // 5)].tolist():
        box, mask = view.mask(id_)
        assert np.count_nonzero(mask) == np.count_nonzero(labels == id_)
        assert (labels[box][mask] == id_).all()


@settings(max_examples=60)
@given(st.integers(0, 40), steps, thresholds, thresholds, sizes, sizes)
def test_counts_only_fall_as_sliders_rise(seed: int, steps: list, a: float, b: float, m: int, n: int) -> None:
    view = fresh_view(seed)
    for step in steps:
        view, _changed = take(view, step)
    assert view.corrected.count(max(a, b), max(m, n)) <= view.corrected.count(min(a, b), min(m, n))


@settings(max_examples=80)
@given(st.integers(0, 40), steps, st.integers(0, 2**32 - 1))
def test_an_edit_is_taken_back_and_done_again_exactly_whatever_happened_between(
    seed: int, steps: list, edit: int
) -> None:
    view = fresh_view(seed)
    corrections = view.corrected.corrections
    for step in steps:
        view, _changed = take(view, step)
    before = view.labels(), corrections.claims().copy(), corrections.marks(), corrections.n_erased
    patch = random_patch(view, np.random.default_rng(edit))
    if patch is None:
        return
    corrections.apply(patch)
    after = view.labels(), corrections.claims().copy(), corrections.marks(), corrections.n_erased
    moved = CellView(rebound(view, seed + 1).corrected, 0.9, 33)
    moved.labels()
    corrections.undo()
    assert all(np.array_equal(x, y) for x, y in zip(before, _state(view), strict=True))
    corrections.redo()
    assert all(np.array_equal(x, y) for x, y in zip(after, _state(view), strict=True))


def _state(view: CellView) -> tuple:
    corrections = view.corrected.corrections
    return view.labels(), corrections.claims(), corrections.marks(), corrections.n_erased


@settings(max_examples=60)
@given(st.integers(0, 40), steps)
def test_labels_change_within_the_region_that_is_told(seed: int, steps: list) -> None:
    view = fresh_view(seed)
    for step in steps:
        before, bound = view.labels(), view.corrected
        view, changed = take(view, step)
        if changed and view.corrected is bound:
            outside = np.ones(SHAPE, dtype=bool)
            outside[view.corrected.last_region] = False
            assert np.array_equal(view.labels()[outside], before[outside])


@settings(max_examples=60)
@given(st.integers(0, 40), steps)
def test_a_snapshot_is_the_same_without_a_history(seed: int, steps: list) -> None:
    view = fresh_view(seed)
    for step in steps:
        view, _changed = take(view, step)
    copy = Corrections(SHAPE)
    copy.apply(view.corrected.corrections.snapshot())
    copy.forget_history()
    other = CellView(CorrectedInstances(view.corrected.instances, copy), view.threshold, view.min_size)
    corrections = view.corrected.corrections
    assert np.array_equal(copy.claims(), corrections.claims()) and np.array_equal(copy.marks(), corrections.marks())
    assert np.array_equal(copy.owned_ids, corrections.owned_ids)
    assert np.array_equal(copy.erased_ids, corrections.erased_ids)
    assert [copy.how(id_) for id_ in copy.owned_ids] == [corrections.how(id_) for id_ in copy.owned_ids]
    assert other.corrected.count(view.threshold, view.min_size) == view.corrected.count(view.threshold, view.min_size)
    assert not copy.can_undo and not copy.can_redo


def test_no_ring_appears_around_corrected_cells_as_the_threshold_falls() -> None:
    probability, _distance, _labels = disc_maps([(20, 20), (20, 60), (44, 40)], 8)
    basins = np.ones(probability.shape, dtype=int)
    basins[:, 40:] = 2
    basins[32:] = 3
    view = CellView(CorrectedInstances(Instances(probability, basins), Corrections(probability.shape)), 0.9, 0)
    corrections = view.corrected.corrections
    corrections.apply(edits.accept(view, 1))
    corrections.apply(edits.delete(view, 2))
    mine = corrections.claims() == 1
    for threshold in np.linspace(0.9, 0, 10):
        labels = view.corrected.labels(threshold)
        assert np.array_equal(labels == 1, mine) and not (labels == 2).any()
    # Cell 3 was left alone.
    assert np.count_nonzero(view.corrected.labels(0.1) == 3) > np.count_nonzero(view.corrected.labels(0.9) == 3)


def test_a_cell_hides_when_more_than_half_of_its_core_is_covered() -> None:
    probability = np.full((4, 12), 0.6, dtype=np.float32)
    basins = np.repeat([[1, 1, 1, 1, 2, 2, 2, 2, 0, 0, 0, 0]], 4, axis=0)
    probability[:, 6:8] = 0.9  # the core of cell 2
    view = CellView(CorrectedInstances(Instances(probability, basins), Corrections((4, 12))), 0.5, 3)
    corrections, one = view.corrected.corrections, slice(0, 1)

    def claim(rows: slice, columns: slice) -> None:
        claims = corrections.claims().copy()
        claims[rows, columns] = 9
        corrections.apply(Patch("drawn", Runs.from_array((slice(0, 4), slice(0, 12)), claims), {9: Cell("drawn")}))

    claim(slice(0, 2), slice(6, 8))
    assert view.corrected.areas(0.5)[1] == 12 and not view.corrected.hides(2)  # just half
    claim(slice(2, 3), slice(6, 7))
    assert view.corrected.hides(2) and 2 not in view.corrected.ids(0.0)
    corrections.undo()
    assert 2 in view.corrected.ids(0.5)
    claim(one, slice(4, 6))
    assert view.corrected.areas(0.5)[1] == 10  # what lies outside the core is only taken off


def test_other_predictions_show_no_cell_under_a_corrected_one_and_give_it_no_second_id() -> None:
    view = fresh_view(3, 0.5, 5)
    corrections = view.corrected.corrections
    for id_ in view.ids()[:6].tolist():
        corrections.apply(edits.accept(view, id_))
    other = rebound(view, 17)
    assert not set(corrections.owned_ids.tolist()) & set(np.unique(other.corrected.instances.basins).tolist())
    assert np.isin(corrections.owned_ids, other.ids()).all()


def test_no_min_size_drops_a_cell_of_the_persons() -> None:
    view = fresh_view(3)
    id_ = int(view.ids()[0])
    view.corrected.corrections.apply(edits.accept(view, id_))
    assert id_ in view.corrected.ids(1.0, 10_000)
    assert view.corrected.count(1.0, 10_000) == 1


def test_renumbering_moves_basins_and_leaves_everything_else() -> None:
    instances = instances_of(5)
    _ = instances.centroids
    taken = [2, 5, instances.n_basins, 400]
    other = instances.renumbered(taken)
    assert not np.isin(other.basins, taken).any()
    for threshold, size in ((0.2, 0), (0.5, 9), (0.7, 30)):
        before, after = instances.labels(threshold, size), other.labels(threshold, size)
        assert np.array_equal(before > 0, after > 0)
        assert other.count(threshold, size) == instances.count(threshold, size)
        pairs = np.unique(np.stack([before.ravel(), after.ravel()]), axis=1)
        assert len(np.unique(pairs[0])) == pairs.shape[1] == len(np.unique(pairs[1]))
        kept = ~np.isin(pairs[0], taken)
        assert np.array_equal(pairs[0, kept], pairs[1, kept])
        for old, new in pairs.T[1:].tolist():
            assert np.allclose(instances.centroids[old - 1], other.centroids[new - 1])
            assert len(instances.pixels_of(old)[0]) == len(other.pixels_of(new)[0])
    assert instances.renumbered([instances.n_basins + 1]) is instances


def test_reviewed_area_is_marks_and_surroundings_of_corrections_without_unvouched_cells() -> None:
    view = fresh_view(7, 0.5, 5)
    corrections, corrected = view.corrected.corrections, view.corrected
    assert not corrected.reviewed_area(0.5, 5).any()
    mine = int(view.ids()[4])
    corrections.apply(edits.accept(view, mine))
    labels = view.labels()
    area = corrected.reviewed_area(0.5, 5, margin=6)
    y, x = np.nonzero(labels == mine)
    near = np.array(
        [[np.hypot(y - row, x - column).min() <= 6 for column in range(SHAPE[1])] for row in range(SHAPE[0])]
    )
    assert np.array_equal(area, near & ((labels == 0) | (labels == mine)))
    corrections.apply(edits.mark_reviewed(view, (slice(0, 30), slice(0, 20)), True))
    marked = corrected.reviewed_area(0.5, 5, margin=6)
    assert marked[:30, :20].all() and np.array_equal(marked[30:], area[30:])
    region = (slice(3, 33), slice(10, 41))
    assert np.array_equal(corrected.reviewed_area(0.5, 5, region, margin=6), marked[region])


def test_readers_in_other_threads_never_see_half_an_edit() -> None:
    view = fresh_view(3)
    corrections = view.corrected.corrections
    ids = view.ids()[:8].tolist()
    whole = {np.count_nonzero(view.labels() == id_) for id_ in ids} | {0}

    def read(_turn: int) -> bool:
        labels = view.labels()
        return all(np.count_nonzero(labels == id_) in whole for id_ in ids)

    with ThreadPoolExecutor(2) as pool:
        reads = pool.map(read, range(60))
        for _ in range(10):
            for id_ in ids:
                corrections.apply(edits.delete(view, id_))
            for _id in ids:
                corrections.undo()
        assert all(reads)


def test_nobody_waits_for_the_distances_of_the_reviewed_area(monkeypatch: pytest.MonkeyPatch) -> None:
    view = fresh_view(3)
    corrections, measure = view.corrected.corrections, confirmed.scipy.ndimage.distance_transform_edt
    first, second = view.ids()[:2].tolist()
    corrections.apply(edits.accept(view, first))
    expected = view.corrected.reviewed_area(0.5)

    def measure_while_someone_edits(*args: object) -> np.ndarray:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: corrections.apply(edits.accept(view, second))).result(timeout=30)
        monkeypatch.undo()
        return measure(*args)

    monkeypatch.setattr(confirmed.scipy.ndimage, "distance_transform_edt", measure_while_someone_edits)
    assert np.array_equal(view.corrected.reviewed_area(0.5), expected)
    assert corrections.n_changed == 2 and view.corrected.reviewed_area(0.5).sum() > expected.sum()


def test_ids_become_int32_before_they_outgrow_uint16() -> None:
    basins = np.zeros(SHAPE, dtype=np.int32)
    basins[:5, :5] = 61_000
    corrected = CorrectedInstances(Instances(np.ones(SHAPE, dtype=np.float32), basins), Corrections(SHAPE))
    assert corrected.instances.dtype == np.uint16 and corrected.dtype == np.int32
    assert np.array_equal(corrected.labels(0.5), basins)
    with pytest.raises(ValueError, match="matching array"):
        corrected.labels(0.5, out=np.zeros(SHAPE, dtype=np.uint16))
