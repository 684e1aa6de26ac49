"""Labels of whatever tool are the cells of an image as they are."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cellseg.imaging.errors import ImageError
from napari_cellseg.imaging.from_array import as_image
from napari_cellseg.segmentation.differences import differences
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.segmentation.taking import take_labels


def test_every_number_is_a_cell_at_every_threshold() -> None:
    labels = np.zeros((40, 50), np.int64)
    labels[2:10, 2:10], labels[20:30, 20:40], labels[35:38, 2:5] = 4, 900, 17
    image = as_image(np.arange(2000.0).reshape(40, 50))
    found = take_labels(labels, image, Recipe(), "masks.png")
    for threshold in (0.0, 0.5, 1.0):
        assert np.array_equal(found.instances.labels(threshold), labels)
    assert found.instances.count(0.5, 10) == 2
    result = found.result()
    assert result.count == 3 and "mean_probability" not in result.table and "mean_intensity" in result.table
    assert result.metadata["taken_from"] == "masks.png" and not result.metadata["model"]["sha256"]
    assert not differences(found, Recipe(diameter=50, accurate=True))


def test_numbers_too_large_for_a_table_are_given_anew() -> None:
    labels = np.zeros((20, 20), np.int64)
    labels[2:5, 2:5], labels[10:15, 10:15] = 2**31 + 5, 70_000
    found = take_labels(labels, as_image(np.eye(20)), Recipe(), "masks")
    assert found.result().table["index"].tolist() == [1, 2]
    assert np.array_equal(found.labels() > 0, labels > 0)


@pytest.mark.parametrize("labels", [np.zeros((5, 6), np.uint8), np.zeros((6, 6)), np.full((6, 6), -1)])
def test_what_cannot_be_labels_of_the_image_is_refused(labels: np.ndarray) -> None:
    with pytest.raises(ImageError, match="masks"):
        take_labels(labels, as_image(np.eye(6)), Recipe(), "masks")
