"""Errors whose messages are for the user of the window or the command line.

Each message names the thing, the two facts that clash, and the next step.
"""

from __future__ import annotations


class CellsegError(Exception):
    """Base of every error that this package raises on purpose.

    It does not derive from `RuntimeError`, because thread workers of superqt silently ignore errors of that type.
    """


class ParamsError(CellsegError, ValueError):
    """A parameter is out of its range, or two parameters contradict each other."""


class ImageError(CellsegError):
    """An image cannot be read or used."""


class MemoryTooSmallError(ImageError):
    """An image, or its processing, does not fit into memory."""


class SeveralImagesError(ImageError):
    """A file or folder holds several images, and it is not clear which one to read."""


class AxesError(ImageError):
    """The axes of an image are unknown, or cannot be segmented."""


class ModelError(CellsegError):
    """A model version is missing or damaged, or does not fit the image."""


class OutputError(CellsegError):
    """A result could not be written; existing files are unchanged."""


class DatasetError(CellsegError):
    """A training or evaluation data set is missing, damaged, or inconsistent."""
