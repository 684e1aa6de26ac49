"""A real napari window with the Segment widget docked, and a network whose answers a test can hold back."""

from __future__ import annotations

import gc
import math
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from npe2 import PluginManager, PluginManifest

import napari_cellseg.segmentation.segment
from napari_cellseg.gui.segment.segment_widget import SegmentWidget
from napari_cellseg.gui.viewer.dock import PLUGIN
from napari_cellseg.imaging.image import Image
from napari_cellseg.imaging.normalize import NormalizerParams
from napari_cellseg.imaging.progress import Progress
from napari_cellseg.instances.live import Instances
from napari_cellseg.instances.params import SplitParams
from napari_cellseg.instances.prediction import Prediction
from napari_cellseg.network.config import UNetConfig
from napari_cellseg.network.versions import ModelVersion
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.segmentation.segmented import Segmented
from tests.gui.pointing import activate
from tests.warm import Program


def draw_discs(n: int = 16, size: int = 160) -> np.ndarray:
    """Float32 (size, size): discs that differ in radius and brightness, so that both sliders have an effect."""
    y, x = np.mgrid[:size, :size]
    picture = np.zeros((size, size), np.float32)
    side = math.ceil(math.sqrt(n))
    for i in range(n):
        cy, cx = (np.array(divmod(i, side)) + 0.5) * size / side
        rows, columns = (slice(int(c - 0.5 * size / side), int(c + 0.5 * size / side) + 1) for c in (cy, cx))
        near = picture[rows, columns]
        distance = np.hypot(y[rows, columns] - cy, x[rows, columns] - cx) / (0.45 * size / side * (0.5 + 0.5 * i / n))
        np.maximum(near, (0.55 + 0.4 * i / n) * np.clip(1.4 - distance, 0, 1), out=near)
    return picture


class BrightnessNetwork:
    """Stands in for the network: says that brightness is probability, in three steps that a test can hold back."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.runs = 0
        self.error: Exception | None = None

    def __call__(self, image: Image, recipe: Recipe, device: str = "auto") -> Iterator[Any]:
        self.runs += 1
        plane = image.plane(recipe.channel).astype(np.float32)
        for step in range(3):
            yield Progress(step, 3, "looking at tiles")
            while not self.go.wait(0.01):
                yield Progress(step, 3, "looking at tiles")
        if self.error is not None:
            raise self.error
        plane = plane.mean(axis=2) / 255 if plane.ndim == 3 else plane
        model = ModelVersion(
            recipe.model,
            Path("no folder"),
            UNetConfig(),
            NormalizerParams(),
            SplitParams(),
            0.3,
            10,
            "0" * 64,
        )
        prediction = Prediction(plane, None, model=recipe.model, device="CPU (float32)")
        return Segmented(image, plane, prediction, Instances.from_prediction(prediction), model, recipe)


MANY_MODULES = 100
_modules_frozen = 0


@pytest.fixture(autouse=True)
def only_what_is_new_is_collected() -> None:
    """Leave what was imported so far to no garbage collection: napari asks for a whole one with each viewer's end."""
    global _modules_frozen
    # Loaded by the window itself, in a thread, once a widget is open.
    import torch  # noqa: F401

    if len(sys.modules) > _modules_frozen + MANY_MODULES:
        _modules_frozen = len(sys.modules)
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def plugins_looked_for_once() -> Iterator[None]:
    """Look for the installed plugins once, not for each viewer: none are installed meanwhile."""
    found = list(PluginManifest.discover())
    with patch.object(PluginManifest, "discover", lambda *_, **__: iter(found)):
        yield


@pytest.fixture(autouse=True)
def children_are_warm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, program: Program) -> None:
    """Children start with their imports done; those of a test marked `cold` as a user's do."""
    if not request.node.get_closest_marker("cold"):
        monkeypatch.setattr("napari_cellseg.gui.jobs.child_job.own_program", program)


@pytest.fixture(autouse=True)
def home_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test is offered the corrections that another one made of the same picture."""
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[BrightnessNetwork]:
    """The stand-in network; always let go at the end, so that no thread waits for ever."""
    network = BrightnessNetwork()
    monkeypatch.setattr(sys.modules["napari_cellseg.segmentation.segment"], "iter_predict_image", network)
    yield network
    network.go.set()


@pytest.fixture
def plugin() -> None:
    """The plugin, as if it were installed, where it is not; npe2 can't take it back without leaving traces."""
    manager = PluginManager.instance()
    if PLUGIN not in manager:
        manager.register(PluginManifest.from_file(Path(napari_cellseg.__file__).parent / "napari.yaml"))


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any], qtbot: Any) -> Any:
    """A visible napari window of the smallest size that is promised to do."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 768)
    activate(viewer, qtbot)
    yield viewer
    from qtpy.QtCore import QThreadPool

    assert QThreadPool.globalInstance().waitForDone(20_000)
    qtbot.wait(50)


@pytest.fixture
def widget(viewer: Any) -> SegmentWidget:
    """The Segment widget, docked."""
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment and count cells")
    return widget


@pytest.fixture
def segmented(widget: SegmentWidget, viewer: Any, network: BrightnessNetwork, qtbot: Any) -> SegmentWidget:
    """The widget after a first run on an image of 16 discs."""
    viewer.add_image(draw_discs(), name="discs")
    press_segment(widget, qtbot)
    return widget


def press_segment(widget: SegmentWidget, qtbot: Any, timeout: int = 20_000) -> None:
    """Press the button with the mouse, and wait for the answer."""
    from qtpy.QtCore import Qt

    qtbot.mouseClick(widget.run_section.segment, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: widget.session.running is None, timeout=timeout)


def layers_of(widget: SegmentWidget) -> Any:
    """Result layers of the chosen image."""
    return widget.bench.layers[widget.session.chosen]


def settled(widget: SegmentWidget, qtbot: Any) -> None:
    """Wait until labels, points and table are those of the sliders."""

    def as_the_sliders_say() -> bool:
        cells, layers = widget.session.cells, layers_of(widget)
        recipe = layers.labels.metadata["napari_cellseg"]["recipe"]
        return (recipe["threshold"], recipe["min_size"]) == (cells.threshold, cells.min_size)

    qtbot.waitUntil(as_the_sliders_say, timeout=10_000)
