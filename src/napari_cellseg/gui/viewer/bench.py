"""What every widget and command of one viewer shares: its session, its image layers and their result layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from napari.layers import Image as ImageLayer
from napari.layers import Layer
from napari.utils.notifications import notification_manager
from psygnal import Signal

from ...imaging.errors import CellsegError
from ...imaging.image import Image
from ...imaging.progress import Progress
from ...segmentation.answer import Answer
from ...segmentation.recipe import Recipe
from ...session import Cells, PlaneKey, Request, Session, ViewerChoices, layer_id
from ..shared import preferences
from ..shared.activity import Activity
from .background import Background
from .layer_image import image_from_layer, layer_axes
from .result_layers import ResultLayers
from .segment_run import SegmentRun

if TYPE_CHECKING:
    from napari import Viewer

P = TypeVar("P")


class Bench(Background):
    """Binds a viewer's session to its layers, and keeps the parts that its widgets share.

    A part is made by `part` at the first call; it listens to the session and to the signals below. The bench calls no
    part but to close it. Everything here runs in the main thread.

    Attributes
    ----------
    session : Session
    layers : Results
        Result layers by the key of the image that they show.
    completions : list of callable
        Each takes a key and a recipe and returns the recipe with which that image is segmented.

    Signals
    -------
    image_changed(id)
        Values, scale or axes of an image layer changed.
    image_renamed(id)
        An image layer has another name.
    layers_made(key)
        An image got its result layers.
    answered(key)
        A request was answered, and the session holds the cells.
    measured(key, result)
        The cells of an answer are shown; `result` is what was measured of them before any correction.
    request_failed(key, error)
        A request ended with an error.
    cancelled()
        The user cancelled what is running.
    forgotten(id)
        An image layer was removed or given other data; the session still has its cells.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer itself, not a proxy of it.
    """

    image_changed = Signal(object)
    image_renamed = Signal(object)
    layers_made = Signal(object)
    answered = Signal(object)
    measured = Signal(object, object)
    request_failed = Signal(object, object)
    cancelled = Signal()
    forgotten = Signal(object)

    def __init__(self, viewer: Viewer) -> None:
        super().__init__(viewer, Session(ViewerChoices(preferences.default_model(), preferences.device())))
        self.completions: list[Callable[[Any, Recipe], Recipe]] = []
        self._parts: dict[type, Any] = {}
        self._run: SegmentRun | None = None

    def part(self, kind: type[P], make: Callable[[Bench], P] | None = None) -> P:
        """Return the one part of a kind that this viewer has, made now if it is not there yet.

        Parameters
        ----------
        kind : type
        make : callable, optional
            Makes the part from the bench; by default the class itself does.
        """
        if kind not in self._parts:
            self._parts[kind] = (make or kind)(self)  # type: ignore[call-arg]
        part: P = self._parts[kind]
        return part

    def close(self) -> None:
        """Stop all work; called when the window closes."""
        self.cancel()
        self.end_background()
        for part in reversed(list(self._parts.values())):
            if hasattr(part, "close"):
                part.close()
        self.session.close()

    def segment(self, layer: Layer | None, recipe: Recipe) -> Request | None:
        """Start to segment an image layer; None when something runs already, or the image can't be used."""
        if self.session.running is not None:
            return None
        try:
            image_from_layer(layer, recipe.axes)
            assert isinstance(layer, ImageLayer)
            if recipe.axes and layer.ndim > 2 and layer_axes(layer) != recipe.axes:
                self.session.choices.choose_for(layer.unique_id, axes=recipe.axes)
            key = self.key_of(layer)
            image = self.image_of(key) if isinstance(key, PlaneKey) else image_from_layer(layer, recipe.axes)
        except CellsegError as error:
            self.session.fail(None, error)
            return None
        self.session.choose(key)
        return self.start(key, image, recipe)

    def start(
        self,
        key: Any,
        image: Image,
        recipe: Recipe,
        *,
        activity: Activity | None = None,
        progress_of: Callable[[Progress], Progress] | None = None,
    ) -> Request | None:
        """Start to segment an image, or a plane of one, whatever is chosen; None when something runs already.

        Parameters
        ----------
        key : hashable
        image : Image
        recipe : Recipe
        activity : Activity, optional
            Line in the activity dock of the work that this is a part of.
        progress_of : callable, optional
            Turns the progress of this request into that of the work that it is a part of.
        """
        if isinstance(key, PlaneKey):
            recipe = replace(recipe, pages="stack")
        for complete in self.completions:
            recipe = complete(key, recipe)
        request = self.session.request(key, image, recipe)
        if request is None:
            return None
        report = progress_of or (lambda progress: progress)
        self._run = SegmentRun(
            request,
            progressed=lambda request, progress: self.session.report(request, report(progress)),
            answered=self.take,
            failed=self.failed,
            cancel=self.cancel,
            activity=activity,
        )
        return request

    def cancel(self) -> None:
        """Stop the running request at its next batch; its answer is dropped."""
        self._end_run()
        self.session.cancel()
        self.cancelled.emit()

    def take(self, request: Request, answer: Answer) -> None:
        """Show an answer; one to an old request is dropped."""
        if self.session.running is not request:
            return
        self._end_run()
        key, image = request.key, self.layer_of(request.key)
        if image is None:
            self.session.forget(key)
            return
        self.session.accept(request, answer.segmented)
        self.answered.emit(key)
        self._show_answer(key, image, answer)

    def take_labels(self, key: Any, answer: Answer, sentence: str) -> None:
        """Show labels that were taken as the cells of an image; errors are those of `Session.take`."""
        if (image := self.layer_of(key)) is not None:
            self.session.take(key, answer.segmented, sentence)
            self._show_answer(key, image, answer)

    def _show_answer(self, key: Any, image: ImageLayer, answer: Answer) -> None:
        cells = self.session.cells_of(key)
        if cells is not None and self.is_in_view(key):
            self.show_cells(key, image, cells)
            self.measured.emit(key, answer.result)

    def show_cells(self, key: Any, image: ImageLayer, cells: Cells) -> None:
        """Show the cells of an image, or of its plane in view, in its result layers, made where there are none."""
        layers = self.layers.get(key) or self.layers.wake(key)
        if layers is not None:
            layers.show_live(cells)
            return
        active = self.viewer.layers.selection.active
        layers = ResultLayers(self.viewer, image, cells)
        self.layers.add(key, layers)
        if layer_id(self.session.chosen) != image.unique_id:
            # Another image was chosen meanwhile: it is the one that is seen, and that strokes go to.
            layers.show(image.visible, image.visible and self.layers.numbers)
            self.viewer.layers.selection.active = active
        layers.labels.choose_label(cells.corrected.fresh_id())
        self.layers_made.emit(key)

    def failed(self, error: BaseException, request: Request | None = None) -> None:
        """Report in words that something failed."""
        if request is not None and self.session.running is request:
            self._end_run()
            self.request_failed.emit(request.key, error)
        self.session.fail(request, error)
        if not isinstance(error, (CellsegError, OSError)):
            # Nobody foresaw it: napari shows it with its traceback.
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def set_axes(self, layer: ImageLayer, axes: str | None) -> None:
        """Set the axes of an image layer (None: not known); what was found with others is forgotten."""
        if axes == self.session.choices.for_image(layer.unique_id).axes:
            return
        was = self.stack_of(layer.unique_id)
        self.session.choices.choose_for(layer.unique_id, axes=axes)
        now = self.stack_of(layer.unique_id)
        if (was and was.image.axes) != (now and now.image.axes):
            self.let_go(layer)
        self.choose(layer)
        self.image_changed.emit(layer.unique_id)

    def _end_run(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.end()

    def let_go(self, image: ImageLayer) -> None:
        """Forget an image's result; its layers stay in the viewer as the user's own."""
        if (layers := self.layers.of_image(image.unique_id)) is not None:
            layers.labels.let_go()
        self.forget(image.unique_id)

    def forget(self, id_: Any) -> None:
        """Forget the results of an image layer, of all its planes, and cancel what runs for it."""
        running = self.session.running
        if running is not None and layer_id(running.key) == id_:
            self.cancel()
        keys = self.session.keys()
        planes = [key for key in keys if layer_id(key) == id_]
        self.layers.forget(id_)
        self._stacks.pop(id_, None)
        self.forgotten.emit(id_)
        for known in dict.fromkeys((id_, *planes)):
            self.session.forget(known)
