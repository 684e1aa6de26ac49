"""Where the corrections are kept, and what can be done with them: export, import, training."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QLabel, QSizePolicy, QWidget

from ...corrections import exchange
from ...corrections import tools as edits
from ..shared.help import titled
from ..shared.layout import CELL_FILES, in_column, in_row, show_file, small_button
from ..shared.message import Message
from ..viewer.bench import Bench
from ..viewer.correcting import Correcting
from ..viewer.layer_image import layer_folder
from ..viewer.section import Section
from .drafting import CAME_COLOR, WENT_COLOR, Drafting

EVERY_MS = 1000
DRAFT_KEY = (
    f'<span style="color: {CAME_COLOR}">■</span> would be added &nbsp; '
    f'<span style="color: {WENT_COLOR}">■</span> would go &nbsp; faint: stays'
)


class KeepSection(Section):
    """The line that shows what is safe on disk, and the buttons that hand corrections on; the widget connects `add`."""

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(bench)
        self._correcting, self._drafting = bench.part(Correcting), bench.part(Drafting)
        self._build()
        session = bench.session
        self._bindings.bind_each(self._on_cells, session.chosen_changed, session.cells_changed, session.corrected)
        self._bindings.bind(self._drafting.changed, self._on_cells)
        # The journal is written in a background thread, and time passes.
        self._clock = QTimer(self)
        self._clock.timeout.connect(self._on_cells)
        self._clock.start(EVERY_MS)
        self._on_cells()

    def export_to(self, path: str | Path) -> None:
        """Write the corrected labels as TIFF, with which cells were edited manually, in a background thread."""
        key, view = self._bench.session.chosen, self._bench.session.view_of(self._bench.session.chosen)
        cells = self._bench.session.cells_of(key)
        if view is None or cells is None:
            return
        segmented = cells.segmented
        metadata = {"image": segmented.image.name, "recipe": segmented.recipe.to_dict()}
        size = segmented.image.pixel_size

        def exported(_: object) -> None:
            self._correcting.reported.emit(f"Exported to {Path(path).name}.", False)

        self._bench.in_background(lambda: exchange.export_corrections(Path(path), view, metadata, size), exported)

    def import_from(self, path: str | Path) -> None:
        """Take over corrections, or the cells of any label image of this size, as one undo step."""
        key, cells = self._bench.session.chosen, self._bench.session.cells
        if cells is None:
            return
        shape, image = cells.corrected.shape, cells.segmented.image

        def imported(found: dict[str, Any]) -> None:
            self._correcting.edit(key, edits.import_labels, done=f"Imported {Path(path).name}.", **found)

        self._bench.in_background(
            lambda: exchange.read_corrections(Path(path), shape, image=image.source or image.name), imported
        )

    def _build(self) -> None:
        drafting = self._drafting
        self.saved = Message(objectName="saved")
        self.saved.setWordWrap(False)
        self.saved.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        tip = "Open the folder that holds this image's corrections."
        self.folder = small_button("show_folder", "Show folder", tip, slot=self._on_folder)
        tip = "Save the labels as TIFF, with which cells are yours, to pass them on."
        self.export_ = small_button("export", "Export …", tip, slot=self._on_export)
        tip = (
            "Take over exported corrections, or all cells of a file about this image: label image, ImageJ ROIs (zip),\n"
            "QuPath's GeoJSON, array (npy)."
        )
        self.import_ = small_button("import", "Import …", tip, slot=self._on_import)
        tip = "Put the image, its cells and the reviewed area into the training set: a plain folder."
        self.add = small_button("add_to_training", "Add image to training set", tip)
        tip = (
            "Refit the network's last layer to what you corrected and reviewed, for this image alone. A draft shows\n"
            "what it would change: green comes, pink goes. At first the network looks at the image once more."
        )
        self.learn = small_button("learn_now", "Learn from these now   T", tip, slot=drafting.learn)
        tip = "Let the draft take the place of the prediction."
        self.keep_draft = small_button("keep_draft", "Keep   K", tip, slot=drafting.keep)
        self.drop_draft = small_button("drop_draft", "Drop   U", "Leave the prediction as it is.", slot=drafting.drop)
        files = in_row((self.folder, 1), (self.export_, 1), (self.import_, 1))
        draft = in_row((self.learn, 2), (self.keep_draft, 1), (self.drop_draft, 1))
        self.draft_key = QLabel(DRAFT_KEY, objectName="draft_key")
        in_column(titled("Keep and learn"), self.saved, files, draft, self.draft_key, self.add, into=self, spacing=5)

    def _on_cells(self, key: Any = None) -> None:
        session = self._bench.session
        saved = session.saved(session.chosen) if session.cells is not None else None
        failed = saved is not None and bool(saved.error)
        text, where = "Corrections are kept by themselves.", ""
        if saved is not None:
            where = str(saved.path)
            text = saved.error or _saved_in_words(saved, datetime.now().astimezone())
        self.saved.report(text, failed)
        self.saved.setToolTip(f"{text}\n{where}" if where else text)
        self.folder.setEnabled(saved is not None)
        drafting = self._drafting
        again = "Learn again   T" if drafting.proposed else "Learn from these now   T"
        self.learn.setText("Learning …" if drafting.busy else again)
        self.learn.setEnabled(session.cells is not None and not drafting.busy)
        for button in (self.keep_draft, self.drop_draft, self.draft_key):
            button.setVisible(drafting.proposed)
        for button in (self.export_, self.import_, self.add):
            button.setEnabled(session.cells is not None)

    def _on_folder(self) -> None:
        if (saved := self._bench.session.saved(self._bench.session.chosen)) is not None:
            show_file(Path(saved.path).parent)
            self._correcting.reported.emit(f"The corrections are in {saved.path}", False)

    def _on_export(self) -> None:
        layer = self._bench.layer_of(self._bench.session.chosen)
        if layer is None:
            return
        name, _ = QFileDialog.getSaveFileName(
            self,
            "Export corrections",
            str(Path(layer_folder(layer)) / f"{self._bench.name_of(self._bench.session.chosen)}_corrected.tif"),
            "Label TIFF (*.tif *.tiff)",
        )
        if name:
            self.export_to(name if Path(name).suffix else f"{name}.tif")

    def _on_import(self) -> None:
        layer = self._bench.layer_of(self._bench.session.chosen)
        if name := QFileDialog.getOpenFileName(self, "Import corrections", layer_folder(layer), CELL_FILES)[0]:
            self.import_from(name)


def _saved_in_words(saved: Any, now: datetime) -> str:
    if saved.n_pending or saved.time is None:
        return "Saving …"
    seconds = max((now - saved.time).total_seconds(), 0)
    if seconds < 1.5:
        ago = "just now"
    elif seconds < 90:
        ago = f"{round(seconds)} s ago"
    elif seconds < 5400:
        ago = f"{round(seconds / 60)} min ago"
    else:
        ago = f"at {saved.time.astimezone():%H:%M}"
    return f"Saved {ago} in the corrections journal"
