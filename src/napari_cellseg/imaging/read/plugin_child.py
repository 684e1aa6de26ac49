"""Run a reader plugin in a process of its own: it may crash, hang, print or change the process as it likes."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CellsegError, ImageError
from ..write.jsonable import jsonable
from .formats import SUFFIXES

ANSWER_FILE = "answer.json"
# The plugin that this package is; it has no reader for what comes here.
_OWN = "napari-cellseg."


class _NoPluginError(ImageError):
    """No plugin reads such files."""


def layers_here(path: Path) -> tuple[list[tuple[Any, ...]], str]:
    """Read a file by a plugin in this process; return its image layers as npe2 gives them, and the plugin's name.

    Raises
    ------
    ImageError
        No plugin reads such files, or it fails.
    """
    import npe2
    from npe2.io_utils import read_get_reader

    manager = npe2.PluginManager.instance()
    manager.discover(include_npe1=False)
    readers = (reader.command for reader in manager.iter_compatible_readers([str(path)]))
    if all(command.startswith(_OWN) for command in readers):
        raise _NoPluginError(
            f"{path} is of a kind that is not supported ({path.suffix.lower() or 'no suffix'}). Supported are "
            f"{', '.join(SUFFIXES)}, and .zarr folders. Install a napari reader plugin for it, or save it as TIFF."
        )
    try:
        layers, reader = read_get_reader([str(path)], stack=False)
    # A plugin may raise any error, and one file must not stop the others.
    except Exception as error:
        reason = str(error).strip() or type(error).__name__
        raise ImageError(
            f"{path} cannot be read by the napari plugins that are installed: {reason}. "
            "Open it in napari to see more, or save it as TIFF."
        ) from error
    images = [tuple(layer) for layer in layers if len(layer) < 3 or str(layer[2]).lower() == "image"]
    return images, str(reader.plugin_name)


def answer(path: Path, folder: Path) -> dict[str, Any]:
    """Read a file and leave its image layers in a folder; return what there is to know of them."""
    try:
        layers, plugin = layers_here(path)
        for i, layer in enumerate(layers):
            _save(folder / f"{i}.npy", layer, path)
    except CellsegError as error:
        return {"error": str(error), "unread": isinstance(error, _NoPluginError)}
    except Exception as error:  # noqa: BLE001 - lazy arrays of a plugin may raise anything
        reason = str(error).strip() or type(error).__name__
        return {"error": f"{path} cannot be read: {reason}. Open it in napari to see more, or save it as TIFF."}
    return {"plugin": plugin, "layers": [_plain(layer) for layer in layers]}


def _save(file: Path, layer: Sequence[Any], path: Path) -> None:
    data, meta = layer[0], (layer[1] if len(layer) > 1 else {}) or {}
    if data is None:
        np.save(file, np.zeros(0))
        return
    pyramid = isinstance(data, (list, tuple)) and len(data) > 0 and hasattr(data[0], "shape")
    data = data[0] if meta.get("multiscale") or pyramid else data
    size = int(getattr(data, "nbytes", 0))
    if size > shutil.disk_usage(file.parent).free:
        raise ImageError(f"{path} takes {size:,} bytes when it is read, more than the disk of {file.parent} has free.")
    values = np.asarray(data)
    if values.dtype.kind not in "buif":
        raise ImageError(f"{path} holds values of type {values.dtype}; images hold whole or real numbers.")
    np.save(file, values, allow_pickle=False)


def _plain(layer: Sequence[Any]) -> dict[str, Any]:
    """Return the entries of a layer's metadata that are used, JSON-able; lists become those of their own texts."""
    meta: Mapping[str, Any] = (layer[1] if len(layer) > 1 else {}) or {}
    used = {name: meta[name] for name in ("name", "rgb", "channel_axis", "axis_labels") if meta.get(name) is not None}
    if meta.get("scale") is not None:
        used["scale"] = np.ravel(meta["scale"]).astype(float).tolist()
    units = meta.get("units")
    if units is not None:
        used["units"] = str(units) if isinstance(units, str) else [str(unit) for unit in units]
    if layer[0] is None:
        used["nothing"] = True
    return dict(jsonable(used))


def main() -> None:
    """Answer for the file that the command line names, and end without waiting for anything that a plugin began."""
    path, folder, given = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    found = answer(path, folder)
    if "error" in found:
        # Messages name the file as the user did.
        found["error"] = found["error"].replace(str(path), given)
    part = folder / "part"
    part.write_text(json.dumps(found), encoding="utf-8")
    part.replace(folder / ANSWER_FILE)
    os._exit(0)


if __name__ == "__main__":
    main()
