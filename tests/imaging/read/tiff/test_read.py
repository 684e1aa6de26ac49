"""TIFF in its dialects: axes, colours, scale, names of channels, large files, parts that are missing."""

from __future__ import annotations

import dask.array
import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from napari_cellseg.imaging import AxesError, ImageError, read_image

RNG = np.random.default_rng(0)
GREY8 = RNG.integers(0, 256, (20, 31)).astype(np.uint8)
GREY16 = RNG.integers(0, 65536, (20, 31)).astype(np.uint16)
STACK = RNG.integers(0, 65536, (3, 20, 31)).astype(np.uint16)
RGB8 = RNG.integers(0, 256, (20, 31, 3)).astype(np.uint8)


def write(path, array, **options):
    options.setdefault("photometric", "minisblack")
    tifffile.imwrite(path, array, **options)
    return path


def ome(**scale):
    return {"axes": "CYX", "Channel": {"Name": ["nuclei", "actin", "dots"]}, **scale}


def test_ome(tmp_path):
    scale = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 250, "PhysicalSizeYUnit": "nm"}
    image = read_image(write(tmp_path / "a.ome.tif", STACK, ome=True, metadata=ome(**scale)))
    assert (image.axes, image.n_channels, image.rgb) == ("CYX", 3, False)
    assert image.pixel_size == pytest.approx((0.25, 0.5))
    assert image.channel_names == ("nuclei", "actin", "dots")
    np.testing.assert_array_equal(image.plane(1), STACK[1])


@pytest.mark.parametrize(
    "scale",
    [
        {},
        {"PhysicalSizeX": 0.5},
        {"PhysicalSizeX": 2, "PhysicalSizeY": 2, "PhysicalSizeXUnit": "pixel", "PhysicalSizeYUnit": "pixel"},
    ],
)
def test_ome_without_a_usable_scale(tmp_path, scale):
    assert read_image(write(tmp_path / "a.ome.tif", STACK, ome=True, metadata=ome(**scale))).pixel_size is None


@pytest.mark.parametrize("unit, factor", [("um", 1), ("micron", 1), ("\\u00B5m", 1), ("nm", 1e-3), ("mm", 1e3)])
def test_imagej(tmp_path, unit, factor):
    metadata = {"axes": "CYX", "unit": unit, "Labels": ["a", "b", "c"]}
    image = read_image(write(tmp_path / "a.tif", STACK, imagej=True, resolution=(2, 4), metadata=metadata))
    assert image.pixel_size == pytest.approx((factor / 4, factor / 2))
    assert image.axes == "CYX" and image.channel_names == ("a", "b", "c")
    np.testing.assert_array_equal(image.plane(2), STACK[2])


@pytest.mark.parametrize("unit, per_unit, size", [("inch", 300, None), ("cm", 118, None), ("inch", 50800, 0.5)])
def test_imagej_takes_over_resolutions_for_print(tmp_path, unit, per_unit, size):
    write(tmp_path / "a.tif", GREY16, imagej=True, resolution=(per_unit, per_unit), metadata={"unit": unit})
    found = read_image(tmp_path / "a.tif").pixel_size
    assert found == (None if size is None else pytest.approx((size, size)))


def test_imagej_without_calibration(tmp_path):
    write(tmp_path / "a.tif", GREY16, imagej=True, metadata={"unit": "pixel"})
    assert read_image(tmp_path / "a.tif").pixel_size is None


@pytest.mark.parametrize(
    "resolution, unit, size",
    [
        ((20000, 40000), "CENTIMETER", (0.25, 0.5)),
        ((50800, 50800), "INCH", (0.5, 0.5)),
        ((72, 72), "INCH", None),
        ((300, 300), "INCH", None),
        ((28.35, 28.35), "CENTIMETER", None),
        ((3, 3), "NONE", None),
    ],
)
def test_resolution_tags(tmp_path, resolution, unit, size):
    image = read_image(write(tmp_path / "a.tif", GREY16, resolution=resolution, resolutionunit=unit))
    assert image.pixel_size == (size if size is None else pytest.approx(size))


