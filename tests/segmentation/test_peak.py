"""Memory is checked by one figure, in one piece and block by block, and the figure holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_cellseg.blocks import plan
from napari_cellseg.blocks.plan import in_blocks
from napari_cellseg.imaging.errors import MemoryTooSmallError
from napari_cellseg.imaging.from_array import as_image
from napari_cellseg.segmentation.options import RunOptions
from napari_cellseg.segmentation.peak import peak_bytes
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.segmentation.segment import prepare
from tests.models import make_model

SHAPE = (1100, 1300)


def test_window_and_batch_ask_for_the_same_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = as_image(np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8), name="a")
    recipe = Recipe(str(make_model(tmp_path / "model").path))
    monkeypatch.setattr(plan, "FEWEST_PIXELS", 0)
    monkeypatch.setattr("napari_cellseg.imaging.memory.free_bytes", lambda: peak_bytes(SHAPE) - 1)
    with pytest.raises(MemoryTooSmallError, match="1100 x 1300"):
        prepare(image, recipe)
    assert in_blocks(image, RunOptions())
    monkeypatch.setattr("napari_cellseg.imaging.memory.free_bytes", lambda: peak_bytes(SHAPE))
    assert prepare(image, recipe).plane.shape == SHAPE and not in_blocks(image, RunOptions())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_figure_holds(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    code = f"""
    from pathlib import Path
    import numpy as np
    from napari_cellseg import segment
    def peak(side):
        values = np.random.default_rng(0).normal(100, 9, (side // 20, side // 20)).repeat(20, 0).repeat(20, 1)
        segment(values.astype(np.uint8), model={str(model.path)!r}, device="cpu")
        status = Path("/proc/self/status").read_text()  # ru_maxrss would begin with the peak of the test's own process
        return 1024 * int(status.split("VmHWM:")[1].split()[0])
    small, large = peak(600), peak(2400)
    print((large - small) / (2400**2 - 600**2))
    """
    code = "\n".join(line.removeprefix("    ") for line in code.splitlines())
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=500, check=True)
    assert peak_bytes((1, 1)) / 4 < float(done.stdout) <= peak_bytes((1, 1))
