"""The `?` beside a section, which opens its part of the documentation."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QEvent, Qt, QUrl
from qtpy.QtGui import QDesktopServices, QPalette
from qtpy.QtWidgets import QDialog, QHBoxLayout, QTextBrowser, QToolButton, QVBoxLayout, QWidget

from .colors import Colors
from .layout import heading, in_row

PAGE = "window.md"
_SIZE, _SIDE = (520, 420), 18


def docs_folder() -> Path:
    """Return the folder of the pages: in the installed package, or beside the source."""
    package = Path(__file__).resolve().parents[2]
    inside = package / "docs"
    return inside if inside.is_dir() else package.parents[1] / "docs"


def section_of(topic: str) -> str:
    """Return a section of the page about the window, as Markdown; all of it where there is none of that name."""
    page = (docs_folder() / PAGE).read_text(encoding="utf-8")
    start = page.find(f"## {topic}\n")
    return page if start < 0 else page[start:].split("\n## ", 1)[0]


class HelpWindow(QDialog):
    """A section of the documentation; its links open other pages in their place, and those of the web in a browser."""

    def __init__(self, topic: str, parent: QWidget | None = None, link: str = "") -> None:
        super().__init__(parent, objectName="help")
        self._link = link
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(*_SIZE)
        self.browser = QTextBrowser()
        self.browser.setOpenLinks(False)
        self.browser.anchorClicked.connect(self._on_link)
        column = QVBoxLayout(self)
        column.addWidget(self.browser)
        self._show(topic, section_of(topic))

    def _show(self, title: str, text: str) -> None:
        self.setWindowTitle(title)
        self.browser.setMarkdown(text)
        if self._link:
            # Qt paints links in the blue of the system, which cannot be read on a dark theme.
            blue = self.palette().color(QPalette.ColorRole.Link).name()
            self.browser.setHtml(self.browser.toHtml().replace(f"color:{blue}", f"color:{self._link}"))

    def _on_link(self, url: QUrl) -> None:
        path = docs_folder() / url.path()
        if url.isRelative() and path.is_file():
            self._show(path.stem, path.read_text(encoding="utf-8"))
        else:
            QDesktopServices.openUrl(url)


class HelpButton(QToolButton):
    """The `?` of a section; it answers also while the section is asleep.

    Parameters
    ----------
    topic : str
        Heading of the section's part of the page.
    """

    def __init__(self, topic: str, parent: QWidget | None = None) -> None:
        super().__init__(parent, objectName=f"help_{topic}")
        self._topic, self._link = topic, ""
        self.setText("?")
        self.setFixedSize(_SIDE, _SIDE)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAccessibleName(f"Help: {topic}")
        self.setToolTip(f"{topic}: what it does, and how.")
        self.clicked.connect(self._open)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._link = colors.accent.name()

    def event(self, event: QEvent) -> bool:
        """Answer where Qt lets nothing through, in a section without cells."""
        if event.type() == QEvent.Type.MouseButtonRelease and not self.isEnabled():
            self._open()
            return True
        return bool(super().event(event))

    def _open(self) -> None:
        HelpWindow(self._topic, self.window(), self._link).show()


def titled(text: str, topic: str = "") -> QHBoxLayout:
    """Return the heading of a section with its `?`."""
    return in_row(heading(text), None, HelpButton(topic or text))
