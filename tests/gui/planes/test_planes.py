"""Z-stacks and time series in the real window: plane by plane, all planes, and what a person did on any of them."""

from __future__ import annotations

import csv
import threading
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_cellseg.corrections import tools as edits
from napari_cellseg.corrections.recovery import find_journals
from napari_cellseg.gui.correct.correct_widget import CorrectWidget
from napari_cellseg.gui.correct.review import Review
from napari_cellseg.gui.correct.reviewed_layer import ReviewedLayers
from napari_cellseg.gui.planes import plane_links
from napari_cellseg.gui.planes.plane_links import PlaneLinks
from napari_cellseg.gui.planes.plane_run import PlaneRun
from napari_cellseg.gui.viewer.correcting import Correcting
from napari_cellseg.gui.viewer.doubting import Doubting
from napari_cellseg.imaging.errors import ImageError
from napari_cellseg.imaging.write.label_files import read_label_stack, read_metadata
from napari_cellseg.results.save_cells import command_line
from napari_cellseg.session import PlaneKey

from ..conftest import draw_discs, layers_of, press_segment, settled
from ..pointing import click, drag, labels_now, move_to, press_key

LEFT = Qt.MouseButton.LeftButton
CONTROL = Qt.KeyboardModifier.ControlModifier
COUNTS = (16, 9, 4, 25, 12, 20)


def movie() -> np.ndarray:
    """Float32 (6, 160, 160): discs, so many in each plane."""
    return np.stack([draw_discs(n) for n in COUNTS])


@pytest.fixture
def stack(widget: Any, viewer: Any, network: Any, qtbot: Any) -> Any:
    """A layer of six time points, at the third of them, chosen in the Segment widget."""
    layer = viewer.add_image(movie(), name="movie", axis_labels=("t", "y", "x"))
    viewer.dims.set_point(0, 2)
    qtbot.wait(50)
    return layer


def go_to(viewer: Any, qtbot: Any, plane: int) -> None:
    viewer.dims.set_point(0, plane)
    qtbot.wait(30)


def want_all(widget: Any) -> None:
    scope = widget.run_section.scope
    scope.setCurrentIndex(1)
    scope.activated.emit(1)


def all_done(widget: Any, qtbot: Any) -> None:
    bench = widget.bench
    qtbot.waitUntil(lambda: not bench.part(PlaneRun).busy and bench.session.running is None, timeout=20_000)


def measured(widget: Any, qtbot: Any) -> None:
    """Wait until points and table are those of the plane in view."""
    qtbot.waitUntil(lambda: "napari_cellseg" in layers_of(widget).labels.metadata, timeout=10_000)
    settled(widget, qtbot)


def keys(stack: Any) -> list[PlaneKey]:
    return [PlaneKey(stack.unique_id, (("T", i),)) for i in range(len(COUNTS))]


