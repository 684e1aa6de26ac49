"""Labels of all planes in one array: it grows where ids need it, and only where there is room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_cellseg.imaging.from_array import as_image
from napari_cellseg.imaging.stack_planes import planes_of
from napari_cellseg.imaging.write.write import read_label_stack
from napari_cellseg.results.rows import BatchRow
from napari_cellseg.results.stack_of_labels import LabelStack
from napari_cellseg.segmentation.segmented import SegmentResult

SHAPE = (2, 32, 32)


def result_of(greatest: int) -> SegmentResult:
    labels = np.zeros(SHAPE[1:], np.int32 if greatest > 65_535 else np.uint16)
    labels[4:9, 4:9] = greatest
    table = {"index": np.array([greatest])}
    return SegmentResult(labels, np.zeros(SHAPE[1:], np.float32), 1, table, 0.5, 0, {"notes": []})


def take(out: Path, greatest: tuple[int, ...]) -> tuple[LabelStack, list[BatchRow]]:
    image = as_image(np.zeros(SHAPE, np.uint8), "TYX", name="film")
    stack, rows = LabelStack(image, out, "film"), []
    for page, id_ in zip(planes_of(image), greatest, strict=True):
        row = BatchRow("film.tif", page.name, "done", 1, stem="film", n_pages=2)
        rows = stack.take(page, row, result_of(id_))
    return stack, rows


def test_ids_beyond_16_bits_are_kept(tmp_path: Path) -> None:
    _, rows = take(tmp_path, (7, 70_000))
    labels, axes = read_label_stack(tmp_path / "film_labels.tif")
    assert axes == "TYX" and [int(plane.max()) for plane in labels] == [7, 70_000]
    assert [row.state for row in rows] == ["done", "done"]


def test_wider_labels_that_do_not_fit_fail_the_image_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_cellseg.imaging.memory._SMALL", 0)
    # Room for the stack itself and not for a wider one.
    monkeypatch.setattr("napari_cellseg.imaging.memory.free_bytes", lambda: 3 * int(np.prod(SHAPE)))
    stack, rows = take(tmp_path, (7, 70_000))
    assert stack.labels.dtype == np.uint16 and not (tmp_path / "film_labels.tif").exists()
    assert [row.state for row in rows] == ["failed", "failed"] and "does not fit into memory" in rows[1].error
