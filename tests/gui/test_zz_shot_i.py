import sys, os
sys.path.insert(0, "/work/main")
from pathlib import Path
import numpy as np
from tests.gui.test_gui_agreement import *
from tests.gui.conftest import *
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_shots(agree, widget, viewer, qtbot, theme, network):
    from napari_cellseg.gui.opening import add_image
    viewer.theme = theme
    import napari_cellseg
    rng = np.random.default_rng(1)
    ns = (12, 30, 60, 110, 200, 330)
    for n in ns:
        viewer.add_image(draw_discs(n, 512), name=f"plate3_A{n:03}", scale=(0.33, 0.33), units="um")
        press_segment(widget, qtbot)
    settled(agree, qtbot)
    for row in range(3):
        type_count(agree, row, str(int(ns[row] * 1.05 + rng.integers(-2, 4))), qtbot)
    viewer.window._qt_window.grab().save(f"/tmp/w/I/few_{theme}.png")
    for row in range(3, 6):
        type_count(agree, row, str(int(ns[row] * 1.05 + rng.integers(-6, 9))), qtbot)
    viewer.window._qt_window.grab().save(f"/tmp/w/I/agree_{theme}.png")
    press(agree.by_clicking, qtbot)
    p = viewer.layers.selection.active
    p.add([[100, 100], [200, 220], [300, 120]])
    qtbot.wait(100)
    viewer.window._qt_window.grab().save(f"/tmp/w/I/click_{theme}.png")
    press(agree.stop, qtbot)
    widget.parent().raise_()
    qtbot.wait(400)
    viewer.window._qt_window.grab().save(f"/tmp/w/I/seg_{theme}.png")
