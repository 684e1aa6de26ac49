"""How an array with one plane for each of a stack lies on the stack's image layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Layer

from ..viewer.planes import Stack


class PlaneLayout:
    """Gives such an array the axes that it needs to lie on its image, and knows where that is.

    Layers are laid on each other from their last axis on: channels in between need a place too, and every one of them
    shows the same.

    Attributes
    ----------
    places : list of int
        Which axis of the layer each of the array's becomes.
    n_axes : int
        How many axes the layer has.
    placement : dict
        Transforms, units and axis labels of the layer.

    Parameters
    ----------
    stack : Stack
    image : napari.layers.Image
        Its layer.
    """

    def __init__(self, stack: Stack, image: ImageLayer) -> None:
        axes, letters = stack.image.axes, [axis for axis, _ in stack.lengths]
        first = min(axes.index(letter) for letter in letters)
        kept = [i for i in range(image.ndim) if i >= first]
        self._lengths = [stack.image.data.shape[i] if axes[i] == "C" else 1 for i in kept]
        self.places = [kept.index(axes.index(letter)) for letter in (*letters, "Y", "X")]
        self.n_axes = len(kept)
        self.placement = _placement(image, kept)

    def lay(self, planes: Any) -> Any:
        """Return an array (one axis per axis of planes, Y, X), numpy or dask, with the axes of the layer; no copy."""
        # A layer may have its slices before its time points.
        planes = planes.transpose(np.argsort(self.places).tolist())
        if len(self.places) == self.n_axes:
            return planes
        shape = list(self._lengths)
        for place, n in zip(sorted(self.places), planes.shape, strict=True):
            shape[place] = n
        order = tuple(slice(None) if i in self.places else None for i in range(self.n_axes))
        if isinstance(planes, np.ndarray):
            return np.broadcast_to(planes[order], tuple(shape))
        import dask.array

        return dask.array.broadcast_to(planes[order], tuple(shape))


def _placement(layer: Layer, kept: list[int]) -> dict[str, Any]:
    """Return where a layer lies in the world, for layers that have some of its axes."""
    n, shear = layer.ndim, np.zeros((layer.ndim, layer.ndim))
    values = np.asarray(layer.shear, float)
    if values.ndim == 2:
        shear = values
    else:
        shear[np.triu_indices(n, 1)] = values
    square = np.ix_(kept, kept)
    return {
        "scale": np.asarray(layer.scale)[kept],
        "translate": np.asarray(layer.translate)[kept],
        "rotate": np.asarray(layer.rotate)[square],
        "shear": shear[square][np.triu_indices(len(kept), 1)],
        "affine": np.asarray(layer.affine.affine_matrix)[np.ix_([*kept, n], [*kept, n])],
        "units": tuple(layer.units[i] for i in kept),
        "axis_labels": tuple(layer.axis_labels[i] for i in kept),
    }
