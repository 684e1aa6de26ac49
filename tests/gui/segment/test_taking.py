"""Labels become the cells of an image: saved ones with their sliders and corrections, others as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tifffile
from napari.layers import Labels
from PIL import Image as PillowImage
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_cellseg.corrections import tools as edits
from napari_cellseg.gui.menus.commands import take_active_labels
from napari_cellseg.gui.menus.samples import sample_path
from napari_cellseg.gui.planes.plane_run import PlaneRun
from napari_cellseg.gui.segment.segment_widget import SegmentWidget
from napari_cellseg.gui.viewer.opening import add_image
from napari_cellseg.gui.viewer.planes_in_view import PlanesInView
from napari_cellseg.gui.viewer.taking import Taking
from napari_cellseg.imaging.read.read import read_image
from napari_cellseg.imaging.write.write import read_labels, read_metadata, write_labels
from napari_cellseg.segmentation.recipe import Recipe

from ..conftest import draw_discs, layers_of, press_segment
from ..pointing import click, labels_now


def said(widget: Any) -> str:
    return str(widget.session.state.sentence)


def save(widget: Any, folder: Any, qtbot: Any) -> None:
    widget.result_section.save_to(folder)
    qtbot.waitUntil(lambda: widget.result_section.save.isEnabled(), timeout=20_000)


def remove_all(viewer: Any, qtbot: Any) -> None:
    # The counts go with their cells.
    while viewer.layers:
        viewer.layers.remove(viewer.layers[0])
        qtbot.wait(50)


@pytest.mark.parametrize("by", ["our menu", "napari's menu", "our menu, image open"])
def test_saved_labels_come_back_with_image_sliders_and_corrections(
    widget: Any, viewer: Any, make_napari_viewer: Any, qtbot: Any, tmp_path: Any, by: str
) -> None:
    session = widget.session
    PillowImage.fromarray(read_image(sample_path("fluorescence")).data).save(tmp_path / "mine.png")
    add_image(viewer, read_image(tmp_path / "mine.png"))
    press_segment(widget, qtbot, 120_000)
    session.set_threshold(0.62)
    session.set_min_size(70)
    ids = session.cells.corrected.ids(0.62, 70)
    session.edit(session.chosen, edits.delete, [int(ids[2])])
    session.edit(session.chosen, edits.merge, [int(ids[4]), int(ids[5])])
    shown, count, done = labels_now(widget), session.cells.count(), session.cells.about_corrections()
    save(widget, tmp_path / "results", qtbot)
    session.set_threshold(0.3)
    if by != "our menu, image open":
        viewer = make_napari_viewer(show=True)
        widget = SegmentWidget(viewer)
        viewer.window.add_dock_widget(widget)
        session = widget.session
    path = tmp_path / "results" / "mine_labels.tif"
    if by == "napari's menu":
        viewer.open(path, plugin="napari")
    else:
        widget.image_section.open_paths([path])
    qtbot.waitUntil(lambda: "mine_labels.tif is open" in said(widget), timeout=120_000)
    assert (session.cells.threshold, session.cells.min_size) == (0.62, 70)
    assert np.array_equal(labels_now(widget), shown) and session.cells.count() == count
    assert session.cells.about_corrections() == done
    names = [layer.name for layer in viewer.layers]
    assert names == ["mine", "mine cells", "mine counts"], "the labels are no grey image beside it"
    assert viewer.layers.selection.active is layers_of(widget).labels
    assert widget.cells_section.threshold.isEnabled()


def test_labels_of_another_tool_are_cells_like_others(
    widget: Any, viewer: Any, network: Any, qtbot: Any, tmp_path: Any
) -> None:
    picture = draw_discs()
    image = viewer.add_image(picture, name="discs")
    found = np.zeros(picture.shape, np.int64)
    found[10:30, 10:30], found[50:80, 50:70], found[100:110, 90:130] = 7, 300, 12
    layer = viewer.add_labels(found, name="by another tool")
    take_active_labels(viewer)
    session, section = widget.session, widget.cells_section
    qtbot.waitUntil(lambda: "3 cells are those of by another tool" in said(widget), timeout=20_000)
    assert not layer.visible and session.chosen == image.unique_id
    assert section.count.text() == "3 cells" and np.array_equal(labels_now(widget), found), "each keeps its number"
    assert not section.threshold.isEnabled() and section.min_size.isEnabled()
    assert section.threshold.hint.text() == "no probability" and "by another tool" in section.note.full_text
    assert not session.differences(session.chosen), "they are of no settings, so of no other ones"
    section.min_size.setValue(500)
    assert section.count.text() == "1 cell"
    section.min_size.setValue(0)
    labels = layers_of(widget).labels
    labels.mode, labels.selected_label, labels.brush_size = "paint", 7, 8
    click(viewer, qtbot, labels, (32, 20))
    qtbot.waitUntil(lambda: session.cells.n_changed == 1)
    area = (slice(0, 90), slice(0, 160))
    session.mark_reviewed(session.chosen, area, True)
    assert session.cells.corrected.reviewed_area(0.5)[70, 60]
    qtbot.waitUntil(lambda: len(labels.features) == 3 and labels.features["area_px"].max() == 600, timeout=10_000)
    assert "mean_probability" not in labels.features and "mean_intensity" in labels.features
    save(widget, tmp_path, qtbot)
    about = read_metadata(tmp_path / "discs_labels.tif")
    assert about["taken_from"] == "by another tool" and about["model"]["name"] == "labels of by another tool"
    QTest.mouseClick(widget.result_section.copy_command, Qt.MouseButton.LeftButton)
    assert "no command" in said(widget)
    shown = labels_now(widget)
    press_segment(widget, qtbot)
    assert section.threshold.isEnabled() and session.cells.segmented.recipe.min_size != 0
    assert session.cells.corrected.is_owned(np.array([7])).all(), "what was painted is there whoever finds the rest"
    session.undo(session.chosen)
    widget.image_section.open_paths([tmp_path / "discs_labels.tif"])
    qtbot.waitUntil(lambda: "is open with its 3 cells" in said(widget), timeout=20_000)
    assert np.array_equal(labels_now(widget) > 0, shown > 0) and not section.threshold.isEnabled()


def test_a_file_is_taken_by_the_menu_and_what_fits_no_image_is_refused(
    segmented: Any, viewer: Any, qtbot: Any, tmp_path: Any
) -> None:
    labels = np.zeros((160, 160), np.uint16)
    labels[20:40, 20:40] = 5
    PillowImage.fromarray(labels).save(tmp_path / "cp_masks.png")
    taking = segmented.bench.part(Taking)
    taking.take_file(tmp_path / "cp_masks.png")
    qtbot.waitUntil(lambda: "1 cells" in said(segmented) or segmented.session.cells.count() == 1, timeout=20_000)
    assert segmented.cells_section.count.text() == "1 cell"
    other = viewer.add_labels(labels[:50], name="of another image")
    section = segmented.image_section
    section.open_images.menu().aboutToShow.emit()
    entries = {action.text(): action for action in section.take.actions()}
    assert list(entries) == ["of another image", "File …"], "layers that show cells already are not offered"
    entries["of another image"].trigger()
    assert "no image of 50 x 160 pixels" in said(segmented) and other.visible
    taking.take_layer(layers_of(segmented).labels)
    assert "already" in said(segmented)


def test_labels_of_a_stack_are_the_cells_of_its_planes(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    viewer.add_image(np.stack([draw_discs(4), draw_discs(9)]), name="stack", axis_labels=("t", "y", "x"))
    labels = np.zeros((2, 160, 160), np.uint8)
    labels[0, 10:20, 10:20], labels[1, 30:40, 30:50], labels[1, 70:90, 70:90] = 1, 1, 2
    viewer.add_labels(labels, name="planes")
    widget.bench.part(Taking).take_layer(viewer.layers["planes"])
    qtbot.waitUntil(lambda: "3 cells are those of planes" in said(widget), timeout=20_000)
    for plane, count in ((0, 1), (1, 2)):
        viewer.dims.set_current_step(0, plane)
        assert widget.session.cells.count() == count


def test_what_was_saved_counts_where_the_model_finds_others_now(
    widget: Any, viewer: Any, qtbot: Any, tmp_path: Any
) -> None:
    add_image(viewer, read_image(sample_path("fluorescence")))
    press_segment(widget, qtbot, 120_000)
    save(widget, tmp_path, qtbot)
    path = tmp_path / "fluorescence_labels.tif"
    labels, about = read_labels(path), read_metadata(path)
    labels[labels == labels.max()] = 0
    write_labels(path, labels, metadata={**about, "count": about["count"] - 1})
    widget.image_section.open_paths([path])
    qtbot.waitUntil(lambda: f"is open with its {about['count'] - 1:,} cells" in said(widget), timeout=120_000)
    assert np.array_equal(labels_now(widget), labels) and not widget.cells_section.threshold.isEnabled()


def test_saved_labels_without_their_image_are_labels(
    widget: Any, viewer: Any, network: Any, qtbot: Any, tmp_path: Any
) -> None:
    viewer.add_image(draw_discs(), name="nowhere")
    press_segment(widget, qtbot)
    save(widget, tmp_path, qtbot)
    remove_all(viewer, qtbot)
    widget.image_section.open_paths([tmp_path / "nowhere_labels.tif"])
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=20_000)
    assert isinstance(viewer.layers[0], Labels) and "Open it, then" in said(widget)


def test_sliders_come_back_when_the_planes_of_saved_labels_are_segmented(
    widget: Any, viewer: Any, qtbot: Any, tmp_path: Any
) -> None:
    plane = read_image(sample_path("fluorescence")).plane()[:96, :96]
    tifffile.imwrite(tmp_path / "film.tif", np.stack([plane, plane.T]), imagej=True, metadata={"axes": "TYX"})
    session = widget.session
    widget.image_section.open_paths([tmp_path / "film.tif"])
    qtbot.waitUntil(lambda: session.chosen is not None, timeout=10_000)

    def segment_all() -> list[int]:
        session.choices.choose(all_planes=True)
        run = widget.bench.part(PlaneRun)
        QTest.mouseClick(widget.run_section.segment, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not run.busy and session.running is None, timeout=60_000)
        stack = widget.bench.stack_of(session.chosen)
        planes = [widget.bench.part(PlanesInView).cells_of(key) for key in stack.plane_keys()]
        assert {(cells.threshold, cells.min_size) for cells in planes} == {(0.62, 70)}
        return [cells.count() for cells in planes]

    session.use_recipe(Recipe(threshold=0.62, min_size=70))
    counts = segment_all()
    save(widget, tmp_path / "results", qtbot)
    remove_all(viewer, qtbot)
    session.use_recipe(Recipe(threshold=0.2, min_size=5))
    widget.image_section.open_paths([tmp_path / "results" / "film_labels.tif"])
    qtbot.waitUntil(lambda: "film_labels.tif is open" in said(widget), timeout=30_000)
    assert sum(counts) > 4 and f"its {sum(counts)} cells" in said(widget)
    assert segment_all() == counts, "found anew at the sliders that were saved"


def test_small_cells_of_taken_stacks_are_counted_wherever_the_sliders_stood(
    widget: Any, viewer: Any, network: Any, qtbot: Any
) -> None:
    film = viewer.add_image(np.stack([draw_discs(4), draw_discs(9)]), name="film", axis_labels=("t", "y", "x"))
    press_segment(widget, qtbot)
    widget.session.set_min_size(400)
    viewer.add_image(draw_discs(16, 100), name="another")
    found = np.zeros(film.data.shape, np.int32)
    found[:, 10:14, 10:14], found[:, 50:80, 50:80] = 1, 2
    viewer.add_labels(found, name="by another tool")
    take_active_labels(viewer)
    qtbot.waitUntil(lambda: "4 cells are those of by another tool" in said(widget), timeout=20_000)
    counts = widget.bench.part(PlanesInView).counts(widget.bench.stack_of(film.unique_id))
    assert counts.tolist() == [2, 2] and widget.cells_section.count.text() == "2 cells"
