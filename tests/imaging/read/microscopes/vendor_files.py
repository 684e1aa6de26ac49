"""Small files in the formats of microscopes, written by hand from the descriptions of these formats."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

_IDS = {"X": 1, "Y": 2, "Z": 3, "T": 4, "λ": 5, "M": 10}
_MAGIC = 0x0ABECEDA
# In the tables of sectors of a compound file: the end of a chain, a sector of such a table, nothing.
_END, _FAT, _NONE = 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF


def write_lif(path: Path, images: Sequence[tuple[str, str, np.ndarray]], length: float = 1e-5) -> Path:
    """Write a LIF file of version 2.

    Parameters
    ----------
    path : Path
    images : sequence of (str, str, ndarray)
        Name, axes and values of each series. ``S`` last is red, green, blue; ``C`` stands outside of Y and X. One
        value for all (`numpy.broadcast_to`) is a hole in the file, which takes no room.
    length : float
        Of every axis, from its first to its last element: metres, or seconds along T.
    """
    blocks = [(f"MemBlock_{i}", values) for i, (_, _, values) in enumerate(images)]
    elements = [
        _leica(name, axes, values, f'<Memory Size="{values.nbytes}" MemoryBlockID="{block}"/>', length)
        for (name, axes, values), (block, _) in zip(images, blocks, strict=True)
    ]
    xml = (
        f'<LMSDataContainerHeader Version="2"><Element Name="{path.stem}"><Children>{"".join(elements)}'
        "</Children></Element></LMSDataContainerHeader>"
    )
    with path.open("wb") as file:
        file.write(struct.pack("<IIBI", 0x70, 2 * len(xml) + 5, 0x2A, len(xml)) + xml.encode("utf-16-le"))
        for name, content in blocks:
            header = struct.pack("<IIBQBI", 0x70, 2 * len(name) + 14, 0x2A, content.nbytes, 0x2A, len(name))
            file.write(header + name.encode("utf-16-le"))
            if any(content.strides):
                file.write(content.tobytes())
            else:
                file.truncate(file.tell() + content.nbytes)
                file.seek(0, 2)
    return path


def write_lof(path: Path, axes: str, values: np.ndarray) -> Path:
    """Write one image as a LOF file; see `write_lif`."""
    memory = f'<Memory Size="{values.nbytes}" MemoryBlockID="MemBlock_0"/>'
    element = _leica(path.stem, axes, values, memory)
    xml = f'<LMSDataContainerHeader Version="2">{element}</LMSDataContainerHeader>'
    mark = "LMS_Object_File"
    head = struct.pack("<IIBI", 0x70, 2 * len(mark) + 5, 0x2A, len(mark)) + mark.encode("utf-16-le")
    head += struct.pack("<BIBIBQ", 0x2A, 2, 0x2A, 0, 0x2A, values.nbytes)
    end = struct.pack("<IIBI", 0x70, 2 * len(xml) + 5, 0x2A, len(xml)) + xml.encode("utf-16-le")
    path.write_bytes(head + values.tobytes() + end)
    return path


def write_xlef(path: Path, images: Sequence[tuple[str, str, np.ndarray, str]]) -> Path:
    """Write a project of Leica: a file of references, an XLIF for each image, and the values of each beside it.

    Each image has a name, axes, values, and a suffix: ``.lof`` and ``.ome.tif`` hold all its values, ``.tif``,
    ``.png``, ``.jpg`` and ``.bmp`` a plane each. The second half of the images is in a collection (XLCF).
    """
    home = path.with_suffix("")
    (home / "Metadata").mkdir(parents=True)
    references = []
    for name, axes, values, suffix in images:
        planes = values.reshape(-1, *values.shape[-3 if axes.endswith("S") else -2 :])
        if suffix == ".lof":
            files = [(write_lof(home / f"{name}.lof", axes, values), values.nbytes)]
        elif suffix == ".ome.tif":
            tifffile.imwrite(home / f"{name}.ome.tif", planes, compression="zlib", photometric="minisblack")
            files = [(home / f"{name}.ome.tif", values.nbytes)]
        else:
            files = [(home / f"{name}_{k}{suffix}", plane.nbytes) for k, plane in enumerate(planes)]
            for (file, _), plane in zip(files, planes, strict=True):
                tifffile.imwrite(file, plane) if suffix == ".tif" else Image.fromarray(plane).save(file)
        starts = np.cumsum([0, *(n for _, n in files)])
        blocks = "".join(
            f'<Block File="..\\{quote(file.name)}" Offset="{start}" Size="{n}" UUID=""/>'
            for (file, n), start in zip(files, starts[:-1], strict=True)
        )
        memory = f'<Memory Size="{values.nbytes}" MemoryBlockID="MemBlock_0">{blocks}</Memory>'
        _leica_file(home / "Metadata" / f"{name}.xlif", _leica(name, axes, values, memory))
        references.append(f'<Reference File="{{}}{quote(name)}.xlif" UUID=""/>')
    half = len(references) // 2
    inner = "".join(references[half:]).format(*[""] * (len(references) - half))
    outer = "".join(references[:half]).format(*[f"{home.name}\\Metadata\\"] * half)
    _leica_file(
        home / "Metadata" / "more.xlcf",
        f'<Element Name="more"><Data><Collection/></Data><Memory Size="0"/><Children>{inner}</Children></Element>',
    )
    outer += f'<Reference File="{home.name}\\metadata\\more.xlcf" UUID=""/>'
    _leica_file(path, f'<Element Name="{path.stem}"><Data><Experiment/></Data><Children>{outer}</Children></Element>')
    return path


def _leica_file(path: Path, element: str) -> None:
    text = f'<?xml version="1.0"?><LMSDataContainerHeader Version="2">{element}</LMSDataContainerHeader>'
    path.write_text(text, encoding="utf-8")


def _leica(name: str, axes: str, values: np.ndarray, memory: str, length: float = 1e-5) -> str:
    """Describe an image as Leica does."""
    inner = [values.itemsize * int(np.prod(values.shape[k + 1 :])) for k in range(values.ndim)]
    steps = dict(zip(axes, inner, strict=True))
    channel_axis = next((axis for axis in axes if axis in "CS"), None)
    n_channels = values.shape[axes.index(channel_axis)] if channel_axis else 1
    dimensions = "".join(
        f'<DimensionDescription DimID="{_IDS[axis]}" NumberOfElements="{n}" Origin="0" Length="{length}" '
        f'Unit="{"s" if axis == "T" else "m"}" BitInc="0" BytesInc="{steps[axis]}"/>'
        for axis, n in zip(axes, values.shape, strict=True)
        if axis not in "CS"
    )
    channels = "".join(
        f'<ChannelDescription DataType="0" ChannelTag="{k + 1 if channel_axis == "S" else 0}" '
        f'Resolution="{8 * values.itemsize}" NameOfMeasuredQuantity="" Min="0" Max="1" Unit="" '
        f'LUTName="Dye{k}" IsLUTInverted="0" BytesInc="{k * steps.get(channel_axis or "", 0)}" BitInc="0"/>'
        for k in range(n_channels)
    )
    return (
        f'<Element Name="{name}"><Data><Image><ImageDescription><Channels>{channels}</Channels>'
        f"<Dimensions>{dimensions}</Dimensions></ImageDescription></Image></Data>"
        f"{memory}</Element>"
    )


def write_dv(path: Path, values: np.ndarray, waves: Sequence[int]) -> Path:
    """Write a DeltaVision file of uint16 values ``(C, Z, Y, X)``, of 0.25 micrometres a pixel and 0.5 a slice."""
    n_waves, n_slices, height, width = values.shape
    header = bytearray(1024)
    struct.pack_into("<4i", header, 0, width, height, n_waves * n_slices, 6)
    struct.pack_into("<3f", header, 40, 0.25, 0.25, 0.5)
    # Its mark; then time points, the order of the planes, wavelengths.
    struct.pack_into("<h", header, 96, -16224)
    struct.pack_into("<2h", header, 180, 1, 0)
    struct.pack_into("<5h", header, 196, n_waves, *waves, *[0] * (4 - len(waves)))
    path.write_bytes(header + values.astype("<u2").tobytes())
    return path


def write_oif(path: Path, values: np.ndarray, axes: str = "CZ") -> Path:
    """Write an OIF file with its folder of TIFFs; `axes` stand in front of Y and X."""
    folder = path.with_name(f"{path.name}.files")
    folder.mkdir()
    shape = values.shape[: len(axes)]
    for place in np.ndindex(*shape):
        name = "".join(f"{axis}{k + 1:03d}" for axis, k in zip(axes, place, strict=True))
        tifffile.imwrite(folder / f"s_{name}.tif", values[place])
    lengths = {"X": values.shape[-1], "Y": values.shape[-2], **dict(zip(axes, shape, strict=True))}
    sections = {
        "ProfileSaveInfo": {"Name": '"OIF"', "Version": '"1.0.0.0"'},
        "Axis Parameter Common": {"AxisOrder": f'"XY{axes[::-1]}"'},
        "Reference Image Parameter": {
            **{"HeightConvertValue": 0.5, "WidthConvertValue": 0.25, "WidthUnit": '"um"'},
            "ValidBitCounts": 16,
        },
        **{f"GUI Channel {k + 1} Parameters": {"DyeName": f'"Dye{k}"'} for k in range(lengths.get("C", 0))},
    }
    for k, axis in enumerate("XYCZTPLA"):
        unit = {"Z": '"nm"', "T": '"ms"'}.get(axis, '"um"')
        span = {"StartPosition": 0, "EndPosition": 1000.0 * (lengths.get(axis, 1) - 1), "UnitName": unit}
        sections[f"Axis {k} Parameters Common"] = {"AxisCode": f'"{axis}"', "MaxSize": lengths.get(axis, 0), **span}
    lines = [
        f"[{name}]\r\n" + "".join(f"{k}={v}\r\n" for k, v in entries.items()) for name, entries in sections.items()
    ]
    path.write_bytes("".join(lines).encode("utf-16"))
    return path


def write_oib(path: Path, values: np.ndarray, axes: str = "CZ") -> Path:
    """Write what `write_oif` does as one OIB file: a compound file (MS-CFB 3) with a stream for each file."""
    with TemporaryDirectory() as folder:
        main = write_oif(Path(folder, "a.oif"), values, axes)
        planes = sorted(Path(f"{main}.files").iterdir())
        files = {main.name: main.read_bytes(), **{f"Storage00001/{p.name}": p.read_bytes() for p in planes}}
    info = ["[OibSaveInfo]", "Version=2.0.0.0", "MainFileName=Stream00000", "Storage00001=a.oif.files"]
    info += [f"Stream{k:05}={name}" for k, name in enumerate(files)]
    streams = {"OibInfo.txt": "\r\n".join([*info, ""]).encode("utf-16")}
    streams |= {f"Stream{k:05}": content for k, content in enumerate(files.values())}
    path.write_bytes(_compound_file(streams))
    return path


def _compound_file(streams: Mapping[str, bytes]) -> bytes:
    """Return a compound file of sectors of 512 bytes; streams below 4096 bytes lie in the mini stream."""
    fat: list[int] = []
    body, mini, mini_fat = bytearray(), bytearray(), list[int]()

    def placed(content: bytes, chain: list[int], into: bytearray, sector: int) -> int:
        n = -(-len(content) // sector)
        start = len(chain)
        chain += [start + k + 1 for k in range(n - 1)] + [_END] * bool(n)
        into += content.ljust(n * sector, b"\0")
        return start if n else _END

    def entry(name: str, kind: int, right: int, child: int, start: int, size: int) -> bytes:
        text = (name + "\0").encode("utf-16-le")
        links = (_NONE, right, child)
        return struct.pack("<64sHBB3I16sIQQIQ", text, len(text), kind, 1, *links, b"", 0, 0, 0, start, size)

    directory = b""
    for k, (name, content) in enumerate(streams.items(), start=1):
        start = placed(content, *((mini_fat, mini, 64) if len(content) < 4096 else (fat, body, 512)))
        # Each is the right neighbour of the one before it.
        directory += entry(name, 2, k + 1 if k < len(streams) else _NONE, _NONE, start, len(content))
    directory = entry("Root Entry", 5, _NONE, 1, placed(bytes(mini), fat, body, 512), len(mini)) + directory
    at_directory = placed(directory, fat, body, 512)
    n_mini = -(-len(mini_fat) // 128)
    mini_fat += [_NONE] * (128 * n_mini - len(mini_fat))
    at_mini = placed(struct.pack(f"<{128 * n_mini}I", *mini_fat), fat, body, 512)
    n_fat = 1
    while 128 * n_fat < len(fat) + n_fat:
        n_fat += 1
    places = range(len(fat), len(fat) + n_fat)
    fat += [_FAT] * n_fat
    body += struct.pack(f"<{128 * n_fat}I", *fat, *[_NONE] * (128 * n_fat - len(fat)))
    header = struct.pack("<8s16s6H", bytes.fromhex("d0cf11e0a1b11ae1"), b"", 0x3E, 3, 0xFFFE, 9, 6, 0)
    header += struct.pack("<10I", 0, 0, n_fat, at_directory, 0, 4096, at_mini, n_mini, _END, 0)
    return header + struct.pack("<109I", *places, *[_NONE] * (109 - n_fat)) + bytes(body)


def pylib_czi() -> Any:
    """Return pylibCZIrw's module, which alone writes CZI files."""
    return pytest.importorskip("pylibCZIrw.czi", reason="there is no pylibCZIrw for this Python or machine")


