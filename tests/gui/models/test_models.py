"""The window with the models: calibrated, imported and exported with the mouse, by real children."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from qtpy.QtCore import QPointF, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDialog, QFileDialog, QInputDialog, QLabel
from safetensors.torch import load_file

from napari_cellseg.evaluation.calibration_map import CalibrationMap, read_calibration
from napari_cellseg.gui.models.calibration_sources import sources_for
from napari_cellseg.gui.models.exchange_dialogs import export_dialog
from napari_cellseg.gui.models.heat_map import HeatMap
from napari_cellseg.gui.models.models_window import ModelsWindow
from napari_cellseg.gui.segment.model_section import MODELS
from napari_cellseg.gui.segment.segment_widget import SegmentWidget
from napari_cellseg.gui.shared.form_dialog import FormDialog
from napari_cellseg.gui.train.train_widget import TrainWidget
from napari_cellseg.gui.viewer.dock import open_dock
from napari_cellseg.network.version_files import settings_of, write_config
from napari_cellseg.network.versions import ModelVersion, load_model, user_models_dir
from napari_cellseg.training.data.choice import DataChoice
from tests.gui.train.test_train_data import LEFT, PATIENCE, choose_parent, chosen, press, write_npz
from tests.models import make_model

pytestmark = pytest.mark.window


@pytest.fixture
def tiny() -> ModelVersion:
    return make_model(user_models_dir() / "tiny", in_channels=3, threshold=0.3, min_size=7)


@pytest.fixture
def train(widget: SegmentWidget, tiny: ModelVersion, viewer: Any, qtbot: Any) -> Any:
    """The Train widget, docked."""
    train = TrainWidget(viewer)
    viewer.window.add_dock_widget(train, name="Train on corrected cells")
    choose_parent(train, "tiny")
    yield train
    job = train.windows.calibration
    if job.child is not None:
        job.child.kill()
        qtbot.waitUntil(lambda: not job.running, timeout=PATIENCE)
    if train.windows.models is not None:
        train.windows.models.close()
    qtbot.waitUntil(lambda: not train.set_section.busy and not train.data_section.busy, timeout=60_000)


def open_models(train: TrainWidget, qtbot: Any) -> ModelsWindow:
    press(train.start_section.models, qtbot)
    window = train.windows.models
    assert window is not None
    qtbot.waitUntil(window.isVisible, timeout=20_000)
    return window


def select(window: ModelsWindow, name: str, qtbot: Any) -> None:
    table = window.table
    item = next(
        table.topLevelItem(i) for i in range(table.topLevelItemCount()) if table.topLevelItem(i).text(0) == name
    )
    QTest.mouseClick(table.viewport(), LEFT, pos=table.visualItemRect(item).center())
    qtbot.wait(20)
    assert window.model is not None and window.model.name == name


def calibrated(window: ModelsWindow, qtbot: Any) -> CalibrationMap:
    section = window.calibration
    press(section.start_button, qtbot)
    assert section._job.running, window.hint.text()
    qtbot.waitUntil(lambda: not section._job.running, timeout=PATIENCE)
    assert section.found is not None, window.hint.text()
    return section.found


def answer(dialog: type[QDialog], act: Callable[[Any], object]) -> None:
    """Act on the next dialog of this kind, once it is open."""

    def look() -> None:
        found = QApplication.activeModalWidget()
        if isinstance(found, dialog):
            act(found)
        else:
            QTimer.singleShot(50, look)

    QTimer.singleShot(50, look)


# --- calibration


def test_a_model_is_calibrated_looked_at_and_keeps_what_was_chosen(
    train: Any, widget: SegmentWidget, tmp_path: Path, qtbot: Any
) -> None:
    chosen(train, DataChoice(write_npz(tmp_path / "plate.npz")), qtbot)
    window = open_models(train, qtbot)
    section = window.calibration
    assert window.model is not None and window.model.name == "tiny"
    assert [section.source.itemText(i) for i in range(section.source.count())] == ["plate.npz"]
    assert not section.keep_button.isEnabled() and section.found is None
    found = calibrated(window, qtbot)
    assert found.before[:2] == (0.3, 7) and found.value <= found.values.min() + found.values.std()
    assert window.hint.text().startswith("tiny: on 6 images")
    # Looking changes nothing; another place on the map may be chosen.
    assert load_model("tiny").threshold == 0.3
    place = section.map.point_of(0.7, 3)
    QTest.mouseClick(section.map, LEFT, pos=place.toPoint())
    wanted = section.found
    assert wanted is not None and abs(wanted.threshold - 0.7) < 0.02 and abs(wanted.min_size - 3) <= 1
    assert wanted.value == found.at(wanted.threshold, wanted.min_size)
    assert f"{wanted.threshold:.2f}" in section.figures.text()
    press(section.keep_button, qtbot)
    version = load_model("tiny")
    assert (version.threshold, version.min_size) == (wanted.threshold, wanted.min_size)
    kept = read_calibration(version.path)
    assert kept is not None and (kept.threshold, kept.value) == (wanted.threshold, round(wanted.value, 12))
    assert not section.keep_button.isEnabled() and window.table.selectedItems()[0].text(3) == f"{wanted.threshold:.2f}"
    # The Segment widget offers the model with its new defaults.
    widget.model_section.model.setCurrentIndex(widget.model_section.model.findData("tiny"))
    widget.model_section.model.activated.emit(widget.model_section.model.currentIndex())
    assert f"threshold {wanted.threshold:g}" in widget.model_section.model.toolTip()
    # Opened again, the window shows the map that was kept.
    window.close()
    window = open_models(train, qtbot)
    assert window.calibration.found is not None and window.calibration.found.threshold == wanted.threshold


def test_the_bundled_model_stays_and_a_copy_gets_the_defaults(train: Any, tmp_path: Path, qtbot: Any) -> None:
    chosen(train, DataChoice(write_npz(tmp_path / "plate.npz", n=2)), qtbot)
    before = load_model("cells")
    window = open_models(train, qtbot)
    select(window, "cells", qtbot)
    found = calibrated(window, qtbot)
    assert "copy" in window.calibration.keep_button.text()
    QTest.mouseClick(window.calibration.map, LEFT, pos=window.calibration.map.point_of(0.4, 12).toPoint())
    press(window.calibration.keep_button, qtbot)
    own, after = load_model("cells calibrated"), load_model("cells")
    assert (after.threshold, after.min_size) == (before.threshold, before.min_size)
    assert own.sha256 == before.sha256 and own.threshold != before.threshold
    assert own.threshold == window.calibration.found.threshold and found.values is not None
    assert window.model is not None and window.model.name == "cells calibrated"
    assert train.start_section.parent_model.findData("cells calibrated") >= 0


def test_calibration_can_be_cancelled(train: Any, tmp_path: Path, qtbot: Any) -> None:
    chosen(train, DataChoice(write_npz(tmp_path / "plate.npz")), qtbot)
    window = open_models(train, qtbot)
    press(window.calibration.start_button, qtbot)
    press(window.calibration.cancel, qtbot)
    qtbot.waitUntil(lambda: not train.windows.calibration.running, timeout=PATIENCE)
    assert "Nothing was changed" in window.hint.text() and window.calibration.found is None
    assert window.calibration.start_button.isEnabled()


def test_without_images_it_says_where_to_get_some(train: Any, qtbot: Any) -> None:
    window = open_models(train, qtbot)
    assert not window.calibration.start_button.isEnabled()
    assert "Learn from" in window.calibration.about.text()


def test_images_that_are_gone_are_told(train: Any, tmp_path: Path, qtbot: Any) -> None:
    path = write_npz(tmp_path / "plate.npz")
    chosen(train, DataChoice(path), qtbot)
    window = open_models(train, qtbot)
    path.unlink()
    press(window.calibration.start_button, qtbot)
    qtbot.waitUntil(lambda: not train.windows.calibration.running, timeout=PATIENCE)
    assert "plate.npz" in window.hint.text() and train.windows.calibration.outcome.failed


def test_everything_is_in_view_on_a_small_screen(train: Any, tmp_path: Path, qtbot: Any) -> None:
    chosen(train, DataChoice(write_npz(tmp_path / "plate.npz")), qtbot)
    window = open_models(train, qtbot)
    calibrated(window, qtbot)
    qtbot.wait(50)
    assert window.width() <= 1366 and window.height() <= 700
    for part in (window.take_in_button, window.close_button, window.calibration.keep_button, window.calibration.map):
        assert window.rect().contains(part.mapTo(window, part.rect().bottomRight())), part.objectName()
    for button in (window.calibration.start_button, window.calibration.keep_button, train.start_section.models):
        assert button.width() >= button.fontMetrics().horizontalAdvance(button.text()) + 6


# --- exchange


def test_weights_from_elsewhere_are_imported_with_the_mouse(
    train: Any, tiny: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    path = tmp_path / "foreign.pth"
    torch.save(load_file(tiny.weights), path)
    window = open_models(train, qtbot)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_, **__: (str(path), ""))

    def act(dialog: FormDialog[Any]) -> None:
        dialog.form["name"].value = " "
        assert not dialog.ok.isEnabled() and "weights only" in dialog.findChildren(QLabel)[0].text()
        dialog.form["name"].value = "from a friend"
        dialog.form["normalisation"].value = "minmax"
        QTest.mouseClick(dialog.ok, LEFT)

    answer(FormDialog, act)
    press(window.take_in_button, qtbot)
    qtbot.waitUntil(lambda: not window.busy, timeout=60_000)
    assert window.model is not None and window.model.name == "from a friend", window.hint.text()
    version = load_model("from a friend")
    assert (version.normalizer.low, version.normalizer.high) == (0, 100)
    assert version.config.base_channels == tiny.config.base_channels and len(version.config.heads) == 3
    assert "calibrate it" in window.hint.text()
    assert train.start_section.parent_model.findData("from a friend") >= 0


def test_a_name_that_is_taken_and_a_file_that_is_no_model_are_told(
    train: Any, tiny: ModelVersion, tmp_path: Path, qtbot: Any
) -> None:
    window = open_models(train, qtbot)
    window.take_in(tiny.path, name="tiny")
    qtbot.waitUntil(lambda: not window.busy, timeout=60_000)
    assert "already" in window.hint.text()
    path = tmp_path / "not a model.zip"
    path.write_bytes(b"nothing")
    window.take_in(path)
    qtbot.waitUntil(lambda: not window.busy, timeout=60_000)
    assert "not a model.zip" in window.hint.text() and window.take_in_button.isEnabled()


def test_a_package_is_exported_and_taken_back(
    train: Any, tiny: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    pytest.importorskip("bioimageio.spec")
    out = tmp_path / "shared.zip"
    window = open_models(train, qtbot)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(out), ""))
    asked: list[bool] = []

    def act(dialog: FormDialog[Any]) -> None:
        asked.append(dialog.ok.isEnabled())
        QTest.keyClicks(dialog.form["authors"].native, "A. Person; B. Person")
        QTest.keyClicks(dialog.form["description"].native, "Nuclei of my plates")
        QTest.mouseClick(dialog.ok, LEFT)

    answer(FormDialog, act)
    press(window.hand_out_button, qtbot)
    qtbot.waitUntil(lambda: not window.busy, timeout=PATIENCE)
    # Nobody is named without being asked.
    assert asked == [False] and out.is_file(), window.hint.text()
    window.take_in(out, name="taken back")
    qtbot.waitUntil(lambda: not window.busy, timeout=60_000)
    assert load_model("taken back").sha256 == tiny.sha256
    again = export_dialog(tiny)
    qtbot.addWidget(again)
    assert again.form.value.names == ("A. Person", "B. Person") and again.ok.isEnabled()


def test_a_name_with_a_dot_is_exported_under_that_name_and_nothing_is_replaced_unasked(
    train: Any, tiny: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    pytest.importorskip("bioimageio.spec")
    window = open_models(train, qtbot)
    other = tmp_path / "nuclei_v1.zip"
    other.write_bytes(b"of somebody")
    for typed, made in (("nuclei_v1.2", "nuclei_v1.2.zip"), ("nuclei_v1", None)):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, typed=typed, **__: (str(tmp_path / typed), ""))

        def act(dialog: FormDialog[Any]) -> None:
            dialog.form["authors"].value = "A. Person"
            QTest.mouseClick(dialog.ok, LEFT)

        answer(FormDialog, act)
        press(window.hand_out_button, qtbot)
        qtbot.waitUntil(lambda: not window.busy, timeout=PATIENCE)
        assert made is None or (tmp_path / made).is_file()
    assert other.read_bytes() == b"of somebody" and "there already" in window.hint.text()


def test_a_model_that_lies_elsewhere_is_the_one_that_is_shown(train: Any, tmp_path: Path, qtbot: Any) -> None:
    elsewhere = make_model(tmp_path / "elsewhere", in_channels=3, threshold=0.44)
    train.start_section.refresh(str(elsewhere.path))
    window = open_models(train, qtbot)
    assert window.model is not None and window.model.path == elsewhere.path


# --- parts


def test_what_was_learned_from_in_part_is_not_called_held_out(tiny: ModelVersion, tmp_path: Path) -> None:
    record = {"validation_images": ["a"], "training_images": ["a"], "data": {"dataset": str(tmp_path)}}
    assert sources_for(replace(tiny, training=record), None, None) == ()


def test_images_held_out_come_first_among_the_sources(tiny: ModelVersion, tmp_path: Path) -> None:
    data = tmp_path / "plate"
    data.mkdir()
    record = {"validation_images": ["a", "b"], "data": {"dataset": str(data), "kinds": ["dark"], "groups": "g.csv"}}
    trained = replace(tiny, training=record)
    other, corrections = DataChoice(tmp_path / "x.npz"), tmp_path / "set"
    held_out, chosen_, own = sources_for(trained, other, corrections)
    assert "2 images held out" in held_out.title
    assert held_out.words == (str(data), "--groups", "g.csv", "--kind", "dark", "--only", "validation")
    assert chosen_.words == (str(tmp_path / "x.npz"),) and own.words == (str(corrections),)
    data.rmdir()
    assert sources_for(trained, None, None) == ()


def test_the_map_is_drawn_where_it_is_clicked(qtbot: Any) -> None:
    """Good is light, the threshold grows to the right and the size upwards."""
    values = np.add.outer(np.abs(np.arange(256) - 200), np.abs(np.arange(61) - 50)).astype(float)
    found = CalibrationMap(
        "count", "cells", values, np.arange(256) / 255, np.arange(61), 0.2, 0, 0.0, (0.1, 5, 9.0), ("a",), 3
    )
    heat = HeatMap()
    qtbot.addWidget(heat)
    heat.resize(400, 300)
    heat.show_map(found)
    heat.show()
    picked: list[tuple[float, int]] = []
    heat.picked.connect(lambda *setting: picked.append(setting))
    for setting in ((0.0, 0), (1.0, 60), (0.502, 30)):
        point = heat.point_of(*setting)
        assert heat.setting_at(point) == setting
        QTest.mouseClick(heat, LEFT, pos=point.toPoint())
        assert abs(picked[-1][0] - setting[0]) <= 0.01 and abs(picked[-1][1] - setting[1]) <= 1
    assert heat.setting_at(QPointF(-50, 9999)) == (0.0, 0)
    picture = heat.grab().toImage()
    light, dark = (picture.pixelColor(heat.point_of(*s).toPoint()).lightness() for s in ((200 / 255, 50), (0.02, 40)))
    assert light > dark + 60


def test_the_record_of_a_damaged_calibration_does_not_close_the_window(
    train: Any, tiny: ModelVersion, qtbot: Any
) -> None:
    (tiny.path / "calibration.json").write_text(json.dumps({"goal": "count"}))
    window = open_models(train, qtbot)
    assert "calibration.json" in window.hint.text() and window.calibration.found is None


def test_a_model_is_renamed_and_deleted_and_segment_follows(train: Any, widget: Any, viewer: Any, qtbot: Any) -> None:
    mine = make_model(user_models_dir() / "tiny mine v1", in_channels=3)
    write_config(mine.path, **settings_of(mine) | {"parent": "tiny"})
    widget.session.models_changed.emit()
    widget.session.choose_model("tiny")
    box = widget.model_section.model
    open_dock(viewer, "segment")
    qtbot.wait(100)
    box.setFocus()
    place = box.findData(MODELS)
    box.setCurrentIndex(place)
    box.activated.emit(place)
    window = train.windows.models
    assert window.isVisible() and window.model.name == "tiny" and box.currentText() == "tiny"
    answer(QInputDialog, lambda dialog: (dialog.setTextValue("nuclei of plate 3"), dialog.accept()))
    press(window.keeping.rename, qtbot)
    assert widget.model_section.model_name == "nuclei of plate 3" == box.currentText() == window.model.name
    press(window.keeping.delete, qtbot)
    asked = window.keeping.question.text.text()
    assert "Segment widget uses it now" in asked and "tiny mine v1 was made from it" in asked
    qtbot.mouseClick(window.keeping.question.no, LEFT)
    assert load_model("nuclei of plate 3")
    press(window.keeping.delete, qtbot)
    qtbot.mouseClick(window.keeping.question.yes, LEFT)
    assert "is deleted" in window.hint.text() and box.currentText() == "cells" == widget.model_section.model_name
    select(window, "cells", qtbot)
    assert not window.keeping.rename.isEnabled() and not window.keeping.delete.isEnabled()
    # What is in use is told in Train too, and is true after going back.
    choose_parent(train, "cells")
    assert train.start_section.use.text() == "In use"
    train.use("tiny mine v1")
    assert train.start_section.use.text() == "In use" and train.start_section.parent_name == "tiny mine v1"
    widget.session.choose_model("cells")
    assert train.start_section.use.text() == "Use it" and train.start_section.use.isEnabled()
