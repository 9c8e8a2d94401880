"""Options and output that several commands share."""

import json
import os
from pathlib import Path
from typing import Any

import click

from ktg.errors import UserError

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
tracking_uri = click.option(
    "--tracking-uri",
    envvar="MLFLOW_TRACKING_URI",
    default="sqlite:///mlflow.db",
    show_default=True,
    help="The MLflow store: a file of this folder, or a server.",
)


def print_json(value: Any) -> None:
    """Print plain data as JSON on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def check_writable(path: Path) -> None:
    """Raise UserError unless a file can be written at `path`; leave nothing behind."""
    folder = path.absolute().parent
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give the name of a file")
    if not folder.is_dir():
        raise UserError(f"{path}: the folder {folder} does not exist")
    probe = folder / f".ktg-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"{path}: cannot write into {folder}: {error.strerror}") from None


def percent(share: float) -> str:
    """Return a share of one as a percentage."""
    return f"{100 * share:.2f} %"
