"""Masks that are not one id per cell are pointed out; those that are, are not."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from skimage.transform import resize

from napari_cellseg.imaging.progress import drain
from napari_cellseg.instances.metrics import match
from napari_cellseg.training.data.dataset_report import oddities
from napari_cellseg.training.data.doubtful_masks import doubtful_ids
from napari_cellseg.training.data.loading import iter_load
from napari_cellseg.training.data.reading import iter_training_images
from napari_cellseg.training.data.sample import Sample


def discs(n, side=20, radius=7):
    """Label image of n separate discs on a grid."""
    across = int(np.ceil(np.sqrt(n)))
    labels = np.zeros((across * side, across * side), np.int32)
    y, x = np.ogrid[:side, :side]
    disc = (y - side // 2) ** 2 + (x - side // 2) ** 2 <= radius**2
    for i in range(n):
        top, left = i // across * side, i % across * side
        labels[top : top + side, left : left + side][disc] = i + 1
    return labels


@pytest.mark.parametrize("n", [1, 2, 15, 254, 300])
def test_one_id_per_cell_is_fine(n):
    assert doubtful_ids(discs(n)) == []


def test_classes_are_not_cells():
    (words,) = doubtful_ids(np.where(discs(15) > 0, 1 + discs(15) % 2, 0))
    assert "its 2 ids lie in 15 separate pieces" in words and "classes" in words


def test_each_piece_of_a_class_is_a_cell_where_it_is_said_so(tmp_path):
    truth = discs(15)
    classes = np.where(truth > 0, 1 + truth % 2, 0).astype(np.uint8)
    for folder, values in (("images", classes * 90), ("labels", classes)):
        (tmp_path / folder).mkdir()
        for i in range(2):
            tifffile.imwrite(tmp_path / folder / f"{i}.tif", values)
    as_ids = drain(iter_load(tmp_path))
    assert as_ids.report.n_cells == 2 * 2 and len(as_ids.report.suspicious) == 2
    loaded = drain(iter_load(tmp_path, classes=True))
    assert loaded.report.n_cells == 2 * 15 and not loaded.report.suspicious
    assert "2 masks hold classes" in " ".join(loaded.report.notes)
    assert match(truth, loaded.samples[0].labels, (0.999,)).tp[0] == 15
    assert [len(np.unique(s.labels)) for s in drain(iter_training_images(tmp_path, classes=True))] == [16, 16]


def test_ids_that_were_wrapped_into_8_bits():
    wrapped = discs(300).astype(np.uint8)
    words = " ".join(doubtful_ids(wrapped))
    assert "of its 255 ids lie in pieces far from each other" in words and "exactly 255 ids" in words


def test_ids_that_were_interpolated():
    labels = discs(15).astype(float) * 10
    blurred = np.rint(resize(labels, (133, 133), order=1, preserve_range=True)).astype(np.int32)
    assert len(np.unique(blurred)) > 30
    assert any("thin lines along others" in words for words in doubtful_ids(blurred))
    assert doubtful_ids(resize(labels, (133, 133), order=0, preserve_range=True).astype(np.int32)) == []


def test_a_cell_cut_in_two_nearby_parts_and_crumbs_are_fine():
    labels = discs(15)
    labels[:, 10] = 0
    labels[0, 0], labels[-1, -1] = 1, 1
    assert doubtful_ids(labels) == []


def test_touching_cells_are_fine():
    blocks = np.kron(np.arange(1, 31).reshape(5, 6), np.ones((12, 12), int))
    assert doubtful_ids(blocks) == []


def test_nothing_is_fine():
    assert doubtful_ids(np.zeros((9, 9), np.uint8)) == []


def test_they_are_in_the_report_on_the_data():
    labels = np.where(discs(15) > 0, 1 + discs(15) % 2, 0).astype(np.int32)
    image = np.random.default_rng(0).integers(0, 255, labels.shape).astype(np.uint8)
    assert any("classes" in words for words in oddities(Sample("a", image, labels)))
