"""Which cells count besides threshold and smallest size: by size, shape and brightness, and at the image's edges."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..imaging.errors import ParamsError

AREA, CIRCULARITY, SOLIDITY, INTENSITY = "area", "circularity", "solidity", "intensity"
MEASURES = (AREA, CIRCULARITY, SOLIDITY, INTENSITY)
AT_LEAST, AT_MOST = ">=", "<="
COMPARE = {AT_LEAST: operator.ge, AT_MOST: operator.le}
# Cells at the edges: all count; none that touches an edge; or those of a counting frame, which may lie within a guard.
ALL, NONE, FRAME = "all", "none", "frame"
EDGES = (ALL, NONE, FRAME)
_FRAME = re.compile(rf"{FRAME}:(\d{{1,5}})")
EDGES_SYNTAX = f"one of {', '.join(EDGES)}, or {FRAME}:40 for a frame 40 pixels within the image"
_FILTER = re.compile(r"\s*(\w+)\s*(>=|<=)\s*(\S+)\s*")
SYNTAX = "such as 'area<=900', 'circularity>=0.6', 'solidity>=0.9' or 'intensity>=300'"


def is_edges(text: str) -> bool:
    """Whether a text is a rule for edges."""
    return text in EDGES or bool(_FRAME.fullmatch(text))


def framed(guard: int) -> str:
    """Return the rule of a counting frame within a guard of so many pixels."""
    return f"{FRAME}:{guard}" if guard else FRAME


@dataclass(frozen=True)
class Filter:
    """A cell counts only where one of its measurements is large, or small, enough.

    Parameters
    ----------
    measure : str
        One of `MEASURES`: area in pixels, circularity, solidity, or mean intensity in the channel that was segmented;
        see `instances.traits.Traits`.
    sign : {'>=', '<='}
    value : float
        A cell without the measurement does not count.

    Raises
    ------
    ParamsError
        There is no such measurement, or the value is none that it can have.
    """

    measure: str
    sign: str
    value: float

    def __post_init__(self) -> None:
        if self.measure not in MEASURES or self.sign not in COMPARE:
            raise ParamsError(f"Cells can't be filtered by {self.measure}{self.sign}. Give a filter {SYNTAX}.")
        if not math.isfinite(self.value) or (self.measure != INTENSITY and self.value < 0):
            raise ParamsError(f"{self.measure} is compared with {self.value}. Give a number from 0, {SYNTAX}.")
        if (self.measure, self.sign) == (AREA, AT_LEAST):
            raise ParamsError(f"The smallest area is set by min_size (--min-size {self.value:g}), not by a filter.")

    @classmethod
    def parse(cls, text: str) -> Filter:
        """Read ``MEASURE>=VALUE`` or ``MEASURE<=VALUE``.

        Raises
        ------
        ParamsError
            It is none.
        """
        found = _FILTER.fullmatch(str(text))
        try:
            value = float(found[3]) if found else math.nan
        except ValueError:
            found = None
        if found is None:
            raise ParamsError(f"{text!r} is no filter. Give a measurement, >= or <=, and a number, {SYNTAX}.")
        return cls(found[1], found[2], value)

    def __str__(self) -> str:
        short = f"{self.value:g}"
        return f"{self.measure}{self.sign}{short if float(short) == self.value else repr(float(self.value))}"


@dataclass(frozen=True)
class Filters:
    """All filters of a recipe.

    Parameters
    ----------
    bounds : tuple of Filter
        A cell counts when it passes all.
    edges : str
        One of `EDGES`, or ``frame:N`` for a frame within a guard of N pixels. Only the frame is unbiased: of frames
        that adjoin each other each cell counts in one.

    Raises
    ------
    ParamsError
        Two filters contradict each other, or there is no such rule.
    """

    bounds: tuple[Filter, ...] = ()
    edges: str = ALL

    def __post_init__(self) -> None:
        if not is_edges(self.edges):
            raise ParamsError(f"The rule for edges is {self.edges!r}; it must be {EDGES_SYNTAX}.")
        if _FRAME.fullmatch(self.edges):
            object.__setattr__(self, "edges", framed(self.guard))
        kinds = [(one.measure, one.sign) for one in self.bounds]
        twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
        if twice is not None:
            raise ParamsError(f"There are two filters {''.join(twice)}. Keep one.")

    def __bool__(self) -> bool:
        return bool(self.bounds) or self.edges != ALL

    @property
    def guard(self) -> int:
        """Width in pixels of what lies around the counting frame on all sides; 0 without one."""
        found = _FRAME.fullmatch(self.edges)
        return int(found[1]) if found else 0

    def field(self, shape: tuple[int, ...]) -> int:
        """Pixels of an image of a shape (Y, X) of which the count is: those of the frame, or all."""
        return math.prod(max(n - 2 * self.guard, 0) for n in shape)

    @property
    def by_intensity(self) -> bool:
        """Whether one of them needs the image."""
        return any(one.measure == INTENSITY for one in self.bounds)

    def value(self, measure: str, sign: str) -> float | None:
        """Value that a measurement is compared with; None where it is not."""
        return next((one.value for one in self.bounds if (one.measure, one.sign) == (measure, sign)), None)

    def having(self, measure: str, sign: str, value: float | None) -> Filters:
        """Return the filters with another value; None takes the filter away."""
        others = [one for one in self.bounds if (one.measure, one.sign) != (measure, sign)]
        bounds = others if value is None else [*others, Filter(measure, sign, value)]
        return Filters(tuple(sorted(bounds, key=lambda one: (MEASURES.index(one.measure), one.sign))), self.edges)


NO_FILTERS = Filters()


def filters_of(given: Any) -> tuple[Filter, ...]:
    """Return filters, or texts of them as recipes hold them, as filters.

    Raises
    ------
    ParamsError
        One is none.
    """
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise ParamsError(f"The recipe's filters are {given!r}; they must be a list of filters, {SYNTAX}.")
    return tuple(one if isinstance(one, Filter) else Filter.parse(one) for one in given)
