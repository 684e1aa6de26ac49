"""The value that every long-running generator yields, and how to run one to its end."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")
Step = TypeVar("Step")


@dataclass(frozen=True)
class Progress:
    """Progress of a long task.

    Attributes
    ----------
    done, total : int
        Finished steps and all steps; a `total` of 0 means that the number is not known.
    message : str
        What is being done, for the user; may be empty.
    """

    done: int
    total: int
    message: str = ""

    @property
    def fraction(self) -> float:
        """Fraction of the work that is done, 0 to 1; 0 if the total is not known."""
        return min(max(self.done / self.total, 0.0), 1.0) if self.total > 0 else 0.0


@dataclass(frozen=True)
class Note:
    """A sentence that the user should read, among the events of a long task."""

    text: str


def drain(steps: Generator[Any, None, Result], callback: Callable[[Any], object] = lambda step: None) -> Result:
    """Run a generator to its end and return its result; `hear` is called with every value that it yields."""
    kept: list[Result] = []
    for step in _keeping(steps, kept):
        callback(step)
    return kept[0]


def relay(steps: Generator[Step, None, Result], change: Callable[[Step], Any]) -> Generator[Any, None, Result]:
    """Yield everything that a generator yields, changed, and return what it returns."""
    kept: list[Result] = []
    with closing(steps):
        for step in _keeping(steps, kept):
            yield change(step)
    return kept[0]


def _keeping(steps: Generator[Step, None, Result], kept: list[Result]) -> Generator[Step, None, None]:
    kept.append((yield from steps))
