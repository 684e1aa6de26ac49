"""The entries of a training set as rows of a list."""

from __future__ import annotations

from ...training.data.training_set import Entry
from .add_entry import part_in_words

COLUMNS = ("Image", "Cells", "Reviewed", "State")


def texts_of(entry: Entry) -> list[str]:
    """Return what the row of an entry shows."""
    if entry.problem:
        return [entry.name, "–", "–", "cannot be used"]
    state = "changed" if entry.note else "ready"
    return [entry.name, f"{entry.n_cells:,}", part_in_words(entry.reviewed_fraction), state]


def about(entry: Entry) -> str:
    """Return the tooltip of an entry: what is wrong with it or has changed, its size, and when it was added."""
    size = f"{entry.size[0]} × {entry.size[1]} pixels" if any(entry.size) else ""
    added = f"added {entry.added.replace('T', ' ')[:16]}" if entry.added else ""
    return "\n".join(line for line in (entry.name, entry.problem, entry.note, size, added) if line)
