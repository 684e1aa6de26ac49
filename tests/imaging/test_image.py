"""Axes are named or plain to see, never guessed; a plane is what the network will see."""

from __future__ import annotations

import dask.array
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as PillowImage

from napari_cellseg.imaging import AxesError, Image, ImageError, as_image, read_image


@pytest.mark.parametrize(
    ("shape", "dtype", "rgb", "axes", "is_rgb"),
    [
        ((8, 9), "u1", None, "YX", False),
        ((1, 1), "f4", None, "YX", False),
        ((8, 3), "u1", None, "YX", False),
        ((8, 9, 3), "u1", None, "YXC", True),
        ((8, 9, 4), "f4", None, "YXC", True),
        ((8, 9, 3), ">u2", None, "YXC", True),
        ((2, 2, 3), "i4", True, "YXC", True),
        ((1, 8, 9), "u1", None, "YX", False),
        ((1, 1, 8, 9), "u1", None, "YX", False),
        ((1, 8, 9, 3), "u1", None, "YXC", True),
    ],
)
def test_axes_that_are_plain_to_see(shape, dtype, rgb, axes, is_rgb):
    image = as_image(np.zeros(shape, dtype), rgb=rgb)
    assert (image.axes, image.rgb) == (axes, is_rgb)
    assert image.data.ndim == len(axes)


@pytest.mark.parametrize(
    ("shape", "dtype", "rgb"),
    [
        ((5, 8, 9), "u1", None),
        ((8, 9, 3), "u1", False),
        ((8, 9, 3), "i4", None),
        ((4, 4, 3), "u1", None),
        ((1, 9, 3), "u1", None),
        ((2, 3, 8, 9), "u1", None),
        ((8, 9), "u1", True),
        ((8, 9, 5), "u1", True),
    ],
)
def test_axes_are_never_guessed(shape, dtype, rgb):
    with pytest.raises(AxesError, match=r"axes"):
        as_image(np.zeros(shape, dtype), rgb=rgb)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 5)),
        np.zeros(5),
        np.float64(3),
        np.zeros((3, 3), complex),
        np.array([["a", "b"]]),
        np.array([[None, 1]], dtype=object),
        np.zeros((3, 3), "M8[s]"),
        [[1, 2], [3]],
    ],
)
def test_what_is_no_image_is_refused(array):
    with pytest.raises(ImageError):
        as_image(array)


@pytest.mark.parametrize("axes", ["YXX", "YZ", "ZY", "AYX", "YX", "TCYX", ""])
def test_axes_that_do_not_fit_are_refused(axes):
    with pytest.raises(AxesError):
        as_image(np.zeros((5, 8, 9)), axes)


def test_a_named_last_axis_of_colours_is_colour_and_can_be_refused():
    array = np.zeros((8, 9, 3), np.uint8)
    assert as_image(array, "yxs").rgb
    assert as_image(array, "YXC").n_channels == 1
    assert as_image(array, "YXC", rgb=False).n_channels == 3


def test_four_that_are_named_channels_are_channels_and_four_samples_are_colour():
    array = np.random.default_rng(0).integers(0, 255, (8, 9, 4), np.uint8)
    assert as_image(array, "YXS").rgb and as_image(array, "YXC", rgb=True).rgb
    image = as_image(array, "YXC")
    assert not image.rgb and image.n_channels == 4
    np.testing.assert_array_equal(image.plane(3), array[..., 3])
    with pytest.raises(ImageError, match=r"4 channels .* colours with alpha, .* axes='YXS'"):
        image.plane()
    with pytest.raises(ImageError, match=r"--channel N\)\.$"):
        as_image(np.moveaxis(array, -1, 0), "CYX").plane()


def test_an_image_stays_what_it_is():
    image = as_image(np.zeros((8, 9)), name="a")
    assert as_image(image) is image


def test_bool_becomes_uint8():
    assert as_image(np.eye(6, dtype=bool)).plane().dtype == np.uint8
    assert as_image(dask.array.from_array(np.eye(6, dtype=bool))).plane().dtype == np.uint8


@pytest.mark.parametrize("size", [(0, 1), (1, -1), (np.nan, 1), (1,), (1, 2, 3)])
def test_a_pixel_size_is_two_positive_numbers(size):
    with pytest.raises(ImageError, match="pixel size"):
        as_image(np.zeros((8, 9)), pixel_size=size)


@given(st.permutations("TZCYX"), st.integers(0, 2), st.integers(1, 4), st.integers(1, 4))
def test_a_plane_is_found_whatever_the_order_of_the_axes(order, channel, height, width):
    lengths = {"T": 1, "Z": 1, "C": 3, "Y": height, "X": width}
    array = np.arange(3 * height * width).reshape(1, 1, 3, height, width)
    image = as_image(array.transpose(["TZCYX".index(a) for a in order]), "".join(order), rgb=False)
    assert image.shape_yx == (height, width) and image.n_channels == 3
    assert {a: image.data.shape[i] for i, a in enumerate(order)} == lengths
    np.testing.assert_array_equal(image.plane(channel), array[0, 0, channel])


