"""What every widget and command of one viewer shares: its session, its running work, its result layers."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from napari.layers import Image as ImageLayer
from napari.layers import Layer
from napari.utils.notifications import notification_manager
from psygnal import Signal
from qtpy.QtCore import QTimer

from ...imaging.channels import Channel
from ...imaging.errors import CellsegError
from ...imaging.image import Image
from ...imaging.progress import Progress
from ...segmentation.answer import Answer
from ...segmentation.recipe import Recipe
from ...session import CANCELLED, Cells, Request, Session
from ..check.known import Agreements
from ..correct.drafting import Drafting
from ..correct.review import Review
from ..correct.reviewed_layer import ReviewedLayers
from ..correct.tools import Tools
from ..planes.plane_links import PlaneLinks
from ..planes.plane_run import PlaneRun
from ..shared import preferences
from ..shared.workers import Latest
from .cell_colors import Coloring
from .correcting import Correcting
from .doubting import Doubting
from .following import Following
from .layer_image import METADATA_KEY, PLACEMENT, image_from_layer, layer_axes, layer_stem
from .planes import PerImage, PlaneKey, layer_id
from .recovery import Recovery
from .regions import Regions
from .result_layers import ResultLayers
from .run import Run
from .stacks import Stacks

if TYPE_CHECKING:
    from napari import Viewer


class Workbench:
    """Binds a viewer's session to its layers. Everything here runs in the window's thread.

    Signals
    -------
    image_changed(key)
        Values or scale of an image layer changed.
    layers_made(key)
        An image got its result layers.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer itself, not a proxy of it.
    """

    image_changed = Signal(object)
    layers_made = Signal(object)

    def __init__(self, viewer: Viewer) -> None:
        # A strong reference would keep a closed viewer alive: the table below lasts as long as the viewer.
        self._viewer = ref(viewer)
        self.session = Session()
        self.session.device = preferences.device()
        self.outlines = False
        self.numbers = True
        self.layers: dict[Any, ResultLayers] = {}
        # What a person said about an image: its axes where it does not name them, its channel, its cells' diameter.
        self.axes: MutableMapping[Any, str] = PerImage()
        self.channels: MutableMapping[Any, Channel | None] = PerImage()
        self.diameters: MutableMapping[Any, float | None] = PerImage()
        self.accurate = False
        self.previews = Latest(self.failed)
        self._run: Run | None = None
        self._removing = False
        self.stacks = Stacks(self)
        viewer.layers.events.inserted.connect(self._on_layer_inserted)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        for layer in viewer.layers:
            self._watch(layer)
        self.planes = PlaneRun(self)
        self.regions = Regions(self)
        self.links = PlaneLinks(self)
        self.following = Following(self)
        self.correcting = Correcting(self)
        self.tools = Tools(self)
        self.doubting = Doubting(self)
        self.coloring = Coloring(self)
        self.review = Review(self)
        self.reviewed = ReviewedLayers(self)
        self.recovery = Recovery(self)
        self.drafting = Drafting(self)
        self.agreements = Agreements(self)

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
        id_ = layer_id(key)
        return next((layer for layer in self.image_layers() if layer.unique_id == id_), None)

    def image_of(self, key: Any) -> Image:
        """Return the image of a key, or the one plane of it.

        Raises
        ------
        CellsegError
            There is none, or it can't be segmented.
        """
        stack = self.stacks.of(key) if isinstance(key, PlaneKey) else None
        if stack is not None and stack.has(key):
            return stack.plane(key)
        return image_from_layer(self.layer_of(key), self.axes.get(key))

    def name_of(self, key: Any) -> str:
        """Name for result files of a key: that of its image layer, and of the plane where there are several."""
        layer, stack = self.layer_of(key), self.stacks.of(key) if isinstance(key, PlaneKey) else None
        stem = "image" if layer is None else layer_stem(layer)
        return stem if stack is None or not stack.has(key) else f"{stem}_{stack.page(key).name}"

    def key_of_result(self, layer: Layer) -> Any:
        """Key of the image whose cells one of our result layers shows now; None for any other layer."""
        found = (key for key, layers in self.layers.items() if layer is layers.labels or layer is layers.points)
        return next(found, None)

    def image_of_result(self, layer: Layer | None) -> ImageLayer | None:
        """Image layer that one of our result layers was made from."""
        key = None if layer is None else self.key_of_result(layer)
        return self.layer_of(self.stacks.owner_asleep(layer) if key is None else key)

    def choose(self, layer: ImageLayer | None) -> None:
        """Choose an image layer: of one with several planes the one in view."""
        self.session.choose(None if layer is None else self.stacks.key_of(layer))

    def choose_active(self) -> None:
        """Choose the image that is selected in the layer list, or that the selected result was made from."""
        active = self.viewer.layers.selection.active
        image = active if isinstance(active, ImageLayer) else self.image_of_result(active)
        if image is not None:
            self.choose(image)

    def layer_to_segment(self) -> Layer | None:
        """The chosen image; without one the selected layer, so that the message can say what is wrong with it."""
        return self.layer_of(self.session.chosen) or self.viewer.layers.selection.active

    def show_image(self, layer: ImageLayer) -> None:
        """Show an image that was opened together with others, and hide those, which would cover it."""
        opened = [other for other in self.image_layers() if other.metadata.get(METADATA_KEY, {}).get("opened")]
        layer.visible = True
        for other in opened if layer in opened else []:
            other.visible = other is layer
            results = self.stacks.results_of(other.unique_id)
            if results is not None:
                results.show(other is layer, self.numbers)

    def segment(self, layer: Layer | None, recipe: Recipe) -> Request | None:
        """Start to segment an image layer; None when something runs already, or the image can't be used."""
        if self.session.running is not None:
            return None
        try:
            image_from_layer(layer, recipe.axes)
            assert isinstance(layer, ImageLayer)
            if recipe.axes and layer.ndim > 2 and layer_axes(layer) != recipe.axes:
                self.axes[layer.unique_id] = recipe.axes
            key = self.stacks.key_of(layer)
            image = self.image_of(key) if isinstance(key, PlaneKey) else image_from_layer(layer, recipe.axes)
        except CellsegError as error:
            self.session.fail(None, error)
            return None
        self.session.choose(key)
        return self.start(key, image, recipe)

    def start(self, key: Any, image: Image, recipe: Recipe) -> Request | None:
        """Start to segment an image, or a plane of one, whatever is chosen; None when something runs already."""
        sliders = self.stacks.sliders(key, recipe.model) if isinstance(key, PlaneKey) else None
        if isinstance(key, PlaneKey):
            recipe = replace(recipe, pages="stack")
        if sliders is not None:
            # One pair of sliders acts on all planes.
            recipe = replace(recipe, threshold=sliders[0], min_size=sliders[1])
        request = self.session.request(key, image, recipe)
        if request is None:
            return None
        self._run = Run(
            request,
            progressed=self._report,
            answered=self.take,
            failed=self.failed,
            cancel=self.cancel,
            activity=self.planes.activity,
        )
        return request

    def cancel(self) -> None:
        """Stop the running request at its next batch; its answer is dropped."""
        planes, reading = self.planes.stop(), self.regions.cancel()
        self._end_run()
        self.session.cancel()
        if reading:
            self.session.note(CANCELLED)
        if planes:
            self.session.note(planes)

    def close(self) -> None:
        """Stop all work; called when the window goes."""
        self.cancel()
        for work in (self.following, self.previews, self.doubting, self.reviewed, self.recovery, self.drafting):
            work.close()
        for stacks in (self.stacks, self.links):
            stacks.close()
        self.agreements.close()
        self.session.close()

    def in_background(
        self,
        question: Callable[[], Any],
        then: Callable[[Any], object],
        ended: Callable[[], object] | None = None,
    ) -> Latest:
        """Do something small beside the window's thread; errors come as the session's sentence."""
        job = Latest(self.failed, ended)
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
        self.session.accept(request, answer.segmented)
        self.planes.answered(request.key)
        cells = self.session.cells_of(request.key)
        if cells is None or not self.stacks.is_in_view(request.key):
            return
        self.show_cells(request.key, image, cells)
        result = answer.result
        moved = (cells.threshold, cells.min_size) != (result.threshold, result.min_size)
        if moved or cells.corrected.corrections.revision:
            # What was measured beside the window's thread knows nothing of corrections, nor of sliders moved meanwhile.
            self.following.measure(request.key)
        else:
            self.following.show_measured(request.key, result)

    def show_cells(self, key: Any, image: ImageLayer, cells: Cells) -> None:
        """Show the cells of an image, or of its plane in view, in its result layers, made where there are none."""
        layers = self.layers.get(key)
        if layers is None and isinstance(key, PlaneKey):
            layers = self.stacks.take_asleep(key)
        if layers is not None:
            layers.show_live(cells)
            return
        layers = self.layers[key] = ResultLayers(self.viewer, image, cells)
        layers.set_outlines(self.outlines)
        layers.set_numbers(self.numbers)
        layers.labels.choose_label(cells.corrected.fresh_id())
        self.correcting.watch(layers.labels)
        self.layers_made.emit(key)

    def failed(self, error: BaseException, request: Request | None = None) -> None:
        """Say in words that something failed."""
        if request is not None and self.session.running is request:
            self._end_run()
            self.planes.failed(request.key, error)
        self.session.fail(request, error)
        if not isinstance(error, (CellsegError, OSError)):
            # Something that nobody foresaw: napari shows it with its traceback.
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _report(self, request: Request, progress: Progress) -> None:
        self.session.report(request, self.planes.report(progress))

    def _end_run(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.end()

    def set_outlines(self, outlines: bool) -> None:
        """Draw the cells of all images as outlines, or filled."""
        self.outlines = outlines
        for layers in self.stacks.all_results():
            layers.set_outlines(outlines)

    def set_numbers(self, numbers: bool) -> None:
        """Show or hide the numbered points of all images."""
        self.numbers = numbers
        for layers in self.stacks.all_results():
            layers.set_numbers(numbers)

    def _watch(self, layer: Layer) -> None:
        if isinstance(layer, ImageLayer):
            layer.events.data.connect(self._on_image_data)
            layer.events.scale.connect(self._on_image_scale)
            for moved in PLACEMENT:
                getattr(layer.events, moved).connect(self._on_image_placed)

    def _on_image_data(self, event: Any) -> None:
        """An image layer was given other data: what was said about the old is no longer about it."""
        self._drop(event.source)
        if layer_id(self.session.chosen) == event.source.unique_id:
            self.choose(event.source)
        self.image_changed.emit(event.source.unique_id)

    def set_axes(self, layer: ImageLayer, axes: str | None) -> None:
        """Note what the axes of an image layer are (None: not known); what was found with others is forgotten."""
        if axes == self.axes.get(layer.unique_id):
            return
        was = self.stacks.of(layer.unique_id)
        if axes is None:
            self.axes.pop(layer.unique_id, None)
        else:
            self.axes[layer.unique_id] = axes
        now = self.stacks.of(layer.unique_id)
        if (was and was.image.axes) != (now and now.image.axes):
            self._drop(layer)
        self.choose(layer)
        self.image_changed.emit(layer.unique_id)

    def _on_image_scale(self, event: Any) -> None:
        self.image_changed.emit(event.source.unique_id)

    def _on_image_placed(self, event: Any) -> None:
        """Where an image lies in the world its cells lie too."""
        layers = self.stacks.results_of(event.source.unique_id)
        if layers is not None:
            layers.place(event.source, event.type)

    def _on_layer_inserted(self, event: Any) -> None:
        self._watch(event.value)

    def take_out(self, layer: Layer) -> None:
        """Remove a layer of ours; a moment later while napari removes others, of which this may be the next."""
        if self._removing:
            QTimer.singleShot(0, lambda: self._take_out(layer))
        else:
            self._take_out(layer)

    def _take_out(self, layer: Layer) -> None:
        viewer = self._viewer()
        if viewer is not None and layer in viewer.layers:
            viewer.layers.remove(layer)

    def _on_layer_removed(self, event: Any) -> None:
        layer = event.value
        if not self._removing:
            self._removing = True
            QTimer.singleShot(0, self._on_removed)
        if isinstance(layer, ImageLayer):
            self._drop(layer)
            return
        for key, layers in list(self.layers.items()):
            if layer is layers.labels:
                self._stop_for(layer_id(key))
                self._forget(key)
        if (id_ := self.stacks.owner_asleep(layer)) is not None:
            self._forget(id_)

    def _on_removed(self) -> None:
        self._removing = False

    def _drop(self, image: ImageLayer) -> None:
        """Forget an image's result; its layers stay in the viewer as the person's own."""
        self._stop_for(image.unique_id)
        layers = self.stacks.results_of(image.unique_id)
        if layers is not None:
            layers.labels.let_go()
        self._forget(image.unique_id)

    def _stop_for(self, id_: Any) -> None:
        """Cancel what runs for an image or a plane of it."""
        running = self.session.running
        if running is not None and layer_id(running.key) == id_:
            self.cancel()

    def _forget(self, key: Any) -> None:
        """Forget the results of an image, of all its planes."""
        for known in [known for known in self.layers if layer_id(known) == layer_id(key)]:
            del self.layers[known]
        for known in {key, layer_id(key), *self.stacks.forget(layer_id(key))}:
            self.session.forget(known)


_workbenches: WeakKeyDictionary[Any, Workbench] = WeakKeyDictionary()


def workbench_of(viewer: Any) -> Workbench:
    """Return the one workbench of a viewer; widgets are given a fresh proxy of it every time."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer not in _workbenches:
        _workbenches[viewer] = Workbench(viewer)
    return _workbenches[viewer]
