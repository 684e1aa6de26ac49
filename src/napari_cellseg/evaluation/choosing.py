"""Choose what a fine-tune left open: how far from its parent, threshold and smallest size, by images of known cells."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ..imaging.progress import Progress
from ..network.version_files import settings_of
from ..network.versions import ModelVersion
from ..training.data.hold_out import HeldOut, count_cells
from ..training.data.sample import Sample
from .calibration import Chosen, iter_choose_defaults, with_defaults

# Parts of the way from the parent to the weights that were learned, the farthest first.
BLENDS = (1.0, 0.8, 0.6)
# With fewer cells or images held out, the images that were learned from are looked at too: one image alone would
# choose whatever suits its noise.
ENOUGH_CELLS, ENOUGH_IMAGES = 10, 3
# In AP (.5 to .9) less a tenth of the relative error of the count.
AS_GOOD = 0.01


def images_to_choose_on(parts: HeldOut) -> tuple[Sample, ...]:
    """Return what was held out, and what was learned too where that is few images or holds few cells."""
    if parts.how == "none":
        return parts.learned
    few = len(parts.held_out) < ENOUGH_IMAGES or count_cells(parts.held_out) < ENOUGH_CELLS
    return (*parts.held_out, *parts.learned) if few else parts.held_out


def iter_choose_blend(
    version: ModelVersion, parent: ModelVersion, samples: Sequence[Sample], device: str = "auto"
) -> Generator[Progress, None, tuple[ModelVersion, float]]:
    """Keep as much of the parent in a version as the images do not mind, and choose its threshold and min_size.

    Weights between the two know more of what the parent knew (Wortsman et al., Robust fine-tuning of zero-shot models,
    CVPR 2022). The nearest to the parent is kept that is as good as the best within .01 of AP (.5 to .9).

    Parameters
    ----------
    version : ModelVersion
        Holds the weights that were learned, and is changed.
    parent : ModelVersion
    samples : sequence of Sample
        Whose cells are known.
    device : str

    Yields
    ------
    Progress

    Returns
    -------
    version : ModelVersion
    blend : float
        One of `BLENDS`.
    """
    tried: dict[float, Chosen] = {}
    for left in version.path.glob(".between*"):
        shutil.rmtree(left, ignore_errors=True)
    with TemporaryDirectory(dir=version.path, prefix=".between") as folder:
        for blend in BLENDS:
            between = version if blend == 1 else _between(parent, version, blend, Path(folder) / str(blend))
            tried[blend] = yield from iter_choose_defaults(between, samples, device=device)
    best = max(tried.values(), key=lambda chosen: float(chosen.worth.mean()) if len(chosen.worth) else 0.0)
    if not len(best.worth):
        return version, 1.0
    kept = min(b for b, chosen in tried.items() if chosen.worth.mean() >= best.worth.mean() - AS_GOOD)
    if kept < 1:
        version = _between(parent, version, kept, version.path)
    return with_defaults(version, tried[kept]), kept


def _between(parent: ModelVersion, version: ModelVersion, blend: float, folder: Path) -> ModelVersion:
    """Write a version whose weights lie between those of two others; the folder may be the second one's."""
    import torch

    from ..network.building import with_head_kernel
    from ..network.ready import load_network
    from ..network.versions import read_version
    from ..training.fit.record import save_version

    first = with_head_kernel(load_network(parent), version.config.head_kernel).state_dict()
    last = load_network(version).state_dict()
    state = {
        name: torch.lerp(first[name].float(), value.float(), blend) if value.is_floating_point() else value
        for name, value in last.items()
    }
    folder.mkdir(exist_ok=True)
    save_version(folder, state, **settings_of(version))
    return read_version(folder)
