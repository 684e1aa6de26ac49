"""A page that shows images of every kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..evaluation.kinds import KindAgreement, Kinds
from ..imaging.normalize import normalize
from .html import Html, figure, gallery, paragraph, section, table, write_page

_THUMBNAIL = 160


def write_kinds_page(
    path: Path,
    kinds: Kinds,
    thumbnails: Mapping[str, np.ndarray],
    agreement: KindAgreement | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a page with the images of every kind; thumbnails are uint8, by the image's name.

    Raises
    ------
    OutputError
        There is a file that this package did not write (unless `overwrite`), or the system refused to write.
    """
    known = []
    if agreement is not None:
        found = sorted({name for row in agreement.crossed.values() for name in row})
        known = [
            paragraph(
                f"Against the given kinds of {agreement.n_images} images: adjusted Rand index "
                f"{agreement.adjusted_rand:.3f}, {agreement.accuracy:.1%} in the right kind."
            ),
            table(("given", *found), [(row, *counts.values()) for row, counts in agreement.crossed.items()]),
        ]
    parts: list[Html] = []
    for kind, n in kinds.counts().items():
        names = [name for name, one in zip(kinds.images, kinds.kinds, strict=True) if one == kind]
        shown = [figure(thumbnails[name], name, alt=name) for name in names if name in thumbnails]
        more = [paragraph(f"and {n - len(shown)} more", quiet=True)] if n > len(shown) else []
        parts.append(section(f"{kind}: {n} images", gallery(shown), *more))
    return write_page(path, "Kinds of images", *known, *parts, overwrite=overwrite)


def small_picture(plane: np.ndarray, side: int = _THUMBNAIL) -> np.ndarray:
    """Shrink an image to a thumbnail, uint8 (Y, X) or (Y, X, 3)."""
    from PIL import Image as PillowImage

    step = max(1, min(plane.shape[:2]) // (2 * side))
    shown = (255 * np.clip(normalize(plane[::step, ::step]), 0, 1)).astype(np.uint8)
    picture = PillowImage.fromarray(shown)
    picture.thumbnail((side, side))
    return np.array(picture)


def sample_of_each(kinds: Sequence[str], n: int) -> list[int]:
    """Return the places of the first n images of each kind."""
    taken: dict[str, int] = {}
    places = []
    for i, kind in enumerate(kinds):
        taken[kind] = taken.get(kind, 0) + 1
        if taken[kind] <= n:
            places.append(i)
    return places
