"""What a U-Net looks like, as a frozen value. Needs no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from ..imaging.errors import ModelError

FOREGROUND = "foreground"
DISTANCE = "distance"
OFFSET = "offset"

DEFAULT_HEADS: tuple[tuple[str, int], ...] = ((FOREGROUND, 1), (DISTANCE, 1), (OFFSET, 2))


@dataclass(frozen=True)
class UNetConfig:
    """Shape of a :class:`napari_cellseg.network.unet.UNet`.

    Parameters
    ----------
    in_channels : int
        Channels the network reads. Grey images are repeated over them, so 3 serves grey and RGB alike.
    base_channels : int
        Width of the first level; each level below has twice the width of the one above.
    levels : int
        Number of poolings (Ronneberger et al. 2015 use 4). Image sides are padded to a multiple of ``2**levels``.
    dropout : float
        Probability of dropping a feature map at the two deepest levels while training, 0 to below 1.
    heads : tuple of (str, int)
        Output maps by name, and how many channels each has. ``foreground`` must be among them (a logit);
        ``distance`` is 1 at a cell's centre and 0 at its border and outside; ``offset`` points to the centre.

    Raises
    ------
    ModelError
        If a value is out of range.
    """

    in_channels: int = 3
    base_channels: int = 32
    levels: int = 4
    dropout: float = 0.0
    heads: tuple[tuple[str, int], ...] = DEFAULT_HEADS

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", tuple((str(name), int(n)) for name, n in self.heads))
        for name, low, high in (("in_channels", 1, 64), ("base_channels", 1, 512), ("levels", 1, 8)):
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ModelError(f"U-Net setting {name} is {value!r}; it must be a whole number from {low} to {high}.")
        if not 0 <= self.dropout < 1:
            raise ModelError(f"U-Net setting dropout is {self.dropout!r}; it must be at least 0 and below 1.")
        if FOREGROUND not in dict(self.heads):
            raise ModelError(f"U-Net heads are {self.heads!r}; one of them must be named 'foreground'.")
        if len(dict(self.heads)) != len(self.heads) or any(n < 1 for _, n in self.heads):
            raise ModelError(f"U-Net heads are {self.heads!r}; names must differ and each needs a channel.")

    @property
    def stride(self) -> int:
        """Image sides given to the network must be multiples of this many pixels."""
        return 1 << self.levels

    @property
    def context(self) -> int:
        """How far in pixels an output can look, rounded up to a multiple of `stride`: the halo of an exact tile."""
        in_convolutions = 2 * ((2 << self.levels) - 1) + 2 * ((1 << self.levels) - 1)
        reach = in_convolutions + self.stride - 1
        return -(-reach // self.stride) * self.stride

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as JSON-able values."""
        return {**asdict(self), "heads": [list(head) for head in self.heads]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> UNetConfig:
        """Rebuild a configuration; unknown keys are refused so that a newer model is not half understood."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ModelError(f"The model's U-Net has settings this version does not know: {', '.join(unknown)}.")
        heads = tuple((str(name), int(n)) for name, n in values.get("heads", DEFAULT_HEADS))
        return cls(**{**values, "heads": heads})
