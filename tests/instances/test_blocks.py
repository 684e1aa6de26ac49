"""Blocks: their cells together are those of the whole, up to ids, and every cell has one owner."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cellseg.instances.blocks import owned_cells, plan_blocks
from napari_cellseg.instances.live import Instances
from napari_cellseg.instances.params import SplitParams
from napari_cellseg.instances.prediction import Prediction
from tests.benchmarks.harness import draw_maps

MAPS = draw_maps(400, 220)


def gathered(probability, distance, side, margin, threshold=0.5, min_size=20):
    """Labels of all blocks; a pixel that two of them take is -1."""
    shape = probability.shape
    out, n, cut = np.zeros(shape, np.int64), 0, 0
    for block in plan_blocks(shape, side):
        window = block.window(margin, shape)
        part = Prediction(probability[window], None if distance is None else distance[window])
        owned = owned_cells(part, SplitParams(), threshold, min_size, window, block.core, shape)
        here = out[window]
        mine = owned.labels > 0
        here[mine] = np.where(here[mine] != 0, -1, owned.labels[mine] + n)
        assert len(np.unique(owned.labels)) - 1 == owned.n_cells or owned.n_cells == 0
        n += owned.n_cells
        cut += owned.cut
    return out, n, cut


def same_up_to_ids(one, other):
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return len(pairs[0]) == len(np.unique(one)) == len(np.unique(other))


@pytest.mark.parametrize("side, margin", [(400, 0), (100, 64), (64, 64), (150, 80), (37, 90)])
@pytest.mark.parametrize("with_distance", [True, False])
def test_blocks_together_are_the_whole(side, margin, with_distance):
    distance = MAPS.distance if with_distance else None
    instances = Instances.from_prediction(Prediction(MAPS.probability, distance))
    for threshold, min_size in ((0.5, 20), (0.8, 150)):
        whole = instances.labels(threshold, min_size)
        blocks, n, cut = gathered(MAPS.probability, distance, side, margin, threshold, min_size)
        assert n == instances.count(threshold, min_size) and not cut
        assert same_up_to_ids(whole, blocks)


def test_a_cell_that_the_margin_cuts_is_told():
    y, x = np.indices((200, 200))
    reach = np.hypot(y - 100, x - 100)
    probability, distance = (reach < 60).astype(np.float32), np.clip(1 - reach / 60, 0, 1).astype(np.float32)
    assert gathered(probability, distance, 90, 20)[2] == 1
    blocks, n, cut = gathered(probability, distance, 90, 80)
    assert (n, cut) == (1, 0)
    np.testing.assert_array_equal(blocks, reach < 60)


def test_nothing_is_no_cell():
    nothing = np.zeros((50, 60), np.float32)
    assert gathered(nothing, nothing, 20, 8)[1:] == (0, 0)
    assert [b.core for b in plan_blocks((50, 60), 40)][-1] == (slice(40, 50), slice(40, 60))
