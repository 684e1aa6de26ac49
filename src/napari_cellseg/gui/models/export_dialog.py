"""What bioimage.io asks of whoever shares a model: who made it, and what others may do with it."""

from __future__ import annotations

import json

from qtpy.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QLabel, QLineEdit, QWidget

from ...imaging.errors import OutputError
from ...imaging.home import user_home
from ...imaging.write.write import make_folder, write_json
from ...network.versions import ModelVersion

LICENSES = ("CC-BY-4.0", "CC0-1.0", "CC-BY-SA-4.0", "MIT", "BSD-3-Clause", "Apache-2.0")
ANSWERS_FILE = "shared_by.json"


class ExportDialog(QDialog):
    """Asks for authors, licence, and a sentence; remembers the first two.

    Parameters
    ----------
    model : ModelVersion
    parent : QWidget, optional
    """

    def __init__(self, model: ModelVersion, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("napari_cellseg_export")
        self.setWindowTitle(f"Export {model.name}")
        known = _known()
        note = QLabel(
            "A package of bioimage.io holds the network with its weights, a test image and a description. Fiji "
            "(deepImageJ), ilastik, QuPath and others can run it, and this plugin takes it back as it was."
        )
        note.setWordWrap(True)
        self.authors = QLineEdit(known.get("authors", ""), objectName="export_authors")
        self.authors.setPlaceholderText("A. Person; B. Person")
        self.authors.setToolTip("Who made the model. Several names are divided by semicolons.")
        self.license = QComboBox(objectName="export_license")
        self.license.addItems(LICENSES)
        self.license.setEditable(True)
        self.license.setEditText(known.get("license", LICENSES[0]))
        self.license.setToolTip("What others may do with it: an SPDX identifier.")
        self.description = QLineEdit(model.description, objectName="export_description")
        self.description.setToolTip("One sentence that others see in a list.")
        buttons = QDialogButtonBox()
        self.ok = buttons.addButton("Export …", QDialogButtonBox.ButtonRole.AcceptRole)
        self.no = buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self._on_accepted)
        buttons.rejected.connect(self.reject)
        form = QFormLayout(self)
        form.addRow(note)
        form.addRow("Authors", self.authors)
        form.addRow("Licence", self.license)
        form.addRow("Description", self.description)
        form.addRow(buttons)
        for signal in (self.authors.textChanged, self.license.editTextChanged):
            signal.connect(lambda *_: self._enable())
        self.setMinimumWidth(460)
        self._enable()

    def authors_list(self) -> tuple[str, ...]:
        """The names."""
        return tuple(name.strip() for name in self.authors.text().split(";") if name.strip())

    def _enable(self) -> None:
        self.ok.setEnabled(bool(self.authors_list()) and bool(self.license.currentText().strip()))

    def _on_accepted(self) -> None:
        try:
            answers = {"authors": self.authors.text(), "license": self.license.currentText()}
            make_folder(user_home())
            write_json(user_home() / ANSWERS_FILE, answers)
        except OutputError:
            # It is typed again the next time.
            pass
        self.accept()


def _known() -> dict[str, str]:
    """What was answered the last time."""
    try:
        values = json.loads((user_home() / ANSWERS_FILE).read_text(encoding="utf-8"))
        return {name: str(values[name]) for name in ("authors", "license")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
