"""Score, calibrate, train and fine-tune models from a script."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from ..evaluation.calibration_map import CalibrationMap, store_calibration
from ..evaluation.evaluate import Evaluation, iter_predict_samples, score
from ..evaluation.make_version import Made, iter_finetune_version, iter_train_version
from ..evaluation.measured import iter_calibrated
from ..imaging.errors import DatasetError
from ..imaging.progress import drain
from ..network.version_files import check_changeable
from ..network.versions import ModelVersion, load_model
from ..training.data.dataset_report import report_on
from ..training.data.fitting import divide
from ..training.data.loading import Loaded, iter_load
from ..training.data.reading import iter_training_images
from ..training.data.sample import Sample
from ..training.data.splitting import make_split
from ..training.data.training_files import check_fit
from ..training.finetune_params import FineTuneParams
from ..training.params import TrainParams
from ..training.runs import next_version_dir
from .asking import PathOf, RecipeOf, Settings, chosen_recipe
from .segmentation import Segmentation

# A dataset that `napari-cellseg train` reads, corrected images, or pairs of image and labels.
Known = PathOf | Sequence[Segmentation | Sample | tuple[np.ndarray, np.ndarray]]
Callback = Callable[[Any], object]


def evaluate(
    data: Known, recipe: RecipeOf = None, *, callback: Callback | None = None, **settings: Unpack[Settings]
) -> Evaluation:
    """Score a model on images with known cells.

    Parameters
    ----------
    data : path or sequence
        Zip, folder or file of images with masks, as ``napari-cellseg evaluate`` reads it; or segmentations that were
        corrected, of which the reviewed area counts; or pairs of image ``(Y, X)`` or ``(Y, X, 3)`` and labels.
    recipe : Recipe or path, optional
    callback : callable, optional
        Called with a `Progress` for each image; it may raise to cancel.
    **settings
        Of :class:`~napari_cellseg.api.asking.Settings`.

    Returns
    -------
    Evaluation
        ``to_dict()`` has average precision, F1, errors of counts and more, as means over images and for each kind.

    Raises
    ------
    CellsegError
        The images or the model cannot be used.
    """
    chosen, options = chosen_recipe(recipe, settings)
    samples = _loaded(data, callback).samples
    return score(samples, drain(iter_predict_samples(samples, chosen, options.device), _or_nothing(callback)))


def calibrate(
    data: Known,
    recipe: RecipeOf = None,
    *,
    goal: str = "count",
    set_defaults: bool = False,
    callback: Callback | None = None,
    **settings: Unpack[Settings],
) -> CalibrationMap:
    """Find the threshold and smallest size that suit a model best.

    Parameters
    ----------
    data : path or sequence
        As for `evaluate`; images that were not learned from.
    recipe : Recipe or path, optional
    goal : {'count', 'ap'}
        The lowest mean error of the count, or the highest average precision (mean over IoU .5 to .9).
    set_defaults : bool
        Store them as the model's defaults; a model that came with the package cannot be changed.
    callback : callable, optional
        Called with a `Progress`; it may raise to cancel.
    **settings
        Of :class:`~napari_cellseg.api.asking.Settings`.

    Returns
    -------
    CalibrationMap
        With `threshold`, `min_size` and the value at every place of the two sliders.

    Raises
    ------
    CellsegError
        The images or the model cannot be used or changed.
    """
    chosen, options = chosen_recipe(recipe, settings)
    model = chosen.load_model()
    if set_defaults:
        check_changeable(model)
    samples = _loaded(data, callback).samples
    found, _ = drain(iter_calibrated(samples, chosen, goal, device=options.device), _or_nothing(callback))
    if set_defaults:
        store_calibration(found, model)
    return found


def train(
    data: Known,
    out: PathOf,
    *,
    parent: str | Path | ModelVersion | None = None,
    validation: float = 0.1,
    size: int | None = None,
    fit: str = "crop",
    stop: Callable[[], bool] | None = None,
    callback: Callback | None = None,
    **params: Any,
) -> Made:
    """Train a model version, choose its threshold and smallest size on what was held out, and measure it there.

    Parameters
    ----------
    data : path or sequence
        As for `evaluate`.
    out : path
        Folder of the new version.
    parent : str, path or ModelVersion, optional
        Start from its weights.
    validation : float
        Part of the images that is held out; images of one group stay together.
    size, fit : int and {'crop', 'resize'}, optional
        Bring all images to `size` x `size` pixels.
    stop : callable, optional
        Asked before every step whether to end learning; the best version so far is then measured all the same.
    callback : callable, optional
        Called with every event of :mod:`napari_cellseg.training.events`.
    **params
        Of :class:`~napari_cellseg.training.params.TrainParams`, such as ``minutes``.

    Returns
    -------
    Made
        With `version` and `measured`.

    Raises
    ------
    CellsegError
        The images, the parameters or the folder cannot be used.
    """
    chosen = TrainParams(**params)
    loaded = _loaded(data, callback)
    split = make_split(loaded.samples, validation, chosen.seed, "group", loaded.report.duplicates)
    training, held_out, _ = divide(loaded.samples, split, size, fit)
    version = None if parent is None else _model(parent)
    steps = iter_train_version(
        training, held_out, out, chosen, version, split=split, stop=stop or _never, record={"command": "train"}
    )
    return drain(steps, _or_nothing(callback))


def finetune(
    data: Known,
    out: PathOf | None = None,
    *,
    parent: str | Path | ModelVersion = "cells",
    stop: Callable[[], bool] | None = None,
    callback: Callback | None = None,
    **params: Any,
) -> Made:
    """Make a new version of a model from corrected images, and compare it with its parent.

    Parameters
    ----------
    data : path or sequence
        A training set of the window, or as for `evaluate`: only what was reviewed is learned.
    out : path, optional
        Folder of the new version; by default a new one among the user's models.
    parent : str, path or ModelVersion
    stop, callback
        As for `train`.
    **params
        Of :class:`~napari_cellseg.training.finetune_params.FineTuneParams`, such as ``minutes``.

    Returns
    -------
    Made
        With `version` and `comparison`, whose `verdict` is whether the new version should be used.

    Raises
    ------
    CellsegError
        The images, the parameters or the folder cannot be used.
    """
    chosen = FineTuneParams(**params)
    version = _model(parent)
    if isinstance(data, (str, Path)):
        samples = drain(iter_training_images(Path(data)), _or_nothing(callback))
    else:
        samples = list(_loaded(data, callback).samples)
    folder = next_version_dir(version.name) if out is None else Path(out)
    steps = iter_finetune_version(samples, folder, version, chosen, stop=stop or _never, record={"command": "finetune"})
    return drain(steps, _or_nothing(callback))


def _model(parent: str | Path | ModelVersion) -> ModelVersion:
    return parent if isinstance(parent, ModelVersion) else load_model(parent)


def _loaded(data: Known, callback: Callback | None) -> Loaded:
    if isinstance(data, (str, Path)):
        return drain(iter_load(data), _or_nothing(callback))
    samples = tuple(_sample(one, number) for number, one in enumerate(data, 1))
    if not samples:
        raise DatasetError("No images are given. Give a folder of images with masks, or pairs of image and labels.")
    return Loaded(samples, report_on(samples, "", "images in memory"))


def _sample(one: Any, number: int) -> Sample:
    name = f"image_{number:03}"
    if isinstance(one, Sample):
        return one
    if isinstance(one, Segmentation):
        area = one.reviewed_area()
        check_fit(one.image.title, one.plane, one.labels, area)
        return Sample(name, one.plane, one.labels.astype(np.int32), group=one.image.source or name, reviewed=area)
    try:
        first, second = one
    except (TypeError, ValueError) as error:
        raise DatasetError(
            f"Entry {number} is no pair of image and labels, and no segmentation: {type(one).__name__}."
        ) from error
    image, labels = np.asarray(first), np.asarray(second)
    check_fit(name, image, labels, None)
    return Sample(name, image, labels.astype(np.int32), group=name)


def _or_nothing(callback: Callback | None) -> Callback:
    return callback or (lambda _: None)


def _never() -> bool:
    return False
