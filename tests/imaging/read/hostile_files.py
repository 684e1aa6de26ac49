"""Small files that speak of, or swell to, far more than a machine has; and a child process that has little memory."""

from __future__ import annotations

import bz2
import io
import json
import lzma
import struct
import sys
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pydicom.data
import tifffile
from PIL import Image

from .microscopes.vendor_files import write_czi, write_lif, write_nd2, write_oif, write_xlef

MEGABYTE = 1 << 20
# What the child may take above what it has after its imports, and what the files want.
ROOM = 400 * MEGABYTE
WANTED = 1500 * MEGABYTE


def deflated_zeros(n_bytes: int, wbits: int = 15) -> bytes:
    """Deflate zeros quickly: after a full flush a block may be repeated as it is."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(MEGABYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    body = block * (n_bytes // MEGABYTE) + b"\x03\x00"
    if wbits < 0:
        return body
    if wbits > 15:
        return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + body + bytes(8)
    return b"\x78\xda" + body + struct.pack(">I", 1 | (n_bytes % 65521) << 16)


def npy_header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_2_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def zip_of(content: bytes, n_bytes: int, name: str = "X.npy", flags: int = 0) -> bytes:
    """A zip archive of one member, given as deflated bytes."""
    raw = name.encode()
    common = struct.pack("<HHHHHIII", 20, flags, 8, 0, 0, 0, len(content), n_bytes)
    local = b"PK\x03\x04" + common + struct.pack("<HH", len(raw), 0) + raw + content
    central = b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHHHII", len(raw), 0, 0, 0, 0, 0, 0) + raw
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + end


def stored(content: bytes) -> bytes:
    """Deflate bytes without packing them, to stand in front of other deflated bytes."""
    return b"\x00" + struct.pack("<HH", len(content), len(content) ^ 0xFFFF) + content


def png(width: int, height: int, depth: int, colour: int, packed: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def tiff(width: int, height: int, compression: int, strip: bytes, description: bytes = b"") -> bytes:
    """A grey TIFF of 8 bits in one strip."""
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, compression), (262, 3, 1)]
    after = 8 + 2 + 12 * (9 + bool(description)) + 4
    if description:
        tags.append((270, 2, after + len(strip)))
    tags += [(273, 4, after), (277, 3, 1), (278, 4, height), (279, 4, len(strip))]
    entries = b"".join(
        struct.pack("<HHII", tag, kind, len(description) if tag == 270 else 1, value) for tag, kind, value in tags
    )
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + strip + description


def zarr_folder(folder: Path, shape: list[int], chunks: list[int], piece: bytes | None, compressor: object) -> None:
    folder.mkdir()
    about = {"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": "|u1", "compressor": compressor}
    (folder / ".zarray").write_text(json.dumps({**about, "fill_value": 0, "order": "C", "filters": None}))
    if piece is not None:
        (folder / "0.0").write_bytes(piece)


def zarr_bombs() -> dict[str, tuple[object, bytes]]:
    """Pieces in every codec, of several streams or frames: each holds far more than it, or the first of them, says."""
    block, n = bytes(64 * MEGABYTE), WANTED // (64 * MEGABYTE)
    lz4 = imagecodecs.lz4_encode(block, header=True)
    return {
        "zstd": ({"id": "zstd", "level": 1}, imagecodecs.zstd_encode(block) * n),
        "bz2": ({"id": "bz2", "level": 9}, bz2.compress(block) * n),
        "lzma": ({"id": "lzma"}, lzma.compress(block, preset=0) * n),
        "lz4": ({"id": "lz4"}, struct.pack("<I", WANTED) + lz4[4:]),
        "pickle": ({"id": "pickle"}, b"c"),
        "base64": ({"id": "base64"}, b"A" * 1000),
    }


def zarr_three() -> dict[str, tuple[list[int], list[int], list[object]]]:
    """Shape, chunks and codecs of arrays that announce far more pieces than they have, and of a shard."""
    plain: list[object] = [{"name": "bytes"}]
    packed = [*plain, {"name": "zstd", "configuration": {"level": 1, "checksum": False}}]
    inner = {"chunk_shape": [20, 30], "codecs": packed, "index_codecs": plain}
    return {
        "huge": ([10**9, 10**9], [96, 96], plain),
        "tiny": ([1000, 1000], [1, 1], plain),
        "sparse": ([40_000, 40_000], [64, 64], plain),
        "planes": ([10**7, 8, 9], [10**7, 8, 9], plain),
        "shard": ([20, 30], [20, 30], [{"name": "sharding_indexed", "configuration": inner}]),
    }


def write_hostile(folder: Path) -> dict[str, str]:
    """Write the files; return a word or two of what is said about each."""
    zeros, raw_zeros = deflated_zeros(WANTED), deflated_zeros(WANTED, -15)
    side = 40_000
    header = npy_header((side, side))
    long_header = b"\x93NUMPY\x02\x00" + struct.pack("<I", WANTED - 12)
    laughs = "".join(f'<!ENTITY a{i + 1} "{f"&a{i};" * 10}">' for i in range(9))
    bomb = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a0 "ha">{laughs}]><OME xmlns="OME"><a>&a9;</a></OME>\0'.encode()
    blosc = struct.pack("<BBBBIII", 2, 1, 1, 1, WANTED, WANTED, 16)
    files: dict[str, tuple[bytes, str]] = {
        "declared.npy": (header + bytes(100), "cut short"),
        "header.npy": (long_header + bytes(100), "header"),
        "bomb.npz": (zip_of(stored(header) + raw_zeros, len(header) + side * side), "fit into memory|damaged"),
        "header.npz": (zip_of(stored(long_header) + raw_zeros, WANTED), "header"),
        "lies.npz": (zip_of(stored(header) + raw_zeros, 1000), "damaged"),
        "password.npz": (zip_of(stored(npy_header((1, 1)) + b"x"), 200, flags=1), "password"),
        "declared8.png": (png(60_000, 60_000, 8, 2, zlib.compress(bytes(100))), "too large|cannot be read"),
        "declared16.png": (png(60_000, 60_000, 16, 2, zlib.compress(bytes(100))), "too large"),
        "bomb16.png": (png(16_000, 16_000, 16, 2, zeros), "too large"),
        "declared.bmp": (
            b"BM"
            + struct.pack("<IHHI", 100, 0, 0, 54)
            + struct.pack("<IiiHHIIiiII", 40, 60_000, 60_000, 1, 24, *[0] * 6),
            "too large",
        ),
        "declared.tif": (tiff(side, side, 1, bytes(100)), "cut short"),
        "packed.tif": (tiff(side, side, 8, zlib.compress(bytes(100))), "announces"),
        "full.tif": (tiff(side, side, 8, deflated_zeros(side * side)), "fit into memory"),
        "bomb.tif": (tiff(20, 30, 8, zeros), "far more"),
        "lzma.tif": (tiff(20, 30, 34925, lzma.compress(bytes(64 * MEGABYTE), preset=0) * 24), ""),
        "laughs.tif": (tiff(20, 30, 1, bytes(600), bomb), ""),
    }
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    gzip = {"id": "gzip", "level": 1}
    zarr_folder(folder / "declared.zarr", [side, side], [64, 64], None, None)
    zarr_folder(folder / "chunk.zarr", [side, side], [side, side], bytes(100), gzip)
    zarr_folder(folder / "bomb.zarr", [20, 30], [20, 30], deflated_zeros(WANTED, 31), gzip)
    zarr_folder(folder / "long.zarr", [20, 30], [20, 30], bytes(4 * MEGABYTE), None)
    zarr_folder(
        folder / "blosc.zarr", [20, 30], [20, 30], blosc + bytes(16), {"id": "blosc", "cname": "lz4", "clevel": 1}
    )
    for name, (codec, pieces) in zarr_bombs().items():
        zarr_folder(folder / f"{name}.zarr", [20, 30], [20, 30], pieces, codec)
    three = {"zarr_format": 3, "node_type": "array", "data_type": "uint8", "fill_value": 0, "attributes": {}}
    for name, (shape, chunks, codecs) in zarr_three().items():
        grid = {"name": "regular", "configuration": {"chunk_shape": chunks}}
        keys = {"name": "default", "configuration": {"separator": "/"}}
        about = {"shape": shape, "chunk_grid": grid, "chunk_key_encoding": keys, "codecs": codecs}
        (folder / f"{name}.zarr").mkdir()
        (folder / f"{name}.zarr" / "zarr.json").write_text(json.dumps({**three, **about}))
    bomb = zarr_bombs()["zstd"][1]
    index = struct.pack("<QQ", 0, len(bomb))
    (folder / "shard.zarr" / "c" / "0").mkdir(parents=True)
    (folder / "shard.zarr" / "c" / "0" / "0").write_bytes(bomb + index)
    (folder / "sparse.zarr" / "c" / "0").mkdir(parents=True)
    (folder / "sparse.zarr" / "c" / "0" / "0").write_bytes(bytes(64 * 64))
    words = {name: word for name, (_, word) in files.items()}
    pieces = {"bomb.zarr": "far more", "long.zarr": "far more", "blosc.zarr": "cannot be read|fit into memory"}
    pieces |= dict.fromkeys((f"{name}.zarr" for name in (*zarr_bombs(), "shard")), "far more|cannot be read|supported")
    pieces |= {"huge.zarr": "pieces", "tiny.zarr": "pieces of 1 x 1", "sparse.zarr": "1 are there"}
    pieces |= {"planes.zarr": "planes", "declared.zarr": "0 are there", "chunk.zarr": "fit into memory"}
    return words | pieces


def lying_jpeg(side: int) -> bytes:
    """A JPEG of 8 x 8 pixels whose header says that it has `side` by `side`."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(buffer, "JPEG")
    content = bytearray(buffer.getvalue())
    struct.pack_into(">HH", content, content.index(b"\xff\xc0") + 5, side, side)
    return bytes(content)


