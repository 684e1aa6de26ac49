"""Maps without the blocks that a network draws in; smoothed the same way on every path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dask.array
import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_cellseg.imaging import as_image, drain, read_image
from napari_cellseg.imaging.errors import ModelError
from napari_cellseg.imaging.lazy_plane import LazyPlane
from napari_cellseg.imaging.normalize import ScaleSurvey, normalize
from napari_cellseg.network import features as features_module
from napari_cellseg.network import predict as predict_module
from napari_cellseg.network.building import build_network, with_head_kernel
from napari_cellseg.network.compiled import SWITCH
from napari_cellseg.network.config import UNetConfig
from napari_cellseg.network.devices import DeviceChoice
from napari_cellseg.network.exchange.package_files import SAMPLE, ExportedNetwork
from napari_cellseg.network.features import features
from napari_cellseg.network.predict import predict
from napari_cellseg.network.ready import load_network
from napari_cellseg.network.sizing import resized, zoomed_shape
from napari_cellseg.network.smoothing import smoothed
from napari_cellseg.network.tile_maps import NormalizedPlane, TileMaps
from napari_cellseg.network.versions import ModelVersion, load_model
from tests.models import make_model

IMAGE = np.random.default_rng(0).random((300, 517), np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    folder = tmp_path_factory.mktemp("models") / "smooth"
    return make_model(folder, base_channels=6, levels=2, fold=2, head_kernel=3, smooth=0.6)


@pytest.fixture
def float32_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding of bfloat16 would hide seams."""
    for module in (features_module, predict_module):
        monkeypatch.setattr(module, "resolve_device", lambda policy: DeviceChoice("cpu", "float32"))


def pixel_energy(values: np.ndarray, where: np.ndarray) -> float:
    """Mean square of what alternates from pixel to pixel along rows and columns, as a checkerboard does."""
    kernel = np.array([-0.25, 0.5, -0.25])
    return float(np.mean(ndimage.correlate1d(ndimage.correlate1d(values, kernel, 0), kernel, 1)[where] ** 2))


def ragged(mask: np.ndarray) -> int:
    """Number of pixels of an outline that stand alone: three of four neighbours are on the other side."""
    alike = sum((np.roll(mask, shift, axis) == mask).astype(int) for shift in (-1, 1) for axis in (0, 1))
    return int(np.count_nonzero((alike <= 1)[1:-1, 1:-1]))


@pytest.mark.parametrize("sigma", [0.3, 0.6, 1.7])
def test_it_is_a_gaussian(sigma: float) -> None:
    maps = torch.rand(2, 31, 18, generator=torch.Generator().manual_seed(0))
    radius = max(1, round(3 * sigma))
    expected = np.stack([ndimage.gaussian_filter(m.numpy(), sigma, mode="nearest", radius=radius) for m in maps])
    np.testing.assert_allclose(smoothed(maps, sigma), expected, atol=1e-6)
    assert smoothed(maps, 0) is maps


def test_the_number_of_threads_changes_nothing() -> None:
    maps, before, found = torch.rand(1, 517, 411), torch.get_num_threads(), []
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            found.append(smoothed(maps, 0.6))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


@pytest.mark.usefixtures("float32_only")
def test_no_seams(model: ModelVersion) -> None:
    whole, tiled = predict(IMAGE, model, tile=2048), predict(IMAGE, model, tile=256)
    assert np.ptp(whole.probability) > 0.05
    np.testing.assert_allclose(tiled.probability, whole.probability, atol=2e-5)
    np.testing.assert_allclose(tiled.distance, whole.distance, atol=2e-5)  # type: ignore[arg-type]


