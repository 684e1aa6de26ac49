"""The manifest is valid, is the one that the package ships, and names things that exist."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from npe2 import PluginManifest

import napari_cellseg
from napari_cellseg.imaging.read.formats import FORMATS

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
MANIFEST = SOURCE / "napari_cellseg" / "napari.yaml"
SAMPLES = {"fluorescence", "fluorescence_dense", "histology", "brightfield", "mosaic"}


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    """Read the manifest of the source tree."""
    return PluginManifest.from_file(MANIFEST)


def defined_names(module: str) -> set[str]:
    """Name the functions and classes that a module of the source tree defines, without importing it."""
    tree = ast.parse(SOURCE.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def test_top_level_manifest_is_the_one_in_the_package():
    top_level = ROOT / "napari.yaml"
    if os.name == "nt" and not top_level.is_symlink():
        pytest.skip("this checkout was made without symbolic links")
    assert top_level.is_symlink()
    assert top_level.samefile(MANIFEST)
    assert not Path(os.readlink(top_level)).is_absolute()


def test_names_agree_with_pyproject(manifest):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert manifest.name == project["name"]
    assert project["entry-points"]["napari.manifest"] == {project["name"]: "napari_cellseg:napari.yaml"}


def test_versions_agree():
    own = napari_cellseg.__version__
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["project"]["dynamic"] == ["version"], "it stands in the package alone"
    assert settings["tool"]["hatch"]["version"] == {"path": "src/napari_cellseg/__init__.py"}
    assert f"\nversion: {own}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {own}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_display_name_is_not_mistaken_for_another_plugin(manifest):
    assert "cellseg" not in manifest.display_name.lower()


def test_no_qt_binding_in_the_base_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = " ".join(project["dependencies"]).lower()
    assert "pyside" not in base and "pyqt" not in base and "napari[" not in base


def test_every_command_names_something_that_exists(manifest):
    for command in manifest.contributions.commands:
        module, name = command.python_name.split(":")
        assert name in defined_names(module), command.id


def test_contributions_point_at_declared_commands(manifest):
    contributions = manifest.contributions
    declared = {command.id for command in contributions.commands}
    menu_items = [item for items in contributions.menus.values() for item in items]
    used = [
        *contributions.widgets,
        *contributions.readers,
        *contributions.writers,
        *contributions.sample_data,
        *menu_items,
    ]
    assert {item.command for item in used} == declared


def test_samples_and_menus(manifest):
    assert {sample.key for sample in manifest.contributions.sample_data} == SAMPLES
    menus = {"napari/layers/segment", "napari/layers/annotate", "napari/layers/measure"}
    assert set(manifest.contributions.menus) == menus


def test_the_reader_claims_files_of_microscopes_alone(manifest):
    (reader,) = manifest.contributions.readers
    microscopes = [one for one in FORMATS if one.oldest or one.remedy]
    # Any other claim would raise a chooser for every user.
    assert reader.filename_patterns == [f"*{suffix}" for one in microscopes for suffix in one.suffixes]
    assert not reader.accepts_directories


def test_preferences_offer_the_devices_of_the_command_line(manifest):
    properties = manifest.contributions.configurations["segmentation"].properties
    assert properties["device"].default == "auto"
    assert set(properties["device"].enum) == {"auto", "cpu", "cuda", "mps"}
    assert properties["default_model"].default == "cells"


def test_the_installed_distribution_offers_this_manifest(manifest):
    try:
        distribution("napari-cellseg")
    except PackageNotFoundError:
        pytest.skip("napari-cellseg is not installed in this environment")
    assert PluginManifest.from_distribution("napari-cellseg").contributions == manifest.contributions


@pytest.mark.window
def test_every_command_can_be_imported():
    code = "import npe2, sys; npe2.PluginManifest.from_file(sys.argv[1]).validate_imports()"
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    completed = subprocess.run(
        [sys.executable, "-c", code, str(MANIFEST)], env=environment, capture_output=True, text=True
    )
    assert completed.returncode == 0, completed.stderr


@pytest.mark.window
def test_importing_the_commands_loads_no_torch(manifest):
    modules = sorted({command.python_name.split(":")[0] for command in manifest.contributions.commands})
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, f'importing {name} loads torch'\n"
    )
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    completed = subprocess.run([sys.executable, "-c", code, *modules], env=environment, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr


def test_the_menu_names_in_the_documents_are_those_of_the_menu(manifest):
    widgets = {widget.display_name for widget in manifest.contributions.widgets}
    pages = (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
    text = " ".join(" ".join(page.read_text(encoding="utf-8").split()) for page in pages)
    entries = re.findall(r"\*Plugins > ([^>]+) > ([^*]+?)\.?\*", text)
    samples = re.findall(r"\*File > Open Sample > ([^*]+?)\.?\*", text)
    assert {plugin for plugin, _ in entries} | set(samples) <= {manifest.display_name, "…"}
    assert {entry for _, entry in entries} == widgets, "an entry that is not in the menu, or a widget without an entry"
