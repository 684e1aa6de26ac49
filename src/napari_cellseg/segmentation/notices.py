"""What the user should know before trusting a count: each notice names what was seen and the remedy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..imaging.normalize import PERCENTILES, NormalizerParams
from ..imaging.percentiles import finite_percentiles
from ..instances.prediction import Prediction
from ..network.versions import ModelVersion
from .familiar import unlike
from .patterns import grey_of, is_noise, is_striped

NOT_FINITE = "It has no finite values: every pixel is NaN or infinite."
UNCERTAIN_SIZE = (
    "The size of the cells is uncertain: looks at several magnifications did not agree. Measure a typical cell and "
    "give its diameter in pixels (Cell size in the window, --diameter on the command line)."
)
LOOKS_LARGER = (
    "The cells look larger than the size given: about {seen:.0f} px across instead of {given:g}, so that they may be "
    "found in pieces. Correct the size (Cell size in the window, --diameter on the command line), or leave it out."
)
NO_CELLS = (
    "No cell was found. If there are cells, give the diameter of a typical one in pixels (Cell size in the window, "
    "--diameter on the command line), lower the threshold, or choose another channel or model."
)
FAR_ABOVE = (
    "The brightest pixels, such as debris, are {times:.0f} times as bright as the rest, so that cells may look dark to "
    "the model. If cells are missing, scale the image by lower percentiles (--percentiles 1 {high:g})."
)
NOISE = (
    "The image looks like noise without cells: its values are normally distributed, and what was found may be chance. "
    "Look at it closely, and count it as empty if there are no cells."
)
STRIPES = (
    "The image looks like stripes without cells: all that is seen runs in one direction. Look at it closely, and count "
    "it as empty if there are no cells."
)
# This percentile is taken for the rest of an image with bright debris.
_REST = 97.0
# Debris is so many times as bright as the rest, and the rest stands out from the background by so many times the noise.
_TIMES, _STANDS_OUT = 16.0, 8.0
_SAMPLE = 512


def notices(
    plane: np.ndarray, normalizer: NormalizerParams, model: ModelVersion, prediction: Prediction, count: int
) -> tuple[str, ...]:
    """Return notices on the result for an image, in full sentences.

    Parameters
    ----------
    plane : ndarray
        ``(Y, X)`` or ``(Y, X, 3)``, raw.
    normalizer : NormalizerParams
        What it was normalised by.
    model : ModelVersion
    prediction : Prediction
    count : int
        Number of cells at the recipe's threshold and smallest size.
    """
    finite = plane[np.isfinite(plane)] if plane.dtype.kind == "f" else plane
    if not finite.size:
        return (NOT_FINITE,)
    if finite.min() == finite.max():
        return ()
    found = []
    if not count:
        found.append(NO_CELLS)
    elif not prediction.certain:
        found.append(UNCERTAIN_SIZE)
    if prediction.larger is not None:
        found.append(LOOKS_LARGER.format(seen=prediction.larger, given=prediction.diameter))
    return (*found, *image_notices(plane, normalizer, model))


def image_notices(plane: np.ndarray, normalizer: NormalizerParams, model: ModelVersion) -> list[str]:
    """Return notices on an image itself: noise, stripes, bright debris, or unlike the model's training images.

    Parameters
    ----------
    plane : ndarray
        ``(Y, X)`` or ``(Y, X, 3)``, raw; of a large image its most informative window.
    normalizer : NormalizerParams
        What it is normalised by.
    model : ModelVersion
    """
    found = [NOISE] if is_noise(plane) else [STRIPES] if is_striped(plane) else []
    times = far_above(plane, normalizer)
    if times is not None:
        found.append(FAR_ABOVE.format(times=times, high=_REST))
    warning = unlike(plane, model)
    return [*found, warning] if warning else found


def still_true(notes: Sequence[str], count: int) -> tuple[str, ...]:
    """Return the notices that hold for a count: moved sliders and corrections may have brought or removed cells."""
    return tuple(note for note in notes if (note != NO_CELLS if count else note not in (NOISE, STRIPES)))


def far_above(plane: np.ndarray, normalizer: NormalizerParams) -> float | None:
    """How many times brighter than the rest the pixels are that normalising goes by; None where they are the cells.

    Few bright pixels on an empty background are cells. They are debris where what lies below them stands out of the
    background, too, and not by noise alone.
    """
    if normalizer.method != PERCENTILES:
        return None
    step = max(1, int(max(plane.shape[:2]) / _SAMPLE))
    sample = plane[::step, ::step]
    found = finite_percentiles(
        sample if sample.ndim == 2 else grey_of(sample), [normalizer.low, 50, _REST, normalizer.high]
    )
    if found is None:
        return None
    low, middle, rest, high = found
    if rest <= low or high - low <= _TIMES * (rest - low) or rest - middle <= _STANDS_OUT * _noise(plane):
        return None
    return float((high - low) / (rest - low))


def _noise(plane: np.ndarray) -> float:
    """Median difference of neighbouring pixels in the middle of an image."""
    top, left = (max(0, (n - _SAMPLE) // 2) for n in plane.shape[:2])
    part = grey_of(plane[top : top + _SAMPLE, left : left + _SAMPLE])
    with np.errstate(invalid="ignore"):
        differences = np.abs(np.diff(part, axis=1))
    differences = differences[np.isfinite(differences)]
    return float(np.median(differences)) if differences.size else 0.0
