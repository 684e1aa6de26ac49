"""DICOM: the one file that is given, with its scale, or a clear word."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from napari_cellseg.imaging import AxesError, ImageError, find_images, read_image

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 4096, (20, 31)).astype(np.uint16)
RGB = RNG.integers(0, 256, (20, 31, 3)).astype(np.uint8)


def write_dicom(path, array, kind="MONOCHROME2", n_frames=1, **entries):
    pydicom = pytest.importorskip("pydicom")
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = pydicom.uid.generate_uid()
    dataset.Rows, dataset.Columns = array.shape[1:3] if n_frames > 1 else array.shape[:2]
    dataset.SamplesPerPixel = 3 if kind in ("RGB", "YBR_FULL") else 1
    if dataset.SamplesPerPixel == 3:
        dataset.PlanarConfiguration = 0
    if n_frames > 1:
        dataset.NumberOfFrames = n_frames
    dataset.PhotometricInterpretation = kind
    dataset.BitsAllocated = 8 * array.dtype.itemsize
    dataset.BitsStored = 12 if array.dtype == np.uint16 else dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(array.dtype.kind == "i")
    dataset.PixelData = array.tobytes()
    for name, value in entries.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_the_file_is_read_with_its_scale(tmp_path):
    image = read_image(write_dicom(tmp_path / "a.dcm", GREY, PixelSpacing=[0.002, 0.001]))
    assert (image.axes, image.rgb, image.name, image.pixel_size) == ("YX", False, "a.dcm", (2, 1))
    np.testing.assert_array_equal(image.plane(), GREY)


def test_never_a_neighbour(tmp_path):
    for i in range(4):
        write_dicom(tmp_path / f"{i}.dcm", GREY + i)
    (tmp_path / "odd.dcm").write_text("no image")
    for i in range(4):
        np.testing.assert_array_equal(read_image(tmp_path / f"{i}.dcm").plane(), GREY + i)
    with pytest.raises(ImageError, match=r"odd\.dcm is not a whole DICOM file"):
        read_image(tmp_path / "odd.dcm")


def test_the_content_counts_not_the_suffix(tmp_path):
    for name in ("IM0001", "a.ima"):
        np.testing.assert_array_equal(read_image(write_dicom(tmp_path / name, GREY)).plane(), GREY)
    write_dicom(tmp_path / "b.dcm", GREY)
    assert [name for _, name in find_images(tmp_path)] == ["b.dcm"]


def test_nothing_is_printed(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", GREY)
    code = f"from napari_cellseg.imaging import read_image\nread_image({str(path)!r})\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_white_as_zero_is_inverted(tmp_path):
    np.testing.assert_array_equal(read_image(write_dicom(tmp_path / "a.dcm", GREY, "MONOCHROME1")).plane(), 4095 - GREY)
    signed = (GREY // 32 - 64).astype(np.int8)
    np.testing.assert_array_equal(read_image(write_dicom(tmp_path / "b.dcm", signed, "MONOCHROME1")).plane(), ~signed)


def test_colours(tmp_path):
    image = read_image(write_dicom(tmp_path / "a.dcm", RGB, "RGB"))
    assert image.rgb
    np.testing.assert_array_equal(image.plane(), RGB)


def test_frames_are_what_the_file_says_or_asked_for(tmp_path):
    frames = np.stack([GREY, GREY[::-1], GREY[:, ::-1]])
    path = write_dicom(tmp_path / "a.dcm", frames, n_frames=3, FrameTime=500)
    assert (read_image(path).axes, read_image(path).frame_interval) == ("TYX", 0.5)
    path = write_dicom(tmp_path / "b.dcm", frames, n_frames=3, SpacingBetweenSlices=0.003)
    assert (read_image(path).axes, read_image(path).slice_spacing) == ("ZYX", 3)
    path = write_dicom(tmp_path / "c.dcm", frames, n_frames=3)
    with pytest.raises(AxesError, match="--axes"):
        read_image(path)
    np.testing.assert_array_equal(read_image(path, "ZYX").data, frames)


@pytest.mark.parametrize(
    "kind, entries, words",
    [
        ("PALETTE COLOR", {}, "PALETTE COLOR"),
        ("MONOCHROME2", {"TotalPixelMatrixRows": 500}, "tiles of a slide"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path, kind, entries, words):
    with pytest.raises(ImageError, match=words):
        read_image(write_dicom(tmp_path / "a.dcm", GREY, kind, **entries))


def test_without_pydicom_it_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.dcm").write_bytes(bytes(128) + b"DICM" + bytes(100))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ImageError, match=r"a\.dcm is a DICOM file, which needs: .*cellseg\[formats\]"):
        read_image(tmp_path / "a.dcm")


def test_a_file_that_begins_as_a_tiff_is_dicom_by_its_mark(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", GREY)
    content = path.read_bytes()
    path.write_bytes(b"II*\0\x10\0\x08\0" + content[8:])
    np.testing.assert_array_equal(read_image(path).plane(), GREY)
    np.testing.assert_array_equal(read_image(path.rename(tmp_path / "IM0001")).plane(), GREY)


def test_a_file_that_is_packed_as_a_whole_is_bounded(tmp_path, monkeypatch):
    pydicom = pytest.importorskip("pydicom")
    path = write_dicom(tmp_path / "a.dcm", np.zeros((900, 900), np.uint16) + np.arange(900, dtype=np.uint16))
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.PixelData = RNG.integers(0, 256, 1_620_000).astype(np.uint8).tobytes()
    dataset.save_as(path)
    assert read_image(path).shape_yx == (900, 900)
    monkeypatch.setattr("napari_cellseg.imaging.read.pictures.dicom._LARGEST_PACKED", 1_000_000)
    with pytest.raises(ImageError, match="unpacks to more than"):
        read_image(path)
