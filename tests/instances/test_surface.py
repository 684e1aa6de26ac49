"""Every threshold and size at once gives what each of them gives alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import label

from napari_cellseg.instances import Instances, match, quantize
from napari_cellseg.instances.components import component_counts, component_labels
from napari_cellseg.instances.surface import count_surface, overlaps, precision_surface
from tests.instances.maps import random_labels

IOUS = (0.5, 0.6, 0.75, 0.9)


def probabilities(seed: int, shape: tuple[int, int] = (24, 31), n_levels: int = 256) -> np.ndarray:
    """Random maps with few or many levels."""
    rng = np.random.default_rng(seed)
    return (rng.integers(0, n_levels, shape) / (n_levels - 1)).astype(np.float32)


def split_maps(seed: int) -> tuple[Instances, np.ndarray]:
    """Basins in a grid, random probability, and true cells that lie across them."""
    rng = np.random.default_rng(seed)
    probability = np.clip(probabilities(seed) ** 0.5, 0, 1)
    basins = np.arange(1, 13).reshape(3, 4).repeat(8, axis=0).repeat(8, axis=1)[:24, :31]
    basins = np.where(rng.random(basins.shape) < 0.9, basins, 0)
    true = np.roll(np.arange(1, 13).reshape(3, 4).repeat(8, axis=0).repeat(8, axis=1), 1, axis=1)[:24, :31] * 3
    return Instances(probability, basins), np.where(rng.random(true.shape) < 0.8, true, 0)


@pytest.mark.parametrize("seed", range(3))
def test_count_surface_is_the_sliders_count(seed: int) -> None:
    instances, _ = split_maps(seed)
    surface = count_surface(instances, 60)
    assert surface.shape == (256, 61)
    for level in range(0, 256, 5):
        counts = [instances.count(level / 255, size) for size in range(61)]
        assert surface[level].tolist() == counts
    assert np.all(np.diff(surface, axis=0) <= 0) and np.all(np.diff(surface, axis=1) <= 0)


@pytest.mark.parametrize("seed", range(3))
def test_precision_surface_is_what_matching_gives(seed: int) -> None:
    instances, true = split_maps(seed)
    surface = precision_surface(overlaps(instances, true), 60, IOUS)
    assert surface.max() > 0.2
    for level in (0, 30, 90, 120, 128, 160, 200, 255):
        for size in (0, 1, 10, 25, 40, 60):
            by_labels = match(true, instances.labels(level / 255, size), IOUS).ap.mean()
            assert surface[level, size] == pytest.approx(by_labels), (level, size)


@given(random_labels(), st.integers(0, 100))
def test_precision_surface_at_exactly_one_half(pair: tuple[np.ndarray, np.ndarray], size: int) -> None:
    """Small cells overlap by exactly one half often; each still has one partner."""
    true, basins = pair
    instances = Instances(np.ones(basins.shape, np.float32), basins)
    size = size % 9
    expected = match(true, instances.labels(0.5, size), (0.5, 0.55)).ap.mean()
    assert precision_surface(overlaps(instances, true), 9, (0.5, 0.55))[128, size] == pytest.approx(expected)


@pytest.mark.parametrize("n_levels", [3, 9, 256])
def test_components_are_those_of_label_and_counted_at_once(n_levels: int) -> None:
    probability = probabilities(1, n_levels=n_levels)
    surface = component_counts(probability, 40)
    levels = quantize(probability)
    for level in range(0, 256, 3):
        areas = np.bincount(label(levels >= level, connectivity=2).ravel())[1:]
        assert surface[level].tolist() == [np.count_nonzero(areas >= max(size, 1)) for size in range(41)]
    labels = component_labels(probability, 0.8, 3)
    assert labels.max() == len(np.unique(labels)) - 1 == surface[204, 3]


def test_only_cells_more_than_half_inside_the_reviewed_area_count() -> None:
    probability = np.zeros((20, 40), np.float32)
    basins = np.zeros(probability.shape, np.int32)
    for i, left in enumerate((2, 16, 30), start=1):
        basins[5:15, left : left + 8] = i
    probability[basins > 0] = 0.9
    reviewed = np.zeros(probability.shape, bool)
    reviewed[:, :19] = True  # all of the first cell, 3 of the second's 8 columns
    instances = Instances(probability, basins)
    assert count_surface(instances, 100)[128, [0, 80, 81]].tolist() == [3, 3, 0]
    assert count_surface(instances, 100, reviewed)[128, [0, 80, 81]].tolist() == [1, 1, 0]
    assert component_counts(probability, 100, reviewed)[128, [0, 80, 81]].tolist() == [1, 1, 0]
    true = np.where(basins == 1, 7, 0)
    assert np.all(precision_surface(overlaps(instances, true, reviewed), 10, (0.5, 0.9))[128] == 1)
    assert np.all(precision_surface(overlaps(instances, true), 10, (0.5,))[128] == pytest.approx(1 / 3))


def test_empty_images_and_what_is_refused() -> None:
    nothing = Instances(np.zeros((4, 5), np.float32), np.zeros((4, 5), np.int32))
    assert not count_surface(nothing, 5).any()
    assert np.all(precision_surface(overlaps(nothing, np.zeros((4, 5), np.int32)), 5, (0.5,)) == 1)
    assert not precision_surface(overlaps(nothing, np.ones((4, 5), np.int32)), 5, (0.5,)).any()
    assert component_counts(np.zeros((4, 5), np.float32), 30)[:, 0].tolist() == [1] + [0] * 255
    with pytest.raises(ValueError, match="one partner"):
        precision_surface(overlaps(nothing, np.ones((4, 5), np.int32)), 5, (0.3,))
    with pytest.raises(ValueError, match=r"\(5, 4\)"):
        overlaps(nothing, np.ones((5, 4), np.int32))
    with pytest.raises(ValueError, match="max_size"):
        count_surface(nothing, 0)
