"""Reads HTML pages in tests."""

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "img", "br", "link", "input", "hr", "wbr"}


@dataclass
class Page(HTMLParser):
    """The elements, attributes and text of a page, and its numbers by their path in the data."""

    elements: Counter = field(default_factory=Counter)
    attributes: list = field(default_factory=list)
    numbers: dict = field(default_factory=dict)
    words: list = field(default_factory=list)
    open: list = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.elements[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.elements[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self.open.pop()
        assert opened == tag, f"<{opened}> is closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1][0] in ("style", "script"):
            return
        self.words.append(data)
        if self.open and self.open[-1][0] == "data":
            attributes = self.open[-1][1]
            self.numbers[attributes["data-at"]] = (attributes["value"], data)


def read(html: str) -> Page:
    """Return a page; fail where elements are not closed in order."""
    page = Page()
    page.feed(html)
    page.close()
    assert not page.open
    return page


def look_up(data: Any, path: str) -> Any:
    """Return what stands at a dotted path."""
    for step in path.split("."):
        data = data[int(step)] if isinstance(data, list | tuple) else data[step]
    return data
