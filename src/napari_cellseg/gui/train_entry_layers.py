"""An entry of a training set as layers: image, labels and reviewed area, to be looked at and changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from ..imaging.errors import CellsegError
from ..training.datasets import Sample
from .workbench import Workbench

REVIEWED = {None: "transparent", 0: "transparent", 1: "#35c2b0"}


@dataclass(frozen=True, eq=False)
class _Shown:
    folder: Path
    image: ImageLayer
    labels: Labels
    reviewed: Labels


class EntryLayers:
    """Layers of the entries that were opened, as long as they are in the viewer."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._shown: dict[str, _Shown] = {}

    def shown(self, name: str) -> bool:
        """Whether an entry's layers are all there."""
        found = self._shown.get(name)
        layers = self._bench.viewer.layers
        return found is not None and all(x in layers for x in (found.image, found.labels, found.reviewed))

    def show(self, folder: Path, sample: Sample) -> None:
        """Add an entry's layers, or bring those that are there to the front."""
        viewer, chosen = self._bench.viewer, self._bench.session.chosen
        if not self.shown(sample.name) or self._shown[sample.name].folder != folder:
            area = np.ones(sample.labels.shape, bool) if sample.reviewed is None else sample.reviewed
            image = ImageLayer(sample.image, name=f"{sample.name} (training set)", rgb=sample.image.ndim == 3)
            reviewed = Labels(
                area.astype(np.uint8),
                name=f"{sample.name} reviewed",
                opacity=0.25,
                colormap=DirectLabelColormap(color_dict=REVIEWED),
            )
            labels = Labels(sample.labels, name=f"{sample.name} labels", opacity=0.5)
            for layer in (image, reviewed, labels):
                viewer.add_layer(layer)
            self._shown[sample.name] = _Shown(folder, image, labels, reviewed)
        found = self._shown[sample.name]
        ours = {found.image, found.labels, found.reviewed}
        for layer in viewer.layers:
            # What lies above would cover it; the person shows it again in the layer list.
            layer.visible = layer in ours
        viewer.layers.selection.active = found.labels
        if chosen is not None:
            # A look at an entry does not change which image is being worked on.
            self._bench.session.choose(chosen)
        viewer.reset_view()

    def read(self, folder: Path, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return image, labels and reviewed area as the layers show them.

        Raises
        ------
        CellsegError
            The entry's layers are not there.
        """
        found = self._shown.get(name)
        if found is None or not self.shown(name) or found.folder != folder:
            raise CellsegError(f"The layers of '{name}' are not there any more. Press View, change them, then Replace.")
        image, labels, reviewed = (np.asarray(x.data) for x in (found.image, found.labels, found.reviewed))
        return image.copy(), labels.copy(), reviewed > 0