def repacked(path: Path, plain: bytes, packed: bytes, code: int) -> None:
    """Put packed bytes in place of the plain ones of a CZI file of one piece, and say that they are packed so."""
    content = bytearray(path.read_bytes())
    start = content.index(plain)
    content[start : start + len(plain)] = packed.ljust(len(plain), b"\0")
    at = content.find(b"DV")
    while at >= 0:
        kind, position, part, compression = struct.unpack_from("<iqii", content, at + 2)
        if (kind, part, compression) == (1, 0, 0):
            struct.pack_into("<iqii", content, at + 2, kind, position, part, code)
        at = content.find(b"DV", at + 1)
    path.write_bytes(content)


def widened(path: Path, size: int, side: int, only_inside: bool) -> None:
    """Say that the piece of a CZI file has other sides: everywhere, or only where it lies and not in the directory."""
    content = bytearray(path.read_bytes())
    for axis in (b"X\0\0\0", b"Y\0\0\0"):
        at = content.find(axis)
        while at >= 0:
            start, length, place, stored = struct.unpack_from("<iifi", content, at + 4)
            if length == stored == size:
                struct.pack_into("<iifi", content, at + 4, start, side, place, side)
                if only_inside:
                    break
            at = content.find(axis, at + 1)
    path.write_bytes(content)


