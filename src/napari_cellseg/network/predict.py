"""From an image plane to probability maps: tiles with halo, batches, devices, falling back when memory runs out."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import torch
from torch import Tensor

from ..imaging.errors import ImageError, ModelError
from ..imaging.progress import Progress, drain
from ..imaging.tiles import Tile, plan_tiles
from ..instances.prediction import Prediction
from .building import Network
from .compiled import CompiledNetwork
from .config import DISTANCE, FOREGROUND, UNetConfig
from .devices import DeviceChoice, resolve_device
from .ready import network_for_maps, runs_on
from .smoothing import smoothed
from .versions import ModelVersion

TILE = 1024
MIN_TILE = 256
BATCH_PIXELS = {"cpu": 1 << 20, "cuda": 1 << 24, "mps": 1 << 22}


def iter_predict(
    normalized: np.ndarray, model: ModelVersion, device: str = "auto", tile: int = TILE
) -> Generator[Progress, None, Prediction]:
    """Run a model over an image, tile by tile.

    The halo of a tile is as wide as the U-Net sees, so that a tiled prediction equals one in a single piece
    up to rounding; with a deep encoder the seams differ a little (`UNetConfig.context`). When memory runs out, the
    batch of tiles is halved down to one, then the tile down to 256 pixels, then the CPU takes over; what was done is
    in the result's `notes`.

    Parameters
    ----------
    normalized : ndarray of float32
        ``(Y, X)`` or ``(Y, X, C)``, from :func:`napari_cellseg.imaging.normalize.normalize`.
    model : ModelVersion
    device : {'auto', 'cpu', 'cuda', 'mps'}
    tile : int
        Side of the tiles in pixels.

    Yields
    ------
    Progress
        Before the first and after each batch of tiles. Closing the generator cancels.

    Returns
    -------
    Prediction
        `probability` and, where the model has that head, `distance`: float32 ``(Y, X)``, 0 to 1.

    Raises
    ------
    ImageError
        If the image's channels do not fit the model, the prediction holds values that are no numbers, or even the
        smallest tile on the CPU needs too much memory.
    ModelError
        If the model cannot be loaded or run.
    """
    planes = network_input(normalized, model)
    choice = resolve_device(device)
    tile = max(tile, smallest_tile(model.config))
    batch = max(1, BATCH_PIXELS[choice.device] // (tile * tile))
    notes: list[str] = []
    while True:
        try:
            maps, label = yield from _iter_maps(planes, model, choice, tile, batch)
        except (RuntimeError, MemoryError) as error:
            choice, tile, batch, note = less_hungry(error, model, choice, tile, batch)
            notes = [note]
            yield Progress(0, 1, note)
        else:
            height, width = normalized.shape[:2]
            cropped = {name: np.ascontiguousarray(m[:height, :width]) for name, m in maps.items()}
            return Prediction(
                cropped[FOREGROUND],
                cropped.get(DISTANCE),
                model=model.name,
                device=label,
                notes=tuple(notes),
            )


def predict(normalized: np.ndarray, model: ModelVersion, device: str = "auto", tile: int = TILE) -> Prediction:
    """Run :func:`iter_predict` to its end."""
    return drain(iter_predict(normalized, model, device, tile))


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or numpy means that memory ran out."""
    text = str(error).lower()
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "out of memory" in text or "alloc" in text


def less_hungry(
    error: BaseException, model: ModelVersion, choice: DeviceChoice, tile: int, batch: int
) -> tuple[DeviceChoice, int, int, str]:
    """Return the next less hungry way to run after an error, with a note on it for the user.

    Raises
    ------
    ModelError
        Memory is not what was missing.
    ImageError
        There is no less hungry way.
    """
    if not out_of_memory(error):
        raise ModelError(f"Model {model.name} failed on {choice.label}: {error}. Try the device 'cpu'.") from error
    if choice.device == "cuda":
        torch.cuda.empty_cache()
    smaller = next_smaller(choice, tile, batch, smallest_tile(model.config))
    if smaller is None:
        raise ImageError(
            f"There is not enough memory to run model {model.name} even on tiles of {tile} pixels. "
            "Close other programs, or choose a smaller model."
        ) from error
    choice, tile, batch = smaller
    note = f"Memory ran out, so it ran on {choice.label} with {batch} tile(s) of {tile} pixels at a time."
    return choice, tile, batch, note


