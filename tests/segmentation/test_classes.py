"""Classes by example: the forest is right, says how right it is, and is the same whenever it is fitted again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.draw import ellipse

from napari_cellseg.corrections.run_lengths import CLASS
from napari_cellseg.imaging.errors import ParamsError
from napari_cellseg.imaging.image import Image
from napari_cellseg.segmentation.classes import Classes, Forest, as_kept, forest_of
from napari_cellseg.segmentation.classing import example_of
from napari_cellseg.segmentation.counting import class_features, count_markers
from napari_cellseg.segmentation.recipe import Recipe

NAMES = ("round", "long", "bright")


def scene(seed: int, side: int = 9) -> tuple[Image, np.ndarray, np.ndarray]:
    """Discs, ellipses and discs that are bright in GFP, with noise and uneven light; labels; and what each cell is."""
    rng = np.random.default_rng(seed)
    size = 40 * side
    labels, gfp = np.zeros((size, size), np.uint16), np.full((size, size), 50.0)
    truth = rng.permutation(np.arange(side * side) % 3)
    for i, kind in enumerate(truth.tolist()):
        y, x = 40 * (i // side) + 20 + rng.integers(-2, 3), 40 * (i % side) + 20 + rng.integers(-2, 3)
        a, b = (14, 6) if kind == 1 else (9, 9)
        rows, columns = ellipse(
            y, x, a * rng.uniform(0.85, 1.1), b * rng.uniform(0.85, 1.1), (size, size), rng.random()
        )
        labels[rows, columns] = i + 1
        gfp[rows, columns] += rng.uniform(250, 600) if kind == 2 else rng.uniform(20, 80)
    light = 1 + 0.2 * np.linspace(-1, 1, size)
    noisy = [light * plane + rng.normal(0, 12, plane.shape) for plane in (50 + 300.0 * (labels > 0), gfp)]
    return Image(np.stack(noisy), "CYX", channel_names=("DAPI", "GFP")), labels, np.array(NAMES)[truth]


def ids_of(labels: np.ndarray) -> np.ndarray:
    return np.unique(labels[labels > 0]).astype(np.int64)


def taught(image: Image, labels: np.ndarray, truth: np.ndarray, n: int = 6, only: tuple[str, ...] = NAMES) -> Classes:
    """Classes of the first n cells of each kind."""
    ids = ids_of(labels)
    columns = class_features(image, labels, None, ids)
    classes = Classes(only, tuple(columns))
    for name in only:
        for place in np.flatnonzero(truth == name)[:n].tolist():
            one = example_of(classes, columns, place, name, image.name, "ab", int(ids[place]))
            classes = replace(classes, examples=(*classes.examples, one))
    return classes


@pytest.fixture(scope="module")
def first() -> tuple[Image, np.ndarray, np.ndarray]:
    return scene(0)


@pytest.fixture(scope="module")
def classes(first: tuple[Image, np.ndarray, np.ndarray]) -> Classes:
    return taught(*first)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cells_of_this_and_of_other_images_are_called_right_to_2_percent(seed: int, classes: Classes) -> None:
    image, labels, truth = scene(seed)
    found = count_markers(image, labels, ids_of(labels), Recipe(classes=classes))
    assert np.mean(found.columns["class"] == truth) >= 0.98
    assert found.numbers == {f"class_{name}": int((found.columns["class"] == name).sum()) for name in NAMES}
    assert sum(found.numbers.values()) == len(truth)
    assert found.columns["class_certainty"].min() > 1 / 3 and found.columns["class_certainty"].max() <= 1
    # The held-out figure is about as good as the calls are.
    assert forest_of(classes).accuracy is not None and forest_of(classes).accuracy >= 0.85  # type: ignore[operator]
    assert found.about["held_out"] == "out-of-bag" and found.about["examples"]["long"]["of"] == 6


def test_held_out_accuracy_of_what_cannot_be_told_apart_is_that_of_chance(
    first: tuple[Image, np.ndarray, np.ndarray],
) -> None:
    image, labels, _ = first
    same = np.where(np.random.default_rng(0).random(81) < 0.5, "a", "b")
    forest = Forest(taught(image, labels, same, 40, ("a", "b")))
    assert forest.accuracy is not None and 0.25 < forest.accuracy < 0.75


def test_too_few_examples_give_no_figure_and_still_fewer_no_classes(
    first: tuple[Image, np.ndarray, np.ndarray],
) -> None:
    image, labels, truth = first
    few = taught(image, labels, truth, 4)
    assert Forest(few).accuracy is None and "too few examples (5 of every class)" in Forest(few).sentence()
    cases = [
        (taught(image, labels, truth, 1), "'round' has 1 example."),
        (taught(*first, 9, ("long",)), "second class"),
    ]
    cases.append((replace(few, names=(*NAMES, "none of these")), "'none of these' has 0 examples."))
    alike = replace(few, examples=tuple(replace(one, values=few.examples[0].values) for one in few.examples))
    cases.append((alike, "equal in every column"))
    for lacking, why in cases:
        found = count_markers(image, labels, ids_of(labels), Recipe(classes=lacking))
        assert why in found.notes[0] and not found.columns and not found.numbers and not found.about


def test_the_same_forest_is_fitted_again_from_a_file_and_the_order_of_clicks_decides_nothing(
    classes: Classes, tmp_path: Path
) -> None:
    recipe = Recipe(classes=classes)
    recipe.write(tmp_path / "recipe.json")
    again = Recipe.read(tmp_path / "recipe.json")
    assert again == recipe and again.digest() == recipe.digest()
    image, labels, _ = scene(5)
    rows = np.stack(list(class_features(image, labels, None, ids_of(labels)).values()), axis=1)
    clicked = replace(classes, examples=classes.examples[::-1])
    for one, other in zip(Forest(classes).call(rows), Forest(clicked).call(rows), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.classes is not None and Forest(again.classes).held_out == Forest(classes).held_out
    assert max(len(json.dumps(one)) for one in recipe.to_dict()["classes"]["examples"]) < 600


def test_the_digest_knows_examples_and_no_names_of_images(classes: Classes) -> None:
    elsewhere = tuple(replace(one, image="b.tif", sha256="cd") for one in classes.examples)
    other = tuple(replace(one, name="long") for one in classes.examples[:1])
    digests = [
        Recipe(classes=given).digest()
        for given in (classes, replace(classes, examples=elsewhere), replace(classes, examples=other), None, Classes())
    ]
    assert digests[0] == digests[1] and len(set(digests)) == 3 and digests[4] == Recipe().digest()


def test_what_the_user_said_stands_and_examples_are_what_they_were_called(
    first: tuple[Image, np.ndarray, np.ndarray], classes: Classes
) -> None:
    image, labels, truth = first
    ids = ids_of(labels)
    wrong = next(one for one in classes.examples if one.name == "round")
    others = [one for one in classes.examples if one is not wrong]
    lying = replace(classes, examples=(*others, replace(wrong, name="long")))
    by_hand: dict[int, dict[str, bool | str]] = {
        int(ids[40]): {CLASS: "debris of a long name"},
        10**6: {CLASS: "round"},
    }
    found = count_markers(image, labels, ids, Recipe(classes=lying), by_hand)
    assert found.columns["class"][wrong.cell - 1] == "long" and truth[wrong.cell - 1] == "round"
    assert found.columns["class"][40] == "debris of a long name" and found.columns["class_certainty"][40] == 1
    assert found.numbers["class_debris of a long name"] == 1


def test_an_image_without_a_column_says_so_and_keeps_its_other_columns(
    first: tuple[Image, np.ndarray, np.ndarray], classes: Classes
) -> None:
    image, labels, _ = first
    other = Image(image.data, "CYX", channel_names=("DAPI", "YFP"))
    recipe = Recipe.from_dict({"classes": classes.to_dict(), "positive": ["DAPI>100"]})
    found = count_markers(other, labels, ids_of(labels), recipe)
    assert "intensity_mean_GFP" in found.notes[0] and set(found.columns) == {"DAPI_value", "DAPI_pos"}


def test_columns_that_are_constant_empty_or_too_large_do_no_harm(
    first: tuple[Image, np.ndarray, np.ndarray],
) -> None:
    image, labels, truth = first
    strange = np.full(labels.shape, np.nan)
    strange[labels == 7] = 1e40
    data = np.concatenate([image.data, [strange, np.full(labels.shape, 7.0)]])
    odd = Image(data, "CYX", channel_names=("DAPI", "GFP", "odd", "flat"))
    found = count_markers(odd, labels, ids_of(labels), Recipe(classes=taught(odd, labels, truth)))
    assert np.mean(found.columns["class"] == truth) >= 0.98 and not found.notes


def test_no_cells_give_empty_columns(first: tuple[Image, np.ndarray, np.ndarray], classes: Classes) -> None:
    image, labels, _ = first
    found = count_markers(image, np.zeros_like(labels), np.zeros(0, np.int64), Recipe(classes=classes))
    assert len(found.columns["class"]) == 0 and set(found.numbers.values()) == {0}


def test_numbers_are_kept_short_and_read_back_as_the_forest_takes_them() -> None:
    values = np.array([0.1, np.pi * 1e7, -0.0, np.nan, np.inf, 3.0])
    kept = as_kept(values)
    assert kept[:4] == [0.1, 31415926.0, 0.0, None] and kept[5] == 3
    back = np.array([np.nan if value is None else value for value in kept])
    assert as_kept(back) == kept


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["round"], "must have names, columns and examples"),
        ({"names": ["a"]}, "can't be read"),
        ({"names": ["a", "a"], "columns": [], "examples": []}, "a name of its own"),
        ({"names": [" a"], "columns": [], "examples": []}, "no name of a class"),
        ({"names": ["a"], "columns": ["x"], "examples": [{"class": "b", "values": [1]}]}, "example of the class 'b'"),
        ({"names": ["a"], "columns": ["x"], "examples": [{"class": "a", "values": [1, 2]}]}, "has 2 values"),
        ({"names": ["a"], "columns": ["x"], "examples": [{"class": "a", "values": ["much"]}]}, "can't be read"),
        ({"names": ["a"], "columns": [], "examples": [{"class": "a", "values": [], "cell": 1e999}]}, "can't be read"),
        ({"names": list("abcdefghi"), "columns": [], "examples": []}, "no more than 8"),
    ],
)
def test_what_is_no_recipe_of_classes_is_refused_in_words(given: Any, why: str) -> None:
    with pytest.raises(ParamsError, match=why):
        Recipe.from_dict({"classes": given})
