"""Filters: Python, window, command line, batch and blocks count the same cells, and write equal bytes."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_cellseg import segment
from napari_cellseg.cli import main
from napari_cellseg.corrections import CorrectedInstances, Corrections
from napari_cellseg.imaging.errors import ParamsError
from napari_cellseg.imaging.progress import drain
from napari_cellseg.imaging.write.write import read_labels
from napari_cellseg.instances.filters import Filters
from napari_cellseg.results.counts import COUNTS_FILE
from napari_cellseg.results.save_cells import command_line, save_cells
from napari_cellseg.segmentation.cells import Cells
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.segmentation.segment import iter_predict_image, open_image
from tests.blobs import blobs
from tests.tables import rows_of

FILTERS = ["area<=400", "circularity>=0.3", "intensity>=60", "solidity>=0.5"]
WORDS = [word for one in FILTERS for word in ("--filters", one)] + ["--edges", "frame"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for i in range(2):
        tifffile.imwrite(tmp_path / "in" / f"{i}.tif", blobs(i).image)
    return tmp_path / "in"


def test_a_folder_counts_what_passes_and_python_says_the_same(images: Path, model: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["segment", str(images), "--out", str(out), "--model", model, "--cells", *WORDS]) == 0
    cells = rows_of(out / "cells.csv")
    for row in rows_of(out / COUNTS_FILE):
        own = [cell for cell in cells if cell["image"] == row["image"]]
        alone = segment(images / row["image"], model=model, filters=FILTERS, edges="frame", device="cpu")
        every = segment(images / row["image"], model=model, device="cpu")
        assert int(row["count"]) == len(own) == alone.count < every.count
        kept = every.table
        np.testing.assert_array_equal(read_labels(out / f"{row['image'][:-4]}_labels.tif"), alone.labels)
        height, width = alone.labels.shape
        for cell in own:
            assert float(cell["area_px"]) <= 400 and float(cell["circularity"]) >= 0.3
            assert float(cell["mean_intensity"]) >= 60
            assert int(cell["bbox_bottom"]) < height and int(cell["bbox_right"]) < width
        assert set(alone.table["index"].tolist()) < set(kept["index"].tolist())


def test_window_and_command_line_write_equal_bytes(
    images: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Recipe.from_dict({"filters": FILTERS, "edges": "frame"}).sieve
    found = drain(iter_predict_image(open_image(images / "0.tif"), Recipe(model), "cpu"))
    corrected = CorrectedInstances(found.instances, Corrections(found.instances.shape))
    cells = Cells(found, found.threshold, found.min_size, corrected).filtered(asked)
    save_cells(cells, tmp_path / "window", "0")
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(command_line(cells))[1:]) == 0
    window, batch = (tmp_path / folder / "0_labels.tif" for folder in ("window", "results"))
    assert window.read_bytes() == batch.read_bytes()
    rows = [rows_of(tmp_path / folder / COUNTS_FILE)[0] | {"seconds": ""} for folder in ("window", "results")]
    assert rows[0] == rows[1] and int(rows[0]["count"]) == cells.count()
    # A recipe that filters is another one, and one that does not has the digest that it always had.
    plain = replace(cells, corrected=corrected, segmented=found)
    assert cells.recipe.digest() != plain.recipe.digest() and cells.filtered(Filters()).recipe == plain.recipe


def test_blocks_count_the_cells_of_the_whole(images: Path, model: str, tmp_path: Path) -> None:
    words = ["segment", str(images / "0.tif"), "--model", model, *WORDS, "--diameter", "0"]
    assert (
        main([*words, "--out", str(tmp_path / "whole")])
        == main([*words, "--out", str(tmp_path / "b"), "--blocks"])
        == 0
    )
    whole, blocks = (rows_of(tmp_path / folder / COUNTS_FILE)[0] for folder in ("whole", "b"))
    assert whole["count"] == blocks["count"] and blocks["mean_area_px"] == whole["mean_area_px"]


def test_linked_cells_and_bad_filters_are_refused_in_words(images: Path, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="filtered in single planes"):
        Recipe(pages="stack", link="z", edges="frame")
    for words in (["--filters", "area>=3"], ["--filters", "round"], ["--filters", "area<=3", "--filters", "area<=4"]):
        assert main(["segment", str(images), "--out", str(tmp_path / "out"), *words]) == 1
    assert not (tmp_path / "out").exists()
