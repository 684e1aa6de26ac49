"""Training on images with masks from elsewhere, in the real window and with real children."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDoubleSpinBox

from napari_cellseg.cli import build_parser
from napari_cellseg.cli.train_options import train_params
from napari_cellseg.evaluation.held_out import held_out_samples, predict, read_figures
from napari_cellseg.gui.segment.segment_widget import SegmentWidget
from napari_cellseg.gui.train.expert_section import TrainDataExpertSection
from napari_cellseg.gui.train.start_section import SCRATCH
from napari_cellseg.gui.train.train_widget import TrainWidget
from napari_cellseg.imaging.progress import drain
from napari_cellseg.network.versions import ModelVersion, load_model, read_version, user_models_dir
from napari_cellseg.training.data.choice import (
    ODD,
    READY,
    SKIPPED,
    TWICE,
    DataChoice,
    data_rows,
    scratch_version_dir,
    summary,
)
from napari_cellseg.training.data.loading import iter_load
from napari_cellseg.training.runs import CHECKPOINT_FILE, list_unfinished
from tests.blobs import blobs
from tests.gui.fitting import fits
from tests.models import make_model

LEFT = Qt.MouseButton.LeftButton
PATIENCE = 240_000
TINY = {
    "network": {"base_channels": 4, "levels": 2},
    "training": {"steps": 12, "batch_size": 2, "crop": 32, "validate_every": 4, "checkpoint_seconds": 0.0},
    "data": {"validation": 0.4},
}


def write_npz(path: Path, n: int = 6, size: int = 64) -> Path:
    samples = [blobs(i, size) for i in range(n)]
    images = np.stack([np.clip(s.image, 0, 255).astype(np.uint8) for s in samples])
    np.savez(path, X=images, y=np.stack([s.labels.astype(np.uint16) for s in samples]))
    return path


def write_png(path: Path, pixels: np.ndarray) -> None:
    PillowImage.fromarray(pixels).save(path)


def write_folders(path: Path, n: int = 4, size: int = 64) -> DataChoice:
    for name in ("pictures", "masks"):
        (path / name).mkdir(parents=True)
    for i in range(n):
        sample = blobs(i, size)
        write_png(path / "pictures" / f"im{i}.png", np.clip(sample.image, 0, 255).astype(np.uint8))
        write_png(path / "masks" / f"im{i}.png", (sample.labels > 0).astype(np.uint8) * 255)
    return DataChoice(path / "pictures", path / "masks")


@pytest.fixture
def tiny() -> ModelVersion:
    """A small model among the person's own."""
    return make_model(user_models_dir() / "tiny", in_channels=3)


@pytest.fixture
def train(widget: SegmentWidget, tiny: ModelVersion, viewer: Any, qtbot: Any) -> Any:
    """The Train widget, docked, set to a tiny network from scratch and a short run."""
    train = TrainWidget(viewer)
    viewer.window.add_dock_widget(train, name="Train on corrected cells")
    choose_parent(train, SCRATCH)
    for group, values in TINY.items():
        for name, value in values.items():
            train.data_expert.forms[group][name].value = value
    yield train
    if train.job.child is not None:
        train.job.child.kill()
        qtbot.waitUntil(lambda: not train.job.running, timeout=PATIENCE)
    qtbot.waitUntil(lambda: not train.set_section.busy, timeout=10_000)
    qtbot.waitUntil(lambda: not train.data_section.busy and not train.result_section.busy, timeout=60_000)


def choose_parent(train: TrainWidget, name: str) -> None:
    box = train.start_section.parent_model
    box.setCurrentIndex(box.findData(name))
    box.activated.emit(box.currentIndex())


def chosen(train: TrainWidget, choice: DataChoice, qtbot: Any) -> Any:
    """Choose a dataset, and wait until it was read."""
    train.set_section.source.choose_data(choice)
    qtbot.waitUntil(lambda: not train.data_section.busy, timeout=60_000)
    return train.data_section


