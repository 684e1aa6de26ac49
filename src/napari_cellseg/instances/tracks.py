"""Cells that were linked over time, as tracks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Tracks:
    """Cells linked over time, in the form of napari's Tracks layer.

    Attributes
    ----------
    rows : numpy.ndarray
        float64 (N, 4): track id, t, y, x, sorted by track and time; y and x are centres in pixels.
    graph : dict of int to list of int
        Daughter -> [mother], if both are in `rows`.
    """

    rows: np.ndarray
    graph: dict[int, list[int]]

    @property
    def count(self) -> int:
        """Number of tracks."""
        return len(np.unique(self.rows[:, 0]))

    def columns(self) -> dict[str, np.ndarray]:
        """Columns of ``tracks.csv``: ``track``, ``t``, ``y``, ``x``, ``parent`` (empty if there is none)."""
        track, t = self.rows[:, 0].astype(np.int64), self.rows[:, 1].astype(np.int64)
        parent = np.array([str(self.graph[i][0]) if i in self.graph else "" for i in track.tolist()], dtype=np.str_)
        return {"track": track, "t": t, "y": self.rows[:, 2], "x": self.rows[:, 3], "parent": parent}


def tracks_table(
    frames: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
    lookups: Sequence[np.ndarray],
    parents: Mapping[int, int] | None = None,
) -> Tracks:
    """Return the position of every track at every time point.

    Parameters
    ----------
    frames : iterable of (ids, y, x)
        The counted cells of each frame by their local ids, and their centres in pixels, for example three columns of
        `measure`.
    lookups : sequence of numpy.ndarray
        Results of `Linker.add` for each frame. A cell without a linked id is skipped.
    parents : mapping of int to int, optional
        `Linker.parents`.
    """
    parts = [np.zeros((0, 4))]
    for t, ((ids, y, x), lookup) in enumerate(zip(frames, lookups, strict=True)):
        track = lookup[np.asarray(ids, np.intp)]
        rows = np.stack([track, np.full(len(track), t), y, x], axis=1).astype(np.float64)
        parts.append(rows[track > 0])
    rows = np.concatenate(parts)
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    known = set(np.unique(rows[:, 0]).astype(np.int64).tolist())
    pairs = sorted((parents or {}).items())
    return Tracks(rows, {child: [parent] for child, parent in pairs if child in known and parent in known})
