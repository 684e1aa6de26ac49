"""Colour cells by what is known of them: each its own, or by area, or by doubt."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap, ensure_colormap, label_colormap

from .bench import Bench
from .doubting import Doubting

ID, AREA, DOUBT = "id", "area", "doubt"
N_COLORS = 32
MAP = "plasma"
# What comes before is too dark to be seen on a dark image.
DARKEST = 0.3
WORDS = {AREA: ("small", "large"), DOUBT: ("sure", "doubtful")}
N_IN_KEY = 9
UNKNOWN = (0.6, 0.6, 0.6, 1.0)


class Coloring:
    """By what the cells of a viewer's images are coloured."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.by = ID
        self._doubting = bench.part(Doubting)
        self._doubting.changed.connect(self._on_doubt)

    def color_by(self, what: str) -> None:
        """Colour the cells of all images by "id", "area" or "doubt"."""
        self.by = what
        self._doubting.want("colour", what == DOUBT)
        for key in self._bench.layers:
            self.color(key)

    def color(self, key: Any) -> None:
        """Colour the cells of an image by a column of its table."""
        labels = self._bench.layers[key].labels
        features = labels.features
        ids = np.asarray(features["index"]) if "index" in features else np.zeros(0, dtype=int)
        values = None
        if self.by == AREA and "area_px" in features:
            values = by_area(np.asarray(features["area_px"]))
        elif self.by == DOUBT:
            values = np.asarray(features["doubt"], dtype=float) if "doubt" in features else np.full(len(ids), np.nan)
        color_by(labels, ids, values)

    def _on_doubt(self, key: Any) -> None:
        layers = self._bench.layers.get(key)
        if layers is not None and "index" in layers.labels.features:
            doubt = self._doubting.column(key, np.asarray(layers.labels.features["index"]))
            layers.labels.features = {**layers.labels.features, "doubt": doubt}
            self.color(key)


def color_by(labels: Labels, ids: np.ndarray, values: np.ndarray | None) -> None:
    """Colour cells by a value each, or (None) every cell in a colour of its own.

    Parameters
    ----------
    labels : napari.layers.Labels
    ids : ndarray
        The cells that have a value.
    values : ndarray of float or None
        0 (dark) to 1 (bright); NaN is grey.
    """
    if values is None:
        if isinstance(labels.colormap, DirectLabelColormap):
            labels.colormap = label_colormap(49, 0.5, background_value=0)
        return
    steps = ensure_colormap(MAP).map(np.linspace(DARKEST, 1, N_COLORS))
    known = np.isfinite(values)
    places = np.clip(np.round(np.where(known, values, 0) * (N_COLORS - 1)), 0, N_COLORS - 1).astype(int)
    colors: dict[int | None, object] = {None: np.array(UNKNOWN), 0: np.zeros(4)}
    for id_, place, is_known in zip(ids.tolist(), places.tolist(), known.tolist(), strict=True):
        if is_known:
            colors[id_] = steps[place]
    labels.colormap = DirectLabelColormap(color_dict=colors)


def key_to_colors(by: str) -> str:
    """Return what the colours mean, as rich text: a word, squares of the colours, a word; empty for colours by id."""
    if by not in WORDS:
        return ""
    low, high = WORDS[by]
    steps = np.round(255 * ensure_colormap(MAP).map(np.linspace(DARKEST, 1, N_IN_KEY))[:, :3]).astype(int)
    squares = "".join(f'<span style="color: #{r:02x}{g:02x}{b:02x}">■</span>' for r, g, b in steps.tolist())
    return f"{low} {squares} {high}" + ("; grey: unknown" if by == DOUBT else "")


def by_area(areas: np.ndarray) -> np.ndarray:
    """Return each area's place between the smallest and largest (2nd to 98th percentile), by diameter: 0 to 1."""
    sizes = np.sqrt(np.asarray(areas, dtype=np.float64))
    if not sizes.size:
        return sizes
    low, high = np.percentile(sizes, (2, 98))
    return np.clip((sizes - low) / max(high - low, 1e-9), 0, 1)
