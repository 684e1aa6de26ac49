"""Forms of settings: made from the settings' own annotations and metadata, and bound to their frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from qtpy.QtCore import QLocale, Qt
from qtpy.QtWidgets import QComboBox, QLabel, QWidget

from napari_cellseg.gui.shared.form import Form
from napari_cellseg.imaging.errors import ParamsError
from napari_cellseg.training.settings import setting


@dataclass(frozen=True)
class Cake:
    """Something with a setting of every kind."""

    flour: float = setting(0.5, "Flour", "how much flour", 0.001, 9, unit="kg")
    eggs: int = setting(3, "Eggs", "how many eggs", 0, 10**7)
    minutes: int | None = setting(None, "Time", "how long", 5, 90, kind=int, none="until done", unit="min")
    heat: tuple[float, float] = setting((150.0, 180.0), "Heat", "first and last heat", 50, 300)
    kind: str = setting("plain", "Kind", "which", choices=("plain", "round"), words={"round": "a round one"})
    name: str = setting("", "Name", "what it is called", placeholder="a word")
    sauce: str = setting("none", "Sauce", "with what", suggestions=("none", "cream"))
    hot: bool = setting(False, "Hot", "eaten hot")
    sweet: bool = setting(True, "Sweet", "with sugar")
    inside: str = "no setting"

    def __post_init__(self) -> None:
        if self.heat[0] > self.heat[1]:
            raise ParamsError(f"Cake setting heat is {self.heat}; it must rise.")
        if not self.eggs and self.sauce == "none":
            raise ParamsError("A cake needs eggs or a sauce.")


@pytest.fixture
def form(viewer: Any, qtbot: Any) -> Form[Cake]:
    form = Form(Cake, "cake", own={"eggs": 4})
    viewer.window.add_dock_widget(form, name="cake")
    qtbot.waitUntil(form.isVisible, timeout=20_000)
    return form


def native(form: Form[Cake], name: str) -> Any:
    found = form.findChild(QWidget, f"cake_{name}")
    assert found is not None and found is form[name].native
    return found


def type_into(box: QWidget, text: str, qtbot: Any) -> None:
    box.setFocus()
    for child in (box,) if not isinstance(box, QComboBox) else (box.lineEdit(),):
        child.selectAll()
        qtbot.keyClicks(child, text)
        qtbot.keyClick(child, Qt.Key.Key_Tab)


def test_what_is_shown_is_the_frozen_value_both_ways(form: Form[Cake], qtbot: Any) -> None:
    assert form.value == Cake(eggs=4) and form.changes() == {"eggs": 4}
    changed: list[Cake] = []
    form.changed.connect(lambda: changed.append(form.value))
    type_into(native(form, "flour"), "0.125", qtbot)
    assert form.value.flour == 0.125 and changed and changed[-1].flour == 0.125
    wanted = Cake(0.3, 7, 30, (100.0, 120.5), "round", "Kate's", "of cherries", True, False)
    form.set_values({name: getattr(wanted, name) for name in form.fields})
    assert form.value == wanted and native(form, "sauce").currentText() == "of cherries"
    form.set_defaults()
    assert form.value == Cake(eggs=4)
    type_into(native(form, "sauce"), "jam", qtbot)
    assert form.value.sauce == "jam"


def test_labels_help_units_and_choices_are_those_of_the_fields(form: Form[Cake]) -> None:
    texts = {label.text() for label in form.findChildren(QLabel)}
    assert {"Flour", "Eggs", "Time", "Heat", "Kind", "Name", "Sauce"} <= texts and "Hot" not in texts
    assert native(form, "hot").text() == "Hot" and native(form, "hot").y() == native(form, "sweet").y()
    assert native(form, "flour").text() == "0.5 kg" and native(form, "eggs").text() == "4"
    assert native(form, "minutes").text() == "until done" and native(form, "name").placeholderText() == "a word"
    assert [native(form, "kind").itemText(i) for i in range(2)] == ["plain", "a round one"]
    assert native(form, "eggs").toolTip() == "How many eggs. Default: 4"
    assert native(form, "heat").toolTip() == "First and last heat. Default: 150 to 180"
    assert native(form, "name").toolTip() == "What it is called."


def test_numbers_keep_to_their_range_and_show_no_more_digits_than_they_have(form: Form[Cake], qtbot: Any) -> None:
    box = native(form, "eggs")
    form["eggs"].value = 12_345_678
    assert form.value.eggs == 10**7 and box.text() == "10000000"
    box.stepBy(-1)
    assert form.value.eggs == 10**7 - 1 and isinstance(form.value.eggs, int)
    form["flour"].value = 0.0000001
    assert form.value.flour == 0.001 and native(form, "flour").text() == "0.001 kg"
    time = native(form, "minutes")
    time.stepBy(1)
    assert form.value.minutes == 5
    time.stepBy(-1)
    assert form.value.minutes is None


@pytest.mark.parametrize("text", ["0.25", "0,25"])
def test_a_decimal_comma_is_a_decimal_point_whatever_the_system_writes(text: str, viewer: Any, qtbot: Any) -> None:
    before = QLocale()
    QLocale.setDefault(QLocale(QLocale.Language.German))
    try:
        form = Form(Cake, "cake")
        qtbot.addWidget(form)
        form.show()
        type_into(native(form, "flour"), text, qtbot)
        assert form.value.flour == 0.25 and native(form, "flour").text() == "0.25 kg"
    finally:
        QLocale.setDefault(before)


def test_what_is_wrong_stands_below_its_control(form: Form[Cake], qtbot: Any) -> None:
    low = native(form, "heat").findChildren(QWidget)[0]
    form["heat"].value = (200.0, 180.0)
    qtbot.waitUntil(form.problem.isVisible, timeout=5_000)
    assert "it must rise" in form.problem.text() and low is not None
    qtbot.waitUntil(lambda: form.problem.y() > native(form, "heat").y(), timeout=5_000)
    assert form.problem.y() < native(form, "kind").y()
    with pytest.raises(ParamsError, match="rise"):
        _ = form.value
    form["heat"].value = (170.0, 180.0)
    assert not form.problem.isVisible() and form.value.heat == (170, 180)
    # What only clashes with another setting is no single control's fault.
    form["eggs"].value = 0
    with pytest.raises(ParamsError, match="eggs or a sauce"):
        _ = form.value


def test_a_default_that_changes_leaves_the_users_choice(form: Form[Cake]) -> None:
    form.set_own("eggs", 6)
    assert form.value.eggs == 6
    form["eggs"].value = 2
    form.set_own("eggs", 8)
    assert form.value.eggs == 2
    form.set_defaults()
    assert form.value.eggs == 8
    form.set_unset("minutes", "for ever")
    assert native(form, "minutes").text() == "for ever"
