"""The bundled general samples: crops that a model must not forget, and crops that show whether it did."""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

from ...imaging.errors import DatasetError
from .datasets import Sample, read_dataset

FOLDER = Path(__file__).resolve().parents[2] / "models" / "general"


def general_samples(role: str, folder: Path = FOLDER) -> list[Sample]:
    """Read the general samples of one role.

    Parameters
    ----------
    role : {'learn', 'check'}
        ``learn``: mixed in while a model is fine-tuned. ``check``: never learned from.

    Raises
    ------
    DatasetError
        If the package has lost them.
    """
    table = folder / "groups.csv"
    try:
        with open(table, newline="", encoding="utf-8") as file:
            names = {row["image_id"] for row in csv.DictReader(file) if row.get("role") == role}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise DatasetError(
            f"The general samples in {folder} cannot be read ({error}). Install napari-cellseg again."
        ) from error
    return [sample for sample in _all_of(folder) if sample.name in names]


@lru_cache(maxsize=1)
def _all_of(folder: Path) -> tuple[Sample, ...]:
    # A fine-tuning asks three times: to see whether its images are unlike these, to learn from, and to compare.
    return tuple(read_dataset(folder))
