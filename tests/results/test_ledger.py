"""The ledger loses nothing, names of results never clash, and reading ahead keeps to its bounds."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from napari_cellseg.batch.ahead import Ahead, Budget
from napari_cellseg.imaging.errors import OutputError, ParamsError
from napari_cellseg.imaging.write.atomic import sweep
from napari_cellseg.results.counts import OLD_COLUMNS, open_ledger, put_rows, read_counts, write_counts
from napari_cellseg.results.counts_writer import CountsWriter
from napari_cellseg.results.ledger import Ledger
from napari_cellseg.results.locks import FolderLock
from napari_cellseg.results.plan import plan
from napari_cellseg.results.rows import BatchRow


def row(name: str, page: str = "", count: int = 1, **more: object) -> BatchRow:
    return BatchRow(name, page, "done", count, stem=name.partition(".")[0], **more)  # type: ignore[arg-type]


def test_rows_come_back_in_order_and_the_last_of_each_counts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert not ledger.exists and ledger.rows() == ()
    assert ledger.put([row("b.tif"), row("a.tif")]) and ledger.put([row("b.tif", count=7)])
    ledger.close()
    for found in (ledger, Ledger(tmp_path)):
        assert [(one.image, one.count) for one in found.rows()] == [("b.tif", 7), ("a.tif", 1)]
        assert found.get(("b", "")) == row("b.tif", count=7) and found.rows_of("a") == [row("a.tif")]


@pytest.mark.parametrize("torn", [b'{"image": "c.tif", "st', b'{"image": "c.t\xff', b"\0" * 30, b"[]", b'{"a": 1}'])
def test_a_line_that_was_cut_off_costs_only_itself(tmp_path: Path, torn: bytes) -> None:
    Ledger(tmp_path).put([row("a.tif")])
    path = tmp_path / ".cellseg" / "ledger.jsonl"
    path.write_bytes(path.read_bytes() + torn)
    ledger = Ledger(tmp_path)
    assert [one.image for one in ledger.rows()] == ["a.tif"]
    ledger.put([row("b.tif")])
    ledger.close()
    assert [one.image for one in Ledger(tmp_path).rows()] == ["a.tif", "b.tif"]


def test_a_row_that_lost_its_stem_names_files_by_its_image_and_never_those_outside(tmp_path: Path) -> None:
    Ledger(tmp_path).put([row("a.tif")])
    path = tmp_path / ".cellseg" / "ledger.jsonl"
    for image in ("b.tif", "../c.tif", "/d.tif", ""):
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**row("a.tif").to_dict(), "image": image, "stem": ""}) + "\n")
    ledger = Ledger(tmp_path)
    assert [one.stem for one in ledger.rows()] == ["a", "b.tif"] and ledger.n_damaged == 3


def test_two_programs_append_at_once_and_see_each_other(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from napari_cellseg.results.ledger import Ledger
from napari_cellseg.results.rows import BatchRow
ledger = Ledger(Path(sys.argv[1]))
for i in range(200):
    ledger.put([BatchRow(f"theirs{i}.tif", state="done", count=i, notes=("x" * 3000,))])
ledger.close()
"""
    ledger = Ledger(tmp_path)
    other = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    n = 0
    while other.poll() is None or n < 200:
        ledger.put([BatchRow(f"ours{n}.tif", state="done", count=n, notes=("y" * 3000,))])
        n += 1
        time.sleep(0.002)
    assert other.returncode == 0
    ledger.refresh()
    ledger.close()
    for found in (ledger, Ledger(tmp_path)):
        names = {one.image for one in found.rows()}
        assert names == {f"theirs{i}.tif" for i in range(200)} | {f"ours{i}.tif" for i in range(n)}


