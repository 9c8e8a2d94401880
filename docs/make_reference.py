"""Writes docs/yaml.md, docs/cli.md and docs/scores.md from the code.

    python docs/make_reference.py

The pages describe the fields of the file format with their rules, the commands, and the affinity
scores. A test runs this file and compares, so that the pages cannot become stale.
"""

import dataclasses
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import click

from ktg.affinity import SCORES
from ktg.cli import commands
from ktg.graph import Data, Edge, Formula, Node, Search, SourceFile, Train
from ktg.graph.fields import type_hints

DOCS = Path(__file__).parent
SECTIONS: dict[str, tuple[type, str]] = {
    "data": (Data, "The images: either `name` or `path`, the rest is optional."),
    "data.formula": (
        Formula,
        "What is drawn, where `data.name` is a formula. See [pictures by formula](fractals.md).",
    ),
    "train": (Train, "How every node is trained, unless the node says otherwise."),
    "nodes": (
        Node,
        "A mapping from names to nodes; the first is the target, which is scored and exported.",
    ),
    "edges": (
        Edge,
        "A mapping from `SOURCE -> TARGET` to an edge; the source may be `label`, and `any` stands "
        "for every node. A line for two nodes wins over one with `any`. An edge that is not there "
        "teaches nothing.",
    ),
    "sources": (
        SourceFile,
        "A mapping from names, which a node's `source` may use, to files of weights. `weights` is "
        "the same for files that stand for `source: imagenet`: a mapping from models to a file, or "
        "to a mapping with these keys.",
    ),
    "search": (Search, "How a search space is searched; only in the file of a space."),
}
TARGET = """## target
What is scored and exported: `first`, the first node (the default), or `ensemble`, the mean of the
probabilities of all nodes. An ensemble has every node that any open edge touches; nodes that
nothing teaches are trained alone before.
"""
HEAD = """# The file format
Made from the code by `docs/make_reference.py`. A graph file and a search space share one format;
`ktg check --schema` prints it as JSON Schema for editors. [Concepts](concepts.md) explains the
words.

```yaml
name: birds                                          # of the experiment; only in a space
data: {path: photos/birds, size: 128}                # relative to the folder of this file
train: {epochs: {choice: [30, 60]}}                  # a hole: this file is a space, not a graph
weights: {mobilenetv2_100: mobilenetv2.safetensors}  # a file that stands for imagenet
sources: {insects: {path: insects.pth, mean: 0.5, std: 0.5}}
nodes:
  n0: {model: mobilenetv2_100, source: {choice: [imagenet, insects]}}
  n1: {model: mobilenetv2_100, source: imagenet}
edges:
  label -> any: {gate: through}
  n1 -> n0: {gate: {choice: [through, cutoff, linear, correct]}}
search: {trials: 50}
```

Only `data`, `nodes` and `edges` are needed. `ktg export` adds `version`, and `provenance`, which
says where a graph comes from.
"""
HOLES = """## Holes
Any value may be a hole in a search space. Every option is checked before anything is trained.

| hole | meaning |
|---|---|
| `{choice: [a, b]}` | one of these; the first is the default, which the baselines use |
| `{int: [1, 8]}` | a whole number, both ends included |
| `{uniform: [0.1, 0.9]}` | any number between |
| `{log: [0.001, 0.1]}` | any number between, evenly over orders of magnitude |
""" + (
    "| `source: {affinity: {among: [none, imagenet, zoo/*], keep: 2}}` "
    "| those that [affinity](affinity.md) ranks first |\n"
)
CLI_HEAD = """# Commands
Made from the code by `docs/make_reference.py`. Every command exits with 0, with 2 on a mistake of
the user's (one sentence, nothing is written), with 1 on a failure, and with 130 when interrupted.

Your shell completes commands and options after `eval "$(_KTG_COMPLETE=bash_source ktg)"`, which
belongs into `~/.bashrc`; for zsh it is `zsh_source`, in `~/.zshrc`, and for fish
`_KTG_COMPLETE=fish_source ktg | source`, in `~/.config/fish/completions/ktg.fish`.
"""
SCORES_HEAD = """# Affinity scores
Made from the code by `docs/make_reference.py`. [Affinity](affinity.md) says what they are for, and
how far to trust them. All look at training images only.

| score | better | proposed by | needs, besides features and labels | trap |
|---|---|---|---|---|"""
# What scores need besides features and labels.
_NEEDS = {
    "source_probs": "the source's head",
    "class_distance": "distances between names of classes",
    "source_means": "mean features of the source's classes",
}
# Defaults of files that are no defaults in code, because the parser fills them in.
_DEFAULTS = {(Edge, "loss"): "`ce` from `label`, else `kl`"}
_BOUNDS = {"above": ">", "at_least": ">=", "below": "<", "at_most": "<="}


