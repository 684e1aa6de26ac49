"""Labels and tables inside OME-Zarr images: other programs find them there; what is not ours stays as it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr_models import open_ome_zarr

from napari_cellseg import segment
from napari_cellseg.cli import main
from napari_cellseg.imaging import read_image, read_labels
from napari_cellseg.imaging.read.read import source_stamp
from napari_cellseg.imaging.write.write import read_label_stack
from napari_cellseg.imaging.write.zarr_labels import read_zarr_metadata
from napari_cellseg.results.ledger import Ledger
from tests.blobs import blobs
from tests.imaging.read.ome_zarr.test_read import write_ome
from tests.models import make_model
from tests.tables import rows_of


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    model = make_model(tmp_path_factory.mktemp("models") / "tiny")
    return ["--model", str(model.path), "--device", "cpu", "--diameter", "0"]


def planes(n: int) -> np.ndarray:
    return np.stack([blobs(i, 80, 6).image.astype(np.uint16) for i in range(n)])


def container_of(path: Path) -> Any:
    # Imported before ome-zarr-models, ngio makes its validator refuse every array.
    from ngio import open_ome_zarr_container

    return open_ome_zarr_container(path)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("blocks", [[], ["--blocks"]])
def test_labels_and_table_lie_in_the_image(words, tmp_path, version, blocks):
    path, out = tmp_path / "a.zarr", tmp_path / "out"
    write_ome(path, planes(2), "cyx", [1, 0.5, 0.25], version)
    zarr.consolidate_metadata(path)
    command = ["segment", str(path), "--out", str(out), "--channel", "1", "--save", "labels,cells,inside", *words]
    assert main([*command, *blocks]) == 0
    (row,) = Ledger(out).rows()
    want, table = read_labels(out / row.files["labels"]), rows_of(out / "cells.csv")
    assert row.count and len(table) == row.count

    assert open_ome_zarr(path / "labels", version=version).ome_attributes.labels == ["cells"]
    about = open_ome_zarr(path / "labels/cells", version=version).ome_attributes
    assert about.image_label.source.image == "../../"
    image, _, cells = Reader(parse_url(path))()
    assert image.data[0].shape == (2, 80, 80)
    np.testing.assert_array_equal(cells.data[0], want)
    assert cells.metadata["coordinateTransformations"][0] == [{"type": "scale", "scale": [0.5, 0.25]}]

    container = container_of(path)
    np.testing.assert_array_equal(np.squeeze(container.get_label("cells").get_as_numpy()), want)
    found = container.get_table("cells")
    assert (found.table_type(), found.reference_label) == ("feature_table", "cells")
    frame = found.dataframe
    assert list(frame.index) == [int(one["index"]) for one in table]
    assert list(frame["area_px"]) == [int(one["area_px"]) for one in table]
    np.testing.assert_allclose(frame["centroid_x_um"], [float(one["centroid_x_um"]) for one in table])

    assert read_zarr_metadata(path / "labels")["count"] == row.count
    # The image is what it was, and so is its result.
    assert read_image(path).axes == "CYX"
    assert main([*command, *blocks, "--resume"]) == 0
    assert Ledger(out).rows()[0].image_sha256 == row.image_sha256


def test_a_stack_is_filled_plane_by_plane(words, tmp_path, capsys):
    path, out = write_ome(tmp_path / "a.zarr", planes(3)[:, None], "tzyx", [2, 1, 0.5, 0.5]), tmp_path / "out"
    stamp = source_stamp(path)
    command = ["segment", str(path), "--out", str(out), "--save", "inside", *words]
    assert main([*command, "--pages", "stack"]) == 0
    want, _ = read_label_stack(out / "a_labels.tif")
    inside = zarr.open_array(path / "labels/cells/0", mode="r")
    assert inside.shape == (3, 1, 80, 80)
    np.testing.assert_array_equal(inside[:, 0], want)
    assert source_stamp(path) == stamp
    counts = {f"t00{i}": len(np.unique(plane)) - 1 for i, plane in enumerate(want)}
    about = read_zarr_metadata(path / "labels")
    assert about["counts"] == counts and about["count"] == sum(counts.values())
    container = container_of(path)
    assert container.list_tables() == ["cells_t000", "cells_t001", "cells_t002"]
    assert len(container.get_table("cells_t001").dataframe) == counts["t001"]
    # Planes one by one come to the same.
    assert main([*command, "--pages", "each", "--overwrite"]) == 0
    np.testing.assert_array_equal(zarr.open_array(path / "labels/cells/0", mode="r")[:, 0], want)
    assert container.list_tables() == ["cells_t000", "cells_t001", "cells_t002"]
    assert main([*command, "--pages", "each", "--resume"]) == 0 and "3 done before" in capsys.readouterr().out


def test_corrected_cells_are_saved_into_the_image_too(words, tmp_path):
    path, out = write_ome(tmp_path / "a.zarr", planes(1)[0], "yx"), tmp_path / "out"
    found = segment(path, model=words[1], device="cpu", diameter=0)
    found.save(out, outputs=("inside",))
    before = zarr.open_array(path / "labels/cells/0", mode="r")[...]
    np.testing.assert_array_equal(before, found.labels)
    gone = int(found.table["index"][0])
    found.delete(gone)
    # What was written of an image is brought up to date with its labels.
    found.save(out)
    after = zarr.open_array(path / "labels/cells/0", mode="r")[...]
    np.testing.assert_array_equal(after, np.where(before == gone, 0, before))
    assert gone not in container_of(path).get_table("cells").dataframe.index


def test_labels_of_other_programs_stay_beside_ours(words, tmp_path):
    path = write_ome(tmp_path / "a.zarr", planes(1)[0], "yx")
    write_ome(path / "labels/nuclei", planes(1)[0], "yx")
    zarr.open_group(path / "labels", mode="a").attrs["ome"] = {"version": "0.5", "labels": ["nuclei"]}
    assert main(["segment", str(path), "--out", str(tmp_path / "out"), "--save", "inside", *words]) == 0
    assert zarr.open_group(path / "labels").attrs["ome"] == {"version": "0.5", "labels": ["nuclei", "cells"]}


@pytest.mark.parametrize("kind", ["tiff", "foreign", "link", "read-only", "axes"])
@pytest.mark.parametrize("blocks", [[], ["--blocks"]])
def test_what_cannot_be_put_inside_is_refused_untouched(words, tmp_path, capsys, monkeypatch, kind, blocks):
    path = tmp_path / "a.zarr"
    said = {
        "tiff": "not an OME-Zarr image",
        "foreign": "not written by napari-cellseg",
        "link": "leads out of the image",
        "read-only": "not writable",
        "axes": "axes",
    }[kind]
    if kind == "tiff":
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, planes(1)[0])
    elif kind == "axes":
        write_ome(path, planes(1)[0].T, "xy")
    else:
        write_ome(path, planes(1)[0], "yx")
    if kind == "foreign":
        write_ome(path / "labels/cells", planes(1)[0], "yx")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        (path / "labels").symlink_to(tmp_path / "elsewhere")
    elif kind == "read-only":
        # To root, as whom tests may run, everything is writable.
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    before = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*"))
    out = tmp_path / "out"
    words = [*words, *blocks, *(["--axes", "YX"] if kind == "axes" else [])]
    assert main(["segment", str(path), "--out", str(out), "--save", "inside", "--overwrite", *words]) == 1
    assert said in capsys.readouterr().err
    assert [p for p in before if not (tmp_path / p).exists()] == []
    assert not list(out.rglob("*_labels*")) and (kind == "foreign" or not (path / "labels/cells").exists())
