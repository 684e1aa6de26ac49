"""Attacks on files of state: what a batch, the window or a training has left, changed as no program writes it."""

from __future__ import annotations

import json
import random
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile

from .kinds import Attack, kind
from .runner import in_fork, run
from .state import mutated_bytes, mutated_json, mutated_lines

_LEDGER = Path(".cellseg/ledger.jsonl")
_CPU = ("--device", "cpu")


def _begun(folder: Path, work: Callable[[Path], object]) -> Path:
    """Do something in a fork, and return the folder that it left."""
    left = folder / "begun"
    left.mkdir()
    if in_fork(lambda: int(work(left) or 0), folder / "words.txt").status:
        raise RuntimeError((folder / "words.txt").read_text(errors="replace"))
    return left


def _pictures(folder: Path) -> None:
    from tests.blobs import blobs
    from tests.models import make_model

    make_model(folder / "tiny")
    samples = [blobs(i, 64, 5) for i in range(4)]
    (folder / "images").mkdir()
    for i, sample in enumerate(samples[:2]):
        tifffile.imwrite(folder / "images" / f"{i}.tif", sample.image)
    np.savez(folder / "set.npz", X=np.stack([s.image for s in samples]), y=np.stack([s.labels for s in samples]))


def _batch(folder: Path, *more: str) -> int:
    _pictures(folder)
    words = ("segment", str(folder / "images"), "--out", str(folder / "out"), "--model", str(folder / "tiny"))
    return run([*words, *_CPU, *more])


@kind
def ledger(folder: Path, rng: random.Random, n: int) -> Iterator[Attack]:
    """The ledger of a batch with a changed value in one line; the batch goes on."""
    begun = _begun(folder, lambda left: _batch(left, "--save", "labels,cells,rle"))
    lines = (begun / "out" / _LEDGER).read_text().splitlines()
    for i, (what, text) in enumerate(mutated_lines(lines, n, rng.randrange(1 << 30))):
        out = Path(shutil.copytree(begun / "out", folder / str(i)))
        (out / _LEDGER).write_text(text, errors="surrogatepass")
        words = ("segment", str(begun / "images"), "--out", str(out), "--model", str(begun / "tiny"), *_CPU)
        yield Attack(what, (*words, "--save", "labels,cells,rle", "--resume"))


@kind
def recipe(folder: Path, rng: random.Random, n: int) -> Iterator[Attack]:
    """A recipe, or a list of images, with a changed value."""
    begun = _begun(folder, _batch)
    image = begun / "images" / "0.tif"
    texts = {"--recipe": json.loads((begun / "out" / "recipe.json").read_text()), "--files-from": [[str(image), "a"]]}
    for i in range(n):
        option = ("--recipe", "--files-from")[i % 2]
        ((what, text),) = mutated_json(texts[option], 1, rng.randrange(1 << 30))
        path = folder / f"{i}.json"
        path.write_text(text, errors="surrogatepass")
        more = (str(image),) if option == "--recipe" else ("--model", str(begun / "tiny"))
        yield Attack(f"{option} {what}", ("segment", option, str(path), "--out", "OUT", *_CPU, *more))


def _corrected(folder: Path) -> None:
    """Correct some cells, so that there is a journal."""
    from tests.corrections.test_journal import edited

    _view, record = edited(4)
    record.close()
    saved = record.saved()
    assert saved is not None
    shutil.copy(saved.path, folder / "a.jsonl")


@kind
def journal(folder: Path, rng: random.Random, n: int) -> Iterator[Attack]:
    """A journal of corrections with a changed value in one line, or changed bytes; it is read as the window does."""
    from napari_cellseg.corrections.journal import decode, encode

    content = (_begun(folder, _corrected) / "a.jsonl").read_bytes()
    entries = [decode(line) for line in content.splitlines()]
    for i in range(n):
        path, seed = folder / f"{i}.jsonl", rng.randrange(1 << 30)
        if i % 3:
            which = rng.randrange(len(entries))
            values = {name: value for name, value in entries[which].items() if name != "crc"}
            ((what, text),) = mutated_json(values, 1, seed)
            lines = [encode(entry) for entry in entries]
            lines[which] = _with_checksum(text)
            path.write_bytes(b"".join(lines))
        else:
            ((what, changed),) = mutated_bytes(content, 1, seed)
            path.write_bytes(changed)
        yield Attack(what, ("journal", str(path)))


def _with_checksum(text: str) -> bytes:
    body = text.replace("\n", "").removeprefix("{").encode("utf-8", "surrogatepass")
    return b'{"crc":"%08x",' % zlib.crc32(body) + body + b"\n"


def _killed_training(folder: Path) -> Path:
    """Return a training that was killed after its first look, however long that takes on this machine."""
    begun, seconds = _begun(folder, _pictures), 1.0
    out = begun / "run"
    words = ["train", str(begun / "set.npz"), "--out", str(out), "--base-channels", "2", "--levels", "1", *_CPU]
    words += ["--steps", "9999", "--batch-size", "2", "--crop", "32", "--validate-every", "2", "--validation", "0.3"]
    while not (out / "config.json").is_file():
        shutil.rmtree(out, ignore_errors=True)
        seconds *= 2
        in_fork(lambda: run([*words, "--checkpoint-seconds", "0"]), folder / "words.txt", seconds)
        if seconds > 60:
            raise RuntimeError((folder / "words.txt").read_text(errors="replace"))
    return out


@kind
def training(folder: Path, rng: random.Random, n: int) -> Iterator[Attack]:
    """What a killed training left (its settings, its split, its checkpoint) with a changed value, `n` / 4 times."""
    begun = _killed_training(folder)
    # Those that are not refused train and measure, which takes seconds.
    for i in range(-(-n // 4)):
        out, name = folder / str(i), ("train.json", "split.json", "checkpoint.pt", "config.json")[i % 4]
        shutil.copytree(begun, out)
        seed, path = rng.randrange(1 << 30), out / name
        values = json.loads((out / "train.json").read_text())
        # So that each ends soon.
        values["parameters"] |= {"steps": values["step"] + 2}
        values["process"] = None
        (out / "train.json").write_text(json.dumps(values))
        if name.endswith(".pt"):
            ((what, changed),) = mutated_bytes(path.read_bytes(), 1, seed)
            path.write_bytes(changed)
        else:
            ((what, text),) = mutated_json(json.loads(path.read_text()), 1, seed)
            path.write_text(text, errors="surrogatepass")
        yield Attack(f"{name} {what}", ("train", "--resume", "--out", str(out), *_CPU))
