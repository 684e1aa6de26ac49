"""Small diagrams for pages, drawn as SVG inside the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from .html import Html, escape

WIDTH, HEIGHT = 640, 260
COLORS = ("#2a78d6", "#d2691e", "#2e8b57", "#9b59b6", "#b8860b", "#c2185b")
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 16, 44


def histogram_svg(
    values: Sequence[float] | np.ndarray, x_label: str, y_label: str = "images", mark: tuple[float, str] | None = None
) -> Html:
    """Draw how often values occur.

    Parameters
    ----------
    values : sequence of float
        NaN and infinities are skipped.
    x_label, y_label : str
    mark : (float, str), optional
        A value to draw a line at, and its name.
    """
    known = np.asarray(values, dtype=np.float64).ravel()
    known = known[np.isfinite(known)]
    if not known.size:
        return Html("")
    heights, edges = np.histogram(known, _bins(known))
    # The space above the highest bar holds the name of the mark.
    frame = Frame((edges[0], edges[-1]), (0.0, float(heights.max()) * (1 if mark is None else 1.15)))
    bars = [
        f'<rect x="{frame.x(a):.1f}" y="{frame.y(n):.1f}" width="{max(frame.x(b) - frame.x(a) - 1, 1):.1f}" '
        f'height="{frame.y(0) - frame.y(n):.1f}" fill="{COLORS[0]}"><title>{a:.4g} to {b:.4g}: {n}</title></rect>'
        for a, b, n in zip(edges, edges[1:], heights, strict=False)
        if n
    ]
    if mark is not None and edges[0] <= mark[0] <= edges[-1]:
        x = frame.x(mark[0])
        bars.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{frame.y(0):.1f}" {_DASHED}/>')
        end = ' text-anchor="end"' if x > WIDTH / 2 else ""
        bars.append(f'<text x="{x + (-5 if end else 5):.1f}" y="{_TOP + 10}"{end}>{escape(mark[1])}</text>')
    return frame.draw(bars, x_label, y_label, f"{y_label} by {x_label}")


def lines_svg(
    lines: Mapping[str, tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray]],
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    diagonal: bool = False,
) -> Html:
    """Draw curves.

    Parameters
    ----------
    lines : mapping of str to (x, y)
        Name of each curve and its points; points that are not finite are skipped.
    x_label, y_label : str
    x_range, y_range : tuple of float, optional
        None fits the curves.
    diagonal : bool
        Also draw y = x, dashed, where x and y have one range.
    """
    curves = {}
    for name, points in lines.items():
        x, y = (np.asarray(values, dtype=np.float64) for values in points)
        finite = np.isfinite(x) & np.isfinite(y)
        curves[name] = x[finite], y[finite]
    all_x, all_y = (np.concatenate([c[axis] for c in curves.values()] or [np.zeros(0)]) for axis in (0, 1))
    if not all_x.size:
        return Html("")
    frame = Frame(x_range or (all_x.min(), all_x.max()), y_range or (min(all_y.min(), 0.0), all_y.max()))
    drawn = []
    if diagonal:
        (x0, x1), (y0, y1) = frame.x_range, frame.y_range
        low, high = max(x0, y0), min(x1, y1)
        x_low, x_high, y_low, y_high = frame.x(low), frame.x(high), frame.y(low), frame.y(high)
        drawn.append(f'<line x1="{x_low:.1f}" y1="{y_low:.1f}" x2="{x_high:.1f}" y2="{y_high:.1f}" {_DASHED}/>')
    for i, (name, (x, y)) in enumerate(curves.items()):
        path = " ".join(f"{frame.x(a):.1f},{frame.y(b):.1f}" for a, b in zip(x, y, strict=True))
        color = COLORS[i % len(COLORS)]
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        if name:
            at = _TOP + 4 + 16 * i
            drawn.append(f'<rect x="{WIDTH - 150}" y="{at}" width="12" height="3" fill="{color}"/>')
            drawn.append(f'<text x="{WIDTH - 132}" y="{at + 6}">{escape(name)}</text>')
    return frame.draw(drawn, x_label, y_label, f"{y_label} by {x_label}")


_DASHED = 'stroke="currentColor" stroke-dasharray="4 3"'


class Frame:
    """Axes of a diagram: from values to places in the picture, and back.

    Parameters
    ----------
    x_range, y_range : tuple of float
        Least and greatest value.
    size : tuple of int
        Width and height of the picture in pixels.
    """

    def __init__(
        self, x_range: tuple[float, float], y_range: tuple[float, float], size: tuple[int, int] = (WIDTH, HEIGHT)
    ) -> None:
        self.x_range, self.y_range = (_not_empty(float(a), float(b)) for a, b in (x_range, y_range))
        self.width, self.height = size

    def x(self, value: float) -> float:
        low, high = self.x_range
        return _LEFT + (value - low) / (high - low) * (self.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return self.height - _BOTTOM - (value - low) / (high - low) * (self.height - _TOP - _BOTTOM)

    def values_at(self, x: float, y: float) -> tuple[float, float]:
        """Return the values at a place in the picture, or at the nearest place inside the axes."""
        across = (x - _LEFT) / max(self.width - _LEFT - _RIGHT, 1)
        up = (self.height - _BOTTOM - y) / max(self.height - _TOP - _BOTTOM, 1)
        parts = zip((across, up), (self.x_range, self.y_range), strict=True)
        found_x, found_y = (low + min(max(part, 0.0), 1.0) * (high - low) for part, (low, high) in parts)
        return found_x, found_y

    def draw(
        self, content: Sequence[str], x_label: str, y_label: str, about: str, names: Sequence[str] | None = None
    ) -> Html:
        """Return the picture; with `names`, these stand below 1, 2, … in the place of numbers."""
        width, height = self.width, self.height
        bottom, middle = height - _BOTTOM, (height - _BOTTOM + _TOP) / 2
        parts = [f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{escape(about)}">']
        for tick in ticks(*self.y_range):
            y = self.y(tick)
            parts.append(f'<line x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#8885"/>')
            parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:,.6g}</text>')
        parts += content
        parts.append(f'<line x1="{_LEFT}" x2="{width - _RIGHT}" y1="{bottom}" y2="{bottom}" stroke="currentColor"/>')
        below = [(tick, f"{tick:,.6g}") for tick in ticks(*self.x_range)] if names is None else enumerate(names, 1)
        for tick, text in below:
            parts.append(f'<text x="{self.x(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{escape(text)}</text>')
        parts.append(f'<text x="{width / 2:.0f}" y="{height - 8}" text-anchor="middle">{escape(x_label)}</text>')
        parts.append(f'<text transform="translate(14 {middle:.0f}) rotate(-90)" text-anchor="middle">')
        parts.append(f"{escape(y_label)}</text></svg>")
        return Html("".join(parts))


def ticks(low: float, high: float, n: int = 6) -> list[float]:
    """Return about `n` round numbers between two values."""
    raw = (high - low) / n
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _bins(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    whole = bool(np.all(values == np.rint(values)))
    n = int(np.clip(2 * math.sqrt(values.size), 5, 40))
    if low == high or (not whole and high - low <= 1e-9 * max(abs(low), abs(high))):
        half = 0.5 if whole else abs(low) / 10
        return np.array([low - half, low + half])
    if not whole:
        return np.linspace(low, high, n + 1)
    # Bars of whole numbers are of one whole width, or some would be taller for holding one number more.
    width = max(1, math.ceil((high - low + 1) / n))
    return np.arange(low, high + width + 1, width) - 0.5


def _not_empty(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low - 0.5, low + 0.5)
