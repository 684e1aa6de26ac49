"""Filters: their texts, what they compare, and that a count is the same by tables as cell by cell."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import perimeter_crofton, regionprops
from skimage.morphology import convex_hull_image

from napari_cellseg.imaging.errors import ParamsError
from napari_cellseg.instances import Instances, Prediction, split, threshold_level
from napari_cellseg.instances.filters import (
    AREA,
    AT_LEAST,
    AT_MOST,
    CIRCULARITY,
    EDGES,
    INTENSITY,
    MEASURES,
    SOLIDITY,
    Filter,
    Filters,
)
from napari_cellseg.instances.measure import shape_columns
from tests.instances.maps import random_maps
from tests.nuclei import draw_nuclei

VALUES = {AREA: (1, 200), CIRCULARITY: (0.2, 1.0), SOLIDITY: (0.6, 1.0), INTENSITY: (20, 80)}
thresholds, sizes, seeds = st.floats(0, 1), st.integers(0, 60), st.integers(0, 500)


@st.composite
def bounds(draw: st.DrawFn) -> Filter:
    measure = draw(st.sampled_from(MEASURES))
    sign = AT_MOST if measure == AREA else draw(st.sampled_from((AT_LEAST, AT_MOST)))
    return Filter(measure, sign, draw(st.floats(*VALUES[measure])))


filters = st.builds(
    Filters,
    st.lists(bounds(), max_size=3, unique_by=lambda one: (one.measure, one.sign)).map(tuple),
    st.sampled_from((*EDGES, "frame:3", "frame:9")),
)


def made(seed: int) -> Instances:
    probability, distance = random_maps(seed, (33, 45), 1.3)
    image = np.random.default_rng(seed).random(probability.shape) * 100
    return Instances.from_prediction(Prediction(probability, distance)).filtered(Filters(), image)


def passes(instances: Instances, cell: np.ndarray, asked: Filters) -> bool:
    """The documented rule for one cell."""
    assert instances.traits.image is not None
    area = int(cell.sum())
    values = {
        AREA: area,
        CIRCULARITY: 4 * math.pi * area / perimeter_crofton(np.pad(cell, 1), 4) ** 2,
        SOLIDITY: area / convex_hull_image(cell).sum(),
        INTENSITY: instances.traits.image[cell].mean(),
    }
    for one in asked.bounds:
        if abs(values[one.measure] - one.value) < 1e-9:
            continue
        if (values[one.measure] >= one.value) != (one.sign == AT_LEAST):
            return False
    if asked.guard:
        return counted_in(np.argwhere(cell), *(slice(asked.guard, n - asked.guard) for n in cell.shape))
    out = {"all": False, "frame": cell[-1].any() or cell[:, -1].any()}
    out["none"] = out["frame"] or cell[0].any() or cell[:, 0].any()
    return not out[asked.edges]


def counted_in(pixels: np.ndarray, rows: slice, columns: slice) -> bool:
    """Gundersen's rule: in the frame, and on neither of its right and bottom lines nor on what prolongs them."""
    y, x = pixels.T
    right = (x >= columns.stop) & (y < rows.stop)
    below = (x >= columns.start) & (y >= rows.stop)
    inside = (y >= rows.start) & (y < rows.stop) & (x >= columns.start) & (x < columns.stop)
    return bool(inside.any() and not right.any() and not below.any())


@settings(max_examples=60)
@given(seeds, thresholds, sizes, filters)
def test_labels_follow_the_rule_and_count_and_ids_agree(
    seed: int, threshold: float, min_size: int, asked: Filters
) -> None:
    instances = made(seed).filtered(asked)
    level = threshold_level(threshold)
    expected = np.zeros(instances.shape, dtype=np.int64)
    for id_ in range(1, instances.n_basins + 1):
        cell = (instances.basins == id_) & (instances.levels >= level)
        if cell.sum() >= max(min_size, 1) and passes(instances, cell, asked):
            expected[cell] = id_
    labels = instances.labels(threshold, min_size)
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(instances.ids(threshold, min_size), np.unique(expected[expected > 0]))
    assert instances.count(threshold, min_size) == len(np.unique(expected[expected > 0]))
    region = slice(5, 20), slice(11, 40)
    np.testing.assert_array_equal(instances.labels(threshold, min_size, region), labels[region])
    assert not asked.bounds or instances.filtered(Filters()).count(threshold, min_size) >= instances.count(
        threshold, min_size
    )


