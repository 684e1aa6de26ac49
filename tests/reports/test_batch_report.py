"""The report of a batch: what stands out is found, and all is in one file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.cli import main
from napari_cellseg.evaluation.outliers import LEAST, stand_out
from napari_cellseg.imaging.errors import OutputError
from napari_cellseg.reports import batch_report as report
from napari_cellseg.reports.batch_report import write_report
from napari_cellseg.results.overlay import write_thumbnail
from napari_cellseg.results.rows import BatchRow
from tests.blobs import blobs
from tests.models import make_model
from tests.results.pages import check_self_contained


def row_of(i: int, count: int, area: float | None = 400.0, doubt: float | None = 0.1) -> BatchRow:
    found = {"median_area_px": area, "doubt": doubt} if count else {}
    return BatchRow(f"A{i:02d}.tif", "", "done", count, stem=f"A{i:02d}", **found)


def usual(n: int = 20, seed: int = 0) -> list[BatchRow]:
    rng = np.random.default_rng(seed)
    return [
        row_of(i, int(rng.poisson(100)), 400 * np.exp(rng.normal(0, 0.05)), 0.1 + rng.normal(0, 0.01)) for i in range(n)
    ]


def reasons(rows: list[BatchRow]) -> dict[str, str]:
    return {odd.row.image: odd.reason for odd in stand_out(rows)}


def test_a_usual_batch_has_nothing_to_look_at() -> None:
    assert reasons(usual()) == {}
    assert reasons([row_of(i, 100) for i in range(20)]) == {}
    assert reasons([row_of(i, 0) for i in range(20)]) == {}


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (row_of(99, 310), "count 3.1 times the median"),
        (row_of(99, 21), "count 0.21 times the median"),
        (row_of(99, 0), "no cells, where the median is 100"),
        (row_of(99, 100, 1200), "size of cells 3.0 times the median"),
        (row_of(99, 100, 100), "size of cells 0.25 times the median"),
        (row_of(99, 100, doubt=0.6), "doubt 60% per cell, where the median is 10%"),
    ],
)
def test_what_is_far_from_the_others_is_told_in_words(odd: BatchRow, reason: str) -> None:
    assert reasons([*(row_of(i, 100) for i in range(20)), odd]) == {"A99.tif": reason}


def test_reasons_come_strongest_first_and_images_too() -> None:
    batch = [*(row_of(i, 100) for i in range(20)), row_of(30, 200), row_of(31, 400, 4000)]
    found = stand_out(batch)
    assert [odd.row.image for odd in found] == ["A31.tif", "A30.tif"]
    assert found[0].reasons[0].startswith("size") and found[0].reasons[1].startswith("count")
    assert found[0].score > found[1].score


def test_little_doubt_is_nothing_to_look_at() -> None:
    assert not reasons([*(row_of(i, 100, doubt=0.6) for i in range(20)), row_of(99, 100, doubt=0.01)])


def test_several_odd_ones_do_not_hide_each_other() -> None:
    assert set(reasons([*usual(14), *(row_of(i, 900) for i in range(20, 25))])) == {f"A{i}.tif" for i in range(20, 25)}


@pytest.mark.parametrize("seed", range(5))
def test_few_cells_differ_by_chance(seed: int) -> None:
    """Counts as chance alone makes them, and medians of areas as few cells make them: hardly anything is flagged."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(200):
        n = int(rng.poisson(5))
        areas, doubts = 300 * np.exp(rng.normal(0, 0.5, n)), rng.beta(0.5, 4.5, n)
        rows.append(row_of(i, n, float(np.median(areas)) if n else None, float(doubts.mean()) if n else None))
    assert len(stand_out(rows)) <= 4


def test_too_few_images_say_nothing() -> None:
    batch = [row_of(i, 100) for i in range(LEAST - 2)] + [row_of(99, 900)]
    assert not stand_out(batch) and not stand_out([])
    assert stand_out([*batch, row_of(50, 100)])


def test_only_images_with_a_result_count() -> None:
    batch = [row_of(i, 100) for i in range(20)]
    others = [replace(row_of(40, 900), state=state) for state in ("failed", "waiting", "running")]
    assert not stand_out([*batch, *others])
    assert set(
        reasons([*batch, replace(row_of(41, 900), state="kept"), replace(row_of(42, 900), state="skipped")])
    ) == {
        "A41.tif",
        "A42.tif",
    }


@given(st.randoms(use_true_random=False))
def test_the_order_of_images_does_not_matter(random) -> None:  # type: ignore[no-untyped-def]
    batch = [*usual(), row_of(30, 300), row_of(31, 100, 1600), row_of(32, 100, doubt=0.7)]
    shuffled = random.sample(batch, len(batch))
    assert reasons(shuffled) == reasons(batch) and len(reasons(batch)) == 3


