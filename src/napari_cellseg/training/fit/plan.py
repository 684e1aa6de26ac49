"""What a training is to do: from which images, with which settings, checked on what; for both ways to train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ...imaging.errors import DatasetError
from ...imaging.normalize import NormalizerParams
from ...network.config import UNetConfig
from ...network.devices import DeviceChoice, resolve_device
from ...network.versions import ModelVersion
from ..data.general import general_samples
from ..data.hold_out import HeldOut, count_cells, hold_out
from ..data.sample import Sample
from ..data.sizes import common_diameter
from ..finetune_params import FineTuneParams
from ..params import TrainParams
from ..runs import RUN_FILE, TRAIN_FILE

# From here on the sizes of the cells of two thirds of the images differ too much for one magnification.
WIDE_SPREAD = 1.5


@dataclass(frozen=True, eq=False)
class Plan:
    """Plan of a training; made by :func:`plan_training` or :func:`plan_finetune`.

    Parameters
    ----------
    file : str
        Name of the file in which the run writes what it was asked to do.
    params : TrainParams
    asked : dict
        The settings as the user gave them, JSON-able.
    samples : tuple of Sample
        All images, before some were held out.
    parts : HeldOut
        What is learned, and what is held out.
    parent : ModelVersion or None
        Where the weights, the network and its normaliser come from; None starts from nothing.
    general : tuple of Sample
        Mixed in against forgetting.
    share : float
        Part of the crops that come from `general`.
    freeze, blend :
        As :class:`napari_cellseg.training.fit.learner.Learner` takes them.
    judge : ModelVersion or None
        Looks find cells in what is held out with this version's thresholds, the first one before the first step;
        None: they compare pixels of one crop of each image.
    description : str
        Of the new version.
    cell_size : tuple of float
        Typical diameter in pixels of the cells that a fine-tune learns from, None where it plays no part, and by which
        factor two thirds of the images differ from it at most.
    notes : tuple of str
        What the user should know before it starts.
    """

    file: str
    params: TrainParams
    asked: dict[str, Any]
    samples: tuple[Sample, ...]
    parts: HeldOut
    parent: ModelVersion | None
    general: tuple[Sample, ...] = ()
    share: float = 0.0
    freeze: str = "nothing"
    blend: float = 1.0
    judge: ModelVersion | None = None
    description: str = ""
    cell_size: tuple[float | None, float] = (None, 1.0)
    notes: tuple[str, ...] = ()

    @property
    def config(self) -> UNetConfig:
        """Configuration of the network."""
        if self.parent is None:
            return self.params.network
        head_kernel = max(self.parent.config.head_kernel, self.params.network.head_kernel)
        return replace(self.parent.config, head_kernel=head_kernel)

    @property
    def normalizer(self) -> NormalizerParams:
        """How images are normalised."""
        return self.parent.normalizer if self.parent else self.params.normalizer

    @property
    def diameter(self) -> float | None:
        """Pixels that cells are brought to; None takes images as they are."""
        return self.params.diameter if self.parent is None or self.params.diameter else self.parent.diameter

    def version_settings(self) -> dict[str, Any]:
        """Return the settings of the new version as `napari_cellseg.network.version_files.write_config` takes them."""
        parent = self.parent
        return {
            "config": self.config,
            "normalizer": self.normalizer,
            "split": parent.split if parent else self.params.split,
            "threshold": parent.threshold if parent else 0.5,
            "min_size": parent.min_size if parent else 20,
            "diameter": self.diameter,
            "cell_diameter": self.cell_size[0],
            "parent": parent.name if parent else None,
            "description": self.description,
        }


def plan_training(
    training: Sequence[Sample], validation: Sequence[Sample], params: TrainParams, parent: ModelVersion | None = None
) -> Plan:
    """Plan a training from scratch, or from a parent's weights, on images that were split already.

    Raises
    ------
    DatasetError
        If there is nothing to learn, a weight is given for a kind that no image has, or the settings need images held
        out and there are none.
    """
    if not any(sample.labels.any() for sample in training):
        raise DatasetError("There is no labelled cell to train on. Give images with at least one labelled cell.")
    unknown = sorted(set(params.kind_weights) - {sample.kind for sample in training})
    if unknown:
        kinds = ", ".join(sorted({sample.kind for sample in training} - {""})) or "none"
        raise DatasetError(f"A weight is given for {', '.join(unknown)}, but the kinds of the images are: {kinds}.")
    if not validation and (params.patience or params.schedule == "plateau"):
        asked = "Early stopping" if params.patience else "The schedule plateau"
        raise DatasetError(
            f"{asked} looks at images held out, but none is ({len(training)} in all). "
            "Give more images or a larger part to hold out, or train without it."
        )
    notes = [] if validation else ["No image is held out: the last weights are kept, and how good they are is unknown."]
    return Plan(
        TRAIN_FILE,
        params,
        params.to_dict(),
        (*training, *validation),
        HeldOut(tuple(training), tuple(validation), "images"),
        parent,
        notes=tuple(notes),
    )


def plan_finetune(
    samples: Sequence[Sample],
    parent: ModelVersion,
    params: FineTuneParams,
    general: Sequence[Sample] | None = None,
    notes: Sequence[str] = (),
) -> Plan:
    """Plan a fine-tune on reviewed areas, part of which is held out; see :func:`hold_out`.

    Parameters
    ----------
    samples : sequence of Sample
    parent : ModelVersion
    params : FineTuneParams
        With the approach ``auto``: gentle.
    general : sequence of Sample, optional
        Mixed in against forgetting; None takes the bundled ones.
    notes : sequence of str, optional
        What the user should know, besides what the plan itself finds.

    Raises
    ------
    DatasetError
        If nothing was reviewed.
    """
    params = params.resolved()
    samples = tuple(s for s in samples if s.reviewed is None or s.reviewed.any())
    if not samples:
        raise DatasetError(
            "Nothing is reviewed, so there is nothing to learn from. Correct or accept cells, or mark a reviewed area."
        )
    parts = hold_out(samples, params.hold_out, params.seed)
    notes = list(notes)
    if parts.how == "crops":
        notes.append("There are fewer than three images, so a strip of each is held out for checking.")
    if parts.how == "none":
        notes.append(
            "There are too few cells to hold any out: the check uses the cells that were learned from and flatters."
        )
    if not count_cells(parts.learned):
        notes.append("No cell is in the reviewed area: only background is learned from it.")
    diameter, spread = common_diameter(parts.learned)
    if spread > WIDE_SPREAD:
        notes.append(
            f"The cells differ in size from image to image, by {spread:.1f} times from {diameter:g} px: images of one "
            "magnification are learned better."
        )
    mixed_in = general_samples("learn") if general is None else tuple(general)
    shared = {f.name for f in fields(FineTuneParams)} & {f.name for f in fields(TrainParams)}
    return Plan(
        RUN_FILE,
        TrainParams(**{name: getattr(params, name) for name in shared}),
        params.to_dict(),
        samples,
        parts,
        parent,
        general=tuple(mixed_in) if params.general else (),
        share=params.general if mixed_in and params.general else 0.0,
        freeze=params.freeze or "nothing",
        blend=params.blend_of_looks,
        judge=parent,
        description=f"{parent.name}, fine-tuned on {len(parts.learned)} image(s)",
        cell_size=(None, 1.0) if parent.diameter is None else (diameter, spread),
        notes=tuple(notes),
    )


def choose_device(params: TrainParams) -> DeviceChoice:
    """Return where and in which precision the network is trained.

    ``auto`` takes bfloat16 where it is fast, float16 on GPUs that are too old for it, else float32.
    """
    choice = resolve_device(params.device)
    if params.precision != "auto":
        return replace(choice, dtype=params.precision)
    return replace(choice, dtype="float16") if choice == DeviceChoice("cuda", "float32") else choice