@settings(max_examples=60)
@given(seeds, thresholds, sizes, filters, bounds(), st.floats(0, 1))
def test_a_stricter_filter_only_takes_away(
    seed: int, threshold: float, min_size: int, asked: Filters, one: Filter, by: float
) -> None:
    instances, low, high = made(seed), *VALUES[one.measure]
    stricter = one.value + by * (high - one.value) if one.sign == AT_LEAST else one.value - by * (one.value - low)
    loose = asked.having(one.measure, one.sign, one.value)
    strict = asked.having(one.measure, one.sign, stricter)
    ids = [set(instances.filtered(of).ids(threshold, min_size).tolist()) for of in (asked, loose, strict)]
    assert ids[2] <= ids[1] and (asked.value(one.measure, one.sign) is not None or ids[1] <= ids[0])
    by_edges = [set(instances.filtered(Filters(asked.bounds, rule)).ids(threshold).tolist()) for rule in EDGES]
    assert by_edges[EDGES.index("none")] <= by_edges[EDGES.index("frame")] <= by_edges[EDGES.index("all")]


@settings(max_examples=40)
@given(seeds, sizes, filters)
def test_curve_is_the_count_at_every_threshold(seed: int, min_size: int, asked: Filters) -> None:
    instances = made(seed).filtered(asked)
    at, counts = instances.count_curve(min_size)
    assert counts.tolist() == [instances.count(t, min_size) for t in at]


@given(seeds, filters, st.sets(st.integers(1, 30), max_size=8))
@settings(max_examples=30)
def test_cells_with_other_ids_are_filtered_alike(seed: int, asked: Filters, taken: set[int]) -> None:
    instances = made(seed).filtered(asked)
    instances.count(0.5)
    other = instances.renumbered(taken)
    assert other.filters == asked
    for threshold in (0.3, 0.6):
        assert other.count(threshold, 5) == instances.count(threshold, 5)
        np.testing.assert_array_equal(other.labels(threshold, 5) > 0, instances.labels(threshold, 5) > 0)
        fresh = Instances(other.levels / 255, other.basins).filtered(asked, instances.traits.image)
        assert fresh.count(threshold, 5) == other.count(threshold, 5)


def test_measurements_are_those_of_scikit_image() -> None:
    drawn = draw_nuclei(22, (300, 300), 60, seed=3)
    probability = np.where(drawn.labels > 0, drawn.image / drawn.image.max(), 0).astype(np.float32)
    image = drawn.image.astype(np.float64)
    image[::7, ::5] = np.nan
    instances = Instances(probability, drawn.labels).filtered(Filters(), image)
    for threshold in (0.2, 0.4, 0.6):
        level, labels = threshold_level(threshold), instances.labels(threshold)
        for region in regionprops(labels):
            circularity, solidity, intensity = (
                float(instances.traits.values(of)[level, region.label - 1]) for of in MEASURES[1:]
            )
            perimeter = perimeter_crofton(np.pad(region.image, 1), 4)
            assert circularity == pytest.approx(4 * math.pi * region.area / perimeter**2, abs=1e-9)
            assert intensity == pytest.approx(np.nanmean(image[labels == region.label]), rel=1e-9)
            assert solidity == pytest.approx(region.solidity, abs=1e-9)


@settings(max_examples=40)
@given(seeds, thresholds)
def test_solidity_is_that_of_the_table_to_the_last_bit(seed: int, threshold: float) -> None:
    instances = made(seed)
    labels, level = instances.labels(threshold), threshold_level(threshold)
    mine = instances.traits.values(SOLIDITY)[level, np.unique(labels[labels > 0]).astype(int) - 1]
    np.testing.assert_array_equal(mine, shape_columns(labels)["solidity"])
    # One level alone is measured as all of them are.
    asked = Filters((Filter(SOLIDITY, AT_LEAST, 0.85),))
    assert made(seed).filtered(asked).count(threshold) == np.count_nonzero(mine >= 0.85)


def test_solidity_is_1_without_dents_and_less_with_them() -> None:
    labels = np.zeros((60, 120), dtype=np.int32)
    labels[5:25, 5:30] = 1
    y, x = np.mgrid[:60, :120]
    labels[np.hypot(y - 30, x - 60) <= 14] = 2
    labels[5:45, 85:115] = 3
    labels[5:35, 95:115] = 0  # an L: 40 x 10 and 10 x 20 pixels; its hull lacks half of 30 x 20
    labels[55, 60] = 4
    found = Instances((labels > 0).astype(np.float32), labels).traits.values(SOLIDITY)[255]
    assert found[0] == found[3] == 1 and 0.96 < found[1] < 1
    assert found[2] == pytest.approx(600 / 900, abs=0.01)


