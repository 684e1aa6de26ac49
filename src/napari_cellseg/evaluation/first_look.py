"""Find out whether a model knows images like the reviewed ones, before it is fine-tuned on them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from ..imaging.progress import Progress
from ..instances.measure import typical_diameter
from ..instances.metrics import summarize
from ..network.versions import LARGEST_DIAMETER, ModelVersion
from ..segmentation.recipe import Recipe
from ..training.data.hold_out import count_cells
from ..training.data.sample import Sample
from .evaluate import match_reviewed, predict_sample

# Below this F1 at IoU .5 the images are of a new kind; so many cells are needed for that verdict.
KNOWN_F1, FEWEST_CELLS = 0.5, 4
MOST_IMAGES, MOST_PIXELS = 8, 4_000_000


@dataclass(frozen=True)
class FirstLook:
    """How well a model finds the reviewed cells with their size given.

    Parameters
    ----------
    f1 : float
        At IoU .5, over all cells.
    n_cells : int
        True cells in the reviewed areas that were looked at.
    parent : str
        Name of the model.
    """

    f1: float
    n_cells: int
    parent: str

    @property
    def new_kind(self) -> bool:
        """Whether the model does not know images like these."""
        return self.n_cells >= FEWEST_CELLS and self.f1 < KNOWN_F1

    def in_words(self) -> str:
        """Return what follows for a fine-tune, and why, in a sentence."""
        found = (
            f"{self.parent} finds the {self.n_cells} reviewed cells with F1 {self.f1:.2f} (cells matched at IoU 0.5)"
        )
        if self.new_kind:
            return f"Approach thorough: {found}, so these images are of a kind that is new to it."
        if self.n_cells < FEWEST_CELLS:
            return f"Approach gentle: {self.n_cells} reviewed cells are too few to see whether they are of a new kind."
        return f"Approach gentle: {found}, so it knows images like these."


def iter_first_look(
    samples: Sequence[Sample], parent: ModelVersion, device: str = "auto"
) -> Generator[Progress, None, FirstLook]:
    """Compare what a model finds, with the size of the cells given, to the reviewed cells.

    Parameters
    ----------
    samples : sequence of Sample
        At most 8 images and 4 million pixels of them are looked at, those with most cells first.
    parent : ModelVersion
    device : str

    Yields
    ------
    Progress

    Returns
    -------
    FirstLook
    """
    n_cells = {id(sample): count_cells([sample]) for sample in samples}
    chosen: list[Sample] = []
    for sample in sorted(samples, key=lambda one: -n_cells[id(one)])[:MOST_IMAGES]:
        n_pixels = sum(one.labels.size for one in (*chosen, sample))
        if n_cells[id(sample)] and (not chosen or n_pixels <= MOST_PIXELS):
            chosen.append(sample)
    matches = []
    for i, sample in enumerate(chosen):
        yield Progress(i, len(chosen), "looking at the images")
        size = min(max(typical_diameter(sample.labels) or 1.0, 1.0), LARGEST_DIAMETER)
        recipe = Recipe(model=str(parent.path), diameter=size)
        matches.append(match_reviewed(sample, predict_sample(sample, recipe, device).labels()))
    f1 = float(summarize(matches)["f1_pooled"]) if matches else 0.0
    return FirstLook(f1, sum(one.n_true for one in matches), parent.name)
