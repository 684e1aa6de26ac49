"""What was chosen for a segmentation, as one small value that can be saved and run again."""

from __future__ import annotations

import hashlib
import json
import numbers
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..imaging.channels import Channel, plain_channel
from ..imaging.errors import CellsegError, ModelError, ParamsError
from ..imaging.normalize import NormalizerParams
from ..imaging.pages import PAGES
from ..imaging.write.write import write_json
from ..instances.linking import MIN_IOU

if TYPE_CHECKING:
    from ..network.versions import ModelVersion

# "z": slices become 3D cells; "t": time points become tracks.
LINKS = ("none", "z", "t")
DEVICES = ("auto", "cpu", "cuda", "mps")
# Where a recipe runs, where its model lies and what is written besides: none of it decides a label.
_NOT_IN_DIGEST = ("model", "device", "outputs", "blocks")


@dataclass(frozen=True)
class Recipe:
    """Model and parameters of a segmentation.

    The model's own defaults stand in for a `threshold`, `min_size` or `normalizer` of None; `fit_min_size` is then set,
    but for stacks, whose planes have one smallest size. With a `model_sha256` another model of the same name is
    refused.

    Raises
    ------
    ParamsError
        If a value is out of its range.
    """

    model: str = field(default="cells", metadata={"help": "model name (see: napari-cellseg models) or folder"})
    threshold: float | None = field(
        default=None, metadata={"help": "foreground probability from which a pixel belongs to a cell, 0 to 1"}
    )
    min_size: int | None = field(
        default=None,
        metadata={"help": "smallest area of a cell in pixels; default: the model's, or less where cells are small"},
    )
    channel: Channel | None = field(
        default=None,
        metadata={"help": "channel to segment: its number, counted from 0, its name, or a mix such as DAPI+GFP or 0+2"},
    )
    axes: str | None = field(
        default=None, metadata={"help": "axes of the image, such as CYX, where its file does not say"}
    )
    device: str = field(default="auto", metadata={"help": "where the network runs"})
    model_sha256: str | None = field(default=None, metadata={"help": "hash of the model's weights, checked on use"})
    normalizer: NormalizerParams | None = field(
        default=None, metadata={"help": "percentiles of the image that become 0 and 1"}
    )
    diameter: float | None = field(
        default=None,
        metadata={
            "help": "typical diameter of the cells in pixels, which says how far the image is magnified for the "
            "network; 0 takes the image as it is; default: estimated"
        },
    )
    accurate: bool = field(
        default=False,
        metadata={"help": "average over flips, turns and three magnifications: better and about nine times slower"},
    )
    pages: str = field(
        default="one",
        metadata={
            "help": "what to do with a file of several planes: refuse it (one), a result for each, or one stack",
            "choices": PAGES,
        },
    )
    link: str = field(
        default="none",
        metadata={
            "help": "cells of neighbouring planes of a stack that overlap are one: over slices 3D cells (z), over time "
            "tracks (t)",
            "choices": LINKS,
        },
    )
    link_iou: float = field(
        default=MIN_IOU,
        metadata={"help": "overlap (intersection over union) from which they are one, above 0 and up to 1"},
    )
    blocks: bool = field(
        default=False,
        metadata={
            "help": "block by block, in little memory, into OME-Zarr labels; an image that is too large is done so "
            "by itself"
        },
    )
    outputs: tuple[str, ...] = field(default=("labels",), metadata={"help": "what is written for each image"})
    fit_min_size: bool = field(
        default=False, metadata={"help": "whether min_size is less where an image's cells are small"}
    )

    def __post_init__(self) -> None:
        for name, kinds, meant in (
            ("model", str, "a name or folder"),
            ("threshold", numbers.Real, "a number"),
            ("min_size", numbers.Real, "a number"),
            ("channel", (numbers.Real, str), "a number, a name, or a mix such as 0+2"),
            ("diameter", numbers.Real, "a number"),
            ("link_iou", numbers.Real, "a number"),
            ("axes", str, "a text such as CYX"),
            ("model_sha256", str, "a hash"),
            ("normalizer", NormalizerParams, "two percentiles"),
        ):
            value = getattr(self, name)
            left_out = value is None and name not in ("model", "link_iou")
            if not left_out and (not isinstance(value, kinds) or isinstance(value, bool) or value != value):
                raise ParamsError(f"The recipe's {name} is {value!r}; it must be {meant}.")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ParamsError(f"The threshold is {self.threshold}; it is a probability and must lie from 0 to 1.")
        if self.min_size is not None and (not 0 <= self.min_size < 2**53 or self.min_size % 1):
            raise ParamsError(f"min_size is {self.min_size}; it must be a whole number of pixels, 0 or more.")
        if isinstance(self.channel, str):
            object.__setattr__(self, "channel", plain_channel(self.channel))
        if isinstance(self.channel, str):
            if not self.channel or _is_number(self.channel):
                raise ParamsError(
                    f"The channel is {self.channel!r}; channels are counted 0, 1, 2, ... Give a number, a name, or a "
                    "mix such as DAPI+GFP."
                )
        elif self.channel is not None and (not 0 <= self.channel < 2**31 or self.channel % 1):
            raise ParamsError(f"The channel is {self.channel}; channels are counted 0, 1, 2, ...")
        if self.diameter is not None and not (self.diameter == 0 or 1 <= self.diameter <= 5000):
            raise ParamsError(
                f"The diameter is {self.diameter}; give the size of a typical cell from 1 to 5000 pixels, or 0 to take "
                "the image as it is."
            )
        if not isinstance(self.accurate, bool):
            raise ParamsError(f"The recipe's accurate is {self.accurate!r}; it must be true or false.")
        for name in ("blocks", "fit_min_size"):
            if not isinstance(getattr(self, name), bool):
                raise ParamsError(f"The recipe's {name} is {getattr(self, name)!r}; it must be true or false.")
        if self.device not in DEVICES:
            raise ParamsError(f"Device '{self.device}' is unknown. Choose one of {', '.join(DEVICES)}.")
        if self.pages not in PAGES:
            raise ParamsError(f"The recipe's pages are {self.pages!r}; choose one of {', '.join(PAGES)}.")
        if self.link not in LINKS:
            raise ParamsError(f"The recipe's link is {self.link!r}; choose one of {', '.join(LINKS)}.")
        if not 0 < self.link_iou <= 1:
            raise ParamsError(f"link_iou is {self.link_iou}; it is an overlap and must lie above 0 and not above 1.")
        if self.link != "none" and self.pages != "stack":
            raise ParamsError(
                f"Cells are linked over {self.link.upper()} in stacks, but pages are {self.pages!r}. Choose a stack of "
                "labels (--pages stack), or no linking (--link none)."
            )
        if self.model_sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", self.model_sha256):
            raise ParamsError(f"The recipe's model_sha256 is '{self.model_sha256}'; it must be 64 digits, 0 to f.")
        if not isinstance(self.outputs, (tuple, list)) or not all(isinstance(name, str) for name in self.outputs):
            raise ParamsError(f"The recipe's outputs are {self.outputs!r}; they must be a list of names.")
        if self.link == "z" and "rle" in self.outputs:
            raise ParamsError(
                "Run lengths (rle) are of single planes, but cells are linked over slices. Leave out rle, or link "
                "nothing (--link none)."
            )
        object.__setattr__(self, "outputs", tuple(dict.fromkeys(self.outputs)))

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON-able values."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        normalizer = None if self.normalizer is None else self.normalizer.to_dict()
        return {**values, "normalizer": normalizer, "outputs": list(self.outputs)}

    def resolved(self, model: ModelVersion | None = None) -> Recipe:
        """Fill in what is left to the model: its hash, threshold and min_size.

        Parameters
        ----------
        model : ModelVersion, optional
            The recipe's model, where it is loaded already.

        Raises
        ------
        ModelError
            There is no such model, or it is not the one that the recipe was made with.
        """
        model = self.load_model() if model is None else model
        fit = self.min_size is None or self.fit_min_size
        return replace(
            self,
            threshold=model.threshold if self.threshold is None else self.threshold,
            min_size=model.min_size if self.min_size is None else self.min_size,
            fit_min_size=fit and self.pages != "stack" and model.diameter is not None and self.diameter != 0,
            model_sha256=model.sha256,
        )

    def smallest(self, model: ModelVersion, diameter: float | None) -> int:
        """Smallest area in pixels for an image.

        Parameters
        ----------
        model : ModelVersion
            The recipe's.
        diameter : float or None
            Of the image's typical cell, as far as it is known.
        """
        from ..network.versions import usual_min_size

        chosen = self.resolved(model)
        min_size = int(chosen.min_size or 0)
        return usual_min_size(min_size, diameter) if chosen.fit_min_size else min_size

    def with_sliders_of(self, other: Recipe) -> Recipe:
        """Return this recipe with another's threshold and smallest size."""
        return replace(self, threshold=other.threshold, min_size=other.min_size, fit_min_size=other.fit_min_size)

    def load_model(self) -> ModelVersion:
        """Find the recipe's model, without its weights in memory.

        Raises
        ------
        ModelError
            There is no such model, or it is not the one that the recipe was made with.
        """
        from ..network.versions import load_model

        model = load_model(self.model)
        if self.model_sha256 not in (None, model.sha256):
            raise ModelError(
                f"The recipe was made with a model '{self.model}' whose weights have the hash {self.model_sha256}, but "
                f"the one in {model.path} has {model.sha256}. Import that model again, or choose a model by its name "
                "to segment with the one that is there."
            )
        return model

    def digest(self, model: ModelVersion | None = None) -> str:
        """SHA-256 (hex) of everything that decides labels: equal for recipes that give equal labels of every image.

        The model counts by its weights, its way of splitting and its diameter, and not by its name; device and outputs
        do not count.

        Raises
        ------
        ModelError
            See :meth:`resolved`.
        """
        model = self.load_model() if model is None else model
        values = replace(self.resolved(model), normalizer=self.normalizer or model.normalizer).to_dict()
        decisive = {name: value for name, value in values.items() if name not in _NOT_IN_DIGEST}
        decisive["threshold"], decisive["min_size"] = float(decisive["threshold"]), int(decisive["min_size"])
        # Recipes with one size for all images keep the digest that they had before there were others.
        if not decisive["fit_min_size"]:
            del decisive["fit_min_size"]
        # Weights are known by their hash; these stand beside them.
        decisive["split"], decisive["model_diameter"] = model.split.to_dict(), model.diameter
        if model.cell_diameter is not None:
            decisive["model_cell_diameter"] = model.cell_diameter
        decisive["diameter"] = None if self.diameter is None else float(self.diameter)
        decisive["axes"] = None if self.axes is None else self.axes.strip().upper()
        # Recipes of single planes keep the digest that they had before there was any linking.
        decisive["link_iou"] = float(decisive["link_iou"])
        if self.link == "none":
            del decisive["link"], decisive["link_iou"]
        text = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Rebuild a recipe; unknown entries are refused, so that none is silently ignored."""
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ParamsError(f"The recipe has unknown entries: {', '.join(unknown)}. Known ones: {', '.join(known)}.")
        given = dict(values)
        if isinstance(given.get("normalizer"), Mapping):
            given["normalizer"] = NormalizerParams.from_dict(given["normalizer"])
        if isinstance(given.get("outputs"), list):
            given["outputs"] = tuple(given["outputs"])
        return cls(**given)

    def write(self, path: str | Path) -> None:
        """Write the recipe as JSON, for `read`.

        Raises
        ------
        OutputError
            The system refused to write.
        """
        write_json(path, {"recipe": self.to_dict()})

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """Read a recipe from a JSON file: one that was saved, or that a run left beside its results."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CellsegError(
                f"The recipe {path} cannot be read ({error}). Give a recipe.json of an earlier run."
            ) from error
        if isinstance(values, dict) and "recipe" in values:
            values = values["recipe"]
        if not isinstance(values, dict):
            raise CellsegError(f"The recipe {path} holds no settings by name. Give a recipe.json of an earlier run.")
        return cls.from_dict(values)


def _is_number(text: str) -> bool:
    """Whether a text is a number that counts nothing, such as -1 or 1.5; 01 may be a name."""
    try:
        float(text)
    except ValueError:
        return False
    return not text.isdecimal()
