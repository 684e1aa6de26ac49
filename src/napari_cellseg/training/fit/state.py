"""What a training has reached, and how it is kept: the version, its record, and what a killed run goes on from."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from ...imaging.damage import DAMAGE
from ...imaging.errors import CellsegError, DatasetError, OutputError
from ...imaging.write.write import write_json
from ...network.building import build_network, check_values, with_head_kernel
from ...network.ready import load_network
from ...network.unet import n_parameters
from ...network.versions import CONFIG_FILE, TRAINING_FILE, WEIGHTS_FILE
from ..curves import CURVES_FILE, HISTORY_FILE, HistoryTable, write_curves
from ..data.hold_out import count_cells
from ..events import Looked, TrainProgress
from ..runs import CHECKPOINT_FILE, SILENT_SECONDS, discard, write_run
from .checkpoint import Clock, delete_checkpoint, fingerprint, write_checkpoint
from .drawing import Drawer
from .learner import Learner
from .plan import Plan, choose_device
from .record import pack_history, save_version, unpack_history, write_history
from .schedule import Looks

# Why a run ended whose loss grew beyond bounds.
RAN_AWAY = "loss"


class RunState:
    """State of a training; :class:`napari_cellseg.training.fit.run.TrainRun` moves it on.

    Parameters
    ----------
    plan : Plan
    out : Path
        Folder of the new version.
    record : dict
        Written into the run's file and the training record: the command, where the data came from.
    resumed : bool
        Whether :meth:`restore` follows.
    more : bool
        Whether the version is worked on when learning has ended; the checkpoint then stays, so that this is repeated
        when the process is killed meanwhile.
    """

    def __init__(
        self, plan: Plan, out: Path, record: dict[str, Any], resumed: bool = False, more: bool = False
    ) -> None:
        self.plan, self.params, self.out, self.record, self.more = plan, plan.params, out, record, more
        params = plan.params
        torch.manual_seed(params.seed)
        # A resumed run has all weights in its checkpoint: nothing is fetched again.
        encoder_weights = None if resumed else params.encoder_weights
        if plan.parent is None:
            network = build_network(plan.config, encoder_weights)
        else:
            network = with_head_kernel(load_network(plan.parent), plan.config.head_kernel)
        self.learner = Learner(network, choose_device(params), params, plan.freeze, plan.blend)
        self.drawer = Drawer(plan.config.in_channels, params.batch_size, params.crop, params.augment, params.seed)
        self.clock = Clock()
        self.history: list[TrainProgress] = []
        self.looked: list[Looked] = []
        self.looks = Looks()
        self.notes: list[str] = [] if resumed else list(plan.notes)
        self.stopped_by = ""
        # Whether the last look found that the weights are good for nothing.
        self.unfit = False
        # Whether checkpoints can be written.
        self.checkpoints = True
        # Step of the checkpoint, from which a killed run goes on, and how far that is.
        self._goes_on_from = (0, 0.0)
        self.n_steps = params.most_steps(len(plan.parts.learned))
        self._fingerprint = fingerprint(plan.samples)

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

    @property
    def is_whole(self) -> bool:
        """Whether the folder holds a version."""
        return (self.out / CONFIG_FILE).exists()

    def save(self) -> None:
        """Write the weights of this moment as the version, and what they reached."""
        save_version(self.out, self.learner.kept(), **self.plan.version_settings())
        self.write_run()

    def checkpoint(self, running: bool = True, ended: bool = False) -> None:
        """Write everything that the run goes on from; when it has `ended` also the version's weights as they were."""
        plain = {
            "stopped_by": self.stopped_by,
            "looks": asdict(self.looks),
            "looked": [asdict(look) for look in self.looked],
            "notes": self.notes,
            "drawer": self.drawer.state(),
            "who": self._held_out_names(),
        }
        state = {
            "data": self._fingerprint,
            "step": self.clock.step,
            "seconds": self.clock.seconds,
            "device": self.learner.choice.device,
            "plain": json.dumps(plain),
            "history": pack_history(self.history),
            "rng": torch.get_rng_state(),
            "learner": self.learner.state(),
            "version": load_file(self.out / WEIGHTS_FILE) if ended and self.is_whole else {},
        }
        write_checkpoint(self.out, state)
        self._goes_on_from = (self.clock.step, self.done)
        self.write_run(running)
        self.clock.checkpointed()

    def restore(self, state: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        """Go on from a checkpoint, and from the best look in the run's file, which may be a later one.

        Raises
        ------
        DatasetError
            If other images are held out than before.
        CellsegError
            If another version of napari-cellseg wrote the checkpoint.
        """
        try:
            plain = json.loads(state["plain"])
            if plain["who"] != self._held_out_names():
                raise DatasetError(
                    f"The images held out are others than when {self.out.name} was stopped. Resume with the same "
                    "split, or start a new run."
                )
            looks = [plain["looks"], *plain.get("looked", ())]
            # Those that were not measured are infinite, or no numbers.
            if not all(isinstance(value, (int, float)) for look in looks for value in look.values()):
                raise ValueError("looks are no numbers")
            self.looks, self.notes = Looks(**plain["looks"]), list(map(str, plain["notes"]))
            self.stopped_by = str(plain.get("stopped_by", ""))
            self.looked = [Looked(**look) for look in plain.get("looked", ())]
            self.history = unpack_history(state["history"])
            self.drawer.restore(plain["drawer"])
            if not 0 <= state["step"] <= self.n_steps:
                raise ValueError(f"step {state['step']} of {self.n_steps}")
            self.clock.set(int(state["step"]), float(state["seconds"]))
            self.learner.restore(state["learner"])
            torch.set_rng_state(state["rng"])
            learned = dict(state.get("version", {}))
            check_values(learned, "the checkpoint")
        except DAMAGE as error:
            raise CellsegError(
                f"The checkpoint in {self.out} is damaged, or not of this version of napari-cellseg. Start a new run."
            ) from error
        self._goes_on_from = (self.clock.step, self.done)
        if learned and asked.get("best_step") == self.looks.best_step:
            # What was chosen and compared after learning is chosen anew, from the weights as they were learned.
            save_version(self.out, learned, **self.plan.version_settings())
        best = asked.get("best")
        if best is not None and best < self.looks.best:
            # The weights in the folder are of a look that came after the checkpoint.
            self.looks = replace(self.looks, best=float(best), best_step=int(asked["best_step"]))

    def write_run(self, running: bool = True) -> None:
        """Write what was asked, from where the run can go on, and which process is at it."""
        parent, (step, done) = self.plan.parent, self._goes_on_from
        values = {
            **self.record,
            "process": os.getpid() if running else None,
            "silent_seconds": max(SILENT_SECONDS, 3 * self.params.checkpoint_seconds),
            "parent": parent.name if parent else None,
            "parent_path": str(parent.path) if parent else None,
            "parent_sha256": parent.sha256 if parent else None,
            "parameters": self.plan.asked,
            "validation_images": self._held_out_names(),
            "step": step,
            "done": done,
            "stopped_by": self.stopped_by,
            "best": self.looks.best,
            "best_step": self.looks.best_step,
        }
        write_run(self.out, values, self.plan.file)

    def finish(self) -> None:
        """Leave a whole version and its record, also when the run was stopped; nothing when nothing was learned."""
        ran_away = self.stopped_by == RAN_AWAY
        learned = self.learned and not ran_away
        if learned and not self.unfit and not self.is_whole:
            self.looks.best_step = self.clock.step
            self.save()
        if self.stopped_by and not (self.more and self.is_whole):
            delete_checkpoint(self.out)
        elif self.learned and self.checkpoints:
            # Where the disk is full the checkpoint before this one has to do.
            with contextlib.suppress(OutputError):
                self.checkpoint(running=self.more, ended=True)
        if self.is_whole:
            if self.history:
                write_history(self.out / HISTORY_FILE, self.history)
                write_curves(self.out / CURVES_FILE, {self.out.name: HistoryTable.from_progress(self.history)})
                write_json(self.out / TRAINING_FILE, self.training_record())
        elif not learned or not (self.out / CHECKPOINT_FILE).exists():
            discard(self.out)

    def training_record(self) -> dict[str, Any]:
        """Return everything needed to repeat the run, as JSON-able values."""
        plan, step = self.plan, self.clock.step
        parts, parent = plan.parts, plan.parent
        kept = next((p for p in self.history if p.step == self.looks.best_step), None)
        return {
            **self.record,
            "parent": parent.name if parent else None,
            "parent_sha256": parent.sha256 if parent else None,
            "parameters": {**plan.asked, "network": plan.config.to_dict()},
            "n_parameters": n_parameters(self.learner.network),
            "device": self.learner.choice.device,
            "dtype": self.learner.choice.dtype,
            "torch": torch.__version__,
            "steps": step,
            "epochs": round(step * (1 - plan.share) / self.params.steps_per_epoch(len(parts.learned)), 2),
            "stopped_by": self.stopped_by or "request",
            "hours": round(self.clock.seconds / 3600, 4),
            "best_step": self.looks.best_step,
            "best_validation_loss": self.looks.best,
            "best_validation_iou": kept.iou if kept else None,
            "best_validation_dice": kept.dice if kept else None,
            "hold_out": parts.how,
            "training_images": sorted(s.name for s in parts.learned),
            "validation_images": self._held_out_names(),
            "n_cells": count_cells(parts.learned),
            "looks": [asdict(look) for look in self.looked],
            "notes": self.notes,
        }

    def _held_out_names(self) -> list[str]:
        return sorted(s.name for s in self.plan.parts.held_out)
