"""Typed numbers: a point and a comma are decimal signs in every language, and neither groups digits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QLocale, Qt

import napari_cellseg
from napari_cellseg.gui.shared.number_slider import ExactNumber
from napari_cellseg.gui.shared.numbers import DecimalBox, NumberBox


@pytest.fixture(params=["de_DE", "en_US", "fr_CH"])
def language(request: pytest.FixtureRequest) -> Iterator[None]:
    before = QLocale()
    QLocale.setDefault(QLocale(request.param))
    yield
    QLocale.setDefault(before)


@pytest.mark.parametrize("text", ["0.5", "0,5", "12.5", "12,5", "1.234", "1,234", "1234"])
@pytest.mark.parametrize("kind", ["slider", "form", "plain"])
def test_a_typed_number_is_what_it_says(language: None, qtbot: Any, kind: str, text: str) -> None:
    box = {"slider": lambda: ExactNumber(3, "t"), "form": NumberBox, "plain": DecimalBox}[kind]()
    qtbot.addWidget(box)
    box.setDecimals(3)
    box.setRange(0, 9999)
    box.selectAll()
    qtbot.keyClicks(box, text)
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert box.value() == float(text.replace(",", "."))
    assert "," not in box.text() and float(box.text()) == box.value()


def test_no_number_of_the_window_is_read_otherwise() -> None:
    gui = Path(napari_cellseg.__file__).parent / "gui"
    plain = {path.name for path in gui.rglob("*.py") if re.search(r"\bQ(Double)?SpinBox\b", path.read_text("utf-8"))}
    assert plain == {"numbers.py"}
