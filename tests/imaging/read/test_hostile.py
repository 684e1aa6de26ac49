"""Hostile files are refused in words, and before they have taken the memory that they speak of."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import tifffile
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec

from napari_cellseg.imaging import ImageError, memory, read_image
from napari_cellseg.imaging.memory import check_room, free_bytes

from .hostile_files import MEGABYTE, ROOM, write_hostile, write_hostile_microscopes

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the memory limit is Linux's")


def test_nothing_takes_the_memory_that_it_speaks_of(tmp_path):
    folder = tmp_path / "hostile"
    folder.mkdir()
    words = write_hostile(folder) | write_hostile_microscopes(folder)
    child = [sys.executable, "-m", "tests.imaging.read.hostile_files", str(folder)]
    done = subprocess.run(child, capture_output=True, text=True, timeout=200, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["name"] for line in lines] == sorted(words)
    for line in lines:
        if words[line["name"]]:
            assert (
                line["kind"] in ("ImageError", "MemoryTooSmallError")
                and line["name"].removesuffix(".xlef") in line["said"]
            ), line
            assert re.search(words[line["name"]], line["said"]), line
        assert line["taken_kb"] * 1024 < ROOM / 2, line


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="pipe"):
        read_image(tmp_path / "pipe.png")


def test_a_piece_is_a_regular_file(tmp_path):
    for name in ("pipe", "device"):
        zarr.create_array(tmp_path / name, data=np.ones((8, 9), "u1"), zarr_format=2)
        (tmp_path / name / "0.0").unlink()
    os.mkfifo(tmp_path / "pipe" / "0.0")
    (tmp_path / "device" / "0.0").symlink_to("/dev/zero")
    for name in ("pipe", "device"):
        with pytest.raises(ImageError, match="is no file"):
            read_image(tmp_path / name)


PACKERS = [numcodecs.Zlib(), numcodecs.GZip(), numcodecs.BZ2(), numcodecs.LZMA(), numcodecs.Zstd(), numcodecs.LZ4()]
PACKERS += [numcodecs.Blosc(), numcodecs.Blosc("zstd"), None]
NEW_PACKERS = [(), GzipCodec(), ZstdCodec(), BloscCodec(), Crc32cCodec()]


def test_every_codec_that_is_bounded_gives_its_values_back(tmp_path):
    array = np.random.default_rng(0).integers(0, 9, (70, 90)).astype("u2")
    filters = [[numcodecs.Delta("u2")], [numcodecs.Shuffle(2)], [numcodecs.FixedScaleOffset(0, 1, "u2", "f8")]]
    ways = [{"zarr_format": 2, "compressors": one} for one in PACKERS]
    ways += [{"zarr_format": 2, "compressors": numcodecs.Zstd(), "filters": one} for one in filters]
    ways += [{"compressors": one, "shards": shards} for one in NEW_PACKERS for shards in (None, (64, 64))]
    ways += [{"filters": TransposeCodec(order=(1, 0))}]
    for i, how in enumerate(ways):
        zarr.create_array(tmp_path / f"{i}.zarr", data=array, chunks=(32, 32), **how)
        np.testing.assert_array_equal(read_image(tmp_path / f"{i}.zarr").data, array, err_msg=str(how))


def test_packed_files_of_full_size_are_read(tmp_path):
    """What is looked into for swelling is well-behaved here, and in pieces larger than the harmless size."""
    array = np.random.default_rng(0).integers(0, 9, (1500, 1400)).astype(np.uint8)
    for compression in ("zlib", "lzma", "packbits"):
        tifffile.imwrite(tmp_path / "a.tif", array, compression=compression, rowsperstrip=1500)
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, array)
    zarr.create_array(tmp_path / "a.zarr", data=array, zarr_format=2, chunks=array.shape, compressors={"id": "gzip"})
    np.testing.assert_array_equal(read_image(tmp_path / "a.zarr").data, array)


def test_what_fits_is_not_asked(monkeypatch):
    check_room(MEGABYTE, "a.tif")
    check_room(free_bytes() // 2, "a.tif")
    with pytest.raises(ImageError, match=r"a\.tif does not fit into memory: it announces 7 x 8 values, .* GB"):
        check_room(10**15, "a.tif", (7, 8))
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: type("", (), {"available": 10 * MEGABYTE}))
    with pytest.raises(ImageError, match=r"20\.0 MB, and 10\.5 MB are free"):
        check_room(20_000_000, "a.tif")


def test_a_container_counts_without_its_file_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("4000\n")
    (tmp_path / "memory.stat").write_text("anon 2000\nactive_file 700\ninactive_file 300\n")
    assert free_bytes() == 2000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_bytes() > MEGABYTE
