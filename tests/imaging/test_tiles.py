"""Tiles: every pixel is written once, with enough context, on the network's grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_cellseg.imaging import ParamsError, plan_tiles


@st.composite
def plans(draw):
    align = draw(st.sampled_from([1, 2, 8, 16, 32]))
    halo = draw(st.integers(0, 40))
    least = -(-(2 * halo + align) // align)
    tile = align * draw(st.integers(least, least + 6))
    shape = tuple(align * draw(st.integers(1, 30 if align > 1 else 200)) for _ in range(2))
    return shape, tile, halo, align


@given(plans())
def test_every_pixel_is_written_exactly_once(plan):
    shape, tile, halo, align = plan
    written = np.zeros(shape, int)
    for t in plan_tiles(shape, tile, halo, align):
        written[t.write] += 1
    assert (written == 1).all()


@given(plans())
def test_reads_fit_the_image_and_the_grid_and_give_context(plan):
    shape, tile, halo, align = plan
    for t in plan_tiles(shape, tile, halo, align):
        for size, read, crop, write in zip(shape, t.read, t.crop, t.write, strict=True):
            assert 0 <= read.start < read.stop <= size
            assert read.stop - read.start == min(tile, size)
            assert read.start % align == 0
            assert (read.start + crop.start, read.start + crop.stop) == (write.start, write.stop)
            assert write.start < write.stop
            assert read.start == 0 or crop.start >= halo
            assert read.stop == size or read.stop - write.stop >= halo
            assert crop.start >= 0 and crop.stop <= read.stop - read.start


@given(plans())
def test_tiles_come_row_by_row(plan):
    shape, tile, halo, align = plan
    corners = [(t.write[0].start, t.write[1].start) for t in plan_tiles(shape, tile, halo, align)]
    assert corners == sorted(corners)
    assert corners[0] == (0, 0)


@given(plans())
def test_there_are_no_more_tiles_than_needed(plan):
    shape, tile, halo, align = plan
    step = (tile - 2 * halo) // align * align
    needed = [1 + max(0, -(-(size - tile) // step)) for size in shape]
    assert len(plan_tiles(shape, tile, halo, align)) == needed[0] * needed[1]


def test_a_local_filter_shows_no_seams():
    image = np.random.default_rng(0).random((96, 160))
    out = np.empty_like(image)
    for t in plan_tiles(image.shape, 64, 5, 16):
        out[t.write] = ndimage.uniform_filter(image[t.read], 11)[t.crop]
    np.testing.assert_allclose(out, ndimage.uniform_filter(image, 11))


@pytest.mark.parametrize(
    ("shape", "tile", "halo", "align", "word"),
    [
        ((64, 64), 64, 32, 16, "at least 80"),
        ((64, 64), 64, 30, 16, "at least 80"),
        ((64, 64), 60, 8, 16, "multiple of 16"),
        ((60, 64), 64, 8, 16, "pad"),
        ((0, 64), 64, 8, 16, "pad"),
        ((64, 64), 64, -1, 16, "halo"),
        ((64, 64), 64, 8, 0, "align"),
        ((64, 64), 0, 0, 16, "multiple"),
    ],
)
def test_impossible_plans_are_refused(shape, tile, halo, align, word):
    with pytest.raises(ParamsError, match=word):
        plan_tiles(shape, tile, halo, align)
