"""The small button beside Segment: in the whole image, in what is visible of it, or in a drawn rectangle."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtGui import QAction, QActionGroup
from qtpy.QtWidgets import QMenu, QPushButton, QWidget

from ...session import Where
from ..shared.colors import Colors, accent_button
from ..viewer.bench import Bench
from ..viewer.regions import Regions
from .images_run import ImagesRun

WORDS: dict[Where, str] = {"whole": "Segment", "visible": "Segment view", "drawn": "Segment box"}
ENTRIES: dict[Where, str] = {"whole": "Whole image", "visible": "What is visible", "drawn": "The drawn rectangle"}
PART = "This part, all of it"
BEHIND = "Whole image, in the background …"
BEHIND_TIP = (
    "Segment all of the image behind what is shown, however large, block by block in a process of its own, with the\n"
    "sliders as they stand. The labels and a table of cells go to a folder beside the file; you can go on meanwhile."
)
ALL_IMAGES = "All open images"
ALL_IMAGES_TIP = (
    "Segment all open images that have no cells of these settings, one after the other; of a stack the plane in view.\n"
    "You can go on with those that are done. For a whole folder of files use the Batch widget."
)
TIPS: dict[Where, str] = {
    "whole": "Look for cells in all of the image that is chosen above.",
    "visible": "Look for cells in what the canvas shows now, at full resolution. It becomes an image of its own,\n"
    "which lies on this one; then move on and segment the next.",
    "drawn": "Look for cells in a rectangle of a shapes layer: the selected one, else the one drawn last.\n"
    "It becomes an image of its own, which lies on this one.",
}


class WhereMenu(QPushButton):
    """Chooses where the cells of the chosen image are looked for; each image has its own choice.

    Signals
    -------
    behind_asked()
        All of the image is to be segmented in the background.
    """

    behind_asked = Signal()

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__("▾", parent, objectName="where")
        self._bench, self._regions = bench, bench.part(Regions)
        self.setToolTip("Where to look for cells: the whole image, what is visible of it, or a drawn rectangle.")
        self.setFixedWidth(22)
        self.setMinimumHeight(30)
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        group = QActionGroup(menu)
        self.entries: dict[Where, QAction] = {}
        for where, words in ENTRIES.items():
            action = menu.addAction(words, lambda where=where: self._choose(where))
            action.setToolTip(TIPS[where])
            action.setCheckable(True)
            group.addAction(action)
            self.entries[where] = action
        menu.addSeparator()
        self.all_images = menu.addAction(ALL_IMAGES, bench.part(ImagesRun).start)
        self.all_images.setToolTip(ALL_IMAGES_TIP)
        self.behind = menu.addAction(BEHIND, self.behind_asked.emit)
        self.behind.setToolTip(BEHIND_TIP)
        menu.aboutToShow.connect(self._on_show)
        self.setMenu(menu)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        narrow = "QPushButton { padding: 4px 0px; } QPushButton::menu-indicator { image: none; width: 0; }"
        self.setStyleSheet(accent_button(colors) + narrow)

    def _choose(self, where: Where) -> None:
        session = self._bench.session
        if session.chosen is not None:
            session.choices.choose_for(session.chosen, where=where)

    def _on_show(self) -> None:
        chosen = self._bench.session.chosen
        self.entries["whole"].setText(PART if self._regions.is_part(chosen) else ENTRIES["whole"])
        self.entries[self._bench.session.choices.for_image(chosen).where].setChecked(True)
