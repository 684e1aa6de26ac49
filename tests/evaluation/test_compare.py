"""The guard: better, worse and forgotten are told apart, and only reviewed cells count."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_cellseg.evaluation.changes import changes_of
from napari_cellseg.evaluation.compare import (
    COMPARISON_FILE,
    Comparison,
    iter_compare,
    read_comparison,
    read_pictures,
    write_comparison,
)
from napari_cellseg.evaluation.evaluate import predict_sample
from napari_cellseg.imaging.errors import CellsegError
from napari_cellseg.imaging.progress import drain
from napari_cellseg.network.version_files import set_defaults, set_specialist
from napari_cellseg.network.versions import ModelVersion, load_model
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.training.data.datasets import Sample
from napari_cellseg.training.data.general import general_samples
from napari_cellseg.training.data.hold_out import HeldOut
from tests.models import make_model


@pytest.fixture(scope="module")
def good() -> ModelVersion:
    return load_model("cells")


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return make_model(tmp_path_factory.mktemp("models") / "bad")


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [s for s in general_samples("check") if s.kind == "fluorescence"][:2]


def parts_of(samples: list[Sample], how: str = "images") -> HeldOut:
    return HeldOut((), tuple(samples), how)


def test_a_version_is_not_worse_than_itself(good: ModelVersion, samples: list[Sample]) -> None:
    same = drain(iter_compare(good, good, parts_of(samples[:1]), samples[1:], "cpu"))
    assert not same.worse and same.changed == [] and same.pictures == []
    assert same.held_out.old == same.held_out.new and same.held_out.old["f1"] > 0.7
    assert same.general.n_images == 1 and set(same.general.kinds) == {"fluorescence"}


def test_a_worse_version_is_told_with_reasons_and_pictures(
    good: ModelVersion, bad: ModelVersion, samples: list[Sample], tmp_path: Path
) -> None:
    worse = drain(iter_compare(good, bad, parts_of(samples[:1]), samples[1:], "cpu"))
    assert worse.worse and worse.new == "bad"
    assert any("held out" in reason for reason in worse.reasons)
    assert any("general" in reason for reason in worse.reasons)
    assert {change.part for change in worse.changed} == {"held_out", "general"}
    better = drain(iter_compare(bad, good, parts_of(samples[:1]), samples[1:], "cpu"))
    assert not better.worse and better.held_out.new == worse.held_out.old
    assert any(change.better for change in better.changed)

    write_comparison(tmp_path, worse)
    again = read_comparison(tmp_path)
    assert again is not None and again.to_dict() == json.loads(json.dumps(worse.to_dict()), object_hook=_tuples)
    pictures = read_pictures(tmp_path)
    assert 0 < len(pictures) <= 24
    for picture in pictures:
        (y, x), shape = picture.origin, picture.old.shape
        assert picture.image.shape[:2] == picture.truth.shape == picture.new.shape == shape
        source = next(s for s in samples if s.name == picture.change.image)
        np.testing.assert_array_equal(picture.image, source.image[y : y + shape[0], x : x + shape[1]])
        assert y <= picture.change.box[0] and x <= picture.change.box[1]


def _tuples(values: dict) -> dict:
    return {**values, "box": tuple(values["box"])} if "box" in values else values


def test_better_on_the_own_images_and_worse_on_others_is_a_specialist(
    good: ModelVersion, bad: ModelVersion, samples: list[Sample]
) -> None:
    """A trained network against a random one, each with the other's cells as the truth of one of the two parts."""
    mine, others = samples
    as_good, as_bad = predict_sample(mine, Recipe(str(good.path))), predict_sample(others, Recipe(str(bad.path)))
    parts = parts_of([replace(mine, labels=as_good.labels().astype(np.int32))])
    general = [replace(others, labels=as_bad.labels().astype(np.int32))]
    special = drain(iter_compare(bad, good, parts, general, "cpu"))
    assert special.verdict == "specialist" and not special.worse and "specialist" in special.in_words()
    assert any("general" in reason for reason in special.reasons)
    assert Comparison.from_dict(json.loads(json.dumps(special.to_dict()))).verdict == "specialist"
    # On what was learned nothing can be shown.
    flattered = drain(iter_compare(bad, good, HeldOut((), parts.held_out, "none"), general, "cpu"))
    assert flattered.worse
    # Worse on the user's images is worse, whatever it is elsewhere.
    refused = drain(iter_compare(good, bad, parts, general, "cpu"))
    assert refused.worse and any("held out" in reason for reason in refused.reasons)
    with pytest.raises(ValueError, match="verdict"):
        Comparison.from_dict({**special.to_dict(), "verdict": "fine"})


