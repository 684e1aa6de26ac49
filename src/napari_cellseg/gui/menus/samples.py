"""Sample images that come with the package, for File › Open Sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...imaging.errors import ImageError
from ...imaging.read.read import read_image
from ..viewer.layer_image import METADATA_KEY

FOLDER = Path(__file__).resolve().parents[2] / "samples"
LayerData = tuple[Any, dict[str, Any], str]


def sample_path(key: str) -> Path:
    """Return the file of a sample.

    Raises
    ------
    ImageError
        When the package does not hold it.
    """
    for suffix in (".png", ".tif"):
        path = FOLDER / f"{key}{suffix}"
        if path.is_file():
            return path
    raise ImageError(f"The sample '{key}' is missing from {FOLDER}. Install napari-cellseg again.")


def fluorescence() -> list[LayerData]:
    """Fluorescent nuclei."""
    return _sample("fluorescence")


def fluorescence_dense() -> list[LayerData]:
    """Crowded fluorescent nuclei."""
    return _sample("fluorescence_dense")


def histology() -> list[LayerData]:
    """Stained tissue, in colour."""
    return _sample("histology")


def brightfield() -> list[LayerData]:
    """Cells in brightfield: dark on a bright background."""
    return _sample("brightfield")


def mosaic() -> list[LayerData]:
    """Mosaic of more than 1,000 nuclei."""
    return _sample("mosaic")


def _sample(key: str) -> list[LayerData]:
    image = read_image(sample_path(key))
    attributes = {"name": key, "rgb": image.rgb, "metadata": {METADATA_KEY: {"path": image.source, "opened": True}}}
    return [(image.data, attributes, "image")]
