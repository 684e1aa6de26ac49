"""All models in a window of its own: where they come from, taking them in and out, and calibrating them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ...imaging.errors import CellsegError
from ...network.exchange.import_model import import_model
from ...network.versions import ModelVersion, list_models, load_model
from ..shared.colors import Colors
from ..shared.workers import Latest
from .calibration_job import CalibrationJob, CalibrationSource
from .calibration_section import CalibrationSection
from .exchange_dialogs import FILTER, ExportAnswers, export_dialog, import_dialog, source_of

COLUMNS = ("Model", "From", "AP at .5", "Threshold", "Smallest")
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
    parent : QWidget, optional

    Signals
    -------
    changed(str)
        A model was taken in, or has new defaults: its name.
    """

    changed = Signal(str)

    def __init__(
        self,
        job: CalibrationJob,
        find_sources: Callable[[ModelVersion], Sequence[CalibrationSource]],
        selected: str,
        colors: Colors,
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
        self.calibration = CalibrationSection(job, find_sources, self.say)
        self._build()
        self._lay_out()
        self.calibration.set_colors(colors)
        self.refresh(selected)
        self.calibration.tell_outcome()

    @property
    def model(self) -> ModelVersion | None:
        """The model that is selected."""
        items = self.table.selectedItems()
        return self._models[self.table.indexOfTopLevelItem(items[0])] if items else None

    @property
    def busy(self) -> bool:
        """Whether a model is being taken in or out."""
        return self._working.busy

    def refresh(self, wanted: str | None = None) -> None:
        """List the models again, with the wanted one selected, or the present one."""
        present = self.model
        wanted = wanted or (str(present.path) if present is not None else "")
        self._models = list_models()
        if wanted not in [model.name for model in self._models] and Path(wanted).is_dir():
            # One that lies elsewhere.
            with suppress(CellsegError):
                version = load_model(wanted)
                self._models += [] if version in self._models else [version]
        places = (i for i, model in enumerate(self._models) if wanted in (model.name, str(model.path)))
        place = next(places, 0)
        with QSignalBlocker(self.table):
            self.table.clear()
            self.table.addTopLevelItems([_item(model) for model in self._models])
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
            self.say(f"{model.name} was imported.{more}")
            self.changed.emit(model.name)

        self.say(f"Importing {source.name} …")
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
            self.say(f"{path} holds {model.name} ({path.stat().st_size / 1e6:.1f} MB).")

        self.say(f"Exporting {model.name} …")
        self._working.ask(write, there)
        self._enable()

    def say(self, text: str, warning: bool = False) -> None:
        """Show a sentence."""
        self.hint.setText(text)
        color = self._colors.warning if warning else self._colors.faint
        self.hint.setStyleSheet(f"color: {color.name()};")

    def done(self, result: int) -> None:
        """Close, unless a model is being taken in or out: what becomes of that is to be told."""
        if self.busy:
            self.say("Wait until it is done …", True)
            return
        super().done(result)

    def _build(self) -> None:
        self.table = QTreeWidget(objectName="models_table")
        self.table.setHeaderLabels(COLUMNS)
        self.table.setRootIsDecorated(False)
        self.table.setUniformRowHeights(True)
        self.table.setToolTip("Average precision is that on images held out when the model was made.")
        header = self.table.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.itemSelectionChanged.connect(self._on_selected)
        self.about = QLabel(objectName="models_about")
        self.about.setWordWrap(True)
        self.about.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.about.setStyleSheet(f"color: {self._colors.faint.name()};")
        self.take_in_button = QPushButton("Import …", objectName="models_import")
        self.take_in_button.setToolTip(
            "Take in a model: one exported here or by others for bioimage.io, a model folder (choose its config.json), "
            "or a file with the weights of a U-Net (.pth)."
        )
        self.hand_out_button = QPushButton("Export …", objectName="models_export")
        self.hand_out_button.setToolTip("Write the selected model as a package of bioimage.io, for others to use.")
        self.close_button = QPushButton("Close", objectName="models_close")
        self.close_button.setToolTip("Close this window.")
        self.hint = QLabel(objectName="models_hint")
        self.hint.setWordWrap(True)
        self.hint.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.take_in_button.clicked.connect(self._on_import)
        self.hand_out_button.clicked.connect(self._on_export)
        self.close_button.clicked.connect(self.accept)
        self.calibration.stored.connect(self._on_stored)

    def _lay_out(self) -> None:
        left, row, middle, bottom = QVBoxLayout(), QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        row.addWidget(self.take_in_button)
        row.addWidget(self.hand_out_button)
        row.addStretch(1)
        left.addWidget(self.table, 1)
        left.addWidget(self.about)
        left.addLayout(row)
        middle.addLayout(left, 5)
        middle.addWidget(self.calibration, 5)
        bottom.addWidget(self.hint, 1)
        bottom.addWidget(self.close_button)
        outer = QVBoxLayout(self)
        outer.addLayout(middle, 1)
        outer.addLayout(bottom)
        for button in self.findChildren(QPushButton):
            # Enter must not press a button.
            button.setAutoDefault(False)

    def _enable(self) -> None:
        self.take_in_button.setEnabled(not self.busy)
        self.hand_out_button.setEnabled(self.model is not None and not self.busy)

    def _on_selected(self) -> None:
        model = self.model
        self.about.setText("" if model is None else _about(model))
        self.calibration.show_model(model)
        self._enable()

    def _on_stored(self, version: ModelVersion) -> None:
        said = self.hint.text()
        self.refresh(str(version.path))
        self.say(said)
        self.changed.emit(version.name)

    def _on_import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Import a model", "", FILTER)
        if path:
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
        path, _ = QFileDialog.getSaveFileName(self, "Export as", f"{model.name}.zip", "Packages (*.zip)")
        if path:
            out = Path(path if path.endswith(".zip") else f"{path}.zip")
            if str(out) != path and out.exists():
                # The person was asked about another name.
                self.say(f"{out} is there already. Choose it in the list, or give another name.", True)
                return
            self.hand_out(out, dialog.form.value)

    def _on_failed(self, error: BaseException) -> None:
        expected = isinstance(error, (CellsegError, OSError))
        self.say(str(error) if expected and str(error) else f"{type(error).__name__}: {error}", True)


def _item(model: ModelVersion) -> QTreeWidgetItem:
    origin = "the plugin" if model.bundled else model.parent or ("elsewhere" if _imported(model) else "scratch")
    try:
        figure = f"{model.metrics['all']['ap_mean']['0.50']:.2f}"
    except (KeyError, TypeError, ValueError):
        figure = "–"
    item = QTreeWidgetItem([model.name, origin, figure, f"{model.threshold:.2f}", f"{model.min_size} px"])
    for column in range(2, len(COLUMNS)):
        item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    item.setToolTip(0, str(model.path))
    return item


def _imported(model: ModelVersion) -> bool:
    return not model.training or "imported" in model.training


def _about(model: ModelVersion) -> str:
    parts = [model.description] if model.description else []
    learned = model.training.get("training_images")
    if learned:
        parts.append(f"Learned from {len(learned):,} images.")
    if model.diameter:
        parts.append(f"Sees cells at about {model.diameter:g} px.")
    parts.append(f"{model.path}")
    return "\n".join(parts)
