from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellseg.instances import (
    Instances,
    Prediction,
    SplitParams,
    filling,
    live,
    quantize,
    split,
    stable_stretch,
    threshold_level,
)
from tests.instances.maps import random_maps

thresholds = st.floats(0, 1)
sizes = st.integers(0, 60)


def _instances(seed: int, with_distance: bool = True) -> Instances:
    probability, distance = random_maps(seed, (33, 45), 1.3)
    return Instances.from_prediction(Prediction(probability, distance if with_distance else None))


def _by_hand(instances: Instances, threshold: float, min_size: int) -> np.ndarray:
    """The documented rule, cell by cell."""
    labels = np.zeros(instances.shape, dtype=np.int64)
    for cell in range(1, instances.n_basins + 1):
        pixels = (instances.basins == cell) & (instances.levels >= threshold_level(threshold))
        if pixels.sum() >= max(min_size, 1):
            labels[pixels] = cell
    return labels


@given(st.integers(0, 500), st.booleans(), thresholds, sizes)
def test_labels_follow_the_rule_and_count_areas_and_ids_agree(
    seed: int, with_distance: bool, threshold: float, min_size: int
) -> None:
    instances = _instances(seed, with_distance)
    labels = instances.labels(threshold, min_size)
    assert labels.dtype == np.uint16
    assert np.array_equal(labels, _by_hand(instances, threshold, min_size))
    present = np.unique(labels[labels > 0])
    assert instances.count(threshold, min_size) == len(present)
    assert np.array_equal(instances.ids(threshold, min_size), present)
    keep = instances.keep(threshold, min_size)
    assert np.array_equal(np.flatnonzero(keep) + 1, present)
    areas = np.bincount(labels.ravel(), minlength=instances.n_basins + 1)[1:]
    assert np.array_equal(np.where(keep, instances.areas(threshold), 0), areas)


@given(st.integers(0, 500), thresholds, thresholds, sizes, sizes)
def test_raising_either_slider_only_takes_away(seed: int, t1: float, t2: float, m1: int, m2: int) -> None:
    instances = _instances(seed)
    loose = instances.labels(min(t1, t2), min(m1, m2))
    strict = instances.labels(max(t1, t2), max(m1, m2))
    assert np.all((strict == loose) | (strict == 0)), "a cell keeps its id, and pixels only vanish"
    assert instances.count(max(t1, t2), max(m1, m2)) <= instances.count(min(t1, t2), min(m1, m2))


@given(st.integers(0, 500), thresholds, sizes, st.data())
def test_a_region_is_the_crop_of_the_whole(seed: int, threshold: float, min_size: int, data: st.DataObject) -> None:
    instances = _instances(seed)
    rows, columns = (data.draw(st.slices(n).filter(lambda s: s.step in (None, 1))) for n in instances.shape)
    region = instances.labels(threshold, min_size, region=(rows, columns))
    assert np.array_equal(region, instances.labels(threshold, min_size)[rows, columns])


@given(st.integers(0, 500), sizes)
def test_curve_is_the_count_at_every_threshold(seed: int, min_size: int) -> None:
    instances = _instances(seed)
    at, counts = instances.count_curve(min_size)
    assert counts.tolist() == [instances.count(t, min_size) for t in at]
    assert np.all(np.diff(counts) <= 0)
    assert at[-1] == 1
    for between in np.linspace(0, 1, 37):
        step = np.searchsorted(np.round(at * 255), threshold_level(between))
        assert counts[min(step, len(counts) - 1)] == instances.count(between, min_size)


@given(st.floats(0, 1, width=32), st.floats(0, 1, width=32))
def test_levels_lose_no_pixel_and_gain_none_far_below(probability: float, threshold: float) -> None:
    level = int(quantize(np.array([probability], dtype=np.float32))[0])
    if probability >= threshold:
        assert level >= threshold_level(threshold)
    if level >= threshold_level(threshold):
        assert probability > threshold - 1 / 255 - 1e-6


def test_quantize_clips_and_takes_nan_as_zero() -> None:
    values = np.array([-1, 0, 0.5, 1, 2, np.nan, np.inf, -np.inf])
    assert quantize(values).tolist() == [0, 0, 128, 255, 255, 0, 255, 0]
    assert quantize(np.float16([0.5])).tolist() == [128]


def test_a_threshold_below_the_floor_gives_what_the_floor_gives() -> None:
    probability, distance = random_maps(3, (40, 40), 1.5)
    params = SplitParams(floor=0.4)
    instances = Instances(probability, split(probability, distance, params))
    assert np.array_equal(instances.labels(0.0), instances.basins)
    assert np.array_equal(instances.labels(0.4), instances.basins)


def test_seventy_thousand_cells_are_int32_and_counted_alike() -> None:
    basins = np.arange(1, 70_001, dtype=np.int32).reshape(200, 350).repeat(3, axis=0).repeat(3, axis=1)
    probability = np.random.default_rng(0).random(basins.shape, dtype=np.float32)
    instances = Instances(probability, basins)
    assert instances.n_basins == 70_000
    for threshold, min_size in ((0.0, 0), (0.5, 0), (0.5, 5), (0.9, 2), (1.0, 1)):
        labels = instances.labels(threshold, min_size)
        assert labels.dtype == np.int32
        assert len(np.unique(labels[labels > 0])) == instances.count(threshold, min_size)
    assert instances.labels(0.0).max() == 70_000


