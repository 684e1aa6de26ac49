"""Reads pages as a browser would, strictly."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "!doctype"}


class Page(HTMLParser):
    """A page whose elements must close in order; remembers what it shows and where it leads.

    Attributes
    ----------
    tags, text, sources, links : list of str
        Names of elements, pieces of text, and what ``src`` and ``href`` point to.
    """

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.text: list[str] = []
        self.sources: list[str] = []
        self.links: list[str] = []
        self._open: list[str] = []
        self.feed(content)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name == "src"]
        self.links += [value or "" for name, value in attrs if name == "href"]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1] == tag, f"{tag} closes {self._open[-1:]}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text.append(data)

    @property
    def words(self) -> str:
        """All that can be read, one piece a line."""
        return "\n".join(piece.strip() for piece in self.text if piece.strip())


def check_self_contained(content: str) -> Page:
    """Read a page and check that it loads nothing from anywhere."""
    page = Page(content)
    assert all(source.startswith("data:image/") for source in page.sources)
    assert not {"script", "link", "iframe", "object", "embed"} & set(page.tags)
    for sign in ("http://", "https://", "url(", "@import"):
        assert sign not in content
    return page
