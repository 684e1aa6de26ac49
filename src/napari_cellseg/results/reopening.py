"""Which image a saved label file belongs to, and how its cells were made: what it takes to go on with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..corrections.exchange import BY_KEY, KEY
from ..corrections.run_lengths import known_of
from ..imaging.errors import CellsegError
from ..imaging.image import Image
from ..imaging.read.formats import SUFFIXES
from ..imaging.read.read import read_image
from ..imaging.read.scenes import file_of
from ..imaging.write.write import read_metadata
from ..segmentation.recipe import Recipe
from .ledger import Ledger


@dataclass(frozen=True)
class SavedCells:
    """A file of labels that this package wrote.

    Attributes
    ----------
    path : Path
    image : str
        Name of the image.
    sha256 : str
        Hash of its values; empty where the file holds none.
    recipe : Recipe or None
        What gives the automatic cells again; None where only the labels are left of them.
    count : int or None
        Number of cells in it.
    corrected : bool
        Whether it holds the corrections beside the labels.
    n_planes : int
        Planes of a stack of labels, which holds the labels alone; 0 for the labels of one plane.
    by : mapping of str to int
        Whose corrections it holds; see `Corrections.known`.
    """

    path: Path
    image: str
    sha256: str
    recipe: Recipe | None
    count: int | None
    corrected: bool
    n_planes: int = 0
    by: Mapping[str, int] = field(default_factory=dict)

    def is_of(self, image: Image) -> bool:
        """Whether an image is the one; without a hash its name decides."""
        if self.sha256:
            return bool(image.content_hash() == self.sha256)
        return Path(image.name).stem == Path(self.image).stem

    def find_image(self) -> Path | None:
        """Return the image's file, at the path in the results or beside them; None where it is not found."""
        for path in dict.fromkeys(self._candidates()):
            try:
                if file_of(path).is_file() and self.is_of(read_image(path)):
                    return path
            except CellsegError:
                continue
        return None

    def _candidates(self) -> Iterator[Path]:
        folder = self.path.parent
        try:
            rows = Ledger(folder).rows()
        except CellsegError:
            rows = ()
        for row in rows:
            if row.files.get("labels") == self.path.name and row.source.get("path"):
                yield Path(row.source["path"])
        for place in (folder, folder.parent):
            yield place / Path(self.image).name
            yield from (place / f"{Path(self.image).name}{suffix}" for suffix in SUFFIXES)


def saved_cells(path: str | Path) -> SavedCells | None:
    """Return the metadata of the cells in a label TIFF of this package; None for any other file."""
    path = Path(path)
    if path.suffix.lower() not in (".tif", ".tiff") or not path.is_file():
        return None
    try:
        about = read_metadata(path)
    except CellsegError:
        return None
    image: Any = about.get("image")
    if not isinstance(about.get("recipe"), dict) or not isinstance(image, (dict, str)):
        return None
    planes = about.get("counts", {})
    # Cells that are linked over planes are no cells of these.
    if not isinstance(planes, dict) or about["recipe"].get("link", "none") != "none":
        return None
    named = image if isinstance(image, dict) else {"name": image}
    count, has_record = about.get("count"), isinstance(about.get(KEY), dict)
    # Corrections without a record of them, as files of earlier versions have, are in the labels alone.
    lost = bool(about.get("corrected")) and not (has_record or planes)
    recipe = None if about.get("taken_from") or lost else _recipe(about["recipe"])
    return SavedCells(
        path,
        str(named.get("name", "")),
        str(named.get("sha256", "")),
        recipe,
        count if isinstance(count, int) else None,
        has_record,
        len(planes),
        known_of(about.get(BY_KEY)),
    )


def _recipe(values: dict[str, Any]) -> Recipe | None:
    """Return a recipe whose model is there; None where it is not."""
    try:
        recipe = Recipe.from_dict(values)
        recipe.load_model()
    except (CellsegError, TypeError):
        return None
    return recipe
