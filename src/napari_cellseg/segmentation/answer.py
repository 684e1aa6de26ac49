"""Answer a request: the long work behind the Segment button, as a generator that knows no window."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..imaging.errors import CellsegError, MemoryTooSmallError
from ..imaging.progress import Progress
from ..session import Request

if TYPE_CHECKING:
    from .segment import Segmented, SegmentResult

SMALLER = "Or zoom in, and choose 'What is visible' in the menu beside Segment."


@dataclass(frozen=True, eq=False)
class Answer:
    """What became of a request.

    Attributes
    ----------
    segmented : Segmented
    result : SegmentResult
        The cells at the first sliders, measured.
    """

    segmented: Segmented
    result: SegmentResult


def prepare_to_answer(model: str, device: str) -> None:
    """Load what the first answer would have to wait for: torch, and a model's network on its device.

    Raises
    ------
    CellsegError, ...
        As answering would.
    """
    importlib.import_module("pandas")
    from ..network.devices import resolve_device
    from ..network.predict import network_for_maps
    from ..network.versions import load_model
    from . import segment  # noqa: F401 - this is what takes long

    network_for_maps(load_model(model), resolve_device(device))


def iter_answer(request: Request) -> Generator[Progress, None, Answer]:
    """Answer a request: predict, split, and measure at the first sliders.

    Yields
    ------
    Progress

    Returns
    -------
    Answer

    Raises
    ------
    CellsegError
        Whatever went wrong with the work itself, and every RuntimeError: the window's workers would swallow those.
    """
    # napari makes tables with pandas, which it imports at the first need: better here than in the window's thread.
    importlib.import_module("pandas")
    # Imported late, as it is the first thing that may need torch.
    from .segment import iter_predict_image

    try:
        segmented = yield from iter_predict_image(request.image, request.recipe)
        yield Progress(1, 1, "measuring cells")
        # The first slider move and the first correction ask for these; here nobody waits for them.
        for name in ("centroids", "core_levels"):
            getattr(segmented.instances, name)
        return Answer(segmented, segmented.result())
    except MemoryTooSmallError as error:
        raise CellsegError(f"{error} {SMALLER}") from error
    except MemoryError as error:
        raise CellsegError(
            f"{request.image.title} needs more memory than there is. Close other programs, or give a smaller image. "
            f"{SMALLER}"
        ) from error
    except RuntimeError as error:
        raise CellsegError(
            f"Segmenting {request.image.title} with model {request.recipe.model} failed: {error}. "
            "Try the device 'cpu', or another model."
        ) from error
