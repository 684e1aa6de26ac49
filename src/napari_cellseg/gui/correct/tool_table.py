"""The tools of the Correct widget: what each takes, does and reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ...corrections import tools as edits


@dataclass(frozen=True)
class Tool:
    """One way to correct cells.

    Attributes
    ----------
    name, title : str
    key : str
        Key that acts at once under the mouse pointer; for "stroke" it takes the tool in hand.
    takes : {"cells", "pair", "place", "stroke"}
        What the edit wants: cells clicked or crossed, two or more of them, a place, or the stroke itself.
    edit : callable
        Function of `corrections.tools`.
    hint : str
        What to do while the tool is in hand.
    done : str
        What was done; ``{}`` stands for "no. 12" or "3 cells".
    about : str
        What the tool does.
    """

    name: str
    title: str
    key: str
    takes: Literal["cells", "pair", "place", "stroke"]
    edit: Callable[..., Any]
    hint: str
    done: str
    about: str

    @property
    def tooltip(self) -> str:
        """What the tool does, with its key, and how its button is used."""
        place = "takes the tool in hand" if self.takes == "stroke" else "acts under the mouse pointer"
        return f"{self.about}\nKey {self.key} in the image {place}.\nWhile the button is down: {self.in_hand}"

    @property
    def in_hand(self) -> str:
        """What to do while the tool is in hand, to go on with in a sentence."""
        return f"{self.hint[0].lower()}{self.hint[1:]}"


TOOLS = (
    Tool(
        "delete", "Delete", "D", "cells", edits.delete, "Click a cell, or draw across several.",
        "Erased {}.",
        "Erase a cell. It stays erased whatever the sliders do.",
    ),
    Tool(
        "merge", "Merge", "J", "pair", edits.merge, "Draw across the cells that are one, or click one after the other.",
        "Merged {}.",
        "Make one cell of two or more; small gaps between them are closed.",
    ),
    Tool(
        "split", "Split", "S", "stroke", edits.split_by_stroke, "Draw the cut through a cell.",
        "Cut along the line.",
        "Cut a cell along a line that you draw.",
    ),
    Tool(
        "add", "Add", "I", "place", edits.add_at, "Click in the middle of a cell that was missed.",
        "Added a cell.",
        "Add a cell that was missed: its outline is proposed from the prediction around the click.",
    ),
    Tool(
        "fill", "Fill holes", "H", "cells", edits.fill_holes, "Click a cell with holes in it.",
        "Filled {}.",
        "Fill the holes in a cell.",
    ),
    Tool(
        "accept", "Accept", "A", "cells", edits.accept, "Click cells that are right: no slider changes them any more.",
        "Accepted {}.",
        "Keep a cell as it is: it becomes yours, and counts as reviewed.",
    ),
    Tool(
        "release", "Release", "R", "cells", edits.release, "Click cells of yours to give them back to the sliders.",
        "Released {}.",
        "Give a cell of yours back to the sliders, as the network saw it. Works on erased cells too.",
    ),
)  # fmt: skip
