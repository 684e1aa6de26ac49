"""The documentation builds without a warning, says what the code does, and loads nothing from elsewhere."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from dataclasses import fields
from html import unescape
from pathlib import Path

import pytest

import napari_cellseg
from napari_cellseg.cli import build_parser
from napari_cellseg.results.counts import COLUMNS, PARTS, VOLUMES
from napari_cellseg.results.outputs import OUTPUTS
from napari_cellseg.segmentation.options import RunOptions
from napari_cellseg.segmentation.recipe import Recipe

ROOT = Path(__file__).parents[2]
# What a browser loads by itself, and what a style loads.
LOADED = re.compile(r"""<(?:script|img|link|iframe|source)\b[^>]*?\b(?:src|href)=["']?(?:https?:)?//[^"' >]*""")
STYLES = re.compile(r"""(?:url\(|@import)\s*["']?(?:https?:)?//""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; broken links, pages without a place and docstrings that cannot be read are errors."""
    out = tmp_path_factory.mktemp("site")
    # Not --quiet: what is not told does not count.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)
    assert built.returncode == 0, built.stdout + built.stderr
    return out


def page(site: Path, name: str) -> str:
    """Return the text of a page of the site, without tags."""
    return unescape(re.sub(r"<[^>]+>", "", (site / name / "index.html").read_text(encoding="utf-8")))


def test_every_public_name_command_option_and_setting_has_its_place(site: Path) -> None:
    for name in set(napari_cellseg.__all__) - {"__version__"}:
        assert len(page(site, f"api/{name}")) > 200
        assert ":class:`" not in page(site, f"api/{name}"), "roles of Sphinx are made links"
    (commands,) = (action.choices for action in build_parser()._actions if isinstance(action.choices, dict))
    text = page(site, "commands")
    for name, sub in commands.items():
        assert f"napari-cellseg {name} " in text
        shown = [a for a in sub._actions if a.dest != "help" and a.help != argparse.SUPPRESS]
        assert not [option for a in shown for option in a.option_strings if option not in text]
    assert all(f.name in page(site, "recipe") for kind in (Recipe, RunOptions) for f in fields(kind))


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    files = {path: path.read_text(encoding="utf-8") for path in site.rglob("*") if path.suffix in (".html", ".css")}
    assert len(files) > 30
    assert not {path.name: found for path, text in files.items() if (found := LOADED.findall(text))}
    assert not [path.name for path, text in files.items() if STYLES.search(text)]


def test_every_output_and_every_column_of_the_counts_is_described() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    assert not [name for name in (*OUTPUTS, *COLUMNS, *VOLUMES, *PARTS) if f"`{name}`" not in text]
