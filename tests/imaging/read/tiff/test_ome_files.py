"""OME-TIFF images in several files: read once, whichever of the files is given."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tifffile

from napari_cellseg.imaging import ImageError, find_images, read_image
from napari_cellseg.imaging.errors import SeveralImagesError

from ..samples import shared_data

STACK = np.random.default_rng(0).integers(0, 65536, (3, 20, 31)).astype(np.uint16)
NAMES = tuple(f"s_z{z}.ome.tif" for z in range(3))
SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def image_xml(number, names):
    parts = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{name}</UUID></TiffData>'
        for z, name in enumerate(names)
    )
    return (
        f'<Image ID="Image:{number}"><Pixels ID="Pixels:{number}" DimensionOrder="XYZCT" Type="uint16" SizeX="31" '
        f'SizeY="20" SizeZ="{len(names)}" SizeC="1" SizeT="1" PhysicalSizeX="0.5" PhysicalSizeY="0.5">'
        f'<Channel ID="Channel:{number}:0" SamplesPerPixel="1"/>{parts}</Pixels></Image>'
    )


def write_parts(folder, images, companion=None):
    """Write each plane of `STACK` to a file that names all of them, or a companion file that does."""
    content = "".join(image_xml(i, names) for i, names in enumerate(images))
    whole = f'<?xml version="1.0"?><OME xmlns="{SCHEMA}" UUID="{{}}">{content}</OME>'
    pointer = f'<OME xmlns="{SCHEMA}" UUID="{{}}"><BinaryOnly MetadataFile="{companion}" UUID="urn:uuid:c"/></OME>'
    for plane, name in zip(STACK, NAMES, strict=True):
        text = (pointer if companion else whole).format(f"urn:uuid:{name}")
        tifffile.imwrite(folder / name, plane, metadata=None, description=text.encode(), photometric="minisblack")
    if companion:
        (folder / companion).write_text(whole.format("urn:uuid:c"))


def test_every_file_gives_the_whole_image(tmp_path):
    write_parts(tmp_path, [NAMES])
    for name in NAMES:
        image = read_image(tmp_path / name)
        assert (image.axes, image.pixel_size, image.name) == ("ZYX", (0.5, 0.5), name)
        np.testing.assert_array_equal(image.data, STACK)


def test_an_image_in_several_files_is_found_once_and_its_parts_are_reported(tmp_path):
    write_parts(tmp_path, [NAMES])
    tifffile.imwrite(tmp_path / "other.ome.tif", STACK[0])
    reports = []
    found = find_images(tmp_path, report=reports.append)
    assert [name for _, name in found] == ["other.ome.tif", NAMES[0]]
    assert [report.split()[0] for report in reports] == list(NAMES[1:]) and f"image {NAMES[0]}" in reports[0]
    assert [name for _, name in find_images([tmp_path / NAMES[2], tmp_path / NAMES[0]])] == [NAMES[2]]


def test_a_companion_file_describes_its_images(tmp_path):
    write_parts(tmp_path, [NAMES], companion="s.companion.ome")
    for name in (*NAMES, "s.companion.ome"):
        image = read_image(tmp_path / name)
        assert (image.axes, image.pixel_size) == ("ZYX", (0.5, 0.5))
        np.testing.assert_array_equal(image.data, STACK)
    assert [name for _, name in find_images(tmp_path)] == [NAMES[0]]
    (tmp_path / "s.companion.ome").unlink()
    with pytest.raises(ImageError, match=r"metadata in s\.companion\.ome, which cannot be read"):
        read_image(tmp_path / NAMES[1])


def test_several_images_of_one_description_stay_images_of_their_own(tmp_path):
    write_parts(tmp_path, [NAMES[:1], NAMES[1:2], NAMES[2:]], companion="s.companion.ome")
    assert [name for _, name in find_images(tmp_path)] == list(NAMES)
    for plane, name in zip(STACK, NAMES, strict=True):
        np.testing.assert_array_equal(read_image(tmp_path / name).plane(), plane)


def test_images_of_a_companion_file_are_its_scenes(tmp_path):
    """Two planes of one image in two files, and the third in a file of its own, which is missing in the end."""
    write_parts(tmp_path, [NAMES[:2], NAMES[2:]], companion="s.companion.ome")
    companion, reports = tmp_path / "s.companion.ome", []
    found = find_images([companion, tmp_path / NAMES[1]], report=reports.append)
    assert [name for _, name in found] == ["s_0", "s_1"]
    assert reports == [f"{NAMES[1]} is skipped: it is a part of the image s.companion.ome, and is read with it."]
    first, second = (read_image(path) for path, _ in found)
    np.testing.assert_array_equal(first.data, STACK[:2])
    np.testing.assert_array_equal(second.data, STACK[2])
    assert (first.name, first.axes, first.source) == ("s_0", "ZYX", str(companion / "0"))
    with pytest.raises(SeveralImagesError, match="2 images"):
        read_image(companion)
    (tmp_path / NAMES[2]).unlink()
    np.testing.assert_array_equal(read_image(companion / "0").data, STACK[:2])
    with pytest.raises(ImageError, match=rf"names {NAMES[2]}, which is missing"):
        read_image(companion / "1")


def test_named_images_of_a_companion_file_that_lie_in_one_file(tmp_path):
    """As tifffile writes them: each image has its name, and all of them are in one file beside the companion file."""
    pair = tmp_path / "pair.ome.tif"
    with tifffile.TiffWriter(pair, ome=True) as writer:
        for name, plane in zip(("left", "right"), STACK, strict=False):
            writer.write(plane, photometric="minisblack", metadata={"Name": name, "axes": "YX"})
    with tifffile.TiffFile(pair) as tiff:
        xml = tiff.ome_metadata
    uuid = f'<UUID FileName="{pair.name}">urn:uuid:p</UUID></TiffData>'
    companion = tmp_path / "s.companion.ome"
    companion.write_text(re.sub(r"(<TiffData[^>]*?)\s*/>|(<TiffData[^>]*)></TiffData>", rf"\1\2>{uuid}", xml))
    found = find_images(companion)
    assert [name for _, name in found] == ["s_left", "s_right"]
    for (path, _), plane in zip(found, STACK, strict=False):
        np.testing.assert_array_equal(read_image(path).data, plane)


def test_a_part_that_is_missing_or_cut_short_is_reported(tmp_path):
    write_parts(tmp_path, [NAMES])
    whole = (tmp_path / NAMES[1]).read_bytes()
    (tmp_path / NAMES[1]).write_bytes(whole[:-100])
    with pytest.raises(ImageError, match=rf"{NAMES[1]}, a part of it, was cut short"):
        read_image(tmp_path / NAMES[0])
    (tmp_path / NAMES[1]).unlink()
    with pytest.raises(ImageError, match="other files"):
        read_image(tmp_path / NAMES[0])


def test_a_real_image_in_several_files():
    folder = shared_data("cases", "multifile_ome")
    (found,) = find_images(folder)
    image = read_image(found[0])
    assert (image.axes, image.data.shape, image.slice_spacing) == ("ZYX", (3, 200, 300), 2)
    np.testing.assert_array_equal(
        image.data, np.stack([tifffile.imread(folder / name, is_ome=False) for name in NAMES])
    )
