"""Import a model from elsewhere into the user's own. Loads torch only for weights that are not a model version."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path

from ...imaging.errors import ModelError, OutputError
from ..versions import (
    CALIBRATION_FILE,
    CONFIG_FILE,
    FAMILIAR_FILE,
    METRICS_FILE,
    TRAINING_FILE,
    WEIGHTS_FILE,
    ModelVersion,
    bundled_models_dir,
    read_version,
    user_models_dir,
)

WEIGHT_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".safetensors")


def import_model(
    source: str | Path, name: str | None = None, architecture: str | None = None, normalisation: str | None = None
) -> ModelVersion:
    """Import a model into the user's own: a model folder, a zip of one, a bioimage.io package, or a file of weights.

    Parameters
    ----------
    source : path
        Folder or zip that holds ``config.json`` and ``weights.safetensors``; a zip that holds ``rdf.yaml`` or
        ``bioimageio.yaml``; or ``.pth``, ``.pt`` and the like, with the weights of a U-Net.
    name : str, optional
        Name under which it is kept; by default the folder's or file's.
    architecture : str, optional
        Only for weights and others' packages: name of the encoder, such as ``resnet34``; by default found out.
    normalisation : str, optional
        Only for a file of weights, and needed there; see
        :func:`napari_cellseg.network.exchange.adopting.adopt_weights`.

    Raises
    ------
    ModelError
        If it is not a usable model, or the name is taken.
    OutputError
        If it cannot be written.
    """
    from ..predict import load_network

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
            _fill(source, copy, architecture, normalisation)
            # Whether all weights are there, and are such as a network can have.
            load_network(read_version(copy))
            os.replace(copy, target)
    except OSError as error:
        raise OutputError(
            f"The model could not be stored in {target} ({error}). Free space or choose another place."
        ) from error
    return read_version(target)


def _fill(source: Path, target: Path, architecture: str | None, normalisation: str | None) -> None:
    """Bring the files of a version into a folder, whatever the source is."""
    if source.is_file() and source.suffix.lower() in WEIGHT_SUFFIXES:
        from .adopting import NORMALISATIONS, adopt_weights

        if normalisation is None:
            raise ModelError(
                f"{source.name} does not name the normalisation of the images that it was trained with. Name it: "
                f"--normalisation {' | '.join(NORMALISATIONS)} (type: divided by 255; imagenet: that, then ImageNet's "
                "mean and deviation)."
            )
        adopt_weights(source, target, architecture, normalisation)
    elif normalisation is not None:
        raise ModelError(f"{source.name} has a normalisation of its own. Omit --normalisation.")
    elif _is_package(source):
        from .bioimageio_import import adopt_package

        adopt_package(source, target, architecture)
    else:
        _copy_files(source, target)


def _is_package(source: Path) -> bool:
    """Whether this is a bioimage.io package that does not hold a model version."""
    if not zipfile.is_zipfile(source):
        return False
    with zipfile.ZipFile(source) as archive:
        names = {entry.rsplit("/", 1)[-1] for entry in archive.namelist()}
    described = any(name in ("rdf.yaml", "model.yaml") or name.endswith("bioimageio.yaml") for name in names)
    return described and not {CONFIG_FILE, WEIGHTS_FILE} <= names


def _copy_files(source: Path, target: Path) -> None:
    wanted = (CONFIG_FILE, WEIGHTS_FILE, TRAINING_FILE, METRICS_FILE, CALIBRATION_FILE, FAMILIAR_FILE)
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