@pytest.mark.parametrize("dtype", ["u1", ">u2", "u4", "i2", "i4", "f2", "f4", "f8", "u8", "?"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_dtypes(tmp_path, dtype, compression):
    array = (GREY8 % 2 if dtype == "?" else GREY8 // 2).astype(dtype)
    image = read_image(write(tmp_path / "a.tif", array, compression=compression if dtype != "?" else None))
    np.testing.assert_array_equal(image.plane(), array)
    assert image.axes == "YX"


def test_colour_is_last_however_it_lies_in_the_file(tmp_path):
    write(tmp_path / "a.tif", RGB8, photometric="rgb")
    write(tmp_path / "b.tif", np.moveaxis(RGB8, -1, 0).copy(), photometric="rgb", planarconfig="separate")
    rgba = np.concatenate([RGB8, GREY8[..., None]], -1)
    write(tmp_path / "c.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    for name in ("a.tif", "b.tif", "c.tif"):
        image = read_image(tmp_path / name)
        assert image.rgb and image.axes == "YXC"
        np.testing.assert_array_equal(image.plane(), RGB8)
    assert read_image(tmp_path / "a.tif", "YXS").rgb
    assert read_image(tmp_path / "b.tif", "CYX").n_channels == 3


def test_samples_that_are_named_colours_are_colours(tmp_path):
    path = write(tmp_path / "a.tif", np.concatenate([RGB8, GREY8[..., None]], -1), planarconfig="contig")
    assert read_image(path, "YXC").n_channels == 4
    np.testing.assert_array_equal(read_image(path, "YXS").plane(), RGB8)


def test_grey_with_alpha_and_many_samples(tmp_path):
    both = np.stack([GREY8, GREY8[::-1]], -1)
    write(tmp_path / "a.tif", both, extrasamples=["unassalpha"], planarconfig="contig")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").plane(), GREY8)
    five = np.stack([GREY8] * 5, -1)
    write(tmp_path / "b.tif", five, planarconfig="contig")
    assert read_image(tmp_path / "b.tif").n_channels == 5


@pytest.mark.parametrize("axes, word", [("ZYX", "3 slices"), ("TYX", "3 time points")])
def test_stacks_are_read_and_named(tmp_path, axes, word):
    image = read_image(write(tmp_path / "a.ome.tif", STACK, ome=True, metadata={"axes": axes}))
    assert image.axes == axes
    with pytest.raises(AxesError, match=word):
        image.plane()


def test_pages_without_a_meaning_need_axes(tmp_path):
    path = write(tmp_path / "a.tif", STACK)
    with pytest.raises(AxesError, match=r"a\.tif.*axes='CYX'"):
        read_image(path)
    assert read_image(path, "cyx").n_channels == 3
    with pytest.raises(AxesError):
        read_image(path, "TCYX")


def test_single_planes_are_squeezed(tmp_path):
    path = write(tmp_path / "a.ome.tif", GREY16[None, None, None], ome=True, metadata={"axes": "TZCYX"})
    np.testing.assert_array_equal(read_image(path).plane(), GREY16)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_usual_compressions(tmp_path, compression):
    for name, array in (("a.tif", GREY8), ("b.tif", RGB8), ("c.tif", GREY16)):
        PillowImage.fromarray(array).save(tmp_path / name, compression=compression)
        np.testing.assert_array_equal(read_image(tmp_path / name).plane(), array)


def test_pyramids_give_the_full_size(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        full = RNG.integers(0, 255, (128, 128)).astype(np.uint8)
        writer.write(full, tile=(64, 64), subifds=1, photometric="minisblack")
        writer.write(full[::2, ::2], tile=(64, 64), subfiletype=1, photometric="minisblack")
    np.testing.assert_array_equal(read_image(tmp_path / "a.ome.tif").plane(), full)


def test_several_images_in_a_file(tmp_path):
    def save(name, *arrays):
        with tifffile.TiffWriter(tmp_path / name, ome=True) as writer:
            for array in arrays:
                writer.write(array, photometric="minisblack")
        return tmp_path / name

    with pytest.raises(ImageError, match=r"holds 2 images \(.*\)\. Give one of them"):
        read_image(save("a.ome.tif", GREY16, GREY16))
    np.testing.assert_array_equal(read_image(save("b.ome.tif", GREY16, GREY16[:5, :5])).plane(), GREY16)


BIG = np.tile(GREY16, (4, 4))  # 80 x 124


@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}], ids=["strips", "tiles"])
@pytest.mark.parametrize(
    ("other", "name", "beside"),
    [
        (BIG[::2, ::2], "", True),
        (BIG[::4, ::4][:, :30], "", True),
        (BIG[:60, :93], "", False),
        (BIG[::2, ::4], "", False),
        (BIG[::2, ::2].astype("u1"), "", False),
        (np.stack([BIG[::2, ::2]] * 3), "", False),
        (BIG[:60, :93], "Macro image", True),
        (RGB8, "label", True),
        (BIG[:60, :93], "labelled cells", False),
    ],
)
def test_levels_and_labels_beside_an_ome_image_are_left_out(tmp_path, other, name, beside, options):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        writer.write(BIG, photometric="minisblack", **options)
        kind = "rgb" if other is RGB8 else "minisblack"
        writer.write(other, photometric=kind, metadata={"Name": name} if name else {}, **options)
    if beside:
        np.testing.assert_array_equal(read_image(tmp_path / "a.ome.tif").plane(), BIG)
    else:
        with pytest.raises(ImageError, match=r"holds 2 images \(.*\)\. Give one of them"):
            read_image(tmp_path / "a.ome.tif")


@pytest.mark.parametrize("pages", [(GREY8, GREY8[:15]), (GREY8, GREY8, GREY8[:, :20])])
@pytest.mark.parametrize("axes", [None, "YX", "ZYX"])
def test_pages_of_other_sizes_are_not_left_out_silently(tmp_path, pages, axes):
    first, *others = [PillowImage.fromarray(page) for page in pages]
    first.save(tmp_path / "a.tif", save_all=True, append_images=others)
    with pytest.raises(ImageError, match=r"holds 2 images \(0, 1\)\. Give one of them"):
        read_image(tmp_path / "a.tif", axes)


@pytest.mark.parametrize(
    "shape, options", [((15, 31), {"subfiletype": 1}), ((4, 7), {})], ids=["said to be reduced", "tiny"]
)
def test_thumbnails_beside_an_image_are_left_out(tmp_path, shape, options):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(GREY8, photometric="minisblack", metadata=None)
        writer.write(GREY8[: shape[0], : shape[1]], photometric="minisblack", metadata=None, **options)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").plane(), GREY8)


def test_what_lies_beside_a_slide_is_left_out(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(np.tile(GREY8, (8, 8)), tile=(64, 64), photometric="minisblack", metadata=None)
        writer.write(np.tile(GREY8, (5, 3)), photometric="minisblack", metadata=None)
    assert read_image(tmp_path / "a.tif").shape_yx == (160, 248)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_big_files_stay_on_disk(tmp_path, monkeypatch, compression, byteorder):
    monkeypatch.setattr("napari_cellseg.imaging.read.read.LAZY_BYTES", 1000)
    path = tmp_path / "a.ome.tif"
    write(path, STACK, ome=True, metadata=ome(), compression=compression, byteorder=byteorder)
    image = read_image(path)
    assert isinstance(image.data, np.memmap if compression is None else dask.array.Array)
    plane = image.plane(1)
    np.testing.assert_array_equal(plane, STACK[1])
    assert plane.dtype == np.uint16
    monkeypatch.undo()
    assert image.content_hash() == read_image(path).content_hash()


def test_big_colour_files_stay_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_cellseg.imaging.read.read.LAZY_BYTES", 1000)
    planar = np.moveaxis(RGB8, -1, 0).copy()
    write(tmp_path / "a.tif", planar, photometric="rgb", planarconfig="separate", compression="zlib")
    image = read_image(tmp_path / "a.tif")
    assert isinstance(image.data, dask.array.Array) and image.rgb
    np.testing.assert_array_equal(image.plane(), RGB8)


def test_big_files_with_an_unknown_codec_fail_at_once(tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif", STACK, compression="zlib", metadata={"axes": "CYX"})
    monkeypatch.setattr("napari_cellseg.imaging.read.read.LAZY_BYTES", 1000)

    def refuse(*_, **__):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, "decode", property(lambda _: refuse))
    with pytest.raises(ImageError, match="pip install imagecodecs"):
        read_image(path)


def test_missing_files_of_an_image_are_named(tmp_path):
    path = write(tmp_path / "a.ome.tif", STACK, ome=True, metadata=ome())
    other = '<TiffData IFD="0" FirstC="2" PlaneCount="1"><UUID FileName="gone.tif">urn:uuid:1</UUID></TiffData>'
    xml = tifffile.tiffcomment(path)
    assert xml is not None and '<TiffData IFD="0" PlaneCount="3"/>' in xml
    here = '<TiffData IFD="0" FirstC="0" PlaneCount="2"/>'
    tifffile.tiffcomment(path, xml.replace('<TiffData IFD="0" PlaneCount="3"/>', here + other).encode())
    with pytest.raises(ImageError, match="other files"):
        read_image(path)


@pytest.mark.parametrize("tag, value", [("ImageLength", 2**31), ("ImageWidth", 2**31)])
def test_sizes_that_the_file_cannot_hold_are_refused_at_once(tmp_path, tag, value):
    path = write(tmp_path / "a.tif", GREY16, compression="zlib", rowsperstrip=1 if tag == "ImageLength" else 20)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags[tag].overwrite(value, dtype="I")
    with pytest.raises(ImageError, match="announces"):
        read_image(path)
