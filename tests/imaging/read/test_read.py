"""Image files of every kind that is read: values, axes, scale; and what is said of those that cannot be."""

from __future__ import annotations

import io
import pickle
import shutil
import zipfile

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from napari_cellseg.imaging import AxesError, CellsegError, Image, ImageError, read_image

RNG = np.random.default_rng(0)
GREY8 = RNG.integers(0, 256, (20, 31)).astype(np.uint8)
GREY16 = RNG.integers(0, 65536, (20, 31)).astype(np.uint16)
RGB8 = RNG.integers(0, 256, (20, 31, 3)).astype(np.uint8)
RGBA8 = np.concatenate([RGB8, GREY8[..., None]], -1)


def save_picture(path, array, **options):
    PillowImage.fromarray(array).save(path, **options)
    return path


@pytest.mark.parametrize("array", [GREY8, GREY16, RGB8, RGBA8, GREY8[:1, :1]], ids=["8", "16", "rgb", "rgba", "1x1"])
def test_png(tmp_path, array):
    image = read_image(save_picture(tmp_path / "a.png", array))
    np.testing.assert_array_equal(image.data, array)
    assert image.data.dtype == array.dtype
    assert image.axes == "YXC"[: array.ndim] and image.rgb == (array.ndim == 3)
    np.testing.assert_array_equal(image.plane(), array[..., :3] if array.ndim == 3 else array)
    assert (image.name, image.source) == ("a.png", str(tmp_path / "a.png"))


def test_small_colour_pictures_are_colour(tmp_path):
    assert read_image(save_picture(tmp_path / "a.png", RGB8[:2, :3])).rgb


def test_palette_becomes_colour(tmp_path):
    picture = PillowImage.fromarray(RGB8).convert("P", palette=PillowImage.Palette.ADAPTIVE, colors=16)
    for name in ("a.png", "a.bmp", "a.tif"):
        picture.save(tmp_path / name)
        image = read_image(tmp_path / name)
        assert image.rgb
        np.testing.assert_array_equal(image.plane(), np.asarray(picture.convert("RGB")))


def test_one_bit_and_grey_with_alpha_become_grey(tmp_path):
    bits = GREY8 > 99
    np.testing.assert_array_equal(read_image(save_picture(tmp_path / "a.png", bits)).plane() > 0, bits)
    np.testing.assert_array_equal(read_image(save_picture(tmp_path / "a.tif", bits)).plane() > 0, bits)
    PillowImage.fromarray(np.stack([GREY8, GREY8.T.reshape(20, 31)], -1), "LA").save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_image(tmp_path / "la.png").data, GREY8)


def test_jpeg_and_bmp(tmp_path):
    smooth = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8)
    jpeg = read_image(save_picture(tmp_path / "a.JPG", smooth, quality=95))
    np.testing.assert_allclose(jpeg.plane().astype(int), smooth, atol=4)
    for colours, axes in ((np.stack([smooth, smooth[::-1], smooth], -1), "YXC"), (np.stack([smooth] * 3, -1), "YX")):
        PillowImage.fromarray(colours).convert("CMYK").save(tmp_path / "b.jpeg")
        assert read_image(tmp_path / "b.jpeg").axes == axes
    np.testing.assert_array_equal(read_image(save_picture(tmp_path / "a.bmp", RGB8)).plane(), RGB8)


def test_the_content_counts_not_the_suffix(tmp_path):
    tifffile.imwrite(tmp_path / "a.png", GREY16)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").data, GREY16)
    save_picture(tmp_path / "b.tif", GREY8, format="PNG")
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif").data, GREY8)


def test_axes_can_be_given_for_pictures(tmp_path):
    path = save_picture(tmp_path / "a.png", RGB8)
    assert read_image(path, "YXC").rgb
    assert read_image(save_picture(tmp_path / "b.png", RGBA8), "yxc").rgb
    with pytest.raises(AxesError, match="shape"):
        read_image(path, "YX")


def test_npz_and_npy(tmp_path):
    np.savez(tmp_path / "one.npz", anything=GREY16)
    np.savez_compressed(tmp_path / "many.npz", image=GREY16, y=GREY8)
    np.savez(tmp_path / "x.npz", X=GREY16, y=GREY8)
    np.save(tmp_path / "a.npy", GREY16)
    for name in ("one.npz", "many.npz", "x.npz", "a.npy"):
        np.testing.assert_array_equal(read_image(tmp_path / name).data, GREY16)
    np.save(tmp_path / "stack.npy", np.zeros((3, 8, 9)))
    assert read_image(tmp_path / "stack.npy", "CYX").n_channels == 3
    with pytest.raises(AxesError, match="axes"):
        read_image(tmp_path / "stack.npy")


