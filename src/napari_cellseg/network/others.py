"""Cellpose and StarDist as networks, where the user has installed them; see :mod:`napari_cellseg.network.plugged`.

Their weights are theirs: they fetch them as they always do, when they are first used, and under their own licences.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

# Cells are drawn down to this probability, so that the threshold can be lowered.
_FLOOR = 0.1
_STARDIST_MODEL = "2D_versatile_fluo"


def cellpose(image: np.ndarray, *, device: str, diameter: float | None) -> dict[str, np.ndarray]:
    """Run Cellpose's own default model; see :func:`cellpose_answer`."""
    return cellpose_answer(_cellpose_model(device), image, diameter)


def stardist(image: np.ndarray, *, device: str, diameter: float | None) -> dict[str, np.ndarray]:
    """Run StarDist's model for fluorescence; see :func:`stardist_answer`. TensorFlow chooses the device."""
    return stardist_answer(_stardist_model(), image)


def cellpose_answer(model: Any, image: np.ndarray, diameter: float | None = None) -> dict[str, np.ndarray]:
    """Run a ``cellpose.models.CellposeModel``.

    Parameters
    ----------
    model : CellposeModel
        Of version 3 or 4.
    image : ndarray of float32
        ``(Y, X)``, or ``(Y, X, 3)`` of which the mean is looked at.
    diameter : float, optional
        Of the cells in pixels; None leaves it to the model.

    Returns
    -------
    dict
        ``labels``: Cellpose's masks with pixels down to a probability of .1; ``probability``: its own map of cells.
        At .5 this is its usual threshold of 0.
    """
    plane = image if image.ndim == 2 else image.mean(axis=2)
    lowest = float(np.log(_FLOOR / (1 - _FLOOR)))
    masks, flows, *_ = model.eval(
        plane, diameter=diameter, normalize=False, cellprob_threshold=lowest, **_channels_of(model)
    )
    logit = np.asarray(flows[2], np.float32).reshape(plane.shape)
    return {"labels": np.asarray(masks).reshape(plane.shape), "probability": 1 / (1 + np.exp(-logit))}


def stardist_answer(model: Any, image: np.ndarray) -> dict[str, np.ndarray]:
    """Run a ``stardist.models.StarDist2D``.

    Parameters
    ----------
    model : StarDist2D
    image : ndarray of float32
        ``(Y, X)`` or ``(Y, X, 3)``; the mean or grey repeated where the model reads another number of channels.

    Returns
    -------
    dict
        ``labels``: its stars; ``probability``: that of each star, everywhere in it, so that the threshold keeps or
        drops whole cells. It is stretched so that the model's own threshold is .5. As StarDist suppresses only what
        is less probable, the cells at a threshold are those that it would find with it.
    """
    n_channels = int(model.config.n_channel_in)
    if n_channels == 1 and image.ndim == 3:
        image = image.mean(axis=2)
    elif n_channels == 3 and image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    own = float(model.thresholds.prob)
    axes = "YXC" if image.ndim == 3 else "YX"
    labels, details = model.predict_instances(image, axes=axes, prob_thresh=2 * _FLOOR * own, verbose=False)
    scores = np.asarray(details["prob"], np.float32)
    stretched = np.where(scores < own, 0.5 * scores / own, 0.5 + 0.5 * (scores - own) / (1 - own))
    return {"labels": labels, "probability": np.concatenate([[0], stretched]).clip(0, 1)[labels]}


def _channels_of(model: Any) -> dict[str, Any]:
    """Return the argument for a grey plane, which version 3 needs and version 4 no longer takes."""
    return {"channels": [0, 0]} if hasattr(model, "nchan") else {}


@lru_cache(maxsize=2)
def _cellpose_model(device: str) -> Any:
    import torch
    from cellpose.models import CellposeModel

    return CellposeModel(gpu=device != "cpu", device=torch.device(device))


@lru_cache(maxsize=1)
def _stardist_model() -> Any:
    from stardist.models import StarDist2D

    return StarDist2D.from_pretrained(_STARDIST_MODEL)
