"""U-Nets whose contracting half is an encoder of segmentation-models-pytorch, an optional extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..imaging.errors import ModelError
from .config import UNetConfig, architectures
from .state_files import read_state
from .unet import fuse_pair

IMAGENET = "imagenet"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def smp() -> Any:
    """Import segmentation-models-pytorch.

    Raises
    ------
    ModelError
        If it is missing, or does not work with the torch that is installed.
    """
    try:
        import segmentation_models_pytorch
    except ImportError as error:
        raise ModelError(
            f"This model has an encoder of segmentation-models-pytorch, but {error.name or error} is not installed. "
            'Run: pip install "napari-cellseg[smp]"'
        ) from error
    except RuntimeError as error:
        # A torchvision built for another torch fails like this at its import.
        raise ModelError(
            f"segmentation-models-pytorch does not start ({error}): torchvision and torch {torch.__version__} do not "
            "belong together. Install both anew from one source."
        ) from error
    return segmentation_models_pytorch


class EncoderUNet(nn.Module):
    """Encoder, U-Net decoder and one 3 x 3 convolution per head, used like :class:`napari_cellseg.network.unet.UNet`.

    Parameters
    ----------
    config : UNetConfig
        Its `architecture` names the encoder.
    encoder_weights : str or path, optional
        ``imagenet``: fetched from the encoder's publisher, kept for the next time. A path: a file with the encoder's
        weights. By default they are random.

    Raises
    ------
    ModelError
        If there is no such encoder, or its weights cannot be had.
    """

    def __init__(self, config: UNetConfig, encoder_weights: str | Path | None = None) -> None:
        super().__init__()
        self.config = config
        widths = tuple(config.base_channels << level for level in reversed(range(config.levels)))
        fetch = encoder_weights == IMAGENET
        whole = _build_whole(config, widths, IMAGENET if fetch else None)
        self.down = whole.encoder
        self.up = whole.decoder
        self.heads = nn.ModuleDict({name: nn.Conv2d(widths[-1], n, 3, padding=1) for name, n in config.heads})
        if encoder_weights and not fetch:
            load_encoder(self.down, Path(encoder_weights), config.architecture)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Map an image batch to raw output maps; see :meth:`napari_cellseg.network.unet.UNet.forward`."""
        height, width = x.shape[-2:]
        x = self.decoded(x)[-1].to(next(self.heads.parameters()).dtype)
        return {name: self.drawn(name, x)[..., :height, :width] for name in self.heads}

    def drawn(self, name: str, x: Tensor) -> Tensor:
        """Return a head's map ``(N, C, Y, X)`` from the last features."""
        drawn: Tensor = self.heads[name](x)
        return drawn

    def decoded(self, x: Tensor) -> list[Tensor]:
        """Return the features of every level: the encoder's from the top down, then the decoder's from the bottom up.

        The image is padded as in `forward`. Level i has ``2**i`` pixels of the image to a side of its own; the
        encoder's level 0 may be the image itself.
        """
        height, width = x.shape[-2:]
        pad_y, pad_x = -height % self.config.stride, -width % self.config.stride
        if pad_y or pad_x:
            x = functional.pad(x, (0, pad_x, 0, pad_y), mode="replicate")
        if self.config.imagenet_input:
            mean, deviation = (x.new_tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_DEVIATION))
            x = (x - mean) / deviation
        found: list[Tensor] = list(self.down(x))
        skips = found[-2::-1]
        x = functional.dropout2d(found[-1], self.config.dropout, self.training)
        x = self.up.center(x)
        for level, (block, skip) in enumerate(zip(self.up.blocks, skips, strict=True)):
            # The decoder's last level has no partner: the encoder's first is the image.
            joined = skip if level + 1 < len(skips) else None
            x = block(x, skip.shape[-2], skip.shape[-1], skip_connection=joined)
            found.append(x)
        return found


def _build_whole(config: UNetConfig, widths: tuple[int, ...], weights: str | None) -> Any:
    library = smp()
    name = config.architecture
    if name not in library.encoders.get_encoder_names():
        raise ModelError(
            f"There is no architecture '{name}'. Choose {', '.join(architectures())}, or another encoder that "
            f"segmentation-models-pytorch {library.__version__} has."
        )
    settings: dict[str, Any] = {
        "encoder_name": name,
        "encoder_depth": config.levels,
        "decoder_channels": widths,
        "in_channels": config.in_channels,
    }
    try:
        return library.Unet(**settings, encoder_weights=weights)
    except OSError as error:
        raise ModelError(
            f"The {weights} weights of {name} could not be fetched ({str(error).splitlines()[0]}). Connect to the "
            "internet once, give a file with them (--encoder-weights FILE), or train without them."
        ) from error
    except (KeyError, ValueError) as error:
        raise ModelError(
            f"The encoder {name} cannot be built this way: {error.args[0]}. Choose another one."
        ) from error


def load_encoder(encoder: nn.Module, path: Path, name: str) -> None:
    """Load an encoder's weights from a file, as torchvision or segmentation-models-pytorch save them.

    Raises
    ------
    ModelError
        If the file cannot be read or its weights are not this encoder's.
    """
    state = read_state(path)
    if any(key.startswith("encoder.") for key in state):
        state = {key.removeprefix("encoder."): value for key, value in state.items() if key.startswith("encoder.")}
    expected = encoder.state_dict()
    # The layer that classifies ImageNet's images is not part of an encoder.
    state = {key: value for key, value in state.items() if not key.startswith(("fc.", "classifier.", "last_linear."))}
    wrong = sorted(set(expected) ^ set(state)) or [k for k in expected if expected[k].shape != state[k].shape]
    if wrong:
        raise ModelError(f"{path} does not hold the weights of the encoder {name} (first clash: {wrong[0]}).")
    # Not encoder.load_state_dict, which some encoders replace by one that changes what it is given.
    nn.Module.load_state_dict(encoder, state)


def fuse_residual_blocks(network: EncoderUNet) -> None:
    """Fold the normalisations of a ResNet encoder into its convolutions, in place; other encoders stay as they are."""
    from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

    if isinstance(network.down, ResNet):
        for block in network.down.modules():
            if isinstance(block, (BasicBlock, Bottleneck, ResNet)):
                for i in (1, 2, 3):
                    if hasattr(block, f"bn{i}"):
                        fuse_pair(block, f"conv{i}", f"bn{i}")
