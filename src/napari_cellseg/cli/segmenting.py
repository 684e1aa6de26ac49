"""The command ``segment``: images or folders of images, reported in text, or as JSON lines for a program."""

from __future__ import annotations

import argparse
import functools
import sys
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..imaging.errors import CellsegError
from ..imaging.progress import drain
from .common import add_recipe_options, recipe_of
from .plates import write_what_was_found
from .reporting import BarReport, Report, StopRequest, add_report_options, run_reported

if TYPE_CHECKING:
    from ..batch.events import BatchEvent, BatchSummary
    from ..results.rows import BatchRow
    from ..segmentation.options import RunOptions
    from ..segmentation.recipe import Recipe


def add_segment(commands: Any) -> None:
    from ..segmentation.options import RunOptions
    from ..segmentation.recipe import Recipe

    sub = commands.add_parser("segment", help="segment images or folders of images")
    sub.add_argument("input", nargs="*", metavar="INPUT", help="image file, folder, or address of a Zarr image")
    sub.add_argument("--out", required=True, metavar="DIR", help="folder for labels, counts.csv and recipe.json")
    sub.add_argument("--recipe", metavar="FILE", help="recipe.json of an earlier run; the options below override it")
    add_recipe_options(sub)
    helps = {entry.name: entry.metadata["help"] for entry in (*fields(Recipe), *fields(RunOptions))}
    sub.add_argument(
        "--percentiles",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help=f"{helps['normalizer']}; default: the model's",
    )
    sub.add_argument("--pages", choices=("one", "each", "stack"), help=f"{helps['pages']}; default: one")
    linked = f"{helps['link']}; means --pages stack; default: none"
    sub.add_argument("--link", choices=("none", "z", "t"), help=linked)
    sub.add_argument("--link-iou", type=float, metavar="IOU", help=f"{helps['link_iou']}; default: {Recipe.link_iou:g}")
    sub.add_argument(
        "--save",
        metavar="NAMES",
        help="what to write, with commas between: labels, cells, overlay, rois, geojson, probability, rle, "
        "parquet, anndata, inside, submission; default: labels",
    )
    sub.add_argument("--cells", action="store_true", help="also write cells.csv, one row per cell")
    sub.add_argument("--blocks", action="store_true", default=None, help=helps["blocks"])
    sub.add_argument("--regions", metavar="FILE", help=helps["regions"])
    sub.add_argument("--csv", choices=("comma", "semicolon"), help=f"{helps['csv']}; default: comma")
    sub.add_argument("--ome-zarr", choices=("0.5", "0.4"), help=f"{helps['ome_zarr']}; default: 0.5")
    _add_run_options(sub)
    sub.set_defaults(run=run_segment)


def _add_run_options(sub: argparse.ArgumentParser) -> None:
    """Add which images of folders are taken, what is done again, where it runs, and how it is reported."""
    sub.add_argument("--pattern", metavar="GLOB", help="only files of a folder that match, such as '*.tif'")
    sub.add_argument(
        "--scenes",
        metavar="WHICH",
        help="images of a file that holds several (series, positions, scenes): all (default), or numbers from 0 and "
        "names with commas between, such as 0,2",
    )
    sub.add_argument("--no-subfolders", action="store_true", help="do not look in the folders of a folder")
    sub.add_argument("--files-from", metavar="JSON", help="file with a list of images, or of [image, name]")
    sub.add_argument("--address", action="append", default=[], help=argparse.SUPPRESS)
    sub.add_argument("--resume", action="store_true", help="skip what was done before with the same recipe")
    sub.add_argument(
        "--overwrite",
        action="store_true",
        help="also replace label files that were edited manually, and files of other programs",
    )
    sub.add_argument("--scheduler", metavar="ADDRESS", help="let a Dask cluster do it, such as tcp://node1:8786")
    sub.add_argument(
        "--conditions",
        metavar="CSV",
        help="table with a column well, and others with its condition: also write wells.csv and conditions.csv",
    )
    sub.add_argument("--html", action="store_true", help="also write report.html: pictures, counts, what stands out")
    add_report_options(sub, "stop, and keep what is done,")


def run_segment(args: argparse.Namespace) -> int:
    """``napari-cellseg segment``: 1 if any image failed, after doing the others; 0 also when it was stopped."""
    with closing(SegmentText(args.out)) as text:
        if args.report == "text" and not args.stop_on_eof:
            return _run(args, text, None)
        return run_reported(args, lambda: text, _run)


def _run(args: argparse.Namespace, report: Report, stop_request: StopRequest | None) -> int:
    from ..batch.run import iter_batch
    from ..evaluation.conditions_table import read_conditions
    from ..evaluation.plates import CONDITIONS_FILE, WELLS_FILE
    from ..reports.batch_report import REPORT_FILE
    from ..results.origin import check_origin

    files, (recipe, options), out = _files(args), _recipe(args), Path(args.out)
    written = [out / REPORT_FILE] if args.html else []
    if args.conditions:
        read_conditions(Path(args.conditions))
        written += [out / WELLS_FILE, out / CONDITIONS_FILE]
    for path in () if args.overwrite else written:
        check_origin(path)

    def send(event: Any) -> None:
        report.send(event if isinstance(report, SegmentText) else _as_dict(event, args.out))

    stop = None if stop_request is None else lambda: stop_request.given() or report.unread
    steps = iter_batch(
        files, out, recipe, options, resume=args.resume, overwrite=args.overwrite, scheduler=args.scheduler, stop=stop
    )
    with closing(steps):
        summary: BatchSummary = drain(steps, send)
    if args.html or args.conditions:
        write_what_was_found(args, out, tables=bool(args.conditions))
    send(summary)
    return 1 if summary.n_failed else 0


