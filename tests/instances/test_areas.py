"""Regions: which pixels they hold, which cells belong to them, and what is wrong with some."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import roifile
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.imaging.errors import ImageError
from napari_cellseg.instances.area_files import (
    BESIDE,
    areas_of_labels,
    of_name,
    read_areas,
    read_outlines,
    regions_file,
    write_outlines,
)
from napari_cellseg.instances.areas import areas_of, areas_within, crosses_itself
from tests.instances.maps import random_labels

SHAPE = (40, 60)
SQUARE = np.array([(5, 5), (5, 25), (25, 25), (25, 5)], float)


def table_of(*centroids: tuple[float, float], **more: list[bool]) -> dict[str, np.ndarray]:
    y, x = np.array(centroids, float).reshape(-1, 2).T
    return {"centroid_y": y, "centroid_x": x, **{name: np.array(column) for name, column in more.items()}}


def test_cells_are_counted_where_the_pixel_of_their_centroid_lies() -> None:
    areas = areas_of([("tumour", [SQUARE]), ("all", [np.array([(0, 0), (0, 60), (40, 60), (40, 0)], float)])], SHAPE)
    # Pixels of the square are 5 to 24; a centroid of 24.5 is in pixel 25.
    table = table_of((5, 5), (24.4, 10), (24.5, 10), (4.5, 4.6), (30, 50), GFP_pos=[True, False, True, True, False])
    found = areas.counted(table, (0.5, 2.0))
    assert found["region"].tolist() == ["tumour", "all"] and list(found["count"]) == [3, 5]
    assert list(found["area_px"]) == [400, 2400] and found["area_mm2"] == pytest.approx([4e-4, 2.4e-3])
    assert found["cells_per_mm2"] == pytest.approx([3 / 4e-4, 5 / 2.4e-3])
    assert list(found["n_GFP_pos"]) == [2, 3] and found["pct_GFP_pos"] == pytest.approx([200 / 3, 60])
    words = areas.in_words(areas.members(table["centroid_y"], table["centroid_x"]))
    assert words.tolist() == ["tumour; all", "tumour; all", "all", "tumour; all", "all"]
    without = areas.counted(table, None)
    assert without["area_mm2"] == without["cells_per_mm2"] == [None, None] and not areas.notes


def test_outlines_of_one_name_are_one_region_and_holes_are_none_of_it() -> None:
    hole = np.array([(10, 10), (10, 15), (15, 15), (15, 10)], float)
    areas = areas_of([("a", [SQUARE, hole]), ("", [np.add(SQUARE, (0, 30))]), ("a", [np.add(SQUARE, (0, 10))])], SHAPE)
    assert [area.name for area in areas.areas] == ["a", "2"]
    one, other = areas.areas
    assert one.n_pixels == 20 * 30 - 25 and other.n_pixels == 400
    assert one.holds(np.array([12, 12, 12]), np.array([12, 17, 40])).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("ring", "n_pixels", "note"),
    [
        (np.add(SQUARE, (100, 0)), 0, "outside the image"),
        (SQUARE - (15, 0), 200, "only what lies on it counts"),
        (SQUARE[[0, 1, 0]], 0, "encloses no pixel"),
        (SQUARE[:1], 0, "encloses no pixel"),
        (SQUARE[[0, 2, 1, 3]], 200, "crosses itself"),
    ],
)
def test_bad_outlines_are_told_and_cost_nothing_else(ring: np.ndarray, n_pixels: int, note: str) -> None:
    areas = areas_of([("bad", [ring]), ("good", [SQUARE])], SHAPE)
    assert areas.areas[0].n_pixels == pytest.approx(n_pixels, abs=20) and areas.areas[1].n_pixels == 400
    assert len(areas.notes) == 1 and note in areas.notes[0] and "Region bad" in areas.notes[0]
    found = areas.counted(table_of((10, 20)), (1, 1))
    assert found["count"][1] == 1 and (n_pixels or found["cells_per_mm2"][0] is None)


def test_regions_of_very_many_corners_are_filled_at_once() -> None:
    angles = np.linspace(0, 2 * np.pi, 50_000, endpoint=False)
    ring = 1000 + 900 * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    start = time.perf_counter()
    (area,) = areas_of([("disc", [ring])], (2000, 2000)).areas
    assert time.perf_counter() - start < 5
    assert area.n_pixels == pytest.approx(np.pi * 900**2, rel=1e-4)


def test_regions_that_share_a_side_share_no_pixel() -> None:
    # The side runs through the centres of pixels.
    left, right = SQUARE + 0.5, np.add(SQUARE, (0, 20)) + 0.5
    one, other = areas_of([("left", [left]), ("right", [right])], SHAPE).areas
    assert one.n_pixels == other.n_pixels == 400
    rows, columns = np.divmod(np.arange(2400), 60)
    assert not (one.holds(rows, columns) & other.holds(rows, columns)).any()


def test_sides_that_only_touch_do_not_cross() -> None:
    # An outline with a hole that a bridge of two equal sides leads to.
    hole = np.array([(10, 10), (15, 10), (15, 15), (10, 15)], float)
    bridged = np.concatenate([SQUARE, SQUARE[:1], hole, hole[:1]])
    assert not crosses_itself(bridged) and not crosses_itself(SQUARE) and crosses_itself(SQUARE[[0, 2, 1, 3]])
    assert areas_of([("a", [bridged])], SHAPE).areas[0].n_pixels == 400 - 25


@given(random_labels())
def test_regions_of_a_label_image_are_its_pixels(pair: tuple[np.ndarray, np.ndarray]) -> None:
    labels, _ = pair
    areas = areas_of(areas_of_labels(labels), labels.shape)
    assert [area.name for area in areas.areas] == [
        str(id_) for id_ in np.unique(labels[labels > 0])
    ] and not areas.notes
    for area in areas.areas:
        np.testing.assert_array_equal(area.mask, labels[area.box] == int(area.name))
        assert area.n_pixels == np.count_nonzero(labels == int(area.name))


def test_files_of_three_kinds_give_the_same_regions(tmp_path: Path) -> None:
    write_outlines(tmp_path / "a_regions.geojson", [("one", [SQUARE]), ("two", [np.add(SQUARE, (0.0, 30.25))])])
    roifile.ImagejRoi.frompoints(SQUARE[:, ::-1], name="one").tofile(tmp_path / "b_regions.zip")
    labels = np.zeros(SHAPE, np.uint16)
    labels[5:25, 5:25] = 7
    tifffile.imwrite(tmp_path / "c_regions.tif", labels)
    for letter, ending, name in (("a", "geojson", "one"), ("b", "zip", "one"), ("c", "tif", "7")):
        path = regions_file(BESIDE, str(tmp_path / f"{letter}.ome.tif"))
        assert path == tmp_path / f"{letter}_regions.{ending}"
        area = read_areas(path, SHAPE).areas[0]
        assert area.name == name
        mask = np.zeros(SHAPE, bool)
        mask[area.box] = area.mask
        np.testing.assert_array_equal(mask, labels > 0)
    (_, rings), (name, moved) = read_outlines(tmp_path / "a_regions.geojson", SHAPE)
    np.testing.assert_array_equal(rings[0][:4], SQUARE)
    np.testing.assert_array_equal(moved[0][:4], np.add(SQUARE, (0, 30.25)))
    assert name == "two" and regions_file(BESIDE, str(tmp_path / "d.tif")) is None and regions_file("", "d.tif") is None


def test_a_folder_of_regions_goes_by_the_name_in_the_batch_and_then_beside_the_image(tmp_path: Path) -> None:
    folder, image = tmp_path / "regions", tmp_path / "in" / "sub" / "a.tif"
    for path in (folder / "a_regions.geojson", folder / "sub" / "a_regions.geojson", image.parent / "b_regions.zip"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert regions_file(str(folder), str(image), "sub/a.tif") == folder / "sub" / "a_regions.geojson"
    assert regions_file(str(folder), str(image)) == folder / "a_regions.geojson"
    assert regions_file(str(folder), str(image), "other/a.tif") is None
    assert regions_file(str(folder), str(image.parent / "b.tif"), "sub/b.tif") == image.parent / "b_regions.zip"
    assert of_name(folder, "sub/a.ome.tif") == folder / "sub" / "a.ome_regions.geojson"
    assert regions_file(str(folder), None) is None


corners_of = st.lists(st.tuples(st.integers(-20, 200), st.integers(-20, 280)), min_size=3, max_size=8)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", ""]), corners_of), min_size=1, max_size=4), st.integers(7, 25))
def test_windows_that_tile_the_image_hold_its_regions(
    named: list[tuple[str, list[tuple[int, int]]]], side: int
) -> None:
    outlines = [(name, [np.array(corners) / 4]) for name, corners in named]
    whole = areas_of(outlines, SHAPE).areas
    drawn = np.zeros((len(whole), *SHAPE), bool)
    for y in range(0, SHAPE[0], side):
        for x in range(0, SHAPE[1], side):
            window = slice(y, min(y + side, SHAPE[0])), slice(x, min(x + side, SHAPE[1]))
            parts = areas_within(outlines, window).areas
            assert [part.name for part in parts] == [area.name for area in whole]
            for into, part in zip(drawn[:, *window], parts, strict=True):
                if part.mask.any():
                    into[part.box] = part.mask
                assert part.pixels_in((slice(0, 5), slice(2, 9))) == np.count_nonzero(into[:5, 2:9])
    for found, area in zip(drawn, whole, strict=True):
        assert np.count_nonzero(found) == area.n_pixels
        assert not area.mask.any() or np.array_equal(found[area.box], area.mask)


def test_annotations_of_qupath_are_named_by_their_class(tmp_path: Path) -> None:
    square = {"type": "Polygon", "coordinates": [[[5, 5], [25, 5], [25, 25], [5, 25], [5, 5]]]}
    about = {"objectType": "annotation", "classification": {"name": "Tumor", "color": [200, 0, 0]}}
    content = {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": square, "properties": about}]}
    (tmp_path / "q.geojson").write_text(json.dumps(content))
    assert [area.name for area in read_areas(tmp_path / "q.geojson", SHAPE).areas] == ["Tumor"]


def test_what_is_no_file_of_regions_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    (tmp_path / "b.geojson").write_text("no JSON")
    (tmp_path / "c.zip").write_bytes(b"no zip")
    tifffile.imwrite(tmp_path / "d.tif", np.ones((3, 4), np.uint8))
    corners = [[0, 0], [1e999, 0], [1, 1]]
    (tmp_path / "e.geojson").write_text(
        json.dumps({"features": [{"geometry": {"type": "Polygon", "coordinates": [corners]}}]})
    )
    for name, said in (
        ("a.geojson", "no region"),
        ("b.geojson", "read as regions"),
        ("c.zip", "c.zip"),
        ("d.tif", "3 x 4 pixels"),
        ("e.geojson", "e.geojson"),
    ):
        with pytest.raises(ImageError, match=said):
            read_areas(tmp_path / name, SHAPE)


@given(st.lists(st.tuples(st.floats(-5, 50), st.floats(-5, 70)), min_size=3, max_size=8))
def test_areas_lie_on_the_image_whatever_is_drawn(corners: list[tuple[float, float]]) -> None:
    (area,) = areas_of([("x", [np.array(corners)])], SHAPE).areas
    assert 0 <= area.n_pixels <= SHAPE[0] * SHAPE[1]
    rows, columns = np.divmod(np.arange(SHAPE[0] * SHAPE[1]), SHAPE[1])
    assert np.count_nonzero(area.holds(rows, columns)) == area.n_pixels
