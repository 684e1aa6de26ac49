"""Wells of a batch in their window: map, sheet, dots, tables."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLineEdit

from napari_cellseg.batch.run import iter_batch
from napari_cellseg.gui.batch.batch_widget import BatchWidget
from napari_cellseg.gui.batch.plate_window import BatchPlates
from napari_cellseg.imaging.progress import drain
from napari_cellseg.imaging.read.finding import find_images
from napari_cellseg.network.versions import ModelVersion
from napari_cellseg.reports.plate_diagrams import well_at
from napari_cellseg.segmentation.recipe import Recipe

from .test_batch import batch, chosen, make_batch, press, save_image, settled, tiny  # noqa: F401

LEFT = Qt.MouseButton.LeftButton
WELLS = ("A01_f1", "A01_f2", "A02_f1", "B01_f1", "C12_f1")


@pytest.fixture
def plates(batch: BatchWidget, tiny: ModelVersion, tmp_path: Path, qtbot: Any) -> BatchPlates:  # noqa: F811
    """The window of a folder that was done before."""
    for i, name in enumerate(WELLS):
        save_image(tmp_path / "in" / f"{name}.tif", i)
    chosen(batch, tmp_path / "in", qtbot)
    out = batch.output_section.out
    assert out is not None
    drain(iter_batch(find_images([tmp_path / "in"]), out, Recipe(str(tiny.path))))
    batch.load()
    settled(batch, qtbot)
    press(batch.done_section.plates, qtbot)
    window = batch.plates
    assert window is not None
    qtbot.waitUntil(window.isVisible, timeout=10_000)
    return window


def type_into(window: BatchPlates, row: int, column: int, text: str, qtbot: Any) -> None:
    sheet = window.sheet
    at = sheet.visualItemRect(sheet.item(row, column)).center()
    QTest.mouseClick(sheet.viewport(), LEFT, pos=at)
    QTest.mouseDClick(sheet.viewport(), LEFT, pos=at)
    editor = sheet.findChild(QLineEdit)
    qtbot.waitUntil(editor.isVisible)
    QTest.keyClicks(editor, text)
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: sheet.item(row, column).text() == text)


def test_conditions_are_typed_pasted_and_saved(plates: BatchPlates, batch: BatchWidget, qtbot: Any) -> None:  # noqa: F811
    counts = {row.image: row.count for row in batch.job.rows.in_order()}
    assert list(plates.map.values) == ["A01", "A02", "B01", "C12"]
    assert plates.map.values["A01"] == (counts["A01_f1.tif"] + counts["A01_f2.tif"]) / 2
    assert plates.dots.svg() == "" and plates.save_tables.isEnabled()
    type_into(plates, 0, 1, "control", qtbot)
    assert [(one.name, len(one.wells)) for one in plates.plates.conditions] == [("control", 1)]
    assert "Without a condition" in plates.message.text()
    QGuiApplication.clipboard().setText("control\t0\ndrug\t5\ndrug\t5\n")
    sheet = plates.sheet
    QTest.mouseClick(sheet.viewport(), LEFT, pos=sheet.visualItemRect(sheet.item(1, 1)).center())
    QTest.keyClick(sheet, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    assert [one.name for one in plates.plates.conditions] == ["control", "control, 0", "drug, 5"]
    assert "drug, 5 (n = 2)" in plates.dots.svg()
    QTest.mouseClick(plates.save_tables, LEFT)
    out = batch.job.out
    assert out is not None
    with (out / "wells.csv").open(newline="") as file:
        saved = list(csv.DictReader(file))
    assert [(line["well"], line["condition"], line["dose"]) for line in saved] == [
        ("A01", "control", ""), ("A02", "control", "0"), ("B01", "drug", "5"), ("C12", "drug", "5"),
    ]  # fmt: skip
    # Another window of these results knows the conditions again.
    again = BatchPlates(batch.job)
    qtbot.addWidget(again)
    assert [one.name for one in again.plates.conditions] == [one.name for one in plates.plates.conditions]


def test_a_well_opens_its_image_and_a_bad_table_changes_nothing(
    plates: BatchPlates, viewer: Any, tmp_path: Path, qtbot: Any
) -> None:
    (tmp_path / "bad.csv").write_text("well,drug\nH7,x\n")
    plates.open_table(tmp_path / "bad.csv")
    assert "H07" in plates.message.text() and plates.sheet.rows == [] and not plates.plates.conditions
    (tmp_path / "good.csv").write_text("well;drug\nA1;x\nB1;y\nC12;y\n")
    plates.open_table(tmp_path / "good.csv")
    assert [one.name for one in plates.plates.conditions] == ["x", "y"]
    places = [QPoint(x, y) for x in range(0, plates.map.width(), 9) for y in range(0, plates.map.height(), 9)]
    inside = [at for at in places if well_at(plates.map.values, plates.map.shape, at.x(), at.y()) == "C12"]
    QTest.mouseClick(plates.map, LEFT, pos=inside[len(inside) // 2])
    qtbot.waitUntil(lambda: any(layer.name.startswith("C12_f1") for layer in viewer.layers), timeout=30_000)


def test_without_wells_there_is_no_button(batch: BatchWidget, tmp_path: Path, qtbot: Any) -> None:  # noqa: F811
    save_image(tmp_path / "in" / "first.tif", 0)
    chosen(batch, tmp_path / "in", qtbot)
    assert not batch.done_section.plates.isVisible()
