"""One napari window for test after test, emptied in between: making one takes longer than most tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from app_model import Application
from napari import Viewer
from napari._app_model._app import NapariApplication, _napari_names
from napari._qt._qapp_model.qactions import init_qactions
from napari._qt.qt_viewer import QtViewer
from napari.plugins import _initialize_plugins
from napari.settings import get_settings
from napari.utils.events import EventedDict, EventedModel
from qtpy.QtCore import QCoreApplication, QEvent, QObject
from qtpy.QtGui import QShortcut
from qtpy.QtWidgets import QApplication, QDialog, QWidget

from napari_cellseg.gui.viewer import benches

# After so many tests a new one is made: napari keeps a little of each dock and layer.
LENT_AT_MOST = 40


def _plain_console(*_: object) -> QWidget:
    widget = QWidget()
    widget._update_theme = lambda *_: None  # type: ignore[attr-defined]
    return widget


class Window:
    """Lends a visible viewer, made when it is first asked for, and as new each time."""

    def __init__(self) -> None:
        self.viewer: Any = None
        self._lent = 0
        self._benches: list[Any] = []
        self._stack = ExitStack()

    def lend(self) -> Any:
        """Return the viewer as a fixture of napari makes it: with an application and settings of its own."""
        if self._lent >= LENT_AT_MOST:
            self.close()
        if self.viewer is None:
            self._open()
        self._lent += 1
        return self.viewer

    def _open(self) -> None:
        assert not len(QtViewer._instances), "a viewer of a test before is still there"
        _initialize_plugins.cache_clear()
        init_qactions.cache_clear()
        get_settings().reset()
        app = NapariApplication("lent")
        app.injection_store.namespace = _napari_names
        self._stack.callback(init_qactions.cache_clear)
        self._stack.callback(_initialize_plugins.cache_clear)
        self._stack.callback(Application.destroy, "lent")
        self._stack.enter_context(patch.object(NapariApplication, "get_app_model", return_value=app))
        self._stack.enter_context(patch("napari._qt.threads.status_checker.StatusChecker.start", lambda *_: None))
        self._stack.enter_context(patch("napari._qt.qt_viewer.QtViewer._get_console", _plain_console))
        self.viewer = Viewer(show=True, show_welcome_screen=False)
        self._lent = 0
        _delete_where_it_was_made(self.viewer.window._qt_viewer.canvas)
        main = self.viewer.window._qt_window
        self._state = main.saveState()
        self._objects = set(_added_to(main))
        self._heard = {id(emitter): emitter.callbacks for emitter in _emitters(self.viewer)}
        self._said = {name: getattr(self.viewer, name) for name in ("theme", "title", "help", "status")}
        self._moves = list(self.viewer.mouse_move_callbacks)

    def take_back(self, failed: bool) -> None:
        """Empty the viewer; after a test that failed or closed it, it is given up."""
        if failed or not hasattr(self.viewer.window, "_qt_window"):
            self.close(strict=not failed)
        else:
            self._empty()

    def _empty(self) -> None:
        viewer = self.viewer
        main = viewer.window._qt_window
        # What threads that have ended still had to say.
        QApplication.processEvents()
        main.setUpdatesEnabled(False)
        bench = benches._benches.pop(viewer, None)
        if bench is not None:
            bench.close()
            # Each dock has asked Qt to close it once more with the window.
            self._benches.append(bench)
        for emitter in _emitters(viewer):
            for callback in emitter.callbacks:
                if callback not in self._heard.get(id(emitter), ()):
                    emitter.disconnect(callback)
        viewer.mouse_move_callbacks[:] = self._moves
        for dock in list(viewer.window._wrapped_dock_widgets.values()):
            held = dock.widget()
            viewer.window.remove_dock_widget(dock)
            held.close()
            held.deleteLater()
        viewer.layers.clear()
        for model in _models(viewer):
            # The canvas is as large as it is.
            if model is not getattr(viewer, "canvas", None):
                model.reset()
        get_settings().reset()
        for name, value in self._said.items():
            setattr(viewer, name, value)
        for widget in QApplication.topLevelWidgets():
            if type(widget).__module__.startswith("napari_cellseg"):
                widget.close()
                widget.deleteLater()
        for child in set(_added_to(main)) - self._objects:
            child.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        main.restoreState(self._state)
        main.setUpdatesEnabled(True)
        QApplication.processEvents()
        gc.collect(1)

    def close(self, strict: bool = True) -> None:
        """Close the viewer, and check that nothing keeps it alive."""
        if self.viewer is None:
            return
        get_settings().reset()
        window = self.viewer.window
        if hasattr(window, "_qt_window"):
            with patch.object(window._qt_window, "_save_current_window_settings"):
                self.viewer.close()
        window = self.viewer = None
        self._objects, self._heard, self._benches = set(), {}, []
        self._stack.close()
        gc.collect(1)
        if len(QtViewer._instances):
            gc.collect()
        left = len(QtViewer._instances)
        QtViewer._instances.clear()
        assert not strict or left == 0, "something keeps a closed viewer alive"


def _delete_where_it_was_made(canvas: Any) -> None:
    """Make a canvas's OpenGL context the current one when napari deletes what a removed layer drew with.

    napari does it between two paintings, in whichever context is current; what is drawn later may crash then.
    """
    context, native = canvas._scene_canvas.context, canvas.native
    finish = context.finish

    def finish_there() -> None:
        native.makeCurrent()
        finish()

    context.finish = finish_there


def _models(model: Any) -> Iterator[Any]:
    """Yield the models that a viewer consists of: dims, camera, cursor, overlays, …"""
    for name in type(model).model_fields:
        part = getattr(model, name)
        parts = part.values() if isinstance(part, EventedDict) else [part]
        for each in parts:
            if isinstance(each, EventedModel):
                yield each
                yield from _models(each)


def _emitters(viewer: Any) -> Iterator[Any]:
    groups = [viewer.events, viewer.layers.events, viewer.layers.selection.events]
    for group in [*groups, *(model.events for model in _models(viewer))]:
        yield from getattr(group, "emitters", {}).values()
        yield group


def _added_to(main: Any) -> list[QObject]:
    """What the plugin adds to a window beside docks; the tab bars that come with docks are Qt's own."""
    return [child for child in main.children() if isinstance(child, QShortcut | QDialog)]
