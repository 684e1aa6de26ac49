"""Files and folders become a list of images with names that a table can show."""

from __future__ import annotations

import json
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.imaging import ImageError, find_images
from napari_cellseg.imaging.read.finding import named_apart, natural_key


@pytest.fixture
def folder(tmp_path):
    for name in ("a10.png", "a2.PNG", "A1.tif", "b/c.tiff", "b/d/e.npz", ".hidden.png", ".git/f.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in ("notes.txt", "a2_labels.tif", "counts.csv", "b/c_Labels.TIF"):
        (tmp_path / name).touch()
    return tmp_path


def names(*args, **kwargs):
    return [name for _, name in find_images(*args, **kwargs)]


def test_a_folder_in_natural_order_without_our_own_outputs(folder):
    assert names([folder]) == ["A1.tif", "a2.PNG", "a10.png"]
    assert names(folder, recursive=True) == ["A1.tif", "a2.PNG", "a10.png", "b/c.tiff", "b/d/e.npz"]


def test_names_lead_to_paths(folder):
    assert all(path == folder / name and path.exists() for path, name in find_images(folder, recursive=True))


def test_patterns(folder):
    assert names(folder, pattern="*.png") == ["a2.PNG", "a10.png"]
    assert names(folder, pattern="b/*", recursive=True) == ["b/c.tiff", "b/d/e.npz"]
    assert names([str(folder / "*.png")]) == ["a10.png"]
    with pytest.raises(ImageError, match=r"\*\.bmp"):
        find_images(folder, pattern="*.bmp")


def test_files_keep_their_order_and_come_once(folder):
    given_files = [folder / "a10.png", folder / "A1.tif", folder / "b" / ".." / "a10.png", folder]
    assert names(given_files) == ["a10.png", "A1.tif", "a2.PNG"]


def test_a_file_named_by_hand_is_taken_whatever_it_is(folder):
    assert names([folder / "a2_labels.tif", folder / "notes.txt"]) == ["a2_labels.tif", "notes.txt"]


def test_names_with_magic_characters_are_names_first(tmp_path):
    (tmp_path / "a[1].png").touch()
    assert names([tmp_path / "a[1].png"]) == ["a[1].png"]


def test_a_missing_image_is_kept_so_that_the_others_are_done(folder):
    assert names([folder / "gone.png", folder / "A1.tif"]) == ["gone.png", "A1.tif"]


def test_what_cannot_be_found_is_an_error(folder, tmp_path):
    assert find_images([folder / "no folder"]) == [(folder / "no folder", "no folder")]
    with pytest.raises(ImageError, match="empty name"):
        find_images([""])
    (folder / "empty").mkdir()
    with pytest.raises(ImageError, match=r"No image was found.*\.tif"):
        find_images([folder / "empty"])
    with pytest.raises(ImageError, match="nothing"):
        find_images([])


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_to_itself_does_not_hang(folder):
    os.symlink(folder, folder / "b" / "loop")
    assert len(names(folder, recursive=True)) == 5


@given(st.lists(st.text(max_size=6), max_size=6))
def test_natural_order_is_an_order_for_any_names(texts):
    assert len(sorted(texts, key=natural_key)) == len(texts)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=6))
def test_numbers_sort_as_numbers(numbers):
    ordered = sorted((f"image {n}.tif" for n in numbers), key=natural_key)
    assert ordered == [f"image {n}.tif" for n in sorted(numbers)]


def test_pictures_of_results_are_no_images(tmp_path):
    for name in ("a.png", "a_labels.tif", "a_overlay.png", "b_overlay.png", "c_probability.tif"):
        (tmp_path / name).touch()
    # Without a folder of results or labels beside it, a name may be the person's own.
    assert names(tmp_path) == ["a.png", "b_overlay.png", "c_probability.tif"]
    for name in (
        "out/.cellseg/x.png",
        "out/in/b_overlay.png",
        "out/in/c_probability.tif",
        "out/own.png",
        "z_overlay.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert names(tmp_path, recursive=True)[-2:] == ["out/own.png", "z_overlay.png"]
    assert not [name for name in names(tmp_path, recursive=True) if name.startswith("out/in")]


def test_images_of_equal_names_are_named_apart(tmp_path, monkeypatch):
    for name in ("p1/A.png", "p2/A.png", "p2/B.png", "x/p1/A.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path / "p1")
    found = find_images(["A.png", "../p2"])
    assert [name for _, name in named_apart(found)] == ["p1/A.png", "p2/A.png", "B.png"]
    deep = [name for _, name in named_apart(find_images(["../p1/A.png", "../x/p1/A.png"]))]
    assert deep == [(tmp_path / name).as_posix().lstrip("/") for name in ("p1/A.png", "x/p1/A.png")]
    assert named_apart(found[1:]) == found[1:]
    (tmp_path / "p2" / "p1").mkdir()
    (tmp_path / "p2" / "p1" / "A.png").touch()
    inner = named_apart(find_images(["../x", "../p2"], recursive=True))
    assert [name for _, name in inner] == ["x/p1/A.png", "A.png", "B.png", "p2/p1/A.png"]


@pytest.mark.parametrize("version", [2, 3])
def test_images_of_a_plate_keep_row_and_column(tmp_path, version):
    def group(folder, **attributes):
        folder.mkdir(parents=True, exist_ok=True)
        if version == 2:
            (folder / ".zgroup").write_text('{"zarr_format": 2}')
            (folder / ".zattrs").write_text(json.dumps(attributes))
        else:
            about = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": attributes}}
            (folder / "zarr.json").write_text(json.dumps(about))

    for name in ("p1", "p2"):
        plate = tmp_path / "in" / f"{name}.ome.zarr"
        group(plate, plate={"wells": [{"path": "A/1"}, {"path": "B/1"}]})
        for row in "AB":
            group(plate / row)
            group(plate / row / "1", well={"images": [{"path": "0"}, {"path": "1"}]})
            for field in "01":
                group(plate / row / "1" / field, multiscales=[{}])
    one = tmp_path / "in" / "p1.ome.zarr"
    names = [f"p1/{row}/1/{field}" for row in "AB" for field in "01"]
    paths = [one / row / "1" / field for row in "AB" for field in "01"]
    assert find_images(one) == list(zip(paths, names, strict=True))
    # The same names one by one, in one run or in several.
    assert find_images(paths) == find_images(one)
    assert [find_images(path)[0][1] for path in paths] == names
    both = [name for _, name in named_apart(find_images(tmp_path / "in"))]
    assert both == [*names, *(name.replace("p1", "p2") for name in names)]
