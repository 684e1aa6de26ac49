"""Stacks whose cells are linked: slices become 3D cells, time points become tracks."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ..imaging.errors import AxesError
from ..imaging.image import Image
from ..imaging.stack_planes import plane_image, stack_axes
from ..imaging.write.write import write_table
from ..instances.linking import Linker, link_cells, without_small
from ..instances.measure import intensity_columns
from ..instances.tracks import tracks_table
from ..instances.volumes import volume_table
from ..segmentation.options import RunOptions
from ..segmentation.recipe import Recipe
from ..segmentation.segmented import Segmented, SegmentResult
from .outputs import CELL_TABLES, write_outputs
from .place import Place
from .rows import BatchRow
from .save import PARTS, channels_of, numbers, save_result
from .stack_of_labels import LabelStack, PlaneDone
from .wells import with_well

TRACKS, FRAMES = "tracks", "frames"
_WORDS = {"z": ("slices", "Z"), "t": ("time points", "T")}
_NOTHING = np.zeros((0, 0), np.float32)


class LinkedStack(LabelStack):
    """A stack in which a cell has one id on all its planes.

    Cells are cut without a smallest size: it would break the links. Once the last plane is there they are linked; then
    those are dropped that are too small, by their voxels over Z, and by their pixels in each frame over T.

    Parameters
    ----------
    image : Image
    recipe : Recipe
        Resolved, and one that links.
    out : Path
    stem : str
    options : RunOptions
        What is written for each image, and how.

    Raises
    ------
    AxesError
        The image lacks the axis along which cells are to be linked.
    """

    keeps_tables = True

    def __init__(self, image: Image, recipe: Recipe, out: Path, stem: str, options: RunOptions) -> None:
        _check_axes(image, recipe.link)
        super().__init__(image, out, stem)
        self._recipe, self._outputs, self._csv = recipe, options.outputs, options.csv
        self._min_size = int(recipe.min_size or 0)
        self._slices = recipe.link == "z"
        self._top_id = 0

    def cut(
        self, segmented: Segmented, outputs: Collection[str], image: Image, stem: str, place: Place
    ) -> tuple[SegmentResult, dict[str, str]]:
        """Cut the cells of a plane, small ones too, and write the outputs that hold no ids."""
        result = segmented.result(min_size=0)
        table = dict(result.table)
        if self._slices and not set(CELL_TABLES).isdisjoint(outputs):
            plane = segmented.plane
            if image.rgb and self._recipe.channel is None and plane.ndim == 2:
                # A grey slice may lie in a colour stack: all slices need the same columns.
                plane = np.stack([plane] * 3, axis=2)
            table.update(intensity_columns(result.labels, channels_of(image, plane)))
        early = [name for name in outputs if name == "probability"]
        written = write_outputs(early, result, segmented.plane, self.out / stem, pixel_size=image.pixel_size)
        files = {name: path.relative_to(self.out).as_posix() for name, path in written.items()}
        return replace(result, table=table, metadata=segmented.metadata()), files

    def all_failed(self, rows: list[BatchRow]) -> list[BatchRow]:
        """Return one failed row for each volume."""
        if not self._slices:
            return rows
        volumes = [list(group) for _, group in groupby(rows, lambda row: _volume_name(row.page))]
        bad = [next((row for row in group if row.state == "failed"), group[0]) for group in volumes]
        return [replace(row, page=_volume_name(row.page), n_pages=len(volumes)) for row in bad]

    def write(self, planes: list[PlaneDone]) -> list[BatchRow]:
        """Link, write everything, and return the rows: one per volume, or one per frame."""
        cut = ((done.plane.position, self.labels[done.plane.position], None) for done in planes)
        linker, lookups = link_cells(cut, self._slices, float(self._recipe.link_iou))
        return self._volumes(planes, lookups) if self._slices else self._frames(planes, lookups, linker)

    def _volumes(self, planes: list[PlaneDone], lookups: list[np.ndarray]) -> list[BatchRow]:
        image = self.image
        counts = self._relabel(planes, self._shown(planes, lookups))
        names = [_volume_name(done.plane.name) for done in planes]
        groups = [list(group) for _, group in groupby(range(len(planes)), names.__getitem__)]
        tables = [
            volume_table(
                [planes[i].table for i in group],
                [lookups[i] for i in group],
                self._min_size,
                image.pixel_size,
                image.slice_spacing,
            )
            for group in groups
        ]
        rows = []
        for group, table in zip(groups, tables, strict=True):
            files: dict[str, str] = {}
            middle = group[len(group) // 2]
            for i in group:
                own = [name for name in self._outputs if name not in ("labels", *CELL_TABLES, "probability")]
                if own or i == middle:
                    saved = self._save_plane(planes[i], own, lookups[i])
                    files = {**saved, **planes[i].row.files} if i == middle else files
            rows.append(self._volume_row([planes[i].row for i in group], table, files, len(groups)))
        volumes = {row.page: row.count for row in rows}
        self.write_labels(
            planes,
            {
                "count": sum(row.count or 0 for row in rows),
                "counts": volumes if len(groups) > 1 else {},
                "cells_per_page": counts,
                "link": self._about(),
            },
        )
        name = self.path.relative_to(self.out).as_posix()
        return [replace(row, files={"labels": name, **row.files}) for row in rows]

    def _volume_row(
        self, rows: Sequence[BatchRow], table: dict[str, np.ndarray], files: dict[str, str], n_volumes: int
    ) -> BatchRow:
        volume_name = _volume_name(rows[0].page)
        if tables := [name for name in CELL_TABLES if name in self._outputs]:
            files |= dict.fromkeys(tables, f"{PARTS}/{self.stem}{f'_{volume_name}' if volume_name else ''}.cells.csv")
            write_table(self.out / files[tables[0]], table)
        image, volume = self.image, table["volume_vox"]
        voxel = None
        if image.pixel_size is not None and image.slice_spacing is not None:
            voxel = image.slice_spacing * image.pixel_size[0] * image.pixel_size[1]
        doubts = [row.doubt for row in rows if row.doubt is not None]
        return replace(
            rows[0],
            page=volume_name,
            n_pages=n_volumes,
            **{**numbers(np.zeros(0), image.pixel_size), "count": len(volume)},
            median_volume_vox=float(np.median(volume)) if len(volume) else None,
            voxel_volume_um3=voxel,
            doubt=float(np.mean(doubts)) if doubts else None,
            notes=tuple(dict.fromkeys(note for row in rows for note in row.notes)),
            files=files,
            image_sha256=self.image_sha256 if n_volumes == 1 else "",
            seconds=sum(row.seconds or 0.0 for row in rows),
        )

    def _frames(self, planes: list[PlaneDone], lookups: list[np.ndarray], linker: Linker) -> list[BatchRow]:
        shown = self._shown(planes, lookups)
        kept = [lookup[done.table["index"]] > 0 for done, lookup in zip(planes, shown, strict=True)]
        counts = self._relabel(planes, shown)
        tracks = tracks_table(
            (
                (done.table["index"][keep], done.table["centroid_y"][keep], done.table["centroid_x"][keep])
                for done, keep in zip(planes, kept, strict=True)
            ),
            lookups,
            linker.parents,
        )
        own = [name for name in self._outputs if name not in ("labels", "probability")]
        rows = []
        for done, lookup, keep in zip(planes, shown, kept, strict=True):
            files = {**self._save_plane(done, own, lookup, keep), **done.row.files}
            found = numbers(done.table["area_px"][keep], self.image.pixel_size, math.prod(self.image.shape_yx))
            rows.append(replace(done.row, **found, files=files))
        more = {"count": sum(counts.values()), "counts": counts, "tracks": tracks.count, "link": self._about()}
        beside = {name: linked_path(name, self.out / self.stem) for name in (TRACKS, FRAMES)}
        write_table(beside[TRACKS], with_well(tracks.columns(), rows[0].well), self._csv)
        write_table(beside[FRAMES], with_well(_frame_columns(rows, self.image), rows[0].well), self._csv)
        # The labels are written last: without them there is no result.
        self.write_labels(planes, more)
        paths = {"labels": self.path, **beside}
        shared = {name: path.relative_to(self.out).as_posix() for name, path in paths.items()}
        return [replace(row, files={**shared, **row.files}) for row in rows]

    def _shown(self, planes: list[PlaneDone], lookups: list[np.ndarray]) -> list[np.ndarray]:
        cells = [(done.table["index"], done.table["area_px"]) for done in planes]
        return without_small(lookups, cells, self._min_size, self._slices)

    def _relabel(self, planes: list[PlaneDone], lookups: list[np.ndarray]) -> dict[str, int]:
        """Give all planes their linked ids; return the number of cells of each."""
        counts = {}
        self._top_id = max(int(lookup.max()) for lookup in lookups)
        self.widen(np.dtype(np.uint16 if self._top_id < 1 << 16 else np.int32))
        for done, lookup in zip(planes, lookups, strict=True):
            self.labels[done.plane.position] = lookup[self.labels[done.plane.position]]
            counts[done.plane.name] = int(np.count_nonzero(lookup))
        return counts

    def _save_plane(
        self, done: PlaneDone, outputs: Sequence[str], lookup: np.ndarray, keep: np.ndarray | None = None
    ) -> dict[str, str]:
        """Write a plane's own outputs with linked ids; the plane is read again, for memory may not hold all of them."""
        image = plane_image(self.image, done.plane)
        labels = self.labels[done.plane.position]
        linked = lookup[done.table["index"]]
        order = np.argsort(linked)
        order = order[np.isin(linked[order], np.unique(labels)) if keep is None else keep[order]]
        table = {name: column[order] for name, column in done.table.items() if not name.startswith("intensity_")}
        table["index"] = linked[order].astype(np.int64)
        result = SegmentResult(
            labels,
            _NOTHING,
            len(order),
            table,
            float(self._recipe.threshold or 0),
            self._min_size,
            {**done.metadata, "count": len(order), "link": self._about()},
        )
        stem = f"{self.stem}_{done.plane.name}"
        # Ids are those of the whole stack.
        place = replace(Place.of_part(image.origin), plane=done.plane, top_id=self._top_id)
        return save_result(outputs, result, image.plane(self._recipe.channel), image, self.out, stem, place)

    def _about(self) -> dict[str, Any]:
        return {"axis": self._recipe.link.upper(), "iou": float(self._recipe.link_iou)}


