"""Sort images into kinds (fluorescence, histology, brightfield, ...) by k-means on their colours and intensities."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..imaging.errors import DatasetError, ParamsError
from ..imaging.progress import Progress
from ..imaging.write.csv_style import unguarded
from ..imaging.write.write import write_table
from ..segmentation.image_features import FEATURES, KIND_WEIGHTS, image_features

_BRIGHT, _COLOUR = FEATURES.index("bright ground"), FEATURES.index("colour")


@dataclass(frozen=True, eq=False)
class Kinds:
    """The kind of each image; the user may edit it in the table.

    Parameters
    ----------
    images : tuple of str
    kinds : tuple of str
    groups : tuple of str
        Field of view of each image; the image's own name where it is not known.
    features : ndarray
        float64 (n_images, n_features), as :func:`napari_cellseg.segmentation.image_features.image_features`.
    """

    images: tuple[str, ...]
    kinds: tuple[str, ...]
    groups: tuple[str, ...]
    features: np.ndarray

    def counts(self) -> dict[str, int]:
        """Images of each kind, the most frequent first."""
        found = {kind: self.kinds.count(kind) for kind in set(self.kinds)}
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def write(self, path: str | Path) -> None:
        """Write the table that ``--groups`` reads: image_id, kind, group.

        Raises
        ------
        OutputError
            The system refused to write.
        """
        write_table(path, {"image_id": self.images, "kind": self.kinds, "group": self.groups})


def iter_kinds(
    images: Iterable[tuple[str, np.ndarray, str]], n_images: int, k: int = 3, seed: int = 0
) -> Generator[Progress, None, Kinds]:
    """Sort images into k kinds.

    Parameters
    ----------
    images : iterable of (name, plane, group)
        Planes are (Y, X) or (Y, X, 3), raw; each is looked at once and let go.
    n_images : int
        How many there are.
    k : int
        Number of kinds, 1 to the number of images.
    seed : int
        Of k-means; the same images and seed give the same kinds.

    Yields
    ------
    Progress

    Returns
    -------
    Kinds

    Raises
    ------
    DatasetError
        Fewer images than kinds.
    ParamsError
        k or seed out of range.
    """
    if k < 1 or seed < 0:
        raise ParamsError(f"There can't be {k} kinds with seed {seed}; give 1 kind or more and a seed from 0.")
    if n_images < k:
        raise DatasetError(f"{n_images} image(s) can't be sorted into {k} kinds. Ask for fewer, or give more images.")
    names, groups, rows = [], [], []
    for i, (name, plane, group) in enumerate(images):
        names.append(name)
        groups.append(group or name)
        rows.append(image_features(plane))
        yield Progress(i + 1, n_images, "looking at the images")
    features = np.array(rows)
    return Kinds(tuple(names), tuple(_named(features, _clusters(features, k, seed))), tuple(groups), features)


def _clusters(features: np.ndarray, k: int, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    points = features * KIND_WEIGHTS
    # There cannot be more clusters than different images: they would be empty.
    k = min(k, len(np.unique(points.round(9), axis=0)))
    result: np.ndarray = KMeans(k, n_init=20, random_state=seed).fit_predict(points)
    return result


def _named(features: np.ndarray, clusters: np.ndarray) -> list[str]:
    """Return names of the kinds by ground and colour; of one name the larger cluster comes first."""
    names: dict[int, str] = {}
    taken: dict[str, int] = {}
    for cluster in np.argsort(-np.bincount(clusters), kind="stable"):
        centre = features[clusters == cluster].mean(axis=0)
        if centre[_COLOUR] > 0.5:
            name = "histology" if centre[_BRIGHT] > 0.5 else "colour fluorescence"
        else:
            name = "brightfield" if centre[_BRIGHT] > 0.5 else "fluorescence"
        taken[name] = taken.get(name, 0) + 1
        names[int(cluster)] = name if taken[name] == 1 else f"{name} {taken[name]}"
    return [names[int(cluster)] for cluster in clusters]


@dataclass(frozen=True)
class KindAgreement:
    """Agreement of kinds with those that the user gave.

    Parameters
    ----------
    n_images : int
        Images that both know.
    adjusted_rand : float
        1: the same parts, whatever they are called; about 0: by chance (Hubert & Arabie 1985).
    accuracy : float
        Share of images in the right kind, when each kind is matched to the one it fits best.
    crossed : dict of str to dict of str to int
        Images by the given kind, then by the found one.
    """

    n_images: int
    adjusted_rand: float
    accuracy: float
    crossed: dict[str, dict[str, int]]


def compare_kinds(found: Mapping[str, str], given: Mapping[str, str]) -> KindAgreement | None:
    """Compare found kinds with given ones by image name; None where no image is in both."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score

    both = sorted(name for name in set(found) & set(given) if given[name])
    if not both:
        return None
    rows, columns = sorted({given[name] for name in both}), sorted({found[name] for name in both})
    crossed = np.zeros((len(rows), len(columns)), int)
    for name in both:
        crossed[rows.index(given[name]), columns.index(found[name])] += 1
    matched = int(crossed[linear_sum_assignment(-crossed)].sum())
    rand = float(adjusted_rand_score([given[name] for name in both], [found[name] for name in both]))
    named = {row: dict(zip(columns, map(int, line), strict=True)) for row, line in zip(rows, crossed, strict=True)}
    return KindAgreement(len(both), rand, matched / len(both), named)


def read_kinds(path: str | Path) -> dict[str, str]:
    """Read the kind of each image from a table with the columns image_id and kind.

    Raises
    ------
    DatasetError
        The table cannot be read.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            return {unguarded(row["image_id"] or ""): unguarded(row["kind"] or "") for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise DatasetError(f"{path} is no table of kinds ({error!r}). Give a CSV with image_id and kind.") from error
