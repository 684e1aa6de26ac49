"""Write what was found in one image into a folder of results, whoever asks: batch, command line, or window."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..imaging.errors import ImageError, OutputError
from ..imaging.image import Image
from ..imaging.writing import read_label_stack, read_metadata, write_table
from ..instances.doubt import doubt
from ..instances.live import Instances
from ..instances.measure import measure
from .ledger import FOLDER
from .outputs import cells_table, plane_channels, rle_rows, write_outputs, write_thumbnail
from .segment import Segmented, SegmentResult

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

    Returns
    -------
    dict of str to str
        Path of every file by its output, relative to `out`, with ``/``.

    Raises
    ------
    OutputError
        The system refused to write.
    """
    channels = _channels(image) if {"cells", "geojson"} & set(outputs) else None
    written = write_outputs(outputs, result, plane, out / stem, pixel_size=image.pixel_size, channels=channels)
    files = {name: path.relative_to(out).as_posix() for name, path in written.items()}
    part = f"{PARTS}/{stem}"
    if "cells" in outputs:
        files["cells"] = f"{part}.cells.csv"
        write_table(out / files["cells"], cells_table(result, plane, channels, image.pixel_size))
    if "rle" in outputs:
        files["rle"] = f"{part}.rle.csv"
        write_table(out / files["rle"], {"EncodedPixels": rle_rows(result.labels)})
    files[THUMBNAIL] = f"{part}.jpg"
    write_thumbnail(out / files[THUMBNAIL], plane, result.labels)
    return files


def numbers(areas: np.ndarray, pixel_size: tuple[float, float] | None) -> dict[str, Any]:
    """Count and areas of cells as a `BatchRow` takes them; `areas` in pixels."""
    some = len(areas) > 0
    return {
        "count": len(areas),
        "median_area_px": float(np.median(areas)) if some else None,
        "mean_area_px": float(np.mean(areas)) if some else None,
        "sd_area_px": float(np.std(areas)) if some else None,
        "pixel_area_um2": None if pixel_size is None else pixel_size[0] * pixel_size[1],
    }


def mean_doubt(segmented: Segmented, sample: int = DOUBT_SAMPLE) -> float | None:
    """Mean estimated chance that a cell is wrong; None without cells.

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
        distance = None if prediction.distance is None else np.ascontiguousarray(prediction.distance[window])
        probability = np.ascontiguousarray(prediction.probability[window])
        prediction = replace(prediction, probability=probability, distance=distance)
        instances = Instances.from_prediction(prediction, segmented.model.split)
    found = doubt(instances, prediction, segmented.model.split, threshold, min_size)
    score = found.score
    if count > sample:
        labels = instances.labels(threshold, min_size)
        cut = np.concatenate([labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()])
        whole = ~np.isin(found.ids, cut)
        score = score[whole] if whole.any() else score
    return float(np.mean(score)) if len(score) else None


def corrected_by_hand(path: Path, to_be_written: bool = True) -> dict[str, Any] | None:
    """Return the metadata of a label file that a person corrected; None where it may be replaced.

    Parameters
    ----------
    path : Path
    to_be_written : bool
        Whether it is going to be replaced.

    Raises
    ------
    OutputError
        A file that is none of ours would be replaced.
    """
    if not path.exists():
        return None
    try:
        metadata = read_metadata(path)
    except ImageError:
        metadata = {}
    if not metadata and to_be_written:
        raise OutputError(
            f"{path} was not written by napari-cellseg and is left as it is. "
            "Choose another folder, or give --overwrite."
        )
    return metadata if is_corrected(metadata) else None


def is_corrected(metadata: Mapping[str, Any]) -> bool:
    """Whether labels with this metadata are a person's work."""
    return any(bool(metadata.get(name)) for name in ("corrected", "corrections", "edited_by_hand", "corrected cells"))


def numbers_of_file(path: Path) -> dict[str, Any]:
    """Count and areas of the cells in a label file; of a stack whose slices are linked, the count alone."""
    labels, axes = read_label_stack(path)
    if axes == "YX":
        return numbers(measure(labels)["area_px"], None)
    planes = labels.reshape(-1, *labels.shape[-2:])
    if (read_metadata(path).get("link") or {}).get("axis") == "Z":
        ids = set().union(*(np.unique(plane).tolist() for plane in planes)) - {0}
        return {**numbers(np.zeros(0), None), "count": len(ids)}
    return numbers(np.concatenate([measure(plane)["area_px"] for plane in planes]), None)


def channels_of(image: Image, plane: np.ndarray) -> dict[str, np.ndarray]:
    """All channels of an image by name, or the colours of its plane; one without a name where it is grey."""
    return _channels(image) or plane_channels(plane)


def _channels(image: Image) -> dict[str, np.ndarray] | None:
    if image.n_channels < 2:
        return None
    names = image.channel_names or tuple(f"channel {i}" for i in range(image.n_channels))
    return {name: image.plane(i) for i, name in enumerate(names)}
