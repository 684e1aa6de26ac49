"""Every plane of a stack is one page, once; a stack of labels comes back as it was and opens as a hyperstack."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.imaging import (
    AxesError,
    ImageError,
    OutputError,
    as_image,
    plane_image,
    planes_of,
    read_image,
    read_label_stack,
    read_labels,
    read_metadata,
    write_labels,
)
from napari_cellseg.imaging.stack_planes import StackPlane, refuse_stack, stack_axes, stack_shape


@st.composite
def stacks(draw):
    axes = draw(st.permutations("YX" + "".join(draw(st.sets(st.sampled_from("TZC"))))))
    shape = [draw(st.integers(1, 4)) for _ in axes]
    return as_image(np.arange(np.prod(shape)).reshape(shape), "".join(axes), name="a")


@given(stacks())
def test_the_pages_are_the_image(image):
    pages = planes_of(image)
    lengths = dict(zip(image.axes, image.data.shape, strict=True))
    assert len(pages) == len({page.name for page in pages}) == lengths.get("T", 1) * lengths.get("Z", 1)
    assert [page.name for page in pages] == sorted(page.name for page in pages)
    seen = [np.ravel(plane_image(image, page).data) for page in pages]
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(image.data.size))
    for page in pages:
        part = plane_image(image, page)
        assert not set(part.axes) & {"T", "Z"} or part is image
        np.testing.assert_array_equal(part.plane(0), image_plane(image, dict(page.index)))


def image_plane(image, index):
    """The same by another way: every other axis at 0."""
    taken = image.data
    for axis in [a for a in image.axes if a not in "YX"][::-1]:
        taken = np.take(taken, index.get(axis, 0), axis=image.axes.index(axis))
    return taken if image.axes.index("Y") < image.axes.index("X") else taken.T


@given(stacks())
def test_a_stack_has_a_place_for_every_page(image):
    shape = stack_shape(image)
    assert len(shape) == len(stack_axes(image))
    filled = np.zeros(shape)
    for page in planes_of(image):
        filled[page.position] += 1
    assert (filled == 1).all()


def test_names_say_time_before_slice():
    image = as_image(np.zeros((12, 3, 4, 5), np.uint8), "ZTYX", name="a.tif")
    names = [page.name for page in planes_of(image)]
    assert names[:2] == ["t000_z000", "t000_z001"] and names[-1] == "t002_z011" and len(names) == 36
    assert plane_image(image, planes_of(image)[-1]).name == "a.tif t002_z011"
    assert [p.name for p in planes_of(as_image(np.zeros((1, 4, 5)), "TYX"))] == [""]
    many = planes_of(as_image(np.zeros((1001, 1, 1)), "TYX"))
    assert many[0].name == "t0000" and many[-1].name == "t1000"


def test_a_page_keeps_colour_channels_and_scale():
    colour = as_image(np.zeros((2, 8, 9, 3), np.uint8), "TYXC", (0.5, 0.25), rgb=True, source="a.tif")
    page = plane_image(colour, planes_of(colour)[1])
    assert (page.axes, page.rgb, page.pixel_size, page.source) == ("YXC", True, (0.5, 0.25), "a.tif")
    channels = as_image(np.zeros((2, 3, 8, 9)), "CZYX", channel_names=("a", "b"))
    page = plane_image(channels, planes_of(channels)[0])
    assert (page.axes, page.n_channels, page.channel_names) == ("CYX", 2, ("a", "b"))


def test_a_lazy_stack_stays_lazy():
    dask = pytest.importorskip("dask.array")
    read = []

    def block(block_info):
        read.append(block_info[None]["chunk-location"])
        return np.zeros((1, 8, 9))

    image = as_image(dask.map_blocks(block, chunks=((1,) * 5, 8, 9), dtype=float, meta=np.zeros(0)), "TYX")
    page = plane_image(image, planes_of(image)[3])
    assert not read
    page.plane()
    assert set(read) == {(3, 0, 0)}


def test_a_plane_of_another_image_is_refused():
    image = as_image(np.zeros((3, 4, 5)), "TYX", name="a")
    for page in (StackPlane("t003", (("T", 3),)), StackPlane("", ()), StackPlane("z001", (("Z", 1),))):
        with pytest.raises(AxesError, match="has no plane"):
            plane_image(image, page)


def test_one_plane_is_wanted_and_the_choices_are_named():
    refuse_stack(as_image(np.zeros((1, 4, 5)), "ZYX"))
    image = as_image(np.zeros((3, 2, 4, 5)), "TZYX", name="a.tif")
    for refuse in (lambda: refuse_stack(image), image.plane):
        with pytest.raises(AxesError, match=r"a\.tif has 3 time points.*--pages each.*stack"):
            refuse()


@pytest.mark.parametrize("greatest", [9, 70_000])
@pytest.mark.parametrize(
    "axes, shape", [("TZYX", (2, 3, 8, 9)), ("TYX", (3, 8, 9)), ("ZYX", (4, 8, 3)), ("YX", (8, 9))]
)
def test_stacks_of_labels_come_back(tmp_path, axes, shape, greatest):
    labels = np.random.default_rng(0).integers(0, greatest + 1, shape).astype(np.int32)
    labels.flat[0] = greatest
    path = tmp_path / "a.tif"
    write_labels(path, labels, axes=axes, metadata={"µ": "a=b\n"}, pixel_size=(0.25, 0.5))
    back, back_axes = read_label_stack(path)
    np.testing.assert_array_equal(back, labels)
    assert back_axes == axes and back.dtype == (np.uint16 if greatest < 65536 else np.int32)
    assert read_metadata(path) == {"µ": "a=b\n"}
    image = read_image(path)
    assert image.axes == axes and image.pixel_size == pytest.approx((0.25, 0.5))
    np.testing.assert_array_equal(tifffile.imread(path), labels)
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == len(planes_of(image))
        assert all(page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE for page in tiff.pages)
        if len(axes) > 2:
            about = tiff.imagej_metadata
            lengths = dict(zip(axes, shape, strict=True))
            assert (about["frames"], about["slices"]) == (lengths.get("T", 1), lengths.get("Z", 1))
            assert about["images"] == about["frames"] * about["slices"]


def test_a_stack_on_the_disk_gives_the_same_bytes(tmp_path):
    labels = np.arange(240, dtype=np.int32).reshape(3, 8, 10)
    lazy = np.memmap(tmp_path / "scratch", np.int32, "w+", shape=labels.shape)
    lazy[:] = labels
    write_labels(tmp_path / "a.tif", labels, axes="ZYX")
    write_labels(tmp_path / "b.tif", lazy, axes="ZYX")
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_what_is_no_stack_of_labels_is_refused(tmp_path):
    for labels, axes in itertools.product([np.zeros((2, 3, 4), int), np.zeros((2, 3, 4)) + 0.5], ["YX", "CYX", "YXT"]):
        with pytest.raises(OutputError, match="axes"):
            write_labels(tmp_path / "a.tif", labels, axes=axes)
    write_labels(tmp_path / "a.tif", np.zeros((2, 3, 4), int), axes="ZYX")
    with pytest.raises(ImageError, match="slices"):
        read_labels(tmp_path / "a.tif")
