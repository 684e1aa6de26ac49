"""Every `?` opens its part of the documentation, and the first steps lead to the first count."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt, QUrl
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDialog, QToolButton

from napari_cellseg.gui.batch.batch_widget import BatchWidget
from napari_cellseg.gui.check.check_widget import AgreementWidget
from napari_cellseg.gui.correct.correct_widget import CorrectWidget
from napari_cellseg.gui.shared.help import HelpWindow, docs_folder, section_of
from napari_cellseg.gui.train.train_widget import TrainWidget

from ..conftest import press_segment
from ..fitting import fits

LEFT = Qt.MouseButton.LeftButton
WIDGETS = {"Correct": CorrectWidget, "Train": TrainWidget, "Batch": BatchWidget, "Check": AgreementWidget}
TOPICS = {
    "Correct": {"Correct", "Review", "Reviewed area", "Keep and learn"},
    "Train": {
        "Training set", "Images to train on", "Train", "New model", "Figures of a model", "Expert settings",
        "Search for settings",
    },
    "Batch": {"Images of a folder", "Recipe", "What is saved", "Batch", "List of images"},
    "Check": {"Check"},
}  # fmt: skip


def marks(widget: Any) -> list[QToolButton]:
    found = widget.findChildren(QToolButton)
    return [button for button in found if button.objectName().startswith("help_")]


def opened_by(button: QToolButton, qtbot: Any) -> tuple[str, str]:
    """Title and text of what a `?` opens, closed again."""
    QTest.mouseClick(button, LEFT)
    shown = [window for window in button.window().findChildren(QDialog) if isinstance(window, HelpWindow)]
    assert len(shown) == 1 and shown[0].isVisible()
    title, text = shown[0].windowTitle(), shown[0].browser.toPlainText()
    with qtbot.waitSignal(shown[0].destroyed):
        shown[0].close()
    return title, text


def test_each_mark_of_segment_opens_its_section(segmented: Any, qtbot: Any) -> None:
    topics = [button.objectName().removeprefix("help_") for button in marks(segmented)]
    counting = ["Positive cells", "Classes", "Filters", "Regions"]
    assert topics == ["Image", "Segment", "Count and sliders", *counting, "Results"]
    fits(segmented.scroll, *marks(segmented))
    for button, topic in zip(marks(segmented), topics, strict=True):
        title, text = opened_by(button, qtbot)
        assert title == topic and text.startswith(topic) and len(text) > 200
        assert not any(f"\n{other}\n" in text for other in topics if other != topic), "its own section alone"


@pytest.mark.parametrize("name", WIDGETS)
def test_each_mark_of_a_dock_opens_its_section(viewer: Any, name: str, qtbot: Any) -> None:
    widget = WIDGETS[name](viewer)
    viewer.window.add_dock_widget(widget)
    assert {button.objectName().removeprefix("help_") for button in marks(widget)} == TOPICS[name]
    for button in marks(widget):
        topic = button.objectName().removeprefix("help_")
        assert section_of(topic).startswith(f"## {topic}\n"), "a heading of docs/window.md"
    qtbot.waitUntil(lambda: any(button.isVisible() for button in marks(widget)))
    shown = next(button for button in marks(widget) if button.isVisible())
    title, text = opened_by(shown, qtbot)
    assert text.startswith(title), "also while there are no cells"


def test_links_lead_to_pages_that_the_package_holds(qtbot: Any) -> None:
    window = HelpWindow("Batch", link="#35c2b0")
    qtbot.addWidget(window)
    window.browser.anchorClicked.emit(QUrl("batch.md"))
    assert window.browser.toPlainText().startswith("A folder of images")
    assert "color:#35c2b0" in window.browser.toHtml(), "the blue of the system cannot be read on a dark theme"
    page = (docs_folder() / "window.md").read_text(encoding="utf-8")
    linked = {part.split(")")[0] for part in page.split("](")[1:]}
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))
    packed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert {f"docs/{name}" for name in (*linked, "window.md")} <= set(packed)


def test_the_empty_panel_leads_to_the_first_count(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    steps = widget.first_steps
    assert steps.isVisible() and not widget.cells_section.isVisible()
    fits(widget.scroll, steps.sample, steps, whole=True)
    QTest.mouseClick(steps.sample, LEFT)
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=10_000)
    assert not steps.isVisible() and widget.cells_section.isVisible() and widget.result_section.isVisible()
    press_segment(widget, qtbot)
    assert widget.session.cells.count() > 5
