"""Full disks and second windows: corrections are on the disk, or the panel says why not and what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from napari_cellseg.corrections import tools as edits
from napari_cellseg.corrections.recovery import read_journal
from napari_cellseg.gui.correct.correct_widget import CorrectWidget
from napari_cellseg.gui.segment.segment_widget import SegmentWidget
from napari_cellseg.gui.viewer.correcting import Correcting
from napari_cellseg.imaging.write.write import read_labels, read_metadata

from ..conftest import draw_discs, press_segment


@contextmanager
def full_disk(n_bytes: int) -> Iterator[None]:
    """Let no file grow beyond a size, as where a disk has no more room."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def edit(widget: Any, tool: Any, place: int) -> None:
    key = widget.session.chosen
    ids = widget.session.view_of(key).ids()
    assert widget.bench.part(Correcting).edit(key, tool, [int(ids[place])])


def save(widget: Any, folder: Path, qtbot: Any) -> None:
    """Save, and wait until the panel says what came of it."""
    button = widget.result_section.save
    widget.result_section.save_to(folder)
    assert not button.isEnabled()
    qtbot.waitUntil(button.isEnabled, timeout=20_000)
    qtbot.wait(50)


@pytest.mark.skipif(sys.platform == "win32", reason="no limits for files there")
def test_a_full_disk_is_told_and_costs_nothing(segmented: Any, viewer: Any, tmp_path: Path, qtbot: Any) -> None:
    correct = CorrectWidget(viewer)
    viewer.window.add_dock_widget(correct)
    edit(segmented, edits.accept, 0)
    save(segmented, tmp_path, qtbot)
    labels = tmp_path / "discs_labels.tif"
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    saved = segmented.session.saved(segmented.session.chosen)
    with full_disk(saved.path.stat().st_size + 20):
        edit(segmented, edits.accept, 1)
        edit(segmented, edits.delete, 2)
        qtbot.waitUntil(lambda: "disk is full" in correct.keep_section.saved.full_text, timeout=10_000)
        save(segmented, tmp_path, qtbot)
        state = segmented.session.state
        assert state.kind == "failed" and "disk is full" in state.sentence and "choose another folder" in state.sentence
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert segmented.session.cells.n_changed == 2 and segmented.session.cells.n_erased == 1
    # There is room again: the journal is written by itself, the results when they are saved.
    qtbot.waitUntil(lambda: segmented.session.saved(segmented.session.chosen).n_pending == 0, timeout=10_000)
    found = read_journal(saved.path).corrections
    assert (found.n_changed, found.n_erased) == (2, 1)
    save(segmented, tmp_path, qtbot)
    assert segmented.session.state.kind == "idle"
    assert read_metadata(labels)["corrections"] == {"changed": 2, "erased": 1}


def test_two_windows_on_one_image_lose_nothing_of_each_other(
    segmented: Any, make_napari_viewer: Any, tmp_path: Path, qtbot: Any
) -> None:
    other_viewer = make_napari_viewer(show=True)
    other = SegmentWidget(other_viewer)
    other_viewer.window.add_dock_widget(other)
    other_viewer.add_image(draw_discs(), name="discs")
    press_segment(other, qtbot)
    edit(segmented, edits.accept, 0)
    edit(other, edits.delete, 1)
    journals = [*segmented.session.journals(), *other.session.journals()]
    assert len(set(journals)) == 2 and [read_journal(path).corrections.n_erased for path in journals] == [0, 1]
    save(segmented, tmp_path, qtbot)
    labels = tmp_path / "discs_labels.tif"
    theirs = read_labels(labels)
    save(other, tmp_path, qtbot)
    state = other.session.state
    assert state.kind == "failed" and "another window or session" in state.sentence and "Open it" in state.sentence
    assert (read_labels(labels) == theirs).all()
    save(other, tmp_path / "own", qtbot)
    assert other.session.state.kind == "idle" and read_metadata(tmp_path / "own" / labels.name)["corrections"]["erased"]
    # The corrections of one are offered to the other, whichever goes on.
    key = other.session.chosen
    info = other.session.recoverable(key)
    assert info is not None and info.path in segmented.session.journals() and info.n_corrections == 1
