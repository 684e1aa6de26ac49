"""The Correct widget: repair cells, walk through the doubtful ones, mark what was reviewed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QWidget

from ..shared.bindings import Bindings
from ..shared.layout import one_line
from ..shared.message import errors_to
from ..shared.question import Question
from ..viewer.correcting import Correcting
from ..viewer.dock import Dock, open_dock
from ..viewer.layer_image import title_of
from ..viewer.planes_in_view import PlanesInView
from ..viewer.recovery_banner import RecoveryBanner
from ..viewer.sliders import SliderPair
from .area_section import AreaSection
from .drafting import Drafting
from .keep_section import KeepSection
from .keys import Keys
from .review import Review
from .review_section import ReviewSection
from .tools import Tools
from .tools_section import CorrectToolsSection

if TYPE_CHECKING:
    from napari import Viewer


class CorrectWidget(Dock):
    """Dock widget in which the user corrects the cells of the chosen image."""

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, "correct", parent)
        self._tools, self._planes = self.bench.part(Tools), self.bench.part(PlanesInView)
        self._correcting = self.bench.part(Correcting)
        self.banner = RecoveryBanner(self.bench)
        self.tools_section = CorrectToolsSection(self.bench)
        self.question = Question()
        self.review_section = ReviewSection(self.bench)
        self.area_section = AreaSection(self.bench)
        self.keep_section = KeepSection(self.bench)
        self.sliders = SliderPair(self.bench, "correct")
        self.title = one_line("correct_title")
        self.title.setStyleSheet("font-weight: bold; font-size: 13pt;")
        sections = (self.tools_section, self.review_section, self.area_section, self.keep_section)
        below = (self.banner, self.question, self.tools_section.message)
        self.fill(self.title, self.sliders, *sections, spacing=8, below=below)
        self._bindings = Bindings(self)
        session = self.session
        self._bindings.bind_each(self._on_cells, session.chosen_changed, session.cells_changed, session.corrected)
        self._bindings.bind(session.sliders_changed, self._on_sliders)
        self._bindings.bind(self.bench.image_renamed, lambda _: self._show_count())
        self._bindings.bind(self.bench.layers_made, self._attach)
        self._bindings.bind(self._tools.asked, lambda text, yes, then: self.question.ask(text, yes, "Cancel", then))
        self._bindings.bind(self.session.chosen_changed, lambda _: self.question.hide())
        self._bindings.bind(self.session.corrected, lambda *_: self.question.hide())
        self._bindings.bind(self.bench.viewer.layers.selection.events.active, self._on_active)
        review, drafting = self.bench.part(Review), self.bench.part(Drafting)
        keys = {"G": review.next, "Y": review.accept, "N": review.delete, "C": review.correct}
        keys |= {"T": drafting.learn, "K": drafting.keep, "U": drafting.drop}
        self.keys = Keys(self.bench, self._tools.keys | keys, self)
        self.destroyed.connect(self._tools.detach_all)
        self.keep_section.add.clicked.connect(self._on_add)
        self._on_active()
        self._on_cells()

    def event(self, event: QEvent) -> bool:
        """Take the keys back when napari takes the widget out of its dock; it is not destroyed then."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None and hasattr(self, "_watched"):
            self._tools.detach_all()
            self.keys.close()
        return bool(super().event(event))

    def showEvent(self, event: QShowEvent) -> None:
        """Give the tools to the layers that were made meanwhile."""
        super().showEvent(event)
        for key in self.bench.layers:
            self._attach(key)
        self._show_count()

    def hideEvent(self, event: QHideEvent) -> None:
        """Put the tool down: a click must not correct anything while its tool is hidden."""
        super().hideEvent(event)
        self._tools.put_down()

    def _on_add(self) -> None:
        """Let the Train widget add the image; this one stays in front, as the user goes on correcting."""
        with errors_to(self._correcting.reported.emit):
            open_dock(self.bench.viewer, "train", raised=False).add_chosen(self._correcting.reported.emit)

    def _on_active(self, event: Any = None) -> None:
        self.bench.choose_active()

    def _attach(self, key: Any) -> None:
        layers = self.bench.layers.get(key)
        if layers is not None and self.parent() is not None:
            self._tools.attach(layers.labels)

    def _on_cells(self, key: Any = None) -> None:
        self._attach(self.session.chosen)
        self._show_count()

    def _on_sliders(self, _: Any) -> None:
        if self.isVisible():
            self._show_count()

    def _show_count(self) -> None:
        """Show the image and its count; the name is what gives way where there is little room."""
        layer, cells = self.bench.layer_of(self.session.chosen), self.session.cells
        name = "no image" if layer is None else title_of(layer)
        plane = self._planes.words(self.session.chosen)
        name = f"{name}, {plane}" if plane else name
        self.title.setText(f"{name}: {cells.count():,} cells" if cells is not None else name)
        self.title.setToolTip(self.title.text())