def write_hostile_microscopes(folder: Path) -> dict[str, str]:
    """Write files in the formats of microscopes, as `write_hostile` does."""
    side, n = 40_000, 640
    plane = np.random.default_rng(0).integers(0, 4096, (n, n)).astype(np.uint16)
    small = plane[None, None, :20, :30, None]
    write_nd2(folder / "frame.nd2", small, compression=0, pack=lambda _: deflated_zeros(WANTED))
    # Metadata that are packed begin with these bytes.
    write_nd2(folder / "about.nd2", small, pack_about=lambda _: bytes([76, 0, *bytes(10)]) + deflated_zeros(WANTED))
    for name, packed, code in (
        ("jxr", imagecodecs.jpegxr_encode(np.zeros((20_000, 20_000), np.uint16)), 4),
        ("zstd", imagecodecs.zstd_encode(bytes(WANTED), level=1), 5),
        ("jpeg", lying_jpeg(20_000), 1),
    ):
        write_czi(folder / f"{name}.czi", {0: plane[None]}, packed="uncompressed:")
        repacked(folder / f"{name}.czi", plane.tobytes(), packed, code)
    for name, only_inside in (("declared", False), ("inside", True)):
        write_czi(folder / f"{name}.czi", {0: plane[None]})
        widened(folder / f"{name}.czi", n, side, only_inside)
    write_oif(folder / "a.oif", np.stack([plane, plane])[None])
    for part in Path(folder, "a.oif.files").iterdir():
        part.write_bytes(tiff(20, 30, 8, deflated_zeros(WANTED)))
    write_lif(folder / "plane.lif", [("a", "YX", np.broadcast_to(np.uint16(0), (side, side)))])
    for kind in ("tif", "png"):
        write_xlef(folder / f"{kind}.xlef", [("a", "YX", plane, f".{kind}")])
    (folder / "tif" / "a_0.tif").write_bytes(tiff(20, 30, 8, deflated_zeros(WANTED)))
    (folder / "png" / "a_0.png").write_bytes(png(60_000, 60_000, 8, 2, zlib.compress(bytes(100))))
    dicom = pydicom.dcmread(pydicom.data.get_testdata_file("JPEG2000.dcm"))
    dicom.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    dicom.PixelData = pydicom.encaps.encapsulate([lying_jpeg(13_000)])
    dicom.save_as(folder / "frame.dcm")
    far = ("frame.nd2", "about.nd2", "a.oif", "tif.xlef")
    return {
        **dict.fromkeys(far, "far more"),
        **{"jxr.czi": "picture of 20000", "jpeg.czi": "picture of 20000", "zstd.czi": "holds 1,572,864,000 bytes"},
        **{"declared.czi": "fit into memory", "inside.czi": "its own header", "plane.lif": "fit into memory"},
        **{"png.xlef": "too large", "frame.dcm": "picture of 13000"},
    }


