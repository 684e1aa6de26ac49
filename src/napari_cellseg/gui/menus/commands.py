"""Menu entries under Layers › Segment, Layers › Annotate and Layers › Measure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from napari import Viewer
from napari.layers import Image, Labels, Layer
from napari.utils.notifications import show_info, show_warning

from ...imaging.errors import CellsegError
from ...instances.measure import measure
from ..shared.table import open_table
from ..viewer.benches import bench_of
from ..viewer.dock import open_dock
from ..viewer.layer_image import pixel_size
from ..viewer.taking import Taking


def segment_active_layer(viewer: Viewer) -> None:
    """Open the Segment widget and segment the selected image with its present settings."""
    bench = bench_of(viewer)
    open_dock(viewer, "segment")
    bench.choose_active()
    bench.segment(bench.viewer.layers.selection.active, bench.session.recipe_asked())
    if bench.session.state.kind == "failed":
        show_warning(bench.session.state.sentence)


def segment_folder(viewer: Viewer) -> None:
    """Open the Batch widget for the folder that the selected image came from; it runs with the present settings."""
    open_dock(viewer, "batch").offer(bench_of(viewer).viewer.layers.selection.active)


def take_active_labels(viewer: Viewer) -> None:
    """Take the selected labels layer as the cells of its image, in the Segment widget."""
    bench = bench_of(viewer)
    open_dock(viewer, "segment")
    bench.part(Taking).take_layer(bench.viewer.layers.selection.active)


def correct_active_layer(viewer: Viewer) -> None:
    """Open the Correct widget for the selected image, or for the image that the selected cells were found in."""
    bench = bench_of(viewer)
    open_dock(viewer, "correct")
    bench.choose_active()


def check_counts(viewer: Viewer) -> None:
    """Open the widget of counts by people for the selected image, or for that in which the selected cells are."""
    bench = bench_of(viewer)
    open_dock(viewer, "agreement")
    bench.choose_active()


def measure_active_layer(viewer: Viewer) -> None:
    """Measure every cell of the selected labels layer, and show the table.

    Brightness is measured in the image that the labels were made from, or else in the one image of their size.
    """
    bench = bench_of(viewer)
    layer = bench.viewer.layers.selection.active
    try:
        n_cells = measure_layer(layer, bench.viewer.layers)
        open_table(bench.viewer, layer)
    except (CellsegError, ValueError) as error:
        show_warning(str(error))
    else:
        show_info(f"{n_cells:,} cells measured in '{layer.name}'.")


def measure_layer(layer: Layer | None, layers: Iterable[Layer] = ()) -> int:
    """Put area, place and brightness of every cell into a labels layer's features; returns how many there are.

    Raises
    ------
    CellsegError
        Not a labels layer, or not one plane.
    """
    if not isinstance(layer, Labels):
        name = "no layer is selected" if layer is None else f"'{layer.name}' is not a labels layer"
        raise CellsegError(f"Cells are measured in a labels layer, but {name}. Select one.")
    if layer.ndim != 2 or layer.multiscale:
        raise CellsegError(f"'{layer.name}' has {layer.ndim} dimensions, but a plane (Y, X) is measured. Take one.")
    images = [other for other in layers if isinstance(other, Image)]
    fitting = [image for image in images if _plane_shape(image) == layer.data.shape]
    pixels = np.asarray(fitting[0].data)[..., :3] if len(fitting) == 1 and fitting[0].rgb else None
    if len(fitting) == 1 and not fitting[0].rgb:
        pixels = np.asarray(fitting[0].data)
    table = measure(np.asarray(layer.data), None, pixels, pixel_size(layer))
    layer.features = {"index": table["index"], "number": np.arange(1, len(table["index"]) + 1), **table}
    return len(table["index"])


def _plane_shape(image: Image) -> tuple[int, ...] | None:
    return None if image.multiscale or image.ndim != 2 else tuple(image.data.shape[:2])
