"""The parts of the Train widget that are plain functions, and what the job makes of odd reports."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_cellseg.evaluation.changes import CellChange, ChangePicture, write_pictures
from napari_cellseg.evaluation.compare import NOT_WORSE, WORSE, Comparison, SetFigures
from napari_cellseg.gui.jobs.job_parts import JobBar
from napari_cellseg.gui.shared.pictures import BOTH, NEW, OLD, caption, paint_change
from napari_cellseg.gui.shared.question import Question
from napari_cellseg.gui.train.add_entry import part_in_words
from napari_cellseg.gui.train.curves import N_POINTS, _thinned
from napari_cellseg.gui.train.guard_section import TrainGuardSection
from napari_cellseg.gui.train.job import LEARNS_FROM, LEARNS_TO, TrainJob
from napari_cellseg.gui.train.request import Outcome, TrainRequest
from napari_cellseg.gui.viewer.benches import bench_of
from napari_cellseg.network.versions import lineage
from tests.gui.fitting import clipped
from tests.models import make_model

LEFT = Qt.MouseButton.LeftButton


def test_thinned_curves_keep_their_mean_and_order() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 150, 4001):
        places, values = np.sort(rng.random(n)), rng.random(n)
        thin = _thinned(places.tolist(), values.tolist())
        assert 1 <= len(thin) <= N_POINTS and (np.diff(thin[:, 0]) > 0).all()
        assert values.min() <= thin[:, 1].min() and thin[:, 1].max() <= values.max()
    assert _thinned([], []).shape == (0, 2)


def test_lineage_goes_back_to_the_first_and_survives_gaps_and_rings(tmp_path: Path) -> None:
    base = make_model(tmp_path / "a")
    chain = [base, *(replace(base, name=name, parent=parent) for name, parent in (("b", "a"), ("c", "b")))]
    assert lineage(chain[2], chain) == ["a", "b", "c"]
    assert lineage(chain[2], [chain[0], chain[2]]) == ["b (gone)", "c"]
    ring = [replace(base, parent="c"), *chain[1:]]
    assert lineage(ring[2], ring) == ["a", "b", "c"]


def test_parts_are_said_honestly() -> None:
    assert [part_in_words(x) for x in (0, 1e-6, 0.5, 0.9999, 1)] == ["0 %", "< 1 %", "50 %", "99 %", "100 %"]


def picture(height: int = 40, width: int = 40, color: bool = False) -> ChangePicture:
    old, new = np.zeros((2, height, width), np.int32)
    old[5:20, 5:15], new[5:20, 5:15] = 1, 3
    old[25:35, 5:15] = 2
    new[5:15, 25:35] = 4
    image = np.random.default_rng(0).random((height, width, 3) if color else (height, width))
    return ChangePicture(CellChange("one", "held_out", (5, 5, 20, 15), "split", True), image, old, old, new, (0, 0))


@pytest.mark.parametrize("color", [False, True])
def test_outlines_of_both_models_are_told_apart(color: bool) -> None:
    painted = paint_change(picture(color=color), side=80)
    assert painted.shape == (80, 80, 3) and painted.dtype == np.uint8
    # What both agree on is white, what only one has is in its colour; twice as large as the crop.
    assert tuple(painted[10, 20]) == BOTH
    assert tuple(painted[50, 20]) == OLD
    assert tuple(painted[10, 60]) == NEW
    assert caption(picture()) == "now apart ✓"


def test_pictures_at_the_edge_of_an_image_are_shown_too() -> None:
    for height, width in ((1, 1), (40, 8), (3, 160)):
        small = picture(max(height, 40), max(width, 40))
        crops = {name: getattr(small, name)[:height, :width] for name in ("image", "truth", "old", "new")}
        assert paint_change(replace(small, **crops)).shape == (96, 96, 3)


def figures(value: float | None) -> dict[str, Any]:
    return {"f1": value, "ap50": value, "ap": value, "count_mape": value, "count_bias": value, "n_cells": 3}


def comparison(not_worse: bool, old: float | None = 0.5, new: float | None = 0.75) -> Comparison:
    part = SetFigures(2, 30, figures(old), figures(new))
    reasons = ["One.", "Two.", "Three."] if not not_worse else []
    return Comparison("a", "b", "images", part, part, NOT_WORSE if not_worse else WORSE, reasons, [picture().change])


@pytest.fixture
def guard(viewer: Any, qtbot: Any) -> TrainGuardSection:
    question = Question()
    guard = TrainGuardSection(bench_of(viewer), question)
    viewer.window.add_dock_widget(guard, name="guard")
    viewer.window.add_dock_widget(question, name="question")
    question.hide()
    guard.used_names = []  # type: ignore[attr-defined]
    guard.used.connect(guard.used_names.append)  # type: ignore[attr-defined]
    return guard


def outcome(tmp_path: Path, compared: Comparison | None) -> Outcome:
    version = make_model(tmp_path / "b")
    return Outcome(TrainRequest(tmp_path, "a", version.path, 1.0), version, compared, False, False, "b is ready.")


def test_a_model_that_is_not_worse_is_used_at_once(guard: Any, tmp_path: Path, qtbot: Any) -> None:
    shown = outcome(tmp_path, comparison(True))
    write_pictures(shown.version.path, [picture()] * 5)
    guard.show_outcome(shown)
    assert guard.isVisible() and "not worse" in guard.verdict.text()
    assert (guard._cells[0, 0].text(), guard._cells[1, 0].text()) == ("▲ better", "▼ worse")
    assert guard._cells[2, 2].text() == "▲ 0.75" and guard._cells[5, 2].text() == "▼ 75 %"
    qtbot.waitUntil(lambda: guard.pictures.isVisible(), timeout=10_000)
    assert "5 cells that changed" in guard.pictures.title.text()
    pictures = guard.gallery.list
    assert pictures.count() == 5 and not any(pictures.item(i).icon().isNull() for i in range(5))
    # Those that have no room are reached by scrolling to the side, never down.
    pictures.scrollToItem(pictures.item(4))
    assert pictures.horizontalScrollBar().value() > 0 == pictures.verticalScrollBar().maximum()
    assert pictures.viewport().rect().contains(pictures.visualItemRect(pictures.item(4)).adjusted(2, 0, -2, 0))
    qtbot.mouseClick(guard.use, LEFT)
    assert guard.used_names == [str(shown.version.path)] and not guard.isVisible()


def test_overruling_a_worse_verdict_asks_once(guard: Any, tmp_path: Path, qtbot: Any) -> None:
    guard.show_outcome(outcome(tmp_path, comparison(False)))
    question = guard._question
    assert guard.verdict.text() == "The new model is worse. One. Two. Three."
    qtbot.mouseClick(guard.use, LEFT)
    assert question.isVisible() and not guard.used_names
    qtbot.mouseClick(question.no, LEFT)
    assert not guard.used_names and guard.isVisible()
    qtbot.mouseClick(guard.use, LEFT)
    qtbot.mouseClick(question.yes, LEFT)
    assert len(guard.used_names) == 1 and not guard.isVisible()


def test_keeping_the_old_one_uses_nothing(guard: Any, tmp_path: Path, qtbot: Any) -> None:
    guard.show_outcome(outcome(tmp_path, comparison(True)))
    qtbot.mouseClick(guard.keep, LEFT)
    assert not guard.used_names and not guard.isVisible()


def test_of_a_model_in_use_the_way_back_is_offered(guard: Any, tmp_path: Path, qtbot: Any) -> None:
    """As when its figures are looked at later: that the old one stays would not be true."""
    shown = outcome(tmp_path, comparison(True))
    guard.show_outcome(shown)
    assert (guard.use.text(), guard.keep.text()) == ("Use the new one", "Keep the old one")
    guard._bench.session.choose_model(str(shown.version.path))
    assert guard.use.text() == "In use" and not guard.use.isEnabled()
    qtbot.mouseClick(guard.keep, LEFT)
    assert guard.keep.text() == "Use the old one" and guard.used_names == [shown.request.parent]
    guard._bench.session.choose_model("cells")
    assert guard.use.text() == "Use the new one" and guard.use.isEnabled()


def test_a_long_verdict_and_a_long_name_push_nothing_out(guard: Any, tmp_path: Path, qtbot: Any) -> None:
    long = replace(comparison(False), reasons=["Something rather long is said of the images that were held out."] * 9)
    shown = outcome(tmp_path, long)
    named = replace(shown.version, name="a model of a rather long name that somebody gave to it v12")
    guard.show_outcome(outcome(tmp_path / "short", comparison(False)))
    qtbot.wait(50)
    before = guard.verdict.height(), guard.minimumSizeHint()
    guard.show_outcome(replace(shown, version=named))
    qtbot.wait(50)
    assert (guard.verdict.height(), guard.minimumSizeHint()) == before and not clipped(guard)
    assert guard.verdict.toolTip() == guard.verdict.text()


def test_figures_that_are_not_there_are_dashes(guard: Any, tmp_path: Path) -> None:
    guard.show_outcome(outcome(tmp_path, comparison(True, None, None)))
    assert guard._cells[2, 1].text() == guard._cells[5, 2].text() == "–"


def job_with(qtbot: Any, tmp_path: Path, *events: Any, status: int = 0) -> TrainJob:
    """Let a job on_event these lines from a program in the place of the training."""
    lines = "\n".join(event if isinstance(event, str) else json.dumps(event) for event in events)
    job = TrainJob()
    program = f"import sys; sys.stdout.write({lines + chr(10)!r}); sys.exit({status})"
    assert job.start(TrainRequest(tmp_path, "a", tmp_path / "new", 1.0), [sys.executable, "-c", program])
    assert not job.start(TrainRequest(tmp_path, "a", tmp_path / "newer", 1.0))
    qtbot.waitUntil(lambda: not job.running, timeout=60_000)
    return job


def test_odd_reports_do_no_harm(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    odd = (
        {"event": "step", "step": "seven", "done": None, "loss": None},
        {"event": "step", "step": 3, "done": 7.5, "loss": None, "seconds_left": None},
        '{"event": "step", "step": 4, "done": NaN, "loss": Infinity}',
        {"event": "validation"},
        {"event": "validation", "validation_loss": True, "best": "yes"},
        {"event": "comparison", "old": 3},
        {"event": ["start"]},
        {"event": "phase", "done": "x", "total": -1},
        {"event": "start", "notes": "text", "n_images": "many"},
        {"no event": 1},
        "not json",
    )
    job = job_with(qtbot, tmp_path, *odd)
    assert job.done == 1 and job.step == 3 and not job.history.losses and not job.history.check_losses
    assert job.outcome.failed and job.outcome.version is None and job.outcome.comparison is None
    assert "Press Start to try again" in job.outcome.sentence


def test_an_error_report_is_passed_on(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    job = job_with(qtbot, tmp_path, {"event": "error", "message": "The disk is full. Free some space."}, status=1)
    assert job.outcome.failed and "The disk is full. Free some space." in job.outcome.sentence


def test_a_crash_is_told_with_its_last_line(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    job = job_with(qtbot, tmp_path, "Traceback", "ImportError: no torch", status=3)
    assert job.outcome.failed and "ImportError: no torch" in job.outcome.sentence


def test_history_and_facts_come_from_the_reports(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    start = {"event": "start", "n_images": 1, "n_cells": 1234, "hold_out": "crops", "n_held_out": 1, "notes": ["N."]}
    steps = [{"event": "step", "step": i, "done": i / 4, "loss": 1 / i, "seconds_left": 9} for i in range(1, 5)]
    seen = ((2, None, True), (1, 0.5, True), (3, 0.4, False))
    looks = [{"event": "validation", "validation_loss": loss, "f1": f1, "best": best} for loss, f1, best in seen]
    job = job_with(qtbot, tmp_path, start, *steps[:2], *looks[:2], *steps[2:], looks[2])
    assert job.facts.startswith("Learning from 1 image, 1,234 cells. Checked on 1 part held out") and "N." in job.facts
    assert job.history.places == [0.25, 0.5, 0.75, 1.0] and job.history.best == 1
    assert job.history.check_places == [0.5, 0.5, 1.0] and math.isnan(job.history.check_f1[0])


def test_a_bar_shows_the_phase_of_its_job(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    job = TrainJob()
    bar = JobBar(job, "bar", "How far it is.")
    qtbot.addWidget(bar)
    assert bar.value() == 0 and not bar.is_busy
    step = json.dumps({"event": "step", "step": 3, "done": 0.25, "loss": 1, "seconds_left": 200})
    program = f'import sys; print(\'{{"event": "start"}}\'); print({step!r}, flush=True); sys.stdin.read()'
    assert job.start(TrainRequest(tmp_path, "a", tmp_path / "new", 1.0), [sys.executable, "-c", program])
    assert bar.value() == 0 and bar.format() == "starting …"
    qtbot.waitUntil(lambda: bar.format() == "3 min left, step 3", timeout=60_000)
    assert not bar.is_busy and bar.value() == round(1000 * (LEARNS_FROM + (LEARNS_TO - LEARNS_FROM) / 4))
    job.cancel()
    assert not bar.is_busy and bar.value() >= 250, "one bar that does not restart"
    qtbot.waitUntil(lambda: not job.running, timeout=60_000)
    assert bar.value() == 0 and not bar.format() and not bar.is_busy


def test_one_bar_shows_all_of_a_training_and_time_runs_by_the_clock() -> None:
    job, places = TrainJob(), []
    step = {"event": "step", "loss": 1.0, "seconds": 30.0, "seconds_left": 90.0}
    events: list[dict[str, Any]] = [{"event": "phase", "text": "preparing", "done": i, "total": 2} for i in range(3)]
    events += [{"event": "start", "n_images": 1, "n_cells": 3}]
    events += [{**step, "step": i, "done": i / 4} for i in range(1, 5)]
    events += [{"event": "phase", "text": "comparing", "done": i, "total": 5} for i in range(6)]
    job.kind = "running"
    for event in events:
        job._receive([event])
        places.append(job.part)
        if event.get("step") == 1:
            assert job.in_words().startswith("90 s left") or job.in_words().startswith("89 s left")
            assert job.time_left(job._reported_at + 60) == 30.0 and job.time_left(job._reported_at + 100) == 0.0
    assert places == sorted(places) and places[-1] == 1.0 and places[events.index(events[4])] < 0.5
