"""Cells are looked for in what is visible, or in a drawn rectangle: a part that lies on its image, read alone."""

from __future__ import annotations

import csv
import json
import threading
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.layers import Shapes
from qtpy.QtCore import QPoint, Qt, QTimer

from napari_cellseg.gui.viewer.layer_image import METADATA_KEY
from napari_cellseg.gui.viewer.regions import Regions
from napari_cellseg.session import PlaneKey

from ..conftest import draw_discs, layers_of, press_segment, settled
from ..pointing import click, drag

LEFT = Qt.MouseButton.LeftButton
CHUNK = 1000


def choose(widget: Any, qtbot: Any, where: str) -> None:
    """Open the menu beside Segment with the mouse, and take an entry."""
    button = widget.run_section.where
    menu, entry = button.menu(), button.entries[where]

    def pick() -> None:
        shown.append(menu.isVisible())
        qtbot.mouseClick(menu, LEFT, pos=menu.actionGeometry(entry).center())

    shown: list[bool] = []
    QTimer.singleShot(100, pick)
    qtbot.mouseClick(button, LEFT)
    qtbot.waitUntil(lambda: bool(shown), timeout=5000)
    qtbot.wait(50)
    assert shown == [True] and widget.session.choices.for_image(widget.session.chosen).where == where


def press(widget: Any, qtbot: Any) -> None:
    """Press Segment, and wait for the answer or the refusal."""
    regions, session = widget.bench.part(Regions), widget.session
    qtbot.mouseClick(widget.run_section.segment, LEFT)
    qtbot.waitUntil(lambda: not regions.busy and session.running is None, timeout=20_000)


def look_at(viewer: Any, qtbot: Any, world: tuple[float, float], zoom: float) -> None:
    viewer.scene.camera.center = (0.0, *world)
    viewer.scene.camera.zoom = zoom
    qtbot.wait(200)


def place_of(layer: Any) -> tuple[int, int, int, int]:
    """Rows and columns that a part has by its name: [top:bottom, left:right]."""
    rows, columns = layer.name.rpartition("[")[2].rstrip("]").split(", ")
    return (*map(int, rows.split(":")), *map(int, columns.split(":")))


def part_of(widget: Any) -> Any:
    return widget.bench.layer_of(widget.session.chosen)


