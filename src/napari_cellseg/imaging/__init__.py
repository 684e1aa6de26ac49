"""Images: reading and writing them, their axes and scale, normalisation, tile geometry."""

from __future__ import annotations

from .errors import (
    AxesError,
    CellsegError,
    DatasetError,
    ImageError,
    ModelError,
    OutputError,
    ParamsError,
)
from .image import Image, as_image
from .normalize import NormalizerParams, normalize
from .progress import Progress, drain
from .reading import SUFFIXES, find_images, read_image
from .tiles import Tile, plan_tiles
from .writing import atomic_path, read_labels, read_metadata, write_json, write_labels, write_table

__all__ = [
    "SUFFIXES",
    "AxesError",
    "CellsegError",
    "DatasetError",
    "Image",
    "ImageError",
    "ModelError",
    "NormalizerParams",
    "OutputError",
    "ParamsError",
    "Progress",
    "Tile",
    "as_image",
    "atomic_path",
    "drain",
    "find_images",
    "normalize",
    "plan_tiles",
    "read_image",
    "read_labels",
    "read_metadata",
    "write_json",
    "write_labels",
    "write_table",
]
