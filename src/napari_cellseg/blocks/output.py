"""Write the results of a segmentation block by block: labels, table and thumbnail."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..imaging.errors import OutputError
from ..imaging.lazy_plane import LazyPlane
from ..imaging.regions import Region
from ..imaging.stack_planes import plane_named
from ..imaging.write.atomic import atomic_path
from ..imaging.write.write import write_json
from ..imaging.write.zarr_labels import SMALLEST_LEVEL, ZarrLabels, replace_folder
from ..instances.areas import outline_names, outline_notes, regions_table
from ..instances.blocks import Owned
from ..instances.levels import at_least
from ..instances.prediction import Prediction
from ..results.inside import put_inside, source_of
from ..results.outputs import CELL_TABLES
from ..results.overlay import write_thumbnail
from ..results.save import PARTS, THUMBNAIL, write_regions
from ..segmentation.provenance import provenance
from .measuring import BlockCells, Measured, measured
from .plan import BLOCK, Mosaic, MosaicResult
from .work import MosaicWork

if TYPE_CHECKING:
    from ..network.tile_maps import NormalizedPlane, TileMaps


def write_block(
    mosaic: Mosaic,
    work: MosaicWork,
    labels: ZarrLabels,
    seen: NormalizedPlane,
    where: tuple[Region, Region],
    prediction: Prediction,
    owned: Owned,
) -> None:
    """Write the cells that a block owns, and record that the block is finished; `where` is its window and core."""
    window, core = where
    before = labels.read(window)
    unfinished = before > work.n_cells
    before[unfinished] = 0
    # Where two blocks draw a doubtful cell differently, the first one counts.
    mine = np.where(before > 0, 0, owned.labels)
    areas = np.bincount(mine.ravel(), minlength=owned.n_cells + 1)[1:]
    kept = np.flatnonzero(areas >= at_least(mosaic.smallest))
    lookup = np.zeros(owned.n_cells + 1, np.int32)
    lookup[kept + 1] = np.arange(1, len(kept) + 1, dtype=np.int32)
    mine = lookup[mine]
    changed = unfinished | (mine > 0)
    if changed.any():
        box = tuple(
            slice(int(places[0]), int(places[-1]) + 1)
            for places in (np.flatnonzero(changed.any(axis=1 - axis)) for axis in (0, 1))
        )
        region = tuple(slice(b.start + w.start, b.stop + w.start) for b, w in zip(box, window, strict=True))
        ids = mine[box] + np.int32(work.n_cells)
        labels.write((region[0], region[1]), np.where(mine[box] > 0, ids, before[box]))
    found = Measured({})
    if mosaic.measures or mosaic.recipe.calls or mosaic.regions is not None:
        found = measured(mosaic, BlockCells(window, core, mine, (before > 0) | owned.others), seen, prediction)
    rows = found.rows(work.n_cells, seen.shape, work.n_blocks == 0) if mosaic.measures else ""
    work.finish_block(areas[kept], rows, found.about())


def publish(
    mosaic: Mosaic,
    work: MosaicWork,
    labels: ZarrLabels,
    plane: LazyPlane,
    maps: TileMaps,
    overview: np.ndarray,
    notes: Sequence[str],
) -> MosaicResult:
    """Finish the labels, put all results in their places, and delete what is no longer needed."""
    image, out, stem = mosaic.image, mosaic.out, mosaic.stem
    files: dict[str, str] = {}
    notes = [*notes, *work.about.get("notes", ())]
    if mosaic.regions is not None:
        names = list(dict.fromkeys(outline_names(mosaic.regions)))
        filled = [name for name, n in zip(names, work.in_regions["area_px"], strict=True) if n]
        some = [name in filled for name in outline_names(mosaic.regions)]
        notes += outline_notes(mosaic.regions, image.shape_yx, some)
        files |= write_regions(regions_table(names, work.in_regions, image.pixel_size), out, stem)
    metadata = _metadata(mosaic, work, plane, maps, notes)
    labels.finish(metadata, image.pixel_size, image.title)
    files |= {"labels": mosaic.labels.relative_to(out).as_posix(), THUMBNAIL: f"{PARTS}/{stem}.jpg"}
    write_thumbnail(out / files[THUMBNAIL], overview, labels.overview())
    if tables := [name for name in CELL_TABLES if name in mosaic.options.outputs]:
        files |= dict.fromkeys(tables, f"{PARTS}/{stem}.cells.csv")
        with atomic_path(out / files[tables[0]]) as temporary:
            shutil.copyfile(work.cells, temporary)
    if "inside" in mosaic.options.outputs:
        files["inside"] = f"{PARTS}/{stem}.inside.json"
        write_json(out / files["inside"], _put_inside(mosaic, work, labels, metadata))
    replace_folder(work.labels, mosaic.labels)
    areas, numbers = work.areas, work.numbers
    # The results are complete: files that cannot be deleted must not make them fail.
    with contextlib.suppress(OutputError):
        work.throw_away()
    return MosaicResult(files, areas, plane.holes, plane.reason, tuple(notes), metadata, numbers)


def _put_inside(mosaic: Mosaic, work: MosaicWork, labels: ZarrLabels, metadata: dict[str, Any]) -> dict[str, str]:
    height, width = labels.shape

    def copy_labels(inside: ZarrLabels, position: tuple[int, ...]) -> None:
        for y in range(0, height, BLOCK):
            for x in range(0, width, BLOCK):
                region = slice(y, min(y + BLOCK, height)), slice(x, min(x + BLOCK, width))
                inside.write(region, labels.read(region), position)

    def copy_table(path: Path) -> None:
        with atomic_path(path) as temporary, temporary.open("wb") as file, work.cells.open("rb") as cells:
            file.write(cells.readline().replace(b"index", b"label", 1))
            shutil.copyfileobj(cells, file)

    plane = plane_named(mosaic.page) if mosaic.page else None
    return put_inside(source_of(mosaic.image), copy_labels, copy_table, metadata, (height, width), plane)


def look(overview: np.ndarray, seen: NormalizedPlane, core: Region, step: int) -> None:
    """Fill a block's share of the overview of the plane."""
    values, _ = seen.raw(core)
    first = [-part.start % step for part in core]
    share = values[first[0] :: step, first[1] :: step]
    places = tuple(
        slice((part.start + f) // step, (part.start + f) // step + n)
        for part, f, n in zip(core, first, share.shape, strict=False)
    )
    overview[places] = share


def overview_step(shape: tuple[int, int]) -> int:
    """Return the step of the overview in pixels of the plane: as in the last level of the labels."""
    step = 1
    while max(-(-n // step) for n in shape) > SMALLEST_LEVEL:
        step *= 2
    return step


def _metadata(
    mosaic: Mosaic, work: MosaicWork, plane: LazyPlane, maps: TileMaps, notes: Sequence[str]
) -> dict[str, Any]:
    begun = work.begun or {}
    made = provenance(
        mosaic.recipe,
        mosaic.model,
        mosaic.image,
        size_yx=plane.shape[:2],
        min_size=mosaic.smallest,
        count=work.n_cells,
        device=mosaic.options.device,
        blocks=mosaic.options.blocks,
        ran_on=maps.device,
        notes=notes,
        diameter=begun.get("diameter"),
        zoom=begun.get("zoom"),
    )
    if mosaic.recipe.calls:
        made |= {"positive": work.numbers, **({"classes": work.about["classes"]} if work.about.get("classes") else {})}
    return {**made, "block": mosaic.side, "holes": [[[p.start, p.stop] for p in hole] for hole in plane.holes]}
