"""The journal: nothing that was written is lost, and what was is told."""

from __future__ import annotations

import json
import sys
import time
import zlib
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_cellseg.corrections import CellView, CorrectedInstances, Corrections
from napari_cellseg.corrections import tools as edits
from napari_cellseg.corrections.exchange import export_corrections, read_corrections
from napari_cellseg.corrections.journal import JournalError, corrections_dir, decode, encode, folder_of
from napari_cellseg.corrections.record import CorrectionsRecord
from napari_cellseg.corrections.recovery import dismiss, find_journals, newest_journal, read_journal, remove_superseded
from napari_cellseg.imaging.errors import CellsegError, ImageError
from napari_cellseg.imaging.write.write import read_labels, write_labels
from tests.attacks.state import mutated_lines
from tests.corrections.corrections_model import SHAPE, fresh_view, random_patch

SHA = "ab" * 32


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the person's own, which is empty."""
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def record_of(view: CellView, sha256: str = SHA) -> CorrectionsRecord:
    record = CorrectionsRecord("cells.tif", "/data/cells.tif", sha256, (), view.corrected.corrections)
    record.note_cells({"model": "mine"}, 0.5, 20)
    return record


def journal_path(record: CorrectionsRecord) -> Path:
    saved = record.saved()
    assert saved is not None
    return saved.path


def edited(n: int, seed: int = 3) -> tuple[CellView, CorrectionsRecord]:
    """A view on which cells 1 to n of those shown were accepted or erased, one edit each."""
    view = fresh_view(seed)
    record = record_of(view)
    for turn, id_ in enumerate(view.ids()[:n].tolist()):
        record.apply((edits.delete if turn % 3 else edits.accept)(view, id_))
    return view, record


def same(first: Corrections, second: Corrections) -> bool:
    return (
        np.array_equal(first.claims(), second.claims())
        and np.array_equal(first.marks(), second.marks())
        and np.array_equal(first.owned_ids, second.owned_ids)
        and np.array_equal(first.erased_ids, second.erased_ids)
        and all(first.how(id_) == second.how(id_) for id_ in first.owned_ids.tolist())
        and np.array_equal(first.footprint(slice_all()), second.footprint(slice_all()))
        and (first.can_undo, first.can_redo) == (second.can_undo, second.can_redo)
    )


def slice_all() -> tuple[slice, slice]:
    return slice(0, SHAPE[0]), slice(0, SHAPE[1])


@settings(max_examples=40)
@given(st.integers(0, 40), st.integers(0, 2**32 - 1), st.integers(1, 25))
def test_reading_gives_back_everything_and_its_history(seed: int, turns: int, n: int) -> None:
    view = fresh_view(seed)
    rng = np.random.default_rng(turns)
    record = record_of(view, f"{rng.bytes(32).hex()}")
    for _ in range(n):
        choice = rng.integers(6)
        if choice == 0:
            record.undo()
        elif choice == 1:
            record.redo()
        elif patch := random_patch(view, rng):
            record.apply(patch)
    if record.saved() is None:
        return
    found = read_journal(journal_path(record), SHAPE)
    assert found.notes == () and same(found.corrections, view.corrected.corrections)
    found.corrections.undo()
    view.corrected.corrections.undo()
    assert same(found.corrections, view.corrected.corrections)
    record.close()


def test_every_edit_is_in_the_file_at_once_and_safe_soon() -> None:
    view, record = edited(1)
    saved = record.saved()
    assert saved is not None and saved.n_pending == 0 and saved.error == ""
    assert read_journal(saved.path).corrections.n_changed == 1
    deadline = time.monotonic() + 30
    while record.saved().time is None and time.monotonic() < deadline:  # type: ignore[union-attr]
        time.sleep(0.02)
    assert record.saved().time is not None  # type: ignore[union-attr]
    header = json.loads(saved.path.read_bytes().splitlines()[0])
    assert header["sha256"] == SHA and header["shape"] == list(SHAPE) and header["path"] == "/data/cells.tif"
    assert saved.path.is_relative_to(corrections_dir()) and SHA in saved.path.parts
    assert view.corrected.corrections.n_changed == 1


