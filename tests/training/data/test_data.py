"""Datasets, splits, targets and augmentation."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PILImage
from scipy import ndimage

from napari_cellseg.imaging.errors import DatasetError
from napari_cellseg.imaging.normalize import NormalizerParams
from napari_cellseg.training.data.datasets import Sample, read_dataset, split_by_group
from napari_cellseg.training.fit.augment import AugmentParams, prepare, random_batch
from napari_cellseg.training.fit.intensity import restained, vary_intensity
from napari_cellseg.training.fit.targets import OFFSET_SCALE, make_targets, mirror_pad
from napari_cellseg.training.params import STILL


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    PILImage.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def discs(shape: tuple[int, int], centres: list[tuple[int, int]], radius: int) -> np.ndarray:
    y, x = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for i, (cy, cx) in enumerate(centres, start=1):
        labels[((y - cy) ** 2 + (x - cx) ** 2 <= radius**2) & (labels == 0)] = i
    return labels


@pytest.fixture
def kaggle_files() -> dict[str, bytes]:
    """Two images: one grey RGBA with overlapping masks, one in colour."""
    rng = np.random.default_rng(0)
    grey = np.repeat(rng.integers(0, 255, (20, 30, 1), np.uint8), 4, axis=2)
    colour = rng.integers(0, 255, (16, 16, 4), np.uint8)
    first, second = np.zeros((2, 20, 30), np.uint8)
    first[2:8, 2:8] = 255
    second[6:14, 6:14] = 255
    return {
        "aa/images/aa.png": png(grey),
        "aa/masks/1.png": png(first),
        "aa/masks/2.png": png(second),
        "bb/images/bb.png": png(colour),
        "bb/masks/x.png": png(np.full((16, 16), 255, np.uint8)),
        "cc/images/cc.png": png(colour),
        "aa/.DS_Store": b"",
    }


def test_kaggle_zip_and_folder_read_alike(kaggle_files: dict[str, bytes], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name, data in kaggle_files.items():
            archive.writestr(name, data)
    for name, data in kaggle_files.items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(data)
    (tmp_path / "groups.csv").write_text("image_id,kind,group\naa,fluorescence,7\n")
    zipped, folder = read_dataset(tmp_path / "set.zip"), read_dataset(tmp_path / "set")
    assert [s.name for s in zipped] == [s.name for s in folder] == ["aa", "bb"]
    for a, b in zip(zipped, folder, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.labels, b.labels)
    first = zipped[0]
    assert first.image.shape == (20, 30) and zipped[1].image.shape == (16, 16, 3)
    assert (first.kind, first.group) == ("fluorescence", "7")
    assert (zipped[1].kind, zipped[1].group) == ("", "bb")
    assert np.bincount(first.labels.ravel()).tolist() == [20 * 30 - 96, 36, 60]


def test_image_and_label_folders(tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    labels = discs((40, 50), [(10, 10), (30, 35)], 6)
    tifffile.imwrite(tmp_path / "images/a.tif", np.ones((40, 50), np.uint16))
    tifffile.imwrite(tmp_path / "images/unlabelled.tif", np.ones((40, 50), np.uint16))
    tifffile.imwrite(tmp_path / "labels/a_labels.tif", labels.astype(np.uint16))
    (sample,) = read_dataset(tmp_path)
    np.testing.assert_array_equal(sample.labels, labels)


@pytest.mark.parametrize("case", ["missing", "empty", "not a zip", "sizes differ", "group columns"])
def test_bad_datasets_are_named(case: str, kaggle_files: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "set"
    groups = None
    if case == "empty":
        path.mkdir()
    elif case == "not a zip":
        path.write_bytes(b"PK but no")
    elif case in ("sizes differ", "group columns"):
        kaggle_files["aa/masks/3.png"] = png(np.zeros((5, 5), np.uint8))
        for name, data in kaggle_files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    if case == "group columns":
        groups = tmp_path / "g.csv"
        groups.write_text("name,type\nx,y\n")
    with pytest.raises(DatasetError, match=r"set|g\.csv|3\.png"):
        read_dataset(path, groups)


def sample_of(kind: str, group: str, name: str) -> Sample:
    return Sample(name, np.zeros((2, 2)), np.zeros((2, 2), np.int32), kind, group)


@given(
    groups=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), min_size=1, max_size=60),
    fraction=st.floats(0, 0.9),
    seed=st.integers(0, 5),
)
def test_no_group_is_on_both_sides(groups: list[tuple[str, int]], fraction: float, seed: int) -> None:
    samples = [sample_of(kind, f"{kind}{group}", str(i)) for i, (kind, group) in enumerate(groups)]
    training, validation = split_by_group(samples, fraction, seed)
    assert sorted(s.name for s in training + validation) == sorted(s.name for s in samples)
    assert not {s.group for s in training} & {s.group for s in validation}
    assert {s.kind for s in training} == {s.kind for s in samples}
    again = split_by_group(samples, fraction, seed)
    assert [s.name for s in again[1]] == [s.name for s in validation]
    if fraction == 0:
        assert not validation


def test_targets_point_to_the_centre_and_measure_the_border() -> None:
    labels = discs((60, 60), [(20, 20), (20, 33), (45, 30)], 7)
    maps = make_targets(labels)
    np.testing.assert_array_equal(maps.foreground, labels > 0)
    y, x = np.indices(labels.shape)
    landing = np.stack([y + maps.offset[0], x + maps.offset[1]])
    for i in (1, 2, 3):
        mask = labels == i
        cy, cx = landing[:, mask]
        assert np.ptp(cy) == np.ptp(cx) == 0
        assert labels[int(cy[0]), int(cx[0])] == i
        np.testing.assert_allclose(maps.inverse_size[mask], mask.sum() ** -0.5, rtol=1e-3)
    touching = (labels == 1) & ndimage.binary_dilation(labels == 2)
    assert touching.any() and (maps.border_distance[touching] == 1).all()
    assert maps.border_distance[labels == 0].max() == 0


def test_mirrored_cells_are_cells_of_their_own() -> None:
    labels = discs((40, 40), [(20, 10), (2, 30)], 5)
    image, padded = mirror_pad(np.ones((40, 40)), labels, 30)
    assert image.shape == padded.shape == (100, 100)
    np.testing.assert_array_equal(padded[30:70, 30:70] > 0, labels > 0)
    sizes = np.bincount(padded.ravel())[1:]
    assert len(set(padded[30:70, 30:70].ravel())) == 3
    assert sizes.max() < 2 * np.bincount(labels.ravel())[1:].max()


def test_without_variation_a_crop_is_the_image() -> None:
    labels = discs((64, 64), [(20, 20), (40, 44)], 8)
    image = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    ready = prepare(Sample("s", image, labels), NormalizerParams(0, 100), margin=0)
    quiet = np.random.default_rng(3)
    x, targets = random_batch([ready], [0], 64, 3, STILL, quiet)
    grid = [np.rot90(a, k) for a in (labels, labels[:, ::-1]) for k in range(4)]
    found = targets["foreground"][0, 0].numpy() > 0
    assert any(np.array_equal(found, g > 0) for g in grid)
    assert targets["weight"].min() == 1
    assert x.shape == (1, 3, 64, 64) and torch.equal(x[0, 0], x[0, 2])


@pytest.mark.parametrize("seed", range(6))
def test_offsets_still_point_to_the_centre_after_any_geometry(seed: int) -> None:
    """Follow every foreground pixel's offset: inside one cell all must land on one point."""
    labels = discs((200, 200), [(100, 100)], 30)
    ready = prepare(Sample("s", labels.astype(np.float32), labels), NormalizerParams(), margin=0)
    params = AugmentParams(rotate=1, stretch=0.3, gamma=(1, 1), noise=0, blur=0, invert=0, shading=0)
    _, targets = random_batch([ready], [0], 128, 1, params, np.random.default_rng(seed))
    foreground = targets["foreground"][0, 0].numpy() > 0
    y, x = np.nonzero(foreground)
    offset = targets["offset"][0].numpy()[:, y, x] * OFFSET_SCALE
    assert len(y) > 300
    assert np.ptp(y + offset[0]) < 4 and np.ptp(x + offset[1]) < 4
    distance = targets["distance"][0, 0].numpy()
    assert distance[~foreground].max() == 0 and distance.max() > 0.8
    peak = np.unravel_index(distance.argmax(), distance.shape)
    assert abs(peak[0] - np.median(y + offset[0])) < 3 and abs(peak[1] - np.median(x + offset[1])) < 3


