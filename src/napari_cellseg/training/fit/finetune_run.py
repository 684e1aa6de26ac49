"""One fine-tune under way: its clock, what it keeps, and what it does when memory runs out."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ...imaging.errors import CellsegError, OutputError
from ...imaging.write.write import write_json
from ...network.devices import resolve_device
from ...network.predict import load_network, out_of_memory
from ...network.unet import n_parameters
from ...network.versions import CONFIG_FILE, TRAINING_FILE, ModelVersion
from ..data.datasets import Sample
from ..data.hold_out import HeldOut, count_cells
from ..data.sizes import common_diameter
from ..events import Event, Looked, Note, Phase, Started
from ..finetune_params import FineTuneParams
from ..params import AugmentParams
from ..runs import discard, write_run
from .augment import prepare
from .checkpoint import Clock, delete_checkpoint, write_checkpoint
from .drawing import Drawer
from .learner import Learner
from .looking import Look, look_at, still_windows
from .losses import LossParams
from .record import HISTORY_FILE, TrainProgress, save_version, write_history
from .schedule import learning_rate_at


class FineTuneRun:
    """State of a fine-tune."""

    def __init__(
        self,
        out: Path,
        parent: ModelVersion,
        params: FineTuneParams,
        parts: HeldOut,
        record: dict[str, Any],
        data: str,
    ) -> None:
        self.out, self.parent, self.params, self.parts, self.record, self.data = (
            out,
            parent,
            params,
            parts,
            record,
            data,
        )
        torch.manual_seed(params.seed)
        self.learner = Learner(
            load_network(parent), resolve_device(params.device), params.learning_rate, params.weight_decay,
            params.average, LossParams(), params.freeze, params.blend,
        )  # fmt: skip
        self.drawer = Drawer(parent.config.in_channels, params.batch_size, params.crop, AugmentParams(), params.seed)
        self.windows: list[Look] = []
        self.clock = Clock()
        self.history: list[TrainProgress] = []
        self.looks: list[Looked] = []
        self.notes: list[str] = []
        self.best, self.best_step = math.inf, 0
        self.ended = self.ran_away = False
        self._checkpoints = True

    def started(self, step: int, resumed: bool) -> Started:
        parts = self.parts
        if parts.how == "crops":
            self.notes.append("There are fewer than three images, so a strip of each is held out for checking.")
        if parts.how == "none":
            self.notes.append(
                "There are too few cells to hold any out: the check uses the cells that were learned from and flatters."
            )
        n_cells = count_cells(parts.learned)
        if not n_cells:
            self.notes.append("No cell is in the reviewed area: only background is learned from it.")
        return Started(
            self.out, self.parent.name, len(parts.learned), n_cells, len(parts.held_out), count_cells(parts.held_out),
            parts.how, self.learner.choice.label, self.params.minutes, resumed, step, tuple(self.notes),
        )  # fmt: skip

    def note(self, text: str) -> Note:
        self.notes.append(text)
        return Note(text)

    def prepare(self, general: Sequence[Sample]) -> Generator[Phase, None, None]:
        """Normalise all images and compute their targets."""
        n_total = len(self.parts.learned) + len(general) + len(self.parts.held_out)
        ready = []
        for i, sample in enumerate((*self.parts.learned, *general)):
            yield Phase("preparing", i, n_total)
            ready.append(prepare(sample, self.parent.normalizer, diameter=self.parent.diameter))
        n_own = len(self.parts.learned)
        self.drawer.fill(ready[:n_own], ready[n_own:], self.params.general)
        yield Phase("preparing", len(ready), n_total)
        self.windows = still_windows(self.parts.held_out, self.parent, self.params.crop)

    def steps(self, stop: Callable[[], bool]) -> Generator[Event, None, None]:
        params, clock = self.params, self.clock
        clock.start()
        while not self.ended:
            if stop():
                return
            self.learner.set_rate(learning_rate_at(self.done, params.learning_rate))
            loss, parts = yield from self.learn()
            clock.step += 1
            progress = TrainProgress(clock.step, self.done, clock.seconds, loss, math.nan, parts)
            self.history.append(progress)
            self.ended = progress.done >= 1
            yield progress
            if clock.step % params.validate_every == 0 or self.ended:
                yield self.look()
            if self._checkpoints and clock.due(params.checkpoint_seconds) and not self.ended:
                try:
                    self.checkpoint()
                except OutputError as error:
                    self._checkpoints = False
                    yield self.note(f"This run cannot be resumed if it is stopped: {error}")

    @property
    def done(self) -> float:
        return min(1.0, max(self.clock.step / self.params.steps, self.clock.seconds / (60 * self.params.minutes)))

    @property
    def learned(self) -> bool:
        """Whether a step has changed the weights."""
        return self.learner.average.n_updates > 0

    def learn(self) -> Generator[Event, None, tuple[float, dict[str, float]]]:
        """Take one step; with less at a time, then on the CPU, when memory runs out."""
        while True:
            x, targets = self.drawer.draw()
            try:
                return self.learner.learn(x, targets)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise CellsegError(
                        f"Training failed on {self.learner.choice.label}: {error}. Try the device 'cpu'."
                    ) from error
            # Outside the handler: the error would keep the tensors of the failed step alive.
            yield self.shrink()

    def shrink(self) -> Note:
        """Ask for less memory."""
        self.learner.release_memory()
        device = self.learner.choice.device
        if self.drawer.smaller_batch():
            what = f"{self.drawer.batch_size} crop(s) at a time"
        elif device != "cpu":
            self.learner.move("cpu")
            what = "on the CPU"
        elif self.drawer.smaller_crop(max(64, 2 * self.parent.config.stride)):
            what = f"crops of {self.drawer.crop} pixels"
        else:
            raise CellsegError(
                f"There is not enough memory to fine-tune {self.parent.name} even on one crop of {self.drawer.crop} "
                "pixels. Close other programs, or choose a smaller model."
            )
        return self.note(f"Memory ran out, so training goes on with {what}.")

    def look(self) -> Looked:
        """Look at what is held out, and keep the weights if they are the best so far."""
        loss, f1, iou = look_at(self.learner, self.windows, self.parent)
        step = self.clock.step
        # The parent's own weights are no new version.
        best = self.learned and not loss >= self.best
        if best:
            self.best, self.best_step = loss, step
            self.save()
        looked = Looked(step, loss, f1, iou, best)
        self.looks.append(looked)
        return looked

    def save(self) -> None:
        parent = self.parent
        save_version(
            self.out,
            self.learner.kept(),
            config=parent.config,
            normalizer=parent.normalizer,
            split=parent.split,
            threshold=parent.threshold,
            min_size=parent.min_size,
            diameter=parent.diameter,
            cell_diameter=None if parent.diameter is None else common_diameter(self.parts.learned),
            parent=parent.name,
            description=f"{parent.name}, fine-tuned on {len(self.parts.learned)} image(s)",
        )

    def checkpoint(self, running: bool = True) -> None:
        """Write down everything that the run goes on from."""
        plain = {
            "looks": [asdict(look) for look in self.looks],
            "history": [asdict(progress) for progress in self.history],
            "notes": self.notes,
            "drawer": self.drawer.state(),
        }
        state = {
            "data": self.data,
            "step": self.clock.step,
            "seconds": self.clock.seconds,
            "best": self.best,
            "best_step": self.best_step,
            "device": self.learner.choice.device,
            "plain": json.dumps(plain),
            "rng": torch.get_rng_state(),
            "learner": self.learner.state(),
        }
        write_checkpoint(self.out, state)
        self.write_run(running)
        self.clock.checkpointed()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        plain = json.loads(state["plain"])
        self.looks = [Looked(**look) for look in plain["looks"]]
        self.history = [TrainProgress(**progress) for progress in plain["history"]]
        self.notes = plain["notes"]
        self.drawer.restore(plain["drawer"])
        self.best, self.best_step = float(state["best"]), int(state["best_step"])
        self.clock.set(int(state["step"]), float(state["seconds"]))
        torch.set_rng_state(state["rng"])
        self.learner.restore(state["learner"])

    def write_run(self, running: bool) -> None:
        values = {
            **self.record,
            "process": os.getpid() if running else None,
            "parent": self.parent.name,
            "parent_path": str(self.parent.path),
            "parent_sha256": self.parent.sha256,
            "parameters": asdict(self.params),
            "step": self.clock.step,
            "done": self.done,
        }
        write_run(self.out, values)

    def finish(self) -> None:
        """Leave a whole version and its record, also when the run was stopped; nothing when nothing was learned."""
        learned = self.learned and not self.ran_away
        if learned and not (self.out / CONFIG_FILE).exists():
            self.best_step = self.clock.step
            self.save()
        if self.ended or self.ran_away:
            delete_checkpoint(self.out)
        elif learned and self._checkpoints:
            self.checkpoint(running=False)
        if (self.out / CONFIG_FILE).exists():
            if self.history:
                write_history(self.out / HISTORY_FILE, self.history)
                write_json(self.out / TRAINING_FILE, self.training_record())
        elif not learned:
            discard(self.out)

    def training_record(self) -> dict[str, Any]:
        parts = self.parts
        return {
            **self.record,
            "parent": self.parent.name,
            "parent_sha256": self.parent.sha256,
            "parameters": asdict(self.params),
            "n_parameters": n_parameters(self.learner.network),
            "device": self.learner.choice.device,
            "dtype": self.learner.choice.dtype,
            "torch": torch.__version__,
            "steps": self.clock.step,
            "hours": round(self.clock.seconds / 3600, 4),
            "best_step": self.best_step,
            "best_validation_loss": self.best,
            "hold_out": parts.how,
            "training_images": sorted(s.name for s in parts.learned),
            "validation_images": sorted(s.name for s in parts.held_out),
            "n_cells": count_cells(parts.learned),
            "looks": [asdict(look) for look in self.looks],
            "notes": self.notes,
        }
