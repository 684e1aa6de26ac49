"""Wells and conditions: the numbers, and what is said about tables that do not fit."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import stats

import napari_cellseg
from napari_cellseg import read_image
from napari_cellseg.cli import main
from napari_cellseg.evaluation.plates import plates_of, write_plates
from napari_cellseg.imaging.errors import CellsegError, OutputError
from napari_cellseg.results.rows import BatchRow
from tests.tables import rows_of

SAMPLE = Path(napari_cellseg.__file__).parent / "samples" / "fluorescence.png"


def row(image: str, count: int | None, positive: int | None = None, state: str = "done") -> BatchRow:
    called = {} if positive is None else {"GFP_pos": positive}
    return BatchRow(image, state=state, count=count, n_pixels=10**6, pixel_area_um2=0.25, positive=called)  # type: ignore[arg-type]


ROWS = [
    row("A01_f1.tif", 10, 5), row("A01_f2.tif", 30, 5), row("A02.tif", 40, 10), row("B1.tif", 8, 8),
    row("B2.tif", 12, 6), row("B3.tif", None, state="failed"), row("C3.tif", 0, 0), row("no well.tif", 99),
]  # fmt: skip
TABLE = "well,condition,dose,replicate\nA1,control,0,1\nA02,control,0,2\nB01,drug,5,1\nB2,drug,5,2\nC03,blank,,1\n"


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "conditions of mine.csv"
    path.write_text(text)
    return path


def test_wells_are_the_replicates(tmp_path: Path) -> None:
    found = plates_of(ROWS, table(tmp_path, TABLE))
    assert [well.name for well in found.wells] == ["A01", "A02", "B01", "B02", "B03", "C03"]
    first = found.wells[0]
    assert first.count == 40
    assert first.measures == {"count_per_image": 20.0, "cells_per_mm2": 80.0, "pct_GFP_pos": 25.0}
    assert [condition.name for condition in found.conditions] == ["control, 0", "drug, 5", "blank"]
    control = found.conditions[0]
    np.testing.assert_array_equal(control.values("count_per_image"), [20, 40])
    mean, deviation, low, high = control.summary("count_per_image")
    assert (mean, deviation) == (30, np.std([20, 40], ddof=1))
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 1, 30, stats.sem([20, 40])))
    # A well without cells has no percentage; one well has no interval.
    blank = found.conditions[2]
    assert blank.values("pct_GFP_pos").size == 0 and math.isnan(blank.summary("count_per_image")[2])
    notes = " ".join(found.notes)
    assert "Without a condition" in notes and "B03" in notes and "Failed, and not counted: 1 image of B03" in notes
    assert "Of one well only" in notes and "blank" in notes


def test_wells_that_have_no_image_are_told_and_cost_nothing_else(tmp_path: Path) -> None:
    more = TABLE + "H12,drug,5,3\nG11,other,1,1\n"
    found, plain = plates_of(ROWS, table(tmp_path, more)), plates_of(ROWS, table(tmp_path, TABLE))
    assert "In the table of conditions, but without an image: H12, G11." in found.notes
    assert [one.name for one in found.conditions] == [one.name for one in plain.conditions]
    assert [len(one.wells) for one in found.conditions] == [len(one.wells) for one in plain.conditions]


def test_tables_are_written(tmp_path: Path) -> None:
    wells, conditions = write_plates(plates_of(ROWS, table(tmp_path, TABLE)), tmp_path)
    first, *_ = rows_of(wells)
    assert (first["well"], first["dose"], first["n_images"], first["count"], first["area_mm2"]) == (
        "A01", "0", "2", "40", "0.5",
    )  # fmt: skip
    assert rows_of(conditions)[1]["mean_count_per_image"] == "10.0" and rows_of(conditions)[1]["n_wells"] == "2"
    assert write_plates(plates_of(ROWS), tmp_path) == [wells]
    wells.write_text("mine\n")
    with pytest.raises(OutputError, match="not written by napari-cellseg"):
        write_plates(plates_of(ROWS), tmp_path)


def test_plates_are_apart(tmp_path: Path) -> None:
    rows = [row("one/A01.tif", 1), row("two/A01.tif", 2), row("three/A/1/0", 3), row("three/A/1/1", 5)]
    found = plates_of(rows, table(tmp_path, "plate,well,drug\none,A1,x\ntwo,A1,y\nthree,A1,y\n"))
    assert [(well.plate, well.name, well.count) for well in found.wells] == [
        ("one", "A01", 1), ("three", "A01", 8), ("two", "A01", 2),
    ]  # fmt: skip
    assert [(one.name, len(one.wells)) for one in found.conditions] == [("x", 1), ("y", 2)]
    # Without plates, a table is about the wells of all.
    assert len(plates_of(rows, table(tmp_path, "well,drug\nA1,x\n")).conditions[0].wells) == 3
    assert "several images of one field" in plates_of([row("A01_a.tif", 1), row("A01_b.tif", 1)]).notes[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("well;drug\nA1;x\nA01;y\n", "A01 twice, the second time in line 3"),
        ("well,drug\nfirst,x\n", "Line 2 .* 'first'. Write row and column"),
        ("well\nA1\n", "needs a column well, and one or more"),
        ("drug\nx\n", "has drug; it needs"),
        ("", "no row"),
        ("well,drug\nH12,x\n", "None of the 1 wells .* H12"),
        ("plate,well,drug\np,A1,x\n,A2,y\n", "in some lines only"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_words(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(CellsegError, match=said):
        plates_of(ROWS, table(tmp_path, text))


def test_the_command_line_counts_wells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    sample = read_image(SAMPLE).plane()[:160, :160]
    for name, part in (("A01_f1", sample), ("A01_f2", sample[:80]), ("B02_f1", sample[:, :80])):
        tifffile.imwrite(tmp_path / "in" / f"{name}.tif", part, resolution=(20000, 20000), resolutionunit="CENTIMETER")
    given = table(tmp_path, "well;drug\nA1;none\nB2;much\n")
    command = ["segment", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*command, "--conditions", str(tmp_path / "gone.csv")]) == 1
    assert not (tmp_path / "out").exists() and "gone.csv cannot be read" in capsys.readouterr().err
    assert main([*command, "--conditions", str(given), "--html"]) == 0
    wells = rows_of(tmp_path / "out" / "wells.csv")
    counts = rows_of(tmp_path / "out" / "counts.csv")
    assert int(wells[0]["count"]) == sum(int(line["count"]) for line in counts[:2]) > 0
    area = (160 * 160 + 80 * 160) * 0.5**2 * 1e-6
    assert float(wells[0]["area_mm2"]) == pytest.approx(area)
    assert float(wells[0]["cells_per_mm2"]) == pytest.approx(int(wells[0]["count"]) / area)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Replicates are wells" in page and "much (n = 1)" in page
    assert main(["wells", str(tmp_path / "out")]) == 0 and "2 wells" in capsys.readouterr().out
    assert main(["wells", str(tmp_path / "in")]) == 1
