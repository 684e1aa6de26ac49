"""Where cells are looked for: the whole image, what is visible of it, or a drawn rectangle, as an image of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from psygnal import Signal

from ...imaging.errors import CellsegError, ImageError
from ...imaging.image import Image
from ...session import CANCELLED, Where, layer_id
from ..shared.workers import Latest
from .bench import Bench
from .field import Rectangle, drawn, prepare_drawing, visible
from .layer_image import CHANNELS, METADATA_KEY, all_channels, image_from_layer, layer_path, title_of
from .planes import sliceable

# What one waits a minute for, and what holds in the memory of any computer that shows it.
MAX_PIXELS = 1 << 24
# What makes a part look like the image that it was cut out of.
_LOOKS = ("colormap", "contrast_limits", "gamma", "interpolation2d")
_TRANSFORMS = ("scale", "rotate", "shear", "affine", "units", "axis_labels")


class Regions:
    """Cuts parts out of image layers, each a layer of its own that lies on the image it is from.

    Everything else then works on a part as it does on any image. The values of an image of one plane are read in a
    background thread; the planes of a stack are read one by one, as they come into view.

    Signals
    -------
    changed()
        A part began or ended to be read.
    """

    changed = Signal()

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        # Of each part the id of the image layer that it is from, and its place there.
        self._made: dict[Any, tuple[Any, Rectangle]] = {}
        self._outdated: set[Any] = set()
        self._reading = Latest(self._failed)
        # Whether a part is being read.
        self.busy = False
        bench.cancelled.connect(self._on_cancelled)

    def is_part(self, key: Any) -> bool:
        """Whether an image was cut out of another one here."""
        return layer_id(key) in self._made

    def cut(self, then: Callable[[], object]) -> None:
        """Cut the chosen part out of the chosen image, choose it in its place, then go on."""
        bench = self._bench
        key, where = bench.session.chosen, bench.session.choices.for_image(bench.session.chosen).where
        if bench.session.running is not None or self.busy:
            return
        # What is visible of a part is meant of the image behind it: one goes on there, part by part.
        layer = self.image_of(key)
        try:
            image = image_from_layer(
                layer, None if layer is None else bench.session.choices.for_image(layer.unique_id).axes
            )
            assert layer is not None
            place = self._place(where, layer, image)
        except CellsegError as error:
            bench.session.fail(None, error)
            return
        if place.is_whole(image.shape_yx):
            bench.choose(layer)
            then()
        elif (part := self._known(layer, place)) is not None:
            bench.session.choices.copy(key, part.unique_id)
            bench.choose(part)
            then()
        else:
            self._read(layer, image, place, key, then)

    def close(self) -> None:
        """Wait for no part any more."""
        self.busy = False
        self._reading.close()

    def image_of(self, key: Any) -> ImageLayer | None:
        """Return the layer of an image, or of the image that a part is of."""
        source = self._made.get(layer_id(key), (None, None))[0]
        return self._bench.layer_of(source) or self._bench.layer_of(key)

    def _place(self, where: Where, layer: ImageLayer, image: Image) -> Rectangle:
        viewer = self._bench.viewer
        if not image.axes.endswith("YXC" if image.rgb else "YX"):
            raise ImageError(f"'{layer.name}' has axes {image.axes}: of such an image only the whole can be segmented.")
        place = visible(viewer, layer) if where == "visible" else drawn(viewer, layer)
        if place is None:
            name = prepare_drawing(viewer, layer)
            raise ImageError(
                f"No rectangle is drawn yet. Draw one on the image now, in the layer '{name}', then press Segment."
            )
        place = place.within(image.shape_yx)
        if place.n_pixels == 0:
            what = "Nothing of it is in view" if where == "visible" else "The drawn rectangle lies beside it"
            raise ImageError(f"'{layer.name}': {what}. {_NEXT[where]}, then press Segment.")
        if place.n_pixels > MAX_PIXELS:
            what = "is visible" if where == "visible" else "lies in the drawn rectangle"
            raise ImageError(
                f"{place.n_pixels / 1e6:,.0f} million pixels of '{layer.name}' {what}, and at most "
                f"{MAX_PIXELS / 1e6:.0f} million are segmented as a part. {_LESS[where]}, then press Segment."
            )
        return place

    def _known(self, layer: ImageLayer, place: Rectangle) -> ImageLayer | None:
        """Return the part that was cut out there before, if it still lies there."""
        for id_, made in self._made.items():
            part = self._bench.layer_of(id_) if made == (layer.unique_id, place) else None
            if part is not None and id_ not in self._outdated and _lies_on(part, layer, place):
                return part
        return None

    def _read(self, layer: ImageLayer, image: Image, place: Rectangle, key: Any, then: Callable[[], object]) -> None:
        bench, data = self._bench, layer.data
        several = bench.stack_of(layer.unique_id) is not None

        def read() -> Any:
            return _planes(image, place) if several else image.read_region(*place.slices)

        def add(values: Any) -> None:
            self.busy = False
            self.changed.emit()
            now = bench.layer_of(layer.unique_id)
            if now is None or now.data is not data:
                bench.session.note("The image changed while a part of it was read. Press Segment again.")
                return
            self._add(layer, values, place, key)
            then()

        self.busy = True
        size = f"{place.right - place.left:,} × {place.bottom - place.top:,} px"
        bench.session.note(f"Reading {size} of {image.title} …")
        self.changed.emit()
        self._reading.ask(read, add)

    def _failed(self, error: BaseException) -> None:
        self.busy = False
        self.changed.emit()
        self._bench.failed(error)

    def _add(self, layer: ImageLayer, values: Any, place: Rectangle, key: Any) -> None:
        """Add a part as a layer, right above its image, with the choices that were made for that."""
        bench, viewer = self._bench, self._bench.viewer
        part = _part_layer(layer, values, place)
        self._made[part.unique_id] = (layer.unique_id, place)
        layer.events.data.connect(self._on_data)
        # With where to look: who looks at views one after the other moves on and presses Segment again.
        bench.session.choices.copy(key, part.unique_id)
        viewer.layers.insert(viewer.layers.index(layer) + 1, part)
        viewer.layers.selection.active = part
        bench.choose(part)

    def _on_cancelled(self) -> None:
        if self.busy:
            self.close()
            self.changed.emit()
            self._bench.session.note(CANCELLED)

    def _on_data(self, event: Any) -> None:
        """Mark the parts of an image that was given other data as outdated."""
        self._outdated |= {id_ for id_, (source, _) in self._made.items() if source == event.source.unique_id}


_NEXT = {"visible": "Move the view onto it", "drawn": "Draw one on it"}
_LESS = {"visible": "Zoom in", "drawn": "Draw a smaller one"}


def _planes(image: Image, place: Rectangle) -> Any:
    """Cut a stack; nothing is read."""
    return sliceable(image.data)[image.region_index(*place.slices)]


def _part_layer(layer: ImageLayer, values: Any, place: Rectangle) -> ImageLayer:
    """Return a layer of a part, lying on the image; hidden, as the image that it lies on shows the same."""
    known = layer.metadata.get(METADATA_KEY, {})
    offset, size = (place.top, place.left), (place.bottom - place.top, place.right - place.left)
    known_channels = all_channels(layer)
    origin = {"name": title_of(layer), "path": layer_path(layer), "offset_yx": offset, "size_yx": size}
    about = {name: known[name] for name in ("channel_names", "frame_interval") if name in known}
    part = ImageLayer(
        values if known_channels is None else values[0],
        rgb=layer.rgb,
        multiscale=False,
        name=f"{title_of(layer)} [{place.top}:{place.bottom}, {place.left}:{place.right}]",
        metadata={METADATA_KEY: {**about, "origin": origin}},
        visible=False,
        translate=_translate(layer, place),
        **{name: getattr(layer, name) for name in _TRANSFORMS},
        **{} if layer.rgb else {name: getattr(layer, name) for name in _LOOKS},
    )
    if known_channels is not None:
        of_part = {**known_channels, "values": values, "shown": part.data, "title": part.name, "name": part.name}
        part.metadata[METADATA_KEY][CHANNELS] = of_part
    return part


def _translate(layer: ImageLayer, place: Rectangle) -> np.ndarray:
    """Return where the first pixel of a part lies; the offset goes the way of the image, turned and sheared as it."""
    start = np.zeros(layer.ndim)
    corner = start.copy()
    corner[-2:] = place.top, place.left
    way = np.subtract(layer.data_to_world(corner), layer.data_to_world(start))
    return np.asarray(layer.translate) + np.linalg.solve(np.asarray(layer.affine.linear_matrix), way)


def _lies_on(part: ImageLayer, layer: ImageLayer, place: Rectangle) -> bool:
    """Whether the corners of a part are those of its place on the image."""
    for corner in ((place.top, place.left), (place.bottom, place.right)):
        inside = np.subtract(corner, (place.top, place.left))
        if not np.allclose(part.data_to_world(inside), layer.data_to_world(corner)):
            return False
    return True
