"""Normalisation, usually by percentiles: the only step between an image and the network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from .errors import ImageError, ParamsError
from .percentiles import finite_percentiles

MAX_SAMPLE_PIXELS = 4_000_000
CLIP = (-1.0, 3.0)
PERCENTILES, TYPE, STANDARD = METHODS = "percentiles", "type", "standard"
# Added to the deviation, as bioimage.io's zero_mean_unit_variance does.
DEVIATION_EPS = 1e-6
_FULL_SCALES = (1.0, 255.0, 65535.0)
_BLOCK_VALUES = 1 << 20
_FLOAT32 = (np.finfo(np.float32).min, np.finfo(np.float32).max)


@dataclass(frozen=True)
class NormalizerParams:
    """The values that become 0 and 1: two percentiles, 0 and the greatest value of the type, or mean and deviation.

    Raises
    ------
    ParamsError
        Unless 0 <= low < high <= 100, and for an unknown method.
    """

    low: float = field(
        default=1.0,
        metadata={
            "label": "Low percentile",
            "help": "this percentile of the image becomes 0",
            "min": 0,
            "max": 100,
        },
    )
    high: float = field(
        default=99.8,
        metadata={
            "label": "High percentile",
            "help": "this percentile of the image becomes 1",
            "min": 0,
            "max": 100,
        },
    )
    method: str = field(
        default=PERCENTILES,
        metadata={
            "label": "Scaled by",
            "help": "percentiles of each image; type: division by the greatest value of the type, such as 255; "
            "standard: mean 0 and standard deviation 1",
            "choices": METHODS,
        },
    )

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ParamsError(f"An image is normalised by one of {', '.join(METHODS)}, not by {self.method!r}.")
        for name in ("low", "high"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
                raise ParamsError(f"Percentile {name} must be a number, not {value!r}.")
            object.__setattr__(self, name, float(value))
        if not 0 <= self.low < self.high <= 100:
            raise ParamsError(
                f"Percentiles must satisfy 0 <= low < high <= 100, but low is {self.low:g} and high is {self.high:g}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters as plain values; the method is omitted if it is the default."""
        values = asdict(self)
        return values if self.method != PERCENTILES else {"low": self.low, "high": self.high}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NormalizerParams:
        """Build from the form of `to_dict`; missing keys take their default, unknown ones raise ParamsError."""
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ParamsError(f"The normaliser has no parameter {', '.join(unknown)}; it knows {', '.join(known)}.")
        return cls(**dict(values))


def normalize(plane: np.ndarray, params: NormalizerParams | None = None) -> np.ndarray:
    """Scale a plane so that its low percentile becomes 0 and its high percentile becomes 1.

    Parameters
    ----------
    plane : ndarray
        (Y, X) or (Y, X, 3), boolean or any integer or float dtype. NaN and infinities are allowed.
    params : NormalizerParams, optional
        Which percentiles; 1 and 99.8 by default.

    Returns
    -------
    ndarray
        float32, shape of `plane`, clipped to [-1, 3] except by ``standard``. NaN and -inf become 0, +inf becomes 1.
        A constant plane, and one without a finite value, becomes 0 everywhere.

    Raises
    ------
    ImageError
        Empty plane, another number of dimensions, or values that are not real numbers.

    Notes
    -----
    The percentiles are taken over the finite values of all channels together, so that colours keep their balance.
    Above 4 million pixels every n-th row and column is used. If the two percentiles are equal although the plane
    is not constant (a few bright cells on an empty background), the least and the greatest value are used instead.
    Except for rounding, the result does not change when the plane is multiplied by a positive number or a number
    is added.

    By ``type`` 0 stays 0, and the greatest value of an 8 or 16-bit type becomes 1. Of a wider type it is the least of
    1, 255 and 65535 that no value exceeds, else the greatest value.

    By ``standard`` the mean becomes 0 and the standard deviation 1, both over the same pixels as the percentiles. Of
    colours they are those of the grey image, the mean of the three.
    """
    params = params or NormalizerParams()
    full_scale = 1.0 if np.asarray(plane).dtype == bool else None
    plane = _checked(plane)
    base, factor = _origin(plane)
    if params.method == TYPE:
        scale = Scale(-base * factor, ((full_scale or _full_scale(plane)) - base) * factor, base, factor)
    else:
        scale = Scale(*_limits(plane, params, base, factor), base, factor, params.method != STANDARD)
    return scale.apply(plane)


