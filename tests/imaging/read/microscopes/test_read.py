"""Files of microscopes: the values and the scale that the package of each format gives, plane by plane."""

from __future__ import annotations

import struct
import subprocess
import sys
import threading
import tomllib
import zlib
from pathlib import Path

import dask.array
import numpy as np
import pytest

from napari_cellseg.imaging import AxesError, CellsegError, ImageError, find_images, plane_image, planes_of, read_image
from napari_cellseg.imaging.read import formats, plugin_child, plugins
from napari_cellseg.imaging.read.microscopes import read as vendor
from napari_cellseg.imaging.read.microscopes.scene import Scene, lazy_values
from napari_cellseg.imaging.read.read import source_stamp

from ..samples import shared_data
from .vendor_files import pylib_czi, write_czi, write_dv, write_lif, write_nd2, write_oib, write_oif, write_old_nd2

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 4096, (3, 20, 31)).astype(np.uint16)
RGB = RNG.integers(0, 256, (20, 31, 3)).astype(np.uint8)
# (P, T, Y, X, C)
POSITIONS = RNG.integers(0, 4096, (3, 2, 20, 31, 2)).astype(np.uint16)
DOCS = Path(__file__).parents[4] / "docs"


def values(path: Path, **more) -> np.ndarray:
    return np.asarray(read_image(path, **more).data)


# Real files


def test_a_real_nd2_file_has_the_values_and_the_scale_that_nd2_gives():
    import nd2

    path = shared_data("formats", "cluster.nd2")
    with nd2.ND2File(path) as file:
        expected, size = file.asarray(), file.voxel_size()
    image = read_image(path)
    assert (image.axes, image.name) == ("TZCYX", "cluster.nd2")
    np.testing.assert_array_equal(image.data, expected)
    assert image.pixel_size == pytest.approx((size.y, size.x))
    assert image.slice_spacing == pytest.approx(size.z)
    assert image.channel_names == ("5-FAM/pH 9.0", "FM 4-64/2% CHAPS")


def test_a_real_deltavision_file_has_the_values_and_the_scale_that_mrc_gives():
    import mrc

    path = shared_data("formats", "toxo.dv")
    with mrc.DVFile(path) as file:
        expected, size = file.asarray(), file.voxel_size
    image = read_image(path)
    assert image.axes == "CZYX"
    np.testing.assert_array_equal(image.data, expected)
    assert image.pixel_size == pytest.approx((size.y, size.x))
    assert image.channel_names == ("525 nm", "632 nm")


# Files written by hand


def test_positions_of_an_nd2_file_are_its_images(tmp_path):
    path = write_nd2(tmp_path / "a.nd2", POSITIONS, ["A01", "A01", ""])
    assert [name for _, name in find_images(tmp_path)] == ["a_A01", "a_A01_2", "a_P2"]
    for i, key in enumerate(("A01", "A01_2", "P2")):
        image = read_image(path / key)
        assert (image.axes, image.pixel_size, image.frame_interval) == ("TCYX", (0.25, 0.25), 0.5)
        assert (image.channel_names, image.source) == (("Dye0", "Dye1"), str(path / key))
        np.testing.assert_array_equal(image.data, POSITIONS[i].transpose(0, 3, 1, 2))
    assert source_stamp(path / "P2") == source_stamp(path)


def test_packed_frames_and_metadata_of_an_nd2_file(tmp_path):
    def packed(content):
        return bytes([76, 0, *bytes(10)]) + zlib.compress(content)

    path = write_nd2(tmp_path / "a.nd2", POSITIONS[:1], ["A"], compression=0, pack=zlib.compress, pack_about=packed)
    image = read_image(path)
    assert (image.axes, image.channel_names) == ("TCYX", ("Dye0", "Dye1"))
    np.testing.assert_array_equal(image.data, POSITIONS[0].transpose(0, 3, 1, 2))


