"""The whole image in the background: a real child writes the labels, the window goes on, and shows them at the end."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from qtpy.QtCore import QThreadPool, QTimer
from scipy import ndimage as ndi

from napari_cellseg.gui.segment.whole_run import results_folder
from napari_cellseg.gui.viewer.drawn_regions import RECTANGLE, DrawnRegions
from napari_cellseg.gui.viewer.layer_image import METADATA_KEY
from napari_cellseg.gui.viewer.opening import add_opened, read_paths
from napari_cellseg.gui.viewer.regions import Regions
from napari_cellseg.imaging.errors import ImageError
from napari_cellseg.imaging.write.zarr_labels import read_pyramid

from ..conftest import draw_discs, press_segment, settled
from ..viewer.test_region import LEFT, choose, look_at, part_of

PATIENCE = 240_000


@pytest.fixture
def slide(widget: Any, viewer: Any, tmp_path: Path, qtbot: Any) -> Any:
    """A file with 36 discs, opened; what runs is ended with the test."""
    path = tmp_path / "slide.tif"
    picture = np.clip(draw_discs(36, 600) * 255, 0, 255).astype(np.uint8)
    tifffile.imwrite(path, picture, resolution=(20000, 20000), resolutionunit="CENTIMETER")
    layers, problems = add_opened(viewer, read_paths([path]))
    assert not problems
    qtbot.wait(50)
    yield layers[0]
    run = widget.whole_run
    if run.job.child is not None:
        run.job.child.kill()
    qtbot.waitUntil(lambda: not run.busy, timeout=60_000)
    assert QThreadPool.globalInstance().waitForDone(20_000)


def start(widget: Any, qtbot: Any) -> None:
    """Take the entry of the menu with the mouse."""
    button = widget.run_section.where
    menu = button.menu()

    def pick() -> None:
        shown.append(menu.isVisible())
        qtbot.mouseClick(menu, LEFT, pos=menu.actionGeometry(button.behind).center())

    shown: list[bool] = []
    QTimer.singleShot(100, pick)
    qtbot.mouseClick(button, LEFT)
    qtbot.waitUntil(lambda: bool(shown), timeout=5000)
    qtbot.wait(20)
    assert shown == [True] and widget.whole_run.has_news


def ended(widget: Any, qtbot: Any) -> str:
    qtbot.waitUntil(lambda: not widget.whole_run.busy, timeout=PATIENCE)
    qtbot.wait(50)
    return widget.whole_section.text.text()


def all_cells(viewer: Any) -> Any:
    found = [layer for layer in viewer.layers if "whole" in layer.metadata.get(METADATA_KEY, {}) and layer.visible]
    assert len(found) == 1
    return found[0]


def test_the_whole_is_done_with_the_sliders_of_a_part_and_shown(
    widget: Any, viewer: Any, slide: Any, qtbot: Any, tmp_path: Path
) -> None:
    choose(widget, qtbot, "visible")
    look_at(viewer, qtbot, (150.0, 150.0), 4.0)
    press_segment(widget, qtbot)
    qtbot.waitUntil(lambda: widget.session.cells is not None, timeout=60_000)
    part = part_of(widget)
    assert widget.bench.part(Regions).is_part(part.unique_id)
    widget.session.set_threshold(0.42)
    widget.session.set_min_size(33)
    # Drawn on the part, it is a region of the whole.
    drawn = widget.bench.part(DrawnRegions)
    drawn.draw(RECTANGLE)
    places = [part.data_to_world(corner) for corner in ((9.5, 4.5), (9.5, 44.5), (59.5, 44.5), (59.5, 4.5))]
    drawn.shapes().add_rectangles(np.array([drawn.shapes().world_to_data(place) for place in places]))
    settled(widget, qtbot)
    start(widget, qtbot)
    # Meanwhile the window goes on.
    assert widget.whole_section.isVisible() and widget.run_section.segment.isEnabled()
    text = ended(widget, qtbot)
    out = tmp_path / "slide cells"
    assert "cells, saved in 'slide cells'" in text and not widget.whole_run.failed, text
    assert widget.whole_section.toolTip() == str(out) and not widget.whole_section.text.toolTip()
    assert widget.scroll.verticalScrollBar().maximum() == 0, "it has to be scrolled"
    recipe = json.loads((out / "recipe.json").read_text())
    recipe = recipe.get("recipe", recipe)
    assert (recipe["threshold"], recipe["min_size"], recipe["blocks"]) == (0.42, 33, True)
    layer = all_cells(viewer)
    labels = np.asarray(layer.data[0] if layer.multiscale else layer.data)
    count = int(text.split()[0].replace(",", ""))
    assert labels.shape == (600, 600) and labels.max() == count == len(np.unique(labels)) - 1 and count > 20
    assert (out / "cells.csv").is_file() and not layer.editable
    with (out / "regions.csv").open(newline="") as file:
        (region,) = csv.DictReader(file)
    corner = np.add(part.metadata[METADATA_KEY]["origin"]["offset_yx"], (10, 5))
    centres = np.floor(np.array(ndi.center_of_mass(labels > 0, labels, range(1, count + 1))) + 0.5) - corner
    inside = ((centres >= 0) & (centres < (50, 40))).all(axis=1)
    assert (int(region["area_px"]), int(region["count"])) == (2000, inside.sum())
    for corner in ((0, 0), (599, 599)):
        np.testing.assert_allclose(layer.data_to_world(corner), slide.data_to_world(corner))
    assert viewer.layers.index(layer) == viewer.layers.index(slide) + 1
    # Started again, nothing is done twice.
    qtbot.mouseClick(widget.whole_section.button, LEFT)
    assert not widget.whole_section.isVisible()
    start(widget, qtbot)
    assert "there already" in ended(widget, qtbot)
    assert all_cells(viewer).metadata[METADATA_KEY]["count"] == count


def test_another_image_has_a_count_and_cells_of_its_own(
    widget: Any, viewer: Any, slide: Any, qtbot: Any, tmp_path: Path
) -> None:
    start(widget, qtbot)
    first = int(ended(widget, qtbot).split()[0])
    path = tmp_path / "other.tif"
    tifffile.imwrite(path, np.clip(draw_discs(9, 300) * 255, 0, 255).astype(np.uint8))
    (layer,), _ = add_opened(viewer, read_paths([path]))
    viewer.layers.selection.active = layer
    qtbot.wait(50)
    start(widget, qtbot)
    text = ended(widget, qtbot)
    second = int(text.split()[0])
    assert "'other cells'" in text and second < first
    shown = {
        layer.metadata[METADATA_KEY]["whole"]: layer
        for layer in viewer.layers
        if "whole" in layer.metadata[METADATA_KEY]
    }
    assert len(shown) == 2
    labels = {Path(name).name: np.asarray(layer.data).max() for name, layer in shown.items()}
    assert labels == {"slide cells": first, "other cells": second}


def test_the_cells_of_a_second_run_take_the_place_of_the_first(
    widget: Any, viewer: Any, slide: Any, qtbot: Any
) -> None:
    start(widget, qtbot)
    ended(widget, qtbot)
    before = all_cells(viewer)
    old = np.asarray(before.data)
    press_segment(widget, qtbot)
    qtbot.waitUntil(lambda: widget.session.cells is not None, timeout=60_000)
    # So that only the largest discs are left.
    widget.session.set_min_size(5000)
    start(widget, qtbot)
    count = int(ended(widget, qtbot).split()[0])
    after = all_cells(viewer)
    assert after is before and count < old.max() and np.asarray(after.data).max() == count


def film(path: Path, counts: tuple[int, ...]) -> Path:
    """Frames with two channels, the first of which is empty."""
    frames = np.stack([np.clip(draw_discs(n, 200) * 255, 0, 255).astype(np.uint8) for n in counts])
    values = np.stack([np.zeros_like(frames), frames], axis=1)
    tifffile.imwrite(path, values, ome=True, metadata={"axes": "TCYX", "Channel": {"Name": ["none", "GFP"]}})
    return path


def test_all_planes_of_a_film_with_channels(widget: Any, viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    path = film(tmp_path / "film.ome.tif", (4, 9, 16))
    (image,), problems = add_opened(viewer, read_paths([path]))
    assert not problems and image.ndim == 4
    qtbot.wait(50)
    widget.input_section.channel.setCurrentIndex(1)
    widget.input_section.channel.activated.emit(1)
    start(widget, qtbot)
    text = ended(widget, qtbot)
    assert "in 3 planes, saved in 'film cells'" in text and not widget.whole_run.failed, text
    layer = all_cells(viewer)
    assert layer.data.shape == (3, 2, 200, 200) and not layer.editable
    labels = np.asarray(layer.data)
    # Every channel shows the cells of its time point.
    np.testing.assert_array_equal(labels[:, 0], labels[:, 1])
    counts = [len(np.unique(labels[frame, 0])) - 1 for frame in range(3)]
    assert counts[0] < counts[1] < counts[2] and sum(counts) == int(text.split()[0])
    for corner in ((0, 0, 0, 0), (2, 1, 199, 199)):
        np.testing.assert_allclose(layer.data_to_world(corner), image.data_to_world(corner))
    viewer.dims.set_current_step(0, 1)
    viewer.dims.set_current_step(1, 1)
    qtbot.wait(100)
    assert layer.get_value(np.array([1, 1, 33, 33]), world=True)


def test_a_plane_that_cannot_be_read_is_told_and_the_others_are_shown(
    widget: Any, viewer: Any, qtbot: Any, tmp_path: Path
) -> None:
    frames = np.stack([np.clip(draw_discs(9, 128) * 255, 0, 255).astype(np.uint8)] * 2)
    path = tmp_path / "film.ome.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", shape=frames.shape, chunks=(1, 128, 128), dtype="u1")[:] = frames
    axes = [{"name": "t", "type": "time"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    steps = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
    group.attrs["multiscales"] = [
        {"version": "0.4", "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}
    ]
    _, problems = add_opened(viewer, read_paths([path]))
    assert not problems
    qtbot.wait(50)
    (path / "0" / "1.0.0").write_bytes(b"no more")
    start(widget, qtbot)
    text = ended(widget, qtbot)
    assert widget.whole_run.failed and "1 planes failed" in widget.whole_section.text.toolTip(), text
    layer = all_cells(viewer)
    labels = np.asarray(layer.data)
    assert labels.shape == (2, 128, 128) and labels[0].max() > 4 and not labels[1].any()


def test_it_can_be_cancelled_and_goes_on(widget: Any, slide: Any, qtbot: Any) -> None:
    start(widget, qtbot)
    qtbot.waitUntil(lambda: widget.whole_run.job.running, timeout=20_000)
    qtbot.mouseClick(widget.whole_section.button, LEFT)
    assert "goes on" in ended(widget, qtbot)
    start(widget, qtbot)
    assert "cells, saved in" in ended(widget, qtbot)


def test_what_is_in_no_file_and_what_is_only_a_part_of_one_is_refused(
    widget: Any, viewer: Any, slide: Any, qtbot: Any
) -> None:
    viewer.add_image(draw_discs(), name="made here")
    qtbot.wait(50)
    start(widget, qtbot)
    assert "'made here' is in no file" in ended(widget, qtbot) and widget.whole_run.failed
    viewer.add_image(slide.data[:300, :200], name="cropped", metadata=dict(slide.metadata))
    qtbot.wait(50)
    start(widget, qtbot)
    ended(widget, qtbot)
    text = widget.whole_section.text.toolTip()
    assert "slide.tif holds 600 x 600" in text and "300 x 200" in text and widget.whole_run.failed


def test_a_file_that_cannot_be_read_any_more_is_told(widget: Any, slide: Any, qtbot: Any) -> None:
    Path(slide.metadata[METADATA_KEY]["path"]).write_bytes(b"II*\0 no more")
    start(widget, qtbot)
    assert "slide.tif" in ended(widget, qtbot) and widget.whole_run.failed


def test_a_long_error_fits_on_a_small_screen(widget: Any, slide: Any, network: Any, qtbot: Any) -> None:
    """With cells, sliders and the sentence at its longest there is nothing to scroll."""
    press_segment(widget, qtbot)
    start(widget, qtbot)
    ended(widget, qtbot)
    assert widget.scroll.verticalScrollBar().maximum() == 0, "it has to be scrolled"
    section = widget.whole_section
    assert section.text.width() > 150 and section.button.width() >= section.button.sizeHint().width()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_where_nothing_may_be_written_results_go_home(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert results_folder(tmp_path / "slide.ome.tif").name == "slide cells"
        assert tmp_path not in results_folder(tmp_path / "slide.ome.tif").parents
    finally:
        tmp_path.chmod(0o700)


def test_labels_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="Run again"):
        read_pyramid(tmp_path / "nothing.ome.zarr")
