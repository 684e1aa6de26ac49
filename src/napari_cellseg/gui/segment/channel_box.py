"""The channel that the network sees: one of them, all colours, or a mix of several."""

from __future__ import annotations

from qtpy.QtCore import QPoint, QSignalBlocker, Signal
from qtpy.QtWidgets import QCheckBox, QMenu, QWidget, QWidgetAction

from ...imaging.channels import Channel, mix_name
from ...imaging.errors import ImageError
from ...imaging.image import Image
from ...segmentation.differences import channel_names
from ..shared.choosers import Chooser

COLORS = ("all colours", "red", "green", "blue")
MIX = "a mix of several …"


class ChannelBox(Chooser):
    """Names of the channels; the last entry opens a list in which several can be ticked.

    Signals
    -------
    chosen(channel)
        The user chose: a number, None for all colours, or a text such as "0+2" for a mix.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, objectName="channel")
        self.setToolTip(
            "The channel in which cells are looked for, or the mean of several: each is normalised first, so that none "
            "drowns the others."
        )
        self._names: list[str] = []
        self._colors = False
        self._places: tuple[int, ...] = ()
        self._unknown = False
        self.menu = QMenu(self)
        self.menu.aboutToHide.connect(self._show_places)
        self._ticks: list[QCheckBox] = []
        self.activated.connect(self._on_activated)

    def set_image(self, image: Image | None, channel: Channel | None) -> None:
        """List the channels of an image; nothing is listed where there is nothing to choose."""
        names, self._colors = [], image is not None and image.rgb
        if image is not None and image.rgb:
            names = list(COLORS)
        elif image is not None and image.n_channels > 1:
            names = [f"{i} {name}".strip() for i, name in enumerate(channel_names(image))]
        self._unknown = False
        try:
            self._places = image.channel_places(channel) if image is not None and names else ()
        except ImageError:
            # The description of the image shows what is wrong.
            self._places, self._unknown = (), channel is not None
            self.setPlaceholderText(f"no channel {channel} here")
        if names != self._names or not self.count():
            self._names = names
            with QSignalBlocker(self):
                self.clear()
                self.addItems(names)
                if self._mixable:
                    self.addItem(MIX)
            self._build_menu()
        self._show_places()

    @property
    def _mixable(self) -> bool:
        return len(self._names) > 1 and not self._colors

    def _build_menu(self) -> None:
        self.menu.clear()
        self._ticks = []
        for place, name in enumerate(self._names if self._mixable else ()):
            tick = QCheckBox(name.replace("&", "&&"), objectName=f"mix_{place}")
            tick.setStyleSheet("QCheckBox { padding: 3px 10px; }")
            tick.toggled.connect(self._on_ticked)
            # A menu closes after a click on an action of its own, but not after one on a widget in it.
            action = QWidgetAction(self.menu)
            action.setDefaultWidget(tick)
            self.menu.addAction(action)
            self._ticks.append(tick)

    def _show_places(self) -> None:
        with QSignalBlocker(self):
            if self._colors:
                self.setCurrentIndex(-1 if self._unknown else self._places[0] + 1 if self._places else 0)
                return
            mix = len(self._places) > 1
            if self._mixable:
                self.setItemText(len(self._names), f"{mix_in_words(self._names, self._places)} …" if mix else MIX)
            self.setCurrentIndex(len(self._names) if mix else self._places[0] if self._places else -1)

    def _on_activated(self, index: int) -> None:
        self._unknown = False
        if self._colors:
            self._places = (index - 1,) if index else ()
            self.chosen.emit(index - 1 if index else None)
        elif index < len(self._names):
            self._places = (index,)
            self._show_places()
            self.chosen.emit(index)
        else:
            for place, tick in enumerate(self._ticks):
                with QSignalBlocker(tick):
                    tick.setChecked(place in self._places)
            self.menu.popup(self.mapToGlobal(QPoint(0, self.height())))
            # Arrow keys and the space bar do here too.
            self._ticks[0].setFocus()

    def _on_ticked(self) -> None:
        places = tuple(place for place, tick in enumerate(self._ticks) if tick.isChecked())
        if not places or places == self._places:
            return
        self._places = places
        self._show_places()
        self.chosen.emit(mix_name(places))


def mix_in_words(names: list[str], places: tuple[int, ...]) -> str:
    """Describe what is mixed: names without their numbers, where they have names."""
    short = [name.partition(" ")[2] or name for name in names]
    return " + ".join(short[i] for i in places)
