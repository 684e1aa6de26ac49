"""Work beside the window's thread: one long run with progress, and small questions of which only the latest counts."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from qtpy.QtCore import QCoreApplication, QThreadPool
from superqt.utils import FunctionWorker, GeneratorWorker

from ...imaging.errors import CellsegError

WAIT_AT_THE_END_MS = 10_000
_WAITS = "napari_cellseg_waits"


def start_run(
    steps: Callable[..., Generator[Any, None, Any]],
    *args: Any,
    yielded: Callable[[Any], object],
    returned: Callable[[Any], object],
    failed: Callable[[BaseException], object],
) -> GeneratorWorker:
    """Run a generator in a thread; the three callbacks come in the window's thread.

    `quit()` on the returned worker stops it at its next yield; then none of the callbacks comes any more.
    """
    worker = GeneratorWorker(steps, *args)
    worker.yielded.connect(yielded)
    worker.returned.connect(returned)
    worker.errored.connect(failed)
    _start(worker)
    return worker


class Latest:
    """Answers questions in a thread, one at a time; when a newer one was asked meanwhile, the old answer is dropped."""

    def __init__(self, failed: Callable[[BaseException], object], ended: Callable[[], object] | None = None) -> None:
        self._failed, self._ended = failed, ended
        self._worker: FunctionWorker | None = None
        self._next: tuple[Callable[[], Any], Callable[[Any], object]] | None = None

    @property
    def busy(self) -> bool:
        """Whether a question is still being answered."""
        return self._worker is not None

    def ask(self, question: Callable[[], Any], then: Callable[[Any], object]) -> None:
        """Call `question` in a thread and `then` with its answer in the window's thread."""
        self._next = (question, then)
        if self._worker is None:
            self._start()

    def close(self) -> None:
        """Take no more answers."""
        self._next = None
        if self._worker is not None:
            self._worker.quit()
            self._worker = None

    def _start(self) -> None:
        if self._next is None:
            return
        (question, then), self._next = self._next, None
        # Qt keeps the worker for longer than anybody wants the images that its question is about.
        held: list[Callable[..., Any]] = [question, then]
        del question, then
        worker = FunctionWorker(_checked, held)
        self._worker = worker

        def answered(answer: Any) -> None:
            if self._worker is worker and self._next is None:
                held[1](answer)

        def failed(error: BaseException) -> None:
            if self._worker is worker and self._next is None:
                self._failed(error)

        def finished() -> None:
            held.clear()
            if self._worker is worker:
                self._worker = None
                self._start()
                if self._ended is not None and self._worker is None:
                    self._ended()

        worker.returned.connect(answered)
        worker.errored.connect(failed)
        worker.finished.connect(finished)
        _start(worker)


def _start(worker: GeneratorWorker | FunctionWorker) -> None:
    """Start a worker, and let the application wait at its end: a thread must not outlive what it reports to."""
    application = QCoreApplication.instance()
    if application is not None and not application.property(_WAITS):
        application.setProperty(_WAITS, True)
        application.aboutToQuit.connect(_wait_at_the_end)
    worker.start()


def _wait_at_the_end() -> None:
    QThreadPool.globalInstance().waitForDone(WAIT_AT_THE_END_MS)


def _checked(held: list[Callable[..., Any]]) -> Any:
    try:
        return held[0]()
    except (RuntimeError, MemoryError) as error:
        # Workers of superqt drop a RuntimeError without a word.
        raise CellsegError(f"{type(error).__name__}: {error}. Close other programs, or use a smaller image.") from error
