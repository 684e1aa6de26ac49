"""Model versions: a folder with configuration, record, metrics and weights. Loads no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..imaging.errors import ModelError
from ..imaging.home import user_home
from ..imaging.normalize import NormalizerParams
from ..imaging.read.values.json_file import read_values
from ..imaging.read.values.json_types import check_types
from ..instances.params import SplitParams
from .config import UNetConfig
from .plugged import PREFIX, Plugged, plugged_networks
from .weights_file import check_weights_file, file_sha256

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.safetensors"
TRAINING_FILE = "training.json"
METRICS_FILE = "metrics.json"
CALIBRATION_FILE = "calibration.json"
FAMILIAR_FILE = "images.json"
FORMAT = 1
# Pixels; cells of a version are at least 1 and at most so many across.
LARGEST_DIAMETER = 1000
_PLUGGED_MIN_SIZE = 25


@dataclass(frozen=True)
class _Config:
    """Types of ``config.json``; the classes of its settings check the rest."""

    network: dict[str, Any]
    normalizer: dict[str, Any]
    split: dict[str, Any]
    threshold: float
    min_size: int
    weights_sha256: str
    parent: str | None = None
    description: str = ""
    diameter: float | None = None
    cell_diameter: float | None = None


@dataclass(frozen=True)
class TrainingRecord:
    """The part of ``training.json`` that is used later; the rest is for the reader of the file."""

    training_images: list[str] = field(default_factory=list)
    validation_images: list[str] = field(default_factory=list)
    steps: int = 0
    hours: float = 0.0
    parameters: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] | None = None


@dataclass(frozen=True)
class ModelVersion:
    """A trained model with everything needed to use it the same way again.

    Parameters
    ----------
    name : str
        What users choose it by; the folder's name.
    path : Path
        The folder.
    config : UNetConfig
    normalizer : NormalizerParams
    split : SplitParams
        How its prediction is split into cells.
    threshold : float
        Default threshold on the foreground probability, 0 to 1.
    min_size : int
        Default smallest area in pixels; where cells are small, less: see
        :func:`napari_cellseg.network.smallest.usual_min_size`.
    sha256 : str
        Of the weights file, so that a result can name exactly the model that made it.
    parent : str, optional
        Name of the version it was fine-tuned from.
    description : str
    diameter : float, optional
        Of the cells, in pixels, at which it draws best: images are magnified accordingly (see
        :mod:`napari_cellseg.network.sizing`). None takes images as they are.
    cell_diameter : float, optional
        Typical diameter in pixels of the cells that a fine-tuned version learned from: images are shown to it as if
        theirs had this size, unless they clearly have another one.
    specialist : bool
        Better than its parent on images like those it learned from, and worse on others.
    network : str
        Name of a network of another package (see :mod:`napari_cellseg.network.plugged`), which has no folder here;
        empty for all others.
    training, metrics : dict
        How it was trained and how it did on images it was not trained on.
    """

    name: str
    path: Path
    config: UNetConfig
    normalizer: NormalizerParams
    split: SplitParams
    threshold: float
    min_size: int
    sha256: str
    parent: str | None = None
    description: str = ""
    diameter: float | None = None
    cell_diameter: float | None = None
    specialist: bool = False
    network: str = ""
    training: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    metrics: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def weights(self) -> Path:
        """The weights file."""
        return self.path / WEIGHTS_FILE

    @property
    def bundled(self) -> bool:
        """Whether it came with the package."""
        return self.path.parent == bundled_models_dir()

    @property
    def title(self) -> str:
        """Its name in lists to choose from, which marks a specialist as one; short for those of others."""
        return f"{self.name} (specialist)" if self.specialist else self.network or self.name


def bundled_models_dir() -> Path:
    """Folder of the models that ship with the package."""
    return Path(__file__).resolve().parent.parent / "models"


def user_models_dir() -> Path:
    """Folder of the user's own models; ``NAPARI_CELLSEG_HOME`` moves it."""
    return user_home() / "models"


def list_models() -> list[ModelVersion]:
    """Return the usable models: bundled ones, the user's, and networks of other packages.

    A damaged folder is skipped (`load_model` raises the reason).
    """
    found: dict[str, ModelVersion] = {}
    for base in (bundled_models_dir(), user_models_dir()):
        for folder in sorted(base.iterdir()) if base.is_dir() else []:
            if folder.name not in found and (folder / CONFIG_FILE).is_file():
                try:
                    found[folder.name] = read_version(folder)
                except ModelError:
                    continue
    return [*found.values(), *map(_plugged_version, plugged_networks().values())]


