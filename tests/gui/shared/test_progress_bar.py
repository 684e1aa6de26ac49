"""How long a run will still take."""

from __future__ import annotations

import pytest

from napari_cellseg.gui.shared.progress_bar import Pace


def test_pace_tells_the_time_left() -> None:
    pace = Pace()
    assert pace.seconds_left(0.0, now=10.0) is None
    assert pace.seconds_left(0.25, now=12.0) == pytest.approx(6.0)
    assert pace.seconds_left(1.0, now=18.0) == pytest.approx(0.0)
