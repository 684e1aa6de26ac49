"""Images with known cells that a model can be calibrated on. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...network.versions import ModelVersion
from ...training.data.choice import DataChoice
from .calibration_job import CalibrationSource


def sources_for(
    model: ModelVersion, data: DataChoice | None, training_set: Path | None
) -> tuple[CalibrationSource, ...]:
    """Return what there is: the images held out when it was trained first, since nothing flatters there.

    Parameters
    ----------
    model : ModelVersion
    data : DataChoice or None
        The images with masks that are chosen in the Train widget.
    training_set : Path or None
        The folder of corrected images, if it holds any.
    """
    found = []
    # Of some images parts were held out and parts learned from; they count as learned from.
    held_out = set(model.training.get("validation_images") or ()) - set(model.training.get("training_images") or ())
    record = model.training.get("data") or {}
    # Windows cut from images have names that the dataset does not know.
    if held_out and record.get("dataset") and not record.get("size") and Path(record["dataset"]).exists():
        title = f"{len(held_out)} images held out when it was trained"
        found.append(CalibrationSource(title, (*_words(record), "--only", "validation")))
    if data is not None:
        found.append(CalibrationSource(data.name, tuple(data.words())))
    if training_set is not None:
        found.append(CalibrationSource("my corrections", (str(training_set),)))
    return tuple(found)


def _words(record: Mapping[str, Any]) -> list[str]:
    """Return a dataset, as a training record names it, as words of the command line."""
    words = [str(record["dataset"])]
    for name in ("masks", "groups"):
        words += [f"--{name}", str(record[name])] if record.get(name) else []
    words += ["--classes"] if record.get("classes") else []
    for kind in record.get("kinds") or ():
        words += ["--kind", str(kind)]
    return words
