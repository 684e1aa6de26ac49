"""One row per image of a batch, in the order of the images. Needs no Qt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from psygnal import Signal

from ...results.rows import BatchRow

# Image and plane: the window gives no two images one name.
Key = tuple[str, str]


class BatchRows:
    """One row per image, or per plane of an image of many.

    Rows are only ever added at the end, so that a number always means the same row until `reset` is emitted.

    Signals
    -------
    reset()
        Other images.
    added(int)
        A row was added: its number.
    changed(set of int)
        Rows changed: their numbers.
    flagged()
        Other rows stand out.
    """

    reset = Signal()
    added = Signal(int)
    changed = Signal(object)
    flagged = Signal()

    def __init__(self) -> None:
        self.rows: list[BatchRow] = []
        self.flags: dict[Key, str] = {}
        self.part: tuple[str, float] = ("", 0.0)
        self._places: dict[Key, int] = {}
        self._of_image: dict[str, list[int]] = {}
        self._order: dict[str, int] = {}
        self._states: Counter[str] = Counter()
        self._before: dict[int, BatchRow] = {}

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def images(self) -> list[str]:
        """Names of the images, in their order."""
        return list(self._order)

    def set_images(self, names: Sequence[str], known: Iterable[BatchRow] = ()) -> None:
        """Begin with other images; `known` are rows of an earlier batch, of which those of these images are shown."""
        earlier: dict[str, list[BatchRow]] = {}
        for row in known:
            earlier.setdefault(row.image, []).append(row)
        self._order = {name: i for i, name in enumerate(names)}
        self.rows = [row for name in names for row in earlier.get(name) or [waiting(name)]]
        self._places = {(row.image, row.page): i for i, row in enumerate(self.rows)}
        self._of_image = {}
        for i, row in enumerate(self.rows):
            self._of_image.setdefault(row.image, []).append(i)
        self._states = Counter(row.state for row in self.rows)
        self.flags, self.part, self._before = {}, ("", 0.0), {}
        self.reset.emit()

    def order(self, number: int) -> tuple[int, str]:
        """Return the sorting key of a row: the order of the images, then the plane."""
        row = self.rows[number]
        return self._order[row.image], row.page

    def find(self, key: Key) -> BatchRow | None:
        """Return the row of an image and plane."""
        number = self._places.get(key)
        return None if number is None else self.rows[number]

    def number(self, key: Key) -> int | None:
        """Return the number of a row."""
        return self._places.get(key)

    def numbers(self, image: str) -> list[int]:
        """Return the numbers of an image's rows."""
        return list(self._of_image.get(image, ()))

    def run(self, image: str) -> None:
        """Note that an image is being segmented."""
        self.part = (image, 0.0)
        numbers = set(self._of_image.get(image, ()))
        for number in numbers:
            row = self.rows[number]
            self._before.setdefault(number, row)
            self._set(number, replace(row, state="running"))
        if numbers:
            self.changed.emit(numbers)

    def rest(self) -> None:
        """Note that nothing runs any more: unfinished rows are as they were before."""
        self.part = ("", 0.0)
        before, self._before = self._before, {}
        for number, row in before.items():
            self._set(number, row)
        if before:
            self.changed.emit(set(before))

    def progress(self, image: str, fraction: float) -> None:
        """Note how far an image is."""
        self.part = (image, fraction)
        self.changed.emit(set(self._of_image.get(image, ())))

    def put(self, rows: Iterable[BatchRow]) -> None:
        """Take in the results of images."""
        changed: set[int] = set()
        for row in rows:
            number = self._places.get((row.image, row.page))
            if number is None:
                number = self._stand_in(row)
            if number is None:
                number = self._add(row)
                self.added.emit(number)
            else:
                self._before.pop(number, None)
                self._set(number, row)
                changed.add(number)
        if changed:
            self.changed.emit(changed)

    def flag(self, flags: Mapping[Key, str]) -> None:
        """Set which rows stand out, and why."""
        self.flags = dict(flags)
        self.flagged.emit()

    def tally(self) -> Counter[str]:
        """Return how many rows are in which state."""
        return Counter({state: n for state, n in self._states.items() if n})

    def n_cells(self) -> int:
        """Return the number of cells in all images that have been counted."""
        return sum(row.count or 0 for row in self.rows if row.has_result)

    def in_order(self) -> list[BatchRow]:
        """Return all rows in the order of the images."""
        return [self.rows[i] for i in sorted(range(len(self.rows)), key=self.order)]

    def counted(self) -> list[BatchRow]:
        """Return the rows that have a result, in the order of the images."""
        return [row for row in self.in_order() if row.has_result and row.count is not None]

    def _stand_in(self, row: BatchRow) -> int | None:
        """Return the row that waits for the whole image, whose place the first of its planes takes."""
        number = self._places.get((row.image, ""))
        if number is None or self.rows[number].state not in ("waiting", "running"):
            return None
        del self._places[row.image, ""]
        self._places[row.image, row.page] = number
        return number

    def _add(self, row: BatchRow) -> int:
        number = len(self.rows)
        self.rows.append(row)
        self._places[row.image, row.page] = number
        self._of_image.setdefault(row.image, []).append(number)
        self._order.setdefault(row.image, len(self._order))
        self._states[row.state] += 1
        return number

    def _set(self, number: int, row: BatchRow) -> None:
        self._states[self.rows[number].state] -= 1
        self._states[row.state] += 1
        self.rows[number] = row


def waiting(image: str) -> BatchRow:
    """Return the row of an image that was not segmented yet."""
    return BatchRow(image)
