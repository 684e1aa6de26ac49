"""What a marker measures: channel, place, mean or share of pixels; and how far nuclei are grown for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QLabel, QWidget

from ...imaging.image import Image
from ...instances.compartments import NUCLEUS, PLACES, Growth
from ...segmentation.differences import channel_names
from ...segmentation.marker import MEAN, SHARE, Marker
from ..shared.choosers import chooser, fill
from ..shared.help import HelpButton
from ..shared.layout import SMALL, button, in_column, in_row
from ..shared.numbers import NumberBox

LARGEST = 1e12
WIDTH, UNIT_WIDTH = 26, 78
HALF = 0.5
_COLORS = ("red", "green", "blue")
_MARK = " ●"


class MarkerChoices(QWidget):
    """Controls for one of the markers; they hold no state, and show what `show_markers` is given.

    Parameters
    ----------
    beside : QWidget
        Has its place at the end of the second row.

    Signals
    -------
    asked(Marker)
        Another channel, place or measure for the marker that is shown; its threshold means nothing.
    shown(int)
        Another of the markers is to be shown.
    further(str), dropped()
        A further marker of a channel, or no marker of this one.
    grow_asked(str or None)
    """

    asked = Signal(object)
    shown = Signal(int)
    further = Signal(str)
    dropped = Signal()
    grow_asked = Signal(object)

    def __init__(self, beside: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._markers: tuple[Marker, ...] = ()
        self._place = 0
        self.channel = chooser(
            "marker_channel", "The channel whose brightness is measured; ● has a threshold.", (), self._on_channel
        )
        self.where = chooser(
            "marker_place",
            "Where it is measured: in the cell as it was found (nucleus), in the cell to which it is grown, or in the "
            "ring, which is the one without the other.",
            [(place, place) for place in PLACES],
            self._on_measure,
        )
        self.more = button(
            "marker_more", "+", "Call cells by a further channel, too.", slot=lambda: self.further.emit(self._free()[0])
        )
        self.less = button("marker_less", "−", "Call cells by this channel no more.", slot=self.dropped.emit)
        self.measure = chooser(
            "marker_measure",
            "Mean brightness, or the share of pixels that are brighter than a level.",
            [(MEAN, MEAN), ("share above", SHARE)],
            self._on_measure,
        )
        self.level = _number("marker_level", -LARGEST, "Pixels brighter than this count.")
        self.growth = _number(
            "grow", 0, "Length by which nuclei are grown to cells with the same ids; 0 grows nothing."
        )
        self.growth.setSpecialValueText("off")
        # A style sheet's least width wins over the widget's own.
        self.growth.setStyleSheet("min-width: 40px;")
        self.unit = chooser("grow_unit", "Unit of the length.", [("µm", "um"), ("px", "px")], self._on_growth)
        self.unit.setFixedWidth(UNIT_WIDTH)
        self.edge = chooser(
            "grow_edge", "Grow at most to the edge of the cells that a channel shows.", (), self._on_growth
        )
        self.level.valueChanged.connect(self._on_measure)
        self.growth.valueChanged.connect(self._on_growth)
        for small in (self.more, self.less):
            small.setStyleSheet(SMALL)
            small.setFixedWidth(WIDTH)
        in_column(
            in_row((self.channel, 1), (self.where, 1), self.more, self.less, HelpButton("Positive cells")),
            in_row((self.measure, 3), (self.level, 2), (beside, 3)),
            in_row(QLabel("Grow by"), (self.growth, 1), self.unit, (self.edge, 2)),
            into=self,
            spacing=3,
        )

    def show_markers(self, markers: Sequence[Marker], place: int, grow: str | None, image: Image | None) -> None:
        """Show one of these markers, by its place in the list, and the channels that an image has."""
        self._markers, self._place = tuple(markers), place
        marker = self._markers[place] if place < len(markers) else None
        with_marker = [one.channel for one in markers]
        names = list(dict.fromkeys([*([] if image is None else names_of(image)), *with_marker]))
        fill(self.channel, [(name + _MARK * (name in with_marker), name) for name in names], marker and marker.channel)
        self.channel.setPlaceholderText("channel …")
        self.more.setEnabled(marker is not None and bool(self._free()))
        self.less.setEnabled(marker is not None)
        with QSignalBlocker(self.where), QSignalBlocker(self.measure), QSignalBlocker(self.level):
            if marker is not None:
                self.where.setCurrentIndex(self.where.findData(marker.place))
                self.measure.setCurrentIndex(0 if marker.level is None else 1)
                self.level.setValue(self.level.value() if marker.level is None else marker.level)
        self.level.setVisible(marker is not None and marker.level is not None)
        with QSignalBlocker(self.growth), QSignalBlocker(self.unit):
            growth = None if grow is None else Growth.parse(grow)
            self.growth.setValue(0 if growth is None else growth.amount)
            edges = [*names, *([growth.edge] if growth is not None and growth.edge not in ("", *names) else [])]
            fill(self.edge, [("freely", ""), *((f"to {name}", name) for name in edges)], growth.edge if growth else "")
            unit = growth.unit if growth is not None else "um" if image is not None and image.pixel_size else "px"
            self.unit.setCurrentIndex(self.unit.findData(unit))

    def usual_growth(self) -> str:
        """Return a length that goes for most nuclei, in the unit that is chosen."""
        return "3um" if self.unit.currentData() == "um" else "5px"

    def _free(self) -> list[str]:
        used = {marker.channel for marker in self._markers}
        return [name for i in range(self.channel.count()) if (name := self.channel.itemData(i)) not in used]

    def _on_channel(self, _: int) -> None:
        """Show the marker of a channel; where it has none yet, measure it in the place of the one that is shown."""
        channel = self.channel.currentData()
        there = next((i for i, marker in enumerate(self._markers) if marker.channel == channel), None)
        if there is None:
            self._on_measure()
        else:
            self.shown.emit(there)

    def _on_measure(self, _: Any = None) -> None:
        channel, before = self.channel.currentData(), self._markers[self._place : self._place + 1]
        if channel is None:
            return
        level = None
        if self.measure.currentData() == SHARE:
            known = before[0].level if before else None
            # Where cells begin to be positive by their mean is a level that parts pixels, too.
            level = self.level.value() if known is not None else before[0].threshold if before else 0.0
        marker = Marker(channel, HALF if level is not None else 0.0, self.where.currentData() or NUCLEUS, level)
        if not before or marker.measured != before[0].measured:
            self.asked.emit(marker)

    def _on_growth(self, _: Any = None) -> None:
        amount = self.growth.value()
        self.grow_asked.emit(
            str(Growth(amount, self.unit.currentData(), self.edge.currentData() or "")) if amount else None
        )


def names_of(image: Image) -> list[str]:
    """Return the channels as markers name them: by name, or by number where a name is empty, double or strange."""
    if image.rgb:
        return list(_COLORS)
    names = channel_names(image)
    return [
        name if name and names.count(name) == 1 and not set(name) & {*":>+\n\r"} and not name.isdecimal() else str(i)
        for i, name in enumerate(names)
    ]


def _number(name: str, least: float, tooltip: str) -> NumberBox:
    box = NumberBox(objectName=name, toolTip=tooltip, keyboardTracking=False)
    box.setRange(least, LARGEST if least else 1000)
    return box
