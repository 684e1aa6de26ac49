"""Errors whose message is meant for the person at the window or the command line.

Each message names the thing, the two facts that clash, and the next step.
"""

from __future__ import annotations


class CellsegError(Exception):
    """Base of every error that this package raises on purpose.

    It does not derive from `RuntimeError`: thread workers of superqt drop errors of that type without a word.
    """


class ParamsError(CellsegError, ValueError):
    """A parameter is out of its range, or two parameters contradict each other."""


class ImageError(CellsegError):
    """An image cannot be read or used."""


class MemoryTooSmallError(ImageError):
    """An image, or what is to be done with it, does not fit into memory."""


class SeveralImagesError(ImageError):
    """A file or folder holds several images, and which one is meant is not plain."""


class AxesError(ImageError):
    """The axes of an image are unknown, or are not ones that can be segmented."""


class ModelError(CellsegError):
    """A model version is missing, damaged, or does not fit the image."""


class OutputError(CellsegError):
    """A result could not be written; what was there before is untouched."""


class DatasetError(CellsegError):
    """A training or evaluation data set is missing, damaged, or inconsistent."""
