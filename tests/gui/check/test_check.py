"""Counts by people in the real window: typed and clicked, kept, and the interval behind the count."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QScrollArea

from napari_cellseg.batch.run import iter_batch
from napari_cellseg.corrections import tools as edits
from napari_cellseg.gui.check.check_widget import AgreementWidget
from napari_cellseg.gui.check.known import Agreements
from napari_cellseg.gui.check.table import IMAGE, PERSON
from napari_cellseg.gui.segment.segment_widget import SegmentWidget
from napari_cellseg.gui.shared.colors import theme_colors
from napari_cellseg.imaging.read.finding import find_images
from napari_cellseg.network.versions import user_models_dir
from napari_cellseg.segmentation.marker import Marker
from napari_cellseg.segmentation.recipe import Recipe
from tests.models import make_model

from ..conftest import BrightnessNetwork, draw_discs, layers_of, press_segment
from ..planes.test_planes import all_done, want_all
from ..pointing import click

LEFT = Qt.MouseButton.LeftButton
NUMBERS = (4, 9, 16, 25, 36)


@pytest.fixture
def agree(viewer: Any, widget: SegmentWidget) -> AgreementWidget:
    """The widget beside the Segment widget."""
    return dock(viewer)


@pytest.fixture
def five(viewer: Any, widget: SegmentWidget, network: BrightnessNetwork, qtbot: Any) -> list[int]:
    """Five segmented images of 4 to 36 discs; returns our counts with the sliders of the last."""
    return segment_all(viewer, widget, qtbot)


def dock(viewer: Any) -> AgreementWidget:
    agree = AgreementWidget(viewer)
    viewer.window.add_dock_widget(agree, name="Check counts against your own")
    return agree


def segment_all(viewer: Any, widget: SegmentWidget, qtbot: Any) -> list[int]:
    # What is drawn takes most of the time.
    widget.bench.layers.set_numbers(False)
    for n in NUMBERS:
        for layer in viewer.layers:
            layer.visible = False
        viewer.add_image(draw_discs(n, 128), name=f"n{n}")
        press_segment(widget, qtbot)
    widget.session.set_threshold(0.5)
    return [row_count(widget, layer) for layer in widget.bench.image_layers()]


def row_count(widget: SegmentWidget, layer: Any) -> int:
    now = widget.session.cells
    return widget.session.cells_of(layer.unique_id).segmented.instances.count(now.threshold, now.min_size)


def settled(agree: AgreementWidget, qtbot: Any) -> None:
    qtbot.wait(250)
    qtbot.waitUntil(lambda: not agree.busy, timeout=20_000)


def type_count(agree: AgreementWidget, row: int, text: str, qtbot: Any) -> None:
    """Type into the table as a person does."""
    table = agree.table
    table.setCurrentCell(row, PERSON)
    table.editItem(table.item(row, PERSON))
    editor = table.viewport().focusWidget() or table.indexWidget(table.currentIndex())
    editor.selectAll()
    qtbot.keyClicks(editor, text) if text else qtbot.keyClick(editor, Qt.Key.Key_Delete)
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    settled(agree, qtbot)


def press(button: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: button.isVisible() and button.isEnabled(), timeout=10_000)
    qtbot.mouseClick(button, LEFT)


def texts(agree: AgreementWidget, column: int) -> list[str]:
    return [agree.table.item(row, column).text() for row in range(agree.table.rowCount())]


def test_typed_counts_give_bias_limits_and_from_five_on_an_interval(
    agree: AgreementWidget, widget: SegmentWidget, viewer: Any, five: list[int], qtbot: Any
) -> None:
    settled(agree, qtbot)
    interval = widget.cells_section.interval
    for text in ("many", "-3", "2,5", "99999999999"):
        type_count(agree, 0, text, qtbot)
        assert "is no count" in agree.message.text() and texts(agree, PERSON)[0] == ""
    assert texts(agree, IMAGE) == [f"n{n}" for n in NUMBERS] and texts(agree, 2) == [str(n) for n in five]
    assert "0 of at least 5" in agree.verdict.text() and interval.isHidden()
    for row, ours in enumerate(five[:4]):
        type_count(agree, row, str(ours - 1), qtbot)
    # Two and more: bias and limits at once; but no interval.
    assert "On 4 images automatic counts are higher by 1.0 cells" in agree.verdict.text()
    assert "count 1 more by hand" in agree.worth.text() and interval.isHidden()
    type_count(agree, 4, str(five[4] - 1), qtbot)
    found = widget.bench.part(Agreements).agreement()
    assert found.n == 5 and found.bias == 1 and len(agree.plot.dots()) == 5
    expected = found.interval(widget.session.cells.count())
    assert expected.low <= five[4] - 1 <= expected.high
    assert interval.text() == f"({expected.low} to {expected.high})" and not interval.isHidden()
    assert "5 images" in widget.cells_section.count.toolTip()
    both = f"{widget.session.cells.count()} {interval.text()}"
    assert agree.worth.text().startswith(both) and widget.cells_section.count.toolTip().count(both) == 1
    # Another image has its own.
    widget.session.choose(widget.bench.image_layers()[2].unique_id)
    settled(agree, qtbot)
    assert widget.session.cells.threshold != 0.5
    widget.session.set_threshold(0.5)
    settled(agree, qtbot)
    other = found.interval(five[2])
    assert interval.text() == f"({other.low} to {other.high})"
    # Left out, or taken back, there are too few again.
    agree.table.item(0, IMAGE).setCheckState(Qt.CheckState.Unchecked)
    settled(agree, qtbot)
    assert agree.known.agreement().n == 4 and texts(agree, PERSON)[0] == str(five[0] - 1) and interval.isHidden()
    agree.table.item(0, IMAGE).setCheckState(Qt.CheckState.Checked)
    settled(agree, qtbot)
    assert agree.known.agreement().n == 5 and not interval.isHidden()
    type_count(agree, 0, "", qtbot)
    assert "too few" in agree.worth.text() and interval.isHidden()
    # No cells are a count too.
    type_count(agree, 0, "0", qtbot)
    assert texts(agree, PERSON)[0] == "0" and agree.message.text() == "" and not interval.isHidden()


def test_positive_cells_are_checked_by_themselves(
    agree: AgreementWidget, widget: SegmentWidget, viewer: Any, five: list[int], qtbot: Any
) -> None:
    settled(agree, qtbot)
    type_count(agree, 0, str(five[0]), qtbot)
    assert not agree.source_section.cells.isVisible()
    session, first = widget.session, widget.bench.image_layers()[0]
    session.choose(first.unique_id)
    session.set_threshold(0.5)

    def positive_of(layer: Any, marker: Marker) -> int:
        now, made = session.cells, session.cells_of(layer.unique_id).segmented.asked(positive=(marker,))
        return made.result(now.threshold, now.min_size).counted.numbers["0_pos"]

    values = session.cells.segmented.asked(positive=(Marker("0", 0.0),)).result(0.5).table["0_value"]
    marker = Marker("0", float(np.median(values)))
    session.set_counting([marker], None)
    settled(agree, qtbot)
    # The check of all cells is what it was.
    assert texts(agree, 2) == [str(n) for n in five] and texts(agree, PERSON)[0] == str(five[0])
    assert [agree.source_section.cells.itemText(i) for i in range(agree.source_section.cells.count())] == [
        "all cells",
        "0+",
    ]
    agree.source_section.cells.setCurrentIndex(1)
    agree.source_section.cells.activated.emit(1)
    settled(agree, qtbot)
    expected = [positive_of(layer, marker) for layer in widget.bench.image_layers()]
    assert texts(agree, 2) == [str(n) for n in expected] and texts(agree, PERSON) == [""] * 5
    assert agree.settings.text().startswith("Auto: 0+ of")
    for row, ours in enumerate(expected):
        type_count(agree, row, str(ours + 1), qtbot)
    found = agree.known.agreement()
    assert found.n == 5 and found.bias == -1 and "On 5 images automatic counts are lower by 1.0" in agree.verdict.text()
    assert agree.worth.text().startswith(f"{expected[0]} (")
    # Counts of all cells have no interval by those of some.
    assert widget.cells_section.interval.isHidden()
    # Its threshold moves them, as the sliders move those of all cells.
    higher = Marker("0", marker.threshold * 1.02)
    session.set_counting([higher], None)
    settled(agree, qtbot)
    moved = [positive_of(layer, higher) for layer in widget.bench.image_layers()]
    assert moved != expected and texts(agree, 2) == [str(n) for n in moved]
    assert texts(agree, PERSON) == [str(n + 1) for n in expected]
    # Back to all cells, also where the marker is taken away.
    session.set_counting([], None)
    settled(agree, qtbot)
    assert texts(agree, 2) == [str(n) for n in five] and not agree.source_section.cells.isVisible()


def test_a_count_that_was_never_checked_has_no_interval(
    agree: AgreementWidget, widget: SegmentWidget, viewer: Any, five: list[int], qtbot: Any
) -> None:
    for row, ours in enumerate(five):
        type_count(agree, row, str(ours), qtbot)
    viewer.add_image(draw_discs(100, 320), name="many")
    press_segment(widget, qtbot)
    widget.session.set_threshold(0.5)
    settled(agree, qtbot)
    count, least, most = widget.session.cells.count(), min(five), max(five)
    assert count > most and widget.cells_section.interval.text() == "(not checked)"
    said = f"{count} lies outside the counts that were checked by hand ({least} to {most})"
    assert said in widget.cells_section.count.toolTip() and said in agree.worth.text()


def test_sliders_move_our_counts_and_corrections_do_not(
    agree: AgreementWidget, widget: SegmentWidget, five: list[int], qtbot: Any
) -> None:
    settled(agree, qtbot)
    for row, ours in enumerate(five):
        type_count(agree, row, str(ours), qtbot)
    assert widget.bench.part(Agreements).agreement().bias == 0
    widget.session.set_threshold(0.8)
    settled(agree, qtbot)
    ours = [row_count(widget, layer) for layer in widget.bench.image_layers()]
    assert ours != five and texts(agree, 2) == [str(n) for n in ours] and texts(agree, PERSON) == [str(n) for n in five]
    assert widget.bench.part(Agreements).agreement().bias == np.mean(np.array(ours) - five)
    # A corrected count is the person's own.
    assert not widget.cells_section.interval.isHidden()
    key, count = widget.session.chosen, widget.session.cells.count()
    widget.session.edit(key, edits.delete, [int(widget.session.view_of(key).labels().max())])
    settled(agree, qtbot)
    assert widget.session.cells.count() == count - 1 and texts(agree, 2) == [str(n) for n in ours]
    assert widget.cells_section.interval.isHidden() and "corrected" in widget.cells_section.count.toolTip()


def test_clicks_are_counted_and_our_cells_are_hidden_meanwhile(
    agree: AgreementWidget, widget: SegmentWidget, viewer: Any, five: list[int], qtbot: Any
) -> None:
    settled(agree, qtbot)
    ours = layers_of(widget)
    agree.table.choose(agree.table.entries[4].id)
    press(agree.by_clicking, qtbot)
    points = viewer.layers.selection.active
    assert points.name == "n36 counted by you" and points.mode == "add"
    assert not ours.labels.visible and not ours.points.visible
    for place in ((40, 40), (40, 80), (80, 40)):
        click(viewer, qtbot, points, place)
    assert agree.counting.clicked.text() == "3"
    press(agree.counting.back, qtbot)
    assert agree.counting.clicked.text() == "2"
    # Beside the image nothing can be counted.
    points.add([[-30, 10]])
    assert agree.counting.clicked.text() == "2" and "1 beside the image" in agree.message.text()
    # Stopped, or its layer thrown away: the clicks are there again.
    press(agree.counting.stop, qtbot)
    settled(agree, qtbot)
    assert not points.visible and ours.labels.visible and texts(agree, PERSON)[4] == ""
    press(agree.by_clicking, qtbot)
    assert agree.counting.clicked.text() == "2" and viewer.layers.selection.active is points
    click(viewer, qtbot, viewer.layers.selection.active, (100, 100))
    viewer.layers.remove(viewer.layers.selection.active)
    settled(agree, qtbot)
    assert not agree.known.clicking.running and ours.labels.visible
    press(agree.by_clicking, qtbot)
    assert agree.counting.clicked.text() == "3"
    press(agree.counting.done, qtbot)
    settled(agree, qtbot)
    assert texts(agree, PERSON)[4] == "3" and agree.by_clicking.isVisible()
    assert len(agree.known.store.people()[agree.table.entries[4].id].points) == 3


def test_planes_of_a_film_are_counted_each_for_itself(
    agree: AgreementWidget, widget: SegmentWidget, viewer: Any, network: BrightnessNetwork, qtbot: Any
) -> None:
    film = np.stack([draw_discs(n, 128) for n in NUMBERS])
    viewer.add_image(film, name="film", axis_labels=("t", "y", "x"))
    want_all(widget)
    qtbot.mouseClick(widget.run_section.segment, LEFT)
    all_done(widget, qtbot)
    settled(agree, qtbot)
    assert texts(agree, IMAGE) == [f"film, T {i}" for i in range(5)]
    ids = [entry.id for entry in agree.table.entries]
    assert len(set(ids)) == 5 and [entry.automatic for entry in agree.table.entries] == sorted(
        entry.automatic or 0 for entry in agree.table.entries
    )
    agree.table.choose(ids[3])
    press(agree.by_clicking, qtbot)
    # It is the plane in view, and our cells in it are not seen.
    ours, points = layers_of(widget), viewer.layers.selection.active
    assert viewer.dims.current_step[0] == 3 and not ours.labels.visible and not ours.points.visible
    for place in ((40, 40), (40, 80)):
        click(viewer, qtbot, points, place)
    assert agree.counting.clicked.text() == "2"
    # Clicks on another plane would be of that one.
    viewer.dims.set_current_step(0, 1)
    settled(agree, qtbot)
    assert not agree.known.clicking.running and not points.visible
    agree.table.choose(ids[3])
    press(agree.by_clicking, qtbot)
    assert viewer.dims.current_step[0] == 3 and agree.counting.clicked.text() == "2"
    press(agree.counting.done, qtbot)
    settled(agree, qtbot)
    assert texts(agree, PERSON)[3] == "2" and agree.known.store.people()[ids[3]].image == "film, T 3"
    # Five planes counted give an interval for each of them.
    for row, number in enumerate(NUMBERS):
        type_count(agree, row, str(number), qtbot)
    settled(agree, qtbot)
    found = agree.known.worth(widget.session.cells)
    assert found is not None and found.n == 5 and found.interval is not None


def test_another_day_the_interval_is_there_at_the_first_image(
    make_napari_viewer: Callable[..., Any], network: BrightnessNetwork, qtbot: Any
) -> None:
    first = make_napari_viewer(show=True)
    widget = SegmentWidget(first)
    first.window.add_dock_widget(widget)
    agree = dock(first)
    ours = segment_all(first, widget, qtbot)
    settled(agree, qtbot)
    for row, n in enumerate(ours):
        type_count(agree, row, str(n + 2), qtbot)
    expected = agree.known.agreement().interval(20)
    first.close()
    second = make_napari_viewer(show=True)
    widget = SegmentWidget(second)
    second.window.add_dock_widget(widget)
    second.add_image(draw_discs(20), name="new")
    press_segment(widget, qtbot)
    assert widget.cells_section.interval.isHidden()
    widget.session.set_threshold(0.5)
    qtbot.waitUntil(lambda: not widget.cells_section.interval.isHidden(), timeout=5000)
    assert widget.session.cells.count() == 20
    assert widget.cells_section.interval.text() == f"({expected.low} to {expected.high})"
    again = dock(second)
    settled(again, qtbot)
    assert texts(again, IMAGE)[0] == "new" and len(texts(again, IMAGE)) == 6


def test_counts_of_a_batch_and_the_report(
    agree: AgreementWidget,
    widget: SegmentWidget,
    viewer: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> None:
    make_model(user_models_dir() / "tiny", in_channels=3)
    for i in range(5):
        noise = np.random.default_rng(i).random((96, 96), dtype=np.float32) * 0.3
        tifffile.imwrite(tmp_path / f"a{i}.tif", ((draw_discs(4 + 3 * i, 96) + noise) * 40_000).astype(np.uint16))
    out = tmp_path / "results"
    for _ in iter_batch(find_images([tmp_path]), out, Recipe("tiny")):
        pass
    agree.choose_batch(tmp_path)
    settled(agree, qtbot)
    assert "holds no results of a batch" in agree.message.text()
    agree.choose_batch(out / "counts.csv")
    settled(agree, qtbot)
    assert texts(agree, IMAGE) == [f"a{i}.tif" for i in range(5)] and "tiny, threshold 0.50" in agree.settings.text()
    # One that is not open is opened for counting.
    press(agree.by_clicking, qtbot)
    qtbot.waitUntil(lambda: agree.known.clicking.running, timeout=20_000)
    assert viewer.layers[0].name == "a0"
    click(viewer, qtbot, viewer.layers.selection.active, (40, 40))
    press(agree.counting.done, qtbot)
    settled(agree, qtbot)
    assert texts(agree, PERSON) == ["1", "", "", "", ""]
    for row in range(5):
        type_count(agree, row, str(5 + row), qtbot)
    assert "On 5 images" in agree.verdict.text() and "by manual count (95" in agree.worth.text()
    # The window counts with the same settings, so that it knows an interval at once; also of the image itself.
    widget.session.choose_model("tiny")
    widget.session.choose(viewer.layers["a0"].unique_id)
    press_segment(widget, qtbot)
    settled(agree, qtbot)
    assert str(widget.session.cells.count()) == texts(agree, 2)[0] and agree.table.entries[0].key is not None
    assert not widget.cells_section.interval.isHidden()
    assert "You counted 5." in widget.cells_section.count.toolTip()
    shown = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: shown.append(url.toLocalFile()))
    agree.save_report(tmp_path / "report")
    assert not agree.report.isEnabled(), "it is being written"
    agree.refresh()
    assert agree.report.isEnabled() is not agree.reporting
    qtbot.waitUntil(agree.report.isEnabled, timeout=20_000)
    qtbot.waitUntil(lambda: bool(shown), timeout=20_000)
    assert "Bland" in Path(shown[0]).read_text(encoding="utf-8")


def test_fits_the_smallest_window_and_follows_the_theme(
    agree: AgreementWidget, widget: SegmentWidget, viewer: Any, five: list[int], qtbot: Any
) -> None:
    settled(agree, qtbot)
    for row, ours in enumerate(five):
        type_count(agree, row, str(ours - 1), qtbot)
    for theme, panel in itertools.product(("dark", "light"), (agree, widget)):
        viewer.theme = theme
        panel.parent().raise_()
        qtbot.wait(200)
        assert panel.isVisible() and agree.plot._colors == theme_colors(theme)
        scroll = panel.findChild(QScrollArea)
        assert scroll.verticalScrollBar().maximum() == 0, "it has to be scrolled"
        assert scroll.widget().minimumSizeHint().width() <= scroll.viewport().width()


def test_an_image_unlike_those_of_the_training_is_told(
    widget: SegmentWidget, viewer: Any, network: BrightnessNetwork, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cellseg.segmentation import familiar
    from napari_cellseg.segmentation.notices import notices

    rng = np.random.default_rng(0)
    known = familiar.Familiar.from_features(np.array([familiar.image_features(draw_discs(n)) for n in (9, 16, 25)]))
    monkeypatch.setattr(familiar, "familiar_to", lambda version: known)

    def noticing(*asked: Any) -> Any:
        """The stand-in network, with the notices that real predictions get."""
        found = yield from network(*asked)
        count = found.instances.count(found.threshold, found.min_size)
        noticed = notices(found.plane, found.normalizer, found.model, found.prediction, count)
        return replace(found, prediction=replace(found.prediction, notes=noticed))

    monkeypatch.setattr(sys.modules["napari_cellseg.segmentation.segment"], "iter_predict_image", noticing)
    viewer.add_image(draw_discs(20), name="alike")
    press_segment(widget, qtbot)
    assert "unlike" not in widget.cells_section.note.full_text
    viewer.add_image((255 * (1 - 0.6 * rng.random((96, 96, 3)))).astype(np.uint8), name="stained", rgb=True)
    press_segment(widget, qtbot)
    assert "unlike the 3 that cells was trained on" in widget.cells_section.note.full_text
    assert any("unlike" in note for note in layers_of(widget).labels.metadata["napari_cellseg"]["notes"])
