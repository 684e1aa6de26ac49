"""One large image on a real Dask cluster: all workers make its tiles, and its cells are those of one machine."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
import tifffile

from napari_cellseg.imaging import drain, find_images
from napari_cellseg.imaging.write.zarr_labels import read_pyramid
from napari_cellseg.results.plan import plan
from napari_cellseg.segmentation.options import RunOptions
from napari_cellseg.segmentation.recipe import Recipe

from ...blobs import blobs
from ...models import make_model

pytest.importorskip("distributed")
from napari_cellseg.batch.cluster.run import iter_remote
from napari_cellseg.batch.cluster.tiles import claim, n_made_for_others
from napari_cellseg.batch.run import iter_batch

from .cluster import cluster_of

# Two blocks.
SHAPE = (1100, 2300)

OPTIONS = RunOptions("cpu", ("labels", "cells"), blocks=True)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    model = make_model(tmp_path_factory.mktemp("models") / "small", base_channels=8)
    return Recipe(str(model.path)).resolved()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "slide.tif"
    piece = blobs(0, size=700, n=120).image.astype(np.uint8)
    tifffile.imwrite(path, np.tile(piece, (2, 4))[: SHAPE[0], : SHAPE[1]], tile=(256, 256))
    return find_images([path])


@pytest.fixture(scope="module")
def local(images, recipe, tmp_path_factory):
    out = tmp_path_factory.mktemp("local")
    assert drain(iter_batch(images, out, recipe, OPTIONS)).n_done == 1
    return out


def cells(out):
    """Labels and table of the one image."""
    (path,) = out.glob("*_labels.ome.zarr")
    (table,) = out.glob(".cellseg/parts/*.cells.csv")
    return np.asarray(read_pyramid(path)[0]), table.read_text()


def run(images, recipe, out, cluster, hear=lambda kind: None):
    rows = []
    for event in iter_remote(plan(images, ()), recipe, out, cluster.address, OPTIONS):
        hear(event[0])
        if event[0] == "rows":
            rows += event[2]
    return rows


def test_others_make_tiles_and_the_cells_are_the_same(images, recipe, local, tmp_path, program):
    from distributed import Client

    with cluster_of(program, tmp_path / "cluster", 2) as cluster:
        (row,) = run(images, recipe, tmp_path / "out", cluster)
        with Client(cluster.address, set_as_default=False) as client:
            counts = sorted(client.run(n_made_for_others).values())
    assert row.state == "done", row.error
    assert counts[0] == 0 < counts[1], "one worker makes the cells, the other one helps with tiles"
    ours, theirs = cells(local), cells(tmp_path / "out")
    np.testing.assert_array_equal(theirs[0], ours[0])
    assert theirs[1] == ours[1] and ours[0].max() > 100
    assert not list((tmp_path / "out").rglob("*.claim")) and not list((tmp_path / "out").rglob("*.work"))


def test_a_helper_that_dies_is_done_without(images, recipe, local, tmp_path, program):
    """The one that makes the cells goes on by itself; whichever of the two is killed, the image is done."""
    with cluster_of(program, tmp_path / "cluster", 2) as cluster:

        def hear(kind):
            if kind == "tick" and any((tmp_path / "out").rglob("*.claim")) and cluster.workers[1].poll() is None:
                cluster.workers[1].kill()

        (row,) = run(images, recipe, tmp_path / "out", cluster, hear)
        assert cluster.workers[1].poll() is not None
    assert row.state == "done", row.error
    np.testing.assert_array_equal(cells(tmp_path / "out")[0], cells(local)[0])


def test_a_tile_is_claimed_once_and_by_each_run_anew(tmp_path):
    assert claim(tmp_path, 256, 3, "a") and not claim(tmp_path, 256, 3, "a")
    assert claim(tmp_path, 256, 4, "a") and claim(tmp_path, 256, 3, "b")
    assert claim(tmp_path / "gone", 256, 3, "a"), "what is wrong with the folder is told by whoever writes into it"
    (path,) = tmp_path.glob("256_0000004.a.claim")
    assert time.time() - os.stat(path).st_mtime < 60
