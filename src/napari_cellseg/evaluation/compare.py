"""Compare a fine-tuned version with its parent: on held-out images, and on general ones that it may have forgotten."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..imaging.errors import CellsegError
from ..imaging.progress import Progress
from ..imaging.read.values.json_file import read_as
from ..imaging.write.write import write_json
from ..instances.metrics import MatchResult, match, summarize
from ..network.versions import ModelVersion
from ..segmentation.recipe import Recipe
from ..training.data.datasets import Sample
from ..training.data.hold_out import HeldOut, keep_inside, reviewed_area
from .changes import CellChange, ChangePicture, changes_of, read_pictures, write_pictures
from .evaluate import predict_sample

__all__ = [
    "CellChange", "ChangePicture", "Comparison", "SetFigures", "iter_compare", "read_comparison", "read_pictures",
    "write_comparison",
]  # fmt: skip

COMPARISON_FILE = "comparison.json"
NOT_WORSE, SPECIALIST, WORSE = "not worse", "specialist", "worse"
IOUS = (0.5, 0.6, 0.7, 0.8, 0.9)
# A smaller change than this is within what another random seed would give.
TOLERANCE = 0.01
GENERAL_TOLERANCE = 0.02
KIND_TOLERANCE = 0.04
COUNT_TOLERANCE = 0.05
# In F1: what a specialist gains at least on the user's images.
CLEAR_GAIN = 0.05
_VERDICTS = {
    NOT_WORSE: "The new model is not worse.",
    SPECIALIST: "The new model is a specialist: better on your images, worse on others. Use it for images like yours.",
    WORSE: "The new model is worse.",
}


@dataclass(frozen=True)
class SetFigures:
    """Figures of the old and the new version on a set of images.

    Parameters
    ----------
    n_images, n_cells : int
        Images, and true cells in their reviewed areas.
    old, new : dict
        ``f1`` at IoU .5 over all cells, ``ap50`` and ``ap`` (.5 to .9) as mean over images, ``count_mape`` and
        ``count_bias`` (None where no image has cells), ``n_cells`` found.
    kinds : dict
        The same two dicts for every kind of image.
    """

    n_images: int
    n_cells: int
    old: dict[str, Any]
    new: dict[str, Any]
    kinds: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Whether a new version is at least as good as its parent on the user's images, what it costs on others, and why.

    Parameters
    ----------
    old, new : str
        Names of the versions.
    hold_out : {'images', 'crops', 'none'}
        What `held_out` is.
    held_out, general : SetFigures
    verdict : {'not worse', 'specialist', 'worse'}
        The user's own images come first: a version that is better on these and worse on the general samples is a
        specialist; one that is worse on these, or worse on the general samples for nothing, is worse.
    reasons : list of str
        In words: what is worse, or what is to be kept in mind.
    changed : list of CellChange
    pictures : list of ChangePicture
        Of the largest changes; not part of :meth:`to_dict`.
    """

    old: str
    new: str
    hold_out: str
    held_out: SetFigures
    general: SetFigures
    verdict: str
    reasons: list[str]
    changed: list[CellChange]
    pictures: list[ChangePicture] = field(default_factory=list, repr=False)

    @property
    def worse(self) -> bool:
        """Whether the new version should not take its parent's place even on the user's own images."""
        return self.verdict == WORSE

    def in_words(self) -> str:
        """Return the verdict as a sentence."""
        return _VERDICTS[self.verdict]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the pictures, JSON-able."""
        values = {name: getattr(self, name) for name in ("old", "new", "hold_out", "verdict", "reasons")}
        return {
            **values,
            "in_words": self.in_words(),
            "held_out": asdict(self.held_out),
            "general": asdict(self.general),
            "changed": [asdict(change) for change in self.changed],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Comparison:
        """Rebuild a comparison, without pictures."""
        return cls(
            old=str(values["old"]),
            new=str(values["new"]),
            hold_out=str(values["hold_out"]),
            held_out=SetFigures(**values["held_out"]),
            general=SetFigures(**values["general"]),
            verdict=_known_verdict(str(values["verdict"])),
            reasons=list(values["reasons"]),
            changed=[CellChange(**change) for change in values["changed"]],
        )


def iter_compare(
    old: ModelVersion, new: ModelVersion, parts: HeldOut, general: Sequence[Sample], device: str = "auto"
) -> Generator[Progress, None, Comparison]:
    """Predict held-out and general samples with both versions, and compare.

    Only cells that lie more than half inside the reviewed area count, true and predicted ones alike.

    Parameters
    ----------
    old, new : ModelVersion
    parts : HeldOut
        Of the fine-tune.
    general : sequence of Sample
        That neither version has learned from.
    device : str

    Yields
    ------
    Progress

    Returns
    -------
    Comparison
    """
    n_total = 2 * (len(parts.held_out) + len(general))
    n_done = 0
    matches: dict[tuple[str, str], list[MatchResult]] = {}
    pictures: list[ChangePicture] = []
    for part, samples in (("held_out", parts.held_out), ("general", general)):
        for sample in samples:
            area = reviewed_area(sample)
            true = keep_inside(sample.labels, area)
            found = {}
            for side, model in (("old", old), ("new", new)):
                yield Progress(n_done, n_total, "comparing")
                segmented = predict_sample(sample, Recipe(model=str(model.path)), device)
                found[side] = keep_inside(segmented.labels().astype(np.int32), area)
                matches.setdefault((part, side), []).append(match(true, found[side], IOUS))
                n_done += 1
            pictures += changes_of(sample, part, true, found["old"], found["new"])
    yield Progress(n_done, n_total, "comparing")
    held_out = _figures(parts.held_out, matches, "held_out")
    forgotten = _figures(general, matches, "general")
    own, general_reasons = _worse_held_out(held_out), _forgotten(forgotten)
    verdict = WORSE if own or general_reasons else NOT_WORSE
    if general_reasons and not own and parts.how != "none" and _clearly_better(held_out):
        verdict = SPECIALIST
    reasons = [*own, *general_reasons, *_caveats(parts.how, held_out)]
    pictures.sort(key=lambda picture: picture.change.part == "general")
    return Comparison(
        old.name, new.name, parts.how, held_out, forgotten, verdict, reasons,
        [picture.change for picture in pictures], pictures,
    )  # fmt: skip


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Write a comparison, and pictures of the cells that changed most, into the new version's folder."""
    write_pictures(folder, comparison.pictures)
    write_json(folder / COMPARISON_FILE, comparison.to_dict())


