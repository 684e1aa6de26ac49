"""Correct some cells, learn from them, and use the new version only where it is not worse."""

import sys
from pathlib import Path

import numpy as np

import napari_cellseg
from napari_cellseg import finetune, segment

MINUTES = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
cells = segment(Path(napari_cellseg.__file__).parent / "samples" / "fluorescence_dense.png")

small = cells.table["index"][cells.table["area_px"] < 60].tolist()
if small:
    cells.delete(*small)
reviewed = np.zeros(cells.labels.shape, bool)
reviewed[:256, :256] = True
made = finetune([cells.mark_reviewed(reviewed)], "my version", minutes=MINUTES)

print(f"{made.comparison.verdict}: {made.version.name}")
if made.comparison.verdict != "worse":
    print(segment(cells.image, model=made.version).count, "cells with the new version")
