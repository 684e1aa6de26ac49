"""Sample images that come with the package, for File › Open Sample."""

from __future__ import annotations

from typing import Any

from ...imaging.read.read import read_image
from ..viewer.layer_image import METADATA_KEY
from ..viewer.opening import sample_path

LayerData = tuple[Any, dict[str, Any], str]


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
