"""Segment, Cancel, how far it is, and one sentence on what to do next, whose place the widget chooses."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QSizePolicy, QWidget

from ...imaging.progress import Progress
from ...session import PlaneKey, State
from ..planes.plane_run import PlaneRun
from ..shared.choosers import NARROWEST, chooser
from ..shared.colors import Colors, accent_button
from ..shared.help import HelpButton
from ..shared.layout import button, in_grid, in_row
from ..shared.message import Message
from ..shared.progress_bar import Pace, ProgressBar, in_words
from ..viewer.bench import Bench
from ..viewer.canvas import focus_canvas
from ..viewer.regions import Regions
from ..viewer.section import Section
from .images_run import ImagesRun
from .where_menu import WORDS, WhereMenu

SEEN = "How much of the image the network has seen."
RAN_WITH = {
    "float32": "numbers of 32 bits, exact and slow.",
    "bfloat16": "numbers of 16 bits, quicker on this machine.",
    "OpenVINO": "a library that makes networks quicker on processors.",
}


class RunSection(Section):
    """Buttons, progress and the message line.

    Signals
    -------
    asked()
        Segment was pressed.
    """

    asked = Signal()

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(bench)
        self._planes, self._regions = bench.part(PlaneRun), bench.part(Regions)
        self._images = bench.part(ImagesRun)
        self._pace = Pace()
        self._colors: Colors | None = None
        self._several = False
        tip = "Find the cells in this image with the chosen model. Takes seconds; nothing freezes."
        self.segment = button("segment", "Segment", tip, self._on_segment)
        self.where = WhereMenu(bench)
        tip = (
            "Segment the plane in view, or all planes: this one first, then the nearest. You can go on with those\n"
            "that are done meanwhile, and Cancel keeps them. Planes that are done in the same way are left out."
        )
        entries = (("This plane", False), ("All planes", True))
        self.scope = chooser("scope", tip, entries, lambda index: bench.session.choices.choose(all_planes=bool(index)))
        self.cancel = button("cancel", "Cancel", "Stop. What was there before stays as it was.", self._on_cancel)
        for control in (self.segment, self.scope, self.cancel):
            control.setMinimumHeight(30)
        self.progress = ProgressBar(objectName="progress")
        self.progress.setToolTip(SEEN)
        # The button grows with its text.
        self.progress.setMinimumWidth(NARROWEST)
        self.progress.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.message = Message(objectName="message", rows=2)
        grid = in_grid(self, spacing=5)
        grid.addLayout(in_row(self.segment, self.where, spacing=1), 0, 0)
        # In one place: while planes are segmented there is no choice of them, and before there is no progress to show.
        grid.addWidget(self.scope, 0, 1)
        grid.addWidget(self.progress, 0, 1)
        grid.addWidget(self.cancel, 0, 2)
        grid.addWidget(HelpButton("Segment"), 0, 3)
        session = bench.session
        self._bindings.bind(session.state_changed, self._on_state)
        self._bindings.bind(session.progress_changed, self._on_progress)
        self._bindings.bind_each(self._on_planes, session.chosen_changed, session.choices.changed, bench.image_changed)
        self._bindings.bind_each(self._on_planes, self._planes.changed, self._regions.changed, self._images.changed)
        self._on_planes()
        self._on_state(bench.session.state)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self.where.set_colors(colors)
        self._on_state(self._bench.session.state)

    def _on_segment(self) -> None:
        self.asked.emit()
        focus_canvas(self._bench.viewer)

    def _on_cancel(self) -> None:
        self._bench.cancel()
        focus_canvas(self._bench.viewer)

    def _on_planes(self, _: Any = None) -> None:
        """Offer this plane or all of them where there are several; name what Segment does."""
        chosen, choices = self._bench.session.chosen, self._bench.session.choices
        self.segment.setText(WORDS[choices.for_image(chosen).where])
        stack = self._bench.stack_of(chosen) if isinstance(chosen, PlaneKey) else None
        self._several = stack is not None
        with QSignalBlocker(self.scope):
            self.scope.setItemText(1, "All planes" if stack is None else f"All {stack.n_planes:,} planes")
            self.scope.setCurrentIndex(int(choices.viewer.all_planes))
        self._on_state(self._bench.session.state)

    def _on_state(self, state: State) -> None:
        # Between two planes nothing runs for a moment, nor while a part of an image is read.
        running = state.kind == "running" or self._planes.busy or self._regions.busy or self._images.busy
        self.scope.setVisible(self._several and not running)
        self.progress.setVisible(running or not self._several)
        if running and self.segment.isEnabled():
            self._pace = Pace()
            self._on_progress(Progress(0, 0, ""))
        self.segment.setEnabled(not running)
        self.where.setEnabled(not running)
        self.cancel.setEnabled(running)
        asks = not running and bool(self._bench.session.differences(self._bench.session.chosen))
        self.message.report(state.sentence, state.kind == "failed" or asks)
        if not running:
            runs_on = self._runs_on()
            # There is room for the device alone.
            self.progress.show_part(0, f"ran on {runs_on.partition(' (')[0]}" if runs_on else "")
            words = [f"{name}: {meaning}" for name, meaning in RAN_WITH.items() if name in runs_on]
            self.progress.setToolTip("\n".join([SEEN, f"The network ran on: {runs_on}.", *words]) if runs_on else SEEN)
        if self._colors is not None:
            border = f"QPushButton {{ border: 2px solid {self._colors.warning.name()}; }}" if asks else ""
            self.segment.setStyleSheet(accent_button(self._colors) + border)

    def _on_progress(self, progress: Progress) -> None:
        if progress.message:
            self.message.report(f"{progress.message[0].upper()}{progress.message[1:]} …")
        if progress.total <= 0:
            self.progress.show_busy()
            return
        left = self._pace.seconds_left(progress.fraction)
        self.progress.show_part(progress.fraction, "%p %" if left is None else f"%p %, {in_words(left)} left")

    def _runs_on(self) -> str:
        cells = self._bench.session.cells
        return "" if cells is None else cells.segmented.prediction.device
