"""Positive cells and classes of one image: grow nuclei, measure, call, count."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from ..imaging.channels import distinct_names
from ..imaging.errors import ImageError, ParamsError
from ..imaging.image import Image
from ..instances.compartments import CELL, NUCLEUS, RING, Growth, cell_means, compartment, grow, up_to_edge
from .classes import HELD_OUT, forest_of
from .classing import classify, features
from .marker import Marker
from .recipe import Recipe

CONTROL_PERCENTILE = 99.0
# Of more markers than this, combinations are too many for columns; the table of cells still has them.
MOST_COMBINED = 4
_COLORS = ("red", "green", "blue")


@dataclass(frozen=True, eq=False)
class Counted:
    """Markers, classes and grown outlines of the cells of one image.

    Attributes
    ----------
    columns : dict of str to ndarray
        One entry per cell in every column: brightness per compartment where nuclei are grown, then ``NAME_value``
        (float64) and ``NAME_pos`` (bool) of every marker, and ``markers`` (such as ``GFP+ mCherry-``) of several; with
        classes ``class`` (str) and ``class_certainty`` (float64).
    numbers : dict of str to int
        How many cells are positive, by ``NAME_pos``, how many have each combination of up to four markers, by
        ``NAME_pos_OTHER_neg``, and how many are of each class, by ``class_NAME``.
    notes : tuple of str
        Why something is missing.
    grown : ndarray or None
        Labels of the grown nuclei, (Y, X).
    about : dict
        Of classes: how many examples each has, and how many of them are called right out-of-bag; JSON-able.
    """

    columns: dict[str, np.ndarray] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    grown: np.ndarray | None = None
    about: dict[str, Any] = field(default_factory=dict)


NOTHING = Counted()


def count_markers(
    image: Image,
    labels: np.ndarray,
    ids: np.ndarray,
    recipe: Recipe,
    by_hand: Mapping[int, Mapping[str, bool | str]] | None = None,
    around: np.ndarray | None = None,
) -> Counted:
    """Grow, measure and call the cells of an image by its recipe.

    Parameters
    ----------
    image : Image
        Of one plane.
    labels : ndarray
        Its cells, whole numbers (Y, X).
    ids : ndarray
        Their ids, ascending.
    recipe : Recipe
        Its `grow`, `positive` and `classes`; without them there is nothing to do, and it costs nothing.
    by_hand : mapping of int to mapping of str to bool or str, optional
        What the user called by hand: of cells, by marker. It stands whatever was measured.
    around : ndarray, optional
        Of a part of an image: `labels` with further cells, into which they are not grown.
    """
    if not recipe.calls:
        return NOTHING
    columns: dict[str, np.ndarray] = {}
    notes, grown = [], None
    if recipe.grow is not None:
        try:
            grown = grown_nuclei(image, labels, recipe.grow, around)
        except (ImageError, ParamsError) as error:
            notes.append(str(error))
        else:
            columns |= compartment_columns(image, labels, grown, ids)
    calls: dict[str, np.ndarray] = {}
    for marker in recipe.positive:
        try:
            values = marker_values(image, labels, grown, ids, marker)
        except (ImageError, ParamsError) as error:
            notes.append(f"Cells are not called {marker.name}+ or {marker.name}-: {error}")
            continue
        calls[marker.name] = called(values, marker, ids, by_hand or {})
        columns |= {f"{marker.name}_value": values, f"{marker.name}_pos": calls[marker.name]}
    if len(calls) > 1:
        columns["markers"] = _in_words(calls, len(ids))
    numbers, about = numbers_of(calls), {}
    if recipe.classes is not None:
        try:
            found = classify(recipe.classes, class_features(image, labels, grown, ids), ids, by_hand or {})
        except ParamsError as error:
            notes.append(f"Cells are in no class: {error}")
        else:
            columns |= {"class": found.names, "class_certainty": found.certainty}
            numbers |= found.numbers(recipe.classes)
            held_out = {name: {"right": k, "of": n} for name, (k, n) in forest_of(recipe.classes).held_out.items()}
            about = {"examples": held_out, "held_out": HELD_OUT, "accuracy": forest_of(recipe.classes).accuracy}
    return Counted(columns, numbers, tuple(notes), grown, about)


def grown_nuclei(image: Image, labels: np.ndarray, grow_by: str, around: np.ndarray | None = None) -> np.ndarray:
    """Grow nuclei by a recipe, where it names a channel up to the edge of the cells there.

    `around` is that of `count_markers`.

    Raises
    ------
    ParamsError
        It is no length, or in micrometres and the pixel size is not known; or the edge is looked for in a part of an
        image, whose threshold would be another.
    ImageError
        The image has no such channel, or there is no memory for it.
    """
    growth = Growth.parse(grow_by)
    if around is not None:
        if growth.edge:
            raise ParamsError(
                f"Nuclei are not grown up to the edge in {growth.edge} where an image is done block by block, because "
                "the edge depends on all of it. Grow them by a length alone, or cut the image into parts."
            )
        grown = grow(around, growth, image.pixel_size)
        return np.where(grown > labels.max(initial=0), 0, grown)
    plane = _channel_plane(image, growth.edge) if growth.edge else None
    grown = grow(labels, growth, image.pixel_size)
    return grown if plane is None else up_to_edge(labels, grown, plane)


def marker_values(
    image: Image, labels: np.ndarray, grown: np.ndarray | None, ids: np.ndarray, marker: Marker
) -> np.ndarray:
    """Return what a marker compares with its threshold, float64, one per id; NaN where there is no pixel.

    Raises
    ------
    ImageError
        The image has no such channel, or it is a mix.
    ParamsError
        It is measured where only grown nuclei reach, and `grown` is None.
    """
    part = compartment(labels, grown, marker.place)
    return cell_means(part, _channel_plane(image, marker.channel), ids, marker.level)


def called(
    values: np.ndarray, marker: Marker, ids: np.ndarray, by_hand: Mapping[int, Mapping[str, bool | str]]
) -> np.ndarray:
    """Return which cells are positive, bool: those above the threshold, and what the user called by hand as it is."""
    positive = values > marker.threshold
    for id_, calls in by_hand.items():
        if marker.name in calls:
            place = int(np.searchsorted(ids, id_))
            if place < len(ids) and ids[place] == id_:
                positive[place] = calls[marker.name]
    return positive


def numbers_of(calls: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Return how many cells are positive for each marker, and how many have each combination of two to four."""
    numbers = {f"{name}_pos": int(np.count_nonzero(positive)) for name, positive in calls.items()}
    if 1 < len(calls) <= MOST_COMBINED:
        for signs in product((True, False), repeat=len(calls)):
            parts = zip(calls.items(), signs, strict=True)
            both = np.logical_and.reduce([positive == sign for (_, positive), sign in parts])
            name = "_".join(f"{name}_{'pos' if sign else 'neg'}" for name, sign in zip(calls, signs, strict=True))
            numbers[name] = int(np.count_nonzero(both))
    return numbers


