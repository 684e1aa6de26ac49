"""The typical size of cells is found whatever it is, and where it is not the result says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_cellseg import segment
from napari_cellseg.imaging.normalize import normalize
from napari_cellseg.imaging.progress import drain
from napari_cellseg.network.cell_size import CellSize, _Search, iter_estimate_diameter
from napari_cellseg.network.predict_sized import predict_sized
from napari_cellseg.network.sighting import Sighting
from napari_cellseg.network.sizing import zoom_for
from napari_cellseg.network.version_files import set_defaults, write_config
from napari_cellseg.network.versions import ModelVersion, load_model, read_version
from tests.models import make_model
from tests.nuclei import draw_discs, draw_nuclei

WITHIN = np.log(1.15)


@pytest.fixture(scope="module")
def bundled() -> ModelVersion:
    return load_model("cells")


def size_of(image: np.ndarray, model: ModelVersion) -> CellSize:
    return drain(iter_estimate_diameter(normalize(image, model.normalizer), model, "cpu"))


@pytest.mark.parametrize(
    ("diameter", "side", "n_cells"), [(9, 256, 40), (20, 400, None), (110, 800, None), (200, 900, 4)]
)
def test_textured_nuclei_of_any_size(diameter: float, side: int, n_cells: int | None, bundled: ModelVersion) -> None:
    drawn = draw_nuclei(diameter, (side, side), n_cells, seed=int(diameter))
    found = size_of(drawn.image, bundled)
    assert found.certain and found.diameter is not None
    assert abs(np.log(found.diameter / drawn.diameter)) < WITHIN


@pytest.mark.parametrize(("diameter", "n_cells"), [(26, 8), (95, 8), (250, 8), (200, 1)])
def test_flat_discs_of_any_size(diameter: float, n_cells: int, bundled: ModelVersion) -> None:
    drawn = draw_discs(diameter, n_cells=n_cells)
    found = size_of(drawn.image, bundled)
    assert found.diameter is not None and abs(np.log(found.diameter / drawn.diameter)) < WITHIN


@pytest.mark.parametrize("seed", [0, 1])
def test_uneven_light_is_no_cell(seed: int, bundled: ModelVersion) -> None:
    y, x = np.mgrid[:520, :696]
    light = 145 + 16 * np.exp(-(((y - 260) / 200) ** 2) - ((x - 348) / 270) ** 2)
    empty = (light + np.random.default_rng(seed).normal(0, 6, light.shape)).astype(np.uint16)
    assert size_of(empty, bundled).diameter is None
    assert segment(empty).count == 0
    large = size_of(empty, replace(bundled, cell_diameter=400.0)).diameter
    assert large is not None and large > 300, "a version of large cells sees them"


@pytest.mark.parametrize("blur", [0.7, 1.0, 1.5])
def test_grain_is_no_crowd_of_cells(blur: float, bundled: ModelVersion) -> None:
    noise = ndi.gaussian_filter(np.random.default_rng(0).normal(size=(512, 512)), blur)
    found = size_of(noise, bundled)
    assert found.diameter is None and not found.certain
    assert segment((noise * 1000 + 9000).astype(np.uint16)).count < 5


def test_a_remembered_size_holds_where_nothing_clear_is_seen(bundled: ModelVersion) -> None:
    noise = np.random.default_rng(0).normal(100, 10, (300, 300))
    assert not size_of(noise, bundled).certain
    assert size_of(noise, replace(bundled, cell_diameter=50.0)).diameter == 50


def test_an_unusual_size_is_accepted_only_of_far_clearer_cells(bundled: ModelVersion) -> None:
    search = _Search(np.zeros((90, 90), np.float32), replace(bundled, cell_diameter=80.0), "cpu", None)
    vague = Sighting(0.4, 70.0, 72.0, 0.6, 0.1, 20)
    assert search._is_accepted(vague, 80.0) and not search._is_accepted(replace(vague, diameter=30.0), 80.0)
    clear = Sighting(1.0, 28.0, 30.0, 0.8, 0.1, 20)
    assert search._is_accepted(clear, 80.0), "nothing is known of the remembered size"
    search._seen[zoom_for(80.0, 30.0, (1, 1))] = vague
    assert not search._is_accepted(clear, 80.0) and search._is_accepted(replace(clear, peak=0.95), 80.0)


def test_clear_cells_of_another_size_win_over_a_remembered_one(bundled: ModelVersion) -> None:
    drawn = draw_nuclei(30, (400, 400), seed=1)
    found = size_of(drawn.image, replace(bundled, cell_diameter=120.0))
    assert found.diameter is not None and abs(np.log(found.diameter / drawn.diameter)) < WITHIN


def test_a_version_keeps_the_size_of_its_cells(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    settings = {"config": model.config, "normalizer": model.normalizer, "split": model.split}
    write_config(model.path, **settings, threshold=0.5, min_size=5, diameter=30.0, cell_diameter=47.0)
    version = read_version(model.path)
    assert version.cell_diameter == 47 and set_defaults(version, 0.4, 9).cell_diameter == 47


def test_clear_is_what_has_high_peaks_at_about_the_wanted_size() -> None:
    clear = Sighting(1.0, 28.0, 30.0, 0.8, 0.1, 20)
    assert clear.is_clear(30)
    assert not replace(clear, peak=0.6).is_clear(30) and not replace(clear, outweighing=80.0).is_clear(30)


def test_a_look_at_the_whole_is_the_prediction_where_it_is_as_good(bundled: ModelVersion) -> None:
    drawn = draw_nuclei(28, (300, 300), seed=2)
    normalized = normalize(drawn.image, bundled.normalizer)
    size = drain(iter_estimate_diameter(normalized, bundled, "cpu"))
    assert size.diameter is not None and zoom_for(size.diameter, bundled.diameter or 0, (300, 300)) == 1
    assert list(size.whole) == [1.0] and size.near(1.03) == 1 and size.near(1.3) == 1.3
    prediction = predict_sized(normalized, bundled, "cpu")
    assert np.array_equal(prediction.probability, size.whole[1.0].probability)
