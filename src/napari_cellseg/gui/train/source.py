"""The data to learn from: a training set of corrected images, or images with masks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QLabel, QMenu, QWidget

from ...imaging.errors import CellsegError
from ...training.data.choice import DataChoice
from ...training.data.training_set import TrainingSet, default_training_set
from ..shared.choosers import chooser, fill
from ..shared.layout import SMALL, in_row, small_button
from .job import TrainJob


class TrainSource(QWidget):
    """The chooser of the data to learn from; the job emits `set_changed` when another is chosen.

    Parameters
    ----------
    job : TrainJob
        Knows which data are chosen.
    """

    def __init__(self, job: TrainJob, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._job = job
        self._choices: list[DataChoice] = [] if job.data is None else [job.data]
        tip = "The data to learn from: your corrected images, or images with masks."
        self.folder = chooser("training_set", tip, slot=self._on_activated)
        self.other = small_button(
            "training_folder", "Open …", "Learn from other images: a folder, zip, npz, COCO file."
        )
        menu = QMenu(self.other)
        for text, tip, slot in (
            ("Folder …", "A training set, or images with masks.", self._on_folder),
            ("Zip, npz or COCO …", "Images with masks in one file.", self._on_file),
            ("Images and masks in two folders …", "Files of the same name belong together.", self._on_two),
        ):
            action = menu.addAction(text)
            action.setToolTip(tip)
            action.triggered.connect(slot)
        self.other.setMenu(menu)
        # The three dots show that there is a menu; an arrow beside them does not fit.
        self.other.setStyleSheet(f"{SMALL} QPushButton::menu-indicator {{ image: none; width: 0; }}")
        self.setLayout(in_row(QLabel("Learn from"), (self.folder, 5), (self.other, 2), spacing=6))

    def choose(self, folder: str | Path) -> None:
        """Use another training set."""
        self._job.folder, self._job.data = Path(folder), None
        self._job.set_changed.emit(self._job.folder)

    def choose_data(self, choice: DataChoice) -> None:
        """Learn from images with masks in the place of a training set."""
        self._job.data = choice
        self._job.set_changed.emit(choice.path)

    def choose_folder(self, folder: str | Path) -> None:
        """Use a folder, as the training set or the images with masks that it holds."""
        if is_training_set(Path(folder)):
            self.choose(folder)
        else:
            self.choose_data(DataChoice(Path(folder)))

    def refresh(self) -> None:
        """List the training sets beside the default one, the data that were opened, and the present choice."""
        default, chosen, data = default_training_set(), self._job.folder, self._job.data
        if data is not None and data not in self._choices:
            # How its masks are understood may have changed: it is still the same.
            same = [replace(data, classes=classes) for classes in (False, True)]
            self._choices = [*(other for other in self._choices if other not in same), data]
        found = [default]
        if default.parent.is_dir():
            found += sorted(p for p in default.parent.iterdir() if p != default and (p / "images").is_dir())
        found += [] if chosen in found else [chosen]
        entries = [*((path.name, str(path)) for path in found), *((choice.name, choice) for choice in self._choices)]
        fill(self.folder, entries, str(chosen) if data is None else data)
        for place, (_, source) in enumerate(entries):
            self.folder.setItemData(place, str(source), Qt.ItemDataRole.ToolTipRole)

    def _on_activated(self, index: int) -> None:
        chosen = self.folder.itemData(index)
        if isinstance(chosen, DataChoice):
            self.choose_data(chosen)
        else:
            self.choose(chosen)

    def _on_folder(self) -> None:
        start = self._job.folder if self._job.folder.exists() else self._job.folder.parent.parent
        title = "Choose a training set, or a folder of images with masks"
        if folder := QFileDialog.getExistingDirectory(self, title, str(start)):
            self.choose_folder(folder)

    def _on_file(self) -> None:
        kinds = "Images with masks (*.zip *.npz *.json)"
        path, _ = QFileDialog.getOpenFileName(self, "Choose a zip, npz or COCO file of images with masks", "", kinds)
        if path:
            self.choose_data(DataChoice(Path(path)))

    def _on_two(self) -> None:
        images = QFileDialog.getExistingDirectory(self, "Choose the folder of images")
        if not images:
            return
        start = str(Path(images).parent)
        masks = QFileDialog.getExistingDirectory(self, "Choose the folder of masks, files of the same names", start)
        if masks:
            self.choose_data(DataChoice(Path(images), Path(masks)))


def is_training_set(folder: Path) -> bool:
    """Whether a folder holds a training set, or nothing yet."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return True
    try:
        TrainingSet.open(folder)
    except CellsegError:
        return False
    return True
