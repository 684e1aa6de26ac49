"""Tables of cells with types and units, for programs that analyse them: Parquet and AnnData."""

from __future__ import annotations

import importlib.util
import json
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...imaging.damage import DAMAGE
from ...imaging.errors import OutputError, ParamsError
from ...imaging.write.atomic import atomic_path
from ...imaging.write.csv_style import unguarded

NAME = "napari-cellseg"
# Packages that an output needs beside those that are always there.
PACKAGES = {"parquet": ("pyarrow",), "anndata": ("pyarrow", "anndata")}
# Constant columns of a piece, and its CSV file.
Piece = tuple[Mapping[str, str], Path]
_UNITS = (
    ("_um3", "micrometer^3"),
    ("_um2", "micrometer^2"),
    ("_um", "micrometer"),
    ("area_px", "pixel^2"),
    ("_px", "pixel"),
    ("_vox", "voxel"),
    ("orientation", "radian"),
)
_IN_PIXELS = ("centroid_y", "centroid_x", "centroid_z", "bbox_top", "bbox_left", "bbox_bottom", "bbox_right")
_MAGIC = b"PAR1"
_LARGEST_FOOTER = 1 << 24


def check_installed(outputs: Collection[str]) -> None:
    """Raise ParamsError if a package is missing that one of the outputs needs."""
    for output in outputs:
        missing = [name for name in PACKAGES.get(output, ()) if importlib.util.find_spec(name) is None]
        if missing:
            raise ParamsError(
                f"The output {output} needs {' and '.join(missing)}, which is not installed. Run pip install "
                '"napari-cellseg[tables]", or leave it out.'
            )


def unit_of(column: str) -> str:
    """Return the unit of a column of a table of cells; empty where it has none."""
    if column in _IN_PIXELS:
        return "pixel"
    if column.startswith("intensity_"):
        # The rest is the name of a channel.
        return ""
    return next((unit for end, unit in _UNITS if column.endswith(end)), "")


def write_parquet(path: Path, pieces: Sequence[Piece], about: Mapping[str, Any]) -> None:
    """Write a table of cells as Parquet: a type for each column, its unit in the column's metadata; piece by piece.

    Parameters
    ----------
    path : Path
    pieces : sequence of (mapping, Path)
        Columns of one value, such as ``image``, and the CSV file with the cells.
    about : mapping
        Provenance, as JSON in the metadata of the table.

    Raises
    ------
    OutputError
        A piece is damaged, or the system refused to write.
    """
    from pyarrow import parquet

    schema = _schema(pieces).with_metadata({NAME: json.dumps(about)})
    with atomic_path(path) as temporary, parquet.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for table in _tables(pieces):
            writer.write_table(_fitted(table, schema))


def write_h5ad(path: Path, pieces: Sequence[Piece], about: Mapping[str, Any]) -> None:
    """Write a table of cells as AnnData; see `write_parquet`.

    Intensities are `X`, one variable per column; everything else is `obs`; ``obsm['spatial']`` holds x and y (and z of
    linked cells) in pixels, and ``obsm['spatial_um']`` in micrometres where they are known of all cells.
    """
    import anndata
    import pandas
    import pyarrow

    schema = _schema(pieces)
    tables = [_fitted(table, schema) for table in _tables(pieces)]
    frame = pyarrow.Table.from_batches([b for t in tables for b in t.to_batches()], schema).to_pandas()
    measured = [name for name in frame if name == "mean_intensity" or name.startswith("intensity_")]
    obs = frame.drop(columns=measured)
    for name in obs:
        if pyarrow.types.is_boolean(schema.field(name).type):
            # Only some images have the column.
            obs[name] = obs[name].astype("boolean" if obs[name].isna().any() else bool)
    keys = [obs[name].astype(str) for name in ("image", "page", "index") if name in obs]
    obs.index = [" ".join(filter(None, key)) for key in zip(*keys, strict=True)]
    places = {
        key: obs[names].to_numpy(np.float64)
        for key, end in (("spatial", ""), ("spatial_um", "_um"))
        if (names := [name for axis in "xyz" if (name := f"centroid_{axis}{end}") in obs])
        and (key == "spatial" or not obs[names].isna().any(axis=None))
    }
    units = {name: unit_of(name) for name in obs.columns if unit_of(name)}
    found = anndata.AnnData(
        frame[measured].to_numpy(np.float64),
        obs=obs,
        var=pandas.DataFrame(index=measured),
        obsm=places,
        uns={NAME: {"about": json.dumps(about), "units": units}},
    )
    with atomic_path(path) as temporary:
        found.write_h5ad(temporary, compression="gzip")


def is_our_parquet(path: Path) -> bool:
    """Whether `write_parquet` wrote a file: its name stands in the metadata at the end."""
    with path.open("rb") as file:
        file.seek(-8, 2)
        n_bytes, magic = struct.unpack("<I4s", file.read(8))
        if magic != _MAGIC or n_bytes > _LARGEST_FOOTER:
            return False
        file.seek(-8 - n_bytes, 2)
        return NAME.encode() in file.read(n_bytes)


def is_our_h5ad(path: Path) -> bool:
    """Whether `write_h5ad` wrote a file; False where the package that reads it is missing."""
    if importlib.util.find_spec("h5py") is None:
        return False
    import h5py

    with h5py.File(path, "r") as file:
        return f"uns/{NAME}" in file


def _schema(pieces: Sequence[Piece]) -> Any:
    """Return the columns of all pieces, with types that fit all of them and units."""
    import pyarrow

    schemas = [table.schema for table in _tables(pieces)]
    found = pyarrow.unify_schemas(schemas, promote_options="permissive") if schemas else pyarrow.schema([])
    fields = []
    for field in found:
        # No image has a value there.
        kind = pyarrow.float64() if pyarrow.types.is_null(field.type) else field.type
        unit = unit_of(field.name)
        fields.append(pyarrow.field(field.name, kind, metadata={"unit": unit} if unit else None))
    return pyarrow.schema(fields)


def _tables(pieces: Sequence[Piece]) -> Iterator[Any]:
    """Yield the tables of the pieces, one at a time; those whose file is gone are left out."""
    import pyarrow
    from pyarrow import csv

    # A line that a crash cut off costs itself only.
    options = csv.ParseOptions(invalid_row_handler=lambda row: "skip")
    for constants, path in pieces:
        try:
            table = csv.read_csv(path, parse_options=options)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except DAMAGE as error:
            raise OutputError(f"{path} cannot be read ({error}). Delete it, and run again with --resume.") from error
        columns = {unguarded(name): column for name, column in zip(table.column_names, table.columns, strict=True)}
        same = {name: pyarrow.array([text] * len(table), pyarrow.string()) for name, text in constants.items()}
        yield pyarrow.table({**same, **columns})


def _fitted(table: Any, schema: Any) -> Any:
    """Return a table with the columns of a schema, those that it lacks empty."""
    import pyarrow

    names = set(table.column_names)
    columns = [
        table[field.name].cast(field.type) if field.name in names else pyarrow.nulls(len(table), field.type)
        for field in schema
    ]
    return pyarrow.table(columns, schema=schema)
