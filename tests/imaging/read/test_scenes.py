"""Several images in one file: how they are called, chosen and found again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_cellseg.imaging import ImageError, find_images, read_image
from napari_cellseg.imaging.errors import SeveralImagesError
from napari_cellseg.imaging.read.finding import named_apart
from napari_cellseg.imaging.read.scenes import file_of, is_same_image, name_of, scene_keys

from .microscopes.vendor_files import write_lif

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 4096, (3, 20, 31)).astype(np.uint16)


def write_ome(path: Path, *names: str) -> Path:
    with tifffile.TiffWriter(path, ome=True) as writer:
        for i, name in enumerate(names):
            size = {"PhysicalSizeX": i + 1, "PhysicalSizeY": i + 1}
            writer.write(IMAGES[i], photometric="minisblack", metadata={"Name": name, "axes": "YX", **size})
    return path


def lif(path: Path, *names: str) -> Path:
    return write_lif(path, [(name, "YX", IMAGES[i]) for i, name in enumerate(names)])


def listed(*args, **kwargs) -> list[str]:
    return [name for _, name in find_images(*args, **kwargs)]


def test_names_become_parts_of_file_names_that_differ():
    names = ["A 1", "a_1", "", "Project/Series 003.b", "..", "Zelle µ", "A_1"]
    keys = scene_keys(names)
    assert keys == ["A_1", "a_1_2", "2", "Project_Series_003_b", "4", "Zelle_µ", "A_1_3"]
    assert len({key.casefold() for key in keys}) == len(keys)


def test_an_address_is_that_of_its_file_with_the_scene_behind_it(tmp_path):
    path = lif(tmp_path / "exp.v2.lif", "S1", "S2")
    assert (file_of(path / "S2"), file_of(path), file_of(tmp_path / "no")) == (path, path, tmp_path / "no")
    assert (name_of(path / "S2"), name_of(path)) == ("exp_v2_S2", "exp.v2.lif")
    (tmp_path / "link").symlink_to(tmp_path)
    assert is_same_image(path / "S2", tmp_path / "link" / path.name / "S2")
    assert not is_same_image(path / "S2", path / "S1")
    assert not is_same_image(path / "S2", path)
    with pytest.raises(OSError):
        is_same_image(path / "S2", tmp_path / "no")


def test_images_of_an_ome_tiff_are_read_with_their_own_metadata(tmp_path):
    path = write_ome(tmp_path / "a.ome.tif", "one", "two", "three")
    assert listed(tmp_path) == ["a_one", "a_two", "a_three"]
    for i, (one, name) in enumerate(find_images(path)):
        image = read_image(one)
        np.testing.assert_array_equal(image.plane(), IMAGES[i])
        assert (image.name, image.source, image.pixel_size) == (name, str(one), (i + 1, i + 1))


def test_a_large_image_of_an_ome_tiff_stays_in_its_file(tmp_path, monkeypatch):
    from napari_cellseg.imaging.read import read

    monkeypatch.setattr(read, "LAZY_BYTES", 1)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        for image in IMAGES:
            writer.write(image, photometric="minisblack", compression="zlib")
    image = read_image(tmp_path / "a.ome.tif" / "2")
    assert not isinstance(image.data, np.ndarray)
    np.testing.assert_array_equal(image.plane(), IMAGES[2])


def test_a_file_of_several_images_names_them_when_none_is_chosen(tmp_path):
    path = lif(tmp_path / "a.lif", "S1", "S2", "S3")
    with pytest.raises(SeveralImagesError, match=r"a\.lif holds 3 images \(S1, S2, S3\).*--scenes"):
        read_image(path)
    with pytest.raises(ImageError, match=r"a\.lif holds no image S4; it has S1, S2, S3"):
        read_image(path / "S4")
    assert read_image(path / "2").source == str(path / "S3")
    one = lif(tmp_path / "b.lif", "S1")
    assert (read_image(one).name, read_image(one / "0").source) == ("b.lif", str(one))
    tifffile.imwrite(tmp_path / "c.tif", IMAGES[0])
    np.save(tmp_path / "d.npy", IMAGES[0])
    (tmp_path / "e.scope").write_bytes(b"something")
    for name in ("c.tif", "d.npy", "e.scope"):
        with pytest.raises(ImageError, match=rf"{name} holds no image S1; it has 0, counted from 0"):
            read_image(tmp_path / name / "S1")


@pytest.mark.parametrize(
    "scenes, expected",
    [
        (None, ["a_S1", "a_3", "a_x_y", "b.lif", "c.tif"]),
        ("all", ["a_S1", "a_3", "a_x_y", "b.lif", "c_0", "c_1"]),
        ("0", ["a_S1", "b.lif", "c_0"]),
        # A number is a place, whatever the images are called.
        ("1", ["a_3", "c_1"]),
        ("0, x y", ["a_S1", "a_x_y", "b.lif", "c_0"]),
        ("s1,X_Y", ["a_S1", "a_x_y", "b.lif"]),
    ],
)
def test_scenes_are_chosen_by_number_or_name(tmp_path, scenes, expected):
    lif(tmp_path / "a.lif", "S1", "3", "x y")
    lif(tmp_path / "b.lif", "S1")
    with tifffile.TiffWriter(tmp_path / "c.tif") as writer:
        writer.write(IMAGES[0], metadata=None)
        writer.write(IMAGES[1][:15], metadata=None)
    reports: list[str] = []
    assert listed(tmp_path, scenes=scenes, report=reports.append) == expected
    assert len(reports) == 3 - len({name[0] for name in expected})
    assert all("is skipped: it has no scene" in report for report in reports)


def test_a_choice_that_no_file_has_is_refused(tmp_path):
    lif(tmp_path / "a.lif", "S1", "S2")
    with pytest.raises(ImageError, match="No image has a scene 7"):
        find_images(tmp_path, scenes="7")


def test_scenes_of_equal_names_in_several_places_are_told_apart(tmp_path):
    for name in ("p1/a.lif", "p2/a.lif", "p2/deep/a.lif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        lif(tmp_path / name, "S1", "S2")
    named = named_apart(find_images([tmp_path / "p1", tmp_path / "p2"], recursive=True))
    names = [name for _, name in named]
    assert names == ["p1/a_S1", "p1/a_S2", "p2/a_S1", "p2/a_S2", "deep/a_S1", "deep/a_S2"]
    assert find_images([tmp_path / "p1", tmp_path / "p1" / "a.lif"]) == find_images(tmp_path / "p1")
    assert listed([tmp_path / "p1" / "a.lif" / "S2"]) == ["a_S2"]


def test_a_file_that_cannot_be_opened_is_kept_for_its_error(tmp_path):
    (tmp_path / "a.lif").write_bytes(b"no LIF at all")
    assert listed(tmp_path, scenes="0,1") == ["a.lif"]


def test_files_of_other_kinds_are_counted(tmp_path):
    (tmp_path / "out" / ".cellseg").mkdir(parents=True)
    lif(tmp_path / "a.lif", "S1")
    for name in ("1.abc", "2.abc", "3.txt", "README", ".hidden", "out/counts.csv", "x.companion.ome", "a_labels.tif"):
        (tmp_path / name).write_bytes(b"x")
    reports: list[str] = []
    assert listed(tmp_path, recursive=True, report=reports.append) == ["a.lif"]
    assert reports == ["4 files of other kinds were left out (.abc 2, no suffix 1, .txt 1)."]
    reports.clear()
    find_images(tmp_path, "*.lif", report=reports.append)
    assert not reports
    os.remove(tmp_path / "a.lif")
    with pytest.raises(ImageError, match=r"No image was found in .* \(4 files of other kinds were left out"):
        find_images(tmp_path)