def blob(at: tuple[int, int], shape: tuple[int, int] = (400, 600), radius: int = 9) -> np.ndarray:
    """Float32: one bright disc."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (((y - at[0]) ** 2 + (x - at[1]) ** 2) < radius**2).astype(np.float32) * 0.9


def message(widget: Any) -> str:
    return widget.run_section.message.text()


def test_what_is_visible_of_an_image(widget: Any, viewer: Any, network: Any, qtbot: Any, tmp_path: Path) -> None:
    layer = viewer.add_image(
        draw_discs(100, 1200),
        name="discs",
        scale=(0.5, 0.5),
        translate=(30, -20),
        units=("um", "um"),
        colormap="magenta",
    )
    height = widget.sizeHint().height()
    choose(widget, qtbot, "visible")
    assert widget.run_section.segment.text() == "Segment view" and widget.sizeHint().height() == height
    look_at(viewer, qtbot, layer.data_to_world((500, 700)), 4)
    press(widget, qtbot)
    part = part_of(widget)
    top, bottom, left, right = place_of(part)
    canvas = viewer.window._qt_viewer.canvas.native
    assert abs((right - left) - canvas.width() / 2) <= 2 and abs((bottom - top) - canvas.height() / 2) <= 2
    assert abs((top + bottom) / 2 - 500) <= 2 and abs((left + right) / 2 - 700) <= 2
    assert np.array_equal(part.data, layer.data[top:bottom, left:right]) and part.data.base is None
    assert not part.visible and part.colormap.name == "magenta" and viewer.layers.index(part) == 1
    labels = layers_of(widget).labels
    for made in (part, labels):
        assert np.allclose(made.data_to_world((0, 0)), layer.data_to_world((top, left)))
    assert np.count_nonzero(labels.data) > 1000
    assert (layer.data[top:bottom, left:right][labels.data > 0] > 0.3).all()
    # The same view again is the same part; another view of the image behind it is another.
    choose(widget, qtbot, "visible")
    press(widget, qtbot)
    assert part_of(widget) is part and len(viewer.layers) == 4 and network.runs == 2
    # One moves on and presses the same button; what the panel says meanwhile counts.
    assert widget.run_section.segment.text() == "Segment view"
    widget.session.choices.choose_for(part.unique_id, diameter=17.0)
    look_at(viewer, qtbot, layer.data_to_world((200, 300)), 4)
    press(widget, qtbot)
    assert part_of(widget) is not part and part_of(widget).name.startswith("discs [") and len(viewer.layers) == 7
    assert widget.session.cells.segmented.recipe.diameter == 17
    # It is saved as an image of its own, which says where it is from.
    top, bottom, left, right = place_of(part_of(widget))
    stem = f"discs_y{top}-{bottom}_x{left}-{right}"
    settled(widget, qtbot)
    widget.result_section.save_to(tmp_path)
    qtbot.waitUntil(lambda: (tmp_path / f"{stem}_recipe.json").exists(), timeout=10_000)
    saved = json.loads((tmp_path / f"{stem}_recipe.json").read_text())
    assert saved["image"]["cut_from"] == {"image": "discs", "offset_yx": [top, left]}
    with (tmp_path / f"{stem}_cells.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == widget.session.cells.count()
    for row in rows:
        y, x = float(row["centroid_y"]) + top, float(row["centroid_x"]) + left
        assert layer.data[round(y), round(x)] > 0.3


def test_all_in_view_is_the_image_itself(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    layer = viewer.add_image(draw_discs(), name="discs")
    viewer.reset_view()
    qtbot.wait(100)
    choose(widget, qtbot, "visible")
    press(widget, qtbot)
    assert widget.session.chosen == layer.unique_id and len(viewer.layers) == 3
    choose(widget, qtbot, "whole")
    assert widget.run_section.segment.text() == "Segment"
    look_at(viewer, qtbot, (0, 0), 20)
    press_segment(widget, qtbot)
    assert widget.session.chosen == layer.unique_id and len(viewer.layers) == 3
    choose(widget, qtbot, "visible")
    look_at(viewer, qtbot, (-9000, 0), 20)
    press(widget, qtbot)
    assert "Nothing of it is in view" in message(widget) and network.runs == 2


class Reads:
    """A made-up image of any size, and which pieces of which level were read of it, in which thread."""

    def __init__(self, side: int = 20_000) -> None:
        self.side, self.seen = side, []

    def level(self, step: int) -> da.Array:
        n = self.side // step
        chunk = min(CHUNK, n)

        def piece(block_info: Any = None) -> np.ndarray:
            (top, bottom), (left, right) = block_info[None]["array-location"]
            self.seen.append((step, top, left, threading.current_thread() is threading.main_thread()))
            y, x = np.ogrid[top:bottom, left:right]
            y, x = y * step % 40 - 20, x * step % 40 - 20
            return (180 * (y * y + x * x < 81)).astype(np.uint8)

        return da.map_blocks(piece, chunks=((chunk,) * (n // chunk),) * 2, dtype=np.uint8, meta=np.empty((0, 0), "u1"))

    def levels(self) -> list[da.Array]:
        return [self.level(1), self.level(4), self.level(16)]


def test_of_a_pyramid_only_what_is_visible_is_read(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    reads = Reads()
    layer = viewer.add_image(reads.levels(), multiscale=True, name="large", contrast_limits=(0, 255))
    choose(widget, qtbot, "visible")
    viewer.reset_view()
    qtbot.wait(300)
    reads.seen.clear()
    press(widget, qtbot)
    assert "400 million pixels" in message(widget) and "Zoom in" in message(widget)
    assert network.runs == 0 and not reads.seen and len(viewer.layers) == 1
    look_at(viewer, qtbot, (7400, 12_600), 2)
    qtbot.wait(500)
    reads.seen.clear()
    press(widget, qtbot)
    part = part_of(widget)
    top, bottom, left, right = place_of(part)
    assert 7000 <= top < bottom <= 8000 and 12_000 <= left < right <= 13_000 and not part.multiscale
    assert part.data.shape == (bottom - top, right - left) and isinstance(part.data, np.ndarray)
    finest = [read for read in reads.seen if read[0] == 1]
    beside = [read for read in finest if not read[3]]
    assert {read[1:3] for read in finest} == {(7000, 12_000)} and len(beside) == 1
    labels = layers_of(widget).labels
    # Discs lie around (20, 20), (20, 60) and so on: cells are where they are, and nowhere else.
    assert labels.data[tuple(np.rint(labels.world_to_data((7420, 12_620))).astype(int))]
    assert not labels.data[tuple(np.rint(labels.world_to_data((7400, 12_600))).astype(int))]
    assert np.allclose(labels.data_to_world((0, 0)), layer.data_to_world((top, left)))


def test_a_part_between_levels_in_view_is_at_full_resolution(
    widget: Any, viewer: Any, network: Any, qtbot: Any
) -> None:
    reads = Reads(8000)
    viewer.add_image(reads.levels()[:2], multiscale=True, name="large", contrast_limits=(0, 255))
    choose(widget, qtbot, "visible")
    look_at(viewer, qtbot, (4000, 4000), 0.4)  # here napari itself shows the coarser level
    press(widget, qtbot)
    top, bottom, left, right = place_of(part_of(widget))
    canvas = viewer.window._qt_viewer.canvas.native
    assert abs((right - left) - canvas.width() / 0.4) <= 3 and abs((bottom - top) - canvas.height() / 0.4) <= 3
    assert part_of(widget).data.shape == (bottom - top, right - left)


def test_reading_can_be_cancelled(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    go = threading.Event()
    go.set()

    def slow(block: np.ndarray) -> np.ndarray:
        assert go.wait(20)
        return block

    data = da.from_array(draw_discs(100, 1200), chunks=1200).map_blocks(slow, dtype=np.float32)
    layer = viewer.add_image(data, name="slow", contrast_limits=(0, 1))
    choose(widget, qtbot, "visible")
    look_at(viewer, qtbot, (500, 700), 4)
    go.clear()
    qtbot.mouseClick(widget.run_section.segment, LEFT)
    qtbot.waitUntil(lambda: widget.bench.part(Regions).busy, timeout=5000)
    assert "Reading" in message(widget) and not widget.run_section.segment.isEnabled()
    qtbot.mouseClick(widget.run_section.cancel, LEFT)
    assert "Cancelled" in message(widget) and widget.run_section.segment.isEnabled()
    go.set()
    qtbot.wait(300)
    assert list(viewer.layers) == [layer] and network.runs == 0
    press(widget, qtbot)
    assert network.runs == 1 and widget.session.cells.count() > 0


def test_a_drawn_rectangle(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    layer = viewer.add_image(blob((250, 410)), name="one", rotate=20, scale=(2, 2))
    choose(widget, qtbot, "drawn")
    viewer.reset_view()
    qtbot.wait(100)
    press(widget, qtbot)
    assert "No rectangle is drawn yet" in message(widget) and network.runs == 0
    shapes = next(layer for layer in viewer.layers if isinstance(layer, Shapes))
    assert widget.session.chosen == layer.unique_id
    drag(viewer, qtbot, shapes, [(230, 380), (300, 450)])
    assert len(shapes.data) == 1
    press(widget, qtbot)
    part, labels = part_of(widget), layers_of(widget).labels
    top, bottom, left, right = place_of(part)
    corners = np.array([layer.world_to_data(shapes.data_to_world(corner)) for corner in shapes.data[0]])
    assert (np.abs(corners.min(axis=0) + 0.5 - (top, left)) <= 0.51).all()
    assert (np.abs(corners.max(axis=0) + 0.5 - (bottom, right)) <= 0.51).all()
    assert np.array_equal(part.data, layer.data[top:bottom, left:right])
    assert widget.session.cells.count() == 1
    middle = np.argwhere(labels.data).mean(axis=0)
    assert np.allclose(labels.data_to_world(middle), layer.data_to_world((250, 410)), atol=0.5)
    # A second rectangle: the one that is selected counts, else the last.
    shapes.add_rectangles(np.array([[10, 10], [60, 80]]))
    viewer.layers.selection.active = shapes
    for selected, expected in (({0}, part.name), (set(), "one [10:61, 10:81]")):
        widget.bench.choose(layer)
        shapes.mode = "select"
        shapes.selected_data = selected
        press(widget, qtbot)
        assert part_of(widget).name == expected
    shapes.data = [np.array([[-80, -80], [-80, -60], [-60, -60], [-60, -80]])]
    widget.bench.choose(layer)
    press(widget, qtbot)
    assert "lies beside it" in message(widget) and part_of(widget) is layer


def test_a_sheared_image_under_an_affine(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    turned = np.array([[0.0, -1.5, 7.0], [1.5, 0.0, 40.0], [0.0, 0.0, 1.0]])
    layer = viewer.add_image(
        blob((250, 410)), name="one", rotate=30, shear=[0.2], scale=(2, 0.5), translate=(9, 8), affine=turned
    )
    choose(widget, qtbot, "visible")
    look_at(viewer, qtbot, layer.data_to_world((250, 410)), 6)
    press(widget, qtbot)
    top, bottom, left, right = place_of(part_of(widget))
    assert (top, left) != (0, 0) and top < 250 < bottom and left < 410 < right
    labels = layers_of(widget).labels
    middle = np.argwhere(labels.data).mean(axis=0)
    assert np.allclose(labels.data_to_world(middle), layer.data_to_world((250, 410)), atol=0.5)


def test_a_part_of_a_stack_is_a_stack(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    reads: list[int] = []

    def plane(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        reads.append(block_info[None]["array-location"][0][0])
        return block

    movie = np.stack([blob((100 + 20 * i, 300)) for i in range(5)])
    data = da.from_array(movie, chunks=(1, 400, 600)).map_blocks(plane, dtype=np.float32)
    layer = viewer.add_image(data, name="movie", axis_labels=("t", "y", "x"), contrast_limits=(0, 1))
    viewer.dims.set_point(0, 2)
    qtbot.wait(50)
    choose(widget, qtbot, "visible")
    assert widget.run_section.scope.isVisible()
    look_at(viewer, qtbot, (140, 300), 5)
    reads.clear()
    press(widget, qtbot)
    part = part_of(widget)
    top, bottom, left, right = place_of(part)
    assert widget.session.chosen == PlaneKey(part.unique_id, (("T", 2),))
    assert part.data.shape == (5, bottom - top, right - left) and isinstance(part.data, da.Array)
    assert set(reads) == {2} and np.allclose(part.translate, (0, top, left))
    labels = layers_of(widget).labels
    assert widget.session.cells.count() == 1
    middle = np.argwhere(labels.data).mean(axis=0) + np.array((top, left))
    assert np.allclose(middle, (140, 300), atol=0.5)
    viewer.dims.set_point(0, 3)
    qtbot.wait(100)
    press_segment(widget, qtbot)
    assert part_of(widget) is part
    middle = np.argwhere(layers_of(widget).labels.data).mean(axis=0) + np.array((top, left))
    assert np.allclose(middle, (160, 300), atol=0.5)
    assert layer in viewer.layers and len(viewer.layers) == 4


def test_colour_and_channel_stay_as_chosen(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    colour = np.zeros((400, 600, 3), np.uint8)
    colour[..., 1] = 255 * blob((250, 410))
    layer = viewer.add_image(colour, name="colour")
    widget.session.choices.choose_for(layer.unique_id, channel=1)
    choose(widget, qtbot, "visible")
    look_at(viewer, qtbot, (250, 410), 5)
    press(widget, qtbot)
    part = part_of(widget)
    assert part.rgb and part.data.shape[2] == 3 and widget.session.cells.segmented.recipe.channel == 1


def test_a_part_is_corrected_as_an_image(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    layer = viewer.add_image(draw_discs(100, 1200), name="discs")
    choose(widget, qtbot, "visible")
    look_at(viewer, qtbot, (600, 600), 2)
    press(widget, qtbot)
    labels = layers_of(widget).labels
    labels.brush_size = 6
    labels.mode = "erase"
    before = widget.session.cells.count()
    target = tuple(np.argwhere(labels.data)[len(np.argwhere(labels.data)) // 2])
    click(viewer, qtbot, labels, tuple(map(float, target)))
    assert widget.session.cells.n_changed == 1 and widget.session.cells.count() in (before, before - 1, before + 1)
    assert labels.data[target] == 0
    widget.cells_section.threshold.setValue(0.8)
    assert labels.data[target] == 0
    assert widget.bench.image_of_result(labels).metadata[METADATA_KEY]["origin"]["name"] == "discs"
    viewer.layers.remove(layer)
    assert widget.session.cells is not None and part_of(widget).name.startswith("discs [")
    press(widget, qtbot)  # the image behind it is gone, so that what is visible is that of the part
    assert widget.session.cells is not None and not widget.bench.part(Regions).busy


def test_a_refusal_names_the_way(
    widget: Any, viewer: Any, network: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = viewer.add_image(Reads(8000).levels()[:2], multiscale=True, name="large", contrast_limits=(0, 255))
    monkeypatch.setattr("napari_cellseg.imaging.memory.free_bytes", lambda: 30_000_000)
    press_segment(widget, qtbot)
    assert "does not fit into memory" in message(widget) and "choose 'What is visible'" in message(widget)
    choose(widget, qtbot, "visible")
    look_at(viewer, qtbot, (4000, 4000), 2)
    press(widget, qtbot)
    assert widget.session.cells is not None and part_of(widget) is not layer


def test_it_fits_into_the_window(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    viewer.add_image(draw_discs(), name="discs")
    run = widget.run_section
    for where in ("whole", "visible", "drawn"):
        choose(widget, qtbot, where)
        qtbot.wait(30)
        for button in (run.segment, run.where, run.cancel):
            assert button.width() >= min(button.sizeHint().width(), 22) and button.height() >= 30
        assert run.where.geometry().left() - run.segment.geometry().right() <= 4
        assert run.segment.width() >= run.segment.fontMetrics().horizontalAdvance(run.segment.text())
        assert run.cancel.mapTo(widget, QPoint(run.cancel.width(), 0)).x() <= widget.width()
        assert run.progress.width() >= 40
