"""The data to learn from: a training set's folder, and its entries, which can be viewed, replaced and removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal

from ...imaging.errors import CellsegError
from ...training.data.datasets import Sample
from ...training.data.training_set import Entry, Stamp, TrainingSet
from ..shared.colors import Colors
from ..shared.fold import Fold
from ..shared.help import HelpButton
from ..shared.layout import in_column, in_row, small_button
from ..shared.message import Message, errors_to
from ..shared.rows import Rows
from ..shared.workers import Latest
from ..viewer.bench import Bench
from ..viewer.section import Section
from .add_entry import COLUMNS, Ask, about, add_current, texts_of
from .entry_layers import EntryLayers
from .job import TrainJob
from .source import TrainSource

LIST_HEIGHT = 112
EMPTY = "Nothing here yet. Correct and review an image, then add it."


class TrainSetSection(Section):
    """The data to learn from, with the list of its entries if it is a training set.

    Parameters
    ----------
    bench : Bench
    job : TrainJob
        Knows which folder is chosen.
    ask : callable
        Asks a question inside the panel.
    report : callable
        Shows a sentence; its second argument is whether it is bad news.

    Signals
    -------
    listed()
        The entries were read.
    """

    listed = Signal()

    def __init__(self, bench: Bench, job: TrainJob, ask: Ask, report: Callable[[str, bool], object]) -> None:
        super().__init__(bench)
        self._job, self._ask, self._report = job, ask, report
        self.entries: list[Entry] = []
        self.problem = ""
        self._colors: Colors | None = None
        self._set: TrainingSet | None = None
        self._known: Path | None = None
        self._failed = bench.failure_to(report)
        self._listing, self._reading = (Latest(self._failed, owner=self) for _ in range(2))
        self._writing: list[Latest] = []
        self._layers = EntryLayers(bench)
        self._build()
        self._bindings.bind(job.set_changed, self._on_set_changed)
        self._bindings.bind_each(self._on_cells, bench.session.chosen_changed, bench.session.cells_changed)
        self._on_cells()

    @property
    def usable(self) -> list[Entry]:
        """Entries that can be learned from."""
        return [entry for entry in self.entries if not entry.problem]

    @property
    def known(self) -> bool:
        """Whether the entries are those of the chosen folder, which may be read again just now."""
        return self._known == self._job.folder

    @property
    def busy(self) -> bool:
        """Whether the folder is being read or written."""
        return any(work.busy for work in (self._listing, self._reading, *self._writing))

    def refresh(self) -> None:
        """Read the folder again, in a background thread."""
        self.source.refresh()
        folder = self._job.folder

        def read() -> tuple[TrainingSet | None, list[Entry], str]:
            if not folder.exists():
                return None, [], ""
            try:
                # The same object again: it does not read files that have not changed.
                known = self._set if self._set is not None and self._set.path == folder else TrainingSet.open(folder)
                return known, known.entries(), ""
            except CellsegError as error:
                return None, [], str(error)

        self._listing.ask(read, lambda found: self._show(folder, *found))

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self._fill()

    def _build(self) -> None:
        self.source = TrainSource(self._job)
        tip = "Images that can be learned from. Double-click one to look at it."
        self.list = Rows("training_entries", COLUMNS, tip, LIST_HEIGHT)
        self.list.itemSelectionChanged.connect(self._on_selected)
        self.list.itemDoubleClicked.connect(lambda *_: self.view_selected())
        self.hint = Message(EMPTY, "training_hint", hides=True)
        tip = "Add the image that is shown, with its cells and the reviewed area, to this training set."
        self.add = small_button("training_add", "Add this image", tip, slot=self._on_add)
        tip = "Show this entry's image, labels and reviewed area."
        self.view = small_button("training_view", "View", tip, slot=self.view_selected)
        tip = "Replace this entry by the layers that View has opened, as you changed them."
        self.replace = small_button("training_replace", "Replace", tip, slot=self._on_replace)
        tip = "Delete this entry's files from the training set."
        self.remove = small_button("training_remove", "Remove", tip, slot=self._on_remove)
        buttons = in_row((self.add, 8), (self.view, 3), (self.replace, 5), (self.remove, 5))
        inside = in_column(self.list, self.hint, buttons)
        self.fold = Fold("training_fold", "no images", "Show or hide the list of images.", inside, True)
        in_column(in_row((self.source, 1), HelpButton("Training set")), self.fold, into=self, spacing=3)
        self.fold.setVisible(self._job.data is None)

    def _show(self, folder: Path, opened: TrainingSet | None, entries: list[Entry], problem: str) -> None:
        if folder == self._job.folder:
            self._set, self.entries, self.problem, self._known = opened, entries, problem, folder
            self._fill()
            self.listed.emit()

    def _fill(self) -> None:
        warning = None if self._colors is None else self._colors.warning
        self.list.fill(
            [(texts_of(entry), about(entry), warning if entry.problem else None) for entry in self.entries],
            right=(1, 2),
        )
        self.fold.title.setText(self.summary())
        self.hint.report(self.problem or ("" if self.entries else EMPTY), bool(self.problem))
        self._on_selected()

    def summary(self) -> str:
        """Return the number of images and cells to learn from, as text."""
        n_bad = len(self.entries) - len(self.usable)
        if not self.entries:
            return "this folder cannot be used" if self.problem else "no images yet"
        n_cells = sum(entry.n_cells for entry in self.usable)
        images = f"{len(self.usable)} image" + ("" if len(self.usable) == 1 else "s")
        return f"{images}, {n_cells:,} cells" + (f"; {n_bad} cannot be used" if n_bad else "")

    def _on_set_changed(self, folder: Any) -> None:
        self.fold.setVisible(self._job.data is None)
        if self._job.data is not None:
            self.source.refresh()
        elif folder == self._job.folder:
            self.refresh()

    def _on_selected(self) -> None:
        name = self.list.selected()
        for button in (self.view, self.remove):
            button.setEnabled(name is not None)
        # While an entry is written its stamp changes: a second Replace would take that for a change by others.
        writing = any(work.busy for work in self._writing)
        self.replace.setEnabled(name is not None and not writing and self._layers.shown(name))

    def _on_cells(self, key: Any = None) -> None:
        self.add.setEnabled(self._bench.session.cells is not None)

    def _on_add(self) -> None:
        with errors_to(self._report):
            add_current(self._bench, self._job.folder, ask=self._ask, report=self._report)

    def view_selected(self) -> None:
        """Show the selected entry as layers."""
        name, opened = self.list.selected(), self._set
        if name is None or opened is None:
            return

        def read() -> tuple[Sample, Stamp]:
            # The stamp comes first: what changes while it is read must not count as shown.
            stamp = opened.stamp(name)
            return opened.read(name), stamp

        def show(found: tuple[Sample, Stamp]) -> None:
            self._layers.show(opened.path, *found)
            self._on_selected()
            self._report(
                f"'{name}' is shown. To change it, edit its labels or reviewed layer and press Replace.", False
            )

        self._reading.ask(read, show)

    def _on_replace(self) -> None:
        name, opened = self.list.selected(), self._set
        if name is None or opened is None:
            return

        def replaced(now: Stamp) -> None:
            self._layers.replaced(opened.path, name, stamp, now)
            self._report(f"'{name}' was replaced by what the layers show.", False)
            self._job.set_changed.emit(opened.path)

        with errors_to(self._report):
            image, labels, reviewed, stamp = self._layers.read(opened.path, name)
            self._write(lambda: opened.put_back(name, image, labels, reviewed, stamp), replaced)

    def _on_remove(self) -> None:
        name, opened = self.list.selected(), self._set
        if name is None or opened is None:
            return

        def removed(_: object) -> None:
            self._report(f"'{name}' was removed from the training set.", False)
            self._job.set_changed.emit(opened.path)

        self._ask(
            f"Delete '{name}' from the training set? Its image, labels and reviewed area there are gone then.",
            "Delete it",
            "Keep it",
            lambda: self._write(lambda: opened.remove(name), removed),
        )

    def _write(self, work: Callable[[], Any], then: Callable[[Any], object]) -> None:
        """Change the folder in a background thread; several changes are all made, one after the other."""
        job = Latest(self._failed, self._on_selected, self)
        job.ask(work, then)
        self._writing = [*(other for other in self._writing if other.busy), job]
        self._on_selected()
