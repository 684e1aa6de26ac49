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
from .tiles import Tile, plan_tiles

__all__ = [
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
    "drain",
    "normalize",
    "plan_tiles",
]
