"""Counts by the user beside those of the model in one viewer, and how far the count on the screen can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from psygnal import Signal

from ...evaluation.agreement.agreement import Agreement, CountInterval
from ...evaluation.agreement.of_batch import BatchCounts
from ...evaluation.agreement.store import AgreementStore, PersonCount, Settings, image_id
from ...segmentation.cells import Cells
from ...segmentation.counting import number_names
from ...session import PlaneKey
from ..viewer.bench import Bench
from ..viewer.planes_in_view import PlanesInView
from .clicks import Clicking


@dataclass(frozen=True)
class Entry:
    """One image in the table of counts.

    Attributes
    ----------
    id : str
        See `agreement_store.image_id`.
    image : str
    automatic : int or None
        None where it was not counted with these settings.
    key : object
        Of its layer, or of the plane of a stack, where it is open.
    path : str
        Its file, where that is known.
    """

    id: str
    image: str
    automatic: int | None
    key: Any = None
    path: str = ""


@dataclass(frozen=True, eq=False)
class Worth:
    """What the count of an image is worth.

    Attributes
    ----------
    interval : CountInterval or None
        None with too few images, where this one was corrected, and outside the counts that were checked.
    unchecked : str
        A sentence where the count lies outside those that were checked; else empty.
    n : int
        Images that it rests on.
    people : int or None
        What the user counted in this very image.
    """

    interval: CountInterval | None
    n: int
    people: int | None
    unchecked: str = ""


class Agreements:
    """Counts by people of a viewer's images and of one batch.

    Signals
    -------
    changed()
        A count of the user was added, changed or removed, or other images are compared.
    """

    changed = Signal()

    def __init__(self, bench: Bench) -> None:
        self._bench, self._planes = bench, bench.part(PlanesInView)
        self._store: AgreementStore | None = None
        self.batch: BatchCounts | None = None
        self._cells = ""
        # Numbers of called cells with the settings of this name, by the image's id.
        self._called: tuple[str, dict[str, int | None]] = ("", {})
        self.clicking = Clicking(bench, self.put)

    @property
    def store(self) -> AgreementStore:
        """What is kept in the user folder."""
        if self._store is None:
            self._store = AgreementStore()
        return self._store

    def look_at(self, batch: BatchCounts | None) -> None:
        """Compare with the counts of a batch from now on; None: with the images of this viewer."""
        self.batch = batch
        self.changed.emit()

    @property
    def cells(self) -> str:
        """Which cells are counted, such as ``GFP_pos``; empty for all."""
        return self._cells if self._cells in self.names() else ""

    def choose_cells(self, name: str) -> None:
        """Compare the counts of other cells from now on."""
        self._cells = name
        self.changed.emit()

    def names(self) -> list[str]:
        """Return which cells are called, besides all."""
        if self.batch is not None:
            return list(dict.fromkeys(name for one in self.batch.counts for name in one.positive))
        cells = self._bench.session.cells
        return [] if cells is None else number_names(cells.recipe)

    def settings(self) -> Settings | None:
        """Return the settings of the model's counts; None where nothing was counted yet."""
        if self.batch is not None:
            return self.batch.settings(self.cells)
        cells = self._bench.session.cells
        return None if cells is None else _settings(cells, cells, self.cells)

    def entries(self) -> list[Entry]:
        """Return the images whose counts can be compared, those that are at hand first."""
        settings = self.settings()
        if settings is None:
            return []
        of, batch = self.cells, self.batch
        if batch is not None:
            ids = [batch.id_of(one, of) for one in batch.counts]
            return [
                Entry(id_, one.image, one.number(of), self._key_of(id_, of), one.path)
                for id_, one in zip(ids, batch.counts, strict=True)
            ]
        found = self._at_hand(settings, self._bench.session.cells)
        known = self.store.automatic(settings)
        earlier = [
            Entry(one.id, one.image, known[one.id])
            for one in self.store.people().values()
            if one.id not in found and one.id in known
        ]
        return [*found.values(), *sorted(earlier, key=lambda entry: entry.image)]

    def to_count(self) -> Callable[[], tuple[str, Mapping[str, int | None]]] | None:
        """Return what counts called cells that were not counted yet, for a thread and then `take`; None without any."""
        settings, like = self.settings(), self._bench.session.cells
        if settings is None or like is None or self.batch is not None or not settings.cells:
            return None
        known = self._called[1] if self._called[0] == settings.name else {}
        missing = {}
        for key, cells in self._segmented():
            id_ = self._id_of(key, cells, settings.cells)
            if id_ not in known and _settings(cells, like, settings.cells) == settings:
                asked = cells.segmented.asked(positive=like.positive, grow=like.grow, classes=like.classes)
                missing[id_] = asked, like.threshold, self._smallest(cells, like)
        if not missing:
            return None

        def count() -> tuple[str, Mapping[str, int | None]]:
            found = {
                id_: made.number(settings.cells, threshold, smallest)
                for id_, (made, threshold, smallest) in missing.items()
            }
            return settings.name, {**known, **found}

        return count

    def take(self, counted: tuple[str, Mapping[str, int | None]]) -> None:
        """Take what was counted; see `to_count`."""
        self._called = counted[0], dict(counted[1])
        self.changed.emit()

    def agreement(self) -> Agreement | None:
        """Return how well both counts agree; None with fewer than two images."""
        settings = self.settings()
        if settings is None or not self.store.people():
            return None
        counts = {entry.id: entry.automatic for entry in self.entries() if entry.automatic is not None}
        return self.store.agreement(settings, counts)

    def worth(self, cells: Cells) -> Worth | None:
        """Return what the count of an image is worth with its sliders; None where no count by hand is known."""
        people = self.store.people()
        if not people or cells.segmented.taken_from:
            return None
        settings = _settings(cells, cells)
        at_hand = self._at_hand(settings, cells)
        agreement = self.store.agreement(settings, {id_: entry.automatic or 0 for id_, entry in at_hand.items()})
        key = next((key for key, known in self._segmented() if known.segmented is cells.segmented), None)
        mine = people.get(self._id_of(key, cells))
        interval, unchecked = None, ""
        if agreement is not None and not (cells.n_changed or cells.n_erased):
            interval = agreement.interval(cells.count())
            unchecked = "" if agreement.too_few else agreement.unchecked(cells.count())
        n, by_hand = 0 if agreement is None else agreement.n, None if mine is None else mine.people
        return Worth(interval, n, by_hand, unchecked)

    def put(self, count: PersonCount) -> None:
        """Keep a count of the user.

        Raises
        ------
        OutputError
            The system refused to write.
        """
        self.store.put(count)
        if count.people is not None:
            self.keep_automatic()
        self.changed.emit()

    def forget(self, id_: str) -> None:
        """Remove the user's count of an image."""
        self.store.forget(id_)
        self.changed.emit()

    def keep_automatic(self) -> None:
        """Keep the model's present counts of the images that the user counted, for when they are closed.

        Raises
        ------
        OutputError
            The system refused to write.
        """
        settings, people = self.settings(), self.store.people()
        if settings is None:
            return
        counts = {
            entry.id: entry.automatic for entry in self.entries() if entry.id in people and entry.automatic is not None
        }
        if counts:
            self.store.put_automatic(settings, counts)

    def close(self) -> None:
        """Put what was clicked on the disk; called when the window goes."""
        self.clicking.keep()

    def _at_hand(self, settings: Settings, like: Cells | None) -> dict[str, Entry]:
        """Return the images that were segmented with these settings, counted as the sliders of `like` stand."""
        found: dict[str, Entry] = {}
        called = self._called[1] if self._called[0] == settings.name else {}
        for key, cells in self._segmented() if like is not None else ():
            # Without corrections: the question is how well the model counts alone.
            if like is not None and _settings(cells, like, settings.cells) == settings:
                id_ = self._id_of(key, cells, settings.cells)
                count = called.get(id_)
                if not settings.cells:
                    count = cells.segmented.number("", like.threshold, self._smallest(cells, like))
                found.setdefault(id_, Entry(id_, self._title(key, cells), count, key))
        return found

    @staticmethod
    def _smallest(cells: Cells, like: Cells) -> int:
        made = cells.segmented
        return made.recipe.with_sliders_of(like.recipe).smallest(made.model, made.prediction.diameter)

    def _segmented(self) -> Iterator[tuple[Any, Cells]]:
        """Yield the images of the viewer that have cells, and the planes of stacks."""
        for layer in self._bench.image_layers():
            planes = sorted(self._planes.done(layer.unique_id), key=lambda plane: plane.position)
            for key in (layer.unique_id, *planes):
                cells = self._bench.session.cells_of(key)
                if cells is not None and not cells.segmented.taken_from:
                    yield key, cells

    def _title(self, key: Any, cells: Cells) -> str:
        layer = self._bench.layer_of(key) if isinstance(key, PlaneKey) else None
        return cells.segmented.image.title if layer is None else f"{layer.name}, {self._planes.words(key)}"

    def _key_of(self, id_: str, of: str) -> Any:
        return next((key for key, cells in self._segmented() if self._id_of(key, cells, of) == id_), None)

    def _id_of(self, key: Any, cells: Cells, of: str = "") -> str:
        """Return what an image or plane is known by; a plane as the row of a batch that it is."""
        stack = self._bench.stack_of(key) if isinstance(key, PlaneKey) else None
        page = stack.page(key).name if stack is not None and stack.has(key) else ""
        return image_id(cells.segmented.image_sha256, cells.segmented.recipe.channel, page, of)


def _settings(cells: Cells, like: Cells, of: str = "") -> Settings:
    """Return the settings of an image's result, with the sliders of another's, and its calls."""
    recipe = cells.segmented.recipe.with_sliders_of(like.recipe)
    called = replace(recipe, positive=like.positive, grow=like.grow, classes=like.classes)
    return Settings.from_recipe(called, cells.segmented.model, of)
