"""Images: reading and writing them, their axes and scale, normalisation, tile geometry."""

from __future__ import annotations

from .errors import AxesError, CellsegError, DatasetError, ImageError, ModelError, OutputError, ParamsError
from .image import Image, as_image
from .normalize import NormalizerParams, normalize
from .pages import PAGES, Page, page_image, pages_of
from .progress import Progress, drain
from .read.read import SUFFIXES, find_images, read_image
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
    "Page",
    "ParamsError",
    "Progress",
    "Tile",
    "as_image",
    "atomic_path",
    "drain",
    "find_images",
    "normalize",
    "page_image",
    "pages_of",
    "plan_tiles",
    "read_image",
    "read_label_stack",
    "read_labels",
    "read_metadata",
    "write_json",
    "write_labels",
    "write_table",
]
