"""Tile geometry, planned completely before any pixel is read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from .errors import ParamsError
from .regions import Region


@dataclass(frozen=True)
class Tile:
    """One tile, used as ``out[tile.write] = network(image[tile.read])[tile.crop]``.

    Attributes
    ----------
    read : (slice, slice)
        Region read from the image, in pixels of the image.
    crop : (slice, slice)
        Region of the tile that is kept, in pixels of the tile: `read` without its halo.
    write : (slice, slice)
        Region that the kept part is written to, in pixels of the image.
    """

    read: Region
    crop: Region
    write: Region


def plan_tiles(shape_yx: tuple[int, int], tile: int, halo: int, align: int) -> list[Tile]:
    """Cover an image with overlapping tiles that write each pixel exactly once.

    Parameters
    ----------
    shape_yx : (int, int)
        Height and width in pixels, multiples of `align` (pad the image first).
    tile : int
        Side of a tile in pixels, a multiple of `align`; a shorter axis is read completely.
    halo : int
        Least number of pixels that are dropped at each side of a tile that is not a side of the image.
    align : int
        Reads start at multiples of this, so that the pooling grid of the network is the same in every tile.

    Returns
    -------
    list of Tile
        In row-major order; all reads have one shape, ``min(tile, size)`` along each axis.

    Raises
    ------
    ParamsError
        A size is not a positive multiple of `align`, or the halos leave no room in a tile.
    """
    if align < 1 or halo < 0:
        raise ParamsError(f"align must be at least 1 and halo at least 0, but they are {align} and {halo}.")
    if tile < 1 or tile % align:
        raise ParamsError(f"A tile of {tile} pixels is not a multiple of {align}, which the network needs.")
    if tile <= 2 * halo or tile - 2 * halo < align:
        raise ParamsError(
            f"A tile of {tile} pixels leaves no room between two halos of {halo} pixels. "
            f"Use a tile of at least {-(-(2 * halo + align) // align) * align} pixels."
        )
    if any(size < 1 or size % align for size in shape_yx):
        raise ParamsError(f"An image of {shape_yx} pixels is not made of multiples of {align}: pad it first.")
    rows, columns = (_plan_axis(size, tile, halo, align) for size in shape_yx)
    return [Tile(read=(y[0], x[0]), crop=(y[1], x[1]), write=(y[2], x[2])) for y in rows for x in columns]


def _plan_axis(size: int, tile: int, halo: int, align: int) -> list[tuple[slice, slice, slice]]:
    length = min(tile, size)
    step = (tile - 2 * halo) // align
    slack = (size - length) // align
    n_gaps = -(-slack // step)
    # The tiles are spread evenly: their number stays the same, and each gets as much context as possible.
    starts = [align * (i * slack // n_gaps) for i in range(n_gaps + 1)] if n_gaps else [0]
    seams = [(start + length + following) // 2 for start, following in pairwise(starts)]
    edges = [0, *seams, size]
    return [
        (slice(start, start + length), slice(first - start, last - start), slice(first, last))
        for start, first, last in zip(starts, edges[:-1], edges[1:], strict=True)
    ]
