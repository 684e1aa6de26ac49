"""Import a model from elsewhere into the user's own. Loads torch only for weights that are not a model version."""

from __future__ import annotations

import lzma
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path

import psutil

from ...imaging.damage import DAMAGE
from ...imaging.errors import ModelError, OutputError
from ...imaging.read.packed.zip_entries import copy_entry, opened_zip
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
from ..weights_file import LARGEST_WEIGHTS

_LARGEST_TEXT = 1 << 26
_SCRATCH = ".import-"
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
    from ..ready import load_network

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
        _sweep(target.parent)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{_SCRATCH}{os.getpid()}-") as scratch:
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
    except DAMAGE as error:
        raise ModelError(
            f"{source} cannot be read as a model ({error or type(error).__name__}). It is damaged, or of another kind."
        ) from error
    return read_version(target)


def _sweep(models: Path) -> None:
    """Remove what imports left that were killed, on this machine."""
    for folder in models.glob(f"{_SCRATCH}*-*"):
        process = folder.name.removeprefix(_SCRATCH).partition("-")[0]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _fill(source: Path, target: Path, architecture: str | None, normalisation: str | None) -> None:
    """Bring the files of a version into a folder, whatever the source is."""
    if source.is_file() and source.suffix.lower() in WEIGHT_SUFFIXES:
        from .adopting import NORMALISATIONS, adopt_weights

        if normalisation is None:
            raise ModelError(
                f"{source.name} does not name the normalisation of the images that it was trained with. Name it: "
                f"--normalisation {' | '.join(NORMALISATIONS)} (type: divided by 255; imagenet: that, then ImageNet's "
                "mean and deviation; standard: their own mean and deviation)."
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
    with opened_zip(source) as archive:
        names = {entry.rsplit("/", 1)[-1] for entry in archive.namelist()}
    described = any(name in ("rdf.yaml", "model.yaml") or name.endswith("bioimageio.yaml") for name in names)
    return described and not {CONFIG_FILE, WEIGHTS_FILE} <= names


def _copy_files(source: Path, target: Path) -> None:
    texts = (CONFIG_FILE, TRAINING_FILE, METRICS_FILE, CALIBRATION_FILE, FAMILIAR_FILE)
    most = {WEIGHTS_FILE: LARGEST_WEIGHTS, **dict.fromkeys(texts, _LARGEST_TEXT)}
    if source.is_dir():
        for file_name in most:
            file = source / file_name
            if not file.is_file():
                continue
            if file.stat().st_size > most[file_name]:
                raise ModelError(f"{file} has more than {most[file_name]:,} bytes. Export the model again.")
            shutil.copyfile(file, target / file_name)
        return
    if not source.is_file():
        raise ModelError(f"There is no model at {source}. Give a model folder or a zip of one.")
    try:
        with opened_zip(source) as archive:
            for entry in archive.namelist():
                file_name = entry.rsplit("/", 1)[-1]
                if file_name in most:
                    if (target / file_name).exists():
                        raise ValueError(f"it holds several files {file_name}; give a zip of one model")
                    copy_entry(archive, entry, target / file_name, most[file_name])
    except (zipfile.BadZipFile, RuntimeError, ValueError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise ModelError(f"{source} is not a readable zip ({error}). Give a model folder or a zip of one.") from error
