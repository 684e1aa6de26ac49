"""Images: reading and writing them, their axes and scale, normalisation, tile geometry."""

from __future__ import annotations

from .errors import AxesError, CellsegError, DatasetError, ImageError, ModelError, OutputError, ParamsError
from .from_array import as_image
from .image import Image
from .normalize import NormalizerParams, normalize
from .progress import Progress, drain
from .read.read import SUFFIXES, find_images, read_image
from .stack_planes import PAGES, StackPlane, plane_image, planes_of
from .tiles import Tile, plan_tiles
from .write.write import (
    atomic_path,
    read_label_stack,
    read_labels,
    read_metadata,
    write_json,
    write_labels,
    write_table,
)

__all__ = [
    "PAGES",
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
    "StackPlane",
    "Tile",
    "as_image",
    "atomic_path",
    "drain",
    "find_images",
    "normalize",
    "plan_tiles",
    "plane_image",
    "planes_of",
    "read_image",
    "read_label_stack",
    "read_labels",
    "read_metadata",
    "write_json",
    "write_labels",
    "write_table",
]
