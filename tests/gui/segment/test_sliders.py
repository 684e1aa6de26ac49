"""The two sliders in the real window: what is counted is what is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

import napari_cellseg
from napari_cellseg.gui.viewer.count_points import DOT_ROOM, MAX_NUMBERS, NUMBER_ROOM
from napari_cellseg.gui.viewer.following import Following
from napari_cellseg.imaging.read.read import read_image
from napari_cellseg.network.versions import load_model

from ..conftest import draw_discs, layers_of, press_segment, settled
from ..fitting import clipped
from ..pointing import move_to

LEFT = Qt.MouseButton.LeftButton
NO_KEY = Qt.KeyboardModifier.NoModifier


def shown_count(widget: Any) -> int:
    return int(widget.cells_section.count.text().split()[0].replace(",", ""))


def ids_on_screen(widget: Any) -> set[int]:
    return set(np.unique(layers_of(widget).labels.data)) - {0}


def test_first_result_has_labels_points_and_table(segmented: Any, viewer: Any, qtbot: Any) -> None:
    labels, points = layers_of(segmented).labels, layers_of(segmented).points
    assert [layer.name for layer in viewer.layers] == ["discs", "discs cells", "discs counts"]
    assert labels.data.dtype == np.uint16
    n = segmented.session.cells.count()
    assert n == 16 == shown_count(segmented) == len(ids_on_screen(segmented)) == len(points.data)
    assert list(labels.features["index"]) == sorted(ids_on_screen(segmented))
    assert list(points.features["index"]) == list(labels.features["index"]) and "number" not in labels.features
    ids = [str(id_) for id_ in labels.features["index"]]
    qtbot.waitUntil(lambda: list(points._view_text) == ids, timeout=5000)  # a cell's number is its id
    for name in ("area_px", "centroid_y", "centroid_x", "mean_probability", "mean_intensity"):
        assert name in labels.features
    assert labels.metadata["napari_cellseg"]["count"] == points.metadata["napari_cellseg"]["count"] == n
    for row, (y, x) in enumerate(points.data):
        assert labels.data[round(y), round(x)] == labels.features["index"][row]


def test_dragging_with_the_mouse(segmented: Any, qtbot: Any) -> None:
    slider = segmented.cells_section.threshold.slider
    before = ids_on_screen(segmented)
    y, start, end = slider.height() // 2, int(slider.width() * 0.3), int(slider.width() * 0.8)
    QTest.mousePress(slider, LEFT, NO_KEY, QPoint(start, y))
    assert segmented.bench.part(Following).dragging
    counts = []
    for x in range(start, end, 8):
        QTest.mouseMove(slider, QPoint(x, y))
        qtbot.wait(5)
        counts.append(shown_count(segmented))
        assert counts[-1] == segmented.session.cells.count()
    QTest.mouseRelease(slider, LEFT, NO_KEY, QPoint(end, y))
    assert counts == sorted(counts, reverse=True) and counts[-1] < counts[0]
    # On release the whole label image is finished at once; the table follows from a thread.
    assert not segmented.bench.part(Following).dragging
    assert len(ids_on_screen(segmented)) == shown_count(segmented) == segmented.session.cells.count()
    assert ids_on_screen(segmented) <= before
    settled(segmented, qtbot)
    layers = layers_of(segmented)
    assert len(layers.points.data) == len(layers.labels.features) == shown_count(segmented)
    assert set(layers.points.features["index"]) == ids_on_screen(segmented)


def test_while_a_large_image_is_dragged_the_picture_is_that_of_the_slider(
    widget: Any, viewer: Any, network: Any, qtbot: Any
) -> None:
    """Only the pixels that change are written and handed to the screen, also where the image is turned."""
    viewer.add_image(draw_discs(100, 1500), name="large")
    press_segment(widget, qtbot)
    labels, slider = layers_of(widget).labels, widget.cells_section.threshold.slider
    y, start = slider.height() // 2, int(slider.width() * 0.5)
    for order in ((0, 1), (1, 0)):
        viewer.dims.order = order
        QTest.mousePress(slider, LEFT, NO_KEY, QPoint(start, y))
        for x in (start + 3, start + 6, start + 9, start - 6, start + 1):
            QTest.mouseMove(slider, QPoint(x, y))
            qtbot.wait(80)
        cells = widget.session.cells
        np.testing.assert_array_equal(labels.data, cells.corrected.labels(cells.threshold, cells.min_size))
        assert layers_of(widget)._live.move(cells.threshold, cells.min_size) is not None, "it goes by pixels"
        shown = viewer.screenshot(canvas_only=True, flash=False)
        labels.refresh()
        np.testing.assert_array_equal(shown, viewer.screenshot(canvas_only=True, flash=False))
        QTest.mouseRelease(slider, LEFT, NO_KEY, QPoint(start, y))
    settled(widget, qtbot)


def test_cells_come_back_with_their_ids(segmented: Any, qtbot: Any) -> None:
    before = layers_of(segmented).labels.data.copy()
    segmented.cells_section.threshold.setValue(0.9)
    settled(segmented, qtbot)
    assert shown_count(segmented) < 16
    segmented.cells_section.threshold.setValue(0.3)
    settled(segmented, qtbot)
    assert np.array_equal(layers_of(segmented).labels.data, before)


def test_the_number_shown_is_the_number_used(segmented: Any, qtbot: Any) -> None:
    threshold, session = segmented.cells_section.threshold, segmented.session
    session.set_threshold(0.4375)
    assert threshold.number.text() == "0.4375" and threshold.value() == 0.4375
    threshold.number.stepUp()
    assert session.cells.threshold == 0.4475 and threshold.number.text() == "0.4475"
    session.set_threshold(0.5)
    assert threshold.number.text() == "0.500"
    threshold.number.setFocus()
    threshold.number.selectAll()
    qtbot.keyClicks(threshold.number, "0.43751")
    qtbot.keyClick(threshold.number, Qt.Key.Key_Return)
    assert session.cells.threshold == 0.4375 and threshold.number.text() == "0.4375"
    segmented.cells_section.min_size.setValue(12)
    assert segmented.cells_section.min_size.number.text() == "12 px"


def test_typing_a_number(segmented: Any, qtbot: Any) -> None:
    number = segmented.cells_section.min_size.number
    number.setFocus()
    number.selectAll()
    qtbot.keyClicks(number, "600")
    qtbot.keyClick(number, Qt.Key.Key_Return)
    assert segmented.cells_section.min_size.value() == 600 == segmented.session.cells.min_size
    settled(segmented, qtbot)
    areas = np.bincount(layers_of(segmented).labels.data.ravel())[1:]
    assert areas[areas > 0].min() >= 600 and np.count_nonzero(areas) == shown_count(segmented)
    assert layers_of(segmented).labels.features["area_px"].min() >= 600


def test_clicking_the_curve_sets_the_threshold(segmented: Any, qtbot: Any) -> None:
    curve = segmented.cells_section.curve
    qtbot.mouseClick(curve, LEFT, pos=QPoint(round(curve.x_of(0.7)), 40))
    assert abs(segmented.session.cells.threshold - 0.7) < 0.01
    assert abs(segmented.cells_section.threshold.slider.value() / 1000 - 0.7) < 0.01
    settled(segmented, qtbot)
    assert curve.count == shown_count(segmented) == len(ids_on_screen(segmented))


def test_the_curve_is_the_count_at_every_threshold(segmented: Any, viewer: Any, qtbot: Any) -> None:
    viewer.add_image(draw_discs(25), name="more")
    press_segment(segmented, qtbot)
    curve, cells = segmented.cells_section.curve, segmented.session.cells
    for threshold, count in zip(curve.thresholds[::16], curve.counts[::16], strict=True):
        assert cells.segmented.instances.count(float(threshold), cells.min_size) == count
    low, high = curve.stretch
    assert f"{low:.2f}" in segmented.cells_section.threshold.hint.text()
    assert f"{high:.2f}" in segmented.cells_section.threshold.hint.text()


def test_undo_after_a_slider_paints_nothing_old(segmented: Any, viewer: Any, qtbot: Any) -> None:
    labels = layers_of(segmented).labels
    viewer.layers.selection.active = labels
    segmented.cells_section.threshold.setValue(0.8)
    settled(segmented, qtbot)
    expected = labels.data.copy()
    canvas = viewer.window._qt_viewer.canvas.native
    control, shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
    for keys in (control, control | shift):
        qtbot.keyClick(canvas, Qt.Key.Key_Z, keys)
        qtbot.wait(30)
    assert np.array_equal(labels.data, expected)
    assert len(ids_on_screen(segmented)) == shown_count(segmented)


def test_undo_of_a_stroke_made_before_a_slider_moved(segmented: Any, viewer: Any, qtbot: Any) -> None:
    labels = layers_of(segmented).labels
    labels.paint((5, 5), 77)
    mine = labels.data == 77
    segmented.cells_section.threshold.setValue(0.8)
    settled(segmented, qtbot)
    assert layers_of(segmented).labels is labels and mine.any() and np.array_equal(labels.data == 77, mine)
    viewer.layers.selection.active = labels
    qtbot.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.wait(30)
    cells = segmented.session.cells
    assert np.array_equal(labels.data, cells.segmented.instances.labels(cells.threshold, cells.min_size))


def test_hand_edits_are_counted_and_never_lost(segmented: Any, viewer: Any, qtbot: Any) -> None:
    labels = layers_of(segmented).labels
    place = (int(labels.features["centroid_y"][3]), int(labels.features["centroid_x"][3]))
    labels.fill(place, 0)
    assert shown_count(segmented) == 15
    section = segmented.cells_section
    assert "1 corrected" in section.details.text() and "1 erased" in section.details.toolTip()
    assert not clipped(segmented)
    # As it is where there are many of them.
    section.count.setText("12,345 cells")
    section.details.setText("12,345 corrected\n⌀ 29 px = 28.6 µm")
    qtbot.wait(20)
    assert not clipped(segmented)
    labels.paint((5, 5), labels.selected_label)
    assert shown_count(segmented) == 16
    result = segmented.session.cells.result()
    assert result.count == 16 and np.array_equal(result.labels, labels.data)
    mine = labels.data == labels.data[5, 5]
    for threshold in (0.31, 0.0):
        segmented.cells_section.threshold.setValue(threshold)
        settled(segmented, qtbot)
        assert labels.data[place] == 0 and np.array_equal(labels.data == labels.data[5, 5], mine)
    segmented.cells_section.min_size.setValue(10_000_000)
    settled(segmented, qtbot)
    assert shown_count(segmented) == 1 == len(ids_on_screen(segmented))


def test_several_images_keep_their_own_results(segmented: Any, viewer: Any, qtbot: Any) -> None:
    segmented.cells_section.threshold.setValue(0.7)
    settled(segmented, qtbot)
    first = (segmented.session.chosen, shown_count(segmented))
    viewer.add_image(draw_discs(9), name="nine")
    assert segmented.cells_section.count.text() == "– cells" and not segmented.cells_section.isEnabled()
    press_segment(segmented, qtbot)
    assert shown_count(segmented) == 9
    segmented.cells_section.min_size.setValue(500)
    settled(segmented, qtbot)
    viewer.layers.selection.active = viewer.layers["discs counts"]
    assert segmented.session.chosen == first[0] and shown_count(segmented) == first[1]
    assert segmented.cells_section.threshold.value() == 0.7 and segmented.cells_section.min_size.value() == 10
    assert len(ids_on_screen(segmented)) == first[1]


def test_toggles(segmented: Any, viewer: Any, qtbot: Any) -> None:
    layers = layers_of(segmented)
    segmented.result_section.show_numbers.click()
    segmented.result_section.outlines.click()
    assert not layers.points.visible and layers.labels.contour == 2
    segmented.cells_section.threshold.setValue(0.6)
    settled(segmented, qtbot)
    assert layers.labels.contour == 2
    viewer.add_image(draw_discs(9), name="nine")
    press_segment(segmented, qtbot)
    assert not layers_of(segmented).points.visible and layers_of(segmented).labels.contour == 2


def drawn_on_screen(viewer: Any, points: Any) -> tuple[np.ndarray, np.ndarray]:
    """Places of the numbers and of the dots that are drawn, in pixels of the screen."""
    zoom = viewer.scene.camera.zoom
    dots = points.data[points._view_face_color[:, 3] > 0] * zoom
    numbers = points.data[np.isin(points.features["index"], points._view_text.astype(int))] * zoom
    return numbers, dots


def closest(places: np.ndarray, room: tuple[float, float]) -> float:
    """Smallest distance of two places along the axis on which they are farther apart, as a part of the room."""
    apart = (np.abs(places[:, None] - places[None]) / room).max(axis=2)
    return float(apart[~np.eye(len(places), dtype=bool)].min())


def test_dots_and_numbers_thin_out_where_there_is_no_room(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    viewer.add_image(draw_discs(4900, 1250), name="many")
    press_segment(widget, qtbot)
    points, labels = layers_of(widget).points, layers_of(widget).labels
    qtbot.waitUntil(lambda: 1 < len(points._view_text) <= MAX_NUMBERS, timeout=5000)
    numbers, dots = drawn_on_screen(viewer, points)
    assert len(numbers) < len(dots) < 4900 == len(points.data)
    assert closest(numbers, NUMBER_ROOM) >= 1 and closest(dots, DOT_ROOM) >= 1
    hidden = next(id_ for id_ in points.features["index"] if str(id_) not in points._view_text)
    place = labels.features.set_index("index").loc[hidden, ["centroid_y", "centroid_x"]]
    move_to(viewer, qtbot, labels, tuple(place))
    qtbot.waitUntil(lambda: str(hidden) in points._view_text, timeout=5000)
    viewer.scene.camera.zoom *= 12
    corners = np.asarray(points.corner_pixels)
    qtbot.waitUntil(lambda: points.dots_in_view().sum() == len(points._view_text) > 1, timeout=5000)
    corners = np.asarray(points.corner_pixels)
    in_view = ((points.data >= corners[0]) & (points.data <= corners[1])).all(axis=1)
    wanted = points.features["index"][in_view].astype(str).tolist()
    assert [text for text in points._view_text if text in wanted] == wanted, "near enough all have theirs"
    assert points.as_layer_data_tuple()[2] == "points"
    assert len(points._view_text_coords[0]) == len(points._view_text)


def test_outlines_with_numbers_are_one_click(segmented: Any, viewer: Any, qtbot: Any) -> None:
    layers = layers_of(segmented)
    QTest.mouseClick(segmented.result_section.outlines, Qt.MouseButton.LeftButton, pos=QPoint(8, 8))
    points = layers.points
    qtbot.waitUntil(lambda: len(points._view_text) == 16, timeout=5000)
    assert layers.labels.contour == 2 and points.visible
    assert not points._view_face_color[:, 3].any() and str(points.text.anchor) == "center"
    QTest.mouseClick(segmented.result_section.outlines, Qt.MouseButton.LeftButton, pos=QPoint(8, 8))
    assert layers.labels.contour == 0 and points._view_face_color[:, 3].all()


def test_the_smallest_size_starts_where_it_suits_the_image(widget: Any, viewer: Any, qtbot: Any) -> None:
    """Small cells are not left out, with the network that ships; what a person chooses stays."""
    sample = read_image(Path(napari_cellseg.__file__).parent / "samples" / "fluorescence.png").plane()[:200, :200]
    small = sample.reshape(50, 4, 50, 4).mean(axis=(1, 3)).astype(np.uint8)
    usual = load_model("cells").min_size
    for name, picture in (("small", small), ("large", sample)):
        viewer.add_image(picture, name=name)
        press_segment(widget, qtbot)
        cells = widget.session.cells
        assert cells.segmented.recipe.min_size is None and widget.session.recipe_shown().resolved().fit_min_size
        assert cells.min_size == widget.cells_section.min_size.value() == cells.segmented.min_size
        assert cells.min_size == usual if name == "large" else 4 <= cells.min_size < usual
    number = widget.cells_section.min_size.number
    number.setFocus()
    number.selectAll()
    qtbot.keyClicks(number, "60")
    qtbot.keyClick(number, Qt.Key.Key_Return)
    chosen = widget.session.recipe_shown().resolved()
    assert (chosen.min_size, chosen.fit_min_size) == (60, False)
    press_segment(widget, qtbot)
    assert widget.session.cells.min_size == 60 == widget.cells_section.min_size.value()
