"""Regions of an image in which cells are counted: their pixels, and which cells belong to them.

A cell belongs to a region when the pixel that its centroid lies in does; a pixel does when its centre lies inside the
outline. Where regions overlap, a cell belongs to each. Outlines of one name are one region.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..imaging.read.cells.outlines import Rings, pixels_inside
from ..imaging.regions import Region, shape_of, union, whole, within

# Every side is compared with every other.
_MOST_CORNERS = 2000


@dataclass(frozen=True, eq=False)
class Area:
    """One region.

    Attributes
    ----------
    name : str
    box : (slice, slice)
        Rows and columns of the image that hold it.
    mask : numpy.ndarray
        Its pixels in the box, bool.
    """

    name: str
    box: Region
    mask: np.ndarray

    @property
    def n_pixels(self) -> int:
        """Size in pixels, of what lies on the image."""
        return int(np.count_nonzero(self.mask))

    def pixels_in(self, region: Region) -> int:
        """Size in pixels of what lies in a region."""
        rows, columns = (
            slice(max(part.start - own.start, 0), max(part.stop - own.start, 0))
            for part, own in zip(region, self.box, strict=True)
        )
        return int(np.count_nonzero(self.mask[rows, columns]))

    def holds(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Which of these pixels belong to it, bool."""
        top, left = self.box[0].start, self.box[1].start
        height, width = self.mask.shape
        inside = (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width)
        found = np.zeros(len(rows), dtype=bool)
        found[inside] = self.mask[rows[inside] - top, columns[inside] - left]
        return found


