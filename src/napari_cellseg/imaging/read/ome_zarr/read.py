"""Read Zarr folders: OME-Zarr images with their axes and scale, and plain arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...axes import names_colour
from ...damage import DAMAGE
from ...errors import AxesError, ImageError, SeveralImagesError
from ...from_array import as_image
from ...image import Image
from ...memory import check_room
from ...scale import is_interval, is_pixel_size
from ..values.units import micrometres, seconds
from .places import allowed_address, title_of

# OME-Zarr 0.1 and 0.2 always have these axes.
_OLDEST_AXES = ("t", "c", "z", "y", "x")


def read_zarr(path: Path, axes: str | None, lazy_bytes: int, in_parts: bool = False) -> Image:
    """Read the full-size image of a Zarr folder.

    Parameters
    ----------
    path : Path
        An OME-Zarr image (0.1 to 0.5), an array, or a group that holds one of these.
    axes : str, optional
        Meaning of its dimensions, if the folder does not define it or is wrong.
    lazy_bytes : int
        From this size on the values stay in the folder until they are requested.
    in_parts : bool
        The values of a stack with damaged pieces stay in the folder too.

    Raises
    ------
    ImageError, AxesError
        It holds several images or a plate, or does not name its axes.
    ValueError, OSError, ...
        Anything else of `damage.DAMAGE`: the caller makes an ImageError of it.
    """
    import zarr

    from .pieces import checked

    node = open_node(path)
    if isinstance(node, zarr.Group):
        _, array, attributes, multiscale = _in_group(node, path)
    else:
        array, attributes, multiscale = node, dict(node.attrs), None
    dimensions = _multiscale_axes(multiscale) if multiscale is not None else _array_axes(array, attributes)
    steps = _steps(multiscale, array, dimensions) if multiscale is not None else {}
    y, x = steps.get("Y"), steps.get("X")
    letters = "".join(_letter(one) for one in dimensions) if dimensions else None
    if axes is None and letters is not None and not set(letters) <= set("TZCYX"):
        raise AxesError(
            f"{path} has axes named {', '.join(str(one.get('name')) for one in dimensions)}, of lengths {array.shape}, "
            "and their meaning is not known. Name them with axes, a letter of TZCYX per dimension (--axes ...)."
        )
    array = checked(array, path)
    check_room(_largest_piece(array), str(path), array.shape)
    lazy = math.prod(array.shape) * array.dtype.itemsize >= lazy_bytes
    chosen = axes or letters
    names = _channel_names(attributes) if multiscale is not None else ()
    n_channels = array.shape[chosen.upper().index("C")] if chosen and "C" in chosen.upper()[: array.ndim] else 0
    return as_image(
        _dask(array) if lazy else _values(array, path, chosen if in_parts else None),
        chosen,
        pixel_size=None if y is None or x is None else (y, x),
        # Channels come first here; only a plain array may be a colour image.
        rgb=None if chosen is None else names_colour(chosen.strip().upper(), array.shape),
        name=title_of(path) or path.name,
        channel_names=names if len(names) == n_channels else (),
        source=allowed_address(path) or str(path),
        slice_spacing=steps.get("Z"),
        frame_interval=steps.get("T"),
    )


def multiscale_of(path: Path) -> tuple[Any, Mapping[str, Any] | None]:
    """Return the group that holds an OME-Zarr image and its levels, and its metadata; None for a plain array.

    Raises
    ------
    ImageError, ValueError, OSError, ...
        As in `read_zarr`.
    """
    import zarr

    node = open_node(path)
    if not isinstance(node, zarr.Group):
        return node, None
    group, _, _, multiscale = _in_group(node, path)
    return group, multiscale


def open_node(path: Path) -> Any:
    """Open a Zarr array or group for reading; see `stores`.

    Raises
    ------
    ValueError, OSError, ...
        As in `read_zarr`.
    """
    import zarr

    from .stores import open_store

    store, inner = open_store(path)
    return zarr.open(store=store, path=inner, mode="r")


def ome_attributes(path: Path) -> Mapping[str, Any]:
    """Return the attributes of OME-Zarr of a group without opening it, which takes longer; see `open_node`."""
    from .stores import metadata_of

    attributes = metadata_of(path)
    return dict(attributes.get("ome", attributes))


def _in_group(group: Any, path: Path) -> tuple[Any, Any, Mapping[str, Any], Mapping[str, Any] | None]:
    """Find the image of a group: the group that holds it, its largest array, its attributes and its metadata."""
    import zarr

    attributes = _ome(group)
    if "plate" in attributes or "well" in attributes:
        what = "plate" if "plate" in attributes else "well"
        raise SeveralImagesError(
            f"{path} is a whole {what} of images. Give the image folders inside it, such as A/1/0."
        )
    described = attributes.get("multiscales")
    if described:
        if not isinstance(described, list) or len(described) > 1:
            raise SeveralImagesError(f"{path} describes {len(described)} images. Give a folder of one image.")
        multiscale = described[0]
        array = group[multiscale["datasets"][0]["path"]]
        if isinstance(array, zarr.Group):
            raise ImageError(f"{path} is damaged: its largest image is missing. Copy it again.")
        return group, array, attributes, multiscale
    children = {name: child for name, child in group.members() if name not in ("OME", "labels")}
    if len(children) == 1:
        child = next(iter(children.values()))
        return _in_group(child, path) if isinstance(child, zarr.Group) else (group, child, dict(child.attrs), None)
    names = ", ".join(sorted(children)[:20]) or "none"
    raise SeveralImagesError(
        f"{path} holds {len(children)} arrays or groups ({names}), and it is not clear which one is the image. "
        f"Give one of the folders inside it{f', such as {path / sorted(children)[0]}' if children else ''}."
    )


def axes_of(multiscale: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Return letter and unit of every axis of an OME-Zarr image; the letter is ``?`` where it is not known."""
    return [(_letter(one), one.get("unit")) for one in _multiscale_axes(multiscale)]


