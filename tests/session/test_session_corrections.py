"""Corrections through the session: whatever the person does next, and whatever becomes of the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from napari_cellseg.corrections import tools as edits
from napari_cellseg.corrections.recovery import find_journals
from napari_cellseg.corrections.tools import EditError
from napari_cellseg.imaging.errors import CellsegError
from napari_cellseg.imaging.from_array import as_image
from napari_cellseg.imaging.image import Image
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.segmentation.segmented import Segmented
from napari_cellseg.session import OF_ANOTHER_CHANNEL, REVIEW_AGAIN, Cells, Session
from tests.session.test_session import discs, segmented

EVERYWHERE = (slice(0, 96), slice(0, 96))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the person's own, which is empty."""
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def session() -> Session:
    """A session with nine cells, ids 1 to 9, of several sizes and brightnesses."""
    return started("a")


def started(key: str, image: Image | None = None, model: str = "mine") -> Session:
    session = Session()
    session.choose(key)
    segment(session, key, image, model)
    return session


def segment(session: Session, key: str, image: Image | None = None, model: str = "mine") -> Cells:
    request = session.request(key, image or discs(), Recipe(model))
    assert request is not None
    assert session.accept(request, segmented(request.image, request.recipe))
    return cells_of(session, key)


def cells_of(session: Session, key: str = "a") -> Cells:
    cells = session.cells_of(key)
    assert cells is not None
    return cells


def shown(session: Session, key: str = "a") -> np.ndarray:
    cells = cells_of(session, key)
    return cells.corrected.labels(cells.threshold, cells.min_size)


def test_edits_are_counted_told_and_in_the_table(session: Session) -> None:
    seen: list[tuple] = []
    session.corrected.connect(lambda key, region: seen.append(("corrected", key, region, cells_of(session).count())))
    session.sliders_changed.connect(lambda key: seen.append(("sliders", key)))
    before = cells_of(session)
    region = session.edit("a", edits.delete, 9)
    assert seen == [("corrected", "a", region, 8)], "the sliders are where they were"
    session.set_threshold(0.55)
    assert seen[1:] == [("sliders", "a")]
    session.set_threshold(0.3)
    assert cells_of(session) is not before
    session.edit("a", edits.accept, [7, 8])
    cells = cells_of(session)
    result = cells.result()
    assert (cells.count(), cells.n_changed, cells.n_erased) == (8, 2, 1) == (result.count, 2, 1)
    assert dict(zip(result.table["index"].tolist(), result.table["yours"].tolist(), strict=True)) == {
        **dict.fromkeys(range(1, 7), ""),
        7: "accepted",
        8: "accepted",
    }
    assert result.metadata["corrections"] == {"changed": 2, "erased": 1} and result.metadata["count"] == 8
    assert np.array_equal(result.labels, shown(session))
    assert cells.counted_areas().sum() == np.count_nonzero(result.labels)
    assert cells.covered() == np.count_nonzero(result.labels) / result.labels.size


def test_without_corrections_nothing_is_said_of_them(session: Session) -> None:
    result = cells_of(session).result()
    assert "corrections" not in result.metadata and set(result.table["yours"]) == {""}
    assert session.saved("a") is None and session.undo("a") is None and session.redo("a") is None


def test_sliders_move_the_others_only_and_undo_is_right_after_them(session: Session) -> None:
    original = shown(session)
    session.edit("a", edits.accept, 1)
    session.edit("a", edits.delete, 9)
    session.set_threshold(0.55)
    automatic = set(cells_of(session).segmented.instances.ids(0.55, 10).tolist())
    assert 9 in automatic and 1 not in automatic
    assert set(cells_of(session).corrected.ids(0.55, 10).tolist()) == (automatic | {1}) - {9}
    assert np.array_equal(shown(session) == 1, original == 1)
    session.undo("a")
    assert set(cells_of(session).corrected.ids(0.55, 10).tolist()) == automatic | {1}
    session.undo("a")
    assert cells_of(session).threshold == 0.55
    assert np.array_equal(shown(session), cells_of(session).segmented.instances.labels(0.55, 10))
    session.redo("a")
    session.redo("a")
    session.set_threshold(0.3)
    assert np.array_equal(shown(session), np.where(original == 9, 0, original))


def test_corrections_stay_when_the_image_is_segmented_again(session: Session) -> None:
    original = shown(session)
    session.edit("a", edits.accept, [2, 3])
    session.edit("a", edits.delete, 9)
    for model in ("mine", "other"):
        cells = segment(session, "a", model=model)
        assert (cells.count(), cells.n_changed, cells.n_erased) == (8, 2, 1)
        assert np.array_equal(
            np.where(np.isin(original, [2, 3]), original, 0), cells.corrected.corrections.claims().clip(0)
        )
        # Whatever reads the segmentation sees the ids that are shown.
        assert cells.segmented.instances is cells.corrected.instances
        assert not np.isin([2, 3, 9], np.unique(cells.segmented.instances.basins)).any()
    session.undo("a")
    assert cells_of(session).count() == 9


