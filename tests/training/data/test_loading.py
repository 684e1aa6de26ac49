"""Datasets as people have them: what is understood, left out, pointed out and refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PILImage

from napari_cellseg.imaging.errors import CellsegError, DatasetError
from napari_cellseg.imaging.progress import drain
from napari_cellseg.training.data.fitting import fit_samples
from napari_cellseg.training.data.loading import Loaded, iter_load
from napari_cellseg.training.data.masks import read_mask
from napari_cellseg.training.data.sample import Sample
from napari_cellseg.training.data.splitting import Split, apply_split, make_split, read_split, write_split
from tests.blobs import blobs


def load(path: Path, **more: object) -> Loaded:
    return drain(iter_load(path, **more))  # type: ignore[arg-type]


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, array) if path.suffix == ".tif" else PILImage.fromarray(array).save(path)


def squares(n: int = 3, size: int = 40) -> np.ndarray:
    labels = np.zeros((size, size), np.uint8)
    for i in range(n):
        labels[4 + 10 * i : 10 + 10 * i, 5:12] = i + 1
    return labels


def picture(seed: int = 0, size: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (size, size), np.uint8)


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(lambda labels: (labels > 0).astype(np.uint8), id="0/1"),
        pytest.param(lambda labels: (labels > 0).astype(np.uint8) * 255, id="0/255"),
        pytest.param(lambda labels: labels > 0, id="bool"),
        pytest.param(lambda labels: (labels > 0).astype(np.float32), id="float"),
        pytest.param(lambda labels: labels, id="ids"),
        pytest.param(lambda labels: labels.astype(np.uint16) * 500, id="ids with gaps"),
        pytest.param(lambda labels: labels[..., None], id="channel"),
    ],
)
@pytest.mark.parametrize("channels", [0, 1, 3])
def test_arrays_with_every_sort_of_mask(mask: object, channels: int, tmp_path: Path) -> None:
    images = np.stack([picture(i) for i in range(4)])
    if channels:
        images = np.repeat(images[..., None], channels, axis=3)
        images[..., :1] //= 2
    masks = np.stack([mask(squares()) for _ in images])  # type: ignore[operator]
    np.savez(tmp_path / "set.npz", X=images, y=masks)
    loaded = load(tmp_path / "set.npz")
    assert [s.name for s in loaded.samples] == [f"set_{i}" for i in range(4)]
    for sample, image in zip(loaded.samples, images, strict=True):
        np.testing.assert_array_equal(sample.labels, squares())
        np.testing.assert_array_equal(sample.image, image[..., 0] if channels == 1 else image)
    assert loaded.report.n_cells == 12 and loaded.report.sizes == {"40 x 40": 4}
    json.dumps(loaded.report.to_dict())


@pytest.mark.parametrize("case", ["objects", "names", "shapes", "text", "torn", "channels"])
def test_arrays_that_cannot_be_used(case: str, tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    images, masks = np.stack([picture(i) for i in range(2)]), np.stack([squares()] * 2)
    if case == "objects":
        ragged = np.empty(2, object)
        ragged[:] = [picture(), picture()[:20]]
        np.savez(path, X=ragged, y=masks)
    elif case == "names":
        np.savez(path, a=images, b=masks)
    elif case == "shapes":
        np.savez(path, X=images, y=masks[:, :20])
    elif case == "text":
        np.savez(path, X=images.astype("U8"), y=masks)
    elif case == "channels":
        np.savez(path, X=np.repeat(images[..., None], 7, 3), y=masks)
    else:
        np.savez(path, X=images, y=masks)
        path.write_bytes(path.read_bytes()[:300])
    match = {"objects": "objects.*not read", "names": "a, b; it needs X", "torn": "cut short"}.get(case, "In .*, X")
    with pytest.raises(DatasetError, match=match):
        load(path)


def test_two_folders_are_paired_and_what_does_not_fit_is_told(tmp_path: Path) -> None:
    """Unmatched names, another size, an RGB mask, a JPEG mask, an empty and a full one, a twin: one report says all."""
    images, masks = tmp_path / "pictures", tmp_path / "truth"
    for i, name in enumerate(("plain", "alone", "other_size", "colours", "jpeg", "empty", "full", "gaps", "soft")):
        save(images / f"{name}.png", picture(i))
    save(images / "twin.png", picture(0))
    save(masks / "plain.png", (squares() > 0).astype(np.uint8) * 255)
    save(masks / "twin_mask.png", (squares() > 0).astype(np.uint8) * 255)
    save(masks / "stray.png", squares())
    save(masks / "other_size.png", squares(size=50))
    colours = np.zeros((40, 40, 3), np.uint8)
    colours[squares() == 1] = (255, 0, 0)
    # Two cells of different colours that touch are two cells.
    colours[squares() == 2] = (0, 255, 0)
    colours[20:26, 5:12] = (0, 0, 255)
    save(masks / "colours.png", colours)
    save(masks / "jpeg.jpg", np.kron((squares() > 0), np.ones((1, 1))).astype(np.uint8) * 255)
    save(masks / "empty.png", np.zeros((40, 40), np.uint8))
    save(masks / "full.png", np.full((40, 40), 255, np.uint8))
    save(masks / "gaps.png", squares() * 3)
    soft = (squares() > 0).astype(np.uint8) * 255
    soft[squares() == 2] = 130
    soft[3, 5:12] = 90
    save(masks / "soft.png", soft)
    loaded = load(images, masks=masks)
    by_name = {s.name: s for s in loaded.samples}
    assert set(by_name) == {"plain", "twin", "colours", "jpeg", "empty", "full", "gaps", "soft"}
    cells = {name: int(sample.labels.max()) for name, sample in by_name.items()}
    assert cells == {"plain": 3, "twin": 3, "colours": 3, "jpeg": 3, "empty": 0, "full": 1, "gaps": 3, "soft": 3}
    report = loaded.report
    assert {name for name, _ in report.skipped} == {"alone.png", "stray.png", "other_size"}
    assert {name for name, _ in report.suspicious} == {"empty", "full"}
    assert report.duplicates == (("plain", "twin"),)
    lines = "\n".join(report.lines())
    for words in ("skipped (3)", "no mask of that name", "(50, 50)", "black and white", "colours", "numbered anew"):
        assert words in lines


def test_one_cell_in_two_pieces_stays_one_where_ids_tell_cells_apart(tmp_path: Path) -> None:
    """A mask of one value is a cell beside masks of ids, and all cells where every mask is like that."""
    broken = np.zeros((40, 40), np.uint8)
    broken[5:10, 5:10] = broken[20:25, 5:10] = 1
    for name, mask in (("a", broken), ("b", squares())):
        save(tmp_path / "images" / f"{name}.png", picture(ord(name)))
        save(tmp_path / "labels" / f"{name}.png", mask)
    assert [int(s.labels.max()) for s in load(tmp_path).samples] == [1, 3]
    save(tmp_path / "labels" / "b.png", broken)
    assert [int(s.labels.max()) for s in load(tmp_path).samples] == [2, 2]


@pytest.mark.parametrize(
    "entry", ["/aa/images/aa.png", "../aa/images/aa.png", "a/../../b/images/c.png", "C:/a/images/a.png"]
)
def test_a_zip_that_points_outside_is_refused(entry: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr(entry, b"")
    with pytest.raises(DatasetError, match="points outside"):
        load(tmp_path / "set.zip")


@pytest.mark.parametrize("values", [np.array([[-1, 2]]), np.array([[0.5, 7.2]]), np.array([[np.nan, 1.0]])])
def test_masks_that_mean_nothing(values: np.ndarray) -> None:
    with pytest.raises(DatasetError, match="Save it as ids"):
        read_mask(values)


@given(
    groups=st.lists(st.integers(0, 6), min_size=2, max_size=30),
    fraction=st.floats(0.05, 0.8),
    seed=st.integers(0, 5),
    twins=st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=4),
    by=st.sampled_from(["group", "image"]),
)
def test_twins_are_on_one_side(
    groups: list[int], fraction: float, seed: int, twins: list[tuple[int, int]], by: str
) -> None:
    samples = [Sample(str(i), np.zeros((2, 2)), np.zeros((2, 2), np.int32), "", str(g)) for i, g in enumerate(groups)]
    pairs = [(str(a), str(b)) for a, b in twins if a != b and max(a, b) < len(samples)]
    split = make_split(samples, fraction, seed, by, pairs)
    assert sorted(split.training + split.validation) == sorted(s.name for s in samples)
    sides = [set(split.training), set(split.validation)]
    assert split.training
    for pair in pairs:
        assert set(pair) <= sides[0] or set(pair) <= sides[1]
    if by == "group":
        assert not {groups[int(n)] for n in sides[0]} & {groups[int(n)] for n in sides[1]}
    if not pairs and by == "image":
        assert len(split.validation) == min(int(np.ceil(fraction * len(samples))), len(samples) - 1)
    assert split == make_split(samples, fraction, seed, by, pairs)


def test_a_split_is_used_again(tmp_path: Path) -> None:
    samples = [blobs(i, 32, 1) for i in range(8)]
    split = make_split(samples, 0.3, 2)
    write_split(tmp_path / "split.json", split)
    again = read_split(tmp_path / "split.json")
    assert (again.training, again.validation) == (split.training, split.validation)
    # A training record names the same images.
    record = {"training_images": split.training, "validation_images": split.validation}
    (tmp_path / "training.json").write_text(json.dumps(record))
    assert read_split(tmp_path / "training.json") == again
    training, validation, notes = apply_split(samples[::-1][1:], again)
    assert {s.name for s in training} <= set(split.training) and {s.name for s in validation} <= set(split.validation)
    assert len(notes) == 1 and "blobs7" in notes[0]
    _, _, notes = apply_split([*samples, blobs(99, 32, 1)], again)
    assert "blobs99" in notes[0]
    with pytest.raises(DatasetError, match="None of the images"):
        apply_split([blobs(99, 32, 1)], again)


@pytest.mark.parametrize("text", ["[]", "{}", "no", '{"training": ["a"], "validation": ["a"]}', '{"training": 3}'])
def test_files_that_are_no_split(text: str, tmp_path: Path) -> None:
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(DatasetError, match=r"split\.json"):
        read_split(tmp_path / "split.json")


def test_one_image_cannot_be_held_out_and_that_is_said() -> None:
    split = make_split([blobs(0, 32, 1)], 0.2)
    assert split.validation == () and "No image can be held out" in split.notes[0]
    with pytest.raises(CellsegError, match="by 'group' or by 'image'"):
        make_split([blobs(0, 32, 1)], by="kind")


def test_windows_hold_every_pixel_of_the_middle_once() -> None:
    image = np.arange(100 * 70).reshape(100, 70)
    sample = Sample("s", image, image.astype(np.int32), "kind", "g")
    windows, notes = fit_samples([sample], 32)
    assert [w.name for w in windows] == [f"s_{i}" for i in range(6)]
    assert {w.group for w in windows} == {"g"} and len(notes) == 1
    seen = np.concatenate([w.image.ravel() for w in windows])
    np.testing.assert_array_equal(np.sort(seen), np.sort(image[2:98, 3:67].ravel()))
    small, notes = fit_samples([sample], 128)
    assert small[0].name == "s" and small[0].image.shape == (100, 70) and "smaller" in notes[1]


def test_resized_images_keep_their_cells() -> None:
    sample = blobs(1, 100, 5)
    ((resized,), _) = fit_samples([sample], 64, "resize")
    assert resized.image.shape == resized.labels.shape == (64, 64)
    assert set(np.unique(resized.labels)) == set(np.unique(sample.labels))
    kept = np.mean(resized.labels > 0) / np.mean(sample.labels > 0)
    assert 0.9 < kept < 1.1
    for how, size in (("stretch", 64), ("crop", 3)):
        with pytest.raises(CellsegError, match=r"must be|crop or resize"):
            fit_samples([sample], size, how)


def test_the_split_says_how_it_was_made() -> None:
    assert Split(("a",), ("b",)).to_dict()["by"] == "group"
