"""Masks as microscopists have them: beside the images, in files of Cellpose, StarDist, ImageJ, QuPath and COCO."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from napari_cellseg.corrections.exchange import read_corrections
from napari_cellseg.imaging import DatasetError, drain
from napari_cellseg.instances.measure import measure
from napari_cellseg.results.formats.geojson import write_geojson
from napari_cellseg.results.formats.rois import write_rois
from napari_cellseg.training.data.loading import Loaded, iter_load
from napari_cellseg.training.data.reading import iter_training_images
from tests.blobs import blobs

SAMPLE = blobs(0)
IDS = np.unique(SAMPLE.labels[SAMPLE.labels > 0])
LABELS = np.where(SAMPLE.labels > 0, np.searchsorted(IDS, SAMPLE.labels) + 1, 0).astype(np.int32)
IMAGE = SAMPLE.image.astype(np.uint16)


def load(path: Path, **more: Any) -> Loaded:
    return drain(iter_load(path, **more))


def save_image(folder: Path, name: str = "x.tif") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(folder / name, IMAGE)


def save_mask(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        write_rois(path, LABELS)
    elif path.suffix == ".geojson":
        write_geojson(path, LABELS, measure(LABELS))
    elif path.suffix == ".npy":
        np.save(path, LABELS)
    elif path.suffix == ".png":
        PillowImage.fromarray(LABELS.astype(np.uint16)).save(path)
    else:
        tifffile.imwrite(path, LABELS.astype(np.uint16))


@pytest.mark.parametrize(
    "mask",
    ["x_masks.tif", "x_cp_masks.png", "x_cp_masks.tif", "x_seg.npy", "x_labels.tif", "x_rois.zip", "x_RoiSet.zip",
     "x_outlines.geojson", "x.geojson"],
)  # fmt: skip
def test_masks_beside_their_images(mask: str, tmp_path: Path) -> None:
    for name in ("x", "other"):
        save_image(tmp_path, f"{name}.tif")
    save_mask(tmp_path / mask)
    loaded = load(tmp_path)
    (sample,) = loaded.samples
    assert sample.name == "x"
    np.testing.assert_array_equal(sample.image, IMAGE)
    np.testing.assert_array_equal(sample.labels, LABELS)
    assert [name for name, _ in loaded.report.skipped] == ["other.tif"]
    # The same files are taken as corrections.
    np.testing.assert_array_equal(read_corrections(tmp_path / mask, IMAGE.shape)["labels"], LABELS)


def test_of_several_files_of_one_program_one_is_taken(tmp_path: Path) -> None:
    save_image(tmp_path)
    save_mask(tmp_path / "x_cp_masks.png")
    np.save(tmp_path / "x_seg.npy", {"masks": LABELS}, allow_pickle=True)  # type: ignore[arg-type]
    np.testing.assert_array_equal(load(tmp_path).samples[0].labels, LABELS)
    (tmp_path / "x_cp_masks.png").unlink()
    with pytest.raises(DatasetError, match=r"Python objects.*_cp_masks\.png"):
        load(tmp_path)


@pytest.mark.parametrize("labels", ["labels", "masks"])
@pytest.mark.parametrize("mask", ["x.tif", "x_mask.png", "x.zip", "x.geojson"])
def test_two_folders_for_training_and_fine_tuning(labels: str, mask: str, tmp_path: Path) -> None:
    save_image(tmp_path / "images")
    save_mask(tmp_path / labels / mask)
    np.testing.assert_array_equal(load(tmp_path).samples[0].labels, LABELS)
    apart = drain(iter_training_images(tmp_path / "images", tmp_path / labels))
    np.testing.assert_array_equal(apart[0].labels, LABELS)
    if labels == "masks":
        together = drain(iter_training_images(tmp_path))
        np.testing.assert_array_equal(together[0].labels, LABELS)


def test_the_folders_of_stardist(tmp_path: Path) -> None:
    for part, name in (("train", "a"), ("train", "b"), ("test", "c")):
        save_image(tmp_path / part / "images", f"{name}.tif")
        save_mask(tmp_path / part / "masks" / f"{name}.tif")
    loaded = load(tmp_path)
    assert [sample.name for sample in loaded.samples] == ["a", "b"]
    assert [name for name, why in loaded.report.skipped if "for an evaluation" in why] == ["test"]
    assert [sample.name for sample in load(tmp_path / "test").samples] == ["c"]


def compressed(counts: list[int]) -> str:
    """COCO's text of run lengths, by its own rules."""
    text = ""
    for i, count in enumerate(counts):
        number, more = count - (counts[i - 2] if i > 2 else 0), True
        while more:
            bits = number & 0x1F
            number >>= 5
            more = number != (-1 if bits & 0x10 else 0)
            text += chr((bits | 0x20 if more else bits) + 48)
    return text


def run_lengths(mask: np.ndarray) -> list[int]:
    flat = np.concatenate([[False], mask.T.ravel()])
    ends = np.flatnonzero(np.diff(flat)).tolist()
    return np.diff([0, *ends, mask.size]).tolist()