def press(button: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: button.isVisible() and button.isEnabled(), timeout=20_000)
    qtbot.mouseClick(button, LEFT)


def begin(train: TrainWidget, qtbot: Any) -> None:
    press(train.start_section.start, qtbot)
    assert train.job.running, message(train)


def ended(train: TrainWidget, qtbot: Any) -> Any:
    qtbot.waitUntil(lambda: not train.job.running, timeout=PATIENCE)
    return train.job.outcome


def message(train: TrainWidget) -> str:
    return train.start_section.message.text()


def names_of(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers if layer.visible]


# --- without a window


def test_rows_say_what_was_left_out_what_is_odd_and_what_is_there_twice(tmp_path: Path) -> None:
    choice = write_folders(tmp_path, 4)
    assert choice.masks is not None
    write_png(choice.masks / "im1.png", np.zeros((64, 64), np.uint8))
    write_png(choice.masks / "im2.png", np.ones((10, 10), np.uint8))
    (choice.path / "im9.png").write_bytes((choice.path / "im0.png").read_bytes())
    (choice.masks / "im9.png").write_bytes((choice.masks / "im0.png").read_bytes())
    loaded = drain(iter_load(choice.path, masks=choice.masks))
    rows = {row.name: row for row in data_rows(loaded)}
    assert {name: row.state for name, row in rows.items()} == {
        "im0": TWICE, "im1": ODD, "im2": SKIPPED, "im3": READY, "im9": TWICE,
    }  # fmt: skip
    assert data_rows(loaded)[0].state == SKIPPED and data_rows(loaded)[-1].state == READY
    assert "im9" in rows["im0"].why and rows["im2"].why and rows["im2"].index is None
    for row in rows.values():
        assert row.index is None or loaded.samples[row.index].name == row.name
    assert rows["im3"].n_cells == loaded.samples[rows["im3"].index or 0].labels.max()
    text = summary(loaded.report)
    assert all(part in text for part in ("4 images", "1 skipped", "1 odd", "2 twice"))


def test_a_version_from_scratch_is_called_after_its_data(tmp_path: Path) -> None:
    for choice, stem in (
        (DataChoice(tmp_path / "plate.3.zip"), "plate.3"),
        (DataChoice(tmp_path / "run: 1.npz"), "run_ 1"),
        (DataChoice(tmp_path / "plate" / "images", tmp_path / "plate" / "masks"), "plate"),
    ):
        first = scratch_version_dir(choice, tmp_path / "models")
        assert first == tmp_path / "models" / f"{stem} v1"
        first.mkdir(parents=True)
        assert scratch_version_dir(choice, tmp_path / "models").name == f"{stem} v2"


def _changed(section: TrainDataExpertSection) -> None:
    """Set every control to something else than its default."""
    for form in section.forms.values():
        for entry in form.fields.values():
            control, before = form[entry.name], form[entry.name].value
            if entry.name in ("epochs", "encoder_weights", "architecture"):
                continue
            if "choices" in entry.metadata:
                choices = entry.metadata["choices"]
                control.value = choices[(choices.index(before) + 1) % len(choices)]
            elif isinstance(before, bool):
                control.value = not before
            elif isinstance(before, tuple):
                control.value = tuple(1.01 * x for x in before)
            elif isinstance(before, float):
                control.value = before + 0.5 * (entry.metadata["max"] - before) * 1e-3
            else:
                control.value = 32 if entry.name == "size" else (before or entry.metadata["min"]) + 1


def test_the_words_mean_to_the_command_line_what_the_controls_show(viewer: Any) -> None:
    section = TrainDataExpertSection()
    section.set_start(from_parent=False)
    _changed(section)
    wanted = section.check(2.5)
    args = build_parser().parse_args(["train", "x", "--out", "y", "--minutes", "2.5", *section.words()])
    assert train_params(args) == wanted
    defaults = type(wanted)()
    same = [f.name for f in fields(wanted) if f.metadata and getattr(wanted, f.name) == getattr(defaults, f.name)]
    assert same == ["epochs"], "every control is told to the command line"
    assert (args.validation, args.split_by, args.size, args.fit) == (
        pytest.approx(section.values()["data"]["validation"]), "image", 32, "resize",
    )  # fmt: skip


