"""The reader that this plugin offers to napari: files of microscopes, as they are opened here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import npe2

from ...imaging.errors import ImageError
from ...imaging.read.formats import needs

LayerData = tuple[Any, dict[str, Any], str]
_OWN = "napari-cellseg."


def get_reader(path: str | list[str]) -> Callable[..., list[LayerData]] | None:
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


def _read(path: str | list[str]) -> list[LayerData]:
    """Read each image of the files as a layer; of several the first is shown."""
    from ..viewer.layer_image import ARRIVED, METADATA_KEY
    from ..viewer.opening import layer_of, read_paths

    opened = read_paths([path] if isinstance(path, str) else path)
    if not opened.images:
        raise ImageError(" ".join(opened.problems) or f"{path} holds no image.")
    layers = [layer_of(image, levels) for image, levels in zip(opened.images, opened.levels, strict=True)]
    for i, (_, attributes) in enumerate(layers):
        attributes["visible"] = i == 0
        attributes["metadata"][METADATA_KEY][ARRIVED] = True
    return [(data, attributes, "image") for data, attributes in layers]
