"""What a TIFF's samples are: palettes, white as 0, alpha and other extra samples, colours that are not supported."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from napari_cellseg.imaging import ImageError, read_image
from napari_cellseg.imaging.read.packed.picture_headers import size_of
from napari_cellseg.imaging.read.pictures.palettes import coloured, is_display_only

from ..samples import shared_data

RNG = np.random.default_rng(0)
GREY8 = RNG.integers(0, 256, (20, 31)).astype(np.uint8)
GREY12 = RNG.integers(0, 4096, (20, 31)).astype(np.uint16)
STACK = RNG.integers(0, 256, (2, 20, 31)).astype(np.uint8)
RAMP = np.arange(256) * 257
NONE = np.zeros(256, int)


def table(red, green, blue, n=256):
    return np.stack([np.resize(part, n) for part in (red, green, blue)]).astype(np.uint16)


GREEN = table(NONE, RAMP, NONE)
ORANGE = table(RAMP, RAMP // 2, NONE)
GREY = table(RAMP, RAMP, RAMP)
STRETCHED = table(*[np.clip(4 * RAMP - 60_000, 0, 65535)] * 3)
MARKED = GREY.copy()
MARKED[:, 0], MARKED[:, -1] = (0, 0, 65535), (65535, 0, 0)
DARK = table(NONE, NONE, NONE)
FIRE = table(RAMP, RAMP[::-1], NONE)
CLASSES = table(*RNG.integers(0, 65536, (3, 256)))


def write(path, array, **options):
    tifffile.imwrite(path, array, **{"photometric": "minisblack", **options})
    return path


@pytest.mark.parametrize("colormap", [GREEN, ORANGE, GREY, STRETCHED, MARKED, DARK])
@pytest.mark.parametrize("limit", [10**9, 100], ids=["at once", "lazily"])
def test_a_palette_of_one_hue_shows_intensities(tmp_path, monkeypatch, colormap, limit):
    monkeypatch.setattr("napari_cellseg.imaging.read.read.LAZY_BYTES", limit)
    path = write(tmp_path / "a.tif", GREY8, photometric="palette", colormap=colormap)
    image = read_image(path)
    assert (image.axes, image.rgb) == ("YX", False)
    np.testing.assert_array_equal(image.plane(), GREY8)


@pytest.mark.parametrize("colormap", [FIRE, CLASSES])
@pytest.mark.parametrize("limit", [10**9, 100], ids=["at once", "lazily"])
def test_a_palette_of_colours_holds_colours(tmp_path, monkeypatch, colormap, limit):
    monkeypatch.setattr("napari_cellseg.imaging.read.read.LAZY_BYTES", limit)
    path = write(tmp_path / "a.tif", GREY8, photometric="palette", colormap=colormap)
    image = read_image(path)
    assert (image.axes, image.rgb) == ("YXC", True)
    np.testing.assert_array_equal(image.plane(), np.asarray(PillowImage.open(path).convert("RGB")))


def test_a_palette_in_ome_is_never_data(tmp_path):
    options = {"photometric": "palette", "colormap": FIRE, "ome": True}
    channels = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    image = read_image(write(tmp_path / "a.ome.tif", STACK, metadata=channels, **options))
    assert (image.axes, image.channel_names) == ("CYX", ("DAPI", "GFP"))
    np.testing.assert_array_equal(image.plane("GFP"), STACK[1])


def test_sixteen_bits_with_a_palette_keep_their_range(tmp_path):
    colormap = table(np.arange(65536), 0, np.arange(65536)[::-1], 65536)
    image = read_image(write(tmp_path / "a.tif", GREY12, photometric="palette", colormap=colormap))
    np.testing.assert_array_equal(image.plane(), GREY12)


@pytest.mark.parametrize("name", ["a.png", "a.bmp"])
def test_pictures_with_palettes_follow_the_same_rule(tmp_path, name):
    picture = PillowImage.fromarray(GREY8, "P")
    picture.putpalette((GREEN >> 8).astype(np.uint8).T.tobytes())
    picture.save(tmp_path / name)
    np.testing.assert_array_equal(read_image(tmp_path / name).plane(), GREY8)
    picture.putpalette((CLASSES >> 8).astype(np.uint8).T.tobytes())
    picture.save(tmp_path / name)
    np.testing.assert_array_equal(read_image(tmp_path / name).plane(), np.asarray(picture.convert("RGB")))


def test_looking_colours_up_is_indexing():
    colours = (CLASSES >> 8).T.astype(np.uint8)
    np.testing.assert_array_equal(coloured(STACK, CLASSES.T), colours[STACK])
    assert is_display_only(GREEN.T) and not is_display_only(FIRE.T)


@pytest.mark.parametrize("kind, is_data", [("unspecified", True), ("unassalpha", False), ("assocalpha", False)])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_only_alpha_is_alpha(tmp_path, kind, is_data, planar):
    both = np.stack([GREY8, GREY8[::-1]], -1 if planar == "contig" else 0)
    image = read_image(write(tmp_path / "a.tif", both, extrasamples=[kind], planarconfig=planar))
    assert image.n_channels == (2 if is_data else 1)
    np.testing.assert_array_equal(image.plane(0), GREY8)
    if is_data:
        np.testing.assert_array_equal(image.plane(1), GREY8[::-1])


def test_alpha_beside_other_channels_is_dropped(tmp_path):
    samples = np.stack([GREY8, GREY8[::-1], np.full_like(GREY8, 255), GREY8[:, ::-1]], -1)
    kinds = ["unspecified", "unassalpha", "unspecified"]
    image = read_image(write(tmp_path / "a.tif", samples, extrasamples=kinds, planarconfig="contig"))
    assert image.n_channels == 3
    np.testing.assert_array_equal(image.plane(2), GREY8[:, ::-1])


def test_a_fourth_sample_beside_colours_is_a_channel_unless_it_is_alpha(tmp_path):
    four = np.stack([GREY8, GREY8[::-1], GREY8[:, ::-1], 255 - GREY8], -1)
    path = write(tmp_path / "a.tif", four, photometric="rgb", extrasamples=["unspecified"])
    assert read_image(path).n_channels == 4
    with pytest.raises(ImageError, match="--axes YXS"):
        read_image(path).plane()
    np.testing.assert_array_equal(read_image(path, "YXS").plane(), four[..., :3])
    assert read_image(write(path, four, photometric="rgb", extrasamples=["unassalpha"])).rgb


@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2", "i2"])
@pytest.mark.parametrize("limit", [10**9, 100], ids=["at once", "lazily"])
def test_white_as_zero_is_inverted(tmp_path, monkeypatch, dtype, limit):
    monkeypatch.setattr("napari_cellseg.imaging.read.read.LAZY_BYTES", limit)
    array = GREY12.astype(dtype)
    image = read_image(write(tmp_path / "a.tif", array, photometric="miniswhite"))
    np.testing.assert_array_equal(image.plane(), np.invert(array))


def test_white_as_zero_of_few_bits(tmp_path):
    bits = GREY8 > 99
    path = write(tmp_path / "a.tif", bits, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(path).plane() > 0, ~bits)


def test_an_inverting_table_of_imagej_is_its_window_only(tmp_path):
    path = write(tmp_path / "a.tif", GREY8, imagej=True)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags["PhotometricInterpretation"].overwrite(0)
    np.testing.assert_array_equal(read_image(path).plane(), GREY8)


def test_real_numbers_without_a_black_are_refused(tmp_path):
    with pytest.raises(ImageError, match=r"a\.tif calls 0 white"):
        read_image(write(tmp_path / "a.tif", GREY8.astype("f4"), photometric="miniswhite"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rows_and_columns_are_those_of_the_file(tmp_path, orientation):
    colours = RNG.integers(0, 256, (20, 31, 3)).astype(np.uint8)
    inks = RNG.integers(0, 256, (20, 31, 4)).astype(np.uint8)
    tag = [(274, "H", 1, orientation, True)]
    for array, photometric in ((GREY8, "minisblack"), (colours, "rgb"), (inks, "separated")):
        path = write(tmp_path / "a.tif", array, photometric=photometric, extratags=tag)
        assert read_image(path).shape_yx == (20, 31)
    exif = PillowImage.Exif()
    exif[274] = orientation
    for name in ("a.jpg", "a.png"):
        PillowImage.fromarray(colours).save(tmp_path / name, exif=exif)
        assert read_image(tmp_path / name).shape_yx == (20, 31)


def test_colours_for_printing_become_rgb(tmp_path):
    inks = RNG.integers(0, 256, (20, 31, 4)).astype(np.uint8)
    path = write(tmp_path / "a.tif", inks, photometric="separated")
    expected = np.asarray(PillowImage.fromarray(inks, "CMYK").convert("RGB"))
    np.testing.assert_array_equal(read_image(path).plane(), expected)


@pytest.mark.parametrize(
    "array, options, words",
    [
        (np.zeros((9, 8, 5), "u1"), {"photometric": "separated", "extrasamples": [2]}, "CMYK.*5 samples of uint8"),
        (np.zeros((9, 8, 4), "f4"), {"photometric": "separated"}, "CMYK.*4 samples of float32"),
        (np.zeros((9, 8, 4), "i1"), {"photometric": "separated"}, "CMYK.*4 samples of int8"),
        (np.zeros((9, 8, 3), "u1"), {"photometric": "cielab"}, r"L\*a\*b\*"),
        (np.zeros((9, 8), "u2"), {"photometric": "cfa"}, "mosaic of a colour camera"),
    ],
)
def test_colours_that_are_not_supported_are_named(tmp_path, array, options, words):
    with pytest.raises(ImageError, match=rf"a\.tif holds .*{words}.*Save it as"):
        read_image(write(tmp_path / "a.tif", array, **options))


@pytest.mark.parametrize("number, name", [(34676, "SGILOG"), (32809, "THUNDERSCAN"), (34661, "JBIG"), (64999, "64999")])
def test_compressions_that_are_not_supported_are_named(tmp_path, number, name):
    path = write(tmp_path / "a.tif", GREY8)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags["Compression"].overwrite(number)
    with pytest.raises(ImageError, match=rf"compressed by {name}, which is not supported"):
        read_image(path)


def test_no_other_program_is_started_for_a_picture(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{} loop\n")
    with pytest.raises(ImageError, match="does not hold an image of a known format"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "webp", "png"])
def test_a_piece_that_is_a_far_larger_picture_is_refused(tmp_path, compression):
    options = {"compression": compression, "photometric": "rgb", "metadata": None}
    small, large = write(tmp_path / "a.tif", np.zeros((96, 96, 3), "u1"), **options), tmp_path / "b.tif"
    np.testing.assert_array_equal(read_image(small).data, 0)
    write(large, np.zeros((2000, 1500, 3), "u1"), rowsperstrip=2000, **options)
    with tifffile.TiffFile(large, mode="r+") as tiff:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tiff.pages.first.tags[name].overwrite(96)
    with pytest.raises(ImageError, match="picture of 1500 x 2000 pixels"):
        read_image(large)


LARGE_PIECES = {
    "jpeg": (7, lambda values: imagecodecs.jpeg_encode(values)),
    "jpeg2000": (34712, lambda values: imagecodecs.jpeg2k_encode(values, codecformat="j2k")),
    "jp2": (34712, lambda values: imagecodecs.jpeg2k_encode(values)),
    "jpegxl": (50002, lambda values: imagecodecs.jpegxl_encode(values)),
    "jpegxl in a box": (50002, lambda values: imagecodecs.jpegxl_encode(values, usecontainer=True)),
    "jpegxr": (34934, lambda values: imagecodecs.jpegxr_encode(values)),
    "webp": (50001, lambda values: imagecodecs.webp_encode(np.repeat(values[..., None], 3, -1))),
    "png": (34933, lambda values: imagecodecs.png_encode(values)),
    "lerc": (34887, lambda values: imagecodecs.lerc_encode(values)),
}


@pytest.mark.parametrize("kind", LARGE_PIECES)
def test_the_size_of_every_picture_is_that_of_its_header(kind):
    number, encode = LARGE_PIECES[kind]
    for shape in ((40, 56), (77, 133), (300, 1000)):
        assert size_of(encode(np.zeros(shape, "u1")), number) == shape


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("kind", sorted(LARGE_PIECES.keys() - {"webp"}))
def test_one_large_piece_among_many_is_refused_when_it_is_met(tmp_path, monkeypatch, kind, lazy):
    """A sample of the pieces would not find it."""
    number, encode = LARGE_PIECES[kind]
    pieces = [encode(np.zeros((16, 16), "u1"))] * 399 + [encode(np.zeros((96, 160), "u1"))]
    options = {"tile": (16, 16), "shape": (320, 320), "dtype": "u1", "metadata": None, "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", iter(pieces), compression=number, **options)
    if lazy:
        monkeypatch.setattr("napari_cellseg.imaging.read.read.LAZY_BYTES", 1)
    with pytest.raises(ImageError, match="picture of 160 x 96 pixels, and the file announces pieces of 16 x 16"):
        np.asarray(read_image(tmp_path / "a.tif").data)


@pytest.mark.parametrize(
    "name, axes, greatest",
    [
        ("fluorescence_dense_green.ome.tif", "YX", 255),
        ("fluorescence_dense_16_grey.ome.tif", "YX", 2047),
        ("fluorescence_dense_2c.ome.tif", "CYX", 255),
        ("two_planar.tif", "CYX", 154),
    ],
)
def test_files_that_were_read_wrongly(name, axes, greatest):
    path = shared_data("cases", name)
    image = read_image(path)
    assert (image.axes, image.rgb, int(image.data.max())) == (axes, False, greatest)
    np.testing.assert_array_equal(image.data, tifffile.imread(path))
