"""Positive cells: what a marker says, who is called, and that it is right."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage as ndi

from napari_cellseg.imaging.errors import ParamsError
from napari_cellseg.imaging.from_array import as_image
from napari_cellseg.imaging.image import Image
from napari_cellseg.segmentation.counting import NOTHING, count_markers, start_of_cells, start_of_control
from napari_cellseg.segmentation.marker import Marker
from napari_cellseg.segmentation.recipe import Recipe
from tests.nuclei import draw_nuclei

NAMES = ("DAPI", "GFP", "mCherry")


def marked(seed: int, share: float = 0.3, crosstalk: float = 0.15) -> tuple[Image, np.ndarray, np.ndarray]:
    """An image of three channels, its labels, and who is truly GFP+ and mCherry+, bool (2, n)."""
    rng = np.random.default_rng(seed)
    drawn = draw_nuclei(22, (700, 700), 200, seed=seed)
    n = int(drawn.labels.max())
    truth = rng.random((2, n)) < share
    y, x = np.mgrid[-1:1:700j, -1:1:700j]
    light = 1 + 0.2 * x - 0.1 * (x**2 + y**2)
    channels = [drawn.image]
    for positive in truth:
        bright = np.concatenate([[0.0], np.where(positive, rng.uniform(0.7, 1.6, n), rng.uniform(0.0, 0.08, n))])
        signal = ndi.gaussian_filter(bright[drawn.labels], 0.8)
        bleed = crosstalk * (drawn.image - 100.0) / 1200
        photons = rng.poisson(np.clip(60 * light * (signal + bleed + 0.05), 0, None))
        channels.append(np.clip(100 + 20 * photons + rng.normal(0, 12, light.shape), 0, 65535).astype(np.uint16))
    image = Image(np.stack(channels), "CYX", channel_names=NAMES)
    return image, drawn.labels, truth


@pytest.fixture(scope="module")
def scene() -> tuple[Image, np.ndarray, np.ndarray]:
    return marked(0)


def ids_of(labels: np.ndarray) -> np.ndarray:
    return np.unique(labels[labels > 0])


def values_of(image: Image, labels: np.ndarray, marker: str) -> np.ndarray:
    recipe = Recipe(positive=(Marker.parse(marker),), grow="4px")
    return count_markers(image, labels, ids_of(labels), recipe).columns[f"{Marker.parse(marker).name}_value"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("measure", ["GFP", "GFP:share(600)"])
def test_calls_are_right_to_2_percent_with_noise_crosstalk_and_uneven_light(seed: int, measure: str) -> None:
    image, labels, truth = marked(seed)
    values = values_of(image, labels, f"{measure}>0.5")
    positive = values > start_of_cells(values)
    assert np.mean(positive == truth[0][ids_of(labels) - 1]) >= 0.98


def test_a_negative_control_gives_a_threshold_that_its_own_cells_do_not_reach() -> None:
    control, labels, _ = marked(10, share=0)
    start = start_of_control(values_of(control, labels, "GFP>0"))
    image, labels, truth = marked(11)
    values = values_of(image, labels, "GFP>0")
    assert np.mean((values > start) == truth[0][ids_of(labels) - 1]) >= 0.98


def test_a_control_without_cells_is_refused_in_words() -> None:
    for empty in (np.zeros(0), np.array([np.nan])):
        with pytest.raises(ParamsError, match="no cells to measure"):
            start_of_control(empty)
        assert np.isnan(start_of_cells(empty))


@given(st.lists(st.integers(0, 50), min_size=2, max_size=40))
def test_the_start_parts_cells_as_well_as_any_threshold(numbers: list[int]) -> None:
    values = np.array(numbers, float)

    def apart(threshold: float) -> float:
        low, high = values[values <= threshold], values[values > threshold]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2 if len(low) and len(high) else 0.0

    steps = np.unique(values)
    best = max((apart((a + b) / 2) for a, b in pairwise(steps)), default=0.0)
    assert apart(start_of_cells(values)) == pytest.approx(best)


@pytest.mark.parametrize(
    "text", ["GFP>320", "1>0.5", "Ki67 high:ring>12.25", "GFP:cell:share(150)>0.3", "A>B>1", "x>-3", "GFP>0.1234567891"]
)
def test_a_marker_reads_back_as_it_was_written(text: str) -> None:
    if text.count(">") > 1:
        with pytest.raises(ParamsError):
            Marker.parse(text)
    else:
        assert str(Marker.parse(text)) == text and Marker.parse(str(Marker.parse(text))) == Marker.parse(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("GFP", "is no marker"),
        ("GFP>", "is no marker"),
        (">3", "can't have the channel ''"),
        ("GFP>many", "is no marker"),
        ("GFP>nan", "must be a finite number"),
        ("GFP:nowhere>3", "Choose nucleus, ring, cell"),
        ("GFP:share(5)>3", "a share from 0 to 1"),
        ("GFP:share(x)>0.3", "is no marker"),
    ],
)
def test_what_is_no_marker_is_refused_in_words(text: str, why: str) -> None:
    with pytest.raises(ParamsError, match=why.replace("(", r"\(")):
        Recipe(positive=(text,))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"positive": ["GFP>1", "GFP:cell>2"], "grow": "3px"}, "two markers of the channel GFP"),
        ({"positive": ["GFP:ring>1"]}, "nuclei are not grown"),
        ({"positive": "GFP>1"}, "a list of markers"),
        ({"positive": ["GFP>1"], "pages": "stack", "link": "t"}, "--link none"),
        ({"grow": "3"}, "such as 3um"),
    ],
)
def test_recipes_that_make_no_sense_are_refused_in_words(settings: dict[str, object], why: str) -> None:
    with pytest.raises(ParamsError, match=why):
        Recipe.from_dict(settings)


def test_a_recipe_reads_back_and_its_digest_knows_markers(tmp_path: object) -> None:
    plain = Recipe()
    recipe = Recipe(grow="3.0 um", positive=(Marker.parse("GFP:ring>320"), Marker.parse("mCherry>1")))
    assert Recipe.from_dict(recipe.to_dict()) == recipe and recipe.grow == "3um"
    digests = {
        plain.digest(),
        recipe.digest(),
        Recipe(positive=recipe.positive[1:]).digest(),
        Recipe(grow="3um").digest(),
    }
    assert len(digests) == 4


def test_without_a_marker_nothing_is_computed(scene: tuple[Image, np.ndarray, np.ndarray]) -> None:
    image, labels, _ = scene
    assert count_markers(image, labels, ids_of(labels), Recipe()) is NOTHING


def test_combinations_add_up_and_the_hand_stands(scene: tuple[Image, np.ndarray, np.ndarray]) -> None:
    image, labels, _ = scene
    ids = ids_of(labels)
    recipe = Recipe(positive=(Marker.parse("GFP>900"), Marker.parse("mCherry>900")))
    plain = count_markers(image, labels, ids, recipe)
    n = plain.numbers
    assert n["GFP_pos_mCherry_pos"] + n["GFP_pos_mCherry_neg"] == n["GFP_pos"] == plain.columns["GFP_pos"].sum()
    assert sum(n[f"GFP_{a}_mCherry_{b}"] for a in ("pos", "neg") for b in ("pos", "neg")) == len(ids)
    was = bool(plain.columns["GFP_pos"][3])
    by_hand = {int(ids[3]): {"GFP": not was}, 10**6: {"GFP": True}}
    for threshold in (-1e9, 900, 1e9):
        moved = Recipe(positive=(Marker("GFP", threshold),))
        flipped = count_markers(image, labels, ids, moved, by_hand)
        assert flipped.columns["GFP_pos"][3] == (not was)
        others = np.arange(len(ids)) != 3
        np.testing.assert_array_equal(
            flipped.columns["GFP_pos"][others], flipped.columns["GFP_value"][others] > threshold
        )
    words = plain.columns["markers"].tolist()
    assert words.count("GFP+ mCherry-") == n["GFP_pos_mCherry_neg"]


def test_a_channel_that_is_missing_costs_its_own_columns_only(scene: tuple[Image, np.ndarray, np.ndarray]) -> None:
    image, labels, _ = scene
    recipe = Recipe(positive=(Marker("GFP", 900), Marker("YFP", 9), Marker("DAPI+GFP", 1)))
    found = count_markers(image, labels, ids_of(labels), recipe)
    assert set(found.columns) == {"GFP_value", "GFP_pos"} and set(found.numbers) == {"GFP_pos"}
    assert "no channel 'YFP'" in found.notes[0] and "mix of channels" in found.notes[1]


def test_a_length_in_micrometres_without_a_pixel_size_costs_what_needs_it() -> None:
    image = as_image(np.arange(400.0).reshape(20, 20))
    labels = np.zeros((20, 20), np.uint16)
    labels[5:9, 5:9] = 3
    found = count_markers(image, labels, np.array([3]), Recipe(grow="3um", positive=(Marker("0", 5),)))
    assert found.grown is None and "no pixel size" in found.notes[0] and found.numbers == {"0_pos": 1}


def test_growing_to_the_edge_of_a_channel_that_is_missing_costs_what_needs_it(
    scene: tuple[Image, np.ndarray, np.ndarray],
) -> None:
    image, labels, _ = scene
    found = count_markers(image, labels, ids_of(labels), Recipe(grow="5px:YFP", positive=(Marker("GFP", 900),)))
    assert found.grown is None and "no channel 'YFP'" in found.notes[0] and set(found.numbers) == {"GFP_pos"}


def test_rings_and_ratios_are_measured_in_every_channel(scene: tuple[Image, np.ndarray, np.ndarray]) -> None:
    image, labels, _ = scene
    found = count_markers(image, labels, ids_of(labels), Recipe(grow="3px"))
    assert {f"{what}_{name}" for name in NAMES for what in ("intensity_mean_ring", "nucleus_to_ring")} < set(
        found.columns
    )
    ring = np.where(labels > 0, 0, found.grown)
    plane, i = image.plane("GFP").astype(float), 5
    ratio = plane[labels == ids_of(labels)[i]].mean() / plane[ring == ids_of(labels)[i]].mean()
    assert found.columns["nucleus_to_ring_GFP"][i] == pytest.approx(ratio, abs=1e-9)


def test_cells_without_any_give_empty_columns(scene: tuple[Image, np.ndarray, np.ndarray]) -> None:
    image, labels, _ = scene
    recipe = Recipe(grow="3px", positive=(Marker("GFP", 1), Marker("mCherry", 1)))
    found = count_markers(image, np.zeros_like(labels), np.zeros(0, int), recipe)
    assert {len(column) for column in found.columns.values()} == {0} and set(found.numbers.values()) == {0}
