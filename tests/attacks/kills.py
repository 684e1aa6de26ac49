"""Batches, runs in blocks, trainings and fine-tunes that are killed at random moments and go on to the same files.

Each run is a fork that is ended by SIGKILL. What it leaves is compared with the files of a run that nobody killed; only
times and process numbers may differ.
"""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from .runner import in_fork, run

# Of one kill and what follows; a run that takes longer is at fault.
SECONDS = 600.0
KINDS = ("batch", "blocks", "train", "finetune")
_TIMES = {"hours", "seconds", "command", "process", "since", "created", "added", "trained_at"}


@dataclass(frozen=True)
class Killed:
    """What came of a run that was killed and went on.

    Attributes
    ----------
    kind : str
    name : str
        When it was killed.
    equal : bool
        Whether the files are those of a run that nobody killed.
    said : str
        What differs, or what the run said that went on.
    """

    kind: str
    name: str
    equal: bool
    said: str


@dataclass(frozen=True)
class _Command:
    """A command that can be killed; ``OUT`` stands for its folder."""

    begin: tuple[str, ...]
    # What has to be given for it to go on; None where it is to begin anew.
    resume: Callable[[Path], tuple[str, ...] | None]


def _pictures(folder: Path) -> None:
    """Write what the runs work on."""
    from tests.blobs import blobs

    samples = [blobs(i, 96, 7) for i in range(6)]
    (folder / "images").mkdir()
    for i, sample in enumerate(samples):
        tifffile.imwrite(folder / "images" / f"{i}.tif", sample.image.astype(np.uint16))
    tifffile.imwrite(folder / "large.tif", np.tile(samples[0].image, (6, 6)).astype(np.uint16), tile=(64, 64))
    np.savez(
        folder / "set.npz",
        X=np.stack([s.image[:64, :64] for s in samples]),
        y=np.stack([s.labels[:64, :64] for s in samples]),
    )


def commands(folder: Path, model: Path) -> dict[str, _Command]:
    """Return what is killed, by kind; the first call writes what it works on."""
    if not (folder / "images").is_dir():
        in_fork(lambda: _pictures(folder) or 0, folder / "words.txt")
    cpu, out = ("--device", "cpu"), ("--out", "OUT")
    segment = ("segment", "--model", str(model), *cpu, *out, "--resume")
    batch = (*segment, str(folder / "images"), "--save", "labels,cells,rle,overlay,geojson", "--html")
    blocks = (*segment, str(folder / "large.tif"), "--blocks", "--cells")
    learn = ("--batch-size", "2", "--crop", "32", "--validate-every", "3", "--checkpoint-seconds", "0", *cpu, *out)
    train = ("train", str(folder / "set.npz"), "--base-channels", "2", "--levels", "1", "--steps", "30",
             "--validation", "0.34", *learn)  # fmt: skip
    finetune = ("finetune", str(folder / "set.npz"), "--parent", str(model), "--steps", "20", "--minutes", "60", *learn)

    def as_begun(path: Path) -> tuple[str, ...]:
        return batch if path.name == "batch" else blocks

    def trained(name: str) -> Callable[[Path], tuple[str, ...] | None]:
        return lambda path: (name, "--resume", *out) if (path / "checkpoint.pt").is_file() else None

    return {
        "batch": _Command(batch, as_begun),
        "blocks": _Command(blocks, as_begun),
        "train": _Command(train, trained("train")),
        "finetune": _Command(finetune, trained("finetune")),
    }


def _run(words: tuple[str, ...], out: Path, said: Path, seconds: float) -> tuple[int, float]:
    def work() -> int:
        from napari_cellseg.blocks.plan import Mosaic

        # So that a small image has many blocks.
        Mosaic.side = 128  # type: ignore[assignment, method-assign]
        return run([word.replace("OUT", str(out)) for word in words])

    ended = in_fork(work, said, seconds)
    return ended.status, ended.seconds


def kills(kind: str, n: int, seed: int, folder: Path, model: Path) -> Iterator[Killed]:
    """Kill a command at `n` random moments, each in a run of its own, and let it go on.

    Every second run is killed once more while it goes on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command, rng, said = commands(folder, model)[kind], random.Random(f"{kind} {seed}"), folder / "words.txt"
    whole = folder / "whole" / kind
    status, longest = _run(command.begin, whole, said, SECONDS)
    if status:
        raise RuntimeError(f"{kind} ended with {status}: {said.read_text(errors='replace')}")
    expected = _files(whole)
    for i in range(n):
        # Of one name: reports and figures say it.
        out, when = folder / str(i) / kind, []
        for _ in range(1 + i % 2):
            when.append(rng.uniform(0, longest))
            _run(_next(command, out) or (), out, said, when[-1])
        name = f"killed after {' and '.join(f'{seconds:.2f}' for seconds in when)} of {longest:.2f} s"
        words = _next(command, out)
        status = _run(words, out, said, SECONDS)[0] if words else 0
        told = "" if status == 0 else said.read_text(errors="replace")
        told = told or _difference(expected, _files(out))
        yield Killed(kind, name, not told, told)
        shutil.rmtree(out)


def _next(command: _Command, out: Path) -> tuple[str, ...] | None:
    """Return the words of the run that goes on, or begins; None where a version is finished."""
    words = command.resume(out)
    finished = words is None and (out / "config.json").is_file()
    return None if finished else words or command.begin


def _difference(expected: dict[str, Any], found: dict[str, Any]) -> str:
    if names := expected.keys() ^ found.keys():
        return f"only one of both has {sorted(names)}"
    return ", ".join(sorted(name for name in expected if expected[name] != found[name]))


def _files(out: Path) -> dict[str, Any]:
    """Return the content of every file, without times; the ledger says the same in any order."""
    paths = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    return {name: _content(path, out) for name, path in paths.items() if not name.startswith(".cellseg/l")}


def _content(path: Path, out: Path) -> Any:
    content = path.read_bytes().replace(str(out).encode(), b"OUT")
    if path.suffix == ".json":
        return _timeless(json.loads(content))
    if path.suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
        return [{name: value for name, value in row.items() if name not in _TIMES} for row in rows]
    return content


def _timeless(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: _timeless(value) for name, value in values.items() if name not in _TIMES}
    return [_timeless(value) for value in values] if isinstance(values, list) else values


def report(found: Iterator[Killed]) -> tuple[int, int]:
    """Print what was not equal; return how many were tried, and how many were equal."""
    n_tried = n_equal = 0
    for one in found:
        n_tried += 1
        n_equal += one.equal
        if not one.equal:
            print(f"! {one.kind}, {one.name}: {one.said[-1500:]}", flush=True)
    return n_tried, n_equal
