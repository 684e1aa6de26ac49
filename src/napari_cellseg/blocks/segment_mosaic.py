"""Segment a plane that is larger than memory, block by block: the same cells as in one piece, and flat memory.

The order is that of one piece. The scale of the brightness is found for the whole plane, and so is the diameter of the
cells; the network looks at the plane in the tiles that it would be cut into anyway; each block of the maps is split
into cells together with a margin, and owns the cells whose peak lies in it (`instances.blocks`).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..imaging.errors import CellsegError, ImageError
from ..imaging.lazy_plane import LazyPlane
from ..imaging.progress import Progress, relay
from ..imaging.read.read import source_stamp
from ..imaging.regions import Region
from ..imaging.write.zarr_labels import ZarrLabels
from ..instances.blocks import Block, Owned, owned_cells, plan_blocks
from ..instances.prediction import Prediction
from ..segmentation.notices import NO_CELLS, UNCERTAIN_SIZE, still_true
from .output import look, overview_step, publish, write_block
from .plan import Mosaic, MosaicResult, check_possible, in_blocks
from .survey import iter_survey, surveyed_maps
from .work import MosaicWork

if TYPE_CHECKING:
    from ..network.tile_maps import TileMaps

__all__ = ["Mosaic", "MosaicResult", "in_blocks", "iter_mosaic"]

# Width of the margin that is split with a block, in pixels; the second holds where cells are large.
MARGIN, MOST_MARGIN = 128, 1024
_CHECKED_EVERY = 32


def iter_mosaic(mosaic: Mosaic) -> Generator[Progress, None, MosaicResult]:
    """Segment a plane block by block into an OME-Zarr label image and a table of cells.

    A run of the same recipe and image that was stopped is resumed. A part of the image that cannot be read is
    taken as empty, and is in the result's `holes`.

    Yields
    ------
    Progress
        Closing the generator stops within one batch of tiles; finished blocks are kept.

    Returns
    -------
    MosaicResult

    Raises
    ------
    ImageError
        The image cannot be read at all, changed meanwhile, or cannot be done in this way.
    ModelError
        The model cannot be used.
    OutputError
        The system refused to write; finished blocks are kept.
    """
    check_possible(mosaic)
    yield Progress(0, 0, f"loading model {mosaic.model.name}")

    plane = LazyPlane(mosaic.image, mosaic.recipe.channel)
    work = MosaicWork(mosaic.out, mosaic.stem, _key(mosaic, plane))
    begun = yield from _iter_begin(mosaic, plane, work)
    mosaic = replace(mosaic, smallest=mosaic.recipe.smallest(mosaic.model, begun["diameter"]))
    maps = surveyed_maps(plane, begun, mosaic.model, work.tiles, mosaic.options.device)
    seen = maps.plane
    labels = ZarrLabels(work.labels, maps.shape, mosaic.options.ome_zarr)
    blocks = plan_blocks(maps.shape, mosaic.side)
    margin = min(MOST_MARGIN, _margin(begun["diameter"]) + mosaic.reach)
    helpers = mosaic.helpers
    if helpers is not None:
        helpers.begin(begun, maps)
    step = overview_step(maps.shape)
    overview = work.overview((*(-(-n // step) for n in maps.shape), *seen.shape[2:]), plane.dtype)
    n_large = 0
    for block in blocks[work.n_blocks :]:
        if helpers is not None:
            helpers.ask(maps, _needed_soon(maps, blocks[block.index + 1 :], margin))
        steps = _iter_owned(maps, block, mosaic, margin)
        window, prediction, owned = yield from relay(steps, partial(_in_block, block.index, len(blocks)))
        n_large += owned.cut
        look(overview, seen, block.core, step)
        work.keep_overview(overview)
        write_block(mosaic, work, labels, seen, (window, block.core), prediction, owned)
        if block.index + 1 < len(blocks):
            maps.forget_above(blocks[block.index + 1].core[0].start - margin)
        if block.index % _CHECKED_EVERY == _CHECKED_EVERY - 1:
            _check_unchanged(mosaic, work)
        yield Progress(block.index + 1, len(blocks), _name(block.index, len(blocks)))
    _check_unchanged(mosaic, work)
    if helpers is not None:
        helpers.end()
    yield Progress(len(blocks), len(blocks), "writing the results")
    notes = [*maps.notes, *begun.get("notes", ()), *_notes_on_large(n_large)]
    if not len(work.areas):
        notes = [*(note for note in still_true(notes, 0) if note != UNCERTAIN_SIZE), NO_CELLS]
    return publish(mosaic, work, labels, plane, maps, overview, notes)


def _iter_begin(mosaic: Mosaic, plane: LazyPlane, work: MosaicWork) -> Generator[Progress, None, dict[str, Any]]:
    """Return what a survey of the plane found, in this run or in the one that is resumed."""
    if not mosaic.source:
        work.begin_anew()
    if work.begun is None:
        found = yield from iter_survey(mosaic, plane)
        work.begin(found)
    assert work.begun is not None
    return work.begun


def _name(index: int, n_blocks: int) -> str:
    return f"block {index + 1} of {n_blocks}"


def _in_block(index: int, n_blocks: int, progress: Progress) -> Progress:
    return Progress(index, n_blocks, f"{_name(index, n_blocks)}, {progress.message}")


def _iter_owned(
    maps: TileMaps, block: Block, mosaic: Mosaic, margin: int
) -> Generator[Progress, None, tuple[Region, Prediction, Owned]]:
    """Split a block, with a wider margin where one of its cells needs it."""
    recipe, model = mosaic.recipe, mosaic.model
    assert recipe.threshold is not None
    while True:
        window = block.window(margin, maps.shape)
        if mosaic.helpers is not None:
            yield from mosaic.helpers.iter_share(maps, window)
        yield from maps.iter_make(window)
        prediction = maps.read(window)
        where = (window, block.core, maps.shape)
        raw = maps.plane.raw(window)[0] if recipe.sieve.by_intensity else None
        of = (model.split, recipe.threshold, mosaic.smallest)
        owned = owned_cells(prediction, *of, *where, recipe.sieve, raw, mosaic.reach)
        if not owned.cut or margin >= MOST_MARGIN:
            return window, prediction, owned
        margin = min(2 * margin, MOST_MARGIN)


def _needed_soon(maps: TileMaps, blocks: Sequence[Block], margin: int) -> list[int]:
    """Tiles of the blocks up to a row of blocks ahead, in the order in which they are needed."""
    columns = sum(block.core[0] == blocks[0].core[0] for block in blocks) if blocks else 0
    ahead = blocks[: max(columns, 2) + 1]
    return list(dict.fromkeys(i for block in ahead for i in maps.missing(block.window(margin, maps.shape))))


def _key(mosaic: Mosaic, plane: LazyPlane) -> dict[str, Any]:
    return {
        "recipe": mosaic.digest or mosaic.recipe.digest(mosaic.model),
        "source": dict(mosaic.source),
        "shape": list(plane.shape),
        "dtype": plane.dtype.str,
        "side": mosaic.side,
        "ome_zarr": mosaic.options.ome_zarr,
        "cells": mosaic.measures,
    }


def _check_unchanged(mosaic: Mosaic, work: MosaicWork) -> None:
    if not {"size", "mtime_ns"} <= set(mosaic.source):
        return
    try:
        now = source_stamp(mosaic.source["path"])
        same = all(mosaic.source[name] == value for name, value in now.items())
    except CellsegError:
        same = False
    if not same:
        work.throw_away()
        raise ImageError(
            f"{mosaic.image.title} changed while it was being segmented, so its cells would be those of two images. "
            "Wait until it is written, and run again."
        )


def _margin(diameter: float | None) -> int:
    return min(MOST_MARGIN, max(MARGIN, math.ceil(4 * (diameter or 0))))


def _notes_on_large(n_blocks: int) -> list[str]:
    if not n_blocks:
        return []
    return [
        f"In {n_blocks} blocks a cell reaches further than {MOST_MARGIN} pixels beyond its block, and is cut there. "
        "Such cells are seldom real: look at them, or raise the threshold."
    ]
