"""The kinds of attacks: one function each. To add one, write a function and decorate it with `kind`."""

from __future__ import annotations

import io
import json
import random
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import tifffile
import zarr
from PIL import Image as PillowImage

from tests.imaging.read.hostile_files import png, write_hostile
from tests.imaging.read.microscopes.vendor_files import write_czi, write_dv, write_lif, write_nd2, write_oib, write_xlef

from .state import mutated_bytes, mutated_json


@dataclass(frozen=True)
class Attack:
    """One input, and the words of the command line that read it.

    ``OUT`` in a word stands for a new folder, ``MODEL`` for that of a small model. Only the attacks have the commands
    ``read``, which reads an image and nothing else (segmenting a large one takes its time, and is no attack), and
    ``journal``, which reads corrections as the window does.
    """

    name: str
    words: tuple[str, ...]


Kind: TypeAlias = Callable[[Path, random.Random, int], Iterator[Attack]]
KINDS: dict[str, Kind] = {}


def kind(function: Kind) -> Kind:
    """Register a function that writes up to `n` inputs into a folder, and yields each after it is written."""
    KINDS[function.__name__] = function
    return function


def segment(path: Path, *more: str) -> tuple[str, ...]:
    return ("segment", str(path), "--out", "OUT", "--model", "MODEL", "--device", "cpu", "--pages", "each", *more)


def evaluate(path: Path) -> tuple[str, ...]:
    return ("evaluate", str(path), "--out", "OUT", "--model", "MODEL", "--device", "cpu")


def adopt(path: Path) -> tuple[str, ...]:
    more = ("--normalisation", "type") if path.suffix == ".pth" else ()
    return ("models", "x", "--import", str(path), *more)


def _image(side: int = 40, samples: int = 0) -> np.ndarray:
    shape = (side, side, samples) if samples else (side, side)
    return np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)


