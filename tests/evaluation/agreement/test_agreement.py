"""Counts of people against ours: figures that are known, an interval that holds what it promises."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_cellseg.cli import main
from napari_cellseg.evaluation.agreement.agreement import Agreement, agreement_of, band
from napari_cellseg.evaluation.agreement.table import read_agreement
from napari_cellseg.imaging.errors import CellsegError
from napari_cellseg.reports.agreement_report import AGREEMENT_FILE, write_agreement


def counted(n: int, seed: int, factor: float = 1.0, spread: float = 0.5) -> Agreement:
    """Counts of 3 to 300 whose square roots differ by normal noise."""
    rng = np.random.default_rng(seed)
    people = np.round(np.exp(rng.uniform(np.log(3), np.log(300), n)))
    ours = np.round(np.maximum(np.sqrt(people * factor) + rng.normal(0, spread, n), 0) ** 2)
    return Agreement(tuple(map(str, range(n))), people, ours)


def test_figures_of_bland_and_altman_by_hand() -> None:
    agreement = Agreement(tuple("abcde"), [10, 20, 30, 40, 50], [12, 21, 29, 44, 54])
    differences = np.array([2, 1, -1, 4, 4])
    sd = differences.std(ddof=1)
    assert agreement.bias == 2
    assert agreement.limits == pytest.approx((2 - 1.96 * sd, 2 + 1.96 * sd))
    assert agreement.bias_interval == pytest.approx((2 - 2.776445 * sd / 5**0.5, 2 + 2.776445 * sd / 5**0.5))
    assert agreement.limits_interval == pytest.approx(2.776445 * sd * (3 / 5) ** 0.5)
    assert "no bias is significant" in agreement.sentence()
    assert "automatic counts are lower by" in counted(30, 0, factor=0.7).sentence()


@pytest.mark.parametrize("n", [5, 10, 30])
@pytest.mark.parametrize("factor", [1.0, 0.8])
def test_the_interval_holds_as_often_as_it_says(n: int, factor: float) -> None:
    """95 % of new images, few cells and many alike, also where ours are biased."""
    hits: dict[bool, list[bool]] = {True: [], False: []}
    for seed in range(60):
        agreement = counted(n, seed, factor)
        new = counted(40, 10_000 + seed, factor)
        for people, ours in zip(new.people, new.automatic, strict=True):
            found = agreement.interval(int(ours))
            if found is None:
                assert not agreement.automatic.min() <= ours <= agreement.automatic.max()
                continue
            hits[people > 40].append(found.low <= people <= found.high)
    for many in (True, False):
        assert np.mean(hits[many]) > 0.9, many


def test_the_interval_is_no_wider_than_it_need_be() -> None:
    widths = []
    for n in (5, 10, 200):
        found = [one for seed in range(30) if (one := counted(n, seed).interval(100)) is not None]
        widths.append(np.mean([one.high - one.low for one in found]))
    assert widths[0] > widths[1] > widths[2]
    many = counted(200, 1)
    # Noise of 0.5 on a root of 10: from 9 ** 2 to 11 ** 2, and half a cell of rounding.
    assert 76 <= many.interval(100).low <= 85 and 117 <= many.interval(100).high <= 126
    biased = counted(200, 1, factor=0.64).interval(64)
    assert biased.best == pytest.approx(100, rel=0.05) and biased.low > 64


def test_an_interval_is_for_counts_that_were_checked_only() -> None:
    checked = Agreement(tuple("abcdef"), [8, 12, 20, 31, 40, 45], [6, 12, 22, 30, 41, 47])
    for count in (6, 47, 30):
        assert checked.interval(count) is not None and checked.unchecked(count) == ""
    assert str(checked.interval(30)) == f"30 ({checked.interval(30).low} to {checked.interval(30).high})"
    for count in (5, 48, 742):
        assert checked.interval(count) is None
        assert f"{count} lies outside the counts that were checked by hand (6 to 47)" in checked.unchecked(count)


def test_counts_that_all_agree_are_not_taken_for_certain() -> None:
    same = Agreement(tuple("abcde"), [10, 20, 30, 40, 50], [10, 20, 30, 40, 50])
    found = same.interval(30)
    assert found.low <= 30 <= found.high and found.high - found.low <= 4 and found.best == pytest.approx(30)


def test_too_few_is_said_and_no_interval_given() -> None:
    agreement = counted(4, 0)
    assert agreement.interval(10) is None and "count 1 more by hand" in agreement.too_few
    assert counted(5, 0).too_few == "" and np.isfinite(agreement.limits).all()


def test_several_people_are_averaged_and_their_spread_is_told() -> None:
    agreement = agreement_of([("a", 10, 12), ("a", 14, 12), ("b", 20, 18), ("c", 5, 5)])
    assert agreement.images == ("a", "b", "c") and agreement.people.tolist() == [12, 20, 5]
    assert agreement.between_people == pytest.approx(8**0.5)
    again = Agreement.from_dict(json.loads(json.dumps(agreement.to_dict())))
    assert again.to_dict() == agreement.to_dict()
    with pytest.raises(CellsegError, match="two automatic counts"):
        agreement_of([("a", 10, 12), ("a", 14, 13)])


@pytest.mark.parametrize(
    ("people", "ours", "match"),
    [
        ([1, 2], [1], "Give both"),
        ([1], [1], "2 or more"),
        ([1, -2], [1, 2], "negative"),
        ([1, np.nan], [1, 2], "number"),
    ],
)
def test_what_is_no_agreement(people: list, ours: list, match: str) -> None:
    with pytest.raises(CellsegError, match=match):
        Agreement(tuple(map(str, people)), people, ours)


def test_limits_that_are_drawn_hold_most_points() -> None:
    agreement = counted(300, 2)
    means, low, middle, high = band(agreement)
    at = (agreement.people + agreement.automatic) / 2
    inside = (agreement.differences >= np.interp(at, means, low)) & (
        agreement.differences <= np.interp(at, means, high)
    )
    assert 0.9 < inside.mean() < 0.99 and np.all(low <= middle) and np.all(middle <= high)


def test_the_command_reads_tables_of_spreadsheets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agreement = counted(8, 3)
    lines = [
        f"{i};{int(p)};{int(o)}"
        for i, p, o in zip(agreement.images, agreement.people, agreement.automatic, strict=True)
    ]
    table = tmp_path / "people.csv"
    table.write_text("image;people;ours\n" + "\n".join(lines), encoding="utf-8-sig")
    assert main(["agreement", str(table), "--count", "50", "--count", "5000", "--out", str(tmp_path / "out")]) == 0
    found = agreement.interval(50)
    said = capsys.readouterr().out
    assert f"50 ({found.low} to {found.high}) cells by manual count" in said and "On 8 images" in said
    assert "5,000 lies outside the counts that were checked" in said
    saved = json.loads((tmp_path / "out" / AGREEMENT_FILE).read_text())
    assert Agreement.from_dict(saved).to_dict() == agreement.to_dict()
    page = (tmp_path / "out" / "agreement.html").read_text()
    assert page.count("<circle") == 8 and "upper limit" in page and "A new count" in page

    counts = tmp_path / "counts.csv"
    counts.write_text(
        "image,count\n" + "\n".join(f"{i},{int(o)}" for i, o in zip(agreement.images, agreement.automatic, strict=True))
    )
    (tmp_path / "only.csv").write_text(
        "image,people\n" + "\n".join(f"{i},{int(p)}" for i, p in zip(agreement.images, agreement.people, strict=True))
    )
    assert read_agreement(tmp_path / "only.csv", counts).to_dict() == agreement.to_dict()
    counts.write_text("image,count\n0,5\n")
    with pytest.raises(CellsegError, match="no count for 7 image"):
        read_agreement(tmp_path / "only.csv", counts)


BATCH = "image,page,count,recipe,corrected,error\n"


def people_and_batch(tmp_path: Path, people: str, batch: str) -> tuple[Path, Path]:
    (tmp_path / "people.csv").write_text(people)
    (tmp_path / "counts.csv").write_text(BATCH + batch)
    return tmp_path / "people.csv", tmp_path / "counts.csv"


def test_a_batch_of_pages_is_compared_page_by_page_or_not_at_all(tmp_path: Path) -> None:
    batch = "".join(f"{image},z{page},{10 * page + 1},r,,\n" for image in "ab" for page in range(3))
    tables = people_and_batch(tmp_path, "image,people\na,11\nb,12\n", batch)
    with pytest.raises(CellsegError, match=r"3 counts of a, one for each page .* a column page"):
        read_agreement(*tables)
    tables[0].write_text("image,page,people\na,z1,11\nb,z0,2\nb,z1,13\n")
    agreement = read_agreement(*tables)
    assert agreement.images == ("a z1", "b z0", "b z1") and agreement.automatic.tolist() == [11, 1, 11]
    assert read_agreement(*people_and_batch(tmp_path, "image,people\na,1\nb,2\n", "a,z0,1,,,\nb,z0,2,,,\n")).n == 2


def test_counts_that_are_not_ours_alone_are_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = "image,people\n" + "".join(f"{name},10\n" for name in "abcdef")
    batch = "a,,9,r,,\nb,,9,r,,\nc,,10,r,yes,\nd,,10,r,yes,\ne,,,r,,It is damaged.\nf,,9,r,,Not written.\n"
    tables = people_and_batch(tmp_path, people, batch)
    words = ["agreement", str(tables[0]), "--counts", str(tables[1]), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    told = "Skipped: 2 corrected manually and 2 that failed."
    assert told in capsys.readouterr().out and told in (tmp_path / "out" / "agreement.html").read_text()
    saved = Agreement.from_dict(json.loads((tmp_path / "out" / AGREEMENT_FILE).read_text()))
    assert saved.images == ("a", "b") and saved.left_out == told
    people_and_batch(tmp_path, people, batch.replace("a,,9,r,,", "a,,9,r,yes,"))
    with pytest.raises(CellsegError, match="leaves 1 image"):
        read_agreement(*tables)


def test_positive_cells_and_classes_are_compared_by_their_own_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = BATCH.replace("\n", ",n_GFP_pos,n_class_round\n")
    lines = "".join(f"{name},,90,r,,,{10 * i},{90 - i}\n" for i, name in enumerate("abcdef"))
    (tmp_path / "counts.csv").write_text(f"{head}{lines}no_gfp,,90,r,,,,70\n")
    people = tmp_path / "people.csv"
    people.write_text("image,people,n_GFP_pos\n" + "".join(f"{x},{90 - i},{9 * i}\n" for i, x in enumerate("abcdef")))
    found = read_agreement(people, tmp_path / "counts.csv", "GFP_pos")
    assert found.automatic.tolist() == [0, 10, 20, 30, 40, 50] and found.people.tolist() == [0, 9, 18, 27, 36, 45]
    rounds = read_agreement(people, tmp_path / "counts.csv", "class_round")
    assert rounds.bias == 0 and rounds.automatic.tolist() == [90 - i for i in range(6)]
    people.write_text(people.read_text() + "no_gfp,90,5\n")
    words = ["agreement", str(people), "--counts", str(tmp_path / "counts.csv")]
    assert main([*words, "--of", "GFP_pos", "--count", "30"]) == 0
    said = capsys.readouterr().out
    assert "Skipped: 1 whose cells were not called." in said and "30 (" in said
    assert main([*words, "--of", "RFP_pos"]) == 1
    assert "it needs one named n_RFP_pos." in capsys.readouterr().err


def test_regions_are_compared_by_their_own_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    batch = "".join(f"{name},,90,r,,\n" for name in "abc") + "d,,90,r,yes,\ne,,,r,,It is damaged.\nf,,7,r,,\n"
    people, counts = people_and_batch(tmp_path, "", batch)
    regions = "image,page,region,count,n_GFP_pos\n"
    regions += "".join(
        f"{x},,{y},{10 * i + k},{i + k}\n" for i, x in enumerate("abcd") for k, y in enumerate(("t", "s"))
    )
    (tmp_path / "regions.csv").write_text(regions)
    rows = [f"{x},{y},{10 * i + k},{i + k}" for i, x in enumerate("abcd") for k, y in enumerate(("t", "s"))]
    people.write_text("\n".join(["image,region,people,n_GFP_pos", *rows, "e,t,4,4"]) + "\n")
    for path in (counts, tmp_path / "regions.csv", tmp_path):
        found = read_agreement(people, path)
        assert found.images == ("a t", "a s", "b t", "b s", "c t", "c s") and found.bias == 0
        assert found.automatic.tolist() == [0, 1, 10, 11, 20, 21]
        assert found.left_out == "Skipped: 2 corrected manually and 1 that failed."
    assert read_agreement(people, counts, "GFP_pos").automatic.tolist() == [0, 1, 1, 2, 2, 3]
    assert main(["agreement", str(people), "--counts", str(counts), "--of", "GFP_pos", "--count", "2"]) == 0
    assert "2 (" in capsys.readouterr().out
    people.write_text("image,region,people\na,t,1\nf,t,4\n")
    with pytest.raises(CellsegError, match=r"no count for 1 image.*f t"):
        read_agreement(people, counts)
    (tmp_path / "regions.csv").unlink()
    with pytest.raises(CellsegError, match=r"regions\.csv"):
        read_agreement(people, counts)


@pytest.mark.parametrize(
    ("batch", "match"),
    [
        ("a,,1,r,,\na,,2,r,,\nb,,2,r,,\n", "2 counts of a, and it is unknown which"),
        ("a,,1,r,,\nb,,2,s,,\n", "2 recipes"),
        ("a,,1,r,,\nb,,,r,,\n", "no count for 1 image"),
        ("a,,1,r,,\nb,,2.5,r,,\n", "whole ones"),
    ],
)
def test_counts_of_a_batch_that_cannot_be_compared(tmp_path: Path, batch: str, match: str) -> None:
    with pytest.raises(CellsegError, match=match):
        read_agreement(*people_and_batch(tmp_path, "image,people\na,1\nb,2\n", batch))


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ('image,people,ours\na,"1,200",1200\nb,0.125,2\n,,\n', [1200, 0.125]),
        ("image;people;ours\na;1,5;2\nb;1200;1200\n;;\n", [1.5, 1200]),
        ("image\tpeople\tours\na\t1.5\t2\nb\t0,125\t1\n\t\t\n", [1.5, 0.125]),
        ("image,people,ours\na,12.000,12\nb,33.333,34\n", [12, 33.333]),
        ('image,people,ours\na,"12,5",12\nb,"1,200,000",2\n', [12.5, 1_200_000]),
        ("image;people;ours\na;33.333;1\nb;0.667;2\n", [33.333, 0.667]),
        ("image;people;ours\na;1.200;1\nb;12,5;2\n", [1200, 12.5]),
        ("image\tpeople\tours\na\t33,333\t1\nb\t12,5\t2\n", [33.333, 12.5]),
        ("image;people;ours\na;1.200.000;0.5\nb;7;2\n", [1_200_000, 7]),
    ],
)
def test_thousands_are_told_from_decimals(tmp_path: Path, text: str, people: list[float]) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert read_agreement(tmp_path / "t.csv").people.tolist() == people


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("image,people,ours\na,1,x\nb,2,2\n", "'x' as the count of a"),
        ('image,people,ours\na,1,"1,5,2"\nb,2,2\n', "'1,5,2' as the count of a"),
        ("image;people;ours\na;1,5;1.200\nb;2;33.333\n", "1200 or a little more than 1"),
        ("image;people;ours\na;1;1,200\nb;2;2\n", "1200 or a little more than 1"),
        ("image,persons,ours\na,1,1\n", "needs one named people"),
        ("name,people,ours\na,1,1\n", "column image"),
        ("", "column image"),
        ("image,people,ours\na,1,1\n", "2 or more"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(CellsegError, match=match):
        write_agreement(tmp_path, read_agreement(tmp_path / "t.csv"))