@dataclass(frozen=True)
class Scale:
    """The values that become 0 and 1, found once for a whole plane: any part of it is normalised by them.

    Attributes
    ----------
    low, high : float
        The values, after subtracting `base` and multiplying by `factor`.
    base : int
        Subtracted first, as an integer.
    factor : float
        Multiplied first.
    clipped : bool
        Whether the result is clipped to [-1, 3].
    """

    low: float
    high: float
    base: int = 0
    factor: float = 1.0
    clipped: bool = True

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Normalise a plane or a part of it to float32, as `normalize` does."""
        out = np.zeros(values.shape, np.float32)
        if not self.high > self.low:
            return out
        for rows in _row_blocks(values.shape):
            block = _as_float(values[rows], self.base, self.factor)
            with np.errstate(invalid="ignore", over="ignore"):
                scaled = (block - self.low) / (self.high - self.low)
            if values.dtype.kind == "f":
                scaled[np.isnan(block) | np.isneginf(block)] = 0
                scaled[np.isposinf(block)] = 1
            out[rows] = np.clip(scaled, *(CLIP if self.clipped else _FLOAT32))
        return out


class ScaleSurvey:
    """Find the scale of a plane from its pieces, in any order: the same as for the whole plane.

    Memory is that of the sample, whatever the size of the plane.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) or (Y, X, 3) of the whole plane.
    dtype : numpy.dtype
    params : NormalizerParams, optional

    Attributes
    ----------
    is_grey : bool
        Whether the three colours were equal in all pieces so far; True for a plane without colours.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, params: NormalizerParams | None = None) -> None:
        self._params = params or NormalizerParams()
        self._dtype = np.dtype(dtype)
        self._stride = _stride(shape)
        self._sample: list[np.ndarray] = []
        self._least: Any = None
        self._greatest: Any = None
        self.is_grey = True

    def add(self, piece: np.ndarray, corner: tuple[int, int]) -> None:
        """Add a piece whose first pixel is at `corner` (Y, X)."""
        piece = _checked(piece)
        if piece.ndim == 3 and self.is_grey:
            self.is_grey = all(
                np.array_equal(piece[..., 0], piece[..., i], equal_nan=piece.dtype.kind == "f") for i in (1, 2)
            )
        finite = piece[np.isfinite(piece)] if piece.dtype.kind == "f" else piece
        if finite.size:
            least, greatest = finite.min(), finite.max()
            self._least = least if self._least is None else min(self._least, least)
            self._greatest = greatest if self._greatest is None else max(self._greatest, greatest)
        y, x = (-place % self._stride for place in corner)
        # A copy; a view would keep the whole piece in memory.
        self._sample.append(piece[y :: self._stride, x :: self._stride].reshape(-1, *piece.shape[2:]).copy())

    def scale(self) -> Scale:
        """Return the scale of all pieces that were added."""
        if self._least is None:
            return Scale(0.0, 0.0)
        ends = np.array([self._least, self._greatest], dtype=self._least.dtype)
        base, factor = _origin(ends)
        if self._params.method == TYPE:
            return Scale(-base * factor, (_full_scale(ends) - base) * factor, base, factor)
        sample = np.concatenate(self._sample)
        if sample.ndim == 2 and self.is_grey:
            sample = sample[:, 0]
        limits = _sample_limits(sample, self._params, base, factor)
        if limits is None:
            least, greatest = _as_float(ends, base, factor)
            limits = float(least), float(greatest)
        return Scale(*limits, base, factor, self._params.method != STANDARD)


