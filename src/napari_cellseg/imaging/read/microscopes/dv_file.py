"""DeltaVision, by the package mrc."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .scene import Scene


class DvFile:
    """An open DeltaVision file: one image, mapped into memory."""

    names = ("",)

    def __init__(self, path: Path) -> None:
        import mrc

        self._file = mrc.DVFile(path)

    def scene(self, index: int) -> Scene:
        """Describe the image."""
        file, kept = self._file, [i for i, n in enumerate(self._file.shape) if n > 1 or self._file.axes[i] in "YX"]
        outer = [i for i in kept if file.axes[i] not in "YX"]
        voxel, header = file.voxel_size, file.hdr
        n_places = file.ndim - 2
        waves = (header.wave1, header.wave2, header.wave3, header.wave4)[: header.nc]

        def read(place: tuple[int, ...], rows: slice | None, columns: slice | None) -> np.ndarray:
            at = dict(zip(outer, place, strict=True))
            return np.asarray(file.data[tuple(at.get(i, 0) for i in range(n_places))])

        return Scene(
            "".join(file.axes[i] for i in kept),
            tuple(file.shape[i] for i in kept),
            np.dtype(file.dtype),
            len(outer),
            read,
            channel_names=tuple(f"{wave} nm" for wave in waves) if len(waves) == header.nc and all(waves) else (),
            pixel_size=(voxel.y, voxel.x),
            slice_spacing=voxel.z,
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_file(path: Path) -> DvFile:
    """Open a DeltaVision file."""
    return DvFile(path)
