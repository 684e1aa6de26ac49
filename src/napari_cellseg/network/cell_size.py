"""Find the typical diameter of the cells in an image, by looking at it through the network at several magnifications.

At the right magnification, and for an octave around it, the network finds the same cells: their diameter in pixels of
the image does not change, and the peaks of their centre distance are high. Elsewhere it finds fragments, or whole
groups of cells, and their peaks are low. So each look is followed by one at the magnification that it implies until
both agree, and of the magnifications where that happens the one with the clearest centres is right. The area that is
covered is no evidence: in tissue whole glands cover more than the nuclei in them.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..imaging.progress import Progress
from ..instances.prediction import Prediction
from .predict import TILE, iter_predict
from .sighting import Sighting, informative_windows, sighting_of
from .sizing import ZOOMS, resized, zoom_for, zoomed_shape
from .versions import ModelVersion

# Magnifications that a search begins at, one after the other until cells are clearly seen.
STARTS = (1.0, 0.35, 0.125, 2.0)
MOST_LOOKS = 5
# Two looks agree where their magnifications differ by less.
AGREEMENT = 1.12
# A look at the whole image at a magnification that differs by less than this is as good as one at the right one.
AS_GOOD = 1.05
# Peaks that differ by less are alike.
AS_CLEAR = 0.05
# From here on down the result is uncertain.
VAGUE_PEAK = 0.55
# Cells larger than this, in pixels of the image, are believed only where a version remembers such: from so far away
# uneven light looks like a cell.
LARGEST = 300.0
# Vague cells that are smaller are grain: the image is taken as it is.
SMALLEST = 7.0
# So many cells are enough for the diameter: other windows need not be looked at.
ENOUGH_CELLS = 15
# A given size is checked by a look from so many times further away, and is wrong where cells are so many times larger.
FURTHER, MUCH_LARGER = 3.0, 2.0
# With fewer, a coarser look must not show larger cells: a speck may look like a cell from near.
FEW_CELLS = 5
# A size that differs from the remembered one by less than this factor is usual; another is accepted where the peaks
# are so much higher than at the remembered one.
USUAL, FAR_CLEARER = 1.25, 0.3


@dataclass(frozen=True, eq=False)
class CellSize:
    """Typical size of the cells of an image.

    Parameters
    ----------
    diameter : float or None
        In pixels; None where no cell was found.
    certain : bool
        Whether looks agreed on it and saw clear centres.
    whole : mapping of float to Prediction
        Of the whole image at the magnifications at which all of it was looked at on the way.
    """

    diameter: float | None
    certain: bool
    whole: Mapping[float, Prediction] = field(default_factory=dict, repr=False)

    def near(self, zoom: float) -> float:
        """The magnification of a look at the whole image that was as good as at `zoom`, or `zoom` itself."""
        nearest = min(self.whole, key=lambda known: abs(math.log(known / zoom)), default=zoom)
        return nearest if abs(math.log(nearest / zoom)) <= math.log(AS_GOOD) else zoom


def iter_estimate_diameter(
    normalized: np.ndarray, model: ModelVersion, device: str = "auto", most: int | None = None
) -> Generator[Progress, None, CellSize]:
    """Estimate the typical diameter of the cells in an image.

    Where the first look shows clear cells of a common size, that is the answer; other images are looked at up to some
    ten times. A version that remembers the size of the cells it learned from is shown them at that size first.

    Parameters
    ----------
    normalized : ndarray of float32
        Or anything of a shape of which regions ``[rows, columns]`` can be had.
    model : ModelVersion
        With a diameter.
    device : {'auto', 'cpu', 'cuda', 'mps'}
    most : int, optional
        Look at no more windows than this along each axis when choosing; see `informative_windows`.
    """
    search = _Search(normalized, model, device, most)
    return (yield from search.run())


def iter_look_for_larger(
    normalized: np.ndarray, model: ModelVersion, device: str, diameter: float
) -> Generator[Progress, None, float | None]:
    """Look from further away whether the cells are clearly much larger than the given size.

    Parameters
    ----------
    normalized : ndarray of float32
    model : ModelVersion
        With a diameter.
    device : str
    diameter : float
        In pixels, as it was given.

    Returns
    -------
    float or None
        Diameter in pixels of at least five clear cells, where it is more than twice the given one.
    """
    assert model.diameter is not None
    zoom = max(model.diameter / diameter / FURTHER, ZOOMS[0])
    if min(normalized.shape[:2]) * zoom < 1.5 * model.diameter:
        return None
    search = _Search(normalized, model, device, None)
    seen = yield from search.look(zoom)
    if seen is None or not seen.is_clear(model.diameter) or seen.n_cells < FEW_CELLS:
        return None
    return seen.diameter if seen.diameter > MUCH_LARGER * diameter else None


class _Search:
    """One search, with what was seen so far."""

    def __init__(self, normalized: np.ndarray, model: ModelVersion, device: str, most: int | None) -> None:
        assert model.diameter is not None
        self._image, self._model, self._device, self._most = normalized, model, device, most
        self._wanted = model.diameter
        self._largest = max(LARGEST, 2 * (model.cell_diameter or 0))
        self._seen: dict[float, Sighting | None] = {}
        self._whole: dict[float, Prediction] = {}

    def run(self) -> Generator[Progress, None, CellSize]:
        agreed: list[Sighting] = []
        for start in self._starts():
            found = yield from self._converge(start)
            if found is None:
                continue
            agreed.append(found)
            if found.is_clear(self._wanted) and found.n_cells >= FEW_CELLS:
                break
        best = self._best(agreed)
        remembered = self._model.cell_diameter
        if remembered is not None and (best is None or not self._is_accepted(best, remembered)):
            return CellSize(remembered, True, self._whole)
        if best is not None:
            best, certain = self._finest(best), best.peak >= VAGUE_PEAK
        else:
            # No two looks agreed: the clearest is better than nothing.
            best, certain = max(self._cells_seen(), key=lambda one: one.peak, default=None), False
        if best is None or (not certain and best.diameter < SMALLEST):
            return CellSize(None, False, self._whole)
        return CellSize(best.diameter, certain, self._whole)

    def _starts(self) -> Iterator[float]:
        """Magnifications to begin at; the finest where none of the others showed anything."""
        shape = self._image.shape[:2]
        if self._model.cell_diameter is not None:
            yield zoom_for(self._model.cell_diameter, self._wanted, (1, 1))
        for zoom in STARTS:
            if zoom > 1 and self._cells_seen():
                continue
            if zoom >= 1 or min(shape) * zoom >= 2 * self._wanted:
                yield zoom

    def _is_accepted(self, best: Sighting, remembered: float) -> bool:
        """Whether a size is about the remembered one, or that of cells far clearer than what is seen at that."""
        if abs(math.log(best.diameter / remembered)) <= math.log(USUAL):
            return True
        home = self._seen.get(zoom_for(remembered, self._wanted, (1, 1)))
        return best.is_clear(self._wanted) and (home is None or best.peak >= home.peak + FAR_CLEARER)

    def _best(self, agreed: Sequence[Sighting]) -> Sighting | None:
        few = any(one.n_cells < FEW_CELLS for one in agreed)

        def clearness(one: Sighting) -> float:
            return one.peak * one.cover**0.1 if few else one.peak

        return max(agreed, key=clearness, default=None)

    def _finest(self, best: Sighting) -> Sighting:
        """Of looks that are as clear as a vague one, the finest: it shows small cells, too."""
        if best.is_clear(self._wanted):
            return best
        alike = [one for one in self._cells_seen() if one.peak >= best.peak - AS_CLEAR]
        return max(alike, key=lambda one: one.zoom)

    def _cells_seen(self) -> list[Sighting]:
        return [one for one in self._seen.values() if one is not None and one.outweighing <= self._largest]

    def _converge(self, zoom: float) -> Generator[Progress, None, Sighting | None]:
        """Look until the magnification and what it shows agree; None where they do not, or nothing is seen."""
        for _ in range(MOST_LOOKS):
            now = yield from self.look(zoom)
            if now is None:
                return None
            implied = zoom_for(now.outweighing, self._wanted, (1, 1))
            if now.is_clear(self._wanted) or abs(math.log(implied / zoom)) <= math.log(AGREEMENT):
                return now if now.outweighing <= self._largest else None
            zoom = implied
        return None

    def look(self, zoom: float) -> Generator[Progress, None, Sighting | None]:
        for known, sighting in self._seen.items():
            if abs(math.log(known / zoom)) < math.log(AGREEMENT) / 2:
                return sighting
        yield Progress(0, 0, "estimating the size of the cells")
        windows = informative_windows(self._image, self._most, zoom)
        whole = len(windows) == 1 and self._image[windows[0]].shape[:2] == self._image.shape[:2]
        found: list[Prediction] = []
        for window in windows:
            part = np.ascontiguousarray(self._image[window])
            steps = iter_predict(resized(part, zoomed_shape(part.shape, zoom)), self._model, self._device, TILE)
            found.append((yield from steps))
            self._seen[zoom] = now = sighting_of(found, self._model, zoom, not whole)
            if now is not None and now.n_cells >= ENOUGH_CELLS and now.is_clear(self._wanted):
                break
        if whole:
            self._whole[zoom] = found[0]
        return self._seen[zoom]
