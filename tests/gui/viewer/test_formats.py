"""Files of microscopes in the window: opened, dropped on the canvas, chosen from a list, or refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import npe2
import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt, QTimer

from napari_cellseg.gui.menus.readers import get_reader
from napari_cellseg.gui.segment.scenes_dialog import ScenesDialog
from napari_cellseg.gui.segment.whole_run import results_folder
from napari_cellseg.gui.viewer.layer_image import layer_folder
from napari_cellseg.gui.viewer.opening import several_in
from napari_cellseg.imaging.errors import ImageError
from napari_cellseg.imaging.read import formats
from tests.imaging.read.microscopes.vendor_files import write_czi, write_lif

from ..conftest import draw_discs, press_segment
from .test_files import opened, save

DISCS = [(draw_discs(n) * 1000).astype(np.uint16) for n in (4, 9, 16)]


def lif(folder: Path) -> Path:
    return write_lif(folder / "exp.lif", [(f"S{i}", "YX", values) for i, values in enumerate(DISCS)])


def test_of_a_file_with_several_images_those_are_opened_that_are_ticked(
    widget: Any, viewer: Any, network: Any, qtbot: Any, tmp_path: Path
) -> None:
    path = lif(tmp_path)
    opened(widget, qtbot, path)
    dialog = widget.image_section.scenes
    assert not viewer.layers and "3 images were found" in widget.run_section.message.text()
    assert [dialog.list.item(i).text() for i in range(3)] == ["exp_S0", "exp_S1", "exp_S2"]
    dialog.none.click()
    assert not dialog.open_button.isEnabled()
    dialog.list.item(2).setCheckState(Qt.CheckState.Checked)
    dialog.open_button.click()
    qtbot.waitUntil(lambda: bool(viewer.layers), timeout=10_000)
    (layer,) = viewer.layers
    assert layer.name == "exp_S2"
    # What it is called stays with its results, and so does where it is.
    press_segment(widget, qtbot)
    assert widget.session.cells.count() == 16
    assert widget.session.cells.segmented.image.source == str(path / "S2")
    assert "exp_S2_labels.tif" in save(widget, qtbot, tmp_path / "out")
    assert layer_folder(layer) == str(tmp_path)
    assert results_folder(path / "S2") == tmp_path / "exp_S2 cells"


def test_of_many_images_the_first_of_each_file_is_ticked(qtbot: Any, tmp_path: Path) -> None:
    for name in ("a.lif", "b.lif"):
        write_lif(tmp_path / name, [(f"S{i}", "YX", DISCS[0]) for i in range(6)])
    tifffile.imwrite(tmp_path / "c.tif", DISCS[0])
    chosen: list[Path] = []
    dialog = ScenesDialog(several_in([tmp_path]), chosen.extend)
    qtbot.addWidget(dialog)
    assert dialog.list.count() == 13
    assert dialog.ticked() == [tmp_path / "a.lif" / "S0", tmp_path / "b.lif" / "S0", tmp_path / "c.tif"]
    dialog.list.itemDoubleClicked.emit(dialog.list.item(3))
    assert chosen == [tmp_path / "a.lif" / "S3"]


def test_a_single_image_and_an_address_are_opened_without_a_question(
    widget: Any, viewer: Any, qtbot: Any, tmp_path: Path
) -> None:
    opened(widget, qtbot, write_czi(tmp_path / "one.czi", {0: np.stack(DISCS[:2])}, ["DAPI", "GFP"]))
    opened(widget, qtbot, lif(tmp_path) / "S1")
    assert [layer.name for layer in viewer.layers] == ["one: DAPI", "one: GFP", "exp_S1"]


def test_what_is_dropped_on_the_canvas_is_an_image_like_those_opened_here(
    widget: Any, viewer: Any, qtbot: Any, tmp_path: Path
) -> None:
    path = write_czi(tmp_path / "one.czi", {0: np.stack(DISCS[:2])}, ["DAPI", "GFP"])
    # Not by viewer.open: which plugins there are is not known in tests.
    for data, attributes, _ in get_reader(str(path))(str(path)):
        viewer.add_image(data, **attributes)
    qtbot.waitUntil(lambda: [layer.name for layer in viewer.layers] == ["one: DAPI", "one: GFP"], timeout=10_000)
    assert tuple(viewer.layers[0].scale) == (0.25, 0.25)
    layers = get_reader(str(lif(tmp_path)))(str(tmp_path / "exp.lif"))
    assert [attributes["name"] for _, attributes, _ in layers] == ["exp_S0", "exp_S1", "exp_S2"]
    assert [attributes["visible"] for _, attributes, _ in layers] == [True, False, False]


def test_of_what_is_dropped_on_the_canvas_the_images_are_ticked(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    """One list for all files of a drop; what is opened by a script, or as napari starts, is opened as it is."""
    path = write_lif(tmp_path / "exp.lif", [(f"S{i}", "YX", DISCS[0]) for i in range(60)])
    other = write_lif(tmp_path / "b.lif", [(f"T{i}", "YX", DISCS[1]) for i in range(2)])
    QTimer.singleShot(0, lambda: viewer.window._qt_viewer._qt_open([str(path), str(other)], stack=False))
    dialogs: list[ScenesDialog] = []

    def listed() -> bool:
        dialogs[:] = viewer.window._qt_window.findChildren(ScenesDialog)
        return bool(dialogs)

    qtbot.waitUntil(listed, timeout=10_000)
    (dialog,) = dialogs
    assert (dialog.list.count(), len(viewer.layers)) == (62, 0)
    dialog.none.click()
    for i in (58, 61):
        dialog.list.item(i).setCheckState(Qt.CheckState.Checked)
    dialog.open_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=10_000)
    assert [layer.name for layer in viewer.layers] == ["exp_S58", "b_T1"]
    viewer.layers.clear()
    assert len(viewer.open(str(other), plugin="napari-cellseg")) == 2
    assert not viewer.window._qt_window.findChildren(ScenesDialog)


def test_without_its_package_a_file_is_refused_with_what_to_install(
    widget: Any, viewer: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda module: None)
    path = lif(tmp_path)
    opened(widget, qtbot, path)
    assert widget.session.state.kind == "failed"
    assert 'exp.lif needs: pip install "napari-cellseg[formats]"' in widget.run_section.message.text()
    with pytest.raises(ImageError, match=r"exp\.lif needs: pip install"):
        get_reader([str(path)])(str(path))
    # Another plugin that reads such files is left to do it.
    with npe2.DynamicPlugin("another") as other:

        def reads_lif(path: str) -> None:
            """Reads nothing, but claims it."""

        other.contribute.reader(reads_lif, filename_patterns=["*.lif"])
        assert get_reader(str(path)) is None
