"""What a batch must survive: bad files, full disks, kill -9, a second one; with real processes and files."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_cellseg.cli import main
from napari_cellseg.imaging.write.write import read_labels
from napari_cellseg.results.ledger import Ledger
from tests.blobs import blobs
from tests.models import make_model
from tests.warm import Program, cold

N = 12
TIMEOUT = 120


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny").path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for i in range(N):
        tifffile.imwrite(folder / f"{i}.tif", blobs(i, 200, 30).image.astype(np.uint16))
    return folder


def command(images: Path, out: Path, model: Path, *options: str) -> list[str]:
    words = ["segment", str(images), "--out", str(out), "--model", str(model), "--device", "cpu", *options]
    return cold(*words)


def start(program: Program, *words: Any) -> subprocess.Popen[str]:
    """Begin a batch that says what it does, and stops when its input is closed."""
    return subprocess.Popen(
        program(*command(*words)[4:], "--report", "jsonl", "--stop-on-eof"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*words: Any) -> list[dict[str, Any]]:
    """Run a batch to its end, here: starting a program takes seconds. Return what it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = main([*command(*words)[4:], "--report", "jsonl"])
    events = [json.loads(line) for line in said.getvalue().splitlines()]
    assert status == (events[-1]["event"] == "error" or events[-1]["n_failed"] > 0)
    return events


def results(out: Path) -> dict[str, bytes]:
    """All that is there but times: the lock is the running program's, the ledger says the same in any order."""
    assert not [path for path in out.rglob(".*") if path.is_file()], "a half file was left"
    found = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    texts = {name: path.read_bytes() for name, path in found.items() if ".cellseg/l" not in name}
    lines = list(csv.reader(texts["counts.csv"].decode().splitlines()))
    place = lines[0].index("seconds")
    texts["counts.csv"] = repr([line[:place] + line[place + 1 :] for line in lines]).encode()
    return texts


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_killed_and_resumed_is_as_if_nothing_had_happened(
    images: Path, model: Path, tmp_path: Path, program: Program
) -> None:
    save = ("--save", "labels,cells,rle,overlay")
    whole = run(images, tmp_path / "whole", model, *save)
    assert whole[-1]["n_done"] == N and not whole[-1]["stopped"]
    n_rows = 0
    for after in (3, 2):
        process = start(program, images, tmp_path / "out", model, *save, "--resume")
        assert process.stdout is not None
        for line in process.stdout:
            after -= json.loads(line).get("state") == "done"
            if not after:
                break
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=TIMEOUT)
        assert n_rows < len(Ledger(tmp_path / "out").rows()) < N
        n_rows = len(Ledger(tmp_path / "out").rows())
    (tmp_path / "out" / ".0_labels.0123456789ab.tif").write_bytes(b"half")
    last = run(images, tmp_path / "out", model, *save, "--resume")[-1]
    assert (last["n_skipped"], last["n_done"]) == (n_rows, N - n_rows)
    assert results(tmp_path / "out") == results(tmp_path / "whole")


def test_closing_the_input_stops_it_and_keeps_what_is_done(
    images: Path, model: Path, tmp_path: Path, program: Program
) -> None:
    process = start(program, images, tmp_path / "out", model)
    assert process.stdout is not None and process.stdin is not None
    said = []
    for line in process.stdout:
        said.append(json.loads(line))
        if said[-1]["event"] == "row":
            break
    process.stdin.close()
    said += [json.loads(line) for line in process.stdout]
    assert process.wait(TIMEOUT) == 0
    assert said[0] == {"event": "plan", "images": [f"{i}.tif" for i in range(N)]}
    done = [event for event in said if event["event"] == "row"]
    assert said[-1]["event"] == "done" and said[-1]["stopped"] and said[-1]["n_done"] == len(done) < N
    with (tmp_path / "out" / "counts.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(done)


def test_two_batches_never_write_into_one_folder(images: Path, model: Path, tmp_path: Path) -> None:
    # As a user starts it: its number is in the message.
    first = start(cold, images, tmp_path / "out", model)
    assert first.stdout is not None
    first.stdout.readline()
    said = run(images, tmp_path / "out", model)
    assert [event["event"] for event in said] == ["error"]
    assert f"Another batch (process {first.pid}" in said[0]["message"] and "choose another folder" in said[0]["message"]
    first.kill()
    first.communicate(timeout=TIMEOUT)
    assert run(images, tmp_path / "out", model, "--resume")[-1]["n_failed"] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no limits for files there")
def test_a_full_disk_fails_what_does_not_fit_and_a_resume_does_it(model: Path, tmp_path: Path) -> None:
    """A limit on the size of files: labels of the large image do not fit; the others', and all thumbnails, do."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    tifffile.imwrite(folder / "a.tif", blobs(0).image.astype(np.uint16))
    tifffile.imwrite(folder / "large.tif", rng.integers(0, 999, (900, 900)).astype(np.uint16))
    tifffile.imwrite(folder / "z.tif", blobs(1).image.astype(np.uint16))
    limited = """
import resource, sys
from napari_cellseg.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
sys.exit(main(sys.argv[1:]))
"""
    words = command(folder, tmp_path / "out", model)[4:]
    done = subprocess.run([sys.executable, "-c", limited, *words], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 1 and "large.tif" in done.stderr and "disk is full" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").glob("*.tif")) == ["a_labels.tif", "z_labels.tif"]
    before = results(tmp_path / "out")
    last = run(folder, tmp_path / "out", model, "--resume")[-1]
    assert (last["n_done"], last["n_skipped"], last["n_failed"]) == (1, 2, 0)
    after = results(tmp_path / "out")
    assert all(after[name] == before[name] for name in before if name not in ("counts.csv",))
    assert read_labels(tmp_path / "out" / "large_labels.tif").shape == (900, 900)


@pytest.mark.skipif(sys.platform == "win32", reason="no limits for files there")
def test_rows_that_did_not_fit_on_the_disk_are_written_once_they_do(tmp_path: Path) -> None:
    """The ledger itself meets the limit, in the middle of a line."""
    script = """
import resource, sys
from pathlib import Path
from napari_cellseg.results.ledger import Ledger
from napari_cellseg.results.rows import BatchRow
ledger = Ledger(Path(sys.argv[1]))
rows = [BatchRow(f"{i}.tif", state="done", count=i) for i in range(20)]
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, resource.RLIM_INFINITY))
written = [ledger.put([row]) for row in rows]
assert written[0] and not written[-1] and ledger.behind, written
assert len(ledger.rows()) == 20
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
ledger.close()
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [row.count for row in Ledger(tmp_path).rows()] == list(range(20))


