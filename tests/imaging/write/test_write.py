"""What is written reads back the same; what cannot be written leaves the old file as it was."""

from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as PillowImage

from napari_cellseg.imaging import (
    ImageError,
    OutputError,
    atomic_path,
    read_image,
    read_labels,
    read_metadata,
    write_json,
    write_labels,
    write_table,
)
from napari_cellseg.imaging.write.csv_style import unguarded

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
LABELS = np.arange(12, dtype=np.int32).reshape(3, 4)


@in_one_folder
@given(hnp.arrays(np.int32, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.integers(0, 2**31 - 1)))
def test_labels_come_back(tmp_path, labels):
    write_labels(tmp_path / "a.tif", labels)
    back = read_labels(tmp_path / "a.tif")
    np.testing.assert_array_equal(back, labels)
    assert back.dtype == (np.uint16 if labels.max() <= 65535 else np.int32)


@pytest.mark.parametrize(
    "labels, stored",
    [
        (LABELS, "u2"),
        (LABELS > 3, "u2"),
        (LABELS + 65530, "u4"),
        (LABELS.astype(np.int64) + 2**32 - 12, "u4"),
        (np.asfortranarray(LABELS.astype(np.uint8)), "u2"),
        (LABELS.astype(">i4"), "u2"),
    ],
)
def test_other_programs_read_the_labels(tmp_path, labels, stored):
    write_labels(tmp_path / "a.tif", labels, pixel_size=(0.25, 0.5), metadata={"a": 1})
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.series[0].dtype == np.dtype(stored) and tiff.series[0].axes == "YX"
        assert tiff.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), labels)
    if stored == "u2":
        np.testing.assert_array_equal(np.asarray(PillowImage.open(tmp_path / "a.tif")), labels)
    assert read_image(tmp_path / "a.tif").pixel_size == pytest.approx((0.25, 0.5))


def test_the_same_labels_give_the_same_bytes(tmp_path):
    for name in ("a.tif", "b.tif"):
        write_labels(tmp_path / name, LABELS, metadata={"model": "cells"}, pixel_size=(1, 1))
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_metadata_come_back(tmp_path):
    metadata = {"recipe": {"threshold": np.float32(0.5), "n": np.int64(3)}, "µ": ["é", None, (1, 2)], "shape": 3}
    write_labels(tmp_path / "a.tif", LABELS, metadata=metadata | {"path": Path("x"), "bad": np.nan})
    expected = {"recipe": {"threshold": 0.5, "n": 3}, "µ": ["é", None, [1, 2]], "shape": 3, "path": "x", "bad": None}
    assert read_metadata(tmp_path / "a.tif") == expected
    write_labels(tmp_path / "b.tif", LABELS)
    assert read_metadata(tmp_path / "b.tif") == {}


def test_metadata_of_other_files(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", LABELS)
    tifffile.imwrite(tmp_path / "b.tif", LABELS, description="[1, 2]", metadata=None)
    assert read_metadata(tmp_path / "a.tif") == read_metadata(tmp_path / "b.tif") == {}
    (tmp_path / "c.tif").write_text("cells")
    for name in ("c.tif", "gone.tif"):
        with pytest.raises(ImageError, match=name):
            read_metadata(tmp_path / name)


@pytest.mark.parametrize(
    "labels", [LABELS - 1, LABELS + 0.5, LABELS[None], LABELS[:0], LABELS.astype(np.int64) + 2**32]
)
def test_what_are_no_labels_is_not_written(tmp_path, labels):
    with pytest.raises(OutputError, match=r"a\.tif"):
        write_labels(tmp_path / "a.tif", labels)
    assert not list(tmp_path.iterdir())


def test_labels_stored_as_floats_are_read(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", LABELS.astype(np.float32))
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), LABELS)


@pytest.mark.parametrize(
    "array",
    [LABELS + np.float32(0.5), np.full((3, 4), np.nan, np.float32), LABELS - 1, LABELS.astype(np.uint32) + 2**31],
)
def test_what_are_no_labels_is_not_read(tmp_path, array):
    tifffile.imwrite(tmp_path / "a.tif", array)
    with pytest.raises(ImageError, match="not a label image"):
        read_labels(tmp_path / "a.tif")


def test_a_colour_picture_is_no_label_image(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (8, 9, 3)).astype(np.uint8)
    PillowImage.fromarray(picture).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="colour"):
        read_labels(tmp_path / "a.png")


