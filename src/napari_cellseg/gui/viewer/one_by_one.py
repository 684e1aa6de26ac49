"""Several images or planes, segmented one after the other; each is a request of its own."""

from __future__ import annotations

from typing import Any

from psygnal import Signal
from qtpy.QtCore import QTimer

from ...imaging.errors import CellsegError
from ...imaging.progress import Progress
from ...segmentation.recipe import Recipe
from ...session import layer_id
from ..shared.activity import Activity
from .bench import Bench


class OneByOne:
    """Segments what is left until nothing is, or the user cancels; what is done is kept whatever becomes of the others.

    A subclass calls `_begin`, and defines `_recipe_of`, `_cancelled` and `_end`.

    Signals
    -------
    changed()
        It began, went on to the next, or ended.
    """

    what = "image"
    changed = Signal()

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._left: list[Any] = []
        self._done: list[Any] = []
        self._failed: dict[Any, str] = {}
        self._total = 0
        self._activity: Activity | None = None
        bench.session.state_changed.connect(self._on_state)
        bench.answered.connect(self._on_answered)
        bench.request_failed.connect(self._on_failed)
        bench.cancelled.connect(self._on_cancelled)

    @property
    def busy(self) -> bool:
        """Whether something is left to do."""
        return self._total > 0

    def close(self) -> None:
        """Go on with nothing more."""
        self._total = 0
        self._left.clear()
        activity, self._activity = self._activity, None
        if activity is not None:
            activity.close()

    def _begin(self, keys: list[Any], title: str) -> None:
        self._left, self._done, self._failed, self._total = list(keys), [], {}, len(keys)
        self._activity = Activity(title, self._bench.cancel)
        self._advance()

    def _next(self) -> Any:
        """Return the key of what comes next; None where the others cannot be done any more."""
        return self._left[0]

    def _is_hopeless(self) -> bool:
        """Whether failures so far show that the others would fail, too."""
        return False

    def _recipe_of(self, key: Any) -> Recipe:
        raise NotImplementedError

    def _cancelled(self) -> str:
        """Return the sentence that is shown after the user cancelled."""
        raise NotImplementedError

    def _end(self) -> None:
        """Report the outcome."""
        raise NotImplementedError

    def _advance(self) -> None:
        bench = self._bench
        if not self.busy or bench.session.running is not None:
            return
        present = {layer.unique_id for layer in bench.image_layers()}
        self._left = [key for key in self._left if layer_id(key) in present]
        key = self._next() if self._left and not self._is_hopeless() else None
        if key is None:
            self.close()
            self._end()
        else:
            try:
                image, recipe = bench.image_of(key), self._recipe_of(key)
                bench.start(key, image, recipe, activity=self._activity, progress_of=self._progress_of_all)
            except CellsegError as error:
                self._on_failed(key, error)
                QTimer.singleShot(0, self._advance)
        self.changed.emit()

    def _progress_of_all(self, progress: Progress) -> Progress:
        """Return how far all are, given how far one is."""
        if self._activity is None:
            return progress
        return self._activity.show_one(progress, self.what, self._total - len(self._left), self._total)

    def _on_state(self, state: Any) -> None:
        # Not at once: the answer is still being shown.
        if self.busy and state.kind != "running":
            QTimer.singleShot(0, self._advance)

    def _on_answered(self, key: Any) -> None:
        if key in self._left:
            self._left.remove(key)
            self._done.append(key)

    def _on_failed(self, key: Any, error: BaseException) -> None:
        if key in self._left:
            self._left.remove(key)
            self._failed[key] = str(error) or type(error).__name__

    def _on_cancelled(self) -> None:
        if self.busy:
            sentence = self._cancelled()
            self.close()
            self.changed.emit()
            self._bench.session.note(sentence)
