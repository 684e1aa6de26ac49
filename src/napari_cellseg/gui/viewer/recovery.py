"""Corrections of before a crash: found by the content of the image that is open, and offered."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from psygnal import Signal

from ...corrections.journal import corrections_dir
from ...corrections.recovery import JournalInfo, is_about, newest_journal
from ...imaging.errors import CellsegError
from ...segmentation.recipe import Recipe
from ...session import layer_id
from ..shared.workers import Latest
from .bench import Bench
from .correcting import Correcting


class Recovery:
    """Which corrections can be recovered for which image.

    Signals
    -------
    changed(key)
        They were found, taken or declined.
    """

    changed = Signal(object)

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._correcting = bench.part(Correcting)
        self._found: dict[Any, JournalInfo] = {}
        self._asked: dict[Any, tuple[int, ...] | None] = {}
        self._declined: set[str] = set()
        self._to_recover: dict[Any, JournalInfo] = {}
        self._looking = Latest(lambda error: None)
        bench.session.chosen_changed.connect(self._on_chosen)
        bench.session.cells_changed.connect(self._on_cells)
        bench.session.state_changed.connect(self._on_state)
        bench.image_changed.connect(self._on_image)

    def recoverable(self, key: Any) -> JournalInfo | None:
        """Return what can be recovered for an image; None for nothing."""
        found = self._found.get(key)
        if found is None or str(found.path) in self._declined or not is_about(found, self._channels(key)):
            return None
        return found

    def look(self, key: Any) -> None:
        """Look for corrections of an image in a background thread, as its values must be read."""
        channels = self._channels(key)
        # An image without channels is asked about once; of others, for each channel that is segmented.
        asked = key in self._asked and (not channels or self._asked[key] == channels)
        if self._bench.layer_of(key) is None or asked or not corrections_dir().is_dir():
            return
        try:
            image = self._bench.image_of(key)
        except CellsegError:
            return  # Segment shows why

        own = self._bench.session.journals()

        def work() -> JournalInfo | None:
            try:
                return newest_journal(image.content_hash(), own, channels)
            except (CellsegError, OSError):
                return None

        def found(info: JournalInfo | None) -> None:
            self._asked[key] = channels
            self._set(key, info)

        self._looking.ask(work, found)

    def recover(self, key: Any) -> None:
        """Take the corrections over; an image without cells is segmented as it was then."""
        info = self.recoverable(key)
        if info is None:
            return
        if self._bench.session.cells_of(key) is not None:
            self._take(key, info)
            return
        try:
            recipe = Recipe.from_dict(info.header["recipe"])
        except (CellsegError, KeyError, TypeError, ValueError):
            self._bench.session.note("Press Segment first, then recover the corrections.")
            return
        layer = self._bench.layer_of(key)
        # The same plane may have come from another file, whose axes were others.
        if layer is not None and len(recipe.axes or "") != layer.ndim + bool(layer.rgb):
            recipe = replace(recipe, axes=None)
        recipe = replace(
            recipe, axes=self._bench.session.choices.for_image(key).axes or recipe.axes, pages="one", link="none"
        )
        # The panel shows what the cells are made with.
        self._bench.session.use_recipe(replace(recipe, axes=None), key=key)
        if self._bench.segment(layer, recipe) is not None:
            self._to_recover[key] = info

    def decline(self, key: Any, for_ever: bool = False) -> None:
        """Ask no more: in this session, or (`for_ever`) never about these; they stay on the disk."""
        info = self.recoverable(key)
        if info is None:
            return
        self._declined.add(str(info.path))
        self._to_recover.pop(key, None)
        if for_ever:
            self._bench.session.dismiss(key, info)
        self.changed.emit(key)

    def close(self) -> None:
        """Stop looking."""
        self._looking.close()

    def _take(self, key: Any, info: JournalInfo) -> None:
        try:
            notes = self._bench.session.recover(key, info)
        except (CellsegError, OSError) as error:
            self._bench.session.fail(None, error)
            self._correcting.reported.emit(str(error), True)
            return
        self._found.pop(key, None)
        # Another window may have left corrections of its own.
        self._asked.pop(key, None)
        self.look(key)
        sentence = " ".join([f"Recovered {_what(info)}.", *notes])
        self._bench.session.note(sentence)
        self._correcting.reported.emit(sentence, bool(notes))
        self.changed.emit(key)

    def _set(self, key: Any, info: JournalInfo | None) -> None:
        if info is None:
            self._found.pop(key, None)
        else:
            self._found[key] = info
        self.changed.emit(key)

    def _on_chosen(self, key: Any) -> None:
        self.look(key)
        self.changed.emit(key)

    def _on_image(self, key: Any) -> None:
        self._asked = {asked: of for asked, of in self._asked.items() if layer_id(asked) != key}
        for known in [known for known in self._found if layer_id(known) == key]:
            del self._found[known]
        self._set(key, None)
        self.look(self._bench.session.chosen if layer_id(self._bench.session.chosen) == key else key)

    def _on_cells(self, key: Any) -> None:
        if self._bench.session.cells_of(key) is None:
            return
        if (info := self._to_recover.pop(key, None)) is not None:
            self._take(key, info)
            return
        if key == self._bench.session.chosen:
            self.look(key)
        self.changed.emit(key)

    def _on_state(self, state: Any) -> None:
        # What was asked for came to nothing: a later answer is to another question.
        if self._bench.session.running is None:
            self._to_recover.clear()

    def _channels(self, key: Any) -> tuple[int, ...] | None:
        """Return the channels that an image's cells are of; None where it has no cells."""
        cells = self._bench.session.cells_of(key)
        return None if cells is None else cells.segmented.channels


def question(info: JournalInfo, now: datetime) -> str:
    """Ask whether corrections are to be recovered, with how many and from when."""
    then = info.time.astimezone(now.tzinfo)
    day = "" if then.date() == now.date() else f"{then:%d %b}{'' if then.year == now.year else f' {then:%Y}'}, "
    return f"Recover {_what(info)} from {day}{then:%H:%M}?"


def _what(info: JournalInfo) -> str:
    n = info.n_corrections
    return f"{n:,} correction{'' if n == 1 else 's'}" if n else "the reviewed area"
