"""Labels that follow the sliders pixel by pixel are those that are filled anew."""

from __future__ import annotations

import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellseg.corrections.live_labels import LiveLabels

from .corrections_model import fresh_view
from .test_claims import steps, take


@settings(max_examples=60)
@given(st.integers(0, 40), steps, st.lists(st.tuples(st.integers(-6, 6), st.integers(-3, 3)), min_size=4, max_size=20))
def test_they_are_those_filled_anew(seed: int, done: list, moves: list) -> None:
    view = fresh_view(seed)
    live, level, least = None, 90, 6
    for place in range(max(len(done), len(moves))):
        if place < len(done):
            view, _changed = take(view, done[place])
        cells = view.corrected
        if live is None or live.cells is not cells or live.out.dtype != cells.dtype:
            live = LiveLabels(cells, np.zeros(cells.shape, dtype=cells.dtype))
        by_level, by_size = moves[place % len(moves)]
        level, least = np.clip(level + by_level, 0, 255), max(0, least + by_size)
        before = live.out.copy()
        written = live.move(level / 255, least, wait=True)
        np.testing.assert_array_equal(live.out, live.cells.labels(level / 255, least))
        if written is not None:
            untouched = np.setdiff1d(np.arange(before.size), written)
            np.testing.assert_array_equal(live.out.ravel()[untouched], before.ravel()[untouched])


def test_few_pixels_are_written_once_they_are_sorted() -> None:
    cells = fresh_view(3).corrected
    live = LiveLabels(cells, np.zeros(cells.shape, dtype=cells.dtype))
    assert live.move(0.40, 5) is None, "the first time all are"
    until = time.monotonic() + 20
    while (written := live.move(0.41, 5)) is None and time.monotonic() < until:
        time.sleep(0.01)
    for threshold in (0.42, 0.41):
        written = live.move(threshold, 5)
        assert written is not None and 0 < len(written) < live.out.size / 12
        np.testing.assert_array_equal(live.out, cells.labels(threshold, 5))
    assert live.move(0.95, 5) is None, "over a long way filling is quicker"
    np.testing.assert_array_equal(live.out, cells.labels(0.95, 5))
