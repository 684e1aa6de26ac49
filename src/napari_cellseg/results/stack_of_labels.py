"""Labels of all planes of one image, gathered into one file."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..imaging.errors import CellsegError, ImageError
from ..imaging.image import Image
from ..imaging.memory import check_room
from ..imaging.stack_planes import StackPlane, stack_axes, stack_shape
from ..imaging.write.write import write_labels
from ..segmentation.counting import NOTHING
from ..segmentation.provenance import cut_from
from ..segmentation.segmented import Segmented, SegmentResult
from .outputs import output_path
from .place import Place
from .rows import BatchRow, failed
from .save import save_result


@dataclass(frozen=True, eq=False)
class PlaneDone:
    """A plane of a stack, without its labels; without a table and metadata where the plane failed."""

    plane: StackPlane
    row: BatchRow
    table: dict[str, np.ndarray]
    metadata: dict[str, Any]


class LabelStack:
    """Takes labels plane by plane, in any order and from any thread, and writes them when all are there.

    Parameters
    ----------
    image : Image
    out : Path
        Folder of the results.
    stem : str
        Beginning of the file name, relative to `out`.

    Attributes
    ----------
    kept : callable
        Returns the rows of an existing file that a user corrected, which is kept; else an empty list.
    """

    keeps_tables = False
    kept: Callable[[], list[BatchRow]]

    def __init__(self, image: Image, out: Path, stem: str) -> None:
        self.image, self.out, self.stem, self.kept = image, out, stem, list
        self._is_kept = False
        self.path = output_path("labels", out / stem)
        self._lock = threading.Lock()
        shape = stack_shape(image)
        check_room(2 * math.prod(shape), f"{image.title}: its stack of labels", shape)
        self.labels = np.zeros(shape, np.uint16)
        self._taken: dict[tuple[int, ...], PlaneDone] = {}

    def cut(
        self, segmented: Segmented, outputs: Collection[str], image: Image, stem: str, place: Place
    ) -> tuple[SegmentResult, dict[str, str]]:
        """Cut the cells of a plane and write its own outputs; return its result and its files."""
        result = segmented.result()
        # A user may have corrected it since the batch began.
        self._is_kept = self._is_kept or bool(self.kept())
        own = [] if self._is_kept else [name for name in outputs if name != "labels"]
        shown = replace(result, counted=NOTHING) if self._is_kept else result
        return result, save_result(own, shown, segmented.plane, image, self.out, stem, place)

    def take(self, plane: StackPlane, row: BatchRow, result: SegmentResult | None) -> list[BatchRow]:
        """Take a plane, without a result if it failed; return all rows with the last plane, and none before."""
        with self._lock:
            try:
                if result is not None:
                    self.widen(result.labels.dtype)
                    self.labels[plane.position] = result.labels
            except (CellsegError, MemoryError) as error:
                row, result = failed(row, error), None
            table = {} if result is None or not self.keeps_tables else result.table
            self._taken[plane.position] = PlaneDone(plane, row, table, {} if result is None else result.metadata)
            if len(self._taken) < row.n_pages:
                return []
        planes = [done for _, done in sorted(self._taken.items())]
        bad = next((done.row for done in planes if done.row.state == "failed"), None)
        if bad is not None:
            why = ImageError(f"The stack was not written, because its plane {bad.page} failed: {bad.error}")
            rows = [done.row for done in planes]
            return self.all_failed([row if row.state == "failed" else failed(row, why) for row in rows])
        try:
            # A user may have corrected it meanwhile.
            return self.kept() or self.write(planes)
        except Exception as error:  # noqa: BLE001 - readers of other packages; one image must not stop the others
            return self.all_failed([failed(done.row, error) for done in planes])

    @cached_property
    def image_sha256(self) -> str:
        """Hash of all values of the image."""
        return self.image.content_hash()

    def widen(self, dtype: np.dtype) -> None:
        """Make room for greater ids.

        Raises
        ------
        MemoryTooSmallError
            There is no room for the wider labels, which lie beside the old ones for a moment.
        """
        if dtype.itemsize > self.labels.dtype.itemsize:
            shape = self.labels.shape
            check_room(4 * self.labels.size, f"{self.image.title}: its stack of more than 65,535 labels", shape)
            self.labels = self.labels.astype(np.uint32)

    def all_failed(self, rows: list[BatchRow]) -> list[BatchRow]:
        """Return the rows of a stack that has failed."""
        return rows

    def write(self, planes: list[PlaneDone]) -> list[BatchRow]:
        """Write the file, and return the rows."""
        rows = [done.row for done in planes]
        counts = {row.page: row.count for row in rows}
        self.write_labels(planes, {"count": sum(row.count or 0 for row in rows), "counts": counts})
        name = self.path.relative_to(self.out).as_posix()
        return [replace(row, files={"labels": name, **row.files}) for row in rows]

    def write_labels(self, planes: list[PlaneDone], more: dict[str, Any]) -> None:
        """Write the file of labels with its provenance, and `more` of it."""
        image = self.image
        about = {"name": image.name, "size_yx": list(image.shape_yx), "sha256": self.image_sha256}
        about |= cut_from(image.origin)
        metadata = {
            **planes[0].metadata,
            "image": about,
            "notes": list(dict.fromkeys(note for done in planes for note in done.metadata["notes"])),
            **more,
        }
        write_labels(
            self.path,
            self.labels,
            metadata=metadata,
            pixel_size=image.pixel_size,
            axes=stack_axes(image),
            slice_spacing=image.slice_spacing,
            frame_interval=image.frame_interval,
        )