def test_what_was_read_does_not_change_with_its_file(tmp_path):
    """Single planes, and channels, are copied out of a file that is mapped into memory."""
    plane = np.ascontiguousarray(POSITIONS[0, 0].transpose(2, 0, 1))
    paths = [
        write_nd2(tmp_path / "a.nd2", POSITIONS[:1, :1]),
        write_lif(tmp_path / "a.lif", [("one", "YX", STACK[0])]),
        write_dv(tmp_path / "a.dv", plane[:1, None], [525]),
    ]
    for path in paths:
        before = (image := read_image(path).data).copy()
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
        np.testing.assert_array_equal(image, before)
        assert before.any()


def test_slices_of_an_old_nd2_file(tmp_path):
    path = write_old_nd2(tmp_path / "a.nd2", STACK)
    image = read_image(path)
    assert (image.axes, image.slice_spacing) == ("ZYX", None)
    np.testing.assert_array_equal(image.data, STACK)
    # A decoder takes the memory that a picture speaks of.
    write_old_nd2(path, [STACK[0], np.tile(STACK[1], (2, 3))])
    with pytest.raises(ImageError, match="plane 1 is a picture of 93 x 40 pixels, and the file announces 31 x 20"):
        read_image(path)


def test_series_of_a_lif_file_are_its_images(tmp_path):
    channels = np.ascontiguousarray(POSITIONS[0, 0].transpose(2, 0, 1))
    path = write_lif(
        tmp_path / "exp.lif",
        [("Series001", "ZYX", STACK), ("Series002", "CYX", channels), ("in colour", "YXS", RGB), ("t", "TYX", STACK)],
    )
    found = find_images(path)
    assert [name for _, name in found] == ["exp_Series001", "exp_Series002", "exp_in_colour", "exp_t"]
    slices, two, colour, film = (read_image(one) for one, _ in found)
    assert (slices.axes, two.axes, colour.axes, film.axes) == ("ZYX", "CYX", "YXC", "TYX")
    # From the first pixel to the last it is 10 micrometres, or 10 microseconds.
    assert slices.pixel_size == pytest.approx((10 / 19, 10 / 30))
    assert (slices.slice_spacing, film.frame_interval) == (pytest.approx(5), pytest.approx(5e-6))
    assert (two.channel_names, colour.rgb) == (("Dye0", "Dye1"), True)
    for image, expected in ((slices, STACK), (two, channels), (colour, RGB), (film, STACK)):
        np.testing.assert_array_equal(image.data, expected)


def test_wavelengths_are_channels_and_tiles_are_images(tmp_path):
    path = write_lif(tmp_path / "a.lif", [("scan", "λYX", STACK), ("tiles", "MYX", STACK)])
    scan, *tiles = (read_image(one) for one, _ in find_images(path))
    assert (scan.axes, scan.n_channels) == ("CYX", 3)
    np.testing.assert_array_equal(scan.data, STACK)
    assert [tile.name for tile in tiles] == ["a_tiles_M0", "a_tiles_M1", "a_tiles_M2"]
    np.testing.assert_array_equal(np.stack([tile.data for tile in tiles]), STACK)


def test_rows_that_do_not_lie_beside_columns_in_a_lif_file(tmp_path):
    # A scan along X and Z, row by row of Y.
    path = write_lif(tmp_path / "a.lif", [("xzy", "YZX", np.ascontiguousarray(STACK.transpose(1, 0, 2)))])
    image = read_image(path)
    assert image.axes == "ZYX"
    np.testing.assert_array_equal(image.data, STACK)


def test_scenes_of_a_czi_file_are_its_images(tmp_path):
    czi = pylib_czi()
    scenes = {i: np.stack([STACK[0] + i, STACK[1] + i]) for i in range(3)}
    path = write_czi(tmp_path / "a.czi", scenes, ["DAPI", "GFP"])
    found = find_images(path)
    assert [name for _, name in found] == ["a_0", "a_1", "a_2"]
    with czi.open_czi(str(path)) as file:
        for (one, _), (scene, expected) in zip(found, scenes.items(), strict=True):
            image = read_image(one)
            assert (image.axes, image.channel_names) == ("CYX", ("DAPI", "GFP"))
            assert image.pixel_size == pytest.approx((0.25, 0.25))
            np.testing.assert_array_equal(image.data, expected)
            np.testing.assert_array_equal(image.plane(1), file.read(scene=scene, plane={"C": 1})[..., 0])


