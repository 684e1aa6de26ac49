"""Which image of a viewer is chosen, and the layers that show it and its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image as ImageLayer
from napari.layers import Layer

from ...session import Session
from .channels import image_of_channel, set_shown
from .layer_image import METADATA_KEY, same_field
from .results import Results
from .viewer_images import ViewerImages

if TYPE_CHECKING:
    from napari import Viewer

# Blending of layers that hide what lies below them.
_COVERS = ("opaque", "translucent", "translucent_no_depth")


class ChosenImage(ViewerImages):
    """Chooses an image and shows it, with its result layers.

    Attributes
    ----------
    layers : Results
        Result layers by the key of the image that they show.
    """

    def __init__(self, viewer: Viewer, session: Session) -> None:
        super().__init__(viewer, session)
        self.layers = Results()

    def image_of_result(self, layer: Layer | None) -> ImageLayer | None:
        """Return the image layer that a result layer was made from; None for other layers."""
        key = self.layers.key_of(layer)
        return self.layer_of(self.layers.owner_asleep(layer) if key is None else key)

    def choose(self, layer: ImageLayer | None) -> None:
        """Choose an image layer: of one with several planes the one in view."""
        self.session.choose(None if layer is None else self.key_of(layer))

    def choose_active(self) -> None:
        """Choose the image that is selected in the layer list, or that the selected result was made from."""
        if (image := self._active_image()) is not None:
            self.choose(image)

    def is_selected(self, layer: ImageLayer) -> bool:
        """Whether an image, a channel or a result of it is selected in the layer list."""
        return self._active_image() is layer

    def _active_image(self) -> ImageLayer | None:
        active = self.viewer.layers.selection.active
        image = image_of_channel(self.viewer, active)
        if image is None:
            image = active if isinstance(active, ImageLayer) else self.image_of_result(active)
        return image

    def layer_to_segment(self) -> Layer | None:
        """Return the chosen image; without one the selected layer, so that a message can name what is wrong with it."""
        return self.layer_of(self.session.chosen) or self.viewer.layers.selection.active

    def show_image(self, layer: ImageLayer, select: bool = True) -> None:
        """Show an image, hide those that cover it or were opened together with it, and select its cells layer.

        With `select` false the selected layer stays selected.
        """
        images = self.image_layers()
        opened = [other for other in images if other.metadata.get(METADATA_KEY, {}).get("opened")]
        before = next((other for other in reversed(images) if other.visible and other is not layer), None)
        # Additive layers are channels of one picture.
        above = images[images.index(layer) + 1 :]
        covering = [other for other in above if other.visible and str(other.blending) in _COVERS]
        set_shown(self.viewer, layer, True)
        for other in {*covering, *(opened if layer in opened else ())} - {layer}:
            set_shown(self.viewer, other, False)
            if (results := self.layers.of_image(other.unique_id)) is not None:
                results.show(False, self.layers.numbers)
        results = self.layers.of_image(layer.unique_id)
        if results is not None:
            results.show(True, self.layers.numbers)
        if before is not None and not before.visible and not same_field(before, layer):
            self.fit(layer)
        if not select:
            return
        # Strokes and keys go to the cells of this image from now on.
        asleep = results is None or layer.unique_id in self.layers.asleep
        self.viewer.layers.selection.active = layer if results is None or asleep else results.labels

    def fit(self, layer: ImageLayer) -> None:
        """Fit an image into the view; other open images do not count."""
        self.viewer.reset_view(layers=[layer])
