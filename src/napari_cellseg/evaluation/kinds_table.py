"""The kind of each image of a dataset, edited by the user and saved as a table that a training reads."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..imaging.errors import CellsegError, ParamsError
from ..imaging.home import user_home
from ..imaging.progress import Progress
from ..imaging.write.write import make_folder, write_table
from ..training.data.choice import DataChoice
from ..training.data.loading import Loaded, read_groups
from ..training.data.sample import Sample
from .kinds import iter_kinds


@dataclass(frozen=True)
class KindTable:
    """Kinds of images, and how often each is learned from.

    Attributes
    ----------
    images, kinds, groups : tuple of str
        Of one length. A kind may be empty; a group is the field of view.
    weights : dict of str to float
        Of the kinds whose weight was changed; above 0, relative to the part of the images that the others are.
    """

    images: tuple[str, ...]
    kinds: tuple[str, ...]
    groups: tuple[str, ...]
    weights: Mapping[str, float]

    def counts(self) -> dict[str, int]:
        """Images of each kind, the most frequent first."""
        found = Counter(self.kinds)
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def shares(self) -> dict[str, float]:
        """How often each kind is learned from: by default in proportion to its images."""
        return {kind: self.weights.get(kind, n / len(self.images)) for kind, n in self.counts().items()}

    def chosen_weights(self) -> dict[str, float]:
        """Return weights for a training; empty where none was changed."""
        if not any(kind in self.weights for kind in self.kinds):
            return {}
        return {kind: round(share, 6) for kind, share in self.shares().items()}

    def renamed(self, old: str, new: str) -> KindTable:
        """Rename a kind; with the name of another kind the two are merged.

        Raises
        ------
        ParamsError
            If the name is empty.
        """
        new = new.strip()
        if not new:
            raise ParamsError("A kind needs a name. To have fewer kinds give it the name of another one.")
        kinds = tuple(new if kind == old else kind for kind in self.kinds)
        weights = {new if kind == old and new not in self.kinds else kind: w for kind, w in self.weights.items()}
        return replace(self, kinds=kinds, weights={kind: w for kind, w in weights.items() if kind in kinds})

    def moved(self, images: Iterable[str], kind: str) -> KindTable:
        """Put images into a kind, perhaps a new one.

        Raises
        ------
        ParamsError
            If the name is empty.
        """
        names, kind = set(images), kind.strip()
        if not kind:
            raise ParamsError("Which kind are they? Choose one, or type the name of a new one.")
        kinds = tuple(kind if image in names else old for image, old in zip(self.images, self.kinds, strict=True))
        return replace(self, kinds=kinds, weights={kind: w for kind, w in self.weights.items() if kind in kinds})

    def weighted(self, kind: str, share: float) -> KindTable:
        """Learn from a kind more or less often."""
        return replace(self, weights={**self.weights, kind: share})

    def even(self) -> KindTable:
        """Learn from all kinds equally often."""
        kinds = self.counts()
        return replace(self, weights={kind: 1 / len(kinds) for kind in kinds})

    def unweighted(self) -> KindTable:
        """Learn from each kind as often as there are images of it."""
        return replace(self, weights={})

    def divided(self) -> list[str]:
        """Return the fields of view whose images are in more than one kind."""
        kinds: dict[str, set[str]] = defaultdict(set)
        for kind, group in zip(self.kinds, self.groups, strict=True):
            kinds[group].add(kind)
        return sorted(group for group, found in kinds.items() if len(found) > 1)

    def write(self, path: Path) -> None:
        """Write the table that a training reads: image_id, kind, group.

        Raises
        ------
        OutputError
            The system refused to write.
        """
        write_table(path, {"image_id": self.images, "kind": self.kinds, "group": self.groups})

    def keep(self, data: DataChoice, base: Path | None = None) -> Path:
        """Write the table into the user folder.

        Each content has its own file, so that a training that was stopped finds the table it began with.
        """
        content = "\n".join(",".join(row) for row in zip(self.images, self.kinds, self.groups, strict=True))
        folder, stem = _kept(data, base)
        make_folder(folder)
        path = folder / f"{stem}{_hash(content)}.csv"
        before = [other.stat().st_mtime_ns for other in _kept_tables(data, base)]
        self.write(path)
        # By its time it is found again as the last one, also where the clock was set back.
        now = max([time.time_ns(), *(n + 1 for n in before)])
        os.utime(path, ns=(now, now))
        return path


def table_of(samples: Sequence[Sample], known: Mapping[str, Mapping[str, str]] | None = None) -> KindTable:
    """Return the kinds that samples have, or that a table by image name gives them."""
    if known is None:
        kinds, groups = [s.kind for s in samples], [s.group for s in samples]
    else:
        rows = [known.get(s.name, {}) for s in samples]
        kinds = [row.get("kind") or "" for row in rows]
        groups = [row.get("group") or s.name for row, s in zip(rows, samples, strict=True)]
    names = tuple(s.name for s in samples)
    return KindTable(names, tuple(kinds), tuple(g or name for g, name in zip(groups, names, strict=True)), {})


def iter_by_looks(samples: Sequence[Sample], k: int) -> Generator[Progress, None, KindTable]:
    """Sort images into `k` kinds by their colours and intensities.

    Raises
    ------
    CellsegError
    """
    try:
        kinds = yield from iter_kinds(((s.name, s.image, s.group) for s in samples), len(samples), k)
    except (RuntimeError, MemoryError) as error:
        # Workers of superqt drop a RuntimeError silently.
        raise CellsegError(f"{type(error).__name__}: {error}. Close other programs, or use fewer images.") from error
    return KindTable(kinds.images, kinds.kinds, kinds.groups, {})


@dataclass(frozen=True)
class Source:
    """A source of kinds: a table on the disk, or, with neither `path` nor `given`, the look of the images."""

    title: str
    path: Path | None = None
    given: bool = False

    def table(self, data: DataChoice, loaded: Loaded) -> KindTable:
        """Read its kinds.

        Raises
        ------
        DatasetError
            If the table cannot be read.
        """
        return table_of(loaded.samples, None if self.path is None else read_groups(data.path, self.path))


def sources(data: DataChoice, loaded: Loaded, chosen: Path | None, base: Path | None = None) -> list[Source]:
    """Return the possible sources of kinds, the preferred one first."""
    found = [] if chosen is None else [Source(_title(chosen, data, base), chosen)]
    if any(sample.kind for sample in loaded.samples):
        found.append(Source("groups.csv of the images", None, True))
    newest = max(_kept_tables(data, base), key=lambda path: path.stat().st_mtime_ns, default=None)
    if newest is not None and newest != chosen:
        found.append(Source(_title(newest, data, base), newest))
    return [*found, Source("how they look")]


def _title(path: Path, data: DataChoice, base: Path | None) -> str:
    folder, _ = _kept(data, base)
    return "yours, kept last" if path.parent == folder else path.name


def _kept(data: DataChoice, base: Path | None) -> tuple[Path, str]:
    """Return folder and beginning of the names of the tables that are saved for a dataset."""
    stem = re.sub(r"[^\w.-]", "_", data.name)
    return base or user_home() / "kinds", f"{stem}-{_hash(str(data.path.absolute()))}-"


def _kept_tables(data: DataChoice, base: Path | None) -> list[Path]:
    folder, stem = _kept(data, base)
    return [path for path in folder.glob("*.csv") if path.name.startswith(stem)]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]
