"""The guided walk, the reviewed area, and handing corrections on, in the real window."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt

from napari_cellseg.corrections import tools as edits
from napari_cellseg.evaluation.doubt_order import OFFERED
from napari_cellseg.gui.correct.correct_widget import CorrectWidget
from napari_cellseg.gui.correct.drafting import CAME_COLOR, Drafting
from napari_cellseg.gui.correct.review import Review
from napari_cellseg.gui.correct.reviewed_layer import ReviewedLayers
from napari_cellseg.gui.correct.tools import Tools
from napari_cellseg.gui.menus.writers import write_cells_csv
from napari_cellseg.gui.viewer.correcting import Correcting
from napari_cellseg.gui.viewer.doubting import Doubting
from napari_cellseg.imaging.normalize import NormalizerParams
from tests.models import make_model

from ..conftest import draw_discs, layers_of, press_segment, settled
from ..pointing import canvas_of, drag, labels_now, move_to, point_of, press_key
from .test_correct import cell_at, correct  # noqa: F401

LEFT = Qt.MouseButton.LeftButton


def walk(widget: Any, qtbot: Any) -> int:
    """Press Next, and return the cell that is looked at."""
    key = widget.session.chosen
    qtbot.waitUntil(lambda: widget.bench.part(Doubting).doubt_of(key) is not None, timeout=10_000)
    qtbot.mouseClick(widget.review_section.next, LEFT)
    return widget.bench.part(Review).current(key)


def test_the_walk_goes_by_doubt_and_answers_by_one_key(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:  # noqa: F811
    key, labels = correct.session.chosen, layers_of(segmented).labels
    first = walk(correct, qtbot)
    doubt = correct.bench.part(Doubting).doubt_of(key)
    assert first == doubt.order()[0]
    assert doubt.reason_of(first) in correct.review_section.why.text()
    box = correct.session.view_of(key).box(first)
    middle = [(part.start + part.stop - 1) / 2 for part in box]
    canvas = canvas_of(viewer)
    shown_at = point_of(viewer, labels, middle)
    assert abs(shown_at.x() - canvas.width() / 2) < 3 and abs(shown_at.y() - canvas.height() / 2) < 3
    press_key(viewer, qtbot, Qt.Key.Key_Y)
    assert correct.session.cells.corrected.corrections.how(first) == "accepted"
    second = correct.bench.part(Review).current(key)
    assert second == doubt.order()[1]
    press_key(viewer, qtbot, Qt.Key.Key_N)
    assert second not in labels_now(correct) and correct.session.cells.n_erased == 1
    third = correct.bench.part(Review).current(key)
    press_key(viewer, qtbot, Qt.Key.Key_C)
    assert labels.selected_label == third and str(labels.mode) == "paint"
    press_key(viewer, qtbot, Qt.Key.Key_G)
    fourth = correct.bench.part(Review).current(key)
    assert len({first, second, third, fourth}) == 4
    # The accepted and the third were looked at; the erased one is no cell any more.
    assert correct.bench.part(Review).progress(key) == (2, 15) and correct.session.cells.count() == 15
    assert correct.review_section.progress.format() == "looked at 2 of 15", "as many as the title counts"


def test_the_walk_ends(correct: Any, segmented: Any, qtbot: Any) -> None:  # noqa: F811
    key, seen = correct.session.chosen, [walk(correct, qtbot)]
    for _ in range(15):
        correct.review_section.next.click()
        seen.append(correct.bench.part(Review).current(key))
    assert len(set(seen)) == 16 and None not in seen
    correct.review_section.next.click()
    assert correct.bench.part(Review).current(key) is None
    assert correct.review_section.progress.format() == "looked at 16 of 16"
    assert not any("looked at" in layer.name for layer in correct.bench.viewer.layers)


def test_the_ring_leaves_no_layer_behind_and_the_cells_layer_active(
    correct: Any,  # noqa: F811
    segmented: Any,
    viewer: Any,
    qtbot: Any,
) -> None:
    walk(correct, qtbot)
    assert [layer.name for layer in viewer.layers][-1] == "discs cells looked at"
    assert viewer.layers.selection.active is layers_of(segmented).labels
    viewer.layers.remove(layers_of(segmented).labels)
    qtbot.waitUntil(lambda: not any("looked at" in layer.name for layer in viewer.layers))


def test_all_layers_can_be_removed_at_once(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:  # noqa: F811
    correct.bench.part(ReviewedLayers).show(True)
    walk(correct, qtbot)
    assert {"discs cells learned from", "discs cells looked at"} <= {layer.name for layer in viewer.layers}
    viewer.layers.select_all()
    viewer.layers.remove_selected()
    assert not len(viewer.layers)
    qtbot.wait(50)
    assert correct.session.cells is None and correct.bench.part(Review).progress(correct.session.chosen) == (0, 0)


def test_a_tool_is_put_down_when_its_layer_is_replaced(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:  # noqa: F811
    key = correct.session.chosen
    qtbot.mouseClick(correct.tools_section.buttons["delete"], LEFT)
    viewer.layers.remove(layers_of(segmented).labels)
    viewer.layers.selection.active = viewer.layers["discs"]
    press_segment(segmented, qtbot)
    assert key == correct.session.chosen and correct.bench.part(Tools).in_hand is None
    assert not correct.tools_section.buttons["delete"].isChecked()


def test_after_the_cells_come_places_where_one_was_missed(
    correct: Any,  # noqa: F811
    segmented: Any,
    viewer: Any,
    qtbot: Any,
) -> None:
    segmented.cells_section.threshold.setValue(0.72)
    settled(segmented, qtbot)
    walk(correct, qtbot)
    key, review, count = correct.session.chosen, correct.bench.part(Review), correct.session.cells.count()
    doubt = correct.bench.part(Doubting).doubt_of(key)
    faint = doubt.missed_ids[doubt.missed_score >= OFFERED].tolist()
    assert count < 16 and len(faint) >= 2
    for _ in range(count):
        assert review.missed(key) is None
        review.next()
    place = review.missed(key)
    assert place is not None and labels_now(correct)[place] == 0
    assert correct.review_section.right.isEnabled() and "missed" in correct.review_section.why.text()
    press_key(viewer, qtbot, Qt.Key.Key_Y)
    assert labels_now(correct)[place] == faint[0]
    assert correct.session.cells.corrected.corrections.how(faint[0]) == "added"
    place = review.missed(key)
    press_key(viewer, qtbot, Qt.Key.Key_N)
    assert place is not None and labels_now(correct)[place] == 0 and review.missed(key) != place
    assert correct.session.cells.n_changed == 1 and correct.session.cells.n_erased == 0
    for _ in faint:
        review.next()
    assert review.missed(key) is None and review.current(key) is None


def test_what_is_saved_from_the_layer_right_after_an_edit_is_what_it_shows(
    correct: Any,  # noqa: F811
    segmented: Any,
    viewer: Any,
    qtbot: Any,
    tmp_path: Path,
) -> None:
    labels = layers_of(segmented).labels
    id_, (y, x) = cell_at(correct, 3, 3)
    correct.session.edit(
        correct.session.chosen, edits.painted, (slice(y, y + 3), slice(x, x + 3)), np.zeros((3, 3), int)
    )
    known = labels.metadata["napari_cellseg"]
    assert known["corrections"] == {"changed": 1, "erased": 0} and known["count"] == 16
    (path,) = write_cells_csv(str(tmp_path / "cells.csv"), *labels.as_layer_data_tuple()[:2])
    with open(path, newline="") as file:
        areas = {int(row["index"]): int(row["area_px"]) for row in csv.DictReader(file)}
    assert areas[id_] == np.count_nonzero(labels.data == id_)


def test_table_has_the_doubt_and_colours_follow_it(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:  # noqa: F811
    key, labels = correct.session.chosen, layers_of(segmented).labels
    qtbot.waitUntil(lambda: "doubt" in labels.features, timeout=10_000)
    doubt = correct.bench.part(Doubting).doubt_of(key)
    assert np.allclose(labels.features["doubt"], doubt.column(np.asarray(labels.features["index"])))
    box = segmented.result_section.color_by
    box.setCurrentIndex(box.findData("doubt"))
    box.activated.emit(box.currentIndex())
    order = doubt.order()
    legend = segmented.result_section.color_key
    assert not legend.isHidden() and legend.text().startswith("sure") and "doubtful" in legend.text()
    darkest = min(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b, _ in map(labels.get_color, map(int, order)))
    assert darkest > 0.15, "no cell is nearly black"
    brightness = [float(np.sum(labels.get_color(int(id_))[:3])) for id_ in order]
    assert brightness[0] >= brightness[-1] and brightness[0] > min(brightness)
    correct.bench.part(Correcting).edit(key, edits.accept, [int(order[0])])
    qtbot.waitUntil(lambda: labels.features["doubt"][list(labels.features["index"]).index(order[0])] == 0, timeout=5000)
    box.setCurrentIndex(box.findData("id"))
    box.activated.emit(box.currentIndex())
    assert type(labels.colormap).__name__ == "CyclicLabelColormap"


def overlay_of(viewer: Any) -> np.ndarray:
    return viewer.layers["discs cells learned from"].data


def expected_overlay(widget: Any) -> np.ndarray:
    cells = widget.session.cells
    area = cells.corrected.reviewed_area(cells.threshold, cells.min_size)
    return np.where(area, np.where(cells.corrected.corrections.marks() > 0, 1, 2), 0)


def test_the_overlay_is_what_is_learned_from(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:  # noqa: F811
    labels = layers_of(segmented).labels
    qtbot.mouseClick(correct.area_section.show_area, LEFT)
    assert not overlay_of(viewer).any()
    _, place = cell_at(correct, 3, 3)
    viewer.layers.selection.active = labels
    move_to(viewer, qtbot, labels, place)
    press_key(viewer, qtbot, Qt.Key.Key_A)
    assert (overlay_of(viewer) == 2).any(), correct.tools_section.message.text()
    assert np.array_equal(overlay_of(viewer), expected_overlay(correct))
    qtbot.mouseClick(correct.area_section.rectangles, LEFT)
    drag(viewer, qtbot, labels, [(2, 2), (50, 70)])
    assert (overlay_of(viewer)[2:51, 2:71] == 1).all()
    assert np.array_equal(overlay_of(viewer), expected_overlay(correct))
    drag(viewer, qtbot, labels, [(10, 10), (20, 20)], Qt.KeyboardModifier.ShiftModifier)
    assert not overlay_of(viewer)[10:21, 10:21].any()
    qtbot.mouseClick(correct.area_section.brush, LEFT)
    drag(viewer, qtbot, labels, [(100, 20), (100, 60)])
    assert (overlay_of(viewer)[95:105, 20:60] == 1).all()
    assert np.array_equal(overlay_of(viewer), expected_overlay(correct))
    press_key(viewer, qtbot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not (overlay_of(viewer)[95:105, 20:60] == 1).any()
    segmented.cells_section.threshold.setValue(0.2)
    qtbot.waitUntil(lambda: np.array_equal(overlay_of(viewer), expected_overlay(correct)), timeout=5000)
    qtbot.mouseClick(correct.area_section.whole, LEFT)
    assert (overlay_of(viewer) == 1).all()
    qtbot.mouseClick(correct.area_section.nothing, LEFT)
    assert np.array_equal(overlay_of(viewer), expected_overlay(correct)) and not (overlay_of(viewer) == 1).any()
    assert correct.session.cells.n_changed == 1


def test_the_overlay_is_right_again_after_it_was_hidden(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:  # noqa: F811
    area, labels = correct.area_section, layers_of(segmented).labels

    def as_it_is_learned_from() -> bool:
        return np.array_equal(overlay_of(viewer), expected_overlay(correct))

    def marks() -> np.ndarray:
        return correct.session.cells.corrected.corrections.marks()

    for _ in range(2):
        qtbot.mouseClick(area.show_area, LEFT)
        qtbot.wait(400)
    _, place = cell_at(correct, 3, 3)
    viewer.layers.selection.active = labels
    move_to(viewer, qtbot, labels, place)
    press_key(viewer, qtbot, Qt.Key.Key_A)
    qtbot.mouseClick(area.show_area, LEFT)
    qtbot.waitUntil(as_it_is_learned_from, timeout=5000)
    assert (overlay_of(viewer) == 2).any()
    qtbot.mouseClick(area.whole, LEFT)
    qtbot.mouseClick(area.show_area, LEFT)
    qtbot.mouseClick(area.nothing, LEFT)
    qtbot.mouseClick(area.show_area, LEFT)
    qtbot.waitUntil(as_it_is_learned_from, timeout=5000)
    # Marks that were taken back while it was hidden do not come back by a stroke beside them.
    qtbot.mouseClick(area.whole, LEFT)
    qtbot.mouseClick(area.show_area, LEFT)
    qtbot.mouseClick(area.nothing, LEFT)
    qtbot.mouseClick(area.brush, LEFT)
    drag(viewer, qtbot, labels, [(30, 30), (120, 120)])
    assert marks()[60:90, 60:90].any() and not marks()[:60, 100:].any() and not marks()[100:, :60].any()
    qtbot.waitUntil(as_it_is_learned_from, timeout=5000)


def test_a_stroke_that_comes_before_the_overlay_takes_no_marks_away(
    correct: Any,  # noqa: F811
    segmented: Any,
    viewer: Any,
    qtbot: Any,
) -> None:
    correct.session.mark_reviewed(correct.session.chosen, (slice(0, 100), slice(0, 160)), True)
    qtbot.mouseClick(correct.area_section.brush, LEFT)
    drag(viewer, qtbot, layers_of(segmented).labels, [(30, 30), (130, 130)])
    marks = correct.session.cells.corrected.corrections.marks()
    assert marks[:100].all() and marks[125, 125] and not marks[155].any()
    qtbot.waitUntil(lambda: np.array_equal(overlay_of(viewer), expected_overlay(correct)), timeout=5000)


def test_export_and_import_bring_corrections_to_another_window(
    correct: Any,  # noqa: F811
    segmented: Any,
    viewer: Any,
    qtbot: Any,
    tmp_path: Path,
) -> None:
    key = correct.session.chosen
    id_, _ = cell_at(correct, 3, 3)
    gone, place = cell_at(correct, 3, 2)
    correct.bench.part(Correcting).edit(key, edits.accept, [id_])
    correct.bench.part(Correcting).edit(key, edits.delete, [gone])
    before = labels_now(correct)
    correct.keep_section.export_to(tmp_path / "mine.tif")
    qtbot.waitUntil(lambda: "Exported" in correct.tools_section.message.text(), timeout=5000)
    other = draw_discs() * 0.98
    viewer.add_image(other, name="again")
    press_segment(segmented, qtbot)
    assert correct.session.chosen != key and correct.session.cells.n_changed == 0
    correct.keep_section.import_from(tmp_path / "mine.tif")
    qtbot.waitUntil(lambda: correct.session.cells.n_changed == 1, timeout=5000)
    assert correct.session.cells.n_erased == 1
    after = labels_now(correct)
    mine = before == id_
    assert len(np.unique(after[mine])) == 1 and after[mine][0] and (after == after[mine][0]).sum() == mine.sum()
    assert after[place] == 0
    assert np.array_equal(layers_of(segmented).labels.data, after)


def test_a_file_of_another_size_is_refused_in_words(correct: Any, segmented: Any, qtbot: Any, tmp_path: Path) -> None:  # noqa: F811
    from napari_cellseg.imaging.write.write import write_labels

    write_labels(tmp_path / "small.tif", np.ones((8, 8), np.uint16))
    correct.keep_section.import_from(tmp_path / "small.tif")
    qtbot.waitUntil(lambda: segmented.session.state.kind == "failed", timeout=5000)
    assert "8" in segmented.session.state.sentence and correct.session.cells.n_changed == 0


def test_the_journal_line(correct: Any, segmented: Any, qtbot: Any) -> None:  # noqa: F811
    assert not correct.keep_section.folder.isEnabled()
    key = correct.session.chosen
    correct.bench.part(Correcting).edit(key, edits.accept, [cell_at(correct, 3, 3)[0]])
    qtbot.waitUntil(lambda: correct.keep_section.saved.text().startswith("Saved"), timeout=5000)
    assert correct.session.saved(key).path.is_file() and correct.keep_section.folder.isEnabled()


def test_all_fits_without_scrolling(correct: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:  # noqa: F811
    from qtpy.QtWidgets import QScrollArea

    walk(correct, qtbot)
    qtbot.wait(100)
    area = correct.findChild(QScrollArea)
    assert area.verticalScrollBar().maximum() == 0
    assert area.widget().minimumSizeHint().width() <= area.viewport().width()


def test_settled_after_a_slider(correct: Any, segmented: Any, qtbot: Any) -> None:  # noqa: F811
    """A cell that the walk stands at and that a slider drops is not looked at any more."""
    key, id_ = correct.session.chosen, walk(correct, qtbot)
    segmented.cells_section.min_size.setValue(10_000_000)
    settled(segmented, qtbot)
    assert correct.bench.part(Review).current(key) is None and not correct.review_section.right.isEnabled()
    segmented.cells_section.min_size.setValue(0)
    settled(segmented, qtbot)
    assert correct.bench.part(Review).current(key) == id_


def test_a_draft_is_shown_and_kept_or_dropped_by_one_key(widget: Any, viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    model = make_model(tmp_path / "mine")
    widget.model_section.choose_folder(str(model.path))
    viewer.add_image(draw_discs(), name="discs")
    press_segment(widget, qtbot)
    panel = CorrectWidget(viewer)
    viewer.window.add_dock_widget(panel)
    qtbot.waitUntil(panel.isVisible)
    viewer.reset_view()
    session, drafting, layers = widget.session, widget.bench.part(Drafting), layers_of(widget)
    press_key(viewer, qtbot, Qt.Key.Key_T)
    qtbot.waitUntil(lambda: not drafting.busy, timeout=30_000)
    assert not drafting.proposed and "nothing to learn" in panel.tools_section.message.text()
    rows, columns = np.mgrid[:160, :160]
    discs = draw_discs() > 0.4
    session.edit(session.chosen, edits.import_labels, np.where(discs, 1 + rows // 40 * 4 + columns // 40, 0))
    claims, before = session.cells.corrected.corrections.claims().copy(), session.cells.segmented.prediction
    widget.cells_section.threshold.setValue(0.45)
    settled(widget, qtbot)
    for key, kept in ((Qt.Key.Key_U, False), (Qt.Key.Key_K, True)):
        press_key(viewer, qtbot, Qt.Key.Key_T)
        qtbot.waitUntil(lambda: drafting.proposed, timeout=30_000)
        assert "Draft from" in panel.tools_section.message.text() and not panel.keep_section.keep_draft.isHidden()
        assert [layer.name for layer in viewer.layers if "draft" in layer.name] == ["discs cells draft"]
        key_to_colors = panel.keep_section.draft_key
        assert key_to_colors.isVisible() and all(word in key_to_colors.text() for word in ("added", "go", CAME_COLOR))
        assert layers.labels.opacity < 0.3 < viewer.layers["discs cells draft"].opacity, "what stays stands back"
        press_key(viewer, qtbot, key)
        assert not drafting.proposed and not [layer for layer in viewer.layers if "draft" in layer.name]
        assert (session.cells.segmented.prediction is not before) == kept
        assert layers.labels.opacity == 0.5 and key_to_colors.isHidden()
    assert session.cells.threshold == 0.45
    assert "refitted" in " ".join(session.cells.result().metadata["notes"])
    assert np.array_equal(labels_now(panel)[claims > 0], claims[claims > 0])
    assert np.array_equal(layers.labels.data, labels_now(panel))
    # Normalised in another way the image is another one to the network.
    seen = drafting._features[1].covariance
    other = replace(session.cells.segmented.recipe, normalizer=NormalizerParams(low=20.0, high=90.0))
    widget.bench.segment(viewer.layers["discs"], other)
    qtbot.waitUntil(lambda: session.running is None, timeout=20_000)
    press_key(viewer, qtbot, Qt.Key.Key_T)
    qtbot.waitUntil(lambda: drafting.proposed, timeout=30_000)
    assert not np.allclose(drafting._features[1].covariance, seen)
    # It is large, and goes with its image.
    viewer.layers.remove(viewer.layers["discs"])
    assert drafting._features is None


def test_the_button_adds_what_the_overlay_shows_to_the_training_set(
    plugin: None,
    correct: Any,  # noqa: F811
    segmented: Any,
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: Any,
) -> None:
    from napari_cellseg.gui.train.job import TrainJob
    from napari_cellseg.training.data.training_set import TrainingSet

    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path))
    TrainJob.for_bench(correct.bench).folder = tmp_path / "set"
    correct.bench.part(Correcting).edit(correct.session.chosen, edits.accept, [cell_at(correct, 3, 3)[0]])
    qtbot.mouseClick(correct.keep_section.add, LEFT)
    qtbot.waitUntil(lambda: "Added" in correct.tools_section.message.text(), timeout=10_000)
    sample = TrainingSet.open(tmp_path / "set").read("discs")
    assert np.array_equal(sample.reviewed, expected_overlay(correct) > 0)
    assert np.array_equal(sample.labels > 0, labels_now(correct) > 0)
