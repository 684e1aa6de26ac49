"""A network of another package in the window: live sliders, corrections, a batch, and counts checked by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_cellseg.batch.run import iter_batch
from napari_cellseg.corrections import tools as edits
from napari_cellseg.evaluation.doctor import SAMPLE
from napari_cellseg.gui.check.check_widget import AgreementWidget
from napari_cellseg.gui.check.known import Agreements
from napari_cellseg.imaging.progress import drain
from napari_cellseg.imaging.read.finding import find_images
from napari_cellseg.imaging.read.read import read_image
from napari_cellseg.imaging.write.write import read_labels
from napari_cellseg.network import plugged
from napari_cellseg.segmentation.recipe import Recipe

from ..conftest import layers_of, press_segment, settled
from .test_check import dock, type_count
from .test_check import settled as checked


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the small package of networks where installed ones are found."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "network" / "tiny_networks"))
    plugged._load.cache_clear()


def test_all_that_our_own_network_has(widget: Any, viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    widget.bench.layers.set_numbers(False)
    section, session = widget.model_section, widget.session
    section.refresh()
    box = section.model
    box.setCurrentIndex(box.findData("network:blobs"))
    box.activated.emit(box.currentIndex())
    assert section.model_name == "network:blobs"
    plane = read_image(SAMPLE).plane()
    counts = []
    for size in (120, 130, 140, 150, 160):
        viewer.add_image(plane[:size, :size], name=f"n{size}")
        press_segment(widget, qtbot)
        session.set_threshold(0.5)
        session.set_min_size(20)
        settled(widget, qtbot)
        counts.append(session.cells.count())
    assert session.cells.segmented.recipe.model == "network:blobs" and min(counts) > 5
    # The interval is that of this network's counts.
    agree: AgreementWidget = dock(viewer)
    checked(agree, qtbot)
    for row, count in enumerate(counts):
        type_count(agree, row, str(count - 1), qtbot)
    found = widget.bench.part(Agreements).agreement()
    expected = found.interval(counts[-1])
    assert found.n == 5 and found.bias == 1
    assert widget.cells_section.interval.text() == f"({expected.low} to {expected.high})"
    # As saved, a batch does it again.
    tifffile.imwrite(tmp_path / "a.tif", plane[:160, :160])
    widget.result_section.save_recipe_to(tmp_path / "recipe.json")
    shown = np.asarray(layers_of(widget).labels.data).copy()
    recipe = Recipe.read(tmp_path / "recipe.json")
    assert drain(iter_batch(find_images([tmp_path / "a.tif"]), tmp_path / "out", recipe)).n_done == 1
    np.testing.assert_array_equal(read_labels(tmp_path / "out" / "a_labels.tif") > 0, shown > 0)
    # The sliders are live, and corrections do not go with them.
    ids = session.cells.corrected.ids(0.5, 20)
    erased, kept = shown == ids[0], shown == ids[1]
    session.edit(session.chosen, edits.delete, [int(ids[0])])
    session.edit(session.chosen, edits.accept, [int(ids[1])])
    for threshold in (0.2, 0.95):
        session.set_threshold(threshold)
        settled(widget, qtbot)
        labels = np.asarray(layers_of(widget).labels.data)
        assert not labels[erased].any() and labels[kept].all()
    assert session.cells.count() < counts[-1]
    # Numbers that were hidden meanwhile are those of the cells.
    widget.bench.layers.set_numbers(True)
    qtbot.wait(50)
    assert len(layers_of(widget).points.data) == session.cells.count()
    press_segment(widget, qtbot)
    labels = np.asarray(layers_of(widget).labels.data)
    assert session.cells.n_erased == 1 and not labels[erased].any() and labels[kept].all()
