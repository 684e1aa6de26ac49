"""The result of one image of a batch, or of one plane of it, as a value that can be saved."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from ..imaging.errors import CellsegError, ParamsError
from ..imaging.read.scenes import is_same_image
from ..imaging.read.values.json_types import check_types, is_inside, shortened
from .wells import well_of

RowState = Literal["waiting", "running", "done", "failed", "skipped", "kept"]
STATES: tuple[str, ...] = get_args(RowState)
FINISHED = ("done", "failed", "skipped", "kept")
_MOST = float(2**53)
_RANGES = {
    **dict.fromkeys(("count", "min_size", "seconds", "median_area_px", "mean_area_px", "sd_area_px"), (0.0, _MOST)),
    **dict.fromkeys(("pixel_area_um2", "voxel_volume_um3", "median_volume_vox"), (0.0, _MOST)),
    **dict.fromkeys(("threshold", "doubt"), (0.0, 1.0)),
    **dict.fromkeys(("n_pages", "n_pixels"), (1.0, _MOST)),
}


@dataclass(frozen=True)
class BatchRow:
    """One image, or one page of an image of many.

    Attributes
    ----------
    image : str
        Name of the image, or its path inside the given folder, with ``/``.
    page : str
        Such as ``t003_z001``; empty for an image of one plane.
    state : {'waiting', 'running', 'done', 'failed', 'skipped', 'kept'}
        ``skipped``: done by an earlier run in the same way; ``kept``: corrected by a user, and not replaced. The
        numbers of such a row are those of its files.
    count : int or None
        Number of cells.
    median_area_px, mean_area_px, sd_area_px : float or None
        Of the cells' areas in pixels; None without cells. The standard deviation is that of a sample (divided by their
        number less 1), None with fewer than two cells.
    pixel_area_um2 : float or None
        Square micrometres per pixel, where the pixel size is known.
    median_volume_vox : float or None
        Of cells that were linked over slices, in voxels; such a row counts them, and has no areas.
    voxel_volume_um3 : float or None
        Cubic micrometres per voxel, where pixel size and spacing are known; of such a row.
    doubt : float or None
        Mean estimated chance that a cell is wrong; None without cells or for corrected ones.
    threshold, min_size : float and int, or None
        Those of the labels.
    seconds : float or None
        From the first look at the file to the last byte of its results.
    error : str
        Why it failed; else empty.
    notes : tuple of str
        What the user should know about how it was computed.
    files : dict of str to str
        Path of each output by its name, relative to the folder of results, with ``/``.
    stem : str
        Beginning of the names of its files in the folder of results, with ``/``; no two images share one.
    n_pages : int
        Rows that this image has in all.
    source : dict
        ``path``, ``size`` in bytes and ``mtime_ns`` of the image's file when it was read.
    recipe : str
        `Recipe.digest` of the recipe that made the labels.
    model, model_sha256 : str
        Name or folder of the model, and hash of its weights.
    image_sha256 : str
        Hash of the image's values.
    corrected : bool
        Whether a user corrected the labels.
    n_pixels : int or None
        Of the image, or of all planes that are counted together; with a guard, of the counting frame.
    positive : dict of str to int
        How many cells are positive, have each combination and are of each class; see `Counted.numbers`.
    y_whole_px, x_whole_px : int or None
        Row and column of the first pixel of a part in the whole image; None for an image that is whole.
    """

    image: str
    page: str = ""
    state: RowState = "waiting"
    count: int | None = None
    median_area_px: float | None = None
    mean_area_px: float | None = None
    sd_area_px: float | None = None
    pixel_area_um2: float | None = None
    doubt: float | None = None
    threshold: float | None = None
    min_size: int | None = None
    seconds: float | None = None
    error: str = ""
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    stem: str = ""
    n_pages: int = 1
    source: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = ""
    model: str = ""
    model_sha256: str = ""
    image_sha256: str = ""
    corrected: bool = False
    median_volume_vox: float | None = None
    voxel_volume_um3: float | None = None
    y_whole_px: int | None = None
    x_whole_px: int | None = None
    n_pixels: int | None = None
    positive: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ParamsError(f"A row's state is '{self.state}'; it must be one of {', '.join(STATES)}.")

    @property
    def title(self) -> str:
        """Image and page, as they are displayed."""
        return f"{self.image} {self.page}" if self.page else self.image

    @property
    def well(self) -> tuple[str, str]:
        """Well and field of the image on its plate; empty where they are not known."""
        return well_of(self.image, str(self.source.get("path", "")))

    @property
    def area_mm2(self) -> float | None:
        """Area of the image in square millimetres; None where its size or that of a pixel is not known."""
        known = self.n_pixels is not None and self.pixel_area_um2 is not None
        return float(self.n_pixels * self.pixel_area_um2 * 1e-6) if known else None  # type: ignore[operator]

    @property
    def key(self) -> tuple[str, str]:
        """Key of the row in its folder of results."""
        return (self.stem or self.image, self.page)

    @property
    def has_result(self) -> bool:
        """Whether there are labels that its numbers are about."""
        return self.state in ("done", "skipped", "kept")

    def is_of_another_image(self, path: str | Path | None, sha256: str | None = "") -> bool:
        """Whether the row is about an image of other values, or about another file that still lies where it lay.

        Parameters
        ----------
        path : path, optional
            File of the image that the row is compared with.
        sha256 : str, optional
            Hash of its values; empty where they are not known, None where it has no such plane.
        """
        return self.has_other_values(sha256) or self.lies_elsewhere(path) is True

    def has_other_values(self, sha256: str | None) -> bool:
        """Whether the row is about an image of other values, as far as both are known; see `is_of_another_image`."""
        return bool(self.image_sha256) and sha256 not in ("", self.image_sha256)

    def lies_elsewhere(self, path: str | Path | None) -> bool | None:
        """Whether the row is about a file in another place; None where one of the two is gone, or not known."""
        own = self.source.get("path")
        if not own or not path:
            return None
        try:
            return not is_same_image(own, path)
        except OSError:
            return None

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON-able values."""
        values = asdict(self)
        return {
            **values,
            "notes": list(self.notes),
            "files": dict(self.files),
            "source": dict(self.source),
            "positive": dict(self.positive),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BatchRow:
        """Rebuild a row; entries that a later version may have added are skipped.

        Raises
        ------
        ParamsError
            It lacks its image, or a value is of another type or out of its range.
        """
        known = {f.name for f in fields(cls)}
        given = {name: value for name, value in values.items() if name in known}
        if not isinstance(given.get("image"), str):
            raise ParamsError("A row has no image name. Delete its line, or run the batch again.")
        try:
            check_types(cls, given)
            _check_ranges(given)
        except ValueError as error:
            raise ParamsError(f"The row of {shortened(given['image'])} is damaged: {error}.") from error
        return cls(**{**given, "notes": tuple(given.get("notes", ()))})

    def file(self, out: Path, name: str) -> Path | None:
        """Return an output of the row in its folder of results; None where it is not there.

        What a link shows outside of the folder, and what is neither file nor folder, is not there either.
        """
        path = out / self.files[name] if self.files.get(name) else None
        try:
            inside = path is not None and path.resolve().is_relative_to(out.resolve())
            return path if path is not None and inside and (path.is_file() or path.is_dir()) else None
        except (OSError, ValueError, RuntimeError):
            return None


def _check_ranges(given: Mapping[str, Any]) -> None:
    """Check that numbers are possible, and that files lie in the folder of results."""
    paths = [given["stem"]] if given.get("stem") else []
    for path in (*paths, *given.get("files", {}).values()):
        if not is_inside(path):
            raise ValueError(f"{shortened(path)} is no path inside the folder of results")
    if any(sign in given.get("page", "") for sign in "/\\:"):
        raise ValueError(f"page is {shortened(given['page'])}")
    for name, (low, high) in _RANGES.items():
        value = given.get(name)
        if value is not None and not low <= value <= high:
            raise ValueError(f"{name} is {value}")
    if min(given.get("positive", {}).values(), default=0) < 0:
        raise ValueError(f"positive is {shortened(given['positive'])}")


def failed(row: BatchRow, error: BaseException) -> BatchRow:
    """Return the row of an image that failed, with the reason in words and without numbers: they would be a part's."""
    if isinstance(error, MemoryError):
        text = "There is not enough memory for this image. Close other programs, or cut it into parts."
    elif isinstance(error, CellsegError):
        text = str(error)
    elif isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        text = (
            f"{row.title}: the names of its results would be longer than the system allows. Give the image a shorter "
            "name, and run again."
        )
    else:
        text = f"{row.title} failed in a way that was not foreseen ({type(error).__name__}: {error}). Please report it."
    return replace(
        row,
        state="failed",
        count=None,
        median_area_px=None,
        mean_area_px=None,
        sd_area_px=None,
        median_volume_vox=None,
        doubt=None,
        positive={},
        error=text,
    )
