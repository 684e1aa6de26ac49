"""Controls that magicgui lacks: a number that may be not set, with its unit; a text with suggestions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, get_args

from magicgui.types import Undefined
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import QLocale
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QDoubleSpinBox, QWidget

from .choosers import leave_wheel

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

    def __init__(self, parent: QWidget | None = None, **properties: Any) -> None:
        super().__init__(parent, **properties)
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
        if (asked := self.asked()) is not None:
            self.setValue(asked)

    def asked(self) -> float | None:
        """Return the number that is used; None where none is set."""
        if self.value() == self.unset:
            return None
        return float(max(self.value(), self.least))


class _Backend:
    """What magicgui asks of a backend (`magicgui.widgets.protocols.ValueWidgetProtocol`), for one Qt widget."""

    def __init__(self, native: QWidget, value: str, set_value: str, changed: str) -> None:
        self._native, self._value, self._set_value, self._changed = native, value, set_value, changed

    def _mgui_get_native_widget(self) -> QWidget:
        return self._native

    _mgui_get_root_native_widget = _mgui_get_native_widget

    def _mgui_close_widget(self) -> None:
        self._native.close()

    def _mgui_get_parent(self) -> Any:
        return getattr(self._native.parent(), "_magic_widget", None)

    def _mgui_set_parent(self, parent: Any) -> None:
        self._native.setParent(parent.native if parent else None)

    def _mgui_bind_parent_change_callback(self, callback: Callable[..., object]) -> None:
        """Do nothing: a form never moves its controls."""

    def _mgui_render(self) -> Any:
        raise NotImplementedError

    def _mgui_get_tooltip(self) -> Any:
        return self._native.toolTip()

    def _mgui_set_tooltip(self, text: str | None) -> None:
        self._native.setToolTip(text or "")

    def _mgui_get_value(self) -> Any:
        return getattr(self._native, self._value)()

    def _mgui_set_value(self, value: Any) -> None:
        getattr(self._native, self._set_value)(value)

    def _mgui_bind_change_callback(self, callback: Callable[..., object]) -> None:
        getattr(self._native, self._changed).connect(callback)


def _passes_on(getter: str, setter: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    return lambda self: getattr(self._native, getter)(), lambda self, value: getattr(self._native, setter)(value)


for _name, _get, _set in (
    ("visible", "isVisible", "setVisible"),
    ("enabled", "isEnabled", "setEnabled"),
    *((side, side, f"setFixed{side.title()}") for side in ("width", "height")),
    *((f"min_{side}", f"minimum{side.title()}", f"setMinimum{side.title()}") for side in ("width", "height")),
    *((f"max_{side}", f"maximum{side.title()}", f"setMaximum{side.title()}") for side in ("width", "height")),
):
    for _verb, _method in zip(("get", "set"), _passes_on(_get, _set), strict=True):
        setattr(_Backend, f"_mgui_{_verb}_{_name}", _method)


class _NumberBackend(_Backend):
    def __init__(
        self, parent: Any, whole: bool = False, low: float = 0, high: float = 99, none: str = "", unit: str = ""
    ) -> None:
        box = NumberBox(parent)
        super().__init__(box, "asked", "setValue", "valueChanged")
        box.setDecimals(0 if whole else DECIMALS)
        if not whole:
            box.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        box.least = low
        box.unset = None if not none else 0.0 if low > 0 else low - 1
        box.setRange(low if box.unset is None else box.unset, high)
        box.setSuffix(f" {unit}" if unit else "")
        box.setSpecialValueText(none)
        self._whole, self._unset = whole, box.unset or 0

    def _mgui_get_value(self) -> float | int | None:
        value = super()._mgui_get_value()
        return value if value is None else round(value) if self._whole else round(value, DECIMALS)

    def _mgui_set_value(self, value: float | None) -> None:
        super()._mgui_set_value(self._unset if value is None else value)


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


class _SuggestedBackend(_Backend):
    def __init__(self, parent: Any, suggestions: Iterable[str] = ()) -> None:
        box = QComboBox(parent)
        super().__init__(box, "currentText", "setEditText", "editTextChanged")
        box.setEditable(True)
        box.addItems(list(suggestions))


class Suggested(ValueWidget):
    """A text that is typed, or chosen from `suggestions`."""

    def __init__(self, value: Any = Undefined, suggestions: Iterable[str] = (), **kwargs: Any) -> None:
        kwargs |= {"widget_type": _SuggestedBackend, "backend_kwargs": {"suggestions": suggestions}}
        super().__init__(value, **kwargs)