def test_looking_leaves_no_file(home: Path) -> None:
    _view, record = edited(0)
    assert not record.undo() and not record.redo()
    assert record.saved() is None and not home.exists()


def test_a_torn_last_line_costs_that_line_at_most() -> None:
    view, record = edited(4)
    path = journal_path(record)
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for end in [last, last + 1, *range(last + 2, len(whole), 37), len(whole) - 2]:
        path.write_bytes(whole[:end])
        found = read_journal(path, SHAPE)
        assert found.notes == ()
        assert found.corrections.n_changed + found.corrections.n_erased == 3
    path.write_bytes(whole[:-1])  # all but the line end: nothing is lost
    assert same(read_journal(path).corrections, view.corrected.corrections)


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_no_damaged_byte_goes_unnoticed(place: int, change: int) -> None:
    line = bytearray(encode({"kind": "edit", "name": "merge", "cells": {"5": None}, "claims": [0, 1, 2, 3]}))
    assert decode(bytes(line))["cells"] == {"5": None}
    line[place % (len(line) - 1)] ^= change
    with pytest.raises(ValueError, match=r".+"):
        decode(bytes(line))


def test_damage_within_ends_reading_there_and_is_told() -> None:
    _view, record = edited(6)
    path = journal_path(record)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b'"edit"', b'"edut"')
    path.write_bytes(b"".join(lines))
    found = read_journal(path)
    assert found.corrections.n_changed + found.corrections.n_erased == 3
    assert len(found.notes) == 1 and "Line 5" in found.notes[0] and "3 entries" in found.notes[0]
    path.write_bytes(b"garbage\n" + b"".join(lines))
    with pytest.raises(JournalError, match="first line"):
        read_journal(path)
    assert find_journals(SHA) == []
    with pytest.raises(JournalError, match="cannot be read"):
        read_journal(path.with_name("none.jsonl"))


def test_a_whole_line_that_makes_no_sense_is_damage_too() -> None:
    _view, record = edited(2)
    path = journal_path(record)
    for nonsense in (
        {"kind": "edit"},
        {"kind": "dance"},
        {"kind": "edit", "name": "x", "claims": [0, 0, 900, 900, 1, 810_000], "cells": {}, "marks": None},
        {"kind": "edit", "name": "x", "claims": None, "cells": {"a": None}, "marks": None},
        {"kind": "edit", "name": "x", "claims": None, "cells": {"4": {"how": "drawn"}}, "marks": None},
    ):
        before = path.read_bytes()
        path.write_bytes(before + encode(nonsense))
        found = read_journal(path)
        assert found.corrections.n_changed + found.corrections.n_erased == 2 and "Line 4" in found.notes[0]
        path.write_bytes(before)


def test_no_mutated_journal_raises_anything_but_a_journal_error() -> None:
    """Each line is changed as no program writes it, with the checksum that belongs to it."""
    _view, record = edited(4)
    path = journal_path(record)
    record.close()
    whole = [decode(line) for line in path.read_bytes().splitlines()]
    for name, text in mutated_lines([json.dumps(entry) for entry in whole], 250):
        path.write_bytes(b"".join(with_checksum(line) for line in text.splitlines()))
        try:
            found = read_journal(path, SHAPE)
        except JournalError:
            continue
        assert found.corrections.shape == SHAPE and found.corrections.n_changed + found.corrections.n_erased <= 4, name
        assert len(find_journals(SHA)) <= 1, name


def with_checksum(line: str) -> bytes:
    body = line.removeprefix("{").encode("utf-8", "surrogatepass")
    return b'{"crc":"%08x",' % zlib.crc32(body) + body + b"\n"


