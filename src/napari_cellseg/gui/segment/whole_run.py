"""The whole of an image in the background, block by block, into files, while the user goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels
from psygnal import Signal

from ...imaging.errors import CellsegError, ImageError
from ...imaging.home import user_home
from ...imaging.read.read import read_image
from ...imaging.read.scenes import file_of, name_of
from ...imaging.stack_planes import position_in_stack
from ...imaging.write.zarr_labels import read_pyramid
from ...segmentation.options import RunOptions
from ...segmentation.recipe import Recipe
from ..jobs.batch_job import BatchJob, BatchOutcome, BatchRequest
from ..planes.plane_layers import PlaneLayout
from ..shared.workers import Latest
from ..viewer.bench import Bench
from ..viewer.drawn_regions import DrawnRegions
from ..viewer.layer_image import METADATA_KEY, full_data, layer_path, placement
from ..viewer.layer_watch import add_unselected
from ..viewer.regions import Regions

OUTPUTS = ("labels", "cells")
NOT_AVERAGED = "Block by block nothing is averaged over flips, so that cells can differ from those of the accurate way."
_ADVICE = "Segment what is visible, or use 'Segment a folder of images' in the Plugins menu."


@dataclass(frozen=True)
class _Asked:
    """What a run is about: the image layer, what it is called, and how many planes it has along T and Z."""

    layer_id: Any
    name: str
    accurate: bool = False
    shape: tuple[int, ...] = ()


class WholeRun:
    """At most one image per viewer that is segmented in the background, in a process of its own.

    It takes the file that a layer came from, the recipe that is shown (the sliders of a part count for the whole),
    and leaves labels as OME-Zarr and a table of cells; the labels are then shown. Of a stack all planes are done, each
    into labels of its own, and shown as one layer.

    Signals
    -------
    changed()
        The progress or the message changed.
    """

    changed = Signal()

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.job = BatchJob()
        self.sentence, self.failed = "", False
        self.folder: Path | None = None
        self._asked: _Asked | None = None
        self._preparing = Latest(self._on_failed, self.changed.emit)
        self.job.changed.connect(self.changed)
        self.job.progressed.connect(self.changed)
        self.job.ended.connect(self._on_ended)

    @property
    def busy(self) -> bool:
        """Whether an image is under way."""
        return self.job.running or self._preparing.busy

    @property
    def has_news(self) -> bool:
        """Whether there is a message or progress to show."""
        return self.busy or bool(self.sentence)

    def text(self) -> str:
        """Describe the progress, or the outcome."""
        if not self.busy or self._asked is None:
            return self.sentence
        _, part = self.job.rows.part
        doing = {"starting": "loading the network", "stopping": "stopping"}.get(self.job.kind, f"{part:.0%}")
        return f"All of {self._asked.name}: {doing if self.job.running else 'reading'} …"

    def start(self) -> None:
        """Begin with the image that is chosen, or that the chosen part is of; a message shows what is not possible."""
        if self.busy:
            return
        bench = self._bench
        key, recipe = bench.session.chosen, bench.session.recipe_of_panel()
        cells = bench.session.cells
        if cells is not None and recipe.diameter is None and not bench.session.differences(key):
            # Magnified as for the cells that are shown.
            recipe = replace(recipe, diameter=cells.segmented.prediction.diameter)
        layer = bench.part(Regions).image_of(key)
        try:
            path = _file_of(layer)
        except CellsegError as error:
            self._report(str(error), True)
            return
        assert layer is not None
        shape = tuple(full_data(layer).shape)
        stack = bench.stack_of(layer.unique_id)
        self._asked = _Asked(layer.unique_id, layer.name, recipe.accurate, () if stack is None else stack.shape)
        recipe = replace(
            recipe,
            axes=bench.session.choices.for_image(layer.unique_id).axes,
            pages="one" if stack is None else "each",
            accurate=False,
            link="none",
        )
        options = RunOptions(bench.session.choices.viewer.device, OUTPUTS, blocks=True)
        out = results_folder(path)
        try:
            regions = bench.part(DrawnRegions).keep_for([(str(path), name_of(path))], out)
        except CellsegError as error:
            self._report(str(error), True)
            return
        options = replace(options, regions=regions)
        self._preparing.ask(lambda: _request(path, shape, recipe, options, out), self._launch)
        self.changed.emit()

    def cancel(self) -> None:
        """Stop; finished blocks are kept, and the next start goes on with them."""
        if self.job.running:
            self.job.cancel()
        else:
            self._preparing.close()
            self.changed.emit()

    def dismiss(self) -> None:
        """Put the message away, as the user has read it."""
        self.folder = None
        self._report("", False)

    def close(self) -> None:
        """End with the window."""
        self._preparing.close()
        self.job.close()

    def _launch(self, request: BatchRequest) -> None:
        self.sentence, self.failed, self.folder = "", False, None
        # What is there of an earlier image must not be taken for this one's.
        self.job.rows.set_images([name for _, name in request.files])
        try:
            self.job.start(request)
        except (OSError, CellsegError) as error:
            self._on_failed(error)

    def _on_ended(self, outcome: BatchOutcome) -> None:
        rows, asked = self.job.rows.in_order(), self._asked
        done = [row for row in rows if row.state in ("done", "skipped", "kept") and row.files.get("labels")]
        failed = next((row for row in rows if row.state == "failed"), None)
        if outcome.stopped:
            self._report("Stopped. Finished blocks are kept: start it again and it goes on with them.", False)
            return
        if not done or asked is None:
            self._report(failed.error if failed is not None and failed.error else outcome.sentence, True)
            return
        out, count = outcome.request.out, sum(row.count or 0 for row in done)
        notes = [] if any(row.state == "done" for row in done) else ["They were there already."]
        notes += [NOT_AVERAGED] if asked.accurate else []
        notes += list(dict.fromkeys(note for row in done for note in row.notes))
        planes = f" in {len(done):,} planes" if asked.shape else ""
        if failed is not None:
            notes.insert(0, f"{len(rows) - len(done):,} planes failed; the first, {failed.page}: {failed.error}")
        self._report(" ".join([f"{count:,} cells{planes}, saved in '{out.name}'.", *notes]), failed is not None)
        self.folder = out
        paths = {position_in_stack(row.page) if asked.shape else (): out / row.files["labels"] for row in done}
        self._preparing.ask(lambda: _pyramid(paths, asked.shape), lambda levels: self._show(levels, out, count))

    def _show(self, levels: list[Any], out: Path, count: int) -> None:
        """Show the labels on the image, if that is still there; they are on the disk, and cannot be painted."""
        asked, viewer = self._asked, self._bench.viewer
        layer = self._bench.layer_of(asked.layer_id) if asked is not None else None
        if layer is None or asked is None:
            return
        where = placement(layer)
        if asked.shape:
            stack = self._bench.stack_of(asked.layer_id)
            if stack is None or stack.shape != asked.shape:
                return
            layout = PlaneLayout(stack, layer)
            levels, where = [layout.lay(level) for level in levels], layout.placement
        several = len(levels) > 1
        for known in viewer.layers:
            about = known.metadata.get(METADATA_KEY, {})
            same = about.get("whole") == str(out) and about.get("image") == asked.layer_id
            if same and known.multiscale == several and known.ndim == levels[0].ndim:
                # The files that it showed are these now.
                known.data = levels if several else levels[0]
                known.visible, about["count"] = True, count
                self.changed.emit()
                return
        added = Labels(
            levels if several else levels[0],
            multiscale=several,
            name=f"{layer.name}: all cells",
            metadata={METADATA_KEY: {"whole": str(out), "image": asked.layer_id, "count": count}},
            **where,
        )
        added.editable = False
        # Below the cells of parts, which may be worked on.
        add_unselected(viewer, added, viewer.layers.index(layer) + 1)
        self.changed.emit()

    def _on_failed(self, error: BaseException) -> None:
        if not isinstance(error, (CellsegError, OSError)):
            self._bench.failed(error)
        self._report(str(error) or type(error).__name__, True)

    def _report(self, sentence: str, failed: bool) -> None:
        self.sentence, self.failed = sentence, failed
        self.changed.emit()


def results_folder(path: Path) -> Path:
    """Return the folder for a file's results: beside it, or in the user's home where that cannot be written to."""
    name = f"{name_of(path).partition('.')[0]} cells"
    try:
        folder = file_of(path).parent / name
        folder.mkdir(exist_ok=True)
        # Tried, since on network drives the access rights are not reliable.
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError:
        return user_home() / "results" / name
    return folder


def _file_of(layer: ImageLayer | None) -> Path:
    if layer is None:
        raise ImageError("There is no image. Open one first.")
    path = layer_path(layer)
    if path is None or not file_of(path).exists():
        raise ImageError(
            f"'{layer.name}' is in no file, and the background takes files only. Save it as OME-Zarr or TIFF and open "
            f"that. {_ADVICE}"
        )
    return Path(path)


def _pyramid(paths: Mapping[tuple[int, ...], Path], shape: tuple[int, ...]) -> list[Any]:
    """Open the labels of all planes as one pyramid (planes along each axis, Y, X); planes that failed are empty."""
    import dask.array as da

    planes = {position: read_pyramid(path) for position, path in paths.items()}
    some = next(iter(planes.values()))
    if not shape:
        return some
    stacked = []
    for level, like in enumerate(some):
        empty = da.zeros_like(like)
        every = [planes[place][level] if place in planes else empty for place in np.ndindex(shape)]
        stacked.append(da.stack(every).reshape(*shape, *like.shape))
    return stacked


def _request(path: Path, shape: tuple[int, ...], recipe: Recipe, options: RunOptions, out: Path) -> BatchRequest:
    """Make sure that the file holds what the layer shows, and complete the recipe."""
    image = read_image(path, recipe.axes, in_parts=True)
    if tuple(image.data.shape) != shape:
        raise ImageError(
            f"{path.name} holds {' x '.join(map(str, image.data.shape))} values, but the layer shows "
            f"{' x '.join(map(str, shape))}: it is a part of the file, or a channel. {_ADVICE}"
        )
    if recipe.pages == "each":
        # All planes have one smallest size, as in the window.
        recipe = replace(replace(recipe, pages="stack").resolved(), pages="each")
    return BatchRequest(((str(path), name_of(path)),), out, recipe.resolved(), options, resume=True)
