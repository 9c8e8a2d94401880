"""Defines the options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ktg.api.inputs import STORE, read_imagenet_files

C = TypeVar("C", bound=Callable[..., Any])

A_FILE = click.Path(path_type=Path)
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
tracking_uri = click.option(
    "--tracking-uri",
    envvar="MLFLOW_TRACKING_URI",
    default=STORE,
    show_default=True,
    help="The MLflow store: a file of this folder, or a server.",
)
missing_sources = click.option(
    "--missing-sources",
    type=click.Choice(["stop", "drop"]),
    default="stop",
    show_default=True,
    help="Whether options without weights (not published, not in the zoo, offline) stop a search "
    "or are left out.",
)
device = click.option("--device", help="cpu, cuda, cuda:1; default: a GPU if there is one.")
calibrate = click.option(
    "--calibrate/--no-calibrate",
    default=True,
    help="Whether probabilities are made to mean something; of a network that is trained on the "
    "validation split too, this takes another training without it.",
)
address = click.option("--address", help="A running Ray cluster: auto, or ray://host:port.")
storage = click.option(
    "--storage", type=A_FILE, help="Folder for Ray's files; shared, on a cluster."
)
among = click.option(
    "--among",
    multiple=True,
    metavar="MODEL@SOURCE",
    help="A candidate; give several. Default: the search space's.",
)
zoo_folder = click.option(
    "--zoo", type=A_FILE, help="Folder of the zoo; default: $KTG_ZOO, else ~/.local/share/ktg/zoo."
)
HELP_IMAGENET = (
    "A file that stands for `source: imagenet` of a model, besides `weights:` in the file, or a "
    "YAML file with such a section; give several."
)


def imagenet(*names: str) -> Callable[[C], C]:
    """Return the option that names files for `source: imagenet`, as {model: absolute path}."""
    return click.option(
        *names,
        "imagenet",
        multiple=True,
        metavar="MODEL=FILE|YAML",
        callback=lambda _context, _option, texts: read_imagenet_files(texts, names[0]),
        help=HELP_IMAGENET,
    )


def file(*names: str, help: str) -> Callable[[C], C]:
    """Return an option for the path of a file or folder."""
    return click.option(*names, type=A_FILE, help=help)


def flag(*names: str, help: str) -> Callable[[C], C]:
    """Return an option without a value."""
    return click.option(*names, is_flag=True, help=help)


def count(
    name: str, default: int | None = None, help: str | None = None, least: int = 1
) -> Callable[[C], C]:
    """Return an option for a whole number of at least `least`, with its default in the help."""
    kind = click.IntRange(least)
    return click.option(name, type=kind, default=default, show_default=bool(default), help=help)


def add_options(*options: Callable[[Any], Any]) -> Callable[[C], C]:
    """Return a decorator that adds several options, in this order."""

    def add(command: C) -> C:
        for option in reversed(options):
            command = option(command)
        return command

    return add
