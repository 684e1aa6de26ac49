"""Cells are shown to the network at the size it draws best, whatever the magnification of the image."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_cellseg
from napari_cellseg import segment
from napari_cellseg.imaging.errors import ModelError, ParamsError
from napari_cellseg.imaging.from_array import as_image
from napari_cellseg.imaging.normalize import normalize
from napari_cellseg.imaging.progress import drain
from napari_cellseg.imaging.read.read import read_image
from napari_cellseg.imaging.write.write import read_labels
from napari_cellseg.instances.live import Instances
from napari_cellseg.instances.metrics import match
from napari_cellseg.network import cell_size, sizing
from napari_cellseg.network import predict_sized as sized_module
from napari_cellseg.network.cell_size import iter_estimate_diameter
from napari_cellseg.network.predict import predict
from napari_cellseg.network.predict_sized import predict_sized
from napari_cellseg.network.sighting import N_WINDOWS, WINDOW, informative_windows
from napari_cellseg.network.sizing import resized, zoom_for, zoomed_shape
from napari_cellseg.network.smallest import usual_min_size
from napari_cellseg.network.version_files import write_config
from napari_cellseg.network.versions import ModelVersion, load_model, read_version
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.segmentation.segment import iter_predict_image
from tests.models import make_model


@pytest.fixture(scope="module")
def bundled() -> ModelVersion:
    return load_model("cells")


@pytest.fixture(scope="module")
def nuclei() -> tuple[np.ndarray, np.ndarray]:
    """A fluorescence sample, normalised, and its true labels."""
    folder = Path(napari_cellseg.__file__).parent / "samples"
    (path,) = [p for p in folder.iterdir() if p.stem == "fluorescence"]
    labels = read_labels(Path(__file__).parent.parent / "data" / "fluorescence_labels.tif")
    return normalize(read_image(path).plane(), load_model("cells").normalizer), labels


def ap50(labels_true: np.ndarray, labels: np.ndarray) -> float:
    return float(match(labels_true, labels, (0.5,)).ap[0])


def nearest(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    places = [((np.arange(n) + 0.5) * old / n).astype(int) for n, old in zip(shape, labels.shape, strict=True)]
    return np.asarray(labels[np.ix_(*places)])


@pytest.mark.parametrize("zoom", [0.3, 0.5, 1.0, 2.0, 4.0])
def test_the_estimate_follows_the_magnification(
    zoom: float, bundled: ModelVersion, nuclei: tuple[np.ndarray, np.ndarray]
) -> None:
    image, labels = nuclei
    areas = np.bincount(labels.ravel())[1:]
    true = zoom * np.sqrt(4 / np.pi * np.median(areas[areas > 0]))
    magnified = resized(image, zoomed_shape(image.shape, zoom))
    size = drain(iter_estimate_diameter(magnified, bundled, "cpu"))
    assert size.certain and size.diameter is not None and abs(np.log(size.diameter / true)) < np.log(1.15)


@pytest.mark.parametrize("zoom", [0.25, 0.5, 1.4, 2.0, 3.0, 4.0])
def test_another_magnification_hardly_matters(
    zoom: float, bundled: ModelVersion, nuclei: tuple[np.ndarray, np.ndarray]
) -> None:
    image, labels = nuclei

    def found(normalized: np.ndarray, true: np.ndarray, diameter: float | None) -> float:
        prediction = predict_sized(normalized, bundled, "cpu", diameter)
        instances = Instances.from_prediction(prediction, bundled.split)
        min_size = usual_min_size(bundled.min_size, prediction.diameter)
        return ap50(true, np.asarray(instances.labels(bundled.threshold, min_size)))

    shape = zoomed_shape(image.shape, zoom)
    magnified, true = resized(image, shape), nearest(labels, shape)
    sized = found(magnified, true, None)
    # Shrunk to a quarter, to cells of 7 pixels, it loses more.
    assert sized >= found(image, labels, None) - (0.05 if zoom > 0.25 else 0.09)
    if zoom > 2:
        assert sized > found(magnified, true, 0) + 0.1, "or there would be no need for it"


def test_small_cells_are_not_left_out_for_being_small(
    bundled: ModelVersion, nuclei: tuple[np.ndarray, np.ndarray]
) -> None:
    image, labels = nuclei
    shape = zoomed_shape(image.shape, 0.25)
    small, true = resized(image, shape), nearest(labels, shape)
    recipe = Recipe("cells")
    found, fixed = (
        drain(iter_predict_image(as_image(small), one)).result()
        for one in (recipe, replace(recipe, min_size=bundled.min_size))
    )
    assert found.min_size < bundled.min_size / 2 and fixed.min_size == bundled.min_size
    assert found.count > fixed.count and ap50(true, found.labels) > ap50(true, fixed.labels) + 0.01
    settings = found.metadata["recipe"]
    assert found.metadata["min_size"] == found.min_size and settings["fit_min_size"], "it says by what it was made"
    again = drain(iter_predict_image(as_image(small), Recipe.from_dict(settings))).result()
    assert np.array_equal(again.labels, found.labels)


@pytest.mark.parametrize(
    ("default", "diameter", "smallest"),
    [(25, None, 25), (25, 40.0, 25), (25, 10.0, 15), (25, 1.0, 4), (0, 10.0, 0), (2, 1.0, 2), (500, 40.0, 251)],
)
def test_the_smallest_size_goes_with_the_cells(default: int, diameter: float | None, smallest: int) -> None:
    assert usual_min_size(default, diameter) == smallest


def test_maps_come_back_at_the_images_size(tmp_path: Path) -> None:
    model = replace(make_model(tmp_path / "m"), diameter=20.0)
    image = np.random.default_rng(0).random((75, 61), np.float32)
    prediction = predict_sized(image, model, "cpu", 10.0)
    assert prediction.shape == (75, 61) and prediction.distance is not None
    assert prediction.diameter == 10 and prediction.zoom == pytest.approx(2**0.8)
    as_it_is = predict_sized(image, model, "cpu", 0)
    assert np.array_equal(as_it_is.probability, predict(image, model, "cpu").probability)
    assert (as_it_is.zoom, as_it_is.diameter) == (1, None)
    unsized = predict_sized(image, replace(model, diameter=None), "cpu", 10.0)
    assert np.array_equal(unsized.probability, as_it_is.probability), "a model without a diameter is never magnified"


@pytest.mark.parametrize("turns", [0, 1, 3])
@pytest.mark.parametrize("flip", [False, True])
def test_a_turned_look_is_the_turned_images_answer(
    turns: int, flip: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(tmp_path / "m")
    image = np.random.default_rng(0).random((64, 48), np.float32)
    monkeypatch.setattr(sized_module, "LOOKS", ((turns, flip, 1.0),))
    turned = np.rot90(image, turns)[::-1] if flip else np.rot90(image, turns)
    alone = predict(np.ascontiguousarray(turned), model, "cpu").probability
    found = predict_sized(image, model, "cpu", accurate=True).probability
    np.testing.assert_allclose(found, np.rot90(alone[::-1] if flip else alone, -turns), atol=1e-5)
    if turns or flip:
        assert not np.allclose(found, predict(image, model, "cpu").probability, atol=0.02)


def test_accurate_is_the_mean_of_few_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = replace(make_model(tmp_path / "m"), diameter=20.0)
    image = np.random.default_rng(0).random((75, 61), np.float32)
    looks = sized_module.LOOKS
    done = []
    found = drain(sized_module.iter_predict_sized(image, model, "cpu", 10.0, accurate=True), done.append)
    alone = []
    for look in looks:
        monkeypatch.setattr(sized_module, "LOOKS", (look,))
        alone.append(predict_sized(image, model, "cpu", 10.0, accurate=True))
    for name in ("probability", "distance"):
        mean = np.mean([getattr(one, name) for one in alone], axis=0)
        np.testing.assert_allclose(getattr(found, name), mean, atol=1e-5)
    assert found.zoom == pytest.approx(2**0.8) and found.diameter == 10
    assert sum(factor**2 for _, _, factor in looks) < 3.5, "pixels that the network sees, relative to one look"
    fractions = [progress.fraction for progress in done if progress.total][-len(looks) :]
    assert fractions == sorted(fractions) and fractions[-1] == 1


def test_what_was_seen_for_the_size_is_not_looked_at_again(
    bundled: ModelVersion, nuclei: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    image, _ = nuclei
    zooms: list[float] = []
    real = sized_module.iter_predict_at

    def counted(seen: np.ndarray, model: ModelVersion, device: str, zoom: float) -> Generator[Any, None, Any]:
        zooms.append(zoom)
        return (yield from real(seen, model, device, zoom))

    monkeypatch.setattr(sized_module, "iter_predict_at", counted)
    zoom = predict_sized(image, bundled, "cpu", accurate=True).zoom
    assert zooms == [zoom * 1.25, zoom * 0.8]


def test_zoom() -> None:
    assert zoom_for(26, 26, (100, 100)) == 1 == zoom_for(28, 26, (100, 100))
    assert zoom_for(13, 26, (100, 100)) == pytest.approx(2**0.8)
    assert zoom_for(1, 26, (100, 100)) == sizing.ZOOMS[1] and zoom_for(5000, 26, (100, 100)) == sizing.ZOOMS[0]
    assert zoom_for(13, 26, (20_000, 20_000)) <= 1, "no more pixels than memory has room for"


def test_windows_are_where_something_is() -> None:
    image = np.zeros((2000, 1500), np.float32)
    image[1300:1500, 800:1000] = np.random.default_rng(0).random((200, 200))
    windows = informative_windows(image)
    assert len(windows) == N_WINDOWS
    rows, columns = windows[0]
    assert rows.start < 1500 and rows.stop > 1300 and columns.start < 1000 and columns.stop > 800
    assert informative_windows(image[:300, :300]) == [(slice(0, 300), slice(0, 300))]


def test_nothing_to_see(bundled: ModelVersion) -> None:
    prediction = predict_sized(np.zeros((80, 80), np.float32), bundled, "cpu")
    assert prediction.diameter is None and prediction.zoom == 1
    assert Instances.from_prediction(prediction).count(0.5, 0) == 0


def test_the_recipe_says_so(tmp_path: Path) -> None:
    image = (255 * np.random.default_rng(0).random((64, 64))).astype(np.uint8)
    model = make_model(tmp_path / "m")
    folder = model.path
    settings = {"config": model.config, "normalizer": model.normalizer, "split": model.split}
    write_config(folder, **settings, threshold=0.5, min_size=5, diameter=20.0)
    assert read_version(folder).diameter == 20
    result = segment(image, model=folder, diameter=10, device="cpu")
    assert result.metadata["recipe"]["diameter"] == 10 and result.metadata["zoom"] == pytest.approx(2**0.8)
    with pytest.raises(ParamsError, match="1 to 5000"):
        segment(image, model=folder, diameter=-3)
    write_config(folder, **settings, threshold=0.5, min_size=5, diameter=0.0)
    with pytest.raises(ModelError, match="diameter"):
        read_version(folder)


def test_no_more_windows_than_needed_are_looked_at(bundled: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    image = read_image(Path(napari_cellseg.__file__).parent / "samples" / "mosaic.png").plane()[:1024, :1024]
    normalized, looks = normalize(image, bundled.normalizer), []
    look = cell_size.iter_predict
    monkeypatch.setattr(cell_size, "iter_predict", lambda *args: looks.append(args[0].shape) or look(*args))
    few = drain(iter_estimate_diameter(normalized, bundled, "cpu")).diameter
    assert looks == [(WINDOW, WINDOW)]
    monkeypatch.setattr(cell_size, "ENOUGH_CELLS", 10**9)
    many = drain(iter_estimate_diameter(normalized, bundled, "cpu")).diameter
    assert len(looks) == 1 + N_WINDOWS and few == pytest.approx(many, rel=0.2)
