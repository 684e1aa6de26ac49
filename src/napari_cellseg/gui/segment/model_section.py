"""Which model, and where it runs."""

from __future__ import annotations

import sys
from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QGridLayout, QLabel, QWidget

from ...imaging.errors import CellsegError
from ...network.versions import ModelVersion, list_models, load_model, smallest_in_words
from ..shared import preferences
from ..shared.layout import label, shrinkable
from ..viewer.bench import Workbench
from ..viewer.recipes import RECIPE_FILTER

DEVICE_NAMES = {"auto": "auto", "cpu": "CPU", "cuda": "GPU (CUDA)", "mps": "GPU (Apple)"}
FROM_FOLDER, FROM_RECIPE = "From a folder …", "From a recipe …"


class ModelSection(QWidget):
    """Choosers of model and device.

    Signals
    -------
    model_changed(ModelVersion or None)
    recipe_asked(str)
        The recipe in this file is to be used.
    """

    model_changed = Signal(object)
    recipe_asked = Signal(str)

    def __init__(self, bench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bench = bench
        # What was chosen last: choosing no file and no folder leaves it.
        self._present = preferences.default_model()
        self.model = QComboBox(objectName="model")
        self.device = QComboBox(objectName="device")
        for box in (self.model, self.device):
            shrinkable(box)
        self.device.setToolTip(
            "Where the network runs. Auto takes a GPU where there is one, else the CPU. "
            "The result is the same up to rounding."
        )
        for name in _devices():
            self.device.addItem(DEVICE_NAMES[name], name)
        self.device.currentIndexChanged.connect(self._on_device)
        self.choose_device(preferences.device())
        self.model.activated.connect(self._on_activated)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(5)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        for column, widget in enumerate((label("Model"), self.model, QLabel("Device"), self.device)):
            grid.addWidget(widget, 0, column)
        self.refresh(preferences.default_model())

    @property
    def model_name(self) -> str:
        """Name or folder of the chosen model; what is asked for is checked when Segment is pressed."""
        return str(self.model.currentData() or preferences.default_model())

    def version(self) -> ModelVersion | None:
        """Return the chosen model; None when it is missing or damaged."""
        try:
            return load_model(self.model_name)
        except CellsegError:
            return None

    def refresh(self, wanted: str | None = None) -> None:
        """List the models again, and choose the wanted one, or the present one, if it is there."""
        wanted = wanted or self.model_name
        models = list_models()
        with QSignalBlocker(self.model):
            self.model.clear()
            for model in models:
                self.model.addItem(model.name, model.name)
            if self.model.findData(wanted) < 0 and Path(wanted).is_dir():
                self.model.addItem(Path(wanted).name, wanted)
            if not models:
                self.model.addItem("no model installed", None)
            self.model.insertSeparator(self.model.count())
            self.model.addItem(FROM_FOLDER, FROM_FOLDER)
            self.model.addItem(FROM_RECIPE, FROM_RECIPE)
            self.model.setCurrentIndex(max(self.model.findData(wanted), 0))
        self._announce()

    def _on_activated(self, index: int) -> None:
        if self.model.itemData(index) == FROM_FOLDER:
            folder = QFileDialog.getExistingDirectory(self, "Choose a model folder (it holds config.json)")
            self.choose_folder(folder)
        elif self.model.itemData(index) == FROM_RECIPE:
            path, _ = QFileDialog.getOpenFileName(self, "Choose a recipe", "", RECIPE_FILTER)
            self.refresh(self._present)
            if path:
                self.recipe_asked.emit(path)
        else:
            self._announce()

    def choose_device(self, name: str) -> None:
        """Choose where the network runs, if this computer may have it."""
        self.device.setCurrentIndex(max(self.device.findData(name), 0))

    def _on_device(self, _: int) -> None:
        self._bench.session.device = str(self.device.currentData())

    def choose_folder(self, folder: str) -> None:
        """Use the model in a folder; an empty text leaves the present one."""
        present = self._present
        try:
            self.refresh(str(load_model(folder).path) if folder else present)
        except CellsegError as error:
            self.refresh(present)
            self._bench.session.fail(None, error)

    def _announce(self) -> None:
        model = self.version()
        self._present = self.model_name
        about = "The network that finds the cells."
        about += " This one came with the plugin." if model is not None and model.bundled else ""
        if model is not None:
            about += f"\n{model.description}" if model.description else ""
            smallest = smallest_in_words(model.min_size, model.diameter is not None)
            about += f"\nStarts at threshold {model.threshold:g} and smallest cell {smallest}."
        self.model.setToolTip(about)
        self.model_changed.emit(model)


def _devices() -> list[str]:
    # Which GPUs there are is known only once torch is loaded, which takes seconds: a wrong choice says so then.
    return ["auto", "cpu", "mps"] if sys.platform == "darwin" else ["auto", "cpu", "cuda"]
