"""Positive cells in the real window: asleep until used, live, flipped by hand, the same numbers without a window."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_cellseg.cli import main
from napari_cellseg.gui.segment.called_layers import CALLED, NEGATIVE, POSITIVE, CalledLayers
from napari_cellseg.gui.segment.calling import Calling
from napari_cellseg.gui.viewer.opening import add_image
from napari_cellseg.imaging.read.read import read_image
from napari_cellseg.imaging.write.write import read_labels
from napari_cellseg.segmentation.marker import Marker

from ..conftest import draw_discs, layers_of, press_segment, settled
from ..pointing import click, move_to

N = 16


def write_marked(path: Path, positive: int = 6) -> Path:
    """Discs, of which the first ones are bright in GFP; RFP is bright in the last four."""
    discs = draw_discs(N)
    y, x = np.mgrid[:160, :160] // 40
    number = 4 * y + x
    noise = np.random.default_rng(0).normal(0, 4, (2, *discs.shape))
    gfp = np.where(number < positive, 300, 40) * (discs > 0.3) + 20 + noise[0]
    rfp = np.where(number >= N - 4, 500, 30) * (discs > 0.3) + 20 + noise[1]
    # The stand-in network takes brightness for probability.
    channels = np.stack([discs / discs.max(), gfp, rfp]).clip(0).astype(np.float32)
    about = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP", "RFP"]}, "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(path, channels, ome=True, metadata=about)
    return path


def choose(box: Any, data: object) -> None:
    index = box.findData(data)
    assert index >= 0
    box.setCurrentIndex(index)
    box.activated.emit(index)


def said(widget: Any) -> str:
    return widget.positive_section.count.text()


def wait_for(widget: Any, qtbot: Any, text: str) -> None:
    qtbot.waitUntil(lambda: text in said(widget), timeout=20_000)


def states_on_screen(widget: Any) -> dict[int, int]:
    """What the layer shows of every cell."""
    layer = widget.bench.part(CalledLayers).shown(CALLED)
    assert layer is not None, "drawn a moment after the number"
    labels, called = layers_of(widget).labels.data, layer.data
    assert ((called > 0) == (labels > 0)).all()
    return {int(id_): int(called[labels == id_][0]) for id_ in np.unique(labels[labels > 0])}


@pytest.fixture
def marked(widget: Any, viewer: Any, network: Any, qtbot: Any, tmp_path: Path) -> Any:
    """A segmented image of three channels."""
    add_image(viewer, read_image(write_marked(tmp_path / "marked.tif")))
    press_segment(widget, qtbot)
    settled(widget, qtbot)
    return widget


def test_the_whole_way_with_equal_numbers_and_bytes(
    widget: Any, viewer: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the bundled model."""
    add_image(viewer, read_image(write_marked(tmp_path / "marked.tif")))
    press_segment(widget, qtbot, timeout=60_000)
    settled(widget, qtbot)
    section, n = widget.positive_section, widget.session.cells.count()
    # Asleep: no layer, nothing measured, whatever the sliders do.
    widget.cells_section.threshold.setValue(0.6)
    settled(widget, qtbot)
    n_layers, calling = len(viewer.layers), widget.bench.part(Calling)
    assert calling.known is None and not section.isVisible()
    widget.positive_fold.unfold(True)
    assert len(viewer.layers) == n_layers
    choose(section.choices.channel, "GFP")
    wait_for(widget, qtbot, "GFP+")
    assert said(widget) == f"{n} cells, 6 GFP+ ({100 * 6 / n:.1f} %)"
    qtbot.waitUntil(lambda: sum(state == POSITIVE for state in states_on_screen(widget).values()) == 6, timeout=20_000)
    assert viewer.layers.selection.active is layers_of(widget).labels
    # Live: the number and the picture follow the slider at once, and so does what is saved.
    for threshold, positive in ((1e4, 0), (-1, n), (150, 6)):
        section.threshold.setValue(threshold)
        assert f"{positive} GFP+" in said(widget)
        qtbot.waitUntil(lambda k=positive: [*states_on_screen(widget).values()].count(POSITIVE) == k, timeout=20_000)
    # A second marker in the ring of grown nuclei, and combinations.
    section.choices.more.click()
    wait_for(widget, qtbot, "DAPI+")
    choose(section.choices.channel, "RFP")
    wait_for(widget, qtbot, "RFP+")
    choose(section.choices.where, "ring")
    qtbot.waitUntil(lambda: section.marker is not None and section.marker.place == "ring", timeout=20_000)
    wait_for(widget, qtbot, "RFP+")
    assert "GFP+ RFP− 6" in section.combined.text() and widget.session.grow == "3um"
    qtbot.waitUntil(lambda: "marked cells grown" in viewer.layers, timeout=20_000)
    grown = viewer.layers["marked cells grown"].data
    assert (grown > 0).sum() > (layers_of(widget).labels.data > 0).sum()
    widget.result_section.save_to(tmp_path / "window")
    qtbot.waitUntil(lambda: (tmp_path / "window" / "marked_recipe.json").exists(), timeout=20_000)
    widget.result_section.copy_command.click()
    words = shlex.split(QApplication.clipboard().text())
    assert words.count("--positive") == 2 and words[words.index("--grow") + 1] == "3um"
    monkeypatch.chdir(tmp_path)
    assert main(["segment", "marked.tif", "--out", "results", "--recipe", "window/marked_recipe.json"]) == 0
    rows = []
    for folder in ("window", "results"):
        with (tmp_path / folder / "counts.csv").open(newline="") as file:
            rows.append({**next(csv.DictReader(file)), "seconds": ""})
    assert rows[0] == rows[1] and rows[0]["n_GFP_pos"] == "6" and rows[0]["n_GFP_pos_RFP_neg"] == "6"
    for name in ("marked_labels.tif", "marked_grown.tif"):
        window, batch = (read_labels(tmp_path / folder / name) for folder in ("window", "results"))
        assert window.dtype == batch.dtype and window.tobytes() == batch.tobytes()
    np.testing.assert_array_equal(grown, read_image(tmp_path / "window" / "marked_grown.tif").plane())
    # Folded it costs nothing, and the picture is what it was.
    widget.positive_fold.unfold(False)
    qtbot.waitUntil(lambda: len(viewer.layers) == n_layers, timeout=20_000)
    assert layers_of(widget).labels.opacity == pytest.approx(0.5)


