"""Stacks through the real command line: slices become 3D cells, frames become tracks, and nothing else is guessed."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
import tifffile
import zarr

from napari_cellseg.batch.events import BatchSummary
from napari_cellseg.batch.item import segment_item
from napari_cellseg.batch.run import iter_batch
from napari_cellseg.cli import main
from napari_cellseg.imaging.errors import ParamsError
from napari_cellseg.imaging.progress import drain
from napari_cellseg.imaging.read.read import read_image
from napari_cellseg.imaging.stack_planes import plane_image, planes_of
from napari_cellseg.imaging.write.atomic import output_error
from napari_cellseg.imaging.write.write import read_label_stack, read_metadata, write_labels
from napari_cellseg.instances.linking import link_stack
from napari_cellseg.instances.volumes import Volumes
from napari_cellseg.results.counts import put_rows, read_counts
from napari_cellseg.results.plan import Item
from napari_cellseg.results.rows import BatchRow
from napari_cellseg.segmentation.options import RunOptions
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.segmentation.segment import iter_predict_image
from tests.models import make_model

# Centre (slice, y, x) and radius in pixels; slices lie 4 pixels apart.
BALLS = [(2.5, 30, 30, 14), (4, 30, 80, 16), (4.5, 80, 40, 15), (2, 90, 95, 13), (6, 110, 20, 14)]
SPACING = 4
ON_CPU = RunOptions("cpu")
CELLS = RunOptions("cpu", ("labels", "cells"))


def balls(n_slices: int = 10, seed: int = 0) -> np.ndarray:
    """Soft bright balls on a noisy ground, uint16."""
    z, y, x = np.indices((n_slices, 128, 128), dtype=np.float64)
    image = np.random.default_rng(seed).normal(100, 5, z.shape)
    for cz, cy, cx, radius in BALLS:
        distance = ((z - cz) * SPACING) ** 2 + (y - cy) ** 2 + (x - cx) ** 2
        image += 150 * np.clip((radius**2 - distance) / (radius * 6), 0, 1)
    return image.astype(np.uint16)


def film() -> np.ndarray:
    """Two cells that walk, one that divides in frame 2 and one that comes in frame 1, uint16 (T, Y, X)."""
    frames = np.random.default_rng(1).normal(100, 5, (4, 128, 128))
    y, x = np.indices((128, 128), dtype=np.float64)
    for t, frame in enumerate(frames):
        cells = [(25 + 3 * t, 25, 11, 11), (95, 30 + 4 * t, 12, 12)]
        cells += [(60, 80, 10, 21)] if t < 2 else [(60, 80 - 12 - t, 10, 9), (60, 80 + 12 + t, 10, 9)]
        cells += [(105, 105, 11, 11)] if t else []
        for cy, cx, ry, rx in cells:
            frame += 150 * np.clip((1 - ((y - cy) / ry) ** 2 - ((x - cx) / rx) ** 2) * 3, 0, 1)
    return frames.astype(np.uint16)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return Recipe(str(make_model(tmp_path_factory.mktemp("models") / "tiny").path))


def write(path: Path, image: np.ndarray, axes: str, **about: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, image, imagej=True, resolution=(2, 2), metadata={"axes": axes, "unit": "um", **about})
    return path


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run(*arguments: Any) -> int:
    return main(["segment", *map(str, arguments)])


def rows_of(source: Path, out: Path, recipe: Recipe, options: RunOptions = ON_CPU, **more: Any) -> list[BatchRow]:
    steps = iter_batch([(source, source.name)], out, recipe, options, **more)
    found = [event.row for event in steps if hasattr(event, "row")]
    return sorted(found, key=lambda row: row.key)


def test_balls_are_counted_in_space(tmp_path: Path) -> None:
    path = write(tmp_path / "in" / "a.tif", balls(), "ZYX", spacing=2.0)
    out = tmp_path / "out"
    assert run(path, "--out", out, "--link", "z", "--save", "labels,cells,submission,overlay", "--html") == 0
    labels, axes = read_label_stack(out / "a_labels.tif")
    cells = lines(out / "cells.csv")
    (line,) = lines(out / "counts.csv")
    assert axes == "ZYX" and int(line["count"]) == len(BALLS) == len(cells) == len(np.unique(labels)) - 1
    assert lines(out / "submission.csv") == [{"image": "a.tif", "count": "5"}]
    assert read_metadata(out / "a_labels.tif")["link"] == {"axis": "Z", "iou": 0.25}
    for cell in cells:
        z, y, x = np.nonzero(labels == int(cell["index"]))
        assert int(cell["volume_vox"]) == len(z)
        assert float(cell["volume_um3"]) == pytest.approx(len(z) * 0.5 * 0.5 * 2)
        assert [float(cell[f"centroid_{a}_um"]) for a in "zyx"] == pytest.approx(
            [2 * z.mean(), y.mean() / 2, x.mean() / 2]
        )
        assert int(cell["n_slices"]) == len(np.unique(z))
        assert float(cell["intensity_mean"]) == pytest.approx(balls()[z, y, x].mean())
        near = min(BALLS, key=lambda ball: np.linalg.norm(np.subtract(ball[:3], (z.mean(), y.mean(), x.mean()))))
        assert np.linalg.norm(np.subtract(near[1:3], (y.mean(), x.mean()))) < 2
        # Soft edges: the true volume is only met within a third.
        truth = np.pi * near[3] ** 3 * 4 / 3 / SPACING
        assert abs(np.log(len(z) / truth)) < np.log(1.5)
    assert float(line["median_volume_vox"]) == np.median([int(cell["volume_vox"]) for cell in cells])
    assert float(line["median_volume_um3"]) == float(line["median_volume_vox"]) / 2
    assert len(list(out.glob("*_overlay.png"))) == 10
    assert read_image(out / "a_labels.tif").slice_spacing == 2


def test_a_volume_counts_by_its_voxels_and_both_numbers_only_lower_it(tiny: Recipe, tmp_path: Path) -> None:
    path = write(tmp_path / "in" / "a.tif", balls(5), "ZYX")
    image = read_image(path)
    found = [drain(iter_predict_image(plane_image(image, page), tiny)) for page in planes_of(image)]
    last: list[int] | None = None
    for threshold in (0.4, 0.5, 0.7):
        recipe = replace(tiny, pages="stack", link="z", threshold=threshold)
        links = list(link_stack(one.instances.labels(threshold) for one in found))
        volumes = Volumes([one.instances for one in found], links)
        sizes = (1, 30, 200)
        counts = []
        for size in sizes:
            (row,) = rows_of(path, tmp_path / f"{threshold}-{size}", replace(recipe, min_size=size))
            labels, _ = read_label_stack(tmp_path / f"{threshold}-{size}" / "a_labels.tif")
            expected = [volumes.labels(i, threshold, size) for i in range(5)]
            np.testing.assert_array_equal(labels, expected)
            assert row.count == volumes.count(threshold, size) == len(np.unique(labels)) - 1
            counts.append(row.count)
        assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1]
        last = counts
    assert last


def test_a_film_gives_tracks_divisions_and_counts_per_frame(tmp_path: Path) -> None:
    path = tmp_path / "film.ome.tif"
    tifffile.imwrite(
        path, film(), metadata={"axes": "TYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "TimeIncrement": 60}
    )
    out = tmp_path / "out"
    assert run(path, "--out", out, "--link", "t", "--save", "labels,cells,rle", "--diameter", 24) == 0
    labels, axes = read_label_stack(out / "film.ome_labels.tif")
    frames, tracks, counts = (
        lines(out / name) for name in ("film.ome_frames.csv", "film.ome_tracks.csv", "counts.csv")
    )
    assert axes == "TYX" and [int(frame["count"]) for frame in frames] == [3, 4, 5, 5]
    assert [int(line["count"]) for line in counts] == [len(np.unique(frame)) - 1 for frame in labels] == [3, 4, 5, 5]
    assert [float(frame["seconds"]) for frame in frames] == [0, 60, 120, 180]
    assert [frame["median_area_px"] for frame in frames] == [line["median_area_px"] for line in counts]
    assert list(read_metadata(out / "film.ome_labels.tif")["counts"].values()) == [3, 4, 5, 5]
    # Every row of the tracks is a cell of that frame, and lies where it says.
    assert len(tracks) == 17 and len({line["track"] for line in tracks}) == 6
    for line in tracks:
        y, x = np.nonzero(labels[int(line["t"])] == int(line["track"]))
        assert (float(line["y"]), float(line["x"])) == pytest.approx((y.mean(), x.mean()))
    daughters = {line["track"]: line["parent"] for line in tracks if line["parent"]}
    assert len(daughters) == 2 and len(set(daughters.values())) == 1
    (mother,) = set(daughters.values())
    assert [line["t"] for line in tracks if line["track"] == mother] == ["0", "1"]
    assert {min(line["t"] for line in tracks if line["track"] == child) for child in daughters} == {"2"}
    cells = lines(out / "cells.csv")
    assert [(cell["page"], cell["index"]) for cell in cells] == sorted(
        (f"t{int(line['t']):03d}", line["track"]) for line in tracks
    )
    assert run(path, "--out", out, "--link", "t", "--save", "labels,cells,rle", "--diameter", 24, "--resume") == 0
    made = Recipe.read(out / "recipe.json"), RunOptions.read(out / "recipe.json")
    assert {row.state for row in rows_of(path, out, *made, resume=True)} == {"skipped"}
    (out / "film.ome_tracks.csv").unlink()
    assert {row.state for row in rows_of(path, out, *made, resume=True)} == {"done"}
    assert lines(out / "film.ome_tracks.csv") == tracks


def test_a_films_cells_are_those_of_its_frames(tiny: Recipe, tmp_path: Path) -> None:
    """Linking changes the ids, and nothing else: not which cells there are, nor what is measured."""
    path = write(tmp_path / "in" / "a.tif", film(), "TYX")
    options = RunOptions("cpu", ("labels", "cells", "rois", "geojson", "probability", "rle", "overlay"))
    recipe = replace(tiny, pages="stack", min_size=20)
    plain = rows_of(path, tmp_path / "plain", recipe, options)
    linked = rows_of(path, tmp_path / "linked", replace(recipe, link="t"), options)
    for one, other in zip(plain, linked, strict=True):
        assert replace(one, files={}, recipe="", seconds=None) == replace(other, files={}, recipe="", seconds=None)
        assert set(other.files) == {*one.files, "tracks", "frames"}
        for name in ("overlay", "probability"):
            assert (tmp_path / "linked" / other.files[name]).stat().st_size > 0
    before, after = (read_label_stack(tmp_path / name / "a_labels.tif")[0] for name in ("plain", "linked"))
    np.testing.assert_array_equal(before > 0, after > 0)
    for one, other in zip(before, after, strict=True):
        pairs = np.unique(np.stack([one[one > 0], other[other > 0]]), axis=1)
        assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
    tables = [lines(tmp_path / name / "cells.csv") for name in ("plain", "linked")]
    measured = [sorted([line[name] for name in line if name != "index"] for line in table) for table in tables]
    assert measured[0] == measured[1]
    page = json.loads((tmp_path / "linked" / linked[0].files["geojson"]).read_text())
    assert len(page["features"]) == linked[0].count


def test_a_linked_cell_has_one_name_in_all_rois_and_lies_on_its_slice(tiny: Recipe, tmp_path: Path) -> None:
    path = write(tmp_path / "in" / "a.tif", balls(), "ZYX", spacing=2)
    options = RunOptions("cpu", ("labels", "rois"))
    rows_of(path, tmp_path / "out", replace(tiny, pages="stack", link="z", min_size=0), options)
    stack = read_label_stack(tmp_path / "out" / "a_labels.tif")[0]
    digits = len(str(stack.max()))
    for z, labels in enumerate(stack):
        zip_ = tmp_path / "out" / f"a_z{z:03d}_rois.zip"
        rois = roifile.roiread(zip_) if labels.any() else []
        assert [roi.name for roi in rois] == [f"cell_{id_:0{digits}d}" for id_ in np.unique(labels[labels > 0])]
        assert {roi.position for roi in rois} <= {z + 1}
    rows_of(path, tmp_path / "plain", replace(tiny, pages="stack"), options)
    for z in range(len(stack)):
        zip_ = tmp_path / "plain" / f"a_z{z:03d}_rois.zip"
        assert {roi.position for roi in (roifile.roiread(zip_) if zip_.stat().st_size > 22 else [])} <= {z + 1}
    assert digits > 1 and len({len(str(labels.max())) for labels in stack if labels.any()}) > 1


def test_slices_are_linked_inside_each_time_point_only(tiny: Recipe, tmp_path: Path) -> None:
    stack = np.stack([balls(4), balls(4, seed=1)])
    path = write(tmp_path / "in" / "a.tif", stack, "TZYX")
    recipe = replace(tiny, pages="stack", link="z", min_size=20)
    rows = rows_of(path, tmp_path / "out", recipe, CELLS)
    labels, axes = read_label_stack(tmp_path / "out" / "a_labels.tif")
    assert axes == "TZYX" and [row.page for row in rows] == ["t000", "t001"] and {row.n_pages for row in rows} == {2}
    ids = [set(np.unique(volume)) - {0} for volume in labels]
    assert not ids[0] & ids[1] and [len(one) for one in ids] == [row.count for row in rows]
    for t, row in enumerate(rows):
        single = write(tmp_path / f"{t}" / "a.tif", stack[t], "ZYX")
        (alone,) = rows_of(single, tmp_path / f"out{t}", recipe, CELLS)
        assert (alone.count, alone.median_volume_vox) == (row.count, row.median_volume_vox)
        assert alone.page == ""
    assert [line["page"] for line in lines(tmp_path / "out" / "cells.csv")] == [
        f"t00{t}" for t, one in enumerate(ids) for _ in one
    ]
    assert {row.state for row in rows_of(path, tmp_path / "out", recipe, CELLS, resume=True)} == {"skipped"}
    assert [row.median_volume_vox for row in read_counts(tmp_path / "out" / "counts.csv")] == [
        row.median_volume_vox for row in rows
    ]


def test_all_channels_are_measured(tiny: Recipe, tmp_path: Path) -> None:
    stack = np.stack([balls(3), 1000 - balls(3)], axis=1)
    path = write(tmp_path / "in" / "a.tif", stack, "ZCYX", Labels=["DAPI", "GFP"] * 3)
    recipe = replace(tiny, pages="stack", link="z", channel=1)
    (row,) = rows_of(path, tmp_path / "out", recipe, CELLS)
    labels, _ = read_label_stack(tmp_path / "out" / "a_labels.tif")
    names = read_image(path).channel_names or ("channel 0", "channel 1")
    cells = lines(tmp_path / "out" / "cells.csv")
    assert len(cells) == row.count
    for cell in cells:
        inside = labels == int(cell["index"])
        for i, name in enumerate(names):
            assert float(cell[f"intensity_mean_{name}"]) == pytest.approx(stack[:, i][inside].mean())
            assert float(cell[f"intensity_max_{name}"]) == stack[:, i][inside].max()


@pytest.mark.parametrize("link", ["z", "t"])
def test_a_worker_of_a_cluster_writes_the_same_bytes(link: str, tiny: Recipe, tmp_path: Path) -> None:
    path = write(tmp_path / "in" / "a.tif", balls(3), f"{link.upper()}YX")
    options = RunOptions("cpu", ("labels", "cells", "rois", "probability"))
    recipe = replace(tiny, pages="stack", link=link)
    rows = rows_of(path, tmp_path / "out", recipe, options)
    theirs = drain(segment_item(Item(path, path.name, rows[0].stem), recipe, tmp_path / "theirs", options))
    assert [replace(row, seconds=None) for row in theirs] == [replace(row, seconds=None) for row in rows]
    for row in rows:
        for name in row.files.values():
            assert (tmp_path / "theirs" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


@pytest.mark.parametrize("link", ["z", "t"])
def test_nothing_in_a_stack_is_a_count_of_0(link: str, tiny: Recipe, tmp_path: Path) -> None:
    path = write(tmp_path / "in" / "a.tif", balls(3), f"{link.upper()}YX")
    options = RunOptions("cpu", ("labels", "cells", "overlay"))
    recipe = replace(tiny, pages="stack", link=link, min_size=10**6)
    rows = rows_of(path, tmp_path / "out", recipe, options)
    assert {(row.state, row.count) for row in rows} == {("done", 0)}
    assert not read_label_stack(tmp_path / "out" / "a_labels.tif")[0].any() and not lines(
        tmp_path / "out" / "cells.csv"
    )
    if link == "t":
        assert not lines(tmp_path / "out" / "a_tracks.csv")
        assert [frame["count"] for frame in lines(tmp_path / "out" / "a_frames.csv")] == ["0", "0", "0"]


def test_slices_without_colours_in_a_stack_of_colours(tiny: Recipe, tmp_path: Path) -> None:
    stack = np.repeat(balls(3)[..., None] // 2, 3, axis=3).astype(np.uint8)
    stack[1, ..., 2] = 9
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, photometric="rgb", metadata={"axes": "ZYXS"})
    three = Recipe(str(make_model(tmp_path / "three", in_channels=3).path))
    recipe = replace(three, pages="stack", link="z", min_size=1)
    (row,) = rows_of(tmp_path / "a.ome.tif", tmp_path / "out", recipe, CELLS)
    assert row.state == "done", row.error
    labels, _ = read_label_stack(tmp_path / "out" / "a.ome_labels.tif")
    for cell in lines(tmp_path / "out" / "cells.csv"):
        inside = labels == int(cell["index"])
        for i, name in enumerate(("red", "green", "blue")):
            assert float(cell[f"intensity_mean_{name}"]) == pytest.approx(stack[inside][:, i].mean())


def test_an_ome_zarr_volume_is_linked_too(tiny: Recipe, tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.create_array("0", data=balls(3), chunks=(1, 64, 64))
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    scale = {"type": "scale", "scale": [3.0, 0.5, 0.5]}
    datasets = [{"path": "0", "coordinateTransformations": [scale]}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    (row,) = rows_of(tmp_path / "a.zarr", tmp_path / "out", replace(tiny, pages="stack", link="z"))
    assert row.state == "done" and row.voxel_volume_um3 == pytest.approx(0.75)


@pytest.mark.parametrize(
    "axes, link, said",
    [
        ("TYX", "z", "has no slices to link.*--axes ZYX"),
        ("ZYX", "t", "has no time points to link.*--axes TYX"),
        ("TZYX", "t", "--link z"),
        ("YX", "z", "has no slices to link.*--link none"),
    ],
)
def test_an_axis_that_is_not_there_is_refused(
    axes: str, link: str, said: str, tiny: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = {"T": 2, "Z": 3, "Y": 20, "X": 24}
    image = np.ones([shape[axis] for axis in axes], np.uint16)
    path = write(tmp_path / "in" / "a.tif", image, axes)
    out = tmp_path / "out"
    assert run(path, "--out", out, "--link", link, "--model", tiny.model) == 1
    (line,) = lines(out / "counts.csv")
    assert re.search(said, line["error"]) and line["error"] in capsys.readouterr().err
    assert not list(out.glob("*.tif"))
    # The next step that it names does it.
    if axes in ("TYX", "ZYX"):
        again = ("--link", link, "--axes", f"{link.upper()}YX")
        assert run(path, "--out", out, "--model", tiny.model, *again) == 0


def test_recipes_say_what_they_link_and_others_keep_their_digest(tiny: Recipe, tmp_path: Path) -> None:
    stack = replace(tiny, pages="stack")
    linked = replace(stack, link="z")
    assert len({one.digest() for one in (stack, linked, replace(stack, link="t"), replace(linked, link_iou=0.5))}) == 4
    assert replace(stack, link_iou=0.5).digest() == stack.digest()
    linked.write(tmp_path / "r.json")
    assert Recipe.read(tmp_path / "r.json") == linked
    old = {name: value for name, value in stack.to_dict().items() if not name.startswith("link")}
    assert Recipe.from_dict(old) == stack
    for wrong, said in (
        ({"link": "z"}, "--pages stack"),
        ({"link": "x", "pages": "stack"}, "none, z, t"),
        ({"link_iou": 0.0}, "above 0"),
        ({"link_iou": None}, "link_iou"),
    ):
        with pytest.raises(ParamsError, match=said):
            replace(tiny, **wrong)
    with pytest.raises(ParamsError, match="rle"):
        next(iter_batch([], tmp_path / "out", linked, RunOptions(outputs=("rle",))))


def test_pages_of_another_kind_are_not_linked_in_silence(tiny: Recipe, tmp_path: Path, capsys: Any) -> None:
    path = write(tmp_path / "in" / "a.tif", balls(2), "ZYX")
    assert run(path, "--out", tmp_path / "out", "--link", "z", "--pages", "each", "--model", tiny.model) != 0
    assert "--pages stack" in capsys.readouterr().err


@pytest.mark.parametrize("link", ["z", "t", "none"])
def test_a_page_that_fails_fails_its_stack_and_nothing_is_half_written(
    link: str, tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cellseg.batch import item

    path = write(tmp_path / "in" / "a.tif", balls(3), "TYX" if link == "t" else "ZYX")
    recipe = replace(tiny, pages="stack", link=link)
    prepare = item.prepare

    def damaged(image: Any, *more: Any) -> Any:
        if image.name.endswith("001"):
            raise OSError(5, "bad sector")
        return prepare(image, *more)

    monkeypatch.setattr(item, "prepare", damaged)
    rows = rows_of(path, tmp_path / "out", recipe, CELLS)
    assert len(rows) == (1 if link == "z" else 3) and {row.state for row in rows} == {"failed"}
    assert all("bad sector" in row.error for row in rows)
    # The numbers of a page are not those of its stack.
    assert not any(line[name] for line in lines(tmp_path / "out" / "counts.csv") for name in ("count", "mean_area_px"))
    assert BatchSummary.from_rows([*rows, replace(rows[0], count=5)], False, 0.0).n_cells == 0
    assert not list((tmp_path / "out").glob("a_*"))
    monkeypatch.undo()
    assert {row.state for row in rows_of(path, tmp_path / "out", recipe, CELLS, resume=True)} == {"done"}


def test_a_full_disk_is_told(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_cellseg.results import linked

    def full(path: Path, *_: Any) -> None:
        raise output_error(path, OSError(28, "No space left on device"))

    monkeypatch.setattr(linked, "write_table", full)
    path = write(tmp_path / "in" / "a.tif", film(), "TYX")
    rows = rows_of(path, tmp_path / "out", replace(tiny, pages="stack", link="t"))
    assert {row.state for row in rows} == {"failed"} and all("disk is full" in row.error for row in rows)
    assert not list((tmp_path / "out").glob("*_labels.tif"))


def test_a_stack_that_a_person_corrected_is_kept(tiny: Recipe, tmp_path: Path) -> None:
    path = write(tmp_path / "in" / "a.tif", balls(3), "ZYX")
    recipe = replace(tiny, pages="stack", link="z")
    labels = np.zeros((3, 128, 128), np.uint16)
    labels[:2, 5:9, 5:9], labels[2, 50:60, 50:60] = 7, 9
    (tmp_path / "out").mkdir()
    about = {"corrected": True, "link": {"axis": "Z", "iou": 0.25}}
    write_labels(tmp_path / "out" / "a_labels.tif", labels, axes="ZYX", metadata=about)
    (row,) = rows_of(path, tmp_path / "out", recipe)
    assert (row.state, row.count) == ("kept", 2)
    np.testing.assert_array_equal(read_label_stack(tmp_path / "out" / "a_labels.tif")[0], labels)


def test_linked_labels_that_are_corrected_while_they_are_made_again_stay(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cellseg.batch import item

    path, out = write(tmp_path / "in" / "a.tif", balls(3), "ZYX"), tmp_path / "out"
    recipe = replace(tiny, pages="stack", link="z")
    (first,) = rows_of(path, out, recipe)
    labels, prepare, n_seen = np.zeros((3, 128, 128), np.uint16), item.prepare, 0
    labels[:, 5:9, 5:9] = 3

    def correcting(image: Any, *more: Any) -> Any:
        nonlocal n_seen
        n_seen += 1
        if n_seen == 2:
            about = {**read_metadata(out / "a_labels.tif"), "corrected": True}
            write_labels(out / "a_labels.tif", labels, axes="ZYX", metadata=about)
            put_rows(out, replace(first, count=1, corrected=True))
        return prepare(image, *more)

    monkeypatch.setattr(item, "prepare", correcting)
    (row,) = rows_of(path, out, replace(recipe, threshold=0.7))
    assert n_seen == 3 and (row.state, row.count) == ("kept", 1)
    np.testing.assert_array_equal(read_label_stack(out / "a_labels.tif")[0], labels)


def test_volumes_of_a_corrected_stack_are_those_of_its_file(tiny: Recipe, tmp_path: Path) -> None:
    path, out = write(tmp_path / "in" / "a.tif", np.stack([balls(3), balls(3, 1)]), "TZYX"), tmp_path / "out"
    recipe = replace(tiny, pages="stack", link="z")
    first = rows_of(path, out, recipe, CELLS)
    labels, axes = read_label_stack(out / "a_labels.tif")
    labels[1] = 0
    labels[1, :2, 5:9, 5:9] = 9
    write_labels(
        out / "a_labels.tif", labels, axes=axes, metadata={**read_metadata(out / "a_labels.tif"), "corrected": 1}
    )
    rows = rows_of(path, out, recipe, CELLS)
    assert [(row.state, row.count) for row in rows] == [("kept", first[0].count), ("kept", 1)]
    assert rows[0].median_volume_vox == first[0].median_volume_vox and rows[1].median_volume_vox == 32
    assert "cells" in rows[0].files and "cells" not in rows[1].files, "what is unchanged keeps its table"
