"""What is seldom changed: where the network runs, and by which percentiles an image is scaled for it."""

from __future__ import annotations

import sys
from typing import Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QLabel, QWidget

from ...imaging.errors import ParamsError
from ...imaging.normalize import PERCENTILES, NormalizerParams
from ...network.versions import ModelVersion
from ..shared.choosers import chooser
from ..shared.layout import SMALL, button, in_grid, in_row, label
from ..shared.numbers import NumberBox
from ..viewer.bench import Bench
from ..viewer.section import Section

DEVICE_NAMES = {"auto": "auto", "cpu": "CPU", "cuda": "GPU (CUDA)", "mps": "GPU (Apple)"}


class ExpertSection(Section):
    """Choosers of the device, and of the percentiles of the chosen image that become 0 and 1.

    Signals
    -------
    shown()
        It was unfolded, or folded.
    """

    shown = Signal()

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(bench)
        self._model: ModelVersion | None = None
        tip = (
            "Where the network runs. Auto takes a GPU where there is one, else the CPU. "
            "The result is the same up to rounding."
        )
        self.device = chooser("device", tip, ((DEVICE_NAMES[name], name) for name in _devices()))
        tip = (
            "The image is scaled so that its low percentile becomes 0 and its high percentile becomes 1.\n"
            "Lower the high one (97) where few very bright pixels, such as debris, make the cells look dark."
        )
        self.low, self.high = (
            NumberBox(objectName=f"percentile_{name}", accessibleName=f"{name.title()} percentile", toolTip=tip)
            for name in ("low", "high")
        )
        for box in (self.low, self.high):
            box.setRange(0, 100)
            box.setDecimals(3)
            box.setStyleSheet("min-width: 40px;")
            box.setKeyboardTracking(False)
            box.valueChanged.connect(self._on_percentiles)
        tip = "Take the percentiles of the model again."
        self.usual = button("percentiles_usual", "reset", tip, self._on_usual, style=SMALL)
        grid = in_grid(self, spacing=5)
        grid.addWidget(label("Device"), 0, 0)
        grid.addWidget(self.device, 0, 1)
        grid.addWidget(label("Percentiles"), 1, 0)
        grid.addLayout(in_row((self.low, 2), QLabel("to"), (self.high, 2), self.usual), 1, 1)
        self.device.currentIndexChanged.connect(self._on_device)
        self._bindings.bind_each(self.refresh, bench.session.choices.changed, bench.session.chosen_changed)
        self.refresh()

    def set_model(self, model: ModelVersion | None) -> None:
        """Show the percentiles of this model where no others were chosen."""
        self._model = model
        self.refresh()

    def refresh(self, _: Any = None) -> None:
        """Show what is chosen."""
        session = self._bench.session
        place = self.device.findData(session.choices.viewer.device)
        if place < 0:
            # A recipe may name a device that no computer of this kind has.
            session.choices.choose(device=str(self.device.itemData(0)))
            return
        with QSignalBlocker(self.device):
            self.device.setCurrentIndex(place)
        shown = session.recipe_asked().normalizer or self._inherited()
        for box, value in ((self.low, shown.low), (self.high, shown.high)):
            with QSignalBlocker(box):
                box.setValue(value)
        usable = session.chosen is not None and shown.method == PERCENTILES
        for control in (self.low, self.high):
            control.setEnabled(usable)
        self.usual.setEnabled(usable and session.choices.for_image(session.chosen).normalizer is not None)

    def showEvent(self, event: QShowEvent) -> None:
        """Announce that it takes room."""
        super().showEvent(event)
        self.shown.emit()

    def hideEvent(self, event: QHideEvent) -> None:
        """Announce that it takes no room."""
        super().hideEvent(event)
        self.shown.emit()

    def _inherited(self) -> NormalizerParams:
        """Return the percentiles that are used where the user chose none."""
        viewer = self._bench.session.choices.viewer
        loaded = viewer.loaded.normalizer if viewer.loaded is not None and viewer.loaded.model == viewer.model else None
        return loaded or (NormalizerParams() if self._model is None else self._model.normalizer)

    def _on_device(self, index: int) -> None:
        self._bench.session.choices.choose(device=str(self.device.itemData(index)))

    def _on_percentiles(self, _: float) -> None:
        session = self._bench.session
        try:
            chosen = NormalizerParams(self.low.value(), self.high.value())
        except ParamsError as error:
            self.refresh()
            session.fail(None, error)
            return
        session.choices.choose_for(session.chosen, normalizer=None if chosen == self._inherited() else chosen)

    def _on_usual(self) -> None:
        session = self._bench.session
        session.choices.choose_for(session.chosen, normalizer=None)


def _devices() -> list[str]:
    # Which GPUs there are is known only once torch is loaded, which takes seconds: a wrong choice fails then.
    return ["auto", "cpu", "mps"] if sys.platform == "darwin" else ["auto", "cpu", "cuda"]
