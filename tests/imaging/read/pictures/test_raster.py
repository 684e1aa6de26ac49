"""Pictures: PNG of 16 bits per colour keep all their bits, with every row filter."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from napari_cellseg.imaging import DatasetError, ImageError, read_image
from napari_cellseg.imaging.read.pictures.raster import decode_bytes
from napari_cellseg.training.data.loading import iter_load

COLOURS = {2: 4, 3: 2, 4: 6}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def filtered(array: np.ndarray, filters: list[int]) -> bytes:
    """Apply the filters of the PNG specification, pixel by pixel, as its text says."""
    height, width, samples = array.shape
    raw = array.astype(">u2").view(np.uint8).reshape(height, width, 2 * samples).astype(int)
    padded = np.pad(raw, ((1, 0), (1, 0), (0, 0)))
    out = b""
    for y, kind in enumerate(filters, start=1):
        line = bytes([kind])
        for x in range(1, width + 1):
            left, up, corner = padded[y, x - 1], padded[y - 1, x], padded[y - 1, x - 1]
            distances = np.abs(np.stack([left, up, corner]) - (left + up - corner))
            paeth = np.choose(distances.argmin(axis=0), [left, up, corner])
            guess = [0 * left, left, up, (left + up) // 2, paeth][kind]
            line += ((padded[y, x] - guess) % 256).astype(np.uint8).tobytes()
        out += line
    return out


def png(array: np.ndarray, filters: list[int], interlace: int = 0) -> bytes:
    height, width, samples = array.shape
    header = struct.pack(">IIBBBBB", width, height, 16, COLOURS[samples], 0, 0, interlace)
    packed = zlib.compress(filtered(array, filters))
    half = len(packed) // 2
    parts = [(b"IHDR", header), (b"IDAT", packed[:half]), (b"IDAT", packed[half:]), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in parts)


@given(st.integers(1, 9), st.sampled_from([2, 3, 4]), st.lists(st.integers(0, 4), min_size=1, max_size=8), st.data())
def test_every_filter_is_undone(width, samples, filters, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    top = data.draw(st.sampled_from([2, 300, 65536]))
    array = rng.integers(0, top, (len(filters), width, samples)).astype(np.uint16)
    expected = array[..., 0] if samples == 2 else array
    np.testing.assert_array_equal(decode_bytes(png(array, filters)), expected)


@pytest.mark.parametrize("samples", [2, 3, 4])
def test_all_bits_reach_the_plane(tmp_path, samples):
    array = np.random.default_rng(0).integers(0, 65536, (6, 7, samples)).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(png(array, [0, 1, 2, 3, 4, 0]))
    image = read_image(tmp_path / "a.png")
    assert image.data.dtype == np.uint16 and image.rgb == (samples > 2)
    np.testing.assert_array_equal(image.plane(), array[..., 0] if samples == 2 else array[..., :3])


def test_damage_is_named(tmp_path):
    array = np.ones((6, 7, 3), np.uint16)
    good = png(array, [0] * 6)
    wrong = bytearray(good)
    wrong[50] ^= 1
    taller = bytearray(good)
    taller[16:20] = struct.pack(">I", 60)
    taller[29:33] = struct.pack(">I", zlib.crc32(taller[12:29]))
    contents = [(bytes(wrong), "CRC"), (bytes(taller), "Not enough"), (good[:60], "cannot be read")]
    contents += [(png(array, [0] * 6, interlace=1), "interlac"), (good[: good.index(b"IEND") - 8], "cannot be read")]
    for content, word in contents:
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(ImageError, match=word):
            read_image(tmp_path / "a.png")


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n%%EOF\n"
FOREIGN = ("GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "PCX", "TGA", "SGI", "ICO", "ICNS", "DDS")


def written(kind: str, **how: object) -> bytes:
    side = 64 if kind == "ICNS" else 9
    with io.BytesIO() as buffer:
        PillowImage.fromarray(np.arange(3 * side * side, dtype=np.uint8).reshape(side, side, 3)).save(
            buffer, kind, **how
        )
        return buffer.getvalue()


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_no_other_format_passes_under_these_names(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    for kind in FOREIGN:
        if kind == "TIFF":
            continue
        path.write_bytes(written(kind))
        with pytest.raises(ImageError, match="known format"):
            read_image(path)


@pytest.mark.parametrize("content", [POSTSCRIPT, *map(written, FOREIGN)], ids=["EPS", *FOREIGN])
def test_none_passes_inside_a_zip_and_no_program_is_started(tmp_path, monkeypatch, content):
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "a.png").write_bytes(POSTSCRIPT)
    with pytest.raises(ImageError, match="known format"):
        read_image(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("aa/images/aa.png", content)
        archive.writestr("aa/masks/1.png", written("PNG"))
    with pytest.raises(DatasetError, match="cannot be read"):
        list(iter_load(tmp_path / "set.zip"))
    assert not (tmp_path / "started").exists()


def test_pictures_of_one_size_in_a_jpeg_are_several_images(tmp_path):
    image = PillowImage.fromarray(np.arange(81, dtype=np.uint8).reshape(9, 9))
    image.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[image])
    with pytest.raises(ImageError, match="2 pictures"):
        read_image(tmp_path / "a.jpg")
    # The preview of a camera is no image of its own.
    image.save(tmp_path / "b.jpg", "MPO", save_all=True, append_images=[image.resize((3, 3))])
    assert read_image(tmp_path / "b.jpg").shape_yx == (9, 9)


def test_a_deep_png_has_the_limit_of_others(tmp_path, monkeypatch):
    monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", 41)
    (tmp_path / "a.png").write_bytes(png(np.ones((6, 7, 3), np.uint16), [4] * 6))
    with pytest.raises(ImageError, match="too large for its format"):
        read_image(tmp_path / "a.png")
