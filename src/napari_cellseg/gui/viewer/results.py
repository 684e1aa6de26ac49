"""The result layers of all images of a viewer."""

from __future__ import annotations

from typing import Any

from napari.layers import Layer

from ...session import PlaneKey, layer_id
from .result_layers import ResultLayers


class Results(dict[Any, ResultLayers]):
    """Result layers by the key of the image, or of the plane, whose cells they show now.

    An image layer has one pair, whichever of its planes is in view. While that plane has no cells the pair is `asleep`:
    hidden, and kept by the id of the image layer.

    Attributes
    ----------
    outlines : bool
        Whether cells are drawn as outlines.
    numbers : bool
        Whether the numbered points are shown.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asleep: dict[Any, ResultLayers] = {}
        self.outlines = False
        self.numbers = True

    def add(self, key: Any, layers: ResultLayers) -> None:
        """Take in a new pair of layers, drawn as the others are."""
        self[key] = layers
        layers.set_outlines(self.outlines)
        layers.set_numbers(self.numbers)

    def all(self) -> list[ResultLayers]:
        """Return all pairs, those that are asleep too."""
        return [*self.values(), *self.asleep.values()]

    def of_image(self, id_: Any) -> ResultLayers | None:
        """Return the pair of an image layer, whichever plane it shows; None where there is none yet."""
        shown = (layers for key, layers in self.items() if layer_id(key) == id_)
        return next(shown, None) or self.asleep.get(id_)

    def key_of(self, layer: Layer | None) -> Any:
        """Return the key of the image whose cells a layer shows now; None for layers that are no result."""
        found = (key for key, layers in self.items() if layer is layers.labels or layer is layers.points)
        return next(found, None)

    def owner_asleep(self, layer: Layer | None) -> Any:
        """Return the id of the image layer that a hidden result layer belongs to; None for other layers."""
        return next((id_ for id_, pair in self.asleep.items() if layer in (pair.labels, pair.points)), None)

    def wake(self, key: Any) -> ResultLayers | None:
        """Show the hidden pair of an image for a plane that has cells now; None where nothing is asleep."""
        layers = self.asleep.pop(key.layer, None) if isinstance(key, PlaneKey) else None
        if layers is not None:
            self[key] = layers
            layers.wake()
        return layers

    def put_to_sleep(self, id_: Any, layers: ResultLayers) -> None:
        """Hide the pair of an image layer whose plane in view has no cells."""
        self.asleep[id_] = layers
        layers.sleep()

    def forget(self, id_: Any) -> None:
        """Forget the pair of an image layer; the layers stay in the viewer."""
        for known in [known for known in self if layer_id(known) == id_]:
            del self[known]
        self.asleep.pop(id_, None)

    def set_outlines(self, outlines: bool) -> None:
        """Draw the cells of all images as outlines, or filled."""
        self.outlines = outlines
        for layers in self.all():
            layers.set_outlines(outlines)

    def set_numbers(self, numbers: bool) -> None:
        """Show or hide the numbered points of all images."""
        self.numbers = numbers
        for layers in self.all():
            layers.set_numbers(numbers)
