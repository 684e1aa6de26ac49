"""Which image of a batch goes to which files."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..imaging.errors import ParamsError
from .rows import BatchRow

# The names of files of single pages end like this: "A01_t003_z001_labels.tif".
_PAGE = re.compile(r"_(t\d+(_z\d+)?|z\d+)$")


@dataclass(frozen=True)
class Item:
    """One image of a batch.

    Attributes
    ----------
    path : Path
        Where it is: a file, or the folder of a Zarr image.
    name : str
        How it is called in the results.
    stem : str
        What its files begin with, relative to the folder of results, with ``/``; no two images share one.
    """

    path: Path
    name: str
    stem: str


def plan(files: Sequence[tuple[Path, str]], known: Iterable[BatchRow] = ()) -> list[Item]:
    """Give every image a stem: its name without suffix, folders kept, equal ones told apart.

    Parameters
    ----------
    files : sequence of (Path, str)
        Where an image is, and how it is called.
    known : iterable of BatchRow
        What the folder of results holds: an image keeps the stem that it had, also where it was moved, and takes none
        of an image that is not among `files` and still lies where it lay.

    Raises
    ------
    ParamsError
        If a name leads out of the folder of results.
    """
    names = _Names()
    before: dict[tuple[str, str], str] = {}
    by_name: dict[str, list[tuple[str, str]]] = {}
    for row in known:
        path = str(row.source.get("path", ""))
        if (row.image, path) not in before:
            before[row.image, path] = row.stem
            by_name.setdefault(row.image, []).append((path, row.stem))
    stems: list[str | None] = [before.get((name, str(path.absolute()))) for path, name in files]
    given = {str(path.absolute()) for path, _ in files}
    spoken_for = set(stems)
    for i, (here, name) in enumerate(files):
        if stems[i] is None:
            # The same image in another place: the folder was moved, or is seen from another machine.
            moved = (
                stem
                for path, stem in by_name.get(name, ())
                if path not in given and stem not in spoken_for and not _is_another(path, here)
            )
            stems[i] = next(moved, None)
            spoken_for.add(stems[i])
    for stem in before.values():
        names.take(stem)
    return [
        Item(path.absolute(), name, names.new(name) if stem is None else stem)
        for (path, name), stem in zip(files, stems, strict=True)
    ]


def _is_another(path: str, here: Path) -> bool:
    """Whether an image that has results still lies there, and is another file than the one of equal name."""
    try:
        return bool(path) and not os.path.samefile(path, here)
    except OSError:
        return False


class _Names:
    """Stems that are taken; some file systems do not tell upper from lower case."""

    def __init__(self) -> None:
        self._stems: set[str] = set()
        self._of_pages: set[str] = set()

    def take(self, stem: str) -> None:
        folded = stem.casefold()
        self._stems.add(folded)
        self._of_pages.add(_PAGE.sub("", folded))

    def new(self, name: str) -> str:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or not pure.name:
            raise ParamsError(f"An image is called '{name}', but names of images lead into the folder of results.")
        stem = next(stem for stem in _candidates(pure) if self._is_free(stem.casefold()))
        self.take(stem)
        return stem

    def _is_free(self, folded: str) -> bool:
        """Whether neither the stem nor a page of its files is, or has as a page, one that is taken."""
        return not {folded, _PAGE.sub("", folded)} & self._stems and folded not in self._of_pages


def _candidates(pure: PurePosixPath) -> Iterator[str]:
    suffix = pure.suffix.lstrip(".") or "file"
    # Two images of one page number differ in their page all the same: the number goes in front of it.
    page = _PAGE.search(pure.stem)
    body, end = (pure.stem[: page.start()], page.group()) if page else (pure.stem, "")
    # Not one tuple: the numbers never end.
    for middle in itertools.chain(("", f"_{suffix}"), (f"_{number}" for number in itertools.count(2))):
        yield str(pure.parent / f"{body}{middle}{end}") if middle else str(pure.parent / pure.stem)
