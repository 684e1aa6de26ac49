"""Write the configuration of a model version, and change what may change of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..imaging.errors import ModelError
from ..imaging.normalize import NormalizerParams
from ..imaging.write.write import write_json
from ..instances.params import SplitParams
from .config import UNetConfig
from .versions import CONFIG_FILE, FORMAT, WEIGHTS_FILE, ModelVersion, read_model_json, read_version
from .weights_file import file_sha256


def announce_weights(folder: Path, sha256: str) -> None:
    """Record that the weights are about to be replaced, so that the version is whole before and after that moment."""
    values = read_model_json(folder / CONFIG_FILE, folder)
    write_json(folder / CONFIG_FILE, {**values, "weights_sha256_next": sha256})


def write_config(
    folder: Path,
    *,
    config: UNetConfig,
    normalizer: NormalizerParams,
    split: SplitParams,
    threshold: float,
    min_size: int,
    parent: str | None = None,
    description: str = "",
    diameter: float | None = None,
    cell_diameter: float | None = None,
    specialist: bool = False,
) -> None:
    """Write a version's ``config.json`` beside weights that are already in `folder`."""
    values = {
        "format": FORMAT,
        "description": description,
        "parent": parent,
        "network": config.to_dict(),
        "normalizer": normalizer.to_dict(),
        "split": split.to_dict(),
        "threshold": threshold,
        "min_size": min_size,
        "diameter": diameter,
        **({} if cell_diameter is None else {"cell_diameter": cell_diameter}),
        **({"specialist": True} if specialist else {}),
        "weights_sha256": file_sha256(folder / WEIGHTS_FILE),
    }
    write_json(folder / CONFIG_FILE, values)


def check_changeable(model: ModelVersion) -> None:
    """Raise ModelError where a model came with the package: it is not changed."""
    if model.bundled:
        raise ModelError(f"{model.name} came with the package and is not changed. Make a copy, and calibrate that.")


def set_defaults(
    version: ModelVersion, threshold: float, min_size: int, description: str | None = None
) -> ModelVersion:
    """Store the threshold and min_size that calibration chose as a version's defaults; weights stay as they are."""
    if version.network:
        raise ModelError(
            f"{version.name} is a network of another package and is not changed. Keep its threshold and size in a "
            "recipe."
        )
    changes = {} if description is None else {"description": description}
    write_config(version.path, **settings_of(version) | changes | {"threshold": threshold, "min_size": min_size})
    return read_version(version.path)


def set_specialist(version: ModelVersion) -> ModelVersion:
    """Record that a version is better than its parent on some images, and worse on others."""
    write_config(version.path, **settings_of(version) | {"specialist": True})
    return read_version(version.path)


def settings_of(version: ModelVersion) -> dict[str, Any]:
    """Return what :func:`write_config` takes."""
    names = (
        "config", "normalizer", "split", "threshold", "min_size", "parent", "description", "diameter", "cell_diameter",
        "specialist",
    )  # fmt: skip
    return {name: getattr(version, name) for name in names}
