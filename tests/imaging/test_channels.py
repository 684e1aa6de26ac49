"""Channels by number, by name, and several of them mixed."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cellseg.imaging.channels import find_channels, mix_name
from napari_cellseg.imaging.errors import ImageError, ParamsError
from napari_cellseg.imaging.from_array import as_image
from napari_cellseg.imaging.image import Image
from napari_cellseg.imaging.lazy_plane import LazyPlane
from napari_cellseg.imaging.normalize import NormalizerParams, ScaleSurvey, normalize
from napari_cellseg.segmentation.recipe import Recipe

NAMES = ("DAPI", "GFP", "488", "A+B")


@pytest.mark.parametrize(
    ("channel", "places"),
    [
        (0, (0,)),
        (3, (3,)),
        ("1", (1,)),
        ("DAPI", (0,)),
        ("dapi ", (0,)),
        (488, (2,)),
        ("488", (2,)),
        ("A+B", (3,)),
        ("DAPI+GFP", (0, 1)),
        ("GFP + dapi", (0, 1)),
        ("0+2", (0, 2)),
        ("DAPI+488", (0, 2)),
        ("GFP+1+GFP", (1,)),
    ],
)
def test_a_channel_is_found_by_number_name_or_as_a_mix(channel, places):
    assert find_channels(channel, 4, NAMES, "a.tif") == places


@pytest.mark.parametrize(
    ("channel", "words"),
    [
        ("CY5", "no channel 'CY5': it has 4 .DAPI, GFP, 488, A.B.*or by its name"),
        (4, "no channel 4.*0 to 3"),
        (-1, "no channel -1.*0 to 3"),
        ("DAPI+CY5", "no channel 'CY5'"),
        ("DAPI+", "no channel ''"),
        ("01", "no channel '?01'?"),
    ],
)
def test_a_channel_that_is_not_there_is_named(channel, words):
    with pytest.raises(ImageError, match=f"a.tif has {words}"):
        find_channels(channel, 4, NAMES, "a.tif")


def test_names_that_are_there_twice_are_not_chosen_between():
    with pytest.raises(ImageError, match=r"several channels 'gfp': 0, 1.*number"):
        find_channels("gfp", 2, ("GFP", "Gfp"), "a.tif")
    assert find_channels("GFP", 2, ("GFP", "gfp"), "a.tif") == (0,)


def test_names_count_only_if_there_is_one_for_each():
    with pytest.raises(ImageError, match="no channel 'GFP'"):
        find_channels("GFP", 2, ("DAPI", "GFP", "Cy5"), "a.tif")
    assert find_channels("01", 2, ("01", "02"), "a.tif") == (0,) and find_channels(1, 2, ("01", "02"), "a.tif") == (1,)


@pytest.mark.parametrize(
    ("written", "plain"),
    [("0", 0), (" 2+0", "0+2"), ("1+1", 1), ("01", "01"), (" DAPI ", "DAPI"), ("DAPI+0", "DAPI+0")],
)
def test_a_recipe_writes_a_channel_in_one_way(written, plain):
    assert Recipe(channel=written).channel == plain == Recipe.from_dict(Recipe(channel=written).to_dict()).channel


@pytest.mark.parametrize("wrong", ["", " ", "-1", "1.5", -1, 0.5])
def test_a_channel_that_counts_nothing_is_refused(wrong):
    with pytest.raises(ParamsError, match="channel"):
        Recipe(channel=wrong)


def test_what_stands_for_places_finds_them_again():
    for places in ((1,), (0, 2), (0, 1, 3)):
        assert find_channels(mix_name(places), 4, NAMES, "a.tif") == places


def two(first_scale: float = 1.0) -> Image:
    rng = np.random.default_rng(3)
    values = rng.random((2, 60, 50)).astype(np.float32)
    values[0] *= first_scale
    return as_image(values, "CYX", channel_names=["nuclei", "actin"], name="two")


def test_a_mix_is_the_mean_of_normalised_channels():
    image = two()
    mix = image.plane("nuclei+actin")
    assert mix.dtype == np.float32 and mix.shape == (60, 50)
    mean = np.clip((normalize(image.data[0]) + normalize(image.data[1])) / 2, 0, 1)
    np.testing.assert_allclose(mix, mean, rtol=1e-6)
    # However bright one of them is, each counts as much; and their order does not matter.
    np.testing.assert_allclose(two(1000).plane("nuclei+actin"), mix, atol=1e-5)
    np.testing.assert_array_equal(image.plane("1+0"), mix)


def test_a_mix_keeps_its_contrast_however_a_model_normalises():
    values = np.random.default_rng(0).integers(0, 256, (2, 60, 50)).astype(np.uint8)
    mix = normalize(as_image(values, "CYX").plane("0+1"), NormalizerParams(method="type"))
    assert mix.max() > 0.9 and mix.min() >= 0


def test_colours_are_not_mixed_and_what_has_one_channel_has_no_other():
    values = np.random.default_rng(0).integers(0, 255, (8, 9, 3)).astype(np.uint8)
    colour = as_image(values)
    np.testing.assert_array_equal(colour.plane("green"), values[..., 1])
    with pytest.raises(ImageError, match=r"colour image.*not mixed"):
        colour.plane("red+blue")
    grey = as_image(np.zeros((8, 9)), name="grey")
    assert grey.plane(0).shape == (8, 9)
    for wrong in ("DAPI", "0+1", 1):
        with pytest.raises(ImageError, match=r"grey has no channel.*only one"):
            grey.plane(wrong)


def test_a_lazy_mix_is_that_of_the_plane():
    image = two(50)
    plane = LazyPlane(image, "nuclei+actin")
    assert plane.is_mix and plane.places == (0, 1) and plane.shape == (60, 50) and plane.dtype == np.float32
    scales = []
    for place in plane.places:
        survey = ScaleSurvey((60, 50), image.data.dtype)
        survey.add(image.data[place], (0, 0))
        scales.append(survey.scale())
    plane.scales = tuple(scales)
    values, holes = plane.read((slice(7, 31), slice(20, 50)))
    assert not holes
    np.testing.assert_array_equal(values, image.plane("0+1")[7:31, 20:50])
