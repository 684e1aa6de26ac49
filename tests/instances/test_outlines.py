"""Outlines: filled again they are the very same cells, and they are polygons that other programs accept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import grid_points_in_poly

from napari_cellseg.instances.outlines import Outline, outlines, signed_area
from tests.instances.maps import random_labels

KNOT = np.array(
    [
        [1, 1, 1, 0, 0],
        [1, 0, 1, 0, 2],
        [1, 1, 0, 2, 0],
        [0, 0, 1, 0, 2],
    ],
    dtype=np.uint16,
)


@st.composite
def noise(draw: st.DrawFn) -> np.ndarray:
    """Pixels of a few cells thrown about: holes, corners that touch, cells in pieces."""
    shape = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.choice([0, 1, 7], shape, p=[0.3, 0.5, 0.2]).astype(np.uint16)


def filled(cell: Outline, shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centres lie in the parts of a cell and not in its holes."""
    mask = np.zeros(shape, bool)
    for outer, *holes in cell.parts:
        # From corners to centres: half a pixel.
        part = grid_points_in_poly(shape, outer - 0.5)
        for hole in holes:
            part &= ~grid_points_in_poly(shape, hole - 0.5)
        assert not (mask & part).any()
        mask |= part
    return mask


def check(labels: np.ndarray) -> None:
    found = outlines(labels)
    assert [cell.id for cell in found] == np.unique(labels[labels > 0]).tolist()
    for cell in found:
        mine = labels == cell.id
        np.testing.assert_array_equal(filled(cell, labels.shape), mine)
        assert len(cell.parts) == ndimage.label(mine)[1], "one part for each piece that hangs together by edges"
        assert sum(signed_area(ring) for part in cell.parts for ring in part) == mine.sum()
        for outer, *holes in cell.parts:
            assert signed_area(outer) > 0 and all(signed_area(hole) < 0 for hole in holes)
            for ring in (outer, *holes):
                assert len(np.unique(ring, axis=0)) == len(ring), "a ring does not meet itself"
                steps = np.roll(ring, -1, axis=0) - ring
                assert (np.count_nonzero(steps, axis=1) == 1).all(), "along the edges of pixels"
                assert (np.count_nonzero(steps + np.roll(steps, -1, axis=0), axis=1) == 2).all(), "corners only"


@given(noise())
def test_filled_again_they_are_the_same_cells(labels: np.ndarray) -> None:
    check(labels)


@given(random_labels())
def test_cells_that_touch(pair: tuple[np.ndarray, np.ndarray]) -> None:
    check(pair[0])


def test_corners_are_those_of_pixels() -> None:
    labels = np.zeros((5, 6), np.uint8)
    labels[1:3, 2:5] = 4
    (cell,) = outlines(labels)
    ((ring,),) = cell.parts
    assert sorted(map(tuple, ring.tolist())) == [(1, 2), (1, 5), (3, 2), (3, 5)]


def test_a_knot_of_pixels() -> None:
    check(KNOT)
    one, two = outlines(KNOT)
    assert [len(part) for part in one.parts] == [2, 1] and len(two.parts) == 3


def test_cells_within_cells() -> None:
    labels = np.zeros((11, 11), np.int32)
    for margin, id_ in enumerate([1, 2, 0, 1, 70_000]):
        labels[margin : 11 - margin, margin : 11 - margin] = id_
    check(labels)


@pytest.mark.parametrize("shape", [(0, 0), (3, 4)])
def test_no_cells(shape: tuple[int, int]) -> None:
    assert outlines(np.zeros(shape, np.uint16)) == []


def test_what_is_no_label_image_is_refused() -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        outlines(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="negative"):
        outlines(np.full((3, 3), -1))
