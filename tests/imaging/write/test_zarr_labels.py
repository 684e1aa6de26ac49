"""Labels as OME-Zarr: what its versions ask for, ids of any size, nothing half written taken for a result."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr_models import open_ome_zarr

from napari_cellseg.imaging import ImageError, OutputError, find_images, read_image, read_labels
from napari_cellseg.imaging.write.ome_metadata import OME_ZARR
from napari_cellseg.imaging.write.zarr_labels import ZarrLabels, read_pyramid, read_zarr_metadata, replace_folder

SHAPE = (2300, 1500)


def write(path, finish=True, version="0.5"):
    labels = np.zeros(SHAPE, np.int32)
    labels[100:200, 50:90], labels[2290:, 1400:] = 70_001, 3
    store = ZarrLabels(path, SHAPE, version)
    for top in range(0, SHAPE[0], 700):
        store.write((slice(top, top + 700), slice(0, SHAPE[1])), labels[top : top + 700])
    if finish:
        store.finish({"count": np.int64(2), "nothing": np.nan}, (0.5, 0.25), "an image")
    return labels, store


@pytest.mark.parametrize("version", OME_ZARR)
def test_it_is_an_ngff_label_image(tmp_path, version):
    path = tmp_path / "a_labels.ome.zarr"
    labels, store = write(path, version=version)
    # These validate what the specification asks for.
    assert open_ome_zarr(path, version=version).ome_attributes.labels == ["cells"]
    model = open_ome_zarr(path / "cells", version=version).ome_attributes
    assert model.image_label.version == version
    (multiscale,) = model.multiscales
    assert multiscale.name == "an image" and [axis.name for axis in multiscale.axes] == ["y", "x"]
    assert {(axis.type, axis.unit) for axis in multiscale.axes} == {("space", "micrometer")}
    assert [d.path for d in multiscale.datasets] == ["0", "1", "2"]
    for level, dataset in enumerate(multiscale.datasets):
        (transform,) = dataset.coordinateTransformations
        assert (transform.type, transform.scale) == ("scale", [0.5 * 2**level, 0.25 * 2**level])
        array = zarr.open_array(path / "cells" / str(level), mode="r")
        assert array.metadata.zarr_format == (3 if version == "0.5" else 2) and array.dtype == np.int32
        # Every pixel of a pyramid of ids is one of the ids, where its coordinates say.
        np.testing.assert_array_equal(array[...], labels[:: 2**level, :: 2**level])
    np.testing.assert_array_equal(store.overview(), labels[::4, ::4])
    large = zarr.open_array(path / "cells/0", mode="r")
    if version == "0.4":
        assert json.loads((path / "cells/0/.zarray").read_text())["dimension_separator"] == "/"
    else:
        # Chunks of a large image lie together in few files.
        assert large.shards == (3072, 2048) and large.metadata.dimension_names == ("y", "x")
    assert large.chunks == (1024, 1024)


@pytest.mark.parametrize("version", OME_ZARR)
def test_ome_zarr_reads_it(tmp_path, version):
    path = tmp_path / "a_labels.ome.zarr"
    labels, _ = write(path, version=version)
    _, cells = Reader(parse_url(path))()
    assert [type(spec).__name__ for spec in cells.specs] == ["Label", "Multiscales"]
    np.testing.assert_array_equal(cells.data[0], labels)
    assert cells.metadata["coordinateTransformations"][0] == [{"type": "scale", "scale": [0.5, 0.25]}]


@pytest.mark.parametrize("version", OME_ZARR)
def test_it_reads_back_as_labels_and_as_an_image(tmp_path, version):
    path = tmp_path / "a_labels.ome.zarr"
    labels, _ = write(path, version=version)
    np.testing.assert_array_equal(read_labels(path), labels)
    image = read_image(path)
    assert (image.axes, image.pixel_size) == ("YX", (0.5, 0.25))
    assert read_zarr_metadata(path) == {"count": 2, "nothing": None}
    part = slice(90, 150), slice(60, 100)
    np.testing.assert_array_equal(ZarrLabels(path, SHAPE, version).read(part), labels[part])
    level, *_ = read_pyramid(path)
    np.testing.assert_array_equal(level[part], labels[part])


@pytest.mark.parametrize("version", OME_ZARR)
def test_levels_are_read_that_fill_their_pieces(tmp_path, version):
    labels = np.random.default_rng(0).integers(0, 60_000, (400, 400)).astype(np.int32)
    store = ZarrLabels(tmp_path / "a_labels.ome.zarr", labels.shape, version)
    store.write((slice(0, 400), slice(0, 400)), labels)
    store.finish({}, (0.5, 0.5), "noise")
    np.testing.assert_array_equal(read_pyramid(store.path)[0], labels)


def test_unfinished_ones_are_no_result(tmp_path):
    path = tmp_path / "a_labels.ome.zarr"
    write(path, finish=False)
    with pytest.raises(ImageError, match="finished"):
        read_zarr_metadata(path)
    with pytest.raises(ImageError):
        read_zarr_metadata(tmp_path / "none")


@pytest.mark.parametrize("version, piece", [("0.5", "c/0/0"), ("0.4", "0/0")])
def test_damage_is_told(tmp_path, version, piece):
    labels, store = write(tmp_path / "a_labels.ome.zarr", version=version)
    (tmp_path / "a_labels.ome.zarr/cells/0" / piece).write_bytes(b"cut short")
    with pytest.raises(OutputError, match="Delete this folder"):
        store.read((slice(0, 10), slice(0, 10)))
    if version == "0.5":
        return
    below = slice(1100, 1200), slice(0, 10)
    np.testing.assert_array_equal(store.read(below), labels[below])


def test_a_folder_takes_the_place_of_another_whole(tmp_path):
    old, new = tmp_path / "old.zarr", tmp_path / "new.zarr"
    for folder in (old, new):
        folder.mkdir()
        (folder / folder.name).touch()
    replace_folder(new, old)
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["old.zarr", "old.zarr/new.zarr"]
    with pytest.raises(OutputError):
        replace_folder(tmp_path / "gone", old)
    assert [p.name for p in old.iterdir()] == ["new.zarr"]


def test_results_are_no_images(tmp_path):
    write(tmp_path / "a_labels.ome.zarr")
    zarr.create_array(tmp_path / "b.zarr", data=np.zeros((9, 9), np.uint8))
    assert [name for _, name in find_images(tmp_path)] == ["a_labels.ome.zarr", "b.zarr"]
    (tmp_path / ".cellseg").mkdir()
    for recursive in (False, True):
        assert [name for _, name in find_images(tmp_path, recursive=recursive)] == ["b.zarr"]