def write_czi(
    path: Path, scenes: Mapping[int, np.ndarray], names: Sequence[str] = (), packed: str | None = None
) -> Path:
    """Write a CZI file by pylibCZIrw: scenes ``(C, Y, X)`` or ``(1, Y, X, 3)`` side by side, of 0.25 micrometres."""
    czi = pylib_czi()
    with czi.create_czi(str(path), compression_options=packed) as writer:
        left = 0
        for scene, values in scenes.items():
            for channel, plane in enumerate(values):
                pixels = plane[..., ::-1].copy() if plane.ndim == 3 else plane[..., None]
                writer.write(pixels, plane={"C": channel}, scene=scene, location=(left, 0))
            left += values.shape[2] + 50
        writer.write_metadata(
            "test", channel_names=dict(enumerate(names)), scale_x=0.25e-6, scale_y=0.25e-6, scale_z=1e-6
        )
    return path


def write_nd2(
    path: Path,
    values: np.ndarray,
    names: Sequence[str] = (),
    absent: Sequence[int] = (),
    compression: int = 2,
    pack: Callable[[bytes], bytes] = bytes,
    pack_about: Callable[[bytes], bytes] = bytes,
) -> Path:
    """Write an ND2 file of version 3: positions ``(P, T, Y, X, C)`` of these names, without the frames `absent`.

    It says that it is packed by `compression` (0 lossless, 1 lossy, 2 none), and each frame is what `pack` makes of it,
    and so are its metadata of `pack_about`.
    """
    n_positions, n_times, height, width, n_channels = values.shape
    points = {f"i{k:010}": {"dPosX": 10.0 * k, "dPosName": name} for k, name in enumerate(names)}
    times = {"uiCount": n_times, "dStart": 0.0, "dPeriod": 500.0, "dDuration": 0.0}
    probe = {"pFluorescentProbe": {"m_sName": "probe"}}
    planes = {f"a{k}": {"uiCompCount": 1, "sDescription": f"Dye{k}", **probe} for k in range(n_channels)}
    about = {
        "ImageAttributesLV!": {
            "SLxImageAttributes": {
                **{"uiWidth": width, "uiWidthBytes": width * n_channels * values.itemsize, "uiHeight": height},
                **{"uiComp": n_channels, "uiBpcInMemory": 8 * values.itemsize, "uiBpcSignificant": 12},
                **{"uiSequenceCount": n_positions * n_times, "eCompression": compression},
            }
        },
        "ImageMetadataSeqLV|0!": {
            "SLxPictureMetadata": {
                "sPicturePlanes": {"uiCount": n_channels, "uiCompCount": n_channels, "sPlaneNew": planes},
                **{"dCalibration": 0.25, "dAspect": 1.0, "bCalibrated": True},
            }
        },
        "ImageMetadataLV!": {
            "SLxExperiment": {
                **{"eType": 2, "uLoopPars": {"uiCount": n_positions, "Points": points}},
                "ppNextLevelEx": {"i0000000000": {"eType": 1, "uLoopPars": times}},
            }
        },
    }
    places = []
    with path.open("wb") as file:

        def chunk(name: bytes, content: bytes, reserved: int = 4080) -> int:
            start = file.tell()
            file.write(struct.pack("<IIQ", _MAGIC, reserved, len(content)) + name.ljust(reserved, b"\0") + content)
            return start

        chunk(b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver3.0".ljust(64, b"\0"), 32)
        for name, entries in about.items():
            content = pack_about(b"".join(_lite(key, value) for key, value in entries.items()))
            places.append((name.encode(), chunk(name.encode(), content), len(content)))
        for k, frame in enumerate(values.reshape(-1, height, width, n_channels)):
            if k not in absent:
                name = f"ImageDataSeq|{k}!".encode()
                # Each frame begins with its time.
                content = bytes(8) + pack(frame.tobytes())
                places.append((name, chunk(name, content, 4072), len(content)))
        start = file.tell()
        index = b"".join(name + struct.pack("<QQ", place, size) for name, place, size in places)
        chunk(
            b"ND2 FILEMAP SIGNATURE NAME 0001!", index + b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", start)
        )
    return path


def write_old_nd2(path: Path, planes: Sequence[np.ndarray]) -> Path:
    """Write slices (Y, X) as an ND2 file of version 2: JPEG 2000 in boxes; of the size of the first, as it says."""
    height, width = planes[0].shape
    header = struct.pack(">I4siihBB", 22, b"ihdr", height, width, 1, 8 * planes[0].itemsize - 1, 7)
    number = '<{} runtype="lx_uint32" value="{}"/>'.format
    numbers = "".join(number(k, v) for k, v in (("Count", len(planes)), ("ZHome", 0), ("ZStep", 2), ("ZLow", 0)))
    loops = (
        f"<LoopNo00>{number('Type', 4)}<LoopPars>{numbers}{number('ZHigh', 9)}</LoopPars></LoopNo00>"
        f"<LoopNo01>{number('Type', 6)}<LoopPars>{number('Count', 1)}</LoopPars></LoopNo01>"
    )
    boxes = [(b"jP  ", b"\r\n\x87\n"), (b"ftyp", b"jp2 "), (b"jp2h", header), (b"AIM1", f"<e>{loops}</e>".encode())]
    for plane in planes:
        boxes += [(b"VCAL", b"<a/>"), (b"LUNK", imagecodecs.jpeg2k_encode(plane, reversible=True, codecformat="j2k"))]
    places = []
    with path.open("wb") as file:
        for name, content in boxes:
            places.append((name, file.tell()))
            file.write(struct.pack(">I4s", len(content) + 8, name) + content)
        start = file.tell()
        file.write(len(places).to_bytes(4, "big"))
        file.write(b"".join(struct.pack("<4s4sI", name, name, place) + bytes(4) for name, place in places))
        file.write(struct.pack("<32sQ", b"LABORATORY IMAGING ND BOX MAP 00", file.tell() + 40 - start))
    return path


def _lite(name: str, value: Any) -> bytes:
    """Encode an entry of ND2's metadata."""
    kind = {bool: 1, int: 3, float: 6, str: 8, dict: 11}[type(value)]
    head = bytes([kind, len(name) + 1]) + f"{name}\0".encode("utf-16-le")
    if kind == 11:
        inner = b"".join(_lite(key, one) for key, one in value.items())
        return head + struct.pack("<IQ", len(value), len(head) + 12 + len(inner)) + inner + bytes(8 * len(value))
    return (
        head
        + {
            1: lambda: bytes([value]),
            3: lambda: struct.pack("<I", value),
            6: lambda: struct.pack("<d", value),
            8: lambda: f"{value}\0".encode("utf-16-le"),
        }[kind]()
    )
