"""Each tool does what its button says, and nothing else."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as ndi

from napari_cellseg.corrections import CellView, CorrectedInstances, Corrections
from napari_cellseg.corrections import tools as edits
from napari_cellseg.corrections.run_lengths import Patch, Runs, pairs_of
from napari_cellseg.corrections.tools import EditError
from napari_cellseg.instances import Instances, Prediction
from tests.corrections.corrections_model import SHAPE, fresh_view, random_patch
from tests.instances.maps import disc_maps


def view_of(basins: np.ndarray, probability: np.ndarray | None = None, min_size: int = 0) -> CellView:
    """Cells drawn by the test; all at probability 0.8 unless given."""
    if probability is None:
        probability = np.where(basins > 0, 0.8, 0.0).astype(np.float32)
    return CellView(CorrectedInstances(Instances(probability, basins), Corrections(basins.shape)), 0.5, min_size)


def discs(centres: list[tuple[float, float]], radius: float, shape: tuple[int, int] = (64, 96)) -> np.ndarray:
    return disc_maps(centres, radius, shape)[2]


def do(view: CellView, patch: Patch) -> np.ndarray:
    view.corrected.corrections.apply(patch)
    return view.labels()


@settings(max_examples=150)
@given(st.integers(0, 40), st.integers(0, 6), st.integers(0, 2**32 - 1))
def test_what_was_painted_is_what_is_shown(seed: int, n_before: int, stroke: int) -> None:
    view = fresh_view(seed, min_size=0)
    corrections, rng = view.corrected.corrections, np.random.default_rng(stroke)
    for _ in range(n_before):
        if patch := random_patch(view, rng):
            corrections.apply(patch)
    top, left, height, width = rng.integers((0, 0, 2, 2), (30, 40, 14, 14))
    region = (slice(top, min(top + height, SHAPE[0])), slice(left, min(left + width, SHAPE[1])))
    after = view.labels(region).astype(np.int64)
    ids = [0, 0, view.corrected.fresh_id(), *view.ids()[:4].tolist()]
    after[rng.random(after.shape) < 0.7] = rng.choice(ids)
    before = view.labels()
    if np.array_equal(after, before[region]):
        with pytest.raises(EditError):
            edits.painted(view, region, after)
        return
    expected = before.astype(np.int64)
    expected[region] = after
    # With a min_size of 0 nothing is too small to stay.
    assert np.array_equal(do(view, edits.painted(view, region, after)), expected)
    touched = np.unique(after[after != before[region]])
    assert set(touched[touched > 0].tolist()) <= set(corrections.owned_ids.tolist())


def test_painting_over_a_cell_leaves_the_rest_of_it_to_the_sliders() -> None:
    basins = np.zeros((20, 30), dtype=int)
    basins[5:15, 2:12], basins[5:15, 12:28] = 1, 2
    view = view_of(basins)
    corrections = view.corrected.corrections
    after = basins[5:15, 12:14] * 0 + 1
    labels = do(view, edits.painted(view, (slice(5, 15), slice(12, 14)), after))
    assert corrections.owned_ids.tolist() == [1]
    assert np.count_nonzero(labels == 1) == 120 and np.count_nonzero(labels == 2) == 140
    assert 2 not in view.corrected.ids(0.9) and 1 in view.corrected.ids(0.9)
    # Painted over by more than half its core it would be hidden; what the person left of it stays.
    labels = do(view, edits.painted(view, (slice(5, 15), slice(14, 22)), np.ones((10, 8), dtype=int)))
    assert np.count_nonzero(labels == 2) == 60 and corrections.owned_ids.tolist() == [1, 2]


def test_a_sliver_below_the_smallest_size_goes() -> None:
    basins = np.zeros((20, 30), dtype=int)
    basins[5:15, 12:22] = 2
    view = view_of(basins, min_size=25)
    labels = do(view, edits.painted(view, (slice(5, 15), slice(12, 20)), np.full((10, 8), 3)))
    assert set(np.unique(labels)) == {0, 3} and view.corrected.count(0.0, 25) == 1


def test_erasing_part_of_a_cell_makes_the_rest_the_persons() -> None:
    basins = np.zeros((20, 30), dtype=int)
    basins[5:15, 5:25] = 1
    view = view_of(basins)
    labels = do(view, edits.painted(view, (slice(5, 15), slice(20, 25)), np.zeros((10, 5), dtype=int)))
    assert np.count_nonzero(labels) == 150
    for threshold in (0.0, 0.9):
        assert np.array_equal(view.corrected.labels(threshold), labels)


def test_filling_a_cell_with_another_label_replaces_it() -> None:
    basins = discs([(30, 30)], 10)
    view = view_of(basins)
    labels = do(view, edits.painted(view, (slice(0, 64), slice(0, 96)), np.where(basins, 7, 0)))
    assert np.array_equal(labels, np.where(basins, 7, 0))
    corrections = view.corrected.corrections
    assert corrections.owned_ids.tolist() == [7] and corrections.n_erased == 0
    labels = do(view, edits.painted(view, (slice(0, 64), slice(0, 96)), np.where(basins, 9, 0)))
    assert corrections.owned_ids.tolist() == [9] and corrections.n_erased == 0 and view.corrected.count(0.1) == 1


def test_what_replaced_the_tip_of_a_cell_hides_the_rest_of_it() -> None:
    away = np.hypot(*(np.indices((64, 64)) - 32))
    probability = np.clip(1 - away / 30, 0, 1).astype(np.float32)
    corrected = CorrectedInstances(Instances(probability, (probability > 0.1).astype(int)), Corrections((64, 64)))
    view = CellView(corrected, 0.9, 0)
    tip = view.labels()
    labels = do(view, edits.painted(view, (slice(0, 64), slice(0, 64)), tip * 7))
    assert np.array_equal(labels, tip * 7) and np.count_nonzero(tip) < 0.1 * np.count_nonzero(probability > 0.5)
    assert all(np.array_equal(corrected.labels(threshold), labels) for threshold in (0.1, 0.5, 1.0))
    corrected.corrections.undo()
    do(view, edits.painted(view, (slice(0, 64), slice(0, 64)), tip * 0))
    assert not corrected.labels(0.1).any()


def test_painting_with_the_id_of_a_hidden_cell_makes_a_new_cell() -> None:
    basins = discs([(20, 20), (40, 70)], 8)
    probability = np.where(basins == 1, 0.9, np.where(basins == 2, 0.3, 0)).astype(np.float32)
    view = view_of(basins, probability)
    patch = edits.painted(view, (slice(50, 55), slice(20, 25)), np.full((5, 5), 2))
    assert patch.renamed == {2: 3}
    do(view, patch)
    assert view.corrected.corrections.renamed == {2: 3}
    assert view.corrected.ids(0.1).tolist() == [1, 2, 3]
    # And one that is far above all others would make every table as long.
    assert edits.painted(view, (slice(0, 5), slice(0, 5)), np.full((5, 5), 2_000_000)).renamed == {2_000_000: 4}


def test_an_erased_cell_stays_erased_and_can_be_drawn_again() -> None:
    basins = discs([(20, 20), (40, 70)], 8)
    view = view_of(basins)
    corrections = view.corrected.corrections
    assert not (do(view, edits.delete(view, 2)) == 2).any()
    assert corrections.n_erased == 1 and corrections.n_changed == 0 and view.corrected.count(0.0) == 1
    labels = do(view, edits.painted(view, (slice(36, 44), slice(66, 74)), np.full((8, 8), 2)))
    assert np.count_nonzero(labels == 2) == 64
    assert corrections.n_erased == 0 and corrections.how(2) == "drawn"


def test_accepted_cells_stay_as_they_were_shown() -> None:
    view = fresh_view(3)
    ids = view.ids()[:3]
    before = view.labels()
    assert np.array_equal(do(view, edits.accept(view, ids)), before)
    at_another = view.corrected.labels(0.9, 1000)
    assert np.array_equal(at_another, np.where(np.isin(before, ids), before, 0))
    with pytest.raises(EditError, match="yours already"):
        edits.accept(view, ids)


def test_merging_takes_the_largest_ones_id_and_bridges_a_gap_but_no_other_cell() -> None:
    basins = np.zeros((30, 60), dtype=int)
    basins[5:20, 2:15], basins[5:20, 18:40], basins[24:26, 2:40] = 1, 2, 3
    basins[10:12, 15:18] = 4
    view = view_of(basins)
    labels = do(view, edits.merge(view, [1, 2]))
    assert view.ids().tolist() == [2, 3, 4]
    assert (labels[basins == 1] == 2).all() and np.array_equal(labels == 4, basins == 4)
    assert np.array_equal(labels == 3, basins == 3)
    bridge = (labels == 2) & (basins == 0)
    assert 10 <= np.count_nonzero(bridge) <= 15 * 3
    assert (np.argwhere(bridge)[:, 1] >= 15).all() and (np.argwhere(bridge)[:, 1] < 18).all()
    assert view.corrected.corrections.how(2) == "merged" and 1 not in view.corrected.ids(0.0)
    with pytest.raises(EditError, match="2 or more"):
        edits.merge(view, [2])
    with pytest.raises(EditError, match="no cell 77"):
        edits.merge(view, [2, 77])


def test_holes_are_filled_where_nothing_else_is() -> None:
    basins = discs([(30, 40)], 15)
    basins[25:30, 35:40] = 0
    basins[30:35, 42:46] = 2
    view = view_of(basins)
    labels = do(view, edits.fill_holes(view, 1))
    assert (labels[25:30, 35:40] == 1).all() and (labels[30:35, 42:46] == 2).all()
    with pytest.raises(EditError, match="no hole"):
        edits.fill_holes(view, 1)


@pytest.mark.parametrize("angle", np.linspace(0, 170, 8))
def test_a_stroke_through_a_cell_cuts_it_there(angle: float) -> None:
    basins = discs([(32, 48)], 14)
    view = view_of(basins)
    direction = np.array([np.sin(np.radians(angle)), np.cos(np.radians(angle))])
    across = np.array([-direction[1], direction[0]])
    middle = np.array([32, 48]) + 4 * across
    labels = do(view, edits.split_by_stroke(view, [middle - 20 * direction, middle + 20 * direction]))
    assert np.array_equal(labels > 0, basins > 0) and view.ids().tolist() == [1, 2]
    side = ((np.indices(basins.shape).transpose(1, 2, 0) - middle) * across).sum(axis=2)
    inside = (basins > 0) & (np.abs(side) > 1.5)
    assert (labels[inside] == np.where(side[inside] > 0, 2, 1)).all()  # the larger part keeps the id
    assert all(ndi.label(labels == id_)[1] == 1 for id_ in (1, 2))
    assert view.corrected.corrections.how(2) == "split"


def test_a_stroke_that_ends_within_a_cell_is_carried_on() -> None:
    basins = np.zeros((40, 40), dtype=int)
    basins[5:35, 5:35] = 1
    view = view_of(basins)
    labels = do(view, edits.split_by_stroke(view, [(0, 20), (20, 20)]))
    assert np.array_equal(labels > 0, basins > 0) and view.ids().tolist() == [1, 2]
    left, right = labels[5:35, 5:17], labels[5:35, 24:35]
    assert len(np.unique(left)) == len(np.unique(right)) == 1 and left[0, 0] != right[0, 0]


def test_a_stroke_cuts_every_cell_that_it_crosses_and_only_those() -> None:
    basins = discs([(30, 20), (30, 50), (30, 80)], 9)
    view = view_of(basins)
    labels = do(view, edits.split_by_stroke(view, [(30, 5), (30, 35), (30, 64)]))
    assert view.ids().tolist() == [1, 2, 3, 4, 5]
    assert np.array_equal(labels == 3, basins == 3) and set(view.corrected.corrections.owned_ids) == {1, 2, 4, 5}
    for points in ([(30, 69), (30, 73)], [(2, 2), (2, 90)], [(30, 30)], [(-50, -9), (-3, -3)], [(np.nan, 1), (2, 2)]):
        with pytest.raises(EditError):
            edits.split_by_stroke(view, points)


@settings(max_examples=100)
@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_a_cut_makes_parts_of_the_cell_and_leaves_no_gap(seed: int, stroke: int) -> None:
    view = fresh_view(seed)
    before = view.labels()
    points = np.random.default_rng(stroke).uniform((-5, -5), np.array(SHAPE) + 5, (3, 2))
    try:
        labels = do(view, edits.split_by_stroke(view, points))
    except EditError:
        return
    assert np.array_equal(labels > 0, before > 0)
    pairs = np.unique(np.stack([before.ravel(), labels.ravel()]), axis=1)
    assert len(np.unique(pairs[1])) == pairs.shape[1]  # no part has pixels of two cells
    assert set(np.unique(before)) <= set(np.unique(labels))


def test_a_click_adds_the_cell_that_the_threshold_hides() -> None:
    probability, _distance, truth = disc_maps([(20, 20), (40, 70)], 8)
    basins = np.where(probability > 0.05, np.where(np.indices(truth.shape)[1] < 45, 1, 2), 0)
    probability[basins == 2] *= 0.4
    view = view_of(basins, probability)
    assert view.ids().tolist() == [1]
    labels = do(view, edits.add_at(view, 40, 70))
    mine = labels == 2
    assert np.count_nonzero(mine & (truth == 2)) / np.count_nonzero(mine | (truth == 2)) > 0.8
    assert view.corrected.corrections.how(2) == "added" and view.corrected.count(0.0) == 2
    with pytest.raises(EditError, match="there already"):
        edits.add_at(view, 40, 70)
    with pytest.raises(EditError, match="outside"):
        edits.add_at(view, 64, 3)


def test_a_click_on_nothing_adds_a_disc_of_the_median_size_beside_what_is_there() -> None:
    basins = discs([(20, 20), (40, 70)], 8)
    view = view_of(basins)
    labels = do(view, edits.add_at(view, 20, 32))
    new = labels == 3
    assert np.array_equal(labels[basins > 0], basins[basins > 0])
    assert 0.6 < np.count_nonzero(new) / np.count_nonzero(basins == 1) < 1.05
    full = np.ones((20, 20), dtype=int)
    full[10, 10] = 0
    with pytest.raises(EditError, match="no room"):
        edits.add_at(view_of(full), 10, 10)


def test_a_click_grows_a_cell_on_a_prediction_that_has_no_basin_there() -> None:
    basins = discs([(20, 20)], 8)
    probability = np.where(basins > 0, 0.9, 0).astype(np.float32)
    other = disc_maps([(40, 70)], 7)
    view = view_of(basins, probability)
    prediction = Prediction(np.maximum(probability, 0.3 * other[0]), None)
    labels = do(view, edits.add_at(view, 41, 69, prediction))
    new, truth = labels == 2, other[2] > 0
    assert np.count_nonzero(new & truth) / np.count_nonzero(new | truth) > 0.8


def test_released_cells_are_the_sliders_again_with_all_that_was_erased_of_them() -> None:
    view = fresh_view(3)
    before, corrections = view.labels(), view.corrected.corrections
    first, second, third, fourth = view.ids()[:4].tolist()
    do(view, edits.delete(view, first))
    do(view, edits.accept(view, second))
    box, mask = view.mask(third)
    half = view.labels(box)
    half[: max(1, half.shape[0] // 2)][mask[: max(1, half.shape[0] // 2)]] = 0
    do(view, edits.painted(view, box, half))
    assert corrections.n_changed + corrections.n_erased == 3
    labels = do(view, edits.release(view, [first, second, third]))
    assert np.array_equal(labels, before) and not corrections.claims().any()
    assert corrections.n_changed == corrections.n_erased == 0
    assert np.array_equal(view.corrected.labels(0.2, 9), view.corrected.instances.labels(0.2, 9))
    with pytest.raises(EditError, match="to release"):
        edits.release(view, fourth)


def test_parts_of_a_cell_are_released_together() -> None:
    basins = discs([(32, 48)], 14)
    view = view_of(basins)
    do(view, edits.split_by_stroke(view, [(10, 48), (60, 48)]))
    do(view, edits.split_by_stroke(view, [(32, 20), (32, 80)]))
    assert len(view.ids()) == 4
    assert np.array_equal(do(view, edits.release(view, [int(view.ids()[-1])])), basins)


def test_marks_are_a_step_of_their_own() -> None:
    view = fresh_view(3)
    corrections, labels = view.corrected.corrections, view.labels()
    assert np.array_equal(do(view, edits.mark_reviewed(view, (slice(2, 5), slice(3, 9)), True)), labels)
    assert corrections.marks().sum() == 18
    with pytest.raises(EditError, match="marked like that already"):
        edits.mark_reviewed(view, (slice(2, 5), slice(3, 9)), np.ones((3, 6), bool))
    with pytest.raises(EditError, match="shape"):
        edits.mark_reviewed(view, (slice(2, 5), slice(3, 9)), np.ones((6, 3), bool))
    corrections.undo()
    assert not corrections.marks().any()


def test_any_label_image_can_be_imported_and_wins() -> None:
    view = fresh_view(3)
    labels = np.zeros(SHAPE, dtype=np.uint16)
    labels[3:9, 4:12], labels[20:30, 20:30] = 1, 2
    shown = do(view, edits.import_labels(view, labels))
    corrections = view.corrected.corrections
    mine = np.where(np.isin(shown, corrections.owned_ids), shown, 0)
    assert np.array_equal(mine > 0, labels > 0) and corrections.n_changed == 2
    pairs = np.unique(np.stack([labels.ravel(), mine.ravel()]), axis=1)
    assert pairs.shape[1] == 3
    with pytest.raises(EditError, match="belongs to this image"):
        edits.import_labels(view, labels[:-1])
    again = np.where(np.isin(shown, corrections.owned_ids), shown, 0)
    with pytest.raises(EditError, match="already"):
        edits.import_labels(view, again)
    corrections.undo()
    assert corrections.n_changed == 0


def test_ids_of_an_import_stay_but_where_they_leave_a_wide_gap() -> None:
    view = view_of(discs([(20, 20), (20, 60)], 8))
    labels = np.zeros(view.shape, np.int64)
    labels[40:45, 5:10], labels[40:45, 20:25], labels[40:45, 40:45] = 300, 1_000_000_000, 20_000_000
    shown = do(view, edits.import_labels(view, labels))
    found = [int(shown[42, x]) for x in (7, 22, 42)]
    assert found[0] == 300 and sorted(found[1:]) == [301, 302] and view.corrected.top_id == 302
    assert np.array_equal(shown > 0, (labels > 0) | (view.corrected.instances.basins > 0))


@pytest.mark.parametrize(
    ("after", "message"),
    [(np.zeros((3, 3), int), "region is"), (np.full((2, 2), -1), "negative"), ([[0.5] * 2] * 2, "region")],
)
def test_labels_that_cannot_be_are_refused(after: np.ndarray, message: str) -> None:
    with pytest.raises(EditError, match=message):
        edits.painted(fresh_view(3), (slice(0, 2), slice(0, 2)), after)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9))
def test_runs_give_the_region_back(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    top, left = rng.integers(0, 5, 2).tolist()
    region = (slice(top, top + height), slice(left, left + width))
    array = rng.integers(-1, 2, (height, width)) * rng.integers(0, 2**31)
    runs = Runs.from_array(region, array)
    assert np.array_equal(runs.array(), array) and np.array_equal(runs.mask(), array != 0)
    again = Runs.from_list(runs.to_list(), (20, 20))
    assert again.region == region and np.array_equal(again.array(), array)
    for broken in (runs.to_list()[:-1], [*runs.to_list(), 0, 1], [*runs.to_list()[:-1], 0], [17, *runs.to_list()[1:]]):
        if broken != runs.to_list():
            with pytest.raises(ValueError, match=r".+"):
                Runs.from_list(broken, (min(20, 16 + height), 20))


@given(st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_pairs_are_those_of_the_pixels(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.array([-(2**31) + 1, -7, 0, 1, 2, 2**31 - 1])
    first, second = rng.choice(values, (2, n))
    pairs, counts = pairs_of(first, second)
    expected = Counter(zip(first.tolist(), second.tolist(), strict=True))
    assert dict(zip(map(tuple, pairs.T.tolist()), counts.tolist(), strict=True)) == expected
