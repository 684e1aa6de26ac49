"""Segment and Cancel in the real window, and everything that can go wrong in between."""

from __future__ import annotations

import gc
import shutil
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari._qt.widgets.qt_progress_bar import QtLabeledProgressBar
from napari.utils import progress
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLabel

from napari_cellseg.gui.batch.batch_widget import BatchWidget
from napari_cellseg.gui.check.check_widget import AgreementWidget
from napari_cellseg.gui.correct.correct_widget import CorrectWidget
from napari_cellseg.gui.segment.segment_widget import SegmentWidget
from napari_cellseg.gui.shared.activity import Activity
from napari_cellseg.gui.shared.progress_bar import N_STEPS, ProgressBar
from napari_cellseg.gui.train.train_widget import TrainWidget
from napari_cellseg.gui.viewer.benches import bench_of
from napari_cellseg.imaging.errors import CellsegError
from tests.models import make_model

from ..conftest import draw_discs, layers_of, press_segment

LEFT = Qt.MouseButton.LeftButton


def message(widget: SegmentWidget) -> str:
    return widget.run_section.message.text()


def lines_of(title: str) -> list[progress]:
    """Lines in napari's activity dock."""
    return [line for line in progress._all_instances if title in line.desc]


def test_object_names(widget: SegmentWidget) -> None:
    from qtpy.QtWidgets import QWidget

    names = "image_layer model device segment cancel threshold min_size count channel open_images save table"
    for name in f"{names} show_numbers outlines color_by copy_command progress message preview".split():
        control = widget.findChild(QWidget, name)
        assert control is not None, name
        assert control.toolTip() or name in ("message",), name


def test_asleep_until_there_is_a_result(widget: SegmentWidget, viewer: Any) -> None:
    assert "Open an image" in message(widget)
    assert not widget.cells_section.isEnabled() and not widget.result_section.isEnabled()
    viewer.add_image(draw_discs(), name="discs")
    assert "Press Segment" in message(widget)


def test_progress_here_and_in_the_activity_dock(widget: SegmentWidget, viewer: Any, network: Any, qtbot: Any) -> None:
    viewer.add_image(draw_discs(), name="discs")
    network.go.clear()
    qtbot.mouseClick(widget.run_section.segment, LEFT)
    qtbot.waitUntil(lambda: "Looking at tiles" in message(widget), timeout=5000)
    assert not widget.run_section.segment.isEnabled() and widget.run_section.cancel.isEnabled()
    qtbot.waitUntil(lambda: bool(lines_of("discs")), timeout=5000)
    # napari's sign of running work paints the whole window with every picture: few a second are enough.
    [sign] = [label.movie() for label in viewer.window._qt_window.statusBar().findChildren(QLabel) if label.movie()]
    qtbot.waitUntil(lambda: sign.nextFrameDelay() >= 400, timeout=5000)
    network.go.set()
    qtbot.waitUntil(lambda: widget.session.cells is not None, timeout=10_000)
    assert not lines_of("discs")
    assert widget.run_section.progress.format() == "ran on CPU"
    assert "ran on: CPU (float32)" in widget.run_section.progress.toolTip()
    assert widget.run_section.segment.isEnabled() and not widget.run_section.cancel.isEnabled()


def test_cancel_in_the_activity_dock(widget: SegmentWidget, viewer: Any, network: Any, qtbot: Any) -> None:
    viewer.add_image(draw_discs(), name="discs")
    network.go.clear()
    qtbot.mouseClick(widget.run_section.segment, LEFT)
    qtbot.waitUntil(lambda: bool(lines_of("discs")), timeout=5000)
    [line] = viewer.window._qt_window._activity_dialog.findChildren(QtLabeledProgressBar)
    qtbot.mouseClick(line.cancel_button, LEFT)
    qtbot.waitUntil(lambda: widget.session.running is None, timeout=5000)
    assert "Cancelled" in message(widget) and not lines_of("discs")
    network.go.set()
    qtbot.wait(100)
    assert widget.session.cells is None and len(viewer.layers) == 1


