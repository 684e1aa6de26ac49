"""How labels of all planes lie on their image layer, whatever the order of its axes."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image as ImageLayer

from napari_cellseg.gui.planes.plane_layers import PlaneLayout
from napari_cellseg.gui.viewer.planes import stack_of

SIZES = {"T": 4, "Z": 3, "C": 2, "Y": 8, "X": 9}


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("axes", ["TYX", "ZYX", "TZYX", "ZTYX", "TCYX", "CTYX", "TCZYX", "ZTCYX", "ZCTYX", "CZTYX"])
def test_every_plane_lies_on_its_own(axes: str, lazy: bool) -> None:
    layer = ImageLayer(np.zeros([SIZES[axis] for axis in axes], np.uint8), axis_labels=tuple(axes.lower()))
    stack: Any = stack_of(layer, axes)
    planes = np.random.default_rng(0).integers(1, 99, (*stack.shape, 8, 9))
    layout = PlaneLayout(stack, layer)
    laid = np.asarray(layout.lay(da.from_array(planes) if lazy else planes))
    first = layer.ndim - laid.ndim
    assert laid.shape == layer.data.shape[first:] and len(layout.placement["scale"]) == laid.ndim
    for key in stack.plane_keys():
        index = tuple(dict(key.index).get(axis, slice(None)) for axis in axes[first:])
        shown = laid[index]
        for plane in shown if shown.ndim == 3 else [shown]:
            np.testing.assert_array_equal(plane, planes[key.position])