def test_stacks_say_which_axis_is_too_long():
    with pytest.raises(AxesError, match="7 slices"):
        as_image(np.zeros((7, 8, 9)), "ZYX").plane()
    with pytest.raises(AxesError, match="4 time points"):
        as_image(np.zeros((4, 8, 9)), "TYX").plane()


def test_a_channel_is_chosen_not_guessed():
    image = as_image(np.zeros((2, 8, 9)), "CYX", channel_names=["nuclei", "actin"])
    with pytest.raises(ImageError, match="nuclei, actin"):
        image.plane()
    for wrong in (2, -1):
        with pytest.raises(ImageError, match="0 to 1"):
            image.plane(wrong)
    with pytest.raises(ImageError, match="no channel 1"):
        as_image(np.zeros((8, 9))).plane(1)


def test_colour_planes():
    array = np.random.default_rng(0).integers(0, 255, (8, 9, 4)).astype(np.uint8)
    image = as_image(array)
    np.testing.assert_array_equal(image.plane(), array[..., :3])
    np.testing.assert_array_equal(image.plane(2), array[..., 2])
    with pytest.raises(ImageError, match="no channel 3"):
        image.plane(3)


@given(hnp.arrays(st.sampled_from(["u1", "u2", "f4"]), (6, 7)))
def test_three_equal_colours_are_grey(grey):
    alpha = np.zeros_like(grey)
    np.testing.assert_array_equal(as_image(np.stack([grey, grey, grey, alpha], -1)).plane(), grey)


def test_planes_come_in_native_byte_order():
    plane = as_image(np.arange(72, dtype=">u2").reshape(8, 9)).plane()
    assert plane.dtype.isnative and plane[0, 5] == 5


def test_hash_is_of_the_values_not_of_how_they_lie():
    array = np.random.default_rng(1).random((40, 50))
    known = as_image(array).content_hash()
    assert as_image(np.asfortranarray(array)).content_hash() == known
    assert as_image(array.astype(">f8")).content_hash() == known
    assert as_image(dask.array.from_array(array, chunks=(7, 50))).content_hash() == known
    assert as_image(array, name="other", pixel_size=(1, 1)).content_hash() == known
    changed = array.copy()
    changed[-1, -1] += 1
    hashes = {as_image(a).content_hash() for a in (changed, array.astype("f4"), array.reshape(50, 40))}
    assert len(hashes) == 3 and known not in hashes


def test_hash_does_not_depend_on_the_block_size(monkeypatch):
    array = np.arange(900, dtype=np.uint16).reshape(30, 30)
    known = as_image(array).content_hash()
    monkeypatch.setattr("napari_cellseg.imaging.image._HASH_BLOCK_BYTES", 100)
    assert as_image(array).content_hash() == known


def test_messages_use_the_name_of_the_image():
    with pytest.raises(ImageError, match=r"cells\.png"):
        Image(np.zeros((0, 3)), "YX", name="cells.png")


def test_a_region_is_read_alone_and_as_a_copy() -> None:
    values = np.arange(3 * 40 * 50).reshape(3, 40, 50)
    image = Image(values, "CYX", name="some")
    part = image.read_region(slice(5, 15), slice(20, 26))
    assert np.array_equal(part, values[:, 5:15, 20:26]) and not np.shares_memory(part, values)
    colour = Image(np.zeros((40, 50, 3), np.uint8), "YXC", rgb=True)
    assert colour.read_region(slice(5, 15), slice(20, 60)).shape == (10, 30, 3)


@pytest.mark.parametrize("samples", [3, 4])
def test_equal_colours_are_one_grey_image(tmp_path, samples):
    grey = np.random.default_rng(0).integers(0, 256, (20, 31)).astype(np.uint8)
    PillowImage.fromarray(grey).save(tmp_path / "grey.png")
    colours = np.stack([grey] * 3 + [np.arange(31 * 20).reshape(20, 31).astype(np.uint8)] * (samples - 3), -1)
    PillowImage.fromarray(colours).save(tmp_path / "colours.png")
    image, plain = read_image(tmp_path / "colours.png"), read_image(tmp_path / "grey.png")
    assert (image.axes, image.rgb, image.n_channels) == (plain.axes, plain.rgb, plain.n_channels)
    np.testing.assert_array_equal(image.plane(), grey)
    for channel in ("red", "Green", 2):
        np.testing.assert_array_equal(image.plane(channel), grey)
    with pytest.raises(ImageError, match="no channel 3"):
        image.plane(3)
    named = read_image(tmp_path / "colours.png", "YXS")
    assert named.rgb
    layer = as_image(colours, rgb=True)
    assert image.content_hash() == plain.content_hash() == named.content_hash() == layer.content_hash()
    colours[-1, -1, 2] ^= 1
    assert as_image(colours, rgb=True).content_hash() != plain.content_hash()
    PillowImage.fromarray(colours).save(tmp_path / "colours.png")
    assert read_image(tmp_path / "colours.png").rgb
