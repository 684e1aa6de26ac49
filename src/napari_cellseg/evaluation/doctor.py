"""Whether this installation works: versions, devices, readers, models, and a small segmentation."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..imaging.errors import CellsegError, ModelError
from ..imaging.home import user_home
from ..imaging.memory import free_bytes
from ..imaging.progress import drain
from ..imaging.read.formats import FORMATS, SUFFIXES, ZARR_SUFFIX
from ..imaging.read.read import read_image
from ..network.devices import list_devices, resolve_device
from ..network.plugged import PREFIX, plugged_networks
from ..network.versions import CONFIG_FILE, bundled_models_dir, read_version, user_models_dir
from ..segmentation.recipe import Recipe
from ..segmentation.segment import iter_predict_image

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "fluorescence.png"
# Counts of one image on two devices differ by rounding only.
TOLERANCE = 0.02
_PACKAGE = "napari-cellseg"
_OPTIONAL = ("napari", "PySide6", "PyQt6", "PyQt5", "openvino", "pydicom", "distributed", "bioimageio.spec")
_ASK_QT = "from qtpy import API_NAME, QT_VERSION; import qtpy.QtWidgets; print(API_NAME, QT_VERSION)"


@dataclass(frozen=True)
class Finding:
    """One line of what was found.

    Parameters
    ----------
    topic, text : str
    wrong : bool
        Whether it keeps something from working; `text` then names the next step.
    """

    topic: str
    text: str
    wrong: bool = False

    def __str__(self) -> str:
        text = f"{'PROBLEM: ' if self.wrong else ''}{self.text}"
        # It is pasted into reports, where the name of the user has no place.
        return f"{self.topic:10} {text.replace(str(Path.home()), '~')}"


def examine() -> Iterator[Finding]:
    """Look at this installation, and segment the smallest sample on every device.

    Yields
    ------
    Finding
        As soon as it is known. A step that fails in any way is a finding with the reason, and the others follow.
    """
    for step in (_versions, _machine, _window, _devices, _readers, _folders, _models, _segmentations):
        yield from _guarded(step)


def _guarded(step: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    topic = step.__name__.removeprefix("_")
    try:
        yield from step()
    except CellsegError as error:
        yield Finding(topic, str(error), True)
    except Exception as error:  # noqa: BLE001 - a broken installation may fail in any way
        yield Finding(topic, f"{type(error).__name__}: {error}. Install {_PACKAGE} again, or report this.", True)


def _versions() -> Iterator[Finding]:
    from packaging.requirements import Requirement

    yield Finding("versions", f"{_PACKAGE} {importlib.metadata.version(_PACKAGE)}")
    yield Finding("versions", f"Python {platform.python_version()} on {platform.platform()}")
    found = []
    for requirement in map(Requirement, importlib.metadata.requires(_PACKAGE) or ()):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        have = _version_of(requirement.name)
        found.append(f"{requirement.name} {have or 'missing'}")
        if have is None or not requirement.specifier.contains(have, prereleases=True):
            yield Finding(
                "versions",
                f"{requirement} is needed, and {have or 'none'} is installed. Run: pip install --upgrade {_PACKAGE}",
                True,
            )
    found += [f"{name} {have}" for name in _OPTIONAL if (have := _version_of(name)) and f"{name} {have}" not in found]
    yield Finding("versions", ", ".join(sorted(found, key=str.lower)))


def _version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _machine() -> Iterator[Finding]:
    yield Finding("machine", f"{os.cpu_count()} cores, {free_bytes() / 1e9:.1f} GB of memory free")


def _window() -> Iterator[Finding]:
    if _version_of("napari") is None or not any(map(_version_of, ("PySide6", "PyQt6", "PyQt5"))):
        yield Finding("window", f'napari or Qt is not installed; for the window: pip install "{_PACKAGE}[all]"')
        return
    # In a process of its own: libraries that do not fit can end it.
    asked = subprocess.run([sys.executable, "-c", _ASK_QT], capture_output=True, text=True, timeout=60)
    if asked.returncode:
        reason = (asked.stderr.strip().splitlines() or [f"status {asked.returncode}"])[-1]
        yield Finding("window", f"Qt does not start ({reason}). README names the libraries that it needs.", True)
    else:
        yield Finding("window", f"Qt is {asked.stdout.strip()}")


def _devices() -> Iterator[Finding]:
    compiled = "with OpenVINO" if find_spec("openvino") else f'without OpenVINO: pip install "{_PACKAGE}[fast]"'
    for device in list_devices():
        yield Finding("devices", f"{resolve_device(device).label}{f', {compiled}' if device == 'cpu' else ''}")


def _readers() -> Iterator[Finding]:
    import npe2

    yield Finding("readers", f"its own: {' '.join((*SUFFIXES, ZARR_SUFFIX))}")
    for one in FORMATS:
        if not one.remedy and (lacks := one.lacks()):
            yield Finding("readers", f"{one.title} {lacks}")
    manager = npe2.PluginManager.instance()
    manager.discover(include_npe1=False)
    for plugin in manager.iter_manifests():
        readers = plugin.contributions.readers or ()
        if readers and plugin.name not in (_PACKAGE, "napari"):
            patterns = sorted({pattern for reader in readers for pattern in reader.filename_patterns})
            more = f" and {len(patterns) - 12} more" if len(patterns) > 12 else ""
            yield Finding("readers", f"{plugin.name} {plugin.package_version}: {' '.join(patterns[:12])}{more}")


def _folders() -> Iterator[Finding]:
    home = user_home()
    there = next(folder for folder in (home, *home.absolute().parents) if folder.exists())
    usable = there.is_dir() and os.access(there, os.W_OK)
    wrong = "" if usable else ", which cannot be written to: corrections are not kept. Change NAPARI_CELLSEG_HOME"
    yield Finding("folders", f"models and corrections are kept in {home}{wrong}", bool(wrong))


def _models() -> Iterator[Finding]:
    for base in (bundled_models_dir(), user_models_dir()):
        for folder in sorted(base.iterdir()) if base.is_dir() else []:
            if (folder / CONFIG_FILE).is_file():
                try:
                    model = read_version(folder)
                except ModelError as error:
                    yield Finding("models", str(error), True)
                    continue
                yield Finding(
                    "models",
                    f"{model.name} {model.sha256[:12]}, {model.config.architecture}, threshold {model.threshold:g}, "
                    f"smallest {model.min_size} px",
                )

    for network in plugged_networks().values():
        yield Finding("models", f"{PREFIX}{network.name}: {network.about}")


def _segmentations() -> Iterator[Finding]:
    image, counts = read_image(SAMPLE), {}
    for device in list_devices():
        begun = time.perf_counter()
        result = drain(iter_predict_image(image, Recipe(), device)).result()
        first, begun = time.perf_counter() - begun, time.perf_counter()
        drain(iter_predict_image(image, Recipe(), device)).result()
        counts[device] = result.count
        size = " x ".join(map(str, image.shape_yx))
        yield Finding(
            "test",
            f"{result.count} cells in {SAMPLE.name} ({size}) on {result.metadata['device']}, {first:.1f} s at first, "
            f"then {time.perf_counter() - begun:.2f} s",
            result.count == 0,
        )
    if max(counts.values()) - min(counts.values()) > TOLERANCE * max(counts.values()):
        yield Finding("test", f"the devices do not agree: {counts}. Segment with --device cpu, and report this.", True)