def test_work_that_ends_while_its_line_is_drawn_leaves_none(viewer: Any, qtbot: Any) -> None:
    activity = Activity("quick work", lambda: None, after_ms=0)
    while_drawing: list[bool] = []

    def end(_: Any) -> None:
        while_drawing.append(activity._drawing)
        progress._all_instances.events.changed.disconnect(end)
        activity.close()

    # napari handles events in the midst of drawing the line: the work may end there.
    progress._all_instances.events.changed.connect(end)
    qtbot.waitUntil(lambda: bool(while_drawing), timeout=5000)
    qtbot.wait(100)
    assert while_drawing == [True] and not lines_of("quick")
    assert not viewer.window._qt_window._activity_dialog.findChildren(QtLabeledProgressBar)


def test_two_presses_run_once(widget: SegmentWidget, viewer: Any, network: Any, qtbot: Any) -> None:
    viewer.add_image(draw_discs(), name="discs")
    network.go.clear()
    for _ in range(3):
        qtbot.mouseClick(widget.run_section.segment, LEFT)
        widget.segment()
    network.go.set()
    qtbot.waitUntil(lambda: widget.session.cells is not None, timeout=10_000)
    qtbot.wait(100)
    assert network.runs == 1 and len(viewer.layers) == 3


def test_cancel_leaves_everything_as_it_was(segmented: SegmentWidget, viewer: Any, network: Any, qtbot: Any) -> None:
    before, names = layers_of(segmented).labels.data.copy(), [layer.name for layer in viewer.layers]
    network.go.clear()
    qtbot.mouseClick(segmented.run_section.segment, LEFT)
    qtbot.waitUntil(lambda: network.runs == 2, timeout=5000)
    qtbot.mouseClick(segmented.run_section.cancel, LEFT)
    assert segmented.session.running is None and "Cancelled" in message(segmented)
    network.go.set()
    qtbot.wait(200)
    assert [layer.name for layer in viewer.layers] == names
    assert np.array_equal(layers_of(segmented).labels.data, before)
    press_segment(segmented, qtbot)
    assert network.runs == 3 and [layer.name for layer in viewer.layers] == names


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), CellsegError("The model is odd. Choose another.")])
def test_an_error_is_said_and_the_window_works_on(
    widget: SegmentWidget, viewer: Any, network: Any, qtbot: Any, error: Exception
) -> None:
    viewer.add_image(draw_discs(), name="discs")
    network.error = error
    press_segment(widget, qtbot)
    assert widget.session.state.kind == "failed" and str(error) in message(widget)
    network.error = None
    press_segment(widget, qtbot)
    assert widget.session.cells is not None


def test_the_image_is_removed_during_prediction(widget: SegmentWidget, viewer: Any, network: Any, qtbot: Any) -> None:
    layer = viewer.add_image(draw_discs(), name="discs")
    network.go.clear()
    qtbot.mouseClick(widget.run_section.segment, LEFT)
    qtbot.waitUntil(lambda: network.runs == 1, timeout=5000)
    viewer.layers.remove(layer)
    assert widget.session.running is None and "Open an image" in message(widget)
    network.go.set()
    qtbot.wait(200)
    assert not viewer.layers


def test_the_image_is_replaced_during_prediction(widget: SegmentWidget, viewer: Any, network: Any, qtbot: Any) -> None:
    layer = viewer.add_image(draw_discs(), name="discs")
    network.go.clear()
    qtbot.mouseClick(widget.run_section.segment, LEFT)
    qtbot.waitUntil(lambda: network.runs == 1, timeout=5000)
    layer.data = draw_discs(4, 100)
    network.go.set()
    qtbot.wait(200)
    assert widget.session.cells is None and len(viewer.layers) == 1
    assert "100 × 100" in widget.input_section.facts.text()
    press_segment(widget, qtbot)
    assert layers_of(widget).labels.data.shape == (100, 100)


