"""Markers of a session: one list for all its images, in every recipe that it shows, and in the journal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage as ndi
from skimage.segmentation import expand_labels

from napari_cellseg.corrections import tools as edits
from napari_cellseg.corrections.calling import call_cells
from napari_cellseg.imaging.errors import ParamsError
from napari_cellseg.imaging.regions import whole
from napari_cellseg.segmentation.marker import Marker
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.session import Session

from .test_session import discs, segmented

MARKER = Marker("0", 0.6)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path))
    session = Session()
    for key in ("a", "b"):
        session.choose(key)
        request = session.request(key, discs(), Recipe("mine"))
        assert request is not None and session.accept(request, segmented(request.image, request.recipe))
    session.choose("a")
    return session


def test_markers_are_those_of_all_images_and_change_no_cell(session: Session) -> None:
    told: list[str] = []
    session.counting_changed.connect(lambda: told.append("counting"))
    session.sliders_changed.connect(lambda key: told.append("sliders"))
    before, asked = session.cells.count(), session.differences("a")  # type: ignore[union-attr]
    session.set_counting([MARKER], "2px")
    session.set_counting([MARKER], "2.0 px")
    assert told == ["counting"]
    for key in ("a", "b"):
        cells = session.cells_of(key)
        assert cells is not None and (cells.positive, cells.grow) == ((MARKER,), "2px") and cells.count() == before
    assert session.differences("a") == asked
    for recipe in (session.recipe_shown(), session.recipe_asked(), session.recipe_of_panel()):
        assert (recipe.positive, recipe.grow) == ((MARKER,), "2px")
    result = session.cells.result()  # type: ignore[union-attr]
    assert result.counted.numbers["0_pos"] == sum(result.table["0_value"] > 0.6) > 0
    assert result.metadata["recipe"]["positive"] == ["0>0.6"] and result.metadata["positive"] == {"0_pos": 4}


def test_an_image_that_is_segmented_later_is_called_too_and_a_recipe_brings_its_own(session: Session) -> None:
    session.set_counting([MARKER], None)
    session.choose("c")
    request = session.request("c", discs(4), session.recipe_asked())
    assert request is not None and request.recipe.positive == (MARKER,)
    session.accept(request, segmented(request.image, request.recipe))
    assert session.cells is not None and session.cells.positive == (MARKER,)
    session.use_recipe(Recipe("mine", grow="3px"))
    assert session.positive == () and session.grow == "3px" and session.cells.grow == "3px"


def test_corrections_of_nuclei_carry_over_to_their_cells(session: Session) -> None:
    session.set_counting([Marker("0", 0.1, "ring")], "3px")
    before = session.cells.result()  # type: ignore[union-attr]
    erased, larger = before.table["index"][:2].tolist()
    session.edit("a", edits.delete, [erased])
    labels = session.cells.view.labels()  # type: ignore[union-attr]
    more = np.where((labels == 0) & ndi.binary_dilation(labels == larger), larger, labels)
    session.edit("a", edits.painted, whole(labels.shape), more)
    after = session.cells.result()  # type: ignore[union-attr]
    grown, nuclei = after.counted.grown, after.labels
    assert grown is not None and before.counted.grown is not None
    assert erased in before.counted.grown and erased not in grown and erased not in after.table["index"]
    for result in (before, after):
        np.testing.assert_array_equal(result.counted.grown, expand_labels(result.labels, 3))
    assert (grown == larger).sum() > (before.counted.grown == larger).sum() > (nuclei == larger).sum() > 0


def test_what_contradicts_itself_is_refused_and_changes_nothing(session: Session) -> None:
    session.set_counting([MARKER], None)
    with pytest.raises(ParamsError, match="nuclei are not grown"):
        session.set_counting([Marker("0", 0.5, "ring")], None)
    assert session.positive == (MARKER,)


def test_the_journal_knows_markers_and_calls(session: Session) -> None:
    session.set_counting([MARKER], None)
    id_ = int(session.cells.view.ids()[0])  # type: ignore[union-attr]
    session.edit("a", call_cells, id_, "0", True)
    session.set_counting([Marker("0", 0.7)], None)
    session.close()
    other = Session()
    other.choose("a")
    request = other.request("a", discs(), Recipe("mine"))
    assert request is not None and other.accept(request, segmented(request.image, request.recipe))
    info = other.recoverable("a")
    assert info is not None and info.header["recipe"]["positive"] == ["0>0.7"]
    assert other.recover("a", info) == () and other.cells.by_hand == {id_: {"0": True}}  # type: ignore[union-attr]
    other.close()