def linked_path(name: str, stem: Path) -> Path:
    """Return where the table of tracks or of frames of an image lies."""
    return stem.parent / f"{stem.name}_{name}.csv"


def _check_axes(image: Image, link: str) -> None:
    axes = stack_axes(image)
    words, letter = _WORDS[link]
    if letter not in axes:
        raise AxesError(
            f"{image.title} has no {words} to link: its axes are {image.axes} of lengths {tuple(image.data.shape)}. "
            f"Name them if they are wrong, a letter per dimension with one {letter} (on the command line --axes "
            f"{letter}YX, for example), or link nothing (--link none)."
        )
    if link == "t" and "Z" in axes:
        raise AxesError(
            f"{image.title} has slices as well as time points (axes {image.axes}), and only planes are followed over "
            "time. Link the slices of each time point (--link z), or save one slice, or their projection, as a film."
        )


def _volume_name(plane: str) -> str:
    """Return the name of a plane's volume: its time point, or an empty text."""
    return plane.partition("_z")[0] if plane.startswith("t") else ""


def _frame_columns(rows: Sequence[BatchRow], image: Image) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {"t": list(range(len(rows)))}
    if image.frame_interval is not None:
        columns["seconds"] = [t * image.frame_interval for t in columns["t"]]
    columns["count"] = [row.count for row in rows]
    columns["median_area_px"] = [row.median_area_px for row in rows]
    if image.pixel_size is not None:
        scale = image.pixel_size[0] * image.pixel_size[1]
        columns["median_area_um2"] = [None if area is None else area * scale for area in columns["median_area_px"]]
    return columns
