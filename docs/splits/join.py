"""Join datasets into one that is split already: ``python docs/splits/join.py OUT STAGE1_ZIP BBBC039_ZIP``.

``held_out.csv`` beside this file names the images that are never learned from. Part ``validation`` is for choices: what
weights to keep, what settings to use. Part ``third`` is for figures only: nothing is chosen on it.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import tifffile

from napari_cellseg.training.data.datasets import read_dataset
from napari_cellseg.training.data.sample import Sample
from napari_cellseg.training.data.splitting import Split, write_split

HELD_OUT = Path(__file__).with_name("held_out.csv")
BBBC039 = "bbbc039"


def held_out(part: str) -> set[str]:
    """Names of the images of a part, ``validation`` or ``third``."""
    with open(HELD_OUT, newline="", encoding="utf-8") as file:
        return {row["image_id"] for row in csv.DictReader(file) if row["part"] == part}


def join(paths: list[Path]) -> list[Sample]:
    """Read datasets; the images of BBBC039 become a kind of their own, to be scored and drawn by themselves."""
    samples: list[Sample] = []
    for path in paths:
        if BBBC039 in path.stem:
            with tempfile.TemporaryDirectory() as folder:
                zipfile.ZipFile(path).extractall(folder)
                own = read_dataset(Path(folder, BBBC039))
            own = [replace(s, kind=BBBC039, group=f"{BBBC039}-{s.group}") for s in own]
        else:
            own = read_dataset(path)
        samples += own
    return samples


def write(samples: list[Sample], out: Path) -> Split:
    """Write images, labels, ``groups.csv`` and ``split.json`` into a folder; the third part is on neither side."""
    for name in ("images", "labels"):
        (out / name).mkdir(parents=True)
    for s in samples:
        tifffile.imwrite(out / "images" / f"{s.name}.tif", s.image, compression="zlib")
        tifffile.imwrite(out / "labels" / f"{s.name}.tif", s.labels.astype("uint16"), compression="zlib")
    with open(out / "groups.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["image_id", "kind", "group"])
        rows.writerows([s.name, s.kind, s.group] for s in samples)
    validation, third = held_out("validation"), held_out("third")
    # A group is never divided: what shares one with a held-out image is not learned from either.
    closed = {(s.kind, s.group) for s in samples if s.name in validation | third}
    split = Split(
        tuple(s.name for s in samples if (s.kind, s.group) not in closed),
        tuple(s.name for s in samples if s.name in validation),
        "file",
    )
    write_split(out / "split.json", split)
    return split


def main() -> None:
    """Join the datasets named on the command line."""
    out, *paths = map(Path, sys.argv[1:])
    samples = join(paths)
    split = write(samples, out)
    third = held_out("third")
    for part, names in (("training", split.training), ("validation", split.validation), ("third", third)):
        print(part, dict(Counter(s.kind for s in samples if s.name in set(names))))


if __name__ == "__main__":
    main()
