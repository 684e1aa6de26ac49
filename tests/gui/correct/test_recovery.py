"""Corrections outlive napari: a real process is killed while a person corrects, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_cellseg.corrections import tools as edits
from napari_cellseg.corrections.recovery import newest_journal
from napari_cellseg.gui.correct.correct_widget import CorrectWidget
from napari_cellseg.gui.viewer.correcting import Correcting
from napari_cellseg.gui.viewer.dock import open_dock
from napari_cellseg.gui.viewer.opening import add_image
from napari_cellseg.imaging.read.read import read_image
from napari_cellseg.imaging.write.write import write_labels
from napari_cellseg.session import Session

from ..conftest import draw_discs, layers_of, press_segment
from ..fitting import fits

LEFT = Qt.MouseButton.LeftButton
SCRIPT = Path(__file__).parent / "edit_until_killed.py"


@dataclass(frozen=True)
class Killed:
    """What a napari left behind that was killed in the middle of a stroke: how many cells it had corrected, and how."""

    image: Path
    home: Path
    changed: int
    erased: int
    claims: np.ndarray


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """Correct an image in a napari of its own, and kill it."""
    folder = tmp_path_factory.mktemp("killed")
    image, claims = folder / "discs.tif", folder / "claims.npy"
    write_labels(image, (draw_discs(25, 200) * 40_000).astype(np.uint16))
    places = {"NAPARI_CONFIG": str(folder / "settings.yaml"), "NAPARI_CELLSEG_HOME": str(folder / "home")}
    child = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(image), str(claims)],
        env={**os.environ, **places},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        line = next((line for line in child.stdout if line.startswith("editing")), "")
    finally:
        child.kill()  # signal 9 where there are signals
        child.wait()
    assert line, "the child ended before it was killed"
    changed, erased = line.split()[1:]
    return Killed(image, folder / "home", int(changed), int(erased), np.load(claims))


@pytest.fixture
def home(killed: Killed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the killed napari's home."""
    shutil.copytree(killed.home, tmp_path / "home")
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_kill_9_loses_nothing(killed: Killed, home: Path, tmp_path: Path, widget: Any, viewer: Any, qtbot: Any) -> None:
    changed, erased = killed.changed, killed.erased
    assert changed >= 4 and erased >= 3
    # Known by its content: the name and the place are others now.
    moved = Path(shutil.copy(killed.image, tmp_path / "renamed.tif"))
    correct = CorrectWidget(viewer)
    viewer.window.add_dock_widget(correct)
    qtbot.wait(100)
    open_dock(viewer, "segment")
    add_image(viewer, read_image(moved))
    qtbot.wait(50)
    places = [control.pos() for control in (widget.run_section, widget.cells_section, widget.result_section)]
    for banner in (widget.banner, correct.banner):
        qtbot.waitUntil(lambda banner=banner: not banner.isHidden(), timeout=20_000)
        assert f"Recover {changed + erased} corrections from" in banner.text.text()
    fits(widget.scroll, widget.result_section.save)
    moved_to = [control.pos() for control in (widget.run_section, widget.cells_section, widget.result_section)]
    assert moved_to == places, "the question moves nothing"
    qtbot.mouseClick(widget.banner.yes, LEFT)
    qtbot.waitUntil(lambda: widget.session.cells is not None and widget.session.running is None, timeout=60_000)
    corrections = widget.session.cells.corrected.corrections
    assert (corrections.n_changed, corrections.n_erased) == (changed, erased)
    claims = killed.claims
    assert np.array_equal(corrections.claims(), claims)
    labels = layers_of(widget).labels.data
    assert np.array_equal(labels[claims > 0], claims[claims > 0]) and not labels[claims < 0].any()
    assert widget.banner.isHidden() and correct.banner.isHidden()
    assert widget.session.cells.threshold == 0.8 == widget.cells_section.threshold.value(), "the sliders are back too"
    assert not widget.cells_section.note.full_text, "the panel says what the cells were made with"
    qtbot.waitUntil(lambda: "yours" in layers_of(widget).labels.features, timeout=10_000)
    features = layers_of(widget).labels.features
    assert "drawn" in list(features["yours"]) and (features["yours"] != "").sum() == changed


def test_not_now_begins_afresh_and_keeps_the_file(
    killed: Killed, home: Path, widget: Any, viewer: Any, qtbot: Any
) -> None:
    layer = add_image(viewer, read_image(killed.image))
    qtbot.waitUntil(lambda: not widget.banner.isHidden(), timeout=20_000)
    qtbot.mouseClick(widget.banner.no, LEFT)
    assert widget.banner.isHidden()
    press_segment(widget, qtbot)
    assert widget.banner.isHidden() and widget.session.cells.n_changed == 0
    # Begun afresh, and still there for another time.
    key = widget.session.chosen
    widget.bench.part(Correcting).edit(key, edits.accept, [int(widget.session.view_of(key).ids()[0])])
    assert widget.session.recoverable(key) is not None
    assert layer in viewer.layers


def test_recovery_that_was_cancelled_and_declined_does_not_come_with_the_next_answer(
    killed: Killed, home: Path, widget: Any, viewer: Any, qtbot: Any
) -> None:
    add_image(viewer, read_image(killed.image))
    qtbot.waitUntil(lambda: not widget.banner.isHidden(), timeout=20_000)
    qtbot.mouseClick(widget.banner.yes, LEFT)
    assert widget.session.running is not None
    widget.bench.cancel()
    qtbot.mouseClick(widget.banner.no, LEFT)
    press_segment(widget, qtbot)
    assert widget.session.cells.n_changed == widget.session.cells.n_erased == 0


def test_another_image_of_the_same_name_is_offered_nothing(
    killed: Killed, home: Path, tmp_path: Path, widget: Any, viewer: Any, qtbot: Any
) -> None:
    image = tmp_path / killed.image.name
    write_labels(image, (draw_discs(25, 200) * 39_000).astype(np.uint16))
    add_image(viewer, read_image(image))
    press_segment(widget, qtbot)
    qtbot.wait(500)
    assert widget.banner.isHidden()


def test_a_process_with_the_number_of_a_killed_one_is_offered_its_corrections(home: Path) -> None:
    (path,) = home.rglob("*.jsonl")
    (path_now := path.with_name(f"20200101T000000Z-{os.getpid()}.jsonl")).write_bytes(path.read_bytes())
    path.unlink()
    info = newest_journal(path.parent.name)
    assert info is not None and info.path == path_now


def test_a_session_is_not_offered_its_own_journal_but_another_viewer_is(
    killed: Killed, home: Path, widget: Any, viewer: Any, qtbot: Any
) -> None:
    shutil.rmtree(home)
    add_image(viewer, read_image(killed.image))
    press_segment(widget, qtbot)
    session = widget.session
    widget.bench.part(Correcting).edit(session.chosen, edits.accept, [int(session.view_of(session.chosen).ids()[0])])
    (journal,) = session.journals()
    sha256 = session.cells.segmented.image_sha256
    assert newest_journal(sha256, session.journals()) is None
    other = newest_journal(sha256, Session().journals())
    assert other is not None and other.path == journal