def test_the_plane_in_view_is_segmented(stack: Any, widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    assert widget.session.chosen == keys(stack)[2]
    assert "6 time points" in widget.input_section.facts.text()
    assert widget.run_section.scope.isVisible() and widget.planes_section.isVisible()
    press_segment(widget, qtbot)
    layers = layers_of(widget)
    assert widget.session.cells.count() == 4 and layers.labels.data.shape == (160, 160)
    go_to(viewer, qtbot, 3)
    assert widget.session.cells is None and not layers.labels.visible and not layers.points.visible
    assert not widget.cells_section.isEnabled()
    press_segment(widget, qtbot)
    assert widget.session.cells.count() == 25 and layers_of(widget) is layers and layers.labels.visible
    assert len(viewer.layers) == 3
    go_to(viewer, qtbot, 2)
    assert widget.session.cells.count() == 4 and len(np.unique(layers.labels.data)) == 5
    measured(widget, qtbot)
    assert len(layers.points.data) == 4 and len(layers.labels.features) == 4


def test_all_planes(stack: Any, widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    want_all(widget)
    press_segment(widget, qtbot)
    all_done(widget, qtbot)
    assert [widget.session.cells_of(key).count() for key in keys(stack)] == list(COUNTS)
    assert network.runs == 6 and len(viewer.layers) == 3
    qtbot.waitUntil(lambda: widget.planes_section.plot.total == f"{sum(COUNTS)} in all 6 planes", timeout=2000)
    assert widget.planes_section.plot.counts.tolist() == list(COUNTS)
    plot = widget.planes_section.plot
    qtbot.mouseClick(plot, LEFT, pos=QPoint(round(plot.x_of(3.5 / 6)), 40))
    qtbot.waitUntil(lambda: widget.session.chosen == keys(stack)[3], timeout=2000)
    assert viewer.dims.current_step[0] == 3 and widget.session.cells.count() == 25


@pytest.fixture
def correct(widget: Any, viewer: Any, qtbot: Any) -> CorrectWidget:
    """The Correct widget beside the Segment widget."""
    correct = CorrectWidget(viewer)
    viewer.window.add_dock_widget(correct, name="Correct and review cells")
    return correct


def test_an_edit_stays_with_its_plane(
    stack: Any, widget: Any, viewer: Any, network: Any, qtbot: Any, correct: Any
) -> None:
    want_all(widget)
    press_segment(widget, qtbot)
    all_done(widget, qtbot)
    go_to(viewer, qtbot, 3)
    viewer.reset_view()
    qtbot.wait(100)
    labels = layers_of(widget).labels
    labels.brush_size = 6
    labels.mode = "paint"
    fresh = labels.selected_label
    drag(viewer, qtbot, labels, [(2, 2), (2, 12)])
    assert widget.session.cells.n_changed == 1 and widget.session.cells.count() == 26
    labels.mode = "pan_zoom"
    move_to(viewer, qtbot, labels, (16 + 4 * 32, 16 + 4 * 32))
    press_key(viewer, qtbot, Qt.Key.Key_D)
    assert widget.session.cells.n_erased == 1
    mine = labels.data == fresh
    assert mine.sum() > 50
    go_to(viewer, qtbot, 5)
    assert widget.session.cells.n_changed == 0 and widget.session.cells.count() == 20
    assert labels.selected_label not in labels.data
    assert np.array_equal(labels.data, labels_now(widget))
    press_key(viewer, qtbot, Qt.Key.Key_Z, CONTROL)  # nothing of this plane, and none of another
    widget.cells_section.threshold.setValue(0.9)
    assert widget.session.cells.count() < 20
    go_to(viewer, qtbot, 3)
    assert widget.cells_section.threshold.value() == 0.9 == widget.session.cells.threshold
    assert np.array_equal(labels.data == fresh, mine) and widget.session.cells.n_erased == 1
    press_segment(widget, qtbot)  # all are done, so all are done again
    all_done(widget, qtbot)
    assert network.runs == 12 and widget.session.cells.threshold == 0.9
    assert np.array_equal(labels.data == fresh, mine) and widget.session.cells.n_erased == 1
    (info,) = find_journals(widget.session.cells.segmented.image_sha256)
    assert info.n_corrections == 2 and info.header["image"].endswith("t003")
    widget.bench.part(Correcting).undo(widget.session.chosen)
    assert widget.session.cells.n_erased == 0


def test_tools_and_review_go_from_plane_to_plane(
    stack: Any, widget: Any, viewer: Any, network: Any, qtbot: Any, correct: Any
) -> None:
    want_all(widget)
    press_segment(widget, qtbot)
    all_done(widget, qtbot)
    viewer.reset_view()
    go_to(viewer, qtbot, 0)
    qtbot.wait(100)
    labels = layers_of(widget).labels
    qtbot.mouseClick(correct.tools_section.buttons["delete"], LEFT)
    for plane, n in ((0, 16), (3, 25), (2, 4)):
        go_to(viewer, qtbot, plane)
        side = int(np.sqrt(n))
        middle = (round(160 - 80 / side), round(160 - 80 / side))
        click(viewer, qtbot, labels, middle)
        assert widget.session.cells.count() == n - 1, correct.tools_section.message.text()
        assert np.array_equal(labels.data, labels_now(widget))
    assert [widget.session.cells_of(key).n_erased for key in keys(stack)] == [1, 0, 1, 1, 0, 0]
    qtbot.waitUntil(lambda: widget.bench.part(Doubting).doubt_of(widget.session.chosen) is not None, timeout=10_000)
    widget.bench.part(Review).next()
    ring = viewer.layers["movie cells looked at"]
    assert ring.visible
    go_to(viewer, qtbot, 5)
    assert not ring.visible
    go_to(viewer, qtbot, 2)
    assert ring.visible and ring in viewer.layers


def test_reviewed_areas_are_those_of_the_plane(
    stack: Any, widget: Any, viewer: Any, network: Any, qtbot: Any, correct: Any
) -> None:
    want_all(widget)
    press_segment(widget, qtbot)
    all_done(widget, qtbot)
    session, reviewed = widget.session, widget.bench.part(ReviewedLayers)
    go_to(viewer, qtbot, 1)
    qtbot.mouseClick(correct.area_section.whole, LEFT)
    overlay = viewer.layers["movie cells learned from"]
    qtbot.waitUntil(lambda: bool((overlay.data == 1).all()), timeout=5000)
    go_to(viewer, qtbot, 4)
    assert overlay.visible and not overlay.data.any()
    reviewed.mark_by("rectangle")
    viewer.reset_view()
    qtbot.wait(400)
    drag(viewer, qtbot, overlay, [(10, 10), (40, 60)])
    assert session.cells.corrected.corrections.marks().sum() == 31 * 51
    go_to(viewer, qtbot, 1)
    qtbot.waitUntil(lambda: bool((overlay.data == 1).all()), timeout=5000)
    assert session.cells.corrected.corrections.marks().all()
    assert [layer.name for layer in viewer.layers].count("movie cells learned from") == 1


def test_the_plane_in_view_comes_next_and_cancel_keeps_what_is_done(
    stack: Any, widget: Any, viewer: Any, network: Any, qtbot: Any
) -> None:
    session, order = widget.session, []
    session.cells_changed.connect(lambda key: order.append(key.position[0]))
    want_all(widget)
    network.go.clear()
    qtbot.mouseClick(widget.run_section.segment, LEFT)
    qtbot.waitUntil(lambda: network.runs == 1, timeout=5000)
    assert session.running.key == keys(stack)[2]
    go_to(viewer, qtbot, 5)
    assert not widget.run_section.segment.isEnabled() and widget.run_section.cancel.isEnabled()
    qtbot.waitUntil(lambda: "Plane 1 of 6" in widget.run_section.message.text(), timeout=5000)
    network.go.set()
    qtbot.waitUntil(lambda: len(order) == 3, timeout=10_000)
    network.go.clear()
    assert order == [2, 5, 4] and widget.session.cells.count() == COUNTS[5]
    qtbot.waitUntil(lambda: session.running is not None, timeout=5000)
    qtbot.mouseClick(widget.run_section.cancel, LEFT)
    assert "3 of 6 planes are done" in widget.run_section.message.text()
    assert widget.run_section.segment.isEnabled() and session.running is None
    network.go.set()
    qtbot.wait(200)
    assert len(order) == 3
    press_segment(widget, qtbot)
    all_done(widget, qtbot)
    assert sorted(order) == [0, 1, 2, 3, 4, 5]  # those that were done are left out


def test_the_sliders_act_on_all_planes(stack: Any, widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    want_all(widget)
    press_segment(widget, qtbot)
    all_done(widget, qtbot)
    session = widget.session
    widget.cells_section.threshold.setValue(0.85)
    widget.cells_section.min_size.setValue(60)
    of = [session.cells_of(key).segmented.instances.count(0.85, 60) for key in keys(stack)]
    assert sum(of) < sum(COUNTS)
    qtbot.waitUntil(lambda: widget.planes_section.plot.counts.tolist() == of, timeout=5000)
    assert widget.planes_section.plot.total.startswith(f"{sum(of)} in")
    qtbot.waitUntil(lambda: [session.cells_of(key).count() for key in keys(stack)] == of, timeout=5000)
    for plane in (0, 5, 3):
        go_to(viewer, qtbot, plane)
        assert len(np.unique(layers_of(widget).labels.data)) - 1 == of[plane] == session.cells.count()
        assert widget.cells_section.count.text() == f"{of[plane]} cells"


def test_sliders_moved_while_another_plane_is_segmented_stay(
    stack: Any, widget: Any, viewer: Any, network: Any, qtbot: Any
) -> None:
    press_segment(widget, qtbot)
    go_to(viewer, qtbot, 3)
    network.go.clear()
    qtbot.mouseClick(widget.run_section.segment, LEFT)
    go_to(viewer, qtbot, 2)
    widget.cells_section.threshold.setValue(0.8)
    go_to(viewer, qtbot, 3)
    network.go.set()
    qtbot.waitUntil(lambda: widget.session.running is None, timeout=5000)
    qtbot.waitUntil(lambda: widget.session.cells is not None and widget.session.cells.threshold == 0.8, timeout=5000)
    assert widget.cells_section.threshold.value() == 0.8
    assert len(np.unique(layers_of(widget).labels.data)) - 1 == widget.session.cells.count() < COUNTS[3]
    go_to(viewer, qtbot, 2)
    qtbot.wait(100)
    assert widget.session.cells.threshold == 0.8


def test_one_plane_fails_and_the_others_are_done(
    stack: Any, widget: Any, viewer: Any, network: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    def flaky(image: Any, recipe: Any, device: str = "auto") -> Any:
        if image.name.endswith("t004"):
            raise ImageError("A chunk cannot be read.")
        return (yield from network(image, recipe))

    monkeypatch.setattr(sys.modules["napari_cellseg.segmentation.segment"], "iter_predict_image", flaky)
    want_all(widget)
    press_segment(widget, qtbot)
    all_done(widget, qtbot)
    message = widget.run_section.message.text()
    assert "5 of 6 planes are done, 1 failed. T 4: A chunk cannot be read." in message, message
    assert [widget.session.cells_of(key) is None for key in keys(stack)] == [i == 4 for i in range(6)]


def test_save_the_whole_stack(stack: Any, widget: Any, viewer: Any, network: Any, qtbot: Any, tmp_path: Path) -> None:
    def save(folder: Path) -> str:
        widget.result_section.save_to(folder)
        qtbot.waitUntil(lambda: widget.result_section.save.isEnabled(), timeout=10_000)
        return widget.run_section.message.text()

    press_segment(widget, qtbot)
    assert "segment all 6" in save(tmp_path / "one")
    assert (tmp_path / "one" / "movie_t002_labels.tif").is_file()
    with open(tmp_path / "one" / "counts.csv", newline="") as file:
        assert [(row["image"], row["page"]) for row in csv.DictReader(file)] == [("movie", "t002")]
    want_all(widget)
    press_segment(widget, qtbot)
    all_done(widget, qtbot)
    widget.cells_section.threshold.setValue(0.6)
    go_to(viewer, qtbot, 1)
    widget.bench.part(Correcting).edit(widget.session.chosen, _delete_first)
    save(tmp_path / "all")
    labels, axes = read_label_stack(tmp_path / "all" / "movie_labels.tif")
    assert axes == "TYX" and labels.shape == (6, 160, 160)
    of = [widget.session.cells_of(key).count() for key in keys(stack)]
    assert [len(np.unique(plane)) - 1 for plane in np.asarray(labels)] == of
    metadata = read_metadata(tmp_path / "all" / "movie_labels.tif")
    assert metadata["count"] == sum(of) and metadata["corrected"] and metadata["corrections"]["erased"] == 1
    assert metadata["recipe"]["pages"] == "stack" and metadata["recipe"]["threshold"] == 0.6
    (author,) = metadata["corrections by"]
    assert author == widget.session.cells.corrected.corrections.author
    with open(tmp_path / "all" / "movie_cells.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [sum(row["t"] == str(i) for row in rows) for i in range(6)] == of
    with open(tmp_path / "all" / "counts.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    counts = {row["page"]: int(row["count"]) for row in rows}
    assert {row["image"] for row in rows} == {"movie"}, "the stack is named, not one of its planes"
    assert list(counts.values()) == of and list(counts)[1] == "t001"
    assert "--pages stack" in command_line(widget.session.cells)
    measured(widget, qtbot)
    assert set(layers_of(widget).labels.features["t"]) == {1}
    # The file is known again, from both menus, and of several planes too.
    threshold = widget.cells_section.threshold
    for n, reopen in enumerate((lambda path: widget.image_section.open_paths([path]), viewer.open)):
        threshold.setValue(0.3 + n / 10)
        assert widget.session.cells.count() != of[1]
        reopen(tmp_path / "all" / "movie_labels.tif")
        told = f"movie_labels.tif is open with its {sum(of)} cells in 6 planes"
        qtbot.waitUntil(lambda told=told: told in widget.run_section.message.text(), timeout=10_000)
        assert [widget.session.cells_of(key).count() for key in keys(stack)] == of
        assert [layer.name for layer in viewer.layers] == ["movie", "movie cells", "movie counts"]
        assert np.array_equal(labels_now(widget), labels[1]) and not threshold.isEnabled()
        press_segment(widget, qtbot)
        all_done(widget, qtbot)
        assert threshold.isEnabled()


def _delete_first(view: Any) -> Any:
    from napari_cellseg.corrections import tools as edits

    return edits.delete(view, view.ids()[:1])


def test_time_points_slices_and_channels_of_a_lazy_array(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    planes = np.stack([draw_discs(n) for n in (4, 9, 16, 25)]).reshape(2, 1, 2, 160, 160)
    read: list[tuple[int, ...]] = []

    def load(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        if block_info:
            read.append(block_info[None]["chunk-location"])
        return block

    data = np.concatenate([np.zeros_like(planes), planes], axis=1)
    lazy = da.from_array(data, chunks=(1, 1, 1, 160, 160)).map_blocks(load, dtype=np.float32)
    layer = viewer.add_image(lazy, name="lazy", contrast_limits=(0, 1))
    assert "axes" in widget.input_section.facts.text().lower() and not widget.run_section.scope.isVisible()
    box = widget.input_section.axes_box
    assert box.isVisible()
    texts = [box.itemText(i) for i in range(box.count())]
    assert "2 time points × 2 channels × 2 slices" in texts, texts
    box.setCurrentIndex(box.findData("TCZYX"))
    box.activated.emit(box.currentIndex())
    widget.input_section.channel.setCurrentIndex(1)
    widget.input_section.channel.activated.emit(1)
    qtbot.wait(100)
    assert widget.session.chosen == PlaneKey(layer.unique_id, (("T", 0), ("Z", 0)))
    facts = widget.input_section.facts.text()
    assert "2 time points × 2 slices" in facts and "channel 1 of 2" in facts, facts
    read.clear()
    press_segment(widget, qtbot)
    assert widget.session.cells.count() == 4
    assert {place[0] for place in read} == {place[2] for place in read} == {0}, read
    viewer.dims.set_point((0, 2), (1, 1))
    qtbot.wait(50)
    assert widget.session.chosen.position == (1, 1)
    want_all(widget)
    press_segment(widget, qtbot)
    all_done(widget, qtbot)
    qtbot.waitUntil(lambda: widget.planes_section.plot.counts.tolist() == [4, 9, 16, 25], timeout=2000)
    assert "axes" not in widget.run_section.message.text()
    # Other axes are another image: what was found with these is no longer about it.
    box.setCurrentIndex(box.findData("ZCTYX"))
    box.activated.emit(box.currentIndex())
    assert widget.session.cells is None and not widget.session.keys()


def test_a_scaled_stack_in_colour_and_the_layers_that_are_not_stacks(
    widget: Any, viewer: Any, network: Any, qtbot: Any
) -> None:
    grey = (255 * np.stack([draw_discs(n) for n in (4, 9, 16)])).astype(np.uint8)
    colours = np.stack([grey, grey, grey // 2], axis=-1)
    movie = viewer.add_image(
        colours, rgb=True, name="colours", axis_labels=("z", "y", "x"), scale=(3, 0.5, 0.5), translate=(30, 0, 7)
    )
    flat = viewer.add_image(draw_discs(25), name="flat")
    viewer.layers.selection.active = movie
    viewer.dims.set_point(0, 33)
    qtbot.wait(50)
    assert widget.session.chosen == PlaneKey(movie.unique_id, (("Z", 1),))
    press_segment(widget, qtbot)
    assert widget.session.cells.count() == 9
    layers = layers_of(widget)
    assert np.allclose(layers.labels.scale, (0.5, 0.5)) and np.allclose(layers.labels.translate, (0, 7))
    viewer.layers.selection.active = flat
    assert widget.session.chosen == flat.unique_id and not widget.run_section.scope.isVisible()
    assert not widget.planes_section.isVisible()
    press_segment(widget, qtbot)
    assert widget.session.cells.count() == 25
    viewer.dims.set_point(0, 36)  # the stack's labels follow although another image is chosen
    qtbot.wait(50)
    assert widget.session.chosen == flat.unique_id and not layers.labels.visible
    viewer.layers.selection.active = layers.labels
    assert widget.session.chosen == PlaneKey(movie.unique_id, (("Z", 2),))
    viewer.dims.set_point(0, 33)
    qtbot.wait(50)
    assert layers.labels.visible and widget.session.cells.count() == 9
    movie.data = movie.data[:2]
    assert widget.session.cells is None and widget.session.cells_of(flat.unique_id) is not None
    viewer.layers.remove(movie)
    assert widget.session.chosen == flat.unique_id


def balls() -> np.ndarray:
    """Float32 (7, 120, 120): four balls, of which one does not reach the second slice."""
    z, y, x = np.mgrid[:7, :120, :120].astype(np.float32)
    picture = np.zeros(z.shape, np.float32)
    for cz, cy, cx, radius in ((3, 30, 30, 24), (3, 90, 30, 20), (3, 30, 90, 22), (4.5, 90, 90, 15)):
        distance = np.sqrt((6 * (z - cz)) ** 2 + (y - cy) ** 2 + (x - cx) ** 2)
        np.maximum(picture, np.clip(1.5 - distance / radius, 0, 0.99), out=picture)
    return picture


@pytest.mark.filterwarnings("ignore:Contours are not displayed")
def test_slices_become_cells_in_three_dimensions(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    layer = viewer.add_image(balls(), name="balls", axis_labels=("z", "y", "x"), scale=(3, 0.5, 0.5))
    link = widget.planes_section.link
    want_all(widget)
    press_segment(widget, qtbot)
    all_done(widget, qtbot)
    qtbot.waitUntil(link.isEnabled, timeout=2000)
    qtbot.mouseClick(link, LEFT)
    qtbot.waitUntil(lambda: widget.planes_section.plot.total.endswith("4 3D cells"), timeout=10_000)
    linked = viewer.layers["balls cells linked"]
    assert linked.data.shape == (7, 120, 120) and np.allclose(linked.scale, layer.scale)
    assert len(np.unique(linked.data)) == 5 and not linked.editable
    for y, x in ((30, 30), (90, 30), (30, 90), (90, 90)):
        column = linked.data[:, y, x]
        assert len(np.unique(column[column > 0])) == 1  # one id through all slices
    volume = np.bincount(linked.data.ravel())[1:]
    # The smallest cell counts voxels: more than any of its sections.
    widget.cells_section.min_size.setValue(int(sorted(volume)[0]) + 1)
    qtbot.waitUntil(lambda: widget.planes_section.plot.total.endswith("3 3D cells"), timeout=10_000)
    assert len(np.unique(linked.data)) == 4
    widget.cells_section.min_size.setValue(0)
    qtbot.waitUntil(lambda: widget.planes_section.plot.total.endswith("4 3D cells"), timeout=10_000)
    # A correction on one slice is in the volume.
    viewer.dims.set_point(0, 9)
    qtbot.wait(30)
    widget.bench.part(Correcting).edit(widget.session.chosen, _delete_first)
    id_ = linked.data[2, 30, 30]
    qtbot.waitUntil(lambda: linked.data[3, 30, 30] == 0 or len(np.unique(linked.data[3])) == 4, timeout=10_000)
    assert id_ > 0
    viewer.dims.ndisplay = 3
    qtbot.wait(200)
    viewer.dims.ndisplay = 2
    viewer.layers.remove(linked)
    assert not widget.bench.part(PlaneLinks).words(layer.unique_id)


@pytest.mark.filterwarnings("ignore:Contours are not displayed")
def test_what_is_corrected_while_slices_are_linked_for_the_first_time_counts(
    widget: Any, viewer: Any, network: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked, go = plane_links.link_planes, threading.Event()

    def slowly(*args: Any) -> Any:
        found = linked(*args)
        assert go.wait(20)
        return found

    monkeypatch.setattr(plane_links, "link_planes", slowly)
    layer = viewer.add_image(balls(), name="balls", axis_labels=("z", "y", "x"))
    want_all(widget)
    press_segment(widget, qtbot)
    all_done(widget, qtbot)
    qtbot.waitUntil(widget.planes_section.link.isEnabled, timeout=5000)
    qtbot.mouseClick(widget.planes_section.link, LEFT)
    qtbot.wait(200)
    for plane in range(7):
        key = PlaneKey(layer.unique_id, (("Z", plane),))
        if found := widget.session.view_of(key).ids().tolist():
            widget.session.edit(key, edits.delete, found)
    assert widget.bench.part(PlaneLinks).linked(layer.unique_id) is None
    go.set()
    qtbot.waitUntil(lambda: widget.planes_section.plot.total.endswith("0 3D cells"), timeout=10_000)
    assert not viewer.layers["balls cells linked"].data.any()


def test_frames_become_tracks(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    y, x = np.mgrid[:120, :120].astype(np.float32)

    def frame(places: Any) -> np.ndarray:
        parts = [np.clip(1.5 - np.hypot(y - cy, x - cx) / radius, 0, 0.99) for cy, cx, radius in places]
        return np.max(parts, axis=0).astype(np.float32)

    frames = [frame([(30 + 3 * t, 30, 14), (90, 90, 20)]) for t in range(4)]
    frames += [frame([(42 + 3 * t, 30, 14), (90, 79 - t, 9), (90, 101 + t, 9)]) for t in range(3)]
    film = np.stack([np.stack([np.zeros_like(one), one]) for one in frames])  # T, C, Y, X
    viewer.add_image(film, name="film", axis_labels=("t", "c", "y", "x"))
    widget.input_section.channel.setCurrentIndex(1)
    widget.input_section.channel.activated.emit(1)
    want_all(widget)
    press_segment(widget, qtbot)
    all_done(widget, qtbot)
    qtbot.waitUntil(widget.planes_section.link.isEnabled, timeout=5000)
    qtbot.mouseClick(widget.planes_section.link, LEFT)
    qtbot.waitUntil(lambda: widget.planes_section.plot.total.endswith("4 tracks"), timeout=10_000)
    linked, tracks = viewer.layers["film cells linked"], viewer.layers["film tracks"]
    assert linked.data.shape == film.shape  # laid over the film axis by axis
    mother, *others = linked.data[3, 1, 90, 90], linked.data[4, 1, 90, 79], linked.data[4, 1, 90, 101]
    assert {child: list(parents) for child, parents in tracks.graph.items()} == {one: [mother] for one in others}
    moving = linked.data[:, 0, :, 30].max(axis=1)
    assert len(set(moving.tolist())) == 1
    of = tracks.data[tracks.data[:, 0] == moving[0]]
    assert of[:, 1].tolist() == list(range(7)) and np.allclose(np.diff(of[:4, 3]), 3, atol=0.5)
    widget.cells_section.threshold.setValue(1.0)
    qtbot.waitUntil(lambda: widget.planes_section.plot.total.endswith("0 tracks"), timeout=10_000)
    assert not tracks.visible and not linked.data.any()
    widget.cells_section.threshold.setValue(0.5)
    qtbot.waitUntil(lambda: widget.planes_section.plot.total.endswith("4 tracks"), timeout=10_000)
    assert tracks.visible and len(np.unique(linked.data)) == 5


def test_recovery_offers_the_corrections_of_each_plane(
    stack: Any, widget: Any, viewer: Any, network: Any, qtbot: Any
) -> None:
    want_all(widget)
    press_segment(widget, qtbot)
    all_done(widget, qtbot)
    for plane in (1, 3):
        go_to(viewer, qtbot, plane)
        widget.bench.part(Correcting).edit(widget.session.chosen, _delete_first)
    widget.session.close()
    viewer.layers.remove(stack)
    # The same values in another session: journals of this one are known to it.
    widget.session._records.__init__()
    again = viewer.add_image(movie(), name="again", axis_labels=("t", "y", "x"))
    seen = []
    for plane in range(6):
        go_to(viewer, qtbot, plane)
        qtbot.wait(150)
        if widget.banner.isVisible():
            seen.append(plane)
    assert seen == [1, 3]
    go_to(viewer, qtbot, 3)
    qtbot.waitUntil(widget.banner.isVisible, timeout=5000)
    qtbot.mouseClick(widget.banner.yes, LEFT)
    qtbot.waitUntil(lambda: widget.session.cells is not None and widget.session.cells.n_erased == 1, timeout=10_000)
    assert widget.session.chosen == PlaneKey(again.unique_id, (("T", 3),))
    go_to(viewer, qtbot, 1)
    qtbot.waitUntil(widget.banner.isVisible, timeout=5000)


def test_a_plane_goes_into_the_training_set(
    stack: Any, widget: Any, viewer: Any, network: Any, qtbot: Any, tmp_path: Path
) -> None:
    from napari_cellseg.gui.train.add_entry import add_current
    from napari_cellseg.training.data.training_set import TrainingSet

    want_all(widget)
    press_segment(widget, qtbot)
    all_done(widget, qtbot)
    for plane in (0, 3):
        go_to(viewer, qtbot, plane)
        widget.bench.part(ReviewedLayers).mark_all(True)
        work = add_current(widget.bench, tmp_path / "set")
        qtbot.waitUntil(lambda work=work: not work.busy, timeout=10_000)
    entries = TrainingSet.open(tmp_path / "set").entries()
    assert {entry.name: entry.n_cells for entry in entries} == {"movie_t000": 16, "movie_t003": 25}
    assert {entry.provenance["group"] for entry in entries} == {"movie"}


def test_too_many_planes_for_the_memory(
    stack: Any, widget: Any, network: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_cellseg.gui.planes.plane_run.free_bytes", lambda: 1_000_000)
    want_all(widget)
    press_segment(widget, qtbot)
    message = widget.run_section.message.text()
    assert "6 planes would take about" in message and "Batch widget" in message and not network.runs


def test_linked_cells_are_saved_as_a_stack(widget: Any, viewer: Any, network: Any, qtbot: Any, tmp_path: Path) -> None:
    viewer.add_image(balls(), name="balls", axis_labels=("z", "y", "x"), scale=(3, 0.5, 0.5))
    want_all(widget)
    press_segment(widget, qtbot)
    all_done(widget, qtbot)
    assert widget.bench.image_of(widget.session.chosen).slice_spacing == 3
    widget.bench.part(PlaneLinks).link(widget.bench.stack_of(widget.session.chosen))
    qtbot.waitUntil(lambda: "balls cells linked" in viewer.layers, timeout=10_000)
    viewer.layers["balls cells linked"].save(str(tmp_path / "linked.tif"), plugin="napari-cellseg")
    labels, axes = read_label_stack(tmp_path / "linked.tif")
    assert axes == "ZYX" and np.array_equal(labels, viewer.layers["balls cells linked"].data)
    assert read_metadata(tmp_path / "linked.tif")["linked"] == "Z"


def test_a_pyramid_of_slices(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    slices = da.from_array(movie(), chunks=(1, 80, 80))
    layer = viewer.add_image(
        [slices, slices[:, ::2, ::2]],
        multiscale=True,
        name="pyramid",
        axis_labels=("z", "y", "x"),
        contrast_limits=(0, 1),
    )
    viewer.dims.set_point(0, 3)
    qtbot.wait(50)
    press_segment(widget, qtbot)
    assert widget.session.chosen == PlaneKey(layer.unique_id, (("Z", 3),)) and widget.session.cells.count() == 25
    assert layers_of(widget).labels.data.shape == (160, 160)


def test_the_window_is_closed_in_the_middle(make_napari_viewer: Any, network: Any, qtbot: Any) -> None:
    from qtpy.QtCore import QThreadPool

    from napari_cellseg.gui.segment.segment_widget import SegmentWidget

    viewer = make_napari_viewer(show=True)
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget)
    viewer.add_image(movie(), name="movie", axis_labels=("t", "y", "x"))
    want_all(widget)
    network.go.clear()
    qtbot.mouseClick(widget.run_section.segment, LEFT)
    qtbot.waitUntil(lambda: network.runs == 1, timeout=5000)
    bench = widget.bench
    viewer.close()
    assert not bench.part(PlaneRun).busy and bench.session.running is None
    network.go.set()
    assert QThreadPool.globalInstance().waitForDone(5000)
    qtbot.wait(100)
    assert network.runs == 1


def test_layers_go_while_planes_are_segmented(stack: Any, widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    press_segment(widget, qtbot)
    viewer.layers.remove(layers_of(widget).labels)
    assert widget.session.cells is None and not widget.cells_section.isEnabled()
    want_all(widget)
    network.go.clear()
    qtbot.mouseClick(widget.run_section.segment, LEFT)
    qtbot.waitUntil(lambda: network.runs == 2, timeout=5000)
    viewer.layers.remove(stack)
    network.go.set()
    qtbot.wait(300)
    assert not widget.bench.part(PlaneRun).busy and widget.session.running is None and not widget.session.keys()
    assert widget.run_section.segment.isEnabled()


def test_the_command_line_gives_the_same_stack_and_the_same_links(
    widget: Any, viewer: Any, qtbot: Any, tmp_path: Path
) -> None:
    from napari_cellseg.cli import main
    from napari_cellseg.gui.viewer.opening import add_image
    from napari_cellseg.imaging.read.read import read_image
    from napari_cellseg.imaging.write.write import write_labels
    from tests.models import make_model

    model, path = make_model(tmp_path / "mine"), tmp_path / "slices.tif"
    write_labels(path, (1000 * balls()).astype(np.uint16), axes="ZYX")
    widget.model_section.choose_folder(str(model.path))
    layer = add_image(viewer, read_image(path))
    want_all(widget)
    press_segment(widget, qtbot)
    all_done(widget, qtbot)
    widget.cells_section.threshold.setValue(0.5)
    widget.cells_section.min_size.setValue(30)
    widget.result_section.save_to(tmp_path / "window")
    qtbot.waitUntil(lambda: widget.result_section.save.isEnabled(), timeout=10_000)
    words = command_line(widget.session.cells).split()[1:]
    words[words.index("--out") + 1] = str(tmp_path / "stack")
    assert main(words) == 0
    ours, axes = read_label_stack(tmp_path / "window" / "slices_labels.tif")
    theirs, _ = read_label_stack(tmp_path / "stack" / "slices_labels.tif")
    assert axes == "ZYX" and ours.max() > 0 and np.array_equal(ours, theirs)
    window, batch = (read_metadata(tmp_path / name / "slices_labels.tif") for name in ("window", "stack"))
    assert window["recipe_sha256"] == batch["recipe_sha256"] and window["counts"] == batch["counts"]
    widget.bench.part(PlaneLinks).link(widget.bench.stack_of(widget.session.chosen))
    qtbot.waitUntil(lambda: widget.bench.part(PlaneLinks).linked(layer.unique_id) is not None, timeout=10_000)
    words[words.index("--out") + 1] = str(tmp_path / "linked")
    assert main([*words, "--link", "z"]) == 0
    linked, _ = read_label_stack(tmp_path / "linked" / "slices_labels.tif")
    here = widget.bench.part(PlaneLinks).linked(layer.unique_id)
    assert here.count == len(np.unique(linked)) - 1
    assert np.array_equal(here.labels > 0, linked > 0)
    pairs = np.unique(np.stack([here.labels[linked > 0], linked[linked > 0]]), axis=1)
    assert pairs.shape[1] == here.count  # the same cells, whatever their numbers
