"""From a napari layer to an `Image`: its axes, its pixel size, its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels, Layer

from ...imaging.errors import AxesError, ImageError
from ...imaging.from_array import as_image
from ...imaging.image import Image, Origin
from ...imaging.read.scenes import file_of, name_of

METADATA_KEY = "napari_cellseg"
# Entry of the values of all channels in the layer of the first, which stands for the image; see `channels`.
CHANNELS = "channels"
# Entry of a layer that the reader of this plugin gave to napari, until it is shown as what is opened here.
ARRIVED = "arrived"
_TRANSFORMS = ("scale", "translate", "rotate", "shear", "affine")


def image_from_layer(layer: Layer | None, axes: str | None = None) -> Image:
    """Take an image layer's array as it is, with the layer's axes, scale and file.

    Parameters
    ----------
    layer : napari.layers.Layer or None
    axes : str, optional
        A letter of TZCYX per dimension; None takes the layer's axis labels where they are such letters.

    Raises
    ------
    ImageError
        Not an image layer, empty, or not numbers.
    AxesError
        More than two dimensions, and neither the layer nor the user names them.
    """
    if layer is None:
        raise ImageError("There is no image. Open one, or drop a file here, then press Segment.")
    if not isinstance(layer, ImageLayer):
        kind = "a labels layer" if isinstance(layer, Labels) else f"a {type(layer).__name__.lower()} layer"
        raise ImageError(
            f"'{layer.name}' is {kind}, but cells are looked for in an image. Choose an image layer, or open a file."
        )
    data = full_data(layer)
    axes = axes or layer_axes(layer)
    if axes is None and layer.rgb and data.ndim == 3:
        axes = "YXC"
    last = "YXC" if layer.rgb else "YX"
    if axes and axes.replace("C", "") != "YX" and not axes.endswith(last):
        raise AxesError(
            f"'{layer.name}' has its axes in the order {axes}, but rows and columns (Y, X) must come last to lie on "
            "the picture. Reorder the axes and open it again."
        )
    image = as_image(
        data,
        axes,
        pixel_size=pixel_size(layer),
        rgb=bool(layer.rgb),
        name=title_of(layer),
        channel_names=layer.metadata.get(METADATA_KEY, {}).get("channel_names", ()),
        source=layer_path(layer),
        slice_spacing=_slice_spacing(layer, axes),
        frame_interval=layer.metadata.get(METADATA_KEY, {}).get("frame_interval"),
    )
    origin = layer_origin(layer)
    return image if origin is None else replace(image, origin=origin)


def image_from_layer_data(data: tuple[Any, ...], axes: str | None = None) -> Image:
    """Take the image of a ``LayerDataTuple``; see `image_from_layer`."""
    return image_from_layer(Layer.create(*data), axes)


def all_channels(layer: Layer) -> dict[str, Any] | None:
    """Return values and axes of all channels of the image that a layer stands for; None where it shows all of it."""
    known = layer.metadata.get(METADATA_KEY, {}).get(CHANNELS)
    return known if known is not None and known["shown"] is layer.data else None


def full_data(layer: ImageLayer) -> Any:
    """Return the values of the image of a layer at full resolution, those of all channels."""
    if (known := all_channels(layer)) is not None:
        return known["values"]
    return layer.data[0] if layer.multiscale else layer.data


def title_of(layer: Layer) -> str:
    """Name of the image that a layer shows; that of the first channel's layer is longer."""
    known = all_channels(layer)
    return str(known["title"] if known is not None and known["name"] == layer.name else layer.name)


def layer_origin(layer: Layer) -> Origin | None:
    """Return what the layer of a part was cut out of."""
    origin = layer.metadata.get(METADATA_KEY, {}).get("origin")
    return None if origin is None else Origin(str(origin["path"] or origin["name"]), tuple(origin["offset_yx"]))


