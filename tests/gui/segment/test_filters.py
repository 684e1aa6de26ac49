"""More filters in the real window: asleep until used, live, with ghosts, and the number that is saved."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellseg.gui.segment.ghosts import Ghosts
from napari_cellseg.instances.filters import AREA, AT_LEAST, AT_MOST, CIRCULARITY, FRAME, INTENSITY, Filters, filters_of

from ..conftest import draw_discs, layers_of, press_segment, settled


def slider(widget: Any, measure: str, sign: str) -> Any:
    return next(one for one in widget.filters_section.sliders if (one.measure, one.sign) == (measure, sign))


def choose_edges(widget: Any, rule: str) -> None:
    box = widget.filters_section.edges
    box.setCurrentIndex(box.findData(rule))
    box.activated.emit(box.currentIndex())


def test_filters_are_live_seen_as_ghosts_and_saved(
    widget: Any, viewer: Any, network: Any, qtbot: Any, tmp_path: Path
) -> None:
    picture = draw_discs(16)
    picture = picture / picture.max()
    # One disc is cut off by the right edge, and one is a bar.
    picture = np.where(np.arange(160) < 150, picture, 0)[:, :145].astype(np.float32)
    picture[20:24, 2:30] = 0.9
    viewer.add_image(picture, name="discs")
    press_segment(widget, qtbot)
    settled(widget, qtbot)
    section, session, n_layers = widget.filters_section, widget.session, len(viewer.layers)
    before, n = session.cells.corrected, session.cells.count()
    assert not section.isVisible() and "_circularity" not in before.instances.traits.__dict__
    widget.filters_fold.unfold(True)
    roundness = slider(widget, CIRCULARITY, AT_LEAST)
    qtbot.waitUntil(roundness.isEnabled, timeout=20_000)
    assert session.cells.corrected is before and session.filters == Filters() and len(viewer.layers) == n_layers
    assert section.count.text() == "no filter is set" and roundness.number.text() == "any"
    roundness.setValue(0.6)
    dropped = n - session.cells.count()
    assert dropped > 0 and section.count.text().startswith(f"{dropped} cell")
    assert widget.cells_section.count.text().startswith(f"{session.cells.count()} cell")
    labels = layers_of(widget).labels
    qtbot.waitUntil(lambda: np.array_equal(labels.data, session.cells.view.labels()), timeout=5000)
    section.ghosts.setChecked(True)
    ghosts = widget.bench.part(Ghosts)
    qtbot.waitUntil(lambda: ghosts.shown("dropped") is not None, timeout=5000)
    np.testing.assert_array_equal(ghosts.shown("dropped").data, session.cells.dropped())
    assert viewer.layers.selection.active is labels
    # At the open end nothing is compared, and an arrow key leads back from there.
    roundness.slider.setValue(0)
    assert session.filters == Filters() and session.cells.count() == n
    brightest = slider(widget, INTENSITY, AT_MOST)
    brightest.number.stepUp()
    assert session.filters.value(INTENSITY, AT_MOST) == brightest.span[1]
    brightest.slider.setValue(brightest.slider.maximum() - 1)
    brightest.slider.setValue(brightest.slider.maximum())
    assert session.filters == Filters()
    slider(widget, AREA, AT_MOST).setValue(int(np.median(session.cells.areas())))
    choose_edges(widget, FRAME)
    assert "unbiased" in section.about_edges.text()
    kept = session.cells.count()
    section.guard.setValue(50)
    assert session.filters.edges == "frame:50" and session.cells.count() < kept and section.guard.isVisible()
    section.guard.setValue(0)
    assert 0 < kept < n and session.cells.count() == kept and session.recipe_shown().sieve == session.filters
    qtbot.waitUntil(lambda: np.array_equal(ghosts.shown("dropped").data, session.cells.dropped()), timeout=5000)
    widget.result_section.save_to(tmp_path / "saved")
    qtbot.waitUntil(lambda: (tmp_path / "saved" / "counts.csv").exists(), timeout=20_000)
    with (tmp_path / "saved" / "counts.csv").open(newline="") as file:
        assert int(next(csv.DictReader(file))["count"]) == kept
    # Folded, the filters stay, and the ghosts go.
    widget.filters_fold.unfold(False)
    qtbot.waitUntil(lambda: len(viewer.layers) == n_layers, timeout=5000)
    assert session.cells.count() == kept


def test_a_slow_measurement_is_made_in_the_background(widget: Any, viewer: Any, network: Any, qtbot: Any) -> None:
    viewer.add_image(draw_discs(16), name="discs")
    press_segment(widget, qtbot)
    settled(widget, qtbot)
    traits = widget.session.cells.corrected.instances.traits
    # The count is right at once; the curve follows.
    widget.session.set_filters(Filters(filters_of(["solidity>=0.9"])))
    cells = widget.session.cells
    assert widget.cells_section.count.text().startswith(f"{cells.count()} cell")
    qtbot.waitUntil(lambda: traits.knows(cells.filters), timeout=20_000)
