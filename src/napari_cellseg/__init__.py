"""Segment and count cells in napari: a U-Net, live sliders, and the same numbers on the command line."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .imaging.errors import CellsegError
    from .imaging.image import Image
    from .imaging.read.read import read_image
    from .instances.live import Instances
    from .network.versions import ModelVersion, list_models, load_model
    from .segmentation.recipe import Recipe
    from .segmentation.segment import segment
    from .segmentation.segmented import SegmentResult

__version__ = "0.1.0"

_HOMES = {
    "CellsegError": "imaging.errors",
    "Image": "imaging.image",
    "Instances": "instances.live",
    "ModelVersion": "network.versions",
    "Recipe": "segmentation.recipe",
    "SegmentResult": "segmentation.segment",
    "list_models": "network.versions",
    "load_model": "network.versions",
    "read_image": "imaging.read.read",
    "segment": "segmentation.segment",
}

__all__ = [
    "CellsegError",
    "Image",
    "Instances",
    "ModelVersion",
    "Recipe",
    "SegmentResult",
    "__version__",
    "list_models",
    "load_model",
    "read_image",
    "segment",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
