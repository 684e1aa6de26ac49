"""Calls by hand: corrections like any other, so that nothing but the user changes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_cellseg.corrections import CellView, CorrectedInstances, Corrections
from napari_cellseg.corrections import tools as edits
from napari_cellseg.corrections.calling import call_cells
from napari_cellseg.corrections.exchange import export_corrections, read_corrections
from napari_cellseg.corrections.patching import EditError
from napari_cellseg.corrections.record import CorrectionsRecord
from napari_cellseg.corrections.recovery import read_journal
from napari_cellseg.corrections.run_lengths import CLASS, Cell
from tests.corrections.corrections_model import SHAPE, fresh_view, instances_of

GFP = {"GFP": True}


def called(view: CellView) -> dict[int, dict[str, bool | str]]:
    return {id_: dict(calls) for id_, calls in view.corrected.corrections.calls().items()}


def test_a_call_is_one_step_and_changes_no_pixel() -> None:
    view = fresh_view(3)
    first, second = view.ids()[:2].tolist()
    corrections, before = view.corrected.corrections, view.labels()
    corrections.apply(call_cells(view, [first, second], "GFP", True))
    assert called(view) == {first: GFP, second: GFP} and (view.labels() == before).all()
    corrections.apply(call_cells(view, first, "mCherry", False))
    assert called(view)[first] == {"GFP": True, "mCherry": False} and corrections.how(first) == "called"
    corrections.apply(call_cells(view, first, "GFP", False))
    assert called(view)[first]["GFP"] is False and corrections.undo_name == "call negative"
    for _ in range(3):
        corrections.undo()
    assert called(view) == {} and corrections.n_changed == 0
    corrections.redo()
    assert called(view) == {first: GFP, second: GFP}


def test_no_slider_and_no_new_model_changes_a_call() -> None:
    view = fresh_view(3)
    id_ = int(view.ids()[0])
    corrections, pixels = view.corrected.corrections, view.labels() == id_
    corrections.apply(call_cells(view, id_, "GFP", True))
    for other in (view.corrected, CorrectedInstances(instances_of(77), corrections)):
        for threshold, min_size in ((0.05, 0), (0.999, 10**6)):
            assert ((CellView(other, threshold, min_size).labels() == id_) == pixels).all()
    assert called(view) == {id_: GFP}


def test_calls_stay_with_a_cell_that_is_edited_and_go_with_one_that_is_released() -> None:
    view = fresh_view(3)
    first, second = view.ids()[:2].tolist()
    corrections = view.corrected.corrections
    corrections.apply(call_cells(view, [first, second], "GFP", True))
    corrections.apply(edits.merge(view, [first, second]))
    (left,) = called(view)
    assert called(view) == {left: GFP} and corrections.how(left) == "merged"
    corrections.apply(edits.delete(view, left))
    assert called(view) == {}
    corrections.undo()
    corrections.apply(edits.release(view, left))
    assert called(view) == {}


def test_the_journal_and_exported_labels_have_the_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path / "home"))
    view = fresh_view(3)
    first, second = view.ids()[:2].tolist()
    record = CorrectionsRecord("a", None, "ab" * 32, (), view.corrected.corrections)
    record.apply(call_cells(view, [first, second], "GFP", True))
    record.apply(call_cells(view, second, "GFP", False))
    record.close()
    saved = record.saved()
    assert saved is not None
    assert read_journal(saved.path, SHAPE).corrections.calls() == {first: GFP, second: {"GFP": False}}
    export_corrections(tmp_path / "a.tif", view)
    again = CellView(CorrectedInstances(instances_of(3), Corrections(SHAPE)), view.threshold, view.min_size)
    again.corrected.corrections.apply(edits.import_labels(again, **read_corrections(tmp_path / "a.tif", SHAPE)))
    assert called(again) == called(view)
    # Another call of a cell that is here already is news.
    view.corrected.corrections.apply(call_cells(view, first, "GFP", False))
    export_corrections(tmp_path / "a.tif", view)
    again.corrected.corrections.apply(edits.import_labels(again, **read_corrections(tmp_path / "a.tif", SHAPE)))
    assert called(again)[first] == {"GFP": False}


def test_what_is_called_so_already_and_cells_that_are_not_there_are_refused() -> None:
    view = fresh_view(3)
    id_ = int(view.ids()[0])
    view.corrected.corrections.apply(call_cells(view, id_, "GFP", True))
    with pytest.raises(EditError, match=r"GFP\+ already"):
        call_cells(view, id_, "GFP", True)
    with pytest.raises(EditError, match="no cell 99999"):
        call_cells(view, 99999, "GFP", True)


def test_a_class_by_hand_is_a_call_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path / "home"))
    view = fresh_view(3)
    id_ = int(view.ids()[0])
    record = CorrectionsRecord("a", None, "ab" * 32, (), view.corrected.corrections)
    record.apply(call_cells(view, id_, CLASS, "round"))
    record.apply(call_cells(view, id_, "GFP", True))
    record.apply(call_cells(view, id_, CLASS, "long"))
    assert view.corrected.corrections.undo_name == "give a class"
    with pytest.raises(EditError, match="called these cells long already"):
        call_cells(view, id_, CLASS, "long")
    record.close()
    saved = record.saved()
    assert saved is not None
    assert read_journal(saved.path, SHAPE).corrections.calls() == {id_: {CLASS: "long", "GFP": True}}
    record.apply(call_cells(view, id_, CLASS, None))
    assert view.corrected.corrections.calls() == {id_: {"GFP": True}}
    with pytest.raises(EditError, match="did not call these cells"):
        call_cells(view, id_, CLASS, None)
    record.undo()
    record.undo()
    assert view.corrected.corrections.calls()[id_][CLASS] == "round"
    for strange in ({CLASS: True}, {"GFP": "yes"}):
        with pytest.raises(ValueError, match="neither true nor false"):
            Cell.from_dict({"how": "called", "cores": [], "calls": strange}, SHAPE)
