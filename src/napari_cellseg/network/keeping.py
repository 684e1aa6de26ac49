"""Rename and delete the user's own models, and list what depends on one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from ..imaging.errors import ModelError
from ..imaging.read.values.json_file import read_values
from ..imaging.write.write import write_json
from .versions import CONFIG_FILE, ModelVersion, list_models, read_version, user_models_dir

NAME = re.compile(r"\w[\w.+ -]*")


def made_from(version: ModelVersion, known: Iterable[ModelVersion]) -> list[str]:
    """Return the names of the versions that were made directly from this one."""
    return [model.name for model in known if model.parent == version.name and model.name != version.name]


def rename_model(version: ModelVersion, name: str) -> ModelVersion:
    """Give one of the user's models another name; versions made from it name it as their parent as before.

    Raises
    ------
    ModelError
        If it is not one of the user's own, or the name is taken or cannot be that of a folder.
    """
    folder, name = _own(version), name.strip()
    if not NAME.fullmatch(name) or name.endswith("."):
        raise ModelError(
            f"'{name}' cannot be the name of a model: it is one of a folder. Use letters, digits, spaces, '-', '_', "
            "'+' and '.', and begin with a letter or digit."
        )
    known = list_models()
    if name in [model.name for model in known] or (folder.parent / name).exists():
        raise ModelError(f"There is a model named '{name}' already. Choose another name.")
    _moved(folder, folder.parent / name)
    for child in known:
        if child.parent == version.name and not child.bundled:
            config = child.path / CONFIG_FILE
            write_json(config, {**read_values(config, ModelError), "parent": name})
    return read_version(folder.parent / name)


def delete_model(version: ModelVersion) -> None:
    """Delete the files of one of the user's models.

    Raises
    ------
    ModelError
        If it is not one of the user's own, or the system refuses.
    """
    folder = _own(version)
    # It is gone at once, though to delete the files takes a moment, and may fail halfway.
    going = folder.parent / f".{folder.name}.deleted"
    shutil.rmtree(going, ignore_errors=True)
    _moved(folder, going)
    # What is left of it, should the system refuse the rest, is no model.
    (going / CONFIG_FILE).unlink(missing_ok=True)
    shutil.rmtree(going, ignore_errors=True)


def is_own(version: ModelVersion) -> bool:
    """Whether it is one of the user's own models, which can be renamed and deleted here."""
    return version.path.parent == user_models_dir().resolve()


def _own(version: ModelVersion) -> Path:
    if not is_own(version):
        where = "came with the plugin" if version.bundled else f"lies elsewhere, in {version.path}"
        raise ModelError(f"{version.name} {where}. Only your own models, in {user_models_dir()}, can be changed here.")
    return version.path


def _moved(folder: Path, to: Path) -> None:
    try:
        folder.rename(to)
    except OSError as error:
        raise ModelError(
            f"{folder} cannot be changed: {error.strerror or error}. Close what has it open, then try again."
        ) from error
