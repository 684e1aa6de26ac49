"""The image layers of one viewer, and the planes of those that have several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

from napari.layers import Image as ImageLayer

from ...imaging.channels import Channel
from ...imaging.errors import CellsegError
from ...imaging.image import Image
from ...session import PlaneKey, Session, layer_id
from .channels import image_of_channel, show_channel
from .layer_image import image_from_layer, layer_axes, layer_stem
from .planes import Stack, key_here, stack_of

if TYPE_CHECKING:
    from napari import Viewer


class ViewerImages:
    """Finds the image layer, the planes and the pixels of a key of the session.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer itself, not a proxy of it.
    session : Session
    """

    def __init__(self, viewer: Viewer, session: Session) -> None:
        # A strong reference would keep a closed viewer alive: `bench_of` keeps a bench as long as its viewer.
        self._viewer = ref(viewer)
        self.session = session
        self._stacks: dict[Any, tuple[Any, tuple[object, ...], Stack | None]] = {}

    @property
    def viewer(self) -> Viewer:
        """The viewer."""
        viewer = self._viewer()
        if viewer is None:
            raise CellsegError("The napari window of this widget was closed. Open the widget again.")
        return viewer

    def image_layers(self) -> list[ImageLayer]:
        """Return the image layers of the viewer, from the bottom up; of an image with a layer per channel the first."""
        layers = [layer for layer in self.viewer.layers if isinstance(layer, ImageLayer)]
        return [layer for layer in layers if image_of_channel(self.viewer, layer) is None]

    def layer_of(self, key: Any) -> ImageLayer | None:
        """Return the image layer of a key; None when it is gone."""
        id_ = layer_id(key)
        return next((layer for layer in self.image_layers() if layer.unique_id == id_), None)

    def stack_of(self, key: Any) -> Stack | None:
        """Return the planes of the image layer of a key; None where it has one plane."""
        id_ = layer_id(key)
        layer, axes = self.layer_of(id_), self.session.choices.for_image(id_).axes
        if layer is None or layer.ndim < 3:
            return None
        # It is asked for many times on the way from plane to plane.
        facts = (axes, layer.name, layer.axis_labels, tuple(layer.scale), layer.units)
        known = self._stacks.get(id_)
        if known is None or known[0] is not layer.data or known[1] != facts:
            known = self._stacks[id_] = (layer.data, facts, stack_of(layer, axes))
        return known[2]

    def key_of(self, layer: ImageLayer) -> Any:
        """Return the session's key of a layer: that of its plane in view, or the layer's own id."""
        stack = self.stack_of(layer.unique_id)
        return layer.unique_id if stack is None else key_here(stack, layer, self.viewer.dims.point)

    def is_in_view(self, key: Any) -> bool:
        """Whether a key is that of the plane of its layer that is in view; always so for a layer of one plane."""
        layer = self.layer_of(key)
        return layer is not None and (not isinstance(key, PlaneKey) or self.key_of(layer) == key)

    def image_of(self, key: Any) -> Image:
        """Return the image of a key, or the one plane of it.

        Raises
        ------
        CellsegError
            There is none, or it can't be segmented.
        """
        stack = self.stack_of(key) if isinstance(key, PlaneKey) else None
        if stack is not None and stack.has(key):
            return stack.plane(key)
        return image_from_layer(self.layer_of(key), self.session.choices.for_image(key).axes)

    def name_of(self, key: Any) -> str:
        """Name for result files of a key: that of its image layer, and of the plane where there are several."""
        layer, stack = self.layer_of(key), self.stack_of(key) if isinstance(key, PlaneKey) else None
        stem = "image" if layer is None else layer_stem(layer)
        return stem if stack is None or not stack.has(key) else f"{stem}_{stack.page(key).name}"

    def show_channel(self, layer: ImageLayer, channel: Channel | None) -> None:
        """Let the canvas show the channel that is chosen, where napari has a slider for channels."""
        axes, dims = self.session.choices.for_image(layer.unique_id).axes or layer_axes(layer), self.viewer.dims
        try:
            places = image_from_layer(layer, axes).channel_places(channel)
        except CellsegError:
            return
        if any([show_channel(self.viewer, layer, place) for place in places]):
            return
        if axes and "C" in axes and not layer.rgb and len(places) == 1:
            dims.set_current_step(axes.index("C") - layer.ndim + dims.ndim, places[0])
