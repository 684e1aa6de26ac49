from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.instances import IOU_THRESHOLDS, foreground_scores, iou_matrix, match, summarize
from tests.instances.maps import random_labels


def _iou_by_hand(true: np.ndarray, pred: np.ndarray) -> np.ndarray:
    ids_true, ids_pred = (np.unique(labels[labels > 0]) for labels in (true, pred))
    iou = np.zeros((len(ids_true), len(ids_pred)))
    for (i, a), (j, b) in itertools.product(enumerate(ids_true), enumerate(ids_pred)):
        iou[i, j] = np.sum((true == a) & (pred == b)) / np.sum((true == a) | (pred == b))
    return iou


def _largest_matching(allowed: np.ndarray) -> int:
    """Largest number of pairs, by trying every choice."""
    if not len(allowed):
        return 0
    best = _largest_matching(allowed[1:])
    for j in np.flatnonzero(allowed[0]):
        rest = allowed[1:].copy()
        rest[:, j] = False
        best = max(best, 1 + _largest_matching(rest))
    return best


@given(random_labels())
def test_agrees_with_brute_force(pair: tuple[np.ndarray, np.ndarray]) -> None:
    true, pred = pair
    by_hand = _iou_by_hand(true, pred)
    np.testing.assert_allclose(iou_matrix(true, pred).toarray(), by_hand)
    levels = (0.1, 0.3, 0.5, 0.55, 0.75, 0.95, 1.0)
    result = match(true, pred, levels)
    assert result.tp.tolist() == [_largest_matching(by_hand >= t) for t in levels]
    assert np.array_equal(result.tp + result.fp, np.full(len(levels), by_hand.shape[1]))
    assert np.array_equal(result.tp + result.fn, np.full(len(levels), by_hand.shape[0]))


@given(random_labels(), st.integers(0, 1000))
def test_relabelled_truth_scores_one(pair: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    true, _ = pair
    names = np.random.default_rng(seed).permutation(np.arange(1, 100))
    renamed = np.where(true > 0, names[true - 1], 0)
    result = match(true, renamed)
    for figure in (result.ap, result.f1, result.precision, result.recall):
        assert np.all(figure == 1)
    assert foreground_scores(true, renamed) == {"dice": 1.0, "iou": 1.0}


@given(random_labels())
def test_swapping_truth_and_prediction_swaps_precision_and_recall(pair: tuple[np.ndarray, np.ndarray]) -> None:
    there, back = match(*pair), match(*pair[::-1])
    assert np.array_equal(there.tp, back.tp)
    assert np.array_equal(there.ap, back.ap)
    assert np.array_equal(there.fp, back.fn)
    assert np.all(np.diff(there.tp) <= 0)


def test_a_cell_cut_in_half_matches_once_at_exactly_one_half() -> None:
    true = np.ones((2, 4), dtype=np.uint8)
    pred = np.array([[1, 1, 2, 2]] * 2)
    result = match(true, pred, (0.5, 0.55))
    assert result.tp.tolist() == [1, 0]
    assert result.ap.tolist() == [0.5, 0.0]
    assert result.precision.tolist() == [0.5, 0.0]
    assert result.recall.tolist() == [1.0, 0.0]
    assert result.f1[0] == pytest.approx(2 / 3)


def test_thresholds_are_reached_exactly() -> None:
    true = np.zeros(20, dtype=np.int32)
    for shared in range(10, 20):
        true[:], pred = 1, np.zeros(20, dtype=np.int32)
        pred[:shared] = 1
        assert match(true, pred).tp.sum() == shared - 9, f"IoU of {shared}/20"


def test_empty_images() -> None:
    nothing, one = np.zeros((3, 3), dtype=np.int32), np.eye(3, dtype=np.int32)
    assert np.all(match(nothing, nothing).ap == 1)
    assert np.all(match(nothing, one).ap == 0)
    assert np.all(match(one, nothing).ap == 0)
    assert foreground_scores(nothing, nothing) == {"dice": 1.0, "iou": 1.0}
    assert foreground_scores(one, nothing) == {"dice": 0.0, "iou": 0.0}
    assert np.all(match(np.zeros((0, 3), np.int32), np.zeros((0, 3), np.int32)).ap == 1)


def test_large_and_sparse_ids() -> None:
    true = np.array([[2_000_000_000, 0, 7]], dtype=np.int64)
    assert np.all(match(true, np.array([[1, 0, 2]])).ap == 1)
    assert np.all(match(true[:, :1], true[:, :1]).ap == 1)


def test_foreground_scores_on_a_known_pair() -> None:
    true, pred = np.array([[1, 1, 0, 0]]), np.array([[0, 5, 5, 0]])
    assert foreground_scores(true, pred) == {"dice": 0.5, "iou": pytest.approx(1 / 3)}


def test_mean_over_images_and_pooled_differ_and_are_both_given() -> None:
    many = np.arange(1, 11)[None]
    few = np.array([[1] + [0] * 9])
    summary = summarize([match(many, many), match(few, np.zeros_like(few)), match(0 * few, few)])
    assert summary["ap_mean"]["0.50"] == pytest.approx(1 / 3)
    assert summary["ap_pooled"]["0.95"] == pytest.approx(10 / 12)
    assert summary["ap_mean_all"] == pytest.approx(1 / 3)
    assert summary["f1_pooled"] == pytest.approx(20 / 22)
    assert list(summary["ap_mean"]) == [f"{t:.2f}" for t in IOU_THRESHOLDS]
    assert (summary["n_images"], summary["n_true"], summary["n_pred"]) == (3, 11, 11)
    assert summary["count_mae"] == pytest.approx(2 / 3)
    assert summary["count_mape"] == pytest.approx(0.5)
    assert summary["count_bias"] == pytest.approx(-0.5)
    assert json.loads(json.dumps(summary)) == summary


def test_count_errors_are_unknown_without_true_cells() -> None:
    nothing = np.zeros((2, 2), dtype=np.int32)
    summary = summarize([match(nothing, nothing)])
    assert summary["count_mape"] is None
    assert summary["count_bias"] is None


def test_what_clashes_is_refused() -> None:
    labels = np.zeros((3, 4), dtype=np.int32)
    for function in (match, iou_matrix, foreground_scores):
        with pytest.raises(ValueError, match=r"\(4, 3\)"):
            function(labels, labels.T)
    with pytest.raises(ValueError, match="float"):
        match(labels, labels.astype(float))
    with pytest.raises(ValueError, match="negative"):
        match(labels, labels - 1)
    with pytest.raises(ValueError, match="IoU thresholds"):
        match(labels, labels, [0])
    with pytest.raises(ValueError, match="No images"):
        summarize([])
    with pytest.raises(ValueError, match="different"):
        summarize([match(labels, labels), match(labels, labels, [0.5])])
