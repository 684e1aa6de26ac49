"""A batch: every image by the one function, what is done is not done again, what a person did stays."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.io
import tifffile

import napari_cellseg
from napari_cellseg import segment
from napari_cellseg.batch import pipeline
from napari_cellseg.batch.events import BatchEvent, BatchSummary, Planned, RowDone, Running
from napari_cellseg.batch.item import segment_item
from napari_cellseg.batch.run import iter_batch
from napari_cellseg.imaging.errors import ModelError, OutputError, ParamsError
from napari_cellseg.imaging.from_array import as_image
from napari_cellseg.imaging.normalize import NormalizerParams
from napari_cellseg.imaging.progress import Note, drain
from napari_cellseg.imaging.read.read import find_images, read_image, source_stamp
from napari_cellseg.imaging.write.write import read_label_stack, read_labels, read_metadata, write_labels
from napari_cellseg.network.version_files import set_defaults, write_config
from napari_cellseg.network.versions import read_version
from napari_cellseg.results import kept
from napari_cellseg.results import plan as planning
from napari_cellseg.results.counts import put_rows
from napari_cellseg.results.ledger import Ledger
from napari_cellseg.results.plan import Item
from napari_cellseg.results.rows import BatchRow
from napari_cellseg.results.save import mean_doubt
from napari_cellseg.segmentation.options import RunOptions
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.segmentation.segment import iter_predict_image, open_image
from tests.blobs import blobs
from tests.models import make_model
from tests.results.run_lengths import rle_decode

N = 4
ON_CPU = RunOptions("cpu")
SAMPLES = Path(napari_cellseg.__file__).parent / "samples"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return Recipe(str(make_model(tmp_path_factory.mktemp("models") / "tiny").path))


def saving(*outputs: str) -> RunOptions:
    return replace(ON_CPU, outputs=outputs)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(N):
        tifffile.imwrite(folder / f"{i}.tif", blobs(i).image.astype(np.uint16))
    return folder


def run(
    images: Path, out: Path, recipe: Recipe, options: RunOptions = ON_CPU, **more: Any
) -> tuple[list[BatchRow], BatchSummary]:
    return drain_rows(iter_batch(find_images(images, recursive=True), out, recipe, options, **more))


def drain_rows(steps: Generator[BatchEvent, None, BatchSummary]) -> tuple[list[BatchRow], BatchSummary]:
    rows: list[BatchRow] = []
    while True:
        try:
            event = next(steps)
        except StopIteration as stop:
            return sorted(rows, key=lambda row: row.key), stop.value
        if isinstance(event, RowDone):
            rows.append(event.row)


def states(rows: list[BatchRow]) -> str:
    return " ".join(row.state for row in rows)


def counts(out: Path) -> list[dict[str, str]]:
    with (out / "counts.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def files(out: Path) -> dict[str, bytes]:
    """Everything that a person gets: name and bytes."""
    found = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    return {
        name: path.read_bytes() for name, path in found.items() if ".cellseg/l" not in name and name != "counts.csv"
    }


def test_labels_counts_and_bytes_are_those_of_one_image_by_itself(images: Path, recipe: Recipe, tmp_path: Path) -> None:
    options = saving("labels", "cells", "probability", "rle")
    rows, summary = run(images, tmp_path / "out", recipe, options)
    assert states(rows) == "done done done done" and summary.n_done == N and not summary.stopped
    assert summary.n_cells == sum(row.count or 0 for row in rows) > 20
    for row, line in zip(rows, counts(tmp_path / "out"), strict=True):
        alone = segment(images / row.image, recipe, device="cpu")
        np.testing.assert_array_equal(read_labels(tmp_path / "out" / row.files["labels"]), alone.labels)
        assert (row.count, line["image"], int(line["count"])) == (alone.count, row.image, alone.count)
        assert row.median_area_px == np.median(alone.table["area_px"]) == float(line["median_area_px"])
        assert row.doubt is not None and 0 < row.doubt < 1
        item = Item(images / row.image, row.image, row.stem)
        (again,) = drain(segment_item(item, recipe, tmp_path / "alone", options))
        assert replace(again, seconds=None) == replace(row, seconds=None)
        for name in row.files.values():
            assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_every_result_says_what_made_it(images: Path, recipe: Recipe, tmp_path: Path) -> None:
    (row, *_), _ = run(images, tmp_path / "out", recipe)
    digest = recipe.digest()
    metadata = read_metadata(tmp_path / "out" / row.files["labels"])
    line = counts(tmp_path / "out")[0]
    record = json.loads((tmp_path / "out" / "recipe.json").read_text())
    assert metadata["recipe_sha256"] == line["recipe"] == record["recipe_sha256"] == row.recipe == digest
    assert metadata["model"]["sha256"] == line["model_sha256"] == record["model_sha256"] == row.model_sha256
    image_hash = as_image(tifffile.imread(images / "0.tif")).content_hash()
    assert metadata["image"]["sha256"] == line["image_sha256"] == row.image_sha256 == image_hash
    assert metadata["corrected"] is False and line["corrected"] == ""
    assert {"napari-cellseg", "torch", "numpy"} <= set(metadata["versions"])
    assert Recipe.read(tmp_path / "out" / "recipe.json").digest() == Recipe.from_dict(metadata["recipe"]).digest()


def test_resuming_does_what_is_missing_and_nothing_else(images: Path, recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(images, out, recipe)
    before = files(out)
    rows, summary = run(images, out, recipe, resume=True)
    assert states(rows) == "skipped skipped skipped skipped" and summary.n_skipped == N and files(out) == before
    assert [row.count for row in rows] == [int(line["count"]) for line in counts(out)]

    (out / "0_labels.tif").unlink()
    tifffile.imwrite(images / "1.tif", blobs(17).image.astype(np.uint16))
    os.utime(images / "2.tif", ns=(1, 1))  # another time, the same pixels
    tifffile.imwrite(images / "new.tif", blobs(18).image.astype(np.uint16))
    rows, _ = run(images, out, recipe, resume=True)
    assert states(rows) == "done done skipped skipped done"
    assert (out / "0_labels.tif").read_bytes() == before["0_labels.tif"]
    assert files(out) == files_of_a_fresh_run(images, recipe, tmp_path)
    assert states(run(images, out, recipe, resume=True)[0]) == "skipped " * 4 + "skipped"

    assert states(run(images, out, replace(recipe, min_size=30), resume=True)[0]) == "done " * 4 + "done"
    larger, more = replace(recipe, min_size=30), saving("labels", "overlay")
    assert states(run(images, out, larger, more, resume=True)[0]) == "done " * 4 + "done"
    less = RunOptions("auto")
    assert states(run(images, out, larger, less, resume=True)[0]) == "skipped " * 4 + "skipped"


def files_of_a_fresh_run(images: Path, recipe: Recipe, tmp_path: Path) -> dict[str, bytes]:
    run(images, tmp_path / "fresh", recipe)
    return files(tmp_path / "fresh")


def test_an_image_that_moved_keeps_its_results(images: Path, recipe: Recipe, tmp_path: Path) -> None:
    run(images, tmp_path / "out", recipe)
    images.rename(tmp_path / "elsewhere")
    rows, _ = run(tmp_path / "elsewhere", tmp_path / "out", recipe, resume=True)
    assert states(rows) == "skipped skipped skipped skipped"
    assert {Path(row.source["path"]).parent for row in rows} == {tmp_path / "elsewhere"}


def test_a_copy_is_known_by_its_values_and_another_image_is_not_taken_for_it(
    images: Path, recipe: Recipe, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(images, out, recipe)
    before = files(out)
    images.rename(tmp_path / "elsewhere")
    for i in range(N):
        os.utime(tmp_path / "elsewhere" / f"{i}.tif", ns=(1, 1))
    # Of the same name and size in bytes, in the place of one that is away.
    tifffile.imwrite(tmp_path / "elsewhere" / "0.tif", blobs(17).image.astype(np.uint16))
    rows, _ = run(tmp_path / "elsewhere", out, recipe, resume=True)
    assert sorted(states(rows).split()) == ["done", "skipped", "skipped", "skipped"]
    assert {name: files(out)[name] for name in before} == before
    assert len(counts(out)) == N + 1


def test_finding_moved_images_again_reads_no_more_than_it_must_and_can_be_stopped(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = tmp_path / "A01.tif", []
    tifffile.imwrite(path, blobs(2).image.astype(np.uint16))
    size = path.stat().st_size
    hashes = [as_image(blobs(seed).image.astype(np.uint16)).content_hash() for seed in range(3)]

    def known(size: int) -> list[BatchRow]:
        sources = [{"path": str(tmp_path / f"p{i}" / "A01.tif"), "size": size, "mtime_ns": 1} for i in range(3)]
        return [
            BatchRow("A01.tif", state="done", stem=f"A01_{i}", source=sources[i], image_sha256=hashes[i])
            for i in range(3)
        ]

    def reading(*args: Any, **options: Any) -> Any:
        read.append(args[0])
        return read_image(*args, **options)

    monkeypatch.setattr(planning, "read_image", reading)
    assert planning.plan([(path, "A01.tif")], known(size))[0].stem == "A01_2" and read == [path]
    assert planning.plan([(path, "A01.tif")], known(size + 1))[0].stem == "A01" and read == [path]
    for row in known(size):
        put_rows(tmp_path / "out", row)
    steps = iter_batch([(path, "A01.tif")], tmp_path / "out", recipe, ON_CPU, stop=lambda: True)
    assert next(steps) == Planned(("A01.tif",))
    rows, summary = drain_rows(steps)
    assert summary.stopped and not rows and read == [path]


def test_another_plate_with_equal_names_never_takes_the_place_of_the_first(recipe: Recipe, tmp_path: Path) -> None:
    for plate, seed in (("p1", 1), ("p2", 2)):
        (tmp_path / plate).mkdir()
        tifffile.imwrite(tmp_path / plate / "A01.tif", blobs(seed).image.astype(np.uint16))
    out, wanted = tmp_path / "out", saving("labels", "cells", "rle", "submission")
    (first,), _ = run(tmp_path / "p1", out, recipe, wanted)
    before = (out / first.files["labels"]).read_bytes()
    (second,), _ = run(tmp_path / "p2", out, recipe, wanted)
    assert second.stem != first.stem and (out / first.files["labels"]).read_bytes() == before
    # The tables tell them apart, each by the same name.
    found = {"p1/A01.tif": first.count, "p2/A01.tif": second.count}
    assert {line["image"]: int(line["count"]) for line in counts(out)} == found
    assert {name: int(count) for name, count in table(out / "submission.csv")[1:]} == found
    cells = [line[0] for line in table(out / "cells.csv")[1:]]
    assert {name: cells.count(name) for name in cells} == found
    assert {line[0] for line in table(out / "rle.csv")[1:]} == {"p1/A01", "p2/A01"}


def test_labels_of_a_person_outlive_an_image_that_is_away(images: Path, recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (row, *_), _ = run(images, out, recipe)
    write_labels(out / row.files["labels"], np.ones((96, 96), np.uint16), metadata={"corrected": True})
    put_rows(out, replace(row, corrected=True, count=1))
    listed = find_images(images)
    (images / "0.tif").rename(tmp_path / "away.tif")
    rows, _ = drain_rows(iter_batch(listed, out, recipe, ON_CPU, resume=True))
    assert rows[0].state == "failed" and "does not exist" in rows[0].error
    assert (counts(out)[0]["count"], counts(out)[0]["corrected"], counts(out)[0]["error"]) == ("1", "yes", "")
    (tmp_path / "away.tif").rename(images / "0.tif")
    (again, *_), _ = run(images, out, recipe, saving("labels", "cells"), resume=True)
    assert (again.state, again.count) == ("kept", 1) and "cells were not written" in again.notes[0]


def test_corrected_images_of_a_copied_folder_are_looked_into_once(
    images: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, opened = tmp_path / "out", []
    (row, *_), _ = run(images, out, recipe)
    write_labels(out / row.files["labels"], np.ones((96, 96), np.uint16), metadata={"corrected": True})
    put_rows(out, replace(row, corrected=True, count=1))
    images.rename(tmp_path / "copy")
    path = tmp_path / "copy" / "0.tif"
    os.utime(path, ns=(1, 1))

    def opening(*args: Any) -> Any:
        opened.append(args[0])
        return open_image(*args)

    monkeypatch.setattr(kept, "open_image", opening)
    for _ in range(2):
        (again, *_), _ = run(tmp_path / "copy", out, recipe, resume=True)
        assert (again.state, again.count, opened) == ("kept", 1, [str(path)])
        stored = Ledger(out).get(row.key)
        assert stored is not None and stored.corrected and stored.count == 1
        assert dict(stored.source) == {"path": str(path), **source_stamp(path)}
    # What it was when it was corrected stays known when it becomes another.
    tifffile.imwrite(path, blobs(17).image.astype(np.uint16))
    assert run(path, out, recipe, resume=True)[0][0].error
    changed = Ledger(out).get(row.key)
    assert changed is not None and changed.error and changed.source == stored.source


def test_files_of_an_earlier_recipe_are_told(images: Path, recipe: Recipe, tmp_path: Path) -> None:
    run(images, tmp_path / "out", recipe, saving("labels", "overlay"))
    events = list(iter_batch(find_images(images), tmp_path / "out", replace(recipe, threshold=0.8), ON_CPU))
    (note,) = [event for event in events if isinstance(event, Note)]
    assert "Pictures with outlines" in note.text
    same = list(iter_batch(find_images(images), tmp_path / "out", replace(recipe, threshold=0.8), ON_CPU))
    assert not [event for event in same if isinstance(event, Note)]


def test_a_copy_of_an_image_is_pointed_out(images: Path, recipe: Recipe, tmp_path: Path) -> None:
    shutil.copy(images / "0.tif", images / "copy.tif")
    events = list(iter_batch(find_images(images), tmp_path / "out", recipe, ON_CPU))
    (note,) = [event.text for event in events if isinstance(event, Note)]
    assert "0.tif, copy.tif. Remove the copies" in note
    noted = {line["image"]: line["notes"] for line in counts(tmp_path / "out")}
    assert "equal to those of copy.tif" in noted["0.tif"] and "equal to those of 0.tif" in noted["copy.tif"]
    assert not any("equal to those" in noted[f"{i}.tif"] for i in range(1, N))


def test_an_image_is_never_replaced_by_a_result(recipe: Recipe, tmp_path: Path) -> None:
    for name in ("a.png", "a_overlay.png"):
        skimage.io.imsave(tmp_path / name, blobs(0).image.astype(np.uint8), check_contrast=False)
    before = (tmp_path / "a_overlay.png").read_bytes()
    with pytest.raises(OutputError, match="is one of the images"):
        run(tmp_path, tmp_path, recipe, saving("labels", "overlay"))
    assert (tmp_path / "a_overlay.png").read_bytes() == before


def test_no_link_leads_a_result_to_an_image(recipe: Recipe, tmp_path: Path) -> None:
    there, out = tmp_path / "there", tmp_path / "out"
    there.mkdir()
    out.mkdir()
    for name in ("a.png", "a_overlay.png"):
        skimage.io.imsave(there / name, blobs(0).image.astype(np.uint8), check_contrast=False)
    before = (there / "a_overlay.png").read_bytes()
    given = [(there / "a.png", "a.png"), (there / "a_overlay.png", "b.png")]
    (out / "a_overlay.png").symlink_to(there / "a_overlay.png")
    (tmp_path / "linked").symlink_to(there)
    for folder in (out, tmp_path / "linked"):
        for overwrite in (False, True):
            steps = iter_batch(given, folder, recipe, saving("labels", "overlay"), overwrite=overwrite)
            with pytest.raises(OutputError, match="is one of the images"):
                drain_rows(steps)
    # Results of single planes have names of their own.
    write_labels(there / "s_z001_overlay.png", np.ones((8, 9), int))
    tifffile.imwrite(there / "s.tif", np.ones((2, 8, 9), np.uint8), metadata={"axes": "ZYX"})
    pair = [(there / "s.tif", "s.tif"), (there / "s_z001_overlay.png", "b.png")]
    with pytest.raises(OutputError, match="is one of the images"):
        drain_rows(iter_batch(pair, there, replace(recipe, pages="each"), saving("overlay")))
    assert (there / "a_overlay.png").read_bytes() == before


@pytest.mark.parametrize("name", ["cells.csv", "recipe.json", "rle.csv", "submission.csv"])
def test_files_of_others_stop_a_batch_before_it_begins(name: str, images: Path, recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    # The two of Kaggle are everybody's form.
    contents = {
        "rle.csv": "ImageId,EncodedPixels\na,1 2\n",
        "submission.csv": "image,count\na,7\n",
        "recipe.json": "{}",
    }
    (out / name).write_text(contents.get(name, "Label,Area\n1,7\n"))
    options = saving("labels", "cells", "rle", "submission")
    with pytest.raises(OutputError, match=f"{name} was not written by napari-cellseg"):
        run(images, out, recipe, options)
    assert not list(out.glob("*.tif")) and (out / name).read_text() == contents.get(name, "Label,Area\n1,7\n")
    assert states(run(images, out, recipe, options, overwrite=True)[0]) == "done " * (N - 1) + "done"
    assert states(run(images, out, recipe, options)[0]) == "done " * (N - 1) + "done"


def test_files_of_others_beside_the_labels_fail_their_image_only(images: Path, recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    options = saving("labels", "overlay", "rois", "geojson", "probability")
    foreign = {
        "0_overlay.png": b"\x89PNG",
        "1_rois.zip": b"PK",
        "2_outlines.geojson": b"{}",
        "3_probability.tif": b"II",
    }
    for name, content in foreign.items():
        (out / name).write_bytes(content)
    (images / "4.tif").write_bytes((images / "0.tif").read_bytes())
    rows, _ = run(images, out, recipe, options)
    assert states(rows) == "failed failed failed failed done"
    assert all("was not written by" in row.error for row in rows[:-1])
    assert {name: (out / name).read_bytes() for name in foreign} == foreign
    assert states(run(images, out, recipe, options, overwrite=True)[0]) == "done done done done done"
    # What this package wrote is replaced, also where the ledger is gone.
    shutil.rmtree(out / ".cellseg")
    assert states(run(images, out, recipe, options)[0]) == "done done done done done"


def test_an_absurd_pixel_size_is_not_believed(recipe: Recipe, tmp_path: Path) -> None:
    image = blobs(0).image.astype(np.uint16)
    (tmp_path / "in").mkdir()
    for i, size in enumerate((1e200, 1e-200, 3e-6, 1e9)):
        scale = {"axes": "YX", "PhysicalSizeX": size, "PhysicalSizeY": size}
        tifffile.imwrite(tmp_path / "in" / f"{i}.ome.tif", image, metadata=scale)
    rows, _ = run(tmp_path / "in", tmp_path / "out", recipe, saving("labels", "cells", "geojson"))
    assert states(rows) == "done done done done"
    assert [row.pixel_area_um2 is None for row in rows] == [True, True, False, False]


def test_what_cannot_fit_into_memory_is_refused_before_it_is_tried(
    images: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_cellseg.imaging.memory.free_bytes", lambda: 20_000_000)
    tifffile.imwrite(images / "big.tif", np.zeros((1500, 1500), np.uint8), compression="zlib")
    rows, _ = run(images, tmp_path / "out", recipe)
    assert states(rows) == "done done done done failed" and "does not fit into memory" in rows[-1].error


def test_what_a_person_corrected_is_kept_until_overwriting_is_asked_for(
    images: Path, recipe: Recipe, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (row, *_), _ = run(images, out, recipe)
    labels = read_labels(out / row.files["labels"])
    labels[labels > np.median(labels[labels > 0])] = 0
    write_labels(out / row.files["labels"], labels, metadata={"corrected": True})
    put_rows(out, replace(row, corrected=True, count=len(np.unique(labels)) - 1, doubt=None))
    before = (out / row.files["labels"]).read_bytes()
    for options in ({}, {"resume": True}):
        (first, *others), summary = run(images, out, recipe, **options)
        assert (first.state, first.count, first.corrected) == ("kept", len(np.unique(labels)) - 1, True)
        assert summary.n_kept == 1 and not any(other.corrected for other in others)
        assert counts(out)[0]["corrected"] == "yes" and int(counts(out)[0]["count"]) == first.count
        assert (out / row.files["labels"]).read_bytes() == before
    tifffile.imwrite(images / "0.tif", blobs(17).image.astype(np.uint16))
    (first, *_), _ = run(images, out, recipe, resume=True)
    assert first.state == "kept" and "changed" in first.notes[0]
    assert counts(out)[0]["error"] == first.error != ""
    (first, *_), _ = run(images, out, recipe, resume=True, overwrite=True)
    assert first.state == "done" and counts(out)[0]["corrected"] == ""
    assert not read_metadata(out / row.files["labels"])["corrected"]


def test_labels_that_another_program_corrected_are_counted_as_they_are(recipe: Recipe, tmp_path: Path) -> None:
    path, out = tmp_path / "a.tif", tmp_path / "out"
    scale = {"axes": "YX", "unit": "um"}
    tifffile.imwrite(path, blobs(1).image.astype(np.uint16), imagej=True, resolution=(2, 4), metadata=scale)
    wanted = saving("labels", "cells")
    (row,), _ = run(path, out, recipe, wanted)
    labels, about = read_labels(out / "a_labels.tif"), read_metadata(out / "a_labels.tif")
    labels[labels != 1] = 0
    write_labels(out / "a_labels.tif", labels, metadata={**about, "corrected": True}, pixel_size=(0.25, 0.5))
    area = int((labels > 0).sum())
    for known in (True, False):
        if not known:
            shutil.rmtree(out / ".cellseg")
            (out / "counts.csv").unlink()
        (kept,), _ = run(path, out, recipe, wanted)
        assert (kept.state, kept.count, kept.doubt) == ("kept", 1, None) and row.count != 1
        (line,) = counts(out)
        assert (line["count"], float(line["median_area_px"]), line["corrected"]) == ("1", area, "yes")
        assert float(line["median_area_um2"]) == pytest.approx(area / 8)
        assert len(table(out / "cells.csv")) == 1, "no cells of other labels"


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("border", [0, 9])
def test_corrected_labels_of_an_image_that_became_another_are_no_result_in_silence(
    border: int, known: bool, recipe: Recipe, tmp_path: Path
) -> None:
    path, out = tmp_path / "a.tif", tmp_path / "out"
    tifffile.imwrite(path, blobs(1).image.astype(np.uint16))
    run(path, out, recipe)
    labels, about = read_labels(out / "a_labels.tif"), read_metadata(out / "a_labels.tif")
    write_labels(out / "a_labels.tif", labels, metadata={**about, "corrected": True})
    if not known:
        shutil.rmtree(out / ".cellseg")
        (out / "counts.csv").unlink()
    tifffile.imwrite(path, np.pad(blobs(2).image, border).astype(np.uint16))
    for _ in range(2):
        (kept,), _ = run(path, out, recipe, resume=True)
        assert kept.state == "kept" and "changed" in kept.notes[0]
        assert "a_labels.tif" in kept.error and counts(out)[0]["error"] == kept.error
        np.testing.assert_array_equal(read_labels(out / "a_labels.tif"), labels)
    if not border:
        # The first one comes back, written anew.
        tifffile.imwrite(path, blobs(1).image.astype(np.uint16))
        (kept,), _ = run(path, out, recipe, resume=True)
        assert kept.state == "kept" and not kept.error and not kept.notes
        assert counts(out)[0]["error"] == ""


def test_a_result_that_is_corrected_while_the_batch_runs_is_kept(
    images: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(images, out, recipe)
    mine = np.ones((96, 96), np.uint16)

    def correct(*args: Any) -> None:
        """A person saves just when the cells of the image are about to be written."""
        write_labels(out / "0_labels.tif", mine, metadata={"corrected": True})
        put_rows(
            out, BatchRow("0.tif", state="done", count=1, stem="0", corrected=True, files={"labels": "0_labels.tif"})
        )
        finish(*args)

    finish = pipeline.finish
    monkeypatch.setattr(pipeline, "finish", correct)
    run(images, out, recipe)
    np.testing.assert_array_equal(read_labels(out / "0_labels.tif"), mine)
    assert (counts(out)[0]["count"], counts(out)[0]["corrected"]) == ("1", "yes")
    assert len(counts(out)) == N


def test_pages_become_a_result_each_or_one_stack_or_are_refused(recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    planes = np.stack([blobs(i).image.astype(np.uint16) for i in range(3)])
    tifffile.imwrite(folder / "a.tif", planes, imagej=True, metadata={"axes": "ZYX"})
    tifffile.imwrite(folder / "a_z001.tif", planes[0])
    expected = [segment(plane, recipe, device="cpu").labels for plane in planes]

    rows, _ = run(folder, tmp_path / "one", recipe)
    assert states(rows) == "failed done" and "--pages" in rows[0].error

    rows, _ = run(folder, tmp_path / "each", replace(recipe, pages="each"), saving("labels", "cells", "rle"))
    assert [row.page for row in rows] == ["z000", "z001", "z002", ""] and states(rows) == "done done done done"
    assert len({row.files["labels"] for row in rows}) == 4  # a_z001.tif is not taken for a page of a.tif
    for row, labels in zip(rows, [*expected, expected[0]], strict=True):
        np.testing.assert_array_equal(read_labels(tmp_path / "each" / row.files["labels"]), labels)
        assert row.count == len(np.unique(labels)) - 1
    with (tmp_path / "each" / "cells.csv").open(newline="") as file:
        found = [(line["image"], line["page"]) for line in csv.DictReader(file)]
    assert {name: found.count(name) for name in found} == {
        (row.image, row.page): row.count for row in rows if row.count
    }

    rows, _ = run(folder, tmp_path / "stack", replace(recipe, pages="stack"))
    assert {row.files["labels"] for row in rows[:3]} == {"a_labels.tif"}
    labels, axes = read_label_stack(tmp_path / "stack" / "a_labels.tif")
    np.testing.assert_array_equal(labels, np.stack(expected))
    assert axes == "ZYX"
    metadata = read_metadata(tmp_path / "stack" / "a_labels.tif")
    assert metadata["count"] == sum(row.count or 0 for row in rows[:3]) and set(metadata["counts"]) == {
        "z000",
        "z001",
        "z002",
    }
    for kind in ("each", "stack"):
        rows, _ = run(folder, tmp_path / kind, replace(recipe, pages=kind), resume=True)
        assert states(rows) == "skipped skipped skipped skipped"

    tifffile.imwrite(folder / "a.tif", planes[:2], imagej=True, metadata={"axes": "ZYX"})
    run(folder, tmp_path / "each", replace(recipe, pages="each"), resume=True)
    assert [(line["image"], line["page"]) for line in counts(tmp_path / "each")] == [
        ("a.tif", "z000"), ("a.tif", "z001"), ("a_z001.tif", ""),
    ]  # fmt: skip


def test_stopping_keeps_what_is_done_and_resuming_gives_what_an_unbroken_run_gives(
    images: Path, recipe: Recipe, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    seen: list[BatchRow] = []
    steps = iter_batch(find_images(images), out, recipe, ON_CPU, stop=lambda: bool(seen))
    while True:
        try:
            event = next(steps)
        except StopIteration as stop:
            summary = stop.value
            break
        seen += [event.row] if isinstance(event, RowDone) else []
    assert summary.stopped and 1 <= summary.n_done < N and summary.n_done == len(seen) == len(counts(out))
    rows, _ = run(images, out, recipe, resume=True)
    assert sorted(states(rows).split()) == ["done"] * (N - len(seen)) + ["skipped"] * len(seen)
    assert files(out) == files_of_a_fresh_run(images, recipe, tmp_path)


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_a_folder_that_goes_away_is_told_at_once_and_counts_agree_with_files(
    how: str, images: Path, recipe: Recipe, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    steps = iter_batch(find_images(images, recursive=True), out, recipe, ON_CPU)
    next(event for event in steps if isinstance(event, RowDone))
    out.rename(tmp_path / "elsewhere")
    if how == "deleted":
        shutil.rmtree(tmp_path / "elsewhere", ignore_errors=True)
    with pytest.raises(OutputError, match="was deleted or moved while results were written"):
        drain_rows(steps)
    listed = {line["labels"] for line in counts(out)} if (out / "counts.csv").exists() else set()
    assert listed <= {path.name for path in out.glob("*.tif")}
    run(images, out, recipe, resume=True)
    assert len(counts(out)) == len(list(out.glob("*.tif"))) == N


def test_closing_cancels_before_the_next_batch_of_tiles(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "large.tif", np.tile(blobs(1).image.astype(np.uint16), (30, 30)))
    steps = iter_batch(find_images(tmp_path / "in"), tmp_path / "out", recipe, ON_CPU)
    for event in steps:
        if getattr(event, "total", 0) > 1:
            break
    steps.close()
    assert not list((tmp_path / "out").glob("*.tif")) and not counts(tmp_path / "out")
    assert not Ledger(tmp_path / "out").rows()


def test_a_second_batch_into_one_folder_is_refused_in_words(images: Path, recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "out"
    steps = iter_batch(find_images(images), out, recipe, ON_CPU)
    next(steps)
    with pytest.raises(OutputError, match=f"Another batch.*process {os.getpid()}"):
        run(images, out, recipe)
    steps.close()
    assert run(images, out, recipe)[1].n_done == N


def test_combined_tables_hold_all_images_of_the_folder(images: Path, recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copy(images / "0.tif", tmp_path / "first.tif")
    tifffile.imwrite(images / "empty.tif", np.zeros((96, 96), np.uint8))
    tifffile.imwrite(images / "sized.tif", blobs(5).image, resolution=(2, 2), metadata={"unit": "um"}, imagej=True)
    (images / "bad.tif").write_bytes(b"no image")
    wanted = saving("labels", "cells", "rle", "submission")
    run(tmp_path / "first.tif", out, recipe, wanted)
    rows, _ = run(images, out, recipe, wanted)
    assert [row.image for row in rows if row.state == "failed"] == ["bad.tif"]
    all_rows = {row.image: row for row in Ledger(out).rows()}
    assert len(all_rows) == N + 4
    with (out / "cells.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    for name, row in all_rows.items():
        own = [line for line in cells if line["image"] == name]
        assert len(own) == (row.count or 0)
        assert all(bool(line["area_um2"]) == (name == "sized.tif") for line in own)
        if row.state == "done":
            labels = read_labels(out / row.files["labels"])
            assert [int(line["index"]) for line in own] == np.unique(labels)[1:].tolist()
    with (out / "rle.csv").open(newline="") as file:
        reader = csv.reader(file)
        assert next(reader) == ["ImageId", "EncodedPixels"]
        masks = [(name, rle_decode(text, (96, 96))) for name, text in reader]
    for name, row in all_rows.items():
        union = np.any([mask for id_, mask in masks if id_ == Path(name).stem] or [np.zeros((96, 96), bool)], axis=0)
        labels = read_labels(out / row.files["labels"]) if row.state == "done" else np.zeros((96, 96))
        np.testing.assert_array_equal(union, labels > 0)
    with (out / "submission.csv").open(newline="") as file:
        submitted = dict(list(csv.reader(file))[1:])
    assert submitted == {name: "" if row.count is None else str(row.count) for name, row in all_rows.items()}


def test_events_tell_the_story_in_order(images: Path, recipe: Recipe, tmp_path: Path) -> None:
    events = list(iter_batch(find_images(images), tmp_path / "out", recipe, ON_CPU))
    assert events[0] == Planned(tuple(f"{i}.tif" for i in range(N)))
    kinds = [type(event) for event in events]
    assert kinds.count(Running) == kinds.count(RowDone) == N and Note not in kinds
    for i in range(N):
        running = events.index(Running(f"{i}.tif"))
        done = next(j for j, event in enumerate(events) if isinstance(event, RowDone) and event.row.image == f"{i}.tif")
        assert running < done


def test_another_model_of_the_same_name_is_refused(recipe: Recipe, images: Path, tmp_path: Path) -> None:
    other = make_model(tmp_path / "other" / "tiny", seed=1)
    pinned = replace(recipe.resolved(), model=str(other.path))
    for ask in (
        pinned.digest,
        lambda: run(images, tmp_path / "out", pinned),
        lambda: drain(iter_predict_image(as_image(blobs(0).image), pinned)),
    ):
        with pytest.raises(ModelError) as caught:
            ask()
        assert other.sha256 in str(caught.value) and str(pinned.model_sha256) in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_every_image_has_the_smallest_size_that_suits_it(tmp_path: Path) -> None:
    """The same cells, and at a quarter of the size: whole or in blocks, and by themselves."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    large = read_image(SAMPLES / "fluorescence.png").plane()[:200, :200]
    skimage.io.imsave(folder / "large.png", large)
    skimage.io.imsave(folder / "small.png", large.reshape(50, 4, 50, 4).mean(axis=(1, 3)).astype(np.uint8))
    recipe = Recipe("cells")
    rows, _ = run(folder, out, recipe)
    sizes = {row.title: row.min_size for row in rows}
    assert sizes["large.png"] == recipe.load_model().min_size and 4 <= (sizes["small.png"] or 0) < 20
    for row in rows:
        alone = drain(iter_predict_image(read_image(folder / row.title), recipe)).result()
        assert (row.count, row.min_size) == (alone.count, alone.min_size) and row.count
        assert np.array_equal(read_labels(out / row.files["labels"]), alone.labels)
        about = read_metadata(out / row.files["labels"])
        assert (about["min_size"], about["recipe_sha256"]) == (row.min_size, row.recipe), "one recipe for both"
        same = drain(iter_predict_image(read_image(folder / row.title), Recipe.from_dict(about["recipe"]))).result()
        assert np.array_equal(same.labels, alone.labels)
    assert states(run(folder, out, recipe, resume=True)[0]) == "skipped skipped"
    in_blocks, _ = run(folder, tmp_path / "blocks", recipe, RunOptions(blocks=True))
    assert [(row.count, row.min_size) for row in in_blocks] == [(row.count, row.min_size) for row in rows]


