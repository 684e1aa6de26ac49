"""Learning while correcting: what is taught spreads, what is not stays, the parent is never changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellseg.corrections import tools as edits
from napari_cellseg.corrections.claims import Corrections
from napari_cellseg.corrections.corrected import CorrectedInstances
from napari_cellseg.corrections.doubt import doubt
from napari_cellseg.corrections.view import CellView
from napari_cellseg.imaging.errors import CellsegError
from napari_cellseg.instances import Instances, Prediction
from napari_cellseg.network.features import Features, Level, features
from napari_cellseg.training.quick import (
    NothingToLearnError,
    QuickParams,
    advice,
    learn,
    mean_doubt,
    refit,
    what_changes,
)
from tests.models import make_model

SHAPE = (80, 120)
BRIGHT, DARK = slice(0, 3), slice(3, 6)  # cells that the parent knows, and cells of another look that it misses


def _truth() -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    labels = np.zeros(SHAPE, np.int32)
    for i, (cy, cx) in enumerate([(20, 20), (20, 60), (20, 100), (60, 20), (60, 60), (60, 100)], start=1):
        labels[np.hypot(y - cy, x - cx) < 9] = i
    return labels


def _features(seed: int = 0, parent: np.ndarray | None = None) -> tuple[Features, np.ndarray]:
    """Two telling features among noise; the parent goes by the first of them only."""
    rng, truth = np.random.default_rng(seed), _truth()
    bright, dark = np.isin(truth, (1, 2, 3)), np.isin(truth, (4, 5, 6))
    maps = rng.standard_normal((8, *SHAPE))
    maps[0] = 3 * bright + 0.3 * maps[0]
    maps[1] = 3 * dark + 0.3 * maps[1]
    maps = (maps - maps.mean(axis=(1, 2), keepdims=True)) / maps.std(axis=(1, 2), keepdims=True)
    coarse = rng.standard_normal((3, SHAPE[0] // 2, SHAPE[1] // 2))
    levels = (Level(maps.astype(np.float16), 1), Level(coarse.astype(np.float16), 2))
    probability = np.where(bright, 0.9, 0.1).astype(np.float32) if parent is None else parent
    found = Features(levels, np.zeros((11, 11)), Prediction(probability, None, "parent"))
    sample = found.at(np.arange(truth.size)).astype(np.float64)
    return Features(levels, sample.T @ sample / len(sample), found.prediction), truth


def _around(truth: np.ndarray, *ids: int) -> np.ndarray:
    """The boxes of some cells, with a margin of 4 pixels."""
    reviewed = np.zeros(truth.shape, bool)
    for id_ in ids:
        y, x = np.nonzero(truth == id_)
        reviewed[y.min() - 4 : y.max() + 5, x.min() - 4 : x.max() + 5] = True
    return reviewed


def test_cells_like_the_one_that_was_drawn_are_found() -> None:
    seen, truth = _features()
    before = seen.prediction.probability
    after = refit(seen, truth, _around(truth, 4), 3).prediction.probability
    for id_ in (5, 6):
        assert before[truth == id_].mean() < 0.2 < 0.5 < after[truth == id_].mean()
    # And what the parent was right about stays right.
    for id_ in (1, 2, 3):
        assert after[truth == id_].mean() > 0.8
    assert after[truth == 0].mean() < 0.3


def test_more_corrections_move_more() -> None:
    seen, truth = _features()
    far = [refit(seen, truth, _around(truth, 4), n).prediction.probability[truth == 6].mean() for n in (1, 3, 10, 30)]
    assert np.all(np.diff(far) > 0)


@given(seed=st.integers(0, 1000), pull=st.sampled_from([1e5, 1e6]))
@settings(max_examples=10)
def test_a_strong_pull_leaves_the_parents_answer(seed: int, pull: float) -> None:
    seen, truth = _features(seed)
    draft = refit(seen, truth, _around(truth, 4, 5), params=QuickParams(pull=pull))
    np.testing.assert_allclose(draft.prediction.probability, seen.prediction.probability, atol=0.02)


def test_agreeing_with_the_parent_changes_little() -> None:
    seen, truth = _features()
    after = refit(seen, np.where(truth <= 3, truth, 0), _around(truth, 1, 2)).prediction.probability
    assert np.array_equal(after > 0.5, seen.prediction.probability > 0.5)


def test_it_always_starts_from_the_parent_and_changes_nothing_it_was_given() -> None:
    seen, truth = _features()
    reviewed = _around(truth, 4)
    kept = [a.copy() for a in (truth, reviewed, seen.prediction.probability, *(level.maps for level in seen.levels))]
    one, other = refit(seen, truth, reviewed), refit(seen, truth, reviewed)
    np.testing.assert_array_equal(one.prediction.probability, other.prediction.probability)
    now = (truth, reviewed, seen.prediction.probability, *(level.maps for level in seen.levels))
    for was, is_ in zip(kept, now, strict=True):
        np.testing.assert_array_equal(was, is_)


def test_reviewed_background_alone_teaches_background() -> None:
    wrong = np.full(SHAPE, 0.7, np.float32)
    seen, truth = _features(parent=wrong)
    draft = refit(seen, truth, (truth == 0) & (np.arange(SHAPE[1]) < 60))
    assert draft.n_cells == 1
    assert draft.prediction.probability[truth == 0].mean() < 0.6


def test_broken_maps_give_no_broken_draft() -> None:
    probability = np.full(SHAPE, np.nan, np.float32)
    probability[:, :60] = 1.0
    seen, truth = _features(parent=probability)
    assert np.isfinite(refit(seen, truth, _around(truth, 4)).prediction.probability).all()


def test_nothing_reviewed_and_maps_of_another_shape_are_told() -> None:
    seen, truth = _features()
    with pytest.raises(NothingToLearnError, match="Correct or accept a cell first"):
        refit(seen, truth, np.zeros(SHAPE, bool))
    assert issubclass(NothingToLearnError, CellsegError)
    with pytest.raises(ValueError, match="shape"):
        refit(seen, truth[:-1], _around(truth, 4)[:-1])
    with pytest.raises(CellsegError, match="pull is 0"):
        QuickParams(pull=0)


def test_learning_reads_what_was_drawn_erased_and_marked() -> None:
    seen, truth = _features()
    instances = Instances.from_prediction(seen.prediction)
    cells = CorrectedInstances(instances, Corrections(SHAPE))
    with pytest.raises(NothingToLearnError):
        learn(seen, cells, 0.5, 5)
    view, region = CellView(cells, 0.5, 5), (slice(45, 75), slice(5, 35))
    after = view.labels(region).astype(np.int32)
    after[truth[region] == 4] = cells.fresh_id()
    cells.corrections.apply(edits.painted(view, region, after))
    one = learn(seen, cells, 0.5, 5)
    assert one.n_cells == 1 and "1 corrected or reviewed cell." in one.prediction.notes[-1]
    cells.corrections.apply(edits.delete(view, [view.at(20, 20)]))
    two = learn(seen, cells, 0.5, 5)
    assert two.n_cells == 2
    assert two.prediction.probability[truth == 1].mean() < one.prediction.probability[truth == 1].mean()
    marks = np.ones(SHAPE, np.uint8)
    cells.corrections.apply(edits.mark_reviewed(view, (slice(0, 80), slice(0, 120)), marks))
    assert learn(seen, cells, 0.5, 5).n_pixels == truth.size
    # What the person did is shown over the draft as over any prediction.
    shown = CorrectedInstances(Instances.from_prediction(two.prediction), cells.corrections).labels(0.5, 5)
    assert (shown[truth == 4] > 0).all() and not shown[truth == 1].any()


def test_a_real_model_in_one_piece(tmp_path: Path) -> None:
    model = make_model(tmp_path / "tiny")
    seen = features(np.random.default_rng(0).random(SHAPE, np.float32), model, "cpu")
    draft = refit(seen, _truth(), _around(_truth(), 1, 4))
    assert draft.prediction.shape == SHAPE and draft.prediction.model == model.name
    assert draft.prediction.distance is seen.prediction.distance
    truth, p, before = _truth(), draft.prediction.probability, seen.prediction.probability
    taught = _around(truth, 1, 4)

    def fits(probability: np.ndarray) -> float:
        return float(np.abs(probability - (truth > 0))[taught].mean())

    assert fits(p) < fits(before)


def test_what_changes_is_counted() -> None:
    truth = _truth()
    after = np.where(np.isin(truth, (1, 2, 3)), truth + 10, 0)
    after[10:20, 50:70][truth[10:20, 50:70] == 2] = 0  # half a cell: IoU of about .5
    after[75:79, 100:110] = 40
    changes = what_changes(truth, after)
    assert (changes.n_gained, changes.n_lost) in ((1, 3), (2, 4))
    assert str(changes).startswith(f"{changes.n_gained} new, {changes.n_lost} gone")
    assert (changes.pixels[75:79, 100:110] == 1).all() and (changes.pixels[truth == 5] == -1).all()
    nothing = what_changes(truth, np.where(truth > 0, truth + 3, 0))
    assert (nothing.n_gained, nothing.n_lost, nothing.n_reshaped) == (0, 0, 0) and not nothing.pixels.any()


@pytest.mark.parametrize(
    ("probability", "words"), [(0.56, "likely to help"), (0.999, "rarely"), (0.01, "likely to help")]
)
def test_advice_follows_the_doubt(probability: float, words: str) -> None:
    """A model that is strange to the image doubts its cells, or shows none."""
    rough = _truth() > 0
    rough &= (np.indices(SHAPE).sum(axis=0) % 7 > 1) | (probability > 0.9)
    prediction = Prediction(np.where(rough, probability, 0.001).astype(np.float32), None)
    found = doubt(Instances.from_prediction(prediction), prediction, None, 0.5, 5)
    assert words in advice(found)
    assert 0 <= mean_doubt(found) <= 1
