"""Compare labels of another tool (Cellpose, StarDist, a person) with these, cell by cell."""

from pathlib import Path

import numpy as np

import napari_cellseg
from napari_cellseg import matching, open_cells, segment

image = Path(napari_cellseg.__file__).parent / "samples" / "fluorescence.png"
ours = segment(image)
theirs = np.roll(ours.labels, 2, axis=0)  # yours come from a file: tifffile.imread("image_cp_masks.tif")

found = matching(theirs, ours.labels, thresholds=(0.5, 0.75, 0.9))
for i, iou in enumerate(found.thresholds):
    print(f"IoU {iou}: {found.tp[i]} the same, {found.fp[i]} only here, {found.fn[i]} only there, F1 {found.f1[i]:.2f}")

# From here on they are cells like any others: measured, corrected, reviewed, learned from.
cells = open_cells(theirs, image)
print(f"{cells.count} cells; median area {np.median(cells.table['area_px']):.0f} px")
