"""Open images as layers: with the package's own reader for the formats it knows, napari's readers for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...imaging.errors import CellsegError, ImageError, SeveralImagesError
from ...imaging.image import Image
from ...imaging.read.finding import find_images
from ...imaging.read.formats import format_of, needs
from ...imaging.read.microscopes.read import forget
from ...imaging.read.ome_zarr.places import is_zarr
from ...imaging.read.read import read_image
from ...imaging.read.scenes import file_of, scene_of
from ...imaging.read.tiff.ome_files import is_companion
from ...results.reopening import SavedCells, saved_cells
from .channels import add_channels, is_split, set_shown
from .layer_image import METADATA_KEY

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

MAX_AT_ONCE = 50
SAMPLES = Path(__file__).resolve().parents[2] / "samples"
_SAMPLE = 1_000_000


@dataclass(frozen=True, eq=False)
class Opened:
    """What came of reading some files.

    Attributes
    ----------
    images : tuple of Image
    levels : tuple of (list or None)
        For each image the coarser copies by which a very large one is shown.
    others : tuple of Path
        Files that napari's own readers are to open.
    problems : tuple of str
        One sentence per file that could not be read, or that was skipped.
    reasons : dict of Path to str
        Why some of the `others` are not read by the package itself.
    cells : tuple of SavedCells
        Label files of this package, which are no images.
    """

    images: tuple[Image, ...]
    levels: tuple[list[Any] | None, ...]
    others: tuple[Path, ...]
    problems: tuple[str, ...]
    reasons: Mapping[Path, str] = field(default_factory=dict)
    cells: tuple[SavedCells, ...] = ()


def several_in(paths: Iterable[str | Path]) -> list[tuple[Path, str]]:
    """List the images of files of several, and the files beside them; nothing where each file is one image.

    Images that are addressed themselves were chosen already.
    """
    given = [Path(path) for path in paths]
    try:
        found = find_images(given)
    except CellsegError:
        # Reading them reports the error.
        return []
    return found if any(scene_of(path) is not None and path not in given for path, _ in found) else []


def read_paths(paths: Iterable[str | Path]) -> Opened:
    """Read files, and the images in folders; touches no layer, so that it can run in a background thread."""
    # Imported late: dask takes most of a second, and here a thread waits for it.
    from ...imaging.read.pyramid import pyramid

    images, levels, others, problems, cells = [], [], [], [], []
    reasons: dict[Path, str] = {}
    try:
        found = find_images([Path(path) for path in paths])
    except CellsegError as error:
        return Opened((), (), (), (str(error),))
    if len(found) > MAX_AT_ONCE:
        problems.append(
            f"{len(found)} images were given and the first {MAX_AT_ONCE} opened. For a whole folder use "
            "'Segment a folder of images' in the Plugins menu."
        )
    for path, name in found[:MAX_AT_ONCE]:
        words = "" if is_zarr(path) else needs(file_of(path))
        known = is_zarr(path) or format_of(file_of(path)) or is_companion(file_of(path))
        if words or not known:
            # A plugin of napari may read it.
            others.append(path)
            reasons.update({path: words} if words else {})
            continue
        if (saved := saved_cells(path)) is not None:
            cells.append(saved)
            continue
        try:
            image = read_image(path)
            levels_of_image, notes = pyramid(image)
            levels.append(levels_of_image)
            images.append(image)
            problems += notes
        except SeveralImagesError as error:
            if path.is_dir():
                # Plates and the like: a reader that is installed may know better.
                others.append(path)
                reasons[path] = str(error)
            else:
                problems.append(str(error))
        except CellsegError as error:
            problems.append(str(error) if path.name in str(error) else f"{name}: {error}")
    forget()
    return Opened(tuple(images), tuple(levels), tuple(others), tuple(problems), reasons, tuple(cells))


def add_opened(viewer: Viewer, opened: Opened) -> tuple[list[Layer], list[str]]:
    """Add what was read as layers; of several only the first is shown.

    Returns
    -------
    layers : list of napari.layers.Layer
    problems : list of str
    """
    layers: list[Layer] = []
    problems = list(opened.problems)
    for image, levels in zip(opened.images, opened.levels, strict=True):
        try:
            layers.append(add_image(viewer, image, levels))
        except (CellsegError, ValueError, TypeError, RuntimeError) as error:
            problems.append(f"{image.title}: {error}")
    for path in opened.others:
        try:
            layers += viewer.open([path], plugin=None)
        except (ValueError, OSError, TypeError, RuntimeError) as error:
            problems.append(
                opened.reasons.get(path)
                or f"{path.name} could not be opened: no reader of napari takes it ({error}). Save it as TIFF, or "
                "install a napari plugin that reads it."
            )
    show_only(viewer, layers[0], layers) if layers else None
    return layers, problems


def add_image(viewer: Viewer, image: Image, levels: list[Any] | None = None) -> Layer:
    """Add an image as a layer with its scale, axis names and file; a very large one by its levels (see `pyramid`).

    A plane of several channels gets a layer for each (see `channels`); what is returned stands for the image.
    """
    name, split = Path(image.name).stem or "image", is_split(image, levels)
    if split:
        attributes = _attributes(image, image.axes.replace("C", ""))
        attributes["metadata"][METADATA_KEY]["opened"] = True
        return add_channels(viewer, image, name, _contrast, **attributes)
    data, attributes = layer_of(image, levels)
    attributes["metadata"][METADATA_KEY]["opened"] = True
    return viewer.add_image(data, **attributes)


def layer_of(image: Image, levels: list[Any] | None = None) -> tuple[Any, dict[str, Any]]:
    """Return the data of an image's layer, and the attributes that show it with scale, axis names and file.

    Raises
    ------
    ImageError
        Rows and columns are not its last axes.
    """
    return image.data if levels is None else levels, {
        **_attributes(image, image.axes[:-1] if image.rgb else image.axes),
        "rgb": image.rgb,
        "name": Path(image.name).stem or "image",
        "multiscale": levels is not None,
        "contrast_limits": None if image.rgb else _contrast(image.data if levels is None else levels[-1]),
    }


def _attributes(image: Image, labels: str) -> dict[str, Any]:
    if not image.rgb and image.axes[-2:] != "YX":
        raise ImageError(f"{image.title} has axes {image.axes}; save it with rows and columns (Y, X) last.")
    scale = dict(zip("YX", image.pixel_size or (1.0, 1.0), strict=True))
    if image.pixel_size and image.slice_spacing:
        scale["Z"] = image.slice_spacing
    unit = "micrometer" if image.pixel_size else "pixel"
    about = {"path": image.source, "channel_names": image.channel_names, "frame_interval": image.frame_interval}
    return {
        "scale": [scale.get(letter, 1.0) for letter in labels],
        "units": [unit if letter in scale else "pixel" for letter in labels],
        "axis_labels": tuple(labels.lower()),
        "metadata": {METADATA_KEY: about},
    }


def _contrast(data: Any) -> tuple[float, float] | None:
    """Return the brightness range that shows a dim image too; None leaves it to napari."""
    if not isinstance(data, np.ndarray):
        return None
    step = max(1, int((data.size / _SAMPLE) ** 0.5))
    sample = data[..., ::step, ::step].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    low, high = np.percentile(sample, (0.1, 99.9)) if sample.size else (0.0, 0.0)
    return (float(low), float(high)) if high > low else None


def sample_path(key: str) -> Path:
    """Return the file of a sample that comes with the package.

    Raises
    ------
    ImageError
        When the package does not hold it.
    """
    for suffix in (".png", ".tif"):
        path = SAMPLES / f"{key}{suffix}"
        if path.is_file():
            return path
    raise ImageError(f"The sample '{key}' is missing from {SAMPLES}. Install napari-cellseg again.")


def show_only(viewer: Viewer, layer: Layer, others: Sequence[Layer]) -> None:
    """Show one of several images that would cover each other."""
    for other in others:
        set_shown(viewer, other, other is layer)
