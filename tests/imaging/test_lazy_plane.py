"""A plane read piece by piece: the same values and the same scale as in one piece; damage stays a hole."""

from __future__ import annotations

from importlib import import_module

import dask.array
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.imaging import ImageError, as_image, read_image
from napari_cellseg.imaging.lazy_plane import LazyPlane
from napari_cellseg.imaging.normalize import NormalizerParams, ScaleSurvey, normalize
from napari_cellseg.imaging.resampling import resample_region
from napari_cellseg.imaging.tiles import plan_tiles
from napari_cellseg.network.sizing import resized, zoomed_shape

RNG = np.random.default_rng(0)


@st.composite
def parts(draw, size):
    start = draw(st.integers(0, size - 1))
    return slice(start, draw(st.integers(start + 1, size)))


@given(st.permutations("TCYX"), st.booleans(), st.data())
def test_a_region_is_that_of_the_plane(axes, lazy, data):
    lengths = {"T": 1, "C": 3, "Y": 23, "X": 31}
    values = RNG.integers(0, 999, [lengths[a] for a in axes]).astype(np.uint16)
    image = as_image(dask.array.from_array(values, chunks=7) if lazy else values, "".join(axes), rgb=False)
    plane = LazyPlane(image, 2)
    assert plane.shape == (23, 31)
    region = data.draw(parts(23)), data.draw(parts(31))
    np.testing.assert_array_equal(plane.read(region)[0], image.plane(2)[region])
    whole = np.zeros(plane.shape, plane.dtype)
    for piece, part in plane.pieces():
        whole[piece] += part
    np.testing.assert_array_equal(whole, image.plane(2))


def test_colours_keep_their_three_and_lose_alpha():
    values = RNG.integers(0, 255, (20, 30, 4)).astype(np.uint8)
    image = as_image(values, "YXC", rgb=True)
    read = LazyPlane(image).read((slice(3, 9), slice(0, 30)))[0]
    np.testing.assert_array_equal(read, values[3:9, :, :3])
    assert LazyPlane(image, 1).shape == (20, 30)


def wide(dtype):
    rng = np.random.default_rng(1)
    if dtype == "colour":
        return rng.integers(0, 200, (90, 70, 3)).astype(np.uint8)
    if dtype == "grey":
        return np.repeat(rng.integers(0, 200, (90, 70, 1)).astype(np.uint8), 3, axis=2)
    if dtype == "few":
        return (rng.random((90, 70)) < 0.001).astype(np.uint16) * 500
    if dtype == "huge":
        return rng.uniform(-1, 1, size=(90, 70)) * 1.7e308
    if dtype == "holes":
        values = rng.normal(size=(90, 70)).astype(np.float32)
        values[10:40, 5], values[50], values[60] = np.nan, np.inf, -np.inf
        return values
    if dtype == "constant":
        return np.full((90, 70), 7, np.uint8)
    return (rng.integers(0, 2**62, (90, 70)) + 2**61).astype(dtype)


@pytest.mark.parametrize("method", ["percentiles", "type"])
@pytest.mark.parametrize(
    "kind", ["uint8", "int16", "int64", "uint64", "colour", "grey", "few", "huge", "holes", "constant"]
)
def test_the_scale_of_pieces_is_that_of_the_whole(kind, method, monkeypatch):
    # Few enough that not every pixel is looked at.
    monkeypatch.setattr(import_module("napari_cellseg.imaging.normalize"), "MAX_SAMPLE_PIXELS", 900)
    values, params = wide(kind), NormalizerParams(method=method)
    survey = ScaleSurvey(values.shape, values.dtype, params)
    pieces = [t.write for t in plan_tiles((90, 70), 10, 0, 1)]
    for rows, columns in RNG.permutation(np.array(pieces, dtype=object)):
        survey.add(values[rows, columns], (rows.start, columns.start))
    assert survey.is_grey == (kind != "colour")
    plane = values[..., 0] if kind == "grey" else values
    whole, scale = normalize(plane, params), survey.scale()
    np.testing.assert_array_equal(scale.apply(plane), whole)
    np.testing.assert_array_equal(scale.apply(plane[13:41, 20:66]), whole[13:41, 20:66])


