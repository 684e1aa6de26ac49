"""Point out images of one folder of results whose values are equal: copies that are counted twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .rows import BatchRow

_MOST_NAMES = 3


def equal_images(rows: Sequence[BatchRow]) -> list[list[BatchRow]]:
    """Return the groups of rows with a result whose images have equal values.

    Equal planes of one image, such as its dark ones, are no group.
    """
    groups: dict[str, list[BatchRow]] = {}
    for row in rows:
        if row.has_result and row.image_sha256:
            groups.setdefault(row.image_sha256, []).append(row)
    return [group for group in groups.values() if len({row.key[0] for row in group}) > 1]


def with_equal_noted(rows: Sequence[BatchRow]) -> list[BatchRow]:
    """Return rows with a note in each whose values are equal to those of other images."""
    notes = {}
    for group in equal_images(rows):
        # The first other image: with two names every member of a group can be given one that is not its own.
        names = list({row.key[0]: row.title for row in group}.items())[:2]
        for row in group:
            other = next(name for key, name in names if key != row.key[0])
            more = f" and {len(group) - 2} more" if len(group) > 2 else ""
            notes[row.key] = f"The values of this image are equal to those of {other}{more}."
    # A table that was read back has its notes as one text.
    return [
        replace(row, notes=(*row.notes, notes[row.key]))
        if row.key in notes and notes[row.key] not in " ".join(row.notes)
        else row
        for row in rows
    ]


def equal_images_in_words(rows: Sequence[BatchRow]) -> str:
    """Return a sentence that names the images of equal values; empty where there are none."""
    groups = equal_images(rows)
    if not groups:
        return ""
    named = [", ".join(row.title for row in group[:_MOST_NAMES]) for group in groups[:_MOST_NAMES]]
    rest = [f" and {len(group) - _MOST_NAMES} more" if len(group) > _MOST_NAMES else "" for group in groups]
    texts = [name + more for name, more in zip(named, rest, strict=False)]
    others = f"; and {len(groups) - _MOST_NAMES} more groups" if len(groups) > _MOST_NAMES else ""
    return (
        f"Images with equal values are counted as if they were different ones: {'; '.join(texts)}{others}. Remove the "
        "copies where they are a mistake."
    )
