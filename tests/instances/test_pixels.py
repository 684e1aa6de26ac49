"""Pixel figures from a histogram are those of scikit-learn from the pixels themselves."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics

from napari_cellseg.instances import foreground_scores
from napari_cellseg.instances.pixels import PixelCounts


def maps(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, probability that tells it fairly well with much of it near 0 and 1, and labels."""
    rng = np.random.default_rng(seed)
    true = np.where(rng.random((60, 70)) < 0.3, 5, 0)
    odds = np.where(true > 0, 5, -6) + rng.normal(0, 4, true.shape)
    probability = (1 / (1 + np.exp(-odds))).astype(np.float32)
    return true, probability, np.where(probability >= 0.6, 2, 0)


def test_scores_are_those_of_scikit_learn() -> None:
    true, probability, labels = maps(0)
    counts = PixelCounts.from_maps(true, probability, labels)
    t, p, found = true.ravel() > 0, probability.ravel(), labels.ravel() > 0
    scores = counts.scores()
    assert scores["f1"] == pytest.approx(metrics.f1_score(t, found))
    assert scores["f1_weighted"] == pytest.approx(metrics.f1_score(t, found, average="weighted"))
    assert scores["precision"] == pytest.approx(metrics.precision_score(t, found))
    assert scores["recall"] == pytest.approx(metrics.recall_score(t, found))
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(t, found))
    assert scores["auc"] == pytest.approx(metrics.roc_auc_score(t, p), abs=1e-5)
    assert {k: scores[k] for k in ("dice", "iou")} == pytest.approx(foreground_scores(true, labels))
    assert counts.confusion.tolist() == metrics.confusion_matrix(t, found).tolist()
    ours, theirs = counts.classification_report(), metrics.classification_report(t, found, output_dict=True)
    for mine, name in (("background", "False"), ("cell", "True"), ("weighted avg", "weighted avg")):
        assert ours[mine] == pytest.approx(theirs[name])
    assert json.loads(json.dumps(scores)) == scores


def test_both_ends_of_the_probability_are_resolved() -> None:
    """Where 99.9 % of the background lies below 1e-4 an even grid of probabilities would see ties."""
    rng = np.random.default_rng(1)
    true = np.repeat([0, 1], 20_000).reshape(200, 200)
    probability = 10 ** np.where(true, rng.normal(-4, 0.3, true.shape), rng.normal(-5, 0.3, true.shape))
    exact = metrics.roc_auc_score(true.ravel(), probability.ravel())
    assert PixelCounts.from_maps(true, probability, true).auc() == pytest.approx(exact, abs=1e-4)
    assert PixelCounts.from_maps(true, 1 - probability, true).auc() == pytest.approx(1 - exact, abs=1e-4)


def test_a_sum_is_the_figure_of_all_pixels() -> None:
    parts = [maps(seed) for seed in range(3)]
    together = [np.concatenate([part[i] for part in parts]) for i in range(3)]
    total = PixelCounts.from_maps(*parts[0]) + PixelCounts.from_maps(*parts[1]) + PixelCounts.from_maps(*parts[2])
    assert total.scores() == PixelCounts.from_maps(*together).scores()
    assert total.n_pixels == 3 * 60 * 70


def test_only_reviewed_pixels_count() -> None:
    true, probability, labels = maps(2)
    reviewed = np.zeros(true.shape, bool)
    reviewed[:30] = True
    spoiled = np.where(reviewed, true, 1 - np.minimum(true, 1))
    inside = PixelCounts.from_maps(spoiled, probability, labels, reviewed)
    assert inside.scores() == PixelCounts.from_maps(true[:30], probability[:30], labels[:30]).scores()


def test_reliability() -> None:
    """A probability that means what it says lies on the diagonal; one that boasts does not."""
    rng = np.random.default_rng(3)
    probability = rng.random((400, 400))
    true = rng.random(probability.shape) < probability
    honest = PixelCounts.from_maps(true, probability, true)
    curve = honest.reliability(10)
    np.testing.assert_allclose(curve["share"], curve["probability"], atol=0.02)
    assert sum(curve["pixels"]) == probability.size and honest.calibration_error() < 0.01
    boasting = PixelCounts.from_maps(true, probability**4, true)
    assert boasting.calibration_error() > 0.2


def test_images_of_one_class_have_no_curve() -> None:
    nothing = np.zeros((5, 6), np.int32)
    counts = PixelCounts.from_maps(nothing, np.full((5, 6), 0.2), nothing)
    scores = counts.scores()
    assert scores["auc"] is None and scores["f1"] == scores["iou"] == scores["f1_weighted"] == 1
    assert len(counts.roc()[0]) == 0
    strange = PixelCounts.from_maps(nothing, np.array([[np.nan, 0, 1, -1, 2, 0.5]] * 5), nothing)
    assert strange.n_pixels == 30
    with pytest.raises(ValueError, match="one image"):
        PixelCounts.from_maps(nothing, np.zeros((6, 5)), nothing)
