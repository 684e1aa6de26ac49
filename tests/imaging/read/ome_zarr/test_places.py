"""Zarr images in zip files and on servers: read piece by piece, only where the user typed the address."""

from __future__ import annotations

import importlib.util
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_cellseg import segment
from napari_cellseg.cli import main
from napari_cellseg.imaging import ImageError, find_images, plane_image, planes_of, read_image
from napari_cellseg.imaging.read.ome_zarr import places as zarr_places
from napari_cellseg.imaging.read.ome_zarr.levels import read_levels
from napari_cellseg.imaging.read.ome_zarr.places import address_of, allow
from napari_cellseg.imaging.read.read import source_stamp
from napari_cellseg.results.ledger import Ledger
from tests.blobs import blobs
from tests.imaging.read.ome_zarr.servers import serving
from tests.imaging.read.ome_zarr.test_read import STACK, write_ome
from tests.models import make_model
from tests.results.test_wells import write_plate


@pytest.fixture(autouse=True)
def nothing_typed(monkeypatch):
    monkeypatch.setattr(zarr_places, "_typed", set())
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)


def zipped(folder: Path, path: Path, inner: str = "", packing: int = zipfile.ZIP_STORED) -> Path:
    """Put a folder into a zip file, at the top or in another folder."""
    with zipfile.ZipFile(path, "w", packing) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"{inner}{file.relative_to(folder).as_posix()}")
    return path


def write_sharded(path: Path) -> Path:
    """An OME-Zarr 0.5 image in one shard, of which parts are read."""
    write_ome(path, STACK[0], "zyx", [2, 0.5, 0.5])
    group = zarr.open_group(path)
    del group["0"]
    array = group.create_array("0", shape=(3, 40, 50), chunks=(1, 20, 25), shards=(3, 40, 50), dtype="u2")
    array[...] = STACK[0]
    return path


# Zip files


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("inner, packing", [("", zipfile.ZIP_STORED), ("a.ome.zarr/", zipfile.ZIP_DEFLATED)])
def test_an_image_in_a_zip_file(tmp_path, monkeypatch, version, inner, packing):
    folder = write_ome(tmp_path / "a.ome.zarr", STACK, "tzyx", [1, 2, 0.5, 0.25], version)
    path = zipped(folder, tmp_path / "in.zarr.zip", inner, packing)
    image = read_image(path)
    np.testing.assert_array_equal(image.data, STACK)
    assert (image.axes, image.pixel_size, image.name, image.source) == ("TZYX", (0.5, 0.25), path.name, str(path))
    levels, notes = read_levels(image)
    assert [level.shape for level in levels] == [(2, 3, 20, 25)] and not notes
    monkeypatch.setattr("napari_cellseg.imaging.read.read.LAZY_BYTES", 1000)
    image = read_image(path)
    assert not isinstance(image.data, np.ndarray)
    np.testing.assert_array_equal(plane_image(image, planes_of(image)[4]).plane(), STACK[1, 1])
    assert source_stamp(path)["size"] == path.stat().st_size
    shutil.rmtree(folder)
    assert find_images(tmp_path) == [(path, "in.zarr.zip")]


def test_a_plate_in_a_zip_file_is_its_wells(tmp_path):
    plate = write_plate(tmp_path / "p.ome.zarr", "0.5")
    path = zipped(plate, tmp_path / "p.zarr.zip", "p.ome.zarr/")
    found = find_images(path)
    assert [name for _, name in found] == [f"p/{row}/2/{field}" for row in "AB" for field in "01"]
    for inner, _ in found:
        image = read_image(inner)
        np.testing.assert_array_equal(image.data, read_image(plate / inner.relative_to(path)).data)
        assert find_images(inner)[0][1].startswith("p/") and source_stamp(inner) == source_stamp(path)
    assert image.name == "p_B_2_1"


def test_bad_zip_files_are_refused(tmp_path):
    folder = write_ome(tmp_path / "a.ome.zarr", STACK[0, 0], "yx", version="0.4", compressor=None)
    (folder / "0/0.0").write_bytes(bytes(200_000_000))
    bomb = zipped(folder, tmp_path / "bomb.zarr.zip", packing=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 1_000_000
    with pytest.raises(ImageError, match=r"bomb\.zarr\.zip.*far more than the announced"):
        read_image(bomb)
    cut = tmp_path / "cut.zarr.zip"
    cut.write_bytes(bomb.read_bytes()[:-100])
    (tmp_path / "text.zarr.zip").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "none.zarr.zip", "w") as archive:
        archive.writestr("a.txt", "no image")
    for name in ("cut", "text", "none"):
        with pytest.raises(ImageError, match=rf"{name}\.zarr\.zip"):
            read_image(tmp_path / f"{name}.zarr.zip")


# Servers


def test_addresses():
    for text in ("https://h/a.zarr", "/x/https:/h/a.zarr", "HTTPS://h/a.zarr"):
        assert address_of(Path(text)) == address_of(text) == "https://h/a.zarr"
    assert address_of("s3://bucket/a.zarr/0") == "s3://bucket/a.zarr/0"
    for text in ("a.zarr", "/x/a.zarr", "ftp://h/a.zarr", "https:", "x:/a"):
        assert address_of(text) is None


