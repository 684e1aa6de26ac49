"""Projects of Leica in many files: each image has its values, and nothing leads out of the project's folder."""

from __future__ import annotations

import os

import numpy as np
import pytest

from napari_cellseg.imaging import ImageError, find_images, read_image
from napari_cellseg.imaging.read.read import source_stamp

from .vendor_files import write_lof, write_xlef

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 4096, (3, 20, 31)).astype(np.uint16)
GREY = (STACK >> 4).astype(np.uint8)
RGB = RNG.integers(0, 256, (20, 31, 3)).astype(np.uint8)
IMAGES = [
    ("of lof", "ZYX", STACK, ".lof"),
    ("of_tif", "CYX", STACK, ".tif"),
    ("of_ome", "ZYX", STACK, ".ome.tif"),
    ("of_png", "TYX", GREY, ".png"),
    ("of_bmp", "YX", GREY[0], ".bmp"),
    ("of_rgb", "YXS", RGB, ".png"),
]


@pytest.fixture
def project(tmp_path):
    return write_xlef(tmp_path / "exp.xlef", IMAGES)


def test_images_of_a_project_are_images_of_its_file(project):
    found = find_images(project)
    assert [name for _, name in found] == [
        *(f"exp_{name}" for name in ("of_lof", "of_tif", "of_ome")),
        *(f"exp_more_{name}" for name in ("of_png", "of_bmp", "of_rgb")),
    ]
    for (path, _), (_, axes, values, _) in zip(found, IMAGES, strict=True):
        image = read_image(path)
        assert image.axes == axes.replace("S", "C")
        np.testing.assert_array_equal(image.data, values)
    assert read_image(found[0][0]).pixel_size == pytest.approx((10 / 19, 10 / 30))
    assert read_image(found[1][0]).channel_names == ("Dye0", "Dye1", "Dye2")


def test_a_lof_file_is_one_image(tmp_path):
    write_lof(tmp_path / "a.lof", "ZYX", STACK)
    ((path, name),) = find_images(tmp_path)
    assert name == "a.lof"
    np.testing.assert_array_equal(read_image(path).data, STACK)


def test_parts_of_a_project_are_no_images_of_their_own(project, tmp_path):
    reports = []
    found = find_images(tmp_path, recursive=True, report=reports.append)
    assert {path.parent for path, _ in found} == {project} and len(found) == len(IMAGES)
    assert "exp/of lof.lof is skipped: it is a part of the project exp.xlef, and is read with it." in reports
    before = source_stamp(project)
    os.utime(tmp_path / "exp" / "of lof.lof", ns=(1, 2_000_000_000_000_000_000))
    assert source_stamp(project) != before
    missing = tmp_path / "none.xlef"
    assert find_images(missing) == [(missing, "none.xlef")]


def test_a_broken_image_of_a_project_costs_its_own_row(project, tmp_path):
    (tmp_path / "exp" / "of lof.lof").unlink()
    (tmp_path / "exp" / "Metadata" / "of_tif.xlif").write_text("<?xml nothing")
    (tmp_path / "exp" / "of_png_1.png").write_bytes(b"no picture")
    said = {}
    for path, name in find_images(project):
        try:
            read_image(path)
        except ImageError as error:
            said[name] = str(error)
    assert set(said) == {"exp_of_lof", "exp_of_tif", "exp_more_of_png"}
    assert "of lof.lof, which is missing" in said["exp_of_lof"]


@pytest.mark.parametrize("name", ["../../secret.xlif", "%2E%2E/secret.xlif", "/etc/hostname", "..\\secret.xlif"])
def test_nothing_leads_out_of_the_folder_of_a_project(tmp_path, name):
    (tmp_path / "p").mkdir()
    other = write_xlef(tmp_path / "secret.xlef", [("secret", "YX", GREY[0], ".png")])
    (tmp_path / "secret.xlif").write_bytes((other.with_suffix("") / "Metadata" / "secret.xlif").read_bytes())
    project = tmp_path / "p" / "exp.xlef"
    project.write_text(
        f'<?xml version="1.0"?><L Version="2"><Element Name="p"><Data><Experiment/></Data><Children>'
        f'<Reference File="{name}"/></Children></Element></L>'
    )
    with pytest.raises(ImageError, match="outside of the folder of its project"):
        read_image(project)


def test_a_picture_outside_of_the_project_is_refused(project, tmp_path):
    (tmp_path.parent / "of_bmp_0.bmp").write_bytes((tmp_path / "exp" / "of_bmp_0.bmp").read_bytes())
    about = tmp_path / "exp" / "Metadata" / "of_bmp.xlif"
    about.write_text(about.read_text().replace("..\\of_bmp", "..\\..\\..\\of_bmp"))
    with pytest.raises(ImageError, match="outside of the folder of its project"):
        read_image(project / "more_of_bmp")


def test_a_project_that_runs_in_circles_is_refused(project, tmp_path):
    about = tmp_path / "exp" / "Metadata" / "more.xlcf"
    about.write_text(about.read_text().replace("of_png.xlif", "more.xlcf"))
    with pytest.raises(ImageError, match=r"names more\.xlcf twice"):
        read_image(project)