def test_both_packages_for_czi_give_the_same(tmp_path, monkeypatch):
    pytest.importorskip("czifile", minversion="2026", reason="no czifile of 2026, which needs Python 3.12")
    from napari_cellseg.imaging.read.microscopes import czi_file, czi_packages

    paths = [
        write_czi(tmp_path / "a.czi", {i: STACK + i for i in range(2)}, ["A", "B", "C"]),
        write_czi(tmp_path / "b.czi", {0: RGB[None]}, packed="zstd1:ExplicitLevel=3"),
    ]
    found = {}
    for package in (czi_packages._ByLibCzi, czi_packages._ByCzifile):
        monkeypatch.setattr(czi_file, "open_package", package)
        vendor.forget()
        images = [read_image(path) for path, _ in find_images(paths)]
        found[package] = [(one.name, one.axes, one.pixel_size, one.channel_names) for one in images]
        np.testing.assert_array_equal(images[1].data, STACK + 1)
        np.testing.assert_array_equal(images[2].data, RGB)
    one, other = found.values()
    assert one == other


def test_colours_and_compression_of_czi(tmp_path):
    image = read_image(write_czi(tmp_path / "a.czi", {0: RGB[None]}, packed="zstd1:ExplicitLevel=3"))
    assert (image.axes, image.rgb) == ("YXC", True)
    np.testing.assert_array_equal(image.data, RGB)


def test_tiles_of_a_czi_mosaic_that_overlap_are_one_image(tmp_path):
    czi = pylib_czi()
    path = tmp_path / "a.czi"
    with czi.create_czi(str(path)) as writer:
        for k, left in enumerate((0, 25)):
            writer.write(STACK[k][..., None], plane={"C": 0}, location=(left, 0))
    with czi.open_czi(str(path)) as file:
        expected = file.read(plane={"C": 0})[..., 0]
    image = read_image(path)
    assert image.shape_yx == (20, 56)
    np.testing.assert_array_equal(image.data, expected)
    # Each pixel is that of a tile, never a mix.
    np.testing.assert_array_equal(image.data[:, 31:], STACK[1][:, 6:])
    np.testing.assert_array_equal(image.data[:, :25], STACK[0][:, :25])


def test_channels_and_slices_of_a_deltavision_file(tmp_path):
    stack = np.stack([STACK, STACK + 1])
    image = read_image(write_dv(tmp_path / "a.dv", stack, [525, 632]))
    assert (image.axes, image.pixel_size, image.slice_spacing) == ("CZYX", (0.25, 0.25), 0.5)
    assert image.channel_names == ("525 nm", "632 nm")
    np.testing.assert_array_equal(image.data, stack)


def test_a_large_plane_of_a_czi_file_is_read_by_regions(tmp_path, monkeypatch):
    from napari_cellseg.imaging.read import read
    from napari_cellseg.imaging.read.microscopes import czi_file

    path = write_czi(tmp_path / "a.czi", {i: STACK[i][None] for i in range(2)})
    monkeypatch.setattr(czi_file, "_LARGE", 1)
    monkeypatch.setattr(czi_file, "_SIDE", 8)
    monkeypatch.setattr(read, "LAZY_BYTES", 1)
    image = read_image(path / "1")
    assert image.data.chunks == ((8, 8, 4), (8, 8, 8, 7))
    np.testing.assert_array_equal(image.data, STACK[1])
    np.testing.assert_array_equal(image.read_region(slice(3, 9), slice(5, 30)), STACK[1, 3:9, 5:30])


def test_an_oif_file_is_read_with_its_folder(tmp_path):
    stack = np.stack([STACK, STACK + 1])
    path = write_oif(tmp_path / "a.oif", stack)
    image = read_image(path)
    assert (image.axes, image.pixel_size, image.slice_spacing) == ("CZYX", (0.5, 0.25), pytest.approx(1))
    assert image.channel_names == ("Dye0", "Dye1")
    np.testing.assert_array_equal(image.data, stack)
    # The planes in its folder are no images of their own, but changes of them are changes of the image.
    assert [name for _, name in find_images(tmp_path, recursive=True)] == ["a.oif"]
    before = source_stamp(path)
    (plane, *_) = (tmp_path / "a.oif.files").iterdir()
    plane.write_bytes(plane.read_bytes() + b"0")
    assert source_stamp(path)["size"] == before["size"] + 1


