"""Questions in a background thread: one at a time, and never answered to something that is gone."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest
from qtpy.QtWidgets import QLabel

from napari_cellseg.gui.shared.workers import Latest
from napari_cellseg.imaging.errors import CellsegError


class Slow:
    """Questions that a test holds back; counts how many are answered at the same time."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.running = self.most = self.begun = 0
        self._lock = threading.Lock()

    def __call__(self) -> int:
        with self._lock:
            self.begun += 1
            self.running += 1
            self.most = max(self.most, self.running)
            number = self.begun
        assert self.go.wait(20)
        with self._lock:
            self.running -= 1
        return number


@pytest.fixture
def slow() -> Any:
    slow = Slow()
    yield slow
    slow.go.set()


def test_only_the_latest_answer_counts(slow: Slow, qtbot: Any) -> None:
    answers: list[int] = []
    ended: list[bool] = []
    latest = Latest(pytest.fail, lambda: ended.append(latest.busy))
    for _ in range(3):
        latest.ask(slow, answers.append)
    assert latest.busy
    slow.go.set()
    qtbot.waitUntil(lambda: bool(ended), timeout=10_000)
    assert answers == [2] and slow.begun == 2 and ended == [False]


def test_what_is_asked_after_close_waits_for_what_was_asked_before(slow: Slow, qtbot: Any) -> None:
    answers: list[int] = []
    latest = Latest(pytest.fail)
    latest.ask(slow, lambda _: pytest.fail("nobody wants this answer any more"))
    qtbot.waitUntil(lambda: slow.running == 1, timeout=10_000)
    latest.close()
    assert not latest.busy
    latest.ask(slow, answers.append)
    assert latest.busy
    qtbot.wait(200)
    assert slow.begun == 1, "two questions were answered at once"
    slow.go.set()
    qtbot.waitUntil(lambda: not latest.busy, timeout=10_000)
    assert answers == [2] and slow.most == 1


def test_a_closed_widget_is_not_called(qtbot: Any) -> None:
    label = QLabel()
    ended: list[str] = []

    def show(text: str) -> None:
        label.deleteLater()
        qtbot.wait(50)
        label.setText(text)

    latest = Latest(pytest.fail, lambda: ended.append("yes"))
    with qtbot.captureExceptions() as exceptions:
        latest.ask(lambda: "late", show)
        qtbot.waitUntil(lambda: bool(ended), timeout=10_000)
    assert not exceptions


def test_another_error_of_a_slot_is_not_hidden(qtbot: Any) -> None:
    def show(_: object) -> None:
        raise RuntimeError("something else")

    latest = Latest(pytest.fail)
    with qtbot.captureExceptions() as exceptions:
        latest.ask(lambda: 1, show)
        qtbot.waitUntil(lambda: not latest.busy, timeout=10_000)
    assert [str(error) for _, error, _ in exceptions] == ["something else"]


def test_errors_are_handed_on_in_words(qtbot: Any) -> None:
    errors: list[BaseException] = []

    def broken() -> None:
        raise RuntimeError("out of memory")

    latest = Latest(errors.append)
    latest.ask(broken, pytest.fail)
    qtbot.waitUntil(lambda: bool(errors), timeout=10_000)
    assert isinstance(errors[0], CellsegError) and "out of memory" in str(errors[0])


def test_who_asked_is_let_go_once_it_is_answered(qtbot: Any) -> None:
    class Owner:
        def __init__(self) -> None:
            self.answers: list[int] = []
            self.latest = Latest(self.fail)

        def ask(self) -> None:
            self.latest.ask(lambda: len(self.answers), self.answers.append)

        def fail(self, error: BaseException) -> None:
            raise error

    owner = Owner()
    owner.ask()
    kept = weakref.ref(owner)
    busy = weakref.ref(owner.latest)
    del owner
    qtbot.waitUntil(lambda: busy() is None or not busy().busy, timeout=10_000)
    qtbot.wait(20)
    gc.collect()
    assert kept() is None
