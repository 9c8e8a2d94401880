"""Writes docs/yaml.md and docs/cli.md from the code: the fields of a file with their rules, and every command.

    python docs/make_reference.py

A test runs it and compares, so that the pages cannot fall behind.
"""

import dataclasses
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import click

from ktg.cli import commands
from ktg.spec import Data, Edge, Node, Search, SourceFile, Train
from ktg.spec.fields import type_hints

DOCS = Path(__file__).parent
SECTIONS: dict[str, tuple[type, str]] = {
    "data": (Data, "The images."),
    "train": (Train, "How every node is trained, unless the node says otherwise."),
    "nodes": (Node, "A mapping from names to nodes; the first is the target, which is scored and exported."),
    "edges": (
        Edge,
        "A mapping from `SOURCE -> TARGET` to an edge; the source may be `label`, and `any` stands for every node. A "
        "line for two nodes wins over one with `any`. An edge that is not there teaches nothing.",
    ),
    "sources": (SourceFile, "A mapping from names, which a node's `source` may use, to files of weights."),
    "search": (Search, "How a search space is searched; only in the file of a space."),
}
HOLES = """## Holes
Any value may be a hole in a search space. Every option is checked before anything is trained.

| hole | meaning |
|---|---|
| `{choice: [a, b]}` | one of these; the first is the default, which the baselines use |
| `{int: [1, 8]}` | a whole number, both ends included |
| `{uniform: [0.1, 0.9]}` | any number between |
| `{log: [0.001, 0.1]}` | any number between, evenly over orders of magnitude |
| `source: {affinity: {among: [none, imagenet, zoo/*], keep: 2}}` | those that [affinity](affinity.md) ranks first |
"""
_BOUNDS = {"above": ">", "at_least": ">=", "below": "<", "at_most": "<="}


def main() -> None:
    """Write both pages."""
    (DOCS / "yaml.md").write_text(yaml_page(), encoding="utf-8")
    (DOCS / "cli.md").write_text(cli_page(), encoding="utf-8")


def yaml_page() -> str:
    """Return the reference of graph and space files."""
    parts = [
        "# The file format\nMade from the code by `docs/make_reference.py`. A graph file and a search space share one "
        "format; `ktg check --schema` prints it as JSON Schema for editors.\n"
    ]
    for name, (record, what) in SECTIONS.items():
        parts.append(f"## {name}\n{what}\n\n| key | allowed | default | meaning |\n|---|---|---|---|")
        parts[-1] += "".join(f"\n{row}" for row in rows(record)) + "\n"
    return "\n".join([*parts, HOLES])


def rows(record: Any) -> Iterator[str]:
    """Yield a row of a table for each field of a dataclass."""
    hints = type_hints(record)
    for field in dataclasses.fields(record):
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        default = "required" if required else shown(field.default)
        cells = (
            f"`{field.name}`",
            allowed(hints[field.name], field.metadata["bounds"]),
            default,
            field.metadata["doc"],
        )
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def allowed(hint: Any, bounds: Mapping[str, float]) -> str:
    """Return the values that a field may have, in words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in args)
    if origin in (Union, types.UnionType):
        return " or ".join(allowed(part, bounds) for part in args if part is not type(None))
    if origin is tuple:
        return f"list of {allowed(args[0], bounds)}"
    if origin is not None:
        return "mapping"
    if dataclasses.is_dataclass(hint):
        return "mapping"
    word = {str: "text", int: "whole number", float: "number", bool: "`true`, `false`"}[hint]
    limits = " and ".join(f"{sign} {bounds[name]:g}" for name, sign in _BOUNDS.items() if name in bounds)
    return f"{word} {limits}".strip() if hint in (int, float) else word


def shown(default: Any) -> str:
    """Return a default as YAML has it."""
    if default is None or default is dataclasses.MISSING or default == ():
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def cli_page() -> str:
    """Return the help of every command."""
    parts = [
        "# Commands\nMade from the code by `docs/make_reference.py`. Every command exits with 0, with 2 on a mistake "
        "of the user's (one sentence, nothing is written), with 1 on a failure, and with 130 when interrupted.\n"
    ]
    for words, command in leaves(commands, ("ktg",)):
        context = click.Context(command, info_name=" ".join(words), max_content_width=100, terminal_width=100)
        parts.append(f"## {' '.join(words)}\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def leaves(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command that is not a group, with the words that call it."""
    if not isinstance(command, click.Group):
        yield words, command
        return
    for name, child in sorted(command.commands.items()):
        yield from leaves(child, (*words, name))


if __name__ == "__main__":
    main()
