"""Find the threshold and min_size that suit a model, on images whose cells are known."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import cache

import numpy as np

from ..imaging.image import as_image
from ..imaging.progress import Progress, drain
from ..instances.metrics import MatchResult, match
from ..network.versions import ModelVersion, set_defaults, usual_min_size
from ..segmentation.recipe import Recipe
from ..segmentation.segment import iter_predict_image
from ..segmentation.segmented import Segmented
from ..training.data.datasets import Sample
from ..training.data.hold_out import count_cells, keep_inside, reviewed_area
from .evaluate import STANDARD_IOUS

CALIBRATION_THRESHOLDS = tuple(round(0.3 + 0.05 * i, 2) for i in range(10))
CALIBRATION_SIZES = (0, 8, 12, 16, 20, 25, 30, 40)
# Of a version that was fine-tuned: its probabilities are less well known than those of a long training.
WIDE_THRESHOLDS = tuple(round(0.2 + 0.05 * i, 2) for i in range(15))
WIDE_SIZES = (0, 8, 12, 16, 20, 25, 30, 40, 60, 80, 100)
COUNT_SHARE = 0.1
LARGEST_LOSS = 0.005
MOST_IMAGES = 16
MOST_PIXELS = 16_000_000


def calibrate(
    samples: Sequence[Sample],
    predicted: Sequence[Segmented],
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> tuple[float, int]:
    """Find the threshold and min_size of the highest mean AP (IoU .5 to .9, mean over images).

    Parameters
    ----------
    samples, predicted : sequences of equal length
        Cells that lie more than half outside of a sample's reviewed area do not count, true and predicted ones alike.
    on_progress : callable
        Called after each combination tried.

    Returns
    -------
    threshold : float
    min_size : int
        The default to be: it counts as :func:`napari_cellseg.network.versions.usual_min_size` says.
        Among equals the ones nearest to 0.5 and to the smallest size.
    """
    best = (-1.0, 0.5, 0)
    n_total = len(CALIBRATION_THRESHOLDS) * len(CALIBRATION_SIZES)
    trials = [(t, s) for t in sorted(CALIBRATION_THRESHOLDS, key=lambda t: abs(t - 0.5)) for s in CALIBRATION_SIZES]
    for i, (threshold, min_size) in enumerate(trials):
        figure = float(np.mean([found.ap.mean() for found in _matches(samples, predicted, threshold, min_size)]))
        best = max(best, (figure, threshold, min_size), key=lambda trial: trial[0])
        on_progress(Progress(i + 1, n_total, "calibrating"))
    return best[1], best[2]


def _ap50(samples: Sequence[Sample], predicted: Sequence[Segmented], threshold: float, min_size: int) -> np.ndarray:
    """AP50 of each image."""
    matches = _matches(samples, predicted, threshold, min_size)
    return np.array([found.ap[0] for found in matches])


def _matches(
    samples: Sequence[Sample], predicted: Sequence[Segmented], threshold: float, min_size: int
) -> list[MatchResult]:
    found = []
    for sample, segmented in zip(samples, predicted, strict=True):
        area = reviewed_area(sample)
        smallest = usual_min_size(min_size, segmented.prediction.diameter)
        shown = keep_inside(segmented.labels(threshold, smallest), area)
        found.append(match(keep_inside(sample.labels, area), shown, STANDARD_IOUS))
    return found


def iter_calibrate_version(
    version: ModelVersion, learned: Sequence[Sample], general: Sequence[Sample], device: str = "auto"
) -> Generator[Progress, None, ModelVersion]:
    """Choose a fine-tuned version's threshold and min_size anew, and store them in it.

    They are chosen on what was learned, never on what is held out, for the highest AP (.5 to .9) less a tenth of the
    count's relative error; but only among settings that cost the general samples at most 0.005 of their AP50, where
    what one of them gains does not make up for what another loses. One setting is improved at a time.

    Parameters
    ----------
    version : ModelVersion
    learned : sequence of Sample
        At most 16 images and 16 million pixels of them are looked at. Without a cell in them nothing changes.
    general : sequence of Sample
        Whose cells are known and were not forgotten.
    device : str

    Yields
    ------
    Progress

    Returns
    -------
    ModelVersion
        With the new defaults.
    """
    chosen = _few([sample for sample in learned if count_cells([sample])])
    if not chosen:
        return version
    predicted, n_total = [], len(chosen) + len(general)
    for i, sample in enumerate((*chosen, *general)):
        yield Progress(i, n_total, "calibrating")
        recipe = Recipe(model=str(version.path))
        predicted.append(drain(iter_predict_image(as_image(sample.image, name=sample.name), recipe, device)))
    own, others = predicted[: len(chosen)], predicted[len(chosen) :]

    known = _ap50(general, others, version.threshold, version.min_size)

    @cache
    def lost(threshold: float, min_size: int) -> float:
        return float(np.maximum(known - _ap50(general, others, threshold, min_size), 0).mean()) if general else 0.0

    @cache
    def worth(threshold: float, min_size: int) -> float:
        matches = _matches(chosen, own, threshold, min_size)
        errors = [abs(found.n_pred - found.n_true) / max(found.n_true, 1) for found in matches]
        return float(np.mean([found.ap.mean() for found in matches]) - COUNT_SHARE * np.mean(errors))

    best = start = (version.threshold, version.min_size)
    for _ in range(3):
        before = best
        for side in (0, 1):
            trials = [(t, best[1]) for t in WIDE_THRESHOLDS] if side == 0 else [(best[0], size) for size in WIDE_SIZES]
            for trial in trials:
                yield Progress(n_total, n_total, "calibrating")
                if worth(*trial) > worth(*best) and lost(*trial) <= LARGEST_LOSS:
                    best = trial
        if best == before:
            break
    return version if best == start else set_defaults(version, *best)


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
