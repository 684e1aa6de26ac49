"""Time another program's network on one image, again and again: ``python rival_worker.py NAME IMAGE.npy``.

Runs by itself, in whatever environment has that program; random weights take as long as trained ones. It says "ready",
and then for each line that it reads the seconds of one prediction. Only the network is timed, with its normalisation
and tiling: what random weights leave to be separated afterwards says nothing of the program.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def stardist(image: Any) -> Callable[[], object]:
    """StarDist's 2D architecture as its published fluorescence model has it: 32 rays, on every second pixel."""
    from csbdeep.utils import normalize
    from stardist.models import Config2D, StarDist2D

    config = Config2D(n_rays=32, grid=(2, 2), n_channel_in=1)
    model = StarDist2D(config, name="timing", basedir=tempfile.mkdtemp())
    return lambda: model.predict(normalize(image, 1, 99.8), axes="YX", verbose=False)


def cellpose(image: Any) -> Callable[[], object]:
    """Cellpose 3's network at its own diameter of 30 pixels, that is without any magnification."""
    import numpy as np
    from cellpose.core import run_net
    from cellpose.resnet_torch import CPnet
    from cellpose.transforms import normalize99

    network = CPnet([2, 32, 64, 128, 256], 3, 3, mkldnn=True).eval()

    def run() -> object:
        normalized = normalize99(image.astype(np.float32))
        return run_net(network, np.stack([normalized, np.zeros_like(normalized)], axis=-1)[None])

    return run


def main(name: str, path: str) -> None:
    """Answer every line on standard input with the seconds of one prediction."""
    import numpy as np

    run = {"stardist": stardist, "cellpose": cellpose}[name](np.load(Path(path), allow_pickle=False))
    run()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        sys.stdout.write(f"seconds {time.perf_counter() - start}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
