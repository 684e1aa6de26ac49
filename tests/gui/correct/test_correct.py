"""Correcting cells in the real window: what a person did stays, whatever else happens."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_cellseg.corrections import tools as edits
from napari_cellseg.gui.correct.correct_widget import CorrectWidget
from napari_cellseg.gui.correct.tools import Tools
from napari_cellseg.gui.viewer.correcting import Correcting
from napari_cellseg.gui.viewer.dock import open_dock
from napari_cellseg.gui.viewer.doubting import Doubting

from ..conftest import draw_discs, layers_of, press_segment, settled
from ..fitting import fits
from ..pointing import canvas_of, click, drag, labels_now, move_to, press_key

LEFT = Qt.MouseButton.LeftButton
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def correct(segmented: Any, viewer: Any, qtbot: Any) -> CorrectWidget:
    """The Correct widget, docked beside the Segment widget, on 16 discs."""
    widget = CorrectWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Correct and review cells")
    qtbot.waitUntil(widget.isVisible)
    viewer.reset_view()
    qtbot.wait(100)
    return widget


def cell_at(widget: Any, row: int, column: int) -> tuple[int, tuple[int, int]]:
    """Id of one of the 4 x 4 discs, and its centre."""
    place = (20 + 40 * row, 20 + 40 * column)
    return int(labels_now(widget)[place]), place


def test_brush_then_sliders_then_undo(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:
    labels = layers_of(segmented).labels
    before = labels.data.copy()
    labels.brush_size = 6
    labels.mode = "paint"
    fresh = labels.selected_label
    assert fresh not in before
    drag(viewer, qtbot, labels, [(3, 3), (3, 12), (8, 12)])
    assert correct.session.cells.n_changed == 1 and correct.session.cells.count() == 17
    mine = labels.data == fresh
    assert mine.sum() > 50
    for threshold in (0.9, 0.3, 0.75):
        segmented.cells_section.threshold.setValue(threshold)
        settled(segmented, qtbot)
        assert np.array_equal(labels.data == fresh, mine)
    press_key(viewer, qtbot, Qt.Key.Key_Z, CONTROL)
    assert not (labels.data == fresh).any() and correct.session.cells.n_changed == 0
    expected = correct.session.cells.segmented.instances.labels(0.75, correct.session.cells.min_size)
    assert np.array_equal(labels.data, expected)
    press_key(viewer, qtbot, Qt.Key.Key_Z, CONTROL | SHIFT)
    assert np.array_equal(labels.data == fresh, mine)


def test_labels_from_a_script_are_a_correction(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:
    labels = layers_of(segmented).labels
    n = correct.session.cells.count()
    theirs = labels.data.astype(np.int64)
    gone = int(theirs[theirs > 0].min())
    theirs[theirs == gone] = 0
    theirs[:6, :6] = 77
    kept = theirs.copy()
    labels.data = theirs
    assert correct.session.cells.count() == n and correct.session.cells.n_erased == 1
    assert np.array_equal(labels.data > 0, kept > 0) and np.array_equal(labels.data, labels_now(correct))
    segmented.cells_section.threshold.setValue(0.5)
    settled(segmented, qtbot)
    assert (labels.data[:6, :6] > 0).all() and not (labels.data == gone).any()
    assert np.array_equal(theirs, kept), "their array was written to"
    labels.undo()
    assert not labels.data[:6, :6].any() and correct.session.cells.n_erased == 0
    # What cannot be cells of this image is not taken.
    before = labels.data.copy()
    labels.data = np.ones((5, 7), np.uint8)
    assert np.array_equal(labels.data, before) and "5 x 7" in correct.tools_section.message.text()


def test_cells_lie_where_their_image_lies(segmented: Any, viewer: Any, qtbot: Any) -> None:
    image, pair = viewer.layers[0], layers_of(segmented)
    image.scale, image.translate, image.rotate = (0.5, 0.25), (3, 4), 30
    for layer in (pair.labels, pair.points):
        assert np.allclose(layer.data_to_world((7, 9)), image.data_to_world((7, 9)))


def test_keys_act_on_the_cell_under_the_pointer(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:
    labels = layers_of(segmented).labels
    first, place = cell_at(correct, 3, 3)
    move_to(viewer, qtbot, labels, place)
    press_key(viewer, qtbot, Qt.Key.Key_D)
    assert correct.session.cells.n_erased == 1 and correct.session.cells.count() == 15
    assert not (labels.data == first).any()
    assert np.array_equal(labels.data, labels_now(correct))
    segmented.cells_section.threshold.setValue(0.05)
    settled(segmented, qtbot)
    assert labels.data[place] == 0
    second, place = cell_at(correct, 2, 2)
    move_to(viewer, qtbot, labels, place)
    press_key(viewer, qtbot, Qt.Key.Key_A)
    mine = labels.data == second
    segmented.cells_section.threshold.setValue(0.9)
    settled(segmented, qtbot)
    assert np.array_equal(labels.data == second, mine) and correct.session.cells.n_changed == 1
    assert "Yours: 1 changed, 1 erased" in correct.tools_section.yours.text()
    details = segmented.cells_section.details
    assert "2 corrected" in details.text() and "1 changed, 1 erased" in details.toolTip()
    press_key(viewer, qtbot, Qt.Key.Key_R)
    assert correct.session.cells.n_changed == 0
    assert "released" in correct.tools_section.message.text().lower()


def test_merge_by_two_keys_and_by_a_stroke(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:
    segmented.cells_section.threshold.setValue(0.0)
    settled(segmented, qtbot)
    labels = layers_of(segmented).labels
    places = [cell_at(correct, 3, column)[1] for column in range(4)]
    drag(viewer, qtbot, labels, [(5, 5), (30, 5)])  # without a tool a drag moves the picture and corrects nothing
    assert correct.session.cells.n_changed == 0
    viewer.reset_view()
    qtbot.mouseClick(correct.tools_section.buttons["merge"], LEFT)
    drag(viewer, qtbot, labels, [places[0], places[1]])
    assert labels.data[places[0]] == labels.data[places[1]] != 0, correct.tools_section.message.text()
    qtbot.mouseClick(correct.tools_section.buttons["merge"], LEFT)
    for place in places[2:]:
        move_to(viewer, qtbot, labels, place)
        press_key(viewer, qtbot, Qt.Key.Key_J)
    assert labels.data[places[2]] == labels.data[places[3]] != 0, correct.tools_section.message.text()
    assert correct.session.cells.count() == 14 and correct.session.cells.n_changed == 2
    assert np.array_equal(labels.data, labels_now(correct))
    press_key(viewer, qtbot, Qt.Key.Key_Z, CONTROL)
    assert correct.session.cells.count() == 15


def test_merging_cells_that_do_not_touch_asks(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:
    labels = layers_of(segmented).labels
    places = [cell_at(correct, 0, 0)[1], cell_at(correct, 3, 3)[1]]

    def merge() -> None:
        qtbot.mouseClick(correct.tools_section.buttons["merge"], LEFT)
        for place in places:
            click(viewer, qtbot, labels, place)
        qtbot.mouseClick(correct.tools_section.buttons["merge"], LEFT)

    merge()
    assert correct.question.isVisible() and "do not touch" in correct.question.text.text()
    assert correct.session.cells.count() == 16 and correct.session.cells.n_changed == 0
    qtbot.mouseClick(correct.question.no, LEFT)
    assert not correct.question.isVisible() and correct.session.cells.n_changed == 0
    merge()
    qtbot.mouseClick(correct.question.yes, LEFT)
    assert not correct.question.isVisible() and correct.session.cells.count() == 15
    assert labels.data[places[0]] == labels.data[places[1]] != 0


def test_split_by_a_stroke(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:
    labels = layers_of(segmented).labels
    _, (y, x) = cell_at(correct, 3, 3)
    move_to(viewer, qtbot, labels, (y, x))
    press_key(viewer, qtbot, Qt.Key.Key_S)
    assert correct.tools_section.buttons["split"].isChecked()
    drag(viewer, qtbot, labels, [(y - 19, x), (y + 19, x)])
    assert correct.session.cells.count() == 17, correct.tools_section.message.text()
    assert 0 != labels.data[y, x - 6] != labels.data[y, x + 6] != 0
    assert np.array_equal(labels.data, labels_now(correct))
    press_key(viewer, qtbot, Qt.Key.Key_Escape)
    assert correct.bench.part(Tools).in_hand is None and str(labels.mode) == "pan_zoom"


def test_add_by_key_and_by_click(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:
    segmented.cells_section.threshold.setValue(0.9)
    settled(segmented, qtbot)
    labels = layers_of(segmented).labels
    n = correct.session.cells.count()
    places = [cell_at(correct, 0, 2)[1], cell_at(correct, 1, 0)[1]]
    assert not any(labels.data[place] for place in places)
    move_to(viewer, qtbot, labels, places[0])
    press_key(viewer, qtbot, Qt.Key.Key_I)
    qtbot.mouseClick(correct.tools_section.buttons["add"], LEFT)
    click(viewer, qtbot, labels, places[1])
    assert all(labels.data[place] for place in places), correct.tools_section.message.text()
    assert correct.session.cells.count() == n + 2
    assert np.array_equal(labels.data, labels_now(correct))


def test_strokes_apart_are_two_cells_and_strokes_that_touch_are_one(
    correct: Any, segmented: Any, viewer: Any, qtbot: Any
) -> None:
    labels = layers_of(segmented).labels
    qtbot.mouseClick(correct.tools_section.new_cell, LEFT)
    labels.brush_size = 4
    drag(viewer, qtbot, labels, [(3, 3), (3, 8)])
    drag(viewer, qtbot, labels, [(3, 8), (3, 14)])
    assert correct.session.cells.n_changed == 1
    drag(viewer, qtbot, labels, [(150, 3), (156, 3)])
    assert correct.session.cells.n_changed == 2
    assert labels.data[3, 3] == labels.data[3, 13] != labels.data[153, 3] != 0


def test_eraser_fill_and_polygon_count_as_corrections(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:
    labels = layers_of(segmented).labels
    id_, (y, x) = cell_at(correct, 3, 3)
    labels.brush_size, labels.mode = 8, "erase"
    click(viewer, qtbot, labels, (y, x))
    assert labels.data[y, x] == 0 and correct.session.cells.n_changed == 1
    labels.mode = "fill"
    labels.selected_label = id_
    click(viewer, qtbot, labels, (y, x))
    assert labels.data[y, x] == id_ and correct.session.cells.n_changed == 1
    correct.bench.part(Correcting).choose_fresh(correct.session.chosen, labels)
    labels.paint_polygon([(2, 2), (2, 9), (9, 9), (9, 2)], labels.selected_label)
    assert correct.session.cells.n_changed == 2 and labels.data[5, 5] not in (0, id_)
    for _ in range(3):
        press_key(viewer, qtbot, Qt.Key.Key_Z, CONTROL)
    instances = correct.session.cells.segmented.instances
    assert np.array_equal(
        labels.data, instances.labels(correct.session.cells.threshold, correct.session.cells.min_size)
    )
    assert not labels._undo_history and not labels._redo_history


def test_corrections_stay_through_a_new_run(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:
    labels = layers_of(segmented).labels
    _, place = cell_at(correct, 2, 3)
    move_to(viewer, qtbot, labels, place)
    press_key(viewer, qtbot, Qt.Key.Key_D)
    labels.mode, labels.brush_size = "paint", 6
    drag(viewer, qtbot, labels, [(3, 3), (3, 12)])
    mine = labels.data == labels.data[3, 3]
    press_segment(segmented, qtbot)
    labels = layers_of(segmented).labels
    assert labels.data[place] == 0
    assert len(np.unique(labels.data[mine])) == 1 and labels.data[3, 3]
    assert (labels.data == labels.data[3, 3]).sum() == mine.sum()
    assert correct.session.cells.count() == 16 == len(np.unique(labels.data)) - 1


def test_table_and_points_tell_whose_a_cell_is(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:
    layers = layers_of(segmented)
    id_, place = cell_at(correct, 1, 1)
    move_to(viewer, qtbot, layers.labels, place)
    press_key(viewer, qtbot, Qt.Key.Key_A)
    qtbot.waitUntil(lambda: len({tuple(color) for color in layers.points.face_color}) == 2, timeout=5000)
    row = list(layers.points.features["index"]).index(id_)
    assert (layers.points.face_color == layers.points.face_color[row]).all(axis=1).sum() == 1
    qtbot.waitUntil(lambda: "accepted" in list(layers.labels.features["yours"]), timeout=5000)
    table = layers.labels.features
    assert list(table["index"][table["yours"] != ""]) == [id_]
    assert layers.labels.metadata["napari_cellseg"]["corrections"] == {"changed": 1, "erased": 0}


def test_every_tool_has_a_button_with_a_tooltip_and_a_free_key(correct: Any, segmented: Any) -> None:
    from napari.layers import Labels
    from napari.utils.shortcuts import default_shortcuts
    from qtpy.QtWidgets import QWidget

    from napari_cellseg.gui.correct.tool_table import TOOLS

    taken = {str(key) for action, keys in default_shortcuts.items() if "labels" in action for key in keys}
    taken |= {str(key) for key in Labels.class_keymap}
    bound = correct.keys.names
    assert {tool.key for tool in TOOLS} | set("GYNCTKUM") | {"Escape"} == bound
    assert not (bound - {"M", "Escape"}) & taken
    names = "undo redo new_cell next_doubtful review_right review_fix review_wrong reviewed_whole reviewed_rectangles "
    names += "reviewed_brush reviewed_none show_reviewed show_folder export import add_to_training "
    names += "learn_now keep_draft drop_draft"
    for name in [*names.split(), *(f"tool_{tool.name}" for tool in TOOLS)]:
        assert correct.findChild(QWidget, name).toolTip(), name


def test_a_closed_widget_leaves_no_keys(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:
    labels = layers_of(segmented).labels
    qtbot.mouseClick(correct.tools_section.buttons["delete"], LEFT)
    correct.parent().destroyOnClose()
    qtbot.wait(300)
    assert not labels.keymap and str(labels.mode) == "pan_zoom"
    _, place = (0, (20, 20))
    click(viewer, qtbot, labels, place)
    press_key(viewer, qtbot, Qt.Key.Key_D)
    assert segmented.session.cells.n_erased == 0


def test_an_edit_draws_only_its_region(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:
    labels = layers_of(segmented).labels
    updates: list[tuple[int, ...]] = []
    labels.events.labels_update.connect(lambda event: updates.append(event.data.shape))
    drawn: list[object] = []
    labels.events.set_data.connect(lambda event: drawn.append(event))
    _, place = cell_at(correct, 3, 3)
    move_to(viewer, qtbot, labels, place)
    press_key(viewer, qtbot, Qt.Key.Key_D)
    assert updates and max(max(shape) for shape in updates) < 80 and not drawn
    assert np.array_equal(labels._slice.image.view, labels.data)


def test_keys_act_on_what_is_under_the_pointer_after_the_view_moved(
    correct: Any, segmented: Any, viewer: Any, qtbot: Any
) -> None:
    labels = layers_of(segmented).labels
    _, place = cell_at(correct, 2, 1)
    right_of_it, _ = cell_at(correct, 2, 2)
    move_to(viewer, qtbot, labels, place)
    z, y, x = viewer.scene.camera.center
    viewer.scene.camera.center = (z, y, x + 40)
    qtbot.wait(50)
    press_key(viewer, qtbot, Qt.Key.Key_A)
    assert list(correct.session.cells.corrected.corrections.owned_ids) == [right_of_it]


def test_a_key_off_the_image_corrects_nothing(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:
    labels = layers_of(segmented).labels
    viewer.scene.camera.zoom /= 2
    for place in ((-30, 80), (200, 80)):
        move_to(viewer, qtbot, labels, place)
        for key in (Qt.Key.Key_D, Qt.Key.Key_I, Qt.Key.Key_A):
            press_key(viewer, qtbot, key)
    assert correct.session.cells.corrected.corrections.revision == 0
    assert "Point at a cell" in correct.tools_section.message.text()


def test_points_and_table_follow_though_another_image_was_chosen(
    correct: Any, segmented: Any, viewer: Any, qtbot: Any
) -> None:
    first, layers = correct.session.chosen, layers_of(segmented)
    viewer.add_image(draw_discs(9), name="two")
    press_segment(segmented, qtbot)
    viewer.layers.selection.active = layers.labels
    assert correct.session.chosen == first
    correct.bench.part(Correcting).edit(first, edits.delete, [int(layers.labels.data[60, 60])])
    viewer.layers.selection.active = viewer.layers["two"]
    qtbot.waitUntil(lambda: len(layers.labels.features) == 15 and len(layers.points.data) == 15, timeout=10_000)


def test_cells_of_a_removed_image_leave_memory(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:
    id_, _ = cell_at(correct, 1, 1)
    correct.bench.part(Correcting).edit(correct.session.chosen, edits.delete, [id_])
    qtbot.waitUntil(lambda: len(layers_of(segmented).labels.features) == 15, timeout=10_000)
    qtbot.waitUntil(lambda: correct.bench.part(Doubting).doubt_of(correct.session.chosen) is not None, timeout=10_000)
    instances = weakref.ref(correct.session.cells.corrected.instances)
    viewer.layers.clear()

    def gone() -> bool:
        gc.collect()
        return instances() is None

    qtbot.waitUntil(gone, timeout=10_000)


def test_sliders_and_count_are_at_hand_while_correcting(correct: Any, segmented: Any, qtbot: Any) -> None:
    fits(correct.scroll, correct.sliders, correct.title, whole=True)
    for slider, far in ((correct.sliders.threshold.slider, 0.7), (correct.sliders.min_size.slider, 0.4)):
        qtbot.mouseClick(slider, LEFT, pos=QPoint(round(far * slider.width()), slider.height() // 2))
    cells = segmented.session.cells
    assert cells.threshold > 0.6 and cells.min_size > 100 and 0 < cells.count() < 16
    assert f": {cells.count()} cells" in correct.title.text()
    assert segmented.cells_section.threshold.value() == cells.threshold
    segmented.session.set_threshold(0.4)
    assert correct.sliders.threshold.value() == 0.4


def test_keys_act_wherever_the_focus_is_but_in_a_field(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:
    labels, session = layers_of(segmented).labels, segmented.session
    places = [cell_at(correct, row, 1)[1] for row in range(4)]
    holders = (correct.tools_section.buttons["fill"], correct.sliders.threshold.slider, segmented.model_section.model)
    for n, (holder, place) in enumerate(zip(holders, places, strict=False), start=1):
        open_dock(viewer, "segment" if holder is holders[-1] else "correct")
        move_to(viewer, qtbot, labels, place)
        holder.setFocus()
        qtbot.waitUntil(holder.hasFocus)
        qtbot.keyClick(holder, Qt.Key.Key_D)
        qtbot.waitUntil(lambda n=n: session.cells.n_erased == n)
    assert "Erased" in segmented.run_section.message.text(), "it is told in the panel that is in view"
    viewer.layers.selection.active = viewer.layers["discs"]
    move_to(viewer, qtbot, labels, places[3])
    press_key(viewer, qtbot, Qt.Key.Key_D)
    assert session.cells.n_erased == 4, "the image is selected: its cells are meant"
    field = segmented.cells_section.threshold.number
    field.setFocus()
    qtbot.keyClicks(field, "d")
    assert session.cells.n_erased == 4


def test_a_key_that_can_do_nothing_says_why(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:
    def said() -> str:
        return str(correct.tools_section.message.text())

    press_key(viewer, qtbot, Qt.Key.Key_K)
    assert "no draft" in said()
    viewer.add_labels(np.zeros((160, 160), np.uint8), name="other labels")
    press_key(viewer, qtbot, Qt.Key.Key_D)
    assert "holds no cells of an image" in said()
    viewer.add_image(draw_discs(4), name="not segmented")
    for key in (Qt.Key.Key_D, Qt.Key.Key_M, Qt.Key.Key_G, Qt.Key.Key_T):
        correct.tools_section.message.report("")
        press_key(viewer, qtbot, key)
        assert "Segment an image first" in said()
    shapes = viewer.add_shapes()
    press_key(viewer, qtbot, Qt.Key.Key_R)
    assert str(shapes.mode) == "add_rectangle", "napari's own key"


def test_new_cell_starts_the_brush_by_key_and_button(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:
    labels = layers_of(segmented).labels
    for start in (
        lambda: press_key(viewer, qtbot, Qt.Key.Key_M),
        lambda: qtbot.mouseClick(correct.tools_section.new_cell, LEFT),
    ):
        labels.mode = "pan_zoom"
        start()
        assert str(labels.mode) == "paint" and labels.selected_label not in labels.data


def test_the_canvas_has_the_focus_after_segment_and_cancel(
    segmented: Any, viewer: Any, network: Any, qtbot: Any
) -> None:
    canvas = canvas_of(viewer)
    assert canvas.hasFocus()
    network.go.clear()
    qtbot.mouseClick(segmented.run_section.segment, LEFT)
    qtbot.waitUntil(segmented.run_section.cancel.isEnabled)
    segmented.run_section.cancel.setFocus()
    qtbot.mouseClick(segmented.run_section.cancel, LEFT)
    network.go.set()
    qtbot.waitUntil(lambda: segmented.session.running is None)
    assert canvas.hasFocus()
