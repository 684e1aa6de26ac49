"""Kinds, files, the search for settings, and curves that go on: in the real window, with real children."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDoubleSpinBox, QFileDialog

from napari_cellseg.cli import build_parser
from napari_cellseg.cli.train_options import train_params
from napari_cellseg.gui.segment.segment_widget import SegmentWidget
from napari_cellseg.gui.train.expert_section import TrainDataExpertSection
from napari_cellseg.gui.train.kinds_window import KindsWindow
from napari_cellseg.gui.train.start_section import SCRATCH
from napari_cellseg.gui.train.train_widget import TrainWidget
from napari_cellseg.network.versions import user_models_dir
from napari_cellseg.training.data.choice import DataChoice
from napari_cellseg.training.runs import CHECKPOINT_FILE
from tests.blobs import blobs
from tests.gui.fitting import fits
from tests.gui.train.test_train_data import (
    LEFT,
    PATIENCE,
    TINY,
    begin,
    choose_parent,
    chosen,
    ended,
    message,
    press,
    write_npz,
    write_png,
)
from tests.models import make_model


@pytest.fixture
def train(widget: SegmentWidget, viewer: Any, qtbot: Any) -> Any:
    """The Train widget, docked, set to a tiny network from scratch and a short run."""
    train = TrainWidget(viewer)
    viewer.window.add_dock_widget(train, name="Train on corrected cells")
    choose_parent(train, SCRATCH)
    for group, values in TINY.items():
        for name, value in values.items():
            train.data_expert.forms[group][name].value = value
    yield train
    for job in (train.job, train.search_job):
        if job.child is not None:
            job.child.kill()
            qtbot.waitUntil(lambda job=job: not job.running, timeout=PATIENCE)
    for window in (train.windows.kinds, train.windows.runs):
        if window is not None:
            window.close()
    qtbot.waitUntil(lambda: not train.set_section.busy and not train.data_section.busy, timeout=60_000)


def write_two_kinds(path: Path, table: bool = False, n: int = 4) -> DataChoice:
    """Images with bright cells on a dark ground, and as many with dark cells on a bright one."""
    for name in ("images", "masks"):
        (path / name).mkdir(parents=True)
    rows = []
    for i in range(2 * n):
        sample = blobs(i, 64)
        pixels = np.clip(sample.image, 0, 255).astype(np.uint8)
        write_png(path / "images" / f"im{i}.png", pixels if i < n else 255 - pixels)
        write_png(path / "masks" / f"im{i}.png", (sample.labels > 0).astype(np.uint8) * 255)
        rows.append((f"im{i}", "dark" if i < n else "bright", f"field {i}"))
    if table:
        write_groups(path / "groups.csv", rows)
    return DataChoice(path)


def write_groups(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image_id", "kind", "group"), *rows])
    return path


def read_rows(path: Path) -> dict[str, dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return {row["image_id"]: row for row in csv.DictReader(file)}


def unfold(train: TrainWidget, qtbot: Any, *folds: Any) -> None:
    for fold in (train.expert, *folds):
        if not fold.content.isVisible():
            train.scroll.ensureWidgetVisible(fold.title)
            qtbot.mouseClick(fold.title, LEFT)
    qtbot.wait(50)


def open_kinds(train: TrainWidget, qtbot: Any) -> KindsWindow:
    press(train.data_section.kinds, qtbot)
    window = train.windows.kinds
    assert window is not None
    qtbot.waitUntil(lambda: window.isVisible() and not window.busy, timeout=60_000)
    return window


def click_picture(window: KindsWindow, name: str, qtbot: Any, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
    index = window.model.index(window.model.names.index(name))
    window.pictures.scrollTo(index)
    QTest.mouseClick(window.pictures.viewport(), LEFT, modifier, window.pictures.visualRect(index).center())
    qtbot.wait(20)


def cell_of(window: KindsWindow, row: int, column: int = 0) -> QPoint:
    return window.kinds.visualItemRect(window.kinds.item(row, column)).center()


# --- kinds


def test_kinds_are_found_renamed_moved_weighted_and_learned_from(train: Any, tmp_path: Path, qtbot: Any) -> None:
    chosen(train, write_two_kinds(tmp_path / "plate"), qtbot)
    window = open_kinds(train, qtbot)
    assert window.source.title == "how they look"
    window.number.setValue(2)
    press(window.again, qtbot)
    qtbot.waitUntil(lambda: not window.busy, timeout=60_000)
    # The pictures tell the two kinds apart.
    assert {frozenset(window.table.images[i] for i in range(8) if window.table.kinds[i] == k)
            for k in set(window.table.kinds)} == {
        frozenset(f"im{i}" for i in range(4)), frozenset(f"im{i}" for i in range(4, 8))
    }  # fmt: skip
    assert window.model.names and not window.model.data(window.model.index(0), Qt.ItemDataRole.DecorationRole).isNull()
    # A name is edited by a double click.
    row = window.kinds.names.index(window.table.kinds[0])
    old = window.kinds.names[row]
    for click in (QTest.mouseClick, QTest.mouseDClick):
        click(window.kinds.viewport(), LEFT, Qt.KeyboardModifier.NoModifier, cell_of(window, row))
    editor = window.kinds.viewport().focusWidget() or window.focusWidget()
    qtbot.keyClicks(editor, "DAPI")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "DAPI" in window.table.kinds, timeout=5_000)
    assert window.isVisible() and old not in window.table.kinds and window.table.counts()["DAPI"] == 4
    # Two images go into a kind that was not there.
    press(window.every, qtbot)
    click_picture(window, "im0", qtbot)
    click_picture(window, "im1", qtbot, Qt.KeyboardModifier.ControlModifier)
    assert window.moved_text.text() == "Move 2 selected to"
    window.to.lineEdit().selectAll()
    qtbot.keyClicks(window.to.lineEdit(), "odd = ones")
    press(window.move_button, qtbot)
    assert window.table.counts() == {window.kinds.names[0]: 4, "DAPI": 2, "odd = ones": 2}
    box = window.kinds.cellWidget(window.kinds.names.index("odd = ones"), 2)
    assert isinstance(box, QDoubleSpinBox) and box.value() == 25
    box.selectAll()
    qtbot.keyClicks(box, "75")
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert "150 %" in window.hint.text() and window.isVisible()
    press(window.use_button, qtbot)
    qtbot.waitUntil(lambda: train.windows.kinds is None, timeout=5_000)
    files = train.data_expert.files
    assert not files.problem and "2 odd = ones" in files.groups.about.text() and "50 % odd = ones" in message(train)
    rows = read_rows(files.choice.groups)
    assert [rows[f"im{i}"]["kind"] for i in range(3)] == ["odd = ones", "odd = ones", "DAPI"]
    # Start tells the trainer, and the window finds them again.
    begin(train, qtbot)
    outcome = ended(train, qtbot)
    assert not outcome.failed, outcome
    training = outcome.version.training
    assert training["parameters"]["kind_weights"]["odd = ones"] == 0.75
    assert training["data"]["groups"] == str(files.choice.groups)
    press(train.result_section.close_it, qtbot)
    press(train.data_section.fold.title, qtbot)
    window = open_kinds(train, qtbot)
    assert window.source.title == "yours, kept last" and window.table.counts()["odd = ones"] == 2
    assert window.table.weights["odd = ones"] == 0.75


def test_kinds_of_groups_csv_come_first_and_stay_the_datasets_own(train: Any, tmp_path: Path, qtbot: Any) -> None:
    data = write_two_kinds(tmp_path / "plate", table=True)
    chosen(train, data, qtbot)
    before = (data.path / "groups.csv").read_bytes()
    window = open_kinds(train, qtbot)
    assert window.source.title == "groups.csv of the images" and window.table.counts() == {"bright": 4, "dark": 4}
    assert not window.again.isVisible()
    # Only the shares are changed: then no other table is needed.
    window.kinds.cellWidget(window.kinds.names.index("dark"), 2).setValue(90)
    press(window.use_button, qtbot)
    choice = train.data_expert.files.choice
    assert choice.groups is None and choice.weights == {"bright": 0.5, "dark": 0.9}
    args = build_parser().parse_args(["train", str(data.path), "--out", "y", *train.data_expert.words()])
    assert train_params(args).kind_weights == choice.weights
    # A look at another source gives up nothing; a click on a kind shows its images alone.
    window = open_kinds(train, qtbot)
    QTest.mouseClick(
        window.kinds.viewport(),
        LEFT,
        Qt.KeyboardModifier.NoModifier,
        cell_of(window, window.kinds.names.index("dark"), 1),
    )
    assert window.model.names == [f"im{i}" for i in range(4)]
    click_picture(window, "im2", qtbot)
    window.to.setEditText("bright")
    press(window.move_button, qtbot)
    assert window.model.names == ["im0", "im1", "im3"]
    window.sources.setCurrentIndex(window.sources.count() - 1)
    qtbot.waitUntil(lambda: not window.busy, timeout=60_000)
    window.sources.setCurrentIndex(0)
    assert window.table.counts() == {"bright": 5, "dark": 3}
    press(window.use_button, qtbot)
    kept = train.data_expert.files.choice.groups
    assert read_rows(kept)["im2"] == {"image_id": "im2", "kind": "bright", "group": "field 2"}
    assert (data.path / "groups.csv").read_bytes() == before


def test_a_field_in_two_kinds_and_names_that_do_not_do_are_told(train: Any, tmp_path: Path, qtbot: Any) -> None:
    data = write_two_kinds(tmp_path / "plate")
    write_groups(data.path / "groups.csv", [(f"im{i}", "a" if i < 4 else "b", f"field {i // 2}") for i in range(8)])
    chosen(train, data, qtbot)
    window = open_kinds(train, qtbot)
    window.kinds.item(0, 0).setText("   ")
    assert "needs a name" in window.hint.text() and set(window.table.kinds) == {"a", "b"}
    click_picture(window, "im1", qtbot)
    window.to.setEditText("b")
    press(window.move_button, qtbot)
    assert "field 0" in window.hint.text() and "flatters" in window.hint.text()
    (tmp_path / "file").write_text("no folder")
    window.save_copy(tmp_path / "file" / "kinds.csv")
    assert "file" in window.hint.text() and not window.hint.text().startswith("Saved")
    window.save_copy(tmp_path / "kinds.csv")
    assert read_rows(tmp_path / "kinds.csv")["im1"]["kind"] == "b"
    press(window.close_button, qtbot)
    assert train.data_expert.files.choice.groups is None, "what was not used is forgotten"


# --- files


def test_a_split_and_a_table_can_be_chosen_and_are_checked(
    train: Any, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen(train, write_two_kinds(tmp_path / "plate"), qtbot)
    unfold(train, qtbot, train.data_expert.folds["data"])
    files = train.data_expert.files
    names = [f"im{i}" for i in range(8)]
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"training": names[:5], "validation": [*names[5:], "gone"]}))
    picked = [str(split)]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (picked[0], ""))
    press(files.split.choose, qtbot)
    assert "5 to learn from, 3 held out. 1 image(s) of the split are not" in files.split.about.text()
    assert not train.data_expert.forms["data"]["validation"].enabled
    picked[0] = str(write_groups(tmp_path / "others.csv", [("x1", "a", "1")]))
    press(files.groups.choose, qtbot)
    assert "knows none of these images: it lacks 'im0', but has 'x1'" in files.groups.about.text()
    assert not train.start_section.start.isEnabled() and "knows none of these images" in message(train)
    picked[0] = str(write_groups(tmp_path / "mine.csv", [(name, f"kind {i % 2}", "") for i, name in enumerate(names)]))
    press(files.groups.choose, qtbot)
    assert files.groups.about.text() == "4 kind 0, 4 kind 1."
    begin(train, qtbot)
    outcome = ended(train, qtbot)
    assert not outcome.failed, outcome
    assert sorted(outcome.version.training["validation_images"]) == names[5:]
    assert outcome.version.training["data"]["groups"] == picked[0]
    # Each dataset has its own files, and a press forgets them.
    chosen(train, DataChoice(write_npz(tmp_path / "discs.npz")), qtbot)
    assert files.choice.split is None and train.data_expert.forms["data"]["validation"].enabled
    chosen(train, DataChoice(tmp_path / "plate"), qtbot)
    assert files.choice.split == split
    press(train.result_section.close_it, qtbot)
    unfold(train, qtbot, train.data_expert.folds["data"])
    press(files.split.forget, qtbot)
    press(files.groups.forget, qtbot)
    assert files.words() == () and not files.problem


@pytest.mark.parametrize("text", ["", "[]", '{"training": 3}', '{"training": ["a"], "validation": ["a"]}'])
def test_a_damaged_split_is_told_and_not_started(train: Any, tmp_path: Path, qtbot: Any, text: str) -> None:
    from dataclasses import replace

    chosen(train, DataChoice(write_npz(tmp_path / "discs.npz")), qtbot)
    (tmp_path / "split.json").write_text(text)
    files = train.data_expert.files
    files.choose(replace(files.choice, split=tmp_path / "split.json"))
    assert files.problem and files.split.about.text() == files.problem
    assert not train.start_section.start.isEnabled() and message(train) == files.problem
    unfold(train, qtbot, train.search_fold)
    train.search_section.start()
    assert not train.search_job.running and train.search_section.message.text() == files.problem


# --- the search


def test_a_search_ranks_settings_and_a_click_takes_them_over(train: Any, tmp_path: Path, qtbot: Any) -> None:
    chosen(train, DataChoice(write_npz(tmp_path / "discs.npz")), qtbot)
    unfold(train, qtbot, train.search_fold)
    section, job = train.search_section, train.search_job
    section.budget["minutes"].value = 0.2
    assert "That is short" in section.message.text()
    section.budget["trials"].value = 3
    train.scroll.ensureWidgetVisible(section.cancel)
    press(section.start_button, qtbot)
    assert job.running and not section.start_button.isEnabled()
    press(train.start_section.start, qtbot)
    assert not train.job.running and "A search" in message(train), "both at once would spoil the figures"
    qtbot.waitUntil(lambda: section.list.topLevelItemCount() > 0, timeout=PATIENCE)
    assert job.running, "the table is there while the search goes on"
    qtbot.waitUntil(lambda: not job.running, timeout=PATIENCE)
    assert not job.outcome.failed and "3 settings were tried" in section.message.text(), job.outcome
    ranked = job.ranked
    assert sorted(tried.number for tried in ranked) == [1, 2, 3] and section.list.topLevelItemCount() == 3
    assert [tried.round for tried in ranked] == [2, 2, 1], "those that were trained longer come first"
    written = json.loads((job.request.out / "search.json").read_text())["trials"]
    assert [trial["number"] for trial in written] == [tried.number for tried in ranked]
    # A row's settings are what Start then uses; the others stay as they were.
    for place, tried in enumerate(ranked):
        item = section.list.topLevelItem(place)
        train.scroll.ensureWidgetVisible(section.list)
        QTest.mouseClick(section.list.viewport(), LEFT, pos=section.list.visualItemRect(item).center())
        params = train.data_expert.check(1.0)
        values = tried.values["training"]
        assert (params.learning_rate, params.batch_size, params.schedule) == (
            pytest.approx(values["learning_rate"]), values["batch_size"], values["schedule"],
        )  # fmt: skip
        assert params.augment.zoom == pytest.approx(tuple(tried.values["augmentation"]["zoom"]))
        assert params.crop == TINY["training"]["crop"] and params.network.base_channels == 4
    assert len({tried.changes for tried in ranked}) == 3
    assert f"row {len(ranked)}" in section.message.text()


def test_a_search_can_be_cancelled_and_keeps_what_was_tried(train: Any, tmp_path: Path, qtbot: Any) -> None:
    chosen(train, DataChoice(write_npz(tmp_path / "discs.npz")), qtbot)
    unfold(train, qtbot, train.search_fold)
    section, job = train.search_section, train.search_job
    section.budget["minutes"].value = 0.5
    press(section.start_button, qtbot)
    assert not train.start_section.cancel.isEnabled()
    qtbot.waitUntil(lambda: len(job.tried) > 0, timeout=PATIENCE)
    train.scroll.ensureWidgetVisible(section.cancel)
    press(section.cancel, qtbot)
    qtbot.waitUntil(lambda: not job.running, timeout=PATIENCE)
    assert not job.outcome.failed and job.outcome.sentence.startswith("Stopped. Best so far")
    assert 1 <= section.list.topLevelItemCount() < 6 and section.start_button.isEnabled()
    assert (job.request.out / "search.json").is_file()


def test_a_search_without_images_to_check_on_says_so(train: Any, tmp_path: Path, qtbot: Any) -> None:
    chosen(train, DataChoice(write_npz(tmp_path / "discs.npz")), qtbot)
    train.data_expert.forms["data"]["validation"].value = 0
    unfold(train, qtbot, train.search_fold)
    press(train.search_section.start_button, qtbot)
    qtbot.waitUntil(lambda: not train.search_job.running, timeout=PATIENCE)
    assert train.search_job.outcome.failed and "images held out, but none is" in train.search_section.message.text()


# --- curves, runs, and the page


@pytest.mark.skipif(sys.platform == "win32", reason="signals are of POSIX")
@pytest.mark.parametrize("how", ["cancelled", "killed"])
def test_the_curve_goes_on_after_resume(train: Any, tmp_path: Path, qtbot: Any, how: str) -> None:
    chosen(train, DataChoice(write_npz(tmp_path / "discs.npz")), qtbot)
    train.data_expert.forms["training"]["steps"].value = 2_000
    begin(train, qtbot)
    qtbot.waitUntil(lambda: len(train.job.history.check_losses) > 4, timeout=PATIENCE)
    if how == "killed":
        os.kill(train.job.child.pid, signal.SIGKILL)
    else:
        press(train.start_section.cancel, qtbot)
    ended(train, qtbot)
    before = train.job.history
    assert (user_models_dir() / "discs v1" / CHECKPOINT_FILE).exists()
    press(train.unfinished.go_on, qtbot)
    qtbot.waitUntil(lambda: train.job.kind == "running" and train.job.step > 0, timeout=PATIENCE)
    after = train.job.history
    n = min(len(before.check_losses), len(after.check_losses))
    assert n > 3 and after.check_losses[:n] == pytest.approx(before.check_losses[:n], rel=1e-3)
    assert after.check_places[:n] == pytest.approx(before.check_places[:n], abs=0.01)
    assert after.check_iou[:n] == pytest.approx(before.check_iou[:n], abs=0.01) and after.best is not None
    # Steps are told only so often, so the past has more of them than were heard.
    assert after.places[0] < 0.01 and after.places == sorted(after.places)
    assert len(train.start_section.curves.curves["held"].x) >= n
    press(train.start_section.cancel, qtbot)
    ended(train, qtbot)


def test_runs_are_compared_without_a_result_page(train: Any, qtbot: Any) -> None:
    start = train.start_section
    for name in ("one", "two"):
        make_model(user_models_dir() / name)
    start.refresh()
    n_trained = sum(bool(model.training) for model in start._models)
    assert start.compare.isVisible() == (n_trained > 1)
    record = {"training_images": ["a"], "steps": 3, "hours": 0.1, "parameters": {}}
    for name in ("one", "two"):
        (user_models_dir() / name / "training.json").write_text(json.dumps(record))
    start.refresh()
    press(start.compare, qtbot)
    qtbot.waitUntil(lambda: train.windows.runs is not None, timeout=20_000)
    names = [train.windows.runs.table.item(i, 0).text() for i in range(train.windows.runs.table.rowCount())]
    assert {"one", "two"} <= set(names)


def test_a_number_that_is_not_set_is_none(viewer: Any, qtbot: Any) -> None:
    section = TrainDataExpertSection()
    qtbot.addWidget(section)
    form = section.forms["training"]
    box: Any = form["diameter"].native
    section.set_start(from_parent=False)
    assert box.text() == "as they are" and "diameter" not in form.changes() and section.check(1).diameter is None
    section.set_start(from_parent=True)
    assert box.text() == "as the model has them" and "--diameter" not in section.words()
    box.stepUp()
    assert form.changes()["diameter"] == 4, "there is nothing between not set and the least"
    box.stepDown()
    assert "diameter" not in form.changes()
    box.setValue(2.5)
    assert section.check(1).diameter == 4, "what is too small is the least, as soon as it is left"
    box.editingFinished.emit()
    assert box.value() == 4
    section.set_defaults()
    assert section.check(1).diameter is None
    size: Any = section.forms["data"]["size"].native
    size.setValue(3)
    assert section.values()["data"]["size"] == 16 and size.minimum() == 0


def test_the_page_is_not_fuller_and_nothing_is_cut_off(train: Any, tmp_path: Path, qtbot: Any) -> None:
    data = chosen(train, write_two_kinds(tmp_path / "plate"), qtbot)
    train.start_section.overlap.show()
    qtbot.wait(200)
    view = train.scroll.viewport()
    controls = (data.view, data.kinds, train.start_section.compare, train.expert.title)
    fits(train.scroll, *(c for c in controls if c.isVisible()), whole=True)
    for button in (data.view, data.varied, data.kinds):
        assert button.width() >= button.fontMetrics().horizontalAdvance(button.text()) + 6, button.text()
    unfold(train, qtbot, train.search_fold, *train.data_expert.folds.values())
    assert train.scroll.widget().minimumSizeHint().width() <= view.width()