def test_the_viewer_is_closed_during_prediction(make_napari_viewer: Any, network: Any, qtbot: Any) -> None:
    viewer = make_napari_viewer(show=True)
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget)
    viewer.add_image(draw_discs(), name="discs")
    network.go.clear()
    qtbot.mouseClick(widget.run_section.segment, LEFT)
    qtbot.waitUntil(lambda: network.runs == 1, timeout=5000)
    bench = widget.bench
    viewer.close()
    assert bench.session.running is None
    qtbot.wait(100)
    from qtpy.QtCore import QThreadPool

    # The worker saw that nobody wants its answer any more, although the network was never let go.
    assert QThreadPool.globalInstance().waitForDone(5000)


def test_a_closed_viewer_is_not_kept_alive(make_napari_viewer: Any, network: Any, qtbot: Any) -> None:
    from qtpy.QtCore import QThreadPool

    viewer = make_napari_viewer(show=True)
    docks = [kind(viewer) for kind in (SegmentWidget, CorrectWidget, TrainWidget, BatchWidget, AgreementWidget)]
    for dock in docks:
        viewer.window.add_dock_widget(dock)
        qtbot.wait(50)
    viewer.add_image(draw_discs(), name="discs")
    press_segment(docks[0], qtbot)
    assert layers_of(docks[0]).labels in viewer.layers
    kept = [weakref.ref(docks[0].bench), weakref.ref(docks[0].session), weakref.ref(viewer)]
    viewer.close()
    del docks, dock, viewer
    assert QThreadPool.globalInstance().waitForDone(60_000)
    qtbot.wait(400)
    gc.collect()
    assert [ref() for ref in kept] == [None, None, None]


def test_removing_the_labels_layer_puts_the_sliders_to_sleep(segmented: SegmentWidget, viewer: Any) -> None:
    viewer.layers.remove(layers_of(segmented).labels)
    assert segmented.session.cells is None and not segmented.cells_section.isEnabled()
    assert "Press Segment" in message(segmented)


def test_numbers_go_with_their_cells_however_these_are_deleted(segmented: Any, viewer: Any, qtbot: Any) -> None:
    layers, window = viewer.layers, viewer.window._qt_viewer
    ways = {
        "the key in the layer list": lambda: QTest.keyClick(window.layers, Qt.Key.Key_Delete),
        "the button": lambda: QTest.mouseClick(window.layerButtons.deleteButton, LEFT),
        "a script": lambda: layers.remove(layers.selection.active),
        "a script that clears": layers.clear,
        "all that is selected": lambda: (layers.select_all(), layers.remove_selected()),
        "the image before": lambda: (layers.remove("discs"), qtbot.wait(50), layers.remove("discs cells")),
        "numbers before": lambda: (layers.remove("discs counts"), qtbot.wait(50), layers.remove("discs cells")),
    }
    for way, delete in ways.items():
        assert [layer.name for layer in layers] == ["discs", "discs cells", "discs counts"]
        assert layers.selection.active is layers_of(segmented).labels
        delete()
        qtbot.waitUntil(lambda: {layer.name for layer in layers} <= {"discs"}, timeout=2000)
        assert segmented.session.cells is None, way
        # What was freed wrongly would end napari when the next layers are drawn.
        qtbot.wait(50)
        if not len(layers):
            viewer.add_image(draw_discs(), name="discs")
        press_segment(segmented, qtbot)
        viewer.screenshot(canvas_only=True, flash=False)


def test_renaming_follows(segmented: SegmentWidget, viewer: Any, qtbot: Any) -> None:
    correct = CorrectWidget(viewer)
    viewer.window.add_dock_widget(correct)
    assert correct.title.text() == "discs: 16 cells"
    viewer.layers["discs"].name = "nuclei"
    assert correct.title.text() == "nuclei: 16 cells"
    assert segmented.image_section.image_layer.currentText() == "nuclei"
    viewer.layers["discs cells"].name = "anything"
    segmented.cells_section.threshold.setValue(0.9)
    qtbot.wait(400)
    assert len(np.unique(viewer.layers["anything"].data)) - 1 == segmented.session.cells.count()


def test_no_image(widget: SegmentWidget, qtbot: Any) -> None:
    press_segment(widget, qtbot)
    assert "There is no image" in message(widget) and widget.session.state.kind == "failed"


