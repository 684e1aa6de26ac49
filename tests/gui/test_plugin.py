"""The plugin as napari sees it: widget, menu entries, preferences, demo, theme."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QScrollArea

from napari_cellseg.gui.menus import demo
from napari_cellseg.gui.menus.commands import correct_active_layer, measure_active_layer, segment_active_layer
from napari_cellseg.gui.segment.segment_widget import SegmentWidget
from napari_cellseg.gui.shared import preferences
from napari_cellseg.gui.shared.colors import theme_colors
from napari_cellseg.gui.viewer import opening
from napari_cellseg.gui.viewer.dock import DOCKS, PLUGIN, open_dock
from napari_cellseg.imaging.errors import OutputError
from napari_cellseg.results.origin import is_ours

from .conftest import draw_discs, layers_of, press_segment


def test_from_the_plugins_menu(plugin: None, viewer: Any, network: Any, qtbot: Any) -> None:
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, DOCKS["segment"])
    assert isinstance(widget, SegmentWidget)
    viewer.add_image(draw_discs(), name="discs")
    press_segment(widget, qtbot)
    assert layers_of(widget).labels in viewer.layers


def test_menu_entry_segments_the_selected_image(plugin: None, viewer: Any, network: Any, qtbot: Any) -> None:
    viewer.add_image(draw_discs(), name="discs")
    segment_active_layer(viewer)
    widget = open_dock(viewer, "segment")
    qtbot.waitUntil(lambda: widget.session.cells is not None, timeout=10_000)
    assert [layer.name for layer in viewer.layers] == ["discs", "discs cells", "discs counts"]
    viewer.layers.selection.active = viewer.layers["discs cells"]
    segment_active_layer(viewer)
    assert "is a labels layer" in widget.run_section.message.text()
    assert "is a labels layer" in notification_manager.records[-1].message


def test_both_widgets_stand_on_one_place_as_tabs(plugin: None, viewer: Any, qtbot: Any) -> None:
    viewer.add_image(draw_discs(), name="discs")
    dock, _ = viewer.window.add_plugin_dock_widget(PLUGIN, DOCKS["segment"])
    correct_active_layer(viewer)
    other, widget = viewer.window.add_plugin_dock_widget(PLUGIN, DOCKS["correct"])
    qtbot.waitUntil(lambda: dock in dock.parent().tabifiedDockWidgets(other), timeout=5000)
    assert "discs" in widget.title.text() and not widget.tools_section.isEnabled()


@pytest.mark.parametrize("name", list(DOCKS))
def test_every_dock_opens_once_by_its_name(plugin: None, viewer: Any, name: str) -> None:
    dock = open_dock(viewer, name)
    assert dock.objectName() == f"napari_cellseg_{name}" and open_dock(viewer, name) is dock


def test_a_dock_is_opened_behind_the_one_in_front(plugin: None, viewer: Any, qtbot: Any) -> None:
    front = open_dock(viewer, "segment")
    qtbot.waitUntil(lambda: not front.visibleRegion().isEmpty(), timeout=5000)
    behind = open_dock(viewer, "train", raised=False)
    dock = behind.parent()
    qtbot.waitUntil(lambda: bool(dock.parent().tabifiedDockWidgets(dock)), timeout=5000)
    qtbot.wait(100)
    assert not front.visibleRegion().isEmpty() and behind.visibleRegion().isEmpty()
    open_dock(viewer, "train")
    qtbot.waitUntil(lambda: front.visibleRegion().isEmpty(), timeout=5000)
    assert not behind.visibleRegion().isEmpty()


def test_menu_entry_measures_the_selected_labels(viewer: Any, qtbot: Any) -> None:
    layer = viewer.add_labels((draw_discs(4) > 0.4).astype(int), name="mine")
    measure_active_layer(viewer)
    assert list(layer.features["index"]) == [1]
    assert any("Features table" in name for name in viewer.window.dock_widgets)


def test_the_table_button(segmented: Any, viewer: Any, qtbot: Any) -> None:
    qtbot.mouseClick(segmented.result_section.table, Qt.MouseButton.LeftButton)
    assert any("Features table" in name for name in viewer.window.dock_widgets)
    assert viewer.layers.selection.active is layers_of(segmented).labels


def test_preferences(plugin: None) -> None:
    assert preferences.device() == "auto"
    assert preferences.default_model() == "cells"


def test_preferences_without_the_plugin_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preferences, "PLUGIN", "no such plugin")
    assert (preferences.device(), preferences.default_model()) == ("auto", "cells")


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_fits_the_smallest_window_and_follows_the_theme(segmented: Any, viewer: Any, qtbot: Any, theme: str) -> None:
    viewer.theme = theme
    qtbot.wait(200)
    assert segmented.run_section._colors == theme_colors(theme)
    assert segmented.run_section._colors.dark == (theme == "dark")
    window = segmented.window()
    assert window.height() <= 768 and window.width() <= 1366
    scroll = segmented.findChild(QScrollArea)
    assert scroll.verticalScrollBar().maximum() == 0, "it has to be scrolled"
    assert scroll.widget().minimumSizeHint().width() <= scroll.viewport().width()


def test_the_panel_stays_narrow_whatever_is_called(segmented: Any, viewer: Any, qtbot: Any) -> None:
    viewer.layers["discs"].name = "a very long name of an image " * 5
    segmented.session.fail(None, "Something with a very long sentence went wrong, and more. " * 4)
    qtbot.wait(100)
    scroll = segmented.findChild(QScrollArea)
    assert scroll.widget().minimumSizeHint().width() <= 340


def test_demo_on_a_screen_leaves_the_window_open_and_no_files(
    make_napari_viewer: Any, network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "SAMPLES", tmp_path)
    monkeypatch.setattr(demo.napari, "Viewer", make_napari_viewer)
    opened = []
    monkeypatch.setattr(demo.napari, "run", lambda: opened.append(True))
    tifffile.imwrite(tmp_path / "discs.tif", draw_discs())
    assert demo.run_demo(tmp_path / "out", show=True, sample="discs") is None
    assert opened and network.runs == 1 and not (tmp_path / "out").exists()


def test_demo_presses_the_button_and_saves(
    make_napari_viewer: Any, network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "SAMPLES", tmp_path)
    monkeypatch.setattr(demo.napari, "Viewer", make_napari_viewer)
    tifffile.imwrite(tmp_path / "discs.tif", draw_discs())
    made = demo.run_demo(tmp_path / "out", show=False, sample="discs")
    assert network.runs == 1 and made.count == 16
    assert len(np.unique(tifffile.imread(made.labels))) - 1 == 16
    assert made.counts.read_text().splitlines()[1].startswith("discs.tif,,16,")
    assert made.screenshot.stat().st_size > 10_000 and is_ours(made.screenshot)
    made.screenshot.write_bytes(b"of another program")
    with pytest.raises(OutputError, match="left as it is"):
        demo.run_demo(tmp_path / "out", show=False, sample="discs")
    assert network.runs == 1 and made.screenshot.read_bytes() == b"of another program"
