"""Where a model version comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .versions import ModelVersion


def lineage(version: ModelVersion, known: Iterable[ModelVersion]) -> list[str]:
    """Return the names from the first ancestor to this version; one that is gone is marked so, and ends the chain."""
    by_name: Mapping[str, ModelVersion] = {model.name: model for model in known}
    names = [version.name]
    parent = version.parent
    while parent and parent not in names:
        if parent not in by_name:
            names.append(f"{parent} (gone)")
            break
        names.append(parent)
        parent = by_name[parent].parent
    return names[::-1]
