"""Cells of neighbouring planes are one by their overlap, whatever their ids; volumes and tracks follow from that."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellseg.instances import Instances
from napari_cellseg.instances.linking import Linker, link_stack
from napari_cellseg.instances.measure import intensity_columns, measure
from napari_cellseg.instances.tracks import tracks_table
from napari_cellseg.instances.volumes import Volumes, volume_table

SHAPE = (12, 14)


def balls(spacing=2.5):
    """Balls of known place in a stack whose slices lie `spacing` pixels apart, and their volumes in cubic pixels."""
    z, y, x = np.indices((24, 80, 90), dtype=np.float64)
    labels = np.zeros(z.shape, np.int32)
    volumes = []
    for i, (cz, cy, cx, radius) in enumerate(
        [(20, 20, 20, 12), (40, 25, 50, 14), (20, 60, 30, 10), (45, 60, 70, 13), (13, 40, 75, 11)], start=1
    ):
        labels[(z * spacing - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < radius**2] = i
        volumes.append(4 / 3 * np.pi * radius**3)
    return labels, volumes


def by_plane(labels, seed):
    """The same cells with other ids in every plane, with gaps."""
    rng = np.random.default_rng(seed)
    planes = []
    for plane in labels:
        ids = np.unique(plane)
        other = np.concatenate([[0], rng.permutation(np.arange(1, 3 * len(ids)))[: len(ids) - 1]])
        planes.append(other[np.searchsorted(ids, plane)].astype(np.int32))
    return planes


def linked(planes, **options):
    return np.stack([k[p] for p, k in zip(planes, link_stack(planes, **options), strict=True)])


@st.composite
def stacks(draw):
    n = draw(st.integers(1, 4))
    planes = []
    for _ in range(n):
        plane = np.zeros(SHAPE, np.int32)
        for i in range(1, draw(st.integers(0, 5)) + 1):
            y, x = draw(st.integers(0, 10)), draw(st.integers(0, 12))
            plane[y : y + draw(st.integers(1, 5)), x : x + draw(st.integers(1, 5))] = i
        planes.append(plane)
    return np.stack(planes)


@pytest.mark.parametrize("seed", range(3))
def test_balls_are_found_again_with_their_volumes(seed):
    spacing, pixel = 2.5, (0.5, 0.5)
    truth, volumes = balls(spacing)
    planes = by_plane(truth, seed)
    lookups = list(link_stack(planes))
    stack = np.stack([k[p] for p, k in zip(planes, lookups, strict=True)])
    np.testing.assert_array_equal(stack > 0, truth > 0)
    pairs = np.unique(np.stack([stack.ravel(), truth.ravel()]), axis=1)
    assert pairs.shape[1] == 6  # one to one, background included
    table = volume_table([measure(p) for p in planes], lookups, 0, pixel, spacing * pixel[0])
    assert len(table["index"]) == 5
    order = np.argsort(table["volume_vox"])
    np.testing.assert_allclose(table["volume_um3"][order], np.sort(volumes) * pixel[0] ** 3, rtol=0.03)
    np.testing.assert_array_equal(np.sort(table["volume_vox"]), np.sort(np.bincount(truth.ravel())[1:]))
    np.testing.assert_allclose(table["diameter_um"][order], pixel[0] * np.array([20, 22, 24, 26, 28]), rtol=0.01)
    centres = np.stack([table[f"centroid_{axis}_um"] for axis in "zyx"], axis=1) / pixel[0]
    for centre in [(20, 20, 20), (40, 25, 50), (20, 60, 30), (45, 60, 70), (13, 40, 75)]:
        assert np.linalg.norm(centres - centre, axis=1).min() < 0.5
    np.testing.assert_array_equal(table["n_slices"], table["last_slice"] - table["first_slice"] + 1)


@given(stacks(), st.integers(0, 100), st.sampled_from(["iou", "overlap"]), st.floats(0.05, 1))
def test_ids_hold_whatever_the_planes_call_their_cells(labels, seed, how, min_iou):
    ours = linked(list(labels), min_iou=min_iou, how=how)
    np.testing.assert_array_equal(ours, linked(by_plane(labels, seed), min_iou=min_iou, how=how))


@given(stacks(), st.floats(0.05, 1), st.booleans())
def test_a_linked_id_is_one_cell_of_a_plane_and_its_partners_reach_the_iou(labels, min_iou, divisions):
    linker = Linker(min_iou, "iou", divisions)
    lookups = [linker.add(plane, 7) for plane in labels]
    for plane, lookup in zip(labels, lookups, strict=True):
        ids = np.unique(plane[plane > 0])
        assert lookup.shape == (8,) and lookup[0] == 0
        assert (lookup[ids] > 0).all() and len(set(lookup[ids])) == len(ids) == np.count_nonzero(lookup)
    stack = np.stack([k[p] for p, k in zip(labels, lookups, strict=True)])
    assert set(np.unique(stack)) - {0} == set(range(1, linker.n_linked + 1))
    for before, plane in itertools.pairwise(stack):
        for id_ in set(np.unique(before)) & set(np.unique(plane)) - {0}:
            one, other = before == id_, plane == id_
            assert (one & other).sum() / (one | other).sum() >= min_iou
    for child, parent in linker.parents.items():
        born = next(i for i, plane in enumerate(stack) if (plane == child).any())
        mother, daughter = stack[born - 1] == parent, stack[born] == child
        assert 2 * (mother & daughter).sum() > daughter.sum() and not (stack[born:] == parent).any()


@given(stacks(), st.floats(0.05, 0.95))
def test_a_greater_iou_never_links_more(labels, min_iou):
    least, most = (linked(list(labels), min_iou=value, how="iou").max() for value in (min_iou, min(1.0, 1.3 * min_iou)))
    assert least <= most


def test_a_gap_ends_a_cell():
    truth, _ = balls()
    truth[:, 40:] = 0  # balls 1 and 2, at the top, and one that is cut
    whole = len(np.unique(linked(by_plane(truth, 0)))) - 1
    truth[8] = 0  # through the middle of the first
    assert len(np.unique(linked(by_plane(truth, 0)))) - 1 > whole


def test_the_cap_of_a_cell_stays_with_it_but_no_other_cell_joins():
    planes = np.zeros((3, 30, 30), np.int32)
    planes[0, 10:14, 10:14] = 1  # a cap
    planes[1, 5:20, 5:20] = 1
    planes[2, 5:20, 5:20], planes[2, 22:25, 22:25] = 1, 2
    np.testing.assert_array_equal(linked(planes)[:, 12, 12], [1, 1, 1])
    np.testing.assert_array_equal(linked(planes, how="iou")[:, 12, 12], [1, 2, 2])
    # A second small one finds its place taken, and one that lies half outside is no cap.
    planes[0, 6:9, 6:9] = 2
    assert linked(planes)[0].max() == 2 and linked(planes)[1].max() == 2 and linked(planes).max() == 3
    planes[0] = 0
    planes[0, 10:14, 2:7] = 1
    np.testing.assert_array_equal(linked(planes)[:2, 12, 6], [1, 2])


def test_the_best_partner_comes_first():
    before, after = np.zeros((2, 10, 30), np.int32)
    before[:, 0:10] = 1
    after[:, 0:4], after[:, 4:12] = 1, 2
    assert linked([before, after], min_iou=0.1)[1].max() == 2
    np.testing.assert_array_equal(linked([before, after], min_iou=0.1)[1, 0, [0, 4]], [2, 1])


def test_a_stack_of_other_sizes_is_refused_and_a_new_one_begins_after_the_end():
    linker = Linker()
    first = linker.add(np.ones((4, 4), np.uint16))
    with pytest.raises(ValueError, match="one before"):
        linker.add(np.ones((4, 5), np.uint16))
    linker.end()
    np.testing.assert_array_equal([first[1], linker.add(np.ones((4, 5), np.uint16))[1]], [1, 2])
    for wrong in (0, -0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="IoU"):
            Linker(wrong)
    with pytest.raises(ValueError, match="how"):
        Linker(how="nearest")


@settings(max_examples=30)
@given(stacks(), st.integers(0, 1000))
def test_counts_fall_with_both_sliders_and_are_those_of_the_labels(labels, seed):
    rng = np.random.default_rng(seed)
    planes = [Instances(np.where(plane > 0, rng.uniform(0.1, 1, SHAPE), 0), plane) for plane in labels]
    lookups = list(link_stack(plane.labels(0.5) for plane in planes))
    volumes = Volumes(planes, lookups)
    last = None
    for threshold in (0.0, 0.3, 0.5, 0.8, 1.0):
        counts = [volumes.count(threshold, size) for size in (0, 1, 4, 20, 60)]
        assert counts == sorted(counts, reverse=True)
        assert last is None or all(a >= b for a, b in zip(last, counts, strict=True))
        last = counts
        for size, count in zip((0, 1, 4, 20, 60), counts, strict=True):
            stack = np.stack([volumes.labels(i, threshold, size) for i in range(len(planes))])
            found = np.bincount(stack.ravel(), minlength=volumes.n_linked + 1)[1:]
            assert np.count_nonzero(found) == count and (found[found > 0] >= size).all()
            np.testing.assert_array_equal(found[found > 0], volumes.volumes(threshold)[found > 0])
            np.testing.assert_array_equal(
                stack > 0,
                np.isin(stack, np.flatnonzero(volumes.keep(threshold, size)) + 1),
            )
    # At the threshold of the links nothing is added: a batch, which knows only that one, counts the same.
    table = volume_table([measure(plane.labels(0.5)) for plane in planes], lookups, 4)
    assert len(table["index"]) == volumes.count(0.5, 4)
    np.testing.assert_array_equal(table["volume_vox"], volumes.volumes(0.5)[volumes.keep(0.5, 4)])


def test_a_volumes_table_is_that_of_its_voxels():
    truth, _ = balls()
    image = np.random.default_rng(0).normal(100, 20, (2, *truth.shape))
    planes = by_plane(truth, 1)
    lookups = list(link_stack(planes))
    names = ("DAPI", "")
    tables = [
        {**measure(p, None, image[0, i]), **intensity_columns(p, dict(zip(names, image[:, i], strict=True)))}
        for i, p in enumerate(planes)
    ]
    table = volume_table(tables, lookups, 1)
    stack = np.stack([k[p] for p, k in zip(planes, lookups, strict=True)])
    for row, id_ in enumerate(table["index"]):
        inside = stack == id_
        for channel, end in zip(image, ("_DAPI", ""), strict=True):
            for what in ("mean", "min", "max", "std"):
                assert table[f"intensity_{what}{end}"][row] == pytest.approx(getattr(channel[inside], what)())
        assert table["mean_intensity"][row] == pytest.approx(image[0][inside].mean())
        centre = [table[f"centroid_{axis}"][row] for axis in "zyx"]
        np.testing.assert_allclose(centre, np.argwhere(inside).mean(axis=0))
    assert not {"volume_um3", "diameter_um"} & set(table)
    assert len(volume_table(tables, lookups, int(table["volume_vox"].max()))["index"]) == 1
    assert {len(column) for column in volume_table([], []).values()} == {0}


@pytest.mark.filterwarnings("error")
def test_slices_without_a_finite_pixel_do_not_count_for_a_volumes_intensities():
    planes = [np.array([[1, 1, 2]], np.uint16)] * 3
    values = [np.array([[1, 3, np.nan]]), np.array([[np.nan, np.nan, np.inf]]), np.array([[5, 7, np.nan]])]
    tables = [{**measure(p, image=v), **intensity_columns(p, {"": v})} for p, v in zip(planes, values, strict=True)]
    table = volume_table(tables, [np.arange(3)] * 3)
    assert table["volume_vox"].tolist() == [6, 3] and table["centroid_z"].tolist() == [1, 1]
    np.testing.assert_allclose(table["mean_intensity"], [4, np.nan])
    for what in ("mean", "min", "max", "std"):
        wanted = getattr(np.array([1, 3, 5, 7]), what)()
        np.testing.assert_allclose(table[f"intensity_{what}"], [wanted, np.nan], err_msg=what)


def film():
    """A cell that walks, one that divides in frame 2, and one that comes in frame 1 and is gone in frame 3."""
    frames = np.zeros((5, 60, 80), np.int32)
    for t, frame in enumerate(frames):
        frame[5 + 2 * t : 17 + 2 * t, 5:17] = 1
        if t < 2:
            frame[30:50, 40:60] = 2
        else:
            frame[30:50, 40:49], frame[30:50, 51 + t : 60 + t] = 2, 3
        if 1 <= t < 3:
            frame[2:12, 60:70] = 9
    return frames


@pytest.mark.parametrize("seed", range(3))
def test_tracks_say_who_went_where_and_who_divided(seed):
    frames = by_plane(film(), seed)
    linker = Linker(divisions=True)
    lookups = [linker.add(frame) for frame in frames]
    tables = [measure(frame) for frame in frames]
    tracks = tracks_table(((t["index"], t["centroid_y"], t["centroid_x"]) for t in tables), lookups, linker.parents)
    assert tracks.count == 5 and tracks.rows.shape == (15, 4)
    by_track = {i: tracks.rows[tracks.rows[:, 0] == i] for i in np.unique(tracks.rows[:, 0])}
    walker = next(rows for rows in by_track.values() if rows[0, 2] < 20 and rows[0, 3] < 20)
    np.testing.assert_allclose(walker[:, 1:], [(t, 10.5 + 2 * t, 10.5) for t in range(5)])
    (mother,) = {parent for (parent,) in tracks.graph.values()}
    np.testing.assert_array_equal(by_track[mother][:, 1], [0, 1])
    assert len(tracks.graph) == 2 and all(by_track[child][0, 1] == 2 for child in tracks.graph)
    assert sorted(len(rows) for rows in by_track.values()) == [2, 2, 3, 3, 5]
    columns = tracks.columns()
    assert set(columns) == {"track", "t", "y", "x", "parent"}
    assert sorted(set(columns["parent"])) == ["", str(int(mother))]
    # Sorted as napari's Tracks layer wants it.
    assert [tuple(row) for row in tracks.rows[:, :2]] == sorted(tuple(row) for row in tracks.rows[:, :2])


def test_a_mother_that_is_not_counted_is_not_in_the_graph():
    frames = by_plane(film(), 0)
    linker = Linker(divisions=True)
    lookups = [linker.add(frame) for frame in frames]
    tables = [measure(frame) for frame in frames]
    kept = [t["area_px"] < 300 for t in tables]
    tracks = tracks_table(
        ((t["index"][k], t["centroid_y"][k], t["centroid_x"][k]) for t, k in zip(tables, kept, strict=True)),
        lookups,
        linker.parents,
    )
    assert tracks.count == 4 and not tracks.graph and len(linker.parents) == 2


def test_a_fragment_is_no_daughter():
    before, after = np.zeros((2, 30, 30), np.int32)
    before[5:25, 5:25] = 1
    after[5:25, 5:20], after[8:22, 21:25] = 1, 2
    linker = Linker(divisions=True)
    linker.add(before)
    np.testing.assert_array_equal(linker.add(after), [0, 1, 2])
    assert not linker.parents
    after[:, 14:] = np.where(after[:, 14:] > 0, 2, 0)
    linker = Linker(divisions=True)
    linker.add(before)
    np.testing.assert_array_equal(linker.add(after), [0, 2, 3])
    assert linker.parents == {2: 1, 3: 1}


def test_without_divisions_the_nearer_half_goes_on():
    frames = by_plane(film(), 0)
    linker = Linker()
    assert max(int(linker.add(frame).max()) for frame in frames) == 4 and not linker.parents


def test_ids_beyond_a_table_cost_no_more_than_the_table():
    plane = np.zeros(SHAPE, np.int32)
    plane[2:5, 2:5], plane[7:9, 7:9] = 70_001, 3
    lookup = Linker().add(plane)
    assert lookup.shape == (70_002,) and (lookup[70_001], lookup[3]) == (1, 2)
