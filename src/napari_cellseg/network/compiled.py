"""The U-Net compiled for the CPU by OpenVINO, where that is installed: two to three times as fast as torch.

The network is rebuilt from its weights operation by operation; what comes out differs from torch by rounding only, and
is the same for any number of threads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .config import DISTANCE, FOREGROUND, UNET, UNetConfig
from .unet import UNet, Up

# Set to 0 to run on torch although OpenVINO is there.
SWITCH = "NAPARI_CELLSEG_OPENVINO"
_PRECISION = {"float32": "f32", "bfloat16": "bf16"}


def can_compile(config: UNetConfig, dtype: str) -> bool:
    """Whether OpenVINO is there, wanted, and knows such a network."""
    wanted = os.environ.get(SWITCH, "1") != "0" and dtype in _PRECISION
    return wanted and config.architecture == UNET and find_spec("openvino") is not None


class CompiledNetwork:
    """A U-Net that runs on the CPU by OpenVINO.

    Parameters
    ----------
    network : UNet
        For inference, its batch normalisations folded into the convolutions; on the CPU in float32.
    dtype : {'float32', 'bfloat16'}
        Precision of the convolutions.
    """

    def __init__(self, network: UNet, dtype: str) -> None:
        ov = _openvino()
        config = {
            "INFERENCE_PRECISION_HINT": _PRECISION[dtype],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self.config = network.config
        model, self._names = _graph(ov, network)
        self._compiled = ov.Core().compile_model(model, "CPU", config)

    def maps(self, x: Tensor) -> dict[str, np.ndarray]:
        """Run on a batch.

        Parameters
        ----------
        x : Tensor of float32
            ``(N, C, Y, X)``, sides that the network's poolings divide.

        Returns
        -------
        dict of str to ndarray of float32
            ``foreground`` as probability, as it is drawn, and, where there is such a head, ``distance``:
            ``(N, Y, X)``, 0 to 1.
        """
        # A request of its own: threads may predict at the same time.
        results = self._compiled.create_infer_request().infer([x.numpy()])
        return {name: np.array(results[i][:, 0]) for i, name in enumerate(self._names)}


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Keep OpenVINO from reporting over the network that it was imported."""
    name = "openvino_telemetry"
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if before is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = before


def _openvino() -> Any:
    with _without_telemetry():
        import openvino
        import openvino.opset13
    return openvino


def _graph(ov: Any, network: UNet) -> tuple[Any, list[str]]:
    """Return the network as OpenVINO's graph, any height and width, and the names of its outputs."""
    op = ov.opset13
    x = op.parameter([-1, network.config.in_channels, -1, -1], np.float32)
    inputs = [x]
    if network.config.fold > 1:
        x = op.space_to_depth(x, "depth_first", network.config.fold)
    skips = []
    for level, block in enumerate(network.down):
        if level:
            x = op.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
        x = _double_conv(op, block, x)
        skips.append(x)
    for up, skip in zip(network.up, skips[-2::-1], strict=True):
        assert isinstance(up, Up)
        grown = op.convolution_backprop_data(x, _weights(op, up.up.weight), [2, 2])
        x = op.concat([skip, _plus(op, grown, up.up.bias)], 1)
        x = _double_conv(op, up.conv, x)
    outputs = []
    names = [name for name in network.heads if name in (FOREGROUND, DISTANCE)]
    for name in names:
        head = network.heads[name]
        assert isinstance(head, nn.Conv2d)
        y = _convolution(op, head, x)
        if network.config.fold > 1:
            y = op.depth_to_space(y, "depth_first", network.config.fold)
        outputs.append(op.sigmoid(y) if name == FOREGROUND else op.clamp(y, 0.0, 1.0))
    return ov.Model(outputs, inputs, "unet"), names


def _double_conv(op: Any, block: nn.Module, x: Any) -> Any:
    for layer in block.children():
        if isinstance(layer, nn.Conv2d):
            x = _convolution(op, layer, x)
        elif isinstance(layer, nn.ReLU):
            x = op.relu(x)
        elif not isinstance(layer, (nn.Identity, nn.Dropout2d)):
            raise TypeError(f"There is no way to compile a {type(layer).__name__}.")
    return x


def _convolution(op: Any, layer: nn.Conv2d, x: Any) -> Any:
    pads = list(layer.padding)
    return _plus(op, op.convolution(x, _weights(op, layer.weight), [1, 1], pads, pads, [1, 1]), layer.bias)


def _weights(op: Any, values: Tensor) -> Any:
    return op.constant(np.ascontiguousarray(values.detach().numpy()))


def _plus(op: Any, x: Any, bias: Tensor | None) -> Any:
    return x if bias is None else op.add(x, op.constant(bias.detach().numpy().reshape(1, -1, 1, 1)))
