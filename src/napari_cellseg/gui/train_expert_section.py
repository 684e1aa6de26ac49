"""The settings of a fine-tune, for those who ask for them; made from the settings' own labels, ranges and help."""

from __future__ import annotations

from dataclasses import Field, fields
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QDoubleSpinBox, QFormLayout, QPushButton, QSpinBox, QWidget

from ..training.finetune_params import FineTuneParams, is_expert

DECIMALS = 7


class ShortDoubleSpinBox(QDoubleSpinBox):
    """Shows 0.001, not 0.0010000."""

    def textFromValue(self, value: float) -> str:
        """Return the shortest text of a number."""
        return f"{value:.6g}"


class TrainExpertSection(QWidget):
    """One control per expert setting."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controls: dict[str, QWidget] = {}
        form = QFormLayout(self)
        form.setContentsMargins(12, 0, 0, 0)
        form.setVerticalSpacing(3)
        self._fields = [f for f in fields(FineTuneParams) if is_expert(f.name)]
        for setting in self._fields:
            control = _control(setting)
            control.setObjectName(f"train_{setting.name}")
            control.setToolTip(f"{setting.metadata['help']}. Default: {setting.default}")
            control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            control.installEventFilter(self)
            self.controls[setting.name] = control
            form.addRow(setting.metadata["label"], control)
        self.reset = QPushButton("Back to the defaults", objectName="train_defaults")
        self.reset.setToolTip("Set all of these to what they were.")
        self.reset.clicked.connect(self.set_defaults)
        form.addRow(self.reset)

    def values(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults."""
        found = {f.name: _value(self.controls[f.name]) for f in self._fields}
        return {f.name: found[f.name] for f in self._fields if found[f.name] != f.default}

    def words(self) -> tuple[str, ...]:
        """Return these as words of the command line."""
        pairs = [(f"--{name.replace('_', '-')}", str(value)) for name, value in self.values().items()]
        return tuple(word for pair in pairs for word in pair)

    def set_defaults(self) -> None:
        """Forget what was changed."""
        for setting in self._fields:
            control = self.controls[setting.name]
            if isinstance(control, QComboBox):
                control.setCurrentText(str(setting.default))
            elif isinstance(control, (QSpinBox, QDoubleSpinBox)):
                control.setValue(setting.default)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Leave the wheel to the scroll area unless the control was clicked."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)


def _control(setting: Field[Any]) -> QWidget:
    meta = setting.metadata
    if "choices" in meta:
        box = QComboBox()
        box.addItems(list(meta["choices"]))
        box.setCurrentText(str(setting.default))
        return box
    number: QSpinBox | QDoubleSpinBox
    if isinstance(setting.default, int):
        number = QSpinBox()
    else:
        number = ShortDoubleSpinBox()
        number.setDecimals(DECIMALS)
        number.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
    number.setRange(meta["min"], meta["max"])
    number.setValue(setting.default)
    return number


def _value(control: QWidget) -> Any:
    if isinstance(control, QComboBox):
        return control.currentText()
    assert isinstance(control, (QSpinBox, QDoubleSpinBox))
    return round(control.value(), DECIMALS) if isinstance(control, QDoubleSpinBox) else control.value()
