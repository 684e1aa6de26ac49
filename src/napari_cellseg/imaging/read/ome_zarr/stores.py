"""Stores of Zarr images, in which no piece is larger than its array announces, wherever they lie."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import itertools
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.storage import LocalStore, MemoryStore, WrapperStore, ZipStore

from ..packed.zip_entries import check_list
from ..values.json_types import parse_json
from .places import allowed_address, zip_of

_METADATA_FILES = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
_LARGEST_METADATA = 1 << 26
# What a packed piece may have beside its values: headers, checksums, the index of a shard.
BESIDE = 1 << 16


class CheckedStore(WrapperStore):
    """A store whose pieces are not larger than those of its array.

    Attributes
    ----------
    limit_bytes : int, optional
        Size of the largest piece once unpacked; without it only metadata are read.
    """

    limit_bytes: int | None = None

    # Zarr reads by `get` only: a wrapper of Zarr 3.4 hands these on to what it wraps, past the check, and a server's
    # pieces, which are not in there, would be taken for empty.
    _supports_sync_io = False
    get_ranges = getattr(Store, "get_ranges", None)

    async def get_partial_values(self, prototype: Any, key_ranges: Iterable[tuple[str, Any]]) -> list[Any]:
        """Return parts of pieces."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """Return the content of a piece, or of a part of it."""
        n_bytes = self.size_of(key)
        if n_bytes is not None:
            self.check_size(key, n_bytes)
        return await super().get(key, prototype, byte_range)

    def size_of(self, key: str) -> int | None:
        """Return the bytes of a piece; None where it is missing."""
        raise NotImplementedError

    def content(self, key: str) -> bytes:
        """Return a piece that is there."""
        raise NotImplementedError

    def read(self, key: str) -> bytes | None:
        """Return the whole of a piece, or of metadata; None where it is missing."""
        n_bytes = self.size_of(key)
        if n_bytes is None:
            return None
        self.check_size(key, n_bytes)
        return self.content(key)

    def count_pieces(self, most: int) -> int | None:
        """Count the pieces, `most` at most; None where they cannot be listed."""
        return None

    def largest(self, key: str) -> int:
        """Return the bytes that a piece may have."""
        return _LARGEST_METADATA if _is_metadata(key) else 2 * (self.limit_bytes or 0) + BESIDE

    def check_size(self, key: str, n_bytes: int) -> None:
        """Raise ValueError for a piece that is too large."""
        if n_bytes > self.largest(key):
            raise ValueError(f"its piece {key} holds far more than the announced {self.limit_bytes or 0:,} bytes")


class FolderStore(CheckedStore):
    """A folder whose pieces are regular files."""

    def __init__(self, folder: Path) -> None:
        super().__init__(LocalStore(folder, read_only=True))
        self._folder = folder

    def size_of(self, key: str) -> int | None:
        """Return the bytes of a piece; None where it is missing."""
        try:
            about = os.stat(self._folder / key)
        except OSError:
            return None
        if not stat.S_ISREG(about.st_mode):
            raise ValueError(f"its piece {key} is no file")
        return about.st_size

    def content(self, key: str) -> bytes:
        """Return a piece that is there."""
        return (self._folder / key).read_bytes()

    def count_pieces(self, most: int) -> int | None:
        """Count the pieces, `most` at most."""
        there = (name for _, _, names in os.walk(self._folder) for name in names if not _is_metadata(name))
        return sum(1 for _ in itertools.islice(there, most))


class ZippedStore(CheckedStore):
    """A zip file, which is only read; it may hold the image in a folder.

    Attributes
    ----------
    inner : str
        That folder; empty where the image is at the top.
    """

    def __init__(self, path: Path) -> None:
        about = path.stat()
        store, self.inner = _opened_zip(path, about.st_size, about.st_mtime_ns)
        super().__init__(store)
        self._archive = store._zf

    def size_of(self, key: str) -> int | None:
        """Return the bytes of a piece once it is out of the zip file; None where it is missing."""
        try:
            return self._archive.getinfo(key).file_size
        except KeyError:
            return None

    def content(self, key: str) -> bytes:
        """Return a piece that is there."""
        return self._archive.read(key)

    def count_pieces(self, most: int) -> int | None:
        """Count the pieces, `most` at most."""
        return sum(1 for _ in itertools.islice((n for n in self._archive.namelist() if not _is_metadata(n)), most))


@functools.lru_cache(maxsize=4)
def _opened_zip(path: Path, n_bytes: int, mtime_ns: int) -> tuple[ZipStore, str]:
    """Open a zip file once for all wells of a plate, until it changes; return also the folder in it."""
    with path.open("rb") as file:
        check_list(file)
    store = ZipStore(path, mode="r")
    store._sync_open()
    places = {name.rpartition("/")[0] for name in store._zf.namelist() if _is_metadata(name)}
    top = min(places, key=len, default="")
    return store, top if all(f"{place}/".startswith(f"{top}/") for place in places) else ""


class RemoteStore(CheckedStore):
    """A folder on a server; no more of a piece is fetched than it may hold."""

    def __init__(self, address: str) -> None:
        import fsspec

        super().__init__(MemoryStore(read_only=True))
        self._address = address
        scheme = address.partition(":")[0]
        # Public buckets are read without a key, unless one is set for this program.
        has_key = any(name in os.environ for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"))
        self._fs = fsspec.filesystem(scheme, **({"anon": not has_key} if scheme == "s3" else {}))
        self._fetch = self._fetch_s3 if scheme == "s3" else self._fetch_http

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """Return the content of a piece, or of a part of it."""
        content = await asyncio.to_thread(self.read, key, byte_range)
        return None if content is None else prototype.buffer.from_bytes(content)

    async def exists(self, key: str) -> bool:
        """Whether there is such a piece."""
        return await asyncio.to_thread(self.read, key) is not None

    def read(self, key: str, byte_range: Any = None) -> bytes | None:
        """Fetch a piece, or a part of it; None where it is missing.

        Raises
        ------
        OSError
            The server refused or cannot be reached.
        """
        try:
            content = self._fetch(f"{self._address}/{key}", byte_range, self.largest(key) + 1)
        except FileNotFoundError:
            return None
        except PermissionError:
            # Some servers answer so where something is missing; a piece that is not given must not be taken for empty.
            if _is_metadata(key):
                return None
            raise
        self.check_size(key, len(content))
        return content

    def _fetch_http(self, address: str, byte_range: Any, most: int) -> bytes:
        import aiohttp

        headers = {} if byte_range is None else {"Range": f"bytes={_range_in_words(byte_range)}"}
        try:
            # A size that is given is not asked for; only the block size decides here.
            with self._fs.open(address, "rb", block_size=0, size=1, headers=headers) as file:
                found = bytearray()
                while len(found) < most and (block := file.read(most - len(found))):
                    found += block
                # A server may give all of it.
                return bytes(found) if file.r.status == 206 else _part(bytes(found), byte_range)
        except aiohttp.ClientResponseError as error:
            if byte_range is not None and error.status in (400, 416):
                # Some servers give no parts, or none that are counted from the end.
                return _part(self._fetch_http(address, None, most), byte_range)
            kind = PermissionError if error.status in (401, 403) else OSError
            raise kind(f"{address}: the server answers {error.status} ({error.message})") from error
        except aiohttp.ClientError as error:
            raise OSError(f"{address}: {error}") from error

    def _fetch_s3(self, address: str, byte_range: Any, most: int) -> bytes:
        start, end = 0, most
        if isinstance(byte_range, SuffixByteRequest):
            return bytes(self._fs.cat_file(address, start=-byte_range.suffix))
        if byte_range is not None:
            start = byte_range.start if isinstance(byte_range, RangeByteRequest) else byte_range.offset
            end = byte_range.end if isinstance(byte_range, RangeByteRequest) else start + most
        return bytes(self._fs.cat_file(address, start=start, end=end))


def open_store(path: Path) -> tuple[CheckedStore, str]:
    """Return the store of a Zarr image, and the place inside it.

    Raises
    ------
    OSError, ValueError, ...
        As in `read.read_zarr`.
    """
    if (address := allowed_address(path)) is not None:
        return RemoteStore(address), ""
    if (zipped := zip_of(path)) is not None:
        file, inner = zipped
        store = ZippedStore(file)
        return store, "/".join(filter(None, (store.inner, inner)))
    return FolderStore(path), ""


def metadata_of(path: Path) -> dict[str, Any]:
    """Return the attributes of a group or array; empty without any.

    Raises
    ------
    OSError, ValueError, ...
        As in `read.read_zarr`.
    """
    store, inner = open_store(path)
    found: dict[str, Any] = {}
    for name in ("zarr.json", ".zattrs"):
        content = store.read(f"{inner}/{name}" if inner else name)
        values = parse_json(content) if content else {}
        found = found or (values.get("attributes", {}) if name == "zarr.json" else values)
    return found


def remote_stamp(address: str) -> dict[str, int]:
    """Return what changes with an image on a server: size and hash of its metadata, as a time is not known."""
    store = RemoteStore(address)
    content = b"".join(store.read(name) or b"" for name in _METADATA_FILES[:-1])
    return {"size": len(content), "mtime_ns": int.from_bytes(hashlib.sha256(content).digest()[:6])}


def _is_metadata(key: str) -> bool:
    return key.rpartition("/")[2] in _METADATA_FILES


def _range_in_words(byte_range: Any) -> str:
    if isinstance(byte_range, RangeByteRequest):
        return f"{byte_range.start}-{byte_range.end - 1}"
    return f"{byte_range.offset}-" if isinstance(byte_range, OffsetByteRequest) else f"-{byte_range.suffix}"


def _part(content: bytes, byte_range: Any) -> bytes:
    if isinstance(byte_range, RangeByteRequest):
        return content[byte_range.start : byte_range.end]
    if isinstance(byte_range, OffsetByteRequest):
        return content[byte_range.offset :]
    return content if byte_range is None else content[-byte_range.suffix :]
