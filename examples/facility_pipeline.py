"""Count a folder with one recipe. A bad file becomes a row with its error; a second run does only what is new."""

from pathlib import Path

import napari_cellseg
from napari_cellseg import Recipe, segment_folder

images = Path(napari_cellseg.__file__).parent / "samples"
recipe = Recipe(threshold=0.5)
options = {"outputs": ["labels", "cells"], "pattern": "f*.png", "subfolders": False}

done = segment_folder(images, "results", recipe, **options)
for row in done.rows:
    print(f"{row.image}: {row.error or f'{row.count} cells'}")

again = segment_folder(images, "results", recipe, resume=True, **options)
print(f"second run: {again.summary.n_skipped} images were done before; table in {again.out / 'counts.csv'}")
