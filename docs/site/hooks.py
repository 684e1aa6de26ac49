"""Pages of the site that are made of the code: Python API, command line, recipe, and the project's own files."""

from __future__ import annotations

import argparse
import html
import inspect
import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
# Files at the top level that are pages too.
PROJECT_FILES = ("CHANGELOG", "CODE_OF_CONDUCT", "CONTRIBUTING", "SECURITY")
# Have a place in the navigation as soon as they are there.
OPTIONAL_PAGES = ("measuring.md",)
# What JSON holds of a type in Python.
_TYPES = {
    **{"str": "text", "float": "number", "int": "whole number", "bool": "true or false", "Channel": "number or text"},
    **{"tuple[str, ...]": "list of texts", "NormalizerParams": "`low` and `high`: numbers"},
}
_API_HEAD = """# Python

Everything that the window does can be called from Python. `from napari_cellseg import ...` gives these names, and loads
what is behind each of them only when it is used. Errors are `CellsegError`s, whose message names the next step.

| name | |
|---|---|"""
_COMMANDS_HEAD = """# Command line

This page is made of the parsers themselves. The exit status is 0 if all went well, 1 if something failed, 2 if the
command was not understood. `napari-cellseg --debug COMMAND ...` shows where an unforeseen error comes from.
"""
_RECIPE_HEAD = """# The recipe

A recipe is what decides labels. *Save recipe …*, `recipe.json` in a folder of results and `napari_cellseg.Recipe.write`
hold the same JSON object, and the window, a batch and the command line (`--recipe FILE`) find the same cells by it. A
setting that is null is left to the model. An unknown one is refused."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give each public name a place in the navigation."""
    config.nav = _completed(config.nav, Path(config.docs_dir))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made of the code."""
    for path, text in _pages():
        files.append(File.generated(config, path, content=text))
    return files


def _completed(nav: list[Any], docs: Path) -> list[Any]:
    """Put the pages of the public names where the navigation names the first of them."""
    found: list[Any] = []
    for entry in nav:
        ((title, inner),) = entry.items() if isinstance(entry, dict) else (("", entry),)
        if isinstance(inner, list):
            found.append({title: _completed(inner, docs)})
        elif inner in OPTIONAL_PAGES and not (docs / inner).is_file():
            continue
        elif inner == "api/index.md":
            found.append({title: [inner, *({name: f"api/{name}.md"} for name in _public())]})
        else:
            found.append(entry)
    return found


def _pages() -> list[tuple[str, str]]:
    pages = [("api/index.md", _api_index()), ("commands.md", _commands()), ("recipe.md", _recipe())]
    pages += [(f"api/{name}.md", f"::: {_place_of(name)}\n") for name in _public()]
    pages += [(f"{name.lower()}.md", _project_page(ROOT / f"{name}.md")) for name in PROJECT_FILES]
    return pages


def _public() -> list[str]:
    import napari_cellseg

    return [name for name in sorted(napari_cellseg.__all__, key=str.lower) if not name.startswith("_")]


def _place_of(name: str) -> str:
    """Return where a public name is defined, such as ``napari_cellseg.segmentation.segment.segment``."""
    import napari_cellseg

    found = getattr(napari_cellseg, name)
    return found.__name__ if inspect.ismodule(found) else f"{found.__module__}.{found.__qualname__}"


def _api_index() -> str:
    import napari_cellseg

    lines = [_API_HEAD]
    for name in _public():
        text = inspect.getdoc(getattr(napari_cellseg, name)) or ""
        lines.append(f"| [`{name}`]({name}.md) | {text.splitlines()[0] if text else ''} |")
    return "\n".join(lines) + "\n"


def _commands() -> str:
    from napari_cellseg.cli import build_parser

    parser = build_parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    helps = {action.dest: action.help for action in commands._choices_actions}
    lines = [_COMMANDS_HEAD]
    lines += [f"- [`{name}`](#{name}): {helps[name]}" for name in commands.choices]
    for name, sub in commands.choices.items():
        lines += ["", f"## {name}", "", f"{_sentence(sub.description or helps[name] or '')}", ""]
        lines += ["```text", sub.format_usage().removeprefix("usage: ").rstrip(), "```"]
        lines += ["", "| option | |", "|---|---|"]
        lines += [_option(a) for a in sub._actions if a.dest != "help" and a.help != argparse.SUPPRESS]
    return "\n".join(lines) + "\n"


def _option(action: argparse.Action) -> str:
    names = ", ".join(action.option_strings) or str(action.metavar or action.dest)
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else "")
    if action.option_strings and action.nargs != 0:
        names += " " + (" ".join(value) if isinstance(value, tuple) else value or action.dest.upper())
    text = (action.help or "").replace("%%", "%") % {"default": action.default, "prog": "napari-cellseg"}
    return f"| `{_cell(names)}` | {_cell(html.escape(text, quote=False))} |"


def _recipe() -> str:
    from napari_cellseg.segmentation.options import RunOptions
    from napari_cellseg.segmentation.recipe import Recipe

    def rows(kind: type) -> list[str]:
        return [
            f"| `{f.name}` | {_type_in_words(str(f.type))} | `{json.dumps(f.default)}` | "
            f"{_cell(str(f.metadata['help']))}{_choices(f.metadata)} |"
            for f in fields(kind)
        ]

    head = ["", "| setting | type | default | |", "|---|---|---|---|"]
    example = json.dumps({"recipe": {**Recipe().to_dict(), **RunOptions().to_dict()}}, indent=2)
    lines = [
        _RECIPE_HEAD,
        *head,
        *rows(Recipe),
        "",
        "How it runs, and what is written, stands beside these; the labels do not depend on it:",
        *head,
        *rows(RunOptions),
        "",
        "All defaults as a file:",
        "",
        "```json",
        example,
        "```",
    ]
    return "\n".join(lines) + "\n"


def _type_in_words(annotation: str) -> str:
    kinds = annotation.removesuffix(" | None")
    return _TYPES.get(kinds, kinds) + (" or null" if kinds != annotation else "")


def _choices(metadata: Any) -> str:
    return f": {', '.join(f'`{choice}`' for choice in metadata['choices'])}" if "choices" in metadata else ""


def _project_page(path: Path) -> str:
    """Return a file of the top level with its links as they are on the site."""
    text = path.read_text(encoding="utf-8").replace("](docs/", "](")
    return re.sub(rf"\]\(({'|'.join(PROJECT_FILES)})\.md", lambda found: f"]({found[1].lower()}.md", text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("[", "&#91;").replace("\n", " ")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
