"""Cellpose and StarDist as networks, with random weights; where they are installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cellseg import load_model, segment
from napari_cellseg.imaging.normalize import normalize
from napari_cellseg.network import others
from tests.nuclei import draw_nuclei


@pytest.fixture
def image() -> np.ndarray:
    return normalize(draw_nuclei(20, (96, 96)).image)


def falls(name: str, image: np.ndarray) -> list[int]:
    """Counts at rising thresholds, each of a whole run."""
    assert load_model(name).description.startswith("A network of ")
    return [segment(image, name, threshold, 0, device="cpu").count for threshold in (0.1, 0.3, 0.5, 0.7, 0.9)]


def test_cellpose(tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    models = pytest.importorskip("cellpose.models")
    net = pytest.importorskip("cellpose.resnet_torch")
    import torch

    torch.manual_seed(0)
    network = net.CPnet([2, 32, 64, 128, 256], 3, 3)
    torch.save(network.state_dict(), tmp_path / "random")
    model: Any = models.CellposeModel(gpu=False, pretrained_model=str(tmp_path / "random"))
    monkeypatch.setattr(others, "_cellpose_model", lambda device: model)
    answer = others.cellpose(image, device="cpu", diameter=30.0)
    assert answer["labels"].shape == answer["probability"].shape == image.shape
    own = model.eval(image, diameter=30.0, channels=[0, 0], normalize=False)[1][2]
    np.testing.assert_array_equal(answer["probability"] > 0.5, own > 0)
    counts = falls("network:cellpose", image)
    assert counts == sorted(counts, reverse=True)


def test_stardist(tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    models = pytest.importorskip("stardist.models")
    model: Any = models.StarDist2D(models.Config2D(n_rays=16, grid=(2, 2), n_channel_in=1), "random", str(tmp_path))
    # Random weights are about as sure everywhere: this threshold lies among what they say, in the widest gap.
    said = np.sort(model.predict(image, axes="YX", verbose=False)[0].ravel())
    middle = said[len(said) // 3 : 2 * len(said) // 3]
    widest = int(np.argmax(np.diff(middle)))
    own = float(middle[widest : widest + 2].mean())
    model.thresholds = {"prob": own, "nms": 0.4}
    monkeypatch.setattr(others, "_stardist_model", lambda: model)
    answer = others.stardist(image, device="cpu", diameter=None)
    labels, details = model.predict_instances(image, axes="YX", verbose=False)
    kept = answer["labels"] * (answer["probability"] >= 0.5)
    assert len(np.unique(kept)) - 1 == labels.max() == len(details["prob"]) > 0, "the cells of its own threshold"
    np.testing.assert_array_equal(kept > 0, labels > 0)
    counts = falls("network:stardist", image)
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1]
    assert counts[2] == labels.max()
