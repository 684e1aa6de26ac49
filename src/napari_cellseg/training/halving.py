"""How a search for settings shares its time. Loads no torch."""

from __future__ import annotations

import math


def rounds_of(n: int) -> list[int]:
    """Return how many trials each round has: half of those before, rounded up, down to two."""
    sizes = [n]
    while sizes[-1] > 2:
        sizes.append(math.ceil(sizes[-1] / 2))
    return sizes


def first_minutes(minutes: float, n: int) -> float:
    """Return how long each of `n` trials is trained in the first round."""
    return minutes / (len(rounds_of(n)) * n)
