"""Cut the bundled general samples from the Kaggle 2018 data: ``python -m tests.benchmarks.cut_general DATA``.

``learn`` crops come from images that the bundled model was trained on, ``check`` crops from those held out; never from
the five sample images. ``--also TRAINING_JSON`` keeps to the split of another model too.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.segmentation import relabel_sequential

import napari_cellseg
from napari_cellseg.imaging.normalize import normalize
from napari_cellseg.training.data.datasets import Sample, read_dataset

PACKAGE = Path(napari_cellseg.__file__).parent
WANTED = {
    "learn": {"fluorescence": 28, "histology": 7, "brightfield": 6},
    "check": {"fluorescence": 8, "histology": 4, "brightfield": 4},
}
SIDE = 256


def fullest_crop(sample: Sample, side: int, taken: list[tuple[slice, slice]]) -> tuple[slice, slice]:
    """Return the window that cuts most cells out whole and overlaps none that is taken."""
    height, width = sample.labels.shape
    area = np.bincount(sample.labels.ravel())
    best, chosen = -1, (slice(0, side), slice(0, side))
    for y in range(0, max(height - side, 0) + 1, 32):
        for x in range(0, max(width - side, 0) + 1, 32):
            window = (slice(y, y + side), slice(x, x + side))
            if any(abs(y - t[0].start) < side and abs(x - t[1].start) < side for t in taken):
                continue
            inside = np.bincount(sample.labels[window].ravel(), minlength=len(area))
            whole = int(np.count_nonzero((inside == area)[1:] & (area[1:] > 0)))
            if whole > best:
                best, chosen = whole, window
    return chosen


def spread(samples: list[Sample], n: int) -> list[Sample]:
    """Choose images that differ: each the one farthest from those chosen, by grey values and cell sizes."""
    features = []
    for s in samples:
        plane = normalize(s.image)
        grey = plane if plane.ndim == 2 else plane.mean(axis=2)
        n_cells = max(len(np.unique(s.labels)) - 1, 1)
        inside = grey[s.labels > 0]
        size = np.log(np.count_nonzero(s.labels) / n_cells)
        features.append([size, np.log(n_cells), 2 * inside.mean(), 4 * inside.std(), 2 * grey[s.labels == 0].mean()])
    points = np.array(features)
    points = (points - points.mean(axis=0)) / (points.std(axis=0) + 1e-6)
    chosen = [int(np.argmin((points**2).sum(axis=1)))]
    while len(chosen) < min(n, len(samples)):
        distance = ((points[:, None] - points[chosen][None]) ** 2).sum(axis=2).min(axis=1)
        # Not the farthest of all: that would be the oddest image each time.
        order = np.argsort(distance)
        chosen.append(int(order[int(0.9 * (len(order) - 1))]))
    return [samples[i] for i in dict.fromkeys(chosen)]


def main() -> None:
    """Write images, labels and groups.csv."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="stage1_train.zip with groups.csv beside it")
    parser.add_argument("--out", default=str(PACKAGE / "models" / "general"))
    parser.add_argument("--also", help="training.json of another model whose held-out images are not to be learned")
    args = parser.parse_args()
    record = json.loads((PACKAGE / "models" / "cells" / "training.json").read_text())
    learned, held_out = set(record["training_images"]), set(record["validation_images"])
    preferred: set[str] = set()
    if args.also:
        other = json.loads(Path(args.also).read_text())
        learned -= set(other["validation_images"])
        preferred = set(other["validation_images"])
    shipped = set()
    table = PACKAGE / "samples"
    if table.is_dir():
        shipped = {p.read_bytes() for p in table.glob("*.png")}
    samples = read_dataset(args.data)
    out = Path(args.out)
    for folder in ("images", "labels"):
        (out / folder).mkdir(parents=True, exist_ok=True)
        for old in (out / folder).iterdir():
            old.unlink()
    sample_planes = [np.asarray(Image.open(p).convert("RGB")) for p in table.glob("*.png")] if shipped else []
    rows = []
    for role, counts in WANTED.items():
        for kind, n in counts.items():
            names = learned if role == "learn" else held_out
            pool = [s for s in samples if s.name in names and s.kind == kind and min(s.labels.shape) >= SIDE]
            fresh = [s for s in pool if not any(_same(s.image, plane) for plane in sample_planes)] or pool
            liked = [s for s in fresh if s.name in preferred]
            fresh = liked if role == "check" and len(liked) >= n else fresh
            one_per_group = list({s.group: s for s in fresh}.values())
            chosen = spread(one_per_group if len(one_per_group) >= n else fresh, n)
            taken: dict[str, list[tuple[slice, slice]]] = {}
            # Where a kind has fewer images than wanted, large ones give several windows.
            for i, s in enumerate((chosen * n)[:n]):
                window = fullest_crop(s, SIDE, taken.setdefault(s.name, []))
                taken[s.name].append(window)
                name = f"{role}_{kind}_{i + 1}"
                labels = relabel_sequential(s.labels[window])[0]
                Image.fromarray(np.ascontiguousarray(s.image[window])).save(out / f"images/{name}.png", optimize=True)
                Image.fromarray(labels.astype(np.uint16)).save(out / f"labels/{name}.png", optimize=True)
                rows.append([name, kind, s.group, role, s.name, window[0].start, window[1].start])
    with open(out / "groups.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image_id", "kind", "group", "role", "source_image", "y", "x"])
        writer.writerows(rows)


def _same(image: np.ndarray, plane: np.ndarray) -> bool:
    """Whether a shipped sample was cut from this image's grey values: its first row occurs in the image."""
    rgb = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    if rgb.dtype != np.uint8:
        return False
    row = plane[plane.shape[0] // 2, :64].tobytes()
    return any(row in line.tobytes() for line in rgb)


if __name__ == "__main__":
    main()