def test_what_a_recipe_leaves_open_is_fixed_once_it_is_resolved(tmp_path: Path) -> None:
    made = make_model(tmp_path / "m", min_size=25)
    write_config(
        made.path, config=made.config, normalizer=made.normalizer, split=made.split, threshold=0.5, min_size=25,
        diameter=20.0,
    )  # fmt: skip
    model = read_version(made.path)
    left_open = Recipe(str(model.path))
    first = left_open.resolved()
    assert (first.min_size, first.fit_min_size) == (25, True)
    assert [first.smallest(model, d) for d in (None, 30.0, 10.0)] == [25, 25, 15]
    assert replace(first, min_size=25, fit_min_size=False).digest() != first.digest() == left_open.digest()
    for fixed in ({"min_size": 25}, {"pages": "stack"}, {"pages": "stack", "link": "t"}, {"diameter": 0.0}):
        chosen = replace(left_open, **fixed).resolved()
        assert (chosen.min_size, chosen.fit_min_size) == (25, False), fixed
        assert chosen.smallest(model, 10.0) == 25, fixed
    assert not replace(first, pages="stack").resolved().fit_min_size
    set_defaults(model, 0.3, 60)
    again = Recipe.from_dict(json.loads(json.dumps(first.to_dict())))
    assert again.resolved() == first and again.smallest(model, 10.0) == 15, "another default changes no old recipe"
    assert again.digest() == first.digest() != left_open.digest()
    with pytest.raises(ParamsError, match="fit_min_size"):
        replace(first, fit_min_size=1)


