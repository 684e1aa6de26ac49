"""Count by clicking: one point per cell in a layer of its own, without seeing what the model found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Layer, Points
from psygnal import Signal
from superqt.utils import qdebounced

from ...evaluation.agreement.store import PersonCount
from ...imaging.channels import Channel
from ...imaging.errors import CellsegError
from ...session import PlaneKey
from ..viewer.bench import Bench
from ..viewer.layer_image import METADATA_KEY, placement
from ..viewer.planes_in_view import PlanesInView

DEBOUNCE_MS = 1000
COLOR = "#ffb000"
POINT_LIMITS = (7, 14)


@dataclass(eq=False)
class _Running:
    count: PersonCount
    image: ImageLayer
    points: Points
    plane: PlaneKey | None = None
    hidden: list[Layer] = field(default_factory=list)


class Clicking:
    """The user counts the cells of one image by clicking.

    Signals
    -------
    changed()
        It began, a point was set or taken back, or it ended.

    Parameters
    ----------
    bench : Bench
    put : callable
        Keeps a count; also one that is not finished, so that no click is lost.
    """

    changed = Signal()

    def __init__(self, bench: Bench, put: Callable[[PersonCount], None]) -> None:
        self._bench, self._put = bench, put
        self._now: _Running | None = None
        self._debounced = qdebounced(self.keep, timeout=DEBOUNCE_MS)
        bench.viewer.layers.events.removed.connect(self._on_removed)
        # First: before the cells of the plane that is left are put away.
        bench.viewer.dims.events.current_step.connect(self._on_step, position="first")

    @property
    def running(self) -> bool:
        """Whether the user is counting."""
        return self._now is not None

    @property
    def image(self) -> str:
        """Name of the image that is counted."""
        return "" if self._now is None else self._now.count.image

    @property
    def n(self) -> int:
        """Number of cells that were clicked so far."""
        return len(self._places())

    @property
    def n_outside(self) -> int:
        """Number of clicks beside the image, which do not count."""
        return 0 if self._now is None else len(self._now.points.data) - self.n

    def start(
        self, count: PersonCount, image: ImageLayer, channel: Channel | None = None, plane: PlaneKey | None = None
    ) -> None:
        """Let the user click; earlier clicks in this image are shown again.

        Parameters
        ----------
        count : PersonCount
            What is known of the image; of one that was never counted, without a count.
        image : napari.layers.Image
        channel : int or str, optional
            The channel that is counted, where it has several.
        plane : PlaneKey, optional
            Of a stack: the plane that is counted. Going to another one ends the counting; the clicks stay.
        """
        self.stop()
        viewer = self._bench.viewer
        self._bench.show_image(image)
        if plane is not None:
            # First, as the cells of a plane come with it.
            self._bench.part(PlanesInView).go_to(plane)
        # Cells that are shown would sway the count; and another image may lie over this one.
        others = [*self._results(), *(other for other in self._bench.image_layers() if other is not image)]
        hidden = [layer for layer in others if layer.visible]
        for layer in hidden:
            layer.visible = False
        stack = None if plane is None else self._bench.stack_of(plane)
        axes = "CYX" if stack is None else stack.image.axes
        # Of a mix the first channel is shown: napari shows one at a time.
        first = self._first_channel(plane or image.unique_id, channel)
        if first is not None and image.ndim == len(axes) and "C" in axes:
            viewer.dims.set_current_step(viewer.dims.ndim - len(axes) + axes.index("C"), first)
        points = self._layer(count, image, plane)
        points.visible = True
        viewer.layers.selection.active = points
        points.mode = "add"
        self._now = _Running(count, image, points, plane, hidden)
        points.events.data.connect(self._on_data)
        self.changed.emit()

    def _first_channel(self, key: Any, channel: Channel | None) -> int | None:
        try:
            places = self._bench.image_of(key).channel_places(channel)
        except CellsegError:
            return None
        return places[0] if places else None

    def take_back(self) -> None:
        """Take the last point away."""
        if self._now is not None and len(self._now.points.data):
            self._now.points.data = self._now.points.data[:-1]

    def finish(self) -> PersonCount | None:
        """Take the number of clicks as the user's count."""
        if self._now is None:
            return None
        places = self._places()
        count = replace(self._now.count, people=len(places), points=places)
        self._put(count)
        self._end()
        return count

    def stop(self) -> None:
        """End without a count; the clicks are kept for the next time."""
        if self._now is not None:
            self.keep()
            self._end()

    def keep(self) -> None:
        """Put the clicks on the disk, for when the counting goes on."""
        self._debounced.cancel()
        if self._now is None:
            return
        places = self._places()
        if places == self._now.count.points:
            return
        # A count of before stays until this one is finished.
        self._now.count = replace(self._now.count, points=places)
        try:
            self._put(self._now.count)
        except CellsegError as error:
            self._bench.failed(error)

    def _layer(self, count: PersonCount, image: ImageLayer, plane: PlaneKey | None) -> Points:
        """Return the layer of clicks of an image, or of a plane."""
        about = {"counted": image.unique_id} if plane is None else {"counted": image.unique_id, "plane": plane.index}
        data = np.array(count.points, float).reshape(-1, 2)
        viewer = self._bench.viewer
        for layer in viewer.layers:
            if isinstance(layer, Points) and layer.metadata.get(METADATA_KEY) == about:
                layer.data = data
                return layer
        layer = Points(
            data,
            name=f"{image.name} counted by you",
            size=5,
            face_color=COLOR,
            border_color="black",
            border_width=0.2,
            canvas_size_limits=POINT_LIMITS,
            metadata={METADATA_KEY: about},
            **placement(image),
        )
        viewer.add_layer(layer)
        return layer

    def _results(self) -> list[Layer]:
        return [layer for layers in self._bench.layers.values() for layer in (layers.labels, layers.points)]

    def _places(self) -> tuple[tuple[float, float], ...]:
        if self._now is None:
            return ()
        image = self._now.image
        data = image.data[0] if image.multiscale else image.data
        height, width = data.shape[:2] if image.rgb else data.shape[-2:]
        at = np.asarray(self._now.points.data, float).reshape(-1, 2)
        inside = ((at >= -0.5) & (at < np.array([height, width]) - 0.5)).all(axis=1)
        return tuple((float(y), float(x)) for y, x in at[inside])

    def _end(self) -> None:
        now, self._now = self._now, None
        if now is None:
            return
        self._debounced.cancel()
        now.points.events.data.disconnect(self._on_data)
        viewer = self._bench.viewer
        if now.points in viewer.layers:
            # Not taken out: where OpenGL runs in software, drawing after the last points layer has gone can crash.
            now.points.selected_data = set()
            now.points.mode = "pan_zoom"
            now.points.visible = False
        for layer in now.hidden:
            if layer in viewer.layers:
                layer.visible = True
        if now.image in viewer.layers:
            viewer.layers.selection.active = now.image
        self.changed.emit()

    def _on_data(self, event: Any) -> None:
        self._debounced()
        self.changed.emit()

    def _on_step(self, event: Any = None) -> None:
        plane = None if self._now is None else self._now.plane
        if plane is not None and not self._bench.is_in_view(plane):
            # Clicks there would be of another plane.
            self.stop()

    def _on_removed(self, event: Any) -> None:
        if self._now is not None and event.value in (self._now.points, self._now.image):
            self.stop()
