"""What was found in a dataset, what was skipped and why, and what looks odd. Loads no torch."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .doubtful_masks import doubtful_ids
from .sample import Sample

SHOWN = 8
SMALL = 32
MOSTLY = 0.95


@dataclass(frozen=True)
class DatasetReport:
    """Content of a dataset.

    Parameters
    ----------
    path : str
    what : str
        Its layout in words.
    n_images, n_cells : int
    kinds, sizes : dict of str to int
        How many images of each kind, and of each size such as ``256 x 256``.
    skipped, suspicious : tuple of (str, str)
        Name and reason: skipped; used, but odd.
    duplicates : tuple of tuple of str
        Names of images with the same pixels.
    notes : tuple of str
        How the files were understood.
    """

    path: str
    what: str
    n_images: int
    n_cells: int
    kinds: dict[str, int]
    sizes: dict[str, int]
    skipped: tuple[tuple[str, str], ...] = ()
    suspicious: tuple[tuple[str, str], ...] = ()
    duplicates: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the report as lines of text; long lists are cut."""
        kinds = ", ".join(f"{n} {kind}" for kind, n in self.kinds.items() if kind)
        sizes = list(self.sizes)
        size = f"all {sizes[0]}" if len(sizes) == 1 else f"{len(sizes)} sizes from {sizes[0]} to {sizes[-1]}"
        found = [
            f"{self.path}: {self.what}; {self.n_images} images with {self.n_cells} cells"
            + (f" ({kinds})" if kinds else "")
            + (f"; {size}" if sizes else "")
        ]
        found += self.notes
        found += _listed("skipped", [f"{name}: {why}" for name, why in self.skipped])
        found += _listed("odd", [f"{name}: {why}" for name, why in self.suspicious])
        found += _listed("same pixels", [" = ".join(names) for names in self.duplicates])
        return found

    @property
    def odd(self) -> bool:
        """Whether there is anything to look into."""
        return bool(self.skipped or self.suspicious or self.duplicates)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-able values."""
        return asdict(self)


def _listed(title: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    more = [f"  ... and {len(items) - SHOWN} more"] if len(items) > SHOWN else []
    return [f"{title} ({len(items)}):", *(f"  {item}" for item in items[:SHOWN]), *more]


def oddities(sample: Sample) -> list[str]:
    """Describe what is odd about an image and its cells."""
    found = []
    area = float(np.mean(sample.labels > 0))
    if area == 0:
        found.append("no cell is in its mask: all of it is learned as background")
    elif area == 1:
        found.append("its mask covers all of the image: check that it is the right mask")
    elif area > MOSTLY:
        found.append(f"its mask covers {area:.1%} of the image: check that it is not inverted")
    if sample.image.size and sample.image.min() == sample.image.max():
        found.append("every pixel has the same value")
    elif sample.image.dtype.kind == "f" and not np.isfinite(sample.image).all():
        found.append("some pixels are not numbers")
    if min(sample.labels.shape) < SMALL:
        height, width = sample.labels.shape
        found.append(f"it is only {height} x {width} pixels")
    return found + doubtful_ids(sample.labels)


def find_duplicates(samples: Iterable[Sample]) -> tuple[tuple[str, ...], ...]:
    """Return the names of images with the same pixels, in groups of two and more."""
    by_content: dict[str, list[str]] = defaultdict(list)
    for sample in samples:
        image = np.ascontiguousarray(sample.image)
        key = hashlib.sha256(f"{image.shape}{image.dtype}".encode())
        key.update(image.data)
        by_content[key.hexdigest()].append(sample.name)
    return tuple(tuple(names) for names in by_content.values() if len(names) > 1)


def report_on(
    samples: Sequence[Sample],
    path: str,
    what: str,
    skipped: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
) -> DatasetReport:
    """Look through samples and report what there is."""
    shapes = sorted({s.labels.shape for s in samples}, key=lambda shape: (shape[0] * shape[1], shape))
    n_of = Counter(s.labels.shape for s in samples)
    return DatasetReport(
        path,
        what,
        len(samples),
        sum(int(np.count_nonzero(np.unique(s.labels))) for s in samples),
        dict(sorted(Counter(s.kind for s in samples).items())),
        {f"{shape[0]} x {shape[1]}": n_of[shape] for shape in shapes},
        tuple(skipped),
        tuple((s.name, why) for s in samples for why in oddities(s)),
        find_duplicates(samples),
        tuple(notes),
    )
