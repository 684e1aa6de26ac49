"""What a file of torch names and announces, read from its pickle without building anything."""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import zipfile
from pathlib import Path

from ..imaging.read.packed.zip_entries import opened_zip, read_entry

# The list of weights, without their values; bytes.
_LARGEST_LIST = 1 << 23
# A legacy file begins with four pickles: a number, a version, facts on the system, and the list of weights.
_N_PICKLES = 4
_HARMLESS, _GREATEST_RATIO = 1 << 26, 4
# What a list of weights needs: weights, parameters, their storages, and plain containers. Other functions, which torch
# allows too, make values of any size.
_NEEDED = re.compile(
    r"collections (OrderedDict|defaultdict|Counter)|torch\._utils _rebuild_(tensor|parameter)(_v2|_with_state)?"
    r"|torch(\.storage)? \w+Storage|torch\.nn\.parameter Parameter|torch\.serialization _get_layout|_codecs encode"
    r"|torch (Size|device|dtype|q?u?int\d+|float\w*|bfloat16|half|double|short|long|int|bool|complex\d+)"
    r"|(__builtin__|builtins) (set|int|float|bool|str|list|dict|tuple)"
)


def most_bytes(path: Path) -> int:
    """Return how many bytes of weights a file may hold."""
    return _HARMLESS + _GREATEST_RATIO * path.stat().st_size


def check_pickle(path: Path) -> None:
    """Refuse a file of ``torch.save`` that would do more than list weights, or unpack to far more than it has.

    Raises
    ------
    pickle.UnpicklingError
        It names something else than weights.
    ValueError, OSError, zipfile.BadZipFile, ...
        It is damaged, or holds far more than its size; see `damage.DAMAGE`.
    """
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            head = io.BytesIO(file.read(_LARGEST_LIST))
        for _ in range(_N_PICKLES):
            _check_names(head)
        return
    with opened_zip(path) as archive:
        held, size = sum(info.file_size for info in archive.infolist()), path.stat().st_size
        if held > most_bytes(path):
            raise ValueError(f"it has {size:,} bytes and unpacks to {held:,}")
        for name in archive.namelist():
            if name.endswith(".pkl"):
                _check_names(io.BytesIO(read_entry(archive, name, _LARGEST_LIST)))


def _check_names(file: io.BytesIO) -> None:
    for code, argument, _ in pickletools.genops(file):
        named = code.name in ("GLOBAL", "INST") and not _NEEDED.fullmatch(str(argument))
        if named or code.name in ("STACK_GLOBAL", "REDUCE_EX", "EXT1", "EXT2", "EXT4"):
            raise pickle.UnpicklingError(f"it names {argument}")
