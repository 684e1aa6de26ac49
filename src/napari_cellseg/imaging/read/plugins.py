"""Read files with installed napari reader plugins, without a napari window."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import AxesError, CellsegError, ImageError
from ..from_array import as_image
from ..image import Image
from ..scale import is_pixel_size
from .finding import SUFFIXES
from .units import micrometres


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
        No plugin reads such files, the plugin fails, or its result is not one image.
    AxesError
        The axes are not known.
    """
    manager = _manager()
    if not any(True for _ in manager.iter_compatible_readers([str(path)])):
        raise ImageError(
            f"{path} is of a kind that is not supported ({path.suffix.lower() or 'no suffix'}). Supported are "
            f"{', '.join(SUFFIXES)}, and .zarr folders. Install a napari reader plugin for it, or save it as TIFF."
        )
    from npe2.io_utils import read_get_reader

    try:
        layers, reader = read_get_reader([str(path)], stack=False)
        images = [_parts(layer) for layer in layers if len(layer) < 3 or str(layer[2]).lower() == "image"]
        return _image(images, path, axes, reader.plugin_name)
    except CellsegError:
        raise
    # A plugin may raise any error, and one file must not stop the others.
    except Exception as error:
        reason = str(error).strip() or type(error).__name__
        raise ImageError(
            f"{path} cannot be read by the napari plugins that are installed: {reason}. "
            "Open it in napari to see more, or save it as TIFF."
        ) from error


@functools.cache
def _manager() -> Any:
    import npe2

    manager = npe2.PluginManager.instance()
    manager.discover(include_npe1=False)
    return manager


def _parts(layer: Sequence[Any]) -> tuple[Any, Mapping[str, Any]]:
    data, meta = layer[0], (layer[1] if len(layer) > 1 else {}) or {}
    pyramid = isinstance(data, (list, tuple)) and len(data) > 0 and hasattr(data[0], "shape")
    return (data[0] if meta.get("multiscale") or pyramid else data), meta


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
    if all(isinstance(array, np.ndarray) for array in arrays):
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
