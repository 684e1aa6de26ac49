"""Tables of cells as Parquet and AnnData: what pandas, pyarrow and anndata read is what cells.csv holds."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import anndata
import numpy as np
import pandas
import pytest
import tifffile
from pyarrow import parquet

from napari_cellseg.cli import main
from napari_cellseg.imaging import OutputError, ParamsError
from napari_cellseg.results.formats.arrow import unit_of, write_h5ad, write_parquet
from napari_cellseg.results.origin import check_origin
from napari_cellseg.results.outputs import check_outputs
from tests.blobs import blobs
from tests.models import make_model


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of an image of two channels with a pixel size, of one in a well without, and of one without cells."""
    folder = tmp_path_factory.mktemp("done")
    model, images = make_model(folder / "tiny"), folder / "in"
    images.mkdir()
    two = np.stack([blobs(i, 64, 4).image.astype(np.uint16) for i in range(2)])
    about = {"axes": "CYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "Channel": {"Name": ["DAPI", "=a/b"]}}
    tifffile.imwrite(images / "two.ome.tif", two, metadata=about)
    tifffile.imwrite(images / "B02_f3.tif", np.stack([blobs(2, 64, 4).image.astype(np.float32)] * 2))
    tifffile.imwrite(images / "none.tif", np.stack([np.zeros((64, 64), np.uint8)] * 2))
    words = ["--model", str(model.path), "--device", "cpu", "--axes", "CYX", "--channel", "0", "--min-size", "30"]
    command = ["segment", str(images), "--out", str(folder / "out"), "--save", "cells,parquet,anndata", *words]
    assert main(command) == 0
    # All is there, and nothing is made again.
    assert main([*command, "--resume"]) == 0
    return folder / "out"


def test_parquet_holds_the_cells_with_types_and_units(done):
    want, found = (
        pandas.read_csv(done / "cells.csv", float_precision="round_trip"),
        pandas.read_parquet(done / "cells.parquet"),
    )
    assert len(found) == len(want) and set(want["image"]) >= {"two.ome.tif", "B02_f3.tif"}
    names = [name.removeprefix("'").replace("_'", "_") for name in want]
    assert sorted(found) == sorted(names)
    for name in ("index", "area_px", "centroid_y", "centroid_x_um", "solidity", "mean_intensity", "intensity_max_DAPI"):
        np.testing.assert_array_equal(found[name], want[name])
    kinds = {name: found[name].dtype.kind for name in ("index", "area_px", "touches_edge", "centroid_y", "area_um2")}
    assert kinds == {"index": "i", "area_px": "i", "touches_edge": "b", "centroid_y": "f", "area_um2": "f"}
    well = found[found["image"] == "B02_f3.tif"]
    assert set(well["well"]) == {"B02"} and set(well["field"]) == {"3"} and well["area_um2"].isna().all()
    schema = parquet.read_schema(done / "cells.parquet")
    units = {name: (schema.field(name).metadata or {}).get(b"unit") for name in schema.names}
    assert (units["area_px"], units["area_um2"], units["centroid_x"], units["solidity"]) == (
        *(b"pixel^2", b"micrometer^2", b"pixel"),
        None,
    )
    about = json.loads(schema.metadata[b"napari-cellseg"])
    assert len(about["recipes"]) == 1 and about["models"][0].endswith("tiny")


def test_anndata_holds_intensities_shapes_and_positions(done):
    want, found = pandas.read_parquet(done / "cells.parquet"), anndata.read_h5ad(done / "cells.h5ad")
    measured = [name for name in want if "intensity" in name]
    assert list(found.var_names) == measured and "intensity_mean_DAPI" in measured
    np.testing.assert_array_equal(found.X, want[measured])
    assert sorted(found.obs) == sorted(set(want) - set(measured))
    for name in ("index", "area_px", "touches_edge", "area_um2"):
        np.testing.assert_array_equal(found.obs[name], want[name])
    assert list(found.obs["image"].astype(str)) == list(want["image"])
    np.testing.assert_array_equal(found.obsm["spatial"], want[["centroid_x", "centroid_y"]])
    # Micrometres are not known of all cells.
    assert "spatial_um" not in found.obsm
    assert found.obs_names.is_unique and found.obs_names[0] == f"{want['image'][0]} {want['index'][0]}"
    about = found.uns["napari-cellseg"]
    assert about["units"]["area_px"] == "pixel^2" and json.loads(about["about"])["recipes"]


def test_positions_in_micrometres_and_planes(tmp_path):
    model, image = make_model(tmp_path / "tiny"), tmp_path / "a.tif"
    planes = np.stack([blobs(0, 64, 4).image.astype(np.uint16)] * 3)
    tifffile.imwrite(
        image, planes, imagej=True, resolution=(2, 2), metadata={"axes": "ZYX", "unit": "um", "spacing": 2}
    )
    command = [
        "segment",
        str(image),
        "--model",
        str(model.path),
        "--device",
        "cpu",
        "--save",
        "parquet,anndata",
        "--out",
    ]
    assert main([*command, str(tmp_path / "each"), "--pages", "each"]) == 0
    found = anndata.read_h5ad(tmp_path / "each/cells.h5ad")
    assert found.obs_names.is_unique and set(found.obs["page"]) == {"z000", "z001", "z002"}
    np.testing.assert_allclose(found.obsm["spatial_um"], found.obsm["spatial"] / 2)
    assert not (tmp_path / "each/cells.csv").exists()
    assert main([*command, str(tmp_path / "linked"), "--link", "z"]) == 0
    linked = pandas.read_parquet(tmp_path / "linked/cells.parquet")
    assert linked["volume_vox"].dtype.kind == "i" and anndata.read_h5ad(tmp_path / "linked/cells.h5ad").obsm[
        "spatial"
    ].shape == (len(linked), 3)
    assert main([*command, str(tmp_path / "blocks"), "--pages", "each", "--blocks"]) == 0
    blocks = pandas.read_parquet(tmp_path / "blocks/cells.parquet")
    assert sorted(blocks["area_px"]) == sorted(found.obs["area_px"])


def test_files_of_other_programs_stay(done, tmp_path):
    for name in ("cells.parquet", "cells.h5ad"):
        check_origin(done / name)
    pandas.DataFrame({"index": [1]}).to_parquet(tmp_path / "cells.parquet")
    anndata.AnnData(np.zeros((2, 2))).write_h5ad(tmp_path / "cells.h5ad")
    for name in ("cells.parquet", "cells.h5ad"):
        with pytest.raises(OutputError, match="not written by napari-cellseg"):
            check_origin(tmp_path / name)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:100])
        with pytest.raises(OutputError, match="not written by napari-cellseg"):
            check_origin(tmp_path / name)


