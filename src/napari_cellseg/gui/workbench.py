"""What every widget and command of one viewer shares: its session, its running work, its result layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from napari.layers import Image as ImageLayer
from napari.layers import Layer
from napari.utils.notifications import notification_manager
from psygnal import Signal
from superqt.utils import qdebounced, qthrottled

from ..batch.recipe import Recipe
from ..imaging.errors import CellsegError
from ..session import Request, Session
from .answer import Answer
from .layer_image import METADATA_KEY, image_from_layer
from .result_layers import ResultLayers
from .run import Run
from .workers import Latest

if TYPE_CHECKING:
    from napari import Viewer

LIVE_INTERVAL_MS = 30
SETTLE_MS = 250
KEPT_EDITS = "Your edited cells were kept in the layer '{}'. The sliders go on in a new one."


class Workbench:
    """Binds a viewer's session to its layers. Everything here runs in the window's thread.

    Signals
    -------
    image_changed(key)
        Values or scale of an image layer changed.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer itself, not a proxy of it.
    """

    image_changed = Signal(object)

    def __init__(self, viewer: Viewer) -> None:
        # A strong reference would keep a closed viewer alive: the table below lasts as long as the viewer.
        self._viewer = ref(viewer)
        self.session = Session()
        self.dragging = False
        self.outlines = False
        self.numbers = True
        self.layers: dict[Any, ResultLayers] = {}
        # What a person said about an image: its axes where it does not name them, its channel.
        self.axes: dict[Any, str] = {}
        self.channels: dict[Any, int | None] = {}
        self.previews = Latest(self._on_failed)
        self._run: Run | None = None
        self._measuring = Latest(self._on_failed)
        self._live = qthrottled(self._show_live, timeout=LIVE_INTERVAL_MS)
        self._settle = qdebounced(self._measure_if_free, timeout=SETTLE_MS)
        self._recount = qdebounced(self._on_edited, timeout=SETTLE_MS)
        viewer.layers.events.inserted.connect(self._on_layer_inserted)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        for layer in viewer.layers:
            self._watch(layer)
        self.session.sliders_changed.connect(self._on_sliders)

    @property
    def viewer(self) -> Viewer:
        """The viewer."""
        viewer = self._viewer()
        if viewer is None:
            raise CellsegError("The napari window of this widget was closed. Open the widget again.")
        return viewer

    def image_layers(self) -> list[ImageLayer]:
        """Image layers of the viewer, from the bottom up."""
        return [layer for layer in self.viewer.layers if isinstance(layer, ImageLayer)]

    def layer_of(self, key: Any) -> ImageLayer | None:
        """Image layer of a key; None when it is gone."""
        return next((layer for layer in self.image_layers() if layer.unique_id == key), None)

    def image_of_result(self, layer: Layer | None) -> ImageLayer | None:
        """Image layer that one of our result layers was made from."""
        for key, layers in self.layers.items():
            if layer is not None and layer in (layers.labels, layers.points):
                return self.layer_of(key)
        return None

    def layer_to_segment(self) -> Layer | None:
        """The chosen image; without one the selected layer, so that the message can say what is wrong with it."""
        return self.layer_of(self.session.chosen) or self.viewer.layers.selection.active

    def show_image(self, layer: ImageLayer) -> None:
        """Show an image that was opened together with others, and hide those, which would cover it."""
        opened = [other for other in self.image_layers() if other.metadata.get(METADATA_KEY, {}).get("opened")]
        layer.visible = True
        for other in opened if layer in opened else []:
            other.visible = other is layer
            results = self.layers.get(other.unique_id)
            if results is not None:
                results.labels.visible = other is layer
                results.points.visible = other is layer and self.numbers

    def segment(self, layer: Layer | None, recipe: Recipe) -> Request | None:
        """Start to segment an image layer; None when something runs already, or the image can't be used."""
        if self.session.running is not None:
            return None
        try:
            image = image_from_layer(layer, recipe.axes)
        except CellsegError as error:
            self.session.fail(None, error)
            return None
        key = layer.unique_id  # type: ignore[union-attr]
        self.session.choose(key)
        request = self.session.request(key, image, recipe)
        if request is None:
            return None
        self._run = Run(
            request,
            progressed=self.session.report,
            answered=self.take,
            failed=self._on_failed,
            cancel=self.cancel,
        )
        return request

    def cancel(self) -> None:
        """Stop the running request at its next batch; its answer is dropped."""
        self._end_run()
        self.session.cancel()

    def close(self) -> None:
        """Stop all work; called when the window goes."""
        self.cancel()
        self._measuring.close()
        self.previews.close()
        for throttled in (self._live, self._settle, self._recount):
            throttled.cancel()

    def in_background(
        self,
        question: Callable[[], Any],
        then: Callable[[Any], object],
        ended: Callable[[], object] | None = None,
    ) -> Latest:
        """Do something small beside the window's thread; errors come as the session's sentence."""
        job = Latest(self._on_failed, ended)
        job.ask(question, then)
        return job

    def take(self, request: Request, answer: Answer) -> None:
        """Show an answer; one to an old request is dropped."""
        if self.session.running is not request:
            return
        self._end_run()
        image = self.layer_of(request.key)
        if image is None:
            self.session.forget(request.key)
            return
        kept = self._set_aside_edits(request.key)
        if request.key in self.layers:
            self.layers[request.key].take(answer)
        else:
            layers = ResultLayers(self.viewer, image, answer)
            layers.set_outlines(self.outlines)
            layers.set_numbers(self.numbers)
            layers.labels.events.paint.connect(self._recount)
            self.layers[request.key] = layers
        self.session.accept(request, answer.segmented)
        if kept:
            self.session.note(KEPT_EDITS.format(kept))

    def _on_failed(self, error: BaseException, request: Request | None = None) -> None:
        if request is not None and self.session.running is request:
            self._end_run()
        self.session.fail(request, error)
        if not isinstance(error, (CellsegError, OSError)):
            # Something that nobody foresaw: napari shows it with its traceback.
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _end_run(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.end()

    def hold(self) -> None:
        """The mouse went down on a slider: only what is in view needs to follow."""
        self.dragging = True
        self.session.rest()

    def release(self) -> None:
        """The mouse is up: everything is finished now."""
        self.dragging = False
        self._live.cancel()
        self._show_live()
        self._measure_if_free()

    def set_outlines(self, outlines: bool) -> None:
        """Draw the cells of all images as outlines, or filled."""
        self.outlines = outlines
        for layers in self.layers.values():
            layers.set_outlines(outlines)

    def set_numbers(self, numbers: bool) -> None:
        """Show or hide the numbered points of all images."""
        self.numbers = numbers
        for layers in self.layers.values():
            layers.set_numbers(numbers)

    def _on_sliders(self, key: Any) -> None:
        cells = self.session.cells_of(key)
        if cells is None or cells.edited is not None:
            return
        if kept := self._set_aside_edits(key):
            self.session.note(KEPT_EDITS.format(kept))
        self._live()
        self._settle()

    def _show_live(self) -> None:
        key = self.session.chosen
        cells, layers = self.session.cells, self.layers.get(key)
        if cells is not None and cells.edited is None and layers is not None:
            layers.show_live(cells, self.dragging)

    def _measure_if_free(self) -> None:
        key = self.session.chosen
        cells = self.session.cells
        if self.dragging or cells is None or key not in self.layers:
            return

        def show(result: Any) -> None:
            if self.session.cells_of(key) is cells and key in self.layers:
                self.layers[key].show_measured(result)

        self._measuring.ask(cells.result, show)

    def _on_edited(self) -> None:
        for key, layers in self.layers.items():
            if layers.edited:
                self.session.set_edited(key, layers.labels.data)

    def _set_aside_edits(self, key: Any) -> str:
        """Leave a layer that a person has edited to that person, go on in a new one; return its name, if any."""
        layers = self.layers.get(key)
        if layers is None or not layers.edited:
            return ""
        kept = layers.split_off_edits(self.viewer)
        kept.events.paint.disconnect(self._recount)
        layers.labels.events.paint.connect(self._recount)
        return str(kept.name)

    def _watch(self, layer: Layer) -> None:
        if isinstance(layer, ImageLayer):
            layer.events.data.connect(self._on_image_data)
            layer.events.scale.connect(self._on_image_scale)

    def _on_image_data(self, event: Any) -> None:
        """An image layer was given other data: what was said about the old is no longer about it."""
        self._drop(event.source)
        self.image_changed.emit(event.source.unique_id)

    def _on_image_scale(self, event: Any) -> None:
        self.image_changed.emit(event.source.unique_id)

    def _on_layer_inserted(self, event: Any) -> None:
        self._watch(event.value)

    def _on_layer_removed(self, event: Any) -> None:
        layer = event.value
        if isinstance(layer, ImageLayer):
            self._drop(layer)
            return
        for key, layers in list(self.layers.items()):
            if layer is layers.labels:
                del self.layers[key]
                self.session.forget(key)

    def _drop(self, image: ImageLayer) -> None:
        """Forget an image's result; its layers stay in the viewer as the person's own."""
        running = self.session.running
        if running is not None and running.key == image.unique_id:
            self.cancel()
        self.layers.pop(image.unique_id, None)
        self.session.forget(image.unique_id)


_workbenches: WeakKeyDictionary[Any, Workbench] = WeakKeyDictionary()


def workbench_of(viewer: Any) -> Workbench:
    """Return the one workbench of a viewer; widgets are given a fresh proxy of it every time."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer not in _workbenches:
        _workbenches[viewer] = Workbench(viewer)
    return _workbenches[viewer]
