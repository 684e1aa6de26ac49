"""The reader that this plugin offers to napari: files of microscopes, as they are opened here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import npe2
from napari.utils.notifications import show_warning

from ...imaging.errors import ImageError
from ...imaging.read.formats import needs

LayerData = tuple[Any, dict[str, Any], str]
_OWN = "napari-cellseg."
# What a reader gives that has read a file in which there is no layer.
_NO_LAYER: list[tuple[None]] = [(None,)]
_NAME = "scenes_of_drop"


def get_reader(path: str | list[str]) -> Callable[..., list[LayerData] | list[tuple[None]]] | None:
    """Return the reader of files of these names; None where it cannot read them and another plugin may."""
    paths = [path] if isinstance(path, str) else list(path)
    words = next(filter(None, (needs(Path(one)) for one in paths)), "")
    if not words:
        return _read
    readers = npe2.PluginManager.instance().iter_compatible_readers(paths)
    if any(not reader.command.startswith(_OWN) for reader in readers):
        return None

    def refuse(path: str | list[str]) -> list[LayerData]:
        raise ImageError(words)

    return refuse


def _is_asked(paths: list[str]) -> bool:
    """Whether the files hold several images, and the user is asked which to open: only of what is done in a window.

    While napari starts with files of the command line, and while a script opens files, no events are handled.
    """
    from qtpy.QtCore import Qt, QThread

    viewer = napari.current_viewer()
    if viewer is None or QThread.currentThread().loopLevel() == 0:
        return False
    from ..segment.scenes_dialog import ScenesDialog
    from ..viewer.benches import bench_of
    from ..viewer.opening import Opened, add_opened, read_paths, several_in

    if not (found := several_in(paths)):
        return False
    bench = bench_of(viewer)

    def show(opened: Opened) -> None:
        _, problems = add_opened(bench.viewer, opened)
        if problems:
            show_warning(problems[0])

    window = bench.viewer.window._qt_window
    # napari asks for each file of a drop by itself.
    dialog = window.findChild(ScenesDialog, _NAME, Qt.FindChildOption.FindDirectChildrenOnly)
    if dialog is not None:
        dialog.add(found)
    else:
        dialog = ScenesDialog(found, lambda paths: bench.in_background(lambda: read_paths(paths), show), window)
        dialog.setObjectName(_NAME)
        dialog.show()
    return True


def _read(path: str | list[str]) -> list[LayerData] | list[tuple[None]]:
    """Read each image of the files as a layer; of several the first is shown.

    Of a file of several images that is dropped or opened from the menu the user ticks those to open.
    """
    from ..viewer.layer_image import ARRIVED, METADATA_KEY
    from ..viewer.opening import layer_of, read_paths

    paths = [path] if isinstance(path, str) else path
    if _is_asked(paths):
        return _NO_LAYER
    opened = read_paths(paths)
    if not opened.images:
        raise ImageError(" ".join(opened.problems) or f"{path} holds no image.")
    layers = [layer_of(image, levels) for image, levels in zip(opened.images, opened.levels, strict=True)]
    for i, (_, attributes) in enumerate(layers):
        attributes["visible"] = i == 0
        attributes["metadata"][METADATA_KEY][ARRIVED] = True
    return [(data, attributes, "image") for data, attributes in layers]