def write_good(folder: Path) -> None:
    """Write small whole files: what the readers load when they are used first, must not count."""
    import dask.array  # noqa: F401

    np.savez(folder / "good.npz", X=np.zeros((8, 9)))
    tifffile.imwrite(folder / "good.tif", np.zeros((8, 9), np.uint8), compression="zlib")
    (folder / "good.png").write_bytes(png(8, 8, 8, 0, zlib.compress(bytes(72))))
    zarr_folder(folder / "good.zarr", [8, 9], [8, 9], bytes(72), None)
    plane = np.ones((8, 9), np.uint16)
    write_nd2(folder / "good.nd2", plane[None, None, ..., None])
    write_czi(folder / "good.czi", {0: plane[None]})
    write_oif(folder / "good.oif", np.stack([plane, plane])[None])
    write_lif(folder / "good.lif", [("a", "YX", plane)])
    write_xlef(folder / "good.xlef", [("a", "YX", plane, ".tif")])
    pydicom.dcmread(pydicom.data.get_testdata_file("JPEG2000.dcm")).save_as(folder / "good.dcm")


def main(folder: Path) -> None:
    """Read every file of a folder with little memory, and print what was said of each, and how much was taken."""
    import resource

    import psutil

    from napari_cellseg.imaging import CellsegError, plane_image, planes_of, read_image

    write_good(folder.parent)
    for path in folder.parent.glob("good.*"):
        if not path.name.endswith(".files"):
            image = read_image(path)
            plane_image(image, planes_of(image)[0]).plane()
    limit = psutil.Process().memory_info().vms + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in sorted(one for one in folder.iterdir() if one.is_file() or one.suffix == ".zarr"):
        try:
            image = read_image(path)
            plane_image(image, planes_of(image)[0]).plane()
            said, kind = "", ""
        except CellsegError as error:
            said, kind = str(error), type(error).__name__
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(json.dumps({"name": path.name, "kind": kind, "said": said, "taken_kb": taken}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