def test_epochs_stand_in_for_steps_and_a_parent_for_the_network(viewer: Any) -> None:
    section = TrainDataExpertSection()
    section.set_start(from_parent=True)
    assert section.check(5).learning_rate < 1e-3
    section.forms["training"]["epochs"].value = 30
    section.forms["network"]["levels"].value = 3
    words = section.words()
    assert "--steps" not in words and "--levels" not in words and words[words.index("--epochs") + 1] == "30"
    assert train_params(build_parser().parse_args(["train", "x", "--out", "y", *words])).epochs == 30
    section.set_defaults()
    section.forms["training"]["learning_rate"].value = 0.01
    section.set_start(from_parent=False)
    assert section.check(5).learning_rate == 0.01, "what a person chose stays"


# --- in the window


def test_from_scratch_to_the_worst_image(train: Any, viewer: Any, tmp_path: Path, qtbot: Any) -> None:
    data = chosen(train, DataChoice(write_npz(tmp_path / "discs.npz")), qtbot)
    assert "6 images" in data.fold.title.text() and data.list.topLevelItemCount() == 6
    assert not train.set_section.fold.isVisible() and not train.data_expert.isHidden()
    begin(train, qtbot)
    outcome = ended(train, qtbot)
    assert not outcome.failed and outcome.version is not None, outcome
    assert outcome.version.name == "discs v1" and outcome.version.parent is None
    assert outcome.version.config.base_channels == 4
    history = train.job.history
    assert history.losses and len(history.check_losses) == 3 and np.isfinite(history.check_iou).all()
    assert set(train.start_section.overlap.curves) == {"IoU", "Dice"}
    # What is known of it, and the worst image first.
    result = train.result_section
    assert result.isVisible() and not train.guard_section.isVisible()
    figures = read_figures(outcome.version.path)
    assert figures is not None and figures.n_images == 3
    assert [row.ap for row in figures.worst] == sorted(row.ap for row in figures.worst)
    assert result.list.topLevelItem(0).text(0) == figures.worst[0].name and result.report.isEnabled()
    assert "<html" in (outcome.version.path / "report.html").read_text(encoding="utf-8")[:200].lower()
    fits(train.scroll, result.use, result.compare, result.list, train.start_section.start)
    item = result.list.topLevelItem(0)
    QTest.mouseClick(result.list.viewport(), LEFT, pos=result.list.visualItemRect(item).center())
    name = item.text(0)
    qtbot.waitUntil(lambda: f"{name} found" in names_of(viewer), timeout=60_000)
    samples = {s.name: s for s in held_out_samples(outcome.version.path)}
    assert set(samples) == {row.name for row in figures.worst}
    np.testing.assert_array_equal(viewer.layers[f"{name} truth"].data, samples[name].labels)
    np.testing.assert_array_equal(viewer.layers[f"{name} found"].data, predict(samples[name], outcome.version))
    # It is in the list of models, and can be looked at again.
    press(result.close_it, qtbot)
    choose_parent(train, "discs v1")
    press(train.start_section.figures, qtbot)
    assert result.isVisible() and result.version.path == outcome.version.path
    press(result.compare, qtbot)
    qtbot.waitUntil(lambda: train.windows.runs is not None, timeout=20_000)
    assert (
        "discs v1" in [run.name for run in train.windows.runs.chosen]
        and not train.windows.runs.curves.pixmap().isNull()
    )
    train.windows.runs.close()


