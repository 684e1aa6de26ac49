"""What is saved, and where; and settings that are rarely needed."""

from __future__ import annotations

from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QFileDialog, QLineEdit, QWidget

from ...imaging.write.csv_style import COMMA, CSV_STYLES, SEMICOLON
from ...imaging.write.ome_metadata import OME_ZARR
from ...results.outputs import OUTPUTS, Output
from ...training.settings import setting
from ..shared import preferences
from ..shared.choosers import NARROWEST
from ..shared.fold import Fold
from ..shared.form import Form
from ..shared.help import HelpButton
from ..shared.layout import button, in_column, in_row, label

FOLDER = "cellseg"


def _tick(output: Output) -> Any:
    file = f"IMAGE{output.suffix}" if output.is_file else output.suffix
    return setting(output.default, output.label, f"{output.help}. File: {file}" if file else output.help)


def _ticks(name: str, seldom: bool) -> type:
    wanted = [output for output in OUTPUTS.values() if output.seldom == seldom]
    return make_dataclass(name, [(output.name, bool, _tick(output)) for output in wanted], frozen=True)


Saved, SavedSeldom = _ticks("Saved", False), _ticks("SavedSeldom", True)


@dataclass(frozen=True)
class Seldom:
    """How a batch is run where the usual does not do."""

    scheduler: str = setting(
        "", "Cluster",
        "Address of a Dask scheduler, whose workers then segment the images; they must see these folders under the "
        "same\nnames. Empty: this computer does it. docs/cluster.md describes how to start one",
        placeholder="tcp://host:8786",
    )  # fmt: skip
    regions: str = setting(
        "", "Regions",
        "Count in regions, too, into regions.csv: a zip of ImageJ ROIs, GeoJSON or label image for all images;\n"
        "or the word beside, for IMAGE_regions.geojson, .zip or .tif beside each. Without a file for all, regions\n"
        "that were drawn in this window count in their images; they are saved in the folder 'regions' of the results",
        placeholder="beside, or a file",
    )  # fmt: skip
    csv: str = setting(
        COMMA, "Tables",
        "counts.csv and cells.csv. The second is for Excel where the decimal sign is a comma: semicolons, decimal\n"
        "commas and a byte-order mark",
        choices=CSV_STYLES, words={COMMA: "commas, decimal points", SEMICOLON: "semicolons, decimal commas"},
    )  # fmt: skip
    ome_zarr: str = setting(
        OME_ZARR[0], "OME-Zarr",
        "Version in which the labels of images larger than memory are written. The second is for programs that read\n"
        "Zarr 2 only",
        choices=OME_ZARR, words={OME_ZARR[0]: "0.5 (Zarr 3)", OME_ZARR[1]: "0.4 (Zarr 2)"},
    )  # fmt: skip
    overwrite: bool = setting(
        False, "also replace manually corrected results",
        "Without this tick a corrected image keeps its cells in every run",
    )  # fmt: skip


class BatchOutputSection(QWidget):
    """Ticks for the outputs, and the folder of the results.

    Signals
    -------
    out_changed()
        Another folder of the results was chosen.
    """

    out_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # Whether the user chose the folder, which then no longer follows the folder of the images.
        self._chosen = False
        # Folder of the results; None before the images were chosen.
        self.out: Path | None = None
        self._build()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what is saved."""
        ticked = {**self.saved.values(), **self.saved_seldom.values()}
        return tuple(name for name in OUTPUTS if ticked[name])

    def follow(self, folder: Path | None) -> None:
        """Put the results beside the images, unless the user chose another folder."""
        if not self._chosen:
            self._set(None if folder is None else folder / FOLDER)

    def choose(self, folder: str | Path) -> None:
        """Put the results into a folder."""
        self._chosen = True
        self._set(Path(folder).expanduser())

    def tick(self, names: tuple[str, ...]) -> None:
        """Choose what is saved; labels always are."""
        wanted = {name: name == "labels" or name in names for name in OUTPUTS}
        for form in (self.saved, self.saved_seldom):
            form.set_values({name: wanted[name] for name in form.values()})
        if any(self.saved_seldom.values().values()):
            self.fold.unfold(True)

    def _build(self) -> None:
        self.saved: Form[Any] = Form(Saved, "batch_save")
        self.saved["labels"].enabled = False
        self.saved["labels"].tooltip = "Labels are always saved, and counts.csv with a row for every image."
        self.saved_seldom: Form[Any] = Form(SavedSeldom, "batch_save")
        self.more = Form(Seldom, "batch")
        self.more.set_values({"csv": preferences.csv_style()})
        tip = "The results are written into this folder, which is made where it is missing."
        self.place = QLineEdit(objectName="batch_out", placeholderText="folder for the results", toolTip=tip)
        self.place.setMinimumWidth(NARROWEST)
        self.place.editingFinished.connect(self._on_place)
        self.browse = button("batch_choose_out", "Choose …", "Choose another folder for the results.", self._on_browse)
        tip = "Settings that are rarely needed."
        more = in_column(self.saved_seldom, self.more)
        self.fold = Fold("batch_more", "More files, cluster, tables, corrected results", tip, more, False)
        # There is room for one of them in the smallest window.
        self.fold.title.toggled.connect(lambda more: self.saved.setVisible(not more))
        to = in_row(label("Save to"), (self.place, 1), self.browse, HelpButton("What is saved"), spacing=6)
        in_column(to, self.saved, self.fold, into=self, spacing=5)

    def _set(self, out: Path | None) -> None:
        with QSignalBlocker(self.place):
            self.place.setText("" if out is None else str(out))
        if out != self.out:
            self.out = out
            self.out_changed.emit()

    def _on_place(self) -> None:
        text = self.place.text().strip()
        if text and text != str(self.out):
            self.choose(text)

    def _on_browse(self) -> None:
        start = self.out if self.out is not None and self.out.exists() else (self.out or Path()).parent
        if folder := QFileDialog.getExistingDirectory(self, "Choose a folder for the results", str(start)):
            self.choose(folder)
