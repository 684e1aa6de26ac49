"""Find out quickly whether an image looks like those that a model was trained on, before its count is trusted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..imaging.errors import CellsegError, ImageError
from ..imaging.read.values.json_file import read_values
from ..imaging.write.write import write_json
from ..network.versions import FAMILIAR_FILE, ModelVersion
from .image_features import FEATURES, image_features

_MOST = 256  # images whose features are kept, those that lie furthest apart
_LEAST_SCALE = np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.5, 0.03])
_FAR = 1.5  # times as far as nearly all (99 %) images are from the one of the others that is most like them
_LONE = 3.0  # the limit where there is only one image
_WORDS = {
    "bright ground": ("its ground is darker", "its ground is brighter"),
    "background": ("its ground is darker", "its ground is brighter"),
    "colour": ("it has less colour", "it has more colour"),
    "saturation": ("it has less colour", "it has more colour"),
    "dark cells": ("what stands out is brighter than the ground", "what stands out is darker than the ground"),
    "spread": ("its contrast is in fewer pixels", "its contrast is in more pixels"),
    "red to green": ("its colours are others", "its colours are others"),
    "green to blue": ("its colours are others", "its colours are others"),
    "detail": ("what it shows is smaller", "what it shows is larger"),
    "noise": ("it is smoother", "it is noisier"),
}


@dataclass(frozen=True, eq=False)
class Familiar:
    """Features of the images that a model was trained on.

    Parameters
    ----------
    vectors : ndarray
        float64 (n, n_features).
    scale : ndarray
        float64 (n_features,): distances are measured in these units.
    limit : float
        What is further from all of them is unlike.
    n_images : int
        Images that were looked at.
    """

    vectors: np.ndarray
    scale: np.ndarray
    limit: float
    n_images: int

    @classmethod
    def from_features(cls, features: np.ndarray, n_images: int | None = None) -> Familiar:
        """Learn what is familiar from features (n, n_features)."""
        features = np.atleast_2d(np.asarray(features, dtype=np.float64))
        scale = np.maximum(features.std(axis=0), _LEAST_SCALE)
        points = features / scale
        nearest = np.array([_nearest(np.delete(points, i, axis=0), p)[1] for i, p in enumerate(points)])
        limit = _FAR * float(np.percentile(nearest, 99)) if len(points) > 1 else _LONE
        some = _furthest_apart(points, _MOST)
        # Equal images would give a limit of 0.
        return cls(features[some], scale, max(limit, 1.0), len(features) if n_images is None else n_images)

    def distance(self, features: np.ndarray) -> float:
        """Distance to the nearest image, 1 is the limit."""
        return _nearest(self.vectors / self.scale, features / self.scale)[1] / self.limit

    def differences(self, features: np.ndarray) -> list[str]:
        """Return up to two differences to the most similar image, in words, the greatest first."""
        place, _ = _nearest(self.vectors / self.scale, features / self.scale)
        off = (features - self.vectors[place]) / self.scale
        words = dict.fromkeys(
            _WORDS[FEATURES[i]][int(off[i] > 0)]
            for i in np.argsort(-np.abs(off))
            if abs(off[i]) >= 0.5 * np.abs(off).max() > 0
        )
        return list(words)[:2]

    def to_dict(self) -> dict[str, Any]:
        """Return everything, JSON-able."""
        return {
            "features": list(FEATURES),
            "n_images": self.n_images,
            "limit": round(self.limit, 4),
            "scale": self.scale.round(5).tolist(),
            "vectors": self.vectors.round(4).tolist(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Familiar | None:
        """Rebuild; None where another version of this package measured other features."""
        if list(values["features"]) != list(FEATURES):
            return None
        vectors, scale = np.array(values["vectors"], np.float64), np.array(values["scale"], np.float64)
        if vectors.ndim != 2 or vectors.shape[1] != len(FEATURES) or scale.shape != (len(FEATURES),):
            raise ValueError(f"vectors {vectors.shape} and scale {scale.shape}")
        if not (np.isfinite(vectors).all() and (scale > 0).all() and float(values["limit"]) > 0):
            raise ValueError("distances cannot be measured by these numbers")
        return cls(vectors, scale, float(values["limit"]), int(values["n_images"]))


def remember_images(folder: Path, planes: Iterable[np.ndarray], parent: ModelVersion | None = None) -> Familiar | None:
    """Save the features of the images that a version was trained on in its folder.

    Parameters
    ----------
    folder : Path
    planes : iterable of ndarray
        (Y, X) or (Y, X, 3), raw.
    parent : ModelVersion, optional
        What it was fine-tuned from; what is familiar to that stays familiar.

    Returns
    -------
    Familiar or None
        None, and no file, without an image.

    Raises
    ------
    OutputError
        The system refused to write.
    """
    rows = [image_features(plane) for plane in planes]
    known = familiar_to(parent) if parent is not None else None
    n_images = len(rows) + (known.n_images if known else 0)
    if known is not None:
        rows = [*known.vectors, *rows]
    if not rows:
        return None
    familiar = Familiar.from_features(np.array(rows), n_images)
    if known is not None:
        # The kept images lie further apart than all of them did: the parent's limit is the better one.
        familiar = Familiar(familiar.vectors, known.scale, known.limit, n_images)
    write_json(folder / FAMILIAR_FILE, familiar.to_dict())
    return familiar


def familiar_to(version: ModelVersion) -> Familiar | None:
    """Read the features of a version's training images; None where there are none, or the file is damaged."""
    path = version.path / FAMILIAR_FILE
    try:
        stamp = path.stat()
    except OSError:
        return None
    return _read(path, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=8)
def _read(path: Path, mtime_ns: int, size: int) -> Familiar | None:
    try:
        return Familiar.from_dict(read_values(path))
    except (CellsegError, OSError, ValueError, KeyError, TypeError, OverflowError):
        # A missing warning is no reason to stop.
        return None


def unlike(plane: np.ndarray, version: ModelVersion) -> str | None:
    """Return a warning for an image that differs from those that a model was trained on.

    Parameters
    ----------
    plane : numpy.ndarray
        (Y, X) or (Y, X, 3), raw, as it is given to the normaliser.
    version : ModelVersion

    Returns
    -------
    str or None
        A sentence for the user; None where the image is like one of them, or nothing is known of them.
    """
    familiar = familiar_to(version)
    if familiar is None:
        return None
    try:
        features = image_features(plane)
    except ImageError:
        return None
    if familiar.distance(features) <= 1:
        return None
    what = " and ".join(familiar.differences(features)) or "its colours and intensities are others"
    return (
        f"This image is unlike the {familiar.n_images} that {version.name} was trained on: {what}. "
        "Check the result by eye, or train on images like it."
    )


def _nearest(points: np.ndarray, point: np.ndarray) -> tuple[int, float]:
    if not len(points):
        return -1, np.inf
    distances = np.sqrt(((points - point) ** 2).sum(axis=1))
    place = int(np.argmin(distances))
    return place, float(distances[place])


def _furthest_apart(points: np.ndarray, n: int) -> np.ndarray:
    """Return the places of n points, each the one furthest from those before it: outliers stay, near-duplicates go."""
    if len(points) <= n:
        return np.arange(len(points))
    chosen = [int(np.argmin(((points - points.mean(axis=0)) ** 2).sum(axis=1)))]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < n:
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(np.argmax(nearest)))
    return np.sort(chosen)
