"""How large the cells are, as far as the network needs to know, and whether it looks more than once."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

from ...network.versions import ModelVersion
from ..shared.layout import SMALL, button, in_row, tick
from ..shared.numbers import DecimalBox
from ..viewer.bench import Bench
from ..viewer.section import Section
from .size_circle import SizeCircle

LARGEST = 2000.0


class SizeControl(Section):
    """Typical diameter of the cells of the chosen image: estimated, or a number.

    The tick of the accurate way, `accurate`, has its place beside the model.
    """

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(bench)
        self._model: ModelVersion | None = None
        self.diameter = DecimalBox(objectName="diameter", suffix=" px", keyboardTracking=False)
        self.diameter.setRange(0, LARGEST)
        self.diameter.setDecimals(0)
        # A style sheet's least width wins over the widget's own.
        self.diameter.setStyleSheet("min-width: 70px;")
        self.diameter.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._circle = bench.part(SizeCircle)
        tip = "Mark this size as a circle in the middle of the image."
        self.mark = button("mark_size", "mark", tip, self._circle.show, checkable=True, style=SMALL)
        tip = (
            "Let the network look three times, turned and at three magnifications, and take the mean:\n"
            "somewhat better, about three times slower."
        )
        self.accurate = tick("accurate", "accurate", tip, lambda on: bench.session.choices.choose(accurate=on))
        self.setLayout(in_row(QLabel("Cell size"), (self.diameter, 1), self.mark, spacing=3))
        self.diameter.valueChanged.connect(self._on_diameter)
        session = bench.session
        self._bindings.bind_each(self.refresh, session.chosen_changed, session.cells_changed, session.choices.changed)
        self._bindings.bind_each(self.refresh, bench.image_changed, self._circle.changed)
        self.refresh()

    def set_model(self, model: ModelVersion | None) -> None:
        """Ask for the size only where the model makes use of it."""
        self._model = model
        self.refresh()

    def refresh(self, _: Any = None) -> None:
        """Show what was chosen for the chosen image, and what was estimated."""
        session = self._bench.session
        chosen = session.choices.for_image(session.chosen).diameter
        size = self._circle.diameter()
        # Networks of other packages may make use of it.
        used = self._model is not None and (self._model.diameter is not None or bool(self._model.network))
        auto = "auto" if size is None or chosen is not None else f"auto: {size:.0f} px"
        with QSignalBlocker(self.diameter), QSignalBlocker(self.accurate):
            self.diameter.setSpecialValueText("as it is" if chosen == 0 or not used else auto)
            self.diameter.setValue(chosen or 0)
            self.accurate.setChecked(session.choices.viewer.accurate)
        self.mark.setEnabled(size is not None)
        self.mark.setChecked(self._circle.shown)
        self.diameter.setEnabled(used)
        self.diameter.setToolTip(
            "Diameter of a typical cell. The image is magnified for the network so that its cells have the size\n"
            "that it draws best. Left at auto it is estimated; type a number if wrong, 0 for auto."
            if used
            else "This model takes images as they are, whatever the size of their cells."
        )

    def _on_diameter(self, value: float) -> None:
        session = self._bench.session
        if session.chosen is None:
            # There is no image that it could be chosen for.
            self.refresh()
        else:
            session.choices.choose_for(session.chosen, diameter=value or None)
