"""Model packages of bioimage.io: what others can run without this package, and get back from it. An optional extra."""

from __future__ import annotations

import logging
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...imaging.errors import ModelError, OutputError
from ...imaging.normalize import CLIP, DEVIATION_EPS, STANDARD, TYPE
from ...imaging.write.atomic import atomic_path
from ..building import Network
from ..config import FOREGROUND, UNetConfig
from ..ready import load_network
from ..unet import n_parameters
from ..versions import (
    CALIBRATION_FILE,
    CONFIG_FILE,
    FAMILIAR_FILE,
    METRICS_FILE,
    TRAINING_FILE,
    WEIGHTS_FILE,
    ModelVersion,
)
from .package_files import (
    least_side,
    normalized_input,
    output_names,
    write_cover,
    write_test_tensors,
    write_torchscript,
)
from .packaging_text import documentation

INPUT, PROBABILITY = "image", "probability"
# float32 convolutions differ this much between machines.
TOLERANCE = 1e-3
# From these files an import restores the version exactly as it was.
OWN_FILES = (CONFIG_FILE, WEIGHTS_FILE, TRAINING_FILE, METRICS_FILE, CALIBRATION_FILE, FAMILIAR_FILE)


@dataclass(frozen=True)
class PackageParams:
    """Details that bioimage.io requires of a shared model and a model version does not hold.

    Parameters
    ----------
    authors : tuple of str
        Names, at least one.
    license : str
        SPDX identifier such as ``CC-BY-4.0``.
    description : str
        One sentence; by default the model's.
    name : str
        The name shown; by default the model's.

    Raises
    ------
    ModelError
        If there is no author or no licence.
    """

    authors: tuple[str, ...]
    license: str
    description: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        if not [author for author in self.authors if author.strip()] or not self.license.strip():
            raise ModelError(
                "A package names who made the model and what others may do with it: give at least one author and a "
                "licence, such as --author 'A. Person' --license CC-BY-4.0."
            )


def spec() -> Any:
    """Import bioimageio.spec.

    Raises
    ------
    ModelError
        If it is not installed.
    """
    try:
        import bioimageio.spec.model.v0_5 as v0_5
        import pydantic
        from bioimageio.spec import __version__ as version
        from loguru import logger
    except ImportError as error:
        raise ModelError(
            f"Packages of bioimage.io need bioimageio.spec, but {error.name or error} is not installed. "
            'Run: pip install "napari-cellseg[bioimageio]"'
        ) from error
    if _parts(pydantic.VERSION) >= (2, 14) and _parts(version) < (0, 5, 14):
        # It calls pydantic in a way that is refused from there on.
        raise ModelError(
            f"bioimageio.spec {version} does not work with pydantic {pydantic.VERSION}. "
            'Run: pip install "bioimageio.spec>=0.5.14"'
        )
    # It logs every step to the terminal; what fails is raised as an error with its own message.
    logger.disable("bioimageio")
    logging.getLogger("bioimageio").setLevel(logging.CRITICAL)
    return v0_5


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def export_bioimageio(model: ModelVersion, out: Path, params: PackageParams) -> Path:
    """Write a model as a package that bioimage.io's tools can check and run.

    The package holds TorchScript weights, a test image with the outputs it must give, a description, and the model's
    own files, by which :func:`napari_cellseg.network.exchange.import_model.import_model` takes it back as it was.

    Parameters
    ----------
    model : ModelVersion
    out : Path
        A ``.zip``.
    params : PackageParams

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    ModelError
        If the extra is not installed, the model cannot be loaded, or the description is refused.
    OutputError
        If it cannot be written.
    """
    v0_5 = spec()
    from bioimageio.spec import save_bioimageio_package

    if out.suffix != ".zip":
        raise OutputError(f"A package is a .zip, but {out.name} is not. Give another name.")
    network = load_network(model)
    try:
        with tempfile.TemporaryDirectory(prefix="cellseg-export-") as scratch:
            folder = Path(scratch)
            raw, outputs = write_test_tensors(model, network, folder)
            write_torchscript(network, normalized_input(raw, model), folder / "weights.torchscript.pt")
            write_cover(raw, outputs[0], folder / "cover.png")
            (folder / "README.md").write_text(documentation(model, params.license), encoding="utf-8")
            described = _describe(v0_5, model, network, params, folder)
            with atomic_path(out) as temporary:
                save_bioimageio_package(described, output_path=temporary)
                with zipfile.ZipFile(temporary, "a") as archive:
                    archive.comment = b"napari-cellseg"
    except OSError as error:
        raise OutputError(f"The package could not be written to {out} ({error}). Choose another place.") from error
    except ValueError as error:
        raise ModelError(f"The package's description was refused: {_reason(error)}.") from error
    return out


def _reason(error: ValueError) -> str:
    """First complaint of a validation, with the name of the field."""
    for one in getattr(error, "errors", list)():
        return f"{'.'.join(str(part) for part in one['loc'][:2])}: {one['msg']}"
    return str(error).splitlines()[0]