@dataclass(frozen=True, eq=False)
class Areas:
    """All regions of one image.

    Attributes
    ----------
    areas : tuple of Area
        In the order of their first outline.
    notes : tuple of str
        What is wrong with an outline: it lies outside the image, crosses itself, or encloses nothing.
    """

    areas: tuple[Area, ...]
    notes: tuple[str, ...] = ()

    def members(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Which cells, whose centroids are given in pixels, belong to which region; bool (n_areas, n_cells)."""
        known = np.isfinite(y) & np.isfinite(x)
        rows, columns = (np.floor(np.where(known, place, -1) + 0.5).astype(np.int64) for place in (y, x))
        return np.array([area.holds(rows, columns) & known for area in self.areas], bool).reshape(-1, len(rows))

    def in_words(self, members: np.ndarray) -> np.ndarray:
        """Names of the regions of every cell, parted by ``"; "``; empty where it is in none."""
        names = [area.name for area in self.areas]
        column = ["; ".join(name for name, inside in zip(names, cell, strict=True) if inside) for cell in members.T]
        return np.array(column, dtype=np.str_)

    def counted(
        self, table: Mapping[str, np.ndarray], pixel_size: tuple[float, float] | None
    ) -> dict[str, np.ndarray | list[float | None]]:
        """Count the cells of every region.

        Parameters
        ----------
        table : mapping of str to numpy.ndarray
            One entry per cell, with ``centroid_y`` and ``centroid_x`` in pixels; of columns that end in ``_pos`` (bool)
            the positive cells are counted, too.
        pixel_size : tuple of float or None
            Height and width of a pixel in micrometres.

        Returns
        -------
        dict
            One entry per region: ``region``, ``count``, ``area_px``, ``area_mm2`` and ``cells_per_mm2`` (None without a
            pixel size or an area), and ``n_NAME`` and ``pct_NAME`` of every column NAME that ends in ``_pos``.
        """
        members = self.members(table["centroid_y"], table["centroid_x"])
        numbers = {
            "area_px": [area.n_pixels for area in self.areas],
            "count": members.sum(axis=1).tolist(),
            **{
                name: (members & column.astype(bool)).sum(axis=1).tolist()
                for name, column in table.items()
                if name.endswith("_pos")
            },
        }
        return regions_table([area.name for area in self.areas], numbers, pixel_size)


def regions_table(
    names: Sequence[str], numbers: Mapping[str, Sequence[int]], pixel_size: tuple[float, float] | None
) -> dict[str, np.ndarray | list[float | None]]:
    """Return the columns of ``regions.csv``, see `Areas.counted`.

    Parameters
    ----------
    names : sequence of str
        Of the regions.
    numbers : mapping of str to sequence of int
        One per region: ``area_px``, ``count``, and the positive cells by ``NAME_pos``.
    pixel_size : tuple of float or None
    """
    count, pixels = numbers["count"], numbers["area_px"]
    mm2 = [None if pixel_size is None else n * pixel_size[0] * pixel_size[1] / 1e6 for n in pixels]
    found: dict[str, np.ndarray | list[float | None]] = {
        "region": np.array(names, dtype=np.str_),
        "count": np.array(count, dtype=np.int64),
        "area_px": np.array(pixels, dtype=np.int64),
        "area_mm2": mm2,
        "cells_per_mm2": [n / size if size else None for n, size in zip(count, mm2, strict=True)],
    }
    for name in (name for name in numbers if name.endswith("_pos")):
        found[f"n_{name}"] = np.array(numbers[name], dtype=np.int64)
        found[f"pct_{name}"] = [100 * n / of if of else None for n, of in zip(numbers[name], count, strict=True)]
    return found


def areas_of(named: Iterable[tuple[str, Rings]], shape: tuple[int, int]) -> Areas:
    """Return the regions that outlines enclose in an image.

    Parameters
    ----------
    named : iterable of (str, sequence of ndarray)
        Names, and rings of (y, x) from pixel corners, holes among them; an outline without a name gets its number.
    shape : tuple of int
        (Y, X) of the image.
    """
    named = list(named)
    pieces = _pieces(named, whole(shape))
    return Areas(_joined(pieces), outline_notes(named, shape, [bool(piece.mask.any()) for piece in pieces]))


def areas_within(named: Iterable[tuple[str, Rings]], window: Region) -> Areas:
    """Return what lies in a window of an image of the regions that outlines enclose, in pixels of the window."""
    return Areas(_joined(_pieces(named, window)))


def outline_notes(
    named: Sequence[tuple[str, Rings]], shape: tuple[int, int], filled: Sequence[bool]
) -> tuple[str, ...]:
    """Return sentences on what is wrong with outlines; `filled` is which of them enclose a pixel of the image."""
    notes: list[str] = []
    for name, (_, rings), some in zip(outline_names(named), named, filled, strict=True):
        corners = np.concatenate(rings)
        outside = (corners.min(axis=0) < 0).any() or (corners.max(axis=0) > shape).any()
        notes += _notes(name, rings, bool(outside), some)
    return tuple(notes)


def outline_names(named: Iterable[tuple[str, Rings]]) -> list[str]:
    """Return the names of the regions that outlines belong to; one without a name gets its number."""
    return [given.strip() or str(number) for number, (given, _) in enumerate(named, start=1)]


def _pieces(named: Iterable[tuple[str, Rings]], window: Region) -> list[Area]:
    """Return what outlines enclose of a window of an image, each by itself, in pixels of the window."""
    start, stop = ([getattr(part, end) for part in window] for end in ("start", "stop"))
    pieces, named = [], list(named)
    for name, (_, rings) in zip(outline_names(named), named, strict=True):
        corners = np.concatenate(rings)
        low = np.clip(np.floor(corners.min(axis=0)), start, stop).astype(int)
        high = np.clip(np.ceil(corners.max(axis=0)), start, stop).astype(int)
        rows, columns = (slice(int(a), int(b)) for a, b in zip(low - start, high - start, strict=True))
        box = rows, columns
        mask = pixels_inside(rings, tuple(low), shape_of(box)) if 0 not in shape_of(box) else np.zeros((0, 0), bool)
        pieces.append(Area(name, box, mask))
    return pieces


def _joined(pieces: Iterable[Area]) -> tuple[Area, ...]:
    """Return what outlines enclose as regions: those of one name are one."""
    by_name: dict[str, list[Area]] = {}
    for piece in pieces:
        by_name.setdefault(piece.name, []).append(piece)
    found = []
    for name, parts in by_name.items():
        if len(parts) == 1:
            found += parts
            continue
        box = union(*(part.box for part in parts))
        mask = np.zeros(shape_of(box), dtype=bool)
        for part in parts:
            if part.mask.any():
                mask[within(part.box, box)] |= part.mask
        found.append(Area(name, box, mask))
    return tuple(found)


def _notes(name: str, rings: Rings, outside: bool, some: bool) -> list[str]:
    notes = []
    if not some:
        why = "lies outside the image or encloses no pixel" if outside else "encloses no pixel"
        notes.append(f"Region {name} {why}, so that no cell is in it.")
    elif outside:
        notes.append(f"Region {name} reaches beyond the image; only what lies on it counts.")
    if any(crosses_itself(ring) for ring in rings):
        notes.append(f"Region {name} crosses itself; what it encloses twice is not part of it.")
    return notes


def crosses_itself(ring: np.ndarray) -> bool:
    """Whether two sides of a ring of (y, x) cross each other between their ends; False of very many corners."""
    if len(ring) > _MOST_CORNERS:
        return False
    start, end = ring, np.roll(ring, -1, axis=0)

    def side(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        return np.sign(
            (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
        )

    for i in range(len(ring) - 2):
        others = slice(i + 2, None)
        apart = side(start[i], end[i], start[others]) * side(start[i], end[i], end[others]) < 0
        if (apart & (side(start[others], end[others], start[i]) * side(start[others], end[others], end[i]) < 0)).any():
            return True
    return False
