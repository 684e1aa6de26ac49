from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import perimeter_crofton, regionprops, regionprops_table

from napari_cellseg.instances import measure
from napari_cellseg.instances.measure import intensity_columns, shape_columns
from tests.instances.maps import random_labels


@given(random_labels())
def test_agrees_with_regionprops(pair: tuple[np.ndarray, np.ndarray]) -> None:
    labels, _ = pair
    rng = np.random.default_rng(0)
    probability, image = rng.random(labels.shape), rng.integers(0, 255, labels.shape, dtype=np.uint8)
    table = measure(labels, probability, image, pixel_size=(0.5, 0.25))
    wanted = ("label", "area", "centroid", "intensity_mean", "equivalent_diameter_area")
    reference = regionprops_table(labels, np.stack([probability, image], axis=-1), wanted)
    names = {
        "index": "label",
        "area_px": "area",
        "centroid_y": "centroid-0",
        "centroid_x": "centroid-1",
        "mean_probability": "intensity_mean-0",
        "mean_intensity": "intensity_mean-1",
        "diameter_px": "equivalent_diameter_area",
    }
    for ours, theirs in names.items():
        np.testing.assert_allclose(table[ours], reference[theirs], err_msg=ours)
    np.testing.assert_allclose(table["area_um2"], table["area_px"] * 0.125)
    np.testing.assert_allclose(table["centroid_y_um"], table["centroid_y"] * 0.5)
    np.testing.assert_allclose(table["centroid_x_um"], table["centroid_x"] * 0.25)
    np.testing.assert_allclose(np.pi / 4 * table["diameter_um"] ** 2, table["area_um2"])
    assert len({len(column) for column in table.values()}) == 1


def test_columns_are_those_that_can_be_known() -> None:
    labels = np.array([[0, 3], [3, 3]], dtype=np.uint16)
    plain = ["index", "area_px", "centroid_y", "centroid_x", "diameter_px"]
    assert list(measure(labels)) == plain
    micrometres = ["area_um2", "centroid_y_um", "centroid_x_um", "diameter_um"]
    assert list(measure(labels, pixel_size=(1, 1))) == plain + micrometres
    assert measure(labels)["index"].dtype == np.int64
    assert measure(labels)["index"].tolist() == [3]


def test_colour_is_averaged_and_large_values_do_not_overflow() -> None:
    labels = np.ones((2, 2), dtype=np.int32)
    image = np.zeros((2, 2, 3), dtype=np.uint8)
    image[..., 0], image[..., 1], image[..., 2] = 250, 200, 255
    assert measure(labels, image=image)["mean_intensity"][0] == pytest.approx(235)
    assert measure(labels, image=np.full((2, 2), 65535, np.uint16))["mean_intensity"][0] == 65535


def test_large_and_sparse_ids() -> None:
    labels = np.array([[0, 2_000_000_000, 5], [0, 2_000_000_000, 0]], dtype=np.int32)
    table = measure(labels)
    assert table["index"].tolist() == [5, 2_000_000_000]
    assert table["area_px"].tolist() == [1, 2]


@pytest.mark.parametrize("shape", [(0, 0), (3, 4)])
def test_no_cells_give_empty_columns(shape: tuple[int, int]) -> None:
    table = measure(np.zeros(shape, dtype=np.uint16), np.zeros(shape), np.zeros((*shape, 3)), (1, 1))
    assert all(len(column) == 0 for column in table.values())
    assert len(table) == 11


def test_what_clashes_is_refused() -> None:
    labels = np.zeros((3, 4), dtype=np.int32)
    with pytest.raises(ValueError, match=r"\(4, 3\)"):
        measure(labels, np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"\(4, 3, 3\)"):
        measure(labels, image=np.zeros((4, 3, 3)))
    with pytest.raises(ValueError, match="pixel_size"):
        measure(labels, pixel_size=(0, 1))
    with pytest.raises(ValueError, match="whole numbers"):
        measure(labels.astype(float))
    with pytest.raises(ValueError, match="negative"):
        measure(labels - 1)


@given(random_labels(), st.sampled_from([None, (0.5, 0.5), (0.5, 0.25)]))
def test_shapes_are_those_of_regionprops(
    pair: tuple[np.ndarray, np.ndarray], pixel_size: tuple[float, float] | None
) -> None:
    labels, _ = pair
    table = shape_columns(labels, pixel_size)
    scaled = regionprops(labels, spacing=pixel_size or (1, 1))
    for i, region in enumerate(regionprops(labels)):
        row = {name: column[i] for name, column in table.items()}
        box = (row["bbox_top"], row["bbox_left"], row["bbox_bottom"], row["bbox_right"])
        assert box == region.bbox
        assert (
            row["touches_edge"]
            == (np.pad(labels, 1) == region.label)[:, [1, -2]].any()
            | (np.pad(labels, 1) == region.label)[[1, -2]].any()
        )
        wanted = {
            "perimeter_px": region.perimeter,
            "axis_major_px": region.axis_major_length,
            "axis_minor_px": region.axis_minor_length,
            "eccentricity": scaled[i].eccentricity,
            "circularity": 4 * np.pi * region.area / perimeter_crofton(np.pad(region.image, 1), 4) ** 2,
            "solidity": region.solidity,
            "extent": region.extent,
        }
        if pixel_size is not None:
            wanted["axis_major_um"] = scaled[i].axis_major_length
            wanted["axis_minor_um"] = scaled[i].axis_minor_length
            square = pixel_size[0] == pixel_size[1]
            wanted["perimeter_um"] = scaled[i].perimeter if square else np.nan
        for name, value in wanted.items():
            np.testing.assert_allclose(row[name], value, rtol=1e-9, atol=1e-9, err_msg=name)
        # A circle has no orientation, and where both moments are equal only rounding decides.
        if scaled[i].eccentricity > 1e-6:
            turn = (row["orientation"] - scaled[i].orientation) % np.pi
            assert min(turn, np.pi - turn) < 1e-6
    assert {len(column) for column in table.values()} == {len(regionprops(labels))}