def damaged(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Cut a content short, or change a few bytes of it."""
    return rng.choice(list(mutated_bytes(content, 4, rng.randrange(1 << 30))))


def _mutated(contents: dict[str, bytes], folder: Path, rng: random.Random, n: int) -> Iterator[tuple[str, Path]]:
    """Write damaged copies of files, in turn."""
    for i in range(n):
        name = sorted(contents)[i % len(contents)]
        path = folder / f"{i}_{name}"
        what, content = damaged(contents[name], rng)
        path.write_bytes(content)
        yield f"{name} {what}", path


@kind
def tiff(folder: Path, rng: random.Random, n: int) -> Iterator[Attack]:
    """TIFF with changed bytes, in every compression and dialect that is written here."""
    contents = {}
    ways: list[tuple[str, dict[str, object]]] = [("plain.tif", {}), ("ome.ome.tif", {"metadata": {"axes": "ZYX"}})]
    ways += [("imagej.tif", {"imagej": True}), ("tiled.tif", {"tile": (16, 16), "compression": "zlib"})]
    packed = ("lzw", "zlib", "zstd", "lzma", "packbits", "jpeg", "jpeg2000", "webp", "png", "jpegxl", "jpegxr", "lerc")
    ways += [(f"{name}.tif", {"compression": name}) for name in packed]
    for name, how in ways:
        data = _image(samples=3) if name.startswith("webp") else _image()
        data = np.stack([data, data]) if name.startswith("ome") else data
        with io.BytesIO() as buffer:
            tifffile.imwrite(buffer, data, ome=name.startswith("ome"), **how)  # type: ignore[arg-type]
            contents[name] = buffer.getvalue()
    for name, path in _mutated(contents, folder, rng, n):
        yield Attack(name, segment(path))


@kind
def picture(folder: Path, rng: random.Random, n: int) -> Iterator[Attack]:
    """PNG, JPEG, BMP with changed bytes, and other formats under their names."""
    contents = {}
    formats = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "JPEG2000", "PCX", "TGA", "SGI", "ICO", "DDS")
    for name in formats:
        with io.BytesIO() as buffer:
            PillowImage.fromarray(_image(samples=3)).save(buffer, name)
            contents[f"{name}.{'jpg' if name == 'JPEG' else 'bmp' if name == 'BMP' else 'png'}"] = buffer.getvalue()
    contents["postscript.png"] = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n%%EOF\n"
    for name, path in _mutated(contents, folder, rng, n):
        yield Attack(name, segment(path))


@kind
def array(folder: Path, rng: random.Random, n: int) -> Iterator[Attack]:
    """NumPy's files with changed bytes."""
    contents = {}
    with io.BytesIO() as buffer:
        np.save(buffer, _image())
        contents["a.npy"] = buffer.getvalue()
    for name, save in (("b.npz", np.savez), ("c.npz", np.savez_compressed)):
        with io.BytesIO() as buffer:
            save(buffer, X=_image(), axes="YX", pixel_size=[0.5, 0.5])
            contents[name] = buffer.getvalue()
    for name, path in _mutated(contents, folder, rng, n):
        yield Attack(name, segment(path))


@kind
def zarr_folder(folder: Path, rng: random.Random, n: int) -> Iterator[Attack]:
    """Zarr of both versions with a changed value in the metadata, or changed bytes in a piece."""
    for i in range(n):
        path = folder / f"{i}.zarr"
        how = [{"zarr_format": 2}, {}, {"shards": (32, 32)}][i % 3]
        zarr.create_array(path, data=_image(), chunks=(16, 16), **how)
        about = path / (".zarray" if i % 3 == 0 else "zarr.json")
        if i % 4:
            ((what, text),) = mutated_json(json.loads(about.read_text()), 1, rng.randrange(1 << 30))
            about.write_text(text, errors="surrogatepass")
        else:
            piece = next(file for file in path.rglob("*") if file.is_file() and file != about and file.suffix == "")
            what, content = damaged(piece.read_bytes(), rng)
            piece.write_bytes(content)
        yield Attack(f"{about.name} {what}", segment(path))


@kind
def zarr_zip(folder: Path, rng: random.Random, n: int) -> Iterator[Attack]:
    """Zarr in a zip file, stored or packed, with changed bytes."""
    contents: dict[str, bytes] = {}
    for name, packing in (("a.zarr.zip", zipfile.ZIP_STORED), ("b.zarr.zip", zipfile.ZIP_DEFLATED)):
        path = folder / name
        with zipfile.ZipFile(path, "w", packing) as archive:
            made = zarr.create_array(folder / f"{name}.made", data=_image(), chunks=(16, 16))
            for file in sorted(Path(str(made.store.root)).rglob("*")):
                if file.is_file():
                    archive.write(file, file.relative_to(made.store.root))
        contents[name] = path.read_bytes()
    for name, path in _mutated(contents, folder, rng, n):
        yield Attack(name, segment(path))


@kind
def bomb(folder: Path, rng: random.Random, n: int) -> Iterator[Attack]:
    """Small files that announce, or unpack to, 1.5 GB and more."""
    names = sorted(write_hostile(folder))
    for name in rng.sample(names, min(n, len(names))):
        yield Attack(name, segment(folder / name))


@kind
def dicom(folder: Path, rng: random.Random, n: int) -> Iterator[Attack]:
    """DICOM with changed bytes."""
    pydicom = __import__("pydicom", fromlist=["data"])
    sample = pydicom.data.get_testdata_file("CT_small.dcm")
    if sample is not None:
        for name, path in _mutated({"CT_small.dcm": Path(sample).read_bytes()}, folder, rng, n):
            yield Attack(name, segment(path))


@kind
def microscope(folder: Path, rng: random.Random, n: int) -> Iterator[Attack]:
    """Files of Nikon, Leica, Zeiss, DeltaVision and Olympus with changed bytes."""
    stack = np.stack([_image(), _image() + np.uint8(1)]).astype(np.uint16)
    whole = folder / "whole"
    whole.mkdir()
    write_nd2(whole / "a.nd2", stack[None, :, :, :, None])
    write_lif(whole / "a.lif", [("one", "ZYX", stack)])
    write_czi(whole / "a.czi", {0: stack})
    write_czi(whole / "packed.czi", {0: stack}, packed="zstd1:ExplicitLevel=1")
    write_dv(whole / "a.dv", stack[None], [525])
    write_oib(whole / "a.oib", stack, "Z")
    for name, path in _mutated({path.name: path.read_bytes() for path in whole.iterdir()}, folder, rng, n):
        yield Attack(name, ("read", str(path)))


@kind
def project(folder: Path, rng: random.Random, n: int) -> Iterator[Attack]:
    """Projects of Leica in many files, one of which has changed bytes."""
    grey = np.stack([_image(), _image() + np.uint8(1)])
    images = [("lof", ".lof"), ("tif", ".tif"), ("ome", ".ome.tif"), ("png", ".png"), ("bmp", ".bmp")]
    (folder / "whole").mkdir()
    write_xlef(folder / "whole" / "a.xlef", [(name, "ZYX", grey, suffix) for name, suffix in images])
    for i in range(n):
        shutil.copytree(folder / "whole", folder / str(i))
        path = rng.choice(sorted(one for one in (folder / str(i)).rglob("*") if one.is_file()))
        what, content = damaged(path.read_bytes(), rng)
        path.write_bytes(content)
        name = path.stem.partition("_")[0].partition(".")[0]
        scene = {"a": "lof", "more": "more_png"}.get(name, name if name in ("lof", "tif") else f"more_{name}")
        yield Attack(f"{path.name} {what}", ("read", str(folder / str(i) / "a.xlef" / scene)))


def _kaggle() -> bytes:
    with io.BytesIO() as buffer:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, values in (("a/images/a.png", _image()), ("a/masks/1.png", (_image() > 128) * np.uint8(255))):
                with io.BytesIO() as picture_bytes:
                    PillowImage.fromarray(values).save(picture_bytes, "PNG")
                    archive.writestr(name, picture_bytes.getvalue())
        return buffer.getvalue()


@kind
def dataset(folder: Path, rng: random.Random, n: int) -> Iterator[Attack]:
    """Sets of images with masks: Kaggle's zip and NumPy's, with changed bytes."""
    contents = {"kaggle.zip": _kaggle()}
    with io.BytesIO() as buffer:
        np.savez(buffer, X=_image()[None], y=(_image() > 128)[None].astype(np.uint8))
        contents["set.npz"] = buffer.getvalue()
    for name, path in _mutated(contents, folder, rng, n):
        yield Attack(name, evaluate(path))


@kind
def outlines(folder: Path, rng: random.Random, n: int) -> Iterator[Attack]:
    """Cells of other programs beside their image: GeoJSON and COCO with a changed value, ROIs with changed bytes."""
    from roifile import ImagejRoi

    square = [[[1, 1], [9, 1], [9, 9], [1, 9], [1, 1]]]
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": square}, "properties": {}}
    note = {"id": 1, "image_id": 7, "segmentation": [[1, 1, 9, 1, 9, 9]], "iscrowd": 0}
    packed = {"id": 2, "image_id": 7, "segmentation": {"size": [40, 40], "counts": [800, 20, 780]}}
    coco = {"images": [{"id": 7, "file_name": "x.png"}], "annotations": [note, packed]}
    roi = ImagejRoi.frompoints(np.array(square[0])).tobytes()
    for i in range(n):
        here = folder / str(i)
        here.mkdir()
        PillowImage.fromarray(_image()).save(here / "x.png")
        seed = rng.randrange(1 << 30)
        if i % 3 == 0:
            what, content = damaged(roi, rng)
            with zipfile.ZipFile(here / "x_rois.zip", "w") as archive:
                archive.writestr("1.roi", content)
            yield Attack(f"roi {what}", evaluate(here))
        else:
            name = ("x.geojson", "set.json")[i % 3 - 1]
            ((what, text),) = mutated_json({"features": [feature]} if i % 3 == 1 else coco, 1, seed)
            (here / name).write_text(text, errors="surrogatepass")
            yield Attack(f"{name} {what}", evaluate(here if i % 3 == 1 else here / name))


@kind
def model(folder: Path, rng: random.Random, n: int) -> Iterator[Attack]:
    """Model versions with a changed setting, and weights of torch with changed bytes."""
    import torch

    from tests.models import make_model

    ours = make_model(folder / "ours").path
    with io.BytesIO() as buffer:
        state = {"down.0.0.weight": torch.zeros(4, 3, 3, 3)}
        torch.save(state, buffer)
        contents = {"new.pth": buffer.getvalue()}
    with io.BytesIO() as buffer:
        torch.save(state, buffer, _use_new_zipfile_serialization=False)
        contents["old.pth"] = buffer.getvalue()
    contents["weights.safetensors"] = (ours / "weights.safetensors").read_bytes()
    settings = json.loads((ours / "config.json").read_text())
    for i in range(n):
        seed = rng.randrange(1 << 30)
        name = ("config.json", *contents)[i % 4]
        what, new = (
            next((what, text.encode(errors="surrogatepass")) for what, text in mutated_json(settings, 1, seed))
            if name == "config.json"
            else damaged(contents[name], rng)
        )
        path = folder / f"{i}_{name}"
        if name.endswith(".pth"):
            path.write_bytes(new)
        else:
            path = folder / f"{i}.zip"
            with zipfile.ZipFile(path, "w") as archive:
                for file in ours.iterdir():
                    archive.writestr(file.name, new if file.name == name else file.read_bytes())
        yield Attack(f"{name} {what}", adopt(path))


def _deep_png(side: int) -> bytes:
    """A PNG of 16 bits per colour whose rows are filtered by Paeth's predictor."""
    row = b"\x04" + bytes([1]) * (8 * side)
    packer = zlib.compressobj(1)
    return png(side, side, 16, 6, b"".join([*(packer.compress(row) for _ in range(side)), packer.flush()]))


class _Call:
    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.called = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.called


@kind
def archive_bomb(folder: Path, rng: random.Random, n: int) -> Iterator[Attack]:
    """Archives and weights that hold, announce or build far more than their size."""
    import torch

    from tests.models import make_model

    zeros = bytes(300 << 20)
    large = {"a/images/a.png": zlib.compress(b""), "a/masks/1.png": zeros}
    for name, contents in (("kaggle.zip", large), ("model.zip", {"config.json": zeros})):
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for entry, content in contents.items():
                archive.writestr(entry, content)
    np.savez_compressed(
        folder / "set.npz", X=_image()[None], y=(_image() > 128)[None], unused=np.frombuffer(zeros, "u1")
    )
    state = {"down.0.0.weight": torch.zeros(4, 3, 3, 3)}
    torch.save({**state, "b": _Call(bytearray, 10**10)}, folder / "bytes.pth")
    torch.save({**state, "b": torch.zeros(1).expand(10**6, 10**6)}, folder / "stride.pth")
    torch.save(
        {**state, "b": _Call(torch.FloatStorage, 10**10)}, folder / "old.pth", _use_new_zipfile_serialization=False
    )
    ours = make_model(folder / "deep").path
    values = json.loads((ours / "config.json").read_text())
    values["network"] |= {"levels": 8, "base_channels": 256}
    (ours / "config.json").write_text(json.dumps(values))
    (folder / "paeth.png").write_bytes(_deep_png(9_000))
    (folder / "paeth_larger.png").write_bytes(_deep_png(12_000))
    attacks = [("kaggle.zip", evaluate), ("set.npz", evaluate), ("paeth.png", _read), ("paeth_larger.png", _read)]
    attacks += [(name, adopt) for name in ("model.zip", "bytes.pth", "stride.pth", "old.pth")]
    attacks += [("deep", lambda path: ("evaluate", str(folder / "set.npz"), "--out", "OUT", "--model", str(path)))]
    for name, words in rng.sample(attacks, min(n, len(attacks))):
        yield Attack(name, words(folder / name))


def _read(path: Path) -> tuple[str, ...]:
    return "read", str(path)
