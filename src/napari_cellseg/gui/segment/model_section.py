"""Which model; what is seldom changed unfolds below it."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QLabel, QWidget

from ...imaging.errors import CellsegError
from ...network.smallest import smallest_in_words
from ...network.versions import ModelVersion, list_models, load_model
from ..shared.choosers import Chooser, fill
from ..shared.fold import FoldTitle
from ..shared.layout import RECIPE_FILTER, in_grid
from ..shared.message import errors_to
from ..viewer.bench import Bench
from ..viewer.dock import open_dock
from ..viewer.section import Section
from .expert_section import ExpertSection

FROM_FOLDER, FROM_RECIPE = "From a folder …", "From a recipe …"
MODELS = "Rename, delete, import …"


class ModelSection(Section):
    """Chooser of the model, and the fold of the expert settings.

    Parameters
    ----------
    bench : Bench
    accurate : QWidget
        Stands beside the model.

    Signals
    -------
    model_changed(ModelVersion or None)
    recipe_asked(str)
        The recipe in this file is to be used.
    """

    model_changed = Signal(object)
    recipe_asked = Signal(str)

    def __init__(self, bench: Bench, accurate: QWidget) -> None:
        super().__init__(bench)
        self._shown = ""
        self.model = Chooser(objectName="model")
        self.model.activated.connect(self._on_activated)
        self.expert = ExpertSection(bench)
        self.model_changed.connect(self.expert.set_model)
        tip = "Where the network runs, and by which percentiles the image is scaled for it."
        self.unfold = FoldTitle("unfold_expert", "Expert", tip)
        self.unfold.toggled.connect(self.expert.setVisible)
        self.expert.hide()
        grid = in_grid(self, spacing=4)
        # Not as wide as the labels above: the name of a model needs the room.
        for column, widget in enumerate((QLabel("Model"), self.model, accurate, self.unfold)):
            grid.addWidget(widget, 0, column)
        grid.addWidget(self.expert, 1, 0, 1, 4)
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
        entries: list[tuple[str, object]] = [(model.title, model.name) for model in models]
        if wanted not in [name for _, name in entries] and Path(wanted).is_dir():
            entries.append((Path(wanted).name, wanted))
        entries += [] if models else [("no model installed", None)]
        fill(self.model, [*entries, *((other, other) for other in (FROM_FOLDER, FROM_RECIPE, MODELS))], wanted, 0)
        self.model.insertSeparator(len(entries))
        if models and self.model.currentData() != wanted:
            # It is there no more. What is shown must be what is used.
            self._bench.session.choose_model(str(self.model.currentData()))
            return
        self._shown = wanted
        self._announce()

    def _on_choices(self, id_: object) -> None:
        if id_ is None and self._shown != self.model_name:
            self.refresh()

    def _on_activated(self, index: int) -> None:
        if self.model.itemData(index) == FROM_FOLDER:
            folder = QFileDialog.getExistingDirectory(self, "Choose a model folder (it holds config.json)")
            self.choose_folder(folder)
        elif self.model.itemData(index) == FROM_RECIPE:
            path, _ = QFileDialog.getOpenFileName(self, "Choose a recipe", "", RECIPE_FILTER)
            self.refresh()
            if path:
                self.recipe_asked.emit(path)
        elif self.model.itemData(index) == MODELS:
            self.refresh()
            open_dock(self._bench.viewer, "train", raised=False).windows.open_models(self.model_name)
        else:
            self._bench.session.choose_model(str(self.model.itemData(index) or self.model_name))

    def choose_folder(self, folder: str) -> None:
        """Use the model in a folder; an empty text leaves the present one."""
        self.refresh()
        with errors_to(self._bench.report):
            if folder:
                self._bench.session.choose_model(str(load_model(folder).path))

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
