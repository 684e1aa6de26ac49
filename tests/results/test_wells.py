"""Wells and fields of plates: from the metadata of OME-Zarr and from the names that microscopes give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from ome_zarr_models import open_ome_zarr

from napari_cellseg.cli import main
from napari_cellseg.imaging import read_image
from napari_cellseg.results.counts import COLUMNS, read_counts
from napari_cellseg.results.wells import well_of
from tests.blobs import blobs
from tests.imaging.read.ome_zarr.test_read import write_ome
from tests.models import make_model
from tests.tables import rows_of


@pytest.mark.parametrize(
    "image, source, well",
    [
        ("A01.tif", "", ("A01", "")),
        ("sub/B2.png", "", ("B02", "")),
        ("r02c11f03p01-ch1sk1fk1fl1.tiff", "", ("B11", "3")),
        ("r27c01.tif", "", ("AA01", "")),
        ("exp--W0001--P00002--Z00000--T00000--DAPI.tif", "", ("W0001", "2")),
        ("AssayPlate_Greiner_#655090_C03_T0001F012L01A01Z01C01.tif", "", ("C03", "12")),
        ("P1_H12_s3_w1.TIF", "", ("H12", "3")),
        ("A - 1(fld 2 wv UV - DAPI).tif", "", ("A01", "2")),
        ("plate/A/1/0", "/data/plate.zarr/A/1/0", ("A01", "0")),
        # The window names an image by the last part of its path.
        ("0", "/data/plate.ome.zarr/AB/12/3", ("AB12", "3")),
        ("0", r"C:\data\plate.zarr\B\2\1", ("B02", "1")),
        ("A/1/0.tif", "/data/A/1/0.tif", ("", "")),
        ("a01.tif", "", ("", "")),
        ("C99.tif", "", ("", "")),
        ("Q01.tif", "", ("", "")),
        ("cells2.ome.tif", "", ("", "")),
        ("BA01x.tif", "", ("", "")),
    ],
)
def test_names_of_wells(image, source, well):
    assert well_of(image, source) == well


def write_plate(path: Path, version: str) -> Path:
    """A plate of two wells with two fields each."""
    form = 3 if version == "0.5" else 2

    def group(folder: Path, about: dict) -> None:
        attributes = {"ome": {"version": version, **about}} if form == 3 else about
        zarr.open_group(folder, mode="a", zarr_format=form).attrs.update(attributes)

    wells = [{"path": f"{row}/2", "rowIndex": i, "columnIndex": 0} for i, row in enumerate("AB")]
    rows, columns = [{"name": "A"}, {"name": "B"}], [{"name": "2"}]
    group(path, {"plate": {"version": version, "rows": rows, "columns": columns, "wells": wells, "name": "p"}})
    for i, row in enumerate("AB"):
        zarr.open_group(path / row, mode="a", zarr_format=form)
        group(path / row / "2", {"well": {"version": version, "images": [{"path": "0"}, {"path": "1"}]}})
        for field in range(2):
            values = blobs(2 * i + field, 64, 4).image.astype(np.uint16)
            write_ome(path / row / "2" / str(field), values, "yx", [0.5, 0.5], version)
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_plate_runs_as_a_folder_does(tmp_path, capsys, version):
    plate, out = write_plate(tmp_path / "p.ome.zarr", version), tmp_path / "out"
    assert len(open_ome_zarr(plate, version=version).ome_attributes.plate.wells) == 2
    assert read_image(plate / "B/2/1").name == "p_B_2_1"
    model = make_model(tmp_path / "tiny")
    command = ["segment", str(plate), "--out", str(out), "--model", str(model.path), "--device", "cpu"]
    assert main([*command, "--save", "labels,cells,inside"]) == 0
    counts = rows_of(out / "counts.csv")
    assert [(row["image"], row["well"], row["field"]) for row in counts] == [
        (f"p/{row}/2/{field}", f"{row}02", field) for row in "AB" for field in "01"
    ]
    cells = rows_of(out / "cells.csv")
    assert {(row["image"], row["well"], row["field"]) for row in cells} == {
        (row["image"], row["well"], row["field"]) for row in counts if int(row["count"])
    }
    # Behind all other columns, which stay where they were.
    assert list(counts[0])[: len(COLUMNS)] == list(COLUMNS) and list(counts[0])[-2:] == ["well", "field"]
    assert list(cells[0])[-2:] == ["well", "field"]
    assert (plate / "B/2/1/labels/cells").is_dir()
    assert main([*command, "--resume"]) == 0 and "4 done before" in capsys.readouterr().out
    assert len(read_counts(out / "counts.csv")) == 4


def test_wells_stand_in_all_tables_or_in_none(tmp_path):
    model = make_model(tmp_path / "tiny")
    command = ["segment", "--model", str(model.path), "--device", "cpu", "--save", "labels,cells"]
    film = np.stack([blobs(i, 64, 4).image.astype(np.uint16) for i in range(2)])
    for name, values, axes in (("B03_s2.tif", film, "TYX"), ("control.tif", film[:1], "TYX")):
        (tmp_path / "in").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "in" / name, values, imagej=True, metadata={"axes": axes})
    assert main([*command, str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--pages", "stack"]) == 0
    wells = {row["image"]: (row["well"], row["field"]) for row in rows_of(tmp_path / "out/counts.csv")}
    assert wells == {"B03_s2.tif": ("B03", "2"), "control.tif": ("", "")}
    assert main([*command, str(tmp_path / "in/B03_s2.tif"), "--out", str(tmp_path / "linked"), "--link", "t"]) == 0
    for name in ("tracks", "frames"):
        (well,) = {(row["well"], row["field"]) for row in rows_of(tmp_path / f"linked/B03_s2_{name}.csv")}
        assert well == ("B03", "2")
    assert main([*command, str(tmp_path / "in/control.tif"), "--out", str(tmp_path / "one")]) == 0
    assert (
        "well" not in rows_of(tmp_path / "one/counts.csv")[0] and "well" not in rows_of(tmp_path / "one/cells.csv")[0]
    )
