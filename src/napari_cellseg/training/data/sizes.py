"""Training images with their cells at the size that the network is going to see them at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...instances.measure import typical_diameter
from ...network.sizing import resized, zoom_for, zoomed_shape
from ...network.versions import LARGEST_DIAMETER
from .sample import Sample


def common_diameter(samples: Sequence[Sample]) -> tuple[float | None, float]:
    """Median over images of their typical diameter in pixels, and by which factor two thirds differ from it at most.

    The diameter is None without a cell.
    """
    found = [one for one in (typical_diameter(sample.labels) for sample in samples) if one is not None]
    if not found:
        return None, 1.0
    common = min(max(float(np.median(found)), 1.0), LARGEST_DIAMETER)
    off = np.exp(np.abs(np.log(np.asarray(found) / common)))
    return round(common, 1), round(float(np.percentile(off, 68)), 2)


def zoom_to(sample: Sample, diameter: float | None) -> float:
    """Magnification that prediction would choose for an image whose cells are known; 1 without a wanted diameter."""
    typical = None if diameter is None else typical_diameter(sample.labels)
    return 1.0 if typical is None or diameter is None else zoom_for(typical, diameter, sample.labels.shape)


def magnified(sample: Sample, normalized: np.ndarray, zoom: float) -> Sample:
    """Return a sample with its normalised image magnified as prediction does it, and labels and reviewed area alike.

    Parameters
    ----------
    sample : Sample
    normalized : ndarray of float32
        ``(Y, X)`` or ``(Y, X, C)``: its image, normalised.
    zoom : float
    """
    shape = zoomed_shape(sample.labels.shape, zoom)
    rows, columns = (
        np.minimum(((np.arange(n) + 0.5) * old / n).astype(int), old - 1)
        for n, old in zip(shape, sample.labels.shape, strict=True)
    )
    nearest = np.ix_(rows, columns)
    reviewed = None if sample.reviewed is None else sample.reviewed[nearest]
    return replace(sample, image=resized(normalized, shape), labels=sample.labels[nearest], reviewed=reviewed)