def read_comparison(folder: Path) -> Comparison | None:
    """Read what :func:`write_comparison` wrote; None where there is none.

    Raises
    ------
    CellsegError
        If it is damaged.
    """
    return read_as(
        Path(folder) / COMPARISON_FILE, Comparison.from_dict, CellsegError, "Fine-tune again to compare anew."
    )


def _figures(samples: Sequence[Sample], matches: Mapping[tuple[str, str], list[MatchResult]], part: str) -> SetFigures:
    sides = {side: matches.get((part, side), []) for side in ("old", "new")}
    kinds = {
        kind: {
            side: _summary([m for s, m in zip(samples, found, strict=True) if s.kind == kind])
            for side, found in sides.items()
        }
        for kind in sorted({s.kind for s in samples} - {""})
    }
    n_true = sum(m.n_true for m in sides["old"])
    return SetFigures(len(samples), n_true, _summary(sides["old"]), _summary(sides["new"]), kinds)


def _summary(found: Sequence[MatchResult]) -> dict[str, Any]:
    if not found:
        return dict.fromkeys(("f1", "ap50", "ap", "count_mape", "count_bias", "n_cells"))
    figures = summarize(found)
    return {
        "f1": figures["f1_pooled"],
        "ap50": figures["ap_mean"]["0.50"],
        "ap": figures["ap_mean_all"],
        "count_mape": figures["count_mape"],
        "count_bias": figures["count_bias"],
        "n_cells": figures["n_pred"],
    }


def _known_verdict(verdict: str) -> str:
    if verdict not in _VERDICTS:
        raise ValueError(f"the verdict {verdict!r} is none of {', '.join(_VERDICTS)}")
    return verdict


def _clearly_better(figures: SetFigures) -> bool:
    """Whether more cells are right by at least two: one more is chance."""
    if not figures.n_cells:
        return False
    gain = figures.new["f1"] - figures.old["f1"]
    return bool(gain > max(CLEAR_GAIN, 2 / figures.n_cells))


def _worse_held_out(figures: SetFigures) -> list[str]:
    if not figures.n_images:
        return []
    reasons = []
    old, new = figures.old, figures.new
    # Half a cell: with a handful of held-out cells, one more or less is chance.
    tolerance = max(TOLERANCE, 0.5 / max(figures.n_cells, 1))
    for name, title in (("f1", "F1 (cells matched at IoU 0.5)"), ("ap", "average precision (IoU 0.5 to 0.9)")):
        if new[name] < old[name] - tolerance:
            reasons.append(f"On what was held out {title} fell from {old[name]:.3f} to {new[name]:.3f}.")
    if old["count_mape"] is not None and new["count_mape"] > old["count_mape"] + COUNT_TOLERANCE:
        reasons.append(
            f"On what was held out the count's error rose from {old['count_mape']:.0%} to {new['count_mape']:.0%}."
        )
    if figures.n_cells == 0 and new["n_cells"] > old["n_cells"]:
        reasons.append(f"Where there are no cells, {new['n_cells']} are found instead of {old['n_cells']}.")
    return reasons


def _forgotten(figures: SetFigures) -> list[str]:
    if not figures.n_images:
        return []
    reasons = []
    if figures.new["ap50"] < figures.old["ap50"] - GENERAL_TOLERANCE:
        old, new = figures.old["ap50"], figures.new["ap50"]
        reasons.append(f"On the general samples average precision (IoU 0.5) fell from {old:.3f} to {new:.3f}.")
    for kind, sides in figures.kinds.items():
        tolerance = max(KIND_TOLERANCE, 1.5 / max(sides["old"]["n_cells"], 1))
        if sides["new"]["ap50"] < sides["old"]["ap50"] - tolerance:
            reasons.append(
                f"{kind.capitalize()} among the general samples: AP50 fell from {sides['old']['ap50']:.3f} to "
                f"{sides['new']['ap50']:.3f}."
            )
    return reasons


def _caveats(how: str, held_out: SetFigures) -> list[str]:
    notes = []
    if how == "none":
        notes.append("Too few cells to hold any out: the figures are of what was learned, and flatter.")
    elif how == "crops":
        notes.append("Fewer than three images: the check is on strips of the images that were learned from.")
    if how != "none" and 0 < held_out.n_cells < 20:
        notes.append(f"Only {held_out.n_cells} cells were held out: the figures are rough.")
    return notes
