"""Images with masks from elsewhere that are to be learned from, as the window knows them. No Qt, no torch."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...network.versions import bundled_models_dir, user_models_dir
from .dataset_report import DatasetReport
from .loading import Loaded

SKIPPED, ODD, TWICE, READY = "skipped", "odd", "twice", "ready"


@dataclass(frozen=True)
class DataChoice:
    """Where images with masks lie.

    Attributes
    ----------
    path : Path
        A folder, zip or ``.npz``; the folder of images where `masks` is given.
    masks : Path or None
    classes : bool
        Each connected piece of one value of a mask is a cell.
    """

    path: Path
    masks: Path | None = None
    classes: bool = False

    @property
    def name(self) -> str:
        """A short name for it."""
        # Folders of images are mostly called "images".
        return self.path.parent.name or self.path.name if self.masks is not None else self.path.name

    def words(self) -> list[str]:
        """Return it as words of the command line."""
        masks = ["--masks", str(self.masks)] if self.masks is not None else []
        return [str(self.path), *masks, *(["--classes"] if self.classes else [])]

    def __str__(self) -> str:
        masks = [] if self.masks is None else [f"masks: {self.masks}"]
        return "\n".join([str(self.path), *masks, *(["each piece of a class is a cell"] if self.classes else [])])


@dataclass(frozen=True)
class DataRow:
    """One image of a dataset: cells, size, state; `index` is its sample's, or None."""

    name: str
    n_cells: int | None
    size: str
    state: str
    why: str = ""
    index: int | None = None


def data_rows(loaded: Loaded) -> list[DataRow]:
    """Return a row for each image: first those skipped, then those that look odd, then the rest."""
    report = loaded.report
    why: Mapping[str, list[str]] = defaultdict(list)
    for name, reason in report.suspicious:
        why[name].append(reason)
    twice = {name: names for names in report.duplicates for name in names}
    skipped = [DataRow(name, None, "", SKIPPED, reason) for name, reason in report.skipped]
    odd: list[DataRow] = []
    rest: list[DataRow] = []
    for i, sample in enumerate(loaded.samples):
        reasons = list(why.get(sample.name, ()))
        if sample.name in twice:
            others = [name for name in twice[sample.name] if name != sample.name]
            reasons.append(f"its pixels are the same as those of {', '.join(others[:3])}")
        state = ODD if sample.name in why else TWICE if sample.name in twice else READY
        height, width = sample.labels.shape
        n_cells = int(np.count_nonzero(np.unique(sample.labels)))
        row = DataRow(sample.name, n_cells, f"{height} × {width}", state, "; ".join(reasons), i)
        (rest if state == READY else odd).append(row)
    return [*skipped, *odd, *rest]


def summary(report: DatasetReport) -> str:
    """Return a line that describes what a dataset holds."""
    parts = [f"{report.n_images:,} image{'' if report.n_images == 1 else 's'}, {report.n_cells:,} cells"]
    n_twice = sum(len(names) for names in report.duplicates)
    n_odd = len({name for name, _ in report.suspicious})
    for n, word in ((len(report.skipped), SKIPPED), (n_odd, ODD), (n_twice, TWICE)):
        parts += [f"{n} {word}"] if n else []
    return "; ".join(parts)


def scratch_version_dir(choice: DataChoice, base: Path | None = None) -> Path:
    """Return the folder of a version that starts from nothing: ``plate v1``, then ``plate v2``."""
    base = base or user_models_dir()
    stem = choice.name if choice.path.is_dir() or choice.masks else choice.path.stem
    stem = re.sub(r"[^\w. -]", "_", stem).strip(" .") or "model"
    i = 1
    while (base / f"{stem} v{i}").exists() or (bundled_models_dir() / f"{stem} v{i}").exists():
        i += 1
    return base / f"{stem} v{i}"
