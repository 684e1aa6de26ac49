"""Which model, and where it runs."""

from __future__ import annotations

import sys
from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QGridLayout, QLabel, QWidget

from ...imaging.errors import CellsegError
from ...network.versions import ModelVersion, list_models, load_model, smallest_in_words
from ..shared.bindings import Bindings
from ..shared.layout import RECIPE_FILTER, label, shrinkable
from ..viewer.bench import Bench

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

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bench = bench
        self._shown = ""
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
        self.model.activated.connect(self._on_activated)
        self.device.currentIndexChanged.connect(self._on_device)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(5)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        for column, widget in enumerate((label("Model"), self.model, QLabel("Device"), self.device)):
            grid.addWidget(widget, 0, column)
        self._bindings = Bindings(self)
        self._bindings.bind(bench.session.choices.changed, self._on_choices)
        self._bindings.bind(bench.session.models_changed, self.refresh)
        self.refresh()

    @property
    def model_name(self) -> str:
        """Name or folder of the chosen model; what is asked for is checked when Segment is pressed."""
        return self._bench.session.choices.viewer.model

    def version(self) -> ModelVersion | None:
        """Return the chosen model; None when it is missing or damaged."""
        try:
            return load_model(self.model_name)
        except CellsegError:
            return None

    def refresh(self) -> None:
        """List the models again, and show which one is chosen."""
        wanted, models = self.model_name, list_models()
        with QSignalBlocker(self.model):
            self.model.clear()
            for model in models:
                self.model.addItem(model.title, model.name)
            if self.model.findData(wanted) < 0 and Path(wanted).is_dir():
                self.model.addItem(Path(wanted).name, wanted)
            if not models:
                self.model.addItem("no model installed", None)
            self.model.insertSeparator(self.model.count())
            self.model.addItem(FROM_FOLDER, FROM_FOLDER)
            self.model.addItem(FROM_RECIPE, FROM_RECIPE)
            self.model.setCurrentIndex(max(self.model.findData(wanted), 0))
        if models and self.model.currentData() != wanted:
            # It is there no more. What is shown must be what is used.
            self._bench.session.choose_model(str(self.model.currentData()))
            return
        self._shown = wanted
        self._show_device()
        self._announce()

    def _on_choices(self, id_: object) -> None:
        if id_ is None and self._shown != self.model_name:
            self.refresh()
        elif id_ is None:
            self._show_device()

    def _show_device(self) -> None:
        place = self.device.findData(self._bench.session.choices.viewer.device)
        if place < 0:
            # A recipe may name a device that no computer of this kind has.
            self._bench.session.choices.choose(device=str(self.device.itemData(0)))
            return
        with QSignalBlocker(self.device):
            self.device.setCurrentIndex(place)

    def _on_device(self, index: int) -> None:
        self._bench.session.choices.choose(device=str(self.device.itemData(index)))

    def _on_activated(self, index: int) -> None:
        if self.model.itemData(index) == FROM_FOLDER:
            folder = QFileDialog.getExistingDirectory(self, "Choose a model folder (it holds config.json)")
            self.choose_folder(folder)
        elif self.model.itemData(index) == FROM_RECIPE:
            path, _ = QFileDialog.getOpenFileName(self, "Choose a recipe", "", RECIPE_FILTER)
            self.refresh()
            if path:
                self.recipe_asked.emit(path)
        else:
            self._bench.session.choose_model(str(self.model.itemData(index) or self.model_name))

    def choose_folder(self, folder: str) -> None:
        """Use the model in a folder; an empty text leaves the present one."""
        self.refresh()
        try:
            if folder:
                self._bench.session.choose_model(str(load_model(folder).path))
        except CellsegError as error:
            self._bench.session.fail(None, error)

    def _announce(self) -> None:
        model = self.version()
        about = "The network that finds the cells."
        about += " This one came with the plugin." if model is not None and model.bundled else ""
        if model is not None:
            about += f"\n{model.description}" if model.description else ""
            smallest = smallest_in_words(model.min_size, model.diameter is not None)
            about += f"\nStarts at threshold {model.threshold:g} and smallest cell {smallest}."
        self.model.setToolTip(about)
        self.model_changed.emit(model)


def _devices() -> list[str]:
    # Which GPUs there are is known only once torch is loaded, which takes seconds: a wrong choice fails then.
    return ["auto", "cpu", "mps"] if sys.platform == "darwin" else ["auto", "cpu", "cuda"]
