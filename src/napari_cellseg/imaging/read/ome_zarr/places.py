"""Where Zarr images lie: in folders, in zip files, and on servers whose address the user typed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from ...errors import ImageError

ZIPPED_SUFFIX = ".zarr.zip"
_MARKS = ("zarr.json", ".zarray", ".zgroup", ".zattrs")
# The package that reads each kind of address beside fsspec.
_PACKAGES = {"http:": "aiohttp", "https:": "aiohttp", "s3:": "s3fs"}
_typed: set[str] = set()


def address_of(path: str | os.PathLike[str]) -> str | None:
    """Return the address on a server that a path stands for, such as ``https://host/a.zarr``; None for any other.

    A path has one slash where an address has two, and may have a folder in front, as `Path.absolute` puts it there.
    """
    if ":" not in os.fspath(path):
        return None
    parts = Path(path).parts
    for i, part in enumerate(parts[:-1]):
        if part.lower() in _PACKAGES:
            return f"{part.lower()}//{'/'.join(parts[i + 1 :])}"
    return None


def allow(path: str | os.PathLike[str]) -> bool:
    """Allow reading at an address that the user typed, and below it; return whether it is an address.

    Nothing else is ever looked up on a network: addresses in files, such as tables, recipes and images, are refused.

    Raises
    ------
    ImageError
        A package is missing that reads such addresses.
    """
    address = address_of(path)
    if address is None:
        return False
    package = _PACKAGES[address.partition("//")[0]]
    if missing := [name for name in ("fsspec", package) if find_spec(name) is None]:
        needed = " and ".join(missing)
        raise ImageError(f'{address} needs {needed}: pip install "napari-cellseg[remote]". Or copy it to a folder.')
    _typed.add(address.rstrip("/"))
    return True


def allow_only(addresses: Iterable[str]) -> None:
    """Allow the addresses that the user typed in another process, as `typed` gave them there, and no others.

    Raises
    ------
    ImageError
        As `allow`.
    """
    _typed.clear()
    for address in addresses:
        allow(address)


def typed() -> list[str]:
    """Return the addresses that were typed."""
    return sorted(_typed)


def allowed_address(path: str | os.PathLike[str]) -> str | None:
    """Return the address that a path stands for if the user typed it, or one above it; None for any other path."""
    address = address_of(path)
    if address is None or not any(address == one or address.startswith(f"{one}/") for one in _typed):
        return None
    return address


def typed_address(path: str | os.PathLike[str]) -> str | None:
    """Return the address that a path stands for; None for a path to a file or folder.

    Raises
    ------
    ImageError
        The user did not type it.
    """
    address = address_of(path)
    if address is not None and allowed_address(path) is None:
        raise ImageError(
            f"{address} is named by a file, and only addresses that you type are looked up. Give it yourself, on the "
            "command line or by Open …, Address …"
        )
    return address


def zip_of(path: str | os.PathLike[str]) -> tuple[Path, str] | None:
    """Return the zip file that a Zarr image lies in, and the place inside it; None for any other path."""
    if ZIPPED_SUFFIX not in os.fspath(path).lower():
        return None
    path = Path(path)
    for file in (path, *path.parents):
        if file.name.lower().endswith(ZIPPED_SUFFIX) and file.is_file():
            return file, "" if file == path else path.relative_to(file).as_posix()
    return None


def is_elsewhere(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a Zarr image in a zip file, or at an address that the user typed."""
    return allowed_address(path) is not None or zip_of(path) is not None


def is_zarr(path: Path) -> bool:
    """Whether a path is a Zarr array or group, wherever it lies: one image, not a folder of images."""
    return is_elsewhere(path) or (path.is_dir() and any((path / mark).is_file() for mark in _MARKS))


def whole_path(path: Path) -> Path:
    """Return an absolute path; an address has no folder in front."""
    address = address_of(path)
    return path.absolute() if address is None else Path(address)


def title_of(path: str | os.PathLike[str]) -> str | None:
    """Return the name of an image inside another Zarr image, such as a plate: ``plate_A_1_0``; None for any other."""
    path = Path(path)
    outer = next((one for one in path.parents if one.name.lower().endswith((".zarr", ZIPPED_SUFFIX))), None)
    if outer is None:
        return None
    stem = outer.name.lower().removesuffix(".zip").removesuffix(".zarr").removesuffix(".ome")
    # What follows a dot would be taken for a suffix.
    return "_".join([outer.name[: len(stem)].replace(".", "_"), *path.relative_to(outer).parts])
