"""Results of a part of an image: positions in the whole image stand beside those in the part."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import roifile
from scipy import ndimage

from napari_cellseg.corrections.claims import Corrections
from napari_cellseg.corrections.corrected import CorrectedInstances
from napari_cellseg.imaging.image import Origin
from napari_cellseg.imaging.stack_planes import StackPlane
from napari_cellseg.instances.measure import measure
from napari_cellseg.results.counts import read_counts
from napari_cellseg.results.formats.rois import LARGEST, write_rois
from napari_cellseg.results.save import numbers, save_result
from napari_cellseg.results.save_cells import save_cells
from napari_cellseg.segmentation.cells import Cells
from tests.segmented import segmented

TOP, LEFT = 300, 4000


def part() -> tuple[np.ndarray, Cells]:
    """A whole image's labels, and the cells of the part of it that begins at (300, 4000)."""
    whole = np.zeros((400, 4100), np.int32)
    whole[310:320, 4010:4030] = 1
    whole[330:345, 4050:4060] = 2
    basins = whole[TOP : TOP + 60, LEFT : LEFT + 80]
    made = segmented((basins > 0).astype(np.float32), basins, name="part")
    made = replace(made, image=replace(made.image, origin=Origin("slide.svs", (TOP, LEFT))))
    return whole, Cells(made, 0.5, 5, CorrectedInstances(made.instances, Corrections(basins.shape)))


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables_of_a_part_have_both_positions(tmp_path: Path) -> None:
    whole, cells = part()
    save_cells(cells, tmp_path, "part")
    centres = np.array(ndimage.center_of_mass(whole > 0, whole, [1, 2]))
    table = lines(tmp_path / "part_cells.csv")
    found = np.array([[float(line["y_whole_px"]), float(line["x_whole_px"])] for line in table])
    inner = np.array([[float(line["centroid_y"]), float(line["centroid_x"])] for line in table])
    np.testing.assert_allclose(found, centres)
    np.testing.assert_allclose(found - inner, [[TOP, LEFT]] * 2)
    (line,) = lines(tmp_path / "counts.csv")
    assert (line["y_whole_px"], line["x_whole_px"]) == (str(TOP), str(LEFT))
    (row,) = read_counts(tmp_path / "counts.csv") or ()
    assert (row.y_whole_px, row.x_whole_px) == (TOP, LEFT)


def test_outlines_of_a_part_lie_on_the_part_and_on_the_whole_image(tmp_path: Path) -> None:
    _, cells = part()
    result, made = cells.result(), cells.segmented
    save_result(("rois", "geojson", "cells"), result, made.plane, made.image, tmp_path, "part")
    corners = {}
    for end in ("", "_whole"):
        rois = roifile.roiread(tmp_path / f"part_rois{end}.zip")
        corners[end] = [(roi.top, roi.left, roi.bottom, roi.right) for roi in rois]
        features = json.loads((tmp_path / f"part_outlines{end}.geojson").read_text())["features"]
        rings = [np.array(feature["geometry"]["coordinates"][0]) for feature in features]
        assert [(*ring.min(0)[::-1], *ring.max(0)[::-1]) for ring in rings] == corners[end]
        assert features[0]["properties"]["measurements"]["y_whole_px"] == 314.5
    assert corners[""] == [(10, 10, 20, 30), (30, 50, 45, 60)]
    assert corners["_whole"] == [(310, 4010, 320, 4030), (330, 4050, 345, 4060)]
    table = lines(tmp_path / ".cellseg" / "parts" / "part.cells.csv")
    assert [(line["top_whole_px"], line["right_whole_px"]) for line in table] == [("310", "4030"), ("330", "4060")]


@pytest.mark.parametrize("name", ["part_cells.csv", "part_recipe.json"])
def test_the_window_saves_beside_files_of_others(tmp_path: Path, name: str) -> None:
    _, cells = part()
    (tmp_path / name).write_text("{}")
    (tmp_path / "cells.csv").write_text("Label,Area\n")
    for _ in range(2):
        assert save_cells(cells, tmp_path, "part")[0].name == "part_2_labels.tif"
    assert (tmp_path / name).read_text() == "{}" and (tmp_path / "cells.csv").read_text() == "Label,Area\n"


def test_a_whole_image_has_no_such_columns_or_files(tmp_path: Path) -> None:
    _, cells = part()
    made = replace(cells.segmented, image=replace(cells.segmented.image, origin=None))
    cells = Cells(made, 0.5, 5, cells.corrected)
    save_cells(cells, tmp_path, "a")
    save_result(("rois", "geojson"), cells.result(), made.plane, made.image, tmp_path, "a")
    assert "y_whole_px" not in (tmp_path / "a_cells.csv").read_text() + (tmp_path / "counts.csv").read_text()
    assert not list(tmp_path.glob("*_whole*"))


def test_rois_beyond_the_format_are_written_for_the_part_only(tmp_path: Path) -> None:
    _, cells = part()
    made = replace(cells.segmented, image=replace(cells.segmented.image, origin=Origin("slide.svs", (0, LARGEST))))
    save_result(("rois", "geojson"), cells.result(), made.plane, made.image, tmp_path, "part")
    assert {path.name for path in tmp_path.glob("*_whole*")} == {"part_outlines_whole.geojson"}


def test_rois_lie_on_slice_and_frame(tmp_path: Path) -> None:
    labels = np.ones((4, 4), np.uint8)
    write_rois(tmp_path / "a.zip", labels, plane=StackPlane("t002_z004", (("T", 2), ("Z", 4))), top_id=120)
    (roi,) = roifile.roiread(tmp_path / "a.zip")
    assert (roi.t_position, roi.z_position, roi.position, roi.name) == (3, 5, 0, "cell_001")


def test_the_deviation_of_areas_is_that_of_a_sample() -> None:
    labels = np.array([[1, 1, 0, 2, 2, 2, 2]])
    found = numbers(measure(labels)["area_px"], None)
    assert (found["mean_area_px"], found["sd_area_px"]) == (3, np.std([2, 4], ddof=1))
    assert numbers(np.array([7]), None)["sd_area_px"] is None
