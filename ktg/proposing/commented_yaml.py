"""Writes reasons as comments above the places of a YAML text that they are about."""

import re
import textwrap
from collections.abc import Mapping

_WIDTH = 99
_KEY = re.compile(r"( *)((?:'[^']*'|[^:'])+):(?: |$)")


def weave_comments(text: str, reasons: Mapping[str, str]) -> list[str]:
    """Return the lines of YAML with each reason as a comment above its place.

    Where several places share a line, so do their reasons.
    """
    waiting = dict(reasons)
    lines: list[str] = []
    stack: list[tuple[int, str]] = []
    for line in text.splitlines():
        found = _KEY.match(line)
        if found:
            indent = len(found[1])
            stack = [(depth, path) for depth, path in stack if depth < indent]
            above = f"{stack[-1][1]}." if stack else ""
            path = above + found[2].strip("'")
            stack.append((indent, path))
            is_open = line.endswith(":")  # what lies deeper has lines of its own
            own = [
                place
                for place in waiting
                if place == path or (not is_open and place.startswith(f"{path}."))
            ]
            for place in own:
                # A line that holds several keys says of each comment which one it is about.
                named = "" if place == path else f"{place.removeprefix(f'{path}.')}: "
                lines.append(write_comment(named + waiting.pop(place), indent))
        lines.append(line)
    return lines


def write_comment(text: str, indent: int) -> str:
    """Return a text as lines of a YAML comment, wrapped, behind so many spaces.

    >>> write_comment("a side in pixels", 2)
    '  # a side in pixels'
    """
    mark = " " * indent + "# "
    wrapped = textwrap.wrap(
        text, _WIDTH - len(mark), break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(mark + line for line in wrapped)
