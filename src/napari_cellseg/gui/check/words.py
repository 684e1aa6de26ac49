"""What a count is worth, in words."""

from __future__ import annotations

from ...evaluation.agreement.agreement import ENOUGH
from .known import Worth


def interval_in_words(worth: Worth | None) -> str:
    """Return the interval as it stands behind a count; empty where there is none."""
    if worth is None or worth.interval is None:
        return "(not checked)" if worth is not None and worth.unchecked else ""
    return worth.interval.range


def worth_in_words(worth: Worth | None, corrected: bool) -> list[str]:
    """Return sentences on how far a count can be trusted."""
    if worth is None:
        return []
    sentences = []
    if worth.interval is not None:
        found = worth.interval
        sentences.append(
            f"{found} by your counts of {worth.n} images: you would count so many here with a chance of 95\u00a0%, "
            f"most likely {found.best:,.0f}."
        )
        sentences.append("It holds for images like those, with this model and these sliders.")
    elif corrected:
        sentences.append("You corrected this image: the interval is one for counts without corrections.")
    elif worth.unchecked:
        sentences.append(worth.unchecked)
    elif worth.n < ENOUGH:
        sentences.append(
            f"{worth.n} of the images that you counted were counted with these settings; {ENOUGH} give an interval."
        )
    if worth.people is not None:
        sentences.append(f"You counted {worth.people:,}.")
    return sentences
