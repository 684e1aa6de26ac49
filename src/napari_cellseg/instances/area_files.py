"""Files with the regions of images: where they lie, and how they are read and written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..imaging.damage import DAMAGE
from ..imaging.errors import ImageError
from ..imaging.read.cells.cell_files import GEOJSON_SUFFIXES, ROI_SUFFIXES, outlines_of
from ..imaging.read.cells.outlines import Rings
from ..imaging.write.write import read_labels, write_json
from .areas import Areas, areas_of
from .outlines import outlines

ENDINGS = ("_regions.geojson", "_regions.zip", "_regions.tif")
BESIDE = "beside"


def areas_of_labels(labels: np.ndarray) -> list[tuple[str, list[np.ndarray]]]:
    """Return the outlines of the regions of a label image, named by their numbers."""
    return [(str(one.id), [ring.astype(float) for part in one.parts for ring in part]) for one in outlines(labels)]


def read_outlines(path: Path, shape: tuple[int, int]) -> list[tuple[str, Rings]]:
    """Read regions: a zip of ImageJ ROIs, GeoJSON as QuPath exports it, or a label image.

    Parameters
    ----------
    path : Path
    shape : tuple of int
        (Y, X) of the image, which a label image must have.

    Returns
    -------
    list of (str, sequence of ndarray)
        As `areas_of` takes them.

    Raises
    ------
    ImageError
        The file cannot be read, holds no region, or is a label image of another size.
    """
    suffix = path.suffix.lower()
    if suffix not in (*ROI_SUFFIXES, *GEOJSON_SUFFIXES):
        labels = read_labels(path)
        if labels.shape != tuple(shape):
            raise ImageError(
                f"{path} has {labels.shape[0]} x {labels.shape[1]} pixels, but the image {shape[0]} x {shape[1]}. "
                "Choose the regions of this image."
            )
        found: list[tuple[str, Rings]] = list(areas_of_labels(labels))
    else:
        try:
            found = [(name, rings) for name, rings in outlines_of(path) if len(rings) and all(map(len, rings))]
        except DAMAGE as error:
            raise ImageError(f"{path} cannot be read as regions ({error}). Export them again.") from error
    if not found:
        raise ImageError(f"{path} holds no region. Draw some, or export them again.")
    if not all(np.isfinite(ring).all() for _, rings in found for ring in rings):
        raise ImageError(f"{path} holds corners that are no numbers. Export the regions again.")
    return found


def read_areas(path: Path, shape: tuple[int, int]) -> Areas:
    """Read the regions of an image of a shape; see `read_outlines`."""
    return areas_of(read_outlines(path, shape), shape)


def regions_file(regions: str, image: str | None, name: str = "") -> Path | None:
    """Return the file with the regions of an image.

    Parameters
    ----------
    regions : str
        A file for all images; `BESIDE`: that of the image's name with one of `ENDINGS`, in its folder; or a folder:
        such a file in it, or else beside the image.
    image : str or None
        File of the image.
    name : str
        Path of the image within a folder of regions; by default the name of its file.
    """
    if not regions or (image is None and regions == BESIDE):
        return None
    folder = Path(regions)
    if regions != BESIDE and not folder.is_dir():
        return folder
    if image is None:
        return None
    places = [Path(image)] if regions == BESIDE else [folder / (name or Path(image).name), Path(image)]
    names = (
        path.parent / f"{stem}{ending}"
        for path in places
        for stem in (path.stem, path.name.split(".")[0])
        for ending in ENDINGS
    )
    return next((path for path in names if path.is_file()), None)


def of_name(folder: Path, name: str) -> Path:
    """Return the path of the GeoJSON of an image of this name in a folder of regions."""
    path = folder / name
    return path.parent / f"{path.stem}{ENDINGS[0]}"


def write_outlines(path: Path, named: Sequence[tuple[str, Rings]]) -> None:
    """Write regions as GeoJSON, which QuPath imports as annotations and `read_outlines` reads.

    Raises
    ------
    OutputError
        The system refused to write.
    """
    features = [
        {
            "type": "Feature",
            "geometry": {
                "type": "Polygon",
                "coordinates": [[*ring[:, ::-1].tolist(), ring[0, ::-1].tolist()] for ring in rings],
            },
            "properties": {"objectType": "annotation", "name": name},
        }
        for name, rings in named
    ]
    write_json(path, {"type": "FeatureCollection", "features": features})
