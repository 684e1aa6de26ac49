"""Follow cells over time: every cell has one id in all frames. Here the cells drift by two pixels a frame."""

from pathlib import Path

import numpy as np
import tifffile

import napari_cellseg
from napari_cellseg import read_image, segment_folder, segment_stack

sample = read_image(Path(napari_cellseg.__file__).parent / "samples" / "fluorescence.png").plane()[:200, :200]
film = np.stack([np.roll(sample, 2 * i, axis=1) for i in range(4)])

labels, frames = segment_stack(film, axes="TYX", link="t")
print(f"{labels.max()} tracks; cells in each frame: {[cells.count for cells in frames]}")

# On disk, with a table of tracks, also where the film is larger than memory:
tifffile.imwrite("film.tif", film, imagej=True, metadata={"axes": "TYX"})
done = segment_folder("film.tif", "results", link="t")
print("wrote", *sorted(set(done.rows[0].files.values())))
