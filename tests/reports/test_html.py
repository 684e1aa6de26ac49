"""Pages: well formed, of one file, and nothing that they show can break them."""

from __future__ import annotations

import base64
import io
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PILImage

from napari_cellseg.reports import html
from napari_cellseg.reports.svg import histogram_svg, lines_svg, ticks
from tests.results.pages import Page, check_self_contained

NASTY = "<script src='https:'>&\"'\udcff"


def test_what_is_shown_cannot_break_the_page() -> None:
    content = html.page(
        NASTY,
        NASTY,
        html.section(NASTY, html.paragraph(NASTY, quiet=True), html.facts([(NASTY, NASTY)])),
        html.table([NASTY], [[NASTY], [None], [float("nan")]], NASTY),
        html.gallery([html.figure(np.zeros((2, 3), np.uint8), NASTY, alt=NASTY, href=NASTY, flagged=True)]),
        histogram_svg([1, 2, 2], NASTY, NASTY, (2, NASTY)),
        lines_svg({NASTY: ([0, 1], [0, 1])}, NASTY, NASTY),
    )
    page = check_self_contained(content)
    assert page.words.count("<script src='https:'>&\"'\\udcff") == 17
    content.encode("utf-8")


def test_numbers_are_written_for_people() -> None:
    page = Page(html.table(["n"], [[1234567], [0.123456], [np.float32(2)], [np.int64(12)], [True], [None], [np.nan]]))
    assert page.words.split() == ["n", "1,234,567", "0.1235", "2", "12", "True"]
    assert page.tags.count("td") == 7


def test_a_section_without_content_is_not_announced() -> None:
    assert html.section("Failed", None, "") == ""
    assert "Failed" in html.section("Failed", html.paragraph("one"))


def test_pictures_are_inside_the_page() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    uri = html.data_uri(picture)
    kind, data = uri.split(",")
    assert kind == "data:image/png;base64"
    np.testing.assert_array_equal(np.asarray(PILImage.open(io.BytesIO(base64.b64decode(data)))), picture)
    assert html.data_uri(b"\xff\xd8rest").startswith("data:image/jpeg;")


numbers = st.floats(-1e6, 1e6) | st.integers(-1000, 1000).map(float) | st.sampled_from([np.nan, np.inf])


@given(st.lists(numbers, max_size=60))
def test_every_value_is_in_one_bar(values: list[float]) -> None:
    drawn = histogram_svg(values, "x")
    Page(drawn)
    n_finite = int(np.isfinite(values).sum())
    counts = [int(n) for n in re.findall(r": (\d+)</title>", drawn)]
    assert sum(counts) == n_finite and bool(drawn) == bool(n_finite)
    for left, top, width, height in re.findall(
        r'<rect x="([\d.-]+)" y="([\d.-]+)" width="([\d.-]+)" height="([\d.-]+)"', drawn
    ):
        assert float(left) >= 0 and float(left) + float(width) <= 640
        assert float(top) >= 0 and float(top) + float(height) <= 260


@given(st.integers(-50, 50), st.integers(1, 300))
def test_bars_of_whole_numbers_hold_equally_many_numbers(low: int, n: int) -> None:
    """As many images of each count: as high a bar of each, but for the last."""
    heights = re.findall(r": (\d+)</title>", histogram_svg(range(low, low + n), "x"))
    assert len(set(heights[:-1])) <= 1


@given(st.floats(-1e9, 1e9), st.floats(1e-3, 1e9))
def test_ticks_are_few_round_and_inside(low: float, width: float) -> None:
    found = ticks(low, low + width)
    slack = 1e-6 * (abs(low) + width)
    assert len(found) <= 8
    assert all(low - slack <= tick <= low + width + slack for tick in found)
    steps = [b - a for a, b in pairwise(found)]
    assert np.allclose(steps, steps[0], rtol=1e-3) if steps else True


def test_curves_without_points_draw_nothing() -> None:
    assert lines_svg({"a": ([], [])}, "x", "y") == "" == lines_svg({}, "x", "y")
    drawn = lines_svg({"a": ([0, np.nan, 1], [5, 5, 5]), "b": ([], [])}, "x", "y", diagonal=True)
    assert drawn.count("polyline") == 2 and "nan" not in drawn.lower()


def test_values_that_differ_by_a_breath_are_one_bar() -> None:
    assert ": 2</title>" in histogram_svg([1e8 + 0.5, 1e8 + 0.5 + 1e-8], "x")


@pytest.mark.parametrize("value", [0.0, 7.0, -3.2, 1e-12, 1e12])
def test_one_value_is_a_bar_around_it(value: float) -> None:
    assert ": 1</title>" in histogram_svg([value], "x", mark=(value, "median"))
