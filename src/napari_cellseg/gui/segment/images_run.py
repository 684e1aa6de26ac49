"""All open images, one after the other: the chosen one first."""

from __future__ import annotations

from typing import Any

from ...imaging.errors import CellsegError
from ...segmentation.recipe import Recipe
from ...session import layer_id
from ..viewer.one_by_one import OneByOne


class ImagesRun(OneByOne):
    """Segments the open images that have no cells of the present settings; of a stack the plane in view.

    Images for which no cell size, percentiles or channel were chosen yet get those of the chosen one.
    """

    def start(self) -> None:
        """Segment all images that have no cells of the settings that are chosen for them."""
        bench, session = self._bench, self._bench.session
        if session.running is not None or self.busy:
            return
        layers = sorted(bench.image_layers(), key=lambda layer: layer.unique_id != layer_id(session.chosen))
        keys = [bench.key_of(layer) for layer in layers]
        for key in keys:
            self._complete(key)
        left = [key for key in keys if session.cells_of(key) is None or session.differences(key)]
        if left:
            self._begin(left, f"Segmenting {len(left):,} images")
        elif keys:
            session.note("All open images are done already, with the settings of the panel.")

    def _complete(self, key: Any) -> None:
        """Choose for an image what is chosen for the one in the panel, where nothing was chosen for it."""
        choices, chosen = self._bench.session.choices, self._bench.session.choices.for_image(self._bench.session.chosen)
        try:
            n_channels = self._bench.image_of(key).n_channels
        except CellsegError:
            return  # its own turn reports the reason
        own = choices.for_image(key)
        size = chosen.diameter if own.diameter is None else own.diameter
        choices.choose_for(key, diameter=size, normalizer=own.normalizer or chosen.normalizer)
        if n_channels > 1 and choices.for_image(key).channel is None:
            place = chosen.channel if isinstance(chosen.channel, int) and chosen.channel < n_channels else 0
            choices.choose_for(key, channel=place)

    def _recipe_of(self, key: Any) -> Recipe:
        session = self._bench.session
        cells = session.cells_of(key)
        first = cells is None or cells.segmented.recipe.model != session.choices.viewer.model
        return session.choices.recipe(key, first)

    def _cancelled(self) -> str:
        return f"Cancelled. {len(self._done):,} of {self._total:,} images are done."

    def _end(self) -> None:
        session = self._bench.session
        cells = [session.cells_of(key) for key in self._done]
        n_cells = sum(one.count() for one in cells if one is not None)
        sentence = f"{len(self._done):,} images are done: {n_cells:,} cells together."
        if self._failed:
            key, error = next(iter(self._failed.items()))
            name = self._bench.name_of(key)
            session.fail(None, f"{sentence} {len(self._failed):,} failed. {name}: {error}")
        else:
            session.note(sentence)
