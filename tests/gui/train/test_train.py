"""The Train widget in the real window, with real but short trainings of a tiny network."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.utils import progress
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_cellseg.gui.segment.segment_widget import SegmentWidget
from napari_cellseg.gui.train.train_widget import TrainWidget
from napari_cellseg.network.versions import ModelVersion, read_version, user_models_dir
from napari_cellseg.training.data import training_set
from napari_cellseg.training.data.training_set import TrainingSet, default_training_set
from napari_cellseg.training.runs import CHECKPOINT_FILE
from tests.gui.fitting import clipped, fits
from tests.models import make_model

from ..conftest import draw_discs, layers_of

LEFT = Qt.MouseButton.LeftButton
SHORT = {"steps": 12, "batch_size": 2, "crop": 32, "validate_every": 3, "checkpoint_seconds": 0.0}
PATIENCE = 240_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the person's own, where nothing is yet."""
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def tiny(home: Path) -> ModelVersion:
    """A small model among the person's own."""
    return make_model(user_models_dir() / "tiny", in_channels=3)


@pytest.fixture
def train(widget: SegmentWidget, home: Path, tiny: ModelVersion, viewer: Any, qtbot: Any) -> Any:
    """The Train widget, docked beside the Segment widget, with the tiny model chosen and a short run set."""
    train = TrainWidget(viewer)
    viewer.window.add_dock_widget(train, name="Train on corrected cells")
    shown(train, qtbot)
    choose_parent(train, "tiny")
    for name, value in SHORT.items():
        train.expert_section.form[name].value = value
    yield train
    if train.job.child is not None:
        train.job.child.kill()
        qtbot.waitUntil(lambda: not train.job.running, timeout=PATIENCE)
    qtbot.waitUntil(lambda: not train.set_section.busy, timeout=10_000)


def choose_parent(train: TrainWidget, name: str) -> None:
    box = train.start_section.parent_model
    box.setCurrentIndex(box.findData(name))
    box.activated.emit(box.currentIndex())


def shown(train: TrainWidget, qtbot: Any) -> None:
    """Wait until the folder was read and the list filled."""
    qtbot.wait(50)
    qtbot.waitUntil(lambda: not train.set_section.busy, timeout=10_000)


def truth(n: int = 16, size: int = 96) -> np.ndarray:
    from skimage.measure import label

    return label(draw_discs(n, size) > 0.45).astype(np.int32)


def add_images(*names: str, size: int = 96, reviewed: np.ndarray | None = None) -> TrainingSet:
    opened = TrainingSet.open(default_training_set(), create=True)
    for i, name in enumerate(names):
        noise = np.random.default_rng(i).random((size, size), dtype=np.float32) * 0.05
        opened.add(name, draw_discs(16, size) + noise, truth(16, size), reviewed)
    return opened


def filled(train: TrainWidget, qtbot: Any, *names: str) -> TrainingSet:
    opened = add_images(*(names or ("first", "second", "third")))
    train.set_section.refresh()
    shown(train, qtbot)
    return opened


def press(button: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: button.isVisible() and button.isEnabled(), timeout=10_000)
    qtbot.mouseClick(button, LEFT)


def begin(train: TrainWidget, qtbot: Any, **settings: Any) -> None:
    for name, value in settings.items():
        train.expert_section.form[name].value = value
    press(train.start_section.start, qtbot)
    assert train.job.running, message(train)


def ended(train: TrainWidget, qtbot: Any) -> Any:
    qtbot.waitUntil(lambda: not train.job.running, timeout=PATIENCE)
    return train.job.outcome


def message(train: TrainWidget) -> str:
    return train.start_section.message.text()


