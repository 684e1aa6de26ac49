"""Cells of other programs' files are the cells that were saved, to the pixel; what holds none is refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.imaging.errors import ImageError
from napari_cellseg.imaging.read.cells.cell_files import read_cells
from napari_cellseg.instances.measure import measure
from napari_cellseg.results.formats.geojson import write_geojson
from napari_cellseg.results.formats.rois import write_rois
from tests.instances.maps import random_labels


def in_order(labels: np.ndarray) -> np.ndarray:
    """Labels numbered from 1 on in the order of their ids."""
    ids = np.unique(labels[labels > 0])
    return np.where(labels > 0, np.searchsorted(ids, labels) + 1, 0)


@given(random_labels(), st.sampled_from([".zip", ".geojson"]))
def test_cells_that_we_wrote_come_back(
    tmp_path_factory: pytest.TempPathFactory, pair: tuple[np.ndarray, np.ndarray], suffix: str
) -> None:
    labels, _ = pair
    path = tmp_path_factory.mktemp("cells") / f"a{suffix}"
    write_rois(path, labels) if suffix == ".zip" else write_geojson(path, labels, measure(labels))
    if not labels.any():
        with pytest.raises(ImageError, match="holds no outline of a cell"):
            read_cells(path, labels.shape)
        return
    np.testing.assert_array_equal(read_cells(path, labels.shape), in_order(labels))


def test_rois_drawn_by_hand(tmp_path: Path) -> None:
    y, x = np.indices((40, 50)) + 0.5
    rectangle = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, top=2, left=3, bottom=10, right=20)
    oval = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.OVAL, top=10, left=20, bottom=30, right=48)
    freehand = roifile.ImagejRoi.frompoints([[1.2, 30.6], [8.7, 30.6], [8.7, 38.4], [1.2, 38.4]])
    for i, roi in enumerate((rectangle, oval, freehand)):
        roi.name = str(i)
        roi.tofile(tmp_path / "a.zip", mode="w" if not i else "a")
    labels = read_cells(tmp_path / "a.zip", (40, 50))
    assert (labels == 1).sum() == 8 * 17 and (labels[2:10, 3:20] == 1).all()
    ellipse = ((y - 20) / 10) ** 2 + ((x - 34) / 14) ** 2 <= 1
    assert np.count_nonzero((labels == 2) != ellipse) < 0.05 * ellipse.sum()
    inside = (x > 1.2) & (x < 8.7) & (y > 30.6) & (y < 38.4)
    np.testing.assert_array_equal(labels == 3, inside)
    rectangle.tofile(tmp_path / "one.roi")
    np.testing.assert_array_equal(read_cells(tmp_path / "one.roi", (40, 50)) > 0, labels == 1)


def feature(kind: str, coordinates: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": {}}


def test_geojson_of_qupath(tmp_path: Path) -> None:
    """QuPath writes collections, lists of features and single features; holes and pieces belong to one cell."""
    square = [[1, 1], [9, 1], [9, 9], [1, 9], [1, 1]]
    hole = [[3, 3], [3, 5], [5, 5], [5, 3], [3, 3]]
    piece = [[11, 1], [13, 1], [13, 3], [11, 3], [11, 1]]
    expected = np.zeros((12, 20), int)
    expected[1:9, 1:9] = 1
    expected[3:5, 3:5] = 0
    expected[1:3, 11:13] = 1
    cell = feature("MultiPolygon", [[square, hole], [piece]])
    for content in (cell, [cell], {"type": "FeatureCollection", "features": [cell]}):
        (tmp_path / "a.geojson").write_text(json.dumps(content), encoding="utf-8")
        np.testing.assert_array_equal(read_cells(tmp_path / "a.geojson", (12, 20)), expected)
    both = [feature("Polygon", [square]), feature("Polygon", [[[8, 8], [12, 8], [12, 12], [8, 12], [8, 8]]])]
    (tmp_path / "a.geojson").write_text(json.dumps(both), encoding="utf-8")
    labels = read_cells(tmp_path / "a.geojson", (12, 20))
    assert labels[8, 8] == 1 and (labels == 2).sum() == 15, "the first of two that overlap keeps the pixel"


def test_arrays_without_pickle(tmp_path: Path) -> None:
    labels = np.arange(12, dtype=np.uint16).reshape(3, 4)
    np.save(tmp_path / "a.npy", labels)
    np.testing.assert_array_equal(read_cells(tmp_path / "a.npy", (3, 4)), labels)
    np.save(tmp_path / "x_seg.npy", {"masks": labels}, allow_pickle=True)  # type: ignore[arg-type]
    with pytest.raises(ImageError, match=r"x_seg\.npy holds Python objects.*Save masks.*_cp_masks\.png"):
        read_cells(tmp_path / "x_seg.npy", (3, 4))


def test_what_is_no_file_of_these_cells(tmp_path: Path) -> None:
    def refused(name: str, words: str, shape: tuple[int, int] = (12, 20)) -> None:
        with pytest.raises(ImageError, match=words):
            read_cells(tmp_path / name, shape)

    for name in ("a.zip", "a.roi", "a.geojson", "a.npy"):
        (tmp_path / name).write_bytes(b"nothing of this kind")
        refused(name, rf"{name[0]}\{name[1:]} cannot be read as cells")
    refused("none.zip", r"none\.zip cannot be read")
    np.save(tmp_path / "f.npy", np.zeros((12, 20)))
    refused("f.npy", "holds float64 of 12 x 20, and labels .* whole numbers of 12 x 20")
    labels = np.zeros((12, 20), np.uint8)
    labels[8:12, 15:20] = 1
    write_rois(tmp_path / "b.zip", labels)
    refused("b.zip", r"cell 1 reaches .*has 6 x 20 pixels.*Choose the file of this image", (6, 20))
    (tmp_path / "p.geojson").write_text(json.dumps([feature("Point", [3, 3])]))
    refused("p.geojson", "holds a Point")
    roifile.ImagejRoi.frompoints([[1, 1], [5, 5]]).tofile(tmp_path / "ok.roi")
    line = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.LINE, x1=1, y1=1, x2=5, y2=5, name="l")
    line.tofile(tmp_path / "l.roi")
    refused("l.roi", "'l' is a line or a point")
    for i in (1, 2):
        roi = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, top=2, left=3, bottom=10, right=20, position=i)
        roi.name = str(i)
        roi.tofile(tmp_path / "s.zip", mode="w" if i == 1 else "a")
    refused("s.zip", "ROIs of 2 slices")


def test_cells_of_an_image_in_a_coco_file(tmp_path: Path) -> None:
    inside = [5 * 6 + 2, 2, 2 + 14 * 6]  # of an image of 6 x 20: down the columns
    content = {
        "images": [{"file_name": "in/a.png", "id": 7}, {"file_name": "b.png", "id": 9}],
        "annotations": [
            {"image_id": 7, "segmentation": [[1, 1, 5, 1, 5, 4, 1, 4]]},
            {"image_id": 7, "segmentation": {"size": [6, 20], "counts": inside}},
            {"image_id": 7, "iscrowd": 1, "segmentation": [[10, 0, 20, 0, 20, 6, 10, 6]]},
            {"image_id": 9, "segmentation": [[0, 0, 3, 0, 3, 3, 0, 3]]},
        ],
    }
    (tmp_path / "c.json").write_text(json.dumps(content))
    expected = np.zeros((6, 20), np.int32)
    expected[1:4, 1:5] = 1
    expected[2:4, 5] = 2
    np.testing.assert_array_equal(read_cells(tmp_path / "c.json", (6, 20), "elsewhere/a.tif"), expected)
    assert read_cells(tmp_path / "c.json", (6, 20), "b.png").sum() == 9
    for name, said in (("", "no image called like this one, among 2"), ("c.png", "no image called c")):
        with pytest.raises(ImageError, match=said):
            read_cells(tmp_path / "c.json", (6, 20), name)
    content["annotations"] = content["annotations"][3:]
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(ImageError, match=r"no cell of in/a\.png"):
        read_cells(tmp_path / "c.json", (6, 20), "a.png")
    del content["annotations"][0]["segmentation"]
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(ImageError, match="cannot be read as cells"):
        read_cells(tmp_path / "c.json", (6, 20), "b.png")
