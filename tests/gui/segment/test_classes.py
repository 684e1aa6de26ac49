"""Classes by example in the real window: asleep until used, by clicks, undone like any correction."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QTextDocument
from qtpy.QtTest import QTest

from napari_cellseg.corrections.run_lengths import CLASS
from napari_cellseg.gui.segment.class_layer import KIND, ClassLayer
from napari_cellseg.gui.segment.classing import Classing
from napari_cellseg.gui.viewer.opening import add_image
from napari_cellseg.imaging.read.read import read_image
from napari_cellseg.segmentation.recipe import Recipe

from ..conftest import layers_of, press_segment, settled
from ..pointing import click, move_to
from .test_positive import N, choose, write_marked


def add_class(widget: Any, name: str) -> None:
    widget.class_section.name.setText(name)
    QTest.keyClick(widget.class_section.name, Qt.Key.Key_Return)


def said(widget: Any) -> str:
    """The count, and how many cells each class has."""
    document = QTextDocument()
    document.setHtml(widget.class_section.legend.text())
    return f"{widget.class_section.count.text()}: {' '.join(document.toPlainText().split())}"


def wait_for(widget: Any, qtbot: Any, text: str) -> None:
    qtbot.waitUntil(lambda: text in said(widget), timeout=20_000)


@pytest.fixture
def marked(widget: Any, viewer: Any, network: Any, qtbot: Any, tmp_path: Path) -> Any:
    """A segmented image of 16 cells, of which the first six are bright in GFP; the fold is open."""
    add_image(viewer, read_image(write_marked(tmp_path / "marked.tif")))
    press_segment(widget, qtbot)
    settled(widget, qtbot)
    return widget


def test_clicks_teach_and_what_is_saved_says_the_same(marked: Any, viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    widget, section, classing = marked, marked.class_section, marked.bench.part(Classing)
    n_layers = len(viewer.layers)
    assert classing.fresh() is None and widget.session.classes is None
    widget.positive_fold.unfold(True)
    widget.class_fold.unfold(True)
    assert widget.positive_section.isHidden()
    add_class(widget, "bright")
    add_class(widget, "dim")
    labels = layers_of(widget).labels
    ids = np.unique(labels.data[labels.data > 0]).tolist()
    centres = {id_: tuple(np.argwhere(labels.data == id_).mean(axis=0)) for id_ in ids}
    viewer.reset_view()
    qtbot.wait(100)
    section.click.setChecked(True)
    choose(section.chosen, "bright")
    click(viewer, qtbot, labels, centres[ids[0]])
    qtbot.waitUntil(lambda: "'bright' has 1 example." in section.held_out.text(), timeout=20_000)
    click(viewer, qtbot, labels, centres[ids[1]])
    choose(section.chosen, "dim")
    click(viewer, qtbot, labels, centres[ids[7]])
    section.click.setChecked(False)
    click(viewer, qtbot, labels, centres[ids[13]])
    move_to(viewer, qtbot, labels, centres[ids[15]])
    QTest.keyClick(viewer.window._qt_window, Qt.Key.Key_Q)
    for id_, name in zip((ids[4], ids[5], ids[6], ids[9]), ("bright", "bright", "dim", "dim"), strict=True):
        classing.give(id_, name)
    wait_for(widget, qtbot, f"{N} cells in 2 classes: ■ bright 6 (37.5 %) ■ dim 10 (62.5 %)")
    assert "too few examples" in section.held_out.text()
    # The picture follows a moment after the number.
    qtbot.waitUntil(lambda: widget.bench.part(ClassLayer).shown(KIND) is not None, timeout=20_000)
    shown = widget.bench.part(ClassLayer).shown(KIND)
    assert {int(shown.data[labels.data == id_][0]) for id_ in ids[:6]} == {1}
    assert {int(shown.data[labels.data == id_][0]) for id_ in ids[6:]} == {2}
    # The least sure one is none that the user named, and each press goes on.
    named = set(widget.session.cells.by_hand)
    pressed = [section.next.click() or section.seen.text().split(":")[0] for _ in range(2)]
    assert pressed[0] != pressed[1] and not {int(text.split()[-1]) for text in pressed} & named
    widget.result_section.save_to(tmp_path / "window")
    qtbot.waitUntil(lambda: (tmp_path / "window" / "counts.csv").exists(), timeout=20_000)
    recipe = Recipe.read(tmp_path / "window" / "marked_recipe.json")
    assert recipe.classes == widget.session.classes and recipe.classes.numbers == {"bright": 4, "dim": 4}
    with (tmp_path / "window" / "counts.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["n_class_bright"] == "6"
    # Folded it costs nothing, and the picture is what it was.
    widget.class_fold.unfold(False)
    qtbot.waitUntil(lambda: len(viewer.layers) == n_layers, timeout=20_000)
    assert labels.opacity == pytest.approx(0.5)


def test_undo_and_minus_take_examples_back_and_a_recipe_brings_its_own(marked: Any, qtbot: Any) -> None:
    widget, section = marked, marked.class_section
    widget.class_fold.unfold(True)
    for name in ("bright", "dim", "dim"):
        add_class(widget, name)
    assert widget.session.classes.names == ("bright", "dim") and "a name of its own" in widget.session.state.sentence
    classing, ids = widget.bench.part(Classing), widget.session.cells.view.ids().tolist()
    for id_, name in zip((ids[0], ids[1], ids[7], ids[15]), ("bright", "bright", "dim", "dim"), strict=True):
        classing.give(id_, name)
    wait_for(widget, qtbot, "■ dim")
    before = said(widget)
    recipe = widget.session.recipe_shown()
    layers_of(widget).labels.undo()
    qtbot.waitUntil(lambda: "'dim' has 1 example." in section.held_out.text(), timeout=20_000)
    classing.give(ids[7], "dim")
    qtbot.waitUntil(lambda: widget.session.classes.numbers == {"bright": 2, "dim": 0}, timeout=20_000)
    choose(section.chosen, "bright")
    section.less.click()
    qtbot.waitUntil(lambda: not section.chosen.count() > 1, timeout=20_000)
    assert not any(CLASS in calls for calls in widget.session.cells.by_hand.values())
    qtbot.waitUntil(lambda: widget.session.classes is not None and widget.session.classes.names == ("dim",))
    widget.session.use_recipe(recipe)
    wait_for(widget, qtbot, before)
    assert widget.session.classes == recipe.classes
