"""The guided walk: the most doubtful cell first, and which cells were looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Points
from psygnal import Signal

from ...corrections import tools as edits
from ...corrections.doubt import YOURS
from ...evaluation.doubt_order import OFFERED
from ...imaging.regions import Region, box_of_pixels
from ...session import PlaneKey, layer_id
from ..viewer.bench import Bench
from ..viewer.canvas import look_at
from ..viewer.correcting import NO_CELLS, Correcting
from ..viewer.doubting import Doubting
from ..viewer.layer_image import placement
from ..viewer.layer_watch import LayerWatch, add_unselected

RING_COLOR = "#ff3d7f"


class Review:
    """Which cell of an image is looked at now, and which were looked at before.

    Signals
    -------
    changed(key)
    """

    changed = Signal(object)

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._correcting, self._doubting = bench.part(Correcting), bench.part(Doubting)
        self._current: dict[Any, int] = {}
        self._looked: dict[Any, set[int]] = {}
        self._rings: dict[Any, Points] = {}
        self._split: dict[Any, object] = {}
        bench.session.cells_changed.connect(self._on_cells)
        bench.session.corrected.connect(self._on_corrected)
        bench.session.chosen_changed.connect(self._on_chosen)

    def current(self, key: Any) -> int | None:
        """Return the id of the cell that is looked at now, while it is shown."""
        id_, view = self._current.get(key), self._bench.session.view_of(key)
        return id_ if id_ is not None and view is not None and view.is_shown([id_])[0] else None

    def missed(self, key: Any) -> tuple[int, int] | None:
        """Return the pixel (Y, X) where a cell may have been missed, while that is what is looked at."""
        id_, view, doubt = self._current.get(key), self._bench.session.view_of(key), self._doubting.doubt_of(key)
        if id_ is None or view is None or doubt is None or id_ in view.corrected.corrections:
            return None
        y, x = (np.rint(place).astype(int).tolist() for place in doubt.missed_yx[doubt.missed_ids == id_].T)
        hidden = not view.is_shown([id_])[0] and not view.corrected.hides(id_)
        return (y[0], x[0]) if y and hidden and not view.at(y[0], x[0]) else None

    def progress(self, key: Any) -> tuple[int, int]:
        """Return the number of cells that were looked at or edited, and of all that are counted."""
        cells, view = self._bench.session.cells_of(key), self._bench.session.view_of(key)
        if cells is None or view is None:
            return 0, 0
        ids = view.ids()
        looked = np.isin(ids, list(self._looked.get(key, ()))) | cells.corrected.is_owned(ids)
        return int(np.count_nonzero(looked)), len(ids)

    def reason(self, key: Any) -> str:
        """Return why the cell that is looked at is doubtful."""
        id_, doubt = self.current(key), self._doubting.doubt_of(key)
        if doubt is not None and self.missed(key) is not None:
            chance = float(doubt.missed_score[doubt.missed_ids == self._current[key]][0])
            return f"A cell may have been missed here, chance {chance:.2f}. Right (Y) adds it."
        if id_ is None or doubt is None:
            return ""
        if doubt.reason_of(id_) in ("", YOURS):
            return f"No. {id_}: you gave it back to the sliders"
        return f"No. {id_}, doubt {doubt.score_of(id_):.2f}: {doubt.reason_of(id_)}"

    def next(self) -> None:
        """Go to the most doubtful cell that was not looked at yet; the one before counts as looked at.

        After the cells come the places where one may have been missed.
        """
        key, view = self._bench.session.chosen, self._bench.session.view_of(self._bench.session.chosen)
        if view is None:
            self._correcting.reported.emit(NO_CELLS, True)
            return
        looked = self._looked.setdefault(key, set())
        if (before := self._current.pop(key, None)) is not None:
            looked.add(before)
        doubt = self._doubting.doubt_of(key)
        if doubt is None:
            self._doubting.want("review")
            self._correcting.reported.emit("The doubt about each cell is being worked out. Try again at once.", True)
        else:
            # Cells that were given back since come last.
            order = np.concatenate([doubt.order(), np.setdiff1d(view.ids(), doubt.ids)])
            left = order[view.is_shown(order) & ~view.corrected.is_owned(order)].tolist()
            faint = doubt.missed_ids[doubt.missed_score >= OFFERED].tolist()
            for id_ in (id_ for id_ in left + faint if id_ not in looked):
                self._current[key] = id_
                if self.current(key) is not None or self.missed(key) is not None:
                    self._centre(key)
                    break
            else:
                self._current.pop(key, None)
                self._correcting.reported.emit("Every cell was looked at.", False)
        self._draw(key)
        self.changed.emit(key)

    def accept(self) -> None:
        """Accept the cell that is looked at, or add the one that may have been missed there; go on."""
        key, cells = self._bench.session.chosen, self._bench.session.cells
        if (place := self.missed(key)) is not None and cells is not None:
            prediction = cells.segmented.prediction
            if self._correcting.edit(key, edits.add_at, *place, prediction, done="Added a cell."):
                self.next()
            return
        self._judge(edits.accept, "No. {} is right.")

    def delete(self) -> None:
        """Delete what is looked at, because it is no cell; go on."""
        self._judge(edits.delete, "Erased no. {}.")

    def correct(self) -> None:
        """Take the brush in hand, with the id of the cell that is looked at."""
        key = self._bench.session.chosen
        id_, layers = self.current(key), self._bench.layers.get(key)
        if layers is None or (id_ is None and self.missed(key) is None):
            self.next()
            return
        self._bench.viewer.layers.selection.active = layers.labels
        layers.labels.mode = "paint"
        if id_ is None:
            self._correcting.choose_fresh(key, layers.labels)
            self._correcting.reported.emit("Paint the cell that was missed, then go on to the next.", False)
            return
        layers.labels.choose_label(id_)
        self._correcting.reported.emit(f"Paint or erase (1) no. {id_}, then go on to the next.", False)

    def _judge(self, edit: Any, done: str) -> None:
        key = self._bench.session.chosen
        id_ = self.current(key)
        if id_ is not None and not self._correcting.edit(key, edit, [id_], done=done.format(id_)):
            return
        self.next()

    def _on_cells(self, key: Any) -> None:
        cells = self._bench.session.cells_of(key)
        instances = None if cells is None else cells.corrected.instances
        if self._split.get(key) is not instances:
            # Ids of another run mean other cells.
            self._split[key] = instances
            self._current.pop(key, None)
            self._looked.pop(key, None)
        self._draw(key)
        self.changed.emit(key)

    def _on_chosen(self, key: Any) -> None:
        """Hide the rings of other images, and of the plane that went out of view; that of this one comes back."""
        for other, ring in list(self._rings.items()):
            ring.visible = False
            if isinstance(key, PlaneKey) and layer_id(other) == key.layer:
                self._rings[key] = self._rings.pop(other)
        self._draw(key)

    def _on_corrected(self, key: Any, region: object = None) -> None:
        self._draw(key)
        self.changed.emit(key)

    def _box(self, key: Any) -> Region | None:
        """Return the region of what is looked at; None for nothing."""
        id_, view = self._current.get(key), self._bench.session.view_of(key)
        if id_ is None or view is None:
            return None
        if self.missed(key) is not None:
            return box_of_pixels(*view.corrected.instances.pixels_of(id_))
        return view.box(id_)

    def _centre(self, key: Any) -> None:
        layers, box = self._bench.layers.get(key), self._box(key)
        if layers is not None and box is not None:
            look_at(self._bench.viewer, layers.labels, box)

    def _draw(self, key: Any) -> None:
        """Draw a ring around the cell that is looked at, in a layer of its own that is there only as long as needed."""
        layers, box = self._bench.layers.get(key), self._box(key)
        viewer, ring = self._bench.viewer, self._rings.get(key)
        if ring is not None and ring not in viewer.layers:
            ring = self._rings.pop(key, None) and None
        if layers is None or box is None:
            if ring is not None and isinstance(key, PlaneKey):
                # It is needed again in the next plane.
                ring.visible = False
            elif ring is not None:
                del self._rings[key]
                self._bench.part(LayerWatch).take_out(ring)
            return
        middle = [(part.start + part.stop - 1) / 2 for part in box]
        size = 1.5 * max(part.stop - part.start for part in box) + 4
        if ring is None:
            ring = Points(
                [middle],
                name=f"{layers.labels.name} looked at",
                size=size,
                face_color="transparent",
                border_color=RING_COLOR,
                border_width=0.04,
                **placement(layers.labels),
            )
            ring.editable = False
            self._rings[key] = ring
            add_unselected(viewer, ring)
            return
        ring.data = [middle]
        ring.size = size
        ring.visible = True
