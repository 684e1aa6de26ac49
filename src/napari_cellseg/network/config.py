"""What a U-Net looks like, as a frozen value. Needs no torch."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..imaging.errors import ModelError

FOREGROUND = "foreground"
DISTANCE = "distance"
OFFSET = "offset"

UNET = "unet"
# Two convolutions and one ReLU per block, no normalisation, bilinear enlargement: such networks are imported.
BILINEAR_UNET = "unet-bilinear"
# Those that the help names; every other encoder that segmentation-models-pytorch knows is taken by its name there.
ENCODERS = ("resnet18", "resnet34", "resnet50", "efficientnet-b0", "mobilenet_v2")
ENCODER_LEVELS = (3, 5)
ENCODER_HALO = 192

# Of which tiles, whose sides are powers of two, are multiples.
FOLDS = (1, 2, 4)
HEAD_KERNELS = (1, 3)
# Of an input or an output.
MOST_CHANNELS = 64

DEFAULT_HEADS: tuple[tuple[str, int], ...] = ((FOREGROUND, 1), (DISTANCE, 1), (OFFSET, 2))


@dataclass(frozen=True)
class UNetConfig:
    """Shape of a :class:`napari_cellseg.network.unet.UNet`, or of one with an encoder from elsewhere.

    Parameters
    ----------
    in_channels : int
        Channels the network reads. Grey images are repeated over them, so 3 serves grey and RGB alike.
    base_channels : int
        Width of the first level; each level below has twice the width of the one above.
    levels : int
        Number of poolings (Ronneberger et al. 2015 use 4). Image sides are padded to a multiple of `stride`.
    fold : int
        The network works on blocks of ``fold`` x ``fold`` pixels: it reads each as one pixel of so many more channels
        and draws its maps a block at a time (sub-pixel convolution: Shi et al., CVPR 2016). 1 is the plain U-Net; with
        2, the same widths take a quarter of the work.
    dropout : float
        Probability of dropping a feature map at the two deepest levels while training, 0 to below 1.
    heads : tuple of (str, int)
        Output maps by name, and how many channels each has. ``foreground`` must be among them (a logit);
        ``distance`` is 1 at a cell's centre and 0 at its border and outside; ``offset`` points to the centre.
    architecture : str
        ``unet``; ``unet-bilinear`` (:class:`napari_cellseg.network.unet.PlainConv`); or the name of an encoder of
        segmentation-models-pytorch, such as ``resnet34``: then `levels` is how many of its stages are used (3 to 5) and
        `base_channels` the width of the decoder's last level.
    head_kernel : int
        Side of the convolution that draws each map, 1 or 3. With `fold`, one of 3 can do what a convolution of the
        whole map would, at a quarter of its cost: a pixel then depends on its neighbours in other blocks too.
    smooth : float
        Standard deviation in pixels of a Gaussian that smooths the probability when an image is predicted; 0 leaves it
        as it is drawn. With `fold`, the pixels of a block differ by more than cells do. The centre distance is
        smoothed where cells are split anyway (`SplitParams.smoothing`).
    imagenet_input : bool
        Whether the network first takes off the mean of ImageNet's images and divides by their standard deviation,
        as encoders trained on them expect.

    Raises
    ------
    ModelError
        If a value is out of range.
    """

    in_channels: int = 3
    base_channels: int = 32
    levels: int = 4
    fold: int = 1
    dropout: float = 0.0
    heads: tuple[tuple[str, int], ...] = DEFAULT_HEADS
    architecture: str = UNET
    imagenet_input: bool = False
    head_kernel: int = 1
    smooth: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", tuple((str(name), int(n)) for name, n in self.heads))
        for name, low, high in (("in_channels", 1, MOST_CHANNELS), ("base_channels", 1, 512), ("levels", 1, 8)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ModelError(f"U-Net setting {name} is {value!r}; it must be a whole number from {low} to {high}.")
        if self.fold not in FOLDS:
            raise ModelError(f"U-Net setting fold is {self.fold!r}; it must be 1, 2 or 4.")
        if self.head_kernel not in HEAD_KERNELS:
            raise ModelError(f"U-Net setting head_kernel is {self.head_kernel!r}; it must be 1 or 3.")
        if isinstance(self.smooth, bool) or not isinstance(self.smooth, (int, float)) or not 0 <= self.smooth <= 4:
            raise ModelError(f"U-Net setting smooth is {self.smooth!r}; it must be a number from 0 to 4.")
        if not 0 <= self.dropout < 1:
            raise ModelError(f"U-Net setting dropout is {self.dropout!r}; it must be at least 0 and below 1.")
        if not isinstance(self.architecture, str) or not re.fullmatch(r"[\w.+-]+", self.architecture):
            raise ModelError(
                f"{self.architecture!r} cannot be the name of an architecture. Known are {', '.join(architectures())}."
            )
        if self.has_encoder and not ENCODER_LEVELS[0] <= self.levels <= ENCODER_LEVELS[1]:
            raise ModelError(
                f"U-Net setting levels is {self.levels}, but with the encoder {self.architecture} it is from "
                f"{ENCODER_LEVELS[0]} to {ENCODER_LEVELS[1]}."
            )
        if not isinstance(self.imagenet_input, bool):
            raise ModelError(f"U-Net setting imagenet_input is {self.imagenet_input!r}; it must be true or false.")
        if self.has_encoder and self.fold != 1:
            raise ModelError(
                f"U-Net setting fold is {self.fold}, but with the encoder {self.architecture} it must be 1."
            )
        if self.has_encoder and self.head_kernel != 1:
            raise ModelError(
                f"U-Net setting head_kernel is {self.head_kernel}, but with the encoder {self.architecture} it must be "
                "1."
            )
        if self.imagenet_input and self.in_channels != 3:
            raise ModelError(
                f"ImageNet's mean and deviation are of 3 channels, but the network has {self.in_channels}."
            )
        if FOREGROUND not in dict(self.heads):
            raise ModelError(f"U-Net heads are {self.heads!r}; one of them must be named 'foreground'.")
        if any(not re.fullmatch(r"\w+", name) for name, _ in self.heads):
            raise ModelError(f"U-Net heads are {self.heads!r}; a name is of letters and digits.")
        if len(dict(self.heads)) != len(self.heads) or not all(1 <= n <= MOST_CHANNELS for _, n in self.heads):
            raise ModelError(
                f"U-Net heads are {self.heads!r}; names must differ and each has 1 to {MOST_CHANNELS} channels."
            )

    @property
    def has_encoder(self) -> bool:
        """Whether the contracting half is an encoder from elsewhere."""
        return self.architecture not in (UNET, BILINEAR_UNET)

    @property
    def stride(self) -> int:
        """Image sides given to the network must be multiples of this many pixels."""
        return self.fold << self.levels

    @property
    def context(self) -> int:
        """Halo of a tile in pixels, a multiple of `stride`.

        For U-Nets without such an encoder this is how far an output can look, and tiles are exact. Deep encoders can
        look some 530 pixels far, more than a tile can spare, but hardly do: theirs is a fixed halo (see
        docs/exchange.md for what it costs).
        """
        if self.has_encoder:
            return ENCODER_HALO
        in_convolutions = 2 * ((2 << self.levels) - 1) + 2 * ((1 << self.levels) - 1) + self.head_kernel // 2
        in_enlarging = (2 << self.levels) - 2 if self.architecture == BILINEAR_UNET else 0
        reach = self.fold * (in_convolutions + in_enlarging) + self.stride - 1 + smoothing_radius(self.smooth)
        return -(-reach // self.stride) * self.stride

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as JSON-able values; newer settings are omitted where they have their default."""
        values = {**asdict(self), "heads": [list(head) for head in self.heads]}
        new = {"fold": 1, "architecture": UNET, "imagenet_input": False, "head_kernel": 1, "smooth": 0.0}
        return {name: value for name, value in values.items() if name not in new or value != new[name]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> UNetConfig:
        """Rebuild a configuration; unknown keys are refused so that a newer model is not half understood."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ModelError(f"The model's U-Net has settings this version does not know: {', '.join(unknown)}.")
        heads = tuple((str(name), int(n)) for name, n in values.get("heads", DEFAULT_HEADS))
        return cls(**{**values, "heads": heads})


def smoothing_radius(sigma: float) -> int:
    """How many pixels to each side a Gaussian of `sigma` pixels reaches; 0 where nothing is smoothed."""
    return max(1, round(3 * sigma)) if sigma else 0


def architectures() -> tuple[str, ...]:
    """Names of the architectures that the help names."""
    return (UNET, *ENCODERS)


def config_for(
    architecture: str = UNET,
    base_channels: int | None = None,
    levels: int | None = None,
    dropout: float = 0.0,
    fold: int = 1,
    head_kernel: int = 1,
    **more: Any,
) -> UNetConfig:
    """Return a configuration with each architecture's usual width and depth where none is given."""
    usual = UNetConfig() if architecture == UNET else UNetConfig(base_channels=16, levels=5)
    return UNetConfig(
        base_channels=usual.base_channels if base_channels is None else base_channels,
        levels=usual.levels if levels is None else levels,
        dropout=dropout,
        fold=fold,
        head_kernel=head_kernel,
        architecture=architecture,
        **more,
    )
