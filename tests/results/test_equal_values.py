"""Images of equal values in one folder of results are pointed out: in the table, the report and the batch's events."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from napari_cellseg.reports.batch_report import write_report
from napari_cellseg.results.counts import open_ledger, write_counts
from napari_cellseg.results.equal_values import equal_images, equal_images_in_words, with_equal_noted
from napari_cellseg.results.rows import BatchRow


def row(name: str, sha256: str, page: str = "", **more: object) -> BatchRow:
    stem = name.partition(".")[0]
    values = {"count": 3, "files": {"labels": f"{stem}_labels.tif"}, "image_sha256": sha256, **more}
    return BatchRow(name, page, "done", stem=stem, **values)  # type: ignore[arg-type]


ROWS = [row("a.tif", "1"), row("b.tif", "2"), row("c.tif", "1"), row("d.tif", "1"), row("e.tif", "")]


def test_each_copy_names_another() -> None:
    noted = with_equal_noted(ROWS)
    assert [one.notes for one in noted] == [
        ("The values of this image are equal to those of c.tif and 1 more.",),
        (),
        ("The values of this image are equal to those of a.tif and 1 more.",),
        ("The values of this image are equal to those of a.tif and 1 more.",),
        (),
    ]
    assert with_equal_noted(noted) == noted
    assert "counted as if they were different ones: a.tif, c.tif, d.tif." in equal_images_in_words(ROWS)


def test_what_is_no_copy() -> None:
    dark = [row("s.tif", "0", f"z00{i}") for i in range(3)]
    gone = replace(row("f.tif", "2"), state="failed")
    assert not equal_images([*dark, ROWS[1], gone, ROWS[4], row("g.tif", "")])
    assert equal_images_in_words(dark) == ""
    assert len(equal_images([*dark, row("t.tif", "0", "z001")])) == 1


def test_the_table_and_the_report_point_it_out_and_the_table_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    for rows in (lambda: ROWS, lambda: open_ledger(tmp_path).rows()):
        # The second time the rows are those of the table, which has no ledger.
        write_counts(rows(), path)
        with path.open(newline="") as file:
            notes = [line["notes"] for line in csv.DictReader(file)]
        assert [note.count("equal to those of") for note in notes] == [1, 0, 1, 1, 0]
    assert "equal to those of c.tif" in write_report(ROWS, tmp_path).read_text(encoding="utf-8")
