"""What a count is worth, in words."""

from __future__ import annotations

from ...evaluation.agreement.agreement import ENOUGH
from .known import Worth


def interval_in_words(worth: Worth | None) -> str:
    """Return the interval as it stands behind a count; empty where there is none."""
    found = None if worth is None else worth.interval
    return "" if found is None else f"({found.low:,} to {found.high:,})"


def worth_in_words(worth: Worth | None, corrected: bool) -> list[str]:
    """Return sentences on how far a count can be trusted."""
    if worth is None:
        return []
    said = []
    if worth.interval is not None:
        found = worth.interval
        said.append(
            f"By your counts of {worth.n} images, you would count {found.low:,} to {found.high:,} here, with a chance "
            f"of 95 %; most likely {found.best:,.0f}."
        )
        said.append(found.note or "Holds for images like those, with this model and these sliders.")
    elif corrected:
        said.append("You corrected this image: the interval is one for counts without corrections.")
    elif worth.n < ENOUGH:
        said.append(
            f"{worth.n} of the images that you counted were counted with these settings; {ENOUGH} give an interval."
        )
    if worth.people is not None:
        said.append(f"You counted {worth.people:,}.")
    return said
