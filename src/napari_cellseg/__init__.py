"""Segment and count cells in napari: a U-Net, live sliders, and the same numbers on the command line."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api.folder import segment_folder
    from .api.learning import calibrate, evaluate, finetune, train
    from .api.segmentation import Segmentation
    from .api.segmenting import open_cells, segment, segment_stack
    from .imaging.errors import CellsegError
    from .imaging.image import Image
    from .imaging.read.read import read_image
    from .instances.metrics import match as matching
    from .network.versions import ModelVersion, list_models, load_model
    from .segmentation.recipe import Recipe

__version__ = "0.1.0"

# Where each name is, and what it is called there.
_HOMES = {
    "CellsegError": ("imaging.errors", "CellsegError"),
    "Image": ("imaging.image", "Image"),
    "ModelVersion": ("network.versions", "ModelVersion"),
    "Recipe": ("segmentation.recipe", "Recipe"),
    "Segmentation": ("api.segmentation", "Segmentation"),
    "calibrate": ("api.learning", "calibrate"),
    "evaluate": ("api.learning", "evaluate"),
    "finetune": ("api.learning", "finetune"),
    "list_models": ("network.versions", "list_models"),
    "load_model": ("network.versions", "load_model"),
    "matching": ("instances.metrics", "match"),
    "open_cells": ("api.segmenting", "open_cells"),
    "read_image": ("imaging.read.read", "read_image"),
    "segment": ("api.segmenting", "segment"),
    "segment_folder": ("api.folder", "segment_folder"),
    "segment_stack": ("api.segmenting", "segment_stack"),
    "train": ("api.learning", "train"),
}

__all__ = [
    "CellsegError",
    "Image",
    "ModelVersion",
    "Recipe",
    "Segmentation",
    "__version__",
    "calibrate",
    "evaluate",
    "finetune",
    "list_models",
    "load_model",
    "matching",
    "open_cells",
    "read_image",
    "segment",
    "segment_folder",
    "segment_stack",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        module, inner = _HOMES[name]
        return getattr(import_module(f".{module}", __name__), inner)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
