"""Forms of settings: magicgui makes the controls from a frozen dataclass's annotations and its fields' metadata."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import Field, fields
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from magicgui.widgets import CheckBox, TupleEdit, create_widget
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QLabel, QWidget

from ...imaging.errors import CellsegError
from .choosers import shrinkable
from .colors import Colors
from .layout import in_grid, sentence
from .numbers import NOT_SET, Number, NumberBox, Suggested

# Two of them share the width of one.
NARROW = "QAbstractSpinBox { min-width: 30px; }"
Params = TypeVar("Params")


class Form(QWidget, Generic[Params]):
    """One control for each setting of a frozen dataclass.

    A setting is a field with ``label`` and ``help`` in its metadata, and ``min`` and ``max`` if it is a number; see
    `napari_cellseg.training.settings.setting`. Optional entries are ``unit``, ``none`` (the text that stands for None),
    ``choices`` and ``words`` (their texts, where they are not shown as they are), ``suggestions`` and ``placeholder``.

    Parameters
    ----------
    params : type
        A frozen dataclass whose settings have defaults.
    prefix : str
        The controls' object names are this and the setting's name.
    leave_out : collection of str, optional
        Settings that have no control here.
    own : mapping, optional
        Values to begin with that differ from the settings' defaults.

    Signals
    -------
    changed()
    """

    changed = Signal()

    def __init__(
        self, params: type[Params], prefix: str, leave_out: Collection[str] = (), own: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self._params = params
        self.fields: dict[str, Field[Any]] = {
            entry.name: entry
            for entry in fields(params)  # type: ignore[arg-type]
            if "label" in entry.metadata and entry.name not in leave_out
        }
        self._own = {name: value for name, value in (own or {}).items() if name in self.fields}
        self._controls = {name: control_of(params, name, prefix, self._default(name)) for name in self.fields}
        self.problem = sentence(f"{prefix}_problem")
        self._lay_out()
        for control in self._controls.values():
            control.changed.connect(self._on_changed)

    def __getitem__(self, name: str) -> Any:
        """Return the magicgui widget of a setting; its ``value`` can be read and set."""
        return self._controls[name]

    @property
    def value(self) -> Params:
        """The settings as they are shown.

        Raises
        ------
        CellsegError
            If they do not go together.
        """
        return self._params(**self.values())

    def values(self) -> dict[str, Any]:
        """Return the settings as they are shown, by name."""
        return {name: control.value for name, control in self._controls.items()}

    def changes(self) -> dict[str, Any]:
        """Return the settings that differ from the defaults of the dataclass, by name."""
        return {name: value for name, value in self.values().items() if value != self.fields[name].default}

    def set_defaults(self) -> None:
        """Show the values to begin with."""
        self.set_values({name: self._default(name) for name in self.fields})

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show some values, by name."""
        for name, value in values.items():
            self[name].value = tuple(value) if isinstance(value, (list, tuple)) else value

    def set_unset(self, name: str, text: str) -> None:
        """Show other words for a number that is not set."""
        self[name].native.setSpecialValueText(text)

    def set_own(self, name: str, value: Any) -> None:
        """Begin with another value from now on; what the user chose stays."""
        untouched = self.values()[name] == self._default(name)
        self._own[name] = value
        if untouched:
            self[name].value = value

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.problem.setStyleSheet(f"color: {colors.warning.name()};")

    def _lay_out(self) -> None:
        self._grid = grid = in_grid(self, vertical=3)
        self._rows: dict[str, int] = {}
        row = 0
        alone: ValueWidget | None = None
        for name, control in self._controls.items():
            # Two ticks that follow each other share a row. Every second row is for what is wrong above it.
            beside, tick = alone, isinstance(control, CheckBox)
            alone = control if tick and beside is None else None
            if tick and beside is not None:
                grid.removeWidget(beside.native)
                for column, part in enumerate((beside, control)):
                    grid.addWidget(part.native, row, column)
                self._rows[name] = row
                continue
            row += 2
            self._rows[name] = row
            if tick:
                grid.addWidget(control.native, row, 0, 1, 2)
                continue
            label = QLabel(self.fields[name].metadata["label"])
            label.setToolTip(control.tooltip)
            grid.addWidget(label, row, 0)
            grid.addWidget(control.native, row, 1)
        self.problem.hide()

    def _default(self, name: str) -> Any:
        return self._own.get(name, self.fields[name].default)

    def _on_changed(self, _: Any) -> None:
        self._show_problem()
        self.changed.emit()

    def _show_problem(self) -> None:
        """Show what is wrong with a single setting below its control."""
        self._grid.removeWidget(self.problem)
        self.problem.hide()
        for name, value in self.values().items():
            try:
                self._params(**{name: value})
            except CellsegError as error:
                self.problem.setText(str(error))
                self._grid.addWidget(self.problem, self._rows[name] + 1, 0, 1, 2)
                self.problem.show()
                return


def control_of(params: type, name: str, prefix: str, default: Any) -> ValueWidget:
    """Return the magicgui widget of one setting, for layouts that a form cannot make; see `Form`."""
    entry, hint = params.__dataclass_fields__[name], get_type_hints(params)[name]  # type: ignore[attr-defined]
    meta = entry.metadata
    options: dict[str, Any] = {"tooltip": _tip(entry, default)}
    kinds = {hint, *get_args(hint)}
    if "choices" in meta:
        choices = [(meta.get("words", {}).get(choice, choice), choice) for choice in meta["choices"]]
        options["choices"] = [*([(meta.get("none", NOT_SET), None)] if type(None) in kinds else []), *choices]
    elif "suggestions" in meta:
        options |= {"widget_type": Suggested, "suggestions": meta["suggestions"]}
    elif bool not in kinds and kinds & {int, float}:
        number = {"widget_type": Number, "min": meta["min"], "max": meta["max"], "unit": meta.get("unit", "")}
        none = {"none": meta.get("none", NOT_SET)} if type(None) in kinds else {}
        options |= {"options": number} if get_origin(hint) is tuple else number | none
    made = create_widget(default, hint, name, label=meta["label"], options=options)
    native = made.native
    native.setObjectName(f"{prefix}_{name}")
    for part in (native, *native.findChildren(NumberBox)):
        part.setToolTip(options["tooltip"])
    if isinstance(native, QComboBox):
        shrinkable(native)
    if isinstance(made, TupleEdit):
        native.setStyleSheet(NARROW)
        native.layout().setSpacing(3)
    if "placeholder" in meta:
        native.setPlaceholderText(meta["placeholder"])
    return made


def _tip(entry: Field[Any], default: Any) -> str:
    text = entry.metadata["help"]
    text = text[:1].upper() + text[1:].rstrip(".")
    if isinstance(default, str) and "choices" not in entry.metadata:
        return f"{text}."
    return f"{text}. Default: {_in_words(entry, default)}"


def _in_words(entry: Field[Any], value: Any) -> str:
    words = entry.metadata.get("words", {})
    if value in words:
        return str(words[value])
    if value is None:
        return str(entry.metadata.get("none", NOT_SET))
    if isinstance(value, bool):
        return "on" if value else "off"
    return " to ".join(f"{x:g}" for x in value) if isinstance(value, tuple) else str(value)