def number_names(recipe: Recipe) -> list[str]:
    """Return by which names the cells that a recipe calls are counted; see `Counted.numbers`."""
    markers = numbers_of({marker.name: np.zeros(0, bool) for marker in recipe.positive})
    return [*markers, *(f"class_{name}" for name in (recipe.classes.names if recipe.classes else ()))]


def calling_of(recipe: Recipe, name: str) -> Recipe:
    """Return a recipe with what decides one of the numbers of `number_names` alone; of no name, no cell is called."""
    if name.startswith("class_"):
        return replace(recipe, positive=())
    own = tuple(one for one in recipe.positive if name == f"{one.name}_pos") or recipe.positive
    own = own if name else ()
    grown = any(one.place != NUCLEUS for one in own)
    return replace(recipe, positive=own, grow=recipe.grow if grown else None, classes=None)


def number_in_words(name: str) -> str:
    """Return one of the numbers of `number_names` as it is shown, such as ``GFP+ mCherry−``."""
    if name.startswith("class_"):
        return name.replace("class_", "class ", 1)
    return re.sub(r"_(pos|neg)(_|$)", lambda found: "+ " if found[1] == "pos" else "− ", name).strip()


def compartment_columns(image: Image, labels: np.ndarray, grown: np.ndarray, ids: np.ndarray) -> dict[str, np.ndarray]:
    """Measure rings and whole cells in every channel.

    Returns
    -------
    dict of str to ndarray
        float64, one per id: ``intensity_mean_ring_NAME``, ``intensity_mean_cell_NAME`` and
        ``nucleus_to_ring_NAME``, the mean of the nucleus divided by that of the ring. NaN where a cell has no ring. An
        image of one channel has no names.
    """
    columns: dict[str, np.ndarray] = {}
    for name, plane in channel_planes(image).items():
        end = f"_{name}" if name else ""
        means = {place: cell_means(compartment(labels, grown, place), plane, ids) for place in (NUCLEUS, RING, CELL)}
        columns |= {f"intensity_mean_{place}{end}": means[place] for place in (RING, CELL)}
        with np.errstate(invalid="ignore", divide="ignore"):
            columns[f"nucleus_to_ring{end}"] = np.where(means[RING] != 0, means[NUCLEUS] / means[RING], np.nan)
    return columns


