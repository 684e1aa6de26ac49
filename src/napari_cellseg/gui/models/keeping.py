"""Rename and delete the user's own models; what depends on one is shown first."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QInputDialog, QWidget

from ...network.keeping import delete_model, is_own, made_from, rename_model
from ...network.versions import ModelVersion, list_models
from ..shared.layout import button
from ..shared.message import errors_to
from ..shared.question import Question

BUSY = "A model is being made or calibrated. Wait until that is done, or cancel it."


class Keeping(QObject):
    """Two buttons, and the question before a model is deleted; the window places them.

    Parameters
    ----------
    report : callable
        Shows a sentence; its second argument is whether it is bad news.
    used : callable
        Returns the name or folder of the model that the Segment widget uses.
    busy : callable
        Whether models are being made or calibrated, whose files must stay where they are.
    parent : QWidget

    Signals
    -------
    renamed(str, str)
        The old and the new name of a model.
    deleted(str)
        The name of the model that is gone.
    """

    renamed = Signal(str, str)
    deleted = Signal(str)

    def __init__(
        self, report: Callable[[str, bool], object], used: Callable[[], str], busy: Callable[[], bool], parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._report, self._used, self._busy = report, used, busy
        self._model: ModelVersion | None = None
        self.rename = button("models_rename", "Rename …", "", self._on_rename)
        self.delete = button("models_delete", "Delete …", "", self._on_delete)
        self.question = Question()

    def show_model(self, model: ModelVersion | None) -> None:
        """Offer this model, if it is the user's own."""
        self._model = model
        self.question.hide()
        own = model is not None and is_own(model)
        for control, does in ((self.rename, "Give it another name"), (self.delete, "Delete its files")):
            control.setEnabled(own)
            control.setToolTip(f"{does}; only models that you made or imported." if not own else f"{does}.")

    def rename_to(self, name: str) -> None:
        """Give the model another name."""
        model = self._model
        if model is None or name.strip() == model.name or self._is_busy():
            return
        with errors_to(self._report):
            new = rename_model(model, name)
            self._report(f"{model.name} is {new.name} now. Recipes that were saved before name it as it was.", False)
            self.renamed.emit(model.name, new.name)

    def _on_rename(self) -> None:
        if self._model is not None:
            name, given = QInputDialog.getText(self.rename, "Rename a model", "New name", text=self._model.name)
            if given:
                self.rename_to(name)

    def _on_delete(self) -> None:
        model = self._model
        if model is not None and not self._is_busy():
            self.question.ask(self._in_words(model), "Delete it", "Keep it", lambda: self._delete(model))

    def _delete(self, model: ModelVersion) -> None:
        with errors_to(self._report):
            delete_model(model)
            self._report(f"{model.name} is deleted.", False)
            self.deleted.emit(model.name)

    def _is_busy(self) -> bool:
        if self._busy():
            self._report(BUSY, True)
        return self._busy()

    def _in_words(self, model: ModelVersion) -> str:
        parts = [f"Delete {model.name}? It cannot be brought back, and recipes that name it can no longer be run."]
        if self._used() in (model.name, str(model.path)):
            parts.append("The Segment widget uses it now, and will use the first model of the list.")
        if children := made_from(model, list_models()):
            verb = "was" if len(children) == 1 else "were"
            parts.append(f"{', '.join(children)} {verb} made from it and still can be used.")
        return " ".join(parts)