def test_a_labels_layer_is_not_an_image(widget: SegmentWidget, viewer: Any, qtbot: Any) -> None:
    viewer.add_labels(np.ones((8, 8), int), name="mine")
    assert widget.image_section.image_layer.findText("mine") == -1
    press_segment(widget, qtbot)
    assert "'mine' is a labels layer" in message(widget) and "Choose an image layer" in message(widget)


def test_axes_are_asked_for_and_never_guessed(widget: SegmentWidget, viewer: Any, network: Any, qtbot: Any) -> None:
    stack = np.stack([np.zeros((160, 160), np.float32), draw_discs(9)])
    viewer.add_image(stack, name="two")
    press_segment(widget, qtbot)
    assert widget.session.state.kind == "failed" and "axes" in message(widget).lower()
    box = widget.input_section.axes_box
    assert box.isVisible()
    box.setCurrentIndex(box.findData("CYX"))
    box.activated.emit(box.currentIndex())
    channel = widget.input_section.channel
    assert channel.isVisible() and channel.count() == 3
    channel.setCurrentIndex(1)
    channel.activated.emit(1)
    press_segment(widget, qtbot)
    assert widget.session.cells.count() == 9
    assert layers_of(widget).labels.data.shape == (160, 160)


@pytest.mark.parametrize("damage", ["missing", "truncated", "pickle"])
def test_a_damaged_model_is_said(widget: SegmentWidget, viewer: Any, qtbot: Any, tmp_path: Path, damage: str) -> None:
    model = make_model(tmp_path / "mine")
    widget.model_section.choose_folder(str(model.path))
    assert widget.session.recipe_asked().model == str(model.path)
    if damage == "missing":
        shutil.rmtree(model.path)
    elif damage == "truncated":
        model.weights.write_bytes(model.weights.read_bytes()[:200])
    else:
        model.weights.write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    viewer.add_image(draw_discs(), name="discs")
    press_segment(widget, qtbot)
    assert widget.session.state.kind == "failed" and len(message(widget)) > 30
    assert len(viewer.layers) == 1


