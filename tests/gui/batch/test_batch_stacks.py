"""Linked stacks in the Batch widget: the one choice of what becomes of stacks, and what a row opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.layers import Labels, Tracks

from napari_cellseg.corrections import tools as edits
from napari_cellseg.corrections.exchange import PLANES_KEY
from napari_cellseg.gui.batch.batch_widget import BatchWidget
from napari_cellseg.gui.viewer.correcting import Correcting
from napari_cellseg.imaging.errors import ImageError, OutputError
from napari_cellseg.imaging.read.read import read_image
from napari_cellseg.imaging.stack_planes import position_in_stack
from napari_cellseg.imaging.write.write import read_label_stack, read_metadata, write_labels, write_table
from napari_cellseg.instances import Linker, measure, tracks_table
from napari_cellseg.results.rows import BatchRow
from napari_cellseg.results.save_corrected import save_into_batch
from napari_cellseg.segmentation.recipe import Recipe

from ..conftest import draw_discs
from .test_batch import batch, chosen, ended, make_batch, opened, press, run, states, tiny  # noqa: F401


def save_stack(path: Path, axes: str) -> None:
    path.parent.mkdir(exist_ok=True)
    noise = np.random.default_rng(0).random((3, 96, 96)) * 0.3
    stack = ((draw_discs(9, 96) + noise) * 200).astype(np.uint8)
    about = {"axes": axes, "spacing": 2.0, "unit": "um"}
    tifffile.imwrite(path, stack, imagej=True, resolution=(2, 2), metadata=about)


def test_the_lines_of_the_documentation_show_tracks(tmp_path: Path, make_napari_viewer: Any, monkeypatch: Any) -> None:
    """The code in docs/stacks.md, on a film with a division."""
    frames = np.zeros((3, 40, 60), np.int32)
    frames[:, 5:15, 5:15], frames[:2, 20:36, 20:50] = 4, 2
    frames[2, 20:36, 20:34], frames[2, 20:36, 36:50] = 2, 9
    linker = Linker(divisions=True)
    lookups = [linker.add(frame) for frame in frames]
    tables = [measure(frame) for frame in frames]
    tracks = tracks_table([(t["index"], t["centroid_y"], t["centroid_x"]) for t in tables], lookups, linker.parents)
    (tmp_path / "results").mkdir()
    linked = np.stack([lookup[frame] for lookup, frame in zip(lookups, frames, strict=True)])
    write_labels(tmp_path / "results" / "film_labels.tif", linked, axes="TYX")
    write_table(tmp_path / "results" / "film_tracks.csv", tracks.columns())
    text = (Path(__file__).parents[3] / "docs" / "stacks.md").read_text(encoding="utf-8")
    code = next(part for part in text.split("\n\n    import csv\n")[1:])
    block = "import csv\n" + "\n".join(line[4:] for line in code.split("napari.run()")[0].splitlines())
    viewer = make_napari_viewer()
    monkeypatch.setattr("napari.Viewer", lambda: viewer)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "stacks.md", "exec"), {})
    shown = next(layer for layer in viewer.layers if isinstance(layer, Tracks))
    assert {child: list(parents) for child, parents in shown.graph.items()} == {3: [2], 4: [2]}
    np.testing.assert_allclose(shown.data, tracks.rows)


def choose_pages(batch: BatchWidget, name: str) -> None:  # noqa: F811
    pages = batch.recipe_section.planes
    pages.setCurrentIndex(pages.findData(name))


def test_slices_are_linked_and_a_row_opens_image_and_cells_in_space(
    batch: BatchWidget,  # noqa: F811
    tmp_path: Path,
    qtbot: Any,
    viewer: Any,
) -> None:
    folder = tmp_path / "stacks"
    save_stack(folder / "s.tif", "ZYX")
    chosen(batch, folder, qtbot)
    choose_pages(batch, "z")
    run(batch, qtbot)
    assert states(batch) == {"s.tif": "done"}
    row = batch.job.rows.rows[0]
    labels, _ = read_label_stack(folder / "cellseg" / "s_labels.tif")
    assert row.count == len(np.unique(labels)) - 1 and row.median_volume_vox
    batch.done_section.table.selectRow(0)
    press(batch.done_section.open, qtbot)
    qtbot.waitUntil(
        lambda: any(isinstance(layer, Labels) and layer.ndim == 3 for layer in viewer.layers), timeout=20_000
    )
    shown = next(layer for layer in viewer.layers if isinstance(layer, Labels) and layer.ndim == 3)
    np.testing.assert_array_equal(shown.data, labels)
    np.testing.assert_allclose(shown.scale, (2, 0.5, 0.5))
    assert not batch.opening.unsaved()


def test_time_is_linked_as_the_recipe_in_a_file_says(
    batch: BatchWidget,  # noqa: F811
    tmp_path: Path,
    qtbot: Any,
    viewer: Any,
) -> None:
    folder = tmp_path / "films"
    save_stack(folder / "f.tif", "TYX")
    chosen(batch, folder, qtbot)
    choose_pages(batch, "t")
    made = batch.recipe_section.recipe()
    assert (made.pages, made.link) == ("stack", "t")
    batch.recipe_section.save_to(tmp_path / "r.json")
    choose_pages(batch, "each")
    assert batch.recipe_section.recipe().link == "none"
    assert batch.recipe_section.read(tmp_path / "r.json") and batch.recipe_section.recipe() == made
    assert Recipe.read(tmp_path / "r.json") == made
    run(batch, qtbot)
    assert states(batch) == {f"f.tif t00{t}": "done" for t in range(3)}
    assert (folder / "cellseg" / "f_tracks.csv").exists() and (folder / "cellseg" / "f_frames.csv").exists()


def open_page(batch: BatchWidget, image: str, page: str, qtbot: Any) -> Any:  # noqa: F811
    """Open a plane from the list; returns its layer once its cells are there."""
    model = batch.done_section.model
    place = next(i for i in range(model.rowCount()) if (model.row(i).image, model.row(i).page) == (image, page))
    batch.done_section.table.selectRow(place)
    press(batch.done_section.open, qtbot)
    return opened(batch, f"{image} {page}", qtbot)


def test_a_corrected_plane_goes_back_into_its_stack(
    batch: BatchWidget,  # noqa: F811
    tmp_path: Path,
    qtbot: Any,
    viewer: Any,
) -> None:
    folder = tmp_path / "films"
    save_stack(folder / "f.tif", "TYX")
    chosen(batch, folder, qtbot)
    choose_pages(batch, "stack")
    batch.output_section.tick(("labels", "cells"))
    run(batch, qtbot)
    path = folder / "cellseg" / "f_labels.tif"
    before, about = read_label_stack(path)[0], read_metadata(path)
    layer = open_page(batch, "f.tif", "t001", qtbot)
    key = layer.unique_id
    ids = [int(i) for i in batch.session.view_of(key).ids()]
    batch.bench.part(Correcting).edit(key, edits.delete, ids[:2])
    batch.session.set_threshold(0.6)
    left = len(batch.session.view_of(key).ids())
    press(batch.done_section.save, qtbot)
    qtbot.waitUntil(lambda: not batch.opening.unsaved(), timeout=20_000)
    after, axes = read_label_stack(path)
    assert axes == "TYX" and set(np.unique(before[1])) - set(np.unique(after[1])) >= set(ids[:2])
    for other in (0, 2):
        np.testing.assert_array_equal(after[other], before[other])
    found = read_metadata(path)
    assert found["corrected"] and list(found[PLANES_KEY]) == ["t001"] and found["image"] == about["image"]
    assert found["counts"] == {**about["counts"], "t001": len(np.unique(after[1])) - 1}
    assert found["count"] == sum(found["counts"].values())
    assert read_image(path).pixel_size == (0.5, 0.5)
    rows = {row.page: row for row in batch.job.rows.rows}
    assert rows["t001"].corrected and not rows["t000"].corrected and rows["t001"].count == found["counts"]["t001"]
    # Neither Run nor Resume touches it, and only that plane is a person's.
    bytes_ = path.read_bytes()
    for button in (batch.run_section.run, batch.run_section.resume):
        press(button, qtbot)
        ended(batch, qtbot)
        assert set(states(batch).values()) <= {"kept", "skipped"} and path.read_bytes() == bytes_
        assert {row.page for row in batch.job.rows.rows if row.corrected} == {"t001"}
    # Opened again in another session, the corrections are those of the plane.
    viewer.layers.clear()
    qtbot.wait(50)
    batch.session._records.put_aside(key)
    batch.session._records = type(batch.session._records)()
    again = open_page(batch, "f.tif", "t001", qtbot)
    cells = batch.session.cells_of(again.unique_id)
    assert cells.n_erased == 2 and cells.n_changed == 0 and cells.threshold == 0.6 and cells.count() == left
    np.testing.assert_array_equal(np.asarray(cells.result().labels) > 0, after[1] > 0)


def test_a_plane_that_is_linked_with_others_is_not_replaced(tmp_path: Path) -> None:
    row = BatchRow("f.tif", page="t001", stem="f", files={"labels": "f_labels.tif"})
    with pytest.raises(OutputError, match="linked"):
        save_into_batch(None, tmp_path, row, Recipe(pages="stack", link="t"))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "t", "x003", "t1_z2_c3", "t-1"])
def test_what_is_no_name_of_a_plane_is_refused(name: str) -> None:
    with pytest.raises(ImageError, match="not the name of a plane"):
        position_in_stack(name)
    assert position_in_stack("t003_z001") == (3, 1) and position_in_stack("z012") == (12,)
