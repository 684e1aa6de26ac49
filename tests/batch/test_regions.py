"""Regions: batch, Python and window count the same cells in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_cellseg import segment
from napari_cellseg.cli import main
from napari_cellseg.corrections import CorrectedInstances, Corrections
from napari_cellseg.imaging.progress import drain
from napari_cellseg.imaging.read.read import find_images
from napari_cellseg.instances.area_files import read_areas, write_outlines
from napari_cellseg.results.counts import COUNTS_FILE
from napari_cellseg.results.ledger import Ledger
from napari_cellseg.results.save_cells import command_line, save_cells
from napari_cellseg.results.save_corrected import save_into_batch
from napari_cellseg.segmentation.cells import Cells
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.segmentation.segment import iter_predict_image, open_image
from tests.blobs import blobs
from tests.tables import rows_of

LEFT = np.array([(0, 0), (0, 40), (900, 40), (900, 0)], float)
FAR = np.add(LEFT, (5000, 0))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two images with regions beside them, and one without."""
    (tmp_path / "in").mkdir()
    for i in range(3):
        about = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        tifffile.imwrite(tmp_path / "in" / f"{i}.tif", blobs(i).image, ome=True, metadata=about)
    write_outlines(tmp_path / "in" / "0_regions.geojson", [("left", [LEFT]), ("far", [FAR])])
    labels = np.zeros(blobs(1).image.shape, np.uint8)
    labels[:, 30:] = 4
    tifffile.imwrite(tmp_path / "in" / "1_regions.tif", labels)
    return tmp_path / "in"


def run(images: Path, out: Path, model: str, *words: str) -> int:
    return main(["segment", str(images), "--out", str(out), "--model", model, "--cells", "--device", "cpu", *words])


def test_regions_beside_images_are_counted(images: Path, model: str, tmp_path: Path) -> None:
    assert len(find_images(images)) == 3
    out = tmp_path / "out"
    assert run(images, out, model, "--regions", "beside", "--positive", "0>130") == 0
    cells, rows, counts = (rows_of(out / name) for name in ("cells.csv", "regions.csv", COUNTS_FILE))
    assert [(row["image"], row["region"]) for row in rows] == [("0.tif", "left"), ("0.tif", "far"), ("1.tif", "4")]
    for row in rows:
        own = [one for one in cells if one["image"] == row["image"] and one["region"] == row["region"]]
        assert int(row["count"]) == len(own)
        assert int(row["n_0_pos"]) == sum(one["0_pos"] == "True" for one in own)
        alone = segment(images / row["image"], model=model, regions="beside", device="cpu")
        assert alone.regions is not None
        place = alone.regions["region"].tolist().index(row["region"])
        assert alone.regions["count"][place] == len(own)
        if row["region"] != "far":
            assert len(own) > 0 and float(row["area_mm2"]) == pytest.approx(int(row["area_px"]) * 0.25e-6)
            assert float(row["cells_per_mm2"]) == pytest.approx(len(own) / float(row["area_mm2"]))
    assert rows[1]["count"] == rows[1]["area_px"] == "0" and rows[1]["cells_per_mm2"] == ""
    assert "far lies outside" in counts[0]["notes"] and not counts[1]["notes"] and "No regions" in counts[2]["notes"]
    assert {one["region"] for one in cells if one["image"] == "2.tif"} == {""}
    assert all(
        (float(one["centroid_x"]) < 39.5) == (one["region"] == "left") for one in cells if one["image"] == "0.tif"
    )


def test_one_set_goes_for_all_and_resume_sees_other_regions(images: Path, model: str, tmp_path: Path) -> None:
    out, path = tmp_path / "out", tmp_path / "set.geojson"

    def counts(*words: str) -> list[tuple[str, str]]:
        assert run(images, out, model, *words, "--resume") == 0
        return [(row["region"], row["count"]) for row in rows_of(out / "regions.csv")]

    write_outlines(path, [("left", [LEFT])])
    first = counts("--regions", str(path))
    stamps = {file: file.stat().st_mtime_ns for file in out.glob("*_labels.tif")}
    assert len(first) == 3 and counts("--regions", str(path)) == first
    assert stamps == {file: file.stat().st_mtime_ns for file in out.glob("*_labels.tif")}
    write_outlines(path, [("right", [np.add(LEFT, (0, 30))])])
    assert [name for name, _ in counts("--regions", str(path))] == ["right"] * 3


def test_the_window_saves_what_the_command_line_counts(
    images: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = drain(iter_predict_image(open_image(images / "0.tif"), Recipe(model), "cpu"))
    found = found.in_areas(read_areas(images / "0_regions.geojson", found.instances.shape))
    corrected = CorrectedInstances(found.instances, Corrections(found.instances.shape))
    cells = Cells(found, found.threshold, found.min_size, corrected)
    assert "--regions beside" in command_line(cells)
    for threshold in (0.3, 0.5, 0.7):
        moved = replace(cells, threshold=threshold)
        live, measured = moved.counted_in_areas(), moved.result()
        assert live is not None and live["count"].tolist() == [
            np.count_nonzero(measured.table["region"] == name) for name in ("left", "far")
        ]
    save_cells(cells, tmp_path / "window", "0")
    assert run(images / "0.tif", tmp_path / "out", model, "--regions", "beside") == 0
    for name in ("regions.csv", "0_labels.tif"):
        assert (tmp_path / "window" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    # A row of a batch that is corrected in a window which knows no regions is counted as the batch did.
    row = next(row for row in Ledger(tmp_path / "out").rows() if row.image == "0.tif")
    plain = replace(cells, segmented=found.in_areas(None))
    save_into_batch(plain, tmp_path / "out", row, Recipe(model).resolved())
    assert (tmp_path / "window" / "regions.csv").read_bytes() == (tmp_path / "out" / "regions.csv").read_bytes()


def test_blocks_count_in_regions_and_bad_regions_are_refused(images: Path, model: str, tmp_path: Path) -> None:
    for name, more in (("one", []), ("b", ["--blocks"])):
        assert run(images, tmp_path / name, model, "--regions", "beside", *more) == 0
    assert (tmp_path / "one" / "regions.csv").read_bytes() == (tmp_path / "b" / "regions.csv").read_bytes()
    notes = [[row["notes"] for row in rows_of(tmp_path / name / COUNTS_FILE)] for name in ("one", "b")]
    assert notes[0] == notes[1] and "No regions" in notes[0][2]
    assert run(images, tmp_path / "no", model, "--regions", str(tmp_path / "none.zip")) == 1
    assert run(images, tmp_path / "no", model, "--regions", "beside", "--pages", "stack", "--link", "z") == 1
    assert not (tmp_path / "no").exists()
    (images / "0_regions.geojson").write_text("{}")
    run(images, tmp_path / "out", model, "--regions", "beside")
    states = {row["image"]: row["error"] for row in rows_of(tmp_path / "out" / COUNTS_FILE)}
    assert "regions" in states["0.tif"] and not states["1.tif"]
