"""Pages that a browser shows without a network: text, tables and pictures in one file."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from ..imaging.write.atomic import atomic_path
from ..results.origin import check_origin

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --quiet: #777; --accent: #2a78d6; --alarm: #c62828; }
@media (prefers-color-scheme: dark) { :root { --quiet: #aaa; --accent: #6cb2ff; --alarm: #ff8a80; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1.2rem; max-width: 75rem; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2.4rem; }
a { color: var(--accent); } .quiet { color: var(--quiet); } .alarm { color: var(--alarm); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0 1.2rem; }
caption { text-align: left; color: var(--quiet); padding-bottom: .3rem; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; } td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.facts { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1.2rem 0; }
.facts b { display: block; font-size: 1.5rem; line-height: 1.2; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); gap: 1rem; }
figure { margin: 0; min-width: 0; } figcaption { font-size: .85rem; line-height: 1.35; overflow-wrap: anywhere; }
figure img { display: block; max-width: 100%; height: auto; border-radius: 3px; margin-bottom: .3rem; }
figure.flagged img { outline: 3px solid var(--alarm); outline-offset: 1px; }
svg { max-width: 100%; height: auto; font: 12px system-ui, sans-serif; } svg text { fill: currentColor; }
pre { background: var(--soft); padding: .6rem .9rem; overflow-x: auto; } code { overflow-wrap: anywhere; }
@media print { .gallery { grid-template-columns: repeat(5, 1fr); } figure, tr { break-inside: avoid; } }
"""


class Html(str):
    """Text that is HTML already; every other text is escaped where it is put into a page."""

    __slots__ = ()


def escape(value: object) -> Html:
    """Return text as HTML that shows it as it is; None is empty, and `Html` stays."""
    if isinstance(value, Html):
        return value
    # A file name need not be valid text: invalid bytes are escaped, so that the page can be written.
    text = "" if value is None else str(value).encode("utf-8", "backslashreplace").decode()
    return Html(html.escape(text))


def tag(name: str, *content: object, **attributes: object) -> Html:
    """Return an element; attributes that are None are skipped, and ``class_`` stands for ``class``."""
    pairs = "".join(f' {key.rstrip("_")}="{escape(v)}"' for key, v in attributes.items() if v is not None)
    return Html(f"<{name}{pairs}>{''.join(map(escape, content))}</{name}>")


def page(title: str, *content: object) -> str:
    """Return a whole page, with the title as its heading.

    Parameters
    ----------
    title : str
    *content : Html or str
        One below the other.
    """
    body = "\n".join(escape(part) for part in content)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="generator" content="napari-cellseg">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # The policy forbids loading anything, whatever a file name contains.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def write_page(path: Path, title: str, *content: object, overwrite: bool = False) -> Path:
    """Write a page, whole or not at all.

    Raises
    ------
    OutputError
        There is a file of that name that this package did not write (unless `overwrite`), or the system refused to
        write.
    """
    if not overwrite:
        check_origin(path)
    with atomic_path(path) as temporary:
        temporary.write_text(page(title, *content), encoding="utf-8", newline="\n")
    return path


def section(title: str, *content: object) -> Html:
    """Return a heading with its content; empty without content."""
    kept = [part for part in content if part not in (None, "")]
    return tag("section", tag("h2", title), *kept) if kept else Html("")


def paragraph(*content: object, quiet: bool = False) -> Html:
    """Return a paragraph; a quiet one is printed paler."""
    return tag("p", *content, class_="quiet" if quiet else None)


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Return a row of large figures, each over its name."""
    return tag("div", *(tag("div", tag("b", value), name) for name, value in pairs), class_="facts")


def table(header: Sequence[object], rows: Iterable[Sequence[object]], caption: str | None = None) -> Html:
    """Return a table; numbers stand to the right, NaN and None are empty.

    Parameters
    ----------
    header : sequence of str
    rows : iterable of sequences
        Text, numbers, None or `Html`.
    caption : str, optional
    """
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in header)))
    body = tag("tbody", *(tag("tr", *map(_cell, row)) for row in rows))
    return tag("div", tag("table", *([tag("caption", caption)] if caption else []), head, body), class_="wide")


def _cell(value: object) -> Html:
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return tag("td", f"{value:,}", class_="number")
    if isinstance(value, (float, np.floating)):
        return tag("td", f"{value:,.4g}" if np.isfinite(value) else "", class_="number")
    return tag("td", value)


def data_uri(picture: np.ndarray | bytes) -> str:
    """Return a picture as a text that stands for its address.

    Parameters
    ----------
    picture : ndarray or bytes
        uint8, (Y, X) or (Y, X, 3), becomes a PNG; bytes are those of a PNG or JPEG file.
    """
    if isinstance(picture, np.ndarray):
        buffer = io.BytesIO()
        PillowImage.fromarray(picture).save(buffer, "PNG", optimize=True)
        picture = buffer.getvalue()
    kind = "jpeg" if picture.startswith(b"\xff\xd8") else "png"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"


def figure(
    picture: np.ndarray | bytes | None,
    *caption: object,
    alt: str = "",
    href: str | None = None,
    flagged: bool = False,
) -> Html:
    """Return a picture with its caption.

    Parameters
    ----------
    picture : ndarray or bytes or None
        See `data_uri`; None leaves the caption alone.
    *caption : str or Html
    alt : str
        What the picture shows, for those who cannot see it.
    href : str, optional
        Where a click leads, relative to the page.
    flagged : bool
        Drawn with a frame that asks for a look.
    """
    # The element img has no end.
    shown = Html("") if picture is None else Html(f'<img src="{data_uri(picture)}" alt="{escape(alt)}">')
    if href is not None:
        shown = tag("a", shown, href=href)
    return tag("figure", shown, tag("figcaption", *caption), class_="flagged" if flagged else None)


def gallery(figures: Iterable[Html]) -> Html:
    """Return figures side by side, as many to a row as fit."""
    return tag("div", *figures, class_="gallery")