def test_the_digest_is_about_what_decides_labels(recipe: Recipe, tmp_path: Path) -> None:
    model = recipe.load_model()
    shutil.copytree(model.path, tmp_path / "copied")
    same = [
        recipe.resolved(),
        replace(recipe, model=str(tmp_path / "copied")),
        replace(recipe, normalizer=model.normalizer),
        replace(recipe, threshold=model.threshold, min_size=model.min_size),
        Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))),
    ]
    assert {one.digest() for one in same} == {recipe.digest()}
    other = [
        replace(recipe, threshold=0.4),
        replace(recipe, min_size=1),
        replace(recipe, channel=1),
        replace(recipe, normalizer=NormalizerParams(3, 97)),
        replace(recipe, pages="each"),
        replace(recipe, model=str(make_model(tmp_path / "else", seed=3).path)),
    ]
    assert len({one.digest() for one in [recipe, *other]}) == len(other) + 1
    # The same weights, but other words beside them.
    beside = [replace(model, diameter=99.0), replace(model, split=replace(model.split, prominence=0.9))]
    assert len({recipe.digest(one) for one in [model, *beside]}) == 3


def test_the_normaliser_of_the_recipe_is_used(recipe: Recipe) -> None:
    image = as_image(blobs(2).image)
    own = drain(iter_predict_image(image, replace(recipe, normalizer=NormalizerParams(40, 60))))
    models = drain(iter_predict_image(image, recipe))
    assert np.abs(own.prediction.probability - models.prediction.probability).max() > 0.1


