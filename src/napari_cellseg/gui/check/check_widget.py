"""Counts by the user beside those of the model: how far to trust a count, and an interval for every later one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtGui import QHideEvent
from qtpy.QtWidgets import QFileDialog, QWidget

from ...evaluation.agreement.agreement import ENOUGH, Agreement
from ...evaluation.agreement.of_batch import BatchCounts, read_batch
from ...evaluation.agreement.store import PersonCount
from ...imaging.errors import CellsegError
from ...imaging.image import Image
from ...imaging.read.read import read_image
from ...reports.agreement_report import write_agreement
from ...segmentation.counting import number_in_words
from ...session import PlaneKey
from ..shared.bindings import Bindings
from ..shared.help import titled
from ..shared.layout import in_column, in_row, sentence, small_button
from ..shared.message import Message, errors_to
from ..shared.workers import Latest
from ..viewer.dock import Dock
from ..viewer.opening import add_image
from .counting import CountingSection
from .known import Agreements, Entry
from .plot import AgreementPlot
from .source_section import SourceSection
from .table import AgreementTable

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image as ImageLayer

DEBOUNCE_MS = 120
# Once the sliders have rested for so long the counts are kept.
KEEP_MS = 1500
INTRO = f"Count {ENOUGH} or more images yourself; from then on every count with these settings has an interval."
EMPTY = "Segment an image, or choose the results of a batch. Then type how many cells you count."


class AgreementWidget(Dock):
    """Dock widget that compares counts by the user with those of the model."""

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, "agreement", parent)
        self.known = self.bench.part(Agreements)
        self.message = Message(objectName="agreement_message", rows=2)
        self._build()
        failed = self.bench.failure_to(self.message.report)
        self._reading, self._opening = Latest(failed, owner=self), Latest(failed, owner=self)
        self._calling = Latest(failed, owner=self)
        self._agreement: Agreement | None = None
        self._bindings = Bindings(self)
        self._refresh_later = self._bindings.debounced(self.refresh, DEBOUNCE_MS)
        self._keep_later = self._bindings.debounced(self._keep, KEEP_MS)
        session = self.session
        self._bindings.bind_each(self._on_changed, session.chosen_changed, session.cells_changed, session.corrected)
        self._bindings.bind_each(self._on_changed, session.sliders_changed, self.known.changed)
        self._bindings.bind(session.counting_changed, self._on_changed)
        self._bindings.bind(self.known.clicking.changed, self._on_clicking)
        self.refresh()
        self._on_clicking()
        if unread := self.known.store.unread:
            self.message.report(
                f"{len(unread)} counts by you can't be read, such as {unread[0]}. Count those images again.", True
            )

    @property
    def busy(self) -> bool:
        """Whether something is being read or written."""
        return self._reading.busy or self._opening.busy or self._calling.busy or self.reporting

    def refresh(self) -> None:
        """Show what is known now."""
        entries, settings = self.known.entries(), self.known.settings()
        self.settings.report(EMPTY if settings is None else f"Auto: {settings}")
        self.table.fill(entries, self.known.store.people())
        self.source_section.refresh()
        if (work := self.known.to_count()) is not None:
            self._calling.ask(work, self._on_called)
        agreement = self.known.agreement() if settings is not None else None
        self.plot.show_agreement(agreement)
        self._agreement = agreement
        self._enable_report()
        n = 0 if agreement is None else agreement.n
        if agreement is None:
            people = self.known.store.people()
            n = sum(entry.id in people and people[entry.id].people is not None for entry in entries)
            self.verdict.setText("" if settings is None else f"{n} of at least {ENOUGH} images are counted by you.")
            self.worth.report("")
        else:
            self.verdict.setText(agreement.sentence())
            self.worth.report(agreement.too_few or self._example(agreement), bool(agreement.too_few))
        self._show_buttons()

    def choose_batch(self, path: str | Path) -> None:
        """Compare with the counts in a batch's folder of results, or in its counts.csv."""
        self.message.report(f"Reading {Path(path).name} …")
        self._reading.ask(lambda: read_batch(path), self._on_batch)

    def click(self) -> None:
        """Start to count the selected image by clicking; it is opened where it is not open."""
        entry = self.table.selected()
        if entry is None:
            return
        layer = self.bench.layer_of(entry.key) if entry.key is not None else None
        if layer is not None:
            self._click_in(entry, layer)
            return
        batch = self.known.batch
        if not entry.path or batch is None:
            self.message.report(
                f"{entry.image} is not open. Open and segment it, or type your count into the table.", True
            )
            return
        axes, path = batch.recipe.axes, entry.path

        def read() -> tuple[Image, Any]:
            from ...imaging.read.pyramid import pyramid

            image = read_image(Path(path), axes)
            return image, pyramid(image)[0]

        self.message.report(f"Opening {entry.image} …")
        self._opening.ask(read, lambda found: self._on_opened(entry, *found))

    def finish(self) -> None:
        """Take what was clicked as the count."""
        with errors_to(self.message.report):
            if (count := self.known.clicking.finish()) is not None:
                self.message.report(f"{count.image}: you counted {count.people:,}.")

    def save_report(self, folder: str | Path) -> None:
        """Write the report into a folder in a background thread, then show it in the browser."""
        if (agreement := self.known.agreement()) is not None:
            write = lambda: write_agreement(Path(folder), agreement)  # noqa: E731
            self.write_page(write, self.message.report, self._enable_report)

    def came_into_view(self) -> None:
        """Show what is known now."""
        self.refresh()

    def hideEvent(self, event: QHideEvent) -> None:
        """Do nothing more for sliders that move while the dock is hidden."""
        super().hideEvent(event)
        self._refresh_later.cancel()
        self._keep_later.cancel()

    def _build(self) -> None:
        self.intro = Message(INTRO, "agreement_intro")
        self.source_section = SourceSection(self.known)
        self.source_section.batch_chosen.connect(self.choose_batch)
        self.settings = Message(objectName="agreement_settings")
        self.table = AgreementTable()
        self.table.typed.connect(self._on_typed)
        self.table.ticked.connect(self._on_ticked)
        self.table.refused.connect(lambda sentence: self.message.report(sentence, True))
        self.table.currentCellChanged.connect(lambda *_: self._show_buttons())
        tip = "Click each cell of the selected image once. The model's cells are hidden meanwhile: they would sway you."
        self.by_clicking = small_button("count_by_clicking", "Count by clicking", tip, slot=self.click)
        tip = "Write these figures and the plot as a page that any browser shows."
        self.report = small_button("agreement_report", "Report …", tip, slot=self._ask_report)
        self._idle = in_column(in_row((self.by_clicking, 3), (self.report, 2)))
        self.counting = CountingSection(self.known.clicking, self.finish)
        self.verdict = sentence("agreement_verdict", selectable=True)
        self.worth = Message(objectName="agreement_worth")
        self.plot = AgreementPlot()
        self.plot.chosen.connect(self._on_dot)
        title = titled("Manual and automatic counts", "Check")
        above = (title, self.intro, self.source_section, self.settings, self.table, self._idle)
        self.fill(*above, self.counting, self.verdict, self.plot, self.worth, spacing=6, below=(self.message,))

    def _on_changed(self, _: object = None) -> None:
        if self.in_view:
            self._refresh_later()
            self._keep_later()

    def _on_clicking(self) -> None:
        clicking = self.known.clicking
        self._idle.setVisible(not clicking.running)
        for control in (self.table, self.source_section):
            control.setEnabled(not clicking.running)
        if not clicking.running:
            return
        outside = f" {clicking.n_outside} beside the image do not count." if clicking.n_outside else ""
        which = number_in_words(self.known.cells)
        self.message.report(f"Click each {which + ' ' if which else ''}cell of {clicking.image} once.{outside}")

    def _enable_report(self) -> None:
        self.report.setEnabled(self._agreement is not None and not self.reporting)

    def _show_buttons(self) -> None:
        self.by_clicking.setEnabled(self.table.selected() is not None and not self._opening.busy)

    def _example(self, agreement: Agreement) -> str:
        chosen = next((entry for entry in self.table.entries if entry.key == self.session.chosen), None)
        cells = self.session.cells if self.known.batch is None else None
        count = None if chosen is None else chosen.automatic
        count = cells.count() if cells is not None and not self.known.cells else count
        count = round(float(agreement.automatic.mean())) if count is None else count
        found = agreement.interval(count)
        if found is None:
            return "" if agreement.too_few else agreement.unchecked(count)
        return f"{found} cells by manual count (95\u00a0%). It holds for images like these."

    def _on_typed(self, id_: str, people: int | None) -> None:
        entry = next(entry for entry in self.table.entries if entry.id == id_)
        before = self.known.store.people().get(id_)
        if people is None:
            self._try(lambda: self.known.forget(id_))
        else:
            # What was typed is no longer what was clicked.
            typed = PersonCount(id_, entry.image, people, (), before is None or before.used)
            self._try(lambda: self.known.put(typed))

    def _on_ticked(self, id_: str, used: bool) -> None:
        before = self.known.store.people().get(id_)
        if before is not None and before.used != used:
            self._try(lambda: self.known.put(replace(before, used=used)))

    def _try(self, work: Any) -> None:
        self.message.report("")
        try:
            work()
        except CellsegError as error:
            self.message.report(str(error), True)
            # The table shows what is kept; not at once, as it is still at its editor.
            QTimer.singleShot(0, self.refresh)

    def _keep(self) -> None:
        with errors_to(self.message.report):
            self.known.keep_automatic()

    def _ask_report(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Folder for the report"):
            self.save_report(folder)

    def _on_called(self, counted: Any) -> None:
        self.known.take(counted)
        self.refresh()

    def _on_batch(self, batch: BatchCounts) -> None:
        self.message.report(f"{len(batch.counts):,} images of a batch. {batch.left_out}".strip())
        self.known.look_at(batch)

    def _on_opened(self, entry: Entry, image: Image, levels: Any) -> None:
        try:
            layer = add_image(self.bench.viewer, image, levels)
        except (CellsegError, ValueError, TypeError) as error:
            self.message.report(str(error), True)
            return
        self.bench.viewer.reset_view()
        self._click_in(entry, layer)

    def _click_in(self, entry: Entry, layer: ImageLayer) -> None:
        count = self.known.store.people().get(entry.id) or PersonCount(entry.id, entry.image, None)
        key = layer.unique_id if entry.key is None else entry.key
        batch, cells = self.known.batch, self.session.cells_of(key)
        recipe = batch.recipe if batch is not None else None if cells is None else cells.segmented.recipe
        plane = key if isinstance(key, PlaneKey) else None
        # Positive cells are seen in the marker's channel.
        markers = () if recipe is None else (batch.recipe.positive if batch is not None else self.session.positive)
        shown = (one.channel for one in markers if f"{one.name}_pos" == self.known.cells)
        channel = next(shown, None if recipe is None else recipe.channel)
        self.known.clicking.start(count, layer, channel, plane)

    def _on_dot(self, image: str) -> None:
        found = next((entry for entry in self.table.entries if entry.image == image), None)
        if found is not None:
            self.table.choose(found.id)
