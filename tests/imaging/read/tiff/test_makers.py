"""Microscopes and slide scanners: TIFF under other suffixes, with axes, channels and scale in private tags."""

from __future__ import annotations

import struct

import dask.array
import numpy as np
import pytest
import tifffile

from napari_cellseg.imaging import ImageError, find_images, read_image
from napari_cellseg.imaging.read.formats import TIFF_SUFFIXES

from ..samples import shared_data

RNG = np.random.default_rng(0)
GREY8 = RNG.integers(0, 256, (20, 31)).astype(np.uint8)
STACK = RNG.integers(0, 65536, (3, 2, 20, 31)).astype(np.uint16)
RGB8 = RNG.integers(0, 256, (64, 48, 3)).astype(np.uint8)
RATIONAL, BYTE, LONG, ASCII = 5, 1, 4, 2


def replace_tag(path, code, content, count):
    """Append the content of a tag to a little-endian file, and let the tag of the first page refer to it."""
    with path.open("rb+") as file:
        offset = file.seek(0, 2)
        file.write(content)
        file.seek(4)
        file.seek(struct.unpack("<I", file.read(4))[0])
        for _ in range(struct.unpack("<H", file.read(2))[0]):
            if struct.unpack("<H10x", file.read(12))[0] == code:
                file.seek(-8, 1)
                file.write(struct.pack("<II", count, offset))
                return
        raise KeyError(code)


