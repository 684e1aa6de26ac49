"""The Segment widget: open an image, press Segment, drag."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QWidget

from ...imaging.errors import CellsegError
from ...segmentation.options import RunOptions
from ...segmentation.recipe import Recipe
from ...session import layer_id
from ..planes.plane_run import PlaneRun
from ..planes.planes_section import PlanesSection
from ..shared.bindings import Bindings
from ..shared.fold import Fold
from ..shared.layout import in_column, in_row, separator
from ..viewer.correcting import Correcting
from ..viewer.dock import Dock
from ..viewer.opening import sample_path
from ..viewer.recovery_banner import RecoveryBanner
from ..viewer.regions import Regions
from .cells_section import CellsSection
from .class_section import ClassSection
from .filters_section import FiltersSection
from .first_steps import FirstSteps
from .image_section import ImageSection
from .input_section import InputSection
from .model_section import ModelSection
from .positive_section import PositiveSection
from .preloading import Preloading
from .regions_section import RegionsSection
from .result_section import ResultSection
from .run_section import RunSection
from .whole_run import WholeRun
from .whole_section import WholeSection

if TYPE_CHECKING:
    from napari import Viewer


SAMPLE = "fluorescence"


class SegmentWidget(Dock):
    """Dock widget that segments and counts the cells of one image at a time.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Given by napari.
    """

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, "segment", parent)
        self._planes, self._regions = self.bench.part(PlaneRun), self.bench.part(Regions)
        self.image_section = ImageSection(self.bench)
        self.input_section = InputSection(self.bench)
        self.model_section = ModelSection(self.bench, self.input_section.size.accurate)
        self.run_section = RunSection(self.bench)
        self.cells_section = CellsSection(self.bench)
        self.positive_section, self.class_section = PositiveSection(self.bench), ClassSection(self.bench)
        self.filters_section, self.regions_section = FiltersSection(self.bench), RegionsSection(self.bench)
        tip = "Which cells are positive, by another channel."
        self.positive_fold = Fold("positive", "Positive", tip, self.positive_section, False)
        self.class_fold = Fold("classes", "Classes", "Of which class cells are, by example.", self.class_section, False)
        tip = "Which cells count, by size, shape, light and edges."
        self.filters_fold = Fold("filters", "Filters", tip, self.filters_section, False)
        tip = "How many cells lie in which region, and how dense."
        self.regions_fold = Fold("regions", "Regions", tip, self.regions_section, False)
        self._sleeping: dict[Fold, PositiveSection | ClassSection | FiltersSection | RegionsSection] = {
            self.positive_fold: self.positive_section,
            self.class_fold: self.class_section,
            self.filters_fold: self.filters_section,
            self.regions_fold: self.regions_section,
        }
        for fold in self._sleeping:
            fold.title.toggled.connect(lambda unfolded, fold=fold: self._on_fold(fold, unfolded))
        # The titles share a row: there is no room for one each.
        titles = [(fold.title, fold.title.sizeHint().width()) for fold in self._sleeping]
        self._folds = in_column(in_row(*titles, spacing=2), *self._sleeping, spacing=0)
        self.planes_section = PlanesSection(self.bench)
        self.result_section = ResultSection(self.bench)
        self.first_steps = FirstSteps()
        self.first_steps.sample_asked.connect(lambda: self.image_section.open_paths([sample_path(SAMPLE)]))
        self.banner = RecoveryBanner(self.bench)
        self.whole_run = self.bench.part(WholeRun)
        self.whole_section = WholeSection(self.whole_run)
        self._lay_out()
        self.take_dropped(self.image_section.open_paths)
        self.model_section.model_changed.connect(self.input_section.set_model)
        self.model_section.model_changed.connect(self.cells_section.set_model)
        self.model_section.refresh()
        self.preloading = Preloading(self.session, self)
        self.model_section.recipe_asked.connect(self.use_recipe)
        self.run_section.asked.connect(self.segment)
        # What a key corrected, or why it could not, is seen in this panel too.
        self.bindings = Bindings(self)
        self.bindings.bind(self.bench.part(Correcting).reported, self.run_section.message.report)
        self.run_section.where.behind_asked.connect(self.whole_run.start)
        self.bindings.bind(self.session.chosen_changed, self._on_chosen)
        self._on_chosen(self.session.chosen)
        for part in (self.input_section, self.model_section.expert):
            part.shown.connect(self._make_room)
        self._make_room()

    def use_recipe(self, path: str | Path) -> None:
        """Use the recipe in a file from now on: its model, device, channel and axes, and its sliders at first."""
        try:
            recipe, options = Recipe.read(path), RunOptions.read(path)
            recipe = recipe.resolved()
        except CellsegError as error:
            self.session.fail(None, error)
            return
        layer = self.bench.layer_of(self.session.chosen)
        if layer is not None and recipe.axes is not None:
            self.bench.set_axes(layer, recipe.axes)
        self.session.use_recipe(recipe, options.device)
        key = self.session.chosen
        if key is not None:
            self.bench.image_changed.emit(layer_id(key))
        note = f"{Path(path).name} is used from now on. Press Segment to find the cells with it."
        if key is not None and recipe.channel is not None and self.session.choices.for_image(key).channel is None:
            note += f" This image has one channel: the recipe's, {recipe.channel}, is not used."
        self.session.note(note)

    def segment(self) -> None:
        """Start to segment the chosen image, a part of it, or all planes; a second press while it runs does nothing."""
        if self.session.choices.for_image(self.session.chosen).where == "whole":
            self._planes.segment_chosen()
        elif not self._planes.busy:
            self._regions.cut(self._planes.segment_chosen)

    def window_seen(self, window: QWidget) -> None:
        """Stop what runs in the background, too, when the window closes."""
        super().window_seen(window)
        window.destroyed.connect(self.preloading.close)

    def showEvent(self, event: QShowEvent) -> None:
        """Look for new models."""
        super().showEvent(event)
        self.model_section.refresh()

    def _on_chosen(self, key: object) -> None:
        """Lead through the first steps while there is no image; what acts on cells comes with one."""
        self.first_steps.setVisible(key is None)
        for section in (self.cells_section, self._folds, self.result_section):
            section.setVisible(key is not None)

    def _on_fold(self, fold: Fold, unfolded: bool) -> None:
        """Wake what is unfolded; of those whose colours lie over the same cells one at a time."""
        colored = (self.positive_fold, self.class_fold)
        for other in colored:
            if unfolded and fold in colored and other is not fold:
                other.unfold(False)
        self._sleeping[fold].wake(unfolded)
        self._make_room()
        if unfolded:
            # Once Qt has laid it out.
            QTimer.singleShot(0, lambda: self.scroll.ensureWidgetVisible(fold))

    def _make_room(self, *_: object) -> None:
        expert = not self.model_section.expert.isHidden()
        unfolded = any(not section.isHidden() for section in self._sleeping.values())
        self.cells_section.make_room(self.input_section.full or expert or unfolded)

    def _lay_out(self) -> None:
        above = (self.image_section, self.input_section, self.model_section, self.run_section, separator())
        sections = (self.first_steps, self.cells_section, self._folds, self.planes_section, self.result_section)
        below = (self.whole_section, self.banner, self.run_section.message)
        self.fill(*above, *sections, spacing=6, below=below)
