"""What is on the screen is of the settings on the screen, or says of which others it is."""

from __future__ import annotations

import csv
import shutil
import sys
import zipfile
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QTableView

from napari_cellseg.corrections import tools as edits
from napari_cellseg.gui.correct.reviewed_layer import ReviewedLayers
from napari_cellseg.gui.menus.samples import sample_path
from napari_cellseg.gui.viewer.opening import add_image
from napari_cellseg.imaging.read.read import read_image
from napari_cellseg.imaging.write.write import read_labels
from napari_cellseg.network.versions import bundled_models_dir, user_models_dir
from napari_cellseg.results.formats.rois import write_rois
from napari_cellseg.segmentation.notices import UNCERTAIN_SIZE
from napari_cellseg.session import PRESS_AGAIN

from ..conftest import draw_discs, layers_of, press_segment
from ..fitting import fits
from ..pointing import click

LEFT = Qt.MouseButton.LeftButton


def note(widget: Any) -> str:
    """The sentence where the count stands."""
    return str(widget.cells_section.note.full_text)


def tick(box: Any) -> None:
    QTest.mouseClick(box, LEFT, pos=QPoint(10, box.height() // 2))


def type_into(box: Any, text: str) -> None:
    QTest.mouseClick(box.lineEdit(), LEFT)
    box.selectAll()
    QTest.keyClicks(box, text)
    QTest.keyClick(box, Qt.Key.Key_Return)


def is_marked(widget: Any) -> bool:
    """Whether count, button and layers all say that the cells are of other settings; not some of them."""
    section, layers = widget.cells_section, layers_of(widget)
    colors = section._colors
    signs = {
        bool(note(widget)),
        colors.faint.name() in section.count.styleSheet(),
        colors.warning.name() in widget.run_section.segment.styleSheet(),
        widget.run_section.message.text() == PRESS_AGAIN,
        *("other settings" in layer.name for layer in (layers.labels, layers.points)),
        layers.labels.opacity < 0.5,
    }
    assert len(signs) == 1, "some say so, and some do not"
    return signs.pop()


def install(widget: Any, name: str) -> None:
    """Install a copy of the bundled model, and choose it."""
    shutil.copytree(bundled_models_dir() / "cells", user_models_dir() / name)
    widget.session.models_changed.emit()
    widget.session.choose_model(name)


@pytest.fixture
def real(widget: Any, viewer: Any, qtbot: Any) -> Any:
    """The widget after the bundled network has found the cells of a sample."""
    add_image(viewer, read_image(sample_path("fluorescence")))
    press_segment(widget, qtbot, 120_000)
    assert widget.session.cells.count() > 5 and not is_marked(widget)
    return widget


def test_cells_of_other_settings_are_marked_until_segment_is_pressed(real: Any, viewer: Any, qtbot: Any) -> None:
    size, count = real.input_section.size, real.cells_section.count.text()
    tick(size.accurate)
    assert is_marked(real) and note(real) == f"Counted with accurate off (now on). {PRESS_AGAIN}"
    assert real.cells_section.count.text() == count
    tick(size.accurate)
    assert not is_marked(real), "what it was made with is chosen again"
    type_into(size.diameter, "60")
    assert is_marked(real) and "cell size auto (now 60 px)" in note(real)
    real.model_section.unfold.click()
    type_into(real.model_section.expert.high, "97")
    assert "cell size auto (now 60 px), percentiles 1 to 99.8 (now 1 to 97)" in note(real)
    made = layers_of(real).labels.metadata["napari_cellseg"]["recipe"]
    assert made["diameter"] is made["normalizer"] is None, "the layer still names what it was made with"
    press_segment(real, qtbot, 120_000)
    assert not is_marked(real)
    made = layers_of(real).labels.metadata["napari_cellseg"]["recipe"]
    assert made["diameter"] == 60 and made["normalizer"] == {"low": 1.0, "high": 97.0}
    type_into(size.diameter, "0")
    QTest.mouseClick(real.model_section.expert.usual, LEFT)
    assert "cell size 60 px (now auto), percentiles 1 to 97 (now 1 to 99.8)" in note(real)


def test_another_model_and_another_image_are_marked_each_by_itself(segmented: Any, viewer: Any, qtbot: Any) -> None:
    first = segmented.session.chosen
    install(segmented, "mine")
    assert is_marked(segmented) and note(segmented).startswith("Counted with model cells (now mine).")
    viewer.add_image(draw_discs(9), name="nine")
    press_segment(segmented, qtbot)
    assert segmented.session.chosen != first and not is_marked(segmented)
    segmented.session.choose_model("cells")
    assert is_marked(segmented) and note(segmented).startswith("Counted with model mine (now cells).")
    viewer.layers.selection.active = viewer.layers["discs"]
    assert segmented.session.chosen == first and not is_marked(segmented)


def test_another_channel_is_marked_and_sliders_are_not(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    viewer.add_image(np.stack([draw_discs(4), draw_discs(9)]), name="two", axis_labels=("c", "y", "x"))
    press_segment(widget, qtbot)
    assert widget.session.cells.count() == 4 and not is_marked(widget)
    channel = widget.input_section.channel
    channel.setFocus()
    QTest.keyClick(channel, Qt.Key.Key_Down)
    assert is_marked(widget) and note(widget).startswith("Counted with channel 0 (now 1).")
    widget.cells_section.threshold.setValue(0.7)
    assert is_marked(widget)
    QTest.keyClick(channel, Qt.Key.Key_Up)
    assert not is_marked(widget)
    widget.cells_section.min_size.setValue(80)
    assert not is_marked(widget)


def test_percentiles_that_make_no_sense_are_refused(real: Any) -> None:
    real.model_section.unfold.click()
    expert = real.model_section.expert
    type_into(expert.high, "0.5")
    assert "low < high" in real.session.state.sentence and expert.high.value() == 99.8
    assert not note(real)


def test_a_long_note_moves_nothing_and_the_whole_panel_fits(real: Any, qtbot: Any) -> None:
    section = real.cells_section
    place = section.threshold.y()
    tick(real.input_section.size.accurate)
    type_into(real.input_section.size.diameter, "60")
    install(real, "a model of a rather long name that somebody gave it")
    qtbot.wait(100)
    assert section.threshold.y() == place and section.note.full_text in section.note.toolTip()
    fits(real.scroll, real.result_section, section.note, whole=True)


def test_the_estimated_size_is_shown_and_marked_on_the_image(real: Any, viewer: Any, qtbot: Any) -> None:
    size, found = real.input_section.size, real.session.cells.segmented.prediction.diameter
    assert size.diameter.text() == f"auto: {found:.0f} px"
    before, active = len(viewer.layers), viewer.layers.selection.active
    QTest.mouseClick(size.mark, LEFT)
    circle = viewer.layers[-1]
    assert len(viewer.layers) == before + 1 and viewer.layers.selection.active is active
    assert np.allclose(circle.size, found) and circle.name == f"cell size {found:.0f} px"
    assert np.all(circle.data[0] > 0) and np.all(circle.data[0] < viewer.layers[0].data.shape)
    type_into(size.diameter, "60")
    qtbot.waitUntil(lambda: viewer.layers[-1].name == "cell size 60 px")
    assert viewer.layers[-1].size[0] == 60 and len(viewer.layers) == before + 1
    QTest.mouseClick(size.mark, LEFT)
    qtbot.waitUntil(lambda: len(viewer.layers) == before)
    assert not size.mark.isChecked()
    type_into(size.diameter, "0")
    assert size.diameter.text() == f"auto: {found:.0f} px", "the cells are of the size that was estimated then"
    QTest.mouseClick(size.mark, LEFT)
    viewer.layers.remove(viewer.layers[-1])
    assert not size.mark.isChecked(), "the user removed the circle"


def test_notices_stand_where_the_count_stands(
    widget: Any, viewer: Any, network: Any, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    plain = network.__call__

    def doubtful(*asked: Any) -> Any:
        found = yield from plain(*asked)
        return replace(found, prediction=replace(found.prediction, notes=(UNCERTAIN_SIZE,)))

    monkeypatch.setattr(sys.modules["napari_cellseg.segmentation.segment"], "iter_predict_image", doubtful)
    viewer.add_image(draw_discs(), name="discs")
    press_segment(widget, qtbot)
    assert note(widget) == UNCERTAIN_SIZE and UNCERTAIN_SIZE in widget.cells_section.note.toolTip()
    assert "size of the cells is uncertain" in widget.cells_section.note.text()
    assert widget.cells_section.note.text() not in widget.run_section.message.text()


def test_a_flat_curve_of_few_or_doubtful_cells_is_not_called_so(
    widget: Any, viewer: Any, network: Any, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    section = widget.cells_section
    viewer.add_image(draw_discs(25), name="many")
    press_segment(widget, qtbot)
    low, high = section.curve.stretch
    assert section.threshold.hint.text() == f"flat {low:.2f} to {high:.2f}"
    assert "found well is another question" in section.threshold.hint.toolTip()
    assert "this count" not in section.threshold.hint.toolTip(), "the slider may stand elsewhere"
    widget.session.set_threshold(0.9)
    assert widget.session.cells.count() < 20 and section.threshold.hint.text() == ""
    widget.session.set_threshold(0.3)
    assert section.threshold.hint.text().startswith("flat")
    plain = network.__call__

    def doubtful(*asked: Any) -> Any:
        found = yield from plain(*asked)
        return replace(found, prediction=replace(found.prediction, certain=False))

    monkeypatch.setattr(sys.modules["napari_cellseg.segmentation.segment"], "iter_predict_image", doubtful)
    press_segment(widget, qtbot)
    assert widget.session.cells.count() == 25 and section.threshold.hint.text() == ""
    assert np.isnan(section.curve.stretch).all(), "nothing is shaded either"


def test_a_cell_has_one_number_everywhere(segmented: Any, viewer: Any, qtbot: Any, tmp_path: Any) -> None:
    layers, session = layers_of(segmented), segmented.session
    before = dict(zip(layers.points.features["index"], map(tuple, layers.points.data), strict=True))
    session.edit(session.chosen, edits.delete, [3])
    qtbot.waitUntil(lambda: len(layers.labels.features) == 15, timeout=10_000)
    shown = sorted(set(before) - {3})
    # Numbers wait until the view has come to rest.
    qtbot.waitUntil(lambda: [int(text) for text in layers.points._view_text] == shown, timeout=10_000)
    assert list(layers.points.features["index"]) == shown, "deleting a cell renumbers nobody"
    for id_, place in zip(shown, layers.points.data, strict=True):
        assert tuple(place) == before[id_] and layers.labels.data[tuple(np.round(place).astype(int))] == id_
    segmented.result_section.save_to(tmp_path)
    qtbot.waitUntil(lambda: segmented.result_section.save.isEnabled(), timeout=10_000)
    assert sorted(set(np.unique(read_labels(tmp_path / "discs_labels.tif"))) - {0}) == shown
    with (tmp_path / "discs_cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["index"]) for row in rows] == shown and "number" not in rows[0]
    write_rois(tmp_path / "rois.zip", layers.labels.data)
    with zipfile.ZipFile(tmp_path / "rois.zip") as rois:
        assert [int(name.split("_")[1].removesuffix(".roi")) for name in rois.namelist()] == shown


def test_a_row_leads_to_its_cell_and_a_cell_to_its_row(segmented: Any, viewer: Any, qtbot: Any) -> None:
    labels, session = layers_of(segmented).labels, segmented.session
    session.edit(session.chosen, edits.delete, [3])
    qtbot.waitUntil(lambda: len(labels.features) == 15, timeout=10_000)
    QTest.mouseClick(segmented.result_section.table, LEFT)
    tables = segmented.window().findChildren(QTableView)
    qtbot.waitUntil(lambda: any(one.isVisible() for one in tables))
    [table] = [one for one in tables if one.isVisible()]
    labels.visible = False
    assert heads(table)[0] == "index" and "Index" not in heads(table), "one number for a cell, not two"
    viewer.layers.selection.active = viewer.layers["discs"]
    viewer.layers.selection.active = labels
    labels.visible = False
    assert "Index" not in heads(table)
    at = table.visualRect(table.model().index(4, 1)).center()
    QTest.mouseClick(table.viewport(), LEFT, pos=at)
    id_ = int(labels.features["index"].iloc[4])
    assert id_ == 6 == labels.selected_label and labels.visible, "row 4 is not cell 4"
    middle = labels.features.iloc[4][["centroid_y", "centroid_x"]].to_numpy(dtype=float)
    assert np.allclose(np.asarray(viewer.scene.camera.center)[-2:], middle)
    assert {index.row() for index in table.selectionModel().selectedIndexes()} == {4}
    viewer.reset_view()
    row = 9
    click(viewer, qtbot, labels, tuple(labels.features.iloc[row][["centroid_y", "centroid_x"]]))
    assert {index.row() for index in table.selectionModel().selectedIndexes()} == {row}


def heads(table: QTableView) -> list[str]:
    """Names of the columns that are seen."""
    model, across = table.model(), Qt.Orientation.Horizontal
    shown = (column for column in range(model.columnCount()) if not table.isColumnHidden(column))
    return [str(model.headerData(column, across)) for column in shown]


def pick_image(widget: Any, name: str) -> None:
    """Choose an image with the keyboard."""
    box = widget.image_section.image_layer
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Home)
    while box.currentText() != name:
        QTest.keyClick(box, Qt.Key.Key_Down)


def test_the_chosen_image_is_what_is_seen_and_corrected(segmented: Any, viewer: Any, qtbot: Any) -> None:
    viewer.add_image(draw_discs(9), name="nine")
    press_segment(segmented, qtbot)
    first, second = viewer.layers["discs"], viewer.layers["nine"]
    cells = viewer.layers["nine cells"]
    cells.mode = "paint"
    pick_image(segmented, "discs")
    assert segmented.session.chosen == first.unique_id and first.visible
    assert not second.visible and not cells.visible and not viewer.layers["nine counts"].visible
    assert viewer.layers.selection.active is viewer.layers["discs cells"], "strokes go to the cells that are seen"
    pick_image(segmented, "nine")
    assert second.visible and cells.visible and viewer.layers.selection.active is cells
    viewer.layers.selection.active = second
    QTest.mouseClick(viewer.window._qt_viewer.layerButtons.deleteButton, LEFT)
    qtbot.waitUntil(lambda: segmented.session.chosen == first.unique_id)
    qtbot.waitUntil(lambda: viewer.layers.selection.active is viewer.layers["discs cells"])
    assert first.visible and viewer.layers["discs cells"].visible


def pick_in_layer_list(viewer: Any, name: str) -> None:
    """Click a layer in napari's layer list."""
    entries = viewer.window._qt_viewer.layers
    model = entries.model()
    row = next(i for i in range(model.rowCount()) if model.index(i, 0).data() == name)
    entries.scrollTo(model.index(row, 0))
    QTest.mouseClick(entries.viewport(), LEFT, pos=entries.visualRect(model.index(row, 0)).center())


def test_an_image_picked_in_the_layer_list_is_what_is_seen(
    segmented: Any, viewer: Any, network: Any, qtbot: Any
) -> None:
    viewer.add_image(draw_discs(9), name="nine")
    press_segment(segmented, qtbot)
    area = segmented.bench.part(ReviewedLayers)
    area.show(True)
    overlay = viewer.layers["nine cells learned from"]
    pick_in_layer_list(viewer, "discs")
    qtbot.waitUntil(lambda: not viewer.layers["nine"].visible)
    assert viewer.layers.selection.active is viewer.layers["discs"], "its contrast is what was asked for"
    assert segmented.cells_section.count.text() == "16 cells" and viewer.layers["discs cells"].visible
    assert not viewer.layers["nine cells"].visible and not overlay.visible, "nothing of the other image"
    pick_in_layer_list(viewer, "nine counts")
    qtbot.waitUntil(lambda: viewer.layers["nine"].visible)
    assert viewer.layers["nine cells"].visible and overlay.visible
    assert segmented.cells_section.count.text() == "9 cells"


def test_of_two_samples_the_chosen_one_is_seen(widget: Any, viewer: Any, plugin: Any, qtbot: Any) -> None:
    for name in ("fluorescence", "fluorescence_dense"):
        viewer.open_sample("napari-cellseg", name)
    qtbot.waitUntil(lambda: not viewer.layers["fluorescence"].visible)
    assert widget.image_section.image_layer.currentText() == "fluorescence_dense"
    assert viewer.layers["fluorescence_dense"].visible and 0.8 < in_view(viewer, viewer.layers[1]) <= 1


def test_channels_of_one_picture_do_not_cover_each_other(segmented: Any, viewer: Any, qtbot: Any) -> None:
    viewer.add_image(draw_discs(9), name="other channel", blending="additive")
    pick_image(segmented, "discs")
    assert viewer.layers["other channel"].visible


def test_the_chosen_channel_is_the_one_in_view(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    viewer.add_image(np.stack([draw_discs(4), draw_discs(9)]), name="two", axis_labels=("c", "y", "x"))
    channel = widget.input_section.channel
    channel.setFocus()
    QTest.keyClick(channel, Qt.Key.Key_Down)
    assert viewer.dims.current_step[0] == 1
    QTest.keyClick(channel, Qt.Key.Key_Up)
    assert viewer.dims.current_step[0] == 0


def write_channels(path: Any) -> Any:
    """Three named channels, with 4, 9 and 16 discs."""
    values = (np.stack([draw_discs(n) for n in (4, 9, 16)]) * 1000).astype(np.uint16)
    about = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP", "marker"]}}
    tifffile.imwrite(path, values, ome=True, metadata=about)
    return path


@pytest.mark.parametrize("by", ["our menu", "napari's menu"])
def test_channels_are_coloured_and_additive_and_one_image(
    widget: Any, viewer: Any, network: Any, qtbot: Any, tmp_path: Any, by: str
) -> None:
    path = write_channels(tmp_path / "three.ome.tif")
    if by == "our menu":
        widget.image_section.open_paths([path])
    else:
        viewer.open(path, plugin="napari")
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=10_000)
    layers = list(viewer.layers)
    assert [layer.name for layer in layers] == ["three.ome: DAPI", "three.ome: GFP", "three.ome: marker"]
    assert [layer.colormap.name for layer in layers] == ["blue", "green", "magenta"]
    assert [str(layer.blending) for layer in layers] == ["translucent_no_depth", "additive", "additive"]
    box, channel = widget.image_section.image_layer, widget.input_section.channel
    assert [box.itemText(i) for i in range(box.count())] == ["three.ome"], "one image"
    assert [channel.itemText(i) for i in range(3)] == ["0 DAPI", "1 GFP", "2 marker"]
    layers[1].visible = False
    channel.setFocus()
    QTest.keyClick(channel, Qt.Key.Key_Down)
    assert layers[1].visible, "the chosen channel is seen"
    press_segment(widget, qtbot)
    assert widget.session.cells.count() == 9 and viewer.layers[-2].name == "three.ome cells"
    assert {"intensity_mean_DAPI", "intensity_mean_marker"} <= set(measured_columns(widget, tmp_path, qtbot))
    viewer.layers.selection.active = layers[2]
    assert widget.session.chosen == layers[0].unique_id and widget.session.cells.count() == 9
    layers[0].scale = (2, 2)
    assert all(tuple(layer.scale) == (2, 2) for layer in layers)
    viewer.add_image(draw_discs(4), name="other", metadata={"napari_cellseg": {"opened": True}})
    pick_image(widget, "three.ome")
    assert all(layer.visible for layer in layers) and not viewer.layers["other"].visible
    pick_image(widget, "other")
    assert not any(layer.visible for layer in layers) and viewer.layers["other"].visible


def measured_columns(widget: Any, folder: Any, qtbot: Any) -> list[str]:
    """Columns of the table that Save results writes."""
    widget.result_section.save_to(folder / "results")
    qtbot.waitUntil(lambda: widget.result_section.save.isEnabled(), timeout=10_000)
    with next((folder / "results").glob("*_cells.csv")).open(newline="") as file:
        return next(csv.reader(file))


def test_files_that_naparis_menu_opens_are_chosen_and_seen(
    segmented: Any, viewer: Any, qtbot: Any, tmp_path: Any
) -> None:
    for n in (4, 9):
        tifffile.imwrite(tmp_path / f"{n}.tif", draw_discs(n))
        viewer.open(tmp_path / f"{n}.tif", plugin="napari")
        qtbot.waitUntil(lambda n=n: segmented.image_section.image_layer.currentText() == str(n))
    qtbot.waitUntil(lambda: not viewer.layers["4"].visible)
    assert viewer.layers["9"].visible and viewer.layers.selection.active is viewer.layers["9"]
    press_segment(segmented, qtbot)
    assert segmented.session.cells.count() == 9
    assert viewer.layers.selection.active is viewer.layers["9 cells"]
    pick_image(segmented, "4")
    assert viewer.layers["4"].visible and not viewer.layers["9"].visible and not viewer.layers["9 cells"].visible


def in_view(viewer: Any, layer: Any) -> float:
    """Part of the canvas that an image fills along the axis on which it is longer; above 1 it leaves it."""
    height, width = np.asarray(layer.extent.world[1] - layer.extent.world[0])[-2:] * viewer.scene.camera.zoom
    canvas = viewer.window._qt_viewer.canvas.native
    return float(max(height / canvas.height(), width / canvas.width()))


def test_a_folder_fits_its_first_image_and_switching_keeps_or_fits(
    widget: Any, viewer: Any, network: Any, qtbot: Any, tmp_path: Any
) -> None:
    for name, size in (("a", 160), ("b", 160), ("c", 900)):
        tifffile.imwrite(tmp_path / f"{name}.tif", draw_discs(9, size))
    widget.image_section.open_paths([tmp_path])
    qtbot.waitUntil(lambda: len(viewer.layers) == 3 and widget.image_section.image_layer.currentText() == "a")
    assert 0.8 < in_view(viewer, viewer.layers["a"]) <= 1, "not all three of them"
    viewer.scene.camera.zoom *= 3
    zoom = viewer.scene.camera.zoom
    widget.image_section.image_layer.setFocus()
    QTest.keyClick(widget.image_section.image_layer, Qt.Key.Key_Up)
    assert viewer.layers["b"].visible and viewer.scene.camera.zoom == zoom, "of one size: the same part is compared"
    QTest.keyClick(widget.image_section.image_layer, Qt.Key.Key_Up)
    assert 0.8 < in_view(viewer, viewer.layers["c"]) <= 1


def test_an_answer_for_another_image_covers_nothing(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    viewer.add_image(draw_discs(4), name="four")
    network.go.clear()
    QTest.mouseClick(widget.run_section.segment, LEFT)
    viewer.add_image(draw_discs(9), name="nine")
    pick_image(widget, "four")
    pick_image(widget, "nine")
    network.go.set()
    viewer.layers["four"].visible = False
    qtbot.waitUntil(lambda: widget.session.running is None)
    assert viewer.layers.selection.active is viewer.layers["nine"], "strokes and contrast go to what is chosen"
    assert not viewer.layers["four cells"].visible and not viewer.layers["four counts"].visible
    pick_image(widget, "four")
    assert viewer.layers["four cells"].visible and viewer.layers["four counts"].visible


def test_all_open_images_are_segmented_as_the_panel_says(segmented: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    viewer.add_image(np.stack([draw_discs(25), draw_discs(9)]), name="two", axis_labels=("c", "y", "x"))
    viewer.add_image(draw_discs(4), name="four")
    pick_image(segmented, "discs")
    type_into(segmented.input_section.size.diameter, "40")
    tick(segmented.input_section.size.accurate)
    runs, menu = network.runs, segmented.run_section.where
    menu.all_images.trigger()
    session = segmented.session
    qtbot.waitUntil(lambda: "3 images are done" in session.state.sentence, timeout=30_000)
    assert network.runs == runs + 3, "the first was done without accurate"
    counts = {name: session.cells_of(segmented.bench.key_of(viewer.layers[name])).count() for name in ("two", "four")}
    assert counts == {"two": 25, "four": 4} and "45 cells" in session.state.sentence
    for name in ("discs", "two", "four"):
        assert session.cells_of(segmented.bench.key_of(viewer.layers[name])).segmented.recipe.diameter == 40
    assert session.chosen == viewer.layers["discs"].unique_id
    assert viewer.layers.selection.active is viewer.layers["discs cells"] and viewer.layers["discs"].visible
    menu.all_images.trigger()
    assert "done already" in session.state.sentence and network.runs == runs + 3
    network.go.clear()
    tick(segmented.input_section.size.accurate)
    menu.all_images.trigger()
    qtbot.waitUntil(lambda: session.running is not None)
    QTest.mouseClick(segmented.run_section.cancel, LEFT)
    network.go.set()
    assert "Cancelled" in session.state.sentence and segmented.run_section.segment.isEnabled()