def _files(args: argparse.Namespace) -> list[tuple[Path, str]]:
    from ..imaging.read.finding import each_once, find_images, named_apart
    from ..imaging.read.ome_zarr.places import allow, is_zarr
    from ..imaging.read.scenes import with_scenes
    from ..imaging.read.values.json_file import read_json

    folders = [path for path in args.input if Path(path).is_dir() and not is_zarr(Path(path))]
    if args.pattern is not None and not folders and all(Path(path).exists() for path in args.input):
        raise CellsegError(
            f"--pattern {args.pattern} chooses images of a folder, and no folder was given. Give one, or omit it."
        )
    # Only what is typed is looked up on a network; the window names here what was typed there.
    for address in (*args.input, *args.address):
        allow(address)
    report = functools.partial(print, file=sys.stderr)
    if not args.files_from:
        if not args.input:
            raise CellsegError("Which images? Give files or folders, or a list of them with --files-from.")
        return named_apart(find_images(args.input, args.pattern, not args.no_subfolders, report, args.scenes))
    if args.input:
        raise CellsegError(f"Images are given twice: by name, and in {args.files_from}. Give one of the two.")
    try:
        listed = read_json(Path(args.files_from))
        if not isinstance(listed, list):
            raise TypeError("it holds no list")
        found = each_once(_listed(entry, number) for number, entry in enumerate(listed, 1))
        return named_apart(with_scenes(found, args.scenes, report))
    except (OSError, ValueError, TypeError) as error:
        raise CellsegError(
            f"The list of images {args.files_from} cannot be read ({error}). Give a JSON list of paths, or of pairs of "
            "path and name."
        ) from error


def _listed(entry: Any, number: int) -> tuple[Path, str]:
    from ..imaging.read.scenes import name_of
    from ..imaging.read.values.json_types import is_text, shortened

    path, name = entry if isinstance(entry, list) and len(entry) == 2 else (entry, None)
    if not (is_text(path) and path) or not (name is None or is_text(name)):
        raise ValueError(f"entry {number} is {shortened(entry)}")
    return Path(path), name_of(path) if name is None else name


def _recipe(args: argparse.Namespace) -> tuple[Recipe, RunOptions]:
    from dataclasses import replace

    from ..imaging.normalize import NormalizerParams
    from ..results.outputs import check_outputs

    if args.link in ("z", "t") and args.pages is None:
        args.pages = "stack"
    recipe, options = recipe_of(args)
    if args.link_iou is not None and recipe.link == "none":
        raise CellsegError(
            "--link-iou sets the overlap from which cells are linked, but nothing is linked. Give --link z or --link t "
            "too, or omit it."
        )
    if args.percentiles:
        recipe = replace(recipe, normalizer=NormalizerParams(*args.percentiles))
    names = options.outputs if args.save is None else [name.strip() for name in args.save.split(",") if name.strip()]
    return recipe, replace(options, outputs=check_outputs([*names, *(["cells"] if args.cells else [])]))


def _as_dict(event: BatchEvent | BatchSummary, out: str) -> dict[str, Any]:
    from ..batch.events import BatchSummary, event_dict

    values = event_dict(event)
    return {**values, "out": str(Path(out).absolute())} if isinstance(event, BatchSummary) else values


class SegmentText(BarReport):
    """A batch in text; it takes the events themselves."""

    def __init__(self, out: str) -> None:
        super().__init__()
        self._out = out
        self._n_left: dict[str, int] = {}
        self._n_done = self._n_images = 0

    def send(self, event: Any) -> None:
        """Report one event."""
        from ..batch import events
        from ..imaging.progress import Note

        if isinstance(event, events.Planned):
            self._n_images = len(event.images)
            self.advance(0, self._n_images, "image")
        elif isinstance(event, events.Step):
            self.describe(f"{event.message} {event.done / event.total:.0%}" if event.total else event.message)
        elif isinstance(event, events.RowDone):
            self._row(event.row)
        elif isinstance(event, Note):
            self.write(event.text, file=sys.stderr)
        elif isinstance(event, events.BatchSummary):
            self.close()
            self._end(event)

    def _row(self, row: BatchRow) -> None:
        left = self._n_left.get(row.stem, row.n_pages) - 1
        self._n_left[row.stem] = left
        if left <= 0:
            self._n_done += 1
            self.advance(self._n_done, self._n_images, "image")
        self.write(*(f"{row.title}: {note}" for note in (*row.notes, row.error) if note), file=sys.stderr)
        if not row.error:
            how = {"skipped": " (done before)", "kept": " (edited manually, left as it is)"}.get(row.state, "")
            self.write(f"{row.title}: {row.count} cells{how}")

    def _end(self, summary: BatchSummary) -> None:
        n_good = summary.n_done + summary.n_skipped + summary.n_kept
        parts = [f"{n_good} of {n_good + summary.n_failed} images", f"{summary.n_cells} cells"]
        parts += [f"{summary.n_skipped} done before"] if summary.n_skipped else []
        parts += [f"{summary.n_kept} edited manually and left as they are"] if summary.n_kept else []
        stopped = "stopped; " if summary.stopped else ""
        print(f"{stopped}{', '.join(parts)}; results in {self._out}")
