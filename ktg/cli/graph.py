"""Defines `ktg graph show`."""

import json
from pathlib import Path

import click

from ktg.api.graphs import describe
from ktg.cli import options
from ktg.cli.screen import echo, print_json
from ktg.wording import count


@click.group(no_args_is_help=False)
def graph() -> None:
    """Look at a graph."""


@graph.command(epilog="Example: ktg graph show best.yaml -o best.svg")
@click.argument("file", type=options.A_FILE)
@options.file("-o", "--output", help="Draw the graph into this SVG file.")
@click.option(
    "--full", is_flag=True, help="Every setting, those of each node's recipe marked as such."
)
@options.as_json
def show(file: Path, output: Path | None, full: bool, as_json: bool) -> None:
    """Print what FILE trains: live nodes, teachers, open edges; draw it with -o.

    Of a search space it is the graph whose holes all have their default, with which the baselines
    begin.
    """
    found = describe(file, output, full=full)
    if as_json:
        print_json(found)
        return
    if "holes" in found:
        holes = f"a search space of {count(len(found['holes']), 'hole')}"
        echo(f"{file}: {holes}; with all of them at their default:")
    for name, node in found["nodes"].items():
        echo(f"{name:<8} {node['role']:<10} {node['model']}, from {node.get('source', 'none')}")
    for name, edge in found["open_edges"].items():
        echo(f"{name:<19} " + ", ".join(f"{field} {value}" for field, value in edge.items()))
    for path, value in found.get("settings", {}).items():
        shown = "" if value is None else json.dumps(value, ensure_ascii=False)
        echo(f"{path:<35} {shown}" + ("  (recipe)" if path in found["recipe"] else ""))
    if output:
        echo(f"drawn in {output}")
