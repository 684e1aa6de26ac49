"""What run lengths of the Data Science Bowl 2018 stand for."""

from __future__ import annotations

import numpy as np


def rle_decode(text: str, shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels of pairs of start and length, counted from 1 down the columns; bool ``(Y, X)``."""
    flat = np.zeros(shape[0] * shape[1], bool)
    numbers = [int(word) for word in text.split()]
    for begin, length in zip(numbers[::2], numbers[1::2], strict=True):
        assert begin >= 1 and length >= 1 and begin + length - 1 <= flat.size
        flat[begin - 1 : begin - 1 + length] = True
    return flat.reshape(shape[::-1]).T
