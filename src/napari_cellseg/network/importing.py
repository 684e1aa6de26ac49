"""Take a model from elsewhere among a person's own. Loads no torch."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path

from ..imaging.errors import ModelError, OutputError
from .versions import (
    CONFIG_FILE,
    METRICS_FILE,
    TRAINING_FILE,
    WEIGHTS_FILE,
    ModelVersion,
    bundled_models_dir,
    file_sha256,
    read_version,
    user_models_dir,
)


def import_model(source: str | Path, name: str | None = None) -> ModelVersion:
    """Copy a model folder, or a zip of one, among a person's own models.

    Parameters
    ----------
    source : path
        Folder or zip that holds ``config.json`` and ``weights.safetensors``.
    name : str, optional
        Name under which it is kept; by default the folder's or zip's.

    Raises
    ------
    ModelError
        If it is not a usable model, or the name is taken.
    OutputError
        If it cannot be written.
    """
    source = Path(source)
    name = name or (source.stem if source.is_file() else source.resolve().name)
    if not re.fullmatch(r"[\w.+ -]+", name):
        raise ModelError(
            f"'{name}' cannot be a model's name. Use letters, digits, space, dot, plus, minus, underscore."
        )
    target = user_models_dir() / name
    if target.exists() or (bundled_models_dir() / name).exists():
        raise ModelError(f"There is a model named '{name}' already. Versions are never overwritten: give another name.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".import-") as scratch:
            copy = Path(scratch) / name
            copy.mkdir()
            _copy_files(source, copy)
            version = read_version(copy)
            if file_sha256(version.weights) != version.sha256:
                raise ModelError(
                    f"The weights in {source} are not those its config.json describes. Export the model again."
                )
            os.replace(copy, target)
    except OSError as error:
        raise OutputError(
            f"The model could not be stored in {target} ({error}). Free space or choose another place."
        ) from error
    return read_version(target)


def _copy_files(source: Path, target: Path) -> None:
    wanted = (CONFIG_FILE, WEIGHTS_FILE, TRAINING_FILE, METRICS_FILE)
    if source.is_dir():
        for file_name in wanted:
            if (source / file_name).is_file():
                shutil.copyfile(source / file_name, target / file_name)
        return
    if not source.is_file():
        raise ModelError(f"There is no model at {source}. Give a model folder or a zip of one.")
    try:
        with zipfile.ZipFile(source) as archive:
            for entry in archive.namelist():
                file_name = entry.rsplit("/", 1)[-1]
                if file_name in wanted and not (target / file_name).exists():
                    with archive.open(entry) as packed, open(target / file_name, "wb") as file:
                        shutil.copyfileobj(packed, file)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error) as error:
        raise ModelError(f"{source} is not a readable zip ({error}). Give a model folder or a zip of one.") from error
