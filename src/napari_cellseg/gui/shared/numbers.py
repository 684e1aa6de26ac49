"""Controls that magicgui lacks: a number that may be not set, with its unit; a text with suggestions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from magicgui.backends._qtpy.widgets import QBaseStringWidget, QBaseValueWidget
from magicgui.types import Undefined
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import QLocale
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QDoubleSpinBox, QWidget

from .layout import leave_wheel

DECIMALS = 7
NOT_SET = "not set"


class DecimalBox(QDoubleSpinBox):
    """A spin box that shows a decimal point and reads a decimal comma as one; neither sign groups digits."""

    def __init__(self, parent: QWidget | None = None, **properties: Any) -> None:
        super().__init__(parent, **properties)
        # Numbers are shown with a decimal point everywhere, so they are read with one everywhere.
        self.setLocale(QLocale.c())

    def validate(self, text: str, place: int) -> Any:
        """Return whether a text is a number, or may become one."""
        return super().validate(text.replace(",", "."), place)


class NumberBox(DecimalBox):
    """A spin box that shows 0.001, not 0.0010000.

    A number `unset` below `least` means that nothing is set, and steps go from it to the least number.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.least = 0.0
        self.unset: float | None = None
        leave_wheel(self)
        self.editingFinished.connect(self._keep_to_least)

    def textFromValue(self, value: float) -> str:
        """Return the shortest text of a number."""
        return f"{value:.6g}" if self.decimals() else f"{value:.0f}"

    def stepBy(self, steps: int) -> None:
        """Go up or down, across the gap between not set and the least number."""
        super().stepBy(steps)
        if self.unset is not None and self.unset < self.value() < self.least:
            self.setValue(self.least if steps > 0 else self.unset)

    def _keep_to_least(self) -> None:
        # A number below the least is replaced once the control is left.
        asked = self.asked()
        if asked is not None:
            self.setValue(asked)

    def asked(self) -> float | None:
        """Return the number that is used; None where none is set."""
        if self.value() == self.unset:
            return None
        return float(max(self.value(), self.least))


class _NumberBackend(QBaseValueWidget):
    def __init__(
        self, whole: bool = False, low: float = 0, high: float = 99, none: str = "", unit: str = "", **kwargs: Any
    ) -> None:
        super().__init__(NumberBox, "asked", "setValue", "valueChanged", **kwargs)
        box = self._qwidget
        box.setDecimals(0 if whole else DECIMALS)
        if not whole:
            box.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        box.least = low
        box.unset = None if not none else 0.0 if low > 0 else low - 1
        box.setRange(low if box.unset is None else box.unset, high)
        box.setSuffix(f" {unit}" if unit else "")
        box.setSpecialValueText(none)
        self._whole = whole

    def _post_get_hook(self, value: float | None) -> float | int | None:
        return value if value is None else round(value) if self._whole else round(value, DECIMALS)

    def _pre_set_hook(self, value: float | None) -> float:
        return (self._qwidget.unset or 0) if value is None else value


class Number(ValueWidget):
    """A number; with `none`, which is the text of None, it may be not set.

    Parameters
    ----------
    value : int, float or None, optional
    min, max : float
    none, unit : str
    annotation : type
        int for whole numbers; with ``| None`` where it may be not set.
    **kwargs
        Of every widget of magicgui.
    """

    def __init__(
        self,
        value: Any = Undefined,
        min: float = 0,
        max: float = 99,
        none: str = "",
        unit: str = "",
        annotation: Any = float,
        **kwargs: Any,
    ) -> None:
        whole = int in (annotation, *get_args(annotation))
        backend = {"whole": whole, "low": min, "high": max, "none": none, "unit": unit}
        kwargs |= {"widget_type": _NumberBackend, "backend_kwargs": backend, "nullable": bool(none)}
        super().__init__(value, annotation=annotation, **kwargs)


class _SuggestedBackend(QBaseStringWidget):
    def __init__(self, suggestions: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(QComboBox, "currentText", "setEditText", "editTextChanged", **kwargs)
        self._qwidget.setEditable(True)
        self._qwidget.addItems(list(suggestions))


class Suggested(ValueWidget):
    """A text that is typed, or chosen from `suggestions`."""

    def __init__(self, value: Any = Undefined, suggestions: Iterable[str] = (), **kwargs: Any) -> None:
        kwargs |= {"widget_type": _SuggestedBackend, "backend_kwargs": {"suggestions": suggestions}}
        super().__init__(value, **kwargs)