def test_outside_the_image_nothing_counts() -> None:
    labels = discs((40, 40), [(20, 20)], 9)
    ready = prepare(Sample("s", labels.astype(np.float32), labels), NormalizerParams(), margin=0)
    _, targets = random_batch([ready], [0], 80, 1, STILL, np.random.default_rng(0))
    assert targets["weight"].sum() == 40 * 40
    assert targets["foreground"][targets["weight"] == 0].max() == 0


def test_a_stain_changes_by_itself_and_nothing_else() -> None:
    # A white pixel, and one of each stain alone, at the colours that its absorption leaves.
    absorbed = np.array([[0, 0, 0], [0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    image = torch.from_numpy(np.exp(-absorbed).T[:, None, :].astype(np.float32))
    np.testing.assert_allclose(restained(image, np.zeros(3)), image, atol=1e-6)
    stronger = restained(image, np.array([0.5, 0.0, 0.0]))
    expected = np.exp(-absorbed * np.array([1, 1.5, 1, 1])[:, None]).T[:, None, :]
    np.testing.assert_allclose(stronger, expected, atol=1e-5)


def test_stains_vary_in_colour_images_only() -> None:
    params = replace(STILL, stain=0.5)
    rng = np.random.default_rng(3)
    colour = torch.from_numpy(rng.uniform(0, 1, (3, 8, 8)).astype(np.float32))
    varied = vary_intensity(colour, 3, params, np.random.default_rng(0))
    assert torch.isfinite(varied).all() and (varied - colour).abs().max() > 0.05
    grey = colour[:1]
    torch.testing.assert_close(vary_intensity(grey, 3, params, np.random.default_rng(0)), grey.expand(3, -1, -1))
