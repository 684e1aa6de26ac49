"""What the network sees in one image, kept, so that its last layers can be refitted without running it again."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..imaging.errors import ImageError
from ..imaging.progress import Progress, drain
from ..imaging.tiles import plan_tiles
from ..instances.prediction import Prediction
from .config import DISTANCE, FOREGROUND
from .devices import DeviceChoice, resolve_device
from .predict import BATCH_PIXELS, TILE, less_hungry, network_input, smallest_tile
from .ready import ready_network
from .sizing import resized, zoomed_shape
from .smoothing import smoothed
from .versions import ModelVersion

MAX_BYTES = 1 << 31
LIMIT = 5.0  # standard deviations that a feature may stand out by
_SAMPLE = 20000
_STRIP = 1 << 15  # pixels: what torch adds in one go without waking other threads


@dataclass(frozen=True, eq=False)
class Level:
    """Features of one resolution, standardised over the image.

    Attributes
    ----------
    maps : numpy.ndarray
        float16 (C, Y / scale, X / scale): mean 0, standard deviation 1, at most `LIMIT`.
    scale : float
        Pixels of the image to a side of a pixel here; not whole where the image was magnified for the network.
    """

    maps: np.ndarray
    scale: float


@dataclass(frozen=True, eq=False)
class Features:
    """Features of one image from one model, and what the model predicted from them.

    Attributes
    ----------
    levels : tuple of Level
        Each at its own resolution: a weighted sum may be taken there and enlarged afterwards, which is the same.
    covariance : numpy.ndarray
        float64 (C, C) over the image, of all channels in the order of the levels.
    prediction : Prediction
        The model's own.
    """

    levels: tuple[Level, ...]
    covariance: np.ndarray
    prediction: Prediction

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (Y, X) of the image in pixels."""
        return self.prediction.shape

    @property
    def n_channels(self) -> int:
        """Features per pixel."""
        return sum(len(level.maps) for level in self.levels)

    @property
    def nbytes(self) -> int:
        """Memory that the features take."""
        return sum(level.maps.nbytes for level in self.levels)

    def at(self, pixels: np.ndarray) -> np.ndarray:
        """Features of some pixels, given by flat index: float32 (n, C)."""
        return np.concatenate([_sampled(level, *np.divmod(pixels, self.shape[1])) for level in self.levels], axis=1)

    def weigh(self, weights: np.ndarray) -> np.ndarray:
        """Weighted sum of all channels at every pixel, float32 (Y, X)."""
        total = np.zeros(self.shape, np.float32)
        first = 0
        for level in self.levels:
            part = weights[first : first + len(level.maps)].astype(np.float32)
            first += len(part)
            total += enlarge(_weighted(level.maps, part), level.scale, self.shape)
        return total


