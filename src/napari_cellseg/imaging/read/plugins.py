"""Read files with installed napari reader plugins, without a napari window and in a process of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import AxesError, ImageError
from ..from_array import as_image
from ..image import Image
from ..scale import is_pixel_size
from . import plugin_child
from .formats import needs
from .plugin_child import ANSWER_FILE
from .values.json_file import read_values
from .values.units import micrometres

# After so long a plugin is ended.
SECONDS = 300.0
# Larger arrays stay in their temporary file, and are read as they are needed.
LAZY_BYTES = 1 << 30
# Suffixes that no plugin reads, as one process found.
_unread: set[str] = set()


def read_with_plugin(path: Path, axes: str | None) -> Image:
    """Read a file by the first napari reader plugin that opens it.

    Parameters
    ----------
    path : Path
    axes : str, optional
        Meaning of the dimensions; by default the axis labels of the layer, if they are letters of TZCYX.

    Returns
    -------
    Image
        Several image layers of one shape become the channels of one image.

    Raises
    ------
    ImageError
        No plugin reads such files (the message names what to install or convert where that is known), the plugin
        fails, ends its process or takes too long, or its result is not one image.
    AxesError
        The axes are not known.
    """
    words = needs(path)
    if words and path.suffix.lower() in _unread:
        raise ImageError(words)
    layers, plugin = _layers_by_child(path)
    return _image(layers, path, axes, plugin)


def _layers_by_child(path: Path) -> tuple[list[tuple[Any, Mapping[str, Any]]], str]:
    """Read a file by a plugin in a child process; see :func:`napari_cellseg.imaging.read.plugin_child.layers_here`.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ImageError
        No plugin reads such files, it fails, ends its process or takes too long.
    """
    folder = Path(tempfile.mkdtemp(prefix="napari-cellseg-"))
    kept = False
    try:
        answer = _answer_of_child(path, folder, SECONDS)
        if answer.get("unread"):
            # A process for each file of a folder would only give the same error.
            _unread.add(path.suffix.lower())
            raise ImageError(needs(path) or answer["error"])
        if "error" in answer:
            raise ImageError(answer["error"])
        layers = []
        for i, meta in enumerate(answer["layers"]):
            file = folder / f"{i}.npy"
            lazy = file.stat().st_size > LAZY_BYTES
            array = np.load(file, mmap_mode="r" if lazy else None, allow_pickle=False)
            if lazy:
                weakref.finalize(array, shutil.rmtree, folder, ignore_errors=True)
                kept = True
            layers.append((None if meta.get("nothing") else array, meta))
        return layers, answer["plugin"]
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def _answer_of_child(path: Path, folder: Path, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", plugin_child.__name__, str(path.absolute()), str(folder), str(path)]
    # The child finds the same packages.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    no_window: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    words = folder / "errors.txt"
    try:
        # Errors go into a file: a pipe would stay open for as long as any process that the plugin began.
        with words.open("wb") as errors:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, env=environment,
                timeout=seconds, check=False, creationflags=no_window,
            )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ImageError(
            f"{path}: the napari plugin that reads it did not answer within {seconds:g} seconds and was ended. Open it "
            "in napari to see more, or save it as TIFF."
        ) from error
    if not (folder / ANSWER_FILE).is_file():
        last = words.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise ImageError(
            f"{path}: the napari plugin that reads it ended its process with status {done.returncode}"
            f"{f' ({last[0]})' if last else ''}. Update the plugin, or save the file as TIFF."
        )
    return read_values(folder / ANSWER_FILE, ImageError, "Read the file again.")


def _image(layers: Sequence[tuple[Any, Mapping[str, Any]]], path: Path, axes: str | None, plugin: str) -> Image:
    if not layers or layers[0][0] is None:
        raise ImageError(f"{path}: plugin {plugin} gives no image for it. Give another file.")
    data, meta = layers[0]
    names = _channel_names([str(m.get("name") or "") for _, m in layers], path)
    known = axes or _axes(data, meta)
    if len(layers) > 1:
        shapes = {(tuple(other.shape), str(other.dtype), bool(m.get("rgb"))) for other, m in layers}
        if len(shapes) > 1 or meta.get("rgb"):
            raise ImageError(
                f"{path}: plugin {plugin} gives {len(layers)} images ({', '.join(names[:20])}) of different kinds, and "
                "one file is one image here. Save the ones that you want as files of their own."
            )
        data = _stacked([other for other, _ in layers])
        if known is None or len(known) != data.ndim:
            inner = "YX" if known is None and data.ndim == 3 else known
            known = None if inner is None else f"C{inner}"
        if known is None:
            raise AxesError(
                f"{path}: plugin {plugin} gives {len(layers)} channels of lengths {tuple(data.shape[1:])}, and nothing "
                "defines their meaning. Name them with axes, a letter per dimension, channels first (--axes C...)."
            )
    elif "channel_axis" in meta and known is None and data.ndim == 3 and meta["channel_axis"] is not None:
        place = int(meta["channel_axis"]) % 3
        known = "YX"[:place] + "C" + "YX"[place:]
        given = meta.get("name")
        names = tuple(map(str, given)) if isinstance(given, (list, tuple)) else ()
    else:
        names = ()
    sizes = _sizes(meta)
    own = (known or "")[-len(sizes) :] if sizes else ""
    spacing = sizes[own.index("Z")] if "Z" in own else None
    return as_image(
        data,
        known,
        pixel_size=_pixel_size(sizes),
        slice_spacing=spacing if spacing is not None and is_pixel_size(spacing) else None,
        rgb=meta.get("rgb"),
        name=path.name,
        channel_names=names,
        source=str(path),
    )


def _channel_names(names: Sequence[str], path: Path) -> tuple[str, ...]:
    """Return the names of layers, without the file's name where all have it: channels of all files are called alike."""
    file = re.compile(rf"(?<![^\W_])({re.escape(path.name)}|{re.escape(path.stem)})(?![^\W_])")
    if all(file.search(name) for name in names):
        names = [file.sub("", name).strip(" \t:;|/\\-_[](),.") for name in names]
    return tuple(name or f"channel {i}" for i, name in enumerate(names))