def next_smaller(choice: DeviceChoice, tile: int, batch: int, smallest: int) -> tuple[DeviceChoice, int, int] | None:
    """Return the next less hungry way to run, or None after the last."""
    if batch > 1:
        return choice, tile, batch // 2
    if tile // 2 >= smallest:
        return choice, tile // 2, 1
    if choice.device != "cpu":
        return resolve_device("cpu"), max(MIN_TILE, smallest), 1
    return None


def smallest_tile(config: UNetConfig) -> int:
    """Return the side of the smallest tile that leaves something beside its halos."""
    tile = MIN_TILE
    while tile <= 2 * config.context:
        tile *= 2
    return tile


def network_input(normalized: np.ndarray, model: ModelVersion) -> Tensor:
    """Bring an image to ``(C, Y, X)`` with the model's channels and sides that its poolings divide."""
    n_wanted = model.config.in_channels
    planes = normalized[None] if normalized.ndim == 2 else np.moveaxis(normalized, -1, 0)
    if len(planes) not in (1, n_wanted) and n_wanted != 1:
        raise ImageError(
            f"The image has {len(planes)} channels but model {model.name} reads {n_wanted}. "
            "Choose one channel, or another model."
        )
    if n_wanted == 1 and len(planes) > 1:
        planes = planes.mean(axis=0, keepdims=True)
    stride = model.config.stride
    pads = [(0, 0), *((0, -size % stride) for size in planes.shape[1:])]
    return torch.from_numpy(np.ascontiguousarray(np.pad(planes, pads, mode="edge"), np.float32))


@torch.inference_mode()
def batch_maps(
    network: Network | CompiledNetwork, crops: list[Tensor], choice: DeviceChoice, n_channels: int
) -> dict[str, np.ndarray]:
    """Maps of some crops of equal size, each as :func:`network_input` gives it: float32 (crop, Y, X) by name.

    Raises
    ------
    ImageError
        If the network gives anything but numbers, which would look like an image without cells.
    """
    if isinstance(network, CompiledNetwork):
        drawn = network.maps(torch.stack(crops).expand(-1, n_channels, -1, -1).contiguous())
        whole = smoothed(torch.from_numpy(drawn[FOREGROUND]), network.config.smooth).numpy()
        return _checked({**drawn, FOREGROUND: whole}, np.isfinite(whole).all(), choice)
    x = torch.stack(crops).to(choice.device, getattr(torch, choice.dtype))
    x = x.expand(-1, n_channels, -1, -1).contiguous(memory_format=torch.channels_last)
    outputs = network(x)
    maps = {FOREGROUND: smoothed(torch.sigmoid(outputs[FOREGROUND][:, 0]).float(), network.config.smooth)}
    if DISTANCE in outputs:
        maps[DISTANCE] = outputs[DISTANCE][:, 0].clamp(0, 1)
    # Infinite ones would look like pixels that the network is sure of.
    finite = all(bool(torch.isfinite(outputs[name]).all()) for name in maps)
    return _checked({name: value.float().cpu().numpy() for name, value in maps.items()}, finite, choice)


def _checked(maps: dict[str, np.ndarray], finite: bool | np.bool_, choice: DeviceChoice) -> dict[str, np.ndarray]:
    if not finite:
        raise ImageError(
            f"The model's prediction on {choice.label} holds values that are no numbers: this image goes beyond what "
            "it can compute. Scale the image by other percentiles, try the device 'cpu', or choose another model."
        )
    return maps


def _iter_maps(
    planes: Tensor, model: ModelVersion, choice: DeviceChoice, tile: int, batch: int
) -> Generator[Progress, None, tuple[dict[str, np.ndarray], str]]:
    config = model.config
    height, width = planes.shape[1:]
    tiles: list[Tile] = plan_tiles((height, width), tile, config.context, config.stride)
    yield Progress(0, len(tiles), f"loading model {model.name}")
    network = network_for_maps(model, choice)
    label = runs_on(network, choice)
    names = [name for name, _ in config.heads if name in (FOREGROUND, DISTANCE)]
    maps = {name: np.empty((height, width), np.float32) for name in names}
    for first in range(0, len(tiles), batch):
        part = tiles[first : first + batch]
        results = batch_maps(network, [planes[(slice(None), *t.read)] for t in part], choice, config.in_channels)
        for name, values in results.items():
            for one, t in zip(values, part, strict=True):
                maps[name][t.write] = one[t.crop]
        yield Progress(first + len(part), len(tiles), f"running on {label}")
    return maps, label
