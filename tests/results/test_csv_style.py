"""CSV files with semicolons, decimal commas and a byte-order mark: the same numbers, and read back as they were."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_cellseg.batch.run import iter_batch
from napari_cellseg.evaluation.agreement.table import read_agreement
from napari_cellseg.imaging import drain
from napari_cellseg.imaging.errors import ParamsError
from napari_cellseg.imaging.read.finding import find_images
from napari_cellseg.imaging.write.csv_style import CSV_STYLES, style_of, unguarded
from napari_cellseg.imaging.write.write import write_table
from napari_cellseg.results.counts import put_rows, read_counts, write_counts
from napari_cellseg.results.rows import BatchRow
from napari_cellseg.segmentation.options import RunOptions
from napari_cellseg.segmentation.recipe import Recipe
from tests.blobs import blobs
from tests.models import make_model

ROW = BatchRow(
    "a;b.tif", "", "done", 7, 101.5, 99.25, 1e-07, pixel_area_um2=0.25, threshold=0.4375, min_size=25, stem="a",
    files={"labels": "a_labels.tif"}, seconds=1.5, notes=("A note, with commas; and 1.5.",), model="m",
)  # fmt: skip


def lines_of(path: Path, delimiter: str = ";") -> list[dict[str, str]]:
    assert path.read_bytes().startswith(b"\xef\xbb\xbf") == (delimiter == ";")
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_numbers_have_a_decimal_comma_and_texts_stay(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    columns = {
        "n": [1, 2],
        "f": np.array([0.5, np.nan]),
        "text": ["1.5", "x;y"],
        "s": np.array([1e-9, 2.0], np.float32),
    }
    write_table(path, columns, "semicolon")
    assert path.read_bytes() == b'\xef\xbb\xbfn;f;text;s\n1;0,5;1.5;1e-09\n2;;"x;y";2,0\n'
    assert style_of(path) == "semicolon" and style_of(tmp_path / "none.csv") == "comma"


def test_the_table_of_counts_is_read_back_and_keeps_its_style(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    write_counts([ROW], path, "semicolon")
    (line,) = lines_of(path)
    assert (line["image"], line["median_area_px"], line["median_area_um2"], line["threshold"]) == (
        "a;b.tif", "101,5", "25,375", "0,4375",
    )  # fmt: skip
    (back,) = read_counts(path) or ()
    same = ("image", "count", "median_area_px", "sd_area_px", "pixel_area_um2", "threshold", "seconds", "notes")
    assert all(getattr(back, name) == getattr(ROW, name) for name in same)
    put_rows(tmp_path, BatchRow("c.tif", "", "done", 3, files={"labels": "c_labels.tif"}, stem="c"))
    assert [line["image"] for line in lines_of(path)] == ["a;b.tif", "c.tif"]
    write_counts([ROW], path, "comma")
    assert lines_of(path, ",")[0]["median_area_px"] == "101.5"


def test_manual_counts_are_compared_with_such_a_table(tmp_path: Path) -> None:
    rows = [BatchRow(f"{i}.tif", "", "done", 10 * i, files={"labels": "x"}, stem=str(i)) for i in range(1, 4)]
    write_counts(rows, tmp_path / "counts.csv", "semicolon")
    write_table(
        tmp_path / "people.csv", {"image": ["1.tif", "2.tif", "3.tif"], "people": [11.5, 20.0, 31.0]}, "semicolon"
    )
    found = read_agreement(tmp_path / "people.csv", tmp_path / "counts.csv")
    assert (list(found.people), list(found.automatic)) == ([11.5, 20.0, 31.0], [10.0, 20.0, 30.0])


def test_a_batch_writes_both_tables_so_and_equal_numbers(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", blobs(0).image.astype(np.uint16))
    recipe = Recipe(str(make_model(tmp_path / "tiny").path))
    for style in CSV_STYLES:
        options = RunOptions("cpu", ("labels", "cells"), csv=style)
        drain(iter_batch(find_images(tmp_path / "a.tif"), tmp_path / style, recipe, options))
    one, other = lines_of(tmp_path / "comma" / "cells.csv", ","), lines_of(tmp_path / "semicolon" / "cells.csv")
    assert one and len(one) == len(other) and one[0].keys() == other[0].keys()
    assert [{k: v.replace(".", ",") for k, v in line.items() if k != "image"} for line in one] == [
        {k: v for k, v in line.items() if k != "image"} for line in other
    ]
    assert len(lines_of(tmp_path / "semicolon" / "counts.csv")) == 1
    with pytest.raises(ParamsError, match="style of CSV files"):
        RunOptions(csv="tab")


@pytest.mark.parametrize("style", CSV_STYLES)
def test_no_cell_is_a_formula_and_names_come_back(style: str, tmp_path: Path) -> None:
    names = [
        "=cmd()",
        "+1+1",
        "-2+3",
        "@SUM(1)",
        "\t=1",
        "\r=1",
        "-5",
        "-1.5",
        "+49",
        "a=b",
        "'x",
        "a\rb",
        'q"',
        "a\nb",
    ]
    write_table(tmp_path / "a.csv", {"name": names, "x": [-1.5] * len(names), "n": [-3] * len(names)}, style)
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file, delimiter=";" if style == "semicolon" else ","))
    cells = [row["name"] for row in rows]
    assert [cell[0] for cell in cells[:6]] == ["'"] * 6 and cells[6:9] == ["-5", "-1.5", "+49"]
    assert [unguarded(cell) for cell in cells] == names
    assert {row["x"].replace(",", ".") for row in rows} == {"-1.5"} and {row["n"] for row in rows} == {"-3"}


def test_names_of_files_break_no_table(tmp_path: Path) -> None:
    """A carriage return is quoted in the tables that all images share, and no name is a formula."""
    images, out = tmp_path / "in", tmp_path / "out"
    images.mkdir()
    names = ["a\rb.tif", "=1+1.tif", "@x\n.tif", "c,d.tif"]
    for i, name in enumerate(names):
        tifffile.imwrite(images / name, blobs(i).image.astype(np.uint16))
    recipe = Recipe(str(make_model(tmp_path / "tiny").path))
    options = RunOptions("cpu", outputs=("labels", "cells", "rle", "submission"))
    drain(iter_batch(find_images(images), out, recipe, options))
    for table, column in (
        ("counts.csv", "image"),
        ("cells.csv", "image"),
        ("rle.csv", "ImageId"),
        ("submission.csv", "image"),
    ):
        with (out / table).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert all(None not in row and None not in row.values() for row in rows), table
        found = {row[column] for row in rows}
        wanted = {name if column == "image" else name.removesuffix(".tif") for name in names}
        assert {unguarded(name) for name in found} == wanted and not any(name[0] in "=@" for name in found), table
    assert {row.image for row in read_counts(out / "counts.csv") or ()} == {*names}