def _stacked(arrays: Sequence[Any]) -> Any:
    if not any(isinstance(array, np.memmap) for array in arrays):
        return np.stack(arrays)
    import dask.array

    return dask.array.stack([dask.array.asarray(array) for array in arrays])


def _axes(data: Any, meta: Mapping[str, Any]) -> str | None:
    letters = "".join(str(label).strip().upper()[:2] for label in meta.get("axis_labels") or ())
    letters += "C" if meta.get("rgb") and letters and "C" not in letters else ""
    known = len(letters) == len(data.shape) and set(letters) <= set("TZCYX") and len(set(letters)) == len(letters)
    return letters if known and {"Y", "X"} <= set(letters) else None


def _sizes(meta: Mapping[str, Any]) -> list[float | None]:
    """Micrometres along each axis of a layer, by the rule of the window: a scale without a unit is in micrometres."""
    scale = [float(value) for value in np.ravel(meta.get("scale", ()))]
    given = meta.get("units")
    units = [str(given)] * len(scale) if isinstance(given, str) else [str(unit) for unit in given or ()]
    sizes: list[float | None] = []
    for i, value in enumerate(scale):
        factor = micrometres(units[i]) if len(units) == len(scale) else None
        sizes.append(value * factor if factor is not None else value if value != 1 else None)
    return sizes


def _pixel_size(sizes: Sequence[float | None]) -> tuple[float, float] | None:
    y, x = sizes[-2:] if len(sizes) >= 2 else (None, None)
    return (y, x) if y is not None and x is not None and is_pixel_size(y) and is_pixel_size(x) else None
