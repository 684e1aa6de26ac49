"""One press of Segment under way: its thread, and its line in napari's activity dock."""

from __future__ import annotations

from collections.abc import Callable

from ...imaging.progress import Progress
from ...segmentation.answer import Answer, iter_answer
from ...session import Request
from ..shared.activity import Activity
from ..shared.workers import start_run


class SegmentRun:
    """Answers a request in a background thread; the callbacks come in the main thread.

    Parameters
    ----------
    request : Request
    progressed, answered, failed : callable
        What becomes of progress, of the answer, and of an error.
    cancel : callable
        What the Cancel button in the activity dock does.
    activity : Activity, optional
        Line of the work that this is a part of; without it there is one for this alone.
    """

    def __init__(
        self,
        request: Request,
        *,
        progressed: Callable[[Request, Progress], object],
        answered: Callable[[Request, Answer], object],
        failed: Callable[[BaseException, Request], object],
        cancel: Callable[[], None],
        activity: Activity | None = None,
    ) -> None:
        self._progressed = progressed
        self._ended, self._is_part = False, activity is not None
        self._activity = activity or Activity(f"Segmenting {request.image.title}", cancel)
        self._worker = start_run(
            iter_answer,
            request.image,
            request.recipe,
            request.device,
            yielded=lambda progress: self._on_progress(request, progress),
            returned=lambda answer: answered(request, answer),
            failed=lambda error: failed(error, request),
        )

    def end(self) -> None:
        """Stop at the next batch, if it still runs, and take the line out of the activity dock."""
        self._worker.quit()
        if not self._ended and not self._is_part:
            self._activity.close()
        self._ended = True

    def _on_progress(self, request: Request, progress: Progress) -> None:
        # A yield of a run that was ended may still be on its way.
        if not self._ended:
            self._progressed(request, progress)
            if not self._is_part:
                self._activity.show(progress)
