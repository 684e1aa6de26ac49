"""The output of the network for one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Prediction:
    """Output of a model for one image: computed once, read by every later step.

    Attributes
    ----------
    probability : numpy.ndarray
        Foreground probability, float32 (Y, X), 0 to 1.
    distance : numpy.ndarray or None
        Centre distance, float32 (Y, X): 1 at a cell's centre, 0 at its border and in the background. None for
        a model that predicts the foreground only.
    model : str
        Name of the model version.
    device : str
        Device it was computed on, in words, for example ``"CPU (bfloat16)"``.
    notes : tuple of str
        What the user should know about the computation, for example that memory ran out on the GPU.
    diameter : float or None
        Typical diameter of the cells in pixels, as given or estimated; None if it was not used.
    certain : bool
        False where the diameter was estimated, and looks at several magnifications did not agree on it.
    larger : float or None
        Diameter in pixels that the cells seem to have, where that is far more than the one given.
    zoom : float
        Magnification of the image for the network; the maps have the size of the image.
    basins : numpy.ndarray or None
        Cells that the network itself separated, whole numbers (Y, X), 0 = none; None where they are split here.

    Raises
    ------
    ValueError
        When a map is not two-dimensional or two differ in shape.
    """

    probability: np.ndarray
    distance: np.ndarray | None
    model: str = ""
    device: str = ""
    notes: tuple[str, ...] = ()
    diameter: float | None = None
    certain: bool = True
    larger: float | None = None
    zoom: float = 1.0
    basins: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.probability.ndim != 2:
            raise ValueError(f"probability must be (Y, X), got shape {self.probability.shape}.")
        for name in ("distance", "basins"):
            other = getattr(self, name)
            if other is not None and other.shape != self.probability.shape:
                raise ValueError(
                    f"{name} has shape {other.shape} but probability has {self.probability.shape}; "
                    "they must be maps of one image."
                )

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (Y, X) in pixels."""
        height, width = self.probability.shape
        return height, width