@pytest.mark.parametrize("continues", ["own", "circle", "/etc/passwd", "../../outside.jsonl", "a\0.jsonl", 5, ["a"]])
def test_a_journal_that_continues_itself_or_something_else_is_read_alone(continues: object, home: Path) -> None:
    """Nothing outside of its folder is read or deleted, and no circle is followed for ever."""
    _view, record = edited(3)
    path = journal_path(record)
    record.close()
    outside = folder_of(SHA).parent.parent / "outside.jsonl"
    outside.write_bytes(path.read_bytes())
    names = [path.name, "20000101T000000Z-1.jsonl", "20000101T000000Z-2.jsonl"]
    entries = [decode(line) for line in path.read_bytes().splitlines()]
    for name, following in zip(names, [*names[1:], names[0]], strict=True):
        header = {**entries[0], "continues": {"own": name, "circle": following}.get(str(continues), continues)}
        # Damaged, so that an older one is looked for.
        path.with_name(name).write_bytes(b"".join(map(encode, [header, *entries[1:]])) + b"damage\n")
    found = read_journal(path, SHAPE)
    assert found.corrections.n_changed + found.corrections.n_erased == 3 and found.path == path
    remove_superseded(path)
    assert path.exists() and outside.exists() and path.with_name(names[1]).exists()


def test_a_journal_of_an_enormous_image_takes_no_memory() -> None:
    _view, record = edited(1)
    path = journal_path(record)
    record.close()
    header, *rest = [decode(line) for line in path.read_bytes().splitlines()]
    for shape in ([10**9, 10**9], [10**30, 1], [1, -1], "12", [1.5, 2], [True, 2, 3]):
        path.write_bytes(b"".join(map(encode, [{**header, "shape": shape}, *rest])))
        with pytest.raises(JournalError):
            read_journal(path)
        assert find_journals(SHA) == []


def recovered(record: CorrectionsRecord) -> CorrectionsRecord:
    """What another session makes of the newest journal."""
    other = CorrectionsRecord("again.tif", None, SHA, (), Corrections(SHAPE))
    info = other.recoverable()
    assert info is not None
    record.close()
    return other.recovered(info, replace=False)[0]


def test_a_session_that_recovered_has_a_whole_file_of_its_own_and_two_generations_stay() -> None:
    view, first = edited(5)
    folder = folder_of(SHA)
    second = recovered(first)
    assert same_but_history(second.corrections, view.corrected.corrections)
    assert journal_path(second) != journal_path(first)
    assert same_but_history(read_journal(journal_path(second)).corrections, view.corrected.corrections)
    third = recovered(second)
    assert sorted(folder.iterdir()) == sorted([journal_path(second), journal_path(third)])
    offered = CorrectionsRecord("a", None, SHA, (), Corrections(SHAPE)).recoverable()
    assert offered is not None and offered.path == journal_path(third) and offered.n_corrections == 5


def same_but_history(first: Corrections, second: Corrections) -> bool:
    first.forget_history()
    copy = Corrections(SHAPE)
    copy.apply(second.snapshot())
    copy.forget_history()
    return same(first, copy)


def test_damage_to_the_newest_falls_back_on_the_generation_before() -> None:
    view, first = edited(5)
    second = recovered(first)
    path = journal_path(second)
    header, snapshot, *_ = path.read_bytes().splitlines(keepends=True)
    # Of the same length: a file that was cut or lengthened would be written anew.
    path.write_bytes(header + snapshot[:200] + b"?" + snapshot[201:])
    found = read_journal(path, SHAPE)
    assert found.path == journal_path(first) and len(found.notes) == 2 and "older journal" in found.notes[1]
    assert same(found.corrections, view.corrected.corrections)
    # What is amiss is not tidied away.
    third = recovered(second)
    assert {journal_path(record) for record in (first, second, third)} == set(folder_of(SHA).iterdir())


def test_journals_that_nobody_continued_stay_and_declined_ones_are_not_offered_again() -> None:
    paths = []
    for seed in (3, 4, 5):
        _view, record = edited(3, seed)
        record.close()
        paths.append(journal_path(record))
    assert len(set(paths)) == 3
    new = CorrectionsRecord("a", None, SHA, (), Corrections(SHAPE))
    for _ in range(3):
        info = new.recoverable()
        assert info is not None and info.image_name == "cells.tif"
        dismiss(info.path)
    assert new.recoverable() is None
    assert all(path.exists() for path in paths)
    assert len(find_journals(SHA)) == 3 and find_journals("cd" * 32) == []