@pytest.mark.parametrize("ranges", [True, False])
def test_an_image_on_a_server(tmp_path, monkeypatch, ranges):
    write_sharded(tmp_path / "a.ome.zarr")
    monkeypatch.setattr("napari_cellseg.imaging.read.read.LAZY_BYTES", 1000)
    with serving(tmp_path, ranges) as served:
        address = f"{served.address}/a.ome.zarr"
        assert allow(address)
        image = read_image(address)
        assert (image.axes, image.pixel_size, image.name, image.source) == ("ZYX", (0.5, 0.5), "a.ome.zarr", address)
        assert not any("/c/" in path for path in served.asked)
        np.testing.assert_array_equal(plane_image(image, planes_of(image)[1]).plane(), STACK[0, 1])
        assert [level.shape for level in read_levels(image)[0]] == [(3, 20, 25)]
        before = source_stamp(address)
        assert source_stamp(Path(address)) == before
        about = tmp_path / "a.ome.zarr/zarr.json"
        about.write_text(about.read_text() + " ")
        assert source_stamp(address) != before
        with pytest.raises(ImageError, match=rf"{served.address}/a\.ome\.zarr/none cannot be read|does not exist"):
            read_image(f"{address}/none")
    with pytest.raises(ImageError, match=r"a\.ome\.zarr cannot be read"):
        read_image(address)


def test_a_plate_on_a_server_is_segmented(tmp_path, capsys):
    plate = write_plate(tmp_path / "p.zarr", "0.4")
    model = make_model(tmp_path / "tiny")
    command = ["--model", str(model.path), "--device", "cpu", "--out"]
    with serving(tmp_path) as served:
        address = f"{served.address}/p.zarr"
        # So does a script.
        found = segment(f"{address}/A/2/0", model=str(model.path), device="cpu")
        zarr_places._typed.clear()
        assert main(["segment", address, *command, str(tmp_path / "far")]) == 0
        assert main(["segment", address, *command, str(tmp_path / "far"), "--resume"]) == 0
        assert "4 done before" in capsys.readouterr().out
        assert main(["segment", f"{address}/B/2/0", *command, str(tmp_path / "one"), "--save", "inside"]) == 1
        assert "not an OME-Zarr image in a folder" in capsys.readouterr().err
    assert main(["segment", str(plate), *command, str(tmp_path / "near")]) == 0
    far, near = ({row.image: row for row in Ledger(tmp_path / out).rows()} for out in ("far", "near"))
    assert len(near) == 4 and {name: row.image_sha256 for name, row in far.items()} == {
        name: row.image_sha256 for name, row in near.items()
    }
    assert (
        far["p/A/2/0"].count == found.count
        and far["p/A/2/1"].well == ("A02", "1")
        and (tmp_path / "far/p/A/2/1_labels.tif").is_file()
    )


def test_what_a_file_names_is_not_looked_up(tmp_path, capsys):
    write_ome(tmp_path / "a.zarr", blobs(0, 64, 4).image.astype(np.uint16), "yx")
    model = make_model(tmp_path / "tiny")
    with serving(tmp_path) as served:
        address = f"{served.address}/a.zarr"
        (tmp_path / "list.json").write_text(json.dumps([address]))
        command = ["segment", "--files-from", str(tmp_path / "list.json"), "--out", str(tmp_path / "out")]
        command += ["--model", str(model.path), "--device", "cpu"]
        assert main(command) == 1 and "only addresses that you type are looked up" in capsys.readouterr().err
        for path in (address, Path(address), tmp_path / address):
            with pytest.raises(ImageError, match="only addresses that you type"):
                read_image(path)
        assert served.asked == []
        # So the window passes on what was typed there; what lies elsewhere on the server is refused still.
        assert main([*command, "--address", address]) == 0
        with pytest.raises(ImageError, match="only addresses that you type"):
            read_image(f"{address}2")


def test_a_server_that_refuses_or_never_ends(tmp_path):
    write_ome(tmp_path / "a.zarr", STACK[0], "zyx")
    with serving(tmp_path) as served:
        address = f"{served.address}/a.zarr"
        allow(address)
        served.refused = "/0/c/1/0/0"
        with pytest.raises(ImageError, match="permission denied"):
            read_image(address)
        # So some servers say that there is no such file of metadata.
        write_ome(tmp_path / "old.zarr", STACK[0], "zyx", version="0.4")
        allow(f"{served.address}/old.zarr")
        served.refused = "zarr.json"
        np.testing.assert_array_equal(read_image(f"{served.address}/old.zarr").data, STACK[0])
        served.refused, served.endless = "\0", "/0/c/1/0/0"
        with pytest.raises(ImageError, match="far more than the announced"):
            read_image(address)
        assert served.n_sent < 1 << 26
        served.endless = "\0"
        # A piece that is missing is empty, as Zarr says.
        (tmp_path / "a.zarr/0/c/1/0/0").unlink()
        data = read_image(address).data
        assert not data[1, :16, :16].any() and data[0].any()


def test_an_image_in_a_bucket(tmp_path, monkeypatch):
    write_sharded(tmp_path / "bucket/a.ome.zarr")
    with serving(tmp_path) as served:
        monkeypatch.setenv("AWS_ENDPOINT_URL", served.address)
        allow("s3://bucket/a.ome.zarr")
        image = read_image("s3://bucket/a.ome.zarr")
        np.testing.assert_array_equal(image.data, STACK[0])
        assert image.source == "s3://bucket/a.ome.zarr"
        with pytest.raises(ImageError, match=r"s3://bucket/a\.ome\.zarr/none"):
            read_image("s3://bucket/a.ome.zarr/none")


def test_the_missing_package_is_named(tmp_path, monkeypatch, capsys):
    whole = importlib.util.find_spec
    monkeypatch.setattr(zarr_places, "find_spec", lambda name: None if name in ("aiohttp", "s3fs") else whole(name))
    for address, package in (("https://h/a.zarr", "aiohttp"), ("s3://bucket/a.zarr", "s3fs")):
        assert main(["segment", address, "--out", str(tmp_path)]) == 1
        assert f"{address} needs {package}: pip install" in (said := capsys.readouterr().err) and "[remote]" in said
