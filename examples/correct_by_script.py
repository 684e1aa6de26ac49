"""Correct cells in a script. Corrections outlast the sliders, can be undone, and open again in the window."""

from pathlib import Path

import napari_cellseg
from napari_cellseg import open_cells, segment

image = Path(napari_cellseg.__file__).parent / "samples" / "fluorescence.png"
cells = segment(image)
first, second, *_ = cells.table["index"].tolist()

print(f"{cells.count} cells")
print(f"{cells.delete(first).count} after one was deleted")
cells.accept(second)  # kept as it is, wherever the sliders go
print(f"{cells.at(threshold=0.95).count} at a threshold of .95, the accepted one among them")
cells.undo()

labels = cells.save("results")[0]
print(f"{open_cells(labels).count} in the file, with the corrections: {open_cells(labels).metadata['corrections']}")
