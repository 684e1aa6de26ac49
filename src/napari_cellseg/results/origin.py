"""Which files this package wrote: only those are replaced unasked."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path

from PIL import Image as PillowImage

from ..imaging.damage import UNREADABLE
from ..imaging.errors import OutputError
from ..imaging.read.values.json_file import values_if_any
from ..imaging.write.atomic import make_folder, output_error
from ..imaging.write.csv_style import delimiter_of, style_of
from ..imaging.write.pictures import NAME, SOFTWARE
from ..imaging.write.write import read_metadata
from .formats.arrow import is_our_h5ad, is_our_parquet
from .ledger import FOLDER

# Beginning of a file that holds its origin: the head of a page, the provenance of GeoJSON, the names of columns.
_HEAD = 1 << 12
# Pages of earlier versions are known by their policy.
_PAGES = ('name="generator" content="napari-cellseg"', "default-src 'none'; img-src data:;")
# Columns by the end of a table's name: no other program's have all of them.
_COLUMNS = {
    "tracks.csv": {"track", "t", "y", "x", "parent"},
    "frames.csv": {"t", "count", "median_area_px"},
    "wells.csv": {"plate", "well", "n_images", "n_failed"},
    "conditions.csv": {"name", "n_wells", "n_images"},
    "_cells.csv": {"index", "area_px"},
    "regions.csv": {"image", "page", "region", "count"},
    "cells.csv": {"image", "page"},
}
# Values by the name of a JSON file, some of them inside of ``all``; every other file is known by its recipe.
_VALUES = {
    "metrics.json": {"model", "threshold", "images", "ap_mean"},
    "curves.json": {"roc", "reliability"},
    "review.json": {"cells", "missed"},
    "calibration.json": {"goal", "grid", "min_size"},
    "agreement.json": {"people", "ours", "limits_of_agreement"},
}
# Kaggle's forms are everybody's: a mark in the folder of the ledger shows which are this package's.
MARKED = ("rle.csv", "submission.csv")


def check_origin(path: Path, known: Collection[Path] = ()) -> None:
    """Raise OutputError where a file is there that this package did not write.

    Parameters
    ----------
    path : Path
        The file that is going to be replaced.
    known : collection of Path
        Files that the ledger names: earlier versions put no mark into pictures and ROIs.
    """
    if path not in known and not is_ours(path):
        raise foreign(path)


def foreign(path: Path) -> OutputError:
    """Return the error for a file that would be replaced, and that this package did not write."""
    return OutputError(
        f"{path} was not written by napari-cellseg and is left as it is. Move it away, choose another folder, or give "
        "--overwrite."
    )


def is_ours(path: Path) -> bool:
    """Whether this package wrote a file; True where there is none, or a folder, which no file replaces."""
    # These do not raise, as those of Path do for a name that is too long.
    if not os.path.exists(path) or os.path.isdir(path):
        return True
    if not path.is_file():
        return False
    if path.name in MARKED and _mark(path).exists():
        return True
    try:
        return _TESTS.get(path.suffix.lower(), lambda _: False)(path)
    except UNREADABLE:
        return False


def claim(path: Path, overwrite: bool) -> None:
    """Take the place of a file that all images of a folder share; it is written by this package from now on.

    Raises
    ------
    OutputError
        It is there, this package did not write it, and it is not to be overwritten.
    """
    if not overwrite:
        check_origin(path)
    if path.name in MARKED:
        make_folder(_mark(path).parent)
        try:
            _mark(path).touch()
        except OSError as error:
            raise output_error(_mark(path), error) from error


def _mark(path: Path) -> Path:
    return path.parent / FOLDER / f"{path.name}.written"


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_HEAD).decode("utf-8", errors="replace")


def _is_our_picture(path: Path) -> bool:
    with PillowImage.open(path, formats=("PNG",)) as picture:
        return picture.info.get(SOFTWARE) == NAME


def _is_our_zip(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return archive.comment == NAME.encode()


def _is_our_table(path: Path) -> bool:
    style = style_of(path)
    with io.StringIO(_head(path).removeprefix("\ufeff").partition("\n")[0]) as line:
        columns = set(next(csv.reader(line, delimiter=delimiter_of(style)), ()))
    if path.name in MARKED:
        # Folders of earlier versions have no mark; their recipe names their outputs.
        return path.stem in _outputs(path.with_name("recipe.json"))
    wanted = next((columns for end, columns in _COLUMNS.items() if path.name.endswith(end)), None)
    return wanted is not None and wanted <= columns


def _is_our_json(path: Path) -> bool:
    values = values_if_any(path)
    if path.name not in _VALUES:
        return isinstance(values.get("recipe"), dict)
    of_all = values.get("all")
    return _VALUES[path.name] <= {*values, *(of_all if isinstance(of_all, dict) else ())}


def _outputs(recipe: Path) -> Collection[str]:
    settings = values_if_any(recipe).get("recipe")
    outputs = settings.get("outputs") if isinstance(settings, dict) else None
    return outputs if isinstance(outputs, list) else ()


_TESTS: dict[str, Callable[[Path], bool]] = {
    ".tif": lambda path: bool(read_metadata(path)),
    ".png": _is_our_picture,
    ".zip": _is_our_zip,
    ".geojson": lambda path: f'"{NAME}"' in _head(path),
    ".csv": _is_our_table,
    ".json": _is_our_json,
    ".parquet": is_our_parquet,
    ".h5ad": is_our_h5ad,
    ".html": lambda path: any(mark in _head(path) for mark in _PAGES),
}
