"""Call the cells of one image by examples: what is measured of them, and how the forest votes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from ..corrections.run_lengths import CLASS
from ..imaging.errors import ParamsError
from ..instances.measure import intensity_columns, measure, shape_columns
from .classes import Classes, Example, as_kept, forest_of

# The position of a cell does not depend on its class.
_SHAPES = ("perimeter_px", "axis_major_px", "axis_minor_px", "eccentricity", "solidity", "extent")


@dataclass(frozen=True, eq=False)
class Classified:
    """Classes of the cells of an image.

    Attributes
    ----------
    names : ndarray of str
        Class of every cell.
    certainty : ndarray
        float64, 0 to 1: share of the trees' votes; 1 where the user gave the class.
    """

    names: np.ndarray
    certainty: np.ndarray

    def numbers(self, classes: Classes) -> dict[str, int]:
        """Return how many cells are of each class, by ``class_NAME``."""
        names = dict.fromkeys((*classes.names, *self.names.tolist()))
        return {f"class_{name}": int(np.count_nonzero(self.names == name)) for name in names}


def features(
    labels: np.ndarray,
    planes: Mapping[str, np.ndarray],
    pixel_size: tuple[float, float] | None = None,
    compartments: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Measure what distinguishes classes: columns of ``cells.csv`` on size, shape and brightness, none on position.

    Parameters
    ----------
    labels : ndarray
        Cells of an image, whole numbers (Y, X).
    planes : mapping of str to ndarray
        Its channels, (Y, X) each, by name.
    pixel_size : tuple of float, optional
        Height and width of a pixel in micrometres.
    compartments : mapping of str to ndarray, optional
        Columns of rings and grown cells.

    Returns
    -------
    dict of str to ndarray
        One entry per cell in every column, in the order of ascending ids.
    """
    shapes = shape_columns(labels, pixel_size)
    return {
        "area_px": measure(labels)["area_px"],
        **{name: shapes[name] for name in _SHAPES},
        **intensity_columns(labels, planes),
        **(compartments or {}),
    }


def example_of(
    classes: Classes, columns: Mapping[str, np.ndarray], place: int, name: str, image: str, sha256: str, cell: int
) -> Example:
    """Return a cell as an example of a class; `place` is its place in the columns.

    Raises
    ------
    ParamsError
        The image lacks a column that the other examples have.
    """
    row = np.array([columns[column][place] for column in _known(classes, columns)], dtype=np.float64)
    return Example(name, tuple(as_kept(row)), image, sha256, cell)


def follow_calls(
    classes: Classes | None,
    columns: Mapping[str, np.ndarray],
    ids: np.ndarray,
    by_hand: Mapping[int, Mapping[str, bool | str]],
    image: str,
    sha256: str,
    before: Collection[int] = (),
) -> Classes:
    """Return classes of which the cells that the user gave a class in one image are examples.

    Parameters
    ----------
    classes : Classes or None
        Those so far; examples of other images stay. While there are none of others, columns are those of this image.
    columns, ids, by_hand
        As `classify` takes them.
    image, sha256 : str
        Name of the image, and hash of its values.
    before : collection of int
        Cells that had a class before, and are no examples any more where they have none now.

    Raises
    ------
    ParamsError
        The image lacks a column that the examples of other images have, or there are too many classes.
    """
    given, had = given_classes(ids, by_hand), classes or Classes()
    others = [one for one in had.examples if one.sha256 != sha256]
    own = [one for one in had.examples if one.sha256 == sha256 and one.cell not in {*before, *given}]
    names = tuple(dict.fromkeys((*had.names, *given.values())))
    if not (others or own):
        had = Classes(names, tuple(columns))
    elif not given:
        return Classes(names, had.columns, (*others, *own))
    mine = [
        example_of(had, columns, int(np.searchsorted(ids, id_)), name, image, sha256, id_)
        for id_, name in given.items()
    ]
    return Classes(names, had.columns, (*others, *own, *mine))


def given_classes(ids: np.ndarray, by_hand: Mapping[int, Mapping[str, bool | str]]) -> dict[int, str]:
    """Return the classes that the user gave to cells, by the ids of those that are there."""
    there = set(ids.tolist()) if by_hand else ()
    return {id_: str(calls[CLASS]) for id_, calls in by_hand.items() if CLASS in calls and id_ in there}


def classify(
    classes: Classes,
    columns: Mapping[str, np.ndarray],
    ids: np.ndarray,
    by_hand: Mapping[int, Mapping[str, bool | str]],
) -> Classified:
    """Call the cells of an image by examples.

    Parameters
    ----------
    classes : Classes
    columns : mapping of str to ndarray
        Of `features`.
    ids : ndarray
        Of the cells, ascending.
    by_hand : mapping of int to mapping of str to bool or str
        Classes that the user gave to cells, under `CLASS`; they are kept.

    Raises
    ------
    ParamsError
        There are too few examples, or the image lacks a column that they have.
    """
    if classes.lacks:
        raise ParamsError(classes.lacks)
    known = _known(classes, columns)
    rows = np.stack([np.asarray(columns[name], dtype=np.float64) for name in known], axis=1)
    names, sure = forest_of(classes).call(rows)
    if given := given_classes(ids, by_hand):
        places = np.searchsorted(ids, list(given))
        names = names.astype(np.dtype(("U", max(map(len, (*given.values(), *classes.names))))))
        names[places], sure[places] = list(given.values()), 1.0
    return Classified(names, sure)


def _known(classes: Classes, columns: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    missing = [name for name in classes.columns if name not in columns]
    if missing:
        raise ParamsError(
            f"The examples were measured in {', '.join(missing)}, which this image does not have. Take images with the "
            "same channels and growth, or give examples anew."
        )
    return classes.columns
