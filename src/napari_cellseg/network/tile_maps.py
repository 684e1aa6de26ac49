"""The network's maps of a plane of any size: made tile by tile, kept on the disk while they are needed."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ..imaging.errors import ImageError
from ..imaging.lazy_plane import LazyPlane
from ..imaging.normalize import Scale
from ..imaging.progress import Progress
from ..imaging.regions import Region
from ..imaging.resampling import resample_region
from ..imaging.tiles import Tile, plan_tiles
from ..imaging.write.atomic import atomic_path, make_folder
from ..instances.prediction import Prediction
from .config import DISTANCE, FOREGROUND
from .devices import resolve_device
from .predict import BATCH_PIXELS, TILE, batch_maps, less_hungry, network_input, smallest_tile
from .ready import network_for_maps, runs_on
from .sizing import zoomed_shape
from .versions import ModelVersion


@dataclass(eq=False)
class NormalizedPlane:
    """A plane that is read and normalised region by region; holes are 0.

    Parameters
    ----------
    plane : LazyPlane
    scale : Scale
        Of the whole plane.
    is_grey : bool
        Whether a colour plane's three colours are equal everywhere: then there is one.
    strict : bool
        Raise ImageError where a part cannot be read that is not a hole yet.
    """

    plane: LazyPlane
    scale: Scale
    is_grey: bool = False
    strict: bool = False
    shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.shape = self.plane.shape[:2] if self.is_grey else self.plane.shape

    @property
    def ndim(self) -> int:
        """2, or 3 with colours."""
        return len(self.shape)

    def raw(self, region: Region) -> tuple[np.ndarray, list[Region]]:
        """Values as they are, and the holes among them, as `LazyPlane.read` gives them."""
        values, holes = self.plane.read(region)
        return (np.ascontiguousarray(values[..., 0]) if values.ndim > self.ndim else values), holes

    def __getitem__(self, region: Region) -> np.ndarray:
        n_holes = len(self.plane.holes)
        values, holes = self.raw(region)
        if self.strict and len(self.plane.holes) > n_holes:
            raise ImageError(self.plane.reason)
        out = self.scale.apply(values)
        for hole in holes:
            out[hole] = 0
        return out


class TileMaps:
    """Probability and centre distance of a plane, for any region of it.

    The tiles, and the way they are seen by the network, are those of :func:`iter_predict_at` on the whole plane: where
    nothing is magnified, the maps are the same to the last bit.

    Parameters
    ----------
    plane : NormalizedPlane
    model : ModelVersion
    folder : Path
        For the maps of tiles: 8 bytes for each pixel that the network sees, until `forget_above`.
    device : {'auto', 'cpu', 'cuda', 'mps'}
    zoom : float
        How far the plane is magnified for the network.
    tile : int
        Side of the tiles in pixels of the magnified plane.

    Attributes
    ----------
    notes : list of str
        What the user should know about how it was computed.
    n_made : int
        Number of tiles that the network looked at.
    """

    def __init__(
        self,
        plane: NormalizedPlane,
        model: ModelVersion,
        folder: Path,
        device: str = "auto",
        zoom: float = 1.0,
        tile: int = TILE,
    ) -> None:
        self.plane, self.model, self.folder, self.zoom = plane, model, folder, zoom
        self.shape = (plane.shape[0], plane.shape[1])
        self.zoomed = zoomed_shape(self.shape, zoom)
        self._choice = resolve_device(device)
        self._names = [name for name, _ in model.config.heads if name in (FOREGROUND, DISTANCE)]
        self.notes: list[str] = []
        self.n_made = 0
        self._plan(max(tile, smallest_tile(model.config)))
        self._batch = max(1, BATCH_PIXELS[self._choice.device] // (self._tile * self._tile))
        make_folder(folder)

    @property
    def device(self) -> str:
        """Where the network runs, in words."""
        return runs_on(network_for_maps(self.model, self._choice), self._choice)

    @property
    def n_tiles(self) -> int:
        """Number of tiles of the whole plane."""
        return len(self._tiles)

    @property
    def tile(self) -> int:
        """Side of the tiles in pixels of the magnified plane."""
        return self._tile

    @property
    def batch(self) -> int:
        """How many tiles the network looks at in one go."""
        return self._batch

    def has(self, index: int) -> bool:
        """Whether a tile's maps are there."""
        return self._path(index).exists()

    def missing(self, region: Region) -> list[int]:
        """Tiles that a region of the plane needs and that are not there."""
        return [i for i in self._under(self._seen(region)) if not self.has(i)]

    def make(self, indices: Sequence[int]) -> None:
        """Run the network on some tiles, all at once; errors are torch's own. See `iter_make`."""
        self._make(indices)

    def iter_make(self, region: Region) -> Generator[Progress, None, None]:
        """Run the network on the tiles that a region of the plane needs and that are not there.

        Raises
        ------
        ImageError
            The plane's channels do not fit the model, or there is no memory even for the smallest tile.
        ModelError
            The model cannot be loaded or run.
        OutputError
            The folder cannot be written.
        """
        while missing := self.missing(region):
            part = missing[: self._batch]
            try:
                self._make(part)
            except (RuntimeError, MemoryError) as error:
                smaller = less_hungry(error, self.model, self._choice, self._tile, self._batch)
                self._choice, tile, self._batch, note = smaller
                self._plan(tile)
                self.notes = [note]
            yield Progress(self.n_made, self.n_tiles, f"running on {self.device}")

    def read(self, region: Region) -> Prediction:
        """Maps of a region, at the plane's own size; `iter_make` was run for it."""
        maps = [
            resample_region(partial(self._gather, k), self.zoomed, self.shape, region) for k in range(len(self._names))
        ]
        by_name = dict(zip(self._names, maps, strict=True))
        return Prediction(by_name[FOREGROUND], by_name.get(DISTANCE), self.model.name, self.device, zoom=self.zoom)

    def forget_above(self, row: int) -> None:
        """Delete the tiles of which nothing lies at or below a row of the plane."""
        top = self._seen((slice(min(row, self.shape[0] - 1), self.shape[0]), slice(0, self.shape[1])))[0].start
        while self._first_kept < self.n_tiles and self._tiles[self._first_kept].write[0].stop <= top:
            with contextlib.suppress(OSError):
                self._path(self._first_kept).unlink(missing_ok=True)
            self._first_kept += 1

    def _plan(self, tile: int) -> None:
        config = self.model.config
        stride = config.stride
        height, width = (-(-n // stride) * stride for n in self.zoomed)
        self._tile = tile
        self._tiles = plan_tiles((height, width), tile, config.context, stride)
        self._ends = np.array([[(w.start, w.stop) for w in t.write] for t in self._tiles])
        self._first_kept = 0

    def _path(self, index: int) -> Path:
        return self.folder / f"{self._tile}_{index:07d}.npy"

    def _seen(self, region: Region) -> Region:
        """Return the region of the magnified plane that a region of the plane needs."""
        if self.zoomed == self.shape:
            return region
        rows, columns = (self._along(n, m, p) for n, m, p in zip(self.shape, self.zoomed, region, strict=True))
        return rows, columns

    @staticmethod
    def _along(size: int, zoomed: int, part: slice) -> slice:
        step = zoomed / size
        reach = max(step, 1.0) + 1
        first, last = int(step * (part.start + 0.5) - reach), int(np.ceil(step * (part.stop - 0.5) + reach))
        return slice(max(0, first), min(zoomed, last))

    def _under(self, seen: Region) -> list[int]:
        inside = [(self._ends[:, k, 0] < part.stop) & (part.start < self._ends[:, k, 1]) for k, part in enumerate(seen)]
        return [int(i) for i in np.flatnonzero(inside[0] & inside[1])]

    def _input(self, tile: Tile) -> torch.Tensor:
        # What lies beyond the plane is padded there as it is for the whole.
        rows, columns = (slice(p.start, min(p.stop, n)) for p, n in zip(tile.read, self.zoomed, strict=True))
        values = resample_region(self.plane.__getitem__, self.shape, self.zoomed, (rows, columns))
        return network_input(values, self.model)

    def _make(self, indices: Sequence[int]) -> None:
        network = network_for_maps(self.model, self._choice)
        tiles = [self._tiles[i] for i in indices]
        crops = [self._input(tile) for tile in tiles]
        results = batch_maps(network, crops, self._choice, self.model.config.in_channels)
        for k, (index, tile) in enumerate(zip(indices, tiles, strict=True)):
            maps = np.stack([results[name][k][tile.crop] for name in self._names])
            with atomic_path(self._path(index)) as temporary:
                np.save(temporary, maps, allow_pickle=False)
            self.n_made += 1

    def _gather(self, k: int, seen: Region) -> np.ndarray:
        """A region of one map as the network drew it."""
        out = np.empty(tuple(part.stop - part.start for part in seen), np.float32)
        for i in self._under(seen):
            tile = self._tiles[i]
            both = [slice(max(w.start, s.start), min(w.stop, s.stop)) for w, s in zip(tile.write, seen, strict=True)]
            here = tuple(slice(b.start - s.start, b.stop - s.start) for b, s in zip(both, seen, strict=True))
            there = tuple(slice(b.start - w.start, b.stop - w.start) for b, w in zip(both, tile.write, strict=True))
            held = np.load(self._path(i), mmap_mode="r", allow_pickle=False)
            out[here] = held[(k, *there)]
        return out