def test_recovering_over_new_corrections_asks_first_and_keeps_both_files() -> None:
    _view, old = edited(5)
    old.close()
    view = fresh_view(4)
    record = record_of(view)
    record.apply(edits.accept(view, int(view.ids()[0])))
    info = record.recoverable()
    assert info is not None and info.path == journal_path(old)
    with pytest.raises(CellsegError, match="corrected 1 cells"):
        record.recovered(info, replace=False)
    other, notes = record.recovered(info, replace=True)
    assert notes == () and other.corrections.n_changed + other.corrections.n_erased == 5
    assert read_journal(journal_path(record)).corrections.n_changed == 1


def test_a_journal_of_another_image_is_refused() -> None:
    _view, record = edited(2)
    with pytest.raises(JournalError, match="40 x 52"):
        read_journal(journal_path(record), (41, 52))


def test_what_cannot_be_written_is_told_kept_and_written_later(home: Path) -> None:
    home.mkdir()
    (home / "corrections").write_text("a file where the folder should be")
    view, record = edited(3)
    saved = record.saved()
    assert saved is not None and saved.n_pending == 4
    assert str(home / "corrections") in saved.error and "kept in memory" in saved.error
    assert record.has_new_problem() and not record.has_new_problem()
    (home / "corrections").unlink()
    record.apply(edits.accept(view, int(view.ids()[-1])))
    saved = record.saved()
    assert saved is not None and saved.n_pending == 0 and saved.error == ""
    assert same(read_journal(saved.path).corrections, view.corrected.corrections)


def test_a_file_that_is_moved_away_or_cut_meanwhile_is_written_anew() -> None:
    view, record = edited(3)
    path = journal_path(record)
    path.unlink()
    record.undo()
    assert same(read_journal(path).corrections, view.corrected.corrections)
    path.write_bytes(path.read_bytes()[:100])
    record.redo()
    assert same(read_journal(path).corrections, view.corrected.corrections)
    path.parent.rename(path.parent.with_name("elsewhere"))
    record.close()
    assert same(read_journal(path).corrections, view.corrected.corrections)