def test_another_image_in_the_same_layer_begins_anew_and_the_first_comes_back(session: Session) -> None:
    session.edit("a", edits.delete, 9)
    session.forget("a")  # what the window does when the layer's values change
    assert segment(session, "a", discs(4)).count() == 4
    session.edit("a", edits.accept, 1)
    session.forget("a")
    assert session.cells_of("a") is None
    cells = segment(session, "b", discs())
    assert (cells.count(), cells.n_erased, cells.n_changed) == (8, 1, 0)
    assert session.saved("b") is not None
    session.undo("b")
    assert cells_of(session, "b").count() == 9


def test_axes_read_in_another_order_are_another_image(home: Path) -> None:
    values = np.zeros((1, 24, 1), np.float32)
    values[0, 4:16] = 1
    session = started("a", as_image(values, "YXC"))
    session.edit("a", edits.accept, cells_of(session).view.ids())
    assert segment(session, "a", as_image(values, "CYX")).corrected.shape == (24, 1)
    assert cells_of(session).n_changed == 0
    assert segment(session, "a", as_image(values, "YXC")).n_changed == 1


def test_the_same_image_twice_in_a_viewer_has_corrections_of_its_own(session: Session) -> None:
    session.edit("a", edits.delete, 9)
    assert segment(session, "b").count() == 9
    session.edit("b", edits.delete, [1, 2])
    assert cells_of(session, "a").count() == 8 and cells_of(session, "b").count() == 7


def test_what_makes_no_sense_is_refused_and_changes_nothing(session: Session) -> None:
    before, revision = shown(session), cells_of(session).revision
    with pytest.raises(EditError, match="no cell 77"):
        session.edit("a", edits.delete, 77)
    with pytest.raises(CellsegError, match="Press Segment"):
        session.edit("b", edits.delete, 1)
    assert np.array_equal(shown(session), before) and cells_of(session).revision == revision
    assert session.saved("a") is None


def test_marks_are_edits(session: Session) -> None:
    session.mark_reviewed("a", EVERYWHERE, True)
    assert cells_of(session).corrected.reviewed_area(0.3, 10).all()
    session.undo("a")
    assert not cells_of(session).corrected.reviewed_area(0.3, 10).any()


def of_channel(image: Image, channel: int) -> Segmented:
    """What the model of `segmented` says of one channel."""
    found = segmented(as_image(image.plane(channel)), Recipe("mine", channel=channel))
    return replace(found, image=image)


def test_what_is_corrected_on_one_channel_says_nothing_of_another(home: Path) -> None:
    nine, four = discs(9).plane(), discs(4).plane()
    image = as_image(np.stack([nine, four]), "CYX", name="two channels")

    def segment_channel(session: Session, channel: int) -> str:
        request = session.request("a", image, Recipe("mine", channel=channel))
        assert request is not None and session.accept(request, of_channel(image, channel))
        return session.state.sentence

    session = Session()
    session.choose("a")
    segment_channel(session, 0)
    session.edit("a", edits.delete, [8, 9])
    assert OF_ANOTHER_CHANNEL in segment_channel(session, 1)
    cells = cells_of(session)
    assert cells.count() == 4 and cells.n_erased == 0 and not cells.corrected.reviewed_area(0.3, 10).any()
    session.edit("a", edits.delete, 4)
    assert OF_ANOTHER_CHANNEL in segment_channel(session, 0)
    assert cells_of(session).count() == 7 and cells_of(session).n_erased == 2
    session.close()
    # After a crash each channel is offered what is its own.
    other = Session()
    for channel, n in ((1, 3), (0, 7)):
        segment_channel(other, channel)
        info = other.recoverable("a")
        assert info is not None and info.header["channels"] == [channel]
        other.recover("a", info)
        assert cells_of(other).count() == n
    other.close()


def test_a_grey_image_is_the_same_whatever_its_recipe_calls_the_channel(session: Session) -> None:
    session.edit("a", edits.delete, 9)
    request = session.request("a", discs(), Recipe("mine", channel=0))
    assert request is not None and session.accept(request, segmented(request.image, request.recipe))
    assert cells_of(session).count() == 8 and OF_ANOTHER_CHANNEL not in session.state.sentence


