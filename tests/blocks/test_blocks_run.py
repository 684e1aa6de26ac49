"""Larger than memory: block by block gives the cells of the whole, in little memory, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.io
import tifffile
import zarr
from ome_zarr_models import open_ome_zarr
from scipy import ndimage as ndi

import napari_cellseg
from napari_cellseg import segment
from napari_cellseg.blocks import plan as mosaic_plan
from napari_cellseg.blocks.segment_mosaic import Mosaic, MosaicResult, in_blocks, iter_mosaic
from napari_cellseg.cli import main
from napari_cellseg.imaging.errors import ImageError, OutputError, ParamsError
from napari_cellseg.imaging.from_array import as_image
from napari_cellseg.imaging.progress import drain
from napari_cellseg.imaging.read.read import read_image, source_stamp
from napari_cellseg.imaging.write.write import read_labels
from napari_cellseg.imaging.write.zarr_labels import read_zarr_metadata
from napari_cellseg.instances.area_files import write_outlines
from napari_cellseg.instances.measure import intensity_columns
from napari_cellseg.instances.metrics import match
from napari_cellseg.instances.prediction import Prediction
from napari_cellseg.network.tile_maps import TileMaps
from napari_cellseg.network.versions import ModelVersion, load_model
from napari_cellseg.results.ledger import Ledger
from napari_cellseg.results.save import names_of_channels
from napari_cellseg.segmentation.notices import NOISE
from napari_cellseg.segmentation.options import RunOptions
from napari_cellseg.segmentation.recipe import Recipe
from tests.blobs import blobs
from tests.models import make_model

SAMPLES = Path(napari_cellseg.__file__).parent / "samples"
CELLS = skimage.io.imread(SAMPLES / "mosaic.png")[300:820, 500:1150]
TIMEOUT = 120


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def bundled() -> ModelVersion:
    return load_model("cells")


def mosaic_of(
    image: Any,
    model: ModelVersion,
    out: Path,
    side: int,
    outputs: tuple[str, ...] = ("labels", "cells"),
    **recipe: Any,
) -> Mosaic:
    options = RunOptions("cpu", outputs)
    made = Recipe(str(model.path), **{"diameter": 0, **recipe}).resolved(model)
    return Mosaic(as_image(image), made, model, out, "a", options=options, side=side)


def labels_of(out: Path, name: str = "a_labels.ome.zarr") -> np.ndarray:
    return read_labels(out / name)


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def same_up_to_ids(one: np.ndarray, other: np.ndarray) -> bool:
    pairs = np.unique(np.stack([one.ravel().astype(int), other.ravel().astype(int)]), axis=1)
    return len(pairs[0]) == len(np.unique(one)) == len(np.unique(other))


@pytest.fixture(scope="module")
def whole(bundled: ModelVersion) -> np.ndarray:
    return segment(CELLS, model=bundled, diameter=0, device="cpu").labels


@pytest.mark.parametrize("side", [96, 250, 2048])
def test_blocks_give_the_cells_of_the_whole(whole, bundled, tmp_path, side):
    found = drain(iter_mosaic(mosaic_of(CELLS, bundled, tmp_path, side)))
    labels = labels_of(tmp_path)
    assert same_up_to_ids(whole, labels)
    assert sorted(np.unique(labels)) == list(range(found.count + 1))
    np.testing.assert_array_equal(np.bincount(labels.ravel())[1:], found.areas)
    metadata = read_zarr_metadata(tmp_path / "a_labels.ome.zarr")
    assert metadata["count"] == found.count and metadata["recipe"]["threshold"] == bundled.threshold
    assert not (tmp_path / ".cellseg/blocks/a.work").exists()


def test_magnified_cells_agree(bundled, tmp_path):
    small = np.ascontiguousarray(CELLS[:400:2, :400:2])
    one = segment(small, model=bundled, device="cpu")
    found = drain(iter_mosaic(mosaic_of(small, bundled, tmp_path, 70, diameter=None)))
    assert found.metadata["zoom"] == pytest.approx(one.metadata["zoom"]) and found.metadata["zoom"] > 1.1
    assert match(one.labels, labels_of(tmp_path), (0.5,)).ap[0] >= 0.98


def two_channels(path: Path, names: tuple[str, str] = ("DAPI", "GFP")) -> Path:
    values = np.stack([CELLS[:300, :280], CELLS[100:400, 50:330]])
    tifffile.imwrite(
        path,
        values,
        ome=True,
        metadata={
            "axes": "CYX",
            "PhysicalSizeX": 0.5,
            "PhysicalSizeY": 0.5,
            "Channel": {"Name": list(names)},
        },
        tile=(64, 64),
    )
    return path


@pytest.mark.parametrize("channel", ["0", "GFP", "DAPI+GFP"])
def test_the_table_is_that_of_the_whole(tmp_path, monkeypatch, channel):
    path = two_channels(tmp_path / "two.ome.tif")
    monkeypatch.setattr(Mosaic, "side", 100)
    options = ["--channel", channel, "--diameter", "0", "--cells", "--device", "cpu"]
    assert main(["segment", str(path), "--out", str(tmp_path / "one"), *options]) == 0
    assert main(["segment", str(path), "--out", str(tmp_path / "blocks"), "--blocks", *options]) == 0
    one, blocks = (table_of(tmp_path / name / "cells.csv") for name in ("one", "blocks"))
    assert len(one) == len(blocks) > 30 and list(one[0]) == list(blocks[0])
    assert [row["index"] for row in blocks] == [str(i) for i in range(1, len(blocks) + 1)]
    for rows in (one, blocks):
        rows.sort(key=lambda row: (float(row["bbox_top"]), float(row["bbox_left"]), float(row["area_px"])))
    for a, b in zip(one, blocks, strict=True):
        assert a["touches_edge"] == b["touches_edge"]
        numbers = [name for name in a if name not in ("image", "page", "index", "touches_edge")]
        np.testing.assert_allclose([float(a[n]) for n in numbers], [float(b[n]) for n in numbers], rtol=1e-9)
    counts = [table_of(tmp_path / name / "counts.csv")[0] for name in ("one", "blocks")]
    assert counts[0]["median_area_um2"] == counts[1]["median_area_um2"]
    assert counts[0]["recipe"] == counts[1]["recipe"]
    assert read_image(tmp_path / "blocks" / counts[1]["labels"]).pixel_size == (0.5, 0.5)


def test_markers_classes_and_regions_are_those_of_the_whole(tmp_path, monkeypatch):
    path = two_channels(tmp_path / "two.ome.tif")
    monkeypatch.setattr(Mosaic, "side", 100)
    found = segment(path, channel=0, diameter=0, grow="2um", positive=["GFP>60", "DAPI:ring>30"], edges="frame")
    ids = found.table["index"].tolist()
    recipe = found.classify({"a": ids[:9], "b": ids[9:18]}).recipe
    recipe.write(tmp_path / "recipe.json")
    ring = np.array([(20, 30), (20, 250), (280, 250), (150, 120)], float)
    regions = [("large", [ring]), ("beyond", [ring + 150]), ("far", [ring + 999]), ("large", [ring[:3] + 9])]
    write_outlines(tmp_path / "regions.geojson", regions)
    words = ["--recipe", str(tmp_path / "recipe.json"), "--cells", "--device", "cpu"]
    words += ["--regions", str(tmp_path / "regions.geojson")]
    for name, more in (("one", []), ("blocks", ["--blocks"])):
        assert main(["segment", str(path), "--out", str(tmp_path / name), *words, *more]) == 0
    one, blocks = (table_of(tmp_path / name / "cells.csv") for name in ("one", "blocks"))
    assert len(one) == len(blocks) > 20 and list(one[0]) == list(blocks[0])
    for rows in (one, blocks):
        rows.sort(key=lambda row: (float(row["bbox_top"]), float(row["bbox_left"]), float(row["area_px"])))
    texts = ("GFP_pos", "DAPI_pos", "markers", "class", "region")
    for a, b in zip(one, blocks, strict=True):
        assert [a[name] for name in texts] == [b[name] for name in texts]
        for name in (
            "GFP_value",
            "DAPI_value",
            "class_certainty",
            "intensity_mean_ring_GFP",
            "intensity_mean_cell_DAPI",
        ):
            assert float(a[name] or "nan") == pytest.approx(float(b[name] or "nan"), rel=1e-12, nan_ok=True)
    for name in ("class", "markers", "region"):
        assert len({row[name] for row in one}) > 1
    (a,), (b,) = (table_of(tmp_path / name / "counts.csv") for name in ("one", "blocks"))
    counted = [name for name in a if name.startswith(("n_", "pct_")) or name in ("count", "area_mm2")]
    assert len(counted) > 8 and [a[name] for name in counted] == [b[name] for name in counted]
    assert (tmp_path / "one/regions.csv").read_bytes() == (tmp_path / "blocks/regions.csv").read_bytes()
    assert "far lies outside" in b["notes"] and "grown nuclei are not written" in b["notes"]
    assert b["notes"].startswith(a["notes"])
    about = read_zarr_metadata(tmp_path / "blocks" / b["labels"])
    assert about["positive"]["GFP_pos"] == int(b["n_GFP_pos"]) and about["classes"]["accuracy"] is not None
    # Nothing is left to do.
    stamp = (tmp_path / "blocks" / b["labels"]).stat().st_mtime_ns
    assert main(["segment", str(path), "--out", str(tmp_path / "blocks"), *words, "--blocks", "--resume"]) == 0
    assert (tmp_path / "blocks" / b["labels"]).stat().st_mtime_ns == stamp


def test_channels_of_one_name_are_all_measured(tmp_path):
    path = two_channels(tmp_path / "two.ome.tif", ("DAPI", "DAPI"))
    options = ["--channel", "0", "--diameter", "0", "--device", "cpu"]
    assert main(["segment", str(path), "--out", str(tmp_path / "one"), "--save", "labels,cells,geojson", *options]) == 0
    assert main(["segment", str(path), "--out", str(tmp_path / "blocks"), "--cells", "--blocks", *options]) == 0
    one, blocks = (table_of(tmp_path / name / "cells.csv") for name in ("one", "blocks"))
    labels = read_labels(tmp_path / "one" / "two.ome_labels.tif")
    for i, plane in enumerate(tifffile.imread(path)):
        expected = intensity_columns(labels, {f"DAPI {i}": plane})
        for name, column in expected.items():
            np.testing.assert_allclose([float(row[name]) for row in one], column)
    assert list(one[0]) == list(blocks[0])
    (outlines,) = (tmp_path / "one").glob("*.geojson")
    measured = json.loads(outlines.read_text())["features"][0]["properties"]["measurements"]
    assert {"intensity_mean_DAPI 0", "intensity_mean_DAPI 1"} <= set(measured)
    both = as_image(np.zeros((3, 4, 5)), "CYX", channel_names=("DAPI", "DAPI 0", "DAPI"))
    assert len(set(names_of_channels(both))) == 3 and "DAPI 0" not in names_of_channels(both)[1:]


def test_seventy_thousand_cells(tiny, tmp_path, monkeypatch):
    pitch, size = 10, 2700
    axis = np.abs(np.arange(size) % pitch - 4.5)
    hill = np.clip(1 - np.maximum(axis[:, None], axis[None]) / 5, 0, 1).astype(np.float32)

    def made(self, region):
        return iter(())

    def read(self, region):
        return Prediction(np.where(hill[region] > 0.15, np.float32(1), np.float32(0)), hill[region])

    monkeypatch.setattr(TileMaps, "iter_make", made)
    monkeypatch.setattr(TileMaps, "read", read)
    found = drain(iter_mosaic(mosaic_of(np.zeros((size, size), np.uint8), tiny, tmp_path, 1024, outputs=("labels",))))
    assert found.count == (size // pitch) ** 2 == 72_900
    labels = labels_of(tmp_path)
    assert labels.dtype == np.int32 and labels.max() == 72_900 and (np.bincount(labels.ravel())[1:] == 64).all()
    # Every cell is in one piece: ids change nowhere but at the borders of the grid.
    assert (labels.reshape(270, 10, 270, 10).max(axis=(1, 3)) == labels[5::10, 5::10]).all()


def image_folder(path: Path, size: int = 400) -> Path:
    values = np.tile(blobs(3, 200, 40).image, (2, 2))[:size, :size].astype(np.uint16)
    zarr.create_array(path, data=values, chunks=(100, 100), zarr_format=2)
    return path


def from_folder(path: Path, model: ModelVersion, out: Path) -> Mosaic:
    made = mosaic_of(np.zeros((4, 4)), model, out, 128, positive=("0>130",))
    source = {"path": str(path), **source_stamp(path)}
    regions = [("left", [np.array([(0, 0), (0, 150), (400, 150), (400, 0)], float)])]
    return Mosaic(read_image(path, "YX"), made.recipe, model, out, "a", source=source, side=128, regions=regions)


def contents(out: Path) -> dict[str, bytes]:
    files = [path for path in out.rglob("*") if path.is_file() and path.suffix != ".jpg"]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def test_what_was_stopped_goes_on(tiny, tmp_path):
    path = image_folder(tmp_path / "a.zarr")
    expected = drain(iter_mosaic(from_folder(path, tiny, tmp_path / "once")))
    steps = iter_mosaic(from_folder(path, tiny, tmp_path / "twice"))
    for progress in steps:
        if progress.done == 5:
            break
    steps.close()
    assert not (tmp_path / "twice/a_labels.ome.zarr").exists()
    work = tmp_path / "twice/.cellseg/blocks/a.work"
    # As a program leaves them that is killed while it writes.
    with (work / "blocks.jsonl").open("ab") as file:
        file.write(b'{"areas": [12, ')
    with (work / "cells.csv").open("ab") as file:
        file.write(b"999,1,2,")
    store = zarr.open_array(work / "labels.ome.zarr/cells/0", mode="r+")
    garbage = np.asarray(store[150:160, 200:300])
    store[150:160, 200:300] = np.where(garbage == 0, 1_000_000, garbage)
    steps = iter_mosaic(from_folder(path, tiny, tmp_path / "twice"))
    said = []
    while True:
        try:
            said.append(next(steps))
        except StopIteration as stop:
            found: MosaicResult = stop.value
            break
    assert min(p.done for p in said if p.total == 16) >= 5
    assert not any("brightness" in p.message for p in said)
    np.testing.assert_array_equal(found.areas, expected.areas)
    assert dict(found.positive) == dict(expected.positive) and found.positive["0_pos"] > 0
    assert contents(tmp_path / "twice") == contents(tmp_path / "once")


def test_killed_and_resumed_is_as_if_nothing_had_happened(tiny, tmp_path):
    path = image_folder(tmp_path / "a.zarr")
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.blocks.test_blocks_run import from_folder, drain, iter_mosaic, load_model\n"
        "drain(iter_mosaic(from_folder(Path(sys.argv[1]), load_model(sys.argv[2]), Path(sys.argv[3]))))"
    )
    words = [sys.executable, "-c", code, str(path), str(tiny.path)]
    killed = subprocess.Popen([*words, str(tmp_path / "killed")], cwd=Path(__file__).parents[2])
    lines, end = tmp_path / "killed/.cellseg/blocks/a.work/blocks.jsonl", time.monotonic() + TIMEOUT
    while killed.poll() is None and time.monotonic() < end:
        if lines.exists() and lines.read_bytes().count(b"\n") >= 2:
            killed.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
            break
    killed.wait(TIMEOUT)
    drain(iter_mosaic(from_folder(path, tiny, tmp_path / "killed")))
    drain(iter_mosaic(from_folder(path, tiny, tmp_path / "once")))
    assert contents(tmp_path / "killed") == contents(tmp_path / "once")


def test_another_recipe_or_image_begins_anew(tiny, tmp_path):
    path = image_folder(tmp_path / "a.zarr")
    steps = iter_mosaic(from_folder(path, tiny, tmp_path))
    next(p for p in steps if p.done == 3)
    steps.close()
    zarr.open_array(path, mode="r+")[0, 0] = 0
    steps = iter_mosaic(from_folder(path, tiny, tmp_path))
    assert any("brightness" in p.message for p in (next(steps), next(steps)))
    next(p for p in steps if p.done == 3)
    steps.close()


def test_an_image_that_changes_meanwhile_is_no_result(tiny, tmp_path):
    path = image_folder(tmp_path / "a.zarr")
    steps = iter_mosaic(from_folder(path, tiny, tmp_path / "out"))
    next(p for p in steps if p.done == 3)
    zarr.open_array(path, mode="r+")[390:, 390:] = 7
    with pytest.raises(ImageError, match="changed while"):
        drain(steps)
    assert not (tmp_path / "out/a_labels.ome.zarr").exists()


def test_blocks_report_what_a_whole_image_reports(bundled, tmp_path):
    values = ndi.gaussian_filter(np.random.default_rng(1).normal(size=(450, 500)), 2)
    noise = np.clip(200 + 20 * values / values.std(), 0, 65535).astype(np.uint16)
    notes = drain(iter_mosaic(mosaic_of(noise, bundled, tmp_path, 256))).notes
    assert NOISE in notes and NOISE in segment(noise, diameter=0, device="cpu").metadata["notes"]


def test_a_broken_chunk_is_told_and_the_rest_is_done(tiny, tmp_path, capsys):
    path, out = image_folder(tmp_path / "in/a.zarr"), tmp_path / "out"
    tifffile.imwrite(tmp_path / "in/b.tif", blobs(1).image)
    (path / "1.1").write_bytes(b"no chunk")
    with pytest.MonkeyPatch.context() as patch:
        # Small images are read whole, and then not at all.
        patch.setattr("napari_cellseg.imaging.read.read.LAZY_BYTES", 1000)
        options = ["--model", str(tiny.path), "--axes", "YX", "--device", "cpu"]
        assert main(["segment", str(tmp_path / "in"), "--out", str(out), "--blocks", *options]) == 1
    rows = {row.image: row for row in Ledger(out).rows()}
    assert rows["b.tif"].state == "done" and rows["a.zarr"].state == "failed"
    assert rows["a.zarr"].count is None
    assert "rows 100 to 200, columns 100 to 200" in rows["a.zarr"].error
    assert "a_labels.ome.zarr" in capsys.readouterr().err
    labels = labels_of(out)
    assert labels.any() and read_zarr_metadata(out / "a_labels.ome.zarr")["holes"] == [[[100, 200], [100, 200]]]


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on the size of files")
def test_a_full_disk_fails_the_image_and_a_second_run_does_it(tiny, tmp_path):
    tifffile.imwrite(tmp_path / "large.tif", np.tile(blobs(0, 200, 40).image, (2, 2)))
    tifffile.imwrite(tmp_path / "small.tif", blobs(0, 64, 4).image)
    words = ["segment", str(tmp_path), "--no-subfolders", "--out", str(tmp_path / "out"), "--blocks"]
    words += ["--model", str(tiny.path), "--device", "cpu"]
    code = (
        "import resource, sys\nfrom napari_cellseg.cli import main\nimport torch\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))\n"
        f"sys.exit(main({words!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 1 and "large.tif" in done.stderr and "disk is full" in done.stderr, done.stderr
    out = tmp_path / "out"
    assert (out / "small_labels.ome.zarr").exists() and not (out / "large_labels.ome.zarr").exists()
    assert main([*words, "--resume"]) == 0
    states = {row.image: row.state for row in Ledger(out).rows()}
    assert states == {"large.tif": "done", "small.tif": "done"}
    assert not list((out / ".cellseg/blocks").iterdir())


def test_what_does_not_fit_is_done_in_blocks_by_itself(tiny, tmp_path, monkeypatch, capsys):
    tifffile.imwrite(tmp_path / "a.tif", blobs(0).image)
    words = ["segment", str(tmp_path / "a.tif"), "--model", str(tiny.path), "--device", "cpu", "--out"]
    assert main([*words, str(tmp_path / "one")]) == 0 and (tmp_path / "one/a_labels.tif").exists()
    monkeypatch.setattr("napari_cellseg.imaging.memory.free_bytes", lambda: 1000)
    monkeypatch.setattr(mosaic_plan, "FEWEST_PIXELS", 1000)
    assert main([*words, str(tmp_path / "two")]) == 0
    assert same_up_to_ids(read_labels(tmp_path / "one/a_labels.tif"), labels_of(tmp_path / "two"))
    assert main([*words, str(tmp_path / "two"), "--resume"]) == 0 and "done before" in capsys.readouterr().out
    assert main([*words, str(tmp_path / "three"), "--save", "labels,overlay"]) == 1
    assert "only labels, cells, parquet, anndata, submission, inside can be saved" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "three"), "--accurate"]) == 1
    # Zarr 3 unless the older one is asked for.
    assert (tmp_path / "two/a_labels.ome.zarr/zarr.json").is_file()
    assert main([*words, str(tmp_path / "two"), "--ome-zarr", "0.4"]) == 0
    assert open_ome_zarr(tmp_path / "two/a_labels.ome.zarr/cells", version="0.4").ome_attributes.image_label
    with pytest.raises(ParamsError, match=r"0\.5 or 0\.4"):
        RunOptions(ome_zarr="0.6")


def test_only_large_images_are_done_in_blocks():
    small, large = np.zeros((100, 100), np.uint8), np.broadcast_to(np.uint8(0), (20_000, 20_000))
    assert not in_blocks(as_image(small), RunOptions()) and in_blocks(as_image(small), RunOptions(blocks=True))
    assert in_blocks(as_image(large), RunOptions())


def test_pages_and_pictures(tiny, tmp_path):
    planes = np.stack([blobs(i, 80, 6).image.astype(np.uint16) for i in range(2)])
    tifffile.imwrite(tmp_path / "a.tif", planes, imagej=True, metadata={"axes": "TYX"})
    out = tmp_path / "out"
    words = ["segment", str(tmp_path / "a.tif"), "--pages", "each", "--blocks", "--cells", "--html"]
    assert main([*words, "--model", str(tiny.path), "--device", "cpu", "--out", str(out)]) == 0
    for i in range(2):
        one = segment(planes[i], model=tiny, device="cpu").labels
        assert same_up_to_ids(one, labels_of(out, f"a_t00{i}_labels.ome.zarr"))
        assert (out / f".cellseg/parts/a_t00{i}.jpg").exists()
    assert {row["page"] for row in table_of(out / "cells.csv")} == {"t000", "t001"}
    assert "t001" in (out / "report.html").read_text()


def test_a_folder_of_somebody_else_stays(tiny, tmp_path):
    (tmp_path / "a_labels.ome.zarr").mkdir()
    (tmp_path / "a_labels.ome.zarr/mine.txt").touch()
    mosaic = mosaic_of(CELLS[:64, :64], tiny, tmp_path, 128, outputs=("labels",))
    with pytest.raises(OutputError, match="not written by napari-cellseg"):
        drain(iter_mosaic(mosaic))
    assert (tmp_path / "a_labels.ome.zarr/mine.txt").exists()
    drain(iter_mosaic(replace(mosaic, overwrite=True)))
    drain(iter_mosaic(mosaic))
    assert read_zarr_metadata(tmp_path / "a_labels.ome.zarr")
    assert labels_of(tmp_path).shape == (64, 64)


def test_a_place_that_can_not_be_written(tiny, tmp_path):
    (tmp_path / ".cellseg").write_text("a file where a folder is wanted")
    with pytest.raises(OutputError), contextlib.closing(iter_mosaic(mosaic_of(CELLS, tiny, tmp_path, 128))) as steps:
        list(steps)