@in_one_folder
@example(np.zeros(5), np.zeros(5, int), ["\t", "=1+1", "'=1+1", "''@x", "-1"])
@given(hnp.arrays(st.sampled_from(["f4", "f8"]), 5), hnp.arrays("i8", 5), st.lists(st.text(), min_size=5, max_size=5))
def test_tables_come_back(tmp_path, floats, integers, texts):
    write_table(tmp_path / "a.csv", {"x": floats, "n": integers, "name": texts})
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    back = np.array([float(row["x"] or "nan") for row in rows], floats.dtype)
    np.testing.assert_array_equal(back, floats)
    assert [int(row["n"]) for row in rows] == integers.tolist()
    assert [unguarded(row["name"]) for row in rows] == texts
    assert not any(row["name"].startswith(("=", "@", "\t", "\r")) for row in rows)


def test_tables_are_plain_text(tmp_path):
    columns = {"image": ["a,b.png", 'c"d', None], "count": [1, 2, 3], "mean": np.float32([0.1, np.nan, 1e-20])}
    write_table(tmp_path / "a.csv", columns)
    expected = b'image,count,mean\n"a,b.png",1,0.1\n"c""d",2,\n,3,1e-20\n'
    assert (tmp_path / "a.csv").read_bytes() == expected
    write_table(tmp_path / "b.csv", {"image": [], "count": np.array([], int)})
    assert (tmp_path / "b.csv").read_bytes() == b"image,count\n"
    write_table(tmp_path / "c.csv", {"mean": [1.5, None]})
    assert (tmp_path / "c.csv").read_bytes() == b'mean\n1.5\n""\n'


def test_file_names_that_are_no_text_are_written(tmp_path):
    write_table(tmp_path / "a.csv", {"image": [os.fsdecode(b"caf\xe9.png")]})
    assert "caf\\udce9.png" in (tmp_path / "a.csv").read_text("utf-8")


def test_columns_must_have_one_length(tmp_path):
    with pytest.raises(OutputError, match="'a': 1, 'b': 2"):
        write_table(tmp_path / "a.csv", {"a": [1], "b": [1, 2]})


def test_json(tmp_path):
    write_json(tmp_path / "a.json", {"b": np.arange(2), "a": {np.int64(1): float("inf")}, "s": {2, 1}, "é": True})
    text = (tmp_path / "a.json").read_text("utf-8")
    assert json.loads(text) == {"b": [0, 1], "a": {"1": None}, "s": [1, 2], "é": True}
    assert text.startswith('{\n  "b"') and text.endswith("}\n") and "é" in text
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", object())
    assert (tmp_path / "a.json").read_text("utf-8") == text


def test_folders_are_made(tmp_path):
    write_json(tmp_path / "a" / "b" / "c.json", 1)
    assert (tmp_path / "a" / "b" / "c.json").read_text() == "1\n"


def test_an_error_of_any_kind_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), atomic_path(path) as temporary:
            temporary.write_text("half")
            assert temporary.parent == tmp_path and temporary.suffix == ".txt"
            raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "code, word",
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EACCES, "not writable"),
        (errno.EROFS, "not writable"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
@pytest.mark.parametrize("where", ["fsync", "replace", "open"])
def test_refusals_of_the_system_are_explained(tmp_path, monkeypatch, code, word, where):
    path = tmp_path / "labels.tif"
    write_labels(path, LABELS)
    before = path.read_bytes()

    def refuse(*_, **__):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, where, refuse)
        with pytest.raises(OutputError, match=word) as caught:
            write_labels(path, LABELS + 1)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


FULL_DISK = """
import resource, signal, sys
import numpy as np
from napari_cellseg.imaging import OutputError, write_json, write_labels, write_table
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
noise = np.random.default_rng(0).integers(0, 60000, (200, 200))
for write in (
    lambda: write_labels(sys.argv[1], noise),
    lambda: write_table(sys.argv[1], {"n": noise.ravel()}),
    lambda: write_json(sys.argv[1], noise),
):
    try:
        write()
    except OutputError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file sizes on Windows")
def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.tif"
    write_labels(path, LABELS)
    before = path.read_bytes()
    child = subprocess.run(
        [sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True, timeout=120
    )
    assert child.stdout.count("the disk is full") == 3, child.stderr
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_or_folder_in_the_way(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(OutputError, match="not a folder"):
        write_json(tmp_path / "file" / "a.json", 1)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="it is a folder"):
        write_json(tmp_path / "folder", 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither modes nor links for everybody")
def test_modes_and_links_are_kept(tmp_path):
    umask = os.umask(0o027)
    try:
        write_json(tmp_path / "a.json", 1)
    finally:
        os.umask(umask)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o640
    (tmp_path / "a.json").chmod(0o604)
    os.symlink(tmp_path / "a.json", tmp_path / "link.json")
    write_json(tmp_path / "link.json", 2)
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "a.json").read_text() == "2\n"
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o604