def files_of(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def select(train: TrainWidget, name: str, qtbot: Any) -> None:
    entries = train.set_section.list
    item = entries.findItems(name, Qt.MatchFlag.MatchExactly)[0]
    QTest.mouseClick(entries.viewport(), LEFT, pos=entries.visualItemRect(item).center())
    assert train.set_section.list.selected() == name


def test_a_training_from_start_to_use(train: Any, segmented: Any, tiny: Any, network: Any, qtbot: Any) -> None:
    filled(train, qtbot)
    assert "3 images" in train.set_section.fold.title.text()
    parent = files_of(tiny.path)
    begin(train, qtbot)
    assert not train.start_section.start.isEnabled() and train.start_section.cancel.isEnabled()
    shown = lambda: any("tiny mine v1" in bar.desc for bar in progress._all_instances)  # noqa: E731
    qtbot.waitUntil(shown, timeout=PATIENCE)
    qtbot.waitUntil(lambda: len(train.job.history.losses) > 0, timeout=PATIENCE)
    assert "step" in train.start_section.progress.format() and "Learning from" in message(train)
    outcome = ended(train, qtbot)
    assert not outcome.failed and not outcome.stopped_early, outcome
    assert len(train.job.history.losses) > 0 and len(train.start_section.curves.curves["held"].x) > 1
    assert train.start_section.curves.curves["held"].best is not None
    assert not any("tiny mine v1" in bar.desc for bar in progress._all_instances)
    # The version is whole, says where it comes from, and its parent is what it was.
    version = read_version(user_models_dir() / "tiny mine v1")
    assert version.parent == "tiny" and files_of(tiny.path) == parent
    guard = train.guard_section
    assert guard.isVisible() and guard.title.text() == "New model: tiny mine v1"
    figures = [cell.text() for (row, column), cell in guard._cells.items() if row >= 2 and column]
    assert len(figures) == 16 and sum(text != "–" for text in figures) >= 12
    # Not used before the person says so.
    assert segmented.model_section.model_name != "tiny mine v1" and network.runs == 1
    qtbot.waitUntil(lambda: not guard._loading or not guard._loading.busy, timeout=10_000)
    worse = guard.worse
    fits(train.scroll, guard.use, guard.keep, whole=True)
    assert not clipped(train), "the decision is in sight, and all of it"
    press(guard.use, qtbot)
    assert train.question.isVisible() is worse
    if worse:
        assert network.runs == 1
        press(train.question.yes, qtbot)
    qtbot.waitUntil(lambda: network.runs == 2 and segmented.session.running is None, timeout=20_000)
    assert segmented.model_section.model_name == "tiny mine v1"
    assert segmented.session.cells.segmented.recipe.model == "tiny mine v1"
    assert not guard.isVisible()
    # Its lineage is shown, and choosing the parent is the undo.
    assert train.start_section.lineage.text() == "tiny › tiny mine v1"
    choose_parent(train, "tiny")
    press(train.start_section.use, qtbot)
    qtbot.waitUntil(lambda: network.runs == 3 and segmented.session.running is None, timeout=20_000)
    assert segmented.session.cells.segmented.recipe.model == "tiny"


def test_corrections_stay_when_the_new_model_is_used(train: Any, segmented: Any, network: Any, qtbot: Any) -> None:
    from napari_cellseg.corrections import tools as edits

    key, session = segmented.session.chosen, segmented.session
    ids = session.cells.corrected.ids(session.cells.threshold, session.cells.min_size)
    session.edit(key, edits.delete, [int(ids[0])])
    press(train.start_section.use, qtbot)
    qtbot.waitUntil(lambda: network.runs == 2 and session.running is None, timeout=20_000)
    assert session.cells.n_erased == 1 and session.cells.count() == len(ids) - 1


def test_cancel_keeps_the_best_and_resume_goes_on(train: Any, tiny: Any, qtbot: Any) -> None:
    filled(train, qtbot)
    parent = files_of(tiny.path)
    begin(train, qtbot, steps=100_000)
    qtbot.waitUntil(lambda: (train.job.history.best or 0) > 0, timeout=PATIENCE)
    press(train.start_section.cancel, qtbot)
    assert "Stopping" in message(train) and train.start_section.cancel.text() == "Stop now"
    outcome = ended(train, qtbot)
    assert outcome.stopped_early and not outcome.failed and outcome.comparison is not None
    version, step = read_version(outcome.request.out), train.job.step
    assert version.parent == "tiny" and step < 100_000 and files_of(tiny.path) == parent
    assert train.guard_section.isVisible() and "kept as tiny mine v1" in message(train)
    assert train.unfinished.isVisible() and "tiny mine v1" in train.unfinished.text.text()
    press(train.unfinished.go_on, qtbot)
    qtbot.waitUntil(lambda: train.job.step > step, timeout=PATIENCE)
    assert train.job.request.out == outcome.request.out and not train.unfinished.isVisible()
    press(train.start_section.cancel, qtbot)
    ended(train, qtbot)
    press(train.unfinished.give_up, qtbot)
    assert not train.unfinished.isVisible() and not (outcome.request.out / CHECKPOINT_FILE).exists()
    assert read_version(outcome.request.out).parent == "tiny"


def test_cancel_works_while_it_starts_and_twice_is_at_once(train: Any, tiny: Any, qtbot: Any) -> None:
    filled(train, qtbot)
    parent = files_of(tiny.path)
    begin(train, qtbot)
    press(train.start_section.cancel, qtbot)
    press(train.start_section.cancel, qtbot)
    outcome = ended(train, qtbot)
    assert outcome.version is None and not outcome.failed and "Stopped" in message(train)
    assert not train.guard_section.isVisible() and files_of(tiny.path) == parent
    assert train.start_section.start.isEnabled()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are of POSIX")
def test_a_killed_training_is_told_and_can_go_on(train: Any, tiny: Any, qtbot: Any) -> None:
    filled(train, qtbot)
    parent = files_of(tiny.path)
    begin(train, qtbot, steps=100_000)
    qtbot.waitUntil(lambda: (train.job.history.best or 0) > 0, timeout=PATIENCE)
    qtbot.wait(500)
    os.kill(train.job.child.pid, signal.SIGKILL)
    outcome = ended(train, qtbot)
    assert outcome.failed and "ended unexpectedly" in message(train) and "signal 9" in message(train)
    assert files_of(tiny.path) == parent and train.start_section.start.isEnabled()
    assert outcome.version is not None and "kept as tiny mine v1" in message(train)
    # It was never compared: it may be used, after a second thought.
    assert train.guard_section.isVisible() and "not compared" in train.guard_section.verdict.text()
    press(train.guard_section.use, qtbot)
    assert train.question.isVisible()
    press(train.question.no, qtbot)
    assert train.unfinished.isVisible()
    press(train.unfinished.go_on, qtbot)
    qtbot.waitUntil(lambda: train.job.kind == "running" and train.job.step > 0, timeout=PATIENCE)


@pytest.mark.cold
def test_closing_the_window_leaves_a_usable_version(
    make_napari_viewer: Callable[..., Any], tiny: ModelVersion, qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    train = TrainWidget(viewer)
    viewer.window.add_dock_widget(train, name="Train on corrected cells")
    choose_parent(train, "tiny")
    filled(train, qtbot)
    for name, value in {**SHORT, "steps": 100_000}.items():
        train.expert_section.form[name].value = value
    press(train.start_section.start, qtbot)
    job = train.job
    qtbot.waitUntil(lambda: (job.history.best or 0) > 0, timeout=PATIENCE)
    child, out, parent = job.child, job.request.out, files_of(tiny.path)
    viewer.close()
    qtbot.wait(100)
    assert not job.running
    assert child.wait(PATIENCE / 1000) and child.returncode == 0
    assert read_version(out).parent == "tiny" and files_of(tiny.path) == parent


def test_closing_the_dock_lets_the_training_go_on(train: Any, viewer: Any, qtbot: Any) -> None:
    filled(train, qtbot)
    begin(train, qtbot)
    job = train.job
    viewer.window.remove_dock_widget(train)
    again = TrainWidget(viewer)
    viewer.window.add_dock_widget(again, name="Train again")
    assert again.job is job and not again.start_section.start.isEnabled()
    qtbot.waitUntil(lambda: not job.running, timeout=PATIENCE)
    assert again.guard_section.isVisible() and job.outcome.version is not None


def test_nothing_to_learn_from_is_refused_politely(train: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not train.set_section.busy, timeout=20_000)
    assert not train.start_section.start.isEnabled() and "nothing to learn from yet" in message(train)
    assert train.set_section.hint.isVisible() and "Nothing here yet" in train.set_section.hint.text()
    assert not default_training_set().exists()


def test_a_damaged_entry_is_named_and_hides_no_other(train: Any, qtbot: Any) -> None:
    opened = filled(train, qtbot, "good", "bad", "ugly", "fine")
    (opened.path / "labels" / "bad.tif").write_bytes(b"II*\0 not a TIFF")
    (opened.path / "images" / "ugly.tif").unlink()
    train.set_section.refresh()
    shown(train, qtbot)
    rows = {entry.name: entry.problem for entry in train.set_section.entries}
    assert rows["bad"] and rows["ugly"] and not rows["good"] and not rows["fine"]
    assert "2 cannot be used" in train.set_section.fold.title.text()
    begin(train, qtbot, steps=3)
    outcome = ended(train, qtbot)
    assert outcome.version is not None and "Skipped" in outcome.sentence and "bad" in outcome.sentence
    for name in ("good", "fine"):
        opened.remove(name)
    train.set_section.refresh()
    shown(train, qtbot)
    assert not train.start_section.start.isEnabled()
    assert "No image of this training set can be used" in message(train)


def test_a_folder_that_is_no_training_set(train: Any, tmp_path: Path, qtbot: Any) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.txt").write_text("sun")
    train.set_section.source.choose(tmp_path / "holiday")
    shown(train, qtbot)
    assert not train.start_section.start.isEnabled() and "is not a training set" in message(train)
    assert train.set_section.source.folder.currentText() == "holiday"


def test_the_parent_is_missing(train: Any, tiny: Any, qtbot: Any) -> None:
    filled(train, qtbot)
    shutil.rmtree(tiny.path)
    press(train.start_section.start, qtbot)
    assert not train.job.running and "no model named or stored at 'tiny'" in message(train)
    # Also where it goes between the check and the start of the child.
    make_model(tiny.path, in_channels=3)
    begin(train, qtbot)
    shutil.rmtree(tiny.path)
    outcome = ended(train, qtbot)
    assert outcome.failed and outcome.version is None and "tiny" in message(train)


def test_settings_out_of_range_are_not_passed_on(train: Any, qtbot: Any) -> None:
    expert = train.expert_section
    press(train.expert.title, qtbot)
    press(expert.reset, qtbot)
    assert expert.words() == ()
    expert.form["learning_rate"].value = 2.5e-4
    expert.form["freeze"].value = "encoder"
    words = expert.words()
    assert words[words.index("--learning-rate") + 1] == "0.00025" and words[words.index("--freeze") + 1] == "encoder"
    expert.form["general"].value = 0
    assert "--general" in expert.words(), "none of the general samples is not the same as what the approach says"
    expert.form["general"].value = None
    assert "--general" not in expert.words() and expert.form.value.general is None
    expert.form["learning_rate"].value = 50
    assert expert.form.value.learning_rate <= 1


def test_entries_are_viewed_replaced_and_removed(train: Any, viewer: Any, qtbot: Any) -> None:
    opened = filled(train, qtbot, "first", "second")
    select(train, "second", qtbot)
    assert not train.set_section.replace.isEnabled()
    press(train.set_section.view, qtbot)
    qtbot.waitUntil(lambda: "second labels" in viewer.layers, timeout=10_000)
    sample = opened.read("second")
    labels = viewer.layers["second labels"]
    assert np.array_equal(labels.data, sample.labels) and viewer.layers["second reviewed"].data.all()
    labels.fill((48, 48), 77)
    viewer.layers["second reviewed"].data[:, 60:] = 0
    changed = labels.data.copy()
    press(train.set_section.replace, qtbot)
    shown(train, qtbot)
    qtbot.waitUntil(lambda: opened.read("second").reviewed is not None, timeout=10_000)
    again = opened.read("second")
    assert np.array_equal(again.labels, changed) and 77 in again.labels
    assert not again.reviewed[:, 60:].any() and again.reviewed[:, :60].all()
    assert np.array_equal(again.image, sample.image) and opened.names() == ["first", "second"]
    # A viewed entry whose layers were closed cannot replace anything.
    viewer.layers.remove(labels)
    train.set_section._on_selected()
    assert not train.set_section.replace.isEnabled()
    select(train, "first", qtbot)
    press(train.set_section.remove, qtbot)
    assert "Delete 'first'" in train.question.text.text()
    press(train.question.no, qtbot)
    assert opened.names() == ["first", "second"]
    press(train.set_section.remove, qtbot)
    press(train.question.yes, qtbot)
    qtbot.waitUntil(lambda: opened.names() == ["second"], timeout=10_000)
    shown(train, qtbot)
    assert train.set_section.list.topLevelItemCount() == 1


def view(train: TrainWidget, name: str, qtbot: Any) -> None:
    select(train, name, qtbot)
    press(train.set_section.view, qtbot)
    qtbot.waitUntil(lambda: f"'{name}' is shown" in message(train), timeout=10_000)


def listed(train: TrainWidget, opened: TrainingSet, qtbot: Any) -> None:
    """Wait until the list shows what another program, or the Correct widget, changed."""
    train.job.set_changed.emit(opened.path)
    shown(train, qtbot)


@pytest.mark.parametrize("case", ["the same image", "another image"])
def test_what_is_newer_than_what_is_viewed_is_shown_and_never_replaced(
    case: str, train: Any, viewer: Any, qtbot: Any
) -> None:
    opened = filled(train, qtbot, "first", "second")
    view(train, "second", qtbot)
    sample = opened.read("second")
    viewer.layers["second labels"].fill((48, 48), 77)
    newer = np.where(sample.labels == sample.labels.max(), 0, sample.labels)
    image = sample.image if case == "the same image" else sample.image[::-1] + 1
    if case == "another image":
        opened.remove("second")
    opened.add("second", image, newer, replace=True)
    listed(train, opened, qtbot)
    select(train, "second", qtbot)
    press(train.set_section.replace, qtbot)
    qtbot.waitUntil(lambda: "changed or removed since it was shown" in message(train), timeout=10_000)
    assert opened.names() == ["first", "second"]
    train.set_section._report("", False)
    view(train, "second", qtbot)
    assert np.array_equal(viewer.layers["second labels"].data, newer)
    assert np.array_equal(viewer.layers["second (training set)"].data, image)
    # What the person had painted is still there, and what is shown now can be replaced, more than once.
    assert 77 in viewer.layers["second labels before"].data
    for id_ in (78, 79):
        viewer.layers["second labels"].fill((48, 48), id_)
        press(train.set_section.replace, qtbot)
        qtbot.waitUntil(lambda id_=id_: id_ in opened.read("second").labels, timeout=10_000)
        shown(train, qtbot)
    assert opened.names() == ["first", "second"] and np.array_equal(opened.read("second").image, image)


def test_a_change_is_not_left_out_for_a_later_look(train: Any, viewer: Any, qtbot: Any) -> None:
    opened = filled(train, qtbot, "first", "second")
    view(train, "second", qtbot)
    viewer.layers["second labels"].fill((48, 48), 77)
    with training_set._one_at_a_time:
        press(train.set_section.replace, qtbot)
        select(train, "first", qtbot)
        press(train.set_section.remove, qtbot)
        press(train.question.yes, qtbot)
        select(train, "second", qtbot)
        press(train.set_section.view, qtbot)
        qtbot.wait(100)
        assert not train.set_section.replace.isEnabled()
    qtbot.waitUntil(lambda: opened.names() == ["second"], timeout=10_000)
    shown(train, qtbot)
    assert 77 in opened.read("second").labels and train.set_section.list.topLevelItemCount() == 1
    assert train.set_section.replace.isEnabled()


def test_the_short_form_fits_the_smallest_window(train: Any, qtbot: Any) -> None:
    filled(train, qtbot)
    train.expert.unfold(False)
    start = train.start_section
    fits(train.scroll, start.cancel, train.set_section.remove, start.curves, whole=True)


def test_every_control_says_what_it_does(train: Any) -> None:
    from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox

    for kind in (QAbstractButton, QComboBox, QAbstractSpinBox):
        for control in train.findChildren(kind):
            if control.objectName() and not control.objectName().startswith(("qt_", "question_")):
                assert control.toolTip(), control.objectName()


def test_layers_of_the_segmented_image_are_left_alone(train: Any, segmented: Any, viewer: Any, qtbot: Any) -> None:
    before = layers_of(segmented).labels.data.copy()
    filled(train, qtbot, "first")
    select(train, "first", qtbot)
    press(train.set_section.view, qtbot)
    qtbot.waitUntil(lambda: "first labels" in viewer.layers, timeout=10_000)
    assert np.array_equal(layers_of(segmented).labels.data, before)
