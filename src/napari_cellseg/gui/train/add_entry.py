"""Add the chosen image, its cells and its reviewed area to a training set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import QMessageBox

from ...imaging.errors import CellsegError, DatasetError
from ...imaging.read.scenes import file_of
from ...session import Cells
from ...training.data.training_set import DuplicateError, Entry, TrainingSet
from ..shared.workers import Latest
from ..viewer.bench import Bench
from ..viewer.correcting import Correcting
from .job import TrainJob

TRIES = 5
COLUMNS = ("Image", "Cells", "Reviewed", "State")
Ask = Callable[[str, str, str, Callable[[], object]], object]


def add_current(
    bench: Bench,
    folder: str | Path | None = None,
    *,
    ask: Ask | None = None,
    report: Callable[[str, bool], object] | None = None,
    replace: bool = False,
) -> Latest:
    """Add the chosen image to a training set, in a background thread.

    Parameters
    ----------
    bench : Bench
    folder : path, optional
        The training set; by default the one that the Train widget shows. It is made where there is none.
    ask : callable, optional
        Called with a question, the words for yes and no, and what to do on yes, when the same image is there
        already; by default a dialog asks.
    report : callable, optional
        Called with a sentence and whether it is bad news; by default `Correcting.reported` of the viewer is emitted.
    replace : bool
        Replace the entry of the same image without asking.

    Returns
    -------
    Latest
        The work; `busy` until it is done.

    Raises
    ------
    CellsegError
        There is no image, or it was not segmented yet.
    """
    layer, cells = bench.layer_of(bench.session.chosen), bench.session.cells
    if layer is None:
        raise CellsegError("There is no image to add. Open one, segment it, and correct or review its cells.")
    if cells is None:
        raise CellsegError(f"'{layer.name}' was not segmented yet. Segment it, and correct or review its cells first.")
    job, name = TrainJob.for_bench(bench), bench.name_of(bench.session.chosen)
    stack = bench.stack_of(bench.session.chosen)
    whole = "" if stack is None else stack.image.title
    path = Path(folder) if folder is not None else job.folder
    show = report or bench.part(Correcting).reported.emit
    question = ask or dialog

    def added(entry: Entry) -> None:
        verb = "Replaced" if replace else "Added"
        show(f"{verb} in the training set '{path.name}': {entry_in_words(entry)}", False)
        job.set_changed.emit(path)

    def failed(error: BaseException) -> None:
        if isinstance(error, DuplicateError):
            again = lambda: add_current(bench, path, ask=ask, report=report, replace=True)  # noqa: E731
            question(duplicate_in_words(error, path), "Replace it", "Leave it", again)
        elif isinstance(error, (CellsegError, OSError)):
            show(str(error), True)
        else:
            bench.failed(error)

    work = Latest(failed)
    work.ask(lambda: write_entry(cells, path, name, replace, whole), added)
    # Held until it is done: the caller may not care.
    job.adding = [*(other for other in job.adding if other.busy), work]
    return work


def write_entry(cells: Cells, folder: Path, name: str, replace: bool = False, whole: str = "") -> Entry:
    """Write the cells of an image as they are shown, and the reviewed area, into a training set.

    Parameters
    ----------
    cells : Cells
    folder : Path
    name : str
    replace : bool
        Replace the entry of the same image.
    whole : str
        What the stack is called that the image is a plane of; empty for other images.

    Raises
    ------
    DuplicateError
        The same image is there already, and `replace` is not set.
    DatasetError
        Nothing was reviewed, or the folder holds something else.
    OutputError
        The folder cannot be written to.
    """
    labels, reviewed, metadata = _frozen(cells)
    if not reviewed.any():
        raise DatasetError(
            f"Nothing of '{name}' is reviewed yet, so there is nothing to learn from it. Correct or accept cells, or "
            "mark an area as reviewed in the Correct widget, then add it."
        )
    training_set = TrainingSet.open(folder, create=True)
    image = cells.segmented.image
    provenance = {**metadata, "source": image.source, "group": _group(cells, whole)}
    return training_set.add(
        name, cells.segmented.plane, labels, reviewed, provenance, pixel_size=image.pixel_size, replace=replace
    )


def _group(cells: Cells, whole: str) -> str:
    """Return what an image was taken from: its file, else its origin, else its stack, else its own hash."""
    image = cells.segmented.image
    taken_from = image.source or (image.origin.title if image.origin is not None else whole)
    if not taken_from:
        return cells.segmented.image_sha256
    # Files of equal names in two folders are two images, also where a path is short.
    path = Path(taken_from)
    return str(path.absolute()) if file_of(path).exists() else taken_from


def _frozen(cells: Cells) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Return labels, reviewed area and provenance of one moment: the user may go on correcting meanwhile."""
    corrections = cells.corrected.corrections
    for _ in range(TRIES):
        revision = corrections.revision
        result = cells.result()
        reviewed = cells.corrected.reviewed_area(cells.threshold, cells.min_size)
        if corrections.revision == revision:
            break
    else:
        raise DatasetError("The cells changed all the time while they were being added. Pause, and add them again.")
    return result.labels, np.asarray(reviewed), dict(result.metadata)


def entry_in_words(entry: Entry) -> str:
    """Describe an entry in a sentence."""
    cells = f"{entry.n_cells:,} cell" + ("" if entry.n_cells == 1 else "s")
    empty = "" if entry.n_cells else " It teaches what is background."
    return f"{entry.name}, {cells}, {part_in_words(entry.reviewed_fraction)} of the image reviewed.{empty}"


def part_in_words(fraction: float) -> str:
    """Return a fraction as per cent: 0 % only of nothing, and 100 % only of all."""
    if fraction >= 1 or fraction <= 0:
        return f"{round(100 * fraction)} %"
    return "< 1 %" if fraction < 0.01 else f"{min(round(100 * fraction), 99)} %"


def texts_of(entry: Entry) -> list[str]:
    """Return what the row of an entry shows."""
    if entry.problem:
        return [entry.name, "–", "–", "cannot be used"]
    state = "changed" if entry.note else "ready"
    return [entry.name, f"{entry.n_cells:,}", part_in_words(entry.reviewed_fraction), state]


def about(entry: Entry) -> str:
    """Return the tooltip of an entry: what is wrong with it or has changed, its size, and when it was added."""
    size = f"{entry.size[0]} × {entry.size[1]} pixels" if any(entry.size) else ""
    added = f"added {entry.added.replace('T', ' ')[:16]}" if entry.added else ""
    return "\n".join(line for line in (entry.name, entry.problem, entry.note, size, added) if line)


def duplicate_in_words(error: DuplicateError, folder: Path) -> str:
    """Return the question whether an image that is there already is to be replaced."""
    return f"This image is in the training set '{folder.name}' already, as '{error.name}'. Replace it by what is shown?"


def dialog(text: str, yes: str, no: str, then: Callable[[], object]) -> None:
    """Ask in a dialog that blocks nothing else."""
    box = QMessageBox(QMessageBox.Icon.Question, "Training set", text)
    box.setObjectName("training_set_question")
    accept = box.addButton(yes, QMessageBox.ButtonRole.AcceptRole)
    box.addButton(no, QMessageBox.ButtonRole.RejectRole)
    _open.append(box)

    def closed(_: int) -> None:
        clicked = box.clickedButton() is accept
        _open.remove(box)
        box.deleteLater()
        if clicked:
            then()

    box.finished.connect(closed)
    box.open()


_open: list[QMessageBox] = []
