"""Metadata of OME-Zarr label images, made and checked by ome-zarr-models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# The first is written where nothing else is asked for.
OME_ZARR = ("0.5", "0.4")
_FORMATS = {"0.5": 3, "0.4": 2}


def zarr_format(version: str) -> int:
    """Return the version of Zarr that a version of OME-Zarr is stored in."""
    return _FORMATS[version]


def version_of(group: Any) -> str:
    """Return the version of OME-Zarr to write into a group: the newest that its version of Zarr can hold."""
    return next(version for version, form in _FORMATS.items() if form == group.metadata.zarr_format)


@dataclass(frozen=True)
class Coordinates:
    """Where the pixels of a label image lie.

    Attributes
    ----------
    scale, translation : tuple of float
        Of level 0 along every axis; without a translation the first pixel lies at 0.
    units : tuple of str or None
        Of every axis, as OME-Zarr spells them.
    outer : tuple of dict
        Transformations after these, as an image has them for all its levels.
    """

    scale: tuple[float, ...]
    units: tuple[str | None, ...]
    translation: tuple[float, ...] = ()
    outer: tuple[dict[str, Any], ...] = ()


def label_attributes(
    version: str, name: str, axes: str, coordinates: Coordinates, n_levels: int, source: str | None = None
) -> dict[str, Any]:
    """Return the attributes of a label image each level of which is every second row and column of the one below.

    Parameters
    ----------
    version : str
        One of `OME_ZARR`.
    name : str
        Of the image in viewers.
    axes : str
        One of ``tzyx`` per dimension.
    coordinates : Coordinates
    n_levels : int
        Levels, called ``0``, ``1`` and so on.
    source : str, optional
        Path from the labels to their image.

    Raises
    ------
    ValueError
        They are not valid.
    """
    from ome_zarr_models.v04.image_label import ImageLabelAttrs as OldAttrs
    from ome_zarr_models.v05.axes import Axis
    from ome_zarr_models.v05.image_label import ImageLabelAttrs
    from ome_zarr_models.v05.multiscales import Dataset, Multiscale

    translation = coordinates.translation or None
    steps = [[2**level if axis in "yx" else 1 for axis in axes] for level in range(n_levels)]
    multiscale = Multiscale(
        name=name,
        axes=[
            Axis(name=axis, type="time" if axis == "t" else "space", unit=unit)
            for axis, unit in zip(axes, coordinates.units, strict=True)
        ],
        datasets=[
            Dataset.build(path=str(level), scale=_times(coordinates.scale, step), translation=translation)
            for level, step in enumerate(steps)
        ],
        coordinateTransformations=coordinates.outer or None,
        type="nearest",
        metadata={"method": "every second pixel"},
    )
    label = {"version": version, "source": None if source is None else {"image": source}}
    if version == "0.4":
        old = multiscale.to_version("0.4").model_copy(update={"version": version})
        return _plain(OldAttrs(multiscales=[old], image_label=label))
    return {"ome": _plain(ImageLabelAttrs(version=version, multiscales=[multiscale], image_label=label))}


def labels_attributes(version: str, names: Sequence[str]) -> dict[str, Any]:
    """Return the attributes of a group of label images."""
    from ome_zarr_models.v04.labels import LabelsAttrs as OldAttrs
    from ome_zarr_models.v05.labels import LabelsAttrs

    if version == "0.4":
        return _plain(OldAttrs(labels=names))
    return {"ome": _plain(LabelsAttrs(version=version, labels=names))}


def _times(scale: Sequence[float], step: Sequence[int]) -> list[float]:
    return [float(a) * b for a, b in zip(scale, step, strict=True)]


def _plain(model: Any) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
