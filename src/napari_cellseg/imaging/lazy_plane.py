"""One plane of an image that need not fit into memory, read piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .channels import Channel, mixed
from .errors import ImageError
from .image import Image
from .normalize import Scale
from .regions import Region, within

# Side of the pieces that are read at once, about; whole chunks of the file if it has any.
PIECE = 1024


class LazyPlane:
    """The plane of an image to segment, of which regions are read on request.

    A damaged piece of the file is a hole: its values are 0, and the other pieces are still read.

    Parameters
    ----------
    image : Image
        With one time point and one slice.
    channel : int or str, optional
        As in `Image.plane`.

    Attributes
    ----------
    shape : tuple of int
        (Y, X), or (Y, X, 3) for a colour image.
    dtype : numpy.dtype
        In native byte order.
    holes : list of (slice, slice)
        Pieces that could not be read so far, each listed once.
    reason : str
        Why the first hole could not be read.
    places : tuple of int
        The channels; empty for all colours and for an image without channels.
    scales : tuple of Scale
        Scale of each channel of a mix before they are mixed, one for every place. They must be set before anything is
        read.

    Raises
    ------
    AxesError, ImageError
        As in `Image.plane`.
    """

    def __init__(self, image: Image, channel: Channel | None = None) -> None:
        self.image, self.channel = image, channel
        self.places = image.channel_places(channel)
        self.scales: tuple[Scale, ...] = ()
        self._index, self._kept = image._plane_index(self.places[0] if self.places else None)
        self.dtype = np.dtype(np.float32 if self.is_mix else image.data.dtype).newbyteorder("=")
        self.shape: tuple[int, ...] = (*image.shape_yx, *((3,) if "C" in self._kept else ()))
        self._piece = tuple(_side(n) for n in self._chunk())
        self.holes: list[Region] = []
        self.reason = ""

    @property
    def is_mix(self) -> bool:
        """Whether several channels are mixed."""
        return len(self.places) > 1

    def read(self, region: Region) -> tuple[np.ndarray, list[Region]]:
        """Read a region.

        Parameters
        ----------
        region : (slice, slice)
            Rows and columns inside the plane, with start and stop.

        Returns
        -------
        values : numpy.ndarray
            (y, x), or (y, x, 3).
        holes : list of (slice, slice)
            Parts of the region, in its own pixels, that could not be read; the values there are 0.

        Raises
        ------
        ImageError
            There is not enough memory.
        """
        try:
            return self._values(region), []
        except ImageError as error:
            _raise_if_full(error)
        out = np.zeros((*(part.stop - part.start for part in region), *self.shape[2:]), self.dtype)
        holes = []
        for piece in self._grid(region, self._chunk()):
            inside = within(piece, region)
            try:
                out[inside] = self._values(piece)
            except ImageError as error:
                _raise_if_full(error)
                holes.append(inside)
                self._note(piece, error)
        return out, holes

    def pieces(self) -> Iterator[tuple[Region, np.ndarray]]:
        """Read the whole plane once, piece by piece; holes are skipped.

        Raises
        ------
        ImageError
            No piece can be read.
        """
        whole = (slice(0, self.shape[0]), slice(0, self.shape[1]))
        n_read = 0
        for piece in self._grid(whole, self._piece):
            values, holes = self.read(piece)
            if not holes:
                n_read += 1
                yield piece, values
                continue
            for part in self._grid(piece, self._chunk()):
                if within(part, piece) not in holes:
                    n_read += 1
                    yield part, values[within(part, piece)]
        if not n_read:
            raise ImageError(self.reason)

    def n_pieces(self) -> int:
        """Number of pieces that `pieces` reads."""
        return -(-self.shape[0] // self._piece[0]) * -(-self.shape[1] // self._piece[1])

    def _values(self, region: Region) -> np.ndarray:
        if not self.is_mix:
            return self._channel_values(region, None)
        channels = zip(self.places, self.scales, strict=True)
        return mixed([scale.apply(self._channel_values(region, place)) for place, scale in channels])

    def _channel_values(self, region: Region, place: int | None) -> np.ndarray:
        """Values of one channel of a mix, or of the plane if `place` is None."""
        rows_columns = iter(region)
        index: list[Any] = []
        for letter, part in zip(self.image.axes, self._index, strict=True):
            whole = place if letter == "C" and place is not None else part
            index.append(next(rows_columns) if letter in "YX" and isinstance(part, slice) else whole)
        if self.image.axes.index("X") < self.image.axes.index("Y"):
            at_y, at_x = self.image.axes.index("Y"), self.image.axes.index("X")
            index[at_y], index[at_x] = index[at_x], index[at_y]
        values = self.image._values(tuple(index))
        values = values.transpose([self._kept.index(letter) for letter in "YXC" if letter in self._kept])
        return np.ascontiguousarray(
            values[..., :3] if values.ndim == 3 else values, dtype=values.dtype.newbyteorder("=")
        )

    def _chunk(self) -> tuple[int, int]:
        """Sides (Y, X) of the chunks of the file."""
        data, axes = self.image.data, self.image.axes
        chunk = getattr(data, "chunksize", None) or getattr(data, "chunks", None)
        if not isinstance(chunk, Sequence) or len(chunk) != len(axes) or not all(isinstance(n, int) for n in chunk):
            return PIECE, PIECE
        return max(1, int(chunk[axes.index("Y")])), max(1, int(chunk[axes.index("X")]))

    def _grid(self, region: Region, side: tuple[int, ...]) -> Iterator[Region]:
        """Parts of a region along a grid that starts at the corner of the plane."""
        rows, columns = (_cuts(part, n) for part, n in zip(region, side, strict=True))
        return ((y, x) for y in rows for x in columns)

    def _note(self, piece: Region, error: ImageError) -> None:
        self.reason = self.reason or str(error)
        # The whole chunk, whichever part of it was requested.
        rows, columns = (
            slice(part.start // n * n, min((part.start // n + 1) * n, size))
            for part, n, size in zip(piece, self._chunk(), self.shape, strict=False)
        )
        if (rows, columns) not in self.holes:
            self.holes.append((rows, columns))


def _side(chunk: int) -> int:
    return chunk * max(1, round(PIECE / chunk))


def _cuts(part: slice, side: int) -> list[slice]:
    edges = [part.start, *range((part.start // side + 1) * side, part.stop, side), part.stop]
    return [slice(a, b) for a, b in pairwise(edges)]


def _raise_if_full(error: ImageError) -> None:
    if isinstance(error.__cause__, MemoryError):
        raise error
