"""A folder of results whose files of state were damaged, or made to do harm: what a line was about is done again."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_cellseg.cli import main
from napari_cellseg.imaging.errors import ParamsError
from napari_cellseg.imaging.write.write import read_labels
from napari_cellseg.results.counts import read_counts
from napari_cellseg.results.rows import BatchRow
from tests.attacks.state import mutated_json, mutated_lines
from tests.blobs import blobs
from tests.models import make_model

LEDGER = ".cellseg/ledger.jsonl"


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model, two images and their results."""
    root = tmp_path_factory.mktemp("state")
    make_model(root / "tiny")
    (root / "images").mkdir()
    for i in range(2):
        tifffile.imwrite(root / "images" / f"{i}.tif", blobs(i, 64, 5).image)
    assert segment(root, root / "out") == 0
    return root


def segment(root: Path, out: Path, *words: str) -> int:
    given = words or (str(root / "images"), "--save", "labels,cells,rle", "--resume")
    return main(["segment", *given, "--out", str(out), "--model", str(root / "tiny"), "--device", "cpu"])


def test_no_damaged_ledger_stops_a_batch_or_changes_a_result(
    begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (begun / "out" / LEDGER).read_text().splitlines()
    whole = {i: read_labels(begun / "out" / f"{i}_labels.tif") for i in range(2)}
    n_told = 0
    for i, (name, text) in enumerate(mutated_lines(lines, 40)):
        out = Path(shutil.copytree(begun / "out", tmp_path / str(i)))
        (out / LEDGER).write_text(text, errors="surrogatepass")
        status, said = segment(begun, out), capsys.readouterr().err
        assert status == 0, f"{name}: {said}"
        n_told += "cannot be read, as after a crash" in said
        rows = {row.image: row for row in read_counts(out / "counts.csv") or ()}
        for j, labels in whole.items():
            row = rows[f"{j}.tif"]
            assert row.files["labels"] == f"{j}_labels.tif", name
            np.testing.assert_array_equal(read_labels(out / row.files["labels"]), labels, name)
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted(str(n) for n in range(i + 1)), name
    assert n_told > 15


@pytest.mark.parametrize(
    "values",
    [
        {"stem": "../outside"}, {"stem": "/outside"}, {"files": {"cells": "/dev/zero"}}, {"page": "../../x"},
        {"files": {"labels": "a/../../b"}}, {"count": -1}, {"count": 2.5}, {"threshold": 7}, {"n_pages": 0},
        {"state": "great"}, {"notes": "abc"}, {"source": []}, {"corrected": 1}, {"image": "\ud800"},
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ParamsError):
        BatchRow.from_dict({"image": "a.tif", **values})


@pytest.mark.skipif(sys.platform == "win32", reason="fifos are of POSIX")
@pytest.mark.parametrize("kind", ["fifo", "link to a device", "link to a file outside"])
def test_no_part_is_read_outside_of_the_folder(kind: str, begun: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(begun / "out", tmp_path / "out"))
    for name in ("cells.csv", "rle.csv"):
        part = out / ".cellseg" / "parts" / f"0.{name}"
        part.unlink()
        if kind == "fifo":
            os.mkfifo(part)
        else:
            secret = tmp_path / name
            secret.write_text("label,secret\n1,5\n")
            part.symlink_to("/dev/zero" if kind == "link to a device" else secret)
    # The table is of what is inside: that of the other image, which is current.
    (begun / "one").mkdir(exist_ok=True)
    shutil.copy(begun / "images" / "1.tif", begun / "one" / "1.tif")
    assert segment(begun, out, str(begun / "one"), "--save", "labels,cells,rle", "--resume") == 0
    table = (out / "cells.csv").read_text()
    assert "secret" not in table and "1.tif" in table and "0.tif" not in table


def test_a_list_of_images_is_checked_before_the_first_is_read(
    begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = [[str(begun / "images" / "0.tif"), "0.tif"], str(begun / "images" / "1.tif")]
    for name, text in mutated_json(listed, 150):
        (tmp_path / "list.json").write_text(text, errors="surrogatepass")
        # Each is refused, or segmented into the folder; nothing else is ever raised.
        assert segment(begun, tmp_path / "out", "--files-from", str(tmp_path / "list.json"), "--resume") in (0, 1), name
    assert sorted(p.name for p in tmp_path.iterdir()) == ["list.json", "out"]
    capsys.readouterr()
    (tmp_path / "list.json").write_text(json.dumps([listed[0], "\0"]))
    assert segment(begun, tmp_path / "new", "--files-from", str(tmp_path / "list.json")) == 1
    assert "entry 2 is" in capsys.readouterr().err and not (tmp_path / "new").exists()
