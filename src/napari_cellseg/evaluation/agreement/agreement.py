"""Agreement of automatic counts with manual ones, and the interval of a new count.

Limits of agreement follow Bland & Altman (Statistical methods for assessing agreement between two methods of clinical
measurement, Lancet 1986). Errors of a count grow with the count, so the interval is made on square roots, where they
are about equally large everywhere: sqrt(count + 3/8), after Anscombe (Biometrika 1948). A bias is a share of the count:
a slope on the roots.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...imaging.errors import CellsegError

ENOUGH = 5
COVERAGE = 0.95
_SHIFT = 3 / 8


@dataclass(frozen=True)
class CountInterval:
    """Interval of the manual count for an automatic one.

    Parameters
    ----------
    count : int
        The automatic count.
    low, high : int
        The manual count lies in this interval with a chance of 95 %.
    best : float
        Most likely manual count: the automatic one less the bias.
    """

    count: int
    low: int
    high: int
    best: float

    @property
    def range(self) -> str:
        """The interval as it stands behind a count everywhere, such as ``(582 to 843)``."""
        return f"({self.low:,} to {self.high:,})"

    def __str__(self) -> str:
        return f"{self.count:,} {self.range}"


@dataclass(frozen=True, eq=False)
class Agreement:
    """Manual and automatic counts of the same images.

    Parameters
    ----------
    images : tuple of str
    people, automatic : ndarray
        float64 (n,); where several people counted an image, their mean.
    between_people : float, optional
        Mean standard deviation between observers on one image, in cells; None where no image was counted twice.
    left_out : str
        A sentence on images that were counted and are not compared; empty where there are none.

    Raises
    ------
    CellsegError
        Columns of different lengths, fewer than two images, or counts that are negative or not numbers.
    """

    images: tuple[str, ...]
    people: np.ndarray
    automatic: np.ndarray
    between_people: float | None = None
    left_out: str = ""

    def __post_init__(self) -> None:
        for name in ("people", "automatic"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64).ravel())
        n = len(self.images)
        if not n == len(self.people) == len(self.automatic):
            raise CellsegError(
                f"There are {n} images but {len(self.people)} manual counts and {len(self.automatic)} automatic ones. "
                "Give both counts for every image."
            )
        if n < 2:
            raise CellsegError(f"{n} image(s) were counted manually; agreement needs 2 or more, better 10.")
        both = np.concatenate([self.people, self.automatic])
        if not np.isfinite(both).all() or both.min() < 0:
            raise CellsegError("A count is missing, negative or no number. Correct it, or remove the image.")

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.images)

    @property
    def too_few(self) -> str:
        """A sentence on how many images an interval still needs; empty when there are enough."""
        if self.n >= ENOUGH:
            return ""
        return (
            f"{self.n} images are too few for an interval: count {ENOUGH - self.n} more by hand "
            f"(at least {ENOUGH}, better 10)."
        )

    @cached_property
    def differences(self) -> np.ndarray:
        """Automatic minus manual counts, in cells."""
        return self.automatic - self.people

    @cached_property
    def bias(self) -> float:
        """Mean of the differences, in cells."""
        return float(self.differences.mean())

    @cached_property
    def bias_interval(self) -> tuple[float, float]:
        """95 % confidence interval of the bias, in cells."""
        half = _t(self.n) * float(self.differences.std(ddof=1)) / math.sqrt(self.n)
        return self.bias - half, self.bias + half

    @cached_property
    def limits(self) -> tuple[float, float]:
        """95 % limits of agreement after Bland & Altman, in cells: bias -/+ 1.96 standard deviations."""
        half = 1.96 * float(self.differences.std(ddof=1))
        return self.bias - half, self.bias + half

    @cached_property
    def limits_interval(self) -> float:
        """Half-width of the 95 % confidence interval of either limit, in cells."""
        return _t(self.n) * math.sqrt(3 / self.n) * float(self.differences.std(ddof=1))

    @cached_property
    def roots(self) -> tuple[float, float]:
        """Slope and standard deviation of manual over automatic square roots, a line through the origin.

        A slope of 1 is no bias: what is missed or seen twice is a share of the cells.
        """
        x, y = _root(self.automatic), _root(self.people)
        slope = float(x @ y / (x @ x))
        # Whole numbers that all agree may still be off by half a cell.
        least = 0.5 / math.sqrt(12) / float(y.mean())
        return slope, max(math.sqrt(float(((y - slope * x) ** 2).sum()) / (self.n - 1)), least)

    def interval(self, count: int) -> CountInterval | None:
        """Return the interval in which the manual count lies with a chance of 95 %.

        The prediction interval of the line through the origin that fits manual to automatic square roots, by Student's
        t with n - 1 degrees of freedom, squared again and rounded outwards. It holds for images like the
        counted ones.

        Parameters
        ----------
        count : int
            The automatic count.

        Returns
        -------
        CountInterval or None
            None with fewer than 5 images, see `too_few`, and outside the counts that were checked, see `unchecked`.
        """
        if self.n < ENOUGH or self.unchecked(count):
            return None
        slope, spread = self.roots
        root = float(_root(np.array([count]))[0])
        middle = slope * root
        half = _t(self.n) * spread * math.sqrt(1 + root**2 / float((_root(self.automatic) ** 2).sum()))
        low, best, high = (_square(value) for value in (middle - half, middle, middle + half))
        return CountInterval(int(count), math.floor(low + 1e-9), math.ceil(high - 1e-9), best)

    def unchecked(self, count: int) -> str:
        """A sentence that a count is less or more than all that were checked by hand; empty where it is not."""
        least, most = self.automatic.min(), self.automatic.max()
        if least <= count <= most:
            return ""
        return (
            f"No interval: {count:,} lies outside the counts that were checked by hand ({least:,.0f} to {most:,.0f})."
        )

    def sentence(self) -> str:
        """Return a sentence on whether automatic counts are too high or too low."""
        low, high = self.bias_interval
        share = self.differences.sum() / max(self.people.sum(), 1)
        side = "higher" if self.bias > 0 else "lower"
        if low <= 0 <= high:
            verdict = (
                f"no bias is significant (mean difference {self.bias:+.1f} cells, 95 %: {low:+.1f} to {high:+.1f})"
            )
        else:
            verdict = f"automatic counts are {side} by {abs(self.bias):.1f} cells on average ({abs(share):.1%})"
        limits = f"95 % of the differences lie between {self.limits[0]:+.1f} and {self.limits[1]:+.1f} cells"
        return f"On {self.n} images {verdict}; {limits}."

    def to_dict(self) -> dict[str, Any]:
        """Return counts and figures, JSON-able; `from_dict` needs the counts only."""
        slope, spread = self.roots
        return {
            "images": list(self.images),
            "people": self.people.tolist(),
            "ours": self.automatic.tolist(),
            "between_people": self.between_people,
            "bias": self.bias,
            "bias_95": list(self.bias_interval),
            "limits_of_agreement": list(self.limits),
            "limits_95": self.limits_interval,
            "roots": {"slope": slope, "standard_deviation": spread},
            "too_few": self.too_few,
            "left_out": self.left_out,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Agreement:
        """Rebuild an agreement from `to_dict`'s form."""
        more = (values.get("between_people"), values.get("left_out", ""))
        return cls(tuple(values["images"]), values["people"], values["ours"], *more)


