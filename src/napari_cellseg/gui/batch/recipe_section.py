"""How the images are segmented: as in the Segment widget now, or as a recipe in a file says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QGridLayout, QLabel, QPushButton, QWidget

from ...imaging.errors import CellsegError
from ...network.versions import smallest_in_words
from ...segmentation.differences import settings_in_words
from ...segmentation.options import RunOptions
from ...segmentation.recipe import Recipe
from ..shared.bindings import Bindings
from ..shared.colors import Colors
from ..shared.layout import RECIPE_FILTER, label, shrinkable
from ..viewer.bench import Bench

NOW = "as in Segment now"
FROM_FILE = "From a file …"
PAGES = {
    "one": ("refused", "A file of several planes is refused, with a sentence that says so."),
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


class BatchRecipeSection(QWidget):
    """Chooser of the recipe, what it says in words, and what to do with files of several planes.

    Signals
    -------
    changed()
        The recipe is another now.
    """

    changed = Signal()

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bench = bench
        self._colors: Colors | None = None
        # Recipes by the file that they were read from; None: that of the Segment widget.
        self._read: dict[str, Recipe] = {}
        self._options: dict[str, RunOptions] = {}
        self._shown: Recipe | None = None
        self.problem = ""
        self._build()
        session = bench.session
        self._bindings = Bindings(self)
        for signal in (session.chosen_changed, session.cells_changed, session.choices.changed, session.models_changed):
            self._bindings.bind(signal, self.refresh)
        self._bindings.bind_at_rest(session.sliders_changed, self.refresh)
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
        pages = self.pages.currentData()
        links = {"pages": "stack", "link": pages} if pages in LINKED else {"pages": pages, "link": "none"}
        return replace(recipe, **links).resolved()

    def options(self) -> RunOptions:
        """Return where the recipe runs: as its file says, or else as the Segment widget does."""
        return self._options.get(self.source.currentData() or "") or RunOptions(
            self._bench.session.choices.viewer.device
        )

    def read(self, path: str | Path) -> bool:
        """Use the recipe in a file; what is wrong with it is said."""
        try:
            recipe, options = Recipe.read(path), RunOptions.read(path)
        except CellsegError as error:
            self._choose(self._present)
            self._say(str(error), True)
            return False
        name = str(path)
        self._read[name], self._options[name] = recipe, options
        with QSignalBlocker(self.source):
            if self.source.findData(name) < 0:
                self.source.insertItem(1, Path(path).name, name)
        self.pages.setCurrentIndex(self.pages.findData(recipe.pages if recipe.link == "none" else recipe.link))
        self._choose(name)
        return True

    def refresh(self, _: Any = None) -> None:
        """Say again what the recipe is."""
        try:
            recipe = self.recipe()
        except CellsegError as error:
            self.problem, self._shown = str(error), None
            self._say(str(error), True)
            return
        self.problem = ""
        self._say(in_words(recipe, self.options().device))
        if recipe != self._shown:
            self._shown = recipe
            self.changed.emit()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self._say(self.words.text(), bool(self.problem))

    def save_to(self, path: str | Path) -> None:
        """Save the recipe into a file."""
        try:
            self.recipe().write(path, self.options())
        except CellsegError as error:
            self._say(str(error), True)
        else:
            self._say(f"Saved as {Path(path).name}. {self.words.text()}")

    def _build(self) -> None:
        self._present = ""
        self.source = QComboBox(objectName="batch_recipe")
        self.source.addItem(NOW, "")
        self.source.addItem(FROM_FILE, FROM_FILE)
        self.source.setToolTip(
            "The recipe: model, threshold, smallest cell, channel. Settle it on one image in the Segment widget, then\n"
            "run it on all. The same recipe gives the same labels in the window, here and on the command line."
        )
        shrinkable(self.source)
        self.source.activated.connect(self._on_source)
        self.save = QPushButton("Save …", objectName="batch_save_recipe")
        self.save.setToolTip("Save this recipe as a small file (JSON), to use it again or to pass it on.")
        self.save.clicked.connect(self._on_save)
        self.words = QLabel(objectName="batch_recipe_words")
        self.words.setWordWrap(True)
        self.pages = QComboBox(objectName="batch_pages")
        for value, (text, about) in PAGES.items():
            self.pages.addItem(text, value)
            self.pages.setItemData(self.pages.count() - 1, about, 3)
        self.pages.setToolTip(
            "What becomes of a file of several planes (slices or time points). One plane is segmented at a time.\n"
            + "\n".join(f"{text}: {about}" for text, about in PAGES.values())
        )
        shrinkable(self.pages)
        self.pages.currentIndexChanged.connect(self.refresh)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(5)
        grid.setColumnStretch(1, 1)
        grid.addWidget(label("Recipe"), 0, 0)
        grid.addWidget(self.source, 0, 1)
        grid.addWidget(self.save, 0, 2)
        grid.addWidget(self.words, 1, 1, 1, 2)
        grid.addWidget(label("Stacks"), 2, 0)
        grid.addWidget(self.pages, 2, 1, 1, 2)

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
        path, _ = QFileDialog.getOpenFileName(self, "Choose a recipe", "", RECIPE_FILTER)
        if path:
            self.read(path)
        else:
            self._choose(self._present)

    def _on_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the recipe", "recipe.json", RECIPE_FILTER)
        if path:
            self.save_to(path if Path(path).suffix else f"{path}.json")

    def _say(self, text: str, warning: bool = False) -> None:
        self.words.setText(text)
        if self._colors is not None:
            self.words.setStyleSheet(f"color: {(self._colors.warning if warning else self._colors.faint).name()};")


def in_words(recipe: Recipe, device: str = "auto") -> str:
    """Describe a resolved recipe in one line."""
    smallest = smallest_in_words(recipe.min_size or 0, recipe.fit_min_size)
    parts = [settings_in_words(recipe), f"threshold {recipe.threshold:.2f}", f"smallest {smallest}"]
    parts += [] if device == "auto" else [f"on {device}"]
    return ", ".join(parts)