def test_bad_files_are_named_and_never_stop_the_others(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "in"
    good = blobs(0).image.astype(np.uint16)
    names = [
        "a b.tif",
        "zellen äöü 細胞.tif",
        "x/same.tif",
        "y/same.tif",
        "same.tif",
        "same.png.tif",
        "'q\".tif",
        "%d,é.tif",
    ]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / name, good)
    whole = (folder / "a b.tif").read_bytes()
    bad = {
        "cut.tif": whole[: len(whole) // 2],
        "empty.png": b"",
        "text.png": b"no image at all",
        "noise.jpg": np.random.default_rng(0).bytes(5000),
    }
    for name, content in bad.items():
        (folder / name).write_bytes(content)
    with zipfile.ZipFile(folder / "odd.npz", "w") as archive:
        archive.writestr("image.npy", b"no array")
    assert main(command(folder, tmp_path / "out", model)[4:]) == 1
    said = capsys.readouterr().err
    with (tmp_path / "out" / "counts.csv").open(newline="", encoding="utf-8") as file:
        lines = {line["image"]: line for line in csv.DictReader(file)}
    assert set(lines) == {*names, *bad, "odd.npz"}
    assert {name for name, line in lines.items() if line["error"]} == {*bad, "odd.npz"}
    assert all(name in said for name in (*bad, "odd.npz"))
    labels = [lines[name]["labels"] for name in names]
    assert len(set(labels)) == len(names) and len({lines[name]["count"] for name in names}) == 1
    for name in labels:
        assert (tmp_path / "out" / name).is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="other limits of names there")
def test_a_name_that_leaves_no_room_for_those_of_results_is_told(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    long = ("l" * 246 + ".tif", "m" * 240 + ".tif")
    for name in (*long, "z.tif"):
        tifffile.imwrite(tmp_path / "in" / name, blobs(0).image.astype(np.uint16))
    said = run(tmp_path / "in", tmp_path / "out", model, "--save", "labels,geojson")
    rows = {event["image"]: event for event in said if event["event"] == "row"}
    assert rows["z.tif"]["state"] == "done"
    for name in long:
        assert rows[name]["state"] == "failed" and rows[name]["count"] is None
        assert name in rows[name]["error"] and "shorter name" in rows[name]["error"], rows[name]["error"]


def test_a_place_that_can_not_be_written_fails_only_what_belongs_there(model: Path, tmp_path: Path) -> None:
    for name in ("x/1.tif", "y/2.tif"):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        tifffile.imwrite(tmp_path / "in" / name, blobs(0).image.astype(np.uint16))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").write_text("in the way")
    said = run(tmp_path / "in", tmp_path / "out", model)
    rows = {event["image"]: event for event in said if event["event"] == "row"}
    assert (rows["x/1.tif"]["state"], rows["y/2.tif"]["state"]) == ("failed", "done")
    assert "Choose another folder" in rows["x/1.tif"]["error"] and said[-1]["n_failed"] == 1


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_may_not_be_written(images: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    (event,) = run(images, tmp_path / "out", model)
    assert event["event"] == "error" and "Choose" in event["message"]


def test_the_list_of_files_may_come_from_json(
    images: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    listed = tmp_path / "files.json"
    listed.write_text(json.dumps([str(images / "1.tif"), [str(images / "2.tif"), "plate/two.tif"]]))
    words = [word for word in command(images, tmp_path / "out", model)[4:] if word != str(images)]
    assert main([*words, "--files-from", str(listed)]) == 0
    assert {row.image for row in Ledger(tmp_path / "out").rows()} == {"1.tif", "plate/two.tif"}
    assert (tmp_path / "out" / "plate" / "two_labels.tif").is_file()
    listed.write_text(json.dumps([str(images / "1.tif"), [str(images / ".." / images.name / "1.tif"), "again.tif"]]))
    assert main([*words, "--files-from", str(listed), "--out", str(tmp_path / "once")]) == 0
    assert [row.image for row in Ledger(tmp_path / "once").rows()] == ["1.tif"]
    for wrong in ('{"a": 1}', "[1]", '[["a"]]', '[["a", 1]]', "[", '[["a.tif", "../a.tif"]]'):
        listed.write_text(wrong)
        assert main([*words, "--files-from", str(listed)]) == 1
        assert ("files.json" in (said := capsys.readouterr().err)) or "../a.tif" in said
