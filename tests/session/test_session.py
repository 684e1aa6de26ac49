"""The session without any window: who is asked, whose answer counts, what the sliders do."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellseg.imaging.errors import CellsegError, ParamsError
from napari_cellseg.imaging.from_array import as_image
from napari_cellseg.imaging.image import Image
from napari_cellseg.imaging.normalize import NormalizerParams
from napari_cellseg.imaging.progress import Progress
from napari_cellseg.instances.live import Instances
from napari_cellseg.instances.params import SplitParams
from napari_cellseg.instances.prediction import Prediction
from napari_cellseg.network.config import UNetConfig
from napari_cellseg.network.versions import ModelVersion
from napari_cellseg.segmentation.answer import iter_answer
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.segmentation.segmented import Segmented
from napari_cellseg.session import DRAG, OPEN_AN_IMAGE, PRESS_AGAIN, PRESS_SEGMENT, Session


def discs(n: int = 9, size: int = 96) -> Image:
    """An image of discs that differ in size and brightness."""
    y, x = np.mgrid[:size, :size]
    picture = np.zeros((size, size), np.float32)
    side = math.ceil(math.sqrt(n))
    for i in range(n):
        cy, cx = (np.array(divmod(i, side)) + 0.5) * size / side
        inside = (y - cy) ** 2 + (x - cx) ** 2 < (4 + i) ** 2
        picture[inside] = 0.35 + 0.06 * i
    return as_image(picture, name="discs")


def segmented(image: Image, recipe: Recipe | None = None, threshold: float = 0.3, min_size: int = 10) -> Segmented:
    """What a model that takes brightness for probability would say."""
    plane = image.plane()
    model = ModelVersion(
        "mine",
        Path("mine"),
        UNetConfig(),
        NormalizerParams(),
        SplitParams(),
        threshold,
        min_size,
        "0" * 64,
    )
    prediction = Prediction(plane.astype(np.float32), None, model="mine", device="CPU (float32)")
    instances = Instances.from_prediction(prediction)
    return Segmented(image, plane, prediction, instances, model, recipe or Recipe("mine"))


@pytest.fixture
def session() -> Session:
    """A session in which an image was chosen and segmented."""
    session = Session()
    session.choose("a")
    request = session.request("a", discs(), Recipe("mine"))
    assert request is not None
    assert session.accept(request, segmented(request.image, request.recipe))
    return session


def test_says_what_to_do_next() -> None:
    session = Session()
    assert session.state.sentence == OPEN_AN_IMAGE
    session.choose("a")
    session.choose_model("mine")
    assert session.state.sentence == PRESS_SEGMENT
    request = session.request("a", discs(), Recipe("mine"))
    assert request is not None and session.state.kind == "running" and "discs" in session.state.sentence
    session.accept(request, segmented(request.image))
    assert session.state.sentence == DRAG
    session.choose_model("other")
    assert session.state.sentence == PRESS_AGAIN
    session.choose_model("mine")
    assert session.state.sentence == DRAG


def test_a_second_press_does_not_run_twice() -> None:
    session = Session()
    first = session.request("a", discs(), Recipe("mine"))
    assert first is not None
    assert session.request("a", discs(), Recipe("mine")) is None
    assert session.request("b", discs(), Recipe("mine")) is None
    assert session.running is first


def test_answers_to_old_questions_are_dropped() -> None:
    session = Session()
    session.choose("a")
    old = session.request("a", discs(), Recipe("mine"))
    assert old is not None
    session.cancel()
    new = session.request("a", discs(), Recipe("mine"))
    assert new is not None
    seen: list[Progress] = []
    session.progress_changed.connect(seen.append)
    session.report(old, Progress(1, 2))
    assert not session.accept(old, segmented(old.image))
    assert not session.fail(old, CellsegError("too late"))
    assert session.cells is None and session.running is new and not seen
    assert session.accept(new, segmented(new.image))


def test_the_answer_for_an_image_that_went_away_is_dropped() -> None:
    session = Session()
    session.choose("a")
    request = session.request("a", discs(), Recipe("mine"))
    assert request is not None
    session.choose(None)
    session.forget("a")
    assert session.running is None
    assert not session.accept(request, segmented(request.image))
    assert session.cells_of("a") is None and session.state.sentence == OPEN_AN_IMAGE


def test_sliders_moved_meanwhile_stay_where_they_are(session: Session) -> None:
    def again(model: str = "mine", moved: float | None = None) -> tuple[float, int]:
        request = session.request("a", discs(), Recipe(model))
        assert request is not None and session.cells is not None
        if moved is not None:
            session.set_threshold(moved)
        assert session.accept(request, segmented(request.image, request.recipe))
        return session.cells.threshold, session.cells.min_size

    assert again() == (0.3, 10)
    assert again(moved=0.7) == (0.7, 10)
    assert again() == (0.7, 10)
    # Sliders say nothing of what another model answers.
    assert again("other", moved=0.5) == (0.3, 10)


def test_a_failure_keeps_what_was_there(session: Session) -> None:
    before = session.cells
    request = session.request("a", discs(), Recipe("other"))
    session.fail(request, CellsegError("There is no model 'other'. Choose one."))
    assert session.cells is before
    assert (session.state.kind, session.state.sentence) == ("failed", "There is no model 'other'. Choose one.")
    assert session.request("a", discs(), Recipe("mine")) is not None


def test_every_image_keeps_its_own_result(session: Session) -> None:
    session.set_threshold(0.6)
    session.choose("b")
    assert session.cells is None
    request = session.request("b", discs(4), Recipe("mine"))
    assert request is not None
    session.accept(request, segmented(request.image, request.recipe))
    session.set_min_size(100)
    assert session.cells_of("a").threshold == 0.6 and session.cells_of("a").min_size == 10  # type: ignore[union-attr]
    assert session.cells_of("b").threshold == 0.3 and session.cells_of("b").min_size == 100  # type: ignore[union-attr]


def test_a_second_run_of_the_same_model_keeps_the_sliders(session: Session) -> None:
    session.set_threshold(0.7)
    session.set_min_size(33)
    again = session.request("a", discs(), Recipe("mine"))
    assert again is not None and (again.recipe.threshold, again.recipe.min_size) == (0.7, 33)
    session.cancel()
    session.set_min_size(10)
    usual = session.request("a", discs(), Recipe("mine"))
    assert usual is not None and usual.recipe.min_size is None, "nobody chose it: it may suit another diameter"
    session.cancel()
    other = session.request("a", discs(), Recipe("other"))
    assert other is not None and other.recipe.threshold is None


@settings(max_examples=40, deadline=None)
@given(threshold=st.floats(0, 1), min_size=st.integers(0, 600))
def test_count_is_that_of_the_labels(threshold: float, min_size: int) -> None:
    session = Session()
    session.choose("a")
    request = session.request("a", discs(), Recipe("mine"))
    assert request is not None
    session.accept(request, segmented(request.image))
    session.set_threshold(threshold)
    session.set_min_size(min_size)
    cells = session.cells
    assert cells is not None
    result = cells.result()
    assert cells.count() == result.count == np.count_nonzero(np.unique(result.labels)) == len(result.table["index"])
    assert cells.covered() == pytest.approx(np.count_nonzero(result.labels) / result.labels.size)
    assert result.metadata["count"] == result.count
    assert result.metadata["recipe"]["threshold"] == cells.threshold


def test_sliders_announce_changes_only(session: Session) -> None:
    seen: list[object] = []
    session.sliders_changed.connect(seen.append)
    session.set_threshold(0.5)
    session.set_threshold(0.5)
    session.set_min_size(10)
    assert seen == ["a"]
    with pytest.raises(ParamsError, match="0 to 1"):
        session.set_threshold(1.2)
    with pytest.raises(ParamsError, match="pixels"):
        session.set_min_size(-1)


def test_a_problem_is_told_while_something_runs(session: Session) -> None:
    request = session.request("a", discs(), Recipe("mine"))
    session.fail(None, "The disk is full. Free space and save again.")
    assert session.running is request
    assert (session.state.kind, session.state.sentence) == ("running", "The disk is full. Free space and save again.")


def test_an_image_without_cells() -> None:
    session = Session()
    session.choose("a")
    request = session.request("a", as_image(np.zeros((8, 8), np.float32)), Recipe("mine"))
    assert request is not None
    session.accept(request, segmented(request.image))
    cells = session.cells
    assert cells is not None and cells.count() == 0 and math.isnan(cells.median_diameter())
    assert all(math.isnan(end) for end in cells.stable_stretch())
    assert cells.result().count == 0


def test_answer_carries_result_and_centroids(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session()
    request = session.request("a", discs(), Recipe("mine"))
    assert request is not None

    def predict(image: Image, recipe: Recipe, device: str = "auto"):  # type: ignore[no-untyped-def]
        yield Progress(1, 2, "half")
        return segmented(image, recipe)

    monkeypatch.setattr(sys.modules["napari_cellseg.segmentation.segment"], "iter_predict_image", predict)
    steps = iter_answer(request.image, request.recipe)
    seen = [next(steps), next(steps)]
    with pytest.raises(StopIteration) as stop:
        next(steps)
    answer = stop.value.value
    assert seen[0].message == "half"
    assert answer.result.count == answer.segmented.instances.count(0.3, 10)
    assert answer.segmented.instances.centroids.shape == (answer.segmented.instances.n_basins, 2)


@pytest.mark.parametrize("error", [RuntimeError("CUDA error: device lost"), MemoryError()])
def test_errors_that_workers_would_swallow_become_ours(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def predict(image: Image, recipe: Recipe, device: str = "auto"):  # type: ignore[no-untyped-def]
        yield Progress(0, 1)
        raise error

    monkeypatch.setattr(sys.modules["napari_cellseg.segmentation.segment"], "iter_predict_image", predict)
    request = Session().request("a", discs(), Recipe("mine"))
    assert request is not None
    with pytest.raises(CellsegError, match="discs") as caught:
        list(iter_answer(request.image, request.recipe))
    assert not isinstance(caught.value, RuntimeError)


def test_importing_the_session_loads_neither_qt_nor_torch() -> None:
    code = (
        "import sys, napari_cellseg.session\n"
        "print([n for n in ('torch', 'qtpy', 'napari', 'PySide6', 'superqt') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