def iter_features(
    normalized: np.ndarray, model: ModelVersion, device: str = "auto", tile: int = TILE, zoom: float = 1.0
) -> Generator[Progress, None, Features]:
    """Run a model over an image and keep what it sees just before its last layer, and at coarser levels.

    Kept are the encoder's first two levels and the decoder's last three, which together take about as much memory as
    ``3.2 * base_channels`` float16 images (a quarter of that with ``fold`` 2).

    Parameters
    ----------
    normalized, model, device, tile
        As :func:`napari_cellseg.network.predict.iter_predict`; `Features.prediction` is what that returns.
    zoom : float
        How far the image is magnified for the network; features and prediction are still in the image's own pixels.

    Yields
    ------
    Progress
        Closing the generator cancels.

    Raises
    ------
    ImageError
        If the image does not fit the model, or its features would take more than 2 GiB.
    ModelError
        If the model cannot be loaded or run.
    """
    magnified = resized(normalized, zoomed_shape(normalized.shape, zoom))
    planes = network_input(magnified, model)
    choice = resolve_device(device)
    tile = max(tile, smallest_tile(model.config))
    batch = max(1, BATCH_PIXELS[choice.device] // (tile * tile))
    kept = _kept(model)
    n_bytes = sum(2 * channels * planes[0].numel() // scale**2 for _, channels, scale in kept)
    if n_bytes > MAX_BYTES:
        raise ImageError(
            f"Learning while correcting would keep {n_bytes / 2**30:.1f} GiB for an image of "
            f"{normalized.shape[0]} x {normalized.shape[1]} pixels; the limit is {MAX_BYTES / 2**30:.0f} GiB. "
            "Crop the image, or fine-tune instead."
        )
    notes: tuple[str, ...] = ()
    while True:
        try:
            levels, maps = yield from _iter_levels(planes, model, choice, tile, batch, kept)
        except (RuntimeError, MemoryError) as error:
            choice, tile, batch, note = less_hungry(error, model, choice, tile, batch)
            notes = (note,)
        else:
            break
    yield Progress(1, 1, "looking at the features")
    inside = tuple(slice(0, n) for n in magnified.shape[:2])
    height, width = normalized.shape[:2]
    own = {name: resized(np.ascontiguousarray(values[inside]), (height, width)) for name, values in maps.items()}
    prediction = Prediction(own[FOREGROUND], own.get(DISTANCE), model.name, choice.label, notes, zoom=zoom)
    for level in levels:
        _standardize(level.maps)
    features = Features(tuple(Level(v.maps, v.scale / zoom) for v in levels), np.zeros((0, 0)), prediction)
    pixels = np.random.default_rng(0).choice(height * width, min(_SAMPLE, height * width), replace=False)
    sample = features.at(np.sort(pixels)).astype(np.float64)
    return Features(features.levels, sample.T @ sample / len(sample), prediction)


def features(
    normalized: np.ndarray, model: ModelVersion, device: str = "auto", tile: int = TILE, zoom: float = 1.0
) -> Features:
    """Run :func:`iter_features` to its end."""
    return drain(iter_features(normalized, model, device, tile, zoom))


def enlarge(small: np.ndarray, scale: float, shape: tuple[int, int]) -> np.ndarray:
    """Enlarge a map, bilinearly, and crop it: float32 of the shape."""
    if scale == 1:
        return small[: shape[0], : shape[1]].astype(np.float32, copy=False)
    low, high, part = _between(np.arange(shape[0]), scale, small.shape[0])
    rows = small[low] * (1 - part)[:, None] + small[high] * part[:, None]
    low, high, part = _between(np.arange(shape[1]), scale, small.shape[1])
    result: np.ndarray = rows[:, low] * (1 - part) + rows[:, high] * part
    return result


def _between(places: np.ndarray, scale: float, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For pixels of the image: the two pixels of the smaller map they lie between, and how near to the second."""
    where = np.clip((places + 0.5) / scale - 0.5, 0, size - 1)
    low = where.astype(np.intp)
    return low, np.minimum(low + 1, size - 1), (where - low).astype(np.float32)


def _sampled(level: Level, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    if level.scale == 1:
        return level.maps[:, y, x].T.astype(np.float32)
    _, height, width = level.maps.shape
    top, bottom, down = _between(y, level.scale, height)
    left, right, over = _between(x, level.scale, width)
    upper = level.maps[:, top, left] * (1 - over) + level.maps[:, top, right] * over
    lower = level.maps[:, bottom, left] * (1 - over) + level.maps[:, bottom, right] * over
    result: np.ndarray = (upper * (1 - down) + lower * down).T.astype(np.float32)
    return result


def _weighted(maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum of the maps times their weights, float32, in strips that stay in the cache."""
    n, height, width = maps.shape
    result = torch.zeros(height * width)
    # Torch widens float16 while it adds, many times faster than numpy.
    flat = torch.from_numpy(maps.reshape(n, -1))
    for first in range(0, height * width, _STRIP):
        part = slice(first, first + _STRIP)
        for one, weight in zip(flat, weights.tolist(), strict=True):
            result[part].add_(one[part], alpha=weight)
    return result.numpy().reshape(height, width)


def _standardize(maps: np.ndarray) -> None:
    """Bring every map to mean 0 and standard deviation 1, in place; constant ones become 0."""
    for one in maps:
        values = one.astype(np.float32)
        values -= values.mean()
        values /= values.std() + 1e-3
        one[...] = np.clip(values, -LIMIT, LIMIT)


def _kept(model: ModelVersion) -> list[tuple[int, int, int]]:
    """Levels to keep: (place among what `UNet.decoded` returns, channels, scale)."""
    config = model.config
    widths = [(i, config.base_channels << i, config.fold << i) for i in range(min(3, config.levels))]
    decoder = [(2 * config.levels - i, width, scale) for i, width, scale in widths]
    # An encoder from elsewhere has widths of its own, and its first level is the image.
    return decoder if config.has_encoder else decoder + widths[:2]


def _iter_levels(
    planes: Tensor,
    model: ModelVersion,
    choice: DeviceChoice,
    tile: int,
    batch: int,
    kept: list[tuple[int, int, int]],
) -> Generator[Progress, None, tuple[list[Level], dict[str, np.ndarray]]]:
    config = model.config
    height, width = planes.shape[1:]
    tiles = plan_tiles((height, width), tile, config.context, config.stride)
    yield Progress(0, len(tiles), f"loading model {model.name}")
    network = ready_network(model, choice)
    heads = [name for name, _ in config.heads if name in (FOREGROUND, DISTANCE)]
    maps = {name: np.empty((height, width), np.float32) for name in heads}
    levels = [Level(np.empty((n, height // scale, width // scale), np.float16), scale) for _, n, scale in kept]
    for first in range(0, len(tiles), batch):
        part = tiles[first : first + batch]
        with torch.inference_mode():
            x = torch.stack([planes[(slice(None), *t.read)] for t in part])
            x = x.to(choice.device, getattr(torch, choice.dtype)).expand(-1, config.in_channels, -1, -1)
            found = network.decoded(x.contiguous(memory_format=torch.channels_last))
            last = found[-1].to(next(network.heads.parameters()).dtype)
            drawn = {name: network.drawn(name, last)[:, 0].float() for name in heads}
            found_maps = {
                n: (smoothed(v.sigmoid(), config.smooth) if n == FOREGROUND else v.clamp(0, 1)).cpu()
                for n, v in drawn.items()
            }
            seen = [found[place].clamp(-6e4, 6e4).half().cpu().numpy() for place, _, _ in kept]
        for i, t in enumerate(part):
            for name, drawn_map in found_maps.items():
                maps[name][t.write] = drawn_map[i].numpy()[t.crop]
            for level, one in zip(levels, seen, strict=True):
                write, crop = (tuple(_shrunk(s, int(level.scale)) for s in which) for which in (t.write, t.crop))
                level.maps[(slice(None), *write)] = one[i][(slice(None), *crop)]
        yield Progress(first + len(part), len(tiles), f"running on {choice.label}")
    return levels, maps


def _shrunk(pixels: slice, scale: int) -> slice:
    return slice(pixels.start // scale, pixels.stop // scale)
