"""Which images are learned from and which are held out, kept in a file to be used again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...imaging.errors import CellsegError, DatasetError
from ...imaging.read.values.json_file import read_json
from ...imaging.write.write import write_json
from .datasets import Sample, split_by_group

SPLIT_FILE = "split.json"
FORMAT = 1


@dataclass(frozen=True)
class Split:
    """Names of the images on both sides.

    Parameters
    ----------
    training, validation : tuple of str
    by : {'group', 'image', 'file'}
        What was never divided; ``file``: the split was given.
    fraction : float
        Part that was asked for.
    seed : int
    notes : tuple of str
        What the user should know.
    """

    training: tuple[str, ...]
    validation: tuple[str, ...]
    by: str = "group"
    fraction: float = 0.1
    seed: int = 0
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the split as JSON-able values."""
        return {"format": FORMAT, **asdict(self)}


def make_split(
    samples: Sequence[Sample],
    fraction: float = 0.1,
    seed: int = 0,
    by: str = "group",
    duplicates: Sequence[Sequence[str]] = (),
) -> Split:
    """Split samples, kind by kind; images with the same pixels are never on both sides.

    Parameters
    ----------
    samples : sequence of Sample
    fraction : float
        Part of each kind's images that is held out, 0 to below 1.
    seed : int
        The same samples and seed give the same split.
    by : {'group', 'image'}
        Never divide a group (tiles of one field of view), or look at each image alone.
    duplicates : sequence of sequences of str
        Names of images with the same pixels.
    """
    if by not in ("group", "image"):
        raise CellsegError(f"Images are split by 'group' or by 'image', not by {by!r}.")
    own = [replace(s, group=s.name) for s in samples] if by == "image" else list(samples)
    _, validation = split_by_group(own, fraction, seed)
    validation_names, moved = _apart({s.name for s in validation}, own, duplicates)
    notes = []
    if moved:
        notes.append(
            f"{len(moved)} image(s) were held out whose pixels are also among the images to learn from; "
            f"they, and what is in a group with them, are learned from: {', '.join(moved[:5])}."
        )
    if fraction and not validation_names:
        groups = len({(s.kind, s.group) for s in own})
        notes.append(
            f"No image can be held out: there {'is' if groups == 1 else 'are'} {len(samples)} image(s) in {groups} "
            f"{by}(s), and each kind keeps one to learn from."
        )
    return Split(
        tuple(s.name for s in own if s.name not in validation_names),
        tuple(s.name for s in own if s.name in validation_names),
        by,
        fraction,
        seed,
        tuple(notes),
    )


def _apart(
    held_out: set[str], samples: Sequence[Sample], duplicates: Sequence[Sequence[str]]
) -> tuple[set[str], list[str]]:
    """Move held-out images whose twin is learned from, with their groups, until none is left."""
    group_of = {s.name: (s.kind, s.group) for s in samples}
    held_out, moved = set(held_out), list[str]()
    while True:
        known = [[name for name in names if name in group_of] for names in duplicates]
        torn = [name for names in known if any(n not in held_out for n in names) for name in names if name in held_out]
        if not torn:
            return held_out, moved
        moved += torn
        groups = {group_of[name] for name in torn}
        held_out -= {name for name in held_out if group_of[name] in groups}


def write_split(path: str | Path, split: Split) -> None:
    """Write a split as JSON."""
    write_json(path, split.to_dict())


def read_split(path: str | Path) -> Split:
    """Read a split, or the training record of a model version, which names the same images.

    Raises
    ------
    DatasetError
        If the file is none.
    """
    path = Path(path)
    try:
        values = read_json(path)
        names = [values.get(side, values.get(f"{side}_images")) for side in ("training", "validation")]
        sides = [tuple(str(name) for name in side) for side in names if isinstance(side, list)]
        if len(sides) < 2:
            raise ValueError("it lacks the lists training and validation")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DatasetError(
            f"{path} is not a split ({error}). Give a split.json or training.json that a training has left."
        ) from error
    both = sorted(set(sides[0]) & set(sides[1]))
    if both:
        raise DatasetError(f"The split {path} has {both[0]} on both sides. Take it off one of them.")
    return Split(sides[0], sides[1], "file")


def apply_split(samples: Sequence[Sample], split: Split) -> tuple[list[Sample], list[Sample], list[str]]:
    """Return the samples to learn from, those held out, and what does not fit.

    Raises
    ------
    DatasetError
        If nothing is left to learn from.
    """
    sides = [set(split.training), set(split.validation)]
    training, validation = ([s for s in samples if s.name in side] for side in sides)
    notes = []
    names = {s.name for s in samples}
    if missing := sorted((sides[0] | sides[1]) - names):
        notes.append(f"{len(missing)} image(s) of the split are not in the dataset, such as {missing[0]}.")
    if more := sorted(names - sides[0] - sides[1]):
        notes.append(f"{len(more)} image(s) are not in the split and are skipped, such as {more[0]}.")
    if not training:
        raise DatasetError("None of the images to learn from that the split names is in the dataset. Give its own one.")
    return training, validation, notes
