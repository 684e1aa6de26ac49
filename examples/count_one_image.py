"""Count the cells of one image, and save labels, table, recipe and ROIs for ImageJ."""

from pathlib import Path

import napari_cellseg
from napari_cellseg import segment

image = Path(napari_cellseg.__file__).parent / "samples" / "fluorescence.png"
cells = segment(image, threshold=0.5)

print(f"{cells.count} cells; median area {cells.to_dataframe()['area_px'].median():.0f} px")
for note in cells.notes:
    print("note:", note)
for path in cells.save("results", outputs=["rois", "overlay"]):
    print("wrote", path)
