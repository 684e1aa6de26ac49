from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as ndi
from skimage.measure import label
from skimage.morphology import local_maxima, reconstruction

from napari_cellseg.instances import Prediction, SplitParams, foreground_landscape, match, split
from tests.benchmarks.harness import draw_maps
from tests.instances.maps import disc_maps, random_maps

EIGHT = np.ones((3, 3))


@pytest.mark.parametrize("use_distance", [True, False])
@pytest.mark.parametrize("gap", [16, 18, 20, 30])
def test_touching_discs_are_split_at_the_middle(gap: int, use_distance: bool) -> None:
    probability, distance, labels = disc_maps([(32, 30), (32, 30 + gap)], radius=10)
    basins = split(probability, distance, SplitParams(use_distance=use_distance))
    assert basins.max() == 2
    assert match(labels, np.where(probability >= 0.5, basins, 0)).ap[0] == 1
    assert match(labels, np.where(probability >= 0.5, basins, 0), [0.9]).ap[0] == 1


@pytest.mark.parametrize("radius", [1.2, 3, 8, 25])
@pytest.mark.parametrize("use_distance", [True, False])
def test_one_disc_is_one_cell_at_any_size(radius: float, use_distance: bool) -> None:
    probability, distance, _ = disc_maps([(32, 40)], radius=radius)
    assert split(probability, distance, SplitParams(use_distance=use_distance)).max() == 1


@pytest.mark.parametrize("stretch", [1.5, 2, 3])
def test_an_ellipse_is_one_cell_without_a_distance_map(stretch: float) -> None:
    y, x = np.mgrid[-40:40, -60:60]
    from_centre = np.hypot((x * 0.9 + y * 0.4) / stretch, y * 0.9 - x * 0.4)
    probability = (1 / (1 + np.exp(from_centre - 12))).astype(np.float32)
    assert split(probability).max() == 1


def test_a_crowded_field_is_recovered() -> None:
    maps = draw_maps(512, 160, seed=1)
    basins = split(maps.probability, maps.distance)
    assert match(maps.labels, np.where(maps.probability >= 0.5, basins, 0), [0.5, 0.8]).ap.tolist() == [1, 1]
    alone = match(maps.labels, np.where(maps.probability >= 0.5, split(maps.probability), 0), [0.5])
    assert alone.ap[0] > 0.9


@given(st.integers(0, 10_000), st.floats(0, 4), st.floats(0, 0.5), st.floats(0.05, 0.6), st.booleans())
def test_basins_fill_the_floor_and_are_whole(
    seed: int, smoothing: float, prominence: float, floor: float, use_distance: bool
) -> None:
    probability, distance = random_maps(seed, (31, 40), 1.5)
    params = SplitParams(smoothing=smoothing, prominence=prominence, floor=floor, use_distance=use_distance)
    basins = split(probability, distance, params)
    assert basins.dtype == np.int32
    assert np.array_equal(basins > 0, probability >= np.float32(floor))
    assert np.array_equal(np.unique(basins[basins > 0]), np.arange(1, basins.max() + 1))
    _, first = np.unique(basins[basins > 0], return_index=True)
    assert np.all(np.diff(first) > 0), "ids follow the raster order of first pixels"
    for basin in range(1, basins.max() + 1):
        assert ndi.label(basins == basin, structure=EIGHT)[1] == 1
    assert np.array_equal(basins, split(probability, distance, params))


@given(st.integers(0, 10_000), st.floats(0.01, 0.4), st.sampled_from([0.0, 1.0]))
@settings(max_examples=40)
def test_number_of_basins_is_that_of_the_h_maxima(seed: int, prominence: float, smoothing: float) -> None:
    probability, distance = random_maps(seed, (40, 40), 1.2)
    params = SplitParams(smoothing=smoothing, prominence=prominence, seed_probability=0, floor=0.3)
    basins = split(probability, distance, params)
    landscape = distance + np.float32(1e-3) * probability
    if smoothing:
        landscape = ndi.gaussian_filter(landscape, smoothing, mode="nearest")
    landscape = np.where(probability >= np.float32(0.3), landscape, -5).astype(np.float64)
    filled = reconstruction(landscape - prominence, landscape, footprint=EIGHT)
    tops = local_maxima(filled, connectivity=2) & (landscape > -5)
    # Compared by count with slack of one: at equality of height and prominence rounding decides.
    assert abs(int(basins.max()) - label(tops, connectivity=2).max()) <= 1


