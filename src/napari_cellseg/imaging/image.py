"""An image: its array, the meaning of its axes, and its scale."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .axes import check_axes, check_values, looks_rgb
from .channels import Channel, find_channels, mixed
from .damage import DAMAGE, unreadable
from .errors import AxesError, ImageError
from .memory import check_room
from .normalize import normalize
from .scale import checked_pixel_size, checked_step

_AXIS_NAMES = {"T": "time points", "Z": "slices"}
_COLORS = ("red", "green", "blue")
_HASH_BLOCK_BYTES = 1 << 26


@dataclass(frozen=True)
class Origin:
    """The image that a part was cut from.

    Attributes
    ----------
    title : str
        Name of the whole image: its file if it has one.
    offset_yx : tuple of int
        Row and column in it of the first pixel of the part.
    """

    title: str
    offset_yx: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Image:
    """An image and the meaning of its axes; the array may be lazy.

    Attributes
    ----------
    data : array-like
        Anything with `shape`, `dtype`, `ndim` and `__getitem__`: numpy, dask, zarr. Boolean or real numbers.
    axes : str
        One letter of ``TZCYX`` per dimension of `data`, each at most once, ``Y`` and ``X`` always.
    pixel_size : tuple of float, optional
        Micrometres per pixel along (Y, X); None if it is not known.
    channel_names : tuple of str
        One per channel, or empty.
    rgb : bool
        The last axis is ``C`` and holds red, green, blue and optionally alpha.
    name : str
        Name of the image.
    source : str, optional
        File that it was read from.
    slice_spacing : float, optional
        Micrometres from slice to slice (Z); None if it is not known.
    frame_interval : float, optional
        Seconds from time point to time point (T); None if it is not known.
    origin : Origin, optional
        The image that a part was cut from; None for a whole image.
    had_colours : bool
        A grey image was stored as red, green and blue that are equal: each of these names means the image.

    Raises
    ------
    ImageError
        The array is empty, its values are not real numbers, or a scale is not a positive number.
    AxesError
        `axes` does not fit `data`.
    """

    data: Any
    axes: str
    pixel_size: tuple[float, float] | None = None
    channel_names: tuple[str, ...] = ()
    rgb: bool = False
    name: str = ""
    source: str | None = None
    slice_spacing: float | None = None
    frame_interval: float | None = None
    origin: Origin | None = None
    had_colours: bool = False

    def __post_init__(self) -> None:
        check_values(self.data, self.title)
        check_axes(self.data.shape, self.axes, self.title)
        if self.rgb and (self.axes[-1] != "C" or self.data.shape[-1] not in (3, 4)):
            raise AxesError(
                f"{self.title}: a colour image has 3 or 4 channels as its last axis, but this one has axes "
                f"{self.axes} and shape {tuple(self.data.shape)}. Give rgb=False or other axes."
            )
        if self.pixel_size is not None:
            object.__setattr__(self, "pixel_size", checked_pixel_size(self.pixel_size, self.title))
        if self.slice_spacing is not None:
            object.__setattr__(self, "slice_spacing", checked_step(self.slice_spacing, "slice spacing", self.title))
        if self.frame_interval is not None:
            interval = checked_step(self.frame_interval, "frame interval", self.title)
            object.__setattr__(self, "frame_interval", interval)
        object.__setattr__(self, "channel_names", tuple(str(name) for name in self.channel_names))

    @property
    def title(self) -> str:
        """Name of the image in messages."""
        return self.name or self.source or "image"

    @property
    def n_channels(self) -> int:
        """Number of channels to choose from; 1 for a grey or colour image."""
        return 1 if self.rgb or "C" not in self.axes else int(self.data.shape[self.axes.index("C")])

    @property
    def shape_yx(self) -> tuple[int, int]:
        """Height and width in pixels."""
        shape = self.data.shape
        return int(shape[self.axes.index("Y")]), int(shape[self.axes.index("X")])

    def plane(self, channel: Channel | None = None) -> np.ndarray:
        """Return the plane to segment.

        Parameters
        ----------
        channel : int or str, optional
            The channel, by number or by name. For a colour image None means all three colours and 0, 1, 2 mean red,
            green, blue. It is required for an image with several channels. Several with ``+`` between them are
            mixed (not for colours): each is normalised by its percentiles (`normalize`), so that none outweighs the
            others, and the plane is their mean, clipped to 0 and 1.

        Returns
        -------
        ndarray
            (Y, X), or (Y, X, 3) for a colour image, in the dtype of the image and native byte order; float32 for a mix.
            Alpha is dropped, and a colour image whose three colours are equal everywhere is returned as (Y, X).

        Raises
        ------
        AxesError
            There is more than one slice or time point.
        ImageError
            There is no such channel, or there are several and none was chosen.
        """
        places = self.channel_places(channel)
        if len(places) > 1:
            return mixed([normalize(self._plane(place)) for place in places])
        return self._plane(places[0] if places else None)

    def channel_places(self, channel: Channel | None) -> tuple[int, ...]:
        """Return the indices of the selected channels: one, several for a mix, none for all colours.

        Raises
        ------
        ImageError
            There is no such channel, or there are several and none was chosen.
        """
        if channel is None:
            if self.n_channels > 1:
                known = f" ({', '.join(self.channel_names)})" if self.channel_names else ""
                raise ImageError(
                    f"{self.title} has {self.n_channels} channels{known} and none was chosen. Choose a channel from 0 "
                    f"to {self.n_channels - 1} (on the command line --channel N){self._colours_in_words()}."
                )
            return () if self.rgb or "C" not in self.axes else (0,)
        if self.had_colours and self.n_channels == 1:
            find_channels(channel, 3, _COLORS, self.title)
            return ()
        names = _COLORS if self.rgb else self.channel_names
        places = find_channels(channel, 3 if self.rgb else self.n_channels, names, self.title)
        if self.rgb and len(places) > 1:
            raise ImageError(
                f"{self.title} is a colour image, and its colours are not mixed. Choose one of them, or no "
                "channel for all three."
            )
        return places if "C" in self.axes else ()

    def _colours_in_words(self) -> str:
        """Text that explains how to read the channels as colours, if they may be colours."""
        axes = self.axes[:-1] + "S"
        if self.axes[-1] != "C" or self.data.shape[-1] != 4 or not looks_rgb(self.data.shape, self.data.dtype):
            return ""
        return f", or, if these are colours with alpha, name the last axis S, such as axes='{axes}' (--axes {axes})"

    def _plane(self, place: int | None) -> np.ndarray:
        index, kept = self._plane_index(place)
        if not isinstance(self.data, np.ndarray) or isinstance(self.data, np.memmap):
            sizes = [n for part, n in zip(index, self.data.shape, strict=True) if isinstance(part, slice)]
            check_room(math.prod(sizes) * np.dtype(self.data.dtype).itemsize, self.title, tuple(sizes))
        plane = self._values(index)
        order = [kept.index(letter) for letter in "YXC" if letter in kept]
        plane = plane.transpose(order)
        if plane.ndim == 3:
            plane = plane[..., :3]
            red, green, blue = plane[..., 0], plane[..., 1], plane[..., 2]
            if _same(red, green) and _same(red, blue):
                plane = red
        return np.ascontiguousarray(plane, dtype=plane.dtype.newbyteorder("="))

    def as_grey(self) -> Image:
        """Return a colour image in memory whose three colours are equal everywhere as a grey one; others unchanged."""
        data = self.data
        if not self.rgb or not isinstance(data, np.ndarray) or isinstance(data, np.memmap):
            return self
        # Real colours differ in the first rows as a rule, and need no look at the rest.
        for part in (data[:1], data):
            if not (_same(part[..., 0], part[..., 1]) and _same(part[..., 0], part[..., 2])):
                return self
        grey = np.ascontiguousarray(data[..., 0])
        return replace(self, data=grey, axes=self.axes[:-1], rgb=False, had_colours=True)

    def region_index(self, rows: slice, columns: slice) -> tuple[slice, ...]:
        """Return the index of these rows and columns in the array, with everything along its other axes."""
        return tuple({"Y": rows, "X": columns}.get(axis, slice(None)) for axis in self.axes)

    def read_region(self, rows: slice, columns: slice) -> np.ndarray:
        """Read these rows and columns with everything along the other axes; nothing else is read.

        Raises
        ------
        ImageError
            That part of the file is damaged, or does not fit into memory.
        """
        index = self.region_index(rows, columns)
        shape = tuple(len(range(n)[part]) for part, n in zip(index, self.data.shape, strict=True))
        check_room(math.prod(shape) * np.dtype(self.data.dtype).itemsize, self.title, shape)
        # A copy: a view would keep the whole image in memory.
        return np.array(self._values(index))

    def cut(self, index: tuple[Any, ...]) -> Any:
        """Return a part of the array, lazy if the array is.

        Raises
        ------
        ImageError
            That part of the file is damaged.
        """
        try:
            return self.data[index]
        except DAMAGE as error:
            raise unreadable(self.source or self.title, error) from error

    def content_hash(self) -> str:
        """SHA-256 (hex) over shape, dtype and values.

        It is the same for lazy, strided and byte-swapped copies, and in memory for a grey image stored as equal
        colours.
        """
        if (grey := self.as_grey()) is not self:
            return grey.content_hash()
        dtype = np.dtype(self.data.dtype).newbyteorder("<")
        digest = hashlib.sha256(f"{tuple(int(n) for n in self.data.shape)} {dtype.str} ".encode())
        row_bytes = dtype.itemsize * math.prod(self.data.shape[1:])
        rows = max(1, _HASH_BLOCK_BYTES // row_bytes)
        for start in range(0, self.data.shape[0], rows):
            block = self._values(slice(start, start + rows))
            digest.update(np.ascontiguousarray(block, dtype=dtype).view(np.uint8).data)
        return digest.hexdigest()

    def _values(self, index: Any) -> np.ndarray:
        """Read values, which may still be in their file."""
        try:
            return np.asarray(self.data[index])
        except DAMAGE as error:
            raise unreadable(self.source or self.title, error) from error

    def _plane_index(self, place: int | None) -> tuple[tuple[int | slice, ...], str]:
        """Index of a plane in the array, and the axes that remain; None keeps the colours."""
        index: list[int | slice] = []
        kept = ""
        for letter, length in zip(self.axes, self.data.shape, strict=True):
            if letter in "TZ":
                if length > 1:
                    raise AxesError(
                        f"{self.title} has {length} {_AXIS_NAMES[letter]} (axis {letter} of {self.axes}), "
                        "but one plane is segmented at a time. "
                        "Give one plane, or segment each plane (on the command line --pages each or --pages stack)."
                    )
                index.append(0)
            elif letter == "C" and place is not None:
                index.append(place)
            else:
                index.append(slice(None))
                kept += letter
        return tuple(index), kept


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
