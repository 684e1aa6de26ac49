"""Grown nuclei, and what is measured in nucleus, ring and cell: as scikit-image has it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.measure import regionprops
from skimage.segmentation import expand_labels

from napari_cellseg.imaging.errors import ParamsError
from napari_cellseg.instances.compartments import PLACES, Growth, cell_means, compartment, grow, up_to_edge
from tests.nuclei import draw_nuclei


def nuclei(seed: int = 0) -> np.ndarray:
    labels = draw_nuclei(16, (200, 240), 40, crowded=0.6, seed=seed).labels
    # Ids with gaps, as those of a slider.
    return (labels * 7 % 1009).astype(np.int32)


@pytest.mark.parametrize("growth", ["3px", "2.5px", "1.5um"])
def test_nuclei_grow_as_scikit_image_grows_them_and_none_loses_a_pixel(growth: str) -> None:
    labels, size = nuclei(), (0.5, 0.3)
    grown = grow(labels, Growth.parse(growth), size)
    spacing = size if growth.endswith("um") else (1, 1)
    np.testing.assert_array_equal(grown, expand_labels(labels, float(growth[:-2]), spacing))
    assert grown.dtype == labels.dtype and np.array_equal(grown[labels > 0], labels[labels > 0])
    assert set(np.unique(grown)) == set(np.unique(labels))


def test_nothing_is_grown_of_nothing_and_none_over_the_edge() -> None:
    assert not grow(np.zeros((20, 30), np.uint16), Growth(3, "px")).any()
    labels = np.zeros((20, 30), np.uint16)
    labels[0, 0] = labels[19, 29] = 5
    np.testing.assert_array_equal(grow(labels, Growth(4, "px")), expand_labels(labels, 4))


def test_nuclei_grow_up_to_the_edge_of_their_cells_and_touching_cells_part() -> None:
    y, x = np.mgrid[:120, :160]
    centres = [(60, 50), (60, 88), (20, 140), (100, 20)]
    far = np.stack([np.hypot(y - cy, x - cx) for cy, cx in centres])
    nearest, owner = far.min(axis=0), far.argmin(axis=0) + 1
    # The last nucleus has no cytoplasm.
    cells, labels = (
        np.where((nearest <= 20) & (owner < 4), owner, 0),
        np.where(nearest <= 7, owner, 0).astype(np.uint16),
    )
    # Two cells touch, and are dimmer at the rim, as cells are.
    light = np.where(cells > 0, 300 - 6 * nearest, 0)
    plane = gaussian_filter(light, 1) + np.random.default_rng(0).normal(0, 8, light.shape)
    grown = up_to_edge(labels, grow(labels, Growth(40, "px")), plane)
    assert np.array_equal(grown[labels > 0], labels[labels > 0]) and grown.dtype == labels.dtype
    for id_ in (1, 2, 3):
        mine, true = grown == id_, cells == id_
        assert (mine & true).sum() / (mine | true).sum() > 0.95
    assert (grown == 4).sum() < 1.5 * (labels == 4).sum()
    assert not up_to_edge(np.zeros_like(labels), np.zeros_like(labels), plane).any()


@pytest.mark.parametrize("text", ["3", "um", "-3um", "3 mm", "0px", "2000px", "1e3px", "nanpx", ""])
def test_what_is_no_length_is_refused_in_words(text: str) -> None:
    with pytest.raises(ParamsError, match="such as 3um or 5px"):
        Growth.parse(text)


def test_a_length_reads_back_as_it_was_written() -> None:
    assert [str(Growth.parse(text)) for text in ("3um", " 2.50 µm ", "10px: RFP")] == ["3um", "2.5um", "10px:RFP"]


def test_micrometres_need_a_pixel_size() -> None:
    with pytest.raises(ParamsError, match="no pixel size"):
        grow(nuclei(), Growth(3, "um"))


@pytest.mark.parametrize("place", PLACES)
def test_intensities_are_those_of_scikit_image(place: str) -> None:
    labels = nuclei(1)
    image = np.random.default_rng(0).normal(1000, 300, labels.shape)
    part = compartment(labels, grow(labels, Growth(3, "px")), place)
    ids = np.unique(labels[labels > 0])
    truth = {one.label: one for one in regionprops(part, image)}
    means, shares = cell_means(part, image, ids), cell_means(part, image, ids, 1200.0)
    for id_, mean, share in zip(ids.tolist(), means, shares, strict=True):
        if id_ in truth:
            assert mean == pytest.approx(truth[id_].intensity_mean, abs=1e-9)
            pixels = image[part == id_]
            assert share == pytest.approx((pixels > 1200).mean(), abs=1e-9)
        else:
            assert np.isnan(mean) and np.isnan(share)


def test_pixels_that_are_no_numbers_are_skipped_and_a_cell_without_a_pixel_has_no_value() -> None:
    labels = np.array([[1, 1, 2, 4]])
    image = np.array([[np.nan, 3.0, np.inf, 7.0]])
    np.testing.assert_array_equal(cell_means(labels, image, np.array([1, 2, 3, 4, 9])), [3, np.nan, np.nan, 7, np.nan])
    assert np.isnan(cell_means(np.zeros((2, 2), int), np.ones((2, 2)), np.array([1]))).all()
    assert not len(cell_means(labels, image, np.zeros(0, int)))


def test_without_growing_there_is_no_ring() -> None:
    with pytest.raises(ParamsError, match="--grow 3um"):
        compartment(nuclei(), None, "ring")
