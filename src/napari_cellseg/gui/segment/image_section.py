"""Which image: the chooser of the image layer, and Open …"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QInputDialog, QMenu, QWidget

from ...imaging.errors import CellsegError, ImageError
from ...imaging.read.formats import dialog_filter
from ...imaging.read.ome_zarr.places import allow
from ...session import layer_id
from ..shared.choosers import chooser, fill
from ..shared.layout import CELL_FILES, button, in_row, label
from ..shared.message import errors_to
from ..viewer.bench import Bench
from ..viewer.layer_image import title_of
from ..viewer.opening import Opened, add_opened, read_paths, several_in
from ..viewer.regions import Regions
from ..viewer.section import Section
from ..viewer.taking import Taking
from .scenes_dialog import ScenesDialog

TAKE_TIP = (
    "Take labels of any program as the cells of the chosen image: they are corrected, reviewed, counted, measured and\n"
    "learned from like cells that a model found. There is no probability, so the threshold changes nothing."
)


class ImageSection(Section):
    """Chooser of the image layer; it follows napari's layer list, and the session follows it."""

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(bench)
        self._taking = bench.part(Taking)
        self._build()
        layers = bench.viewer.layers
        for event in (layers.events.inserted, layers.events.removed, layers.events.reordered):
            self._bindings.bind(event, self._on_layers)
        self._bindings.bind(layers.selection.events.active, self._on_active)
        self._bindings.bind(bench.session.chosen_changed, self._on_chosen)
        self._on_layers()
        self._on_active()

    def open_paths(self, paths: Sequence[str | Path]) -> None:
        """Read files and folders in a background thread, then add them as layers; of several images in one, ask."""
        if paths := list(paths):
            self._bench.session.note(f"Opening {Path(paths[0]).name}{' and more' if len(paths) > 1 else ''} …")
            # Of files of several images these are listed, to choose from.
            self._bench.in_background(lambda: several_in(paths) or read_paths(paths), self._on_listed)

    def _build(self) -> None:
        tip = "The image layer in which cells are counted. Every image keeps its own result."
        self.image_layer = chooser("image_layer", tip, slot=self._on_picked)
        tip = (
            "Open image files or a folder of images: TIFF, OME-TIFF, PNG, JPEG, ND2, LIF, CZI and others (see ?), and\n"
            "whatever else napari reads. Files can also be dropped on this panel. Large ones are read piece by piece."
        )
        self.open_images = button("open_images", "Open …", tip)
        menu = QMenu(self.open_images)
        menu.addAction("Files …", self._open_files)
        menu.addAction("Folder …", self._open_folder)
        menu.addAction("Address …", self._open_address)
        menu.addSeparator()
        self.take = menu.addMenu("Labels as cells")
        self.take.setToolTipsVisible(True)
        menu.aboutToShow.connect(self._list_labels)
        self.open_images.setMenu(menu)
        self.setLayout(in_row(label("Image"), (self.image_layer, 1), self.open_images, spacing=6))

    def _on_layers(self, event: Any = None) -> None:
        layers = self._bench.image_layers()
        for layer in layers:
            self._bindings.bind(layer.events.name, self._on_layers)
        entries = [(title_of(layer), layer.unique_id) for layer in reversed(layers)]
        chosen = self._bench.session.chosen
        fill(self.image_layer, entries or [("no image yet", None)], layer_id(chosen), 0)
        self.image_layer.setEnabled(bool(layers))
        if self._bench.layer_of(chosen) is None:
            self._bench.choose(layers[-1] if layers else None)
            if layers and event is not None and event.type == "removed":
                # A moment later: napari is not done with the layer that goes.
                QTimer.singleShot(0, self._show_chosen)
        self._on_chosen(self._bench.session.chosen)

    def _show_chosen(self) -> None:
        if (layer := self._bench.layer_of(self._bench.session.chosen)) is not None:
            self._bench.show_image(layer)

    def _on_active(self, event: Any = None) -> None:
        """Follow the layer list: choosing an image there, or a result made from it, chooses the image here."""
        before = layer_id(self._bench.session.chosen)
        self._bench.choose_active()
        if event is not None and layer_id(self._bench.session.chosen) != before:
            # A moment later: the layer may be one of several that come or go now.
            QTimer.singleShot(0, self._show_active)

    def _show_active(self) -> None:
        """Show the image that was chosen in the layer list, where the selected layer stays in hand."""
        try:
            layer = self._bench.layer_of(self._bench.session.chosen)
        except CellsegError:
            return  # the window was closed meanwhile
        # A part of an image is hidden, because the image that it lies on shows the same.
        if layer is None or self._bench.part(Regions).is_part(layer.unique_id):
            return
        if self._bench.is_selected(layer):
            self._bench.show_image(layer, select=False)

    def _on_picked(self, index: int) -> None:
        if (layer := self._bench.layer_of(self.image_layer.itemData(index))) is not None:
            self._bench.choose(layer)
            self._bench.show_image(layer)

    def _on_chosen(self, key: Any) -> None:
        for index in range(self.image_layer.count()):
            if self.image_layer.itemData(index) == layer_id(key):
                self.image_layer.setCurrentIndex(index)

    def _open_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Open images", "", dialog_filter())
        self.open_paths(paths)

    def _open_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a folder of images")
        self.open_paths([folder] if folder else [])

    def _open_address(self) -> None:
        words = "Address of an OME-Zarr image or plate (https://…, s3://…):"
        text, wanted = QInputDialog.getText(self, "Open an address", words)
        if wanted and text.strip():
            self.open_address(text.strip())

    def open_address(self, text: str) -> None:
        """Open an image at an address that the user typed; an error is shown."""
        with errors_to(self._bench.report):
            if not allow(text):
                raise ImageError(f"'{text}' is no address: it begins with https://, http:// or s3://. Type another.")
            self.open_paths([text])

    def _list_labels(self) -> None:
        """Offer every labels layer that shows no cells yet, and files."""
        self.take.clear()
        for layer in self._taking.offered():
            action = self.take.addAction(layer.name, lambda layer=layer: self._taking.take_layer(layer))
            action.setToolTip(TAKE_TIP)
        self.take.addAction("File …", self._take_file).setToolTip(TAKE_TIP)

    def _take_file(self) -> None:
        if path := QFileDialog.getOpenFileName(self, "Take the labels of a file as cells", "", CELL_FILES)[0]:
            self._taking.take_file(path)

    def _read(self, paths: Sequence[Path]) -> None:
        self._bench.in_background(lambda: read_paths(paths), self._on_read)

    def _on_listed(self, found: Opened | list[tuple[Path, str]]) -> None:
        if isinstance(found, Opened):
            self._on_read(found)
            return
        self._bench.session.note(f"{len(found):,} images were found in these files. Choose which to open.")
        self.scenes = ScenesDialog(found, self._read, self)
        self.scenes.rejected.connect(self._bench.session.rest)
        self.scenes.show()

    def _on_read(self, opened: Opened) -> None:
        layers, problems = add_opened(self._bench.viewer, opened)
        if layers:
            self._bench.viewer.layers.selection.active = layers[0]
            self._bench.fit(layers[0])
        for saved in opened.cells:
            self._taking.reopen(saved)
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            self._bench.session.fail(None, problems[0] + more)
        elif not opened.cells:
            self._bench.session.rest()
