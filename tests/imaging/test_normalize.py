"""Normalisation: percentiles to 0 and 1, whatever the dtype, and no value that a network cannot take."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_cellseg.imaging import ImageError, NormalizerParams, ParamsError, normalize

# The package offers the function under the name of its module.
MODULE = importlib.import_module("napari_cellseg.imaging.normalize")
DTYPES = ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">u2", ">i8", ">f4"]
SHAPES = st.one_of(
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9).map(lambda shape: (*shape, 3)),
)


@given(st.data())
def test_any_plane_gives_finite_clipped_float32(data):
    plane = data.draw(hnp.arrays(data.draw(st.sampled_from(DTYPES)), data.draw(SHAPES)))
    out = normalize(plane)
    assert out.dtype == np.float32 and out.shape == plane.shape
    assert np.isfinite(out).all() and out.min() >= -1 and out.max() <= 3


def test_percentiles_become_zero_and_one():
    plane = np.random.default_rng(0).normal(50, 9, (200, 210)).astype(np.float32)
    out = normalize(plane, NormalizerParams(5, 95))
    np.testing.assert_allclose(np.percentile(out, [5, 95]), [0, 1], atol=1e-5)


@given(
    hnp.arrays(np.float64, (7, 8), elements=st.integers(-1000, 1000)),
    st.floats(0.01, 1000),
    st.floats(-1000, 1000),
)
def test_brightness_and_contrast_do_not_matter(plane, gain, offset):
    np.testing.assert_allclose(normalize(plane * gain + offset), normalize(plane), atol=2e-3)


@given(hnp.arrays(np.int32, (7, 8), elements=st.integers(-128, 127)))
def test_dtype_does_not_matter(plane):
    expected = normalize(plane)
    for dtype in ("i1", "i2", "i8", "f2", "f4", "f8", ">i2"):
        np.testing.assert_array_equal(normalize(plane.astype(dtype)), expected)
    # Where the values lie in a 64-bit range does not matter either, to the last digit.
    top = plane.astype(np.int64) + (np.iinfo(np.int64).max - 200)
    np.testing.assert_array_equal(normalize(top), expected)
    bottom = plane.astype(np.int64) + (np.iinfo(np.int64).min + 200)
    np.testing.assert_array_equal(normalize(bottom), expected)
    np.testing.assert_array_equal(normalize(top.astype(np.uint64) + np.uint64(2**63)), expected)


@pytest.mark.parametrize("dtype", ["u1", "u8", "i8", "f2", "f4", "f8"])
def test_extremes_of_a_dtype(dtype):
    info = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.finfo(dtype)
    plane = np.full((10, 10), info.min, dtype)
    plane[:, 5:] = info.max
    np.testing.assert_array_equal(normalize(plane)[0], [0] * 5 + [1] * 5)


def test_not_a_number_and_infinities():
    plane = np.tile(np.linspace(0, 1, 50, dtype=np.float32), (50, 1))
    plane[0, :3] = np.nan, -np.inf, np.inf
    out = normalize(plane)
    np.testing.assert_array_equal(out[0, :3], [0, 0, 1])
    assert out[1, -1] > 0.99


@pytest.mark.parametrize("value", [0, 1, 255, -3.5, np.nan, np.inf, -np.inf, 1e308])
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (5, 7, 3)])
def test_constant_planes_become_zero(value, shape):
    assert not normalize(np.full(shape, value, float)).any()


def test_only_infinities_of_both_signs_become_zero():
    assert not normalize(np.array([[np.inf, -np.inf, np.nan]])).any()


def test_a_single_bright_cell_is_not_lost():
    plane = np.zeros((300, 300), np.uint16)
    plane[10:14, 10:14] = 900
    np.testing.assert_array_equal(normalize(plane), (plane > 0).astype(np.float32))


def test_colours_keep_their_balance():
    rng = np.random.default_rng(0)
    plane = rng.integers(0, 100, (40, 40, 3)).astype(np.uint8)
    plane[..., 2] //= 10
    out = normalize(plane)
    assert out[..., 2].max() < 0.15 and out[..., 0].max() > 0.9


def test_large_planes_use_every_nth_pixel_and_stay_close(monkeypatch):
    plane = np.random.default_rng(0).gamma(2, 100, (300, 401))
    exact = normalize(plane)
    monkeypatch.setattr(MODULE, "MAX_SAMPLE_PIXELS", 10_000)
    np.testing.assert_allclose(normalize(plane), exact, atol=0.15)
    np.testing.assert_array_equal(normalize(plane), normalize(plane))


def test_blocks_of_rows_do_not_show(monkeypatch):
    plane = np.random.default_rng(0).integers(-(2**62), 2**62, (31, 17))
    whole = normalize(plane)
    monkeypatch.setattr(MODULE, "_BLOCK_VALUES", 50)
    np.testing.assert_array_equal(normalize(plane), whole)


def test_the_plane_is_not_changed():
    plane = np.random.default_rng(0).random((20, 20))
    before = plane.copy()
    normalize(plane)
    np.testing.assert_array_equal(plane, before)


@pytest.mark.parametrize("plane", [np.zeros((0, 3)), np.zeros(4), np.zeros((4, 4, 2)), np.zeros((4, 4), complex)])
def test_what_is_no_plane_is_refused(plane):
    with pytest.raises(ImageError):
        normalize(plane)


@pytest.mark.parametrize("low, high", [(5, 5), (90, 10), (-1, 50), (0, 101), (np.nan, 50), ("1", 2), (True, 9)])
def test_params_are_checked(low, high):
    with pytest.raises(ParamsError):
        NormalizerParams(low, high)


def test_params_survive_a_dict():
    params = NormalizerParams(2, 98)
    assert NormalizerParams.from_dict(params.to_dict()) == params
    assert NormalizerParams.from_dict({}) == NormalizerParams()
    with pytest.raises(ParamsError, match="middle"):
        NormalizerParams.from_dict({"middle": 3})


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_by_type_the_greatest_value_of_the_type_becomes_1(dtype: type) -> None:
    full = np.iinfo(dtype).max
    plane = np.array([[0, 1], [full // 2, full]], dtype)
    found = normalize(plane, NormalizerParams(method="type"))
    np.testing.assert_allclose(found, plane / full, rtol=1e-6)


@pytest.mark.parametrize(("greatest", "scale"), [(0.7, 1), (1, 1), (200, 255), (4000, 65535), (1e6, 1e6)])
def test_by_type_wide_types_take_the_least_usual_scale_that_fits(greatest: float, scale: float) -> None:
    plane = np.array([[0, greatest / 2, greatest, np.nan]])
    found = normalize(plane, NormalizerParams(method="type"))
    np.testing.assert_allclose(found[0, :3], plane[0, :3] / scale, rtol=1e-6)
    assert found[0, 3] == 0


def test_by_type_booleans_and_empty_planes() -> None:
    params = NormalizerParams(method="type")
    np.testing.assert_array_equal(normalize(np.array([[False, True]]), params), [[0, 1]])
    np.testing.assert_array_equal(normalize(np.zeros((2, 2)), params), 0)


def test_standard_is_mean_0_and_deviation_1_not_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    plane = np.random.default_rng(0).normal(1e6, 2, (60, 50))
    plane[0, 0] += 100
    params = NormalizerParams(method="standard")
    found = normalize(plane, params)
    np.testing.assert_allclose(found, (plane - plane.mean()) / (plane.std() + 1e-6), atol=1e-5)
    assert found.max() > 20
    # Of colours, those of the grey image.
    grey = normalize(plane[..., None] + (-9, 2, 7), params).mean(axis=2)
    np.testing.assert_allclose(grey, found, atol=1e-4)
    survey = MODULE.ScaleSurvey(plane.shape, plane.dtype, params)
    for top in (30, 0):
        survey.add(plane[top : top + 30], (top, 0))
    np.testing.assert_allclose(survey.scale().apply(plane), found, atol=1e-5)


@pytest.mark.parametrize("value", [0, 255, 0.1, np.nan, np.inf, 1e308])
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (5, 7, 3)])
def test_standard_constant_planes_become_zero(value: float, shape: tuple[int, ...]) -> None:
    assert not normalize(np.full(shape, value, float), NormalizerParams(method="standard")).any()


@given(st.data())
def test_standard_gives_finite_float32(data: st.DataObject) -> None:
    plane = data.draw(hnp.arrays(data.draw(st.sampled_from(DTYPES)), data.draw(SHAPES)))
    out = normalize(plane, NormalizerParams(method="standard"))
    assert out.dtype == np.float32 and out.shape == plane.shape and np.isfinite(out).all()


def test_the_method_is_kept_and_checked() -> None:
    params = NormalizerParams(method="type")
    assert NormalizerParams.from_dict(params.to_dict()) == params
    # What an older installation reads stays as it was.
    assert set(NormalizerParams().to_dict()) == {"low", "high"}
    with pytest.raises(ParamsError, match="'mean'"):
        NormalizerParams(method="mean")
