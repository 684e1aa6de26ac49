"""Classes of the cells of the chosen image, called in the background while the user looks at them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...corrections.calling import call_cells
from ...corrections.run_lengths import CLASS
from ...imaging.errors import ParamsError
from ...instances.measure import number_ids
from ...segmentation.classes import Classes, classes_of
from ...segmentation.classing import Classified, classify, follow_calls, given_classes
from ...segmentation.counting import class_features
from ...session import Cells
from ..viewer.bench import Bench
from ..viewer.correcting import Correcting
from .awake import Awake, OfCells, grown_of


@dataclass(frozen=True, eq=False)
class Looked(OfCells):
    """What is known of the classes of the cells of one image.

    Attributes
    ----------
    columns : dict of str to ndarray
        What was measured of them.
    classes : Classes
        With the examples that the user gave in this image.
    found : Classified or None
    note : str
        Why nothing was found.
    """

    columns: dict[str, np.ndarray]
    classes: Classes
    found: Classified | None = None
    note: str = ""


class Classing(Awake[Looked]):
    """Calls the classes of the chosen image's cells while it is awake, and takes examples."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        # Of each image, by its hash, the cells that had a class when it was looked at last; and the classes since.
        self._seen: dict[str, Collection[int]] = {}
        self._own: Classes | None = None
        self._passed: set[int] = set()

    def add(self, name: str) -> None:
        """Add a class.

        Raises
        ------
        ParamsError
            It can't have this name, or there are too many.
        """
        had = self._bench.session.classes or Classes()
        self._set(Classes((*had.names, name), had.columns, had.examples))

    def drop(self, name: str) -> None:
        """Take a class away, and what was called so by hand in this image."""
        session, looked = self._bench.session, self.fresh()
        had, cells = session.classes or Classes(), session.cells
        if looked is not None and cells is not None:
            called = given_classes(looked.ids, cells.by_hand)
            self._call([id_ for id_, known in called.items() if known == name], None, f"{name} is no class any more.")
        names = tuple(known for known in had.names if known != name)
        examples = tuple(one for one in had.examples if one.name != name)
        self._set(classes_of(Classes(names, had.columns, examples)))

    def give(self, id_: int, name: str) -> None:
        """Give a cell a class by hand, or take it back where the user gave it this one."""
        cells = self._bench.session.cells
        if cells is None:
            return
        if cells.by_hand.get(id_, {}).get(CLASS) == name:
            self._call([id_], None, f"No. {id_} has no class by hand any more.")
        else:
            self._call([id_], name, f"No. {id_} is an example of {name}.")

    def least_sure(self) -> tuple[int, str, float] | None:
        """Return id, class and certainty of the least sure cell that was not returned before; None without any."""
        looked, cells = self.fresh(), self._bench.session.cells
        if looked is None or looked.found is None or cells is None:
            return None
        done = {*self._passed, *given_classes(looked.ids, cells.by_hand)}
        order = np.argsort(looked.found.certainty, kind="stable").tolist()
        place = next((i for i in order if int(looked.ids[i]) not in done), None)
        if place is None:
            self._passed.clear()
            return None
        self._passed.add(int(looked.ids[place]))
        return int(looked.ids[place]), str(looked.found.names[place]), float(looked.found.certainty[place])

    def _set(self, classes: Classes | None) -> None:
        self._own = classes
        self._bench.session.set_classes(classes)

    def _call(self, ids: list[int], name: str | None, done: str) -> None:
        if ids:
            self._bench.part(Correcting).edit(self._bench.session.chosen, call_cells, ids, CLASS, name, done=done)

    def _on_cells(self, *_: Any) -> None:
        if self.awake and self.fresh() is None:
            self._passed.clear()
        super()._on_cells()

    def _on_counting(self) -> None:
        looked = self.fresh()
        if self.awake and (looked is None or classes_of(looked.classes) != self._bench.session.classes):
            self.changed.emit()
            self._later()

    def _work(self) -> None:
        cells = self._bench.session.cells
        if self.awake and cells is not None:
            # Examples of another recipe are no calls that the user took back.
            seen = self._seen if cells.classes == self._own else {}
            known, before = self.fresh(), seen.get(cells.segmented.image_sha256, ())
            self._latest.ask(lambda: _looked(cells, known, before), self._take_in)

    def _take_in(self, looked: Looked) -> None:
        session = self._bench.session
        cells = session.cells
        if cells is None or not looked.is_of(cells):
            return
        if looked.cells.classes != session.classes:
            # Another class came meanwhile.
            self._later()
            return
        self.known = looked
        self._seen[cells.segmented.image_sha256] = frozenset(given_classes(looked.ids, looked.cells.by_hand))
        self._set(classes_of(looked.classes))
        self.changed.emit()


def _looked(cells: Cells, known: Looked | None, before: Collection[int]) -> Looked:
    """Take the examples of an image and call its cells; of cells that are `known` nothing is measured again."""
    segmented, image, by_hand = cells.segmented, cells.segmented.image, cells.by_hand
    labels = cells.corrected.labels(cells.threshold, cells.min_size)
    if known is not None and np.array_equal(known.labels, labels):
        labels, ids, columns = known.labels, known.ids, known.columns
    else:
        ids, _ = number_ids(labels[labels > 0])
        columns = class_features(image, labels, grown_of(cells, labels)[0], ids)
    classes = cells.classes or Classes()
    try:
        classes = follow_calls(cells.classes, columns, ids, by_hand, image.title, segmented.image_sha256, before)
        return Looked(cells, labels, ids, columns, classes, classify(classes, columns, ids, by_hand))
    except ParamsError as error:
        return Looked(cells, labels, ids, columns, classes, None, str(error))
