"""Move the two sliders in a script: the network runs once, and every count after that is free."""

from pathlib import Path

import napari_cellseg
from napari_cellseg import segment

image = Path(napari_cellseg.__file__).parent / "samples" / "histology.png"
cells = segment(image)

thresholds, counts = cells.count_curve()
for threshold, count in list(zip(thresholds, counts, strict=True))[::25]:
    print(f"threshold {threshold:.2f}: {count} cells")
strict = cells.at(threshold=0.7, min_size=60)
print(f"{cells.count} cells as the model would have it, {strict.count} at {strict.threshold} and {strict.min_size} px")
strict.recipe.write("recipe.json")  # the window, the command line and segment_folder take it
