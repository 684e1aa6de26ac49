"""What is known of the cells of one block: rows of their table, positive cells and classes, and those of regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..imaging.image import Image
from ..imaging.lazy_plane import LazyPlane
from ..imaging.regions import Region
from ..imaging.write.write import table_text
from ..instances.areas import Areas, areas_within
from ..instances.measure import measure
from ..instances.prediction import Prediction
from ..results.outputs import cells_table
from ..results.save import names_of_channels
from ..segmentation.counting import NOTHING, Counted, count_markers
from ..segmentation.segmented import SegmentResult
from .plan import Mosaic

if TYPE_CHECKING:
    from ..network.tile_maps import NormalizedPlane


@dataclass(frozen=True, eq=False)
class BlockCells:
    """The cells that a block owns, as they are drawn.

    Attributes
    ----------
    window, core : (slice, slice)
        In pixels of the plane.
    labels : numpy.ndarray
        Of the window: 1 to n, 0 elsewhere.
    others : numpy.ndarray
        Bool: pixels of cells of other blocks.
    """

    window: Region
    core: Region
    labels: np.ndarray
    others: np.ndarray


@dataclass(frozen=True, eq=False)
class Measured:
    """Measurements of the cells of a block.

    Attributes
    ----------
    table : dict of str to numpy.ndarray
        One entry per cell in every column, positions in the whole plane.
    counted : Counted
    in_regions : dict of str to list of int
        One number per region: ``area_px`` of its pixels in the block, ``count`` of the block's cells, and those that
        are positive by ``NAME_pos``. Empty without regions.
    """

    table: dict[str, np.ndarray]
    counted: Counted = NOTHING
    in_regions: Mapping[str, list[int]] = field(default_factory=dict)

    def about(self) -> dict[str, Any]:
        """Return what is kept of the block besides rows, as JSON-able values."""
        counted = self.counted
        about = {"numbers": counted.numbers, "notes": list(counted.notes), "classes": counted.about}
        return {"counted": about, "in_regions": dict(self.in_regions)}

    def rows(self, n_before: int, shape: Sequence[int], header: bool) -> str:
        """Return the lines of the table of cells, in a plane of a shape and after so many cells of other blocks."""
        table = dict(self.table)
        height, width = shape[:2]
        low = (table["bbox_top"] == 0) | (table["bbox_left"] == 0)
        table["touches_edge"] = low | (table["bbox_bottom"] == height) | (table["bbox_right"] == width)
        table["index"] = table["index"] + n_before
        return table_text(table, header=header)


def measured(mosaic: Mosaic, cells: BlockCells, seen: NormalizedPlane, prediction: Prediction) -> Measured:
    """Measure the cells of a block, and call them by the recipe; lengths are those of one piece."""
    labels, window, pixel_size = cells.labels, cells.window, mosaic.image.pixel_size
    raw, _ = seen.raw(window)
    part = _part(mosaic.image, window)
    found = measure(labels, prediction.probability, raw, pixel_size)
    areas = None if mosaic.regions is None else areas_within(mosaic.regions, window)
    members = np.zeros((0, len(found["index"])), bool)
    if areas is not None:
        members = areas.members(found["centroid_y"], found["centroid_x"])
        found["region"] = areas.in_words(members)
    around = np.where(labels > 0, labels, np.where(cells.others, len(found["index"]) + 1, 0))
    counted = count_markers(part, labels, found["index"], mosaic.recipe, around=around)
    found |= counted.columns
    if mosaic.measures:
        result = SegmentResult(labels, prediction.probability, 0, found, 0.0, 0, {})
        names = names_of_channels(mosaic.image) if mosaic.image.n_channels > 1 else ()
        channels = {name: part.plane(i) for i, name in enumerate(names)} or None
        found = _in_plane(cells_table(result, raw, channels, pixel_size), window, pixel_size)
    in_regions = {} if areas is None else _in_regions(areas, members, cells, counted)
    return Measured(found, counted, in_regions)


def _in_plane(
    table: dict[str, np.ndarray], window: Region, pixel_size: tuple[float, float] | None
) -> dict[str, np.ndarray]:
    """Return a table with positions in the whole plane."""
    top, left = window[0].start, window[1].start
    for name, corner, axis in (("y", top, 0), ("x", left, 1)):
        table[f"centroid_{name}"] = table[f"centroid_{name}"] + corner
        if pixel_size is not None:
            table[f"centroid_{name}_um"] = table[f"centroid_{name}"] * pixel_size[axis]
    for side, corner in (("top", top), ("left", left), ("bottom", top), ("right", left)):
        table[f"bbox_{side}"] = table[f"bbox_{side}"] + corner
    return table


def _in_regions(areas: Areas, members: np.ndarray, cells: BlockCells, counted: Counted) -> dict[str, list[int]]:
    core: Region = tuple(  # type: ignore[assignment]
        slice(c.start - w.start, c.stop - w.start) for c, w in zip(cells.core, cells.window, strict=True)
    )
    positive = {name: column for name, column in counted.columns.items() if name.endswith("_pos")}
    return {
        "area_px": [area.pixels_in(core) for area in areas.areas],
        "count": members.sum(axis=1).tolist(),
        **{name: (members & column.astype(bool)).sum(axis=1).tolist() for name, column in positive.items()},
    }


def _part(image: Image, window: Region) -> Image:
    """Return a window of an image, in memory, with all its channels; what cannot be read is 0."""
    if image.n_channels > 1:
        data = np.stack([LazyPlane(image, i).read(window)[0] for i in range(image.n_channels)])
        return replace(image, data=data, axes="CYX")
    data, _ = LazyPlane(image).read(window)
    return replace(image, data=data, axes="YX" if data.ndim == 2 else "YXC", rgb=data.ndim == 3)