@given(st.integers(0, 10_000), st.booleans())
def test_a_larger_prominence_never_splits_more(seed: int, use_distance: bool) -> None:
    probability, distance = random_maps(seed, (40, 50), 1.5)
    counts = [
        split(probability, distance, SplitParams(prominence=p, use_distance=use_distance)).max()
        for p in (0.0, 0.05, 0.1, 0.2, 0.4, 1.0)
    ]
    assert counts == sorted(counts, reverse=True)


@given(st.integers(0, 10_000))
def test_regions_without_a_seed_are_one_basin_each(seed: int) -> None:
    probability, distance = random_maps(seed, (40, 50), 1.5)
    basins = split(probability, distance, SplitParams(seed_probability=1.0, floor=0.5))
    assert basins.max() == ndi.label(probability >= np.float32(0.5), structure=EIGHT)[1]


def test_a_dim_neighbour_without_a_seed_joins_the_cell_it_touches() -> None:
    distance = np.array([[0.2, 0.8, 0.4, 0.9, 0.2]], dtype=np.float32)
    probability = np.array([[0.6, 0.9, 0.6, 0.2, 0.2]], dtype=np.float32)
    assert split(probability, distance, SplitParams(smoothing=0)).tolist() == [[1, 1, 1, 1, 1]]
    both = SplitParams(smoothing=0, seed_probability=0.15)
    assert split(probability, distance, both).max() == 2


def test_a_flat_top_is_one_cell_even_at_prominence_zero() -> None:
    probability = np.zeros((20, 30), dtype=np.float32)
    probability[5:15, 5:25] = 1
    distance = np.minimum(probability, 0.7)
    distance[5:15, 5] = 0.3
    assert split(probability, distance, SplitParams(smoothing=0, prominence=0)).max() == 1


@pytest.mark.parametrize("distance", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (0, 4), (3, 3)])
@pytest.mark.parametrize("value", [0.0, 1.0, np.nan])
def test_odd_shapes_and_constant_maps(shape: tuple[int, int], value: float, distance: bool) -> None:
    probability = np.full(shape, value, dtype=np.float32)
    basins = split(probability, probability if distance else None)
    assert basins.shape == shape
    assert basins.dtype == np.int32
    assert np.all(basins == (1 if value == 1 else 0))


def test_nan_and_infinite_pixels_belong_to_no_neighbour() -> None:
    probability, distance, _ = disc_maps([(32, 40)], radius=10)
    probability[0, :5], distance[1, :5], distance[30, 40] = np.nan, np.nan, -np.inf
    basins = split(probability, distance)
    assert not basins[:2, :5].any()
    assert basins.max() <= 2


def test_input_is_left_alone_and_order_in_memory_does_not_matter() -> None:
    probability, distance = random_maps(5, (30, 40), 1.5)
    before = probability.copy(), distance.copy()
    basins = split(probability, distance)
    assert np.array_equal(before[0], probability)
    assert np.array_equal(before[1], distance)
    assert np.array_equal(basins, split(np.asfortranarray(probability), np.asfortranarray(distance)))


def test_landscape_sees_a_neck_alike_at_any_size() -> None:
    drops = []
    for scale in (1, 2, 4):
        probability, _, _ = disc_maps(
            [(25 * scale, 25 * scale), (25 * scale, 43 * scale)], 12 * scale, (50 * scale, 70 * scale)
        )
        landscape = foreground_landscape((probability >= 0.5).astype(np.float32))
        drops.append(landscape[25 * scale, 25 * scale] - landscape[25 * scale, 34 * scale])
    assert max(drops) - min(drops) < 0.06
    assert min(drops) > 0.1


def test_shapes_that_clash_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 3\).*\(3, 4\)"):
        split(np.zeros((3, 4)), np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"\(Y, X\)"):
        split(np.zeros((3, 4, 2)))
    with pytest.raises(ValueError, match="one image"):
        Prediction(np.zeros((3, 4)), np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"\(Y, X\)"):
        Prediction(np.zeros(4), None)
    assert Prediction(np.zeros((3, 4)), None).shape == (3, 4)


@pytest.mark.parametrize(
    "values",
    [
        {"smoothing": -1},
        {"prominence": 1.5},
        {"floor": 0},
        {"floor": float("nan")},
        {"seed_probability": "0.3"},
        {"seed_probability": True},
        {"use_distance": 1},
        {"smooth": 1},
    ],
)
def test_params_refuse_what_is_out_of_range(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        SplitParams.from_dict(values)


def test_params_survive_a_round_trip() -> None:
    params = SplitParams(smoothing=2, prominence=0.2, use_distance=False)
    assert SplitParams.from_dict(params.to_dict()) == params
    assert SplitParams.from_dict({}) == SplitParams()
