"""The measure of the doubt: perfect, useless and reversed orders get the figures they must; the command writes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_cellseg.cli import main
from napari_cellseg.evaluation.doubt_order import (
    REVIEW_FILE,
    ImageReview,
    best_overlap,
    lost_cells,
    review_table,
    summarize_review,
)
from napari_cellseg.imaging.write.write import write_labels
from napari_cellseg.results.origin import is_ours

NONE = np.zeros(0)


def _reviews(order: str, n: int = 400) -> list[ImageReview]:
    rng = np.random.default_rng(0)
    best = rng.choice([0.2, 0.6, 0.9], n, p=[0.1, 0.2, 0.7])
    score = {"perfect": 1 - best, "reversed": best, "useless": np.full(n, 0.5)}[order]
    parts = np.array_split(np.arange(n), 4)
    return [
        ImageReview(str(i), "odd" if i % 2 else "even", score[p], best[p], NONE, NONE.astype(bool), 0)
        for i, p in enumerate(parts)
    ]


def test_a_perfect_order_finds_all_that_can_be_found() -> None:
    for figures in summarize_review(_reviews("perfect")).values():
        for iou in ("iou_0.5", "iou_0.7"):
            f = figures[iou]
            assert f["by_doubt"] == f["at_best"] == min(f["wrong"], 100)
            assert f["auc"] == 1.0
        assert figures["iou_0.5"]["part_found"] == 1.0


def test_a_useless_order_is_a_coin_and_a_reversed_one_worse() -> None:
    useless, reversed_ = (summarize_review(_reviews(o))["all"]["iou_0.5"] for o in ("useless", "reversed"))
    assert useless["auc"] == 0.5 and reversed_["auc"] == 0.0
    assert abs(useless["by_doubt"] - useless["any_order"]) < 10
    assert reversed_["by_doubt"] == 0 < useless["any_order"] == pytest.approx(useless["wrong"] * 100 / 400)


def test_kinds_add_up_and_no_errors_or_cells_are_no_problem() -> None:
    summary = summarize_review(_reviews("perfect"))
    for name in ("cells", "images"):
        assert summary["all"][name] == summary["odd"][name] + summary["even"][name]
    empty = summarize_review([ImageReview("a", "", NONE, NONE, NONE, NONE.astype(bool), 0)])
    assert empty["all"]["iou_0.5"]["auc"] is None
    json.dumps(empty)
    assert "| all (1) |" in review_table(empty)


def test_overlap_of_every_cell_and_what_is_lost() -> None:
    truth = np.zeros((12, 30), np.int32)
    truth[2:10, 2:10], truth[2:10, 12:20], truth[2:10, 22:30] = 3, 5, 9
    labels = np.zeros_like(truth)
    labels[2:10, 2:10], labels[2:10, 12:15] = 1, 4
    of_true, of_predicted = best_overlap(truth, labels)
    np.testing.assert_allclose(of_true, [1, 3 / 8, 0])
    np.testing.assert_allclose(of_predicted, [1, 3 / 8])
    assert set(np.unique(lost_cells(truth, labels))) == {0, 5, 9}


def test_the_command_writes_the_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    y, x = np.mgrid[:96, :128]
    truth = np.zeros((96, 128), np.int32)
    for i, (cy, cx) in enumerate([(20, 20), (20, 60), (50, 40), (70, 90), (40, 100)], start=1):
        truth[np.hypot(y - cy, x - cx) < 9] = i
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    image = (truth > 0) * 150 + np.random.default_rng(0).integers(0, 20, truth.shape)
    write_labels(tmp_path / "images" / "a.tif", image.astype(np.uint16))
    write_labels(tmp_path / "labels" / "a.tif", truth.astype(np.uint16))
    out = tmp_path / "out"
    assert main(["evaluate", str(tmp_path), "--device", "cpu", "--out", str(out), "--doubt"]) == 0
    figures = json.loads((out / REVIEW_FILE).read_text())["all"]
    assert figures["images"] == 1 and figures["cells"] >= 1
    assert all(is_ours(path) for path in out.iterdir()), "so that the next evaluation replaces them"
    assert "first 100: by doubt" in capsys.readouterr().out
