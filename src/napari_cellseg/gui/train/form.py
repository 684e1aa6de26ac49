"""Controls made from settings' own labels, ranges and help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QSpinBox,
    QWidget,
)

from ...training.settings import kind_of
from ..shared.layout import leave_wheel, shrinkable

DECIMALS = 7
# Two of them share the width of one.
NARROW = "QAbstractSpinBox { min-width: 30px; }"


class ShortDoubleSpinBox(QDoubleSpinBox):
    """Shows 0.001, not 0.0010000."""

    def textFromValue(self, value: float) -> str:
        """Return the shortest text of a number."""
        return f"{value:.6g}"


class _Unset:
    """What two kinds of controls have in common whose 0 says that nothing is set: from there they go to the least."""

    least: float = 0

    def stepBy(self: Any, steps: int) -> None:
        """Go up or down, across the gap between nothing and the least."""
        super().stepBy(steps)  # type: ignore[misc]
        if 0 < self.value() < self.least:
            self.setValue(self.least if steps > 0 else 0)

    def settle(self: Any) -> None:
        """Show what is used in the place of a number that is too small."""
        self.setValue(self.asked() or 0)

    def asked(self: Any) -> Any:
        """Return the number that is used; None: nothing is set."""
        return max(self.value(), self.least) if self.value() else None


class OptionalSpinBox(_Unset, QSpinBox):
    """A whole number, or nothing."""


class OptionalDoubleSpinBox(_Unset, ShortDoubleSpinBox):
    """A number, or nothing."""


class Pair(QWidget):
    """Two numbers, the smaller first."""

    changed = Signal()

    def __init__(self, setting: Field[Any]) -> None:
        super().__init__()
        self.low, self.high = _number(setting, float), _number(setting, float)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(3)
        for box in (self.low, self.high):
            box.setStyleSheet(NARROW)
            box.valueChanged.connect(self.changed)
            row.addWidget(box, 1)

    def value(self) -> tuple[float, float]:
        """Return both."""
        return round(self.low.value(), DECIMALS), round(self.high.value(), DECIMALS)

    def set_value(self, value: tuple[float, float]) -> None:
        """Set both."""
        self.low.setValue(value[0])
        self.high.setValue(value[1])


class SettingsForm(QWidget):
    """One control per setting.

    Parameters
    ----------
    settings : sequence of Field
        Of frozen dataclasses, with label, help and range.
    prefix : str
        The controls' object names are this and the setting's name.
    own : mapping, optional
        Values to begin with that differ from the settings' defaults.

    Signals
    -------
    changed()
    """

    changed = Signal()

    def __init__(self, settings: Sequence[Field[Any]], prefix: str, own: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.controls: dict[str, QWidget] = {}
        self._fields = list(settings)
        names = {f.name for f in self._fields}
        self._own = {name: value for name, value in (own or {}).items() if name in names}
        form = QFormLayout(self)
        form.setContentsMargins(12, 0, 0, 0)
        form.setVerticalSpacing(3)
        for setting in self._fields:
            control = _control(setting)
            control.setObjectName(f"{prefix}_{setting.name}")
            tip = f"{setting.metadata['help']}. Default: {_shown(setting, self._default(setting))}"
            for part in (control.low, control.high) if isinstance(control, Pair) else (control,):
                part.setToolTip(tip)
                leave_wheel(part)
            control.setToolTip(tip)
            self.controls[setting.name] = control
            form.addRow(setting.metadata["label"], control)
        self.set_defaults()
        for control in self.controls.values():
            _changed_of(control).connect(lambda *_: self.changed.emit())

    def values(self) -> dict[str, Any]:
        """Return the settings that differ from their own defaults."""
        found = {f.name: _value(self.controls[f.name], f) for f in self._fields}
        return {f.name: found[f.name] for f in self._fields if found[f.name] != f.default}

    def set_defaults(self) -> None:
        """Forget what was changed."""
        for setting in self._fields:
            _set(self.controls[setting.name], self._default(setting))

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Set some, by name."""
        for name, value in values.items():
            _set(self.controls[name], tuple(value) if isinstance(value, (list, tuple)) else value)

    def set_unset(self, name: str, text: str) -> None:
        """Say in other words what it means that a setting is not set."""
        control = self.controls[name]
        assert isinstance(control, QAbstractSpinBox)
        control.setSpecialValueText(text)

    def set_own(self, name: str, value: Any) -> None:
        """Begin with another value from now on; a person's own choice stays."""
        setting = next(f for f in self._fields if f.name == name)
        untouched = _value(self.controls[name], setting) == self._default(setting)
        self._own[name] = value
        if untouched:
            _set(self.controls[name], value)

    def _default(self, setting: Field[Any]) -> Any:
        return self._own.get(setting.name, setting.default)


def _control(setting: Field[Any]) -> QWidget:
    meta, kind = setting.metadata, kind_of(setting)
    if "choices" in meta:
        box = QComboBox()
        box.addItems(list(meta["choices"]))
        shrinkable(box)
        return box
    if kind is bool:
        return QCheckBox()
    return Pair(setting) if kind is tuple else _number(setting, kind)


def _number(setting: Field[Any], kind: type) -> QSpinBox | QDoubleSpinBox:
    meta = setting.metadata
    optional = setting.default is None
    number: QSpinBox | QDoubleSpinBox
    if kind is int:
        number = OptionalSpinBox() if optional else QSpinBox()
    else:
        number = OptionalDoubleSpinBox() if optional else ShortDoubleSpinBox()
        number.setDecimals(DECIMALS)
        number.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
    number.setRange(0 if optional else meta["min"], meta["max"])
    if isinstance(number, (OptionalSpinBox, OptionalDoubleSpinBox)):
        number.least = meta["min"]
        number.setSpecialValueText(meta.get("none", "not set"))
        number.editingFinished.connect(number.settle)
    return number


def _set(control: QWidget, value: Any) -> None:
    if isinstance(control, QComboBox):
        control.setCurrentText(str(value))
    elif isinstance(control, QCheckBox):
        control.setChecked(value)
    elif isinstance(control, Pair):
        control.set_value(value)
    elif isinstance(control, (QSpinBox, QDoubleSpinBox)):
        control.setValue(0 if value is None else value)


def _value(control: QWidget, setting: Field[Any]) -> Any:
    if isinstance(control, QComboBox):
        return control.currentText()
    if isinstance(control, QCheckBox):
        return control.isChecked()
    if isinstance(control, Pair):
        return control.value()
    assert isinstance(control, (QSpinBox, QDoubleSpinBox))
    value = control.asked() if isinstance(control, _Unset) else control.value()
    return round(value, DECIMALS) if isinstance(value, float) else value


def _changed_of(control: QWidget) -> Any:
    if isinstance(control, QComboBox):
        return control.currentTextChanged
    if isinstance(control, QCheckBox):
        return control.toggled
    return control.changed if isinstance(control, Pair) else control.valueChanged


def _shown(setting: Field[Any], value: Any) -> str:
    if value is None:
        return str(setting.metadata.get("none", "not set"))
    if isinstance(value, bool):
        return "on" if value else "off"
    return " to ".join(f"{x:g}" for x in value) if isinstance(value, tuple) else str(value)