def test_a_disc_is_round_whatever_its_pixels_are() -> None:
    y, x = np.indices((40, 80))
    disc = (((y - 20) * 2.0) ** 2 + (x - 40) ** 2 < 30**2).astype(np.uint8)
    assert shape_columns(disc)["eccentricity"][0] > 0.85
    assert shape_columns(disc, (2.0, 1.0))["eccentricity"][0] < 0.2
    rod = np.zeros((100, 100), np.uint8)
    rod[20:80, 40:60] = 1
    # Three times as high as wide in pixels, 1.5 times as wide as high in micrometres.
    assert abs(shape_columns(rod)["orientation"][0]) == pytest.approx(0)
    assert abs(shape_columns(rod, (0.5, 2.25))["orientation"][0]) == pytest.approx(np.pi / 2)


@given(random_labels())
def test_intensities_are_those_of_regionprops(pair: tuple[np.ndarray, np.ndarray]) -> None:
    labels, _ = pair
    rng = np.random.default_rng(1)
    channels = {"DAPI": rng.integers(0, 65536, labels.shape, np.uint16), "": rng.normal(size=labels.shape)}
    table = intensity_columns(labels, channels)
    assert list(table)[:5] == [f"intensity_{what}_DAPI" for what in ("mean", "min", "max", "std")] + ["intensity_mean"]
    for name, plane in channels.items():
        end = f"_{name}" if name else ""
        for i, region in enumerate(regionprops(labels, plane)):
            pixels = plane[labels == region.label]
            assert table[f"intensity_mean{end}"][i] == pytest.approx(region.intensity_mean)
            assert table[f"intensity_min{end}"][i] == region.intensity_min
            assert table[f"intensity_max{end}"][i] == region.intensity_max
            assert table[f"intensity_std{end}"][i] == pytest.approx(pixels.std(dtype=np.float64), abs=1e-9)


@pytest.mark.filterwarnings("error")
def test_pixels_that_are_no_finite_numbers_are_left_out() -> None:
    labels = np.array([[1, 1, 1, 1], [2, 2, 2, 2], [0, 4, 4, 0], [7, 7, 7, 7]], np.uint16)
    plane = np.array([[1, np.nan, 3, -np.inf], [5, 6, 7, 8], [0, np.nan, np.inf, 0], [1, 2, 2, 3]], np.float32)
    nan, table = np.nan, intensity_columns(labels, {"": plane, "whole": np.ones((4, 4))})
    np.testing.assert_allclose(table["intensity_mean"], [2, 6.5, nan, 2])
    np.testing.assert_array_equal(table["intensity_min"], [1, 5, nan, 1])
    np.testing.assert_array_equal(table["intensity_max"], [3, 8, nan, 3])
    np.testing.assert_allclose(table["intensity_std"], [1, np.std([5, 6, 7, 8]), nan, np.sqrt(0.5)])
    assert table["intensity_mean_whole"].tolist() == [1, 1, 1, 1]
    np.testing.assert_allclose(measure(labels, image=plane)["mean_intensity"], [2, 6.5, nan, 2])
    colour = np.stack([plane, plane, np.where(plane == np.inf, -np.inf, plane)], axis=-1)
    np.testing.assert_allclose(measure(labels, image=colour)["mean_intensity"], [2, 6.5, nan, 2])


@pytest.mark.parametrize("shape", [(0, 0), (3, 4)])
def test_no_cells_have_no_shapes_and_no_brightness(shape: tuple[int, int]) -> None:
    labels = np.zeros(shape, np.uint16)
    columns = {**shape_columns(labels, (1, 1)), **intensity_columns(labels, {"a": np.zeros(shape)})}
    assert len(columns) == 13 + 3 + 4 and all(len(column) == 0 for column in columns.values())


def test_shapes_of_large_ids_and_channels_that_do_not_fit() -> None:
    labels = np.array([[0, 2_000_000_000, 5], [0, 2_000_000_000, 0]], dtype=np.int32)
    assert shape_columns(labels)["bbox_bottom"].tolist() == [1, 2]
    with pytest.raises(ValueError, match="channel 'GFP'"):
        intensity_columns(labels, {"GFP": np.zeros((3, 2))})