@pytest.mark.parametrize("zoom", [0.15, 0.4, 0.8, 1.0, 1.7, 2.5])
@pytest.mark.parametrize("shape", [(97, 140), (61, 50, 3)])
def test_a_part_is_resampled_as_the_whole(shape, zoom):
    values = RNG.random(shape, dtype=np.float32)
    new = zoomed_shape(shape, zoom)
    region = slice(new[0] // 3, new[0] - 1), slice(0, new[1] // 2)
    part = resample_region(values.__getitem__, shape[:2], new, region)
    np.testing.assert_allclose(part, resized(values, new)[region], atol=1e-4)


def ome_zarr(path, values, form):
    group = zarr.create_group(path, zarr_format=form)
    axes = [{"name": "c", "type": "channel"}, *({"name": a, "type": "space"} for a in "yx")]
    multiscale = {"axes": axes, "datasets": [{"path": str(i)} for i in range(2)], "version": "0.4"}
    group.attrs.update({"multiscales": [multiscale]} if form == 2 else {"ome": {"multiscales": [multiscale]}})
    level = group.create_array("0", shape=values.shape, dtype=values.dtype, chunks=(1, 64, 48))
    level[...] = values
    # The pyramid's second level is missing: nobody needs it.


FILES = {
    "memory.tif": lambda path, values: tifffile.imwrite(path, values, metadata={"axes": "CYX"}),
    "tiles.ome.tif": lambda path, values: tifffile.imwrite(
        path, values, ome=True, metadata={"axes": "CYX"}, tile=(64, 48), compression="zlib"
    ),
    "strips.tif": lambda path, values: tifffile.imwrite(
        path, values, metadata={"axes": "CYX"}, rowsperstrip=16, compression="zlib"
    ),
    "old.ome.zarr": lambda path, values: ome_zarr(path, values, 2),
    "new.ome.zarr": lambda path, values: ome_zarr(path, values, 3),
    "plain.npy": np.save,
}


@pytest.mark.parametrize("name", FILES)
def test_files_are_read_in_parts(name, tmp_path, monkeypatch):
    values = RNG.integers(0, 60_000, (2, 150, 130)).astype(np.uint16)
    FILES[name](tmp_path / name, values)
    monkeypatch.setattr("napari_cellseg.imaging.read.read.LAZY_BYTES", 1000)
    image = read_image(tmp_path / name, "CYX" if name.endswith("npy") else None)
    assert type(image.data) is not np.ndarray and image.axes == "CYX"
    plane = LazyPlane(image, 1)
    assert plane.n_pieces() == 1
    np.testing.assert_array_equal(plane.read((slice(40, 150), slice(3, 99)))[0], values[1, 40:, 3:99])
    ((region, whole),) = plane.pieces()
    np.testing.assert_array_equal(whole, values[1])
    assert region == (slice(0, 150), slice(0, 130)) and not plane.holes


def spoil(path, *chunks):
    for chunk in chunks:
        (path / chunk).write_bytes(b"no chunk at all")


def test_a_damaged_chunk_is_a_hole(tmp_path, monkeypatch):
    values = RNG.integers(1, 255, (100, 90)).astype(np.uint8)
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=values, chunks=(40, 30), zarr_format=2)
    spoil(path, "1.2")
    monkeypatch.setattr("napari_cellseg.imaging.read.read.LAZY_BYTES", 1000)
    plane = LazyPlane(read_image(path))
    expected = values.copy()
    expected[40:80, 60:90] = 0
    seen = np.zeros_like(values)
    for piece, part in plane.pieces():
        seen[piece] = part
    np.testing.assert_array_equal(seen, expected)
    assert plane.holes == [(slice(40, 80), slice(60, 90))] and "a.zarr" in plane.reason
    read, holes = plane.read((slice(30, 60), slice(50, 90)))
    np.testing.assert_array_equal(read, expected[30:60, 50:90])
    assert holes == [(slice(10, 30), slice(10, 40))]
    spoil(path, *(f"{y}.{x}" for y in range(3) for x in range(3)))
    with pytest.raises(ImageError, match=r"a\.zarr"):
        list(LazyPlane(read_image(path)).pieces())
