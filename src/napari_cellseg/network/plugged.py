"""Networks of other packages, named by the entry point ``napari_cellseg.networks``. Imports none before it is used."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..imaging.errors import ModelError
from ..imaging.progress import Progress
from ..instances.prediction import Prediction

GROUP = "napari_cellseg.networks"
# Before the name in lists, recipes and results; no folder of a model has such a name.
PREFIX = "network:"
# Programs that are networks here as soon as they are installed.
_KNOWN = {"cellpose": "napari_cellseg.network.others:cellpose", "stardist": "napari_cellseg.network.others:stardist"}
_ANSWERS = ("probability", "distance", "labels")


@dataclass(frozen=True)
class Plugged:
    """A network of another package.

    Parameters
    ----------
    name : str
        That of the entry point.
    about : str
        The package and its version.
    sha256 : str
        Of name, place and version: results name by it what made them, and another version is another model.
    place : str
        Module and object, as ``package.module:object``.
    """

    name: str
    about: str
    sha256: str
    place: str


def plugged_networks() -> dict[str, Plugged]:
    """Return the networks of installed packages by name, without importing one."""
    places = [(place, os.stat(place or ".").st_mtime_ns) for place in sys.path if os.path.exists(place or ".")]
    return dict(_installed_networks(tuple(places)))


@lru_cache(maxsize=1)
def _installed_networks(places: tuple[tuple[str, int], ...]) -> dict[str, Plugged]:
    """Look through what is installed: slow, so once for each state of the folders that Python imports from."""
    found = {}
    for name, place in _KNOWN.items():
        try:
            found[name] = _plugged(name, place, name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            continue
    for point in importlib.metadata.entry_points(group=GROUP):
        package, version = (point.dist.name, point.dist.version) if point.dist is not None else ("a package", "")
        found[point.name] = _plugged(point.name, point.value, package, version)
    return dict(sorted(found.items()))


def _plugged(name: str, place: str, package: str, version: str) -> Plugged:
    identity = "\n".join((GROUP, name, place, package, version))
    return Plugged(name, f"A network of {package} {version}", hashlib.sha256(identity.encode()).hexdigest(), place)


def iter_predict_plugged(
    normalized: np.ndarray, name: str, device: str = "auto", diameter: float | None = None, accurate: bool = False
) -> Generator[Progress, None, Prediction]:
    """Run a network of another package over an image.

    Parameters
    ----------
    normalized : ndarray of float32
        ``(Y, X)`` or ``(Y, X, 3)``, mostly from 0 to 1.
    name : str
        That of its entry point.
    device : {'auto', 'cpu', 'cuda', 'mps'}
    diameter : float, optional
        Typical diameter of the cells in pixels, for networks that ask for it.
    accurate : bool
        Such a network looks once all the same; a note mentions it.

    Yields
    ------
    Progress

    Returns
    -------
    Prediction
        With `basins` where the network gave labels.

    Raises
    ------
    ModelError
        The package is gone, its network fails in any way, or its answer is none.
    """
    from .devices import resolve_device

    choice = resolve_device(device)
    yield Progress(0, 0, f"loading network {name}")
    network = _load(name)
    yield Progress(0, 1, f"running network {name}")
    try:
        answer = network(normalized, device=choice.device, diameter=diameter or None)
    except Exception as error:
        raise ModelError(f"The network {name} failed ({type(error).__name__}: {error}). Ask its authors.") from error
    maps = _checked(answer, normalized.shape[:2], name)
    probability = maps.get("probability")
    if probability is None:
        probability = (maps["labels"] > 0).astype(np.float32)
    once = f"The network {name} looked once: --accurate is for networks of napari-cellseg."
    yield Progress(1, 1, f"running network {name}")
    return Prediction(
        probability,
        maps.get("distance"),
        model=f"{PREFIX}{name}",
        device=f"{choice.label.partition(' (')[0]} ({name})",
        notes=(once,) if accurate else (),
        diameter=diameter or None,
        basins=maps.get("labels"),
    )


@lru_cache(maxsize=4)
def _load(name: str) -> Callable[..., Any]:
    found = plugged_networks().get(name)
    if found is None:
        raise ModelError(f"There is no network '{name}' any more. Install its package, or choose another model.")
    try:
        network = importlib.metadata.EntryPoint(name, found.place, GROUP).load()
    except Exception as error:
        raise ModelError(f"The network {name} cannot be loaded ({type(error).__name__}: {error}).") from error
    if not callable(network):
        raise ModelError(f"{found.place} is no function, but {type(network).__name__}. Ask the authors of {name}.")
    return network


def _checked(answer: Any, shape: tuple[int, ...], name: str) -> dict[str, np.ndarray]:
    """Return the maps of an answer: float32 from 0 to 1, and labels as int32."""
    given = answer if isinstance(answer, Mapping) else {"labels": answer}
    maps = {key: np.asarray(value) for key, value in given.items() if value is not None}
    if not set(maps) <= set(_ANSWERS) or not {"probability", "labels"} & set(maps):
        raise ModelError(
            f"The network {name} answers with {', '.join(map(str, maps)) or 'nothing'}; an answer has a probability, "
            "labels, or both, and perhaps a distance. Ask its authors."
        )
    for key, values in maps.items():
        fits = values.shape == tuple(shape) and values.dtype.kind in ("bui" if key == "labels" else "buif")
        if not fits or (values.size and not (np.isfinite(values).all() and float(values.min()) >= 0)):
            raise ModelError(
                f"The {key} of the network {name} is {values.dtype} of shape {values.shape}; it must be of shape "
                f"{tuple(shape)}, {'whole' if key == 'labels' else 'finite'} numbers from 0. Ask its authors."
            )
        if key != "labels" and values.size and float(values.max()) > 1:
            raise ModelError(f"The {key} of the network {name} goes up to {values.max():g}; it must end at 1.")
    return {key: values.astype(np.int32 if key == "labels" else np.float32) for key, values in maps.items()}
