"""The training set's folder: what goes in comes out, and damage is named without hiding the rest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.imaging.errors import DatasetError, OutputError
from napari_cellseg.imaging.write.write import write_labels
from napari_cellseg.training.data.datasets import Sample, read_dataset
from napari_cellseg.training.data.hold_out import count_cells, hold_out, keep_inside, reviewed_area
from napari_cellseg.training.data.training_set import DuplicateError, TrainingSet
from tests.blobs import blobs


def grown(tmp_path: Path, n: int = 2) -> TrainingSet:
    opened = TrainingSet.open(tmp_path / "my set", create=True)
    for i in range(n):
        sample = blobs(i)
        reviewed = np.zeros(sample.labels.shape, bool)
        reviewed[:, : 40 + 10 * i] = True
        opened.add(f"image {i}", sample.image, sample.labels, reviewed, {"model": {"name": "cells"}})
    return opened


@pytest.mark.parametrize(
    "image",
    [
        np.arange(600, dtype=np.uint8).reshape(20, 30) % 251,
        np.arange(600, dtype=">u2").reshape(20, 30),
        np.linspace(-3, 9, 600, dtype=np.float32).reshape(20, 30),
        np.linspace(-3, 9, 600).reshape(20, 30),
        np.arange(600, dtype=np.int32).reshape(20, 30) - 300,
        np.arange(600).reshape(20, 30) % 7 > 3,
        (np.arange(1800) % 255).astype(np.uint8).reshape(20, 30, 3),
        (np.arange(1800) % 999).astype(np.uint16).reshape(20, 30, 3),
    ],
    ids=lambda image: f"{image.dtype}-{image.ndim}",
)
def test_what_goes_in_comes_out(image: np.ndarray, tmp_path: Path) -> None:
    labels = np.zeros((20, 30), np.int32)
    labels[3:9, 3:9], labels[12:18, 20:27] = 7, 70_000
    reviewed = np.zeros((20, 30), bool)
    reviewed[:, :15] = True
    opened = TrainingSet.open(tmp_path / "set", create=True)
    entry = opened.add("a/b: c.tif", image, labels, reviewed, {"source": tmp_path}, pixel_size=(0.5, 0.25))
    assert entry.problem == entry.note == ""
    assert (entry.n_cells, entry.size, entry.reviewed_fraction) == (1, (20, 30), 0.5)
    for sample in (TrainingSet.open(tmp_path / "set").read(entry.name), *read_dataset(tmp_path / "set")):
        np.testing.assert_array_equal(sample.image, image)
        np.testing.assert_array_equal(sample.labels, labels)
        np.testing.assert_array_equal(sample.reviewed, reviewed)
    assert opened.entries() == [entry]


def test_the_same_image_is_one_entry(tmp_path: Path) -> None:
    opened = grown(tmp_path)
    sample = blobs(1)
    with pytest.raises(DuplicateError, match="already, as image 1") as caught:
        opened.add("another name", sample.image, sample.labels)
    assert caught.value.name == "image 1"
    entry = opened.add("another name", sample.image, 0 * sample.labels, replace=True)
    assert (entry.name, entry.n_cells, entry.reviewed_fraction) == ("image 1", 0, 1)
    assert [e.name for e in opened.entries()] == ["image 0", "image 1"]
    # Another image of the same name is another entry.
    assert opened.add("image 1", sample.image + 1, sample.labels).name == "image 1 2"


def test_images_of_one_name_that_are_added_at_once_are_all_there(tmp_path: Path) -> None:
    TrainingSet.open(tmp_path / "set", create=True)
    images = [np.random.default_rng(i).integers(0, 4000, (400, 400), dtype=np.uint16) for i in range(4)]
    together = Barrier(len(images))

    def add(image: np.ndarray) -> str:
        together.wait()
        return TrainingSet.open(tmp_path / "set").add("field", image, np.ones(image.shape, np.int32)).name

    with ThreadPoolExecutor(len(images)) as threads:
        names = list(threads.map(add, images))
    opened = TrainingSet.open(tmp_path / "set")
    assert sorted(names) == opened.names() == ["field", "field 2", "field 3", "field 4"]
    for name, image in zip(names, images, strict=True):
        np.testing.assert_array_equal(opened.read(name).image, image)


def test_what_changed_since_it_was_read_is_not_replaced(tmp_path: Path) -> None:
    opened = grown(tmp_path)
    sample, stamp = opened.read("image 1"), opened.stamp("image 1")
    everywhere = np.ones(sample.labels.shape, bool)
    edited = np.where(sample.labels == sample.labels.max(), 0, sample.labels)
    stamp = opened.put_back("image 1", sample.image, edited, everywhere, stamp)
    np.testing.assert_array_equal(opened.read("image 1").labels, edited)
    assert opened.provenance("image 1")["model"] == {"name": "cells"} and opened.names() == ["image 0", "image 1"]
    # Somebody else adds it again, or removes it and takes its name for another image.
    opened.add("image 1", sample.image, sample.labels, everywhere, replace=True)
    with pytest.raises(DatasetError, match="changed or removed since it was shown"):
        opened.put_back("image 1", sample.image, edited, everywhere, stamp)
    np.testing.assert_array_equal(opened.read("image 1").labels, sample.labels)
    stamp = opened.stamp("image 1")
    opened.remove("image 1")
    with pytest.raises(DatasetError, match="changed or removed since it was shown"):
        opened.put_back("image 1", sample.image, edited, everywhere, stamp)
    opened.add("image 1", sample.image + 1, sample.labels)
    with pytest.raises(DatasetError, match="changed or removed since it was shown"):
        opened.put_back("image 1", sample.image, edited, everywhere, stamp)
    np.testing.assert_array_equal(opened.read("image 1").image, sample.image + 1)


def test_frames_of_one_film_are_not_divided(tmp_path: Path) -> None:
    opened = TrainingSet.open(tmp_path / "set", create=True)
    for i in range(9):
        about = {"source": f"/data/{i // 3}/film.tif"} if i < 6 else {"group": "third", "source": f"/data/{i}.tif"}
        opened.add(f"t{i}", blobs(i).image, blobs(i).labels, provenance=about)
    samples = [opened.read(name) for name in opened.names()]
    assert [sample.group for sample in samples] == ["/data/0/film.tif"] * 3 + ["/data/1/film.tif"] * 3 + ["third"] * 3
    parts = hold_out(samples)
    assert parts.how == "images"
    assert not {sample.group for sample in parts.learned} & {sample.group for sample in parts.held_out}
    # Without a word on where they come from they are images of their own.
    assert [sample.group for sample in map(grown(tmp_path / "other").read, ["image 0", "image 1"])] == [
        "image 0",
        "image 1",
    ]


def test_an_enormous_id_takes_no_memory(tmp_path: Path) -> None:
    opened = grown(tmp_path, 1)
    labels = blobs(0).labels.astype(np.int64)
    labels[labels == labels.max()] = 2_000_000_000
    write_labels(opened.path / "labels/image 0.tif", labels)
    for sample in (opened.read("image 0"), *read_dataset(opened.path)):
        ids = np.unique(labels)
        np.testing.assert_array_equal(ids[sample.labels], labels)


def test_removed_entries_leave_nothing(tmp_path: Path) -> None:
    opened = grown(tmp_path)
    opened.remove("image 0")
    assert opened.names() == ["image 1"]
    assert not [p for p in opened.path.rglob("*") if "image 0" in p.name]
    with pytest.raises(DatasetError, match="no entry image 0"):
        opened.remove("image 0")


def test_a_folder_made_elsewhere_will_do(tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    sample = blobs(0)
    tifffile.imwrite(tmp_path / "images/a.tif", sample.image)
    tifffile.imwrite(tmp_path / "labels/a_labels.tif", sample.labels.astype(np.uint16))
    opened = TrainingSet.open(tmp_path)
    (entry,) = opened.entries()
    assert (entry.name, entry.problem, entry.reviewed_fraction) == ("a", "", 1)
    replaced = opened.add("b", blobs(1).image, blobs(1).labels)
    assert replaced.problem == "" and len(read_dataset(tmp_path)) == 2


DAMAGE = {
    "labels gone": lambda p: (p / "labels/image 0.tif").unlink(),
    "image gone": lambda p: (p / "images/image 0.tif").unlink(),
    "image torn": lambda p: (p / "images/image 0.tif").write_bytes(b"II*\0 torn"),
    "labels of another size": lambda p: tifffile.imwrite(p / "labels/image 0.tif", np.ones((5, 5), np.uint16)),
    "reviewed of another size": lambda p: tifffile.imwrite(p / "reviewed/image 0.tif", np.ones((5, 5), np.uint8)),
    "nothing reviewed": lambda p: tifffile.imwrite(p / "reviewed/image 0.tif", np.zeros((96, 96), np.uint8)),
    "labels no labels": lambda p: tifffile.imwrite(p / "labels/image 0.tif", np.full((96, 96), 0.5, np.float32)),
    "provenance torn": lambda p: (p / "provenance/image 0.json").write_text('{"image'),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_named_and_hides_no_other(damage: str, tmp_path: Path) -> None:
    opened = grown(tmp_path)
    assert not any(entry.problem for entry in opened.entries())
    DAMAGE[damage](opened.path)
    broken, whole = opened.entries()
    assert "image 0" in broken.problem and broken.name == "image 0"
    assert whole.problem == "" and whole.n_cells > 0
    opened.remove("image 0")
    assert [entry.name for entry in opened.entries()] == ["image 1"]


def test_edits_by_other_programs_are_seen(tmp_path: Path) -> None:
    opened = grown(tmp_path, 1)
    (before,) = opened.entries()
    labels = np.zeros((96, 96), np.uint16)
    labels[5:9, 5:9] = 3
    tifffile.imwrite(opened.path / "labels/image 0.tif", labels)
    (opened.path / "reviewed/image 0.tif").unlink()
    (after,) = opened.entries()
    assert (after.n_cells, after.reviewed_fraction, after.note) == (1, 1, "") and before.n_cells > 1
    tifffile.imwrite(opened.path / "images/image 0.tif", blobs(5).image)
    assert "changed after" in opened.entries()[0].note


@pytest.mark.parametrize("case", ["missing", "other things", "newer", "torn"])
def test_folders_that_are_no_training_set(case: str, tmp_path: Path) -> None:
    path = tmp_path / "set"
    if case != "missing":
        path.mkdir()
        name, text = {
            "other things": ("thesis.txt", "x"),
            "newer": ("training_set.json", json.dumps({"format": 99})),
            "torn": ("training_set.json", "{"),
        }[case]
        (path / name).write_text(text)
    with pytest.raises(DatasetError, match="set"):
        TrainingSet.open(path)
    if case == "other things":
        with pytest.raises(DatasetError, match="folder of its own"):
            TrainingSet.open(path, create=True)


def test_nothing_is_lost_when_an_entry_cannot_be_written(tmp_path: Path) -> None:
    opened = grown(tmp_path, 1)
    sample, before = blobs(0), opened.read("image 0")
    shutil.rmtree(opened.path / "provenance")
    (opened.path / "provenance").write_text("a file in the way")
    with pytest.raises(OutputError):
        opened.add("image 9", blobs(9).image, sample.labels)
    (opened.path / "provenance").unlink()
    np.testing.assert_array_equal(opened.read("image 0").labels, before.labels)
    assert not list(opened.path.glob(".adding*"))


@pytest.mark.parametrize("other_suffix", [False, True])
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_entry(
    other_suffix: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never new labels in an old reviewed area: a new cell would be learned as background."""
    opened = grown(tmp_path, 1)
    if other_suffix:
        # As another program may have written it.
        path = opened.path / "labels" / "image 0.tif"
        path.rename(path.with_suffix(".tiff"))
    old, sample = opened.read("image 0"), blobs(5)
    left: list[Path] = []
    real = {name: getattr(os, name) for name in ("rename", "replace", "unlink")}

    def hooked(name: str) -> Callable[..., None]:
        def change(*args: object, **more: object) -> None:
            # What a kill before, or right after, this change of the disk would leave.
            left.append(Path(shutil.copytree(opened.path, tmp_path / f"kill {len(left)}")))
            real[name](*args, **more)

        return change

    for name in real:
        monkeypatch.setattr(os, name, hooked(name))
    opened.put_back("image 0", sample.image, sample.labels, np.ones(old.labels.shape, bool), opened.stamp("image 0"))
    monkeypatch.undo()
    kinds = []
    ways = [lambda folder: TrainingSet.open(folder).read("image 0"), lambda folder: next(iter(read_dataset(folder)))]
    for i, copy in enumerate((*left, opened.path)):
        # Either way of reading comes first, and finishes what was left.
        for way in ways if i % 2 else ways[::-1]:
            read = way(copy)
            assert read.reviewed is not None
            is_new = np.array_equal(read.labels, sample.labels)
            np.testing.assert_array_equal(read.image, sample.image if is_new else old.image)
            np.testing.assert_array_equal(read.labels, sample.labels if is_new else old.labels)
            assert read.reviewed.all() == is_new
            kinds.append(is_new)
        assert not list(copy.glob(".replacing*"))
    assert len(left) > 8 and kinds == sorted(kinds) and not kinds[0]


