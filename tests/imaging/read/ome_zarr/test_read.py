"""Zarr folders: values, axes, scale and channels of OME-Zarr and plain arrays; what is not one image is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from ome_zarr_models import open_ome_zarr

from napari_cellseg.imaging import AxesError, ImageError, find_images, plane_image, planes_of, read_image
from napari_cellseg.imaging.from_array import as_image
from napari_cellseg.imaging.read.ome_zarr.levels import read_levels
from napari_cellseg.imaging.read.read import source_stamp

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 65536, (2, 3, 40, 50)).astype(np.uint16)


def write_ome(path, array, axes, scale=None, version="0.5", unit="micrometer", channels=(), compressor="auto"):
    """Write an OME-Zarr image of two levels by hand, as its specification says."""
    form = 3 if version == "0.5" else 2
    group = zarr.create_group(path, zarr_format=form)
    kinds = {"t": "time", "c": "channel"}
    transforms = [[{"type": "scale", "scale": list(scale or [1] * array.ndim)}]] * 2
    named = [{"name": a, "type": kinds.get(a, "space")} | ({"unit": unit} if unit and a in "zyx" else {}) for a in axes]
    multiscale = {
        "axes": named,
        "datasets": [{"path": str(i), "coordinateTransformations": t} for i, t in enumerate(transforms)],
    }
    about = {"multiscales": [multiscale]}
    if channels:
        about["omero"] = {"channels": [{"label": name} for name in channels]}
    group.attrs.update({"ome": {"version": version, **about}} if form == 3 else about)
    for i, level in enumerate((array, array[..., ::2, ::2])):
        one = group.create_array(
            str(i),
            shape=level.shape,
            dtype=level.dtype,
            chunks=(1,) * (level.ndim - 2) + (16, 16),
            compressors=compressor,
            **({"dimension_names": list(axes)} if form == 3 else {}),
        )
        one[...] = level
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(tmp_path, version):
    path = write_ome(tmp_path / "a.ome.zarr", STACK, "czyx", [1, 2, 0.25, 0.5], version, channels=("DAPI", "GFP"))
    image = read_image(path)
    np.testing.assert_array_equal(image.data, STACK)
    assert (image.axes, image.pixel_size, image.channel_names) == ("CZYX", (0.25, 0.5), ("DAPI", "GFP"))
    assert (image.name, image.source, image.rgb) == ("a.ome.zarr", str(path), False)
    page = plane_image(image, planes_of(image)[2])
    np.testing.assert_array_equal(page.plane(1), STACK[1, 2])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_what_is_read_is_what_ome_zarr_models_says(tmp_path, version):
    """Metadata are not read by it: it refuses older versions, and small faults of other programs."""
    path = write_ome(tmp_path / "a.ome.zarr", STACK, "tzyx", [3, 2, 0.5, 0.25], version)
    (multiscale,) = open_ome_zarr(path, version=version).ome_attributes.multiscales
    image = read_image(path)
    assert image.axes == "".join(axis.name for axis in multiscale.axes).upper()
    scale = multiscale.datasets[0].coordinateTransformations[0].scale
    assert [image.frame_interval, image.slice_spacing, *image.pixel_size] == scale


@pytest.mark.parametrize(
    "unit, scale, expected",
    [("nanometer", 250, 0.25), (None, 0.25, 0.25), (None, 1, None), ("pixel", 0.5, None), ("micrometer", 1, 1.0)],
)
def test_units(tmp_path, unit, scale, expected):
    path = write_ome(tmp_path / "a.zarr", STACK[0], "zyx", [1, scale, scale], unit=unit)
    assert read_image(path).pixel_size == (None if expected is None else pytest.approx((expected, expected)))


def test_big_ones_stay_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_cellseg.imaging.read.read.LAZY_BYTES", 1000)
    image = read_image(write_ome(tmp_path / "a.zarr", STACK, "tzyx"))
    assert not isinstance(image.data, np.ndarray)
    np.testing.assert_array_equal(plane_image(image, planes_of(image)[4]).plane(), STACK[1, 1])


@pytest.mark.parametrize("form", [2, 3])
def test_plain_arrays(tmp_path, form):
    grey, named, stack = tmp_path / "grey.zarr", tmp_path / "named", tmp_path / "stack.zarr"
    zarr.create_array(grey, data=STACK[0, 0], zarr_format=form)
    names = (
        {"dimension_names": ["z", "y", "x"]} if form == 3 else {"attributes": {"_ARRAY_DIMENSIONS": ["z", "y", "x"]}}
    )
    zarr.create_array(named, data=STACK[0], zarr_format=form, **names)
    zarr.create_array(stack, data=STACK[0], zarr_format=form)
    assert read_image(grey).axes == "YX" and read_image(named).axes == "ZYX"
    with pytest.raises(AxesError, match="--axes"):
        read_image(stack)
    np.testing.assert_array_equal(read_image(stack, "CYX").plane(1), STACK[0, 1])
    inside = zarr.create_group(tmp_path / "group.zarr", zarr_format=form)
    inside.create_array("only", shape=(8, 9), dtype="u1")[...] = 7
    assert read_image(tmp_path / "group.zarr").plane().max() == 7


def test_what_is_not_one_image_is_refused(tmp_path):
    several = zarr.create_group(tmp_path / "several.zarr")
    for name in ("a", "b"):
        several.create_array(name, shape=(8, 9), dtype="u1")
    zarr.create_group(tmp_path / "plate.zarr", attributes={"ome": {"plate": {"wells": []}}})
    zarr.create_group(tmp_path / "none.zarr")
    zarr.create_array(tmp_path / "words.zarr", shape=(3, 4), dtype="M8[s]")
    (tmp_path / "bare.zarr").mkdir()
    broken = write_ome(tmp_path / "broken.zarr", STACK, "tzyx")
    shutil.rmtree(broken / "0")
    odd = write_ome(tmp_path / "odd.zarr", STACK, "abyx")
    damaged = write_ome(tmp_path / "damaged.zarr", STACK, "tzyx")
    (damaged / "0" / "zarr.json").write_text("{")
    for name, words in [
        ("several", r"2 arrays.*a, b.*not clear"),
        ("plate", r"plate.*A/1/0"),
        ("none", "0 arrays"),
        ("words", "values of type"),
        ("bare", "Copy it again"),
        ("broken", "cannot be read|missing"),
        ("odd", r"named a, b.*--axes"),
        ("damaged", "cannot be read"),
    ]:
        with pytest.raises(ImageError, match=words) as caught:
            read_image(tmp_path / f"{name}.zarr")
        assert f"{name}.zarr" in str(caught.value)
    assert read_image(odd, "TZYX").axes == "TZYX"


def test_a_damaged_piece_is_told(tmp_path):
    path = write_ome(tmp_path / "a.zarr", STACK[0, 0], "yx")
    piece = next(p for p in (path / "0" / "c").rglob("*") if p.is_file())
    piece.write_bytes(piece.read_bytes()[:20])
    with pytest.raises(ImageError, match=r"a\.zarr cannot be read"):
        read_image(path)


def test_a_damaged_piece_of_a_stack_is_the_matter_of_its_plane(tmp_path):
    path = write_ome(tmp_path / "a.zarr", STACK, "tzyx")
    piece = sorted(p for p in (path / "0" / "c").rglob("*") if p.is_file())[0]
    piece.write_bytes(piece.read_bytes()[:20])
    with pytest.raises(ImageError, match=r"a\.zarr cannot be read"):
        read_image(path)
    image = read_image(path, in_parts=True)
    first, *others = planes_of(image)
    with pytest.raises(ImageError, match=r"a\.zarr cannot be read"):
        plane_image(image, first).plane()
    for page in others:
        np.testing.assert_array_equal(plane_image(image, page).plane(), STACK[page.position])


def test_zarr_folders_are_images_and_not_places(tmp_path):
    write_ome(tmp_path / "b" / "two.zarr", STACK, "tzyx")
    write_ome(tmp_path / "one.ome.zarr", STACK, "tzyx")
    zarr.create_array(tmp_path / "unnamed", shape=(8, 9), dtype="u1")
    (tmp_path / "one.ome.zarr" / "thumbnail.png").touch()
    (tmp_path / "z.png").touch()

    def names(*args, **kwargs):
        return [name for _, name in find_images(*args, **kwargs)]

    assert names(tmp_path) == ["one.ome.zarr", "unnamed", "z.png"]
    assert names(tmp_path, recursive=True) == ["b/two.zarr", "one.ome.zarr", "unnamed", "z.png"]
    assert names(tmp_path, pattern="*.zarr", recursive=True) == ["b/two.zarr", "one.ome.zarr"]
    assert names([tmp_path / "one.ome.zarr"]) == ["one.ome.zarr"]


def test_the_stamp_of_a_folder_changes_with_any_file(tmp_path):
    path = write_ome(tmp_path / "a.zarr", STACK, "tzyx")
    before = source_stamp(path)
    assert source_stamp(path) == before
    piece = next(p for p in (path / "0" / "c").rglob("*") if p.is_file())
    piece.write_bytes(piece.read_bytes() + b"x")
    assert source_stamp(path)["size"] == before["size"] + 1
    (tmp_path / "f").write_bytes(b"abc")
    assert source_stamp(tmp_path / "f")["size"] == 3
    with pytest.raises(ImageError, match="does not exist"):
        source_stamp(tmp_path / "gone")


def write_pyramid(path: Path, values: np.ndarray, steps: tuple[int, ...] = (1, 4, 16)) -> Path:
    """An OME-Zarr image whose levels are every n-th row and column."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    for level, step in enumerate(steps):
        group.create_array(str(level), data=np.ascontiguousarray(values[..., ::step, ::step]), chunks=(32, 32))
    axes = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    datasets = [
        {"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": [float(s)] * 2}]}
        for i, s in enumerate(steps)
    ]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    return path


