"""Labels of all pages of one image, gathered into one file."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..imaging.errors import CellsegError
from ..imaging.image import Image
from ..imaging.memory import check_room
from ..imaging.pages import Page, stack_axes, stack_shape
from ..imaging.writing import write_labels
from .outputs import output_path
from .rows import BatchRow
from .segment import SegmentResult


class Stack:
    """Takes labels page by page, in any order and from any thread, and writes them when it has all.

    Parameters
    ----------
    image : Image
    out : Path
        Folder of the results.
    stem : str
        Beginning of the file name, relative to `out`.
    """

    def __init__(self, image: Image, out: Path, stem: str) -> None:
        self._image, self._out = image, out
        self.path = output_path("labels", out / stem)
        self._lock = threading.Lock()
        shape = stack_shape(image)
        check_room(2 * math.prod(shape), f"{image.title}: its stack of labels", shape)
        self._labels = np.zeros(shape, np.uint16)
        self._results: dict[tuple[int, ...], tuple[BatchRow, dict]] = {}

    def settle(self, page: Page, row: BatchRow, result: SegmentResult | None) -> list[BatchRow]:
        """Take a page in, without a result if it failed; return all rows with the last page, and none before."""
        with self._lock:
            if result is not None:
                if result.labels.dtype.itemsize > self._labels.dtype.itemsize:
                    self._labels = self._labels.astype(np.uint32)
                self._labels[page.position] = result.labels
            self._results[page.position] = (row, {} if result is None else result.metadata)
            if len(self._results) < row.n_pages:
                return []
        rows = [row for _, (row, _) in sorted(self._results.items())]
        failed = next((row for row in rows if row.state == "failed"), None)
        if failed is not None:
            why = f"The stack was not written, because its page {failed.page} failed: {failed.error}"
            return [row if row.state == "failed" else replace(row, state="failed", error=why) for row in rows]
        try:
            self._write(rows)
        except (CellsegError, MemoryError) as error:
            return [
                replace(row, state="failed", error=str(error) or "Not enough memory for the stack.") for row in rows
            ]
        name = self.path.relative_to(self._out).as_posix()
        return [replace(row, files={"labels": name, **row.files}) for row in rows]

    def _write(self, rows: list[BatchRow]) -> None:
        pages = [metadata for _, (_, metadata) in sorted(self._results.items())]
        image = {"name": self._image.name, "size_yx": list(self._image.shape_yx), "sha256": self._image.content_hash()}
        metadata = {
            **pages[0],
            "image": image,
            "notes": list(dict.fromkeys(note for page in pages for note in page["notes"])),
            "count": sum(row.count or 0 for row in rows),
            "counts": {row.page: row.count for row in rows},
        }
        axes = stack_axes(self._image)
        write_labels(self.path, self._labels, metadata=metadata, pixel_size=self._image.pixel_size, axes=axes)
