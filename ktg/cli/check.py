"""Defines `ktg check`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktg import api
from ktg.api.graphs import make_space_schema
from ktg.cli import options
from ktg.cli.screen import echo, print_json

if TYPE_CHECKING:
    from ktg.api.search import Missing


@click.command(epilog="Example: ktg check search_spaces/quickstart.yaml")
@click.argument("file", type=options.A_FILE, required=False)
@options.flag("--schema", help="Print the JSON Schema of search spaces instead, for an editor.")
@options.imagenet("--weights", "--imagenet")
@options.missing_sources
@options.flag("--quick", help="Do not measure, by a few real steps, how long a training takes.")
@options.as_json
def check(
    file: Path | None,
    schema: bool,
    imagenet: dict[str, str],
    missing_sources: "Missing",
    quick: bool,
    as_json: bool,
) -> None:
    """Check a space, a graph, a folder or an .npz of images, and say what it would cost."""
    if schema:
        echo(json.dumps(make_space_schema(), indent=2))
        return
    if file is None:
        raise click.UsageError("Missing argument 'FILE'.")
    found = api.check(file, imagenet=imagenet, missing_sources=missing_sources, quick=quick)
    if as_json:
        print_json(found)
        return
    for what, value in found.items():
        echo(f"{what:<12} {value if not isinstance(value, dict | list) else ''}".rstrip())
        for key, count in (value if isinstance(value, dict) else {}).items():
            echo(f"  {key:<10} {count}")
        for sentence in value if isinstance(value, list) else []:
            echo(f"  {sentence}")
