"""A mouse and keys on napari's canvas, in pixels of the image."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

LEFT = Qt.MouseButton.LeftButton
NO_KEY = Qt.KeyboardModifier.NoModifier


def activate(viewer: Any, qtbot: Any) -> None:
    """Make a viewer's window the active one, as a window manager does: keys and focus are those of that window."""
    window = viewer.window._qt_window
    for _ in range(200):
        window.activateWindow()
        if window.isActiveWindow():
            return
        qtbot.wait(25)
    raise AssertionError("the window did not become the active one")


def canvas_of(viewer: Any) -> Any:
    return viewer.window._qt_viewer.canvas.native


def point_of(viewer: Any, layer: Any, place: tuple[float, float]) -> QPoint:
    """Where on the canvas a pixel of the image is drawn."""
    world = np.asarray(layer.data_to_world(place))[-2:]
    centre = np.asarray(viewer.scene.camera.center)[-2:]
    canvas = canvas_of(viewer)
    y, x = (world - centre) * viewer.scene.camera.zoom / canvas.devicePixelRatioF()
    return QPoint(round(canvas.width() / 2 + x), round(canvas.height() / 2 + y))


def move_to(viewer: Any, qtbot: Any, layer: Any, place: tuple[float, float]) -> None:
    """Move the mouse to a pixel of the image.

    The mouse is that of the screen: where it stands already, a move is none and no window hears of it.
    """
    for attempt in range(50):
        point = point_of(viewer, layer, place)
        for way in (QPoint(3 + attempt % 3, 2), QPoint(0, 0)):
            QTest.mouseMove(canvas_of(viewer), point + way)
            qtbot.wait(20)
        off = np.abs(layer.world_to_data(viewer.cursor.position) - place).max()
        if viewer.mouse_over_canvas and off <= 2:
            return
    raise AssertionError(f"the mouse is {off} pixels off {place}, on the canvas: {viewer.mouse_over_canvas}")


def click(viewer: Any, qtbot: Any, layer: Any, place: tuple[float, float]) -> None:
    drag(viewer, qtbot, layer, [place])


def drag(viewer: Any, qtbot: Any, layer: Any, places: list[tuple[float, float]], modifier: Any = NO_KEY) -> None:
    """Press at the first place, go through the others in small steps, let go at the last."""
    move_to(viewer, qtbot, layer, places[0])
    canvas, points = canvas_of(viewer), [point_of(viewer, layer, place) for place in places]
    QTest.mousePress(canvas, LEFT, modifier, points[0])
    for start, end in pairwise(points):
        for part in np.linspace(0, 1, 9)[1:]:
            QTest.mouseMove(canvas, start + (end - start) * float(part))
            qtbot.wait(5)
    QTest.mouseRelease(canvas, LEFT, modifier, points[-1])
    qtbot.wait(20)


def press_key(viewer: Any, qtbot: Any, key: Any, modifier: Any = NO_KEY) -> None:
    qtbot.keyClick(canvas_of(viewer), key, modifier)
    qtbot.wait(30)


def labels_now(widget: Any) -> np.ndarray:
    """The cells of the chosen image as the session has them."""
    return widget.session.view_of(widget.session.chosen).labels()
