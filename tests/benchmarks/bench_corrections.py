"""Edits on a large image against the same on a small one: the cost is to depend on what was edited alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_cellseg.corrections import CellView, CorrectedInstances, Corrections
from napari_cellseg.corrections import tools as edits
from napari_cellseg.corrections.record import CorrectionsRecord
from napari_cellseg.corrections.recovery import read_journal
from napari_cellseg.corrections.run_lengths import Patch
from napari_cellseg.instances import Instances, Prediction
from tests.benchmarks.harness import Row, draw_maps, median, median_ratio, paired

SMALL, LARGE = (512, 125), (4096, 8000)
MOST = 1.5  # times the small image's; what is left are tables with an entry per cell


class _Person:
    """Edits one image, each time another cell near its corner, and takes the edit back."""

    def __init__(self, size: int, n_cells: int, name: str) -> None:
        maps = draw_maps(size, n_cells)
        instances = Instances.from_prediction(Prediction(maps.probability, maps.distance))
        self.view = CellView(CorrectedInstances(instances, Corrections(instances.shape)), 0.5, 20)
        self.record = CorrectionsRecord("benchmark", None, name * 64, (), self.view.corrected.corrections)
        region = (slice(40, 470), slice(40, 470))
        inside = np.unique(self.view.labels(region)[20:-20, 20:-20])
        self.ids = inside[inside > 0].tolist()
        self.turn = 0

    def cell(self) -> int:
        self.turn += 1
        return int(self.ids[self.turn % len(self.ids)])

    def painted(self) -> Patch:
        rows, columns = self.view.box(self.cell()) or (slice(0, 0), slice(0, 0))
        region = (slice(rows.start + 5, rows.start + 10), slice(columns.start, columns.start + 60))
        after = self.view.labels(region)
        after[:, :8] = self.view.corrected.fresh_id()
        return edits.painted(self.view, region, after)

    def cut(self) -> Patch:
        rows, columns = self.view.box(self.cell()) or (slice(0, 0), slice(0, 0))
        middle = (columns.start + columns.stop) / 2
        return edits.split_by_stroke(self.view, np.array([(rows.start - 3, middle), (rows.stop + 3, middle)]))

    def edit(self, make: Callable[[], Patch]) -> None:
        """One edit with all that the window waits for: patch, journal, redraw, count, and undo."""
        self.record.apply(make())
        self.view.labels(self.view.corrected.last_region)
        self.view.corrected.count(0.5, 20)
        self.record.undo()
        self.view.labels(self.view.corrected.last_region)


def run() -> list[Row]:
    """Measure edits at 4096 x 4096 with 8,000 cells and at 512 x 512 with 125 in turns."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("NAPARI_CELLSEG_HOME")
        os.environ["NAPARI_CELLSEG_HOME"] = folder
        try:
            return _rows()
        finally:
            os.environ.pop("NAPARI_CELLSEG_HOME")
            if before is not None:
                os.environ["NAPARI_CELLSEG_HOME"] = before


def _rows() -> list[Row]:
    small, large = _Person(*SMALL, name="a"), _Person(*LARGE, name="b")
    rows = []
    for what, tools in {
        "delete": [lambda p=p: edits.delete(p.view, p.cell()) for p in (small, large)],
        "brush stroke": [small.painted, large.painted],
        "split by a stroke": [small.cut, large.cut],
        "accept": [lambda p=p: edits.accept(p.view, p.cell()) for p in (small, large)],
    }.items():
        steps = [lambda p=p, make=make: p.edit(make) for p, make in zip((small, large), tools, strict=True)]
        quick, slow = paired(steps, rounds=101)
        ratio = median_ratio(slow, quick)
        rows.append(Row(f"{what} and undo, 4096 x 4096, 8,000 cells", f"{1e3 * median(slow):.1f} ms"))
        rows.append(
            Row(
                f"  against 512 x 512, 125 cells ({1e3 * median(quick):.1f} ms)",
                f"{ratio:.2f}x",
                f"{MOST}x",
                ratio <= MOST,
            )
        )
    return [*rows, *_with_many_corrections(large)]


def _with_many_corrections(large: _Person) -> list[Row]:
    bare = large.view.corrected.instances
    for id_ in large.ids:
        large.record.apply(edits.accept(large.view, id_))
    out = np.empty(bare.shape, dtype=large.view.corrected.dtype)
    turn = iter(range(10**6))
    tick, plain, count = paired(
        [
            lambda: large.view.corrected.labels(0.3 + 0.01 * (next(turn) % 40), 250, out=out),
            lambda: bare.labels(0.3 + 0.01 * (next(turn) % 40), 250, out=out),
            lambda: large.view.corrected.count(0.5, 250),
        ],
        rounds=15,
    )
    saved = large.record.saved()
    assert saved is not None
    n, size = len(large.record.corrections.owned_ids), Path(saved.path).stat().st_size
    reading = median(paired([lambda: read_journal(saved.path)], rounds=3)[0])
    return [
        Row(f"tick over {n} corrected cells, 4096 x 4096", f"{1e3 * median(tick):.1f} ms"),
        Row("  against none", f"{median_ratio(tick, plain):.2f}x"),
        Row("  count", f"{1e3 * median(count):.2f} ms", "1 ms", median(count) <= 1e-3),
        Row(f"read a journal of {size / 1e6:.1f} MB", f"{reading:.2f} s"),
    ]
