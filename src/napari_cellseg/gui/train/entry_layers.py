"""An entry of a training set as layers: image, labels and reviewed area, which can be edited."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from ...imaging.errors import CellsegError
from ...training.data.datasets import Sample
from ...training.data.training_set import Stamp
from ..viewer.bench import Bench
from .pair_layers import look_at

REVIEWED = {None: "transparent", 0: "transparent", 1: "#35c2b0"}


@dataclass(frozen=True, eq=False)
class _Shown:
    folder: Path
    stamp: Stamp
    image: ImageLayer
    labels: Labels
    reviewed: Labels

    @property
    def layers(self) -> tuple[ImageLayer, Labels, Labels]:
        return self.image, self.reviewed, self.labels


class EntryLayers:
    """Layers of the entries that were opened, as long as they are in the viewer."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._shown: dict[str, _Shown] = {}

    def shown(self, name: str) -> bool:
        """Whether an entry's layers are all there."""
        found = self._shown.get(name)
        layers = self._bench.viewer.layers
        return found is not None and all(x in layers for x in found.layers)

    def show(self, folder: Path, sample: Sample, stamp: Stamp) -> None:
        """Add an entry's layers, or bring those that are there to the front.

        Layers of an earlier state stay in the viewer, under another name: they may hold manual work.

        Parameters
        ----------
        folder : Path
            Of the training set.
        sample : Sample
        stamp : tuple
            Of the entry's files when they were read.
        """
        # Asked first: napari selects a layer that is added, and the selected image is chosen.
        chosen = self._bench.session.chosen
        if not self.shown(sample.name) or not self._is_of(sample.name, folder, stamp):
            self._put_aside(sample.name)
            area = np.ones(sample.labels.shape, bool) if sample.reviewed is None else sample.reviewed
            image = ImageLayer(sample.image, name=f"{sample.name} (training set)", rgb=sample.image.ndim == 3)
            reviewed = Labels(
                area.astype(np.uint8),
                name=f"{sample.name} reviewed",
                opacity=0.25,
                colormap=DirectLabelColormap(color_dict=REVIEWED),
            )
            labels = Labels(sample.labels, name=f"{sample.name} labels", opacity=0.5)
            self._shown[sample.name] = _Shown(folder, stamp, image, labels, reviewed)
            for layer in self._shown[sample.name].layers:
                self._bench.viewer.add_layer(layer)
        look_at(self._bench, self._shown[sample.name].layers, chosen)

    def replaced(self, folder: Path, name: str, before: Stamp, after: Stamp) -> None:
        """Note that the layers of an entry were saved to its files."""
        if name in self._shown and self._is_of(name, folder, before):
            self._shown[name] = replace(self._shown[name], stamp=after)

    def read(self, folder: Path, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, Stamp]:
        """Return image, labels and reviewed area as the layers show them, and the stamp of the files that they are of.

        Raises
        ------
        CellsegError
            The entry's layers are not there.
        """
        found = self._shown.get(name)
        if found is None or not self.shown(name) or found.folder != folder:
            raise CellsegError(f"The layers of '{name}' are not there any more. Press View, change them, then Replace.")
        image, reviewed, labels = (np.asarray(x.data) for x in found.layers)
        return image.copy(), labels.copy(), reviewed > 0, found.stamp

    def _is_of(self, name: str, folder: Path, stamp: Stamp) -> bool:
        return (self._shown[name].folder, self._shown[name].stamp) == (folder, stamp)

    def _put_aside(self, name: str) -> None:
        before = self._shown.pop(name, None)
        for layer in () if before is None else before.layers:
            if layer in self._bench.viewer.layers:
                layer.name = f"{layer.name} before"
