"""All open images, one after the other: the chosen one first."""

from __future__ import annotations

from typing import Any

from psygnal import Signal
from qtpy.QtCore import QTimer

from ...imaging.errors import CellsegError
from ...imaging.progress import Progress
from ...session import layer_id
from ..shared.activity import Activity
from ..viewer.bench import Bench


class ImagesRun:
    """Segments the open images that have no cells of the present settings; of a stack the plane in view.

    Every image is a request of its own: what is done is kept whatever becomes of the others. Images for which no cell
    size, percentiles or channel were chosen yet get those of the chosen one.

    Signals
    -------
    changed()
        It began, went on to another image, or ended.
    """

    changed = Signal()

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._left: list[Any] = []
        self._done: list[Any] = []
        self._failed: dict[str, str] = {}
        self._total = 0
        self._activity: Activity | None = None
        bench.session.state_changed.connect(self._on_state)
        bench.answered.connect(self._on_answered)
        bench.request_failed.connect(self._on_failed)
        bench.cancelled.connect(self._on_cancelled)

    @property
    def busy(self) -> bool:
        """Whether images are left to do."""
        return self._total > 0

    def start(self) -> None:
        """Segment all images that have no cells of the settings that are chosen for them."""
        bench, session = self._bench, self._bench.session
        if session.running is not None or self.busy:
            return
        layers = sorted(bench.image_layers(), key=lambda layer: layer.unique_id != layer_id(session.chosen))
        keys = [bench.key_of(layer) for layer in layers]
        for key in keys:
            self._complete(key)
        self._left = [key for key in keys if session.cells_of(key) is None or session.differences(key)]
        if not self._left:
            if keys:
                session.note("All open images are done already, with the settings of the panel.")
            return
        self._total, self._done, self._failed = len(self._left), [], {}
        self._activity = Activity(f"Segmenting {self._total:,} images", bench.cancel)
        self._advance()

    def close(self) -> None:
        """Go on with no more images."""
        self._total = 0
        self._left.clear()
        activity, self._activity = self._activity, None
        if activity is not None:
            activity.close()

    def _complete(self, key: Any) -> None:
        """Choose for an image what is chosen for the one in the panel, where nothing was chosen for it."""
        choices, chosen = self._bench.session.choices, self._bench.session.choices.for_image(self._bench.session.chosen)
        try:
            n_channels = self._bench.image_of(key).n_channels
        except CellsegError:
            return  # its own turn reports the reason
        own = choices.for_image(key)
        size = chosen.diameter if own.diameter is None else own.diameter
        choices.choose_for(key, diameter=size, normalizer=own.normalizer or chosen.normalizer)
        if n_channels > 1 and choices.for_image(key).channel is None:
            place = chosen.channel if isinstance(chosen.channel, int) and chosen.channel < n_channels else 0
            choices.choose_for(key, channel=place)

    def _on_state(self, state: Any) -> None:
        # Not at once: the answer is still being shown.
        if self.busy and state.kind != "running":
            QTimer.singleShot(0, self._advance)

    def _advance(self) -> None:
        bench, session = self._bench, self._bench.session
        if not self.busy or session.running is not None:
            return
        if not self._left:
            self._end()
            return
        key = self._left.pop(0)
        if bench.layer_of(key) is None:
            QTimer.singleShot(0, self._advance)
            return
        cells, model = session.cells_of(key), session.choices.viewer.model
        first = cells is None or cells.segmented.recipe.model != model
        try:
            bench.start(
                key,
                bench.image_of(key),
                session.choices.recipe(key, first),
                activity=self._activity,
                progress_of=self._progress_of_all,
            )
        except CellsegError as error:
            self._on_failed(key, error)
            QTimer.singleShot(0, self._advance)
        self.changed.emit()

    def _progress_of_all(self, progress: Progress) -> Progress:
        """Return how far all images are, given how far one is."""
        if self._activity is None:
            return progress
        return self._activity.show_one(progress, "image", len(self._done) + len(self._failed), self._total)

    def _on_answered(self, key: Any) -> None:
        if self.busy:
            self._done.append(key)

    def _on_failed(self, key: Any, error: BaseException) -> None:
        if self.busy:
            self._failed[self._bench.name_of(key)] = str(error) or type(error).__name__

    def _on_cancelled(self) -> None:
        if self.busy:
            n_done, total = len(self._done), self._total
            self.close()
            self.changed.emit()
            self._bench.session.note(f"Cancelled. {n_done:,} of {total:,} images are done.")

    def _end(self) -> None:
        session, done, failed = self._bench.session, self._done, self._failed
        self.close()
        cells = [session.cells_of(key) for key in done]
        n_cells = sum(one.count() for one in cells if one is not None)
        sentence = f"{len(done):,} images are done: {n_cells:,} cells together."
        if failed:
            name, error = next(iter(failed.items()))
            session.fail(None, f"{sentence} {len(failed):,} failed. {name}: {error}")
        else:
            session.note(sentence)
        self.changed.emit()
