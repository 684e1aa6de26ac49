"""Read the counts of a batch, to be compared with manual ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...imaging.errors import CellsegError
from ...network.versions import ModelVersion
from ...results.counts import COUNTS_FILE, in_order, read_counts
from ...results.ledger import Ledger
from ...segmentation.recipe import RECIPE_FILE, Recipe
from .store import Settings, image_id


@dataclass(frozen=True)
class BatchCount:
    """One image of a batch.

    Parameters
    ----------
    sha256, page : str
        Hash of its values, and its page.
    image : str
        Its name, with its page.
    count : int
    path : str
        Its file, where that is known and holds one plane.
    positive : dict of str to int
        How many cells are positive, and of each class; see `Counted.numbers`.
    """

    sha256: str
    page: str
    image: str
    count: int
    path: str = ""
    positive: Mapping[str, int] = field(default_factory=dict)

    def number(self, cells: str) -> int | None:
        """Number of some cells, such as ``GFP_pos``, or of all; None where they were not called."""
        return self.positive.get(cells) if cells else self.count


@dataclass(frozen=True)
class BatchCounts:
    """Counts of a batch with the settings of its last run.

    Parameters
    ----------
    folder : Path
        Of the results.
    model : ModelVersion
    recipe : Recipe
    counts : tuple of BatchCount
    n_corrected, n_others : int
        Images that were skipped: manually corrected, or counted with other settings or by an older version.
    """

    folder: Path
    model: ModelVersion
    recipe: Recipe
    counts: tuple[BatchCount, ...]
    n_corrected: int = 0
    n_others: int = 0

    def settings(self, cells: str = "") -> Settings:
        """Return the settings of the counts of some cells, or of all."""
        return Settings.from_recipe(self.recipe, self.model, cells)

    def id_of(self, one: BatchCount, cells: str = "") -> str:
        """Return the id of an image; see `store.image_id`."""
        return image_id(one.sha256, self.recipe.channel, one.page, cells)

    @property
    def left_out(self) -> str:
        """A sentence on the skipped images; empty where there are none."""
        return left_out_in_words({"corrected by you": self.n_corrected, "counted with other settings": self.n_others})


def left_out_in_words(numbers: Mapping[str, int]) -> str:
    """Return a sentence on how many images were skipped, and why; empty where none was."""
    parts = [f"{n:,} {why}" for why, n in numbers.items() if n]
    return f"Skipped: {' and '.join(parts)}." if parts else ""


def read_batch(path: str | Path) -> BatchCounts:
    """Read the counts of a batch.

    Parameters
    ----------
    path : path-like
        A folder of results, or the ``counts.csv`` in it.

    Raises
    ------
    CellsegError
        It holds no results, its model is not there, or nothing of it can be compared.
    """
    folder = Path(path)
    folder = folder.parent if folder.name == COUNTS_FILE else folder
    ledger = Ledger(folder)
    rows = list(ledger.rows()) if ledger.exists else read_counts(folder / COUNTS_FILE)
    if not rows or not (folder / RECIPE_FILE).is_file():
        raise CellsegError(
            f"{folder} holds no results of a batch. Choose the folder in which {COUNTS_FILE} and {RECIPE_FILE} lie."
        )
    recipe = Recipe.read(folder / RECIPE_FILE)
    model = recipe.load_model()
    recipe = recipe.resolved(model)
    digest = recipe.digest(model)
    counted = [row for row in in_order(rows) if row.has_result and row.count is not None]
    by_model = [row for row in counted if not row.corrected]
    same = [row for row in by_model if row.recipe == digest and row.image_sha256]
    if not same:
        raise CellsegError(
            f"None of the {len(counted)} results in {folder} is a count by {model.name} with its last "
            "settings that was not corrected. Run the batch again, or choose another folder."
        )
    found = [
        BatchCount(
            row.image_sha256,
            row.page,
            row.title,
            int(row.count or 0),
            "" if row.page else str(row.source.get("path", "")),
            row.positive,
        )
        for row in same
    ]
    # Two files of the same content are one image.
    once = tuple({(one.sha256, one.page): one for one in found}.values())
    return BatchCounts(folder, model, recipe, once, len(counted) - len(by_model), len(by_model) - len(same))