def test_none_of_the_persons_cells_is_left_out(session: Session) -> None:
    areas = np.sort(cells_of(session).areas())
    session.edit("a", edits.accept, [1, 2])
    session.set_min_size(int(areas[4]))
    cells = cells_of(session)
    assert cells.n_left_out() == 2 and cells.count() == 7
    session.set_min_size(10_000)
    assert cells_of(session).n_left_out() == 7 and cells_of(session).count() == 2


@pytest.mark.parametrize("was_away", [False, True])
def test_nobody_vouches_for_what_another_answer_changed(session: Session, was_away: bool) -> None:
    session.mark_reviewed("a", EVERYWHERE, True)
    labels = shown(session)
    segment(session, "a")
    assert cells_of(session).corrected.corrections.marks().all() and REVIEW_AGAIN not in session.state.sentence
    # Another answer has lost two cells and found one where there was none.
    picture = np.array(discs().plane())
    picture[labels == 1] = picture[labels == 5] = 0
    picture[0:6, 30:36] = 0.8
    if was_away:
        session.forget("a")
    request = session.request("a", discs(), Recipe("other"))
    assert request is not None
    answer = replace(segmented(as_image(picture), request.recipe), image=request.image)
    assert session.accept(request, answer)
    assert REVIEW_AGAIN in session.state.sentence
    marks = cells_of(session).corrected.corrections.marks() > 0
    changed = np.isin(labels, [1, 5])
    changed[0:6, 30:36] = True
    assert np.array_equal(marks, ~changed)
    session.undo("a")
    assert cells_of(session).corrected.corrections.marks().all()


def test_another_session_is_offered_the_corrections_of_this_very_image(session: Session) -> None:
    session.edit("a", edits.accept, [1, 2, 3])
    session.edit("a", edits.delete, 9)
    labels = shown(session)
    session.close()
    assert started("x", discs(4)).recoverable("x") is None
    renamed = as_image(discs().plane(), name="another name", source="/elsewhere/other.tif")
    other = started("x", renamed)
    info = other.recoverable("x")
    assert info is not None and info.n_corrections == 4 and info.image_name == "discs"
    assert abs((datetime.now(UTC) - info.time).total_seconds()) < 3600
    seen: list[object] = []
    other.corrected.connect(lambda key, region: seen.append((key, region)))
    other.cells_changed.connect(seen.append)
    assert other.recover("x", info) == ()
    assert seen == ["x", ("x", EVERYWHERE)]
    assert np.array_equal(shown(other, "x") > 0, labels > 0)
    assert (cells_of(other, "x").n_changed, cells_of(other, "x").n_erased) == (3, 1)
    assert other.recoverable("x") is None
    third = started("y")
    offered = third.recoverable("y")
    assert offered is not None and offered.path != info.path
    third.dismiss("y", offered)
    assert third.recoverable("y") is None


def test_recovery_brings_the_sliders_back(session: Session) -> None:
    session.set_threshold(0.45)
    session.edit("a", edits.delete, 9)
    for threshold in (0.5, 0.55, 0.62):
        session.set_threshold(threshold)
    session.set_min_size(14)
    count = cells_of(session).count()
    session.close()
    saved = session.saved("a")
    assert saved is not None and saved.path.read_text().count('"kind":"cells"') == 1, "where they came to rest only"
    other = started("x")
    info = other.recoverable("x")
    assert info is not None and other.recover("x", info) == ()
    now = cells_of(other, "x")
    assert (now.threshold, now.min_size, now.count(), now.n_erased) == (0.62, 14, count, 1)
    other.close()
    third = started("y")
    again = third.recoverable("y")
    assert again is not None and (again.header["threshold"], again.header["min_size"]) == (0.62, 14)


def test_sliders_of_another_model_do_not_come_back(session: Session) -> None:
    session.edit("a", edits.delete, 9)
    session.set_threshold(0.62)
    session.close()
    other = started("x", model="another")
    info = other.recoverable("x")
    assert info is not None
    other.recover("x", info)
    assert cells_of(other, "x").threshold == 0.3 and cells_of(other, "x").n_erased == 1


def test_corrections_since_are_not_replaced_unasked(session: Session) -> None:
    session.edit("a", edits.delete, 9)
    session.close()
    other = started("x")
    info = other.recoverable("x")
    assert info is not None
    other.edit("x", edits.delete, 1)
    with pytest.raises(CellsegError, match="You have corrected 1"):
        other.recover("x", info)
    assert cells_of(other, "x").corrected.ids(0.3, 10).tolist() == [2, 3, 4, 5, 6, 7, 8, 9]
    other.recover("x", info, replace=True)
    assert cells_of(other, "x").n_erased == 1 and cells_of(other, "x").count() == 8
    assert len(find_journals(other.cells_of("x").segmented.image_sha256)) == 3  # type: ignore[union-attr]


