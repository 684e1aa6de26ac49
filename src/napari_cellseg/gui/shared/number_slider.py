"""A slider with an editable number, and the plot that may stand on it."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QLabel, QSlider, QStyle, QStyleOptionSlider, QWidget

from .choosers import leave_wheel
from .colors import Colors
from .layout import in_column, in_row, one_line
from .numbers import DecimalBox
from .plots import Plot

STEPS = 1000
NAME_WIDTH = 82
# So many digits after the point a number of a slider has at most.
MOST_DIGITS = 9


class ClickSlider(QSlider):
    """A slider whose handle jumps to where it is clicked, and then follows the mouse."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setRange(0, STEPS)
        self.setPageStep(STEPS // 20)
        self.setSingleStep(STEPS // 200)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Put the handle under the mouse, then drag as usual."""
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        control, parts = QStyle.ComplexControl.CC_Slider, QStyle.SubControl
        handle = self.style().subControlRect(control, option, parts.SC_SliderHandle, self)
        point = event.position().toPoint()
        if event.button() == Qt.MouseButton.LeftButton and not handle.contains(point):
            groove = self.style().subControlRect(control, option, parts.SC_SliderGroove, self)
            span = groove.width() - handle.width()
            place = point.x() - groove.x() - handle.width() // 2
            self.setSliderDown(True)
            self.setValue(QStyle.sliderValueFromPosition(self.minimum(), self.maximum(), place, span))
        super().mousePressEvent(event)


class ExactNumber(DecimalBox):
    """A number as it is: with at least some digits after the point, and with more where the value has more.

    Parameters
    ----------
    digits : int
        Digits that are always shown; with 0 there are only whole numbers.
    """

    # Qt asks for a text before the constructor has ended.
    _digits = 0

    def __init__(self, digits: int, name: str) -> None:
        super().__init__(objectName=name)
        self._digits = digits
        self.setDecimals(MOST_DIGITS if digits else 0)

    def textFromValue(self, value: float) -> str:
        """Return the text of a number."""
        text = str(super().textFromValue(value))
        whole, point, rest = text.partition(self.locale().decimalPoint())
        return f"{whole}{point}{rest.rstrip('0').ljust(self._digits, '0')}" if point else text


class NumberSlider(QWidget):
    """Label, number, plot and slider for one value.

    Parameters
    ----------
    label, unit, tooltip : str
    decimals : int
        Digits after the point that are always shown; 0 for whole numbers.
    maximum : float
        Largest number that can be typed; the slider's right end is set with `set_span`.
    to_place, from_place : callable
        Value to place on the slider's axis (0 to 1), and back.
    plot : Plot, optional
        Without it all stands in one row.

    Signals
    -------
    valueChanged(float)
        The value changed, by the user or by a program.
    pressed(), released()
        The mouse went down on, or up from, the slider or the plot.
    """

    valueChanged = Signal(float)
    pressed = Signal()
    released = Signal()

    def __init__(
        self,
        name: str,
        label: str,
        unit: str,
        tooltip: str,
        *,
        decimals: int,
        maximum: float,
        step: float,
        to_place: Callable[[float], float],
        from_place: Callable[[float], float],
        plot: Plot | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setToolTip(tooltip)
        self._to_place, self._from_place = to_place, from_place
        self.plot = plot
        self.hint = one_line(f"{name}_hint")
        self.number = ExactNumber(decimals, f"{name}_number")
        self.number.setRange(0, maximum)
        self.number.setSingleStep(step)
        self.number.setSuffix(f" {unit}" if unit else "")
        self.number.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.number.setFixedWidth(112)
        self.number.setKeyboardTracking(False)
        self.number.setToolTip(f"{tooltip}\nType a number, or press the arrow keys.")
        self.slider = ClickSlider()
        self.slider.setObjectName(f"{name}_slider")
        self.slider.setToolTip(tooltip)
        for control in (self.number, self.slider):
            control.setAccessibleName(label)
            leave_wheel(control)
        self._lay_out(label)
        self._bind()

    def value(self) -> float | int:
        """Return the present value; a whole number where there are no decimals."""
        value = self.number.value()
        return round(value, self.number.decimals()) if self.number.decimals() else round(value)

    def setValue(self, value: float) -> None:
        """Set the value, as if it had been typed."""
        self.number.setValue(value)

    def show_value(self, value: float) -> None:
        """Show a value that came from the session, without announcing it."""
        self.number.blockSignals(True)
        self.number.setValue(value)
        self.number.blockSignals(False)
        self.follow()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.hint.setStyleSheet(f"color: {colors.faint.name()};font-size: 8pt;")

    def set_hint(self, text: str, tip: str = "") -> None:
        """Show something about the value beside it; a longer explanation is in the tooltip."""
        self.hint.setText(text)
        self.hint.setToolTip(tip or text)

    def follow(self) -> None:
        """Move the handle to the number, unless the mouse holds it."""
        if not self.slider.isSliderDown():
            self.slider.blockSignals(True)
            self.slider.setValue(round(self._to_place(self.number.value()) * STEPS))
            self.slider.blockSignals(False)

    def _lay_out(self, label: str) -> None:
        if self.plot is None:
            self.hint.hide()
            name = QLabel(label)
            name.setMinimumWidth(NAME_WIDTH)
            self.setLayout(in_row(name, (self.slider, 1), self.number, spacing=6))
        else:
            top = in_row(QLabel(label), (self.hint, 1), self.number, spacing=2)
            in_column(top, self.plot, self.slider, into=self, spacing=2)

    def _bind(self) -> None:
        self.number.valueChanged.connect(self._on_number)
        self.slider.valueChanged.connect(lambda position: self.setValue(self._from_place(position / STEPS)))
        self.slider.sliderPressed.connect(self.pressed)
        self.slider.sliderReleased.connect(self.released)
        if self.plot is not None:
            self.plot.picked.connect(lambda place: self.setValue(self._from_place(place)))
            self.plot.pressed.connect(self.pressed)
            self.plot.released.connect(self.released)

    def _on_number(self, value: float) -> None:
        self.follow()
        self.valueChanged.emit(value)
