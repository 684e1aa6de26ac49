"""What is saved, and where; and what rarely needs to be said."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ...results.outputs import OUTPUTS
from ..shared.fold import Fold
from ..shared.layout import NARROWEST, label

FOLDER = "cellseg"
PER_ROW = 2


class BatchOutputSection(QWidget):
    """Ticks for the outputs, and the folder of the results.

    Signals
    -------
    out_changed()
        The folder of the results is another now.
    """

    out_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # Whether the person chose the folder, which then no longer follows the folder of the images.
        self._chosen = False
        self._out: Path | None = None
        self._build()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what is saved."""
        return tuple(name for name, tick in self.ticks.items() if tick.isChecked())

    @property
    def out(self) -> Path | None:
        """Folder of the results; None before the images were chosen."""
        return self._out

    @property
    def scheduler(self) -> str:
        """Address of a Dask cluster; empty for this computer."""
        return self.cluster.text().strip()

    def follow(self, folder: Path | None) -> None:
        """Put the results beside the images, unless the person chose another place."""
        if not self._chosen:
            self._set(None if folder is None else folder / FOLDER)

    def choose(self, folder: str | Path) -> None:
        """Put the results into a folder."""
        self._chosen = True
        self._set(Path(folder).expanduser())

    def tick(self, names: tuple[str, ...]) -> None:
        """Choose what is saved; labels always are."""
        for name, box in self.ticks.items():
            box.setChecked(name == "labels" or name in names)

    def _build(self) -> None:
        self.ticks: dict[str, QCheckBox] = {}
        boxes = QGridLayout()
        boxes.setHorizontalSpacing(8)
        boxes.setVerticalSpacing(2)
        for i, (name, output) in enumerate(OUTPUTS.items()):
            tick = QCheckBox(output.label, objectName=f"batch_save_{name}")
            tick.setChecked(output.default)
            tick.setToolTip(f"{output.help[:1].upper()}{output.help[1:]}. File: {_file(name)}")
            self.ticks[name] = tick
            boxes.addWidget(tick, *divmod(i, PER_ROW))
        self.ticks["labels"].setEnabled(False)
        self.ticks["labels"].setToolTip("Labels are always saved, and counts.csv with a row for every image.")
        self.place = QLineEdit(objectName="batch_out")
        self.place.setPlaceholderText("folder for the results")
        self.place.setMinimumWidth(NARROWEST)
        self.place.setToolTip("The results go into this folder, which is made where it is missing.")
        self.place.editingFinished.connect(self._on_place)
        self.browse = QPushButton("Choose …", objectName="batch_choose_out")
        self.browse.setToolTip("Choose another folder for the results.")
        self.browse.clicked.connect(self._on_browse)
        self.cluster = QLineEdit(objectName="batch_scheduler")
        self.cluster.setPlaceholderText("tcp://host:8786")
        self.cluster.setToolTip(
            "Address of a Dask scheduler, whose workers then do the work; they must see these folders under the same\n"
            "names. Empty: this computer does it. How to start one is described in docs/cluster.md."
        )
        self.overwrite = QCheckBox("also replace results that a person corrected", objectName="batch_overwrite")
        self.overwrite.setToolTip("Without this tick a corrected image keeps its cells, whatever is run.")
        more = QWidget()
        inside = QGridLayout(more)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setColumnStretch(1, 1)
        inside.addWidget(label("Cluster"), 0, 0)
        inside.addWidget(self.cluster, 0, 1)
        inside.addWidget(self.overwrite, 1, 0, 1, 2)
        self.fold = Fold("batch_more", "Cluster, corrected results", "What rarely needs to be said.", more, False)
        to = QHBoxLayout()
        to.addWidget(label("Save to"))
        to.addWidget(self.place, 1)
        to.addWidget(self.browse)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(5)
        column.addLayout(to)
        column.addLayout(boxes)
        column.addWidget(self.fold)

    def _set(self, out: Path | None) -> None:
        with QSignalBlocker(self.place):
            self.place.setText("" if out is None else str(out))
        if out != self._out:
            self._out = out
            self.out_changed.emit()

    def _on_place(self) -> None:
        text = self.place.text().strip()
        if text and text != str(self._out):
            self.choose(text)

    def _on_browse(self) -> None:
        start = self._out if self._out is not None and self._out.exists() else (self._out or Path()).parent
        folder = QFileDialog.getExistingDirectory(self, "Choose a folder for the results", str(start))
        if folder:
            self.choose(folder)


def _file(name: str) -> str:
    output = OUTPUTS[name]
    return output.suffix if output.combined else f"IMAGE{output.suffix}"
