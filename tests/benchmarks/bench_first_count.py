"""From starting Python to the first count on the screen, as the checklist of the empty panel leads to it."""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise

import psutil

from tests.benchmarks.bench_window import in_window
from tests.benchmarks.harness import Row, median

N_STARTS = 3
PHASES = {
    "napari": "napari's own: from the start of Python to an empty window",
    "panel": "ours: the Segment panel, with its imports",
    "sample": "ours: 'Try a sample' to the image shown",
    "count": "ours: Segment to the count shown, with torch and the network loaded",
}


def run() -> list[Row]:
    """Start so many times, each time in a process of its own; the first may read its files from the disk."""
    starts = [in_window(__name__) for _ in range(N_STARTS)]
    phases = {name: median([start[name] for start in starts]) for name in PHASES}
    whole = median([sum(start[name] for name in PHASES) for start in starts])
    ours = whole - phases["napari"]
    what = f"from starting napari to the first count ({starts[0]['n_cells']} cells of the fluorescence sample)"
    return [
        Row(what, f"{whole:.1f} s, of which {ours:.1f} s are ours"),
        *(Row(f"   {words}", f"{phases[name]:.2f} s") for name, words in PHASES.items()),
    ]


def measure() -> dict[str, float]:
    """Open napari, the panel and the sample, press Segment; seconds of each phase, by the clock."""
    marks = [psutil.Process().create_time()]

    import napari
    from qtpy.QtWidgets import QApplication

    def done() -> None:
        """Note the time once the window has nothing left to draw."""
        QApplication.processEvents()
        marks.append(time.time())

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1366, 768)
    done()

    from napari_cellseg.gui.segment.segment_widget import SegmentWidget

    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment and count cells")
    done()
    widget.first_steps.sample.click()
    while not viewer.layers:
        QApplication.processEvents()
    done()
    widget.run_section.segment.click()
    while widget.session.running is not None:
        QApplication.processEvents()
        time.sleep(0.002)
    done()
    n_cells = widget.session.cells.count()
    if widget.cells_section.count.text() != f"{n_cells} cells":
        raise RuntimeError(f"the panel shows {widget.cells_section.count.text()!r}, not {n_cells} cells")
    viewer.close()
    return {**dict(zip(PHASES, (b - a for a, b in pairwise(marks)), strict=True)), "n_cells": n_cells}


if __name__ == "__main__":
    json.dump(measure(), sys.stdout)
    sys.stdout.flush()
