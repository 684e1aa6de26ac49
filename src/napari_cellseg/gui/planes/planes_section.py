"""How many cells each plane of a stack has, and the way from plane to plane; not there for an image of one plane."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QWidget
from superqt.utils import qthrottled

from ...session import PlaneKey, layer_id
from ..shared.layout import SMALL, button, in_row
from ..shared.plots import PlaneCounts
from ..viewer.bench import Bench
from ..viewer.planes import Stack
from ..viewer.planes_in_view import PlanesInView
from ..viewer.section import Section
from .plane_links import PlaneLinks
from .plane_run import PlaneRun

INTERVAL_MS = 60
LINK_TIP = (
    "Find the same cell on neighbouring planes, by how much they overlap: slices become 3D cells, frames become\n"
    "tracks, in layers of their own that follow the sliders. Over slices the smallest cell counts voxels."
)


class PlanesSection(Section):
    """Count of every plane as a plot that leads there, the sum, and the linking of planes."""

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(bench)
        self._planes, self._links = bench.part(PlanesInView), bench.part(PlaneLinks)
        self._build()
        self._later = qthrottled(self._show, timeout=INTERVAL_MS)
        self.destroyed.connect(self._later.cancel)
        signals = (bench.session.chosen_changed, bench.image_changed, bench.part(PlaneRun).changed)
        self._bindings.bind_each(self._on_change, *signals)
        self._bindings.bind_each(self._on_stack, self._planes.changed, self._links.changed)
        self._bindings.bind(bench.session.corrected, lambda key, _: self._on_stack(layer_id(key)))
        self._on_change()

    def _build(self) -> None:
        tip = (
            "How many cells there are in all planes that were segmented, and in each; planes without a bar were not\n"
            "segmented yet. Click or drag to go to a plane."
        )
        self.plot = PlaneCounts("plane_counts", tip)
        self.plot.picked.connect(self._on_picked)
        self.link = button("link_planes", "Link\nplanes", LINK_TIP, self._on_link, style=SMALL)
        self.link.setFixedHeight(self.plot.height())
        self.setLayout(in_row((self.plot, 1), self.link, spacing=5))

    @property
    def _stack(self) -> Stack | None:
        chosen = self._bench.session.chosen
        return self._bench.stack_of(chosen) if isinstance(chosen, PlaneKey) else None

    def _on_picked(self, place: float) -> None:
        if (stack := self._stack) is not None:
            self._planes.go_to(stack.key_at(self.plot.number_at(place)))

    def _on_link(self) -> None:
        if (stack := self._stack) is not None:
            self._links.link(stack)

    def _on_change(self, _: Any = None) -> None:
        visible = isinstance(self._bench.session.chosen, PlaneKey)
        self.setVisible(visible)
        if visible:
            self._later()

    def _on_stack(self, layer: Any) -> None:
        if layer == layer_id(self._bench.session.chosen):
            self._on_change()

    def _show(self) -> None:
        stack, chosen = self._stack, self._bench.session.chosen
        if stack is None or not stack.has(chosen):
            return
        counts = self._planes.counts(stack)
        known = counts[counts >= 0]
        n = len(known)
        of = f"all {n:,}" if n == stack.n_planes else f"{n:,} of {stack.n_planes:,}"
        linked, busy = self._links.words(stack.layer), self._links.busy
        total = f"{int(known.sum()):,} in {of} planes" if n else "cells in each plane"
        self.plot.set_counts(
            counts, stack.number(chosen), f"{total}, {linked}" if linked else total, stack.words(chosen)
        )
        self.link.setEnabled(n == stack.n_planes and not busy)
        self.link.setText("Linking" if busy else "Link\nplanes")