def _checked(plane: np.ndarray) -> np.ndarray:
    plane = np.asarray(plane)
    if plane.ndim != 2 and not (plane.ndim == 3 and plane.shape[2] == 3):
        raise ImageError(f"A plane to normalise is (Y, X) or (Y, X, 3), but this one is {plane.shape}.")
    if plane.dtype.kind not in "buif":
        raise ImageError(f"A plane to normalise holds real numbers, but this one holds {plane.dtype}.")
    if plane.size == 0:
        raise ImageError(f"The plane to normalise is empty: its shape is {plane.shape}.")
    return plane.view(np.uint8) if plane.dtype == bool else plane


def _origin(plane: np.ndarray) -> tuple[int, float]:
    """Offset and factor that convert any dtype to float64 without losing contrast or overflowing."""
    if plane.dtype.kind in "iu":
        # Above 2**53 float64 cannot distinguish neighbours: the offset is subtracted as an integer first.
        return (int(plane.min()) if plane.dtype.itemsize == 8 else 0), 1.0
    if plane.dtype.itemsize >= 8:
        # Differences of the largest floats overflow; those of a quarter of them do not.
        with np.errstate(invalid="ignore"):
            finite = np.abs(plane, where=np.isfinite(plane), out=np.zeros_like(plane))
        return 0, (0.25 if float(finite.max()) > np.finfo(np.float64).max / 4 else 1.0)
    return 0, 1.0


def _as_float(values: np.ndarray, base: int, factor: float) -> np.ndarray:
    if base:
        # Modular arithmetic on uint64 gives the exact distance from the least value, even for signed values.
        native = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
        values = native.view(np.uint64) - np.uint64(base % (1 << 64))
    return values.astype(np.float64) if factor == 1.0 else (values * factor).astype(np.float64)


def _limits(plane: np.ndarray, params: NormalizerParams, base: int, factor: float) -> tuple[float, float]:
    stride = _stride(plane.shape)
    limits = _sample_limits(plane[::stride, ::stride].reshape(-1, *plane.shape[2:]), params, base, factor)
    if limits is not None:
        return limits
    least, greatest = math.inf, -math.inf
    for rows in _row_blocks(plane.shape):
        block = _as_float(plane[rows], base, factor)
        block = block[np.isfinite(block)]
        if block.size:
            least, greatest = min(least, float(block.min())), max(greatest, float(block.max()))
    return least, greatest


def _stride(shape: tuple[int, ...]) -> int:
    return max(1, math.ceil(math.sqrt(shape[0] * shape[1] / MAX_SAMPLE_PIXELS)))


def _sample_limits(
    sample: np.ndarray, params: NormalizerParams, base: int, factor: float
) -> tuple[float, float] | None:
    """Return what becomes 0 and 1 by a sample ``(N,)`` or ``(N, 3)``; None where they are equal."""
    if params.method == STANDARD:
        return _mean_and_more(_as_float(sample, base, factor))
    values = sample if (base, factor) == (0, 1.0) else _as_float(sample, base, factor)
    found = finite_percentiles(values, (params.low, params.high))
    return (float(found[0]), float(found[1])) if found is not None and found[1] > found[0] else None


def _mean_and_more(values: np.ndarray) -> tuple[float, float] | None:
    with np.errstate(invalid="ignore", over="ignore"):
        grey = values if values.ndim == 1 else values.mean(axis=1)
        grey = grey[np.isfinite(grey)]
        if not grey.size or grey.min() == grey.max():
            return None
        # Distances from the middle: what is large beside its spread loses no digits.
        middle = float(grey.min() / 2 + grey.max() / 2)
        mean, deviation = middle + float((grey - middle).mean()), float((grey - middle).std())
    return (mean, mean + deviation + DEVIATION_EPS) if np.isfinite(deviation) else None


def _full_scale(plane: np.ndarray) -> float:
    if plane.dtype.kind in "iu" and plane.dtype.itemsize <= 2:
        return float(np.iinfo(plane.dtype).max)
    greatest = float(np.max(plane, where=np.isfinite(plane), initial=0))
    return next((scale for scale in _FULL_SCALES if greatest <= scale), greatest)


def _row_blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    rows = max(1, _BLOCK_VALUES // math.prod(shape[1:]))
    return (slice(start, start + rows) for start in range(0, shape[0], rows))