def _slice_spacing(layer: ImageLayer, axes: str | None) -> float | None:
    """Return the micrometres from slice to slice, by the same rule as `pixel_size`."""
    place = (axes or "").find("Z")
    if place < 0 or pixel_size(layer) is None:
        return None
    return micrometres(layer.scale[place], layer.units[place])


def layer_axes(layer: ImageLayer) -> str | None:
    """Return the axes that the layer itself names; None where its labels are napari's numbers."""
    if (channels := all_channels(layer)) is not None:
        return str(channels["axes"])
    letters = "".join(str(label).strip().upper()[:2] for label in layer.axis_labels)
    letters += "C" if layer.rgb and "C" not in letters else ""
    ndim = np.ndim(layer.data[0]) if layer.multiscale else layer.data.ndim
    known = len(letters) == ndim and set(letters) <= set("TZCYX") and len(set(letters)) == ndim
    return letters if known and {"Y", "X"} <= set(letters) else None


def pixel_size(layer: Layer) -> tuple[float, float] | None:
    """Return the micrometres per pixel along (Y, X).

    A scale other than 1 without a unit is taken as micrometres, as is the custom in napari; a scale of 1 without a
    unit means nothing, and gives None.
    """
    height, width = (micrometres(layer.scale[place], layer.units[place]) for place in (-2, -1))
    return None if height is None or width is None else (height, width)


def micrometres(scale: float, unit: Any) -> float | None:
    """Return the scale of an axis in micrometres, by the rule of `pixel_size`."""
    length = 1 * unit if hasattr(unit, "dimensionality") else None
    if length is not None and length.check("[length]"):
        scale = scale * length.to("micrometer").magnitude
    elif scale == 1:
        return None
    return float(scale) if np.isfinite(scale) and scale > 0 else None


def layer_path(layer: Layer) -> str | None:
    """Return the file that a layer came from."""
    path = layer.metadata.get(METADATA_KEY, {}).get("path") or layer.source.path
    return None if path is None else str(path)


def layer_folder(layer: Layer | None) -> str:
    """Return the folder of the file that a layer came from; empty where it came from none."""
    path = None if layer is None else layer_path(layer)
    return "" if path is None else str(file_of(path).parent)


def same_field(layer: Layer, other: Layer) -> bool:
    """Whether two images cover the same part of the world."""
    here, there = (np.asarray(one.extent.world)[:, -2:] for one in (layer, other))
    return bool(np.allclose(here, there))


def layer_stem(layer: Layer) -> str:
    """Name for result files."""
    path, origin = layer_path(layer), layer_origin(layer)
    stem = Path(name_of(path)).stem if path else title_of(layer)
    if origin is not None:
        # Beside the results of the whole image, and of its other parts.
        known = layer.metadata[METADATA_KEY]["origin"]
        top, left = origin.offset_yx
        height, width = known["size_yx"]
        stem = Path(name_of(known["path"])).stem if known["path"] else known["name"]
        stem = f"{stem}_y{top}-{top + height}_x{left}-{left + width}"
    return "".join(c if c.isalnum() or c in "-_.+ " else "_" for c in stem).strip() or "image"


# Events of a layer that lies elsewhere now.
PLACEMENT = (*_TRANSFORMS, "units")


def placement(layer: Layer) -> dict[str, Any]:
    """Return where a layer lies in the world, for (Y, X) layers made from it: transforms, units, axis labels."""
    values: dict[str, Any] = {"units": tuple(layer.units[-2:]), "axis_labels": tuple(layer.axis_labels[-2:])}
    if layer.ndim == 2:
        return {**values, **{name: getattr(layer, name) for name in _TRANSFORMS}}
    return {
        **values,
        "scale": layer.scale[-2:],
        "translate": layer.translate[-2:],
        "rotate": np.asarray(layer.rotate)[-2:, -2:],
        # The upper triangle's last entry is the one between the last two axes.
        "shear": np.asarray(layer.shear).ravel()[-1:],
        "affine": np.asarray(layer.affine.affine_matrix)[-3:, -3:],
    }
