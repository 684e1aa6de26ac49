"""Writers for File › Save: a labels layer as TIFF with its recipe, or as a table of its cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...imaging.errors import OutputError
from ...imaging.write.label_files import STACK_AXES
from ...imaging.write.write import write_labels, write_table
from ...instances.measure import measure
from ..shared import preferences
from ..viewer.layer_image import METADATA_KEY, micrometres


def write_labels_tiff(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a labels layer as TIFF, with the recipe that made it where the layer knows it.

    Parameters
    ----------
    path : str
    data : array-like of int
        ``(Y, X)``, or a stack of planes whose axis labels name their axes: ``T``, ``Z``.
    attributes : dict
        The layer's attributes, as napari gives them to writers.

    Returns
    -------
    list of str
        The file that was written.
    """
    axes = _stack_axes(attributes)
    labels = np.asarray(data) if axes is not None and np.ndim(data) == len(axes) else _plane(data)
    write_labels(
        path,
        labels,
        metadata=_provenance(attributes),
        pixel_size=_pixel_size(attributes),
        axes=axes if labels.ndim > 2 else None,
    )
    return [path]


def write_cells_csv(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write one row per cell: the layer's own table where it has one, else areas and places measured now."""
    features = attributes.get("features")
    labels = _plane(data)
    columns: dict[str, Any]
    if features is not None and _measured_of(features, labels):
        columns = {name: np.asarray(features[name]) for name in features}
    else:
        columns = dict(measure(labels, pixel_size=_pixel_size(attributes)))
    write_table(path, columns, preferences.csv_style())
    return [path]


def _measured_of(features: Any, labels: np.ndarray) -> bool:
    """Whether a table is about these very labels: after an edit it takes a second to follow."""
    if "index" not in features:
        return False
    ids, areas = np.unique(labels[labels > 0], return_counts=True)
    order = np.argsort(index := np.asarray(features["index"]))
    known = np.asarray(features["area_px"])[order] if "area_px" in features else areas
    return np.array_equal(index[order], ids) and np.array_equal(known, areas)


def _plane(data: Any) -> np.ndarray:
    labels = np.asarray(data)
    if labels.ndim != 2:
        raise OutputError(
            f"This labels layer has {labels.ndim} dimensions, but one plane (Y, X) is saved at a time. Take one plane."
        )
    return labels


def _stack_axes(attributes: dict[str, Any]) -> str | None:
    axes = "".join(str(label).strip().upper()[:1] for label in attributes.get("axis_labels", ()))
    return axes if axes in STACK_AXES else None


def _provenance(attributes: dict[str, Any]) -> dict[str, Any] | None:
    provenance = attributes.get("metadata", {}).get(METADATA_KEY)
    return provenance if isinstance(provenance, dict) else None


def _pixel_size(attributes: dict[str, Any]) -> tuple[float, float] | None:
    """Return the micrometres per pixel (Y, X), by the same rule as for images."""
    axes = zip(attributes.get("scale", ())[-2:], attributes.get("units", ())[-2:], strict=False)
    height, width, *_ = (*(micrometres(scale, unit) for scale, unit in axes), None, None)
    return None if height is None or width is None else (height, width)
