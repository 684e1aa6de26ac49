"""What the user chose is state of the session, and every recipe is made from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from napari_cellseg.imaging.normalize import NormalizerParams
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.session import Choices, ImageChoices, PlaneKey, Session, ViewerChoices
from tests.session.test_session import discs, segmented

PLANE = PlaneKey("stack", (("T", 3),))


def answered(session: Session, key: Any = "image") -> Session:
    session.choose(key)
    request = session.request(key, discs(), session.recipe_asked())
    assert request is not None
    session.accept(request, replace(segmented(request.image), recipe=request.recipe))
    return session


def test_a_plane_has_the_choices_of_its_stack() -> None:
    choices = Choices()
    seen: list[Any] = []
    choices.changed.connect(seen.append)
    choices.choose_for(PLANE, channel=2)
    assert (
        choices.for_image("stack") == choices.for_image(PLANE) == ImageChoices(channel=2)
        and choices.for_image("other") == ImageChoices()
    )
    choices.choose_for("stack", channel=2)
    choices.choose(accurate=False)
    assert seen == ["stack"], "only a change is announced"
    choices.copy(PLANE, "part")
    choices.choose(accurate=True)
    assert choices.for_image("part").channel == 2 and seen == ["stack", "part", None]


def test_the_recipe_is_what_was_chosen() -> None:
    session = Session(ViewerChoices("mine", "cpu"))
    session.choices.choose(accurate=True)
    session.choices.choose_for("stack", axes="TCYX", channel="0+2", diameter=17.0)
    session.choose(PLANE)
    want = Recipe("mine", channel="0+2", axes="TCYX", diameter=17.0, accurate=True, pages="stack")
    assert session.recipe_asked() == session.recipe_shown() == want
    session.choose_model("cells")
    session.choose("other")
    assert session.recipe_asked() == Recipe("cells", accurate=True)


def test_what_is_shown_is_what_the_cells_were_made_with() -> None:
    session = answered(Session(ViewerChoices("cells")))
    session.set_threshold(0.62)
    session.choose_model("mine")
    session.choices.choose(device="cpu")
    shown = session.recipe_shown()
    assert (shown.model, shown.threshold) == ("cells", 0.62)
    assert shown.model_sha256 == session.cells.segmented.model.sha256
    assert session.recipe_asked().model == "mine"


def test_a_loaded_recipe_sets_the_sliders_at_first_and_its_percentiles_always() -> None:
    loaded = Recipe("mine", threshold=0.7, min_size=33, normalizer=NormalizerParams(2.0, 99.0), diameter=12.0)
    session = Session()
    session.choose("image")
    session.use_recipe(loaded)
    asked = session.recipe_asked()
    assert (asked.threshold, asked.min_size, asked.normalizer, asked.diameter) == (0.7, 33, loaded.normalizer, 12.0)
    answered(session)
    session.set_threshold(0.4)
    assert session.recipe_asked().threshold is None and session.recipe_asked().normalizer == loaded.normalizer
    session.choose_model("cells")
    assert session.recipe_asked() == Recipe("cells", diameter=12.0)
    session.choose_model("mine")
    session.use_recipe(loaded)
    assert session.cells.threshold == pytest.approx(0.7)