@pytest.mark.parametrize("form", ["polygons", "counts", "compressed"])
def test_coco(form: str, tmp_path: Path) -> None:
    labels = np.zeros(IMAGE.shape, np.int32)
    labels[3:20, 5:31], labels[30:60, 40:90], labels[95, 95] = 1, 2, 3
    boxes = {1: (5, 3, 31, 20), 2: (40, 30, 90, 60), 3: (95, 95, 96, 96)}
    annotations = []
    for id_, (left, top, right, bottom) in boxes.items():
        counts = run_lengths(labels == id_)
        segmentation: Any = {
            "size": list(IMAGE.shape),
            "counts": compressed(counts) if form == "compressed" else counts,
        }
        if form == "polygons":
            segmentation = [[left, top, right, top, right, bottom, left, bottom]]
        annotations.append({"id": id_, "image_id": 7, "category_id": id_, "segmentation": segmentation, "iscrowd": 0})
    annotations[2]["iscrowd"] = 1
    images = [{"id": 7, "file_name": "x.tif"}, {"id": 8, "file_name": "empty.tif"}]
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    save_image(tmp_path / "images")
    loaded = load(path)
    (sample,) = loaded.samples
    np.testing.assert_array_equal(sample.labels, np.where(labels < 3, labels, 0))
    assert sample.reviewed is not None and not sample.reviewed[95, 95] and sample.reviewed.sum() == labels.size - 1
    assert [name for name, _ in loaded.report.skipped] == ["empty.tif"]


X = {"id": 1, "file_name": "x.tif"}


@pytest.mark.parametrize(
    ("images", "annotation", "words"),
    [
        ([], {}, "no image with"),
        ([X], {"image_id": 1, "segmentation": {"size": [1, 1]}}, "no polygon or run lengths that fit 96 x 96"),
        ([X], {"image_id": 1, "segmentation": [[1, 2, 3]]}, "no polygon or run lengths that fit 96 x 96"),
        ([X], {"image_id": 1, "segmentation": [[0, 0, 200, 0, 0, 200]]}, "Choose the file of this image"),
        ([{"id": 1, "file_name": "y.tif"}], {"image_id": 1, "segmentation": []}, "is not in"),
    ],
)
def test_coco_files_that_cannot_be_used(images: Any, annotation: Any, words: str, tmp_path: Path) -> None:
    save_image(tmp_path)
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": images, "annotations": [annotation] if annotation else []}))
    with pytest.raises(DatasetError, match=words):
        load(path)


@pytest.mark.parametrize(
    ("name", "segmentation", "words"),
    [
        ("../x.png", [[1, 1, 9, 1, 9, 9]], "lies elsewhere"),
        ("/x.png", [[1, 1, 9, 1, 9, 9]], "lies elsewhere"),
        ("x.tif", {"size": list(IMAGE.shape), "counts": [10**12]}, "do not cover the image"),
        ("x.tif", {"size": list(IMAGE.shape), "counts": [2**63 - 1, 2**63 - 1, 2]}, "do not cover the image"),
        ("x.tif", {"size": list(IMAGE.shape), "counts": [1e999]}, "nfinity"),
        ("x.tif", {"size": list(IMAGE.shape), "counts": "o" * 100_000}, "far too long"),
    ],
)
def test_a_coco_file_takes_no_memory_and_leads_nowhere(
    name: str, segmentation: Any, words: str, tmp_path: Path
) -> None:
    save_image(tmp_path)
    annotation = {"id": 1, "image_id": 7, "segmentation": segmentation}
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": [{"id": 7, "file_name": name}], "annotations": [annotation]}))
    with pytest.raises(DatasetError, match=words):
        load(path)


@pytest.mark.parametrize(("content", "words"), [("{", "cannot be read"), ("{}", "lacks the entry 'images'")])
def test_json_that_is_no_coco_file(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DatasetError, match=words):
        load(tmp_path / "a.json")


@pytest.mark.parametrize("masks", ["masks", "labels"])
def test_a_zip_of_folders_is_what_they_are(masks: str, tmp_path: Path) -> None:
    """Read as one image with many masks it would train on nonsense."""
    samples = [blobs(i, 64) for i in range(3)]
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for sample in samples:
            for folder, values in (("images", np.clip(sample.image, 0, 255)), (masks, sample.labels)):
                content = io.BytesIO()
                PillowImage.fromarray(values.astype(np.uint8)).save(content, "PNG")
                archive.writestr(f"set/{folder}/{sample.name}.png", content.getvalue())
                archive.writestr(f"__MACOSX/set/{folder}/._{sample.name}.png", b"")
        archive.writestr(f"set/{masks}/alone.png", b"no picture")
    loaded = load(tmp_path / "set.zip")
    assert [s.name for s in loaded.samples] == sorted(s.name for s in samples)
    for found, sample in zip(loaded.samples, samples, strict=True):
        assert len(np.unique(found.labels)) == len(np.unique(sample.labels))
        assert ((found.labels > 0) == (sample.labels > 0)).all()
    assert [name for name, _ in loaded.report.skipped] == ["alone.png"]


def test_what_is_wrong_in_a_zip_of_folders_is_named_by_the_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for i in range(2):
            archive.writestr(f"images/x{i}.png", b"no picture")
            archive.writestr(f"labels/x{i}.png", b"no picture")
    with pytest.raises(DatasetError, match=r"set\.zip.*x0\.png"):
        load(tmp_path / "set.zip")


def test_two_entries_of_one_name_are_told(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            archive.writestr("a/images/a.png", b"")
    with pytest.raises(DatasetError, match=r"2 entries named 'a/images/a\.png'"):
        load(tmp_path / "set.zip")
