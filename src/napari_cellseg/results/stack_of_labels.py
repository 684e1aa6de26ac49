"""Labels of all pages of one image, gathered into one file."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..imaging.errors import ImageError
from ..imaging.image import Image
from ..imaging.memory import check_room
from ..imaging.pages import Page, stack_axes, stack_shape
from ..imaging.write.write import write_labels
from ..segmentation.segmented import Segmented, SegmentResult, cut_from
from .outputs import output_path
from .rows import BatchRow, failed
from .save import save_result


@dataclass(frozen=True, eq=False)
class Settled:
    """What a stack keeps of a page besides its labels; no result where it failed."""

    page: Page
    row: BatchRow
    table: dict[str, np.ndarray]
    metadata: dict[str, Any]


class Stack:
    """Takes labels page by page, in any order and from any thread, and writes them when it has all.

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
        Returns the rows of the file that is there, if a person corrected it: then it stays.
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
        self._settled: dict[tuple[int, ...], Settled] = {}

    def cut(
        self, segmented: Segmented, outputs: Collection[str], image: Image, stem: str
    ) -> tuple[SegmentResult, dict[str, str]]:
        """Cut the cells of a page and write what is its own; return its result and its files."""
        result = segmented.result()
        # It may have been corrected since it was begun.
        self._is_kept = self._is_kept or bool(self.kept())
        own = [] if self._is_kept else [name for name in outputs if name != "labels"]
        return result, save_result(own, result, segmented.plane, image, self.out, stem)

    def settle(self, page: Page, row: BatchRow, result: SegmentResult | None) -> list[BatchRow]:
        """Take a page in, without a result if it failed; return all rows with the last page, and none before."""
        with self._lock:
            if result is not None:
                self.widen(result.labels.dtype)
                self.labels[page.position] = result.labels
            table = {} if result is None or not self.keeps_tables else result.table
            self._settled[page.position] = Settled(page, row, table, {} if result is None else result.metadata)
            if len(self._settled) < row.n_pages:
                return []
        settled = [page for _, page in sorted(self._settled.items())]
        bad = next((page.row for page in settled if page.row.state == "failed"), None)
        if bad is not None:
            why = ImageError(f"The stack was not written, because its page {bad.page} failed: {bad.error}")
            rows = [page.row for page in settled]
            return self.all_failed([row if row.state == "failed" else failed(row, why) for row in rows])
        try:
            # It may have been corrected while its pages were under way.
            return self.kept() or self.write(settled)
        except Exception as error:  # noqa: BLE001 - other people's readers, and one image must not stop the others
            return self.all_failed([failed(page.row, error) for page in settled])

    @cached_property
    def image_sha256(self) -> str:
        """Hash of all values of the image."""
        return self.image.content_hash()

    def widen(self, dtype: np.dtype) -> None:
        """Make room for greater ids."""
        if dtype.itemsize > self.labels.dtype.itemsize:
            self.labels = self.labels.astype(np.uint32)

    def all_failed(self, rows: list[BatchRow]) -> list[BatchRow]:
        """Return the rows of a stack that has failed."""
        return rows

    def write(self, settled: list[Settled]) -> list[BatchRow]:
        """Write the file, and return the rows."""
        rows = [page.row for page in settled]
        counts = {row.page: row.count for row in rows}
        self.write_labels(settled, {"count": sum(row.count or 0 for row in rows), "counts": counts})
        name = self.path.relative_to(self.out).as_posix()
        return [replace(row, files={"labels": name, **row.files}) for row in rows]

    def write_labels(self, settled: list[Settled], more: dict[str, Any]) -> None:
        """Write the file of labels with its provenance, and `more` of it."""
        image = self.image
        about = {"name": image.name, "size_yx": list(image.shape_yx), "sha256": self.image_sha256}
        about |= cut_from(image.origin)
        metadata = {
            **settled[0].metadata,
            "image": about,
            "notes": list(dict.fromkeys(note for page in settled for note in page.metadata["notes"])),
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
