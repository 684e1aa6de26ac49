"""The weights file of a model version: whether it is whole, and which one it is. Loads no torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..imaging.errors import ModelError
from ..imaging.read.values.json_types import parse_json

MAX_HEADER_BYTES = 10_000_000
# Bytes: the largest networks of segmentation-models-pytorch have 2 GB.
LARGEST_WEIGHTS = 1 << 31


def check_weights_file(path: Path) -> None:
    """Refuse a weights file that is missing, cut short or not safetensors, by its header alone."""
    if not path.is_file():
        raise ModelError(f"Model {path.parent.name} has no {path.name} in {path.parent}. Import or download it again.")
    size = path.stat().st_size
    try:
        with open(path, "rb") as file:
            n_header = int.from_bytes(file.read(8), "little")
            header = parse_json(file.read(n_header)) if size > 8 and n_header <= MAX_HEADER_BYTES else None
        end = max((v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"), default=0) if header else -1
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ModelError(
            f"{path} is not a safetensors file ({error}). Other formats are not opened, for safety."
        ) from error
    if header is None:
        raise ModelError(f"{path} is not a safetensors file. Other formats are not opened, for safety.")
    if size != 8 + n_header + end:
        raise ModelError(
            f"{path} is {size} bytes but its header promises {8 + n_header + end}: cut short? Import it again."
        )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