def test_sizes_are_compared_in_micrometres_where_all_are_known() -> None:
    """The same cells, some seen at twice the magnification."""
    near = [replace(row_of(i, 100, 1600), pixel_area_um2=0.25) for i in range(5)]
    far = [replace(row_of(i, 100, 400), pixel_area_um2=1.0) for i in range(10, 25)]
    assert not stand_out([*near, *far])
    assert len(stand_out([replace(row, pixel_area_um2=None) for row in (*near, *far)])) == 5


@pytest.fixture
def folder(tmp_path: Path) -> tuple[Path, list[BatchRow]]:
    """Results of twenty images of which three stand out, with their pictures."""
    out = tmp_path / "plate <3> & é"
    rows = [*usual(), row_of(30, 300), row_of(31, 100, 1600), row_of(32, 0)]
    sample = blobs(0, size=64, n=4)
    for i, row in enumerate(rows):
        files = {"thumbnail": f".cellseg/parts/{row.stem}.jpg", "overlay": f"sub dir/{row.stem}#_overlay.png"}
        write_thumbnail(out / files["thumbnail"], sample.image, sample.labels)
        rows[i] = replace(row, files=files, model="cells", threshold=0.5, min_size=20, recipe="ab" * 32)
    return out, rows


def test_the_report_is_one_file_with_all_in_it(folder: tuple[Path, list[BatchRow]]) -> None:
    out, rows = folder
    rows += [
        BatchRow("<b>bad</b>.tif", state="failed", error="cut short & <i>odd</i>", stem="bad"),
        replace(row_of(50, 7), corrected=True, notes=("<u>a note</u>",)),
        row_of(51, 100),
    ]
    path = write_report(rows, out)
    assert path == out / "report.html"
    page = check_self_contained(path.read_text(encoding="utf-8"))
    words = page.words
    assert words.startswith("26 images in plate <3> & é")
    for row in rows:
        assert row.image in words
    # Of the two without a thumbnail there is no picture; those that stand out are shown twice.
    assert len(page.sources) == 23 + 3
    assert {unquote(link) for link in page.links} == {row.files["overlay"] for row in rows if row.files}
    for text in ("cut short & <i>odd</i>", "corrected manually", "<u>a note</u>", "count 3.0 times the median"):
        assert text in words
    middle = np.median([row.count for row in rows if row.count is not None])
    assert "abababababab" in words and f"median {middle:g}" in words


def test_the_report_says_what_it_does_not_know(tmp_path: Path) -> None:
    assert "0 images" in check_self_contained(write_report([], tmp_path).read_text(encoding="utf-8")).words
    few = check_self_contained(write_report([row_of(0, 1), row_of(1, 50)], tmp_path).read_text(encoding="utf-8"))
    assert f"fewer than {LEAST}" in few.words and "cells in all" in few.words
    none = check_self_contained(write_report(usual(), tmp_path).read_text(encoding="utf-8"))
    assert "No image stands out" in none.words


def test_a_damaged_recipe_or_picture_does_not_cost_the_report(folder: tuple[Path, list[BatchRow]]) -> None:
    out, rows = folder
    (out / "recipe.json").write_text('{"recipe": [1', encoding="utf-8")
    (out / rows[0].files["thumbnail"]).unlink()
    page = check_self_contained(write_report(rows, out).read_text(encoding="utf-8"))
    assert len(page.sources) == 22 + 3
    for content in ("[]", '{"recipe": 3, "versions": null}'):
        (out / "recipe.json").write_text(content, encoding="utf-8")
        write_report(rows, out)


def test_of_very_many_images_those_that_stand_out_are_shown(
    folder: tuple[Path, list[BatchRow]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rows = folder
    monkeypatch.setattr(report, "MOST_PICTURES", 8)
    page = check_self_contained(write_report(rows, out).read_text(encoding="utf-8"))
    assert len(page.sources) == 3 + 8
    sheet = page.words.split("Contact sheet")[1]
    assert "8 of 23 images" in sheet
    assert {"A30.tif", "A31.tif", "A32.tif", "A00.tif", "A19.tif"} <= set(sheet.splitlines())


def test_a_report_that_cannot_be_written_leaves_the_old_one(folder: tuple[Path, list[BatchRow]]) -> None:
    out, rows = folder
    (out / "report.html").mkdir()
    with pytest.raises(OutputError, match="it is a folder"):
        write_report(rows, out)


def test_the_command_line_writes_it(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    images = tmp_path / "images"
    images.mkdir()
    for seed in range(2):
        tifffile.imwrite(images / f"b{seed}.tif", blobs(seed, size=64, n=4).image)
    (images / "bad.tif").write_bytes(b"II*\0")
    out = tmp_path / "out"
    arguments = ["segment", str(images), "--out", str(out), "--model", str(model.path), "--save", "labels,overlay"]
    assert main([*arguments, "--html"]) == 1
    page = check_self_contained((out / "report.html").read_text(encoding="utf-8"))
    assert len(page.sources) == 2 and sorted(page.links) == ["b0_overlay.png", "b1_overlay.png"]
    assert all((out / link).is_file() for link in page.links)
    assert "bad.tif" in page.words and "3 images in out" in page.words and model.sha256[:12] in page.words