def test_a_real_small_network_runs(widget: SegmentWidget, viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    from napari_cellseg import segment

    model = make_model(tmp_path / "mine")
    widget.model_section.choose_folder(str(model.path))
    image = draw_discs()
    viewer.add_image(image, name="discs")
    press_segment(widget, qtbot)
    assert widget.session.cells is not None, message(widget)
    result = segment(image, model=str(model.path))
    assert np.array_equal(layers_of(widget).labels.data, result.labels)
    assert widget.session.cells.count() == result.count


def test_place_in_the_world_is_copied(widget: SegmentWidget, viewer: Any, network: Any, qtbot: Any) -> None:
    image = viewer.add_image(
        draw_discs(), name="discs", scale=(0.5, 0.25), translate=(7, -3), rotate=20, units=("um", "um")
    )
    press_segment(widget, qtbot)
    layers = layers_of(widget)
    for layer in (layers.labels, layers.points):
        for name in ("scale", "translate", "rotate", "shear"):
            assert np.allclose(getattr(layer, name), getattr(image, name)), name
        assert layer.units == image.units and layer.axis_labels == image.axis_labels
    features = layers.labels.features
    assert np.allclose(features["area_um2"], features["area_px"] * 0.125)
    assert np.allclose(features["centroid_y_um"], features["centroid_y"] * 0.5)
    assert "µm" in widget.cells_section.details.text() and "µm²" in widget.cells_section.min_size.hint.text()


def test_a_closed_dock_is_called_no_more(segmented: SegmentWidget, viewer: Any, qtbot: Any) -> None:
    bench = segmented.bench
    segmented.parent().destroyOnClose()
    qtbot.wait(300)
    viewer.add_image(draw_discs(9), name="later")
    bench.session.choose(viewer.layers["discs"].unique_id)
    bench.session.set_threshold(0.8)
    qtbot.wait(400)
    assert len(np.unique(viewer.layers["discs cells"].data)) - 1 == bench.session.cells.count()


def test_the_session_outlives_the_widget(segmented: SegmentWidget, viewer: Any, qtbot: Any) -> None:
    second = SegmentWidget(viewer)
    qtbot.addWidget(second)
    assert second.bench is bench_of(viewer) is segmented.bench
    assert second.cells_section.count.text() == segmented.cells_section.count.text()
    second.cells_section.threshold.setValue(0.8)
    assert segmented.cells_section.threshold.value() == 0.8


def test_the_network_is_loaded_while_the_image_is_looked_at(
    widget: SegmentWidget, viewer: Any, qtbot: Any, tmp_path: Path
) -> None:
    from napari_cellseg.network import ready

    def made() -> int:
        return ready._compiled_network.cache_info().misses + ready._ready_network.cache_info().misses

    model = make_model(tmp_path / "mine", in_channels=3)
    widget.model_section.choose_folder(str(model.path))
    before = made()
    qtbot.wait(900)
    assert made() == before and not widget.preloading.busy, "something is loaded without an image"
    viewer.add_image((draw_discs() * 255).astype(np.uint8), name="discs")
    qtbot.waitUntil(lambda: made() > before, timeout=30_000)
    qtbot.waitUntil(lambda: not widget.preloading.busy, timeout=30_000)
    loaded = made()
    press_segment(widget, qtbot)
    assert made() == loaded and Path(widget.session.cells.segmented.model.path) == model.path


def test_a_model_that_cannot_be_loaded_is_told_when_it_is_used(
    widget: SegmentWidget, viewer: Any, qtbot: Any, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "mine")
    widget.model_section.choose_folder(str(model.path))
    model.weights.write_bytes(b"no weights")
    viewer.add_image(draw_discs(), name="discs")
    qtbot.wait(800)
    qtbot.waitUntil(lambda: not widget.preloading.busy, timeout=30_000)
    assert widget.session.state.kind == "idle"
    qtbot.mouseClick(widget.run_section.segment, LEFT)
    qtbot.waitUntil(lambda: widget.session.state.kind == "failed", timeout=30_000)


def test_a_bar_that_waits_fills_slowly_and_rests_when_hidden(qtbot: Any) -> None:
    bar = ProgressBar()
    qtbot.addWidget(bar)
    bar.show()
    bar.show_busy()
    values = [bar.value()]
    bar.show_busy()
    for _ in range(2 * N_STEPS):
        bar._step()
        values.append(bar.value())
    assert bar.is_busy and bar._clock.isActive() and min(values) == 0 and max(values) == bar.maximum()
    assert len(set(values)) == N_STEPS + 1
    bar.hide()
    assert not bar._clock.isActive()
    bar.show()
    assert bar._clock.isActive()
    bar.show_part(0.25, "a quarter")
    assert bar.value() == bar.maximum() / 4 and bar.format() == "a quarter" and not bar._clock.isActive()


def test_a_channel_is_forgotten_with_the_axes_that_had_it(widget: SegmentWidget, viewer: Any, qtbot: Any) -> None:
    layer = viewer.add_image(np.zeros((3, 160, 160), np.float32), name="three")
    widget.bench.set_axes(layer, "CYX")
    widget.input_section.channel._places = (0, 2)
    widget.input_section.channel.chosen.emit("0+2")
    assert widget.session.recipe_asked().channel == "0+2"
    widget.bench.set_axes(layer, "ZYX")
    assert not widget.input_section.channel.isVisible() and widget.session.recipe_asked().channel is None
    widget.bench.set_axes(layer, "CYX")
    assert widget.session.recipe_asked().channel == 0 and widget.input_section.channel.currentIndex() == 0


def test_a_channel_that_the_image_has_not_is_not_shown_as_another(widget: SegmentWidget, viewer: Any) -> None:
    layer = viewer.add_image(np.zeros((40, 40, 3), np.uint8), rgb=True, name="colours")
    box = widget.input_section.channel
    assert box.currentText() == "all colours"
    widget.session.choices.choose_for(layer.unique_id, channel=5)
    assert box.currentIndex() == -1 and "no channel 5" in box.placeholderText()
    assert "no channel 5" in widget.input_section.facts.text()
    widget.session.choices.choose_for(layer.unique_id, channel=1)
    assert box.currentText() == "green"