def transformations_of(
    multiscale: Mapping[str, Any], kept: Sequence[int]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the scales and translations of the largest level, and those of all levels, for some of the axes."""
    n_axes = len(_multiscale_axes(multiscale))
    inner, outer = (
        [
            {"type": kind, kind: [float(step[kind][i]) for i in kept]}
            for step in holder.get("coordinateTransformations") or ()
            if (kind := step.get("type")) in ("scale", "translation") and len(step.get(kind) or ()) == n_axes
        ]
        for holder in (multiscale["datasets"][0], multiscale)
    )
    return inner, outer


def _ome(group: Any) -> Mapping[str, Any]:
    attributes = dict(group.attrs)
    inner = attributes.get("ome")
    return inner if isinstance(inner, Mapping) else attributes


def _multiscale_axes(multiscale: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    given = multiscale.get("axes") or _OLDEST_AXES
    return [one if isinstance(one, Mapping) else {"name": str(one)} for one in given]


def _array_axes(array: Any, attributes: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Names of a plain array's dimensions, as in Zarr 3 or xarray; empty if they are not letters."""
    names = getattr(array.metadata, "dimension_names", None) or attributes.get("_ARRAY_DIMENSIONS") or ()
    known = len(names) == array.ndim and all(str(name).upper() in tuple("TZCYX") for name in names)
    return [{"name": str(name)} for name in names] if known else []


def _letter(dimension: Mapping[str, Any]) -> str:
    kind = {"channel": "C", "time": "T"}.get(str(dimension.get("type")))
    name = str(dimension.get("name", "")).upper()
    return kind or (name if len(name) == 1 else "?")


def _steps(
    multiscale: Mapping[str, Any], array: Any, dimensions: Sequence[Mapping[str, Any]]
) -> dict[str, float | None]:
    """Step along each axis by its letter: micrometres, or seconds along T; None if it is not known."""
    scale = [1.0] * array.ndim
    for holder in (multiscale["datasets"][0], multiscale):
        for step in holder.get("coordinateTransformations") or ():
            if step.get("type") == "scale" and len(step.get("scale") or ()) == array.ndim:
                scale = [a * float(b) for a, b in zip(scale, step["scale"], strict=True)]
    return {
        letter: _step(letter, factor, one.get("unit"))
        for one, factor in zip(dimensions, scale, strict=False)
        if (letter := _letter(one)) != "C"
    }


def _step(letter: str, scale: float, unit: Any) -> float | None:
    """Length or time; a scale other than 1 without a unit is in micrometres or seconds, as in napari."""
    if unit is None:
        step = scale if scale != 1 else None
    else:
        factor = (seconds if letter == "T" else micrometres)(str(unit))
        step = None if factor is None else scale * factor
    fits = is_interval if letter == "T" else is_pixel_size
    return step if step is not None and fits(step) else None


def _channel_names(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    channels = (attributes.get("omero") or {}).get("channels") or []
    names = tuple(str(one.get("label") or "") for one in channels)
    return names if all(names) else ()


def _largest_piece(array: Any) -> int:
    shape = getattr(array, "shards", None) or array.chunks
    return math.prod(shape) * array.dtype.itemsize


def _values(array: Any, path: Path, axes: str | None) -> Any:
    check_room(math.prod(array.shape) * array.dtype.itemsize, str(path), array.shape)
    try:
        return np.asarray(array[...])
    except MemoryError:
        raise
    except DAMAGE:
        lengths = dict(zip((axes or "").upper(), array.shape, strict=False))
        if max(lengths.get("T", 1), lengths.get("Z", 1)) == 1:
            raise
        # A damaged piece affects its own plane only: the others can be used.
        return _dask(array)


def _dask(array: Any) -> Any:
    import dask.array

    return dask.array.from_zarr(array)