def test_a_journal_that_cannot_be_written_is_told_and_nothing_is_lost(session: Session, home: Path) -> None:
    home.mkdir()
    (home / "corrections").write_text("in the way")
    session.edit("a", edits.delete, 9)
    assert session.state.kind == "failed" and "kept in memory" in session.state.sentence
    saved = session.saved("a")
    assert saved is not None and saved.n_pending == 1 + 1 and cells_of(session).count() == 8
    (home / "corrections").unlink()
    session.close()
    saved = session.saved("a")
    assert saved is not None and saved.n_pending == 0 and saved.error == ""
    assert started("x").recoverable("x") is not None


def test_the_image_file_may_go_change_or_be_read_only(tmp_path: Path) -> None:
    """Corrections never touch it, and are found by what it holds."""
    from napari_cellseg.imaging.read.read import read_image
    from napari_cellseg.imaging.write.write import write_labels

    path = tmp_path / "image.tif"
    write_labels(path, (discs().plane() * 255).astype(np.uint16))
    path.chmod(0o444)

    def predicted(image: Image) -> Segmented:
        return segmented(as_image(image.plane() / np.float32(255)))

    def take(session: Session) -> None:
        session.choose("a")
        image = read_image(path)
        request = session.request("a", image, Recipe("mine"))
        assert request is not None
        made = predicted(image)
        session.accept(request, Segmented(image, *[getattr(made, name) for name in _REST]))

    first = Session()
    take(first)
    first.edit("a", edits.delete, 9)
    content = path.read_bytes()
    path.chmod(0o644)
    path.unlink()
    first.edit("a", edits.delete, 8)
    first.close()
    path.write_bytes(content)
    second = Session()
    take(second)
    info = second.recoverable("a")
    assert info is not None and info.n_corrections == 2 and info.header["path"] == str(path)
    write_labels(path, (discs().plane() * 254).astype(np.uint16))
    third = Session()
    take(third)
    assert third.recoverable("a") is None


_REST = ("plane", "prediction", "instances", "model", "recipe")

EDITING = """
import sys
sys.path.insert(0, {root!r})
from tests.session.test_session_corrections import edits, started, cells_of

session = started("a")
rounds = 0
while True:
    for id_ in range(1, 10):
        session.edit("a", edits.accept, id_)
        print(session.cells_of("a").n_changed, flush=True)
    while session.undo("a"):
        print(session.cells_of("a").n_changed, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill a process in the middle of it")
@pytest.mark.parametrize("n_lines", [1, 7, 40])
def test_a_process_that_is_killed_while_editing_loses_nothing_that_it_had_finished(home: Path, n_lines: int) -> None:
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", EDITING.format(root=root)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "NAPARI_CELLSEG_HOME": str(home)},
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(n_lines)]
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    lines += process.stdout.read().splitlines(keepends=True)
    counts = [int(line) for line in lines if line.endswith("\n")]
    session = started("x")
    info = session.recoverable("x")
    last = counts[-1]
    # The edit that it was at may have reached the disk though it was not told any more.
    turn = len(counts) % 18
    following = turn + 1 if turn < 9 else 17 - turn
    n = 0 if info is None else info.n_corrections
    assert n in (last, following), (counts, n)
    if info is not None:
        assert session.recover("x", info) == ()
        assert cells_of(session, "x").corrected.corrections.owned_ids.tolist() == list(range(1, n + 1))


def test_a_journal_is_safe_within_a_moment(session: Session) -> None:
    session.edit("a", edits.delete, 9)
    deadline = time.monotonic() + 30
    while session.saved("a").time is None and time.monotonic() < deadline:  # type: ignore[union-attr]
        time.sleep(0.02)
    assert session.saved("a").time is not None  # type: ignore[union-attr]


def test_what_is_corrected_after_closing_is_safe_too(session: Session) -> None:
    session.edit("a", edits.delete, 1)
    session.close()
    first = session.saved("a")
    session.edit("a", edits.delete, 2)
    assert first is not None and first.time is not None
    deadline = time.monotonic() + 30
    while session.saved("a").time == first.time and time.monotonic() < deadline:  # type: ignore[union-attr]
        time.sleep(0.02)
    assert session.saved("a").time > first.time  # type: ignore[union-attr, operator]


def test_marks_made_since_are_not_replaced_unasked(session: Session) -> None:
    session.edit("a", edits.delete, 1)
    session.close()
    other = started("b")
    other.mark_reviewed("b", (slice(0, 9), slice(0, 9)), True)
    info = other.recoverable("b")
    assert info is not None
    with pytest.raises(CellsegError, match="marked"):
        other.recover("b", info)
    assert other.recover("b", info, replace=True) == () and cells_of(other, "b").n_erased == 1
