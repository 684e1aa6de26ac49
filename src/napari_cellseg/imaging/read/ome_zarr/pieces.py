"""Zarr arrays whose pieces unpack to no more than the array announces, whatever their codecs and wherever they lie."""

from __future__ import annotations

import asyncio
import lzma
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import imagecodecs
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, TransposeCodec, ZstdCodec
from zarr.codecs._v2 import V2Codec
from zarr.core.codec_pipeline import BatchedCodecPipeline

from ...errors import ImageError
from ..packed.inflating import inflate
from .stores import BESIDE, CheckedStore

# Codecs that change no size, or only that of a value: 8 bytes to 1 at most.
_OF_ONE_SIZE = (
    *("delta", "shuffle", "fixedscaleoffset", "astype", "quantize", "bitround", "packbits"),
    *("crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3"),
)
_WIDENED = 8
# That of LZMA's slowest setting, twice.
_DICTIONARY = 1 << 27
# Each piece takes time and memory of its own, also where it is missing.
_MOST_PIECES, _MANY_PIECES, _SMALL_PIECE, _LEAST_SHARE = 1 << 22, 1 << 16, 1 << 10, 1000


def checked(array: Any, path: Path) -> Any:
    """Return an array of a `CheckedStore` whose pieces unpack to no more than it announces.

    Raises
    ------
    ImageError
        It announces more pieces than can be there, or is packed by a codec that cannot be bounded.
    """
    _check_number(array, path)
    store = array.store_path.store
    if isinstance(store, CheckedStore):
        pieces = getattr(array, "shards", None) or array.chunks
        index = 16 * math.prod(-(-n // chunk) for n, chunk in zip(pieces, array.chunks, strict=True))
        n_bytes = math.prod(pieces) * array.dtype.itemsize + index
        store.limit_bytes = max(n_bytes, store.limit_bytes or 0)
    inner = array._async_array
    codecs = tuple(_checked(inner.codec_pipeline, array, path))
    object.__setattr__(inner, "codec_pipeline", BatchedCodecPipeline.from_codecs(codecs))
    return array


def _check_number(array: Any, path: Path) -> None:
    pieces = getattr(array, "shards", None) or array.chunks
    n_pieces, n_chunks = (
        math.prod(-(-n // side) for n, side in zip(array.shape, sides, strict=True)) for sides in (pieces, array.chunks)
    )
    reason = ""
    if n_pieces > _MOST_PIECES:
        reason = f"it announces {n_pieces:,} pieces"
    elif n_chunks > _MANY_PIECES and math.prod(array.chunks) * array.dtype.itemsize < _SMALL_PIECE:
        reason = f"it announces {n_chunks:,} pieces of {' x '.join(map(str, array.chunks))} values"
    elif n_pieces > _MANY_PIECES:
        # No more are counted than must be there.
        least = n_pieces // _LEAST_SHARE
        n_there = array.store_path.store.count_pieces(least)
        if n_there is not None and n_there < least:
            reason = f"it announces {n_pieces:,} pieces, and {n_there:,} are there"
    if reason:
        raise ImageError(f"{path} cannot be read: {reason}. Copy it again, or save it with larger chunks.")


def _checked(codecs: Iterable[Any], array: Any, path: Path) -> Iterable[Any]:
    codecs = list(codecs)
    n_bytes = math.prod(array.chunks) * array.dtype.itemsize
    most = n_bytes + n_bytes // 8 + BESIDE
    if len(codecs) > 1 and not isinstance(codecs[0], (BytesCodec, ShardingCodec)):
        # Values may be stored in more bytes than they are read in.
        most *= _WIDENED
    for codec in codecs:
        if isinstance(codec, V2Codec):
            filters = tuple(_Numcodec(one, _WIDENED * most, path) for one in codec.filters or ())
            packer = codec.compressor
            size = _WIDENED * most if filters else most
            yield replace(codec, filters=filters, compressor=packer and _Numcodec(packer, size, path))
        elif isinstance(codec, ShardingCodec):
            yield replace(
                codec,
                codecs=tuple(_checked(codec.codecs, array, path)),
                index_codecs=tuple(_checked(codec.index_codecs, array, path)),
            )
        elif isinstance(codec, (BytesCodec, Crc32cCodec, TransposeCodec)):
            yield codec
        elif isinstance(codec, BytesBytesCodec):
            yield _Bounded(_Numcodec(_numcodec_of(codec), most, path))
        elif getattr(getattr(codec, "_codec", None), "codec_id", None) in _OF_ONE_SIZE:
            yield codec
        else:
            raise _unsupported(path, str(codec.to_dict().get("name")))


def _numcodec_of(codec: Any) -> Any:
    """The codec of numcodecs that does the work of a codec of Zarr 3."""
    import numcodecs  # type: ignore[import-untyped]

    if isinstance(codec, GzipCodec):
        return numcodecs.GZip()
    return getattr(codec, {ZstdCodec: "_zstd_codec", BloscCodec: "_blosc_codec"}.get(type(codec), "_codec"), codec)


def _unsupported(path: Path, name: str) -> ImageError:
    return ImageError(f"{path} is packed by {name}, which is not supported. Save it with zstd, blosc or gzip.")


class _Numcodec:
    """A codec of numcodecs that unpacks up to `most` bytes; what is packed with it is not read otherwise."""

    def __init__(self, codec: Any, most: int, path: Path) -> None:
        self.codec_id = str(getattr(codec, "codec_id", type(codec).__name__))
        self._codec, self._most = codec, most
        if self.codec_id not in (*_OF_ONE_SIZE, "zlib", "gzip", "bz2", "lzma", "zstd", "blosc", "lz4"):
            raise _unsupported(path, self.codec_id)

    def decode(self, packed: Any, out: Any = None) -> Any:
        """Unpack a piece."""
        if self.codec_id in _OF_ONE_SIZE:
            return self._codec.decode(packed)
        content = bytes(packed)
        if self.codec_id == "zstd":
            return imagecodecs.zstd_decode(content, out=self._most)
        if self.codec_id in ("blosc", "lz4"):
            # Their decoders unpack exactly what the header announces.
            start = 4 if self.codec_id == "blosc" else 0
            if int.from_bytes(content[start : start + 4], "little") > self._most:
                raise self._too_much()
            return self._codec.decode(content)
        found = inflate(content, self.codec_id, self._most, **self._raw())
        if found is None:
            raise self._too_much()
        return found

    def _raw(self) -> dict[str, Any]:
        if self.codec_id != "lzma":
            return {}
        found = {"format": self._codec.format, "filters": self._codec.filters}
        return found if self._codec.format == lzma.FORMAT_RAW else {**found, "memlimit": 2 * self._most + _DICTIONARY}

    def _too_much(self) -> ValueError:
        return ValueError(f"a piece of it holds far more than the announced {self._most:,} bytes")


@dataclass(frozen=True)
class _Bounded(BytesBytesCodec):
    """A bounded codec in the way of Zarr 3."""

    codec: _Numcodec
    is_fixed_size = False

    def to_dict(self) -> dict[str, Any]:
        """Return the name that identifies it."""
        return {"name": self.codec.codec_id}

    def compute_encoded_size(self, _input_byte_length: int, _chunk_spec: Any) -> int:
        """Raise NotImplementedError: it depends on the values."""
        raise NotImplementedError

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        found = await asyncio.to_thread(self.codec.decode, chunk_bytes.to_bytes())
        return chunk_spec.prototype.buffer.from_bytes(bytes(found))
