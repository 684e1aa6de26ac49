"""Adding the image that is shown to the training set: what is written is what is on the screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_cellseg.corrections import tools as edits
from napari_cellseg.gui.train.add_entry import add_current, write_entry
from napari_cellseg.gui.train.job import TrainJob
from napari_cellseg.gui.viewer.correcting import Correcting
from napari_cellseg.imaging.errors import CellsegError
from napari_cellseg.imaging.image import Origin
from napari_cellseg.training.data.training_set import TrainingSet, default_training_set

from ..conftest import draw_discs

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the person's own, where nothing is yet."""
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


class Told:
    """What was said, and what was asked."""

    def __init__(self) -> None:
        self.said: list[tuple[str, bool]] = []
        self.asked: list[str] = []
        self.yes: Callable[[], Any] | None = None

    def tell(self, text: str, bad: bool) -> None:
        self.said.append((text, bad))

    def ask(self, text: str, yes: str, no: str, then: Callable[[], Any]) -> None:
        self.asked.append(text)
        self.yes = then


@pytest.fixture
def told() -> Told:
    return Told()


def add(widget: Any, told: Told, qtbot: Any, **options: Any) -> None:
    work = add_current(widget.bench, ask=told.ask, report=told.tell, **options)
    qtbot.waitUntil(lambda: not work.busy, timeout=20_000)


def ids(widget: Any) -> list[int]:
    cells = widget.session.cells
    return [int(i) for i in cells.corrected.ids(cells.threshold, cells.min_size)]


def test_without_an_image_or_cells_it_is_said_what_to_do(widget: Any, viewer: Any) -> None:
    with pytest.raises(CellsegError, match="There is no image"):
        add_current(widget.bench)
    viewer.add_image(draw_discs(), name="discs")
    with pytest.raises(CellsegError, match="'discs' was not segmented yet"):
        add_current(widget.bench)


def test_nothing_reviewed_is_nothing_to_learn_from(segmented: Any, told: Told, qtbot: Any) -> None:
    add(segmented, told, qtbot)
    ((text, bad),) = told.said
    assert bad and "Nothing of 'discs' is reviewed yet" in text
    assert not default_training_set().exists()


def test_what_is_written_is_what_is_shown(segmented: Any, told: Told, qtbot: Any) -> None:
    key, session = segmented.session.chosen, segmented.session
    erased, accepted = ids(segmented)[:2]
    session.edit(key, edits.delete, [erased])
    session.edit(key, edits.accept, [accepted])
    changed: list[Any] = []
    TrainJob.for_bench(segmented.bench).set_changed.connect(changed.append)
    add(segmented, told, qtbot)
    ((text, bad),) = told.said
    assert not bad and "Added" in text and changed == [default_training_set()]
    opened = TrainingSet.open(default_training_set())
    (entry,) = opened.entries()
    sample, cells = opened.read(entry.name), session.cells
    shown = cells.result()
    assert not entry.problem and np.array_equal(sample.labels, shown.labels)
    assert np.array_equal(sample.image, cells.segmented.plane)
    reviewed = cells.corrected.reviewed_area(cells.threshold, cells.min_size)
    assert np.array_equal(sample.reviewed, reviewed) and 0 < reviewed.mean() < 1
    assert sample.reviewed[sample.labels == accepted].all()
    assert entry.provenance["corrections"] == {"changed": 1, "erased": 1}
    assert entry.provenance["recipe"]["model"] == cells.segmented.recipe.model
    assert sample.group == cells.segmented.image_sha256


def test_what_was_taken_from_one_file_is_one_group(segmented: Any, tmp_path: Path, monkeypatch: Any) -> None:
    session, monkey = segmented.session, monkeypatch
    session.edit(session.chosen, edits.accept, ids(segmented)[:1])
    cells = session.cells
    for plate in ("plate1", "plate2"):
        (tmp_path / plate).mkdir()
        (tmp_path / plate / "A01.tif").touch()

    def group(whole: str = "", **about: Any) -> str:
        image = replace(cells.segmented.image, **about)
        of = replace(cells, segmented=replace(cells.segmented, image=image))
        entry = write_entry(of, tmp_path / "set", "discs", replace=True, whole=whole)
        return TrainingSet.open(tmp_path / "set").read(entry.name).group

    first, second = (str(tmp_path / plate / "A01.tif") for plate in ("plate1", "plate2"))
    assert group(source=first) == group(origin=Origin(first, (0, 9))) == group("A01", source=first) == first
    assert group(source=second) == second
    monkey.chdir(tmp_path / "plate2")
    assert group(source="A01.tif") == group(origin=Origin("A01.tif", (0, 0))) == second
    assert group("movie") == "movie" and group(origin=Origin("slide", (0, 0))) == "slide"
    assert group() == cells.segmented.image_sha256


def test_the_same_image_again_asks_and_replaces(segmented: Any, told: Told, qtbot: Any) -> None:
    key, session = segmented.session.chosen, segmented.session
    session.edit(key, edits.accept, ids(segmented)[:1])
    add(segmented, told, qtbot)
    opened = TrainingSet.open(default_training_set())
    (before,) = opened.entries()
    labels = opened.read(before.name).labels
    session.edit(key, edits.delete, ids(segmented)[-1:])
    add(segmented, told, qtbot)
    assert len(told.asked) == 1 and f"already, as '{before.name}'" in told.asked[0]
    assert np.array_equal(opened.read(before.name).labels, labels)
    assert opened.provenance(before.name)["corrections"] == {"changed": 1, "erased": 0}
    told.yes()
    qtbot.waitUntil(lambda: len(told.said) == 2, timeout=20_000)
    assert "Replaced" in told.said[-1][0] and opened.names() == [before.name]
    assert len(np.unique(opened.read(before.name).labels)) == len(np.unique(labels)) - 1
    assert opened.provenance(before.name)["corrections"] == {"changed": 1, "erased": 1}


def test_without_a_panel_a_dialog_asks(segmented: Any, qtbot: Any) -> None:
    said: list[tuple[str, bool]] = []
    segmented.bench.part(Correcting).reported.connect(lambda text, bad: said.append((text, bad)))
    segmented.session.edit(segmented.session.chosen, edits.accept, ids(segmented)[:1])
    for answer in (None, "Leave it", "Replace it"):
        n_said = len(said)
        work = add_current(segmented.bench)
        qtbot.waitUntil(lambda work=work: not work.busy, timeout=20_000)
        boxes = [w for w in QApplication.topLevelWidgets() if isinstance(w, QMessageBox) and w.isVisible()]
        assert len(boxes) == (answer is not None)
        for box in boxes:
            (button,) = [b for b in box.buttons() if b.text().replace("&", "") == answer]
            qtbot.mouseClick(button, LEFT)
        if answer != "Leave it":
            qtbot.waitUntil(lambda n=n_said: len(said) > n, timeout=20_000)
    assert [text.split(" ")[0] for text, bad in said if not bad][-2:] == ["Added", "Replaced"]
    assert len(TrainingSet.open(default_training_set()).names()) == 1


def test_a_folder_with_other_things_is_left_alone(segmented: Any, told: Told, tmp_path: Path, qtbot: Any) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "beach.jpg").write_bytes(b"sun")
    segmented.session.edit(segmented.session.chosen, edits.accept, ids(segmented)[:1])
    add(segmented, told, qtbot, folder=tmp_path / "photos")
    ((text, bad),) = told.said
    assert bad and "holds other things" in text
    assert [p.name for p in (tmp_path / "photos").iterdir()] == ["beach.jpg"]