def _describe(v0_5: Any, model: ModelVersion, network: Network, params: PackageParams, folder: Path) -> Any:
    from bioimageio.spec.common import FileDescr

    name = "".join(c if c.isalnum() or c in " -_." else " " for c in params.name or model.name)
    return v0_5.ModelDescr(
        # Shorter and longer names are not allowed there.
        name=(name if len(name) >= 5 else f"Cell model {name}")[:128],
        description=(params.description or model.description or f"Cell segmentation model {model.name}")[:1024],
        authors=[v0_5.Author(name=author) for author in params.authors],
        cite=_citations(v0_5, model.config),
        license=params.license,
        documentation=FileDescr(source=folder / "README.md"),
        covers=[FileDescr(source=folder / "cover.png")],
        tags=["cells", "nuclei", "segmentation", "2d", "unet", "fluorescence-light-microscopy", "pytorch"],
        inputs=[_describe_input(v0_5, model, folder)],
        outputs=[_describe_output(v0_5, model.config, name, folder) for name in output_names(model.config)],
        weights=v0_5.WeightsDescr(
            torchscript=v0_5.TorchscriptWeightsDescr(
                source=folder / "weights.torchscript.pt",
                pytorch_version=v0_5.Version(torch.__version__.partition("+")[0]),
            )
        ),
        attachments=[FileDescr(source=model.path / name) for name in OWN_FILES if (model.path / name).is_file()],
        config=v0_5.Config(
            bioimageio=v0_5.BioimageioConfig(
                reproducibility_tolerance=[
                    v0_5.ReproducibilityTolerance(relative_tolerance=TOLERANCE, absolute_tolerance=TOLERANCE)
                ],
                architecture_type="2D U-Net",
                model_parameter_count=n_parameters(network),
                task="segmentation",
            )
        ),
    )


def _citations(v0_5: Any, config: UNetConfig) -> list[Any]:
    cited = [("Ronneberger, Fischer, Brox: U-Net (MICCAI 2015)", "10.1007/978-3-319-24574-4_28")]
    if config.architecture.startswith("resnet"):
        cited.append(("He, Zhang, Ren, Sun: Deep residual learning (CVPR 2016)", "10.1109/CVPR.2016.90"))
    return [v0_5.CiteEntry(text=text, doi=doi) for text, doi in cited]


def _describe_input(v0_5: Any, model: ModelVersion, folder: Path) -> Any:
    n = model.config.in_channels
    size = v0_5.ParameterizedSize(min=least_side(model.config), step=model.config.stride)
    return v0_5.InputTensorDescr(
        id=v0_5.TensorId(INPUT),
        description="Image with its own values; grey images are repeated over the channels",
        axes=[
            v0_5.BatchAxis(),
            v0_5.ChannelAxis(channel_names=[v0_5.Identifier(f"channel{i}") for i in range(n)]),
            *(v0_5.SpaceInputAxis(id=v0_5.AxisId(axis), size=size) for axis in "yx"),
        ],
        test_tensor=v0_5.FileDescr(source=folder / "test_input.npy"),
        data=v0_5.IntervalOrRatioDataDescr(type="float32"),
        preprocessing=preprocessing(v0_5, model),
    )


def preprocessing(v0_5: Any, model: ModelVersion) -> list[Any]:
    """Return a normaliser in the specification's terms."""
    ready = v0_5.EnsureDtypeDescr(kwargs=v0_5.EnsureDtypeKwargs(dtype="float32"))
    clip = v0_5.ClipDescr(kwargs=v0_5.ClipKwargs(min=CLIP[0], max=CLIP[1]))
    if model.normalizer.method == TYPE:
        return [ready, v0_5.ScaleLinearDescr(kwargs=v0_5.ScaleLinearKwargs(gain=1 / 255)), clip, ready]
    axes = [v0_5.AxisId(axis) for axis in ("channel", "y", "x")]
    if model.normalizer.method == STANDARD:
        kwargs = v0_5.ZeroMeanUnitVarianceKwargs(axes=axes, eps=DEVIATION_EPS)
        return [ready, v0_5.ZeroMeanUnitVarianceDescr(kwargs=kwargs), ready]
    scale = v0_5.ScaleRangeDescr(
        kwargs=v0_5.ScaleRangeKwargs(
            axes=axes,
            min_percentile=model.normalizer.low,
            max_percentile=model.normalizer.high,
            eps=1e-6,
        )
    )
    return [ready, scale, clip, ready]


def _describe_output(v0_5: Any, config: UNetConfig, name: str, folder: Path) -> Any:
    ready = v0_5.EnsureDtypeDescr(kwargs=v0_5.EnsureDtypeKwargs(dtype="float32"))
    if name == FOREGROUND:
        words, step = "Probability that a pixel belongs to a cell", v0_5.SigmoidDescr()
    else:
        words = "1 at a cell's centre, 0 at its border and outside"
        step = v0_5.ClipDescr(kwargs=v0_5.ClipKwargs(min=0.0, max=1.0))
    return v0_5.OutputTensorDescr(
        id=v0_5.TensorId(PROBABILITY if name == FOREGROUND else name),
        description=words,
        axes=[
            v0_5.BatchAxis(),
            v0_5.ChannelAxis(channel_names=[v0_5.Identifier(name)]),
            *(
                v0_5.SpaceOutputAxisWithHalo(
                    id=v0_5.AxisId(axis),
                    size=v0_5.SizeReference(tensor_id=v0_5.TensorId(INPUT), axis_id=v0_5.AxisId(axis)),
                    halo=config.context,
                )
                for axis in "yx"
            ),
        ],
        test_tensor=v0_5.FileDescr(source=folder / f"test_{name}.npy"),
        data=v0_5.IntervalOrRatioDataDescr(type="float32"),
        postprocessing=[step, ready],
    )
