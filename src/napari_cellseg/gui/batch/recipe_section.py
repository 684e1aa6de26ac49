"""How the images are segmented: as in the Segment widget now, or by the recipe in a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from ...imaging.errors import CellsegError
from ...network.smallest import smallest_in_words
from ...segmentation.differences import settings_in_words
from ...segmentation.options import RunOptions
from ...segmentation.recipe import Recipe
from ..shared.choosers import chooser
from ..shared.help import HelpButton
from ..shared.layout import RECIPE_FILTER, button, in_column, in_row, label
from ..shared.message import Message, errors_to
from ..viewer.bench import Bench
from ..viewer.section import Section

NOW = "as in Segment now"
FROM_FILE = "From a file …"
PLANES = {
    "one": ("only files of one plane", "A file of several planes is refused, with a sentence on the reason."),
    "each": ("each by itself", "Every plane (slice or time point) gets a row, a count and files of its own."),
    "stack": ("as a stack", "Every plane is counted by itself, and the labels of a file are one stack."),
    "z": (
        "slices linked to 3D cells",
        "Cells of neighbouring slices that overlap are one cell, counted by its volume.",
    ),
    "t": ("time points linked to tracks", "As a stack, and a cell keeps its number over time; with a table of tracks."),
}
# Those of which the cells are linked are stacks too.
LINKED = ("z", "t")


class BatchRecipeSection(Section):
    """Chooser of the recipe, its description, and what to do with files of several planes.

    Signals
    -------
    changed()
        The recipe is another now.
    options_read(options)
        A recipe was read from a file with options of the run.
    """

    changed = Signal()
    options_read = Signal(object)

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(bench)
        # Recipes by the file that they were read from; None: that of the Segment widget.
        self._read: dict[str, Recipe] = {}
        self._options: dict[str, RunOptions] = {}
        self._shown: Recipe | None = None
        self.problem = ""
        self._build()
        session = bench.session
        self._bindings.bind_each(self.refresh, session.chosen_changed, session.cells_changed, session.models_changed)
        self._bindings.bind(session.choices.changed, self.refresh)
        self.refresh()

    def recipe(self) -> Recipe:
        """Return the chosen recipe, with what becomes of files of several planes.

        Raises
        ------
        CellsegError
            The Segment widget's present settings are no recipe, or its model is gone.
        """
        read = self._read.get(self.source.currentData() or "")
        recipe = self._bench.session.recipe_of_panel() if read is None else read
        planes = self.planes.currentData()
        links = {"pages": "stack", "link": planes} if planes in LINKED else {"pages": planes, "link": "none"}
        return replace(recipe, **links).resolved()

    def options(self) -> RunOptions:
        """Return where the recipe runs: as in its file, or else as in the Segment widget."""
        return self._options.get(self.source.currentData() or "") or RunOptions(
            self._bench.session.choices.viewer.device
        )

    def read(self, path: str | Path) -> bool:
        """Use the recipe in a file; an error is shown."""
        try:
            recipe, options = Recipe.read(path), RunOptions.read(path)
        except CellsegError as error:
            self._choose(self._present)
            self.words.report(str(error), True)
            return False
        name = str(path)
        self._read[name], self._options[name] = recipe, options
        with QSignalBlocker(self.source):
            if self.source.findData(name) < 0:
                self.source.insertItem(1, Path(path).name, name)
        self.planes.setCurrentIndex(self.planes.findData(recipe.pages if recipe.link == "none" else recipe.link))
        self._choose(name)
        self.options_read.emit(options)
        return True

    def refresh(self, _: Any = None) -> None:
        """Describe the recipe again."""
        try:
            recipe = self.recipe()
        except CellsegError as error:
            self.problem, self._shown = str(error), None
            self.words.report(str(error), True)
            return
        self.problem = ""
        self.words.report(in_words(recipe, self.options().device))
        if recipe != self._shown:
            self._shown = recipe
            self.changed.emit()

    def save_to(self, path: str | Path) -> None:
        """Save the recipe into a file."""
        with errors_to(self.words.report):
            self.recipe().write(path, self.options())
            self.words.report(f"Saved as {Path(path).name}. {self.words.text()}")

    def _build(self) -> None:
        self._present = ""
        tip = (
            "The recipe: model, threshold, smallest cell, channel. Choose it on one image in the Segment widget, then\n"
            "run it on all. The same recipe gives the same labels in the window, here and on the command line."
        )
        self.source = chooser("batch_recipe", tip, ((NOW, ""), (FROM_FILE, FROM_FILE)), self._on_source)
        tip = "Save this recipe as a small file (JSON), to use it again or to pass it on."
        self.save = button("batch_save_recipe", "Save …", tip, self._on_save)
        self.words = Message(objectName="batch_recipe_words")
        tip = "What becomes of a file of several planes (slices or time points). One plane is segmented at a time."
        tip = "\n".join([tip, *(f"{text}: {about}" for text, about in PLANES.values())])
        self.planes = chooser("batch_pages", tip, [(text, value) for value, (text, _) in PLANES.items()])
        for i, (_, about) in enumerate(PLANES.values()):
            self.planes.setItemData(i, about, Qt.ItemDataRole.ToolTipRole)
        self.planes.currentIndexChanged.connect(self.refresh)
        recipe = in_row(label("Recipe"), (self.source, 1), self.save, HelpButton("Recipe"), spacing=5)
        in_column(recipe, self.words, in_row(label("Stacks"), (self.planes, 1), spacing=5), into=self, spacing=5)

    def _choose(self, data: str) -> None:
        self._present = data
        with QSignalBlocker(self.source):
            self.source.setCurrentIndex(max(self.source.findData(data), 0))
        self.source.setToolTip(data or self.source.toolTip())
        self.refresh()

    def _on_source(self, index: int) -> None:
        data = self.source.itemData(index)
        if data != FROM_FILE:
            self._choose(data)
            return
        if path := QFileDialog.getOpenFileName(self, "Choose a recipe", "", RECIPE_FILTER)[0]:
            self.read(path)
        else:
            self._choose(self._present)

    def _on_save(self) -> None:
        if path := QFileDialog.getSaveFileName(self, "Save the recipe", "recipe.json", RECIPE_FILTER)[0]:
            self.save_to(path if Path(path).suffix else f"{path}.json")


def in_words(recipe: Recipe, device: str = "auto") -> str:
    """Describe a resolved recipe in one line."""
    smallest = smallest_in_words(recipe.min_size or 0, recipe.fit_min_size)
    parts = [settings_in_words(recipe), f"threshold {recipe.threshold:.2f}", f"smallest {smallest}"]
    parts += [] if device == "auto" else [f"on {device}"]
    return ", ".join(parts)
