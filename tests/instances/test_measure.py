from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from skimage.measure import regionprops_table

from napari_cellseg.instances import measure
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
