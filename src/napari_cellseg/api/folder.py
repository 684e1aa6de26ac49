"""Segment a folder from a script, as the Batch widget and the command line do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from ..imaging.progress import drain
from ..imaging.read.finding import find_images, named_apart
from ..imaging.read.ome_zarr.places import allow
from ..results.counts import in_order
from ..results.outputs import check_outputs
from ..results.rows import BatchRow
from .asking import PathOf, RecipeOf, Settings, chosen_recipe

if TYPE_CHECKING:
    import pandas

    from ..batch.events import BatchEvent, BatchSummary


@dataclass(frozen=True, eq=False)
class FolderResult:
    """Result of `segment_folder`.

    Attributes
    ----------
    out : Path
        The folder of results, with ``counts.csv`` and ``recipe.json``.
    rows : tuple of BatchRow
        One per image, or per plane of a stack: count, areas, files, notes and, of a bad image, the error.
    summary : BatchSummary
    """

    out: Path
    rows: tuple[BatchRow, ...]
    summary: BatchSummary

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the rows as a data frame of pandas."""
        import pandas

        return pandas.DataFrame([row.to_dict() for row in self.rows])


def segment_folder(
    images: PathOf | Iterable[PathOf],
    out: PathOf,
    recipe: RecipeOf = None,
    *,
    outputs: Sequence[str] | None = None,
    pattern: str | None = None,
    subfolders: bool = True,
    resume: bool = False,
    overwrite: bool = False,
    scheduler: str | None = None,
    callback: Callable[[BatchEvent], object] | None = None,
    **settings: Unpack[Settings],
) -> FolderResult:
    """Segment folders and files into a folder of results, as the Batch widget and ``napari-cellseg segment`` do.

    Parameters
    ----------
    images : path or iterable of paths
        Files and folders.
    out : path
        Folder for the results; made if missing.
    recipe : Recipe or path, optional
    outputs : sequence of str, optional
        Names of :data:`napari_cellseg.results.outputs.OUTPUTS`; by default those of the recipe file, or labels.
    pattern : str, optional
        Only files of folders that match, such as ``"*.tif"``.
    subfolders : bool
        Whether to look in the folders of a folder.
    resume : bool
        Skip what was done before with the same recipe.
    overwrite : bool
        Also replace labels that were edited manually, and files of other programs.
    scheduler : str, optional
        Address of a Dask cluster that does the work.
    callback : callable, optional
        Called with every event, such as :class:`napari_cellseg.batch.events.RowDone`; it may raise to stop.
    **settings
        Of `Settings`; ``pages``, ``link`` and ``blocks`` do stacks, volumes, tracks and images larger than memory.

    Returns
    -------
    FolderResult

    Raises
    ------
    CellsegError
        The model or the folder cannot be used; a bad image does not raise, its row has an error.
    """
    from ..batch.events import RowDone
    from ..batch.run import iter_batch

    pages = {"pages": "stack"} if settings.get("link") in ("z", "t") else {}
    chosen, options = chosen_recipe(recipe, {**pages, **settings, "outputs": outputs})
    options = replace(options, outputs=check_outputs(options.outputs, chosen))
    given = [images] if isinstance(images, (str, Path)) else list(images)
    for path in given:
        allow(path)
    files = named_apart(find_images(given, pattern, subfolders))
    rows: list[BatchRow] = []

    def on_event(event: BatchEvent) -> None:
        if isinstance(event, RowDone):
            rows.append(event.row)
        if callback is not None:
            callback(event)

    steps = iter_batch(files, Path(out), chosen, options, resume=resume, overwrite=overwrite, scheduler=scheduler)
    summary = drain(steps, on_event)
    return FolderResult(Path(out), tuple(in_order(rows)), summary)