@pytest.mark.parametrize(("n", "dtype"), [(65_535, np.uint16), (65_536, np.int32)])
def test_ids_change_their_type_where_uint16_ends(n: int, dtype: type) -> None:
    instances = Instances(np.ones((1, n), dtype=np.float32), np.arange(1, n + 1)[None])
    labels = instances.labels(0.5)
    assert labels.dtype == dtype
    assert labels.max() == n
    assert instances.count(0.5) == n


def test_a_cell_larger_than_uint16_is_measured_in_full() -> None:
    instances = Instances(np.ones((300, 300), dtype=np.float32), np.ones((300, 300), dtype=np.int32))
    assert instances.areas(0.5).tolist() == [90_000]
    assert instances.count(0.5, 90_000) == 1
    assert instances.count(0.5, 90_001) == 0


@pytest.mark.parametrize("part", [0, 1, 20, 10**9])
@given(seed=st.integers(0, 500), threshold=thresholds, min_size=sizes)
@settings(max_examples=25)
def test_erasing_and_looking_up_give_the_same(part: int, seed: int, threshold: float, min_size: int) -> None:
    instances = _instances(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "_ERASE_PART", part)
        labels = instances.labels(threshold, min_size)
    assert np.array_equal(labels, _by_hand(instances, threshold, min_size))


@pytest.mark.parametrize("min_size", [0, 200])
def test_a_large_image_on_several_threads_is_the_same(monkeypatch: pytest.MonkeyPatch, min_size: int) -> None:
    probability, distance = random_maps(1, (900, 1300), 5)
    instances = Instances(probability, split(probability, distance))
    threaded = instances.labels(0.5, min_size)
    monkeypatch.setattr(filling, "_N_THREADS", 1)
    assert np.array_equal(threaded, instances.labels(0.5, min_size))
    with ThreadPoolExecutor(4) as pool:
        for labels in pool.map(lambda _: instances.labels(0.5, min_size), range(8)):
            assert np.array_equal(labels, threaded)


def _labels_in_child(instances: Instances, queue: multiprocessing.Queue[int]) -> None:
    queue.put(int(np.count_nonzero(instances.labels(0.5, 100))))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems start children afresh")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_does_not_wait_for_its_parents_threads() -> None:
    probability, distance = random_maps(1, (900, 1300), 5)
    instances = Instances(probability, split(probability, distance))
    expected = np.count_nonzero(instances.labels(0.5, 100))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_labels_in_child, args=(instances, queue))
    child.start()
    try:
        assert queue.get(timeout=60) == expected
    finally:
        child.terminate()
        child.join(10)


def test_out_is_filled_and_returned_or_refused() -> None:
    instances = _instances(1)
    out = np.full(instances.shape, 7, dtype=np.uint16)
    assert instances.labels(0.5, 10, out=out) is out
    assert np.array_equal(out, instances.labels(0.5, 10))
    strided = np.full((instances.shape[0], 2 * instances.shape[1]), 7, dtype=np.uint16)[:, ::2]
    instances.labels(0.5, 10, out=strided)
    assert np.array_equal(strided, out)
    with pytest.raises(ValueError, match="int32"):
        instances.labels(0.5, out=np.zeros(instances.shape, dtype=np.int32))
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        instances.labels(0.5, out=np.zeros((2, 2), dtype=np.uint16))


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (1, 1), (4, 6)])
def test_an_image_without_cells(shape: tuple[int, int]) -> None:
    instances = Instances.from_prediction(Prediction(np.zeros(shape, dtype=np.float32), None))
    assert instances.n_basins == 0
    assert instances.count(0.5) == 0
    assert instances.labels(0.5).shape == shape
    assert not instances.labels(0.0).any()
    assert len(instances.ids(0.5)) == 0
    at, counts = instances.count_curve()
    assert len(at) == 256
    assert not counts.any()
    assert np.isnan(stable_stretch(at, counts)).all()


def test_bad_questions_are_refused() -> None:
    instances = _instances(1)
    for threshold in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="threshold"):
            instances.count(threshold)
    with pytest.raises(ValueError, match="min_size"):
        instances.labels(0.5, -1)
    with pytest.raises(ValueError, match=r"\(3, 4\)"):
        Instances(np.zeros((3, 4)), np.zeros((4, 3), dtype=np.int32))
    with pytest.raises(ValueError, match="whole numbers"):
        Instances(np.zeros((3, 4)), np.zeros((3, 4)))
    with pytest.raises(ValueError, match="read-only"):
        instances.basins[0, 0] = 1


@given(st.lists(st.integers(0, 30), min_size=1, max_size=20), st.floats(0, 0.5))
def test_stable_stretch_is_the_widest_by_brute_force(values: list[int], tolerance: float) -> None:
    counts = np.array(sorted(values, reverse=True))
    at = np.linspace(0.1, 1, len(counts))
    widest = max(
        (
            at[j] - at[i]
            for i in range(len(counts))
            for j in range(i, len(counts))
            if counts[j] > 0 and counts[j] >= counts[i] * (1 - tolerance)
        ),
        default=None,
    )
    low, high = stable_stretch(at, counts, tolerance)
    if widest is None:
        assert np.isnan(low)
        assert np.isnan(high)
    else:
        assert high - low == pytest.approx(widest)
