"""JSON files are read as their standard has them, and their values are what a dataclass says they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from napari_cellseg.imaging.errors import CellsegError, ImageError
from napari_cellseg.imaging.read.values.json_file import read_json, read_values
from napari_cellseg.imaging.read.values.json_types import check_types, is_inside, is_text, parse_json
from tests.attacks.state import DEEP


@dataclass
class Kinds:
    """One field of each kind that state files have."""

    text: str
    number: float
    whole: int | None
    choice: Literal["a", "b"]
    pair: tuple[int, int]
    names: tuple[str, ...]
    files: Mapping[str, str]
    any: Any = None


GOOD: dict[str, Any] = {
    "text": "é", "number": 1, "whole": None, "choice": "a", "pair": [1, 2], "names": [], "files": {"a": "b"},
}  # fmt: skip


@pytest.mark.parametrize("text", [DEEP, "NaN", "[-Infinity]", "1e999", "9" * 5000, "", "{", b"\xff", '{"a": 1} x'])
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_values_of_their_types_are_taken() -> None:
    check_types(Kinds, GOOD | {"other": object()})
    check_types(Kinds, {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", 1), ("text", "\0"), ("text", "\ud800"), ("number", "1"), ("number", True), ("number", float("nan")),
        ("number", 1e30), ("whole", 1.0), ("whole", False), ("choice", "c"), ("choice", []), ("pair", [1]),
        ("pair", [1, "2"]), ("names", "ab"), ("names", [1]), ("files", []), ("files", {"a": 1}),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        check_types(Kinds, GOOD | {name: value})


def test_paths_that_lead_out_are_found() -> None:
    assert all(map(is_inside, ("a", "a/b.tif", ".cellseg/a.csv", "a..b", "a b")))
    assert not any(map(is_inside, ("", "/a", "../a", "a/../../b", "\\a", "a\\..\\..\\b", "a\0", 5, None)))
    assert is_text(os.fsdecode(b"\xff.tif")) == (sys.platform != "win32")


@pytest.mark.skipif(sys.platform == "win32", reason="fifos are of POSIX")
def test_only_regular_files_of_some_size_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("fifo", "zero"):
        with pytest.raises(ImageError, match=r"no regular file.*Do this"):
            read_values(tmp_path / name, ImageError, "Do this.")
    (tmp_path / "large").write_text('{"a": "' + "x" * 2_000_000 + '"}')
    with pytest.raises(ValueError, match="more than 1 MB"):
        read_json(tmp_path / "large", 1 << 20)
    with pytest.raises(CellsegError, match="nested too deeply"):
        (tmp_path / "deep").write_text(DEEP)
        read_values(tmp_path / "deep")
