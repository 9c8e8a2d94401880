"""Options and output that several commands share."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ktg.errors import UserError, did_you_mean, show

if TYPE_CHECKING:
    from rich.console import Console

C = TypeVar("C", bound=Callable[..., Any])

missing_sources = click.option(
    "--missing-sources",
    type=click.Choice(["stop", "drop"]),
    default="stop",
    show_default=True,
    help="Whether options without weights (not published, not in the zoo, offline) stop a search or are left out.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
tracking_uri = click.option(
    "--tracking-uri",
    envvar="MLFLOW_TRACKING_URI",
    default="sqlite:///mlflow.db",
    show_default=True,
    help="The MLflow store: a file of this folder, or a server.",
)


def imagenet_files(*names: str) -> Callable[[C], C]:
    """Return the option that names files to stand for `source: imagenet`; its value is {model: absolute path}."""
    help_text = "A file that stands for `source: imagenet` of a model, besides `weights:` in the file; give several."
    return click.option(
        *names,
        "imagenet",
        multiple=True,
        metavar="MODEL=FILE",
        callback=_read_imagenet,
        help=help_text,
    )


def _read_imagenet(
    context: click.Context, option: click.Parameter, texts: tuple[str, ...]
) -> dict[str, str]:
    from ktg.models.names import check_model

    files: dict[str, str] = {}
    for text in texts:
        model, equals, file = text.partition("=")
        if not model or not equals or not file:
            raise UserError(
                f"--imagenet: {show(text)} is not MODEL=FILE, such as resnet18=resnet18.safetensors"
            )
        check_model(model, "--imagenet")
        if model in files:
            raise UserError(f"--imagenet: two files are given for {model}; a model has one")
        files[model] = str(Path(file).expanduser().absolute())
    return files


def print_json(value: Any) -> None:
    """Print plain data as JSON on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def check_writable(path: Path) -> None:
    """Raise UserError unless a file can be written at `path`; leave nothing behind."""
    folder = path.absolute().parent
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give the name of a file")
    if not folder.is_dir():
        raise UserError(f"{path}: there is no folder {folder}; create it first")
    if path.exists() and not os.access(path, os.W_OK):
        raise UserError(f"{path}: is there and may not be written")
    probe = folder / f".ktg-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"{path}: cannot write into {folder}: {error.strerror}") from None


def check_store(uri: str) -> None:
    """Raise UserError unless `uri` names a store of MLflow, and one that can be written where it is a file."""
    from ktg.tracking.store import check_uri, sqlite_file

    file = sqlite_file(check_uri(uri))
    if file is not None:
        check_writable(file)


def check_device(device: str | None) -> None:
    """Raise UserError for a device that ktg does not train on, or that this machine has not."""
    if device is None or device == "cpu":
        return
    if not re.fullmatch(r"cuda(:\d+)?", device):
        guess = did_you_mean(device, ("cpu", "cuda"))
        raise UserError(
            f"--device: {show(device)} is not a device; allowed: cpu, cuda, cuda:1 and so on.{guess}"
        )
    import torch

    count = torch.cuda.device_count()
    if int(device.partition(":")[2] or 0) >= count:
        raise UserError(f"--device: {device} is not on this machine; torch sees {count} GPUs here")


def warner(console: "Console") -> Callable[[str], None]:
    """Return a function that prints a warning without harm to what is drawn on the console."""
    return lambda message: console.print(
        message, style="yellow", markup=False, highlight=False, soft_wrap=True
    )


def percent(share: float) -> str:
    """Return a share of one as a percentage."""
    return f"{100 * share:.2f} %"