def test_recipes_survive_the_disk_and_old_ones_are_read(recipe: Recipe, tmp_path: Path) -> None:
    full = replace(recipe.resolved(), normalizer=NormalizerParams(2, 99), pages="stack", axes="ZYX")
    options = RunOptions("cpu", ("labels", "rle"))
    full.write(tmp_path / "r.json", options)
    assert Recipe.read(tmp_path / "r.json") == full and RunOptions.read(tmp_path / "r.json") == options
    old = {"model": "cells", "threshold": 0.5, "min_size": 20, "channel": None, "axes": None, "device": "auto"}
    (tmp_path / "old.json").write_text(json.dumps({"recipe": old, "model_sha256": "0" * 64, "versions": {}}))
    assert Recipe.read(tmp_path / "old.json") == Recipe("cells", 0.5, 20)
    assert RunOptions.read(tmp_path / "old.json") == RunOptions()
    for wrong in (
        {"pages": "all"},
        {"model_sha256": "abc"},
        {"normalizer": {"low": 9, "high": 1}},
    ):
        with pytest.raises(ParamsError):
            Recipe.from_dict(wrong)
    for wrong_option in ({"outputs": "labels"}, {"device": "tpu"}, {"blocks": 1}):
        with pytest.raises(ParamsError):
            RunOptions.from_dict(wrong_option)


