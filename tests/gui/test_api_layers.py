"""Layers of napari, in and out of the functions that scripts call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from napari import layers

import napari_cellseg
from napari_cellseg import read_image, segment

SAMPLE = Path(napari_cellseg.__file__).parent / "samples" / "fluorescence.png"


def test_a_layer_is_an_image_and_cells_are_layers() -> None:
    image = read_image(SAMPLE).plane()[:200, :240]
    layer = layers.Image(image, scale=(0.5, 0.5), name="field")
    cells = segment(image, device="cpu")
    for given in (layer, layer.as_layer_data_tuple()):
        found = segment(given, device="cpu")
        np.testing.assert_array_equal(found.labels, cells.labels)
        assert found.image.pixel_size == (0.5, 0.5) and found.image.title == "field"
    labels, points = (layers.Layer.create(*one) for one in found.to_layers())
    np.testing.assert_array_equal(labels.data, cells.labels)
    assert tuple(labels.scale) == tuple(points.scale) == (0.5, 0.5)
    assert points.features["index"].tolist() == cells.table["index"].tolist()
    assert [labels.data[tuple(np.round(at).astype(int))] > 0 for at in points.data[:5]] == [True] * 5
