"""What has to be said of a model from elsewhere before it is taken in: a name, and how its images were normalised."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QLabel, QLineEdit, QWidget

from ...network.config import ENCODERS
from ...network.exchange.import_model import WEIGHT_SUFFIXES

FILTER = (
    "Models (*.zip *.pth *.pt *.ckpt *.bin *.safetensors config.json);;"
    "Packages (*.zip);;Weights (*.pth *.pt *.ckpt *.bin *.safetensors);;All files (*)"
)
NORMALISATIONS = (
    ("percentiles", "by percentiles, as here"),
    ("minmax", "by the least and greatest value"),
    ("type", "divided by 255 (or 65535)"),
    ("imagenet", "so, then ImageNet's mean and deviation"),
)
FOUND_OUT = "found out"


def source_of(path: str | Path) -> Path:
    """Return what is imported when a file is chosen: the folder of a ``config.json``, else the file."""
    chosen = Path(path)
    return chosen.parent if chosen.name == "config.json" else chosen


class ImportDialog(QDialog):
    """Asks for a name; of a plain file of weights also what it does not say itself.

    Parameters
    ----------
    source : Path
    parent : QWidget, optional
    """

    def __init__(self, source: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("napari_cellseg_import")
        self.setWindowTitle(f"Import {source.name}")
        self.name = QLineEdit(source.stem if source.is_file() else source.name, objectName="import_name")
        self.name.setToolTip("Letters, digits, space, dot, plus, minus, underscore.")
        form = QFormLayout(self)
        form.addRow("Name", self.name)
        self.plain = source.is_file() and source.suffix.lower() in WEIGHT_SUFFIXES
        self.normalisation = QComboBox(objectName="import_normalisation")
        self.architecture = QComboBox(objectName="import_architecture")
        for key, text in NORMALISATIONS:
            self.normalisation.addItem(text, key)
        self.normalisation.setToolTip("The file does not say it, and a wrong guess spoils every result.")
        self.architecture.addItem(FOUND_OUT, None)
        for name in ENCODERS:
            self.architecture.addItem(f"U-Net with {name}", name)
        # Packages of others may have any encoder, too.
        self.foreign = self.plain or source.suffix.lower() == ".zip"
        if self.plain:
            note = QLabel("This file holds weights only. Say how the images were normalised that it learned from.")
            note.setWordWrap(True)
            form.insertRow(0, note)
            form.addRow("Images were normalised", self.normalisation)
        if self.foreign:
            form.addRow("Network", self.architecture)
        buttons = QDialogButtonBox()
        self.ok = buttons.addButton("Import", QDialogButtonBox.ButtonRole.AcceptRole)
        self.no = buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form.addRow(buttons)
        self.name.textChanged.connect(lambda text: self.ok.setEnabled(bool(text.strip())))
        self.setMinimumWidth(420)

    def answers(self) -> dict[str, str | None]:
        """Return what was said, as :func:`napari_cellseg.network.exchange.import_model.import_model` takes it."""
        said: dict[str, str | None] = {"name": self.name.text().strip()}
        if self.foreign:
            said["architecture"] = self.architecture.currentData()
        if self.plain:
            said["normalisation"] = self.normalisation.currentData()
        return said