@settings(max_examples=60)
@given(seeds, st.integers(9, 30), st.integers(9, 30), st.integers(1, 12))
def test_frames_that_tile_the_plane_count_every_cell_once(seed: int, height: int, width: int, guard: int) -> None:
    """Cells of any shape and place, over corners of four frames too, as long as each field shows them whole."""
    rng, cells = np.random.default_rng(seed), 30
    plane = np.zeros((5 * height, 5 * width), np.int32)
    for id_, (y, x) in enumerate(rng.integers(1, (4 * height, 4 * width), (cells, 2)), start=1):
        step = rng.choice([(0, 1), (1, 0), (1, 1), (1, -1)])
        for k in range(rng.integers(1, guard + 1)):
            at = np.clip(np.add((y, x), k * step), 0, np.array(plane.shape) - 1)
            plane[tuple(at)] = plane[tuple(at)] or id_
    plane[: guard + 1] = plane[:, : guard + 1] = 0
    counts = dict.fromkeys(np.unique(plane[plane > 0]).tolist(), 0)
    around = np.pad(plane, ((0, guard), (0, guard)))
    for y in range(guard, plane.shape[0], height):
        for x in range(guard, plane.shape[1], width):
            field = around[y - guard : y + height + guard, x - guard : x + width + guard]
            if field.shape != (height + 2 * guard, width + 2 * guard):
                field = np.pad(
                    field, [(0, n + 2 * guard - m) for n, m in zip((height, width), field.shape, strict=True)]
                )
            found = Instances((field > 0).astype(np.float32), np.ascontiguousarray(field))
            for id_ in found.filtered(Filters(edges=f"frame:{guard}")).ids(0.5).tolist():
                counts[id_] += 1
    assert set(counts.values()) == {1}


def test_the_density_is_that_of_the_frame_and_a_guard_can_leave_nothing() -> None:
    assert Filters(edges="frame:10").field((100, 50)) == 80 * 30 and Filters(edges="frame").field((9, 9)) == 81
    assert Filters(edges="frame:0") == Filters(edges="frame") and Filters(edges="frame:007").guard == 7
    assert Filters(edges="frame:30").field((50, 900)) == 0
    assert made(0).filtered(Filters(edges="frame:30")).count(0.1) == 0


def test_only_the_frame_counts_every_cell_of_neighbouring_fields_once() -> None:
    drawn = draw_nuclei(14, (900, 900), 700, seed=5).labels
    field = 300
    corners = [(y, x) for y in range(0, 901, field) for x in range(0, 901, field)]
    near = {int(i) for y, x in corners for i in np.unique(drawn[max(y - 12, 0) : y + 12, max(x - 12, 0) : x + 12])}
    ends = {int(i) for edge in (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]) for i in np.unique(edge)}
    drawn = np.where(np.isin(drawn, [*(near | ends)]), 0, drawn)
    counts = dict.fromkeys(EDGES, 0)
    for y in range(0, 900, field):
        for x in range(0, 900, field):
            labels = np.ascontiguousarray(drawn[y : y + field, x : x + field])
            instances = Instances((labels > 0).astype(np.float32), labels)
            for rule in EDGES:
                counts[rule] += instances.filtered(Filters(edges=rule)).count(0.5)
    true = len(np.unique(drawn)) - 1
    assert counts["frame"] == true > 300
    assert counts["none"] < true - 20 and counts["all"] > true + 20


@given(bounds())
def test_a_filter_is_read_back_from_its_text(one: Filter) -> None:
    assert Filter.parse(str(one)) == one


@pytest.mark.parametrize("text", ["area", "area<9", "area>=9", "size<=9", "area<=x", "area<=nan", "solidity>=-1", ""])
def test_what_is_no_filter_is_refused_in_words(text: str) -> None:
    with pytest.raises(ParamsError, match=r"such as|min_size"):
        Filter.parse(text)


def test_filters_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ParamsError, match="two filters area<="):
        Filters((Filter(AREA, AT_MOST, 3), Filter(AREA, AT_MOST, 4)))
    with pytest.raises(ParamsError, match="one of all, none, frame, or frame:40"):
        Filters(edges="some")
    with pytest.raises(ParamsError, match="rule for edges is 'frame:x'"):
        Filters(edges="frame:x")


def test_nothing_and_no_image() -> None:
    empty = Instances(np.zeros((5, 6), dtype=np.float32), split(np.zeros((5, 6), dtype=np.float32)))
    every = Filters((Filter(SOLIDITY, AT_LEAST, 0.5), Filter(CIRCULARITY, AT_LEAST, 0.5)), "frame")
    assert empty.filtered(every).count(0.5) == 0
    with pytest.raises(ValueError, match="no image"):
        made(0).traits.__class__(empty.levels, empty.basins, empty.areas_by_level([])).values(INTENSITY)