def test_pages_that_an_image_no_longer_has_go_but_not_corrected_ones(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.put([row("a.tif", f"z{i}", n_pages=3, source={"size": 1}) for i in range(3)])
    ledger.put([replace(ledger.rows_of("a")[2], corrected=True)])
    ledger.put([row("a.tif", f"z{i}", n_pages=2, source={"size": 2}) for i in range(2)])
    assert [(one.page, one.corrected) for one in ledger.rows_of("a")] == [("z0", False), ("z1", False), ("z2", True)]
    ledger.put([row("a.tif", source={"size": 3})])
    assert [one.page for one in ledger.rows_of("a")] == ["", "z2"]
    ledger.close()


def test_the_table_survives_its_own_round_trip_and_old_tables_are_taken_over(tmp_path: Path) -> None:
    rows = [
        row("a2.tif", count=3, median_area_px=7.5, threshold=0.5, min_size=9, model="cells", corrected=True),
        row("a10, b.tif", "z1", count=0, files={"labels": "a10, b_z1_labels.tif"}),
        BatchRow("a1.tif", state="failed", error='it said "no",\nreally', stem="a1"),
    ]
    rows[0] = replace(rows[0], files={"labels": "a2_labels.tif"}, pixel_area_um2=0.04, mean_area_px=1 / 3)
    write_counts(rows, tmp_path / "counts.csv")
    with (tmp_path / "counts.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["image"] for line in lines] == ["a1.tif", "a2.tif", "a10, b.tif"]
    assert lines[0]["error"] == rows[2].error and float(lines[1]["median_area_um2"]) == 0.3
    assert float(lines[1]["mean_area_px"]) == 1 / 3
    found = read_counts(tmp_path / "counts.csv")
    assert found is not None and [one.key for one in found] == [("a2", ""), ("a10, b", "z1")]
    assert found[0].corrected and found[0].pixel_area_um2 == pytest.approx(0.04)

    (tmp_path / "old").mkdir()
    with (tmp_path / "old" / "counts.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([OLD_COLUMNS, ("b/x.tif", 4, 2.5, 0.5, 25, "cells", "b/x_labels.tif", "")])
    put_rows(tmp_path / "old", row("y.tif"))
    assert [(one.image, one.count, one.stem) for one in Ledger(tmp_path / "old").rows()] == [
        ("b/x.tif", 4, "b/x"), ("y.tif", 1, "y"),
    ]  # fmt: skip
    with (tmp_path / "old" / "counts.csv").open(newline="") as file:
        assert [line["count"] for line in csv.DictReader(file)] == ["4", "1"]


def test_a_table_that_was_thrown_away_forgets_what_has_lost_its_files(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        files = {"labels": f"{name[0]}_labels.tif", "thumbnail": f".cellseg/{name[0]}.jpg"}
        put_rows(tmp_path, row(name, files=files))
        (tmp_path / files["thumbnail"]).write_bytes(b"x")
    (tmp_path / "b_labels.tif").write_bytes(b"x")
    assert len(open_ledger(tmp_path).rows()) == 2
    (tmp_path / "counts.csv").unlink()
    assert [one.image for one in open_ledger(tmp_path).rows()] == ["b.tif"]
    # A batch that then runs writes a table; with it the forgotten rows do not come back.
    put_rows(tmp_path, row("c.tif"))
    assert [one.image for one in open_ledger(tmp_path).rows()] == ["b.tif", "c.tif"]


def test_the_table_is_written_while_it_grows_but_seldom(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    writer = CountsWriter(ledger, tmp_path / "counts.csv", seconds=30)
    versions = set()
    for i in range(50):
        ledger.put([row(f"{i}.tif")])
        writer.touch()
        time.sleep(0.004)
        if (tmp_path / "counts.csv").exists():
            versions.add((tmp_path / "counts.csv").stat().st_mtime_ns)
    assert len(versions) == 1
    writer.close()
    ledger.close()
    assert len((tmp_path / "counts.csv").read_text().splitlines()) == 51


def test_names_of_results_never_clash(tmp_path: Path) -> None:
    names = ["a.tif", "a.png", "A.bmp", "sub/a.tif", "a.png", "a", "a_z001.tif", "a_t1_z2.tif", "b_z1.tif", "b.tif"]
    stems = [item.stem for item in plan([(tmp_path / str(i), name) for i, name in enumerate(names)])]
    assert stems[:4] == ["a", "a_png", "A_bmp", "sub/a"] and stems[8] == "b_z1"
    folded = [stem.casefold() for stem in stems]
    assert len(set(folded)) == len(names)
    for stem in folded:
        assert not [other for other in folded for page in ("z001", "t1_z2", "z1") if other == f"{stem}_{page}"]
    for bad in ("../a.tif", "/a.tif", "x/../../a.tif", ""):
        with pytest.raises(ParamsError, match="leads out of the folder of results"):
            plan([(tmp_path / "a", bad)])


def test_an_image_keeps_its_name_of_results_whatever_comes_to_it(tmp_path: Path) -> None:
    first = plan([(tmp_path / "a.png", "a.png")])
    known = [BatchRow("a.png", state="done", stem=first[0].stem, source={"path": str(tmp_path / "a.png")})]
    files = [(tmp_path / "a.bmp", "a.bmp"), (tmp_path / "a.png", "a.png")]
    assert [item.stem for item in plan(files, known)] == ["a_bmp", "a"]
    moved = [(tmp_path / "else" / "a.png", "a.png"), (tmp_path / "more" / "a.png", "a.png")]
    assert [item.stem for item in plan(moved, known)] == ["a", "a_png"]


def test_reading_ahead_keeps_to_its_bounds_and_its_order() -> None:
    budget, held, most = Budget(100), 0, 0
    made: list[int] = []

    def source() -> Iterator[int]:
        for i in range(40):
            made.append(i)
            budget.take(60)
            yield i

    ahead = Ahead(source(), 2, budget)
    taken: list[int] = []
    while not ahead.exhausted:
        thing = ahead.fetch(0.05)
        if thing is None:
            continue
        taken.append(thing)
        held = len(made) - len(taken) + 1
        most = max(most, held)
        budget.give(60)
    assert taken == list(range(40)) and most <= 3


def test_reading_ahead_waits_while_much_is_held_and_passes_errors_on() -> None:
    budget = Budget(100)
    begun = threading.Semaphore(0)

    def source() -> Iterator[int]:
        for size in (1000, 1, 1):
            begun.release()
            budget.take(size)
            yield size
        raise KeyError("lost")

    ahead = Ahead(source(), 2, budget)
    assert ahead.fetch(5) == 1000 and begun.acquire(timeout=5)
    assert ahead.fetch(0.2) is None and not begun.acquire(blocking=False)
    budget.give(1000)
    assert ahead.fetch(5) == 1 and ahead.fetch(5) == 1
    with pytest.raises(KeyError, match="lost"):
        while not ahead.exhausted:
            time.sleep(0.01)


def test_closing_stops_reading_ahead() -> None:
    budget, made = Budget(100), []

    def source() -> Iterator[int]:
        for i in range(1000):
            made.append(i)
            yield i

    ahead = Ahead(source(), 2, budget)
    assert ahead.fetch(5) == 0
    ahead.close()
    ahead._thread.join(5)
    assert not ahead._thread.is_alive() and len(made) <= 4 and ahead.exhausted


def test_the_lock_is_one_s_own_and_names_its_owner(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / ".cellseg")
    with pytest.raises(OutputError, match="Another batch"):
        FolderLock(tmp_path / ".cellseg")
    owner = json.loads((tmp_path / ".cellseg" / "lock").read_text())
    assert owner["pid"] > 0 and not lock.after_crash
    lock.close()
    again = FolderLock(tmp_path / ".cellseg")
    assert not again.after_crash
    again.close()
    (tmp_path / ".cellseg" / "lock").write_text(json.dumps({**owner, "pid": 2**22 + 1}))
    after = FolderLock(tmp_path / ".cellseg")
    assert after.after_crash
    after.close()


def test_where_there_are_no_locks_the_owner_s_word_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_cellseg.results import locks

    def none(_: int) -> bool:
        raise OSError(38, "no locks here")

    monkeypatch.setattr(locks, "_try_lock", none)
    monkeypatch.setattr(locks, "_unlock", lambda _: None)
    running = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    host = locks.socket.gethostname()
    (tmp_path / "lock").write_text(json.dumps({"pid": running.pid, "host": host}))
    with pytest.raises(OutputError, match=f"process {running.pid} on"):
        FolderLock(tmp_path)
    # A process that began after the lock was taken has only got its owner's number.
    (tmp_path / "lock").write_text(json.dumps({"pid": running.pid, "host": host, "since": time.time() - 60}))
    FolderLock(tmp_path).close()
    running.communicate(timeout=20)
    (tmp_path / "lock").write_text(json.dumps({"pid": running.pid, "host": host}))
    FolderLock(tmp_path).close()


def test_an_owner_on_another_machine_lives_as_long_as_its_lock_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cellseg.results import locks

    def none(_: int) -> bool:
        raise OSError(38, "no locks here")

    monkeypatch.setattr(locks, "_try_lock", none)
    monkeypatch.setattr(locks, "_unlock", lambda _: None)
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(locks, "SILENT_SECONDS", 0.5)
    lock = FolderLock(tmp_path)
    owner = json.loads((tmp_path / "lock").read_text())
    (tmp_path / "lock").write_text(json.dumps({**owner, "host": "another machine"}))
    with pytest.raises(OutputError, match=r"another machine.*running just now"):
        FolderLock(tmp_path)
    # It is killed: nobody has to delete anything.
    lock._closing.set()
    time.sleep(0.2)
    after = FolderLock(tmp_path)
    assert after.after_crash
    after.close()


def test_only_files_that_were_never_finished_are_swept_away(tmp_path: Path) -> None:
    import os

    keep = ["a_labels.tif", ".hidden.tif", ".a.0123456789ab", ".a.XYZ456789abc.tif", "a.0123456789ab.tif"]
    go = [".a_labels.0123456789ab.tif", "deep/.counts.abcdefabcdef.csv"]
    for name in (*keep, *go, ".young.0123456789ab.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
        if "young" not in name:
            os.utime(tmp_path / name, (1, 1))
    assert sweep(tmp_path) == len(go)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*keep, ".young.0123456789ab.tif"}
