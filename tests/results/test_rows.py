"""Whether results are those of another image, and whether a user corrected them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_cellseg.imaging.write.write import write_labels
from napari_cellseg.results.rows import BatchRow
from napari_cellseg.results.save import corrected_by_hand, is_corrected


def test_an_image_is_another_by_its_values_or_by_its_place(tmp_path: Path) -> None:
    here, there = tmp_path / "here.tif", tmp_path / "there.tif"
    for path in (here, there):
        path.write_text("")
    row = BatchRow("a.tif", source={"path": str(here)}, image_sha256="1")
    assert not row.is_of_another_image(here, "1") and not row.is_of_another_image(here), "its hash is not known"
    assert row.is_of_another_image(here, "2") and row.is_of_another_image(here, None), "it has no such plane"
    assert row.is_of_another_image(there, "1")
    there.unlink()
    assert row.lies_elsewhere(there) is None and not row.is_of_another_image(there, "1"), "the image was moved"
    assert not BatchRow("a.tif").is_of_another_image(here, "1"), "nothing is known of the row's image"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"corrected": True}, True),
        ({"corrected": False}, False),
        ({"corrected": False, "corrections": {"changed": 1, "erased": 0}}, True),
        ({"corrected cells": {"format": 1}}, True),
        ({"count": 3}, False),
    ],
)
def test_corrections_are_recognized_in_files_of_any_version(
    metadata: dict[str, object], expected: bool, tmp_path: Path
) -> None:
    assert is_corrected(metadata) is expected
    write_labels(tmp_path / "a.tif", np.ones((4, 4), np.uint16), metadata=metadata)
    assert (corrected_by_hand(tmp_path / "a.tif") is not None) is expected