def agreement_of(rows: Sequence[tuple[str, float, float]]) -> Agreement:
    """Build an agreement from rows of (image, manual count, automatic count); one row per image and observer.

    Raises
    ------
    CellsegError
        As `Agreement`, or one image has two different automatic counts.
    """
    people: dict[str, list[float]] = {}
    automatic: dict[str, float] = {}
    for image, person, count in rows:
        if automatic.setdefault(image, count) != count:
            raise CellsegError(
                f"{image} has two automatic counts, {automatic[image]:g} and {count:g}. Keep one of them."
            )
        people.setdefault(image, []).append(person)
    twice = [np.std(counts, ddof=1) for counts in people.values() if len(counts) > 1]
    between = float(np.mean(twice)) if twice else None
    means = [float(np.mean(counts)) for counts in people.values()]
    return Agreement(tuple(people), np.array(means), np.array([automatic[image] for image in people]), between)


def band(agreement: Agreement, n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return limits, which grow with the count: mean count, lower limit, bias and upper limit of the difference.

    From the square roots; to be drawn into the plot of differences over means.
    """
    slope, spread = agreement.roots
    means = np.linspace(0, float(np.max((agreement.people + agreement.automatic) / 2)), n)
    # With roots r + d/2 and r - d/2 the difference of the squares is 2 r d.
    roots = np.sqrt(means + _SHIFT)
    bias = 2 * roots * (1 - slope) / (1 + slope)
    low, middle, high = (2 * roots * d for d in (bias - 1.96 * spread, bias, bias + 1.96 * spread))
    return means, low, middle, high


def _root(counts: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.sqrt(np.asarray(counts, dtype=np.float64) + _SHIFT)
    return result


def _square(root: float) -> float:
    return max(max(root, 0.0) ** 2 - _SHIFT, 0.0)


def _t(n: int) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + COVERAGE) / 2, n - 1))