def test_a_specialist_is_named_so(tmp_path: Path) -> None:
    version = set_specialist(make_model(tmp_path / "mine"))
    assert version.specialist and version.title == "mine (specialist)"
    assert set_defaults(version, 0.4, 9).specialist


def test_only_what_was_reviewed_is_compared(good: ModelVersion, bad: ModelVersion, samples: list[Sample]) -> None:
    """Labels that nobody vouches for change no figure."""
    reviewed = np.zeros(samples[0].labels.shape, bool)
    reviewed[:, :128] = True
    across = np.unique(samples[0].labels[:, 120:136])
    clean = np.where(np.isin(samples[0].labels, across), 0, samples[0].labels)
    spoiled = clean.copy()
    spoiled[:, 136:] = 9999
    figures = [
        drain(iter_compare(good, bad, parts_of([replace(samples[0], labels=v, reviewed=reviewed)]), [], "cpu"))
        for v in (clean, spoiled)
    ]
    assert figures[0].to_dict() == figures[1].to_dict()
    assert figures[0].held_out.n_cells == len(np.unique(clean[:, :128])) - 1
    assert all(change.box[1] < 128 for change in figures[0].changed)


def test_background_only_and_what_is_said_of_it(good: ModelVersion, bad: ModelVersion) -> None:
    empty = Sample(
        "empty", np.random.default_rng(0).normal(100, 5, (96, 96)).astype(np.float32), np.zeros((96, 96), np.int32)
    )
    comparison = drain(iter_compare(good, bad, parts_of([empty], "none"), [], "cpu"))
    assert comparison.held_out.n_cells == 0 and comparison.held_out.old["count_mape"] is None
    assert any("flatter" in reason for reason in comparison.reasons)
    assert comparison.worse != (comparison.held_out.new["n_cells"] <= comparison.held_out.old["n_cells"])


@pytest.mark.parametrize(
    ("what", "old", "new"),
    [
        ("lost", [(slice(4, 12), slice(4, 12))], []),
        ("gained", [], [(slice(4, 12), slice(4, 12))]),
        ("split", [(slice(4, 12), slice(4, 24))], [(slice(4, 12), slice(4, 14)), (slice(4, 12), slice(14, 24))]),
        ("merged", [(slice(4, 12), slice(4, 14)), (slice(4, 12), slice(14, 24))], [(slice(4, 12), slice(4, 24))]),
        ("reshaped", [(slice(4, 16), slice(4, 16))], [(slice(4, 12), slice(4, 14))]),
        (None, [(slice(4, 16), slice(4, 16))], [(slice(4, 16), slice(4, 17))]),
    ],
)  # fmt: skip
def test_changes_have_names(what: str | None, old: list, new: list) -> None:
    images = []
    for boxes in (old, new):
        labels = np.zeros((40, 50), np.int32)
        for i, box in enumerate(boxes, start=1):
            labels[box] = 3 * i
        images.append(labels)
    sample = Sample("a", np.zeros((40, 50, 3), np.uint8), images[0])
    for truth, better in ((images[0], False), (images[1], True)):
        found = changes_of(sample, "held_out", truth, *images)
        assert [picture.change.what for picture in found] == ([] if what is None else [what])
        assert all(picture.change.better == better for picture in found)


def test_a_comparison_that_is_missing_or_damaged(tmp_path: Path) -> None:
    assert read_comparison(tmp_path) is None and read_pictures(tmp_path) == []
    for text in ("{", '{"old": "a"}', "[]"):
        (tmp_path / COMPARISON_FILE).write_text(text)
        with pytest.raises(CellsegError, match="cannot be read"):
            read_comparison(tmp_path)
    for content in (b"PK torn", b"PK\3\4 torn"):
        (tmp_path / "changes.npz").write_bytes(content)
        with pytest.raises(CellsegError, match="cannot be read"):
            read_pictures(tmp_path)