def test_cancel_keeps_the_best_and_resume_goes_on(train: Any, tmp_path: Path, qtbot: Any) -> None:
    chosen(train, write_folders(tmp_path / "plate"), qtbot)
    train.data_expert.forms["training"]["steps"].value = 100_000
    begin(train, qtbot)
    qtbot.waitUntil(lambda: len(train.job.history.check_losses) > 0, timeout=PATIENCE)
    press(train.start_section.cancel, qtbot)
    outcome = ended(train, qtbot)
    assert outcome.stopped_early and not outcome.failed and outcome.version.name == "plate v1"
    assert "kept" in message(train) and train.result_section.isVisible()
    (unfinished,) = list_unfinished()
    assert (unfinished.command, unfinished.path, unfinished.parent) == ("train", outcome.version.path, "")
    before = unfinished.step
    press(train.unfinished.go_on, qtbot)
    assert train.job.trains and not train.result_section.isVisible()
    qtbot.waitUntil(lambda: train.job.step > before, timeout=PATIENCE)
    press(train.start_section.cancel, qtbot)
    assert ended(train, qtbot).version is not None
    press(train.unfinished.give_up, qtbot)
    assert list_unfinished() == [] and load_model("plate v1").path == outcome.version.path


@pytest.mark.skipif(sys.platform == "win32", reason="signals are of POSIX")
def test_a_killed_training_is_told_and_can_go_on(train: Any, tmp_path: Path, qtbot: Any) -> None:
    chosen(train, DataChoice(write_npz(tmp_path / "discs.npz")), qtbot)
    train.data_expert.forms["training"]["steps"].value = 100_000
    begin(train, qtbot)
    qtbot.waitUntil(lambda: len(train.job.history.check_losses) > 0, timeout=PATIENCE)
    os.kill(train.job.child.pid, signal.SIGKILL)
    outcome = ended(train, qtbot)
    assert outcome.failed and "killed" in outcome.sentence
    assert (user_models_dir() / "discs v1" / CHECKPOINT_FILE).exists() and train.unfinished.go_on.isVisible()


def test_from_a_parent_the_network_is_the_parents(train: Any, tiny: Any, tmp_path: Path, qtbot: Any) -> None:
    before = {p.name: p.read_bytes() for p in tiny.path.iterdir()}
    chosen(train, DataChoice(write_npz(tmp_path / "discs.npz")), qtbot)
    choose_parent(train, "tiny")
    train.data_expert.forms["network"]["base_channels"].value = 7
    train.data_expert.forms["training"]["epochs"].value = 2
    assert not train.start_section.minutes.isVisible() and "2 epochs" in train.start_section.time.text()
    begin(train, qtbot)
    outcome = ended(train, qtbot)
    assert not outcome.failed, outcome
    version = read_version(user_models_dir() / "tiny mine v1")
    assert version.parent == "tiny" and version.config == tiny.config
    assert version.training["stopped_by"] == "steps" and version.training["epochs"] == 2
    assert {p.name: p.read_bytes() for p in tiny.path.iterdir()} == before


@pytest.mark.parametrize("what", ["objects", "nothing", "gone"])
def test_data_that_cannot_be_used_is_told_and_not_started(train: Any, tmp_path: Path, qtbot: Any, what: str) -> None:
    path = tmp_path / "data.npz"
    if what == "objects":
        np.savez(path, X=np.array([{}], object), y=np.array([{}], object))
    elif what == "nothing":
        path = tmp_path / "data"
        (path / "a").mkdir(parents=True)
    data = chosen(train, DataChoice(path), qtbot)
    assert data.problem and data.hint.isVisible() and data.hint.text() == data.problem
    assert not data.view.isEnabled()
    assert not train.start_section.start.isEnabled() and message(train) == data.problem


