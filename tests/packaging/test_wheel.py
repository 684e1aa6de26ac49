"""The built wheel holds manifest, weights and samples, and works where nothing else of this project is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import napari_cellseg

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "napari_cellseg"
WEIGHTS_LIMIT = 40 * 1024**2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

INSPECT = """
import json, sys
from importlib.resources import files
import napari_cellseg
from npe2 import PluginManager, PluginManifest

assert "torch" not in sys.modules, "import napari_cellseg loads torch"
package = files("napari_cellseg")
manager = PluginManager()
manager.discover()
from napari_cellseg.network.versions import list_models, load_model

models = [model.name for model in list_models()]
print(json.dumps({
    "package": str(package),
    "manifest": PluginManifest.from_distribution("napari-cellseg").package_version,
    "discovered": "napari-cellseg" in {plugin.name for plugin in manager.iter_manifests()},
    "widgets": [item.display_name for item in manager.iter_widgets() if item.plugin_name == "napari-cellseg"],
    "models": models,
    "weights": [load_model(name).sha256 for name in models],
    "samples": sorted(item.name for item in (package / "samples").iterdir() if not item.name.endswith(".py")),
}))
"""

SEGMENT = """
import json, sys
from napari_cellseg import segment
result = segment(sys.argv[1])
print(json.dumps({"count": int(result.count), "shape": result.labels.shape}))
"""


def shipped_pages() -> set[str]:
    """Name the page that `?` opens, and those that it leads to."""
    docs = PACKAGE.parents[1] / "docs"
    links = re.findall(r"\]\(([a-z_]+\.md)", (docs / "window.md").read_text(encoding="utf-8"))
    assert links and all((docs / name).is_file() for name in links)
    return {f"napari_cellseg/docs/{name}" for name in {"window.md", *links}}


def shipped_files() -> set[str]:
    """Name every file that a wheel has to hold, relative to the folder that holds the package."""
    paths = (path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(PACKAGE.parent).as_posix() for path in paths}


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build the sdist and, from it alone, the wheel; return both paths."""
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    completed = subprocess.run(build, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    (sdist,) = out.glob("*.tar.gz")
    (wheel,) = out.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(archives: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel in an empty environment; return that environment's Python.

    This environment lends the dependencies, behind the new one on the path, so that nothing is downloaded.
    """
    home = tmp_path_factory.mktemp("empty") / "environment"
    venv.EnvBuilder(with_pip=False).create(home)
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index"]
    completed = subprocess.run([*pip, str(archives[1])], capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr

    ask = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())
    lent = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    (site / "lent_dependencies.pth").write_text("".join(f"{path}\n" for path in lent), encoding="utf-8")
    return python


def run_isolated(python: Path, code: str, *arguments: str) -> dict:
    """Run code in the empty environment, without PYTHONPATH and current folder; return the JSON it prints."""
    completed = subprocess.run([str(python), "-I", "-c", code, *arguments], capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    return json.loads(completed.stdout.splitlines()[-1])


def test_wheel_holds_every_file_of_the_package(archives):
    with zipfile.ZipFile(archives[1]) as wheel:
        held = {name for name in wheel.namelist() if name.startswith("napari_cellseg/")}
        licenses = [name for name in wheel.namelist() if name.endswith("/LICENSE")]
    assert held == shipped_files() | shipped_pages()
    assert licenses


def test_wheel_holds_manifest_weights_and_samples(archives):
    with zipfile.ZipFile(archives[1]) as wheel:
        sizes = {item.filename: item.file_size for item in wheel.infolist()}
    weights = {name: size for name, size in sizes.items() if name.endswith(".safetensors")}
    in_samples = [name for name in sizes if name.startswith("napari_cellseg/samples/")]
    assert sizes["napari_cellseg/napari.yaml"] > 0
    assert archives[1].name.startswith(f"napari_cellseg-{napari_cellseg.__version__}-")
    assert weights and all(name.startswith("napari_cellseg/models/") for name in weights)
    assert all(0 < size <= WEIGHTS_LIMIT for size in weights.values())
    assert len([name for name in in_samples if not name.endswith(".py")]) >= 5


def test_sdist_holds_what_the_checks_need(archives):
    with tarfile.open(archives[0]) as sdist:
        members = {member.name.partition("/")[2]: member for member in sdist.getmembers()}
    names = set(members)
    assert members["src/napari_cellseg/napari.yaml"].isreg()
    assert {"pyproject.toml", "tox.ini", "README.md", "LICENSE", "napari.yaml", "tests/conftest.py"} <= names
    assert {f"src/{name}" for name in shipped_files()} <= names


def test_installed_wheel_works_in_an_empty_environment(installed):
    found = run_isolated(installed, INSPECT)
    assert Path(found["package"]).is_relative_to(installed.parents[1])
    assert found["discovered"] and found["manifest"]
    assert "Segment and count cells" in found["widgets"]
    assert "cells" in found["models"]
    assert all(found["weights"])
    assert len(found["samples"]) >= 5


def test_installed_wheel_counts_the_cells_of_a_shipped_sample(installed):
    samples = Path(run_isolated(installed, INSPECT)["package"], "samples")
    images = [path for path in samples.rglob("*") if path.suffix.lower() in {".png", ".tif", ".tiff", ".jpg"}]
    smallest = min(images, key=lambda path: path.stat().st_size)
    assert run_isolated(installed, SEGMENT, str(smallest))["count"] > 0
