"""Curves of a training under way: the loss on the training images, and on those that are held out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QLabel, QSizePolicy

from ...training.curves import Curve, draw_panel
from ..shared.colors import Colors, theme_colors
from ..shared.pictures import pixmap
from .request import CurvePoints

HEIGHT, OVERLAP_HEIGHT = 96, 62
N_POINTS = 150
SMOOTHING = 0.04
LOSS_TIP = (
    "How far the network is from what you corrected; lower is better. Grey: on the images that it learns from.\n"
    "Coloured: on images or parts that were held out. The ring marks the best, which is what is kept."
)
OVERLAP_TIP = "How well the pixels of the cells are found on what was held out; higher is better, 1 is perfect."
Panel = tuple[str, list[Curve]]


class TrainCurves(QLabel):
    """A panel of curves over the run, from its start at the left to the end of the time budget at the right.

    Parameters
    ----------
    name : str
        Object name.
    height : int
    tooltip : str
    curves_of : callable
        Takes the points that are known so far and the theme's colours, and returns a title and the curves.
    top : float, optional
        The greatest value, where that does not depend on the curves.
    """

    def __init__(
        self,
        name: str,
        height: int,
        tooltip: str,
        curves_of: Callable[[CurvePoints, Colors], Panel],
        top: float | None = None,
    ) -> None:
        super().__init__(objectName=name, toolTip=tooltip)
        self._curves_of, self._top = curves_of, top
        self._colors, self._points = theme_colors(), CurvePoints()
        self.setFixedHeight(height)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    @property
    def curves(self) -> dict[str, Curve]:
        """The curves that are shown, by the first word of their names."""
        return {curve.name.split()[0]: curve for curve in self._curves_of(self._points, self._colors)[1]}

    def show_history(self, points: CurvePoints) -> None:
        """Show the points that are known so far."""
        self._points = points
        self._draw()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self._draw()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Draw the curves as wide as the panel is."""
        super().resizeEvent(event)
        self._draw()

    def _draw(self) -> None:
        title, curves = self._curves_of(self._points, self._colors)
        colors = self._colors
        names = (colors.background.name(), colors.faint.name(), colors.grid.name())
        size = (max(self.width(), 100), self.height())
        picture = draw_panel(size, title, curves, self._top, (0.0, 1.0), colours=names)
        self.setPixmap(pixmap(np.asarray(picture)))


def losses(points: CurvePoints, colors: Colors) -> Panel:
    """Return the losses so far; the best one held out has a ring, and stands in the legend with its F1 of cells."""
    if not points.losses and not points.check_losses:
        return "loss (lower is better), starts with Start", []
    learned = _thinned(points.places, points.losses)
    name, best = "held out", points.best
    if best is not None:
        f1 = points.check_f1[best]
        name += f" {points.check_losses[best]:.3g}" + ("" if np.isnan(f1) else f", cells found {f1:.2f}")
    places, values = np.array(points.check_places, float), np.array(points.check_losses, float)
    return "loss", [
        Curve("learned from", colors.grid.name(), *learned.T),
        Curve(name, colors.accent.name(), places, values, best),
    ]


def overlaps(points: CurvePoints, colors: Colors) -> Panel:
    """Return IoU and Dice of the foreground on held-out images so far."""
    places, curves = np.array(points.check_places, float), []
    both = (("IoU", points.check_iou, colors.accent), ("Dice", points.check_dice, colors.warning))
    for name, found, color in both:
        values = np.array(found, float)
        if (there := np.isfinite(values)).any():
            curves.append(Curve(f"{name} {values[there][-1]:.2f}", color.name(), places, values))
    return "held out" if curves else "IoU, Dice (higher is better)", curves


def _thinned(places: list[float], values: list[float]) -> np.ndarray:
    """Return (n, 2) means of neighbouring steps: single steps jump too much to be read."""
    if not values:
        return np.zeros((0, 2))
    both = np.array([places, values], float)
    every = max(round(SMOOTHING * both.shape[1]), -(-both.shape[1] // N_POINTS), 1)
    starts = np.arange(0, both.shape[1], every)
    sums = np.add.reduceat(both, starts, axis=1)
    means: np.ndarray = sums / np.diff([*starts, both.shape[1]])
    return means.T