FULL_DISK = """
import resource, sys
sys.path.insert(0, {root!r})
from napari_cellseg.corrections import tools as edits
from napari_cellseg.corrections.recovery import read_journal
from tests.corrections.test_journal import edited, journal_path, same

view, record = edited(2)
path = journal_path(record)
size = path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, resource.RLIM_INFINITY))
for id_ in view.ids().tolist()[2:6]:
    record.apply(edits.accept(view, id_))
    saved = record.saved()
    assert "the disk is full" in saved.error and "kept in memory" in saved.error, saved
    found = read_journal(path)
    assert found.notes == () and found.corrections.n_changed + found.corrections.n_erased == 2
    assert path.stat().st_size == size
assert record.saved().n_pending == 4
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
record.close()
assert record.saved().n_pending == 0 and not record.saved().error
assert same(read_journal(path).corrections, view.corrected.corrections)
print("all there")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot limit the size of files")
def test_a_full_disk_leaves_the_file_whole_and_what_is_missing_is_added_later(home: Path) -> None:
    import subprocess

    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", FULL_DISK.format(root=root)], capture_output=True, text=True)
    assert done.stdout.strip() == "all there", done.stderr


@settings(max_examples=25)
@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
@example(31, 266)
def test_corrections_go_to_a_label_file_and_back(
    tmp_path_factory: pytest.TempPathFactory, seed: int, turn: int
) -> None:
    path = tmp_path_factory.mktemp("export") / "labels.tif"
    view = fresh_view(seed)
    corrections, rng = view.corrected.corrections, np.random.default_rng(turn)
    for _ in range(8):
        if patch := random_patch(view, rng):
            corrections.apply(patch)
    export_corrections(path, view, {"by": "me"})
    assert np.array_equal(read_labels(path), view.labels())
    other = CellView(CorrectedInstances(view.corrected.instances, Corrections(SHAPE)), view.threshold, view.min_size)
    try:
        patch = edits.import_labels(other, **read_corrections(path, SHAPE))
    except edits.EditError:
        assert not corrections.claims().any() and not corrections.marks().any()
        return
    other.corrected.corrections.apply(patch)
    again = other.corrected.corrections
    mine, theirs = np.maximum(corrections.claims(), 0), np.maximum(again.claims(), 0)
    pairs = np.unique(np.stack([mine.ravel(), theirs.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == pairs.shape[1] == len(np.unique(pairs[1]))  # the same but for ids
    assert np.array_equal(corrections.claims() < 0, again.claims() < 0)
    assert np.array_equal(corrections.marks(), again.marks())
    assert (again.n_changed, again.n_erased) == (corrections.n_changed, corrections.n_erased)
    for threshold in (0.1, 0.5, 0.8):
        assert other.corrected.count(threshold, 5) == view.corrected.count(threshold, 5)
    with pytest.raises(edits.EditError, match="already"):
        edits.import_labels(view, **read_corrections(path, SHAPE))


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_accepted_cells_keep_their_numbers_however_small_they_were(tmp_path: Path, threshold: float) -> None:
    view = CellView(fresh_view(3).corrected, threshold, 1)
    chosen = view.ids().tolist()
    view.corrected.corrections.apply(edits.accept(view, chosen))
    export_corrections(tmp_path / "labels.tif", view, {"by": "me"})
    corrected = CorrectedInstances(fresh_view(3).corrected.instances, Corrections(SHAPE))
    other = CellView(corrected, 0.1, 1)
    corrected.corrections.apply(edits.import_labels(other, **read_corrections(tmp_path / "labels.tif", SHAPE)))
    assert corrected.corrections.owned_ids.tolist() == chosen
    assert np.array_equal(np.maximum(corrected.corrections.claims(), 0), view.labels())


def test_foreign_label_files_and_wrong_sizes(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, np.uint16)
    labels[3:9, 4:12] = 4
    write_labels(tmp_path / "theirs.tif", labels)
    values = read_corrections(tmp_path / "theirs.tif", SHAPE)
    assert list(values) == ["labels"] and np.array_equal(values["labels"], labels)
    with pytest.raises(ImageError, match="40 x 52 pixels, but the image 9 x 9"):
        read_corrections(tmp_path / "theirs.tif", (9, 9))
    write_labels(tmp_path / "odd.tif", labels, metadata={"corrected cells": {"cells": 3}})
    with pytest.raises(ImageError, match="damaged"):
        read_corrections(tmp_path / "odd.tif", SHAPE)


def at(monkeypatch: pytest.MonkeyPatch, hour: int) -> None:
    """Set the clock by which entries are written."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime(2030, 1, 1, hour, tzinfo=tz)

    monkeypatch.setattr("napari_cellseg.corrections.journal.datetime", Clock)


def test_a_clock_that_was_set_back_hides_no_corrections(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal that was begun, or added to, last is the newest, whatever the clock said then."""
    at(monkeypatch, 12)
    _view, first = edited(2)
    first.close()
    at(monkeypatch, 3)
    view, second = edited(3)
    second.close()
    newest = newest_journal(SHA)
    assert newest is not None and newest.path == journal_path(second) and newest.n_corrections == 3
    at(monkeypatch, 1)
    second.apply(edits.accept(view, int(view.ids()[5])))
    found = find_journals(SHA)
    assert [info.path for info in found] == [journal_path(second), journal_path(first)]
    times = [decode(line)["at"] for line in journal_path(second).read_bytes().splitlines()]
    assert times == sorted(times) and found[0].n_corrections == 4


def test_what_a_window_adds_after_another_took_its_corrections_over_is_offered() -> None:
    """Two windows on one image: the first goes on, and is closed after the second."""
    view, first = edited(2)
    (info,) = find_journals(SHA)
    second, _ = record_of(fresh_view(3)).recovered(info, False)
    second.close()
    assert {i.path: i.continued for i in find_journals(SHA)}[info.path], "nothing is in it that is not in the other"
    first.apply(edits.accept(view, int(view.ids()[5])))
    first.close()
    assert not {i.path: i.continued for i in find_journals(SHA)}[info.path]
    third, _ = record_of(fresh_view(3)).recovered(next(i for i in find_journals(SHA) if i.path != info.path), False)
    remove_superseded(journal_path(third))
    assert info.path.exists(), "what the first window did since is nowhere else"
    offered = newest_journal(SHA, [journal_path(third)])
    assert offered is not None and offered.path == info.path and offered.n_corrections == 3
