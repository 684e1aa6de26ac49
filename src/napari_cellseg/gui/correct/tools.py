"""The tools of the Correct widget: by a key on the cell under the mouse pointer, or by clicks and strokes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from psygnal import Signal

from ...corrections.tools import CellView, are_apart
from ...imaging.regions import union
from ..viewer.bench import Bench
from ..viewer.cells_labels import CellsLabels
from ..viewer.correcting import NO_CELLS, Correcting
from .strokes import crossed, trail, world_under_mouse
from .tool_table import TOOLS, Tool

PAN_ZOOM, PICK = "pan_zoom", "pick"
LEFT = 1
POINT_AT = "Point at a cell in the image, then press the key."


class Tools:
    """Which tool is in hand, and what its clicks, strokes and keys do to the cells layers.

    Signals
    -------
    in_hand_changed(Tool or None)
    asked(question, yes, action)
        What is unusual about an edit, the text of the answer that makes it all the same, and what makes it then.
    """

    in_hand_changed = Signal(object)
    asked = Signal(str, str, object)

    def __init__(self, bench: Bench) -> None:
        self._bench, self._correcting = bench, bench.part(Correcting)
        self.in_hand: Tool | None = None
        self._first: tuple[Any, int] | None = None
        self._attached: list[CellsLabels] = []
        self._taken_for: CellsLabels | None = None
        bench.session.chosen_changed.connect(self._on_chosen)

    @property
    def keys(self) -> dict[str, Callable[[], object]]:
        """What the key of each tool does."""
        return {tool.key: partial(self.press, tool) for tool in TOOLS} | {"M": self.new_cell}

    def attach(self, labels: CellsLabels) -> None:
        """Act on a cells layer, until `detach_all`."""
        if any(known is labels for known in self._attached):
            return
        present = list(self._bench.viewer.layers)
        gone = [known for known in self._attached if known not in present]
        if gone:
            # The layer that the tool was in hand for is gone.
            self.put_down()
        self._attached = [*(known for known in self._attached if known in present), labels]
        labels.mouse_drag_callbacks.append(self._on_drag)
        labels.events.mode.connect(self._on_mode)

    def detach_all(self) -> None:
        """Leave all cells layers as napari made them."""
        self.put_down()
        for labels in self._attached:
            labels.events.mode.disconnect(self._on_mode)
            if self._on_drag in labels.mouse_drag_callbacks:
                labels.mouse_drag_callbacks.remove(self._on_drag)
        self._attached.clear()

    def put_down(self) -> None:
        """Put down the tool in hand, if any."""
        if self.in_hand is not None:
            for labels in self._attached:
                if str(labels.mode) == PICK:
                    labels.mode = PAN_ZOOM
            self._put(None)

    def _on_chosen(self, key: Any) -> None:
        """Put the tool down with the image that it was taken for; from plane to plane it stays in hand."""
        self._first = None
        if self._chosen_labels() is None or self._chosen_labels() is not self._taken_for:
            self.put_down()

    def take(self, tool: Tool | None) -> None:
        """Take a tool in hand, or (None) put it down; the cells layer of the chosen image is selected for it."""
        labels = self._chosen_labels()
        if labels is None:
            self._put(None)
            return
        self._first, self._taken_for = None, labels
        self._bench.viewer.layers.selection.active = labels
        if tool is None:
            self._put(None)
            labels.mode = PAN_ZOOM
        else:
            # Picking is napari's mode without pan and paint; any other mode puts the tool down.
            labels.mode = PICK
            self._put(tool)

    def press(self, tool: Tool) -> None:
        """Act on what is under the mouse pointer, or take a tool for strokes in hand (or down)."""
        key, labels = self._bench.session.chosen, self._chosen_labels()
        if labels is None:
            self._correcting.reported.emit(NO_CELLS, True)
            return
        if tool.takes == "stroke":
            self.take(None if self.in_hand is tool else tool)
            return
        place = self.pointer(labels)
        if place is None:
            self._correcting.reported.emit(POINT_AT, True)
            return
        self._apply(key, labels, tool, place[None])

    def new_cell(self) -> None:
        """Take the brush in hand with an id that no cell has."""
        key, labels = self._bench.session.chosen, self._chosen_labels()
        if labels is None:
            self._correcting.reported.emit(NO_CELLS, True)
            return
        self._bench.viewer.layers.selection.active = labels
        self._correcting.choose_fresh(key, labels)
        labels.mode = "paint"
        self._correcting.reported.emit("Paint the cell. [ and ] change the size of the brush.", False)

    def pointer(self, labels: CellsLabels) -> np.ndarray | None:
        """Return the place (Y, X) of the mouse pointer in pixels; None when it is not on the image."""
        world = world_under_mouse(self._bench.viewer)
        if world is None:
            return None
        place = np.asarray(labels.world_to_data(world))
        inside = (np.round(place) >= 0).all() and (np.round(place) < labels.data.shape).all()
        return place if inside else None

    def _apply(self, key: Any, labels: CellsLabels, tool: Tool, points: np.ndarray) -> bool:
        view = self._bench.session.view_of(key)
        if view is None:
            return False
        correcting = self._correcting
        if tool.takes == "stroke":
            done = correcting.edit(key, tool.edit, points, done=tool.done)
        elif tool.takes == "place":
            cells = self._bench.session.cells_of(key)
            prediction = cells.segmented.prediction if cells is not None else None
            y, x = np.round(points[-1]).astype(int)
            done = correcting.edit(key, tool.edit, int(y), int(x), prediction, done=tool.done)
        else:
            ids = crossed(view, points)
            if tool.name == "release" and not ids:
                ids = self._erased_at(view, points)
            if tool.takes == "pair" and not (ids := self._pair(key, labels, ids)):
                return False
            if not ids:
                correcting.reported.emit(f"There is no cell. {tool.hint}", True)
                return False
            if tool.name == "merge" and are_apart(view, ids):
                question = f"These {len(ids)} cells do not touch. One cell of several pieces?"
                self.asked.emit(question, "Merge them", lambda: self._edit(key, labels, tool, ids))
                return False
            return self._edit(key, labels, tool, ids)
        self._choose_next(key, labels)
        return done

    def _edit(self, key: Any, labels: CellsLabels, tool: Tool, ids: list[int]) -> bool:
        """Make an edit of some cells."""
        view, done = self._bench.session.view_of(key), False
        if view is not None:
            one = f"no. {ids[0]}" if view.is_shown(ids[:1])[0] else "an erased cell"
            named = one if len(ids) == 1 else f"{len(ids)} cells"
            done = self._correcting.edit(key, tool.edit, ids, done=tool.done.format(named))
        self._choose_next(key, labels)
        return done

    def _choose_next(self, key: Any, labels: CellsLabels) -> None:
        """Let the next stroke draw a new cell where the chosen one is gone."""
        view = self._bench.session.view_of(key)
        if view is not None and (not labels.selected_label or view.box(int(labels.selected_label)) is None):
            self._correcting.choose_fresh(key, labels)

    def _pair(self, key: Any, labels: CellsLabels, ids: list[int]) -> list[int]:
        """Return the cells to merge: all that were crossed, or the one clicked and the one that was clicked before."""
        first, self._first = self._first, None
        if len(ids) == 1 and first is not None and first[0] == key and first[1] != ids[0]:
            return [first[1], ids[0]]
        if len(ids) == 1:
            self._first = (key, ids[0])
            labels.choose_label(ids[0])
            self._correcting.reported.emit("This cell is picked. Now the cell that belongs to it.", False)
            return []
        if not ids:
            self._correcting.reported.emit("There is no cell to merge here.", True)
        return ids

    def _erased_at(self, view: CellView, points: np.ndarray) -> list[int]:
        claims = view.corrected.corrections.claims
        found = {int(claims((slice(y, y + 1), slice(x, x + 1)))[0, 0]) for y, x in trail(points, view.shape)}
        return sorted(-claim for claim in found if claim < 0)

    def _on_drag(self, labels: CellsLabels, event: Any) -> Iterator[None]:
        """Apply the tool in hand to one click or stroke."""
        tool = self.in_hand
        key = self._bench.layers.key_of(labels)
        view = self._bench.session.view_of(key)
        if tool is None or view is None or event.button != LEFT or str(labels.mode) != PICK:
            return
        points, drawn = [np.asarray(labels.world_to_data(event.position))], []
        ink = view.corrected.fresh_id()
        ink = ink if ink <= np.iinfo(labels.data.dtype).max else 1
        yield
        while event.type == "mouse_move":
            points.append(np.asarray(labels.world_to_data(event.position)))
            if tool.takes != "place":
                drawn.append(labels.sketch(np.array(points[-2:]), ink))
            yield
        # What was drawn was a sketch: the truth is put back before the edit draws what it changed.
        view = self._bench.session.view_of(key)
        if drawn and view is not None:
            for region in drawn:
                labels.data[region] = view.labels(region)
            labels.redraw(union(*drawn))
        self._apply(key, labels, tool, np.array(points))

    def _on_mode(self, event: Any) -> None:
        if self.in_hand is not None and str(event.source.mode) != PICK:
            self._put(None)

    def _put(self, tool: Tool | None) -> None:
        if tool is not self.in_hand:
            self.in_hand = tool
            self.in_hand_changed.emit(tool)

    def _chosen_labels(self) -> CellsLabels | None:
        layers = self._bench.layers.get(self._bench.session.chosen)
        return None if layers is None else layers.labels
