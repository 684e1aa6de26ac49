"""Let several workers of a cluster share one large image: all run the network on its tiles, one makes its cells.

The network's maps of a tile are a file in the folder of results, which all workers see. Whoever makes one claims it
first, by a file of its own that only one can create; so no tile is made twice but for one whose worker died.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...blocks.survey import surveyed_maps
from ...imaging.errors import CellsegError
from ...imaging.lazy_plane import LazyPlane
from ...imaging.progress import Progress
from ...imaging.read.ome_zarr.places import allow_only, typed
from ...imaging.regions import Region
from ...imaging.stack_planes import StackPlane, plane_image
from ...segmentation.provenance import versions
from ...segmentation.recipe import Recipe
from ...segmentation.segment import open_image

if TYPE_CHECKING:
    from ...network.tile_maps import TileMaps

# A tile takes seconds; one that was claimed longer ago than this is made again.
PATIENCE_SECONDS = 300.0
# Number of tasks, and tiles of each, that wait at the scheduler for each worker.
TASKS_PER_WORKER, TILES_PER_TASK = 2, 2
_WAIT_SECONDS = 0.05
# A worker with several threads does one thing at a time: its memory and cores suffice for one.
ONE_AT_A_TIME = threading.Lock()
_n_made = 0


@dataclass(frozen=True)
class TileOrder:
    """Everything that a worker needs to make tiles of an image; small enough to be sent.

    Attributes
    ----------
    path : Path
        Of the image.
    plane : StackPlane
    recipe : Recipe
    device : str
    begun : str
        Survey of the whole plane, as JSON; see `blocks.survey.iter_survey`.
    folder : Path
        Of the tiles.
    tile : int
        Side of a tile in pixels.
    versions : tuple of (str, str)
        Of what decides the maps: a worker with others does not help.
    token : str
        Of this run: claims of an earlier one mean nothing.
    alive : Path
        A file that is there until the batch is stopped.
    addresses : tuple of str
        Those that the user typed; see `worker.RemoteJob`.
    """

    path: Path
    plane: StackPlane
    recipe: Recipe
    device: str
    begun: str
    folder: Path
    tile: int
    versions: tuple[tuple[str, str], ...]
    token: str
    alive: Path
    addresses: tuple[str, ...]


class ClusterHelpers:
    """Asks the other workers for the tiles of one plane.

    Parameters
    ----------
    client : distributed.Client
        Of the worker that makes the cells.
    own : str
        That worker's address.
    path : Path
    plane : StackPlane
    recipe : Recipe
    device : str
    token : str
    alive : Path
        See :class:`TileOrder`.
    """

    def __init__(
        self, client: Any, own: str, path: Path, plane: StackPlane, recipe: Recipe, device: str, token: str, alive: Path
    ) -> None:
        self._client, self._own = client, own
        self._about = (path, plane, recipe, device)
        self._token, self._alive = token, alive
        self._order: TileOrder | None = None
        self._asked: set[int] = set()
        self._futures: list[Any] = []

    def begin(self, begun: Mapping[str, Any], maps: TileMaps) -> None:
        """Start with a plane, by its survey and its maps."""
        text = json.dumps(begun, sort_keys=True)
        self._order = TileOrder(
            *self._about, text, maps.folder, maps.tile, _versions(), self._token, self._alive, tuple(typed())
        )

    def ask(self, maps: TileMaps, indices: list[int]) -> None:
        """Ask for tiles that will be needed soon, as far as there are other workers."""
        assert self._order is not None
        if self._order.tile != maps.tile:
            # Memory ran out here, and the tiles are smaller now.
            self._order = replace(self._order, tile=maps.tile)
            self._asked.clear()
        order = self._order
        self._futures = [future for future in self._futures if not future.done()]
        others = self._others()
        wanted = [i for i in indices if i not in self._asked]
        while others and wanted and len(self._futures) < TASKS_PER_WORKER * len(others):
            part, wanted = wanted[:TILES_PER_TASK], wanted[TILES_PER_TASK:]
            self._asked.update(part)
            self._futures.append(
                # Whole images go first: no other work waits for them.
                self._client.submit(
                    make_tiles, order, tuple(part), self._own, workers=others, allow_other_workers=True, pure=False,
                    priority=-1,
                )
            )  # fmt: skip

    def iter_share(self, maps: TileMaps, region: Region) -> Generator[Progress, None, None]:
        """Make the tiles of a region that are not claimed, then wait for those of other workers.

        What is still missing afterwards is the caller's.
        """
        missing = maps.missing(region)
        while missing:
            mine: list[int] = []
            while missing and len(mine) < maps.batch:
                i = missing.pop(0)
                if not maps.has(i) and claim(maps.folder, maps.tile, i, self._token, self._own):
                    mine.append(i)
            if mine:
                try:
                    maps.make(mine)
                except (RuntimeError, MemoryError):
                    return
                yield Progress(maps.n_made, maps.n_tiles, f"running on {maps.device}")
        while waiting := self._made_elsewhere(maps, maps.missing(region)):
            yield Progress(maps.n_made, maps.n_tiles, f"waiting for {len(waiting)} tiles of other workers")
            time.sleep(_WAIT_SECONDS)

    def end(self) -> None:
        """Cancel the tiles that were asked for."""
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            self._client.cancel(self._futures, force=True)
        self._futures = []

    def _made_elsewhere(self, maps: TileMaps, indices: list[int]) -> list[int]:
        """Return those of some tiles that a worker that is still there has claimed."""
        others = set(self._others()) if indices else set()
        found = []
        for i in indices:
            path = _claim_path(maps.folder, maps.tile, i, self._token)
            try:
                age, who = time.time() - path.stat().st_mtime, path.read_text(encoding="utf-8")
            except OSError:
                continue
            if age < PATIENCE_SECONDS and who in others:
                found.append(i)
        return found

    def _others(self) -> list[str]:
        try:
            workers = self._client.nthreads()
        except (OSError, RuntimeError, TimeoutError):
            return []
        return [address for address in workers if address != self._own]


def make_tiles(order: TileOrder, indices: tuple[int, ...], asked_by: str) -> int:
    """Make tiles of another worker's image; the function that a helping worker runs.

    Returns
    -------
    int
        Number of tiles made here. Nothing is raised: the worker that asked makes the missing ones.
    """
    global _n_made
    from distributed import get_worker

    who = get_worker().address
    # The worker that asked makes its tiles itself; and other versions may draw other cells.
    if who == asked_by or order.versions != _versions():
        return 0
    n_made = 0
    with ONE_AT_A_TIME:
        for i in indices:
            if not order.alive.exists() or not order.folder.is_dir():
                break
            try:
                maps = _maps(order)
                if maps.has(i) or not claim(order.folder, order.tile, i, order.token, who):
                    continue
                maps.make([i])
            except (CellsegError, OSError, RuntimeError, MemoryError):
                _claim_path(order.folder, order.tile, i, order.token).unlink(missing_ok=True)
                _maps.cache_clear()
                break
            n_made += 1
    _n_made += n_made
    return n_made


def n_made_for_others() -> int:
    """Return the number of tiles that this process has made for other workers."""
    return _n_made


def claim(folder: Path, tile: int, index: int, token: str, who: str = "") -> bool:
    """Claim a tile: True for the first caller, whose address is then in the file."""
    try:
        handle = os.open(_claim_path(folder, tile, index, token), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        try:
            os.write(handle, who.encode())
        finally:
            os.close(handle)
    except FileExistsError:
        return False
    except OSError:
        # The folder is gone, or the disk full: writing the maps raises the error.
        return True
    return True


def _claim_path(folder: Path, tile: int, index: int, token: str) -> Path:
    return folder / f"{tile}_{index:07d}.{token}.claim"


@lru_cache(maxsize=1)
def _maps(order: TileOrder) -> TileMaps:
    """Open the plane of an order; it is kept for the next tiles."""
    allow_only(order.addresses)
    image = plane_image(open_image(order.path, order.recipe.axes), order.plane)
    plane, model = LazyPlane(image, order.recipe.channel), order.recipe.load_model()
    # Only the worker that asked may take unreadable parts as empty, because it reports them.
    begun = json.loads(order.begun)
    return surveyed_maps(plane, begun, model, order.folder, order.device, strict=True, tile=order.tile)


def _versions() -> tuple[tuple[str, str], ...]:
    return tuple(sorted(versions().items()))
