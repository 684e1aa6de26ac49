"""What the user chose, for each image and for all images of a viewer; nothing here is a result."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any, Literal

from psygnal import Signal

from ..imaging.channels import Channel
from ..imaging.normalize import NormalizerParams
from ..segmentation.recipe import Recipe
from .keys import PlaneKey, layer_id

Where = Literal["whole", "visible", "drawn"]


@dataclass(frozen=True)
class ImageChoices:
    """The user's choices for one image layer, all its planes included.

    Attributes
    ----------
    axes : str or None
        Where the layer does not name its own.
    channel : int, str or None
        A channel, or a mix such as ``"0+2"``; None for an image with one channel, and for all colours.
    diameter : float or None
        Of a typical cell in pixels; 0 takes the image as it is, None estimates it.
    normalizer : NormalizerParams or None
        Percentiles by which it is scaled; None takes those of the loaded recipe or of the model.
    where : {"whole", "visible", "drawn"}
        Where cells are looked for when Segment is pressed.
    """

    axes: str | None = None
    channel: Channel | None = None
    diameter: float | None = None
    normalizer: NormalizerParams | None = None
    where: Where = "whole"


@dataclass(frozen=True)
class ViewerChoices:
    """The user's choices for all images of a viewer.

    Attributes
    ----------
    model : str
        Name or folder.
    device : str
    accurate : bool
    all_planes : bool
        Whether Segment finds the cells of all planes of a stack, or of the one in view.
    loaded : Recipe or None
        Recipe from a file. While its model is the chosen one, its percentiles are used, and the first sliders are its.
    """

    model: str = "cells"
    device: str = "auto"
    accurate: bool = False
    all_planes: bool = False
    loaded: Recipe | None = None


class Choices:
    """The choices of one viewer; every change is announced.

    Signals
    -------
    changed(id)
        Choices for an image layer changed; None: those for all images.

    Parameters
    ----------
    viewer : ViewerChoices
        To start with.
    """

    changed = Signal(object)

    def __init__(self, viewer: ViewerChoices | None = None) -> None:
        self._viewer = viewer or ViewerChoices()
        self._images: dict[Hashable, ImageChoices] = {}

    @property
    def viewer(self) -> ViewerChoices:
        """The user's choices for all images."""
        return self._viewer

    def for_image(self, key: Hashable | None) -> ImageChoices:
        """Return what was chosen for an image, or for the image layer of a plane."""
        return self._images.get(layer_id(key), ImageChoices())

    def choose(self, **values: Any) -> None:
        """Choose fields of `ViewerChoices`."""
        chosen = replace(self._viewer, **values)
        if chosen != self._viewer:
            self._viewer = chosen
            self.changed.emit(None)

    def choose_for(self, key: Hashable, **values: Any) -> None:
        """Choose fields of `ImageChoices` for an image."""
        chosen = replace(self.for_image(key), **values)
        if chosen != self.for_image(key):
            self._images[layer_id(key)] = chosen
            self.changed.emit(layer_id(key))

    def copy(self, key: Hashable, to: Hashable) -> None:
        """Let what was chosen for one image be chosen for another."""
        chosen = self.for_image(key)
        if chosen != self.for_image(to):
            self._images[layer_id(to)] = chosen
            self.changed.emit(layer_id(to))

    def recipe(self, key: Hashable | None, first: bool) -> Recipe:
        """Return the recipe that these choices make for an image.

        Parameters
        ----------
        key : hashable or None
        first : bool
            Whether the chosen model has not segmented this image yet: the sliders then start where a loaded recipe has
            them. Else, and without one, the recipe leaves them open.
        """
        viewer, image = self._viewer, self.for_image(key)
        recipe = Recipe(
            model=viewer.model,
            channel=image.channel,
            axes=image.axes,
            diameter=image.diameter,
            normalizer=image.normalizer,
            accurate=viewer.accurate,
            pages="stack" if isinstance(key, PlaneKey) else "one",
        )
        loaded = viewer.loaded
        if loaded is None or loaded.model != viewer.model:
            return recipe
        normalizer = image.normalizer or loaded.normalizer
        recipe = replace(recipe, model_sha256=loaded.model_sha256, normalizer=normalizer)
        return recipe.with_sliders_of(loaded) if first else recipe
