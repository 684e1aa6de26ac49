"""A marker: by which channel cells are called positive, and from which value on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..imaging.errors import ParamsError
from ..instances.compartments import NUCLEUS, PLACES

MEAN, SHARE = "mean", "share"
_SHARE = re.compile(r"share\(\s*([^()\s]+)\s*\)")
SYNTAX = "such as 'GFP>320', 'GFP:ring>320' or 'GFP:cell:share(150)>0.3'"


@dataclass(frozen=True)
class Marker:
    """Cells are positive where a channel's value in a compartment is above a threshold.

    Parameters
    ----------
    channel : str
        Name of a channel, or its number counted from 0; it is the marker's name in tables as well.
    threshold : float
        Cells whose value is larger are positive; those without a value are negative.
    place : str
        Where it is measured, one of :data:`~napari_cellseg.instances.compartments.PLACES`. The nucleus is the cell as
        it was found, the cell is the nucleus grown, and the ring is the cell without its nucleus.
    level : float or None
        None takes the mean brightness; else the value is the share of pixels, 0 to 1, that are brighter than this.

    Raises
    ------
    ParamsError
        If a value is out of its range.
    """

    channel: str
    threshold: float
    place: str = NUCLEUS
    level: float | None = None

    def __post_init__(self) -> None:
        if not self.channel or any(sign in self.channel for sign in ":>\n\r"):
            raise ParamsError(f"A marker can't have the channel {self.channel!r}. Give its name or number, {SYNTAX}.")
        if self.place not in PLACES:
            raise ParamsError(f"{self.channel} can't be measured in {self.place!r}. Choose {', '.join(PLACES)}.")
        for value in (self.threshold, self.level):
            if value is not None and not math.isfinite(value):
                raise ParamsError(f"The marker {self.channel} has the value {value}; it must be a finite number.")
        if self.level is not None and not 0 <= self.threshold <= 1:
            raise ParamsError(
                f"The marker {self.channel} calls cells by their share of pixels above {self.level:g}, but its "
                f"threshold is {self.threshold:g}. Give a share from 0 to 1, such as 0.3."
            )

    @property
    def name(self) -> str:
        """Name in tables."""
        return self.channel

    @property
    def measured(self) -> tuple[str, str, float | None]:
        """Channel, place and measure, without the threshold."""
        return self.channel, self.place, self.level

    @classmethod
    def parse(cls, text: str) -> Marker:
        """Read ``CHANNEL[:PLACE][:MEASURE]>THRESHOLD``; MEASURE is ``mean`` or ``share(LEVEL)``.

        Raises
        ------
        ParamsError
            It is none.
        """
        left, _, right = str(text).rpartition(">")
        channel, *options = [part.strip() for part in left.split(":")]
        place, level = NUCLEUS, None
        try:
            threshold = float(right)
            for option in options:
                if shared := _SHARE.fullmatch(option):
                    level = float(shared[1])
                elif option != MEAN:
                    place = option
        except ValueError:
            raise ParamsError(f"{text!r} is no marker. Give a channel, > and a number, {SYNTAX}.") from None
        return cls(channel, threshold, place, level)

    def __str__(self) -> str:
        place = "" if self.place == NUCLEUS else f":{self.place}"
        share = "" if self.level is None else f":{SHARE}({exact(self.level)})"
        return f"{self.channel}{place}{share}>{exact(self.threshold)}"


def markers_of(given: Any) -> tuple[Marker, ...]:
    """Return markers, or texts of them as recipes hold them, as markers.

    Raises
    ------
    ParamsError
        One is none, or two are of one channel.
    """
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise ParamsError(f"The recipe's positive is {given!r}; it must be a list of markers, {SYNTAX}.")
    markers = tuple(one if isinstance(one, Marker) else Marker.parse(one) for one in given)
    names = [marker.name for marker in markers]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ParamsError(f"There are two markers of the channel {twice}. Keep one: tables name markers by channel.")
    return markers


def exact(value: float) -> str:
    """Return the shortest text that reads back as the same number."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))
