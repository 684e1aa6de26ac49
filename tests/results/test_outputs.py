"""What is saved, read again by other libraries, is what was segmented: to the pixel, and to the half pixel."""

from __future__ import annotations

import csv
import json
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PILImage
from skimage.measure import grid_points_in_poly

from napari_cellseg.cli import main
from napari_cellseg.imaging.errors import OutputError, ParamsError
from napari_cellseg.imaging.read.read import read_image
from napari_cellseg.imaging.write.write import read_labels, read_metadata
from napari_cellseg.instances.measure import measure
from napari_cellseg.results.formats.geojson import features
from napari_cellseg.results.formats.rle import image_ids, rle_rows
from napari_cellseg.results.formats.rois import LARGEST, write_rois
from napari_cellseg.results.outputs import OUTPUTS, cells_table, check_outputs, output_path, write_outputs
from napari_cellseg.results.overlay import outline_pixels, picture, thumbnail, write_overlay, write_thumbnail
from napari_cellseg.segmentation.segmented import SegmentResult
from tests.blobs import blobs
from tests.models import make_model
from tests.results.run_lengths import rle_decode

FILES = [name for name, output in OUTPUTS.items() if output.is_file]


@st.composite
def noise(draw: st.DrawFn) -> np.ndarray:
    """Pixels of a few cells thrown about: holes, corners that touch, cells in pieces."""
    shape = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.choice([0, 1, 12, 300], shape, p=[0.3, 0.4, 0.2, 0.1]).astype(np.uint16)


def result_of(labels: np.ndarray, plane: np.ndarray) -> SegmentResult:
    """A result as a segmentation leaves it."""
    probability = np.random.default_rng(0).random(labels.shape, np.float32)
    table = measure(labels, probability, plane)
    metadata = {"recipe": {"model": "cells", "threshold": 0.5}, "image": {"name": "é.tif", "sha256": "ab" * 32}}
    return SegmentResult(labels, probability, len(table["index"]), table, 0.5, 5, metadata)


@pytest.fixture(scope="module")
def cells() -> tuple[SegmentResult, np.ndarray]:
    sample = blobs(3, size=120, n=14)
    labels = sample.labels * 3
    labels[labels == 6] = 0
    # A cell with a hole, and one in two pieces.
    y, x = np.argwhere(labels == 9).mean(axis=0).astype(int)
    labels[y, x] = 0
    y, _ = np.argwhere(labels == 15).mean(axis=0).astype(int)
    labels[y] = np.where(labels[y] == 15, 0, labels[y])
    return result_of(labels.astype(np.uint16), sample.image), sample.image


