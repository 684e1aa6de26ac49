"""Segment an image and measure its cells: the long work behind the Segment button, without a window."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..imaging.errors import CellsegError, MemoryTooSmallError
from ..imaging.progress import Progress

if TYPE_CHECKING:
    from ..imaging.image import Image
    from .recipe import Recipe
    from .segmented import Segmented, SegmentResult

SMALLER = "Or zoom in, and choose 'What is visible' in the menu beside Segment."


@dataclass(frozen=True, eq=False)
class Answer:
    """Result of one press of Segment.

    Attributes
    ----------
    segmented : Segmented
    result : SegmentResult
        The cells at the first sliders, measured.
    """

    segmented: Segmented
    result: SegmentResult


def prepare_to_answer(model: str, device: str) -> None:
    """Load torch, and a model's network on its device, so that the first press of Segment does not wait for them.

    Raises
    ------
    CellsegError, ...
        If the model or the device cannot be used.
    """
    importlib.import_module("pandas")
    from ..network.devices import resolve_device
    from ..network.ready import network_for_maps
    from ..network.versions import load_model
    from . import segment  # noqa: F401 - this is what takes long

    version = load_model(model)
    if not version.network:
        network_for_maps(version, resolve_device(device))


def iter_answer(image: Image, recipe: Recipe, device: str = "auto") -> Generator[Progress, None, Answer]:
    """Predict the cells of an image, split them, and measure them at the first threshold and min_size.

    Parameters
    ----------
    image : Image
    recipe : Recipe
    device : str
        One of :data:`~napari_cellseg.segmentation.options.DEVICES`.

    Yields
    ------
    Progress

    Returns
    -------
    Answer

    Raises
    ------
    CellsegError
        If the work fails in any way; a RuntimeError is turned into one, because napari's workers would swallow it.
    """
    # napari needs pandas for tables; imported here, in a background thread, it does not hold up the window.
    importlib.import_module("pandas")
    # Imported late, because it may import torch.
    from .segment import iter_predict_image

    try:
        segmented = yield from iter_predict_image(image, recipe, device)
        yield Progress(1, 1, "measuring cells")
        # The first slider move and the first correction need these; computed here, they do not delay them.
        for name in ("centroids", "core_levels"):
            getattr(segmented.instances, name)
        # So does the curve, for which filters measure cells at every threshold.
        segmented.instances.count_curve(segmented.min_size)
        return Answer(segmented, segmented.result())
    except MemoryTooSmallError as error:
        raise CellsegError(f"{error} {SMALLER}") from error
    except MemoryError as error:
        raise CellsegError(
            f"{image.title} needs more memory than there is. Close other programs, or give a smaller image. {SMALLER}"
        ) from error
    except RuntimeError as error:
        raise CellsegError(
            f"Segmenting {image.title} with model {recipe.model} failed: {error}. "
            "Try the device 'cpu', or another model."
        ) from error
