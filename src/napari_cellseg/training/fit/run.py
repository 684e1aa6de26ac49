"""One training under way: it makes images ready, learns step by step, and looks at what is held out."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ...imaging.errors import OutputError
from ...imaging.normalize import NormalizerParams
from ...imaging.progress import Note, relay
from ..data.hold_out import count_cells
from ..data.sample import Sample
from ..events import Event, Looked, Phase, Started, TrainProgress
from .augment import TrainingImage, prepare
from .learner import Learner, learn_within_memory
from .looking import Figures, look_at_crops, look_at_windows, looked_at, still_crops, still_windows
from .plan import Plan
from .schedule import scheduled_rate
from .state import RunState

# Of images whose sizes differ by less, prediction is expected to show all at their common size.
COMMON_SPREAD = 1.25
Ready = dict[tuple[str, bool, NormalizerParams, float | None, float | None], TrainingImage]


class TrainRun(RunState):
    """The course of a training.

    Parameters
    ----------
    plan, out, record, resumed, more :
        As :class:`napari_cellseg.training.fit.state.RunState` takes them.
    ready : dict, optional
        Where images made ready are kept, for several runs on the same ones.
    """

    def __init__(
        self,
        plan: Plan,
        out: Path,
        record: dict[str, Any],
        ready: Ready | None = None,
        resumed: bool = False,
        more: bool = False,
    ) -> None:
        super().__init__(plan, out, record, resumed, more)
        self.ready = {} if ready is None else ready
        self.measure: Callable[[Learner], Figures] = partial(look_at_crops, batches=())

    def note(self, text: str) -> Note:
        """Keep a note for the record."""
        self.notes.append(text)
        return Note(text)

    def started(self, resumed: bool) -> Started:
        """Describe what is going to be done."""
        parts, parent = self.plan.parts, self.plan.parent
        return Started(
            self.out, parent.name if parent else "", len(parts.learned), count_cells(parts.learned),
            len(parts.held_out), count_cells(parts.held_out), parts.how, self.learner.choice.label,
            self.params.minutes or 0.0, resumed, self.clock.step, tuple(self.notes),
        )  # fmt: skip

    def prepare(self) -> Generator[Phase, None, None]:
        """Normalise all images and compute their targets."""
        plan, params = self.plan, self.params
        held_out = plan.parts.held_out
        if plan.judge is None:
            held_out = tuple(held_out[i] for i in looked_at(len(held_out), params.seed))
        n_total = len(plan.parts.learned) + len(plan.general) + len(held_out)
        ready: list[TrainingImage] = []
        for sample in (*plan.parts.learned, *plan.general):
            yield Phase("preparing", len(ready), n_total)
            ready.append(self._ready(sample, True))
        n_own = len(plan.parts.learned)
        self.drawer.fill(ready[:n_own], ready[n_own:], plan.share, params.kind_weights)
        if plan.judge is not None:
            yield Phase("preparing", len(ready), n_total)
            windows = still_windows(held_out, plan.judge, self._cell_diameter(), params.loss.gap_width)
            self.measure = partial(look_at_windows, windows=windows, model=plan.judge)
            return
        shown: list[TrainingImage] = []
        for sample in held_out:
            yield Phase("preparing", len(ready) + len(shown), n_total)
            shown.append(self._ready(sample, False))
        self.measure = partial(look_at_crops, batches=still_crops(shown, plan.config, params))

    def _cell_diameter(self) -> float | None:
        """The size that prediction is going to start from, where that determines it for each image."""
        diameter, spread = self.plan.cell_size
        return diameter if spread <= COMMON_SPREAD else None

    def _ready(self, sample: Sample, mirrored: bool) -> TrainingImage:
        plan, gap_width = self.plan, self.params.loss.gap_width
        key = (sample.name, mirrored, plan.normalizer, gap_width, plan.diameter)
        if key not in self.ready:
            margins = {} if mirrored else {"margin": 0}
            self.ready[key] = prepare(sample, plan.normalizer, gap_width=gap_width, diameter=plan.diameter, **margins)
        return self.ready[key]

    def steps(self, stop: Callable[[], bool]) -> Generator[Event, None, None]:
        """Learn until the schedule ends, nothing gets better any more, or `stop` returns true."""
        clock, patience = self.clock, self.params.patience
        look_every = self.params.look_every(len(self.plan.parts.learned))
        clock.start()
        yield from self.checkpoint_if_due()
        if self.plan.judge is not None and clock.step == 0:
            yield self.look()
        while not self.stopped_by:
            if stop():
                return
            progress = yield from self.step()
            ended, was_unfit = progress.done >= 1, self.unfit
            looked = self.look() if clock.step % look_every == 0 or ended else None
            if looked:
                progress = replace(
                    progress, validation_loss=looked.validation_loss, iou=looked.iou, dice=looked.dice
                )  # fmt: skip
            self.history.append(progress)
            if ended:
                self.stopped_by = "minutes" if clock.step < self.n_steps else "steps"
            elif patience and self.looks.since_best >= patience:
                self.stopped_by = "patience"
            yield progress
            if looked:
                yield looked
            if self.unfit and not was_unfit:
                yield self.note(f"At step {clock.step} the validation loss is not a number: its weights are not kept.")
            if self.stopped_by == "patience":
                yield self.note(
                    f"Stopped early: the validation loss has not fallen for {patience} looks; "
                    f"the weights of step {self.looks.best_step} are kept."
                )
            yield from self.checkpoint_if_due()

    def step(self) -> Generator[Note, None, TrainProgress]:
        """Take one step, with less at a time where memory runs out."""
        rate = self.rate()
        self.learner.set_rate(rate)
        loss, parts = yield from relay(learn_within_memory(self.learner, self.drawer, self.out.name), self.note)
        self.clock.step += 1
        return TrainProgress(self.clock.step, self.done, self.clock.seconds, loss, math.nan, parts, rate=rate)

    def rate(self) -> float:
        """Return the learning rate of the next step."""
        peak = self.params.learning_rate
        if self.params.schedule == "plateau":
            peak *= self.params.plateau_factor**self.looks.n_falls
        return scheduled_rate(self.params.schedule, self.done, peak)

    def look(self) -> Looked:
        """Look at what is held out, and keep the weights if they are the best so far.

        A loss that is not a number is never the best. Where nothing is held out, the last weights are.
        """
        seen, step = self.measure(self.learner), self.clock.step
        best = False
        # The weights that a run starts from are no new version.
        if self.learned:
            best = self.looks.add(seen.loss, step, self.params.plateau_patience) or not self.plan.parts.held_out
            self.unfit = not best and math.isnan(seen.loss)
        if best:
            self.looks.best_step = step
            self.save()
        self.looked.append(Looked(step, seen.loss, seen.f1, seen.iou, best, seen.dice))
        return self.looked[-1]

    def checkpoint_if_due(self) -> Generator[Note, None, None]:
        """Write a checkpoint before and after the first step and then every so often."""
        first = self.clock.step <= 1
        if self.checkpoints and not self.stopped_by and (first or self.clock.due(self.params.checkpoint_seconds)):
            try:
                self.checkpoint()
            except OutputError as error:
                self.checkpoints = False
                yield self.note(f"This run cannot be resumed if it is stopped: {error}")
