"""One training under way: its clock, what it keeps, and what a killed run goes on from."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from ..imaging.errors import DatasetError, OutputError
from ..imaging.normalize import NormalizerParams
from ..imaging.writing import write_json
from ..network.building import build_network, with_head_kernel
from ..network.devices import DeviceChoice, resolve_device
from ..network.predict import load_network
from ..network.unet import n_parameters
from ..network.versions import CONFIG_FILE, TRAINING_FILE, ModelVersion
from .augment import TrainingImage, prepare
from .checkpoint import Clock, delete_checkpoint, write_checkpoint
from .curves import CURVES_FILE, History, write_curves
from .datasets import Sample
from .drawing import Drawer
from .events import Earlier, Event, Looked, Note, Phase, Started, earlier
from .hold_out import count_cells
from .learner import Batch, Learner
from .params import TrainParams
from .record import HISTORY_FILE, TrainProgress, pack_history, save_version, unpack_history, write_history
from .runs import SILENT_SECONDS, TRAIN_FILE, discard, write_run
from .schedule import Looks, scheduled_rate
from .train_data import TrainData, validation_batches, validation_order
from .within_memory import learn_within_memory

Ready = dict[tuple[str, bool, NormalizerParams, float | None, float | None], TrainingImage]


class TrainRun:
    """State of a training.

    Parameters
    ----------
    out : Path
    data : TrainData
    params : TrainParams
    parent : ModelVersion or None
    record : dict
        Written into ``train.json`` and the training record: the command, where the data came from.
    fingerprint : str
        Of all samples.
    ready : dict, optional
        Where images made ready are kept, for several runs on the same ones.
    resumed : bool
        Whether :meth:`restore` follows.
    """

    def __init__(
        self,
        out: Path,
        data: TrainData,
        params: TrainParams,
        parent: ModelVersion | None,
        record: dict[str, Any],
        fingerprint: str,
        ready: Ready | None = None,
        resumed: bool = False,
    ) -> None:
        self.ready = {} if ready is None else ready
        self.out, self.data, self.params, self.parent, self.record = out, data, params, parent, record
        self.fingerprint = fingerprint
        torch.manual_seed(params.seed)
        self.normalizer = parent.normalizer if parent else params.normalizer
        self.diameter = params.diameter if parent is None or params.diameter else parent.diameter
        # A resumed run has all weights in its checkpoint: nothing is fetched again.
        encoder_weights = None if resumed else params.encoder_weights
        network = load_network(parent) if parent else build_network(params.network, encoder_weights)
        if parent and params.network.head_kernel > parent.config.head_kernel:
            network = with_head_kernel(network, params.network.head_kernel)
        self.config = network.config
        self.learner = Learner(
            network, choose_device(params), params.learning_rate, params.weight_decay, params.average, params.loss,
            optimizer=params.optimizer,
        )  # fmt: skip
        self.drawer = Drawer(self.config.in_channels, params.batch_size, params.crop, params.augment, params.seed)
        self.n_steps = params.most_steps(len(data.training))
        self.look_every = params.look_every(len(data.training))
        self.looked_at: list[Batch] = []
        self.clock = Clock()
        self.history: list[TrainProgress] = []
        self.looks = Looks()
        self.notes: list[str] = []
        self.stopped_by = ""
        self.ran_away = False
        self._checkpoints = True

    @property
    def done(self) -> float:
        """How far the run is, 0 to 1: in steps or in time, whichever is further."""
        done = self.clock.step / self.n_steps
        if self.params.minutes is not None:
            done = max(done, self.clock.seconds / (60 * self.params.minutes))
        return min(done, 1.0)

    @property
    def learned(self) -> bool:
        """Whether a step has changed the weights."""
        return self.learner.average.n_updates > 0

    def note(self, text: str) -> Note:
        """Keep a note for the record."""
        self.notes.append(text)
        return Note(text)

    def started(self, step: int, resumed: bool) -> Started:
        """Say what is going to be done."""
        training, validation = self.data.training, self.data.validation
        if not validation and not resumed:
            self.notes.append("No image is held out: the last weights are kept, and nothing says how good they are.")
        return Started(
            self.out, self.parent.name if self.parent else "", len(training), count_cells(training), len(validation),
            count_cells(validation), "images", self.learner.choice.label, self.params.minutes or 0.0, resumed, step,
            tuple(self.notes),
        )  # fmt: skip

    def earlier(self) -> Earlier:
        """Say what was reached before the run was stopped."""
        best = self.looks.best_step
        looks = [
            Looked(p.step, p.validation_loss, math.nan, p.iou, p.step == best, p.dice)
            for p in self.history
            if not math.isnan(p.validation_loss)
        ]
        return earlier(self.history, looks)

    def prepare(self) -> Generator[Phase, None, None]:
        """Normalise all images and compute their targets."""
        gap_width = self.params.loss.border_width if self.params.loss.border_weight else None
        training, validation = self.data.training, self.data.validation
        chosen = validation_order(len(validation), self.params.seed)
        n_total = len(training) + len(chosen)
        ready: list[TrainingImage] = []
        for sample in training:
            yield Phase("preparing", len(ready), n_total)
            ready.append(self._ready(sample, True, gap_width))
        self.drawer.fill(ready, kind_weights=self.params.kind_weights)
        held_out: list[TrainingImage] = []
        for i in chosen:
            yield Phase("preparing", len(ready) + len(held_out), n_total)
            held_out.append(self._ready(validation[i], False, gap_width))
        self.looked_at = validation_batches(held_out, self.config, self.params)

    def _ready(self, sample: Sample, mirrored: bool, gap_width: float | None) -> TrainingImage:
        key = (sample.name, mirrored, self.normalizer, gap_width, self.diameter)
        if key not in self.ready:
            margins = {} if mirrored else {"margin": 0}
            self.ready[key] = prepare(sample, self.normalizer, gap_width=gap_width, diameter=self.diameter, **margins)
        return self.ready[key]

    def steps(self, stop: Callable[[], bool]) -> Generator[Event, None, None]:
        """Learn until the schedule ends, nothing gets better any more, or somebody asks to stop."""
        clock, name = self.clock, self.out.name
        clock.start()
        while not self.stopped_by:
            if stop():
                return
            rate = self.rate()
            self.learner.set_rate(rate)
            notes = learn_within_memory(self.learner, self.drawer, name)
            while True:
                try:
                    yield self.note(next(notes).text)
                except StopIteration as result:
                    loss, parts = result.value
                    break
            clock.step += 1
            progress = TrainProgress(clock.step, self.done, clock.seconds, loss, math.nan, parts, rate=rate)
            ended = progress.done >= 1
            looked = self.look() if clock.step % self.look_every == 0 or ended else None
            if looked:
                progress = replace(
                    progress, validation_loss=looked.validation_loss, iou=looked.iou, dice=looked.dice
                )  # fmt: skip
            self.history.append(progress)
            if ended:
                self.stopped_by = "minutes" if clock.step < self.n_steps else "steps"
            elif self.params.patience and self.looks.since_best >= self.params.patience:
                self.stopped_by = "patience"
            yield progress
            if looked:
                yield looked
            if self.stopped_by == "patience":
                yield self.note(
                    f"Stopped early: the validation loss has not fallen for {self.params.patience} looks; "
                    f"the weights of step {self.looks.best_step} are kept."
                )
            yield from self.checkpoint_if_due()

    def rate(self) -> float:
        """Return the learning rate of the next step."""
        peak = self.params.learning_rate
        if self.params.schedule == "plateau":
            peak *= self.params.plateau_factor**self.looks.n_falls
        return scheduled_rate(self.params.schedule, self.done, peak)

    def look(self) -> Looked:
        """Look at what is held out, and keep the weights if they are the best so far."""
        loss, iou, dice = self.learner.validate(self.looked_at)
        step = self.clock.step
        # Not a number is good only where there is nothing to look at.
        comparable = not (self.looked_at and math.isnan(loss))
        best = self.looks.add(loss if comparable else math.inf, step, self.params.plateau_patience)
        best = best and comparable and self.learned
        if best:
            self.save()
        return Looked(step, loss, math.nan, iou, best, dice)

    def save(self) -> None:
        """Write the weights of this moment as the version, and what they reached."""
        parent = self.parent
        save_version(
            self.out,
            self.learner.kept(),
            config=self.config,
            normalizer=self.normalizer,
            split=parent.split if parent else self.params.split,
            threshold=parent.threshold if parent else 0.5,
            min_size=parent.min_size if parent else 20,
            diameter=self.diameter,
            parent=parent.name if parent else None,
        )
        self.write_run()

    def checkpoint_if_due(self) -> Generator[Note, None, None]:
        """Write a checkpoint after the first step and then every so often."""
        first = self.clock.step == 1
        if self._checkpoints and not self.stopped_by and (first or self.clock.due(self.params.checkpoint_seconds)):
            try:
                self.checkpoint()
            except OutputError as error:
                self._checkpoints = False
                yield self.note(f"This run cannot be resumed if it is stopped: {error}")

    def checkpoint(self, running: bool = True) -> None:
        """Write down everything that the run goes on from."""
        plain = {"looks": asdict(self.looks), "notes": self.notes, "drawer": self.drawer.state(), "who": self._roles()}
        state = {
            "data": self.fingerprint,
            "step": self.clock.step,
            "seconds": self.clock.seconds,
            "device": self.learner.choice.device,
            "plain": json.dumps(plain),
            "history": pack_history(self.history),
            "rng": torch.get_rng_state(),
            "learner": self.learner.state(),
        }
        write_checkpoint(self.out, state)
        self.write_run(running)
        self.clock.checkpointed()

    def restore(self, state: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        """Go on from a checkpoint, and from what ``train.json`` says was reached after it."""
        plain = json.loads(state["plain"])
        if plain["who"] != self._roles():
            raise DatasetError(
                f"The images held out are others than when {self.out.name} was stopped. Resume with the same split, "
                "or start a new run."
            )
        self.looks, self.notes = Looks(**plain["looks"]), plain["notes"]
        best = asked.get("best")
        if best is not None and best < self.looks.best:
            # The weights in the folder are of a look that came after the checkpoint.
            self.looks = replace(self.looks, best=float(best), best_step=int(asked["best_step"]))
        self.history = unpack_history(state["history"])
        self.drawer.restore(plain["drawer"])
        self.clock.set(int(state["step"]), float(state["seconds"]))
        self.learner.restore(state["learner"])
        torch.set_rng_state(state["rng"])

    def write_run(self, running: bool = True) -> None:
        """Write down what was asked, how far it is, and who is at it."""
        values = {
            **self.record,
            "process": os.getpid() if running else None,
            "silent_seconds": max(SILENT_SECONDS, 3 * self.params.checkpoint_seconds),
            "parent": self.parent.name if self.parent else None,
            "parent_path": str(self.parent.path) if self.parent else None,
            "parent_sha256": self.parent.sha256 if self.parent else None,
            "parameters": self.params.to_dict(),
            "validation_images": sorted(s.name for s in self.data.validation),
            "step": self.clock.step,
            "done": self.done,
            "best": self.looks.best,
            "best_step": self.looks.best_step,
        }
        write_run(self.out, values, TRAIN_FILE)

    def finish(self) -> None:
        """Leave a whole version and its record, also when the run was stopped; nothing when nothing was learned."""
        learned = self.learned and not self.ran_away
        if learned and not (self.out / CONFIG_FILE).exists():
            self.looks.best_step = self.clock.step
            self.save()
        if self.stopped_by or self.ran_away:
            delete_checkpoint(self.out)
        elif learned and self._checkpoints:
            self.checkpoint(running=False)
        if (self.out / CONFIG_FILE).exists():
            if self.history:
                write_history(self.out / HISTORY_FILE, self.history)
                write_curves(self.out / CURVES_FILE, {self.out.name: History.of(self.history)})
                write_json(self.out / TRAINING_FILE, self.training_record())
        elif not learned:
            discard(self.out)

    def training_record(self) -> dict[str, Any]:
        """Return everything needed to repeat the run, as JSON-able values."""
        best = min((p for p in self.history if not math.isnan(p.validation_loss)), key=_loss, default=None)
        return {
            **self.record,
            "parent": self.parent.name if self.parent else None,
            "parameters": {**self.params.to_dict(), "network": self.config.to_dict()},
            "n_parameters": n_parameters(self.learner.network),
            "device": self.learner.choice.device,
            "dtype": self.learner.choice.dtype,
            "torch": torch.__version__,
            "steps": self.clock.step,
            "epochs": round(self.clock.step / self.params.steps_per_epoch(len(self.data.training)), 2),
            "stopped_by": self.stopped_by or "request",
            "hours": round(self.clock.seconds / 3600, 4),
            "best_step": best.step if best else self.clock.step,
            "best_validation_loss": best.validation_loss if best else None,
            "best_validation_iou": best.iou if best else None,
            "best_validation_dice": best.dice if best else None,
            "training_images": sorted(s.name for s in self.data.training),
            "validation_images": sorted(s.name for s in self.data.validation),
            "notes": self.notes,
        }

    def _roles(self) -> list[str]:
        return sorted(s.name for s in self.data.validation)


def _loss(progress: TrainProgress) -> float:
    return progress.validation_loss


def choose_device(params: TrainParams) -> DeviceChoice:
    """Return where and in which precision the network is trained.

    ``auto`` takes bfloat16 where it is fast, float16 on GPUs that are too old for it, else float32.
    """
    choice = resolve_device(params.device)
    if params.precision != "auto":
        return replace(choice, dtype=params.precision)
    return replace(choice, dtype="float16") if choice == DeviceChoice("cuda", "float32") else choice
