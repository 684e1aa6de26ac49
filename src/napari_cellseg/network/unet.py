"""The U-Net (Ronneberger, Fischer, Brox: U-Net, MICCAI 2015), with batch normalisation and named heads."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .config import BILINEAR_UNET, UNetConfig

Network = TypeVar("Network", bound=nn.Module)


class DoubleConv(nn.Sequential):
    """Two 3 x 3 convolutions, each with batch normalisation and ReLU; sizes stay as they are."""

    def __init__(self, n_in: int, n_out: int, dropout: float = 0.0) -> None:
        layers: list[nn.Module] = []
        for n_from in (n_in, n_out):
            layers += [
                nn.Conv2d(n_from, n_out, 3, padding=1, bias=False),
                nn.BatchNorm2d(n_out),
                nn.ReLU(inplace=True),
            ]
        if dropout:
            layers.append(nn.Dropout2d(dropout))
        super().__init__(*layers)


class Up(nn.Module):
    """Transposed convolution, joined with the encoder's features of the same size, then a double convolution."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(n_in, n_out, 2, stride=2)
        self.conv = DoubleConv(2 * n_out, n_out)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.conv(torch.cat([skip, self.up(x)], dim=1))


class PlainConv(nn.Sequential):
    """Two 3 x 3 convolutions, then a ReLU; sizes stay as they are."""

    def __init__(self, n_in: int, n_out: int, dropout: float = 0.0) -> None:
        layers: list[nn.Module] = [nn.Conv2d(n_from, n_out, 3, padding=1) for n_from in (n_in, n_out)]
        super().__init__(*layers, nn.ReLU(inplace=True), *([nn.Dropout2d(dropout)] if dropout else []))


class BilinearUp(nn.Module):
    """Bilinear enlargement, joined with the encoder's features of the same size, then two convolutions."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.up = nn.Conv2d(n_in, n_out, 1)
        self.conv = PlainConv(2 * n_out, n_out)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        # A convolution of single pixels gives the same before as after, and costs a quarter.
        x = functional.interpolate(self.up(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.conv(torch.cat([skip, x], dim=1))


class UNet(nn.Module):
    """U-Net with one convolution per head.

    Parameters
    ----------
    config : UNetConfig
        Channels, levels, dropout and heads; its `architecture` chooses the blocks, those of ``unet-bilinear`` being
        `PlainConv` and `BilinearUp`.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.base_channels << level for level in range(config.levels + 1)]
        n_read, n_drawn = config.in_channels * config.fold**2, config.fold**2
        bilinear = config.architecture == BILINEAR_UNET
        block, up = (PlainConv, BilinearUp) if bilinear else (DoubleConv, Up)
        first_dropped = max(config.levels - 1, 1)
        self.down = nn.ModuleList(
            block(n_in, n_out, config.dropout if level >= first_dropped else 0.0)
            for level, (n_in, n_out) in enumerate(zip([n_read, *widths], widths, strict=False))
        )
        self.up = nn.ModuleList(up(2 * width, width) for width in reversed(widths[:-1]))
        self.heads = nn.ModuleDict(
            {
                name: nn.Conv2d(widths[0], n * n_drawn, config.head_kernel, padding=config.head_kernel // 2)
                for name, n in config.heads
            }
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Map an image batch to raw output maps.

        Parameters
        ----------
        x : Tensor
            ``(N, in_channels, Y, X)``, floating point, normalised. Any Y and X from 1 up: the image is padded by
            repeating its edge to a multiple of ``config.stride`` and the maps are cropped back.

        Returns
        -------
        dict of str to Tensor
            Per head ``(N, channels, Y, X)``; ``foreground`` is a logit, the others are linear.
        """
        height, width = x.shape[-2:]
        x = self.decoded(x)[-1].to(next(self.heads.parameters()).dtype)
        return {name: self.drawn(name, x)[..., :height, :width] for name in self.heads}

    def drawn(self, name: str, x: Tensor) -> Tensor:
        """Return a head's map ``(N, C, Y, X)`` from the last features, a pixel to each of the padded image."""
        blocks: Tensor = self.heads[name](x)
        return functional.pixel_shuffle(blocks, self.config.fold) if self.config.fold > 1 else blocks

    def decoded(self, x: Tensor) -> list[Tensor]:
        """Return the features of every level: the encoder's from the top down, then the decoder's from the bottom up.

        The image is padded as in `forward`; level i has ``fold * 2**i`` pixels of the image to a
        side of its own.
        """
        height, width = x.shape[-2:]
        pad_y, pad_x = -height % self.config.stride, -width % self.config.stride
        if pad_y or pad_x:
            x = functional.pad(x, (0, pad_x, 0, pad_y), mode="replicate")
        if self.config.fold > 1:
            x = functional.pixel_unshuffle(x, self.config.fold).contiguous(memory_format=torch.channels_last)
        found = []
        for level, down in enumerate(self.down):
            x = down(functional.max_pool2d(x, 2) if level else x)
            found.append(x)
        for up, skip in zip(self.up, found[-2::-1], strict=True):
            x = up(x, skip)
            found.append(x)
        return found


def fuse_batch_norm(network: Network) -> Network:
    """Return a copy for inference whose batch normalisations are folded into the convolutions before them."""
    network = copy.deepcopy(network).eval()
    for block in network.modules():
        if isinstance(block, nn.Sequential):
            for i in range(len(block) - 1):
                fuse_pair(block, str(i), str(i + 1))
    return network


def fuse_pair(block: nn.Module, conv_name: str, norm_name: str) -> None:
    """Fold a normalisation into the convolution that its input comes from; anything else stays as it is."""
    conv, norm = block.get_submodule(conv_name), block.get_submodule(norm_name)
    if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
        setattr(block, conv_name, fuse_conv_bn_eval(conv, norm))
        setattr(block, norm_name, nn.Identity())


def n_parameters(network: nn.Module) -> int:
    """Count the trainable numbers of a network."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
