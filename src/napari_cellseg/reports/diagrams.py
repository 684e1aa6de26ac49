"""Diagrams of evaluation as SVG: counts against counts, a heat map with the chosen point, agreement of counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .html import Html, data_uri, escape
from .svg import COLORS, HEIGHT, WIDTH, Frame

if TYPE_CHECKING:
    from ..evaluation.calibration_map import CalibrationMap

# Dark to light; every step differs in lightness too, so that it prints in grey.
_RAMP = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], np.float64)


Values = Sequence[float] | np.ndarray
Points = Mapping[str, tuple[Values, Values]]
Curve = tuple[Values, Values, str]


def points_svg(
    groups: Points,
    x_label: str,
    y_label: str,
    names: Mapping[str, Sequence[str]] | None = None,
    curves: Sequence[Curve] = (),
    diagonal: bool = False,
    frame: Frame | None = None,
) -> Html:
    """Draw points.

    Parameters
    ----------
    groups : mapping of str to (x, y)
        Each in its colour.
    x_label, y_label : str
    names : mapping of str to sequence of str, optional
        What each point is called when the pointer rests on it.
    curves : sequence of (x, y, str)
        Dashed lines, and what they are.
    diagonal : bool
        Also draw y = x.
    frame : Frame, optional
        The axes; by default they fit, see `points_frame`.
    """
    points = {name: (np.asarray(x, float), np.asarray(y, float)) for name, (x, y) in groups.items()}
    if not any(x.size for x, _ in points.values()):
        return Html("")
    frame, drawn = frame or points_frame(points, curves), []
    if diagonal:
        high = 1.05 * max(float(np.max(values, initial=1.0)) for pair in points.values() for values in pair)
        frame, low = Frame((0.0, high), (0.0, high)), 0.0
        drawn.append(dashed_line(frame.x(low), frame.y(low), frame.x(high), frame.y(high)))
    for xs, ys, label in curves:
        way = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in zip(xs, ys, strict=True))
        drawn.append(f'<polyline points="{way}" fill="none" stroke="currentColor" stroke-dasharray="4 3"/>')
        x, y = frame.x(xs[-1]) - 4, frame.y(ys[-1]) - 4
        drawn.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="end">{escape(label)}</text>')
    for i, (name, (xs, ys)) in enumerate(points.items()):
        color = COLORS[i % len(COLORS)]
        titles = (names or {}).get(name, [""] * len(xs))
        for x, y, title in zip(xs, ys, titles, strict=True):
            about = f"<title>{escape(title)}: {x:,.6g}, {y:,.6g}</title>" if title else ""
            drawn.append(
                f'<circle cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="4" fill="{color}" fill-opacity="0.7">{about}'
                "</circle>"
            )
        if name:
            at = 16 + 16 * i
            left = frame.x(frame.x_range[0]) + 8
            drawn.append(f'<circle cx="{left:.1f}" cy="{at + 4}" r="4" fill="{color}"/>')
            drawn.append(f'<text x="{left + 10:.1f}" y="{at + 8}">{escape(name)}</text>')
    return frame.draw(drawn, x_label, y_label, f"{y_label} by {x_label}")


def points_frame(groups: Points, curves: Sequence[Curve] = (), size: tuple[int, int] = (WIDTH, HEIGHT)) -> Frame:
    """Return axes that hold some points, of which there is at least one, and the curves between them."""
    all_x = np.concatenate([np.asarray(x, float) for x, _ in groups.values()])
    all_y = np.concatenate(
        [np.asarray(y, float) for y in (*(y for _, y in groups.values()), *(y for _, y, _ in curves))]
    )
    return Frame(_around(all_x), _around(all_y), size)


def heat_map(found: CalibrationMap) -> np.ndarray:
    """Draw a calibration map: uint8 (n_sizes, n_thresholds, 3), good is light, size 0 at the bottom."""
    cost = found.values if found.goal == "count" else -found.values
    least = float(cost.min())
    # Only the best region matters: everything far from it has one colour.
    most = max(float(np.percentile(cost, 40)), least + 1e-9)
    place = np.clip((most - cost) / (most - least), 0, 1) * (len(_RAMP) - 1)
    colors = np.stack([np.interp(place, np.arange(len(_RAMP)), _RAMP[:, i]) for i in range(3)], axis=-1)
    return np.ascontiguousarray(colors.round().astype(np.uint8).transpose(1, 0, 2)[::-1])


def heat_map_frame(found: CalibrationMap, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Frame:
    """Return the axes of a calibration map: threshold to the right, smallest size upwards."""
    return Frame((found.thresholds[0], found.thresholds[-1]), (found.sizes[0], found.sizes[-1]), size)


def heat_map_svg(found: CalibrationMap, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Html:
    """Draw a calibration map with axes, the chosen setting (ring) and the one before (cross)."""
    frame = heat_map_frame(found, size)
    left, top = frame.x(frame.x_range[0]), frame.y(frame.y_range[1])
    width, height = frame.x(frame.x_range[1]) - left, frame.y(frame.y_range[0]) - top
    x, y = frame.x(found.threshold), frame.y(min(found.min_size, frame.y_range[1]))
    x0, y0 = frame.x(found.before[0]), frame.y(min(found.before[1], frame.y_range[1]))
    drawn = [
        f'<image x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" preserveAspectRatio="none" '
        f'href="{data_uri(heat_map(found))}"/>',
        f'<path d="M{x0 - 5:.1f} {y0 - 5:.1f}l10 10m0 -10l-10 10" stroke="white" stroke-width="4"/>',
        f'<path d="M{x0 - 5:.1f} {y0 - 5:.1f}l10 10m0 -10l-10 10" stroke="black" stroke-width="2"/>',
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="none" stroke="white" stroke-width="5"/>',
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="none" stroke="#d00000" stroke-width="3"/>',
    ]
    return frame.draw(drawn, "threshold", "smallest size, px", f"{found.figure} by threshold and smallest size")


def _around(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin


def dashed_line(x1: float, y1: float, x2: float, y2: float) -> str:
    """Return a dashed line between two places in a picture."""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="currentColor" stroke-dasharray="4 3"/>'
    )