def test_an_oib_file_is_what_its_oif_file_was(tmp_path):
    # The first planes are small enough for the mini stream, the others are not.
    for stack in (np.stack([STACK, STACK + 1]), np.arange(2 * 3 * 70 * 80, dtype="u2").reshape(2, 3, 70, 80)):
        path = write_oib(tmp_path / "a.oib", stack)
        image = read_image(path)
        assert (image.axes, image.pixel_size, image.slice_spacing) == ("CZYX", (0.5, 0.25), pytest.approx(1))
        assert image.channel_names == ("Dye0", "Dye1")
        np.testing.assert_array_equal(image.data, stack)


def test_an_oib_file_that_runs_in_circles_is_refused(tmp_path):
    path = write_oib(tmp_path / "a.oib", np.zeros((1, 2, 70, 80), "u2"), "CZ")
    content = bytearray(path.read_bytes())
    at_table = 512 * (1 + struct.unpack_from("<I", content, 76)[0])
    # The first stream of many sectors: its second one leads back to its first.
    struct.pack_into("<I", content, at_table + 4, 0)
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.oib .*in circles"):
        read_image(path)


# Planes that are read when they are requested


def test_a_large_stack_stays_in_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(vendor, "STACK_BYTES", 1)
    requested = []
    from napari_cellseg.imaging.read.microscopes import nd2_file

    read = nd2_file.Nd2File._read
    monkeypatch.setattr(
        nd2_file.Nd2File, "_read", lambda self, *args: (requested.append(args[1]), read(self, *args))[1]
    )
    path = write_nd2(tmp_path / "a.nd2", POSITIONS, ["A", "B", "C"])
    image = read_image(path / "B")
    assert isinstance(image.data, dask.array.Array)
    assert not requested
    film = planes_of(image)
    np.testing.assert_array_equal(plane_image(image, film[1]).plane(0), POSITIONS[1, 1, :, :, 0])
    assert requested == [(1,)]
    np.testing.assert_array_equal(image.data, POSITIONS[1].transpose(0, 3, 1, 2))


def test_a_file_of_4_gb_opens_without_its_planes(tmp_path, monkeypatch):
    from napari_cellseg.imaging.read.microscopes import lif_file
    from napari_cellseg.imaging.read.pyramid import pyramid

    read, requested = lif_file._frame, []
    monkeypatch.setattr(lif_file, "_frame", lambda image, at, inner: (requested.append(at), read(image, at, inner))[1])
    path = write_lif(tmp_path / "a.lif", [("all", "ZYX", np.broadcast_to(np.uint16(0), (250, 3000, 3000)))])
    assert path.stat().st_size > 4e9
    image = read_image(path)
    # The window shows the planes as they are.
    assert pyramid(image) == (None, [])
    assert (image.data.nbytes, requested) == (250 * 2 * 3000**2, [])
    assert plane_image(image, planes_of(image)[40]).plane().shape == (3000, 3000)
    assert requested == [{"Z": 40}]


@pytest.mark.parametrize("piece", [None, (8, 16)])
def test_any_part_of_a_scene_is_that_part_of_its_values(piece):
    stack = RNG.integers(0, 999, (2, 3, 20, 31))
    requested = []

    def read(place, rows, columns):
        requested.append((rows, columns))
        return stack[place] if rows is None else stack[place][rows, columns]

    data = lazy_values(Scene("TZYX", stack.shape, stack.dtype, 2, read, piece), threading.Lock())
    for index in (
        np.s_[1, 2],
        np.s_[:, 1, 5:17:3, ::-2],
        np.s_[0, :, 19],
        np.s_[1:, 0:2, 3:4, 30],
        np.s_[..., ::4, ::4],
        np.s_[0:0],
    ):
        np.testing.assert_array_equal(np.asarray(data[index]), stack[index])
    requested.clear()
    np.asarray(data[0, 0, 2:5, 3:9])
    assert requested == [(None, None) if piece is None else (slice(0, 8), slice(0, 16))]


