"""How sure the model is of every pixel, as a TIFF."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ...imaging.write.atomic import atomic_path
from ...imaging.write.label_files import tiff_description, tiff_scale


def write_probability(
    path: Path,
    probability: np.ndarray,
    metadata: Mapping[str, Any] | None = None,
    pixel_size: tuple[float, float] | None = None,
) -> None:
    """Write a probability map as a zlib-compressed TIFF of 32-bit floats, which ImageJ opens too.

    Parameters
    ----------
    path : Path
    probability : ndarray of float32
        ``(Y, X)``, 0 to 1; read back it is the same to the last bit.
    metadata : mapping, optional
        Provenance; :func:`napari_cellseg.imaging.write.write.read_metadata` gives it back.
    pixel_size : tuple of float, optional
        Height and width of a pixel in micrometres.

    Raises
    ------
    OutputError
        If the system refused to write.
    """
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary,
            probability.astype(np.float32, copy=False),
            photometric="minisblack",
            compression="zlib",
            description=tiff_description(probability.shape, "YX", metadata or {}, pixel_size is not None),
            metadata=None,
            software="napari-cellseg",
            **tiff_scale("YX", pixel_size),
        )
