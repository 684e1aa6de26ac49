"""What was chosen for a segmentation, as one small value that can be saved and run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..imaging.channels import Channel, plain_channel
from ..imaging.errors import ModelError, ParamsError
from ..imaging.normalize import NormalizerParams
from ..imaging.stack_planes import PAGES
from ..imaging.write.write import write_json
from ..instances.compartments import Growth
from ..instances.filters import ALL, Filter, Filters, filters_of
from ..instances.linking import MIN_IOU
from .classes import Classes, classes_of
from .digest import digest_of
from .marker import Marker, markers_of
from .options import DEFAULT_OPTIONS, OPTIONS, RunOptions, read_settings
from .recipe_rules import LINKS, RULES, check_together

if TYPE_CHECKING:
    from ..network.versions import ModelVersion

# Name of the recipe in a folder of results.
RECIPE_FILE = "recipe.json"


@dataclass(frozen=True)
class Recipe:
    """Model and parameters of a segmentation.

    The model's own defaults stand in for a `threshold`, `min_size` or `normalizer` of None; `fit_min_size` is then set,
    but for stacks, whose planes have one smallest size. With a `model_sha256` another model of the same name is
    refused.

    Where it runs and what is written is up to :class:`~napari_cellseg.segmentation.options.RunOptions`.

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
        metadata={
            "help": "smallest area of a cell in pixels; default: the model's, or a fifth of a typical cell, if less"
        },
    )
    channel: Channel | None = field(
        default=None,
        metadata={"help": "channel to segment: its number, counted from 0, its name, or a mix such as DAPI+GFP or 0+2"},
    )
    axes: str | None = field(
        default=None, metadata={"help": "axes of the image, such as CYX, where its file does not name them"}
    )
    model_sha256: str | None = field(default=None, metadata={"help": "hash of the model's weights, checked on use"})
    normalizer: NormalizerParams | None = field(
        default=None, metadata={"help": "percentiles of the image that become 0 and 1"}
    )
    diameter: float | None = field(
        default=None,
        metadata={
            "help": "typical diameter of the cells in pixels, by which the image is magnified for the "
            "network; 0 takes the image as it is; default: estimated"
        },
    )
    accurate: bool = field(
        default=False,
        metadata={
            "help": "average over three looks, turned and at three magnifications: a little better, about three times "
            "slower"
        },
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
    fit_min_size: bool = field(
        default=False, metadata={"help": "whether min_size is less where an image's cells are small"}
    )
    grow: str | None = field(
        default=None,
        metadata={
            "help": "grow every nucleus by a length, such as 3um or 5px, to a cell that has its id; "
            "10um:RFP stops at the edge of the cells in a channel"
        },
    )
    positive: tuple[Marker, ...] = field(
        default=(),
        metadata={
            "help": "call cells positive by a channel, as in 'GFP>320': CHANNEL[:PLACE][:MEASURE]>THRESHOLD, where "
            "PLACE is nucleus, ring or cell, and MEASURE is mean or share(LEVEL), the share of pixels above a level"
        },
    )
    classes: Classes | None = field(
        default=None, metadata={"help": "examples of classes, by which a random forest calls the class of every cell"}
    )

    filters: tuple[Filter, ...] = field(
        default=(),
        metadata={
            "help": "count only cells that pass, as in 'circularity>=0.6': MEASURE>=VALUE or MEASURE<=VALUE, where "
            "MEASURE is area (pixels, only <=), circularity, solidity or intensity"
        },
    )
    edges: str = field(
        default=ALL,
        metadata={
            "help": "which cells at the edges of the image count: all, none that touch an edge, or those of a counting "
            "frame, the only unbiased rule: all but those that touch the bottom or right edge; frame:40 has a frame "
            "40 pixels within the image, so that cells are seen whole",
        },
    )

    def __post_init__(self) -> None:
        if isinstance(self.channel, str):
            object.__setattr__(self, "channel", plain_channel(self.channel))
        object.__setattr__(self, "positive", markers_of(self.positive))
        object.__setattr__(self, "filters", filters_of(self.filters))
        object.__setattr__(self, "classes", classes_of(self.classes))
        for setting in fields(self):
            value = getattr(self, setting.name)
            kinds, allowed, meant = RULES[setting.name]
            if value is None and setting.default is None:
                continue
            # Python takes True for a number.
            no_number = isinstance(value, bool) and kinds is not bool
            if no_number or not isinstance(value, kinds) or not allowed(value):
                raise ParamsError(f"The recipe's {setting.name} is {value!r}; it must be {meant}.")
        object.__setattr__(self, "edges", self.sieve.edges)
        if self.grow is not None:
            object.__setattr__(self, "grow", str(Growth.parse(self.grow)))
        check_together(self.pages, self.link, self.sieve, self.positive, self.grow, bool(self.classes))

    @property
    def sieve(self) -> Filters:
        """All that decides which cells count besides threshold and min_size."""
        return Filters(self.filters, self.edges)

    @property
    def calls(self) -> bool:
        """Whether more is asked for than cells: markers, classes or grown nuclei."""
        return bool(self.positive or self.classes or self.grow)

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON-able values."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        normalizer = None if self.normalizer is None else self.normalizer.to_dict()
        classes = None if self.classes is None else self.classes.to_dict()
        texts = {name: [str(one) for one in values[name]] for name in ("positive", "filters")}
        return {**values, "normalizer": normalizer, "classes": classes, **texts}

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
        from ..network.smallest import usual_min_size

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
        """SHA-256 (hex) of all that decides labels and calls: equal for recipes that give equal ones of any image.

        The model counts by its weights, its smoothing, its way of splitting and its diameters, and not by its name.

        Raises
        ------
        ModelError
            See :meth:`resolved`.
        """
        model = self.load_model() if model is None else model
        chosen = replace(self.resolved(model), normalizer=self.normalizer or model.normalizer).to_dict()
        classes = None if self.classes is None else self.classes.decisive()
        return digest_of({**chosen, "classes": classes}, model)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Rebuild a recipe from the settings of a recipe file; those of :class:`RunOptions` are only checked.

        Raises
        ------
        ParamsError
            A value is out of its range, or an entry is unknown: none is silently ignored.
        """
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(values) - {*known, *OPTIONS})
        if unknown:
            raise ParamsError(f"The recipe has unknown entries: {', '.join(unknown)}. Known ones: {', '.join(known)}.")
        RunOptions.from_dict(values)
        given = {name: values[name] for name in known if name in values}
        if isinstance(given.get("normalizer"), Mapping):
            given["normalizer"] = NormalizerParams.from_dict(given["normalizer"])
        return cls(**given)

    def write(self, path: str | Path, options: RunOptions = DEFAULT_OPTIONS) -> None:
        """Write the recipe as JSON, for `read`, with the options that it is to run with.

        Raises
        ------
        OutputError
            The system refused to write.
        """
        write_json(path, {"recipe": {**self.to_dict(), **options.to_dict()}})

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """Read a recipe from a JSON file: one that was saved, or that a run left beside its results.

        Raises
        ------
        CellsegError
            The file cannot be read, or its settings are not those of a recipe.
        """
        return cls.from_dict(read_settings(path))
