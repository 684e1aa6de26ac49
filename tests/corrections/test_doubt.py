"""Doubt: odd cells before clean ones, a person's cells never, the walk ends, nothing is changed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellseg.corrections import tools as edits
from napari_cellseg.corrections.cell_parts import MISSED_PARTS, PARTS
from napari_cellseg.corrections.claims import Corrections
from napari_cellseg.corrections.corrected import CorrectedInstances
from napari_cellseg.corrections.doubt import REASONS, WEIGHTS_FILE, YOURS, Doubt, doubt
from napari_cellseg.corrections.view import CellView
from napari_cellseg.instances import Instances, Prediction, SplitParams, split
from napari_cellseg.instances.split import split_at
from tests.instances.maps import disc_maps, random_maps

ODD = 60  # column from which the odd cell lies, beside a grid of clean ones
SHAPE = (64, 120)


def _maps(odd: str) -> tuple[np.ndarray, np.ndarray]:
    """A grid of clean discs on the left and one more cell on the right, odd in one way."""
    grid = [(y, x) for y in (11.0, 32.0, 53.0) for x in (11.0, 32.0)]
    probability, distance, _ = disc_maps(grid, 8, SHAPE)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    if odd == "two":
        # Two discs so close that the dip between their centres is too shallow to part them.
        more, hill, _ = disc_maps([(32.0, 86.0), (32.0, 95.0)], 8, SHAPE)
        hill = np.maximum(hill, np.where(np.hypot(y - 32, x - 90.5) < 4, 0.9 * hill.max(), 0)).astype(np.float32)
    else:
        radius = {"large": 24, "small": 3}.get(odd, 8)
        _, hill, _ = disc_maps([(32.0, 90.0)], radius, SHAPE)
        # The border grows with the cell, or its size would also make it more or less sure.
        more = 1 / (1 + np.exp(8 / radius * (np.hypot(y - 32, x - 90) - radius)))
        if odd == "unsure":
            more = np.minimum(more, 0.62)
        if odd == "dent":
            bite = (np.abs(x - 90) < 2.5) & (y < 34)
            more = np.where(bite, 0.01, more)
    probability = np.where(x >= ODD, more, probability)
    distance = np.where(x >= ODD, hill, distance)
    return probability.astype(np.float32), distance.astype(np.float32)


def _doubt(prediction: Prediction, threshold: float = 0.5, min_size: int = 5) -> tuple[Instances, Doubt]:
    instances = Instances.from_prediction(prediction)
    return instances, doubt(instances, prediction, None, threshold, min_size)


@pytest.mark.parametrize(
    ("odd", "words"), [("unsure", "unsure"), ("dent", "dent"), ("large", "large"), ("small", "small"), ("two", "")]
)
def test_an_odd_cell_comes_first_and_the_reason_names_what_is_odd(odd: str, words: str) -> None:
    instances, found = _doubt(Prediction(*_maps(odd)))
    (cell,) = np.unique(instances.labels(0.5, 5)[:, ODD:])[1:]
    assert found.next() == found.order()[0] == cell
    assert found.score_of(cell) > 1.5 * np.max(found.score[found.ids != cell])
    if words:
        assert REASONS[words] in found.reason_of(cell)


def test_cells_that_are_alike_are_doubted_alike() -> None:
    _, found = _doubt(Prediction(*_maps("clean")))
    assert len(found.ids) == 7
    np.testing.assert_allclose(found.score, found.score.mean(), atol=0.03)


@given(seed=st.integers(0, 10**6), threshold=st.floats(0, 1), min_size=st.integers(0, 40), with_distance=st.booleans())
@settings(max_examples=40)
def test_every_shown_cell_is_walked_once_the_most_doubtful_first(
    seed: int, threshold: float, min_size: int, with_distance: bool
) -> None:
    probability, distance = random_maps(seed, (33, 45), 1.3)
    prediction = Prediction(probability, distance if with_distance else None)
    instances, found = _doubt(prediction, threshold, min_size)
    np.testing.assert_array_equal(found.ids, instances.ids(threshold, min_size))
    assert np.all((found.score >= 0) & (found.score <= 1))
    assert all(found.reason) and len(found.reason) == len(found.ids)
    assert set(found.parts) == set(PARTS) and all(np.isfinite(part).all() for part in found.parts.values())
    seen: list[int] = []
    while (id_ := found.next(seen)) is not None:
        seen.append(id_)
    np.testing.assert_array_equal(np.sort(seen), found.ids)
    assert np.all(np.diff([found.score_of(id_) for id_ in seen]) <= 0)
    assert not set(found.missed_ids.tolist()) & set(found.ids.tolist())
    assert np.all(np.diff(found.missed_score) <= 0)


def test_a_mirrored_image_is_doubted_the_same() -> None:
    probability, distance = random_maps(3, (60, 80), 2.5)
    (_, one), (_, other) = (
        _doubt(Prediction(np.ascontiguousarray(p), np.ascontiguousarray(d)), 0.55, 5)
        for p, d in ((probability, distance), (probability[:, ::-1], distance[:, ::-1]))
    )
    np.testing.assert_allclose(np.sort(one.score), np.sort(other.score), atol=1e-6)


def test_a_persons_cells_are_beyond_doubt_until_undone() -> None:
    prediction = Prediction(*_maps("unsure"))
    instances = Instances.from_prediction(prediction)
    cells = CorrectedInstances(instances, Corrections(instances.shape))
    before = doubt(cells, prediction, None, 0.5, 5)
    worst = before.order()[0]
    cells.corrections.apply(edits.accept(CellView(cells, 0.5, 5), [worst]))
    after = doubt(cells, prediction, None, 0.5, 5)
    assert after.score_of(worst) == 0 and after.reason_of(worst) == YOURS
    assert after.next() != worst
    seen: list[int] = []
    while (id_ := after.next(seen)) is not None:
        seen.append(id_)
    assert sorted([*seen, worst]) == after.ids.tolist()
    cells.corrections.undo()
    np.testing.assert_allclose(doubt(cells, prediction, None, 0.5, 5).score, before.score)


def test_a_faint_cell_is_offered_where_it_lies_until_it_is_shown_or_erased() -> None:
    probability, distance = _maps("clean")
    faint = probability.copy()
    faint[:, ODD:] *= np.float32(0.45)
    prediction = Prediction(faint, distance)
    instances = Instances.from_prediction(prediction)
    cells = CorrectedInstances(instances, Corrections(instances.shape))
    found = doubt(cells, prediction, None, 0.5, 5)
    assert len(found.ids) == 6 and len(found.missed_ids) == 1
    np.testing.assert_allclose(found.missed_yx, [[32, 90]], atol=1)
    lower = doubt(cells, prediction, None, 0.3, 5)
    assert len(lower.missed_ids) == 0 and found.missed_ids[0] in lower.ids
    cells.corrections.apply(edits.delete(CellView(cells, 0.3, 5), [int(found.missed_ids[0])]))
    assert len(doubt(cells, prediction, None, 0.5, 5).missed_ids) == 0


@pytest.mark.parametrize("probability", [np.zeros((20, 30)), np.full((20, 30), np.nan), np.ones((1, 1))])
def test_images_without_cells_or_with_one_that_fills_them(probability: np.ndarray) -> None:
    instances, found = _doubt(Prediction(probability.astype(np.float32), None), 0.5, 2)
    assert len(found.ids) == instances.count(0.5, 2) == 0
    assert found.next() is None and found.order().tolist() == []
    np.testing.assert_array_equal(found.column(np.array([1, 2])), [np.nan, np.nan])
    assert np.isnan(found.score_of(7)) and found.reason_of(7) == ""


def test_a_column_follows_the_ids_asked_for() -> None:
    _, found = _doubt(Prediction(*_maps("large")))
    asked = np.array([found.ids[2], 9999, found.ids[0]])
    np.testing.assert_array_equal(found.column(asked), [found.score[2], np.nan, found.score[0]])


def test_maps_of_another_image_are_refused() -> None:
    instances = Instances.from_prediction(Prediction(*_maps("clean")))
    with pytest.raises(ValueError, match="shape"):
        doubt(instances, Prediction(np.zeros((5, 5), np.float32), None))


def test_the_weights_say_how_they_were_fitted() -> None:
    values = json.loads(WEIGHTS_FILE.read_text(encoding="utf-8"))
    assert "fit_doubt" in values["fitted"]["command"] and "none of those held out" in values["fitted"]["on"]
    assert set(values["cells"]["parts"]) == set(PARTS) == set(REASONS)
    assert set(values["missed"]["parts"]) == set(MISSED_PARTS)
    # Every part but the image's edge can only speak against a cell: a reason must make sense.
    assert all(part["weight"] >= 0 for name, part in values["cells"]["parts"].items() if name != "edge")


@given(seed=st.integers(0, 10**6), with_distance=st.booleans())
@settings(max_examples=25)
def test_splitting_for_several_prominences_equals_splitting_for_each(seed: int, with_distance: bool) -> None:
    probability, distance = random_maps(seed, (31, 47), 1.5)
    steps = (0.0, 0.02, 0.1, 0.5)
    together = split_at(probability, distance if with_distance else None, SplitParams(), steps)
    for prominence, basins in zip(steps, together, strict=True):
        alone = split(probability, distance if with_distance else None, SplitParams(prominence=prominence))
        np.testing.assert_array_equal(basins, alone)
