"""What a session is doing: its state in words, and the request that is being answered."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

from ..imaging.image import Image
from ..segmentation.recipe import Recipe

CANCELLED = "Cancelled, nothing was changed. Press Segment to run again."


@dataclass(frozen=True)
class State:
    """State of the session, and one plain sentence on what to do next."""

    kind: Literal["idle", "running", "failed"]
    sentence: str


@dataclass(frozen=True, eq=False)
class Request:
    """One press of Segment: everything that the answer needs, fixed when it was pressed.

    Attributes
    ----------
    number : int
        Rises with every request of a session.
    key : hashable
        Image of the viewer.
    image : Image
    recipe : Recipe
    device : str
        Where the network is asked to run; one of `segmentation.options.DEVICES`.
    sliders : tuple of (float, int) or None
        Threshold and min_size of the cells that the same model found in this image before.
    """

    number: int
    key: Hashable
    image: Image
    recipe: Recipe
    device: str = "auto"
    sliders: tuple[float, int] | None = None
