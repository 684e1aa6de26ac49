"""The commands ``kinds`` and ``agreement``: what there is before a model is trained, and what its counts are worth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..imaging.errors import CellsegError
from .common import add_overwrite_option, check_places, drain_with_bar
from .dataset_options import load

if TYPE_CHECKING:
    import numpy as np

    from ..evaluation.kinds import KindAgreement, Kinds

_SHOWN = 30  # thumbnails of each kind


def add_kinds(commands: Any) -> None:
    sub = commands.add_parser("kinds", help="sort images into kinds by their colours and intensities")
    sub.add_argument("dataset", metavar="DATASET", help="folder of images, or a dataset of images with masks")
    sub.add_argument("--k", type=int, default=3, metavar="N", help="number of kinds (default 3)")
    sub.add_argument("--seed", type=int, default=0, help="of k-means (default 0)")
    sub.add_argument("--out", metavar="CSV", help="table to write, for --groups of train and evaluate; edit it freely")
    sub.add_argument("--html", metavar="FILE", help="page with the images of each kind")
    sub.add_argument("--groups", metavar="CSV", help="manually assigned kinds to compare with; default: groups.csv")
    sub.add_argument(
        "--remember", metavar="MODEL",
        help="write into this model what the images look like that it was trained on, so that it warns of others",
    )  # fmt: skip
    add_overwrite_option(sub)
    sub.set_defaults(run=run_kinds)


def run_kinds(args: argparse.Namespace) -> int:
    """``napari-cellseg kinds``."""
    from ..evaluation.kinds import compare_kinds, iter_kinds, read_kinds
    from ..reports.kinds_page import sample_of_each, small_picture, write_kinds_page

    if args.out and Path(args.out).exists() and not args.overwrite:
        raise CellsegError(
            f"{args.out} is there already and is left as it is: the kinds in it may have been assigned manually. Give "
            "another name, or --overwrite."
        )
    check_places(args, *([args.html] if args.html else []))
    source = Path(args.dataset)
    images = _images(source)
    planes = ((image.name, image.plane(), image.group) for image in images)
    kinds: Kinds = drain_with_bar("looking", iter_kinds(planes, len(images), args.k, args.seed))
    for kind, n in kinds.counts().items():
        print(f"{kind:24}{n:7} images")
    beside = [path for path in (source / "groups.csv", source.parent / "groups.csv") if path.is_file()]
    given = Path(args.groups) if args.groups else beside[0] if beside else None
    agreement: KindAgreement | None = None
    if given is not None and (not args.out or given.resolve() != Path(args.out).resolve()):
        agreement = compare_kinds(dict(zip(kinds.images, kinds.kinds, strict=True)), read_kinds(given))
    if agreement is not None:
        print(
            f"against {given}: adjusted Rand index {agreement.adjusted_rand:.3f}, "
            f"{agreement.accuracy:.1%} of {agreement.n_images} images in the right kind"
        )
        for row, counts in agreement.crossed.items():
            print(f"  {row:22}" + ", ".join(f"{name} {n}" for name, n in counts.items() if n))
    if args.out:
        kinds.write(args.out)
        print(f"table in {args.out}")
    if args.html:
        shown = {kinds.images[i]: small_picture(images[i].plane()) for i in sample_of_each(kinds.kinds, _SHOWN)}
        print(f"page in {write_kinds_page(Path(args.html), kinds, shown, agreement, args.overwrite)}")
    if args.remember:
        _remember(args.remember, images)
    return 0


class _Source:
    """One image, read when it is looked at."""

    def __init__(self, name: str, group: str = "", plane: np.ndarray | None = None, path: Path | None = None) -> None:
        self.name, self.group, self._plane, self._path = name, group, plane, path

    def plane(self) -> np.ndarray:
        from ..imaging.read.read import read_image

        if self._plane is not None:
            return self._plane
        assert self._path is not None
        return read_image(self._path).plane()


def _images(source: Path) -> list[_Source]:
    """Return the images of a dataset with masks, or of a plain folder."""
    from ..imaging.read.read import find_images

    if source.is_file() or any(source.glob("*/images")) or (source / "images").is_dir():
        return [_Source(s.name, s.group, s.image) for s in load({"dataset": str(source)}).samples]
    return [_Source(name, path=path) for path, name in find_images([source], recursive=True)]


def _remember(model: str, images: list[_Source]) -> None:
    from ..network.versions import load_model
    from ..segmentation.familiar import remember_images

    version = load_model(model)
    learned = set(version.training.get("training_images", ()))
    planes = (image.plane() for image in images if image.name in learned)
    familiar = remember_images(version.path, planes)
    if familiar is None:
        raise CellsegError(
            f"None of these images is among the {len(learned)} that {version.name} was trained on, by its training "
            "record. Give the dataset that it was trained on."
        )
    print(f"{version.name} now knows what {familiar.n_images} of its {len(learned)} training images look like")


def add_agreement(commands: Any) -> None:
    sub = commands.add_parser("agreement", help="compare counts by people with automatic ones: bias, limits, intervals")
    sub.add_argument(
        "table", metavar="CSV",
        help="columns image, people and ours, page for stacks, and region for regions; several rows for several people",
    )  # fmt: skip
    sub.add_argument(
        "--counts",
        metavar="CSV",
        help="take automatic counts from this counts.csv of a batch, by image (and page), or from the regions.csv "
        "beside it where the table has regions",
    )
    sub.add_argument(
        "--count", type=int, action="append", default=[], metavar="N",
        help="report which counts by people belong to this automatic count (repeatable)",
    )  # fmt: skip
    sub.add_argument(
        "--of", default="", metavar="NAME",
        help="which cells were counted, such as GFP_pos or class_round; default: all",
    )  # fmt: skip
    sub.add_argument("--out", metavar="DIR", help="folder for agreement.json and agreement.html")
    add_overwrite_option(sub)
    sub.set_defaults(run=run_agreement)


def run_agreement(args: argparse.Namespace) -> int:
    """``napari-cellseg agreement``."""
    from ..evaluation.agreement.table import read_agreement
    from ..reports.agreement_report import write_agreement

    if any(count < 0 for count in args.count):
        raise CellsegError("A count is 0 or more.")
    agreement = read_agreement(args.table, args.counts, args.of)
    print(agreement.sentence())
    if agreement.left_out:
        print(agreement.left_out)
    if agreement.between_people is not None:
        print(f"People differ by {agreement.between_people:.1f} cells (standard deviation) on one image.")
    if agreement.too_few:
        print(agreement.too_few)
    for count in args.count:
        found = agreement.interval(count)
        if found is not None:
            print(f"{found} cells by manual count (95 %).")
        elif not agreement.too_few:
            print(agreement.unchecked(count))
    if args.out:
        print(f"report in {write_agreement(Path(args.out), agreement, args.overwrite)}")
    return 0
