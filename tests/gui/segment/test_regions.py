"""Regions in the real window: drawn, named, live, imported, and counted alike on the command line."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_cellseg.cli import main
from napari_cellseg.gui.viewer.drawn_regions import POLYGON
from napari_cellseg.gui.viewer.opening import add_image
from napari_cellseg.imaging.read.read import read_image
from napari_cellseg.instances.area_files import read_areas, write_outlines

from ..conftest import draw_discs, press_segment, settled

LEFT = np.array([(10, 10), (10, 75), (150, 75), (150, 10)], float)
RIGHT = np.array([(-5, 80), (-5, 159), (70.5, 159), (70.5, 80)], float)
HOLE = np.array([(40, 30), (80, 30), (80, 60), (40, 60)], float)


@pytest.fixture
def opened(widget: Any, viewer: Any, qtbot: Any, tmp_path: Path) -> Any:
    """An image with a pixel size, segmented with the bundled model."""
    about = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(tmp_path / "discs.ome.tif", draw_discs(16).astype(np.float32), ome=True, metadata=about)
    add_image(viewer, read_image(tmp_path / "discs.ome.tif"))
    press_segment(widget, qtbot, timeout=60_000)
    settled(widget, qtbot)
    return widget


def rows_of(widget: Any) -> dict[str, list[str]]:
    table = widget.regions_section.table
    return {table.item(i, 0).text(): [table.item(i, k).text() for k in (1, 2, 3)] for i in range(table.rowCount())}


def test_drawn_regions_are_named_live_and_saved_as_the_command_line_counts(
    opened: Any, viewer: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget, section, session = opened, opened.regions_section, opened.session
    widget.regions_fold.unfold(True)
    assert "Draw a region" in section.rule.text()
    section.drawn.draw(POLYGON)
    shapes = section.drawn.shapes()
    assert viewer.layers.selection.active is shapes and shapes.mode == POLYGON
    shapes.add_polygons(LEFT)
    shapes.add_rectangles(RIGHT)
    qtbot.waitUntil(lambda: list(rows_of(widget)) == ["Region 1", "Region 2"], timeout=5000)
    assert "Region 2 reaches beyond the image" in section.notes.text()
    section.table.item(0, 0).setText("tumour")
    qtbot.waitUntil(lambda: "tumour" in rows_of(widget), timeout=5000)
    assert section.drawn.names() == ["tumour", "Region 2"]
    for threshold in (0.3, 0.6):
        widget.cells_section.threshold.setValue(threshold)
        labels = session.cells.view.labels()
        centres = [np.argwhere(labels == id_).mean(axis=0) for id_ in session.cells.view.ids()]
        inside = sum(10 <= y <= 150 and 10 <= x <= 75 for y, x in centres)
        count, area, density = rows_of(widget)["tumour"]
        assert int(count) == inside > 0 and float(area) == pytest.approx(140 * 65 * 0.25e-6, rel=1e-3)
        assert float(density.replace(",", "")) == pytest.approx(inside / float(area), rel=0.01)
    settled(widget, qtbot)
    widget.result_section.save_to(tmp_path / "window")
    qtbot.waitUntil(lambda: (tmp_path / "window" / "regions.csv").exists(), timeout=20_000)
    section.save_to(tmp_path / "discs_regions.geojson")
    monkeypatch.chdir(tmp_path)
    words = ["--recipe", next((tmp_path / "window").glob("*_recipe.json")).name]
    words[1] = f"window/{words[1]}"
    assert main(["segment", "discs.ome.tif", "--out", "results", *words, "--regions", "beside"]) == 0
    assert (tmp_path / "window" / "regions.csv").read_bytes() == (tmp_path / "results" / "regions.csv").read_bytes()
    with (tmp_path / "results" / "regions.csv").open(newline="") as file:
        assert [row["region"] for row in csv.DictReader(file)] == ["tumour", "Region 2"]
    viewer.layers.remove(shapes)
    assert session.cells.segmented.areas is None and not rows_of(widget)


def test_imported_regions_are_those_of_the_file_holes_too(opened: Any, qtbot: Any, tmp_path: Path) -> None:
    widget, path = opened, tmp_path / "a.geojson"
    write_outlines(path, [("ring", [LEFT, HOLE]), ("", [HOLE])])
    widget.regions_fold.unfold(True)
    widget.regions_section.open_file(path)
    shape = widget.session.cells.segmented.instances.shape
    areas, wanted = widget.session.cells.segmented.areas, read_areas(path, shape)
    assert [area.name for area in areas.areas] == ["ring", "a 2"] and not areas.notes
    for one, other in zip(areas.areas, wanted.areas, strict=True):
        assert one.box == other.box
        np.testing.assert_array_equal(one.mask, other.mask)
    qtbot.waitUntil(lambda: "ring" in rows_of(widget), timeout=5000)
    # Drawn on from here, and joined by a name.
    widget.regions_section.table.item(1, 0).setText("ring")
    qtbot.waitUntil(lambda: list(rows_of(widget)) == ["ring"], timeout=5000)
    assert widget.session.cells.segmented.areas.areas[0].n_pixels == sum(area.n_pixels for area in wanted.areas)
    (tmp_path / "bad.geojson").write_text("{}")
    widget.regions_section.open_file(tmp_path / "bad.geojson")
    assert "bad.geojson" in widget.session.state.sentence