def class_features(
    image: Image, labels: np.ndarray, grown: np.ndarray | None, ids: np.ndarray
) -> dict[str, np.ndarray]:
    """Measure what distinguishes classes, of rings and whole cells too where nuclei are grown; see `features`."""
    compartments = None if grown is None else compartment_columns(image, labels, grown, ids)
    return features(labels, channel_planes(image), image.pixel_size, compartments)


def channel_planes(image: Image) -> dict[str, np.ndarray]:
    """Return the planes of all channels, or colours, by their names in tables; a grey image has one without a name."""
    if image.n_channels > 1:
        names = distinct_names(image.channel_names, image.n_channels)
        return {name: image.plane(i) for i, name in enumerate(names)}
    plane = image.plane()
    return {"": plane} if plane.ndim == 2 else {name: plane[..., i] for i, name in enumerate(_COLORS)}


def start_of_cells(values: np.ndarray) -> float:
    """Return the threshold that parts cells best in two by Otsu's rule, midway between two of their values.

    NaN without a value; of equal values it is that value, above which there is none.
    """
    values = np.sort(values[np.isfinite(values)])
    if not len(values):
        return float("nan")
    below = np.arange(1, len(values))
    sums = np.cumsum(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = sums[:-1] / below - (sums[-1] - sums[:-1]) / (len(values) - below)
    best = int(np.argmax(below * (len(values) - below) * apart**2)) if len(below) else 0
    return float((values[best] + values[min(best + 1, len(values) - 1)]) / 2)


def start_of_control(values: np.ndarray, percentile: float = CONTROL_PERCENTILE) -> float:
    """Return the value that this percentage of the cells of a negative control do not exceed.

    Raises
    ------
    ParamsError
        The control has no cells with a value.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        raise ParamsError("The negative control has no cells to measure. Choose another image, or segment it first.")
    return float(np.percentile(values, percentile))


def _channel_plane(image: Image, channel: str) -> np.ndarray:
    if len(image.channel_places(channel)) > 1:
        raise ImageError(f"{channel} is a mix of channels, which has no brightness of its own. Give one channel.")
    return image.plane(channel)


def _in_words(calls: Mapping[str, np.ndarray], n_cells: int) -> np.ndarray:
    signs: Sequence[Sequence[str]] = [
        [f"{name}{'+' if sign else '-'}" for sign in positive.tolist()] for name, positive in calls.items()
    ]
    return np.array([" ".join(parts) for parts in zip(*signs, strict=True)] or [""] * n_cells, dtype=np.str_)
