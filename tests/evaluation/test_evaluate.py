"""Evaluation: figures are those of what was reviewed, per image and per kind; the report shows the worst first."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_cellseg.cli.evaluating import evaluation_lines
from napari_cellseg.evaluation.evaluate import in_squares, score
from napari_cellseg.imaging.errors import DatasetError, ParamsError
from napari_cellseg.reports.metrics_report import outlined, write_report
from tests.segmented import segmented, squares

PLACES = [(5, 5), (5, 40), (30, 5), (30, 60)]


def perfect(sample, **options):
    """A prediction that is the truth."""
    return segmented(np.where(sample.labels > 0, 0.9, 0.02), sample.labels, sample.name, **options)


def test_the_truth_scores_one_and_half_of_it_half() -> None:
    good, half = squares(PLACES, name="good", kind="easy"), squares(PLACES, name="half", kind="hard")
    found = np.where(half.labels > 2, 0, half.labels)
    evaluation = score(
        [good, half], [perfect(good), segmented(np.where(found > 0, 0.9, 0.02), found, "half")], counting="cells"
    )
    metrics = evaluation.to_dict()
    assert metrics["easy"]["ap_mean_all"] == metrics["easy"]["iou"] == metrics["easy"]["pixels"]["auc"] == 1
    assert metrics["hard"]["ap_mean"]["0.50"] == 0.5 and metrics["hard"]["count_mae"] == 2
    assert metrics["hard"]["dice"] == pytest.approx(2 / 3) and metrics["all"]["iou"] == pytest.approx(0.75)
    assert metrics["all"]["pixels"]["confusion"] == {
        "background_found_background": 2 * 4400, "background_found_cell": 0, "cell_found_background": 200,
        "cell_found_cell": 600,
    }  # fmt: skip
    assert [s.name for s in evaluation.worst_first()] == ["half", "good"]
    assert [row["count"] for row in metrics["images"]] == [4, 2]
    assert json.loads(json.dumps([metrics, evaluation.curves()]))[1]["hard"]["roc"]["true_positive_rate"][-1] == 1


def test_what_nobody_reviewed_changes_nothing() -> None:
    sample = squares(PLACES)
    reviewed = np.zeros(sample.labels.shape, bool)
    reviewed[:, :30] = True
    spoiled = sample.labels.copy()
    spoiled[:, 30:] = 77
    found = [segmented(np.where(s > 0, 0.9, 0.02), s) for s in (sample.labels, np.where(reviewed, sample.labels, 0))]
    figures = [
        score([replace(sample, labels=labels, reviewed=reviewed)], [one]).to_dict()
        for labels in (sample.labels, spoiled)
        for one in found
    ]
    assert all(one == figures[0] for one in figures)
    assert figures[0]["all"]["n_true"] == figures[0]["all"]["n_pred"] == 2


def test_components_make_one_of_cells_that_touch() -> None:
    sample = squares([(5, 5), (5, 15), (30, 60)])
    one = perfect(sample)
    assert score([sample], [one]).to_dict()["all"]["n_pred"] == 3
    together = score([sample], [one], counting="components").to_dict()
    assert together["all"]["n_pred"] == 2 and together["counting"] == "components"
    assert together["all"]["pixels"]["f1"] == 1
    with pytest.raises(ParamsError, match="cells, components"):
        score([sample], [one], counting="dots")


def test_without_true_cells_an_error_has_no_share() -> None:
    sample = squares(PLACES)
    empty = replace(sample, labels=np.zeros_like(sample.labels))
    *_, line = evaluation_lines(score([empty], [perfect(sample)]))
    assert line.split()[10:13] == ["4.00", "–", "–"] and "%" not in line
    *_, line = evaluation_lines(score([sample], [perfect(sample)]))
    assert line.split()[10:13] == ["0.00", "0.0%", "0.0%"]


def test_squares_cover_the_image_once() -> None:
    rng = np.random.default_rng(0)
    sample = replace(squares(PLACES, shape=(70, 100)), image=rng.integers(0, 255, (70, 100, 3), dtype=np.uint8))
    sample = replace(sample, reviewed=rng.random((70, 100)) < 0.5)
    cut = in_squares([sample], 32)
    assert len(cut) == 6 and len({s.name for s in cut}) == 6
    for s in cut:
        y, x = map(int, re.search(r"_y(\d+)_x(\d+)$", s.name).groups())
        window = np.s_[y : y + 32, x : x + 32]
        for name in ("image", "labels", "reviewed"):
            np.testing.assert_array_equal(getattr(s, name), getattr(sample, name)[window])
    with pytest.raises(DatasetError, match="No image is 128 pixels"):
        in_squares([sample], 128)
    with pytest.raises(DatasetError, match="0 pixels"):
        in_squares([sample], 0)


def test_the_report_is_one_file_with_the_worst_first(tmp_path: Path) -> None:
    samples = [squares(PLACES, name="<b>good</b>", kind="easy"), squares(PLACES, name="bad", kind="hard")]
    nothing = segmented(np.full((60, 80), 0.02), np.zeros((60, 80), int), "bad")
    predicted = [perfect(samples[0]), nothing]
    text = write_report(tmp_path, score(samples, predicted), samples, predicted).read_text()
    assert text.count("data:image/jpeg") == 2
    assert text.index('id="i0"') < text.index("<b>bad</b>") < text.index('id="i1"')
    assert "<b>good</b>" not in text and "&lt;b&gt;good&lt;/b&gt;" in text
    assert not re.search(r"(src|href)=\"(?!data:|#)", text), "a report loads nothing"
    for words in ("ROC curve", "Confusion matrix", "Classification report", "Counts", "hard", "weighted avg"):
        assert words in text
    fewer = write_report(tmp_path, score(samples, predicted), samples, predicted, n_worst=1).read_text()
    assert fewer.count("data:image/jpeg") == 1 and "good" in fewer


def test_missed_and_false_cells_are_drawn_in_colours_of_their_own() -> None:
    sample = squares([(5, 5), (5, 40)], side=16)
    found = squares([(5, 5), (35, 60)], side=16).labels
    picture = outlined(sample, found, side=80)
    assert picture.shape == (60, 80, 3)
    colours = {tuple(picture[y, x]) for y, x in ((5, 5), (5, 40), (35, 60))}
    assert len(colours) == 3
    assert tuple(picture[13, 48]) not in colours, "only outlines are drawn"
    assert outlined(sample, found, side=240).shape == (180, 240, 3)
