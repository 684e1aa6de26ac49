"""One step of learning, with less at a time when memory runs out."""

from __future__ import annotations

from collections.abc import Generator

from ...imaging.errors import CellsegError
from ...network.predict import out_of_memory
from ..events import Note
from .drawing import Drawer
from .learner import Learner

LEAST_CROP = 64


def learn_within_memory(
    learner: Learner, drawer: Drawer, name: str
) -> Generator[Note, None, tuple[float, dict[str, float]]]:
    """Take one step; with less at a time, then on the CPU, when memory runs out.

    Parameters
    ----------
    learner : Learner
    drawer : Drawer
    name : str
        What is trained, for the message.

    Yields
    ------
    Note
        What was changed, so that the person knows.

    Returns
    -------
    loss : float
    parts : dict of str to float

    Raises
    ------
    CellsegError
        If memory does not suffice for one small crop on the CPU, or the step failed otherwise.
    """
    while True:
        x, targets = drawer.draw()
        try:
            return learner.learn(x, targets)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise CellsegError(
                    f"Training failed on {learner.choice.label}: {error}. Try the device 'cpu'."
                ) from error
        # Outside the handler: the error would keep the tensors of the failed step alive.
        yield Note(f"Memory ran out, so training goes on with {_less(learner, drawer, name)}.")


def _less(learner: Learner, drawer: Drawer, name: str) -> str:
    learner.release_memory()
    if drawer.smaller_batch():
        return f"{drawer.batch_size} crop(s) at a time"
    if learner.choice.device != "cpu":
        learner.move("cpu")
        return "the CPU"
    if drawer.smaller_crop(max(LEAST_CROP, 2 * learner.network.config.stride)):
        return f"crops of {drawer.crop} pixels"
    raise CellsegError(
        f"There is not enough memory to train {name} even on one crop of {drawer.crop} pixels. Close other programs, "
        "or choose a smaller network."
    )