@pytest.mark.parametrize("case", ["labels", "reviewed", "nothing", "stack"])
def test_what_does_not_fit_is_refused(case: str, tmp_path: Path) -> None:
    sample, opened = blobs(0), TrainingSet.open(tmp_path / "set", create=True)
    image, labels, reviewed = sample.image, sample.labels, np.ones((96, 96), bool)
    if case == "labels":
        labels = labels[:50]
    elif case == "stack":
        image = np.stack([image, image])
    else:
        reviewed = np.zeros((96, 96), bool) if case == "nothing" else reviewed[:, :7]
    with pytest.raises(DatasetError, match=r"pixels|reviewed|\(Y, X\)"):
        opened.add("a", image, labels, reviewed)
    assert opened.names() == []


@given(
    n_images=st.integers(1, 5),
    fraction=st.floats(0.05, 0.5),
    seed=st.integers(0, 20),
    part=st.floats(0.2, 1),
    n_cells=st.integers(0, 12),
)
def test_what_is_held_out_is_not_learned(n_images: int, fraction: float, seed: int, part: float, n_cells: int) -> None:
    samples = []
    for i in range(n_images):
        sample = blobs(seed + i, n=n_cells)
        reviewed = np.zeros(sample.labels.shape, bool)
        reviewed[: round(96 * part)] = True
        samples.append(Sample(str(i), sample.image, sample.labels, group=str(i), reviewed=reviewed))
    parts = hold_out(samples, fraction, seed)
    assert {s.name for s in parts.learned} <= {s.name for s in samples} and parts.learned
    if parts.how == "none":
        assert all(count_cells([sample]) < 4 for sample in samples)
        return
    assert count_cells(parts.held_out) > 0
    if parts.how == "images":
        assert not {s.name for s in parts.learned} & {s.name for s in parts.held_out}
        return
    learned = {s.name: s for s in parts.learned}
    for kept in parts.held_out:
        ours, theirs = reviewed_area(learned[kept.name]), reviewed_area(kept)
        assert not (ours & theirs).any()
        assert not ((ours | theirs) & ~samples[int(kept.name)].reviewed).any()
        cells_learned = set(np.unique(keep_inside(kept.labels, ours))) - {0}
        assert not cells_learned & (set(np.unique(keep_inside(kept.labels, theirs))) - {0})
        assert cells_learned


@given(st.integers(0, 50))
def test_cells_more_than_half_inside_are_kept(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = blobs(seed).labels
    area = np.zeros(labels.shape, bool)
    area[rng.integers(0, 60) :, rng.integers(0, 60) :] = True
    kept = keep_inside(labels, area)
    for i in np.unique(labels)[1:]:
        expected = (labels == i) & (2 * np.count_nonzero(area[labels == i]) > np.count_nonzero(labels == i))
        np.testing.assert_array_equal(kept == i, expected)
