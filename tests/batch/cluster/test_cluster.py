"""A batch on a real Dask cluster: what the local run gives, whatever dies meanwhile."""

from __future__ import annotations

import csv
import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_cellseg.batch.run import iter_batch
from napari_cellseg.imaging import CellsegError, ModelError, drain, find_images, write_labels
from napari_cellseg.imaging.read.ome_zarr import places
from napari_cellseg.imaging.read.ome_zarr.places import allow
from napari_cellseg.results.plan import Item, plan
from napari_cellseg.segmentation.options import RunOptions
from napari_cellseg.segmentation.recipe import Recipe

from ...blobs import blobs
from ...imaging.read.ome_zarr.servers import serving
from ...models import make_model

pytest.importorskip("distributed")
from napari_cellseg.batch.cluster.run import iter_remote
from napari_cellseg.batch.cluster.worker import appears

from .cluster import cluster_of

N_IMAGES = 10

OPTIONS = RunOptions("cpu", ("labels", "cells", "rle", "submission"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    model = make_model(tmp_path_factory.mktemp("models") / "small")
    return Recipe(str(model.path)).resolved()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for i in range(N_IMAGES - 1):
        inner = folder / f"plate {i % 2}"
        inner.mkdir(exist_ok=True)
        tifffile.imwrite(inner / f"bläb{i // 2}.tif", blobs(i, size=256, n=30).image)
    (folder / "bad.png").write_text("no image")
    return find_images(folder, recursive=True)


@pytest.fixture(scope="module")
def local(images, recipe, tmp_path_factory):
    out = tmp_path_factory.mktemp("local")
    summary = drain(iter_batch(images, out, recipe, OPTIONS))
    assert (summary.n_done, summary.n_failed) == (N_IMAGES - 1, 1)
    return out


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, program):
    with cluster_of(program, tmp_path_factory.mktemp("cluster"), 1) as cluster:
        yield cluster


def results(folder):
    """Every file of a folder of results, without what says when and how long."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or name in (".cellseg/ledger.jsonl", ".cellseg/lock"):
            continue
        if path.name.startswith("."):
            # What a worker that was killed was just writing; the batch takes it away in the end.
            continue
        content = path.read_bytes()
        if name == "counts.csv":
            rows = list(csv.DictReader(content.decode().splitlines()))
            content = sorted(json.dumps(row | {"seconds": ""}) for row in rows)
        found[name] = content
    return found


def listen(steps, hear=lambda event: None):
    events = []
    for event in steps:
        if event[0] != "tick":
            events.append(event)
            hear(event)
    return events


def test_a_worker_is_killed_in_the_middle(images, recipe, local, tmp_path, program):
    """All results are there, each once, with the bytes of the local run."""
    with cluster_of(program, tmp_path / "cluster", 2) as cluster:
        begun = []

        def hear(event):
            begun.append(event)
            if sum(kind == "rows" for kind, _, *_ in begun) == 3 and cluster.workers[0].poll() is None:
                cluster.workers[0].kill()

        out = tmp_path / "out"
        items = plan(images, ())
        events = listen(iter_remote(items, recipe, out, cluster.address, OPTIONS), hear)
        assert cluster.workers[0].poll() is not None and cluster.workers[1].poll() is None
    told = [item.stem for kind, item, *_ in events if kind == "rows"]
    assert sorted(told) == sorted(item.stem for item in items)
    again = [event[1].stem for event in events if event[0] == "running"]
    assert set(again) == set(told)
    theirs, ours = results(out), results(local)
    # The tables are the batch's, which is not run here.
    per_image = {name: content for name, content in ours.items() if "_labels" in name or ".cellseg/parts" in name}
    assert len(per_image) > N_IMAGES and theirs == per_image


def test_the_whole_batch_on_a_cluster_is_the_local_one(images, recipe, local, cluster, tmp_path):
    out = tmp_path / "out"
    summary = drain(iter_batch(images, out, recipe, OPTIONS, scheduler=str(cluster.file)))
    assert (summary.n_done, summary.n_failed, summary.stopped) == (N_IMAGES - 1, 1, False)
    assert results(out) == results(local)


def test_resume_and_corrections_hold_on_a_cluster(images, recipe, cluster, tmp_path):
    out, few = tmp_path / "out", images[1:5]
    drain(iter_batch(few[:2], out, recipe, OPTIONS, scheduler=cluster.address))
    corrected = next(out.rglob("*_labels.tif"))
    write_labels(corrected, np.ones((256, 256), int), metadata={"corrections": {"changed": 1}})
    before = corrected.read_bytes()
    summary = drain(iter_batch(few, out, recipe, OPTIONS, scheduler=cluster.address))
    assert (summary.n_kept, summary.n_done, summary.n_failed) == (1, 3, 0)
    summary = drain(iter_batch(few, out, recipe, OPTIONS, scheduler=cluster.address, resume=True))
    assert (summary.n_done, summary.n_kept + summary.n_skipped) == (0, 4)
    assert corrected.read_bytes() == before


def test_closing_stops_the_workers(images, recipe, cluster, tmp_path):
    items = [replace(item, stem=f"{i}/{item.stem}") for i in range(20) for item in plan(images, ())]
    steps = iter_remote(items, recipe, tmp_path, cluster.address, OPTIONS)
    while next(steps)[0] != "rows":
        pass
    steps.close()
    time.sleep(1.5)
    n_done = len(list(tmp_path.rglob("*_labels.tif")))
    time.sleep(1.5)
    assert n_done == len(list(tmp_path.rglob("*_labels.tif"))) < len(items) / 2
    assert not list((tmp_path / ".cellseg").glob("alive*"))


def test_what_a_cluster_cannot_do_is_told(images, recipe, cluster, tmp_path, monkeypatch):
    lost = Item(tmp_path / "gone.tif", "gone.tif", "gone")
    events = listen(iter_remote([lost], recipe, tmp_path, cluster.address, OPTIONS))
    assert events[-1][0] == "rows" and "gone.tif does not exist" in events[-1][2][0].error
    with pytest.raises(ModelError, match=r"Worker .*no such model"):
        listen(
            iter_remote(plan(images, ()), replace(recipe, model="no such model"), tmp_path, cluster.address, OPTIONS)
        )
    monkeypatch.setattr("napari_cellseg.batch.cluster.run.CONNECT_SECONDS", 1)
    with pytest.raises(CellsegError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        listen(iter_remote(plan(images, ()), recipe, tmp_path, "tcp://127.0.0.1:9", OPTIONS))
    with pytest.raises(CellsegError, match="No Dask scheduler answers"):
        listen(iter_remote(plan(images, ()), recipe, tmp_path, "nonsense://1", OPTIONS))
    assert not appears(tmp_path / "not" / "there" / "alive")


def test_an_image_that_kills_workers_is_given_up(images, recipe, tmp_path, program):
    with cluster_of(program, tmp_path / "cluster", 2, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0") as cluster:
        n_done = 0

        def hear(event):
            nonlocal n_done
            n_done += event[0] == "rows"
            if n_done == 2:
                cluster.workers[0].kill()

        events = listen(iter_remote(plan(images, ()), recipe, tmp_path / "out", cluster.address, OPTIONS), hear)
    rows = [row for kind, _, *rest in events if kind == "rows" for row in rest[0]]
    assert len(rows) == N_IMAGES
    given_up = [row for row in rows if "died one after the other" in row.error]
    assert 1 <= len(given_up) <= 3 and all(row.state == "failed" and row.stem for row in given_up)
    assert sum(row.state == "done" for row in rows) == N_IMAGES - 1 - len(given_up)


def test_the_scheduler_goes_away(images, recipe, tmp_path, program):
    with cluster_of(program, tmp_path / "cluster", 1) as cluster:
        n_done = 0

        def hear(event):
            nonlocal n_done
            n_done += event[0] == "rows"
            if n_done == 2:
                cluster.scheduler.kill()

        with pytest.raises(CellsegError, match=r"went away.*--resume"):
            listen(iter_remote(plan(images, ()), recipe, tmp_path / "out", cluster.address, OPTIONS), hear)
        assert n_done < N_IMAGES


def test_without_workers_it_says_so(images, recipe, tmp_path, monkeypatch, program):
    monkeypatch.setattr("napari_cellseg.batch.cluster.run._SILENT_SECONDS", 0.5)
    with cluster_of(program, tmp_path / "cluster", 0) as cluster:
        steps = iter_remote(plan(images, ()), recipe, tmp_path / "out", cluster.address, OPTIONS)
        notes = (event for event in steps if event[0] == "note")
        assert "no workers" in next(notes)[1]
        steps.close()


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "napari_cellseg":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""


@pytest.mark.parametrize("who", ["scheduler", "worker", "late worker"])
def test_where_the_package_is_missing_it_is_said_at_once(who, images, recipe, tmp_path, program):
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "sitecustomize.py").write_text(BLOCKED)
    bare = {"PYTHONPATH": str(tmp_path / "bare")}
    with cluster_of(program, tmp_path / "cluster", 0, **(bare if who == "scheduler" else {})) as cluster:
        cluster.settings = bare
        if who != "late worker":
            cluster.add_workers(1)
        began = time.monotonic()
        steps = iter_remote(plan(images, ()), recipe, tmp_path / "out", cluster.address, OPTIONS)
        if who == "late worker":
            assert next(steps)[0] == "tick"
            cluster.add_workers(1)
            began = time.monotonic()
        with pytest.raises(CellsegError, match=rf"The {who.split()[-1]} .*cannot run napari-cellseg .*No module named"):
            listen(steps)
        assert time.monotonic() - began < 10


def test_workers_read_the_addresses_that_were_typed_and_no_others(cluster, recipe, tmp_path, monkeypatch):
    pytest.importorskip("aiohttp")
    image = tmp_path / "served" / "a.zarr"
    zarr.create_array(image, data=blobs(0, size=256, n=30).image, dimension_names=("y", "x"))
    monkeypatch.setattr(places, "_typed", set())
    expected = drain(iter_batch([(image, "a")], tmp_path / "local", recipe, OPTIONS))
    with serving(image.parent) as served:
        address = Path(f"{served.address}/a.zarr")
        ((_, _, (row,)),) = [
            event
            for event in iter_remote([Item(address, "a", "a")], recipe, tmp_path / "no", cluster.address, OPTIONS)
            if event[0] == "rows"
        ]
        assert row.state == "failed" and "only addresses that you type" in row.error and not served.asked
        allow(address)
        summary = drain(iter_batch([(address, "a")], tmp_path / "out", recipe, OPTIONS, scheduler=cluster.address))
    assert (summary.n_done, summary.n_cells) == (1, expected.n_cells)
    labels = [tifffile.imread(tmp_path / place / "a_labels.tif") for place in ("local", "out")]
    np.testing.assert_array_equal(*labels)


def test_a_killed_worker_leaves_no_unfinished_file(images, recipe, tmp_path, program):
    out = tmp_path / "out"
    with cluster_of(program, tmp_path / "cluster", 1) as cluster:
        steps = iter_batch(images[1:3], out, recipe, OPTIONS, scheduler=cluster.address)
        next(steps)
        # What a worker that is killed now leaves, in a folder that this batch was the first to use.
        left = [out / ".a.0123456789ab.tif", out / ".cellseg" / "parts" / ".b.0123456789ab.csv"]
        for path in left:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("half")
        summary = drain(steps)
    assert summary.n_failed == 0 and not any(path.exists() for path in left)


def test_a_dead_scheduler_is_one_sentence(images, recipe, tmp_path, program):
    """A process of its own shows all that Dask and asyncio would log, also at its end."""
    out = tmp_path / "out"
    with cluster_of(program, tmp_path / "cluster", 1) as cluster:
        words = ["segment", str(images[0][0].parent), "--out", str(out), "--model", recipe.model, "--device", "cpu"]
        command = program(*words, "--scheduler", cluster.address)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while not list(out.rglob("*_labels.tif")) and process.poll() is None:
            time.sleep(0.02)
        cluster.scheduler.kill()
        said, errors = process.communicate(timeout=60)
    assert process.returncode == 1, said
    (line,) = [line for line in errors.splitlines() if not line.startswith("bad.png")]
    assert "The Dask scheduler" in line and "went away" in line
