"""Small work in background threads, and sentences about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...imaging.errors import CellsegError
from ...session import Session
from ..shared.workers import Latest
from .chosen_image import ChosenImage

if TYPE_CHECKING:
    from napari import Viewer


class Background(ChosenImage):
    """Does what is smaller than a request, beside whatever else runs, and reports in words what failed."""

    def __init__(self, viewer: Viewer, session: Session) -> None:
        super().__init__(viewer, session)
        self._jobs: list[Latest] = []

    def failed(self, error: BaseException) -> None:
        """Report in words that something failed."""
        raise NotImplementedError

    def failure_to(self, report: Callable[[str, bool], object]) -> Callable[[BaseException], None]:
        """Return a function that reports the error of background work in words; an unexpected one goes to napari.

        Parameters
        ----------
        report : callable
            Shows a sentence; its second argument is whether it is bad news.
        """

        def failed(error: BaseException) -> None:
            if not isinstance(error, (CellsegError, OSError)):
                self.failed(error)
            report(str(error) or type(error).__name__, True)

        return failed

    def in_background(
        self,
        question: Callable[[], Any],
        then: Callable[[Any], object],
        ended: Callable[[], object] | None = None,
        failed: Callable[[BaseException], object] | None = None,
    ) -> Latest:
        """Do something small in a background thread, beside whatever else runs; errors come as the session's sentence.

        Parameters
        ----------
        question : callable
            Called in the thread.
        then : callable
            Called with its answer in the main thread, unless the window closes before.
        ended : callable, optional
            Called after that, also where there was an error.
        failed : callable, optional
            Called with an error in the place of `failed`.
        """
        job = Latest(failed or self.failed, ended)
        job.ask(question, then)
        self._jobs = [*(other for other in self._jobs if other.busy), job]
        return job

    @property
    def busy(self) -> bool:
        """Whether something small is being done in the background."""
        return any(job.busy for job in self._jobs)

    def report(self, sentence: str, bad: bool = False) -> None:
        """Show a sentence as the session's, as an error where it is bad news."""
        if bad:
            self.session.fail(None, sentence)
        else:
            self.session.note(sentence)

    def end_background(self) -> None:
        """Take no more answers."""
        for job in self._jobs:
            job.close()