@pytest.mark.parametrize("arrays", [{"a": GREY8, "b": GREY8}, {"X": GREY8, "image": GREY8}])
def test_npz_with_several_arrays_names_them(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ImageError, match=", ".join(arrays)):
        read_image(tmp_path / "a.npz")


def test_npz_without_arrays(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w"):
        pass
    with pytest.raises(ImageError, match="none"):
        read_image(tmp_path / "a.npz")


class Hostile:
    """Its pickle creates a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_pickles_are_refused_and_never_run(tmp_path):
    trace = tmp_path / "trace"
    np.savez(tmp_path / "a.npz", np.array([Hostile(trace)], dtype=object))
    np.save(tmp_path / "b.npy", np.array([Hostile(trace)], dtype=object), allow_pickle=True)
    (tmp_path / "c.npy").write_bytes(pickle.dumps(Hostile(trace)))
    (tmp_path / "d.npz").write_bytes(pickle.dumps(Hostile(trace)))
    for name in ("a.npz", "b.npy", "c.npy", "d.npz"):
        with pytest.raises(ImageError, match=name):
            read_image(tmp_path / name)
    assert not trace.exists()


def test_files_that_are_not_there_or_not_images(tmp_path):
    (tmp_path / "a.txt").write_text("cells")
    (tmp_path / "b.png").write_text("cells")
    (tmp_path / "c.tif").touch()
    for name, word in [
        ("no.png", "does not exist"),
        ("a.txt", "kind"),
        ("b.png", "does not hold an image of a known format"),
        ("c.tif", "empty"),
    ]:
        with pytest.raises(ImageError, match=word) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(ImageError, match="folder"):
        read_image(tmp_path)


def test_a_zip_inside_an_npy_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", GREY8)
    shutil.move(tmp_path / "a.npz", tmp_path / "a.npy")
    with pytest.raises(ImageError, match="array"):
        read_image(tmp_path / "a.npy")


def test_big_npy_stays_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_cellseg.imaging.read.read.LAZY_BYTES", 100)
    np.save(tmp_path / "a.npy", GREY16)
    image = read_image(tmp_path / "a.npy")
    assert isinstance(image.data, np.memmap)
    np.testing.assert_array_equal(image.plane(), GREY16)


def good_files() -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for name, array in (("grey", GREY16), ("rgb", RGB8)):
        for compression in (None, "zlib"):
            buffer = io.BytesIO()
            photometric = "rgb" if array.ndim == 3 else "minisblack"
            tifffile.imwrite(buffer, array, compression=compression, photometric=photometric, rowsperstrip=5)
            files[f"{name}_{compression}.tif"] = buffer.getvalue()
        buffer = io.BytesIO()
        PillowImage.fromarray(array).save(buffer, "PNG")
        files[f"{name}.png"] = buffer.getvalue()
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.stack([GREY16] * 3), ome=True, metadata={"axes": "CYX"})
    files["ome.tif"] = buffer.getvalue()
    buffer = io.BytesIO()
    PillowImage.fromarray(RGB8).save(buffer, "JPEG")
    files["rgb.jpg"] = buffer.getvalue()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, X=GREY16)
    files["grey.npz"] = buffer.getvalue()
    buffer = io.BytesIO()
    np.save(buffer, GREY16)
    files["grey.npy"] = buffer.getvalue()
    return files


GOOD = good_files()


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.9, 0.97])
def test_files_cut_short_are_refused(tmp_path, name, share):
    path = tmp_path / name
    path.write_bytes(GOOD[name][: int(len(GOOD[name]) * share)])
    with pytest.raises(ImageError, match=name):
        read_image(path)


@pytest.fixture
def small_is_big(monkeypatch):
    monkeypatch.setattr("napari_cellseg.imaging.read.read.LAZY_BYTES", 1_000_000)


@pytest.mark.usefixtures("small_is_big")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_wrong_bytes_give_an_image_or_a_clear_error(tmp_path, name, data):
    content = bytearray(GOOD[name])
    limit = data.draw(st.sampled_from([40, 400, len(content)]))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(limit, len(content)) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / name
    path.write_bytes(bytes(content))
    try:
        image = read_image(path, data.draw(st.sampled_from([None, "YX", "CYX"])))
    except CellsegError as error:
        assert name in str(error)
    else:
        assert isinstance(image, Image)