def test_block_by_block_is_the_same_to_the_last_bit(model: ModelVersion, tmp_path: Path) -> None:
    values = (IMAGE * 4000).astype(np.uint16)
    plane = LazyPlane(as_image(dask.array.from_array(values, chunks=100)))
    survey = ScaleSurvey(plane.shape, plane.dtype)
    for region, piece in plane.pieces():
        survey.add(piece, (region[0].start, region[1].start))
    maps = TileMaps(NormalizedPlane(plane, survey.scale()), model, tmp_path, "cpu", tile=256)
    whole = predict(normalize(values), model, "cpu", tile=256)
    for region in ((slice(0, 100), slice(0, 517)), (slice(77, 300), slice(140, 400))):
        drain(maps.iter_make(region))
        found = maps.read(region)
        np.testing.assert_array_equal(found.probability, whole.probability[region])
        np.testing.assert_array_equal(found.distance, whole.distance[region])  # type: ignore[index]


@pytest.mark.usefixtures("float32_only")
def test_torch_compiled_features_and_packages_agree(model: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    image = IMAGE[:131, :90]
    compiled, kept = predict(image, model), features(image, model).prediction
    monkeypatch.setenv(SWITCH, "0")
    by_torch = predict(image, model)
    for other in (compiled, kept):
        np.testing.assert_allclose(other.probability, by_torch.probability, atol=2e-5)
        np.testing.assert_allclose(other.distance, by_torch.distance, atol=2e-5)  # type: ignore[arg-type]
    inside = torch.from_numpy(IMAGE[None, None, :128, :96].repeat(3, axis=1))
    with torch.no_grad():
        drawn, distance = ExportedNetwork(load_network(model))(inside)
    alone = predict(IMAGE[:128, :96], model)
    np.testing.assert_allclose(drawn.sigmoid()[0, 0], alone.probability, atol=2e-5)
    np.testing.assert_allclose(distance[0, 0].clamp(0, 1), alone.distance, atol=2e-5)  # type: ignore[arg-type]


def test_heads_that_look_at_neighbours_start_with_the_same_answer() -> None:
    network = build_network(UNetConfig(base_channels=4, levels=1, fold=2)).eval()
    wider = with_head_kernel(network, 3)
    x = torch.rand(1, 3, 24, 20)
    with torch.no_grad():
        before, after = network(x), wider(x)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value)
    assert wider.config == replace(network.config, head_kernel=3) and not wider.training
    with pytest.raises(ModelError, match="smaller"):
        with_head_kernel(wider, 1)


@pytest.mark.parametrize("zoom", [1.0, 1.7])
def test_the_bundled_model_draws_no_blocks(zoom: float) -> None:
    """What alternates from pixel to pixel is little of the probability, and outlines have few single pixels."""
    model = load_model("cells")
    plane = np.asarray(read_image(SAMPLE).data)[:256, :256]
    plane = normalize(plane if plane.ndim == 2 else plane.mean(axis=-1))
    image = resized(plane, zoomed_shape(plane.shape, zoom))
    drawn = predict(image, replace(model, config=replace(model.config, smooth=0.0)))
    shown = predict(image, model)
    edge = (drawn.probability > 0.1) & (drawn.probability < 0.9)
    before, after = (pixel_energy(p.probability, edge) for p in (drawn, shown))
    assert after < 0.25 * before
    before, after = (sum(ragged(p.probability >= t) for t in (0.3, 0.5, 0.7)) for p in (drawn, shown))
    assert before > 100 and after < 0.4 * before
    # The shift of outlines is less than what is drawn: no cell is lost or grows.
    assert abs(np.mean(shown.probability >= 0.5) / np.mean(drawn.probability >= 0.5) - 1) < 0.01
    assert shown.probability.shape == image.shape


@pytest.mark.parametrize("values", [{"smooth": -0.1}, {"smooth": True}, {"head_kernel": 2}])
def test_what_cannot_be_is_refused(values: dict) -> None:
    with pytest.raises(ModelError, match=next(iter(values))):
        UNetConfig(**values)


def test_settings_that_say_nothing_new_are_not_written() -> None:
    plain = UNetConfig().to_dict()
    assert "smooth" not in plain and "head_kernel" not in plain
    config = UNetConfig(smooth=0.6, head_kernel=3)
    assert UNetConfig.from_dict(config.to_dict()) == config
