"""The row of an image that was segmented block by block."""

from __future__ import annotations

from dataclasses import replace

from ..blocks.segment_mosaic import Mosaic, MosaicResult
from ..instances.area_files import BESIDE
from ..results.folder_settings import NO_REGIONS
from ..results.rows import BatchRow
from ..results.save import numbers

GROWN_IN_BLOCKS = "Labels of grown nuclei are not written of an image that is done block by block."


def row_of_blocks(row: BatchRow, found: MosaicResult, mosaic: Mosaic, seconds: float) -> BatchRow:
    """Return a row with the numbers of an image; it fails, without a count, where a block cannot be read."""
    notes = (*found.notes, GROWN_IN_BLOCKS) if mosaic.recipe.grow else found.notes
    notes = (*notes, NO_REGIONS) if mosaic.options.regions == BESIDE and mosaic.regions is None else notes
    row = replace(row, min_size=found.metadata["min_size"], notes=notes, files=found.files, seconds=seconds)
    if not found.holes:
        image = mosaic.image
        row = replace(row, positive=found.positive)
        return replace(
            row, state="done", **numbers(found.areas, image.pixel_size, mosaic.recipe.sieve.field(image.shape_yx))
        )
    # The row has no count, which would be taken for that of the whole image.
    (rows, columns), n_holes = found.holes[0], len(found.holes)
    more = f" and {n_holes - 1} more" if n_holes > 1 else ""
    return replace(
        row,
        state="failed",
        error=f"{row.title}: a part cannot be read (rows {rows.start} to {rows.stop}, columns {columns.start} to "
        f"{columns.stop}{more}): {found.reason} The {found.count} cells of the rest are in {found.files['labels']}. "
        "Copy the image again, and run again.",
    )
