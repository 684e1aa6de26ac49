"""An image of several channels: one image for the plugin, one coloured and additive layer per channel for the eye.

The layer of the first channel stands for the image, and holds the values of all; the others belong to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image as ImageLayer
from napari.layers import Layer

from ...imaging.image import Image
from ...segmentation.differences import channel_names
from .layer_image import CHANNELS, METADATA_KEY

if TYPE_CHECKING:
    from napari import Viewer

# Colours that microscopists expect, by what the names of channels contain.
_BY_NAME = {
    "blue": ("dapi", "hoechst", "nucle", "405", "bfp", "blue"),
    "green": ("gfp", "fitc", "488", "green"),
    "red": ("rfp", "mcherry", "tritc", "texas", "561", "568", "594", "cy3", "tomato", "red"),
    "magenta": ("cy5", "633", "640", "647", "far"),
    "yellow": ("yfp", "venus"),
    "cyan": ("cfp", "cerulean"),
    "gray": ("bright", "phase", "dic", "trans"),
}
_OTHERS = ("green", "magenta", "cyan", "yellow", "red", "blue")
_OF = "channel_of"


def is_split(image: Image, levels: Any) -> bool:
    """Whether an image gets a layer per channel: planes (C, Y, X); stacks and pyramids keep napari's slider."""
    return levels is None and not image.rgb and image.axes == "CYX" and image.n_channels > 1


def add_channels(viewer: Viewer, image: Image, name: str, contrast: Any, **attributes: Any) -> Layer:
    """Add a layer for each channel, and return that of the first, which stands for the image."""
    names = [given or f"channel {i}" for i, given in enumerate(channel_names(image))]
    about = attributes.pop("metadata")[METADATA_KEY]
    first: Any = None
    for place, (channel, color) in enumerate(zip(names, colors(names), strict=True)):
        data = image.data[place]
        layer = ImageLayer(
            data,
            name=f"{name}: {channel}",
            colormap=color,
            blending="additive" if place else "translucent_no_depth",
            contrast_limits=contrast(data),
            metadata={METADATA_KEY: {_OF: first.unique_id, "channel": place} if place else {**about, "channel": 0}},
            **attributes,
        )
        if first is None:
            first = layer
            # Before it is added: those that are notified of the layer ask for its image.
            known = {"values": image.data, "shown": layer.data, "axes": image.axes, "title": name, "name": layer.name}
            layer.metadata[METADATA_KEY][CHANNELS] = known
        viewer.add_layer(layer)
    # New layers come to the top and are selected; the image is the first.
    viewer.layers.selection.active = first
    return first


def colors(names: list[str]) -> list[str]:
    """Return a colour for each channel: by its name, else one that no other has."""
    found: list[str] = []
    for name in names:
        named = (color for color, words in _BY_NAME.items() if any(word in name.lower() for word in words))
        found.append(next(named, ""))
    free = [color for color in _OTHERS if color not in found] + ["gray"] * len(names)
    return [color or free.pop(0) for color in found]


def channel_layers(viewer: Viewer, layer: Layer) -> list[ImageLayer]:
    """Return the layers of the other channels of an image, which its own layer stands for."""
    return [other for other in viewer.layers if _owner(other) == layer.unique_id]


def image_of_channel(viewer: Viewer, layer: Layer | None) -> ImageLayer | None:
    """Return the layer of the image that a layer is a channel of; None for any other, and where it is gone."""
    owner = _owner(layer)
    return None if owner is None else next((one for one in viewer.layers if one.unique_id == owner), None)


def set_shown(viewer: Viewer, layer: Layer, shown: bool) -> None:
    """Show or hide an image with all its channels."""
    for one in (layer, *channel_layers(viewer, layer)):
        one.visible = shown


def show_channel(viewer: Viewer, layer: Layer, place: int) -> bool:
    """Show the layer of a channel of an image; False where the image has none of its own."""
    if CHANNELS not in layer.metadata.get(METADATA_KEY, {}):
        return False
    for one in (layer, *channel_layers(viewer, layer)):
        if one.metadata[METADATA_KEY]["channel"] == place:
            one.visible = True
    return True


def _owner(layer: Layer | None) -> Any:
    return None if layer is None else layer.metadata.get(METADATA_KEY, {}).get(_OF)
