"""Files with the images held out and the kind of each image: checked, and described in words. No Qt, no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...imaging.errors import DatasetError
from .loading import Loaded, read_groups
from .sample import Sample
from .splitting import apply_split, read_split

SHOWN_KINDS = 4


@dataclass(frozen=True)
class FileChoice:
    """The user's choices for a dataset; None and empty where nothing was chosen.

    Attributes
    ----------
    split, groups : Path or None
        A split.json or training.json, and a CSV with image_id, kind and group.
    weights : dict of str to float
        How often each kind is learned from; empty: as often as there are images of it.
    """

    split: Path | None = None
    groups: Path | None = None
    weights: Mapping[str, float] = field(default_factory=dict)

    def words(self) -> tuple[str, ...]:
        """Return it as words of the command line."""
        words = [] if self.split is None else ["--split", str(self.split)]
        words += [] if self.groups is None else ["--groups", str(self.groups)]
        # In one word: a kind may begin with a dash.
        return (*words, *(f"--kind-weight={kind}={weight:g}" for kind, weight in self.weights.items()))


def describe_split(path: Path, samples: Sequence[Sample] | None) -> str:
    """Describe what a split makes of the images; without images, what it names.

    Raises
    ------
    DatasetError
        If it cannot be used with them.
    """
    split = read_split(path)
    n_learned, n_held_out = len(split.training), len(split.validation)
    notes: Sequence[str] = ()
    if samples is not None:
        training, validation, notes = apply_split(samples, split)
        n_learned, n_held_out = len(training), len(validation)
    alone = "" if n_held_out else "How good the model is stays unknown."
    parts = [f"{n_learned:,} to learn from, {n_held_out:,} held out.", alone, *notes]
    return " ".join(part for part in parts if part)


def describe_groups(path: Path, dataset: Path, loaded: Loaded | None) -> str:
    """Describe which kinds a table of groups names, of the images that there are.

    Raises
    ------
    DatasetError
        If it cannot be read, or knows none of the images.
    """
    table = read_groups(dataset, path)
    names = list(table) if loaded is None else [sample.name for sample in loaded.samples]
    known = [name for name in names if name in table]
    if names and not known:
        other = f", but has '{next(iter(table))}'" if table else ""
        raise DatasetError(
            f"{path.name} knows none of these images: it lacks '{names[0]}'{other}. Choose a table with these names."
        )
    kinds = Counter(table[name].get("kind") or "" for name in known)
    shown = ", ".join(f"{n:,} {kind or 'without a kind'}" for kind, n in kinds.most_common(SHOWN_KINDS))
    more = f" and {len(kinds) - SHOWN_KINDS} more kinds" if len(kinds) > SHOWN_KINDS else ""
    missing = len(names) - len(known)
    alone = f" {missing:,} images are not in it: each is its own group." if missing else ""
    return f"{shown}{more}.{alone}"


def describe_weights(weights: Mapping[str, float]) -> str:
    """Describe how often kinds are learned from."""
    total = sum(weights.values())
    if not total:
        return ""
    parts = ", ".join(f"{100 * weight / total:.0f} % {kind or 'without a kind'}" for kind, weight in weights.items())
    return f"Learned from: {parts}."
