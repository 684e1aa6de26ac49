"""Work in background threads: one long run with progress, and small questions of which only the latest counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Any
from weakref import ref

from qtpy.QtCore import QCoreApplication, QObject, QThreadPool
from superqt.utils import FunctionWorker, GeneratorWorker

from ...imaging.errors import CellsegError

WAIT_AT_THE_END_MS = 10_000
_WAITS = "napari_cellseg_waits"
# How PySide and PyQt call a widget that was closed.
_DELETED = re.compile(r"C\+\+ object .*deleted")


def start_run(
    steps: Callable[..., Generator[Any, None, Any]],
    *args: Any,
    yielded: Callable[[Any], object],
    returned: Callable[[Any], object],
    failed: Callable[[BaseException], object],
) -> GeneratorWorker:
    """Run a generator in a thread; the three callbacks are called in the main thread.

    `quit()` on the returned worker stops it at its next yield; then none of the callbacks is called any more.
    """
    worker = GeneratorWorker(steps, *args)
    calls = {"yielded": yielded, "returned": returned, "failed": failed}
    worker.yielded.connect(lambda value: _call(calls.get("yielded"), value))
    worker.returned.connect(lambda value: _call(calls.get("returned"), value))
    worker.errored.connect(lambda error: _call(calls.get("failed"), error))
    # Qt never lets go of what is connected to a worker, nor of the window that it would hold.
    worker.finished.connect(lambda: calls.clear())
    _start(worker)
    return worker


class Latest:
    """Answers questions in a thread, one at a time; when a newer one was asked meanwhile, the old answer is dropped.

    Parameters
    ----------
    failed : callable
        Called with the exception when a question raises one.
    ended : callable, optional
        Called when all questions are answered.
    owner : QObject, optional
        When Qt destroys it, no answer is taken any more.
    """

    def __init__(
        self,
        failed: Callable[[BaseException], object],
        ended: Callable[[], object] | None = None,
        owner: QObject | None = None,
    ) -> None:
        self._failed, self._ended = failed, ended
        self._asked: _Asked | None = None
        self._next: tuple[Callable[[], Any], Callable[[Any], object]] | None = None
        if owner is not None:
            owner.destroyed.connect(self.close)

    @property
    def busy(self) -> bool:
        """Whether an answer is waited for."""
        return self._next is not None or (self._asked is not None and self._asked.then is not None)

    def ask(self, question: Callable[[], Any], then: Callable[[Any], object]) -> None:
        """Call `question` in a thread, and `then` with its answer in the main thread."""
        self._next = (question, then)
        if self._asked is None:
            self._start()

    def close(self) -> None:
        """Take no answer to what was asked so far; a later question waits until the present one has ended."""
        self._next = None
        if self._asked is not None:
            self._asked.drop()

    def _start(self) -> None:
        if self._next is None:
            return
        (question, then), self._next = self._next, None
        self._asked = asked = _Asked(self, question, then)
        worker = FunctionWorker(_checked, asked)
        worker.returned.connect(lambda answer: asked.end(answer=answer))
        worker.errored.connect(lambda error: asked.end(error=error))
        worker.finished.connect(lambda: asked.finish())
        _start(worker)

    def _on_finished(self) -> None:
        wanted = self._asked is not None and self._asked.then is not None
        self._asked = None
        self._start()
        if wanted and self._asked is None and self._ended is not None:
            _call(self._ended)


class _Asked:
    """A question under way.

    Qt keeps the worker for longer than anybody wants the images, and the window, that its question is about: all that
    the worker holds is this, and this lets go of them at the end.
    """

    def __init__(self, latest: Latest, question: Callable[[], Any], then: Callable[[Any], object]) -> None:
        self.question: Callable[[], Any] | None = question
        self.then: Callable[[Any], object] | None = then
        self._latest: Callable[[], Latest | None] = lambda: latest

    def drop(self) -> None:
        """Drop the answer when it comes, and hold nothing that only the answer needs."""
        latest = self._latest()
        self.then = None
        if latest is not None:
            self._latest = ref(latest)

    def end(self, answer: Any = None, error: BaseException | None = None) -> None:
        """Hand the answer, or the error, on, unless it was dropped or something newer was asked."""
        latest, then = self._latest(), self.then
        if latest is not None and then is not None and latest._next is None:
            if error is None:
                _call(then, answer)
            else:
                _call(latest._failed, error)

    def finish(self) -> None:
        """Let go of everything; the next question may start."""
        if (latest := self._latest()) is not None:
            latest._on_finished()
        self.question = self.then = None
        self._latest = lambda: None


def _call(slot: Callable[..., object] | None, *args: Any) -> None:
    """Call back; a widget that was closed meanwhile does not mind."""
    try:
        if slot is not None:
            slot(*args)
    except RuntimeError as error:
        if not _DELETED.search(str(error)):
            raise


def _start(worker: GeneratorWorker | FunctionWorker) -> None:
    """Start a worker, and let the application wait at its end: a thread must not outlive what it reports to."""
    application = QCoreApplication.instance()
    if application is not None and not application.property(_WAITS):
        application.setProperty(_WAITS, True)
        application.aboutToQuit.connect(_wait_at_the_end)
    worker.start()


def _wait_at_the_end() -> None:
    QThreadPool.globalInstance().waitForDone(WAIT_AT_THE_END_MS)


def _checked(asked: _Asked) -> Any:
    question = asked.question
    if question is None:
        return None
    try:
        return question()
    except (RuntimeError, MemoryError) as error:
        # Workers of superqt drop a RuntimeError without a word.
        raise CellsegError(f"{type(error).__name__}: {error}. Close other programs, or use a smaller image.") from error