def test_pieces_that_are_damaged_or_gone(tmp_path):
    (tmp_path / "a.csv").write_text("index,area_px,touches_edge\n1,20,True\n2,3")
    (tmp_path / "b.csv").write_text("index,area_px,touches_edge,area_um2\n1,8,False,2.0\n")
    (tmp_path / "c.csv").write_text("index,area_px\n")
    pieces = [({"image": name, "page": ""}, tmp_path / f"{name}.csv") for name in ("a", "b", "c", "gone")]
    write_parquet(tmp_path / "t.parquet", pieces, {})
    found = pandas.read_parquet(tmp_path / "t.parquet")
    assert list(found["image"]) == ["a", "b"] and list(found["area_px"]) == [20, 8] and list(found["index"]) == [1, 1]
    write_h5ad(tmp_path / "t.h5ad", pieces, {})
    assert anndata.read_h5ad(tmp_path / "t.h5ad").shape == (2, 0)
    for write, name in ((write_parquet, "n.parquet"), (write_h5ad, "n.h5ad")):
        write(tmp_path / name, [], {})
    assert len(pandas.read_parquet(tmp_path / "n.parquet")) == 0
    (tmp_path / "c.csv").write_bytes(b"")
    with pytest.raises(OutputError, match="run again"):
        write_parquet(tmp_path / "t.parquet", pieces, {})


def test_the_missing_package_is_named(monkeypatch):
    whole = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "anndata" else whole(name))
    assert check_outputs(["parquet"]) == ("parquet",)
    with pytest.raises(ParamsError, match=r"anndata needs anndata.*napari-cellseg\[tables\]"):
        check_outputs(["anndata"])


@pytest.mark.parametrize(
    "column, unit",
    [
        *(("area_px", "pixel^2"), ("perimeter_px", "pixel"), ("centroid_y", "pixel"), ("centroid_y_um", "micrometer")),
        *(("volume_um3", "micrometer^3"), ("volume_vox", "voxel"), ("orientation", "radian"), ("intensity_max_um", "")),
    ],
)
def test_units(column, unit):
    assert unit_of(column) == unit
