"""Real but small model versions for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from napari_cellseg.imaging.normalize import NormalizerParams
from napari_cellseg.instances.params import SplitParams
from napari_cellseg.network.building import build_network
from napari_cellseg.network.config import UNetConfig
from napari_cellseg.network.versions import ModelVersion, read_version
from napari_cellseg.training.fit.record import save_version


def make_model(folder: Path, seed: int = 0, threshold: float = 0.5, min_size: int = 5, **config: Any) -> ModelVersion:
    """Write a model version with fixed random weights whose outputs vary over an image."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    network = build_network(UNetConfig(**{"base_channels": 4, "levels": 2, **config}))
    image = torch.rand(2, network.config.in_channels, 64, 64)
    with torch.no_grad():
        for _ in range(30):
            network(image)
        network.eval()
        for name, values in network(image).items():
            head = network.heads[name]
            scale = 2 / values.std()
            head.weight.mul_(scale)
            head.bias.sub_(values.mean()).mul_(scale)
    save_version(
        folder,
        network.state_dict(),
        config=network.config,
        normalizer=NormalizerParams(),
        split=SplitParams(),
        threshold=threshold,
        min_size=min_size,
    )
    return read_version(folder)