# NDPI has offsets of its own, which tifffile does not write.
@pytest.mark.parametrize("suffix", [suffix for suffix in TIFF_SUFFIXES if suffix != ".ndpi"])
def test_the_suffixes_of_microscopes_are_read_as_tiff(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr("napari_cellseg.imaging.read.read.LAZY_BYTES", 100)
    path = tmp_path / f"a{suffix}"
    tifffile.imwrite(path, GREY8, compression="lzw", photometric="minisblack", bigtiff=suffix == ".btf")
    assert [found for found, _ in find_images(tmp_path)] == [path]
    image = read_image(path)
    assert isinstance(image.data, dask.array.Array)
    np.testing.assert_array_equal(image.plane(), GREY8)


def test_another_format_under_such_a_suffix_is_no_tiff(tmp_path):
    (tmp_path / "a.scn").write_bytes(b"Bio-Rad Scan File")
    with pytest.raises(ImageError, match=r"a\.scn (is of a kind|cannot be read by the napari plugins)"):
        read_image(tmp_path / "a.scn")


def test_aperio(tmp_path):
    text = "Aperio Image Library v11.2.1\r\n46000x32914 [42673,5576 64x48] -> 64x48|AppMag = 20|MPP = 0.4990|Left = 25"
    with tifffile.TiffWriter(tmp_path / "a.svs") as writer:
        options = {"photometric": "rgb", "metadata": None, "compression": "jpeg", "tile": (32, 32)}
        writer.write(np.tile(RGB8, (4, 4, 1)), description=text, **options)
        writer.write(RGB8[:32, :32], description=text, photometric="rgb", metadata=None)
    image = read_image(tmp_path / "a.svs")
    assert (image.axes, image.shape_yx, image.pixel_size) == ("YXC", (256, 192), (0.499, 0.499))


def test_a_real_slide():
    path = shared_data("formats", "CMU-1-Small-Region.svs")
    image = read_image(path)
    assert (image.shape_yx, image.rgb, image.pixel_size) == ((2967, 2220), True, (0.499, 0.499))
    np.testing.assert_array_equal(image.data, tifffile.imread(path, series=0, level=0))


def test_metamorph(tmp_path):
    path = tmp_path / "a.stk"
    planes = STACK[:, 0]
    dummy = [(33628, LONG, 10, (0,) * 10, True), (33629, RATIONAL, 3, (1,) * 6, True)]
    tifffile.imwrite(path, planes[:1], photometric="minisblack", metadata=None, extratags=dummy)
    with path.open("ab") as file:
        start = file.tell()
        file.write(planes.tobytes())
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags["StripOffsets"].overwrite(start)
    end = path.stat().st_size
    # SpatialCalibration, X and Y calibration, and its unit: values above one number stand elsewhere.
    values = struct.pack("<IIII", 13, 100, 26, 100) + struct.pack("<I", 3) + b"um\0"
    with path.open("ab") as file:
        file.write(values)
    entries = struct.pack("<10I", 3, 1, 4, end, 5, end + 8, 6, end + 16, 0, 1)
    replace_tag(path, 33628, entries, 5)
    distances = b"".join(struct.pack("<6I", 3, 2, 2455000, 1000 * i, 2455000, 1000 * i) for i in range(3))
    replace_tag(path, 33629, distances, 3)
    image = read_image(path)
    assert (image.axes, image.pixel_size, image.slice_spacing) == (
        "ZYX",
        (pytest.approx(0.26), pytest.approx(0.13)),
        1.5,
    )
    np.testing.assert_array_equal(image.data, planes)


def test_zeiss_lsm(tmp_path):
    path = tmp_path / "a.lsm"
    values = RNG.integers(0, 65536, (2, 3, 20, 31)).astype(np.uint16)
    record = np.zeros(1, np.dtype([(name or "rest", form) for name, form in tifffile.TIFF.CZ_LSMINFO]))
    record["MagicNumber"], record["StructureSize"] = 67127628, record.dtype.itemsize
    sizes = {"DimensionX": 31, "DimensionY": 20, "DimensionZ": 2, "DimensionChannels": 3, "DimensionTime": 1}
    for name, value in {**sizes, "VoxelSizeX": 2e-7, "VoxelSizeY": 3e-7, "VoxelSizeZ": 1e-6}.items():
        record[name] = value
    names = b"".join(struct.pack("<I", len(name) + 1) + name + b"\0" for name in (b"DAPI", b"GFP", b"Cy5"))
    colours = struct.pack("<6I", 24 + 12 + len(names), 3, 3, 24, 36, 0) + bytes(12) + names
    with tifffile.TiffWriter(path) as writer:
        for z in range(2):
            tag = [(34412, BYTE, 8, bytes(8), True)] if z == 0 else []
            options = {"planarconfig": "separate", "metadata": None, "extratags": tag}
            writer.write(values[z], photometric="minisblack", **options)
            # Beside every plane lies a thumbnail.
            writer.write(GREY8[:8, :8], photometric="minisblack", subfiletype=1, metadata=None)
    record["OffsetChannelColors"] = path.stat().st_size
    with path.open("ab") as file:
        file.write(colours)
    replace_tag(path, 34412, record.tobytes(), record.dtype.itemsize)
    image = read_image(path)
    assert (image.axes, image.channel_names) == ("ZCYX", ("DAPI", "GFP", "Cy5"))
    assert (*image.pixel_size, image.slice_spacing) == pytest.approx((0.3, 0.2, 1))
    np.testing.assert_array_equal(image.data, values)


def test_electron_microscopes(tmp_path):
    fei = b"[Scan]\r\nPixelWidth=2e-09\r\nPixelHeight=3e-09\r\n"
    tifffile.imwrite(tmp_path / "a.tif", GREY8, metadata=None, extratags=[(34682, ASCII, 0, fei, True)])
    assert read_image(tmp_path / "a.tif").pixel_size == pytest.approx((0.003, 0.002))
    sem = b"0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 5.0 nm\r\n"
    tifffile.imwrite(tmp_path / "b.tif", GREY8, metadata=None, extratags=[(34118, ASCII, 0, sem, True)])
    assert read_image(tmp_path / "b.tif").pixel_size == pytest.approx((0.005, 0.005))


def test_metaseries(tmp_path):
    entries = (("units", "string", "um"), ("x", "float", "0.5"), ("y", "float", "0.25"), ("state", "bool", "on"))
    props = "".join(
        f'<prop id="spatial-calibration-{id_}" type="{kind}" value="{value}"/>' for id_, kind, value in entries
    )
    text = f"<MetaData><PlaneInfo>{props}</PlaneInfo></MetaData>"
    tifffile.imwrite(tmp_path / "a.tif", GREY8, metadata=None, description=text, software="MetaSeries")
    assert read_image(tmp_path / "a.tif").pixel_size == (0.25, 0.5)


def test_private_tags_without_a_scale_are_no_scale(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY8, metadata=None, extratags=[(34682, ASCII, 0, b"[User]\r\n", True)])
    tifffile.imwrite(tmp_path / "b.svs", GREY8, metadata=None, description="Aperio Image Library v1.0\r\n")
    for name in ("a.tif", "b.svs"):
        assert read_image(tmp_path / name).pixel_size is None
