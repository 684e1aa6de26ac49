"""Two windows on one image save into one folder: the corrections of neither are replaced without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cellseg.corrections import tools as edits
from napari_cellseg.corrections.claims import Corrections
from napari_cellseg.corrections.corrected import CorrectedInstances
from napari_cellseg.corrections.exchange import read_corrections
from napari_cellseg.imaging.errors import OutputError
from napari_cellseg.imaging.write.write import read_metadata
from napari_cellseg.results.save_cells import save_cells
from napari_cellseg.results.save_corrected import check_corrections
from napari_cellseg.segmentation.cells import Cells
from tests.segmented import segmented, squares

SAMPLE = squares([(5, 5), (5, 40), (30, 5), (30, 60)])


def window() -> Cells:
    """The cells of the image, as a window has them that nobody corrected in yet."""
    made = segmented((SAMPLE.labels > 0).astype(np.float32), SAMPLE.labels)
    return Cells(made, 0.5, 5, CorrectedInstances(made.instances, Corrections(SAMPLE.labels.shape)))


def correct(window: Cells, tool: Any, *arguments: Any, **options: Any) -> None:
    window.corrected.corrections.apply(tool(window.view, *arguments, **options))


def test_labels_with_corrections_of_another_window_are_not_replaced(tmp_path: Path) -> None:
    first, second = window(), window()
    save_cells(second, tmp_path, "a")
    correct(first, edits.accept, 1)
    labels = save_cells(first, tmp_path, "a")[0]
    correct(second, edits.delete, 2)
    for other in (second, window()):
        with pytest.raises(OutputError, match=r"another window or session .* Open it"):
            save_cells(other, tmp_path, "a")
    assert read_metadata(labels)["corrections"] == {"changed": 1, "erased": 0}
    # Undone, done again and saved again: it is the same window.
    first.corrected.corrections.undo()
    correct(first, edits.accept, 3)
    save_cells(first, tmp_path, "a")
    # The other one goes on from them.
    correct(second, edits.import_labels, **read_corrections(labels, SAMPLE.labels.shape))
    save_cells(second, tmp_path, "a")
    assert read_metadata(labels)["corrections"] == {"changed": 1, "erased": 1}
    correct(first, edits.accept, 4)
    with pytest.raises(OutputError, match="another window"):
        save_cells(first, tmp_path, "a")
    assert len((tmp_path / "counts.csv").read_text().splitlines()) == 2


def test_what_was_taken_over_is_known_up_to_then(tmp_path: Path) -> None:
    first, second = window(), window()
    correct(first, edits.accept, 1)
    labels = save_cells(first, tmp_path, "a")[0]
    correct(second, edits.import_labels, **read_corrections(labels, SAMPLE.labels.shape))
    correct(first, edits.accept, 3)
    save_cells(first, tmp_path, "a")
    with pytest.raises(OutputError, match="another window"):
        save_cells(second, tmp_path, "a")


def test_corrections_of_planes_in_a_stack_are_looked_at_too() -> None:
    mine = Corrections((4, 4))
    held = {"corrected planes": {"t001": {"corrections by": {mine.author: 0, "another": 3}}}}
    with pytest.raises(OutputError, match="another window"):
        check_corrections(Path("a_labels.tif"), held, [mine])
    mine.known["another"] = 3
    check_corrections(Path("a_labels.tif"), held, [mine])
