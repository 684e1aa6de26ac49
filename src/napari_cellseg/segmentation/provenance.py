"""What every result file carries: the recipe, the model, the image and the versions that made it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..imaging.image import Image, Origin
from ..network.versions import ModelVersion
from .recipe import Recipe


def provenance(
    recipe: Recipe,
    model: ModelVersion,
    image: Image,
    *,
    size_yx: Sequence[int],
    min_size: int,
    count: int,
    ran_on: str,
    device: str = "auto",
    blocks: bool = False,
    image_sha256: str | None = None,
    notes: Sequence[str] = (),
    diameter: float | None = None,
    zoom: float | None = None,
) -> dict[str, Any]:
    """Return the provenance that every result file carries, as JSON-able values.

    The list of written files is not part of it, so that each file is the same whatever the others are.

    Parameters
    ----------
    recipe : Recipe
        Resolved, with the threshold and min_size of the result.
    model : ModelVersion
    image : Image
    size_yx : sequence of int
        Height and width of the plane in pixels.
    min_size : int
        Smallest area in pixels in this image.
    count : int
        Number of cells.
    ran_on : str
        Where the network ran, such as ``"CPU (bfloat16)"``.
    device, blocks
        See :class:`~napari_cellseg.segmentation.options.RunOptions`.
    image_sha256 : str, optional
        Hash of the image's values.
    notes : sequence of str
        What the user should know about how it was computed.
    diameter, zoom : float, optional
        Those of the prediction.
    """
    hashed = {} if image_sha256 is None else {"sha256": image_sha256}
    return {
        "recipe": {**recipe.to_dict(), "device": device, "blocks": blocks},
        "recipe_sha256": recipe.digest(model),
        "min_size": min_size,
        "model": {"name": model.name, "sha256": model.sha256},
        "device": ran_on,
        "notes": list(notes),
        "diameter": diameter,
        "zoom": zoom,
        "image": {"name": image.name, "size_yx": list(size_yx), **hashed, **cut_from(image.origin)},
        "count": count,
        "corrected": False,
        "versions": versions(),
    }


def cut_from(origin: Origin | None) -> dict[str, Any]:
    """Return what a part was cut out of, and where.

    Positions in the table of a part become those in the whole image when the offset is added.
    """
    if origin is None:
        return {}
    return {"cut_from": {"image": origin.title, "offset_yx": list(origin.offset_yx)}}


def versions() -> dict[str, str]:
    """Return the versions that a result depends on, without importing torch."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in ("napari-cellseg", "torch", "numpy", "scikit-image", "scikit-learn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
