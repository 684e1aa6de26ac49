"""Which images: a folder with a pattern, or files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QFileDialog, QLineEdit, QMenu, QWidget

from ...imaging.errors import CellsegError
from ...imaging.home import user_home
from ...imaging.read.finding import find_images, named_apart
from ...imaging.read.formats import dialog_filter
from ...imaging.read.ome_zarr.places import address_of, allow, is_zarr, whole_path
from ...imaging.read.scenes import file_of
from ..shared.bindings import Bindings
from ..shared.choosers import NARROWEST, chooser
from ..shared.help import HelpButton
from ..shared.layout import button, in_column, in_row, label, tick
from ..shared.message import Message
from ..shared.workers import Latest

Files = tuple[tuple[str, str], ...]
ANY = "every image"
PATTERNS = (ANY, "*.tif", "*.tiff", "*.png", "*.jpg")
NOTHING = "Choose a folder, or drop one here."
DEBOUNCE_MS = 250


class BatchInputSection(QWidget):
    """Folder or files, pattern and subfolders; the images are listed in a background thread.

    Signals
    -------
    found()
        `files`, or `problem`, have changed.
    """

    found = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.files: Files = ()
        self.problem = NOTHING
        self.paths: list[Path] = []
        self._finding = Latest(lambda error: self._show((), problem=str(error) or type(error).__name__), owner=self)
        self._bindings = Bindings(self)
        self._look = self._bindings.debounced(self.look, DEBOUNCE_MS)
        self._build()

    @property
    def busy(self) -> bool:
        """Whether the folder is being looked through."""
        return self._finding.busy

    @property
    def folder(self) -> Path | None:
        """Folder beside whose images the results go; None before something was chosen."""
        if not self.paths:
            return None
        first = self.paths[0]
        if address_of(first) is not None:
            return user_home()
        return first if first.is_dir() and not is_zarr(first) else file_of(first).parent

    def choose(self, paths: Sequence[str | Path]) -> None:
        """Choose a folder, or files."""
        self.paths = [Path(path) for path in paths]
        with QSignalBlocker(self.place):
            several = f"{len(self.paths)} files and folders"
            self.place.setText(str(self.paths[0]) if len(self.paths) == 1 else several if self.paths else "")
        self.place.setToolTip("\n".join(str(path) for path in self.paths[:20]))
        self.look()

    def look(self) -> None:
        """List the images."""
        paths = list(self.paths)
        if not paths:
            self._show((), problem=NOTHING)
            return
        pattern = self.pattern.currentText().strip()
        wanted = None if pattern in ("", ANY, "*") else pattern
        recursive = self.subfolders.isChecked()
        self.facts.report("Looking …")

        self._finding.ask(lambda: images_in(paths, wanted, recursive), lambda found: self._show(*found))

    def _build(self) -> None:
        self.place = QLineEdit(objectName="batch_folder", placeholderText="folder of images", minimumWidth=NARROWEST)
        self.place.editingFinished.connect(self._on_place)
        tip = (
            "Choose a folder of images, or single files. They can also be dropped on this panel. The address of an\n"
            "OME-Zarr image or plate on a server (https://…, s3://…) can be typed instead."
        )
        self.browse = button("batch_choose", "Choose …", tip)
        menu = QMenu(self.browse)
        menu.addAction("Folder …", self._on_folder)
        menu.addAction("Files …", self._on_files)
        self.browse.setMenu(menu)
        tip = "Only images whose name matches: * stands for any letters, ? for one. With a / the folder counts too."
        self.pattern = chooser("batch_pattern", tip, [(pattern, None) for pattern in PATTERNS])
        self.pattern.setEditable(True)
        self.pattern.editTextChanged.connect(lambda _: self._look())
        tip = "Also images in the folders inside this folder. The results keep these folders."
        self.subfolders = tick("batch_subfolders", "subfolders", tip, lambda _: self.look(), on=True)
        self.facts = Message(NOTHING, "batch_found")
        images = in_row(label("Images"), (self.place, 1), self.browse, HelpButton("Images of a folder"), spacing=5)
        only = in_row(label("Only"), (self.pattern, 1), self.subfolders, spacing=5)
        in_column(images, only, self.facts, into=self, spacing=5)

    def _show(self, files: Files, notes: Sequence[str] = (), problem: str = "") -> None:
        self.files, self.problem = files, problem
        found = " ".join([f"{len(files):,} image{'' if len(files) == 1 else 's'} found.", *notes[:1]])
        self.facts.report(problem or found, problem not in ("", NOTHING))
        self.facts.setToolTip("\n".join(notes))
        self.found.emit()

    def _on_place(self) -> None:
        text = self.place.text().strip()
        present = str(self.paths[0]) if len(self.paths) == 1 else ""
        if text and text != present and not (len(self.paths) > 1 and not self.place.isModified()):
            try:
                allow(text)
            except CellsegError as error:
                self._show((), problem=str(error))
                return
            self.choose([Path(text).expanduser()])
        self.place.setModified(False)

    def _on_folder(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Choose a folder of images", str(self.folder or "")):
            self.choose([folder])

    def _on_files(self) -> None:
        if paths := QFileDialog.getOpenFileNames(self, "Choose images", str(self.folder or ""), dialog_filter())[0]:
            self.choose(paths)


def images_in(paths: Sequence[Path], pattern: str | None, recursive: bool) -> tuple[Files, list[str]]:
    """List images with a name of its own for each; return also a sentence on each kind of file that was left out.

    Raises
    ------
    CellsegError
        There are none, or a folder cannot be looked into.
    """
    notes: list[str] = []
    found = named_apart(find_images(paths, pattern, recursive, notes.append))
    return tuple((str(whole_path(path)), name) for path, name in found), notes
