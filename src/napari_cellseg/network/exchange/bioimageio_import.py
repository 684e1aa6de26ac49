"""Take a network from a bioimage.io package that others made, where it is rebuilt here without running their code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...imaging.errors import ModelError
from ...imaging.normalize import DEVIATION_EPS, STANDARD, TYPE, NormalizerParams
from ...imaging.read.packed.zip_entries import copy_entry, opened_zip
from ...imaging.write.write import write_json
from ..encoders import IMAGENET_DEVIATION, IMAGENET_MEAN
from ..state_files import read_state
from ..versions import TRAINING_FILE
from ..weights_file import LARGEST_WEIGHTS
from .adopting import adopt_state, write_adopted
from .bioimageio_export import spec

# Bytes, and stars: texts that repeat themselves by aliases grow without limit.
_LARGEST_DESCRIPTION, _MOST_ALIASES = 1 << 20, 1000
_IGNORED = ("ensure_dtype", "clip")


def adopt_package(source: Path, folder: Path, architecture: str | None = None) -> None:
    """Write a model version into a folder from a bioimage.io package.

    Nothing in the package is run: its weights must be a PyTorch state dict of a network that is rebuilt here.

    Parameters
    ----------
    source : Path
        A ``.zip`` with ``rdf.yaml`` or ``bioimageio.yaml``.
    folder : Path
        An existing, empty folder.
    architecture : str, optional
        Name of the encoder, where the package does not name it.

    Raises
    ------
    ModelError
        If the package is not valid, or holds no network that can be rebuilt here.
    """
    described = _read_description(source)
    entry = described.weights.pytorch_state_dict
    if entry is None:
        found = ", ".join(described.weights.available_formats)
        raise ModelError(
            f"{source.name} holds weights only as {found}. A network is rebuilt here from a PyTorch state dict; others "
            "would have to be run as they are."
        )
    settings = dict(entry.architecture.kwargs)
    normalizer, imagenet_input = normalizer_of(described.inputs[0].preprocessing, source.name)
    _check_output(described.outputs[0].postprocessing, source.name)
    weights = folder / "weights.pt"
    _take_out(source, str(getattr(entry.source, "path", entry.source)), weights)
    state = read_state(weights)
    weights.unlink()
    adopted = adopt_state(state, source.name, architecture or settings.get("encoder_name"), imagenet_input)
    if normalizer.method == STANDARD and adopted.config.in_channels > 1:
        raise ModelError(
            f"{source.name} brings {adopted.config.in_channels} channels to mean 0 and deviation 1; here that is done "
            "only for networks of 1 channel."
        )
    authors = [str(author.name) for author in described.authors]
    write_adopted(folder, adopted, normalizer, f"{described.name}, a bioimage.io package by {', '.join(authors)}")
    record = {"package": source.name, "name": described.name, "authors": authors, "license": str(described.license)}
    write_json(folder / TRAINING_FILE, {"imported": {**record, "cite": [str(c.doi or c.text) for c in described.cite]}})


def _read_description(source: Path) -> Any:
    spec()
    _check_texts(source)
    from bioimageio.spec import InvalidDescr, load_model_description

    try:
        described = load_model_description(source, format_version="latest", perform_io_checks=False)
    except (ValueError, OSError) as error:
        raise ModelError(f"{source.name} is not a valid bioimage.io model: {str(error).splitlines()[0]}.") from error
    if isinstance(described, InvalidDescr):
        raise ModelError(f"{source.name} is not a valid bioimage.io model. Check it with: bioimageio test {source}")
    return described


def _check_texts(source: Path) -> None:
    """Raise ModelError for a description, or another text, that is far too long or too deep to be one."""
    with opened_zip(source) as archive:
        for info in archive.infolist():
            if info.filename.endswith((".yaml", ".yml")):
                text = archive.read(info) if info.file_size <= _LARGEST_DESCRIPTION else b"*" * (_MOST_ALIASES + 1)
                if text.count(b"*") > _MOST_ALIASES:
                    raise ModelError(
                        f"{source.name}: its entry {info.filename} has {info.file_size:,} bytes, or refers to its own "
                        "parts too often to be a description. Download the package again."
                    )


def _take_out(source: Path, name: str, target: Path) -> None:
    """Copy one file out of a zip."""
    wanted = name.rsplit("/", 1)[-1]
    with opened_zip(source) as archive:
        found = [entry for entry in archive.namelist() if entry.rsplit("/", 1)[-1] == wanted]
        if not found:
            raise ModelError(f"The weights {name} are not inside {source.name}. Download the package as a whole.")
        try:
            copy_entry(archive, found[0], target, LARGEST_WEIGHTS)
        except ValueError as error:
            raise ModelError(f"{source} cannot be read ({error}). Download the package again.") from error


def normalizer_of(steps: Sequence[Any], name: str) -> tuple[NormalizerParams, bool]:
    """Translate a package's preprocessing into a normaliser, and whether ImageNet's statistics follow.

    Raises
    ------
    ModelError
        If it does something that is not available here.
    """
    known = [(str(step.id), step.kwargs.model_dump()) for step in steps if str(step.id) not in _IGNORED]
    words = [identifier for identifier, _ in known]
    if words == ["scale_range"]:
        low, high = float(known[0][1]["min_percentile"]), float(known[0][1]["max_percentile"])
        return NormalizerParams(low, high), False
    divided = words[:1] == ["scale_linear"] and _divides(known[0][1])
    if divided and len(words) == 1:
        return NormalizerParams(method=TYPE), False
    if words == ["zero_mean_unit_variance"] and _is_of_each_image(known[0][1]):
        return NormalizerParams(method=STANDARD), False
    scale = 1.0 if divided else 255.0
    if words[divided:] == ["fixed_zero_mean_unit_variance"] and _is_imagenet(known[-1][1], scale):
        return NormalizerParams(method=TYPE), True
    raise ModelError(
        f"{name} prepares images by {', '.join(words) or 'nothing'}; available here are percentiles (scale_range), "
        "each image's own mean and deviation (zero_mean_unit_variance), division by the greatest value (scale_linear), "
        "and ImageNet's mean and deviation after it."
    )


def _check_output(steps: Sequence[Any], name: str) -> None:
    """Raise ModelError unless the network draws a logit: what follows it is a sigmoid, or nothing."""
    words = [str(step.id) for step in steps if str(step.id) != "ensure_dtype"]
    if words and words[0] != "sigmoid":
        raise ModelError(
            f"{name} makes its output by {', '.join(words)}; a network that is rebuilt here draws a logit, of which "
            "sigmoid makes the probability."
        )


def _is_of_each_image(values: Mapping[str, Any]) -> bool:
    """Whether mean and deviation are over the pixels of one image, with the usual number added to the deviation."""
    axes = {str(axis) for axis in values["axes"] or "yx"}
    return {"y", "x"} <= axes <= {"channel", "y", "x"} and bool(np.isclose(values["eps"], DEVIATION_EPS, rtol=0.01))


def _divides(values: Mapping[str, Any]) -> bool:
    gain = np.ravel(values["gain"])
    return bool(not np.any(values["offset"]) and any(np.allclose(gain, 1 / full, rtol=0.01) for full in (255, 65535)))


def _is_imagenet(values: Mapping[str, Any], scale: float) -> bool:
    pairs = ((values["mean"], IMAGENET_MEAN), (values["std"], IMAGENET_DEVIATION))
    return all(np.size(given) == 3 and np.allclose(given, scale * np.array(usual), rtol=0.01) for given, usual in pairs)
