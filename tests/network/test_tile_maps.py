"""Maps on tiles: bit for bit those of the whole image, whatever region is asked for, and in whatever order."""

from __future__ import annotations

import dask.array
import numpy as np
import pytest

from napari_cellseg.imaging import as_image, drain
from napari_cellseg.imaging.errors import ImageError
from napari_cellseg.imaging.lazy_plane import LazyPlane
from napari_cellseg.imaging.normalize import Scale, ScaleSurvey, normalize
from napari_cellseg.network import tile_maps as tile_maps_module
from napari_cellseg.network.predict import predict
from napari_cellseg.network.sighting import WINDOW, informative_windows
from napari_cellseg.network.sizing import iter_predict_at
from napari_cellseg.network.tile_maps import NormalizedPlane, TileMaps
from tests.models import make_model

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 4000, (530, 391)).astype(np.uint16)
COLOUR = RNG.integers(0, 255, (300, 270, 3)).astype(np.uint8)
REGIONS = [(slice(0, 100), slice(0, 391)), (slice(310, 530), slice(200, 391)), (slice(60, 500), slice(33, 300))]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


def normalized_plane(values):
    plane = LazyPlane(as_image(dask.array.from_array(values, chunks=100), rgb=None if values.ndim == 2 else True))
    survey = ScaleSurvey(plane.shape, plane.dtype)
    for region, piece in plane.pieces():
        survey.add(piece, (region[0].start, region[1].start))
    return NormalizedPlane(plane, survey.scale(), plane.shape[2:] == (3,) and survey.is_grey)


@pytest.mark.parametrize("order", [1, -1])
def test_regions_are_those_of_the_whole(model, tmp_path, order):
    whole = predict(normalize(GREY), model, "cpu", tile=256)
    maps = TileMaps(normalized_plane(GREY), model, tmp_path, "cpu", tile=256)
    for region in REGIONS[::order]:
        drain(maps.iter_make(region))
        found = maps.read(region)
        np.testing.assert_array_equal(found.probability, whole.probability[region])
        np.testing.assert_array_equal(found.distance, whole.distance[region])
    assert maps.n_made <= maps.n_tiles


@pytest.mark.parametrize("values", [COLOUR, np.repeat(COLOUR[..., :1], 3, axis=2)])
def test_colours(model, tmp_path, values):
    plane = values if np.ptp(values, axis=2).any() else values[..., 0]
    whole = predict(normalize(plane), model, "cpu", tile=256)
    maps = TileMaps(normalized_plane(values), model, tmp_path, "cpu", tile=256)
    region = slice(50, 299), slice(0, 270)
    drain(maps.iter_make(region))
    np.testing.assert_array_equal(maps.read(region).probability, whole.probability[region])


@pytest.mark.parametrize("zoom", [0.5, 1.6])
def test_magnified_ones_agree_up_to_rounding(model, tmp_path, zoom):
    whole = drain(iter_predict_at(normalize(GREY), model, "cpu", zoom, tile=256))
    maps = TileMaps(normalized_plane(GREY), model, tmp_path, "cpu", zoom, tile=256)
    for region in REGIONS:
        drain(maps.iter_make(region))
        # Half a pixel of displacement would be a difference of .1 and more on this noise; bfloat16 alone is .004.
        np.testing.assert_allclose(maps.read(region).probability, whole.probability[region], atol=1e-2)


def test_the_diameter_needs_little_of_a_large_plane():
    size, read = 8000, []

    class Seen:
        shape = (size, size)

        def __getitem__(self, region):
            read.append(tuple((part.start, part.stop) for part in region))
            return RNG.random(tuple(part.stop - part.start for part in region), dtype=np.float32)

    all_windows = informative_windows(Seen())
    assert len(all_windows) == 3 and len(set(read)) == (size // WINDOW) ** 2
    read.clear()
    assert len(informative_windows(Seen(), 4)) == 3 and len(set(read)) == 16
    edges = {start for region in read for start, _ in region} | {stop for region in read for _, stop in region}
    assert min(edges) == 0 and max(edges) == size


def test_what_is_there_is_not_made_again_and_what_is_above_goes(model, tmp_path):
    maps = TileMaps(normalized_plane(GREY), model, tmp_path, "cpu", tile=256)
    drain(maps.iter_make(REGIONS[2]))
    made = maps.n_made
    drain(maps.iter_make(REGIONS[2]))
    again = TileMaps(maps.plane, model, tmp_path, "cpu", tile=256)
    drain(again.iter_make(REGIONS[2]))
    assert made == maps.n_made and again.n_made == 0
    maps.forget_above(400)
    left = len(list(tmp_path.iterdir()))
    assert 0 < left < made
    bottom = slice(400, 500), slice(33, 300)
    before = maps.n_made
    drain(maps.iter_make(bottom))
    assert maps.n_made == before
    assert len(list(tmp_path.iterdir())) == left


def test_without_memory_the_tiles_get_smaller(model, tmp_path, monkeypatch):
    original, sizes = tile_maps_module.batch_maps, []

    def limited(network, crops, choice, n_channels):
        sizes.append(crops[0].shape[-1])
        if len(crops) > 1 or crops[0].shape[-1] > 256:
            raise MemoryError
        return original(network, crops, choice, n_channels)

    monkeypatch.setattr(tile_maps_module, "batch_maps", limited)
    maps = TileMaps(normalized_plane(GREY), model, tmp_path, "cpu", tile=512)
    drain(maps.iter_make(REGIONS[0]))
    assert sizes[-1] == 256 and "Memory ran out" in maps.notes[0]
    whole = predict(normalize(GREY), model, "cpu", tile=256)
    np.testing.assert_array_equal(maps.read(REGIONS[0]).probability, whole.probability[REGIONS[0]])


def test_what_cannot_be_read_is_empty_for_the_owner_and_an_error_for_a_helper():
    def broken(block_info=None):
        (top, _), (left, _) = block_info[None]["array-location"]
        if (top, left) == (100, 100):
            raise OSError(5, "bad sector")
        return np.full((100, 100), 7, np.uint16)

    values = dask.array.map_blocks(
        broken, chunks=((100,) * 3, (100,) * 3), dtype=np.uint16, meta=np.zeros((0, 0), "u2")
    )
    for strict in (False, True):
        plane = LazyPlane(as_image(values))
        seen = NormalizedPlane(plane, Scale(0.0, 10.0), strict=strict)
        if strict:
            with pytest.raises(ImageError, match="bad sector"):
                seen[slice(50, 250), slice(50, 250)]
            # Known from the look at the whole plane, it is a hole for both.
            seen.plane.holes = [(slice(100, 200), slice(100, 200))]
        assert (seen[slice(50, 250), slice(50, 250)][60:140, 60:140] == 0).all()
