"""Result layers follow sliders and corrections: at once what is in view, a moment later points and table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from superqt.utils import qdebounced, qthrottled

from ...imaging.regions import Region
from ...results.save_stack import with_plane
from ...session import PlaneKey
from ..shared.workers import Latest
from .bench import Bench
from .cell_colors import Coloring
from .doubting import Doubting
from .planes_in_view import PlanesInView

if TYPE_CHECKING:
    from ...segmentation.segmented import SegmentResult

LIVE_INTERVAL_MS = 30
DEBOUNCE_MS = 250
# Setting points takes longer than an edit; they come a moment after the cells.
POINTS_MS = 60
# Edits come one after the other, and the table of a large image takes a second.
DEBOUNCE_EDITS_MS = 1000


class Following:
    """Keeps the result layers of a viewer up to date with the session."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._doubting, self._coloring = bench.part(Doubting), bench.part(Coloring)
        self.dragging = False
        # Images whose points and table are to follow yet; the user may go on to another meanwhile.
        self._unmeasured: set[Any] = set()
        self._measuring = Latest(bench.failed)
        self._live = qthrottled(self._show_live, timeout=LIVE_INTERVAL_MS)
        self._points = qdebounced(self._show_points, timeout=POINTS_MS)
        self._debounced = qdebounced(self._measure_if_free, timeout=DEBOUNCE_MS)
        self._debounced_edits = qdebounced(self._measure_if_free, timeout=DEBOUNCE_EDITS_MS)
        bench.session.sliders_changed.connect(self._on_sliders)
        bench.session.corrected.connect(self._on_corrected)
        bench.session.counting_changed.connect(self._on_counting)
        bench.session.areas_changed.connect(self._on_counting)
        bench.measured.connect(self._on_measured)
        bench.part(PlanesInView).plane_shown.connect(self._on_plane_shown)

    def hold(self) -> None:
        """Update only what is in view, while the mouse holds a slider."""
        self.dragging = True
        self._bench.session.rest()

    def release(self) -> None:
        """Update everything, as the mouse has let a slider go."""
        self.dragging = False
        self._live.cancel()
        self._show_live()
        self._measure_if_free()

    def measure(self, key: Any) -> None:
        """Measure the cells of an image in a background thread, then show points and table."""
        session, layers = self._bench.session, self._bench.layers
        cells = session.cells_of(key)
        if cells is None or key not in layers:
            self._unmeasured.discard(key)
            return

        def show(result: SegmentResult) -> None:
            if session.cells_of(key) is cells and key in layers:
                self._unmeasured.discard(key)
                if not layers[key].shows(cells):
                    # Filters go for all images, and only the chosen one is drawn at once.
                    layers[key].show_live(cells)
                self.show_measured(key, result)
            if self._unmeasured:
                self._debounced()

        self._measuring.ask(cells.result, show)

    def show_measured(self, key: Any, result: SegmentResult) -> None:
        """Show what was measured, with the doubt where it is known."""
        doubt = self._doubting.column(key, result.table["index"])
        if isinstance(key, PlaneKey):
            result = replace(result, table=with_plane(result.table, key.index))
        self._bench.layers[key].show_measured(result, doubt)
        self._coloring.color(key)

    def close(self) -> None:
        """Stop following."""
        self._measuring.close()
        for throttled in (self._live, self._points, self._debounced, self._debounced_edits):
            throttled.cancel()

    def _on_measured(self, key: Any, result: SegmentResult) -> None:
        """Show what was measured with an answer, unless sliders or corrections make it another count."""
        cells = self._bench.session.cells_of(key)
        if cells is None or key not in self._bench.layers:
            return
        asked = cells.segmented.recipe
        moved = (cells.threshold, cells.min_size) != (result.threshold, result.min_size)
        called = (cells.positive, cells.grow, cells.classes) != (asked.positive, asked.grow, asked.classes)
        moved |= called or cells.filters != asked.sieve or cells.segmented.areas is not result.areas
        if moved or cells.corrected.corrections.revision:
            self.measure(key)
        else:
            self.show_measured(key, result)

    def _on_plane_shown(self, before: Any, key: Any) -> None:
        if key in self._bench.layers:
            self.measure(key)

    def _on_sliders(self, key: Any) -> None:
        cells, layers = self._bench.session.cells_of(key), self._bench.layers.get(key)
        if cells is None or layers is None:
            return
        self._unmeasured.add(key)
        self._live()
        self._debounced()

    def _on_counting(self, _: Any = None) -> None:
        """Measure again for the columns of the table; the labels stay."""
        self._unmeasured.update(self._bench.layers)
        self._debounced()

    def _on_corrected(self, key: Any, region: Region) -> None:
        cells, layers = self._bench.session.cells_of(key), self._bench.layers.get(key)
        if cells is None or layers is None:
            return
        self._unmeasured.add(key)
        layers.show_corrected(cells, region)
        self._points()
        if layers.shows(cells):
            self._debounced_edits()
        else:
            # Corrections of another journal were taken over.
            self._live()
            self._debounced()

    def _show_points(self) -> None:
        cells, layers = self._bench.session.cells, self._bench.layers.get(self._bench.session.chosen)
        if cells is not None and layers is not None:
            layers.follow_with_points(cells)

    def _show_live(self) -> None:
        cells, layers = self._bench.session.cells, self._bench.layers.get(self._bench.session.chosen)
        if cells is not None and layers is not None:
            layers.show_live(cells, self.dragging)

    def _measure_if_free(self) -> None:
        chosen = self._bench.session.chosen
        if chosen is not None and (chosen in self._unmeasured or not self._unmeasured):
            key = chosen
        else:
            key = next(iter(self._unmeasured), None)
        if not self.dragging and key is not None:
            self.measure(key)
