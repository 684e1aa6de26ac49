"""Crops made difficult: what cells are stays exact, and what is promised is what happens."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_cellseg.imaging.normalize import NormalizerParams
from napari_cellseg.training.data.sample import Sample
from napari_cellseg.training.fit import augment, specimen
from napari_cellseg.training.fit.augment import prepare, random_batch
from napari_cellseg.training.fit.crowding import crowded
from napari_cellseg.training.fit.difficult import (
    MAGNIFICATIONS,
    Chances,
    difficult_file,
    difficult_specimen,
    other_zoom,
)
from napari_cellseg.training.fit.targets import OFFSET_SCALE
from napari_cellseg.training.params import STILL, AugmentParams

NEVER = Chances().scaled(0)
HELD_OUT = Path(__file__).parents[3] / "docs" / "splits" / "held_out.csv"


def field(n: int = 6, size: int = 160, bright: bool = False) -> Sample:
    """Discs far from each other on a flat ground, of different brightness."""
    y, x = np.indices((size, size))
    labels, image = np.zeros((size, size), np.int32), np.zeros((size, size), np.float32)
    for i in range(1, n + 1):
        cy, cx = 25 + 50 * ((i - 1) // 3), 25 + 50 * ((i - 1) % 3)
        inside = np.hypot(y - cy, x - cx) < 8 + i % 3
        labels[inside], image[inside] = i, 0.5 + 0.05 * i
    return Sample("field", 1 - image if bright else image, labels)


def planes(sample: Sample) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    ready = prepare(sample, NormalizerParams(0, 100), margin=0)
    return ready.image.float(), ready.smooth.float(), ready.exact.float()


@pytest.mark.parametrize("bright", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_pasted_cells_are_whole_and_leave_others_alone(seed: int, bright: bool) -> None:
    image, smooth, exact = planes(field(bright=bright))
    before = exact[0].numpy() > 0
    more, border, cells = crowded(image, smooth, exact, np.random.default_rng(seed))
    after = cells[0].numpy() > 0
    assert after[before].all() and after.sum() > before.sum()
    assert torch.equal(cells[:, before], exact[:, before]) and torch.equal(border[:, before], smooth[:, before])
    # Every cell, old or new, is as large as its inverse size says, and its offsets lead to one of its own pixels.
    y, x = np.nonzero(after)
    centre = np.round(cells[1:3, y, x].numpy()).astype(int) + np.stack([y, x])
    cell, counts = np.unique(centre, axis=1, return_counts=True)
    inverse = cells[3].numpy()[cell[0], cell[1]]
    np.testing.assert_allclose(counts, 1 / inverse**2, rtol=0.02)
    # They look like the cells that they were copied from.
    inside, outside = more[0].numpy()[after & ~before], more[0].numpy()[~after]
    assert abs(np.median(inside) - np.median(outside)) > 0.25


def test_most_pasted_cells_touch() -> None:
    image, smooth, exact = planes(field())
    pasted = joined = 0
    for seed in range(8):
        cells = crowded(image, smooth, exact, np.random.default_rng(seed))[2].numpy()
        y, x = np.nonzero(cells[0] > 0)
        n_cells = np.unique(np.round(cells[1:3, y, x]) + np.stack([y, x]), axis=1).shape[1]
        pasted, joined = pasted + n_cells - 6, joined + n_cells - ndimage.label(cells[0] > 0)[1]
    assert pasted >= 8 and joined > 0.4 * pasted


def test_nothing_to_paste_changes_nothing() -> None:
    sample = field()
    image, smooth, exact = planes(replace(sample, labels=np.zeros_like(sample.labels)))
    for old, new in zip((image, smooth, exact), crowded(image, smooth, exact, np.random.default_rng(0)), strict=True):
        assert torch.equal(old, new)


def _maps(bright: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    ready = prepare(field(bright=bright), NormalizerParams(0, 100), margin=0)
    x, targets = random_batch([ready], [0], 160, 1, STILL, np.random.default_rng(0))
    names = ("foreground", "distance", "offset", "inverse_size", "weight")
    return x[0], torch.cat([targets[name][0] for name in names])


@pytest.mark.parametrize("name", ["texture", "saturate", "defocus", "debris", "haze", "grain"])
@pytest.mark.parametrize("bright", [False, True])
def test_each_way_changes_the_image_as_it_says(name: str, bright: bool) -> None:
    image, target = _maps(bright)
    chances = replace(NEVER, **{name: 1.0})
    inside, found = target[0] > 0, []
    for seed in range(4):
        changed = difficult_specimen(image, target, 1.0, chances, np.random.default_rng(seed))
        assert changed.shape == image.shape and bool(torch.isfinite(changed).all())
        found.append(changed)
    if name == "haze" and bright:
        assert all(torch.equal(image, changed) for changed in found)
        return
    assert all((changed - image).abs().max() > 0.02 for changed in found)
    if name == "texture":
        assert all(torch.equal(changed[:, ~inside], image[:, ~inside]) for changed in found)
        assert np.mean([float(changed[0, inside].std()) for changed in found]) > 1.2 * float(image[0, inside].std())
    if name == "saturate":
        depth = [(c[0] - c[0, ~inside].mean()).abs()[inside] for c in found]
        assert np.mean([float((d > 0.999 * d.max()).float().mean()) for d in depth]) > 0.3


def test_nothing_happens_without_chances() -> None:
    image, target = _maps()
    rng = np.random.default_rng(0)
    assert torch.equal(difficult_specimen(image, target, 1.0, NEVER, rng), image)
    assert torch.equal(difficult_file(image, NEVER, rng), image)
    assert other_zoom(1.3, NEVER, rng) == 1.3


@pytest.mark.parametrize("channels", [1, 3])
def test_coarse_and_compressed_images_stay_recognisable(channels: int) -> None:
    image = _maps()[0].repeat(channels, 1, 1) * torch.linspace(0.5, 1, channels)[:, None, None] + 0.1
    for way in (specimen.coarse, specimen.compressed):
        changed = way(image, np.random.default_rng(0))
        assert changed.shape == image.shape and (changed - image).abs().max() > 0.005
        assert np.corrcoef(changed.numpy().ravel(), image.numpy().ravel())[0, 1] > 0.8


def test_texture_is_fractal() -> None:
    """Half of the spacing has less power, but some: each octave adds its share."""
    texture = specimen.fractal((256, 256), 32, np.random.default_rng(0)).numpy()
    assert abs(texture.mean()) < 1e-5 and abs(texture.std() - 1) < 1e-3
    spread = [float((texture - ndimage.gaussian_filter(texture, s)).std()) for s in (1, 2, 4, 8)]
    assert spread[0] > 0.05 and all(b > 1.15 * a for a, b in pairwise(spread))


def test_magnifications_reach_as_far_as_they_should() -> None:
    rng = np.random.default_rng(0)
    far = [other_zoom(1.0, replace(NEVER, magnify=1.0), rng) for _ in range(400)]
    wrong = [other_zoom(1.0, replace(NEVER, size_error=1.0), rng) for _ in range(400)]
    assert MAGNIFICATIONS[0] <= min(far) < 0.35 and 3.6 < max(far) <= MAGNIFICATIONS[1]
    assert 1 / 1.5 <= min(wrong) < 0.7 and 1.43 < max(wrong) <= 1.5


def test_magnified_crops_get_detail_of_their_own() -> None:
    image, target = _maps()
    chances = replace(NEVER, magnify=0.1)
    near, far = (
        [difficult_specimen(image, target, zoom, chances, np.random.default_rng(s)) for s in range(20)]
        for zoom in (1.0, 3.0)
    )
    assert all(torch.equal(image, changed) for changed in near)
    assert sum(not torch.equal(image, changed) for changed in far) > 12


def test_off_by_default_and_the_same_crops_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = prepare(field(), NormalizerParams(0, 100))
    expected = random_batch([ready], [0, 0], 128, 3, AugmentParams(), np.random.default_rng(4))[0]
    monkeypatch.setattr(augment, "difficult_specimen", lambda *args: pytest.fail("nobody asked for it"))
    assert torch.equal(random_batch([ready], [0, 0], 128, 3, AugmentParams(), np.random.default_rng(4))[0], expected)
    with pytest.raises(pytest.fail.Exception):
        random_batch([ready], [0, 0], 128, 3, AugmentParams(difficult=1), np.random.default_rng(4))


@pytest.mark.parametrize("seed", range(3))
def test_difficult_crops_have_targets_that_fit(seed: int) -> None:
    colour = np.repeat(field(bright=True).image[..., None], 3, axis=2)
    ready = [prepare(s, NormalizerParams(0, 100)) for s in (field(), replace(field(), image=colour))]
    params = AugmentParams(difficult=1, zoom=(0.7, 1.4))
    x, targets = random_batch(ready, [0, 1, 0, 1], 128, 3, params, np.random.default_rng(seed))
    assert x.shape == (4, 3, 128, 128) and bool(torch.isfinite(x).all())
    for i in range(4):
        foreground = targets["foreground"][i, 0].numpy() > 0
        y, x_ = np.nonzero(foreground)
        offset = targets["offset"][i].numpy()[:, y, x_] * OFFSET_SCALE
        landed = np.round(np.stack([y, x_]) + offset).astype(int).clip(0, 127)
        assert foreground[landed[0], landed[1]].mean() > 0.9 if len(y) else True


def test_no_group_is_both_learned_from_and_held_out() -> None:
    parts = defaultdict(set)
    with open(HELD_OUT, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        parts[row["kind"], row["group"]].add(row["part"])
    assert len({row["image_id"] for row in rows}) == len(rows)
    assert all(len(found) == 1 for found in parts.values())
    assert {row["kind"] for row in rows if row["part"] == "third"} >= {"fluorescence", "histology", "bbbc039"}
