"""Write the cells of one image into a folder of results, for batch, command line and window."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..corrections import exchange
from ..corrections.doubt import doubt
from ..imaging.channels import distinct_names
from ..imaging.errors import ImageError
from ..imaging.image import Image
from ..imaging.read.read import read_image
from ..imaging.stack_planes import position_in_stack
from ..imaging.write.write import read_label_stack, read_metadata, write_json, write_table
from ..instances.filters import ALL
from ..instances.live import Instances
from ..instances.measure import measure
from ..segmentation.segmented import Segmented, SegmentResult
from .inside import put_inside, source_of
from .ledger import FOLDER
from .origin import foreign
from .outputs import CELL_TABLES, cells_table, plane_channels, rle_rows, write_outputs, write_thumbnail
from .place import Place

PARTS = f"{FOLDER}/parts"
THUMBNAIL = "thumbnail"
DOUBT_SAMPLE = 60


def save_result(
    outputs: Collection[str],
    result: SegmentResult,
    plane: np.ndarray,
    image: Image,
    out: Path,
    stem: str,
    place: Place | None = None,
) -> dict[str, str]:
    """Write the outputs of one image, the pieces of those that all images share, and a small picture.

    Parameters
    ----------
    outputs : collection of str
        Names of `outputs.OUTPUTS`.
    result : SegmentResult
    plane : ndarray
        ``(Y, X)`` or ``(Y, X, 3)``, raw.
    image : Image
        The plane's image, for pixel size and channels.
    out : Path
    stem : str
        Beginning of the file names, relative to `out`.
    place : Place, optional
        By default that of a part by the image's `origin`.

    Returns
    -------
    dict of str to str
        Path of every file by its output, relative to `out`, with ``/``.

    Raises
    ------
    OutputError
        The system refused to write.
    """
    channels = _channels(image) if {*CELL_TABLES, "geojson", "inside"} & set(outputs) else None
    place = place or Place.of_part(image.origin)
    size = image.pixel_size
    written = write_outputs(outputs, result, plane, out / stem, pixel_size=size, channels=channels, place=place)
    files = {name: path.relative_to(out).as_posix() for name, path in written.items()}
    part = f"{PARTS}/{stem}"
    if tables := [name for name in CELL_TABLES if name in outputs]:
        files |= dict.fromkeys(tables, f"{part}.cells.csv")
        write_table(out / files[tables[0]], place.in_whole(cells_table(result, plane, channels, size)))
    files |= write_region_part(result, out, stem, size)
    if "inside" in outputs:
        files["inside"] = f"{part}.inside.json"
        write_json(out / files["inside"], _put_inside(result, plane, image, channels, place))
    if "rle" in outputs:
        files["rle"] = f"{part}.rle.csv"
        write_table(out / files["rle"], {"EncodedPixels": rle_rows(result.labels)})
    files[THUMBNAIL] = f"{part}.jpg"
    write_thumbnail(out / files[THUMBNAIL], plane, result.labels)
    return files


def write_region_part(
    result: SegmentResult, out: Path, stem: str, pixel_size: tuple[float, float] | None
) -> dict[str, str]:
    """Write the piece of ``regions.csv`` of one image, where it has regions; return the file by its name."""
    if result.areas is None or not result.areas.areas:
        return {}
    return write_regions(result.areas.counted(result.table, pixel_size), out, stem)


def write_regions(columns: Mapping[str, Any], out: Path, stem: str) -> dict[str, str]:
    """Write the columns of the piece of ``regions.csv`` of one image; return the file by its name."""
    name = f"{PARTS}/{stem}.regions.csv"
    write_table(out / name, columns)
    return {"regions": name}


def _put_inside(
    result: SegmentResult, plane: np.ndarray, image: Image, channels: Mapping[str, np.ndarray] | None, place: Place
) -> dict[str, str]:
    table = cells_table(result, plane, channels, image.pixel_size)
    everything = (slice(None), slice(None))
    return put_inside(
        source_of(image),
        lambda labels, position: labels.write(everything, result.labels, position),
        lambda path: write_table(path, {"label" if name == "index" else name: v for name, v in table.items()}),
        result.metadata,
        result.labels.shape,
        place.plane,
    )


def numbers(areas: np.ndarray, pixel_size: tuple[float, float] | None, n_pixels: int | None = None) -> dict[str, Any]:
    """Return count and areas of cells as a `BatchRow` takes them; `areas` in pixels. The deviation is a sample's.

    `n_pixels` is the size of what they were counted in; 0, where a counting frame leaves nothing of it, is not known.
    """
    some = len(areas) > 0
    return {
        "count": len(areas),
        "median_area_px": float(np.median(areas)) if some else None,
        "mean_area_px": float(np.mean(areas)) if some else None,
        "sd_area_px": float(np.std(areas, ddof=1)) if len(areas) > 1 else None,
        "pixel_area_um2": None if pixel_size is None else pixel_size[0] * pixel_size[1],
        "n_pixels": n_pixels or None,
    }


def mean_doubt(segmented: Segmented, sample: int = DOUBT_SAMPLE) -> float | None:
    """Return the mean estimated chance that a cell is wrong; None without cells.

    Parameters
    ----------
    segmented : Segmented
    sample : int
        Of more cells, about so many are looked at, those in the middle of the image: looking at all would take a good
        part of the time that the network takes.
    """
    threshold, min_size = segmented.threshold, segmented.min_size
    instances, prediction = segmented.instances, segmented.prediction
    count = instances.count(threshold, min_size)
    if count > sample:
        share = math.sqrt(sample / count)
        window = tuple(slice(int(n * (1 - share) / 2), math.ceil(n * (1 + share) / 2)) for n in prediction.shape)
        maps = {name: getattr(prediction, name) for name in ("probability", "distance", "basins")}
        parts: dict[str, Any] = {n: None if m is None else np.ascontiguousarray(m[window]) for n, m in maps.items()}
        prediction = replace(prediction, **parts)
        filters = replace(instances.filters, edges=ALL)
        plane = np.ascontiguousarray(segmented.plane[window])
        instances = Instances.from_prediction(prediction, segmented.model.split).filtered(filters, plane)
    found = doubt(instances, prediction, segmented.model.split, threshold, min_size)
    score = found.score
    if count > sample:
        labels = instances.labels(threshold, min_size)
        cut = np.concatenate([labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()])
        whole = ~np.isin(found.ids, cut)
        score = score[whole] if whole.any() else score
    return float(np.mean(score)) if len(score) else None


def corrected_by_hand(path: Path, to_be_written: bool = True) -> dict[str, Any] | None:
    """Return the metadata of a label file that a user corrected; None where the file may be replaced.

    Parameters
    ----------
    path : Path
    to_be_written : bool
        Whether it is going to be replaced.

    Raises
    ------
    OutputError
        A file that this package did not write would be replaced.
    """
    if not path.exists():
        return None
    try:
        metadata = read_metadata(path)
    except ImageError:
        metadata = {}
    if not metadata and to_be_written:
        raise foreign(path)
    return metadata if is_corrected(metadata) else None


def is_corrected(metadata: Mapping[str, Any]) -> bool:
    """Whether a user corrected the labels that have this metadata."""
    # Files of earlier versions may hold the corrections without the flag.
    return any(bool(metadata.get(name)) for name in ("corrected", "corrections", exchange.KEY))


def numbers_of_file(path: Path, pages: Sequence[str]) -> list[dict[str, Any]]:
    """Return count and areas of the cells in a label file; of linked slices, count and volumes.

    Parameters
    ----------
    path : Path
    pages : sequence of str
        Planes, or volumes of linked slices, of a stack; an empty name stands for all that the file holds.

    Returns
    -------
    list of dict
        One per page.

    Raises
    ------
    ImageError
        The file is no label image, or has no such plane.
    """
    labels, _ = read_label_stack(path)
    pixel_size = read_image(path).pixel_size
    linked = (read_metadata(path).get("link") or {}).get("axis") == "Z"
    found = []
    for page in pages:
        place = position_in_stack(page) if page and labels.ndim > 2 else ()
        if len(place) > labels.ndim - 2 or any(i >= n for i, n in zip(place, labels.shape, strict=False)):
            raise ImageError(
                f"{path} has no plane {page}: it holds {' x '.join(map(str, labels.shape))}. A user corrected it, so "
                "it stays. Move it away, and run again."
            )
        found.append(_numbers_of(labels[place], pixel_size, linked))
    return found


def _numbers_of(labels: np.ndarray, pixel_size: tuple[float, float] | None, linked: bool) -> dict[str, Any]:
    """Return the numbers of one plane, or of several whose cells are `linked` or not."""
    planes = labels.reshape(-1, *labels.shape[-2:])
    if labels.ndim > 2 and linked:
        volumes: Counter[int] = Counter()
        for plane in planes:
            ids, sizes = np.unique(plane[plane > 0], return_counts=True)
            volumes.update(dict(zip(ids.tolist(), sizes.tolist(), strict=True)))
        median = float(np.median(list(volumes.values()))) if volumes else None
        return {**numbers(np.zeros(0), pixel_size), "count": len(volumes), "median_volume_vox": median}
    return numbers(np.concatenate([measure(plane)["area_px"] for plane in planes]), pixel_size)


def channels_of(image: Image, plane: np.ndarray) -> dict[str, np.ndarray]:
    """Return all channels of an image by name, or the colours of its plane; a grey one has one without a name."""
    return _channels(image) or plane_channels(plane)


def names_of_channels(image: Image) -> list[str]:
    """Return the names of the channels in tables, with their numbers where several have the same name."""
    return distinct_names(image.channel_names, image.n_channels)


def _channels(image: Image) -> dict[str, np.ndarray] | None:
    if image.n_channels < 2:
        return None
    return {name: image.plane(i) for i, name in enumerate(names_of_channels(image))}