def test_a_cell_is_flipped_by_click_and_key_and_no_slider_takes_it_back(marked: Any, viewer: Any, qtbot: Any) -> None:
    widget, section = marked, marked.positive_section
    widget.positive_fold.unfold(True)
    choose(section.choices.channel, "GFP")
    wait_for(widget, qtbot, "6 GFP+")
    labels = layers_of(widget).labels
    last, first = int(labels.data.max()), int(labels.data[labels.data > 0].min())
    viewer.reset_view()
    qtbot.wait(100)
    (y, x), (v, u) = (np.argwhere(labels.data == id_).mean(axis=0) for id_ in (last, first))
    section.click.setChecked(True)
    click(viewer, qtbot, labels, (y, x))
    wait_for(widget, qtbot, "7 GFP+")
    section.click.setChecked(False)
    click(viewer, qtbot, labels, (y, x))
    move_to(viewer, qtbot, labels, (v, u))
    QTest.keyClick(viewer.window._qt_window, Qt.Key.Key_Q)
    wait_for(widget, qtbot, "6 GFP+")
    assert widget.session.cells.by_hand == {last: {"GFP": True}, first: {"GFP": False}}
    for threshold in (1e4, -1, 150):
        section.threshold.setValue(threshold)
        calls = dict(zip(section._calling.known.ids.tolist(), section._calling.calls(section.marker), strict=True))
        assert calls[last] and not calls[first]
    shown = {last: POSITIVE, first: NEGATIVE}
    qtbot.waitUntil(lambda: shown.items() <= states_on_screen(widget).items(), timeout=20_000)
    labels.undo()
    wait_for(widget, qtbot, "7 GFP+")
    assert "7 GFP+" in said(widget) and widget.session.cells.n_changed == 1


def test_a_control_starts_the_threshold_and_images_without_the_channel_say_so(
    marked: Any, viewer: Any, qtbot: Any, tmp_path: Path
) -> None:
    widget, section = marked, marked.positive_section
    widget.positive_fold.unfold(True)
    choose(section.choices.channel, "GFP")
    wait_for(widget, qtbot, "6 GFP+")
    image = widget.session.chosen
    add_image(viewer, read_image(write_marked(tmp_path / "control.tif", positive=0)))
    # The threshold goes for every image.
    press_segment(widget, qtbot)
    wait_for(widget, qtbot, " 0 GFP+")
    control = widget.session.chosen
    viewer.layers.selection.active = widget.bench.layer_of(image)
    wait_for(widget, qtbot, "6 GFP+")
    section.threshold.setValue(1e4)
    choose(section.start, control)
    # The brightest of 16 cells lies above 99 %, and here and there it is the same one.
    wait_for(widget, qtbot, "7 GFP+")
    assert 40 < section.marker.threshold < 150
    # A control without cells is refused in words, and nothing moves.
    before = section.marker.threshold
    widget.session.set_threshold(1.0, control)
    widget.session.set_min_size(10_000, control)
    section._calling.start_from(0, control)
    qtbot.waitUntil(lambda: "no cells to measure" in widget.session.state.sentence, timeout=20_000)
    assert section.marker.threshold == before
    grey = viewer.add_image(draw_discs(N), name="grey")
    press_segment(widget, qtbot)
    qtbot.waitUntil(lambda: "no channel 'GFP'" in said(widget), timeout=20_000)
    assert widget.session.cells.count() > 0 and grey in viewer.layers and not section.threshold.isEnabled()
    # A recipe brings its markers along.
    recipe = widget.session.recipe_shown()
    assert recipe.positive == widget.session.positive == (Marker("GFP", section.marker.threshold),)
    section.choices.less.click()
    assert widget.session.positive == ()
    widget.session.use_recipe(recipe)
    assert widget.session.positive == recipe.positive
