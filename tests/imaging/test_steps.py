"""How far slices and time points lie apart is read from what says so, in its units, and from nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr

from napari_cellseg.imaging import ImageError, as_image, plane_image, planes_of, read_image, write_labels

STACK = np.arange(2 * 3 * 8 * 9, dtype=np.uint16).reshape(2, 3, 8, 9)


def steps(image):
    return image.slice_spacing, image.frame_interval


@pytest.mark.parametrize(
    "given, expected",
    [
        ({"PhysicalSizeZ": 2.5, "TimeIncrement": 30}, (2.5, 30)),
        ({"PhysicalSizeZ": 300, "PhysicalSizeZUnit": "nm"}, (0.3, None)),
        ({"TimeIncrement": 2, "TimeIncrementUnit": "min"}, (None, 120)),
        ({"PhysicalSizeZ": 3, "PhysicalSizeZUnit": "pixel", "TimeIncrement": 0}, (None, None)),
        ({"PhysicalSizeZ": -1, "TimeIncrement": 5, "TimeIncrementUnit": "ms"}, (None, 0.005)),
        ({}, (None, None)),
    ],
)
def test_ome_says_how_far_planes_lie_apart(tmp_path, given, expected):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, STACK, metadata={"axes": "TZYX", **given})
    assert steps(read_image(path)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "given, expected",
    [
        ({"spacing": 2.0, "unit": "um", "finterval": 1.5}, (2, 1.5)),
        ({"spacing": -300, "unit": "nm"}, (0.3, None)),
        ({"spacing": 2.0, "unit": "pixel"}, (None, None)),
        ({"spacing": 2.0, "finterval": 0.0}, (None, None)),
        ({"finterval": 250.0, "tunit": "msec"}, (None, 0.25)),
        ({"spacing": "far", "unit": "um", "finterval": "nan"}, (None, None)),
    ],
)
def test_imagej_says_it_too(tmp_path, given, expected):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, imagej=True, metadata={"axes": "TZYX", **given})
    assert steps(read_image(path)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "units, scale, expected",
    [
        (("second", "micrometer"), (3, 2, 0.5, 0.5), (2, 3)),
        (("minute", "nanometer"), (0.5, 900, 50, 50), (0.9, 30)),
        ((None, None), (1, 4, 0.5, 0.5), (4, None)),
        (("fortnight", "parsec"), (1, 1, 1, 1), (None, None)),
        (("second", "micrometer"), (0, -2, 0.5, 0.5), (None, None)),
    ],
)
def test_ome_zarr_says_it_by_scales(tmp_path, units, scale, expected):
    path = tmp_path / "a.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", data=STACK)
    axes = [{"name": a, "type": "time" if a == "t" else "space"} for a in "tzyx"]
    for axis, unit in zip(axes, (units[0], *[units[1]] * 3), strict=True):
        axis.update({} if unit is None else {"unit": unit})
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": list(scale)}]}
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [dataset]}]
    image = read_image(path)
    assert steps(image) == pytest.approx(expected)
    assert (image.pixel_size is None) == (units[1] == "parsec")


def test_a_page_keeps_them_and_a_stack_of_labels_gives_them_back(tmp_path):
    image = as_image(STACK, "TZYX", (0.5, 0.5), slice_spacing=2, frame_interval=1 / 3)
    assert steps(plane_image(image, planes_of(image)[0])) == (2, 1 / 3)
    path = tmp_path / "a.tif"
    write_labels(path, STACK, axes="TZYX", pixel_size=(0.5, 0.5), slice_spacing=2, frame_interval=1 / 3)
    assert steps(read_image(path)) == (2, 1 / 3)
    write_labels(path, STACK[0], axes="ZYX", slice_spacing=2, frame_interval=1 / 3)
    assert steps(read_image(path)) == (None, None) and read_image(path).pixel_size is None


@pytest.mark.parametrize("name, value", [("slice_spacing", 0), ("slice_spacing", -1), ("frame_interval", float("nan"))])
def test_a_step_that_is_none_is_refused(name, value):
    with pytest.raises(ImageError, match=name.replace("_", " ")):
        as_image(STACK, "TZYX", name="a", **{name: value})
