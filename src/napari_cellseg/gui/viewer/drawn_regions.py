"""Regions of images: one layer of shapes for each, drawn or imported, whose shapes are what cells are counted in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Shapes
from superqt.utils import qthrottled

from ...imaging.errors import ImageError
from ...imaging.read.cells.outlines import Rings
from ...instances.area_files import ENDINGS, of_name, read_outlines, write_outlines
from ...instances.areas import areas_of
from ...session import layer_id
from .bench import Bench
from .field import REGIONS_KEY, in_image
from .layer_image import layer_path, placement
from .layer_watch import add_unselected
from .regions import Regions

COLOR, FACE = "#ffe14d", "#ffe14d18"
NAME = "region"
INTERVAL_MS = 60
N_CORNERS = 90
POLYGON, RECTANGLE, FREEHAND = "add_polygon", "add_rectangle", "add_polygon_lasso"
NO_IMAGE = "Open an image first: regions lie on one."
# Folder for regions that were drawn, in that of results.
CARRIED = "regions"


class DrawnRegions:
    """Draws, imports and saves regions of the chosen image, and lets the session count in them."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        # Of each image layer its shapes.
        self._layers: dict[Any, Shapes] = {}
        # Images whose layer of shapes the user took away.
        self._taken_away: set[Any] = set()
        self._naming = False
        self._later = qthrottled(self._count, timeout=INTERVAL_MS, leading=False)
        bench.viewer.layers.events.removed.connect(self._on_removed)
        bench.session.cells_changed.connect(self._on_cells)

    def close(self) -> None:
        """Follow no shape any more."""
        self._later.cancel()

    def shapes(self) -> Shapes | None:
        """Return the layer of shapes of the chosen image; None where there is none."""
        return self._layers.get(layer_id(self._bench.session.chosen))

    def draw(self, mode: str) -> None:
        """Let the next drag or clicks draw a region.

        Raises
        ------
        CellsegError
            There is no image.
        """
        shapes = self._shapes()
        shapes.visible = True
        self._bench.viewer.layers.selection.active = shapes
        shapes.mode = mode

    def open_file(self, path: Path) -> None:
        """Add the regions in a file.

        Raises
        ------
        CellsegError
            They cannot be read, or there is no image.
        """
        image = self._image()
        cells = self._bench.session.cells
        if cells is None:
            raise ImageError("Segment the image first: the regions in the file are those of its pixels.")
        shape = cells.segmented.instances.shape
        named = read_outlines(path, shape)
        shapes = self._shapes()
        names = [*self.names(), *(name.strip() or f"{path.stem} {i}" for i, (name, _) in enumerate(named, start=1))]
        corners = [_bridged(rings) - 0.5 for _, rings in named]
        places = [np.array([self._on_shapes(image, shapes, corner) for corner in ring]) for ring in corners]
        self._naming = True
        shapes.add_polygons(places)
        self._naming = False
        self._name(shapes, names)
        self._count()

    def save(self, path: Path) -> None:
        """Write the regions as GeoJSON.

        Raises
        ------
        CellsegError
            There are none, or the system refused to write.
        """
        shapes = self.shapes()
        if shapes is None or not len(shapes.data):
            raise ImageError("There are no regions to save. Draw some first.")
        write_outlines(path, self._outlines(shapes))

    def keep_for(self, files: Iterable[tuple[str, str]], out: Path) -> str:
        """Save the regions of images among their results, so that a batch counts in them.

        Those of an image that is not open stay as an earlier call saved them.

        Parameters
        ----------
        files : iterable of (str, str)
            Path and name of every image of the batch.
        out : Path
            Folder of its results.

        Returns
        -------
        str
            The folder that they are in; empty where there are none.

        Raises
        ------
        OutputError
            The system refused to write.
        """
        self._count()
        folder, names = out / CARRIED, {os.path.abspath(path): name for path, name in files}
        drawn: dict[str, list[tuple[str, Rings]]] = {}
        for key in (*self._layers, *self._taken_away):
            # What is drawn on a part of an image lies on the image.
            image, shapes = self._bench.part(Regions).image_of(key), self._layers.get(key)
            name = None if image is None else names.get(os.path.abspath(layer_path(image) or ""))
            if name is not None:
                drawn.setdefault(name, []).extend([] if shapes is None else self._outlines(shapes, image))
        for name, outlines in drawn.items():
            path = of_name(folder, name)
            if outlines:
                write_outlines(path, outlines)
            else:
                path.unlink(missing_ok=True)
        return str(folder) if next(folder.rglob(f"*{ENDINGS[0]}"), None) else ""

    def names(self) -> list[str]:
        """Return the names of all shapes of the chosen image, in their order."""
        shapes = self.shapes()
        return [] if shapes is None or not len(shapes.data) else [str(name) for name in shapes.features[NAME]]

    def rename(self, old: str, new: str) -> None:
        """Give a region another name; that of another one joins them."""
        shapes = self.shapes()
        if shapes is not None and new.strip():
            self._name(shapes, [new.strip() if name == old else name for name in self.names()])
            self._count()

    def _image(self) -> Any:
        image = self._bench.layer_of(self._bench.session.chosen)
        if image is None:
            raise ImageError(NO_IMAGE)
        return image

    def _shapes(self) -> Shapes:
        """Return the layer of shapes of the chosen image, a new one where there is none."""
        image, shapes = self._image(), self.shapes()
        if shapes is not None:
            return shapes
        shapes = Shapes(
            None,
            ndim=2,
            name=f"{image.name} regions",
            edge_color=COLOR,
            face_color=FACE,
            edge_width=1,
            features={NAME: np.array([], dtype=object)},
            feature_defaults={NAME: ""},
            text={"string": f"{{{NAME}}}", "size": 9, "color": COLOR, "anchor": "upper_left"},
            metadata={REGIONS_KEY: True},
            **placement(image),
        )
        self._layers[layer_id(self._bench.session.chosen)] = shapes
        self._taken_away.discard(layer_id(self._bench.session.chosen))
        add_unselected(self._bench.viewer, shapes)
        shapes.events.data.connect(self._on_shapes_changed)
        shapes.events.features.connect(self._on_shapes_changed)
        return shapes

    def _on_cells(self, key: Any) -> None:
        """Count in regions that were drawn before there were cells."""
        if layer_id(key) in self._layers:
            self._later()

    def _on_shapes_changed(self, _: Any = None) -> None:
        if not self._naming:
            self._later()

    def _count(self) -> None:
        """Let the session count in the shapes as they are now."""
        session = self._bench.session
        for key, shapes in list(self._layers.items()):
            if self._bench.layer_of(key) is None:
                continue
            named = [str(name).strip() for name in shapes.features[NAME]] if len(shapes.data) else []
            if "" in named:
                free = (name for i in range(1, 2 * len(named) + 1) if (name := f"Region {i}") not in named)
                self._name(shapes, [name or next(free) for name in named])
            cells = next((session.cells_of(one) for one in session.keys() if layer_id(one) == key), None)  # noqa: SIM118
            if cells is not None:
                outlines = self._outlines(shapes)
                shape = cells.segmented.instances.shape
                session.set_areas(key, areas_of(outlines, shape) if outlines else None)

    def _outlines(self, shapes: Shapes, image: Any = None) -> list[tuple[str, Rings]]:
        """Return the shapes as outlines in pixels of their image, or of another, counted from corners."""
        key = next(key for key, known in self._layers.items() if known is shapes)
        image, viewer = image or self._bench.layer_of(key), self._bench.viewer
        found: list[tuple[str, Rings]] = []
        for name, kind, corners in zip(shapes.features[NAME], shapes.shape_type, shapes.data, strict=True):
            ring = _ring(str(kind), np.asarray(corners, dtype=float)[:, -2:])
            places = (in_image(viewer, image, tuple(shapes.data_to_world(corner))) for corner in ring)
            found.append((str(name), [np.array(list(places)) + 0.5]))
        return found

    def _on_shapes(self, image: Any, shapes: Shapes, place: np.ndarray) -> np.ndarray:
        """Return where a pixel of the image lies in the layer of shapes."""
        world = image.data_to_world((*np.zeros(image.ndim - 2), *place))
        return np.asarray(shapes.world_to_data(tuple(world)[-2:]))

    def _name(self, shapes: Shapes, names: Sequence[str]) -> None:
        self._naming = True
        try:
            shapes.features = {NAME: np.array(names, dtype=object)}
            # Else the next one begins with the name of the last.
            shapes.feature_defaults = {NAME: ""}
            shapes.refresh_text()
        finally:
            self._naming = False

    def _on_removed(self, event: Any) -> None:
        for key, shapes in list(self._layers.items()):
            if shapes is event.value:
                del self._layers[key]
                self._taken_away.add(key)
                self._bench.session.set_areas(key, None)


def _ring(kind: str, corners: np.ndarray) -> np.ndarray:
    """Return the outline of a shape; that of a line, which encloses nothing, is a point."""
    if kind == "ellipse":
        middle = corners.mean(axis=0)
        angles = np.linspace(0, 2 * np.pi, N_CORNERS, endpoint=False)[:, None]
        half, other = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
        return np.asarray(middle + np.cos(angles) * half + np.sin(angles) * other)
    return corners[:1] if kind in ("line", "path") else corners


def _bridged(rings: Rings) -> np.ndarray:
    """Return an outline with its holes as one ring: two equal sides lead to each hole and back."""
    ring = [rings[0]]
    for hole in rings[1:]:
        ring += [rings[0][:1], hole, hole[:1]]
    return np.concatenate([*ring, rings[0][:1]]) if len(rings) > 1 else np.asarray(rings[0])
