"""What the Train widget's sections ask for: the request that Start begins with, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...imaging.errors import CellsegError
from ...network.versions import load_model
from ...training.data.choice import DataChoice, scratch_version_dir
from ...training.runs import next_version_dir
from .data_section import TrainDataSection
from .expert_section import TrainDataExpertSection, TrainExpertSection
from .job import TrainJob
from .request import TrainRequest
from .search_job import SearchRequest, search_dir
from .search_section import SearchBudget
from .set_section import TrainSetSection
from .start_section import SCRATCH, TrainStartSection

NOTHING = (
    "There is nothing to learn from yet. Segment an image, correct and review some of its cells in the Correct widget, "
    "and add it to this training set."
)


@dataclass(frozen=True)
class TrainAsking:
    """Puts requests together from what the sections show."""

    job: TrainJob
    start: TrainStartSection
    corrections: TrainSetSection
    data: TrainDataSection
    expert: TrainExpertSection
    data_expert: TrainDataExpertSection

    @property
    def trains(self) -> bool:
        """Whether Start trains on images with masks, rather than fine-tune on corrections."""
        return self.job.data is not None or self.start.parent_name == SCRATCH

    @property
    def choice(self) -> DataChoice:
        """The images that are learned from."""
        return self.job.data or DataChoice(self.job.folder)

    def problem(self) -> str:
        """Return why training cannot start; empty when it can."""
        if self.trains and self.data_expert.files.problem:
            return self.data_expert.files.problem
        if self.job.data is not None:
            return self.data.problem
        section = self.corrections
        if section.problem:
            return section.problem
        if section.usable or not section.known:
            return ""
        if section.entries:
            return f"No image of this training set can be used. {section.entries[0].problem}"
        return NOTHING

    def request(self) -> TrainRequest:
        """Return what Start begins with.

        Raises
        ------
        CellsegError
            If something is missing, or a setting is out of range.
        """
        if problem := self.problem():
            raise CellsegError(problem)
        return self._train() if self.trains else self._fine_tune()

    def search(self, budget: SearchBudget) -> SearchRequest:
        """Return what a search for settings begins with; errors as in `request`."""
        if problem := self.problem():
            raise CellsegError(problem)
        self.data_expert.check(budget.minutes)
        options = self.data_expert.words()
        out = search_dir(self.choice)
        return SearchRequest(self.choice, self.start.parent_name, out, budget.minutes, budget.trials, options)

    def _fine_tune(self) -> TrainRequest:
        name, minutes = self.start.parent_name, self.start.minutes.value()
        parent = load_model(name)
        replace(self.expert.form.value, minutes=minutes)
        return TrainRequest(self.job.folder, name, next_version_dir(parent.name), minutes, self.expert.words())

    def _train(self) -> TrainRequest:
        name, data = self.start.parent_name, self.choice
        minutes = 0.0 if self.data_expert.epochs else self.start.minutes.value()
        out = scratch_version_dir(data) if name == SCRATCH else next_version_dir(load_model(name).name)
        self.data_expert.check(minutes or None)
        return TrainRequest(data.path, name, out, minutes, self.data_expert.words(), data=data, command="train")
