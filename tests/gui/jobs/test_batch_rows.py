"""The list of a batch: rows find their places, however they come, and ten thousand of them stay quick."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QAbstractItemModelTester
from qtpy.QtWidgets import QWidget

from napari_cellseg.gui.batch.rows_model import ALL, CELLS, CORRECTED, FAILED, FLAGGED, IMAGE, STATE, TIME, BatchModel
from napari_cellseg.gui.jobs.batch_rows import BatchRows
from napari_cellseg.results.rows import BatchRow

RISING, FALLING = Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder


def done(image: str, count: int = 5, page: str = "", **more: Any) -> BatchRow:
    return BatchRow(image, page, "done", count=count, seconds=1.0, **more)


@pytest.fixture
def rows() -> BatchRows:
    rows = BatchRows()
    rows.set_images(["a", "b", "c"])
    return rows


@pytest.fixture
def model(rows: BatchRows, qtbot: Any) -> Iterator[BatchModel]:
    """The model, watched by Qt's own checker, which fails a test that breaks the rules of models."""
    owner = QWidget()
    qtbot.addWidget(owner)
    model = BatchModel(rows, owner)
    checker = QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal, owner)
    yield model
    # Qt deletes them all with their owner.
    del checker
    owner.close()


def titles(model: BatchModel) -> list[str]:
    return [model.row(place).title for place in range(model.rowCount())]


def test_rows_keep_their_places_whatever_order_they_come_in(rows: BatchRows, model: BatchModel) -> None:
    for image in ("c", "a", "b"):
        rows.run(image)
        rows.put([done(image)])
    assert titles(model) == ["a", "b", "c"] and rows.tally() == {"done": 3} and rows.n_cells() == 15


def test_pages_stand_below_their_image(rows: BatchRows, model: BatchModel) -> None:
    rows.run("b")
    rows.put([done("b", page="t000"), done("b", page="t001"), done("c"), done("b", page="t002")])
    assert titles(model) == ["a", "b t000", "b t001", "b t002", "c"]
    assert [row.title for row in rows.in_order()] == titles(model)
    rows.put([done("a", page="t001"), done("a", page="t003"), done("a", page="t000"), done("a", page="t002")])
    assert titles(model)[:4] == ["a t000", "a t001", "a t002", "a t003"]
    rows.put([done("b", 9, page="t001")])
    assert len(rows) == 8 and rows.find(("b", "t001")) == done("b", 9, page="t001")


def test_what_was_not_finished_is_as_it_was_before(rows: BatchRows) -> None:
    rows.put([done("a", 7)])
    for image in ("a", "b"):
        rows.run(image)
    assert rows.tally() == {"running": 2, "waiting": 1}
    rows.rest()
    assert rows.find(("a", "")) == done("a", 7) and rows.tally() == {"done": 1, "waiting": 2}


def test_rows_of_an_earlier_batch_are_shown_and_those_of_other_images_are_not(rows: BatchRows) -> None:
    rows.set_images(["x", "y"], [done("y", page="z1"), done("y", page="z0"), done("other")])
    assert [row.title for row in rows.in_order()] == ["x", "y z0", "y z1"]
    assert [row.title for row in rows.counted()] == ["y z0", "y z1"]


@pytest.mark.parametrize("order", [RISING, FALLING])
def test_sorting_puts_what_has_no_value_last(rows: BatchRows, model: BatchModel, order: Qt.SortOrder) -> None:
    rows.put([done("a", 3), BatchRow("b", state="failed", error="no", seconds=0.5)])
    model.sort(CELLS, order)
    assert titles(model)[0] == "a"
    model.sort(TIME, order)
    assert titles(model)[-1] == "c"
    model.sort(STATE, order)
    assert [model.row(i).state for i in range(3)] == ["failed", "waiting", "done"][:: 1 if order == RISING else -1]
    model.sort(IMAGE, order)
    assert titles(model) == ["a", "b", "c"][:: 1 if order == RISING else -1]


def test_a_selection_stays_with_its_image(rows: BatchRows, model: BatchModel) -> None:
    from qtpy.QtCore import QPersistentModelIndex

    rows.put([done("a", 1), done("b", 3), done("c", 2)])
    index = QPersistentModelIndex(model.index(0, 0))
    model.sort(CELLS, FALLING)
    assert model.row(index.row()).image == "a" and index.row() == 2
    rows.put([done("d", 4)])
    assert model.row(index.row()).image == "a"


def test_only_some_rows_are_shown(rows: BatchRows, model: BatchModel) -> None:
    model.set_show(FAILED)
    assert model.rowCount() == 0
    rows.put([BatchRow("b", state="failed", error="b: no such file"), done("c", corrected=True)])
    assert titles(model) == ["b"] and model.index(0, STATE).data() == "failed: no such file"
    rows.put([done("b")])
    assert model.rowCount() == 0
    model.set_show(CORRECTED)
    assert titles(model) == ["c"]
    model.set_show(FLAGGED)
    rows.flag({("a", ""): "odd"})
    assert titles(model) == ["a"]
    model.set_show(ALL)
    assert titles(model) == ["a", "b", "c"]


def test_states_are_words(rows: BatchRows, model: BatchModel) -> None:
    rows.run("a")
    rows.progress("a", 0.25)
    rows.put([done("b", 1234), BatchRow("c", state="kept", count=4, corrected=True)])
    rows.flag({("b", ""): "count 3 times the median"})
    assert [model.index(i, STATE).data() for i in range(3)] == [
        "running 25%",
        "done; count 3 times the median",
        "corrected",
    ]
    assert [model.index(i, CELLS).data() for i in range(3)] == ["", "1,234", "4"]
    assert "manually corrected" in model.about(model.row(2))


@pytest.mark.parametrize("state", ["kept", "done"])
def test_an_image_that_changed_since_it_was_corrected_is_marked_and_says_what_to_do(
    state: Any, rows: BatchRows, model: BatchModel
) -> None:
    row = BatchRow("a", state=state, count=4, corrected=True, error="Move that file away.")
    rows.put([row])
    assert model.index(0, STATE).data() == "image changed; corrected" and model.index(0, CELLS).data() == "4"
    assert "Move that file away." in model.about(row)
    # What is done again is no longer about what was.
    rows.run("a")
    assert model.index(0, STATE).data() == "running" and "Move" not in model.about(model.row(0))


def test_ten_thousand_rows(qtbot: Any) -> None:
    rows = BatchRows()
    owner = QWidget()
    qtbot.addWidget(owner)
    model = BatchModel(rows, owner)
    names = [f"image{i}" for i in range(10_000)]
    resets: list[int] = []
    rows.set_images(names)
    model.modelReset.connect(lambda: resets.append(1))
    model.sort(CELLS, FALLING)
    for start in range(0, len(names), 200):
        for name in names[start : start + 200]:
            rows.run(name)
        rows.put([done(name, i % 37) for i, name in enumerate(names[start : start + 200])])
    assert rows.tally() == {"done": 10_000} and not resets
    # Nothing jumps while the batch goes on; another click on the title sorts again.
    assert titles(model) == names
    model.sort(CELLS, FALLING)
    counts = [model.row(i).count or 0 for i in range(10_000)]
    assert counts == sorted(counts, reverse=True)
    pages = [done("image5", 1, page=f"t{i:04d}") for i in range(10_000)]
    rows.set_images(names)
    model.sort(IMAGE)
    rows.put(pages)
    assert titles(model)[4:8] == ["image4", "image5 t0000", "image5 t0001", "image5 t0002"]
    assert model.rowCount() == 19_999