def load_model(name_or_dir: str | Path) -> ModelVersion:
    """Find a model by name or folder and check its files.

    Raises
    ------
    ModelError
        If there is no such model, or its files are missing, damaged or of another program.
    """
    text = str(name_or_dir)
    if not text:
        raise ModelError("No model was named. Choose one that 'napari-cellseg models' lists, or give its folder.")
    for base in (bundled_models_dir(), user_models_dir()):
        if re.fullmatch(r"[\w.+ -]+", text) and (base / text / CONFIG_FILE).is_file():
            return read_version(base / text)
    if Path(text).is_dir():
        return read_version(Path(text))
    plugged = plugged_networks().get(text.removeprefix(PREFIX)) if text.startswith(PREFIX) else None
    if plugged is not None:
        return _plugged_version(plugged)
    known = ", ".join(model.name for model in list_models()) or "none"
    raise ModelError(f"There is no model named or stored at '{text}'. Known models: {known}. Or give a model folder.")


def _plugged_version(plugged: Plugged) -> ModelVersion:
    """Return a network of another package as a version: its answer is scaled so that its own threshold is .5."""
    name = f"{PREFIX}{plugged.name}"
    return ModelVersion(
        name,
        Path(name),
        UNetConfig(),
        NormalizerParams(),
        SplitParams(),
        threshold=0.5,
        min_size=_PLUGGED_MIN_SIZE,
        sha256=plugged.sha256,
        description=plugged.about,
        network=plugged.name,
    )


def read_version(folder: Path) -> ModelVersion:
    """Read a version's folder without loading its weights into memory; see :func:`load_model`."""
    folder = Path(folder).resolve()
    values = read_model_json(folder / CONFIG_FILE, folder)
    if type(values.get("format")) is not int or values["format"] != FORMAT:
        raise ModelError(
            f"Model {folder.name} has format {values.get('format')!r}; this version reads format {FORMAT}. "
            "Update napari-cellseg, or choose another model."
        )
    try:
        check_types(_Config, values)
        version = ModelVersion(
            name=folder.name,
            path=folder,
            config=UNetConfig.from_dict(values["network"]),
            normalizer=NormalizerParams.from_dict(values["normalizer"]),
            split=SplitParams.from_dict(values["split"]),
            threshold=float(values["threshold"]),
            min_size=int(values["min_size"]),
            sha256=_weights_sha256(values, folder / WEIGHTS_FILE),
            parent=values.get("parent"),
            description=str(values.get("description", "")),
            diameter=optional_number(values.get("diameter")),
            cell_diameter=optional_number(values.get("cell_diameter")),
            specialist=values.get("specialist") is True,
            training=read_model_json(folder / TRAINING_FILE, folder, required=False, kind=TrainingRecord),
            metrics=read_model_json(folder / METRICS_FILE, folder, required=False),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelError(
            f"{folder / CONFIG_FILE} lacks or garbles a setting ({error}). Import the model again."
        ) from error
    if not 0 <= version.threshold <= 1 or not 0 <= version.min_size < 2**53:
        raise ModelError(
            f"{folder / CONFIG_FILE} has threshold {version.threshold:g} and min_size {version.min_size}; a threshold "
            "lies from 0 to 1 and a size is not negative. Correct the file, or import the model again."
        )
    for name in ("diameter", "cell_diameter"):
        size = getattr(version, name)
        if size is not None and not 1 <= size <= LARGEST_DIAMETER:
            raise ModelError(
                f"{folder / CONFIG_FILE} has {name} {size:g}; it is a size in pixels from 1 to {LARGEST_DIAMETER}. "
                "Correct the file, or import the model again."
            )
    check_weights_file(version.weights)
    return version


def optional_number(value: Any) -> float | None:
    """Return a number of a JSON file; None where it is null or missing."""
    return None if value is None else float(value)


def read_model_json(path: Path, folder: Path, required: bool = True, kind: type | None = None) -> dict[str, Any]:
    """Read a JSON file of a model folder; one that is not `required` may be missing, which gives no values."""
    if not path.is_file():
        if required:
            raise ModelError(f"{folder} is not a model folder: {path.name} is missing. Choose a folder that holds one.")
        return {}
    values = read_values(path, ModelError, "Import the model again.")
    try:
        if kind is not None:
            check_types(kind, values)
    except ValueError as error:
        raise ModelError(f"{path} is damaged ({error}). Import the model again.") from error
    return values


def _weights_sha256(values: Mapping[str, Any], weights: Path) -> str:
    announced = values.get("weights_sha256_next")
    if announced is not None and weights.is_file() and file_sha256(weights) == announced:
        return str(announced)
    return str(values["weights_sha256"])


def lineage(version: ModelVersion, known: Iterable[ModelVersion]) -> list[str]:
    """Return the names from the first ancestor to this version; one that is gone is marked so, and ends the chain."""
    by_name: Mapping[str, ModelVersion] = {model.name: model for model in known}
    names = [version.name]
    parent = version.parent
    while parent and parent not in names:
        if parent not in by_name:
            names.append(f"{parent} (gone)")
            break
        names.append(parent)
        parent = by_name[parent].parent
    return names[::-1]
