"""Imports point one way, nothing below gui needs a window toolkit, and torch comes late."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import grimp
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "napari_cellseg"
# Rooms, and single modules of the other rooms, that may not load torch when they are imported.
ROOMS_WITHOUT_TORCH = (
    *("", "imaging", "instances", "corrections", "segmentation", "results", "blocks", "batch", "evaluation", "reports"),
    *("session", "cli"),
)
# It trains.
MODULES_WITH_TORCH = ("napari_cellseg.evaluation.make_version",)
MODULES_WITHOUT_TORCH = ("network", "network.config", "network.exchange.import_model", "network.versions")


def modules_below_gui() -> list[str]:
    """Name every module of the package that is not in gui."""
    names = []
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        if parts[1] not in ("gui", "__main__"):
            names.append(".".join(parts).removesuffix(".__init__"))
    return names


def run_python(code: str) -> str:
    """Run code in a fresh interpreter that finds the package and the tests; return what it printed."""
    preamble = f"import sys; sys.path[:0] = [{str(ROOT / 'src')!r}, {str(ROOT)!r}]\n"
    completed = subprocess.run(
        [sys.executable, "-c", preamble + textwrap.dedent(code)], capture_output=True, text=True, timeout=200
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.strip()


def test_import_contract_holds():
    completed = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])",
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(SOURCE.parent)},
        capture_output=True,
        text=True,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr


def circles() -> list[list[str]]:
    """Find the modules that know each other: strongly connected by imports, those for type checking included.

    The ``__init__`` of a package only gathers names of its own modules, so packages are no modules here.
    """
    graph = grimp.build_graph("napari_cellseg", cache_dir=None, exclude_type_checking_imports=False)
    modules = sorted(name for name in graph.modules if not graph.find_children(name))
    place = {name: i for i, name in enumerate(modules)}
    arrows = [
        (i, place[to])
        for name, i in place.items()
        for to in graph.find_modules_directly_imported_by(name)
        if to in place
    ]
    rows, columns = zip(*arrows, strict=True)
    matrix = coo_array((np.ones(len(arrows)), (rows, columns)), shape=(len(modules),) * 2)
    _, groups = connected_components(matrix, connection="strong")
    found = [[name for name, group in zip(modules, groups, strict=True) if group == g] for g in np.unique(groups)]
    return [circle for circle in found if len(circle) > 1]


def test_no_modules_know_each_other():
    assert not circles(), "modules that import each other in a circle, type-only imports included"


def test_everything_below_gui_imports_without_qt_and_napari():
    modules = modules_below_gui()
    assert "napari_cellseg.session" in modules and "napari_cellseg.cli" in modules
    code = f"""
    import importlib
    import tests.without_qt
    for name in {modules!r}:
        importlib.import_module(name)
    print(sorted(tests.without_qt.BLOCKED & set(sys.modules)))
    """
    assert run_python(code) == "[]"


def test_torch_is_imported_late():
    late = [
        name
        for name in modules_below_gui()
        if (name not in MODULES_WITH_TORCH and f"{name}.".split(".")[1] in ROOMS_WITHOUT_TORCH)
        or name.removeprefix("napari_cellseg.") in MODULES_WITHOUT_TORCH
    ]
    code = f"""
    import importlib
    for name in {late!r}:
        importlib.import_module(name)
        assert "torch" not in sys.modules, f"importing {{name}} loads torch"
    """
    run_python(code)


def test_importing_the_package_loads_neither_torch_nor_qt_nor_napari():
    code = """
    import napari_cellseg
    print(sorted({"torch", "qtpy", "napari", "magicgui", "superqt"} & set(sys.modules)))
    """
    assert run_python(code) == "[]"


def test_what_takes_long_to_import_is_not_needed_to_open_the_segment_widget():
    slow = ("torch", "dask.array", "pandas", "xarray", "scipy.ndimage", "scipy.sparse.csgraph", "skimage.segmentation")
    loaded = run_python(
        f"""
        import napari  # what the window itself needs is loaded already
        from napari.components import LayerList
        before = set(sys.modules)
        import napari_cellseg.gui.segment.segment_widget
        print([name for name in {slow} if name in sys.modules and name not in before])
        """
    )
    assert loaded == "[]"


def test_no_modules_of_the_window_know_each_other_in_a_circle():
    """Type-only imports count: a circle of knowledge is a circle."""
    graph = grimp.build_graph("napari_cellseg", cache_dir=None)
    rooms = ("napari_cellseg.gui", "napari_cellseg.session")
    known = {
        module: {other for other in graph.find_modules_directly_imported_by(module) if other.startswith(rooms)}
        for module in graph.modules
        if module.startswith(rooms)
    }
    # Whoever knows nobody that is left is no part of a circle.
    while free := [module for module, others in known.items() if not others & known.keys()]:
        for module in free:
            del known[module]
    assert not known
