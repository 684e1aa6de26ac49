"""Load what the first cells would have to wait for while the user still looks at the image."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, QTimer

from ...segmentation.answer import prepare_to_answer
from ...session import Session
from ..shared.bindings import Bindings
from ..shared.workers import Latest

# Long enough for the image to be drawn first.
WAIT_MS = 600


class Preloading(QObject):
    """Loads torch and the chosen model's network in a thread, once an image is there.

    Errors are not shown here, but when the model is used.

    Parameters
    ----------
    session : Session
    parent : QObject
        With this it ends.
    """

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._loading = Latest(lambda error: None)
        self._asked: tuple[str, str] | None = None
        self._clock = QTimer(self, singleShot=True, interval=WAIT_MS)
        self._clock.timeout.connect(self._load)
        self._bindings = Bindings(self)
        self._bindings.bind(session.chosen_changed, self.wait)
        self._bindings.bind(session.choices.changed, self.wait)

    @property
    def busy(self) -> bool:
        """Whether something is being loaded."""
        return self._loading.busy

    def wait(self, _: Any = None) -> None:
        """Load what an image or model that was just chosen needs, in a moment."""
        if self._session.chosen is not None:
            self._clock.start()

    def close(self) -> None:
        """End with the window."""
        self._clock.stop()
        self._loading.close()

    def _load(self) -> None:
        if self._session.chosen is None or self._session.running is not None:
            return
        choices = self._session.choices.viewer
        asked = (choices.model, choices.device)
        if asked != self._asked:
            self._asked = asked
            self._loading.ask(lambda: prepare_to_answer(*asked), lambda _: None)
