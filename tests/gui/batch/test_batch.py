"""The Batch widget in the real window, with real batches of a tiny network in a child process."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.utils import progress
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QCheckBox, QStyleOptionViewItem

from napari_cellseg.cli import main
from napari_cellseg.corrections import tools as edits
from napari_cellseg.gui.batch.batch_widget import BatchWidget
from napari_cellseg.gui.jobs.child_process import own_program
from napari_cellseg.gui.menus.commands import segment_folder
from napari_cellseg.gui.segment.segment_widget import SegmentWidget
from napari_cellseg.gui.viewer.correcting import Correcting
from napari_cellseg.gui.viewer.dock import open_dock
from napari_cellseg.gui.viewer.drawn_regions import RECTANGLE, DrawnRegions
from napari_cellseg.imaging.home import user_home
from napari_cellseg.imaging.read.ome_zarr import places as zarr_places
from napari_cellseg.imaging.write.write import read_labels, read_metadata
from napari_cellseg.network.versions import ModelVersion, user_models_dir
from napari_cellseg.results.ledger import FOLDER, Ledger
from napari_cellseg.results.locks import FolderLock
from napari_cellseg.segmentation.options import RunOptions
from napari_cellseg.segmentation.recipe import Recipe
from tests.gui.fitting import clipped, fits
from tests.imaging.read.microscopes.vendor_files import write_lif
from tests.imaging.read.ome_zarr.servers import serving
from tests.models import make_model
from tests.results.test_wells import write_plate

from ..conftest import draw_discs, layers_of, press_segment

LEFT = Qt.MouseButton.LeftButton
PATIENCE = 240_000
NAMES = ["a1.tif", "a2.tif", "deeper/a1.tif"]


@pytest.fixture
def tiny(home_of_its_own: None) -> ModelVersion:
    """A small model among the person's own."""
    return make_model(user_models_dir() / "tiny", in_channels=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images, of which two have one name, in a folder and one inside it."""
    folder = tmp_path / "plate 3 µ"
    for i, name in enumerate(NAMES):
        save_image(folder / name, i)
    return folder


@pytest.fixture
def make_batch(viewer: Any, qtbot: Any) -> Iterator[Callable[[], BatchWidget]]:
    """Docks a Batch widget; whatever still runs at the end is ended."""
    made: list[BatchWidget] = []

    def make() -> BatchWidget:
        batch = BatchWidget(viewer)
        viewer.window.add_dock_widget(batch, name="Segment a folder of images")
        made.append(batch)
        return batch

    yield make
    for batch in made[-1:]:
        if batch.job.child is not None:
            batch.job.child.kill()
            qtbot.waitUntil(lambda: not made[-1].job.running, timeout=PATIENCE)
        qtbot.waitUntil(lambda: not made[-1].busy, timeout=20_000)


@pytest.fixture
def batch(widget: SegmentWidget, tiny: ModelVersion, make_batch: Callable[[], BatchWidget], qtbot: Any) -> BatchWidget:
    """The Batch widget beside the Segment widget, in which the tiny model is chosen."""
    widget.session.choose_model("tiny")
    return make_batch()


def save_image(path: Path, seed: int, size: int = 96) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).random((size, size), dtype=np.float32) * 0.3
    tifffile.imwrite(path, ((draw_discs(9, size) + noise) * 40_000).astype(np.uint16))


def chosen(batch: BatchWidget, folder: Path, qtbot: Any) -> None:
    batch.choose([folder])
    settled(batch, qtbot)


def settled(batch: BatchWidget, qtbot: Any) -> None:
    qtbot.wait(20)
    qtbot.waitUntil(lambda: not batch.busy, timeout=20_000)


def press(button: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: button.isVisible() and button.isEnabled(), timeout=20_000)
    qtbot.mouseClick(button, LEFT)


def ended(batch: BatchWidget, qtbot: Any) -> Any:
    qtbot.waitUntil(lambda: not batch.job.running, timeout=PATIENCE)
    settled(batch, qtbot)
    return batch.job.outcome


def run(batch: BatchWidget, qtbot: Any) -> Any:
    press(batch.run_section.run, qtbot)
    assert batch.job.running, batch.run_section.message.text()
    return ended(batch, qtbot)


def states(batch: BatchWidget) -> dict[str, str]:
    return {row.title: row.state for row in batch.job.rows.in_order()}


def counts(out: Path) -> dict[str, dict[str, str]]:
    with (out / "counts.csv").open(newline="", encoding="utf-8") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def labels_of(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*_labels.tif"))}


def double_click(batch: BatchWidget, image: str, qtbot: Any) -> Any:
    """Open an image from the list; returns its layer once its cells are there."""
    model, table = batch.done_section.model, batch.done_section.table
    place = next(i for i in range(model.rowCount()) if model.row(i).image == image)
    table.scrollTo(model.index(place, 0))
    at = table.visualRect(model.index(place, 0)).center()
    qtbot.mouseClick(table.viewport(), LEFT, pos=at)
    qtbot.mouseDClick(table.viewport(), LEFT, pos=at)
    return opened(batch, image, qtbot)


def opened(batch: BatchWidget, title: str, qtbot: Any) -> Any:
    def there() -> bool:
        found = [layer for layer in batch.bench.image_layers() if layer.name == title]
        if not found or batch.session.cells_of(found[0].unique_id) is None:
            return False
        # Also what was corrected before is there then.
        return batch.opening._rows[found[0].unique_id].stored is not None

    qtbot.waitUntil(there, timeout=PATIENCE)
    return next(layer for layer in batch.bench.image_layers() if layer.name == title)


@pytest.mark.cold
def test_window_batch_and_command_line_give_the_same_labels(
    batch: BatchWidget, widget: SegmentWidget, viewer: Any, folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    # Settled on one image in the window, sliders moved, saved from there.
    widget.image_section.open_paths([folder / "a1.tif"])
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=20_000)
    press_segment(widget, qtbot)
    widget.session.set_threshold(0.45)
    widget.session.set_min_size(12)
    widget.result_section.save_to(tmp_path / "from window")
    widget.result_section.save_recipe_to(tmp_path / "my recipe.json")
    qtbot.waitUntil(lambda: (tmp_path / "from window" / "counts.csv").exists(), timeout=20_000)
    qtbot.waitUntil(lambda: widget.result_section.save.isEnabled(), timeout=20_000)
    shown = widget.session.cells.count()
    assert shown > 0
    # On the whole folder from the Batch widget.
    chosen(batch, folder, qtbot)
    assert "threshold 0.45, smallest 12 px" in batch.recipe_section.words.text()
    outcome = run(batch, qtbot)
    out = folder / "cellseg"
    assert not outcome.failed and states(batch) == dict.fromkeys(NAMES, "done")
    assert batch.job.rows.find(("a1.tif", "")).count == shown == int(counts(out)["a1.tif"]["count"])
    # And from the command line, with the recipe that the window saved.
    other = tmp_path / "from command"
    words = ["segment", str(folder), "--out", str(other), "--recipe", str(tmp_path / "my recipe.json")]
    subprocess.run(own_program(*words), check=True, capture_output=True, timeout=300)
    assert len(labels_of(out)) == 3 and labels_of(out) == labels_of(other)
    assert np.array_equal(read_labels(tmp_path / "from window" / "a1_labels.tif"), read_labels(out / "a1_labels.tif"))
    found = read_metadata(out / "a1_labels.tif")
    assert found["recipe"]["threshold"] == 0.45 and found["model"]["name"] == "tiny"
    # The list shows what the folder knows, now and when somebody comes back.
    known = {row.image: row for row in Ledger(out).rows()}
    assert {row.image: row for row in batch.job.rows.rows} == known
    chosen(batch, folder, qtbot)
    assert {row.image: row for row in batch.job.rows.rows} == known and batch.run_section.resume.isEnabled()


def test_regions_that_were_drawn_go_along(
    batch: BatchWidget, widget: SegmentWidget, viewer: Any, folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    widget.image_section.open_paths([folder / "a1.tif"])
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=20_000)
    # On an image without cells yet.
    drawn = widget.bench.part(DrawnRegions)
    drawn.draw(RECTANGLE)
    drawn.shapes().add_rectangles(np.array([(-0.5, -0.5), (-0.5, 49.5), (95.5, 49.5), (95.5, -0.5)]))
    chosen(batch, folder, qtbot)
    assert not run(batch, qtbot).failed
    out, other = folder / "cellseg", tmp_path / "from command"

    def regions(of: Path) -> list[tuple[str, ...]]:
        with (of / "regions.csv").open(newline="") as file:
            return [(row["image"], row["region"], row["count"], row["area_px"]) for row in csv.DictReader(file)]

    # The image in a folder of its own has the same name, and no region; no image has a note.
    (row,) = regions(out)
    assert row[:2] == ("a1.tif", "Region 1") and row[3] == str(96 * 50)
    assert not any("regions" in one["notes"] for one in counts(out).values())
    words = ["segment", str(folder), "--out", str(other), "--recipe", str(out / "recipe.json")]
    assert main(words) == 0 and (other / "regions.csv").read_bytes() == (out / "regions.csv").read_bytes()
    # Another window goes on with them, and what is taken away is gone.
    assert batch._with_drawn_regions(batch.request(True)).options.regions == str(out / "regions")
    shapes = drawn.shapes()
    shapes.selected_data = {0}
    shapes.remove_selected()
    assert batch._with_drawn_regions(batch.request()).options.regions == ""


def test_as_in_segment_now_is_what_the_panel_says_and_not_what_was_found_before(
    batch: BatchWidget, widget: SegmentWidget, viewer: Any, folder: Path, qtbot: Any
) -> None:
    widget.image_section.open_paths([folder / "a1.tif"])
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=20_000)
    press_segment(widget, qtbot)
    widget.session.set_threshold(0.45)
    accurate, high = widget.input_section.size.accurate, widget.model_section.expert.high
    qtbot.mouseClick(accurate, LEFT, pos=QPoint(10, accurate.height() // 2))
    qtbot.mouseClick(widget.model_section.unfold, LEFT)
    qtbot.mouseClick(high.lineEdit(), LEFT)
    high.selectAll()
    qtbot.keyClicks(high, "90")
    qtbot.keyClick(high, Qt.Key.Key_Return)
    asked = "tiny, cell size auto, accurate, percentiles 1 to 90, threshold 0.45"
    qtbot.waitUntil(lambda: batch.recipe_section.words.text().startswith(asked))
    chosen(batch, folder, qtbot)
    run(batch, qtbot)
    made = read_metadata(folder / "cellseg" / "a1_labels.tif")["recipe"]
    assert made["accurate"] and made["normalizer"] == {"low": 1.0, "high": 90.0} and made["threshold"] == 0.45
    assert widget.cells_section.note.full_text, "the cells in the window are still of other settings"
    press_segment(widget, qtbot)
    assert widget.session.cells.count() == batch.job.rows.find(("a1.tif", "")).count
    # A row opens as it was counted, whatever the panel says by then.
    qtbot.mouseClick(widget.model_section.expert.usual, LEFT)
    layer = double_click(batch, "a2.tif", qtbot)
    assert widget.session.chosen == layer.unique_id and not widget.cells_section.note.full_text
    assert widget.session.cells.count() == batch.job.rows.find(("a2.tif", "")).count
    assert widget.model_section.expert.high.value() == 90


def test_a_bad_file_stops_no_other_and_only_what_changed_is_done_again(
    batch: BatchWidget, folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    whole = (folder / "a2.tif").read_bytes()
    (folder / "a2.tif").write_bytes(whole[:1000])
    (folder / "notes.txt").write_text("no image")
    chosen(batch, folder, qtbot)
    batch.output_section.tick(("labels", "cells", "overlay"))
    assert batch.run_section.run.text() == "Run 3 images" and not batch.run_section.resume.isEnabled()
    run(batch, qtbot)
    assert states(batch) == {"a1.tif": "done", "a2.tif": "failed", "deeper/a1.tif": "done"}
    assert "1 failed" in batch.run_section.message.text() and counts(folder / "cellseg")["a2.tif"]["error"]
    batch.done_section.table.selectRow(1)
    assert "a2.tif" in batch.done_section.about.text() and "Failed" in batch.done_section.about.text()
    # Mended, it is the only one that is done again.
    (folder / "a2.tif").write_bytes(whole)
    press(batch.run_section.resume, qtbot)
    ended(batch, qtbot)
    assert states(batch) == {"a1.tif": "skipped", "a2.tif": "done", "deeper/a1.tif": "skipped"}
    # With another recipe they all are; pictures in the results are no images.
    out, before = folder / "cellseg", labels_of(folder / "cellseg")
    assert (out / "cells.csv").exists() and (out / "a1_overlay.png").exists()
    chosen(batch, folder, qtbot)
    assert [name for _, name in batch.input_section.files] == NAMES
    Recipe("tiny", threshold=0.3).write(tmp_path / "low.json")
    assert batch.recipe_section.read(tmp_path / "low.json")
    assert "threshold 0.30" in batch.recipe_section.words.text()
    press(batch.run_section.resume, qtbot)
    ended(batch, qtbot)
    assert states(batch) == dict.fromkeys(NAMES, "done")
    after = labels_of(out)
    assert after.keys() == before.keys() and all(after[name] != before[name] for name in before)


def test_cancel_keeps_what_is_done_and_resume_does_the_rest(
    batch: BatchWidget, tmp_path: Path, tiny: ModelVersion, qtbot: Any
) -> None:
    folder = tmp_path / "many"
    for i in range(16):
        save_image(folder / f"{i}.tif", i, 256)
    chosen(batch, folder, qtbot)
    press(batch.run_section.run, qtbot)
    qtbot.waitUntil(lambda: batch.job.rows.tally()["done"] >= 1, timeout=PATIENCE)
    assert batch.run_section.cancel.isEnabled() and not batch.run_section.run.isEnabled()
    assert " of 16" in batch.run_section.progress.format()
    press(batch.run_section.cancel, qtbot)
    outcome = ended(batch, qtbot)
    tally = batch.job.rows.tally()
    assert outcome.stopped and not outcome.failed and 0 < tally["done"] < 16 and tally["waiting"] == 16 - tally["done"]
    assert len(labels_of(folder / "cellseg")) == tally["done"] == len(counts(folder / "cellseg"))
    kept = labels_of(folder / "cellseg")
    press(batch.run_section.resume, qtbot)
    ended(batch, qtbot)
    assert batch.job.rows.tally() == {"skipped": tally["done"], "done": 16 - tally["done"]}
    after = labels_of(folder / "cellseg")
    assert len(after) == 16 and kept.items() <= after.items()
    assert not [bar for bar in progress._all_instances if "Segmenting" in str(bar.desc)]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are of POSIX")
def test_a_killed_batch_or_another_one_there_is_said_and_it_can_go_on(
    batch: BatchWidget, tmp_path: Path, qtbot: Any
) -> None:
    folder = tmp_path / "many"
    for i in range(8):
        save_image(folder / f"{i}.tif", i, 256)
    chosen(batch, folder, qtbot)
    press(batch.run_section.run, qtbot)
    qtbot.waitUntil(lambda: batch.job.rows.tally()["done"] >= 1, timeout=PATIENCE)
    os.kill(batch.job.child.pid, signal.SIGKILL)
    outcome = ended(batch, qtbot)
    assert outcome.failed and "killed" in batch.run_section.message.text()
    with contextlib.closing(FolderLock(folder / "cellseg" / FOLDER)):
        press(batch.run_section.resume, qtbot)
        assert ended(batch, qtbot).failed and "Another batch" in batch.run_section.message.text()
    press(batch.run_section.resume, qtbot)
    assert not ended(batch, qtbot).failed
    assert set(states(batch).values()) <= {"done", "skipped"} and len(labels_of(folder / "cellseg")) == 8


def test_the_batch_goes_on_without_its_widget(
    batch: BatchWidget, folder: Path, make_batch: Any, viewer: Any, qtbot: Any
) -> None:
    chosen(batch, folder, qtbot)
    press(batch.run_section.run, qtbot)
    viewer.window.remove_dock_widget(batch)
    again = make_batch()
    assert again.job.running and again.run_section.cancel.isEnabled()
    assert [again.done_section.model.row(i).image for i in range(3)] == NAMES
    ended(again, qtbot)
    assert states(again) == dict.fromkeys(NAMES, "done") and again.run_section.resume.isEnabled()


def test_corrected_results_are_saved_back_and_never_replaced_unasked(
    batch: BatchWidget, folder: Path, viewer: Any, qtbot: Any
) -> None:
    chosen(batch, folder, qtbot)
    batch.output_section.tick(("labels", "cells", "overlay"))
    run(batch, qtbot)
    out = folder / "cellseg"
    before, old_cells = read_labels(out / "a2_labels.tif"), (out / "cells.csv").read_text()
    layer = double_click(batch, "a2.tif", qtbot)
    key = layer.unique_id
    assert batch.session.chosen == key
    shown = batch.bench.layers[key].labels
    assert np.array_equal(np.asarray(shown.data), before) and not batch.done_section.save.isEnabled()
    # Opened again it is the same layer: it is seen, what covers it is not, and the tools are on its cells.
    other = double_click(batch, "deeper/a1.tif", qtbot)
    assert other.visible and viewer.layers.selection.active is batch.bench.layers[other.unique_id].labels
    assert not layer.visible and not shown.visible
    assert double_click(batch, "a2.tif", qtbot) is layer
    assert layer.visible and shown.visible and viewer.layers.selection.active is shown
    assert not other.visible and not batch.bench.layers[other.unique_id].labels.visible
    ids = [int(i) for i in batch.session.view_of(key).ids()]
    batch.bench.part(Correcting).edit(key, edits.delete, ids[:2])
    assert batch.done_section.save.text() == "Save corrected (1)"
    press(batch.done_section.save, qtbot)
    qtbot.waitUntil(lambda: not batch.opening.unsaved(), timeout=20_000)
    settled(batch, qtbot)
    after = read_labels(out / "a2_labels.tif")
    assert set(np.unique(before)) - set(np.unique(after)) == set(ids[:2])
    found = read_metadata(out / "a2_labels.tif")
    assert found["corrections"] == {"changed": 0, "erased": 2} or found["corrections"]["erased"] > 0
    assert found["recipe"]["model"] == "tiny" and found["corrected"]
    line = counts(out)["a2.tif"]
    assert line["corrected"] == "yes" and int(line["count"]) == len(np.unique(after)) - 1
    row = batch.job.rows.find(("a2.tif", ""))
    assert row.corrected and row.count == int(line["count"])
    new_cells = (out / "cells.csv").read_text()
    assert old_cells.count("\na2.tif") - new_cells.count("\na2.tif") == len(np.unique(before)) - len(np.unique(after))
    # Neither Run nor Resume touches it.
    bytes_ = (out / "a2_labels.tif").read_bytes()
    for button in (batch.run_section.run, batch.run_section.resume):
        press(button, qtbot)
        ended(batch, qtbot)
        assert states(batch)["a2.tif"] in ("kept", "skipped") and (out / "a2_labels.tif").read_bytes() == bytes_
    assert batch.done_section.model.state(batch.job.rows.find(("a2.tif", ""))) == "corrected"
    # With the tick it is done anew, as it was at first.
    batch.output_section.more["overwrite"].value = True
    press(batch.run_section.run, qtbot)
    ended(batch, qtbot)
    assert states(batch)["a2.tif"] == "done" and np.array_equal(read_labels(out / "a2_labels.tif"), before)


def test_what_is_saved_into_the_folder_of_a_batch_is_in_all_its_tables(
    batch: BatchWidget, widget: SegmentWidget, folder: Path, viewer: Any, qtbot: Any
) -> None:
    chosen(batch, folder, qtbot)
    batch.output_section.tick(("labels", "cells", "overlay"))
    run(batch, qtbot)
    out = folder / "cellseg"
    key = double_click(batch, "a2.tif", qtbot).unique_id
    overlay = (out / "a2_overlay.png").read_bytes()
    batch.bench.part(Correcting).edit(key, edits.delete, [int(i) for i in batch.session.view_of(key).ids()][:2])
    widget.result_section.save_to(out)
    qtbot.waitUntil(widget.result_section.save.isEnabled, timeout=20_000)
    count = batch.session.cells_of(key).count()
    assert len(np.unique(read_labels(out / "a2_labels.tif"))) - 1 == count == int(counts(out)["a2.tif"]["count"])
    assert (out / "cells.csv").read_text().count("\na2.tif") == count
    assert (out / "a2_overlay.png").read_bytes() != overlay


def test_corrections_that_cannot_be_read_do_not_lock_the_image(
    batch: BatchWidget, folder: Path, viewer: Any, qtbot: Any
) -> None:
    chosen(batch, folder, qtbot)
    run(batch, qtbot)
    key = double_click(batch, "a2.tif", qtbot).unique_id
    batch.bench.part(Correcting).edit(key, edits.delete, [int(i) for i in batch.session.view_of(key).ids()][:1])
    press(batch.done_section.save, qtbot)
    qtbot.waitUntil(lambda: not batch.opening.unsaved(), timeout=20_000)
    labels = folder / "cellseg" / "a2_labels.tif"
    labels.write_bytes(labels.read_bytes()[:200])
    viewer.layers.clear()
    qtbot.wait(50)
    # Another session, as above.
    batch.session._records = type(batch.session._records)()
    said: list[tuple[str, bool]] = []
    batch.opening.reported.connect(lambda text, bad: said.append((text, bad)))
    key = double_click(batch, "a2.tif", qtbot).unique_id
    assert said[-1][1] and "a2.tif is open without them" in said[-1][0] and "a2_labels.tif" in said[-1][0]
    assert not batch.opening.unsaved()
    batch.bench.part(Correcting).edit(key, edits.delete, [int(i) for i in batch.session.view_of(key).ids()][:2])
    press(batch.done_section.save, qtbot)
    qtbot.waitUntil(lambda: not batch.opening.unsaved(), timeout=20_000)
    assert len(np.unique(read_labels(labels))) - 1 == batch.session.cells_of(key).count()


def test_saved_corrections_are_there_when_the_image_is_opened_again(
    batch: BatchWidget, folder: Path, viewer: Any, qtbot: Any
) -> None:
    chosen(batch, folder, qtbot)
    run(batch, qtbot)
    layer = double_click(batch, "deeper/a1.tif", qtbot)
    key = layer.unique_id
    view = batch.session.view_of(key)
    ids = [int(i) for i in view.ids()]
    batch.bench.part(Correcting).edit(key, edits.delete, ids[:1])
    batch.bench.part(Correcting).edit(key, edits.accept, ids[1:3])
    batch.session.set_threshold(0.6)
    want = np.asarray(batch.session.cells.result().labels)
    press(batch.done_section.save, qtbot)
    qtbot.waitUntil(lambda: not batch.opening.unsaved(), timeout=20_000)
    saved = read_labels(folder / "cellseg" / "deeper" / "a1_labels.tif")
    assert np.array_equal(saved, want)
    viewer.layers.clear()
    qtbot.wait(50)
    # Another session: what this one remembers of the image would be there anyway.
    batch.session._records.put_aside(key)
    batch.session._records = type(batch.session._records)()
    again = double_click(batch, "deeper/a1.tif", qtbot)
    cells = batch.session.cells_of(again.unique_id)
    assert cells.threshold == 0.6 and cells.n_changed == 2 and cells.n_erased == 1
    assert np.array_equal(np.asarray(cells.result().labels) > 0, saved > 0)
    assert not batch.opening.unsaved()


def test_planes_of_a_stack_have_rows_of_their_own(batch: BatchWidget, tmp_path: Path, qtbot: Any, viewer: Any) -> None:
    folder = tmp_path / "stacks"
    folder.mkdir()
    noise = np.random.default_rng(0).random((3, 96, 96)) * 0.3
    stack = ((draw_discs(9, 96) + noise) * 200).astype(np.uint8)
    tifffile.imwrite(folder / "s.tif", stack, imagej=True, metadata={"axes": "TYX"})
    save_image(folder / "t.tif", 1)
    chosen(batch, folder, qtbot)
    run(batch, qtbot)
    assert states(batch) == {"s.tif": "failed", "t.tif": "done"}
    batch.recipe_section.planes.setCurrentIndex(batch.recipe_section.planes.findData("each"))
    run(batch, qtbot)
    assert states(batch) == {"s.tif t000": "done", "s.tif t001": "done", "s.tif t002": "done", "t.tif": "done"}
    # A plane opens as a picture of its own, with the cells of its own.
    model = batch.done_section.model
    batch.done_section.table.selectRow(1)
    assert model.row(1).page == "t001"
    press(batch.done_section.open, qtbot)
    layer = opened(batch, "s.tif t001", qtbot)
    assert layer.ndim == 2 and np.array_equal(layer.data, stack[1])
    shown = batch.bench.layers[layer.unique_id].labels
    assert np.array_equal(np.asarray(shown.data), read_labels(folder / "cellseg" / "s_t001_labels.tif"))


def test_contact_sheet_and_report_show_what_stands_out(
    batch: BatchWidget, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "plate"
    for i in range(9):
        save_image(folder / f"{i}.tif", i)
    # Twenty-five times the area, with as many more cells.
    save_image(folder / "odd.tif", 99, 480)
    chosen(batch, folder, qtbot)
    run(batch, qtbot)
    qtbot.waitUntil(lambda: bool(batch.job.rows.flags), timeout=10_000)
    assert set(batch.job.rows.flags) == {("odd.tif", "")}
    assert "odd.tif" in batch.done_section.about.text()
    press(batch.done_section.sheet, qtbot)
    sheet = batch.sheet
    qtbot.waitUntil(sheet.isVisible, timeout=10_000)
    assert len(sheet.model.shown) == 10 and "odd.tif" in sheet.facts.text()
    assert int(sheet.plot.flagged.sum()) == 1 and sheet.plot.counts.sum() == batch.job.rows.n_cells()
    sheet.sort.setCurrentIndex(2)
    sheet.sort.activated.emit(2)
    first = sheet.model.index(0)
    assert sheet.model.shown[0].image == "odd.tif"
    picture = sheet.model.data(first, Qt.ItemDataRole.DecorationRole)
    assert not picture.isNull() and picture.toImage() != sheet.model._empty.toImage()
    at = sheet.view.visualRect(first).center()
    qtbot.mouseClick(sheet.view.viewport(), LEFT, pos=at)
    qtbot.mouseDClick(sheet.view.viewport(), LEFT, pos=at)
    opened(batch, "odd.tif", qtbot)
    sheet.close()
    shown: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: shown.append(url.toLocalFile()))
    press(batch.done_section.report, qtbot)
    qtbot.waitUntil(lambda: bool(shown), timeout=20_000)
    text = (folder / "cellseg" / "report.html").read_text(encoding="utf-8")
    assert Path(shown[0]) == folder / "cellseg" / "report.html" and "odd.tif" in text and "8.tif" in text


def test_nothing_to_do_is_said(batch: BatchWidget, tmp_path: Path, qtbot: Any) -> None:
    assert not batch.run_section.run.isEnabled()
    (tmp_path / "empty").mkdir()
    chosen(batch, tmp_path / "empty", qtbot)
    assert "No image" in batch.input_section.facts.text() and not batch.run_section.run.isEnabled()
    chosen(batch, tmp_path / "nowhere", qtbot)
    assert batch.input_section.facts.text()


def test_a_recipe_whose_model_is_another_now_is_refused(
    batch: BatchWidget, folder: Path, tiny: ModelVersion, tmp_path: Path, qtbot: Any
) -> None:
    Recipe("tiny").resolved().write(tmp_path / "recipe.json")
    shutil.rmtree(tiny.path)
    make_model(tiny.path, seed=1, in_channels=3)
    chosen(batch, folder, qtbot)
    batch.recipe_section.read(tmp_path / "recipe.json")
    assert tiny.sha256 in batch.recipe_section.words.text()
    press(batch.run_section.run, qtbot)
    assert not batch.job.running and tiny.sha256 in batch.run_section.message.text()


def test_names_of_files_from_several_folders_differ(batch: BatchWidget, tmp_path: Path, qtbot: Any) -> None:
    for place in ("x", "y"):
        save_image(tmp_path / place / "same.tif", 0)
    batch.choose([tmp_path / "x" / "same.tif", tmp_path / "y" / "same.tif"])
    settled(batch, qtbot)
    assert [name for _, name in batch.input_section.files] == ["x/same.tif", "y/same.tif"]


def test_images_of_one_file_are_rows_and_what_was_left_out_is_told(
    batch: BatchWidget, tmp_path: Path, qtbot: Any
) -> None:
    planes = [(draw_discs(n) * 1000).astype(np.uint16) for n in (4, 9)]
    write_lif(tmp_path / "exp.lif", [("S0", "YX", planes[0]), ("S1", "YX", planes[1])])
    for name in ("a.abc", "b.abc"):
        (tmp_path / name).write_text("no image")
    chosen(batch, tmp_path, qtbot)
    assert [name for _, name in batch.input_section.files] == ["exp_S0", "exp_S1"]
    said = batch.input_section.facts.text()
    assert said == "2 images found. 2 files of other kinds were left out (.abc 2)."
    # A scene that is given by itself lies where its file lies.
    chosen(batch, tmp_path / "exp.lif" / "S1", qtbot)
    assert batch.input_section.folder == tmp_path
    run(batch, qtbot)
    assert states(batch) == {"exp_S1": "done"} and set(labels_of(tmp_path / "cellseg")) == {"exp_S1_labels.tif"}
    layer = double_click(batch, "exp_S1", qtbot)
    np.testing.assert_array_equal(layer.data, planes[1])


def test_an_address_can_be_typed_instead_of_a_folder(
    batch: BatchWidget, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zarr_places, "_typed", set())
    write_plate(tmp_path / "p.zarr", "0.5")
    with serving(tmp_path) as served:
        address = f"{served.address}/p.zarr"
        batch.input_section.place.setText(address)
        batch.input_section.place.editingFinished.emit()
        settled(batch, qtbot)
        assert [name for _, name in batch.input_section.files] == [f"p/{r}/2/{f}" for r in "AB" for f in "01"]
        assert batch.output_section.out == user_home() / "cellseg"
        words = batch.request().words(tmp_path)
        assert words[words.index("--address") + 1] == address


def test_tables_are_written_as_they_are_asked_for(batch: BatchWidget, tmp_path: Path, qtbot: Any) -> None:
    save_image(tmp_path / "a.tif", 0)
    batch.choose([tmp_path / "a.tif"])
    settled(batch, qtbot)
    assert batch.request().options.csv == "comma"
    batch.output_section.more.set_values({"csv": "semicolon"})
    batch.output_section.tick(("cells", "parquet", "anndata"))
    assert batch.output_section.fold.content.isVisibleTo(batch)
    assert batch.request().options.csv == "semicolon"
    assert batch.request().options.outputs == ("labels", "cells", "parquet", "anndata")
    run(batch, qtbot)
    assert {"cells.csv", "cells.parquet", "cells.h5ad"} <= {path.name for path in (tmp_path / "cellseg").iterdir()}
    assert (tmp_path / "cellseg" / "counts.csv").read_bytes().startswith(b"\xef\xbb\xbfimage;page;count;")
    assert len(batch.job.rows.rows) == 1
    for style, version in (("comma", "0.5"), ("semicolon", "0.4")):
        Recipe("tiny").resolved().write(tmp_path / f"{style}.json", RunOptions(csv=style, ome_zarr=version))
        assert batch.recipe_section.read(tmp_path / f"{style}.json")
        assert batch.output_section.more.value.csv == batch.request().options.csv == style
        assert batch.output_section.more.value.ome_zarr == batch.request().options.ome_zarr == version


def test_recipe_goes_round_by_a_file(
    widget: SegmentWidget, tiny: ModelVersion, viewer: Any, tmp_path: Path, qtbot: Any
) -> None:
    viewer.add_image(draw_discs(), name="discs")
    widget.session.choose_model("tiny")
    press_segment(widget, qtbot)
    widget.session.set_threshold(0.62)
    widget.session.set_min_size(40)
    widget.result_section.save_recipe_to(tmp_path / "mine.json")
    saved = Recipe.read(tmp_path / "mine.json")
    assert (saved.model, saved.threshold, saved.min_size, saved.model_sha256) == ("tiny", 0.62, 40, tiny.sha256)
    want = widget.session.cells.result().labels
    # On the image that is there, the sliders go where the recipe says.
    widget.session.set_threshold(0.2)
    widget.use_recipe(tmp_path / "mine.json")
    assert (widget.session.cells.threshold, widget.session.cells.min_size) == (0.62, 40)
    # On another one, with another model chosen meanwhile, they start there.
    widget.session.choose_model("cells")
    assert widget.session.recipe_asked().threshold is None
    widget.use_recipe(tmp_path / "mine.json")
    layer = viewer.add_image(draw_discs(), name="again")
    viewer.layers.selection.active = layer
    press_segment(widget, qtbot)
    assert (widget.session.cells.threshold, widget.session.cells.min_size) == (0.62, 40)
    assert np.array_equal(np.asarray(layers_of(widget).labels.data), want)
    (tmp_path / "bad.json").write_text("{}[")
    widget.use_recipe(tmp_path / "bad.json")
    assert "bad.json" in widget.run_section.message.text()


def test_from_the_menu_it_knows_the_folder_of_the_image(
    plugin: None, widget: SegmentWidget, folder: Path, viewer: Any, qtbot: Any
) -> None:
    widget.image_section.open_paths([folder / "a1.tif"])
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=20_000)
    segment_folder(viewer)
    batch = open_dock(viewer, "batch")
    assert isinstance(batch, BatchWidget)
    settled(batch, qtbot)
    assert [name for _, name in batch.input_section.files] == NAMES
    assert batch.output_section.out == folder / "cellseg" and not (folder / "cellseg").exists()


def test_it_fits_the_smallest_window(batch: BatchWidget, folder: Path, viewer: Any, qtbot: Any) -> None:
    chosen(batch, folder, qtbot)
    for theme in ("light", "dark"):
        viewer.theme = theme
        qtbot.wait(200)
        fits(batch.scroll, batch.input_section.browse, batch.recipe_section.save, batch.run_section.cancel)
        width = batch.scroll.widget().width()
        for tick in batch.output_section.saved.findChildren(QCheckBox):
            assert tick.width() >= tick.minimumSizeHint().width() and tick.geometry().right() <= width
        for more in (True, False):
            batch.output_section.fold.unfold(more)
            fits(batch.scroll, batch.done_section.report, whole=True)
            assert not clipped(batch)
    # While it works, only the list is there, and all of it.
    batch.settings.unfold(False)
    fits(batch.scroll, whole=True)
    assert not clipped(batch), "nothing lies over the list"
    option, column = QStyleOptionViewItem(), batch.done_section.model.index(0, 0)
    batch.done_section.table.itemDelegateForColumn(0).initStyleOption(option, column)
    assert option.textElideMode == Qt.TextElideMode.ElideMiddle, "files of a plate differ at their ends"


def test_every_control_says_what_it_does(batch: BatchWidget) -> None:
    from qtpy.QtWidgets import QAbstractButton, QComboBox

    for kind in (QAbstractButton, QComboBox):
        for control in batch.findChildren(kind):
            if control.objectName() and not control.objectName().startswith("qt_"):
                assert control.toolTip(), control.objectName()
