"""Manual and automatic counts, saved in the user folder: one file per image, and one per settings.

A manual count holds for every model, so it is saved by image. Automatic counts depend on everything that decides
labels, so they are saved by these settings. An agreement is made of both.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...imaging.channels import Channel
from ...imaging.errors import CellsegError
from ...imaging.home import user_home
from ...imaging.read.values.json_file import read_values, values_if_any
from ...imaging.write.write import write_json
from ...network.smallest import smallest_in_words
from ...network.versions import ModelVersion
from ...segmentation.counting import calling_of, number_in_words
from ...segmentation.recipe import Recipe
from .agreement import Agreement

FOLDER, PEOPLE, OURS = "agreement", "people", "ours"
FORMAT = 1
# Number of settings whose counts are kept; the oldest are dropped first, and can be made again by segmenting.
MOST_SETTINGS = 200
LARGEST_COUNT = 10_000_000
_PLAIN = re.compile(r"[0-9a-z_.-]{1,120}")


@dataclass(frozen=True)
class Settings:
    """The settings that decide automatic counts: model, sliders and the rest of a recipe.

    Parameters
    ----------
    model : str
        Its name, for display.
    model_sha256, recipe_sha256 : str
    threshold : float
    min_size : int
    fitted : bool
        Whether it was less where an image's cells are small.
    cells : str
        Which cells are counted, such as ``GFP_pos``; empty for all.
    """

    model: str
    model_sha256: str
    recipe_sha256: str
    threshold: float
    min_size: int
    fitted: bool = False
    cells: str = ""

    @classmethod
    def from_recipe(cls, recipe: Recipe, model: ModelVersion, cells: str = "") -> Settings:
        """Return those of a recipe, whose model is loaded already, for the count of some cells or of all."""
        # Axes and planes decide which image is counted, and not how; how others are called decides no count of these.
        counted = calling_of(recipe.resolved(model), cells)
        plain = replace(counted, axes=None, pages="one", link="none")
        assert plain.threshold is not None and plain.min_size is not None
        digest = plain.digest(model)
        if cells:
            digest = hashlib.sha256(f"{digest} {cells}".encode()).hexdigest()
        return cls(model.name, model.sha256, digest, plain.threshold, plain.min_size, plain.fit_min_size, cells)

    @property
    def name(self) -> str:
        """Name of their file."""
        return f"{self.model_sha256[:16]}-{self.recipe_sha256[:24]}.json"

    def __str__(self) -> str:
        smallest = smallest_in_words(self.min_size, self.fitted)
        of = f"{number_in_words(self.cells)} of " if self.cells else ""
        return f"{of}{self.model}, threshold {self.threshold:.2f}, smallest {smallest}"


@dataclass(frozen=True)
class PersonCount:
    """Manual count of one image.

    Parameters
    ----------
    id : str
        See `image_id`.
    image : str
        Its name, for display.
    people : int or None
        Number of cells; None while the clicking is not finished.
    points : tuple of tuple of float, optional
        Positions of the user's clicks, (y, x) in pixels.
    used : bool
        Whether it counts for the agreement.

    Raises
    ------
    CellsegError
        A count that can't be one.
    """

    id: str
    image: str
    people: int | None
    points: tuple[tuple[float, float], ...] = ()
    used: bool = True

    def __post_init__(self) -> None:
        if not _PLAIN.fullmatch(self.id):
            raise CellsegError(f"The image {self.image} has the id '{self.id}'; it must be small letters and digits.")
        if self.people is not None and not 0 <= self.people <= LARGEST_COUNT:
            raise CellsegError(f"{self.people} is no count of cells. Give a whole number, 0 or more.")

    def to_dict(self) -> dict[str, Any]:
        """Return everything, JSON-able."""
        points = [[round(float(y), 2), round(float(x), 2)] for y, x in self.points]
        return {
            "format": FORMAT,
            "id": self.id,
            "image": self.image,
            "people": self.people,
            "points": points,
            "used": self.used,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PersonCount:
        """Rebuild it.

        Raises
        ------
        KeyError, ValueError, TypeError, CellsegError
            It is none.
        """
        people = values["people"]
        if values["format"] != FORMAT or not (people is None or type(people) is int):
            raise ValueError("not a count of this format")
        points = tuple((float(y), float(x)) for y, x in values["points"])
        return cls(str(values["id"]), str(values["image"]), people, points, bool(values["used"]))


def image_id(sha256: str, channel: Channel | None = None, page: str = "", cells: str = "") -> str:
    """Return the id of an image, whatever its name: by its values, and the channel, page and cells that are counted."""
    if isinstance(channel, str):
        # A page's name may hold characters that a file's name must not.
        channel = hashlib.sha256(channel.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    of = f"-of{hashlib.sha256(cells.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}" if cells else ""
    return sha256 + ("" if channel is None else f"-c{channel}") + (f"-{page}".lower() if page else "") + of


class AgreementStore:
    """Manual and automatic counts in the user folder; read once, then kept in memory.

    Parameters
    ----------
    folder : Path, optional
        None takes the one in the user folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = user_home() / FOLDER if folder is None else folder
        self.unread: list[Path] = []
        self._people: dict[str, PersonCount] | None = None
        self._automatic: dict[str, dict[str, int]] = {}

    def people(self) -> dict[str, PersonCount]:
        """All manual counts by the image's id; files that cannot be read are in `unread`."""
        if self._people is None:
            found, self.unread = {}, []
            for path in sorted((self.folder / PEOPLE).glob("*.json")):
                try:
                    one = PersonCount.from_dict(read_values(path))
                except (ValueError, KeyError, TypeError, CellsegError):
                    self.unread.append(path)
                    continue
                found[one.id] = one
            self._people = found
        return self._people

    def put(self, count: PersonCount) -> None:
        """Save a manual count; an earlier one of the image is replaced.

        Raises
        ------
        OutputError
            The system refused to write.
        """
        known = self.people()
        write_json(self.folder / PEOPLE / f"{count.id}.json", count.to_dict())
        known[count.id] = count

    def forget(self, id_: str) -> None:
        """Delete the manual count of an image.

        Raises
        ------
        CellsegError
            The system refused.
        """
        try:
            (self.folder / PEOPLE / f"{id_}.json").unlink(missing_ok=True)
        except OSError as error:
            raise CellsegError(f"The count could not be removed ({error}).") from error
        self.people().pop(id_, None)

    def automatic(self, settings: Settings) -> dict[str, int]:
        """Return the saved automatic counts with these settings, by the image's id."""
        if settings.name not in self._automatic:
            self._automatic[settings.name] = self._read_automatic(settings)
        return self._automatic[settings.name]

    def put_automatic(self, settings: Settings, counts: Mapping[str, int]) -> None:
        """Save automatic counts, in addition to earlier ones.

        Raises
        ------
        OutputError
            The system refused to write.
        """
        known = self.automatic(settings)
        together = {**known, **{id_: int(count) for id_, count in counts.items()}}
        if together == known:
            return
        about = {
            "format": FORMAT,
            "model": settings.model,
            "model_sha256": settings.model_sha256,
            "recipe_sha256": settings.recipe_sha256,
            "threshold": settings.threshold,
            "min_size": settings.min_size,
        }
        write_json(self.folder / OURS / settings.name, {**about, "counts": together})
        self._automatic[settings.name] = together
        self._prune()

    def agreement(self, settings: Settings, automatic: Mapping[str, int] | None = None) -> Agreement | None:
        """Compare manual counts with automatic ones.

        Parameters
        ----------
        settings : Settings
        automatic : dict of str to int, optional
            What we count in images that are at hand; goes before what was kept.

        Returns
        -------
        Agreement or None
            None with fewer than two images of which both counts are known.
        """
        people = [one for one in self.people().values() if one.people is not None and one.used]
        if len(people) < 2:
            return None
        known = {**self.automatic(settings), **(automatic or {})}
        both = [one for one in people if one.id in known]
        if len(both) < 2:
            return None
        counted = [float(one.people or 0) for one in both]
        return Agreement(tuple(one.image for one in both), counted, [float(known[one.id]) for one in both])  # type: ignore[arg-type]

    def _read_automatic(self, settings: Settings) -> dict[str, int]:
        try:
            values = values_if_any(self.folder / OURS / settings.name)
            whole = (values["model_sha256"], values["recipe_sha256"], values["format"])
            if whole != (settings.model_sha256, settings.recipe_sha256, FORMAT):
                return {}
            return {str(id_): int(count) for id_, count in values["counts"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            # Automatic counts can be made again from the images; manual ones cannot.
            return {}

    def _prune(self) -> None:
        with contextlib.suppress(OSError):
            files = sorted((self.folder / OURS).glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
            for path in files[:-MOST_SETTINGS]:
                path.unlink(missing_ok=True)