def test_one_bug_in_one_image_does_not_stop_the_others(
    images: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cellseg.batch import item

    reading = item.open_image

    def odd(path: Path, axes: Any) -> Any:
        if path.name == "1.tif":
            raise ZeroDivisionError("a reader of somebody else")
        if path.name == "2.tif":
            raise MemoryError
        return reading(path, axes)

    monkeypatch.setattr(item, "open_image", odd)
    rows, summary = run(images, tmp_path / "out", recipe)
    assert states(rows) == "done failed failed done" and summary.n_failed == 2
    assert "ZeroDivisionError" in rows[1].error and "memory" in rows[2].error


def test_rows_survive_json() -> None:
    row = BatchRow("ä b.tif", "t1", "done", 3, notes=("n",), files={"labels": "x"}, source={"size": 3}, n_pages=2)
    assert BatchRow.from_dict(json.loads(json.dumps({**row.to_dict(), "of a later version": 1}))) == row
    with pytest.raises(ParamsError):
        BatchRow.from_dict({"page": ""})
    with pytest.raises(ParamsError):
        BatchRow("a", state="lost")  # type: ignore[arg-type]


def test_the_doubt_of_an_image_may_be_that_of_a_part_of_its_cells() -> None:
    image = read_image(Path(napari_cellseg.__file__).parent / "samples" / "fluorescence_dense.png")
    found = drain(iter_predict_image(image, Recipe()))
    every, some = mean_doubt(found, 10**6), mean_doubt(found, 30)
    assert found.result().count > 60 and every is not None and some is not None
    assert 0 < every < 1 and some == pytest.approx(every, abs=0.1)
    blank = drain(iter_predict_image(as_image(np.zeros((40, 40))), Recipe()))
    assert mean_doubt(blank) is None


def test_a_stack_that_is_corrected_while_it_is_segmented_again_stays(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cellseg.batch import item

    film = np.stack([blobs(seed, 64).image for seed in range(3)]).astype(np.uint8)
    path, out = tmp_path / "f.tif", tmp_path / "out"
    tifffile.imwrite(path, film, imagej=True, metadata={"axes": "TYX"})
    stacked, options = replace(recipe, pages="stack"), saving("labels", "cells")
    images = find_images([path])
    drain(iter_batch(images, out, stacked, options))
    labels = out / "f_labels.tif"
    tables = {p.name: p.read_bytes() for p in (out / ".cellseg" / "parts").glob("*t001*.csv")}
    prepare, seen = item.prepare, []

    def correcting(image: Any, *more: Any) -> Any:
        seen.append(image.name)
        if len(seen) == 2:
            stack, axes = read_label_stack(labels)
            stack[1] = 0
            write_labels(labels, stack, metadata={**read_metadata(labels), "corrected": True}, axes=axes)
            old = next(row for row in Ledger(out).rows() if row.page == "t001")
            put_rows(out, replace(old, count=0, corrected=True))
        return prepare(image, *more)

    monkeypatch.setattr(item, "prepare", correcting)
    summary = drain(iter_batch(images, out, replace(stacked, threshold=0.7), options, resume=False))
    assert len(seen) == 3 and summary.n_failed == 0
    assert not read_label_stack(labels)[0][1].any() and read_metadata(labels)["corrected"]
    rows = {row.page: row for row in Ledger(out).rows()}
    assert rows["t001"].corrected and rows["t001"].count == 0
    assert {p.name: p.read_bytes() for p in (out / ".cellseg" / "parts").glob("*t001*.csv")} == tables
