"""Find the threshold and min_size that suit a model, on images whose cells are known."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from ..imaging.progress import Progress
from ..instances.levels import N_LEVELS, threshold_level
from ..network.version_files import set_defaults
from ..network.versions import ModelVersion
from ..segmentation.recipe import Recipe
from ..segmentation.segmented import Segmented
from ..training.data.datasets import Sample
from ..training.data.hold_out import count_cells
from .calibration_map import as_good_as_the_best
from .evaluate import predict_sample
from .surfaces import Surfaces

CALIBRATION_THRESHOLDS = tuple(round(0.3 + 0.05 * i, 2) for i in range(10))
CALIBRATION_SIZES = (0, 8, 12, 16, 20, 25, 30, 40)
# For fine-tuned versions, whose probabilities are less certain than those of a long training.
WIDE_THRESHOLDS = tuple(round(0.2 + 0.05 * i, 2) for i in range(15))
WIDE_SIZES = (0, 8, 12, 16, 20, 25, 30, 40, 60, 80, 100)
COUNT_SHARE = 0.1
LARGEST_LOSS = 0.005
MOST_IMAGES = 16
MOST_PIXELS = 16_000_000


def calibrate(samples: Sequence[Sample], predicted: Sequence[Segmented]) -> tuple[float, int]:
    """Find the threshold and min_size of the highest mean AP (IoU .5 to .9, mean over images).

    Parameters
    ----------
    samples, predicted : sequences of equal length
        Cells that lie more than half outside of a sample's reviewed area do not count, true and predicted ones alike.

    Returns
    -------
    threshold : float
    min_size : int
        The new default, counted as by :func:`napari_cellseg.network.smallest.usual_min_size`.
        Among equals the ones nearest to 0.5 and to the smallest size.
    """
    surfaces = _surfaces(samples, predicted, CALIBRATION_SIZES[-1])
    # Rounded, so that equal settings stay equal whatever the order of summation.
    values = np.mean([one.as_default(one.precision()) for one in surfaces], axis=0).round(12)
    trials = [(t, s) for t in sorted(CALIBRATION_THRESHOLDS, key=lambda t: abs(t - 0.5)) for s in CALIBRATION_SIZES]
    return max(trials, key=lambda trial: values[threshold_level(trial[0]), trial[1]])


def _surfaces(samples: Sequence[Sample], predicted: Sequence[Segmented], max_size: int) -> list[Surfaces]:
    pairs = zip(samples, predicted, strict=True)
    return [Surfaces(sample, segmented, max_size) for sample, segmented in pairs]


@dataclass(frozen=True, eq=False)
class Chosen:
    """The defaults that suit a version, and how well they do.

    Parameters
    ----------
    threshold : float
    min_size : int
    worth : ndarray of float
        Of each image that they were chosen on: AP (.5 to .9) less a tenth of the count's relative error. Empty without
        an image.
    """

    threshold: float
    min_size: int
    worth: np.ndarray


def iter_choose_defaults(
    version: ModelVersion, samples: Sequence[Sample], general: Sequence[Sample] = (), device: str = "auto"
) -> Generator[Progress, None, Chosen]:
    """Find the threshold and min_size that suit a fine-tuned version.

    They are chosen for the highest AP (.5 to .9) less a tenth of the count's relative error; but only among settings
    that cost the general samples at most 0.005 of their AP50, where what one of them gains does not make up for what
    another loses. One setting is improved at a time. Without general samples the nearest to the version's own
    is taken that is not worse than the best by more than one standard error (after the rule of Breiman et al.,
    Classification and Regression Trees, 1984).

    Parameters
    ----------
    version : ModelVersion
    samples : sequence of Sample
        At most 16 images and 16 million pixels of them are looked at. Without a cell in them nothing changes.
    general : sequence of Sample
        Whose cells are known and are not to be forgotten.
    device : str

    Yields
    ------
    Progress

    Returns
    -------
    Chosen
    """
    start = (version.threshold, version.min_size)
    chosen = _few([sample for sample in samples if count_cells([sample])])
    if not chosen:
        return Chosen(*start, np.zeros(0))
    predicted, recipe = [], Recipe(model=str(version.path))
    for i, sample in enumerate((*chosen, *general)):
        yield Progress(i, len(chosen) + len(general), "calibrating")
        predicted.append(predict_sample(sample, recipe, device))
    max_size = max(*WIDE_SIZES, version.min_size)
    own = _surfaces(chosen, predicted[: len(chosen)], max_size)
    others = _surfaces(general, predicted[len(chosen) :], max_size)
    lost = np.zeros((N_LEVELS, max_size + 1))
    for one in others:
        ap50 = one.as_default(one.precision(ious=(0.5,)))
        lost += np.maximum(ap50[_place(*start)] - ap50, 0) / len(others)
    each = np.stack(
        [one.as_default(one.precision() - COUNT_SHARE * one.count_error() / max(one.n_true, 1)) for one in own]
    )
    if not others and len(own) > 1:
        best = _nearest_as_good(start, each)
    else:
        best = _best(start, each.mean(axis=0).round(12), lost)
    return Chosen(*best, each[(slice(None), *_place(*best))])


def iter_calibrate_version(
    version: ModelVersion, learned: Sequence[Sample], general: Sequence[Sample], device: str = "auto"
) -> Generator[Progress, None, ModelVersion]:
    """Store the defaults in a version that :func:`iter_choose_defaults` finds for it, on what was learned."""
    chosen = yield from iter_choose_defaults(version, learned, general, device)
    return with_defaults(version, chosen)


def with_defaults(version: ModelVersion, chosen: Chosen) -> ModelVersion:
    """Store defaults in a version, unless they are its own."""
    if (chosen.threshold, chosen.min_size) == (version.threshold, version.min_size):
        return version
    return set_defaults(version, chosen.threshold, chosen.min_size)


def _best(start: tuple[float, int], worth: np.ndarray, lost: np.ndarray) -> tuple[float, int]:
    """Improve one setting at a time, as long as the general samples lose little."""
    best = start
    for _ in range(3):
        before = best
        for side in (0, 1):
            trials = [(t, best[1]) for t in WIDE_THRESHOLDS] if side == 0 else [(best[0], size) for size in WIDE_SIZES]
            for trial in trials:
                if worth[_place(*trial)] > worth[_place(*best)] and lost[_place(*trial)] <= LARGEST_LOSS:
                    best = trial
        if best == before:
            break
    return best


def _nearest_as_good(start: tuple[float, int], each: np.ndarray) -> tuple[float, int]:
    """Of the settings that images cannot distinguish from the best, the nearest to the given one."""
    thresholds, sizes = sorted({*WIDE_THRESHOLDS, start[0]}), sorted({*WIDE_SIZES, start[1]})
    costs = [-one[np.ix_([threshold_level(t) for t in thresholds], sizes)] for one in each]
    good = as_good_as_the_best(np.mean(costs, axis=0), costs, 0.0)
    trials = [(thresholds[row], sizes[column]) for row, column in np.argwhere(good)]
    return min(trials, key=lambda trial: (abs(trial[0] - start[0]) / 0.05 + abs(trial[1] - start[1]) / 10, trial))


def _place(threshold: float, min_size: int) -> tuple[int, int]:
    """Row and column of a setting in `Surfaces`."""
    return threshold_level(threshold), min_size


def _few(samples: Sequence[Sample]) -> list[Sample]:
    order = np.random.default_rng(0).permutation(len(samples))
    found: list[Sample] = []
    n_pixels = 0
    for i in order[:MOST_IMAGES]:
        n_pixels += samples[i].labels.size
        if found and n_pixels > MOST_PIXELS:
            break
        found.append(samples[i])
    return found
