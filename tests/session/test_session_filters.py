"""Filters of a session: one set for all its images, in every recipe that it shows, and in the journal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from napari_cellseg.corrections.tools import accept
from napari_cellseg.instances.filters import AREA, AT_MOST, Filter, Filters
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.session import Session

from .test_session import discs, segmented

SMALL = Filters((Filter(AREA, AT_MOST, 200),))


def with_image(session: Session, key: str) -> None:
    session.choose(key)
    request = session.request(key, discs(), session.recipe_asked())
    assert request is not None
    found = segmented(request.image, request.recipe)
    # As `iter_predict_image` makes it.
    instances = found.instances.filtered(request.recipe.sieve, found.plane)
    assert session.accept(request, replace(found, instances=instances))


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path))
    session = Session()
    session.choose_model("mine")
    for key in ("a", "b"):
        with_image(session, key)
    session.choose("a")
    return session


def test_filters_are_those_of_all_images(session: Session) -> None:
    told: list[object] = []
    session.sliders_changed.connect(told.append)
    assert session.cells is not None and (session.cells.count(), session.cells.n_filtered()) == (9, 0)
    session.set_filters(SMALL)
    session.set_filters(SMALL)
    assert told == ["a", "b"] and not session.differences("a")
    for key in ("a", "b"):
        cells = session.cells_of(key)
        assert cells is not None and cells.filters == SMALL and cells.count() == 5
        assert (cells.n_filtered(), cells.n_left_out()) == (4, 0)
    for recipe in (session.recipe_shown(), session.recipe_asked(), session.recipe_of_panel()):
        assert recipe.sieve == SMALL
    result = session.cells.result()
    assert result.count == len(result.table["index"]) == result.metadata["count"] == 5
    assert result.metadata["recipe"]["filters"] == ["area<=200"] and result.metadata["recipe"]["edges"] == "all"
    with_image(session, "c")
    assert session.cells.count() == 5
    session.use_recipe(Recipe("mine", edges="none"))
    assert session.filters == Filters(edges="none") and session.cells.count() == 9


def test_dropped_cells_are_those_that_threshold_leaves_and_nothing_counts(session: Session) -> None:
    session.set_filters(SMALL)
    session.set_min_size(100)
    cells = session.cells
    assert cells is not None
    dropped, shown = cells.dropped(), cells.view.labels()
    everything = cells.corrected.filtered(Filters()).labels(cells.threshold, 0)
    assert not ((dropped > 0) & (shown > 0)).any() and (dropped + shown == everything).all()
    assert (cells.n_filtered(), cells.n_left_out()) == (4, 2)


def test_what_the_user_corrected_counts_and_the_journal_knows_the_filters(session: Session) -> None:
    assert session.cells is not None
    large = int(session.cells.view.ids()[-1])
    session.edit("a", accept, large)
    session.set_filters(SMALL)
    assert session.cells.count() == 6 and large in session.cells.view.ids()
    session.undo("a")
    assert session.cells.count() == 5
    session.redo("a")
    assert session.cells.count() == 6 and not session.cells.dropped()[session.cells.view.labels() == large].any()
    session.close()
    other = Session()
    other.choose_model("mine")
    with_image(other, "a")
    info = other.recoverable("a")
    assert info is not None and info.header["recipe"]["filters"] == ["area<=200"]
    other.set_filters(SMALL)
    assert other.recover("a", info) == () and other.cells is not None and other.cells.count() == 6
    other.close()