# What cannot be read


@pytest.mark.parametrize("name", ["a.nd2", "a.lif", "a.czi", "a.dv", "a.oif", "a.oib"])
def test_without_its_package_a_file_is_listed_and_refused_with_what_to_install(tmp_path, monkeypatch, name):
    monkeypatch.setattr(formats, "find_spec", lambda module: None)
    monkeypatch.setattr(plugins, "_answer_of_child", lambda path, folder, seconds: plugin_child.answer(path, folder))
    (tmp_path / name).write_bytes(b"something")
    assert [found for _, found in find_images(tmp_path)] == [name]
    with pytest.raises(ImageError, match=rf'{name} needs: pip install "napari-cellseg\[formats\]"'):
        read_image(tmp_path / name)


def test_a_package_that_is_too_old_is_named_with_its_version(tmp_path, monkeypatch):
    path = write_nd2(tmp_path / "a.nd2", POSITIONS)
    monkeypatch.setattr(formats, "_version", lambda package: "0.4.1")
    with pytest.raises(ImageError, match=r"a\.nd2 needs nd2 0\.10 or later, and 0\.4\.1 is installed: pip install"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".vsi", ".ims", ".mrxs"])
def test_what_is_not_read_is_refused_with_what_converts_it(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(plugins, "_answer_of_child", lambda path, folder, seconds: plugin_child.answer(path, folder))
    (tmp_path / f"a{suffix}").write_bytes(b"something")
    assert [found for _, found in find_images(tmp_path)] == [f"a{suffix}"]
    with pytest.raises(ImageError, match=rf"a\{suffix} is of a format that is not read here.*bfconvert IN\{suffix}"):
        read_image(tmp_path / f"a{suffix}")


def write_any(folder: Path, kind: str) -> Path:
    path = folder / f"a.{kind}"
    if kind == "nd2":
        return write_nd2(path, POSITIONS[:1])
    if kind == "lif":
        return write_lif(path, [("one", "ZYX", STACK)])
    if kind == "dv":
        return write_dv(path, STACK[None], [525])
    if kind == "czi":
        return write_czi(path, {0: STACK})
    if kind == "oib":
        return write_oib(path, STACK, "Z")
    return write_oif(path, STACK, "Z")


@pytest.mark.parametrize("kind", ["nd2", "lif", "czi", "dv", "oif", "oib"])
@pytest.mark.parametrize("share", [0.02, 0.4, 0.7, 0.98])
def test_a_file_cut_short_is_refused_in_words(tmp_path, kind, share):
    path = write_any(tmp_path, kind)
    whole = values(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    try:
        # What is cut off an OIF file is about the scale.
        np.testing.assert_array_equal(values(path), whole)
        assert kind == "oif"
    except CellsegError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("kind", ["nd2", "lif", "czi", "dv", "oif", "oib"])
def test_any_wrong_byte_gives_values_or_words(tmp_path, kind):
    path = write_any(tmp_path, kind)
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(1)
    for place in rng.integers(0, min(len(content), 3000), 40):
        changed = content.copy()
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        try:
            assert values(path).size
        except CellsegError as error:
            assert "a." in str(error)


def test_an_unknown_compression_is_refused_in_words(tmp_path):
    path = write_nd2(tmp_path / "a.nd2", POSITIONS[:1], compression=1)
    with pytest.raises(ImageError, match=r"a\.nd2 is packed with lossy compression, which is not read"):
        read_image(path)
    path = write_czi(tmp_path / "a.czi", {0: STACK}, packed="zstd1:ExplicitLevel=1")
    content = bytearray(path.read_bytes())
    # In the entries of all pieces: kind, type of pixel, place, part, compression.
    entry = struct.Struct("<2siqii")
    for place in range(len(content) - entry.size):
        kind, pixel, at, part, packed = entry.unpack_from(content, place)
        if (kind, pixel, part, packed) == (b"DV", 1, 0, 6):
            entry.pack_into(content, place, kind, pixel, at, part, 999)
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.czi cannot be read"):
        read_image(path)


def test_planes_that_are_missing_are_not_read_as_black(tmp_path):
    czi = pylib_czi()
    path = write_nd2(tmp_path / "a.nd2", POSITIONS, ["A", "B", "C"], absent=[3])
    np.testing.assert_array_equal(read_image(path / "A").data, POSITIONS[0].transpose(0, 3, 1, 2))
    with pytest.raises(ImageError, match=r"a\.nd2 cannot be read: plane 3 is not in the file"):
        read_image(path / "B")
    # In parts, as a batch reads it, only that time point is missing.
    film = read_image(path / "B", in_parts=True)
    first, second = planes_of(film)
    np.testing.assert_array_equal(plane_image(film, first).plane(0), POSITIONS[1, 0, ..., 0])
    with pytest.raises(ImageError, match="plane 3"):
        plane_image(film, second).plane(0)
    path = tmp_path / "a.czi"
    with czi.create_czi(str(path)) as writer:
        for z, c in ((0, 0), (1, 0), (0, 1)):
            writer.write(STACK[z][..., None], plane={"Z": z, "C": c})
    with pytest.raises(ImageError, match=r"a\.czi has no plane .*Z 1, C 1"):
        read_image(path)


def test_series_that_are_no_planes_are_refused_alone(tmp_path):
    line = np.ascontiguousarray(STACK[:, 0])
    path = write_lif(tmp_path / "a.lif", [("line", "TX", line), ("good", "YX", STACK[0])])
    np.testing.assert_array_equal(values(path / "good"), STACK[0])
    with pytest.raises(ImageError, match=r"a\.lif holds no plane of an image here, but T 3, X 31"):
        read_image(path / "line")
    empty = tmp_path / "b.lif"
    write_lif(empty, [])
    with pytest.raises(ImageError, match=r"b\.lif"):
        read_image(empty)


def test_unknown_axes_are_named(tmp_path, monkeypatch):
    from napari_cellseg.imaging.read.microscopes import dv_file

    class Odd(dv_file.DvFile):
        def __init__(self, path):
            pass

        def scene(self, index):
            return Scene("UYX", STACK.shape, STACK.dtype, 1, lambda place, rows, columns: STACK[place])

        def close(self):
            pass

    monkeypatch.setattr(dv_file, "open_file", Odd)
    (tmp_path / "a.dv").write_bytes(b"something")
    with pytest.raises(AxesError, match=r"a\.dv has axes UYX .* and U is not known here"):
        read_image(tmp_path / "a.dv")


# The table


def test_dialogs_show_every_known_suffix():
    assert all(f"*{suffix}" in formats.dialog_filter() for suffix in (".nd2", ".lif", ".czi", ".vsi", ".tif", ".dcm"))


def test_the_table_of_formats_is_that_of_the_documentation():
    page = (DOCS / "formats.md").read_text(encoding="utf-8")
    assert "\n".join(formats.table()) in page


def test_every_reader_of_the_table_is_in_the_extra_with_its_oldest_version():
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = project["optional-dependencies"]["formats"]
    wanted = [f"{one.package}>={one.oldest}" for one in formats.FORMATS if one.oldest]
    listed = [requirement.partition(";")[0].strip() for requirement in extra]
    assert set(wanted) <= set(listed)
    beside = {requirement.partition(">=")[0] for requirement in set(listed) - set(wanted)}
    assert beside == {one.instead for one in formats.FORMATS if one.instead}
    for one in formats.FORMATS:
        assert not one.reader or (Path(vendor.__file__).parent / f"{one.reader}.py").is_file()


def test_no_reader_is_imported_before_it_is_needed():
    code = (
        "import sys, napari_cellseg.imaging, napari_cellseg.cli\n"
        "print([name for name in ('nd2', 'liffile', 'oiffile', 'mrc', 'pydicom', 'pylibCZIrw') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
