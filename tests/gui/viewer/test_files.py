"""Opening, saving, samples, writers and menu commands."""

from __future__ import annotations

import csv
import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from qtpy.QtCore import QMimeData, QPoint, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QInputDialog

from napari_cellseg.gui.menus import samples, writers
from napari_cellseg.gui.menus.commands import measure_layer
from napari_cellseg.gui.segment.channel_box import MIX
from napari_cellseg.gui.segment.preview import SIDE, thumbnail
from napari_cellseg.imaging.errors import CellsegError
from napari_cellseg.imaging.from_array import as_image
from napari_cellseg.imaging.read.ome_zarr import places as zarr_places
from napari_cellseg.imaging.write.ome_metadata import OME_ZARR
from napari_cellseg.imaging.write.write import read_labels, read_metadata, write_labels, write_table
from napari_cellseg.imaging.write.zarr_labels import ZarrLabels
from napari_cellseg.results.inside import put_inside
from napari_cellseg.results.save_cells import command_line, save_cells
from tests.gui.fitting import fits
from tests.imaging.read.ome_zarr.servers import serving
from tests.imaging.read.ome_zarr.test_read import write_ome
from tests.results.test_wells import write_plate

from ..conftest import draw_discs, layers_of, press_segment


def opened(widget: Any, qtbot: Any, *paths: Path) -> None:
    widget.image_section.open_paths(paths)
    qtbot.waitUntil(lambda: not widget.bench.busy, timeout=10_000)
    qtbot.wait(20)


def test_open_files_with_their_scale(widget: Any, viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        (draw_discs(4)[None].repeat(2, 0) * 1000).astype(np.uint16),
        metadata={
            "axes": "CYX",
            "PhysicalSizeX": 0.25,
            "PhysicalSizeY": 0.5,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeYUnit": "µm",
            "Channel": {"Name": ["DAPI", "GFP"]},
        },
    )
    opened(widget, qtbot, tmp_path / "a.ome.tif")
    layer = viewer.layers[0]
    assert tuple(layer.scale[-2:]) == (0.5, 0.25) and str(layer.units[-1]) == "micrometer"
    channel = widget.input_section.channel
    assert [channel.itemText(i) for i in range(channel.count())] == ["0 DAPI", "1 GFP", MIX]
    assert "0.25 µm per pixel" in widget.input_section.facts.text()
    assert widget.session.recipe_asked().channel == 0