def test_masks_of_classes_are_asked_about_and_understood(train: Any, tmp_path: Path, qtbot: Any) -> None:
    masks = np.zeros((3, 64, 64), np.uint8)
    for i in range(16):
        y, x = 16 * (i // 4) + 2, 16 * (i % 4) + 2
        masks[:, y : y + 10, x : x + 10] = 1 + i % 2
    np.savez(tmp_path / "classes.npz", X=masks * 90, y=masks)
    data = chosen(train, DataChoice(tmp_path / "classes.npz"), qtbot)
    assert data.loaded.report.n_cells == 6 and data.classes.isVisible() and not data.classes.isChecked()
    data.list.topLevelItem(0).setSelected(True)
    assert "are they classes instead of cells?" in data.hint.text()
    QTest.mouseClick(data.classes, LEFT, pos=QPoint(8, data.classes.height() // 2))
    qtbot.waitUntil(lambda: data.loaded is not None and not data.busy, timeout=60_000)
    assert data.loaded.report.n_cells == 48 and data.classes.isVisible() and data.classes.isChecked()
    assert "--classes" in train.job.data.words() and train.set_section.source.folder.currentText() == "classes.npz"
    texts = [train.set_section.source.folder.itemText(i) for i in range(train.set_section.source.folder.count())]
    assert texts.count("classes.npz") == 1


def test_pairs_are_looked_at_one_after_the_other(train: Any, viewer: Any, tmp_path: Path, qtbot: Any) -> None:
    data = chosen(train, write_folders(tmp_path / "plate"), qtbot)
    assert data.hint.isVisible() and "black and white" in data.hint.text()
    press(data.view, qtbot)
    first = data.loaded.samples[0]
    assert names_of(viewer) == [f"{first.name} (to learn from)", f"{first.name} masks"]
    np.testing.assert_array_equal(viewer.layers[1].data, first.labels)
    item = data.list.topLevelItem(2)
    QTest.mouseClick(data.list.viewport(), LEFT, pos=data.list.visualItemRect(item).center())
    assert names_of(viewer) == [f"{item.text(0)} (to learn from)", f"{item.text(0)} masks"]
    press(data.varied, qtbot)
    qtbot.waitUntil(lambda: names_of(viewer) == ["varied as in training"], timeout=60_000)
    picture = viewer.layers["varied as in training"]
    shown = picture.data.copy()
    press(data.varied, qtbot)
    qtbot.waitUntil(lambda: not np.array_equal(picture.data, shown), timeout=60_000)
    # The layers are used again, also when the person has removed one.
    viewer.layers.remove(f"{item.text(0)} masks")
    press(data.view, qtbot)
    assert names_of(viewer) == [f"{item.text(0)} (to learn from)", f"{item.text(0)} masks"] and len(viewer.layers) == 3
    train.set_section.source.choose(train.job.folder)
    assert not names_of(viewer) and not data.isVisible() and train.set_section.fold.isVisible()


def test_a_folder_is_a_training_set_or_images_with_masks(train: Any, tmp_path: Path, qtbot: Any) -> None:
    train.set_section.source.choose_folder(tmp_path / "empty")
    assert train.job.data is None and train.job.folder == tmp_path / "empty"
    (tmp_path / "other" / "masks").mkdir(parents=True)
    train.set_section.source.choose_folder(tmp_path / "other")
    assert train.job.data == DataChoice(tmp_path / "other")
    qtbot.waitUntil(lambda: not train.data_section.busy, timeout=20_000)
    # Both stay in the list, and going back is one choice.
    box = train.set_section.source.folder
    assert box.currentText() == "other"
    box.setCurrentIndex(0)
    box.activated.emit(0)
    assert train.job.data is None and not train.data_section.isVisible()


def test_the_first_page_fits_the_smallest_window(train: Any, tmp_path: Path, qtbot: Any) -> None:
    data = chosen(train, write_folders(tmp_path / "plate"), qtbot)
    train.start_section.overlap.show()
    train.expert.unfold(False)
    start = train.start_section
    fits(train.scroll, start.cancel, data.view, start.curves, start.overlap, whole=True)
    for fold in (train.expert, *train.data_expert.folds.values()):
        fold.unfold(True)
    qtbot.wait(100)
    assert train.scroll.widget().minimumSizeHint().width() <= train.scroll.viewport().width()
    for form in train.data_expert.forms.values():
        for box in form.findChildren(QDoubleSpinBox):
            field = box.lineEdit()
            assert field.width() >= field.fontMetrics().horizontalAdvance(field.text()), box.parent().objectName()
