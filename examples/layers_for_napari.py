"""A layer of napari in, layers out: for widgets, scripts and notebooks of your own."""

from pathlib import Path

from napari.layers import Image, Layer

import napari_cellseg
from napari_cellseg import read_image, segment

sample = read_image(Path(napari_cellseg.__file__).parent / "samples" / "brightfield.png")
layer = Image(sample.plane(), name="brightfield", scale=(0.3, 0.3))

cells = segment(layer)
for data in cells.to_layers():  # in a viewer: viewer.add_layer(Layer.create(*data))
    made = Layer.create(*data)
    print(f"{type(made).__name__} '{made.name}', scale {made.scale.tolist()}: {cells.count} cells")
