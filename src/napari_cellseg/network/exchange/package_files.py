"""The files of a model package: weights that run without their source, a test image with its outputs, a cover."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Picture
from torch import Tensor, nn

from ...imaging.normalize import normalize
from ...imaging.read.read import read_image
from ...imaging.write.pictures import write_picture
from ..building import Network
from ..config import DISTANCE, FOREGROUND, UNetConfig
from ..smoothing import smoothed
from ..versions import ModelVersion

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "fluorescence.png"
TEST_SIDE = 320


class ExportedNetwork(nn.Module):
    """The outputs that others can use, as a tuple: foreground logit, and the distance where there is that head."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.names = output_names(network.config)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        outputs = self.network(x)
        if sigma := self.network.config.smooth:
            # Smoothed as a probability, and given as its logit, as without smoothing.
            probability = smoothed(outputs[FOREGROUND][:, 0].sigmoid(), sigma)[:, None]
            outputs = {**outputs, FOREGROUND: torch.logit(probability, eps=1e-6)}
        return tuple(outputs[name] for name in self.names)


def output_names(config: UNetConfig) -> tuple[str, ...]:
    """Heads that a package has as outputs."""
    return tuple(name for name, _ in config.heads if name in (FOREGROUND, DISTANCE))


def raw_input(model: ModelVersion) -> np.ndarray:
    """Return a real image as others would give it, float32 ``(1, C, Y, X)`` with the image's own values."""
    side = max(TEST_SIDE, least_side(model.config))
    plane = np.asarray(read_image(SAMPLE).data)[:side, :side]
    plane = plane if plane.ndim == 2 else plane.mean(axis=-1)
    short = [(0, max(0, side - size)) for size in plane.shape]
    plane = np.pad(plane, short, mode="reflect").astype(np.float32)
    return np.repeat(plane[None, None], model.config.in_channels, axis=1)


def least_side(config: UNetConfig) -> int:
    """Side of the smallest image that leaves something between the halos."""
    return 2 * config.context + config.stride


def normalized_input(raw: np.ndarray, model: ModelVersion) -> Tensor:
    """Normalise a batch of one as the network expects it."""
    plane = np.moveaxis(raw[0], 0, -1)
    # Grey images repeated over the channels have the percentiles of one.
    ready = normalize(plane[..., 0], model.normalizer)
    return torch.from_numpy(np.repeat(ready[None, None], plane.shape[-1], axis=1))


@torch.inference_mode()
def write_test_tensors(model: ModelVersion, network: Network, folder: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """Write the test input and the output that the model must give for it; return both."""
    raw = raw_input(model)
    np.save(folder / "test_input.npy", raw, allow_pickle=False)
    drawn = ExportedNetwork(network)(normalized_input(raw, model))
    outputs = []
    for name, values in zip(output_names(model.config), drawn, strict=True):
        values = values.sigmoid() if name == FOREGROUND else values.clamp(0, 1)
        outputs.append(values.numpy())
        np.save(folder / f"test_{name}.npy", outputs[-1], allow_pickle=False)
    return raw, outputs


def write_torchscript(network: Network, example: Tensor, path: Path) -> None:
    """Write a network in the form that runs without its source."""
    with warnings.catch_warnings(), torch.no_grad():
        # It is deprecated, but no other form runs in as many programs; padding is not part of it.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(ExportedNetwork(network).eval(), example)
        torch.jit.save(traced, path)


def write_cover(raw: np.ndarray, probability: np.ndarray, path: Path) -> None:
    """Write image and probability side by side."""
    image = raw[0, 0]
    grey = np.clip((image - image.min()) / max(float(np.ptp(image)), 1e-6), 0, 1)
    write_picture(path, Picture.fromarray((255 * np.hstack([grey, probability[0, 0]])).astype(np.uint8)), "PNG")