def test_the_levels_of_a_file_are_opened(tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (256, 320)).astype(np.uint8)
    image = read_image(write_pyramid(tmp_path / "a.ome.zarr", values))
    levels, notes = read_levels(image)
    assert [level.shape for level in levels] == [(64, 80), (16, 20)] and not notes
    np.testing.assert_array_equal(levels[1], values[::16, ::16])
    assert read_levels(as_image(values)) == ([], [])


@pytest.mark.parametrize("harm", ["missing", "no array", "larger", "dtype"])
def test_a_broken_level_is_told_and_left_out(tmp_path, harm):
    path = write_pyramid(tmp_path / "a.ome.zarr", np.zeros((256, 320), np.uint8))
    if harm == "missing":
        shutil.rmtree(path / "1")
    elif harm == "no array":
        (path / "1" / ".zarray").write_text("{")
    else:
        group = zarr.open_group(path, mode="a")
        shape = (300, 320) if harm == "larger" else (64, 80)
        group.create_array("1", data=np.zeros(shape, np.float32 if harm == "dtype" else np.uint8), overwrite=True)
    levels, notes = read_levels(read_image(path))
    assert [level.shape for level in levels] == [(16, 20)]
    assert len(notes) == 1 and "level 1 of its pyramid" in notes[0] and "skipped" in notes[0]


def test_levels_may_be_smaller_along_z_too_and_of_boolean_images(tmp_path):
    path = tmp_path / "deep.ome.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=2)
    for i in range(3):
        group.create_array(str(i), data=np.ones((8 >> i, 64 >> i, 64 >> i), bool), chunks=(1, 16, 16))
    axes = [{"name": name, "type": "space"} for name in "zyx"]
    datasets = [
        {"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": [float(1 << i)] * 3}]}
        for i in range(3)
    ]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    levels, notes = read_levels(read_image(path))
    assert [level.shape for level in levels] == [(4, 32, 32), (2, 16, 16)] and not notes
    assert levels[0].dtype == np.uint8 and np.asarray(levels[0]).all()