def inside(rings: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centres lie in an odd number of rings of (x, y), pixel (0, 0) reaching from 0 to 1."""
    mask = np.zeros(shape, bool)
    for ring in rings:
        mask ^= grid_points_in_poly(shape, np.asarray(ring, float)[:, ::-1] - 0.5)
    return mask


def read_rois(path: Path, shape: tuple[int, int]) -> np.ndarray:
    found = np.zeros(shape, np.uint16)
    for roi in roifile.roiread(path) if path.stat().st_size > 22 else []:
        mask = inside(roi.coordinates(multi=True), shape)
        rows, columns = np.nonzero(mask)
        assert (roi.top, roi.bottom) == (rows.min(), rows.max() + 1)
        assert (roi.left, roi.right) == (columns.min(), columns.max() + 1)
        assert not found[mask].any()
        found[mask] = int(roi.name.removeprefix("cell_"))
    return found


def read_geojson(collection: dict[str, Any], shape: tuple[int, int]) -> np.ndarray:
    found = np.zeros(shape, np.uint16)
    for feature in collection["features"]:
        geometry = feature["geometry"]
        several = geometry["type"] == "MultiPolygon"
        polygons = geometry["coordinates"] if several else [geometry["coordinates"]]
        assert several == (len(polygons) > 1)
        for rings in polygons:
            assert all(ring[0] == ring[-1] and len(ring) >= 5 for ring in rings)
            mask = inside([np.array(ring[:-1]) for ring in rings], shape)
            assert mask.any() and not found[mask].any()
            found[mask] = int(feature["properties"]["name"])
    return found


@given(labels=noise())
def test_imagej_rois_are_the_same_cells(tmp_path_factory: pytest.TempPathFactory, labels: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("rois") / "a_rois.zip"
    write_rois(path, labels)
    np.testing.assert_array_equal(read_rois(path, labels.shape), labels)


def test_rois_of_a_real_shape_and_their_kinds(cells: tuple[SegmentResult, np.ndarray], tmp_path: Path) -> None:
    labels = cells[0].labels
    write_rois(tmp_path / "a.zip", labels)
    np.testing.assert_array_equal(read_rois(tmp_path / "a.zip", labels.shape), labels)
    rois = roifile.roiread(tmp_path / "a.zip")
    assert [roi.name for roi in rois] == [f"cell_{id_:02d}" for id_ in cells[0].table["index"]]
    composite = {roi.name for roi in rois if roi.composite}
    assert {"cell_09", "cell_15"} <= composite
    assert {roi.roitype for roi in rois if not roi.composite} == {roifile.ROI_TYPE.TRACED}


def test_rois_far_from_the_corner_of_a_large_image(tmp_path: Path) -> None:
    labels = np.zeros((3, LARGEST), np.uint8)
    labels[1, -2:] = 1
    write_rois(tmp_path / "a.zip", labels)
    (roi,) = roifile.roiread(tmp_path / "a.zip")
    assert sorted(map(tuple, roi.coordinates().tolist())) == [
        (LARGEST - 2, 1),
        (LARGEST - 2, 2),
        (LARGEST, 1),
        (LARGEST, 2),
    ]
    with pytest.raises(OutputError, match="60535"):
        write_rois(tmp_path / "b.zip", np.zeros((1, LARGEST + 1), np.uint8))
    assert not (tmp_path / "b.zip").exists()


@given(labels=noise())
def test_geojson_is_the_same_cells(labels: np.ndarray) -> None:
    collection = json.loads(json.dumps({"features": list(features(labels, measure(labels)))}))
    np.testing.assert_array_equal(read_geojson(collection, labels.shape), labels)


def test_geojson_file_carries_measurements_and_provenance(
    cells: tuple[SegmentResult, np.ndarray], tmp_path: Path
) -> None:
    result, plane = cells
    path = write_outputs(["geojson"], result, plane, tmp_path / "a", pixel_size=(0.5, 0.25))["geojson"]
    collection = json.loads(path.read_text(encoding="utf-8"))
    assert collection["type"] == "FeatureCollection"
    assert collection["napari-cellseg"] == result.metadata
    np.testing.assert_array_equal(read_geojson(collection, result.labels.shape), result.labels)
    table = cells_table(result, plane, None, (0.5, 0.25))
    ids = set()
    for i, feature in enumerate(collection["features"]):
        ids.add(uuid.UUID(feature["id"]))
        properties = feature["properties"]
        assert feature["type"] == "Feature" and properties["objectType"] == "detection"
        assert properties["name"] == str(table["index"][i])
        values = properties["measurements"]
        assert values["area_px"] == table["area_px"][i] and values["solidity"] == table["solidity"][i]
        # Pixels are not square: there is no perimeter in micrometres, and JSON has no NaN.
        assert "perimeter_um" not in values and "axis_major_um" in values
    assert len(ids) == result.count


@given(labels=noise())
def test_run_lengths_decode_to_the_same_cells(labels: np.ndarray) -> None:
    ids = np.unique(labels[labels > 0]).tolist()
    rows = rle_rows(labels)
    assert len(rows) == max(len(ids), 1)
    for id_, row in zip(ids, rows, strict=False):
        np.testing.assert_array_equal(rle_decode(row, labels.shape), labels == id_)
        assert row == rle_rows(labels == id_)[0]
        begins, lengths = np.array(row.split(), int).reshape(-1, 2).T
        # Kaggle: rising, and runs that could be one are one.
        assert (begins[1:] > (begins + lengths)[:-1]).all() and begins[0] >= 1 and lengths.min() >= 1
    covered = sum(rle_decode(row, labels.shape).astype(int) for row in rows)
    np.testing.assert_array_equal(covered, labels > 0)


def test_run_lengths_go_down_the_columns_from_one() -> None:
    mask = np.array([[1, 0, 0], [1, 0, 1], [0, 1, 1]], bool)
    assert rle_rows(mask)[0] == "1 2 6 1 8 2"
    assert rle_rows(np.zeros((2, 2), np.uint16)) == [""] == rle_rows(np.zeros((0, 3), np.uint16))
    assert not rle_decode("", (2, 2)).any()


def test_image_ids_are_short_and_told_apart() -> None:
    assert image_ids(["a.tif", "plate/b.c.png"]) == ["a", "b.c"]
    assert image_ids(["one/a.tif", "two/a.tif", "b.tif"]) == ["one/a", "two/a", "b"]
    assert image_ids(["a.tif", "a.png"]) == ["a.tif", "a.png"]


def test_every_file_reads_back(cells: tuple[SegmentResult, np.ndarray], tmp_path: Path) -> None:
    result, plane = cells
    paths = write_outputs(OUTPUTS, result, plane, tmp_path / "sub" / "A.01", pixel_size=(0.5, 0.25))
    assert list(paths) == FILES and {path.parent for path in paths.values()} == {tmp_path / "sub"}
    assert paths["labels"].name == "A.01_labels.tif" and paths == {
        n: output_path(n, tmp_path / "sub/A.01") for n in FILES
    }
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == sorted(path.name for path in paths.values())
    np.testing.assert_array_equal(read_labels(paths["labels"]), result.labels)
    np.testing.assert_array_equal(tifffile.imread(paths["probability"]), result.probability)
    for name in ("labels", "probability"):
        assert read_metadata(paths[name]) == result.metadata
        assert read_image(paths[name]).pixel_size == pytest.approx((0.5, 0.25))


def test_the_same_result_gives_the_same_bytes(cells: tuple[SegmentResult, np.ndarray], tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_outputs(FILES, *cells, tmp_path / folder / "a")
        write_thumbnail(tmp_path / folder / "a.jpg", cells[1], cells[0].labels)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_no_cells_make_files_too(tmp_path: Path) -> None:
    plane = np.zeros((7, 9), np.uint8)
    paths = write_outputs(FILES, result_of(np.zeros((7, 9), np.uint16), plane), plane, tmp_path / "a")
    assert json.loads(paths["geojson"].read_text(encoding="utf-8"))["features"] == []
    assert all(path.is_file() for path in paths.values())


def test_a_name_that_is_none_is_refused_before_anything_is_written(
    cells: tuple[SegmentResult, np.ndarray], tmp_path: Path
) -> None:
    assert check_outputs(["rois", "labels", "rois"]) == ("labels", "rois")
    with pytest.raises(ParamsError, match=r"'roi'.*rois"):
        write_outputs(["labels", "roi"], *cells, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_way_is_told_and_nothing_is_left_half(
    cells: tuple[SegmentResult, np.ndarray], tmp_path: Path
) -> None:
    for name in FILES:
        output_path(name, tmp_path / "a").mkdir()
        with pytest.raises(OutputError, match="it is a folder"):
            write_outputs([name], *cells, tmp_path / "a")
    assert len(list(tmp_path.iterdir())) == len(FILES)


def test_table_of_cells_measures_every_channel(cells: tuple[SegmentResult, np.ndarray]) -> None:
    result, plane = cells
    table = cells_table(result, plane, {"DAPI": plane, "GFP": plane * 2}, (0.5, 0.5))
    assert list(table)[: len(result.table)] == list(result.table)
    np.testing.assert_allclose(table["intensity_mean_GFP"], 2 * table["intensity_mean_DAPI"])
    np.testing.assert_allclose(table["intensity_mean_DAPI"], result.table["mean_intensity"])
    np.testing.assert_allclose(table["perimeter_um"], table["perimeter_px"] / 2)
    assert {len(column) for column in table.values()} == {result.count}
    colour = np.stack([plane, plane, plane], axis=2)
    assert {f"intensity_max_{name}" for name in ("red", "green", "blue")} <= set(cells_table(result, colour))
    assert "intensity_max" in cells_table(result, plane)


def test_overlay_is_the_picture_with_outlines_inside_the_cells(
    cells: tuple[SegmentResult, np.ndarray], tmp_path: Path
) -> None:
    result, plane = cells
    path = write_outputs(["overlay"], result, plane, tmp_path / "a")["overlay"]
    drawn, plain = np.asarray(PILImage.open(path)), picture(plane)
    assert drawn.shape == (*plane.shape, 3)
    at = outline_pixels(result.labels)
    np.testing.assert_array_equal(drawn[~at], plain[~at])
    assert (drawn[at] != plain[at]).any(axis=1).mean() > 0.99
    assert set(np.unique(result.labels[at])) == set(result.table["index"].tolist())


@pytest.mark.parametrize(
    ("plane", "shape"),
    [
        (np.zeros((300, 600), np.uint16), (96, 192, 3)),
        (np.random.default_rng(0).random((40, 20)), (192, 96, 3)),
        (np.full((1, 5000), np.nan), (1, 192, 3)),
        (np.zeros((1, 1), bool), (192, 192, 3)),
        (np.full((64, 64, 3), 200, np.uint8), (192, 192, 3)),
        (np.full((64, 64, 3), 60000, np.uint16), (192, 192, 3)),
        (np.array([[-np.inf, 1e308], [-1e308, np.inf]]), (192, 192, 3)),
    ],
)
def test_thumbnail_fits(plane: np.ndarray, shape: tuple[int, ...], recwarn: pytest.WarningsRecorder) -> None:
    labels = np.ones(plane.shape[:2], np.uint16)
    small = thumbnail(plane, labels)
    assert small.shape == shape and small.dtype == np.uint8
    assert not len(recwarn)


def test_thumbnail_shows_where_the_cells_are(cells: tuple[SegmentResult, np.ndarray]) -> None:
    result, plane = cells
    plain, drawn = thumbnail(plane, np.zeros_like(result.labels), 60), thumbnail(plane, result.labels, 60)
    changed = (plain != drawn).any(axis=2)
    near = np.add.reduceat(np.add.reduceat(result.labels > 0, range(0, 120, 2), axis=0), range(0, 120, 2), axis=1) > 0
    assert changed.any() and not changed[~near].any()


def test_files_for_kaggle_and_for_counting(tmp_path: Path) -> None:
    """The combined files of a folder: every image has its row, also one without cells, and decoded it is its labels."""
    model = make_model(tmp_path / "model")
    images = tmp_path / "images"
    for name, sample in (("a b.tif", blobs(0, 48, 3)), ("two/c.tif", blobs(1, 48, 3)), ("d.tif", blobs(2, 48, 3))):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(images / name, sample.image if name != "d.tif" else np.zeros((48, 40), np.uint8))
    out = tmp_path / "out"
    arguments = ["segment", str(images), "--out", str(out), "--model", str(model.path)]
    assert main([*arguments, "--save", "labels,rle,submission"]) == 0
    with open(out / "rle.csv", newline="", encoding="utf-8") as file:
        assert file.readline() == "ImageId,EncodedPixels\n"
        found: dict[str, list[str]] = {}
        for id_, pixels in csv.reader(file):
            found.setdefault(id_, []).append(pixels)
    with open(out / "submission.csv", newline="", encoding="utf-8") as file:
        counts = {row["image"]: int(row["count"]) for row in csv.DictReader(file)}
    assert set(found) == {"a b", "c", "d"} and set(counts) == {"a b.tif", "two/c.tif", "d.tif"}
    for id_, name in (("a b", "a b.tif"), ("c", "two/c.tif"), ("d", "d.tif")):
        labels = read_labels(out / Path(name).with_name(f"{id_}_labels.tif"))
        masks = [rle_decode(pixels, labels.shape) for pixels in found[id_] if pixels]
        assert len(masks) == counts[name] == len(np.unique(labels[labels > 0]))
        for mask, number in zip(masks, np.unique(labels[labels > 0]), strict=True):
            np.testing.assert_array_equal(mask, labels == number)


@pytest.mark.skipif(sys.platform == "win32", reason="no limits for files there")
def test_a_picture_that_does_not_fit_on_the_disk_is_told(tmp_path: Path) -> None:
    """Pillow takes no notice of a short write: half a picture would pass for a whole one."""
    import resource

    plane = np.random.default_rng(0).integers(0, 255, (192, 192)).astype(np.uint8)
    labels = np.zeros((192, 192), np.int32)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for write in (write_thumbnail, write_overlay):
        write(tmp_path / "a", plane, labels)
        whole = (tmp_path / "a").read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) - 1, before[1]))
        try:
            with pytest.raises(OutputError, match="disk is full"):
                write(tmp_path / "a", plane, labels)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert (tmp_path / "a").read_bytes() == whole and len(list(tmp_path.iterdir())) == 1
