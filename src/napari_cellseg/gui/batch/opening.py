"""From a row of a batch to an image with its cells, ready for correction; and back into the results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from psygnal import Signal

from ...corrections import exchange
from ...corrections import tools as edits
from ...imaging.errors import CellsegError
from ...imaging.image import Image
from ...results.rows import BatchRow
from ...results.save_corrected import in_stack, save_into_batch
from ...segmentation.cells import Cells
from ...segmentation.recipe import Recipe
from ..shared.workers import Latest
from ..viewer.bench import Bench
from ..viewer.canvas import focus_canvas
from ..viewer.correcting import Correcting
from ..viewer.opening import add_image, show_only
from .opened_row import OpenedRow, read_row, stand_of

NOT_YET = "The batch has not come to it yet."
UNKNOWN = -1


class BatchOpening:
    """Images of batches that are open in a viewer. Everything here runs in the window's thread.

    Signals
    -------
    reported(sentence, warning)
    changed()
        An image was opened, corrected or saved.
    saved(BatchRow)
        The results of an image were replaced by corrected ones.
    """

    reported = Signal(str, bool)
    changed = Signal()
    saved = Signal(object)

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._rows: dict[Any, OpenedRow] = {}
        self._next: Any = None
        self._failed = bench.failure_to(self.reported.emit)
        self._reading = Latest(self._failed)
        session = bench.session
        session.cells_changed.connect(self._on_cells)
        for signal in (session.sliders_changed, session.corrected):
            signal.connect(self._on_corrected)
        session.state_changed.connect(self._on_state)

    def open(self, out: Path, row: BatchRow, path: str | Path, recipe: Recipe | None = None) -> None:
        """Open a row's image, find its cells as the batch did, and take over what was corrected before.

        Parameters
        ----------
        out : Path
            Folder of the results.
        row : BatchRow
        path : path-like
            The image.
        recipe : Recipe, optional
            Where the results name none.
        """
        if (key := self._layer_of(out, row)) is not None:
            self._show(key)
            return
        self.reported.emit(f"Opening {row.title} …", False)
        self._reading.ask(
            lambda: read_row(out, row, Path(path), recipe),
            lambda found: self._on_read(OpenedRow(out, row, found[1]), *found),
        )

    def unsaved(self) -> list[Any]:
        """Return the keys of the opened images whose cells are not those of the results."""
        return [key for key in self._rows if self._is_unsaved(key)]

    def take_up(self, rows: Iterable[BatchRow], out: Path) -> None:
        """Learn what a batch has made of opened images meanwhile."""
        known = {(row.image, row.page): row for row in rows}
        for opened in self._rows.values():
            if opened.out == out:
                opened.row = known.get((opened.row.image, opened.row.page), opened.row)
        self.changed.emit()

    def save(self) -> None:
        """Put the cells of all such images into the results, beside the window's thread."""
        for key in self.unsaved():
            cells, opened = self._bench.session.cells_of(key), self._rows[key]
            if cells is not None:
                self._save(key, cells, opened)

    def close(self) -> None:
        """Take no more answers."""
        self._reading.close()

    def _save(self, key: Any, cells: Cells, opened: OpenedRow) -> None:
        now = stand_of(cells)

        def stored(row: BatchRow) -> None:
            opened.row, opened.stored = row, now
            self.saved.emit(row)
            self.reported.emit(f"{row.title}: {row.count:,} cells are in the results, marked as corrected.", False)
            self.changed.emit()

        work = lambda: save_into_batch(cells, opened.out, opened.row, opened.made)  # noqa: E731
        self._bench.in_background(work, stored, failed=self._failed)

    def _on_read(
        self, opened: OpenedRow, image: Image, made: Recipe, levels: Any, notes: list[str], volume: Any = None
    ) -> None:
        viewer = self._bench.viewer
        try:
            layer = add_image(viewer, image, levels)
        except (CellsegError, ValueError, TypeError) as error:
            self.reported.emit(str(error), True)
            return
        layer.name = opened.row.title
        if volume is not None:
            # Cells that go through several slices are looked at; corrected are planes.
            viewer.add_labels(volume, name=f"{layer.name} cells", scale=layer.scale, units=layer.units)
            self.reported.emit(
                " ".join([f"{opened.row.title} is open with its cells, which are linked.", *notes]), False
            )
            return
        key = layer.unique_id
        self._rows[key] = opened
        self._bench.session.choices.choose_for(key, channel=made.channel)
        viewer.layers.selection.active = layer
        self.reported.emit(" ".join([f"Finding the cells of {opened.row.title} …", *notes]), bool(notes))
        self._show(key)
        self._bench.fit(layer)

    def _segment(self, key: Any) -> None:
        """Find the cells; once nothing else runs."""
        opened = self._rows.get(key)
        if opened is None or self._bench.session.cells_of(key) is not None:
            return
        if self._bench.session.running is not None:
            self._next = key
            return
        self._next = None
        # What is opened is one plane, whose axes its layer names.
        axes = None if opened.row.page else opened.made.axes
        # The panel shows what the cells are made with.
        self._bench.session.use_recipe(replace(opened.made, axes=None), key=key)
        self._bench.segment(self._bench.layer_of(key), replace(opened.made, pages="one", link="none", axes=axes))

    def _show(self, key: Any) -> None:
        layer = self._bench.layer_of(key)
        if layer is None:
            return
        self._bench.viewer.layers.selection.active = layer
        self._bench.choose(layer)
        self._bench.show_image(layer)
        focus_canvas(self._bench.viewer)
        show_only(
            self._bench.viewer, layer, [other for other in self._bench.image_layers() if other.unique_id in self._rows]
        )
        self._segment(key)

    def _layer_of(self, out: Path, row: BatchRow) -> Any:
        for key, opened in list(self._rows.items()):
            if self._bench.layer_of(key) is None:
                del self._rows[key]
            elif (opened.out, opened.row.image, opened.row.page) == (out, row.image, row.page):
                return key
        return None

    def _on_cells(self, key: Any) -> None:
        """Take over the cells of the results, where the user corrected them, when cells arrive for the first time."""
        cells, opened = self._bench.session.cells_of(key), self._rows.get(key)
        if opened is None or cells is None or opened.stored is not None or opened.importing:
            self.changed.emit()
            return
        labels = opened.row.files.get("labels")
        # Corrections of an earlier hour of this session came along: it is unknown whether the results have them all.
        earlier = bool(cells.n_changed or cells.n_erased)
        if earlier or not opened.row.corrected or not labels:
            opened.stored = (UNKNOWN, *stand_of(cells)[1:]) if earlier else stand_of(cells)
            then = "Correct it, then press Save corrected."
            self.reported.emit(f"{opened.row.title} is open. {then if opened.row.has_result else NOT_YET}", False)
            self.changed.emit()
            return
        opened.importing = True
        shape = cells.corrected.shape

        def imported(found: dict[str, Any]) -> None:
            self._bench.part(Correcting).edit(
                key, edits.import_labels, done="Your earlier corrections are back.", **found
            )
            ready(f"{opened.row.title} is open, with the corrections that were saved.", False)

        def failed(error: BaseException) -> None:
            self._failed(error)
            ready(f"{error} {opened.row.title} is open without them; Save corrected would replace them.", True)

        def ready(sentence: str, warning: bool) -> None:
            now = self._bench.session.cells_of(key)
            opened.importing, opened.stored = False, None if now is None else stand_of(now)
            self.reported.emit(sentence, warning)
            self.changed.emit()

        plane = opened.row.page if in_stack(opened.row) else ""
        work = lambda: exchange.read_corrections(opened.out / labels, shape, plane)  # noqa: E731
        self._bench.in_background(work, imported, failed=failed)

    def _on_corrected(self, key: Any) -> None:
        if key in self._rows:
            self.changed.emit()

    def _on_state(self, _: Any) -> None:
        if self._next is not None and self._bench.session.running is None:
            key, self._next = self._next, None
            self._segment(key)

    def _is_unsaved(self, key: Any) -> bool:
        cells, opened = self._bench.session.cells_of(key), self._rows[key]
        # What was opened before the batch came to it has no place in the results yet.
        placed = opened.row.has_result and bool(opened.row.stem)
        return placed and cells is not None and opened.stored is not None and opened.stored != stand_of(cells)
