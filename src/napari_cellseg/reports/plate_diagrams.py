"""Wells and conditions as pictures and tables, for the report of a batch and for the window."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ..evaluation.plates import Condition, Plates, measure_in_words
from .diagrams import dashed_line
from .html import Html, escape, paragraph, table
from .svg import COLORS, HEIGHT, WIDTH, Frame

# Room for the letters of rows and the numbers of columns, and for the line below the map.
_EDGE, _BELOW = 28, 26
REPLICATES = (
    "Replicates are wells: each well counts once, however many cells and images it has, because cells of one well are "
    "not independent. Lines are means, dashed lines 95 % intervals of the mean (Student's t over wells)."
)


def plate_parts(plates: Plates) -> Iterator[Html]:
    """Yield maps of all plates, one for each measure."""
    for name in dict.fromkeys(well.plate for well in plates.wells):
        wells = [well for well in plates.wells if well.plate == name]
        for measure in plates.measures:
            values = {well.name: well.measures.get(measure, math.nan) for well in wells}
            label = measure_in_words(measure)
            titles = {well.name: well.condition for well in wells}
            yield plate_svg(values, f"{label}, {name}" if name else label, titles)


def condition_parts(plates: Plates) -> Iterator[Html]:
    """Yield a diagram and a table of the conditions for each measure."""
    if not plates.conditions:
        return
    yield paragraph(REPLICATES, quiet=True)
    for measure in plates.measures:
        yield conditions_svg(plates.conditions, measure)
        rows = [
            (condition.name, len(condition.values(measure)), *condition.summary(measure))
            for condition in plates.conditions
        ]
        yield table(("condition", "wells", "mean", "SD", "95 % from", "to"), rows, measure_in_words(measure))


def plate_svg(
    values: Mapping[str, float], label: str, titles: Mapping[str, str], size: tuple[int, int] | None = None
) -> Html:
    """Draw a map of a plate: one square per well, stronger for more.

    Parameters
    ----------
    values : mapping of str to float
        By well, such as ``B03``; those that are not finite are crossed out.
    label : str
        What the values are.
    titles : mapping of str to str
        Tooltip of a well.
    size : tuple of int, optional
        Width and height of the picture in pixels; by default what the plate needs.
    """
    places = {well: place_of_well(well) for well in values}
    if not places:
        return Html("")
    rows, columns, side = _grid(values, size)
    edge = _EDGE
    width, height = size or (max(edge + side * columns + 4, 420), edge + side * rows + _BELOW)
    finite = [value for value in values.values() if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    parts = [f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{escape(label)}">']
    for column in range(1, columns + 1):
        x = edge + side * (column - 0.5)
        parts.append(f'<text x="{x:.0f}" y="{edge - 8}" text-anchor="middle">{column}</text>')
    for row in range(1, rows + 1):
        y = edge + side * (row - 0.5) + 4
        parts.append(f'<text x="{edge - 8}" y="{y:.0f}" text-anchor="end">{row_name(row)}</text>')
    for well, (row, column) in places.items():
        x, y, value = edge + side * (column - 1), edge + side * (row - 1), values[well]
        share = (value - low) / (high - low) if math.isfinite(value) and high > low else 0.5
        opacity = 0.12 + 0.78 * share if math.isfinite(value) else 0
        title = escape(f"{well}: {value:,.4g} {label}" + (f"; {titles[well]}" if titles[well] else ""))
        parts.append(
            f'<rect x="{x + 1}" y="{y + 1}" width="{side - 2}" height="{side - 2}" rx="3" fill="{COLORS[0]}" '
            f'fill-opacity="{opacity:.2f}" stroke="#8888"><title>{title}</title></rect>'
        )
        if side >= 36:
            text = f"{value:,.3g}" if math.isfinite(value) else "–"
            parts.append(f'<text x="{x + side / 2:.0f}" y="{y + side / 2 + 4:.0f}" text-anchor="middle">{text}</text>')
    ends = f"{low:,.4g} (faintest) to {high:,.4g} (strongest) {label}" if finite else label
    parts.append(f'<text x="{edge}" y="{height - 8}">{escape(ends)}</text></svg>')
    return Html("".join(parts))


def well_at(values: Mapping[str, float], size: tuple[int, int], x: float, y: float) -> str:
    """Return the well at a place in the picture of `plate_svg`; empty where there is none."""
    if not values:
        return ""
    _, _, side = _grid(values, size)
    place = int((y - _EDGE) // side) + 1, int((x - _EDGE) // side) + 1
    return next((well for well in values if place_of_well(well) == place), "")


def _grid(values: Mapping[str, float], size: tuple[int, int] | None) -> tuple[int, int, int]:
    """Rows, columns and side of a square in pixels: from A01 on, with the wells that have no images."""
    places = [place_of_well(well) for well in values]
    rows, columns = (max(place[axis] for place in places) for axis in (0, 1))
    width, height = size or (_EDGE + 900 + 4, _EDGE + 52 * rows + _BELOW)
    side = min((width - _EDGE - 4) // columns, (height - _EDGE - _BELOW) // rows, 52)
    return rows, columns, max(side, 8)


def conditions_svg(conditions: Sequence[Condition], measure: str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Html:
    """Draw one dot per well, and mean and 95 % interval of the mean beside them, condition by condition."""
    label = measure_in_words(measure)
    every = [condition.values(measure) for condition in conditions]
    if not any(values.size for values in every):
        return Html("")
    ends = [end for c in conditions for end in c.summary(measure)[2:] if math.isfinite(end)]
    high = max([float(values.max()) for values in every if values.size] + ends)
    low = min([0.0, *ends])
    frame = Frame((0.5, len(conditions) + 0.5), (low, 1.05 * high), size)
    drawn = []
    for i, (condition, values) in enumerate(zip(conditions, every, strict=True), 1):
        color = COLORS[(i - 1) % len(COLORS)]
        # Wells of one value lie beside each other.
        shifts = 0.12 * (np.arange(values.size) - (values.size - 1) / 2) / max(values.size / 4, 1)
        wells = [well for well in condition.wells if measure in well.measures]
        for well, value, shift in zip(wells, values, shifts, strict=True):
            title = escape(f"{well.plate} {well.name}: {value:,.4g} {label}".strip())
            drawn.append(
                f'<circle cx="{frame.x(i + float(shift)):.1f}" cy="{frame.y(float(value)):.1f}" r="4" fill="{color}" '
                f'fill-opacity="0.7"><title>{title}</title></circle>'
            )
        mean, _, below, above = condition.summary(measure)
        x = frame.x(i + 0.36)
        if math.isfinite(mean):
            y = frame.y(mean)
            drawn.append(f'<line x1="{x - 8:.1f}" x2="{x + 8:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor"/>')
        if math.isfinite(below):
            drawn.append(dashed_line(x, frame.y(below), x, frame.y(above)))
    names = [f"{condition.name} (n = {values.size})" for condition, values in zip(conditions, every, strict=True)]
    return frame.draw(drawn, "", label, f"{label} by condition", names)


def row_name(row: int) -> str:
    """Return the letters of a row of a plate that is counted from 1: A to Z, then AA and so on."""
    return (chr(64 + (row - 1) // 26) if row > 26 else "") + chr(65 + (row - 1) % 26)


def place_of_well(well: str) -> tuple[int, int]:
    """Return row and column of a well, counted from 1; of wells that are only counted (``W0012``), twelve to a row."""
    letters, number = well.rstrip("0123456789"), int(well.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    if letters == "W" and len(well) > 3:
        return (number - 1) // 12 + 1, (number - 1) % 12 + 1
    return sum(26**i * (ord(letter) - 64) for i, letter in enumerate(reversed(letters))), number
