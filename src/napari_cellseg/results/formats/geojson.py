"""Cells as GeoJSON, which QuPath imports as detections."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...imaging.write.atomic import atomic_path
from ...imaging.write.jsonable import jsonable
from ...instances.outlines import Outline, outlines


def write_geojson(
    path: Path,
    labels: np.ndarray,
    table: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any] | None = None,
    offset_yx: tuple[int, int] = (0, 0),
) -> None:
    """Write cells as a collection of polygons in pixels, with what is measured of them.

    Parameters
    ----------
    path : Path
    labels : ndarray
        ``(Y, X)``, whole numbers, 0 = background.
    table : mapping of str to ndarray
        Columns of one entry per cell; `index` is the id. Numbers become measurements.
    metadata : mapping, optional
        Provenance, stored beside the cells.
    offset_yx : tuple of int
        Row and column of the first pixel of `labels` in the image on which the polygons are to lie.

    Raises
    ------
    OutputError
        If the system refused to write.
    """
    about = dict(metadata or {})
    named = json.dumps(jsonable(about), ensure_ascii=True, allow_nan=False)
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii", newline="\n") as file:
        file.write(f'{{"type": "FeatureCollection",\n"napari-cellseg": {named},\n"features": [')
        for i, feature in enumerate(features(labels, table, str(about.get("image", {}).get("sha256", "")), offset_yx)):
            file.write(",\n" if i else "\n")
            file.write(json.dumps(feature, ensure_ascii=True, allow_nan=False))
        file.write("\n]}\n")


def features(
    labels: np.ndarray, table: Mapping[str, np.ndarray], image: str = "", offset_yx: tuple[int, int] = (0, 0)
) -> Iterator[dict[str, Any]]:
    """Yield every cell as a GeoJSON feature.

    Parameters
    ----------
    labels, table, offset_yx
        See `write_geojson`.
    image : str
        Hash of the image: cells of two images must not share an identifier.
    """
    row = {int(id_): i for i, id_ in enumerate(table["index"])}
    numbers = {name: column for name, column in table.items() if name != "index" and column.dtype.kind in "iuf"}
    for cell in outlines(labels):
        values = {name: column[row[cell.id]].item() for name, column in numbers.items()}
        yield {
            "type": "Feature",
            # QuPath wants a UUID; the same cell has the same one every time.
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"napari-cellseg {image} {cell.id}")),
            "geometry": geometry(cell.moved(offset_yx)),
            "properties": {
                "objectType": "detection",
                "name": str(cell.id),
                "measurements": {name: value for name, value in values.items() if math.isfinite(value)},
            },
        }


def geometry(cell: Outline) -> dict[str, Any]:
    """Return an outline as a Polygon, or as a MultiPolygon where the cell is in pieces; x before y, rings closed."""
    polygons = [[[*ring[:, ::-1].tolist(), ring[0, ::-1].tolist()] for ring in part] for part in cell.parts]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}
