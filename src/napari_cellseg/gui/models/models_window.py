"""A window with all models, in which they are imported, exported, renamed, deleted and calibrated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QDialog, QFileDialog, QVBoxLayout, QWidget

from ...imaging.errors import CellsegError
from ...network.exchange.import_model import import_model
from ...network.versions import ModelVersion, list_models, load_model
from ..shared.colors import Colors
from ..shared.layout import button, in_column, in_row
from ..shared.message import Message
from ..shared.rows import Rows
from ..shared.workers import Latest
from .calibration_job import CalibrationJob, CalibrationSource
from .calibration_section import CalibrationSection
from .exchange_dialogs import FILTER, ExportAnswers, export_dialog, import_dialog, source_of
from .keeping import Keeping

COLUMNS = ("Model", "From", "Precision", "Threshold", "Smallest")
SIZE = (940, 600)


class ModelsWindow(QDialog):
    """A table of the models beside the calibration of the one that is selected.

    Parameters
    ----------
    job : CalibrationJob
    find_sources : callable
        Images with known cells that there are for a model.
    selected : str
        Name or folder of the model to begin with.
    colors : Colors
    used : callable
        Returns the name or folder of the model that the Segment widget uses.
    at_work : callable
        Whether models are being made or calibrated: then none is renamed or deleted.
    parent : QWidget, optional

    Signals
    -------
    changed(str)
        A model was imported or renamed, or has new defaults: its name; empty where one was deleted.
    renamed(str, str)
        The old and the new name of a model; comes before `changed`.
    """

    changed = Signal(str)
    renamed = Signal(str, str)

    def __init__(
        self,
        job: CalibrationJob,
        find_sources: Callable[[ModelVersion], Sequence[CalibrationSource]],
        selected: str,
        colors: Colors,
        used: Callable[[], str],
        at_work: Callable[[], bool],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("napari_cellseg_models")
        self.setWindowTitle("Models")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(*SIZE)
        self._colors = colors
        self._models: list[ModelVersion] = []
        self._working = Latest(self._on_failed, self._enable)
        self.destroyed.connect(self._working.close)
        self.hint = Message(objectName="models_hint")
        self.keeping = Keeping(self.hint.report, used, at_work, self)
        self.calibration = CalibrationSection(job, find_sources, self.hint.report)
        self._build()
        self._lay_out()
        self.calibration.set_colors(colors)
        self.refresh(selected)
        self.calibration.report_outcome()

    @property
    def model(self) -> ModelVersion | None:
        """The model that is selected."""
        place = self.table.selected_row()
        return None if place is None else self._models[place]

    @property
    def busy(self) -> bool:
        """Whether a model is being imported or exported."""
        return self._working.busy

    def refresh(self, wanted: str | None = None) -> None:
        """List the models again, with the wanted one selected, or the present one."""
        present = self.model
        wanted = wanted or (str(present.path) if present is not None else "")
        self._models = list_models()
        if wanted not in [model.name for model in self._models] and Path(wanted).is_dir():
            # A model in another folder.
            with suppress(CellsegError):
                version = load_model(wanted)
                self._models += [] if version in self._models else [version]
        places = (i for i, model in enumerate(self._models) if wanted in (model.name, str(model.path)))
        place = next(places, 0)
        with QSignalBlocker(self.table):
            self.table.clear()
            for model in self._models:
                self.table.add(_texts(model), str(model.path), right=range(2, len(COLUMNS)))
            if self._models:
                self.table.setCurrentItem(self.table.topLevelItem(place))
        self._on_selected()

    def refresh_sources(self) -> None:
        """Ask again which images there are to calibrate on."""
        self.calibration.show_model(self.model)

    def take_in(self, source: Path, **answers: str | None) -> None:
        """Import a model; see :func:`napari_cellseg.network.exchange.import_model.import_model`."""

        def there(model: ModelVersion) -> None:
            self.refresh(model.name)
            usual = not model.training or "imported" in model.training
            more = " Its thresholds are the usual ones: calibrate it." if usual else ""
            self.hint.report(f"{model.name} was imported.{more}")
            self.changed.emit(model.name)

        self.hint.report(f"Importing {source.name} …")
        self._working.ask(lambda: import_model(source, **answers), there)
        self._enable()

    def hand_out(self, out: Path, answers: ExportAnswers) -> None:
        """Export the selected model as a package of bioimage.io."""
        model = self.model
        if model is None:
            return

        def write() -> Path:
            from ...network.exchange.bioimageio_export import PackageParams, export_bioimageio

            params = PackageParams(answers.names, answers.license.strip(), answers.description)
            return export_bioimageio(model, out, params)

        def there(path: Path) -> None:
            self.hint.report(f"{path} holds {model.name} ({path.stat().st_size / 1e6:.1f} MB).")

        self.hint.report(f"Exporting {model.name} …")
        self._working.ask(write, there)
        self._enable()

    def done(self, result: int) -> None:
        """Close, unless a model is being imported or exported, whose outcome is to be shown."""
        if self.busy:
            self.hint.report("Wait until it is done …", True)
            return
        super().done(result)

    def _build(self) -> None:
        tip = "Precision: average precision at an overlap (IoU) of half, on images held out when the model was made."
        self.table = Rows("models_table", COLUMNS, tip)
        self.table.itemSelectionChanged.connect(self._on_selected)
        self.about = Message(objectName="models_about")
        for text in (self.about, self.hint):
            text.set_colors(self._colors)
        tip = (
            "Import a model: one exported here or by others for bioimage.io, a model folder (choose its config.json), "
            "or a file with the weights of a U-Net (.pth)."
        )
        self.take_in_button = button("models_import", "Import …", tip, self._on_import)
        tip = "Write the selected model as a package of bioimage.io, for others to use."
        self.hand_out_button = button("models_export", "Export …", tip, self._on_export)
        self.close_button = button("models_close", "Close", "Close this window.", self.accept)
        self.calibration.stored.connect(self._on_stored)
        self.keeping.question.set_colors(self._colors)
        self.keeping.renamed.connect(self._on_renamed)
        self.keeping.deleted.connect(lambda _: self._on_kept(""))

    def _lay_out(self) -> None:
        row = in_row(self.take_in_button, self.hand_out_button, self.keeping.rename, self.keeping.delete, None)
        left = in_column(self.table, self.about, row, self.keeping.question, spacing=6)
        outer = QVBoxLayout(self)
        outer.addLayout(in_row((left, 1), (self.calibration, 1), spacing=6), 1)
        outer.addLayout(in_row((self.hint, 1), self.close_button, spacing=6))

    def _enable(self) -> None:
        self.take_in_button.setEnabled(not self.busy)
        self.hand_out_button.setEnabled(self.model is not None and not self.busy)

    def _on_selected(self) -> None:
        model = self.model
        self.about.report("" if model is None else _about(model))
        self.calibration.show_model(model)
        self.keeping.show_model(model)
        self._enable()

    def _on_stored(self, version: ModelVersion) -> None:
        shown = self.hint.text()
        self.refresh(str(version.path))
        self.hint.report(shown)
        self.changed.emit(version.name)

    def _on_renamed(self, old: str, new: str) -> None:
        # Whoever uses it must know before the lists are read again, in which the old name is missing.
        self.renamed.emit(old, new)
        self._on_kept(new)

    def _on_kept(self, name: str) -> None:
        self.refresh(name)
        self.changed.emit(name)

    def _on_import(self) -> None:
        if path := QFileDialog.getOpenFileName(self, "Import a model", "", FILTER)[0]:
            source = source_of(path)
            dialog = import_dialog(source, self)
            if dialog.exec():
                self.take_in(source, **{name: text.strip() or None for name, text in dialog.form.values().items()})

    def _on_export(self) -> None:
        model = self.model
        if model is None:
            return
        dialog = export_dialog(model, self)
        if not dialog.exec():
            return
        if path := QFileDialog.getSaveFileName(self, "Export as", f"{model.name}.zip", "Packages (*.zip)")[0]:
            out = Path(path if path.endswith(".zip") else f"{path}.zip")
            if str(out) != path and out.exists():
                # The dialog asked about another name.
                self.hint.report(f"{out} is there already. Choose it in the list, or give another name.", True)
                return
            self.hand_out(out, dialog.form.value)

    def _on_failed(self, error: BaseException) -> None:
        expected = isinstance(error, (CellsegError, OSError))
        self.hint.report(str(error) if expected and str(error) else f"{type(error).__name__}: {error}", True)


def _texts(model: ModelVersion) -> list[str]:
    origin = "the plugin" if model.bundled else model.parent or ("elsewhere" if _imported(model) else "scratch")
    try:
        figure = f"{model.metrics['all']['ap_mean']['0.50']:.2f}"
    except (KeyError, TypeError, ValueError):
        figure = "–"
    return [model.title, origin, figure, f"{model.threshold:.2f}", f"{model.min_size} px"]


def _imported(model: ModelVersion) -> bool:
    return not model.training or "imported" in model.training


def _about(model: ModelVersion) -> str:
    parts = [model.description] if model.description else []
    if learned := model.training.get("training_images"):
        parts.append(f"Learned from {len(learned):,} images.")
    if model.diameter:
        parts.append(f"Sees cells at about {model.diameter:g} px.")
    parts.append(f"{model.path}")
    return "\n".join(parts)
