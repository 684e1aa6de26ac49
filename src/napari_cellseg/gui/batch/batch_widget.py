"""The Batch widget: segments a folder with one recipe in the background, and lists the results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from napari.layers import Image, Layer
from qtpy.QtWidgets import QWidget

from ...evaluation.outliers import stand_out
from ...imaging.errors import CellsegError
from ...instances.area_files import BESIDE
from ...reports.batch_report import write_report
from ...results.outputs import check_outputs
from ...results.rows import FINISHED, BatchRow
from ...results.save_corrected import known_rows
from ..jobs.batch_job import BatchJob, BatchOutcome, BatchRequest
from ..jobs.batch_rows import Key
from ..shared.bindings import Bindings
from ..shared.fold import Fold
from ..shared.layout import in_column, separator
from ..shared.message import errors_to
from ..shared.workers import Latest
from ..viewer.dock import Dock
from ..viewer.drawn_regions import DrawnRegions
from ..viewer.layer_image import layer_folder
from .done_section import BatchDoneSection
from .input_section import BatchInputSection
from .opening import BatchOpening
from .output_section import BatchOutputSection
from .plate_window import BatchPlates
from .recipe_section import BatchRecipeSection
from .results_window import ResultsWindow
from .run_section import READY, BatchRunSection
from .sheet import BatchSheet

if TYPE_CHECKING:
    from napari import Viewer


Window = TypeVar("Window", bound=ResultsWindow)


class BatchWidget(Dock):
    """Dock widget that segments and counts the cells of all images of a folder."""

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, "batch", parent)
        self.job = BatchJob.for_bench(self.bench)
        self.opening = self.bench.part(BatchOpening)
        self.sheet: BatchSheet | None = None
        self.plates: BatchPlates | None = None
        self.input_section = BatchInputSection()
        self.recipe_section = BatchRecipeSection(self.bench)
        self.output_section = BatchOutputSection()
        self.run_section = BatchRunSection(self.job)
        self.done_section = BatchDoneSection(self.job)
        failed = self.bench.failure_to(self.run_section.report)
        self._loading, self._flagging = Latest(failed, owner=self), Latest(failed, owner=self)
        self._lay_out()
        self.take_dropped(self.choose)
        self.input_section.found.connect(self._on_found)
        self.recipe_section.options_read.connect(
            lambda options: self.output_section.more.set_values(
                {"csv": options.csv, "ome_zarr": options.ome_zarr, "regions": options.regions}
            )
        )
        self.output_section.out_changed.connect(self.load)
        self.run_section.run.clicked.connect(lambda: self.run())
        self.run_section.resume.clicked.connect(lambda: self.run(resume=True))
        self.done_section.opened.connect(self.open)
        self.done_section.save.clicked.connect(self.opening.save)
        self.done_section.sheet.clicked.connect(self.show_sheet)
        self.done_section.plates.clicked.connect(self.show_plates)
        self.done_section.report.clicked.connect(self.make_report)
        self._bindings = Bindings(self)
        for signal in (self.session.sliders_changed, self.session.counting_changed, self.session.filters_changed):
            self._bindings.bind_at_rest(signal, self._on_sliders)
        self._bindings.bind(self.job.ended, self._on_ended)
        self._bindings.bind(self.opening.reported, self.run_section.report)
        self._bindings.bind(self.opening.changed, self._on_opened)
        self._bindings.bind(self.opening.saved, self._on_saved)
        self._take_up()

    @property
    def busy(self) -> bool:
        """Whether a folder is being looked through."""
        return self.input_section.busy or self._loading.busy or self._flagging.busy or self.reporting

    def choose(self, paths: list[str | Path]) -> None:
        """Choose a folder, or files."""
        self.input_section.choose(paths)

    def offer(self, layer: Layer | None) -> None:
        """Take the folder that an image layer came from, unless images are chosen already or a batch runs."""
        folder = layer_folder(layer) if isinstance(layer, Image) else ""
        if folder and not self.input_section.paths and not self.job.running:
            self.choose([folder])

    def run(self, resume: bool = False) -> None:
        """Start the batch, or go on with it; show what is missing."""
        with errors_to(self.run_section.report):
            self.job.start(self._with_drawn_regions(self.request(resume)))
            self.settings.unfold(False)

    def request(self, resume: bool = False) -> BatchRequest:
        """Return the request that Run, or Resume, starts.

        Raises
        ------
        CellsegError
            If something is missing.
        """
        files, out = self.input_section.files, self.output_section.out
        if not files or out is None:
            raise CellsegError(self.input_section.problem)
        recipe, more = self.recipe_section.recipe(), self.output_section.more.value
        outputs = check_outputs(self.output_section.outputs, recipe)
        options = replace(
            self.recipe_section.options(),
            outputs=outputs,
            csv=more.csv,
            ome_zarr=more.ome_zarr,
            regions=more.regions.strip(),
        )
        return BatchRequest(files, out, recipe, options, resume, more.scheduler.strip(), more.overwrite)

    def _with_drawn_regions(self, request: BatchRequest) -> BatchRequest:
        """Return the request with the regions that were drawn on its images, unless one file is for all."""
        if request.options.regions not in ("", BESIDE):
            return request
        folder = self.bench.part(DrawnRegions).keep_for(request.files, request.out)
        return replace(request, options=replace(request.options, regions=folder)) if folder else request

    def load(self) -> None:
        """Show the images, with what an earlier batch left in the folder of the results."""
        files, out = self.input_section.files, self.output_section.out
        if self.job.running:
            return
        if out is None or not files:
            self._show(None, [], [])
            return
        names = [name for _, name in files]
        self._loading.ask(lambda: known_rows(out), lambda known: self._show(out, names, known))

    def open(self, row: BatchRow) -> None:
        """Open an image with its cells, ready for correction."""
        out, request = self.job.out, self.job.request
        path = dict((name, path) for path, name in self.input_section.files).get(row.image)
        path = path or (row.source or {}).get("path")
        if path is None or out is None:
            self.run_section.report(f"Where {row.image} lies is not known. Choose its folder above.", True)
            return
        recipe = request.recipe if request is not None and request.out == out else None
        with errors_to(self.run_section.report):
            if recipe is None and not row.has_result:
                recipe = self.recipe_section.recipe()
            self.opening.open(out, row, path, recipe)

    def show_sheet(self) -> BatchSheet:
        """Show the contact sheet in a window of its own."""
        self.sheet = self._show_window(self.sheet, BatchSheet)
        return self.sheet

    def show_plates(self) -> BatchPlates:
        """Show the wells in a window of their own."""
        self.plates = self._show_window(self.plates, BatchPlates)
        return self.plates

    def _show_window(self, present: Window | None, make: Callable[[BatchJob, QWidget], Window]) -> Window:
        """Bring a window with the results to the front, a new one where there is none yet."""
        window = present or make(self.job, self)
        if present is None:
            window.opened.connect(self.open)
            self.follow_theme()
        window.fill()
        window.show()
        window.raise_()
        return window

    def make_report(self) -> None:
        """Write the report in a background thread, then show it in the browser."""
        out = self.job.out
        rows = [row for row in self.job.rows.in_order() if row.state in FINISHED]
        if out is not None:
            enable = lambda: self.done_section.set_reporting(self.reporting)  # noqa: E731
            plates = None if self.plates is None else self.plates.plates
            self.write_page(lambda: write_report(rows, out, plates=plates), self.run_section.report, enable)

    def came_into_view(self) -> None:
        """Follow the Segment widget."""
        self.recipe_section.refresh()

    def _on_sliders(self) -> None:
        if self.in_view:
            self.recipe_section.refresh()

    def _take_up(self) -> None:
        """Show the batch of this viewer, which may have gone on while the widget was closed."""
        if (request := self.job.request) is not None:
            self.input_section.files, self.input_section.problem = request.files, ""
            self.output_section.choose(request.out)
            self.output_section.tick(request.options.outputs)
            self.settings.unfold(False)
            self._count()

    def _show(self, out: Path | None, names: list[str], known: list[BatchRow]) -> None:
        if self.job.running:
            return
        if out != self.job.out or names != self.job.rows.images or known:
            self.job.out = out
            self.job.rows.set_images(names, known)
            self._flag()
        self._count()

    def _count(self) -> None:
        rows = self.job.rows
        n_before = len(rows) - rows.tally()["waiting"]
        self.run_section.set_images(len(self.input_section.files), n_before)
        if not self.job.running and self.job.outcome is None:
            here = f" Results of {n_before:,} are there already; Resume leaves those alone." if n_before else ""
            self.run_section.report(READY + here if self.input_section.files else "")

    def _flag(self) -> None:
        """Find the images that stand out, in a background thread."""
        rows = self.job.rows.counted()

        def look() -> dict[Key, str]:
            return {(odd.row.image, odd.row.page): odd.reason for odd in stand_out(rows)}

        self._flagging.ask(look, self.job.rows.flag)

    def _on_found(self) -> None:
        self.output_section.follow(self.input_section.folder)
        self.load()

    def _on_ended(self, outcome: BatchOutcome) -> None:
        self._flag()
        self._count()
        self.opening.take_up(self.job.rows.rows, outcome.request.out)
        if outcome.failed and not self.job.rows.counted():
            self.settings.unfold(True)

    def _on_opened(self) -> None:
        self.done_section.set_unsaved(len(self.opening.unsaved()))

    def _on_saved(self, row: BatchRow) -> None:
        if self.job.rows.find((row.image, row.page)) is not None:
            self.job.rows.put([row])
            self._flag()

    def _make_room(self, _: bool) -> None:
        """Leave the list as much room as the settings that are unfolded need not."""
        self.done_section.set_low(self.settings.title.isChecked(), self.output_section.fold.title.isChecked())

    def _lay_out(self) -> None:
        inside = in_column(self.input_section, self.recipe_section, self.output_section, spacing=7)
        self.settings = Fold("batch_settings", "Images, recipe, results", "What is to be done.", inside, True)
        for fold in (self.settings, self.output_section.fold):
            fold.title.toggled.connect(self._make_room)
        self.fill(self.settings, self.run_section, separator(), self.done_section, below=(self.run_section.message,))
        # A higher window shows more of the list.
        self.scroll.widget().layout().setStretchFactor(self.done_section, 100)
