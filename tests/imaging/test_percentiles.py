"""Percentiles of an image's values are those of NumPy, counted or not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.imaging.percentiles import finite_percentiles


@given(
    st.lists(st.integers(0, 65535), min_size=1, max_size=60),
    st.lists(st.floats(0, 100), min_size=1, max_size=5),
    st.sampled_from([np.uint8, np.uint16, np.int32, np.float32]),
)
def test_equal_to_those_of_numpy_to_the_last_bit(values: list[int], percents: list[float], dtype: type) -> None:
    plane = np.array(values).astype(dtype)[None]
    found = finite_percentiles(plane, percents)
    assert found is not None
    np.testing.assert_array_equal(found, np.percentile(plane.astype(np.float64), percents))


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_nothing_without_a_value(dtype: type) -> None:
    assert finite_percentiles(np.zeros((0, 3), dtype), [50]) is None


def test_only_finite_values_count() -> None:
    found = finite_percentiles(np.array([[np.nan, 1.0], [np.inf, 3.0]]), [0, 50, 100])
    assert found is not None
    assert found.tolist() == [1, 2, 3]
