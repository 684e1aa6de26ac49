"""A result is of the settings that it was made with, and of no others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_cellseg.imaging.from_array import as_image
from napari_cellseg.imaging.image import Image
from napari_cellseg.imaging.normalize import NormalizerParams
from napari_cellseg.segmentation.differences import differences, settings_in_words
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.segmentation.segmented import Segmented
from tests.session.test_session import discs, segmented


def made(image: Image, recipe: Recipe, diameter: float | None = 24.0) -> Segmented:
    one = segmented(discs(), recipe)
    return replace(one, image=image, model=replace(one.model, diameter=diameter))


CHANNELS = replace(as_image(np.zeros((2, 8, 8), np.float32), axes="CYX"), channel_names=("DAPI", "GFP"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "/models/other"}, "model mine (now other)"),
        ({"accurate": True}, "accurate off (now on)"),
        ({"diameter": 40.0}, "cell size auto (now 40 px)"),
        ({"diameter": 0}, "cell size auto (now as it is)"),
        ({"channel": 1}, "channel DAPI (now GFP)"),
        ({"channel": "DAPI+GFP"}, "channel DAPI (now DAPI + GFP)"),
        ({"normalizer": NormalizerParams(1, 97)}, "percentiles 1 to 99.8 (now 1 to 97)"),
        ({"normalizer": NormalizerParams(method="standard")}, "percentiles 1 to 99.8 (now by standard)"),
        ({"axes": "zyx"}, "axes CYX (now ZYX)"),
    ],
)
def test_what_decides_the_cells_is_named(change: dict[str, Any], words: str) -> None:
    recipe = Recipe("mine", channel=0, axes="CYX")
    assert differences(made(CHANNELS, recipe), replace(recipe, **change)) == (words,)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"threshold": 0.9, "min_size": 5},
        {"channel": "DAPI"},
        {"channel": "dapi"},
        {"normalizer": NormalizerParams()},
        {"axes": None},
        {"pages": "stack"},
        {"model_sha256": "1" * 64},
    ],
)
def test_another_way_to_ask_for_the_same_is_no_difference(change: dict[str, Any]) -> None:
    recipe = Recipe("mine", channel=0, axes="CYX")
    assert differences(made(CHANNELS, recipe), replace(recipe, **change)) == ()


def test_a_size_that_the_model_does_not_ask_for_is_no_difference() -> None:
    recipe = Recipe("mine", channel=0)
    assert differences(made(CHANNELS, recipe, None), replace(recipe, diameter=40.0)) == ()


def test_a_channel_that_the_image_lacks_is_named_as_it_was_given() -> None:
    recipe = Recipe("mine", channel=0)
    assert differences(made(CHANNELS, recipe), replace(recipe, channel=7)) == ("channel DAPI (now 7)",)


def test_settings_are_one_line() -> None:
    assert settings_in_words(Recipe("a/b/mine")) == "mine, cell size auto"
    asked = Recipe("mine", channel="0+2", axes="CYX", diameter=130, accurate=True, normalizer=NormalizerParams(2, 97))
    said = settings_in_words(asked)
    assert said == "mine, cell size 130 px, channel 0+2, axes CYX, accurate, percentiles 2 to 97"
