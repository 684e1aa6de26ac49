"""The keys of the Correct widget: they act wherever the focus is, except in a field that is being typed into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Image, Labels
from qtpy.QtCore import QObject, Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut

from ..shared.bindings import Bindings
from ..viewer.bench import Bench
from ..viewer.correcting import Correcting
from .tools import Tools

# Of napari, too, for layers of labels; of other labels than cells it stays napari's.
NEW_LABEL = "M"
OTHER_LABELS = "The selected layer holds no cells of an image. Select an image or its cells in the layer list first."


class Keys(QObject):
    """Shortcuts of the whole window while the Correct widget is open.

    Qt offers a key to the field that is being typed into first. While a layer is selected that is neither an image nor
    cells, the keys are napari's: there they may mean something else.

    Parameters
    ----------
    bench : Bench
    keys : dict of str to callable
        What each key does.
    parent : QObject
        They end with it, or with `close`.
    """

    def __init__(self, bench: Bench, keys: dict[str, Callable[[], object]], parent: QObject) -> None:
        super().__init__(parent)
        self._bench, self._tools, self._correcting = bench, bench.part(Tools), bench.part(Correcting)
        window = bench.viewer.window._qt_window
        self._shortcuts: dict[str, QShortcut] = {}
        for key, action in {**keys, "Escape": lambda: self._tools.take(None)}.items():
            shortcut = QShortcut(QKeySequence(key), window)
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
            shortcut.setAutoRepeat(False)
            shortcut.activated.connect(lambda action=action: self._press(action))
            self._shortcuts[key] = shortcut
        self._bindings = Bindings(self)
        self._bindings.bind_each(self._enable, bench.viewer.layers.selection.events.active, self._tools.in_hand_changed)
        self._enable()

    @property
    def names(self) -> set[str]:
        """Names of the keys."""
        return set(self._shortcuts)

    def close(self) -> None:
        """Leave all keys to napari."""
        for shortcut in self._shortcuts.values():
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts.clear()

    @property
    def _acts(self) -> bool:
        """Whether the selected layer is an image or holds cells of one."""
        active = self._bench.viewer.layers.selection.active
        return active is None or isinstance(active, Image) or self._bench.image_of_result(active) is not None

    def _enable(self, _: Any = None) -> None:
        acts, labels = self._acts, isinstance(self._bench.viewer.layers.selection.active, Labels)
        for key, shortcut in self._shortcuts.items():
            shortcut.setEnabled(acts or (labels and key != NEW_LABEL))
        if "Escape" in self._shortcuts:
            self._shortcuts["Escape"].setEnabled(self._tools.in_hand is not None)

    def _press(self, action: Callable[[], object]) -> None:
        if self._acts:
            action()
        else:
            self._correcting.reported.emit(OTHER_LABELS, True)
