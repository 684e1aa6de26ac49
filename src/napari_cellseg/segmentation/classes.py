"""Classes by example: which cells a user named, and the random forest that is fitted to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from ..imaging.errors import ParamsError

# Fewer give no forest, and no figure of how well it does.
LEAST, LEAST_HELD_OUT = 2, 5
MOST_CLASSES = 8
N_TREES = 200
HELD_OUT = "out-of-bag"
_LONGEST = 40
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Example:
    """A cell that the user put into a class.

    Parameters
    ----------
    name : str
        Its class.
    values : tuple of float or None
        What was measured, one for each column of its `Classes`; None where there is no value.
    image, sha256, cell : str, str and int
        Name of the image and hash of its values, and the cell's id there.
    """

    name: str
    values: tuple[float | None, ...]
    image: str = ""
    sha256: str = ""
    cell: int = 0

    @property
    def key(self) -> tuple[str, int]:
        """Which cell it is."""
        return self.sha256, self.cell


@dataclass(frozen=True)
class Classes:
    """Names of classes, and examples of them.

    Parameters
    ----------
    names : tuple of str
        In the order in which they are shown.
    columns : tuple of str
        What was measured of the examples; see `napari_cellseg.segmentation.classing.features`.
    examples : tuple of Example
        In any order: it decides nothing.

    Raises
    ------
    ParamsError
        A name is empty, long or given twice, an example is of another class or has other columns.
    """

    names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()

    def __post_init__(self) -> None:
        for name in self.names:
            if not name or name != name.strip() or len(name) > _LONGEST or not name.isprintable():
                raise ParamsError(f"{name!r} is no name of a class. Give 1 to {_LONGEST} letters on one line.")
        if len(set(self.names)) < len(self.names) or len(self.names) > MOST_CLASSES:
            raise ParamsError(
                f"The classes are {', '.join(self.names)}. Give every class a name of its own, and no more than "
                f"{MOST_CLASSES} classes."
            )
        for one in self.examples:
            if one.name not in self.names or len(one.values) != len(self.columns):
                raise ParamsError(
                    f"An example of the class '{one.name}' has {len(one.values)} values; the classes are "
                    f"{', '.join(self.names) or 'none'}, and the columns are {len(self.columns)}."
                )
        ordered = sorted(self.examples, key=lambda one: (one.name, one.key, str(one.values)))
        object.__setattr__(self, "examples", tuple(ordered))

    @property
    def numbers(self) -> dict[str, int]:
        """How many examples each class has."""
        found = Counter(one.name for one in self.examples)
        return {name: found[name] for name in self.names}

    @property
    def lacks(self) -> str:
        """A sentence on what is missing before other cells can be called; empty where nothing is."""
        few = next((name for name, n in self.numbers.items() if n < LEAST), None)
        if len(self.names) < 2:
            return "There is one class only, so that every cell is in it. Add a second class, and give examples of it."
        if few is not None:
            n = self.numbers[few]
            return f"The class '{few}' has {n} example{'' if n == 1 else 's'}. Give {LEAST} or more of every class."
        if len({one.values for one in self.examples}) == 1:
            return "The examples are equal in every column, so that the classes cannot be distinguished. Give others."
        return ""

    def to_dict(self) -> dict[str, Any]:
        """Return values that JSON can hold."""
        examples = [
            {
                "class": one.name,
                "image": one.image,
                "image_sha256": one.sha256,
                "cell": one.cell,
                "values": list(one.values),
            }
            for one in self.examples
        ]
        return {"names": list(self.names), "columns": list(self.columns), "examples": examples}

    def decisive(self) -> list[Any]:
        """Return all that decides how cells are called, JSON-able."""
        return [sorted(self.names), self.columns, [[one.name, one.values] for one in self.examples]]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Classes:
        """Rebuild from `to_dict`.

        Raises
        ------
        ParamsError
            It is not what `to_dict` gives.
        """
        try:
            examples = tuple(
                Example(
                    str(one["class"]),
                    tuple(as_kept(np.array([np.nan if n is None else float(n) for n in one["values"]]))),
                    str(one.get("image", "")),
                    str(one.get("image_sha256", "")),
                    int(one.get("cell", 0)),
                )
                for one in values["examples"]
            )
            return cls(tuple(map(str, values["names"])), tuple(map(str, values["columns"])), examples)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            if isinstance(error, ParamsError):
                raise
            raise ParamsError(
                "The recipe's classes can't be read: they must have names, columns and examples, and every example a "
                "class and as many values as there are columns. Take a recipe as it was saved."
            ) from error


def classes_of(given: Any) -> Classes | None:
    """Return classes, or values of `Classes.to_dict`, as classes; None where there is no class.

    Raises
    ------
    ParamsError
        They are none.
    """
    if given is None or isinstance(given, Classes):
        return given if given is not None and given.names else None
    if not isinstance(given, Mapping):
        raise ParamsError(f"The recipe's classes are {given!r}; they must have names, columns and examples.")
    return classes_of(Classes.from_dict(given))


def as_kept(values: np.ndarray) -> list[float | None]:
    """Return numbers as they are kept: the shortest that are equal as float32, in which the forest calculates."""
    return [float(str(value)) if np.isfinite(value) else None for value in _as_float32(values)]


class Forest:
    """A random forest of scikit-learn, fitted to examples; equal ones give the same one.

    Parameters
    ----------
    classes : Classes
        That lack nothing.

    Attributes
    ----------
    held_out : dict of str to (int, int)
        Of each class how many examples are called right by the trees that were not fitted to them (out-of-bag), and
        how many there are.
    """

    def __init__(self, classes: Classes) -> None:
        from sklearn.ensemble import RandomForestClassifier

        names = np.array([one.name for one in classes.examples])
        rows = _as_float32(np.array([one.values for one in classes.examples], dtype=np.float64))
        # A column that is the same in all examples distinguishes nothing, and where it is empty cannot be split.
        self._used = np.array([len({str(value) for value in column}) > 1 for column in rows.T])
        self._forest = RandomForestClassifier(
            N_TREES, random_state=0, class_weight="balanced", oob_score=True, n_jobs=1
        ).fit(rows[:, self._used], names)
        right = self._forest.classes_[np.argmax(self._forest.oob_decision_function_, axis=1)] == names
        self.held_out = {name: (int(right[names == name].sum()), n) for name, n in classes.numbers.items()}
        called: dict[bytes, set[str]] = {}
        for row, name in zip(rows, names.tolist(), strict=True):
            called.setdefault(row.tobytes(), set()).add(name)
        self._known = {row: next(iter(alike)) for row, alike in called.items() if len(alike) == 1}

    def call(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the class of every row, str (n,), and how sure that is: the share of the trees' votes, float64 (n,).

        What equals an example in every column gets the class that the user gave that, with certainty 1.
        """
        rows = _as_float32(rows)
        if not len(rows):
            return np.zeros(0, dtype=np.str_), np.zeros(0)
        votes = self._forest.predict_proba(rows[:, self._used])
        best = np.argmax(votes, axis=1)
        names, sure = self._forest.classes_[best], votes[np.arange(len(best)), best]
        for i, row in enumerate(rows):
            if (known := self._known.get(row.tobytes())) is not None:
                names[i], sure[i] = known, 1.0
        return names, sure

    @cached_property
    def accuracy(self) -> float | None:
        """Share of the examples that are called right out-of-bag, 0 to 1; None where a class has fewer than five."""
        right, n = (sum(pair[i] for pair in self.held_out.values()) for i in range(2))
        return None if min(n for _, n in self.held_out.values()) < LEAST_HELD_OUT else right / n

    def sentence(self) -> str:
        """Return the accuracy on held-out examples, in words."""
        if self.accuracy is None:
            return f"held-out accuracy: too few examples ({LEAST_HELD_OUT} of every class)"
        right, n = (sum(pair[i] for pair in self.held_out.values()) for i in range(2))
        return f"held-out accuracy {100 * self.accuracy:.0f} % ({right} of {n}, {HELD_OUT})"


@lru_cache(maxsize=8)
def forest_of(classes: Classes) -> Forest:
    """Return the forest of these examples; of the same ones it is fitted once."""
    return Forest(classes)


def _as_float32(values: np.ndarray) -> np.ndarray:
    """Return numbers as float32, (n,) or (n, columns): too large ones as the largest, and -0 as 0."""
    clipped: np.ndarray = np.clip(values, -_LARGEST, _LARGEST).astype(np.float32) + np.float32(0)
    return np.where(np.isnan(clipped), np.float32("nan"), clipped)
