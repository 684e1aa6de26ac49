"""Labels, and a table of their cells, inside the OME-Zarr image that they are of."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..imaging.damage import DAMAGE
from ..imaging.errors import CellsegError, OutputError
from ..imaging.image import Image
from ..imaging.read.ome_zarr.places import is_zarr
from ..imaging.read.ome_zarr.read import axes_of, multiscale_of, open_node, transformations_of
from ..imaging.stack_planes import StackPlane
from ..imaging.write.ome_metadata import Coordinates, label_attributes, version_of, zarr_format
from ..imaging.write.zarr_labels import NAME, PROVENANCE, ZarrLabels, label_names, writing

LABELS, TABLES = "labels", "tables"
# Planes of one image may come from several threads.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class _Target:
    """An OME-Zarr image that labels are put into; `axes` and `shape` are those of the labels."""

    folder: Path
    version: str
    axes: str
    shape: tuple[int, ...]
    coordinates: Coordinates
    consolidated: bool


def check_inside(source: str | os.PathLike[str] | None) -> None:
    """Check whether labels can be put into an image.

    Raises
    ------
    OutputError
        It is not an OME-Zarr image in a folder, cannot be written to, or has labels or a table of that name which this
        package did not write.
    """
    target = _target(source)
    folders = [target.folder, target.folder / LABELS, target.folder / TABLES]
    for folder in folders:
        if folder.exists() and not os.access(folder, os.W_OK):
            raise OutputError(f"{folder} is not writable, so no labels can be put into it. {_NEXT}")
    for folder in (*folders[1:], folders[1] / NAME, folders[2] / NAME):
        if folder.exists() and not folder.resolve().is_relative_to(target.folder.resolve()):
            raise OutputError(f"{folder} is a link that leads out of the image, so nothing is put there. {_NEXT}")
    for folder in (folders[1] / NAME, folders[2] / NAME):
        if folder.exists() and not _is_ours(folder):
            raise OutputError(
                f"{folder} was not written by napari-cellseg and is left as it is. Rename it, or leave out inside."
            )


def put_inside(
    source: str | os.PathLike[str] | None,
    write_labels: Callable[[ZarrLabels, tuple[int, ...]], object],
    write_table: Callable[[Path], object],
    metadata: Mapping[str, Any],
    shape_yx: tuple[int, int],
    plane: StackPlane | None = None,
) -> dict[str, str]:
    """Put the labels of an image, or of one plane of it, and the table of its cells into the image.

    Parameters
    ----------
    source : path-like
        Folder of the image.
    write_labels : callable
        Takes the labels to write to, and the position of the plane in them.
    write_table : callable
        Takes the path of a CSV file whose first column is ``label``.
    metadata : mapping
        Provenance.
    shape_yx : tuple of int
        Height and width of the plane.
    plane : StackPlane, optional
        Which plane of a stack it is; a table of a plane has its name: ``cells_t003``.

    Returns
    -------
    dict of str to str
        The groups of labels and table, relative to the folder.

    Raises
    ------
    OutputError
        As in `check_inside`, or the system refused to write.
    """
    import zarr

    with _one_at_a_time:
        check_inside(source)
        target = _target(source)
        place = dict(plane.index) if plane is not None else {}
        position = tuple(place.get(axis.upper(), 0) for axis in target.axes[:-2])
        sizes = {axis.upper(): n for axis, n in zip(target.axes[:-2], target.shape[:-2], strict=True) if n > 1}
        if target.shape[-2:] != shape_yx or set(sizes) - set(place):
            raise OutputError(
                f"{target.folder} has axes {target.axes} of lengths {target.shape}, and the labels are {shape_yx[0]} x "
                f"{shape_yx[1]} pixels of {plane.name if plane and plane.name else 'one plane'}. Only labels of a "
                "whole plane are put into an image: leave out inside."
            )
        labels = ZarrLabels(target.folder / LABELS, target.shape, target.version, target.axes)
        write_labels(labels, position)
        labels.finish_plane(position)
        labels.describe(_gathered(labels, metadata, plane), target.coordinates, NAME, "../../")
        table = f"{NAME}_{plane.name}" if plane is not None and plane.name else NAME
        with writing(target.folder / TABLES):
            _put_table(target, table, write_table)
            if target.consolidated:
                # Other programs look up in a list what a folder holds; tables are no part of Zarr, which warns of them.
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    zarr.consolidate_metadata(target.folder)
    return {"labels": f"{LABELS}/{NAME}", "table": f"{TABLES}/{table}"}


_NEXT = "Choose images that may be changed, or leave out inside."


def _target(source: str | os.PathLike[str] | None) -> _Target:
    """Look at an image that labels are to be put into; raises OutputError where that cannot be."""
    folder = Path(source or "")
    if source is None or not (folder.is_dir() and is_zarr(folder)):
        raise OutputError(
            f"{source or 'The image'} is not an OME-Zarr image in a folder, and only into such an image labels can be "
            "put. Leave out inside."
        )
    try:
        group, multiscale = multiscale_of(folder)
        if multiscale is None:
            raise OutputError(f"{folder} is a Zarr array without the metadata of OME-Zarr. Leave out inside.")
        if Path(group.path or ".") != Path("."):
            raise OutputError(f"The image of {folder} lies in {group.path} inside it. Give {folder / group.path}.")
        axes, shape = axes_of(multiscale), group[multiscale["datasets"][0]["path"]].shape
        kept = [i for i, axis in enumerate(axes) if axis[0] != "C"]
        letters = "".join(axes[i][0] for i in kept)
        if len(axes) != len(shape) or letters not in ("YX", "ZYX", "TYX", "TZYX"):
            raise OutputError(f"{folder} has axes {letters}, and only TZYX in this order are possible. {_NEXT}")
        inner, outer = transformations_of(multiscale, kept)
        steps = {step["type"]: tuple(step[step["type"]]) for step in inner}
        coordinates = Coordinates(
            steps.get("scale") or (1.0,) * len(kept),
            tuple(axes[i][1] for i in kept),
            steps.get("translation", ()),
            tuple(outer),
        )
        label_attributes(version_of(group), NAME, letters.lower(), coordinates, 1)
    except CellsegError as error:
        raise OutputError(str(error)) from error
    except DAMAGE as error:
        raise OutputError(f"{folder} cannot be read ({error}), so no labels can be put into it. {_NEXT}") from error
    consolidated = getattr(group.metadata, "consolidated_metadata", None) is not None
    sizes = tuple(int(shape[i]) for i in kept)
    return _Target(folder, version_of(group), letters.lower(), sizes, coordinates, consolidated)


def _is_ours(folder: Path) -> bool:
    """Whether a group was written, or begun, by this package."""
    try:
        attributes = dict(open_node(folder).attrs)
        return PROVENANCE in attributes or not attributes
    except DAMAGE:
        return False


def _gathered(labels: ZarrLabels, metadata: Mapping[str, Any], plane: StackPlane | None) -> dict[str, Any]:
    """Return the provenance of labels; that of a stack counts the cells of all its planes."""
    if plane is None or not plane.name:
        return dict(metadata)
    before = labels.metadata().get("counts")
    counts = {**(before if isinstance(before, dict) else {}), plane.name: metadata.get("count")}
    return {**metadata, "count": sum(n or 0 for n in counts.values()), "counts": counts}


def _put_table(target: _Target, name: str, write_table: Callable[[Path], object]) -> None:
    """Write a table of features in the way of Fractal, which ngio reads."""
    import zarr

    form = zarr_format(target.version)
    outer = zarr.open_group(target.folder / TABLES, mode="a", zarr_format=form)
    group = zarr.open_group(target.folder / TABLES / name, mode="a", zarr_format=form)
    write_table(target.folder / TABLES / name / "table.csv")
    group.attrs.put(
        {
            "type": "feature_table",
            "table_version": "1",
            "backend": "csv",
            "index_key": "label",
            "index_type": "int",
            "instance_key": "label",
            "region": {"path": f"../{LABELS}/{NAME}"},
            PROVENANCE: {"labels": f"{LABELS}/{NAME}"},
        }
    )
    # Planes come in any order.
    outer.attrs.update({TABLES: sorted({*label_names(outer, TABLES), name})})


def source_of(image: Image) -> str | None:
    """Return the folder of an image that labels can be put into; None for an array and for a part of an image."""
    return image.source if image.origin is None else None