def main() -> None:
    """Write every page."""
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """Return every page by the name of its file."""
    return {"yaml.md": yaml_page(), "cli.md": cli_page(), "scores.md": scores_page()}


def yaml_page() -> str:
    """Return the reference of graph and space files."""
    parts = [HEAD]
    for name, (record, what) in SECTIONS.items():
        head = f"## {name}\n{what}\n\n| key | allowed | default | meaning |\n|---|---|---|---|"
        parts.append("\n".join([head, *rows(record)]) + "\n")
        if name == "train":
            parts.append(TARGET)
    return "\n".join([*parts, HOLES])


def rows(record: Any) -> Iterator[str]:
    """Yield a row of a table for each field of a dataclass."""
    hints = type_hints(record)
    for field in dataclasses.fields(record):
        own = _DEFAULTS.get((record, field.name))
        values = describe_values(hints[field.name], field.metadata["bounds"])
        cells = (f"`{field.name}`", values, own or format_default(field), field.metadata["doc"])
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def describe_values(hint: Any, bounds: Mapping[str, float]) -> str:
    """Return the values that a field may have, in words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in args)
    if origin in (Union, types.UnionType):
        return " or ".join(describe_values(part, bounds) for part in args if part is not type(None))
    if origin is tuple:
        return f"list of {describe_values(args[0], bounds)}"
    if origin is not None:
        return "mapping"
    if dataclasses.is_dataclass(hint):
        return "mapping"
    word = {str: "text", int: "whole number", float: "number", bool: "`true`, `false`"}[hint]
    limits = " and ".join(
        f"{sign} {bounds[name]:,}" for name, sign in _BOUNDS.items() if name in bounds
    )
    return f"{word} {limits}".strip() if hint in (int, float) else word


def format_default(field: dataclasses.Field[Any]) -> str:
    """Return the default of a field as YAML has it, `required` if there is none."""
    default = field.default
    if default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
        return "required"
    if default is None or default is dataclasses.MISSING or default == ():
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def cli_page() -> str:
    """Return the help of every command."""
    parts = [CLI_HEAD]
    for words, command in leaves(commands, ("ktg",)):
        context = click.Context(
            command, info_name=" ".join(words), max_content_width=100, terminal_width=100
        )
        parts.append(f"## {' '.join(words)}\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def scores_page() -> str:
    """Return the table of affinity scores."""
    lines = [SCORES_HEAD]
    for name, score in SCORES.items():
        needs = ", ".join(_NEEDS[need] for need in score.needs if need in _NEEDS)
        lines.append(f"| `{name}` | {score.better} | {score.reference} | {needs} | {score.trap} |")
    return "\n".join(lines) + "\n"


def leaves(
    command: click.Command, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command that is not a group, with the words that call it."""
    if not isinstance(command, click.Group):
        yield words, command
        return
    for name, child in sorted(command.commands.items()):
        yield from leaves(child, (*words, name))


if __name__ == "__main__":
    main()