def test_open_a_folder_with_a_bad_file(widget: Any, viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    for name in ("b2.tif", "b10.tif"):
        tifffile.imwrite(tmp_path / name, draw_discs(4))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n not really")
    opened(widget, qtbot, tmp_path)
    assert [layer.name for layer in viewer.layers] == ["b2", "b10"]
    assert [layer.visible for layer in viewer.layers] == [True, False]
    assert widget.session.state.kind == "failed" and "broken.png" in widget.run_section.message.text()
    box = widget.image_section.image_layer
    box.setCurrentIndex(box.findText("b10"))
    box.activated.emit(box.currentIndex())
    assert [layer.visible for layer in viewer.layers] == [False, True]


def test_a_large_file_opens_piece_by_piece(
    widget: Any, viewer: Any, network: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_cellseg.imaging.read.pyramid.DIRECT_BYTES", 1000)
    monkeypatch.setattr("napari_cellseg.imaging.read.pyramid.COARSEST", 64)
    tifffile.imwrite(tmp_path / "large.tif", draw_discs())
    opened(widget, qtbot, tmp_path / "large.tif")
    layer = viewer.layers[0]
    assert layer.multiscale and [level.shape for level in layer.data] == [(160, 160), (40, 40)]
    assert "160 × 160" in widget.input_section.facts.text()
    press_segment(widget, qtbot)
    assert layers_of(widget).labels.data.shape == (160, 160) and widget.session.cells.count() == 16


def write_slide(path: Path, values: np.ndarray) -> Path:
    """An OME-Zarr image of two channels with three levels."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    for level, step in enumerate((1, 2, 4)):
        data = np.ascontiguousarray(values[:, ::step, ::step])
        group.create_array(str(level), data=data, chunks=(1, 160, 160))
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    datasets = [
        {"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": [1.0, 0.5 * s, 0.5 * s]}]}
        for i, s in enumerate((1, 2, 4))
    ]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    group.attrs["omero"] = {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}
    return path


@pytest.mark.parametrize("broken", [False, True])
def test_a_slide_is_shown_by_the_levels_of_its_file(
    widget: Any, viewer: Any, network: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    monkeypatch.setattr("napari_cellseg.imaging.read.pyramid.DIRECT_BYTES", 1000)
    monkeypatch.setattr("napari_cellseg.imaging.read.pyramid.COARSEST", 640)
    discs = draw_discs(100, 640)
    path = write_slide(tmp_path / "slide.ome.zarr", np.stack([discs, discs[::-1]]))
    if broken:
        (path / "2" / "0.0.0").write_bytes(b"no more")
        (path / "1" / "0.0.1").write_bytes(b"no more")
    opened(widget, qtbot, path)
    (layer,) = viewer.layers
    assert tuple(layer.axis_labels) == ("c", "y", "x") and tuple(layer.scale[-2:]) == (0.5, 0.5)
    assert [level.shape for level in layer.data] == [(2, 640, 640), (2, 320, 320), (2, 160, 160)]
    assert ("pieces of it cannot be read" in widget.run_section.message.text()) is broken
    # Pieces that cannot be read are black, and the others are there.
    middle, coarsest = np.asarray(layer.data[1]), np.asarray(layer.data[2])
    assert bool(coarsest[0].any()) is not broken and bool(middle[0, :160, 160:].any()) is not broken
    assert coarsest[1].any() and middle[0, :, :160].any() and middle[1].any()
    channel = widget.input_section.channel
    assert [channel.itemText(i) for i in range(2)] == ["0 DAPI", "1 GFP"]
    press_segment(widget, qtbot)
    assert widget.session.cells.count() == 100


@pytest.mark.parametrize("version", OME_ZARR)
def test_labels_in_an_image_open_with_the_plugin_for_ome_zarr(viewer: Any, tmp_path: Path, version: str) -> None:
    values = np.zeros((64, 64), np.int32)
    values[10:20, 30:40] = 7
    everything = slice(0, 64), slice(0, 64)
    alone = ZarrLabels(tmp_path / "alone.ome.zarr", (64, 64), version)
    alone.write(everything, values)
    alone.finish({"count": 1}, (0.5, 0.25))
    (layer,) = viewer.open(tmp_path / "alone.ome.zarr", plugin="napari-ome-zarr")
    assert layer._type_string == "labels" and tuple(layer.scale) == (0.5, 0.25)
    np.testing.assert_array_equal(layer.data, values)
    path = write_ome(tmp_path / "a.ome.zarr", np.stack([values.astype(np.uint16)] * 2), "cyx", [1, 0.5, 0.25], version)
    put_inside(
        path,
        lambda labels, position: labels.write(everything, values, position),
        lambda file: write_table(file, {"label": [7]}),
        {"count": 1},
        (64, 64),
    )
    *channels, layer = viewer.open(path, plugin="napari-ome-zarr")
    assert [one._type_string for one in channels] == ["image"] * 2 and layer._type_string == "labels"
    assert tuple(layer.scale) == tuple(channels[0].scale) == (0.5, 0.25)
    np.testing.assert_array_equal(layer.data, values)


def test_a_plate_opens_as_the_images_of_its_wells(widget: Any, viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    opened(widget, qtbot, write_plate(tmp_path / "p.ome.zarr", "0.5"))
    assert [layer.name for layer in viewer.layers] == ["p_A_2_0", "p_A_2_1", "p_B_2_0", "p_B_2_1"]
    assert all(tuple(layer.scale) == (0.5, 0.5) for layer in viewer.layers)


def test_an_address_that_is_typed_is_opened(
    widget: Any, viewer: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zarr_places, "_typed", set())
    write_plate(tmp_path / "p.zarr", "0.5")
    with serving(tmp_path) as served:
        opened(widget, qtbot, Path(f"{served.address}/p.zarr"))
        assert not served.asked and "only addresses that you type" in widget.run_section.message.text()
        answers = iter([("no address", True), (f"{served.address}/p.zarr/A/2/0", True)])
        monkeypatch.setattr(QInputDialog, "getText", lambda *_: next(answers))
        open_address = next(a for a in widget.image_section.open_images.menu().actions() if a.text() == "Address …")
        open_address.trigger()
        assert "'no address' is no address" in widget.run_section.message.text()
        open_address.trigger()
        qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=10_000)
    assert viewer.layers[0].name == "p_A_2_0" and tuple(viewer.layers[0].scale) == (0.5, 0.5)


def test_drop_files_on_the_panel(widget: Any, viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "dropped.tif", draw_discs(4))
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "dropped.tif"))])
    action, left, no_key = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(5, 5), action, data, left, no_key)
    widget.dragEnterEvent(enter)
    assert enter.isAccepted()
    widget.dropEvent(QDropEvent(QPoint(5, 5).toPointF(), action, data, left, no_key))
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=10_000)
    assert viewer.layers[0].name == "dropped"


@pytest.mark.parametrize("array", [np.zeros(5), np.zeros((0, 4))])
def test_arrays_that_are_no_image(widget: Any, viewer: Any, qtbot: Any, tmp_path: Path, array: np.ndarray) -> None:
    np.savez(tmp_path / "bad.npz", image=array)
    opened(widget, qtbot, tmp_path / "bad.npz")
    assert not viewer.layers and widget.session.state.kind == "failed"
    assert "bad.npz" in widget.run_section.message.text()


def save(widget: Any, qtbot: Any, folder: Path) -> str:
    widget.result_section.save_to(folder)
    qtbot.waitUntil(widget.result_section.save.isEnabled, timeout=10_000)
    return str(widget.run_section.message.text())


def test_what_is_saved_is_what_is_on_the_screen(segmented: Any, qtbot: Any, tmp_path: Path) -> None:
    segmented.cells_section.threshold.setValue(0.8)
    assert "Saved" in save(segmented, qtbot, tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    n = segmented.session.cells.count()
    assert len(np.unique(read_labels(folder / "discs_labels.tif"))) - 1 == n
    with open(folder / "counts.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], int(row["count"]), float(row["threshold"])) for row in rows] == [("discs", n, 0.8)]
    with open(folder / "discs_cells.csv", encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == n
    assert read_metadata(folder / "discs_labels.tif")["recipe"]["threshold"] == 0.8
    assert json.loads((folder / "discs_recipe.json").read_text())["count"] == n


def test_images_of_one_name_are_saved_beside_each_other(
    widget: Any, viewer: Any, network: Any, qtbot: Any, tmp_path: Path
) -> None:
    out, counted = tmp_path / "out", {}
    for n, plate in ((16, "plate1"), (9, "plate2")):
        (tmp_path / plate).mkdir()
        tifffile.imwrite(tmp_path / plate / "A01.tif", draw_discs(n))
        opened(widget, qtbot, tmp_path / plate / "A01.tif")
        press_segment(widget, qtbot)
        save(widget, qtbot, out)
        counted[plate] = widget.session.cells.count()
    assert "A01_2_labels.tif" in widget.run_section.message.text()
    # What is saved again is replaced.
    widget.cells_section.threshold.setValue(0.8)
    save(widget, qtbot, out)
    counted["plate2"] = widget.session.cells.count()
    found = {stem: len(np.unique(read_labels(out / f"{stem}_labels.tif"))) - 1 for stem in ("A01", "A01_2")}
    assert found == {"A01": counted["plate1"], "A01_2": counted["plate2"]}
    with open(out / "counts.csv", encoding="utf-8", newline="") as file:
        assert {row["labels"]: int(row["count"]) for row in csv.DictReader(file)} == {
            f"{stem}_labels.tif": count for stem, count in found.items()
        }
    # Labels that somebody drew are nobody's results, and stay; an image that was moved keeps its own.
    (tmp_path / "plate2" / "A01.tif").rename(tmp_path / "A01.tif")
    write_labels(tmp_path / "A01_labels.tif", np.ones((160, 160), np.uint16))
    cells = widget.session.cells
    moved = replace(cells.segmented, image=replace(cells.segmented.image, source=str(tmp_path / "A01.tif")))
    assert save_cells(replace(cells, segmented=moved), out, "A01")[0].name == "A01_2_labels.tif"
    assert save_cells(cells, tmp_path, "A01")[0].name == "A01_2_labels.tif"
    assert (read_labels(tmp_path / "A01_labels.tif") == 1).all()


def test_a_folder_that_can_not_be_written(segmented: Any, qtbot: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    said = save(segmented, qtbot, tmp_path / "file" / "inside")
    assert segmented.session.state.kind == "failed" and "file" in said and "Choose" in said
    assert segmented.session.cells is not None and segmented.run_section.segment.isEnabled()


def test_a_full_disk_leaves_the_old_file(
    segmented: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(segmented, qtbot, tmp_path)
    before = (tmp_path / "discs_labels.tif").read_bytes()
    segmented.cells_section.threshold.setValue(0.8)

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    said = save(segmented, qtbot, tmp_path)
    assert segmented.session.state.kind == "failed" and "discs_labels.tif" in said
    assert (tmp_path / "discs_labels.tif").read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_the_copied_command_says_it_all(widget: Any, viewer: Any, network: Any, qtbot: Any, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "my cells.tif", draw_discs(4))
    opened(widget, qtbot, tmp_path / "my cells.tif")
    press_segment(widget, qtbot)
    widget.cells_section.threshold.setValue(0.625)
    widget.result_section.copy_command.click()
    text = QApplication.clipboard().text()
    assert text.startswith("napari-cellseg segment '") and "my cells.tif' --out results" in text
    assert "--threshold 0.625 --min-size 10" in text
    # A measured diameter is no round number, and a rounded one may give other labels.
    cells = widget.session.cells
    segmented = replace(cells.segmented, recipe=replace(cells.segmented.recipe, diameter=100 / 3))
    words = command_line(replace(cells, segmented=segmented)).split()
    assert float(words[words.index("--diameter") + 1]) == 100 / 3


def test_samples_open(viewer: Any) -> None:
    for sample in (samples.fluorescence, samples.histology):
        data, attributes, kind = sample()[0]
        assert kind == "image"
        layer = viewer.add_image(data, **attributes)
        assert layer.ndim == 2
    assert viewer.layers["histology"].rgb
    with pytest.raises(CellsegError, match="missing"):
        samples.sample_path("none such")


def test_writers(segmented: Any, tmp_path: Path) -> None:
    labels = layers_of(segmented).labels
    data, attributes, _ = labels.as_layer_data_tuple()
    tiff, table = tmp_path / "a.tif", tmp_path / "a.csv"
    assert writers.write_labels_tiff(str(tiff), data, attributes) == [str(tiff)]
    assert writers.write_cells_csv(str(table), data, attributes) == [str(table)]
    assert np.array_equal(read_labels(tiff), labels.data)
    assert read_metadata(tiff)["count"] == 16
    assert len(table.read_text().splitlines()) == 17
    edited = data.copy()
    edited[edited == edited.max()] = 0
    writers.write_cells_csv(str(table), edited, attributes)
    assert len(table.read_text().splitlines()) == 16
    with pytest.raises(CellsegError, match="3 dimensions"):
        writers.write_labels_tiff(str(tiff), np.zeros((2, 3, 4), int), {})


def test_measure_any_labels_layer(viewer: Any) -> None:
    viewer.add_image(draw_discs(4), name="discs")
    labels = viewer.add_labels((draw_discs(4) > 0.3).astype(int) * 3, name="mine")
    assert measure_layer(labels, viewer.layers) == 1
    assert list(labels.features["index"]) == [3] and labels.features["mean_intensity"][0] > 0.3
    with pytest.raises(CellsegError, match="'discs' is not a labels layer"):
        measure_layer(viewer.layers["discs"])


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (2000, 3), (515, 389), (300, 301, 3)])
def test_thumbnails(shape: tuple[int, ...]) -> None:
    image = as_image(np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8))
    pixels = thumbnail(image)
    assert pixels.dtype == np.uint8 and max(pixels.shape[:2]) <= max(SIDE, 1) and min(pixels.shape) >= 1


def test_an_image_with_axes_and_channels_to_choose_fits_the_smallest_window(
    widget: Any, viewer: Any, network: Any, qtbot: Any
) -> None:
    layer = viewer.add_image(np.stack([draw_discs(4), draw_discs(9)]), name="two")
    box = widget.input_section.axes_box
    box.setCurrentIndex(box.findData("CYX"))
    box.activated.emit(box.currentIndex())
    channel = widget.input_section.channel
    channel.setFocus()
    QTest.keyClick(channel, Qt.Key.Key_Down)
    press_segment(widget, qtbot)
    assert widget.bench.layer_of(widget.session.chosen) is layer and widget.session.cells.count() == 9
    assert widget.input_section.channel.isVisible() and box.isVisible()
    fits(widget.scroll, widget.result_section, whole=True)
    low = widget.cells_section.curve.height()
    viewer.add_image(draw_discs(4), name="one")
    qtbot.waitUntil(lambda: widget.cells_section.curve.height() > low)
    fits(widget.scroll, whole=True)


def test_a_mix_of_channels_is_ticked_and_segmented(
    widget: Any, viewer: Any, network: Any, qtbot: Any, tmp_path: Path
) -> None:
    left, right = draw_discs(4), draw_discs(4)
    left[:, 80:], right[:, :80] = 0, 0
    # One channel is far brighter: alone it would drown the other.
    values = np.stack([left * 50, np.zeros_like(left), right * 40_000]).astype(np.uint16)
    about = {"axes": "CYX", "Channel": {"Name": ["DAPI", "empty", "GFP"]}}
    tifffile.imwrite(tmp_path / "three.ome.tif", values, metadata=about)
    opened(widget, qtbot, tmp_path / "three.ome.tif")
    channel = widget.input_section.channel
    assert [channel.itemText(i) for i in range(channel.count())] == ["0 DAPI", "1 empty", "2 GFP", MIX]
    channel.setFocus()
    QTest.keyClick(channel, Qt.Key.Key_End)
    qtbot.waitUntil(channel.menu.isVisible)
    assert [tick.isChecked() for tick in channel._ticks] == [True, False, False]
    tick = channel._ticks[2]
    QTest.mouseClick(tick, Qt.MouseButton.LeftButton, pos=QPoint(14, tick.height() // 2))
    assert widget.session.recipe_asked().channel == "0+2" and channel.menu.isVisible()
    QTest.keyClick(channel.menu, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not channel.menu.isVisible())
    assert channel.currentText() == "DAPI + GFP …"
    assert widget.scroll.verticalScrollBar().maximum() == 0, "it has to be scrolled"
    press_segment(widget, qtbot)
    assert widget.session.cells.count() == 4
    command = command_line(widget.session.cells)
    assert "--channel 0+2" in command, command
    # Coming back to a single channel forgets the mix.
    QTest.keyClick(channel, Qt.Key.Key_Home)
    assert widget.session.recipe_asked().channel == 0 and channel.itemText(3) == MIX
    press_segment(widget, qtbot)
    assert widget.session.cells.count() == 2
