"""`ktg source`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from ktg.cli.available import list_
from ktg.cli.options import as_json, check_writable, print_json
from ktg.graph import FormulaName

if TYPE_CHECKING:
    from ktg.data.formula.fractal.family import Generator

C = TypeVar("C", bound=Callable[..., Any])

_PICTURES = (".png", ".jpg", ".jpeg", ".webp")
# Options that only some generators have. An instance means another thing to each.
_ONLY = {"instances": {"fractaldb": "masks", "svd": "instances"}}
_ONLY |= {name: {"fractaldb": name, "ofdb": name} for name in ("scale", "patch")}
_ONLY["colour"] = {"fractaldb": "colour", "ofdb": "colour", "svd": "colour"}


def generator_options(command: C) -> C:
    """Add the options that say what is drawn."""
    options = (
        click.option(
            "--family",
            type=click.Choice(get_args(FormulaName)),
            default="fractaldb",
            show_default=True,
        ),
        click.option(
            "--size",
            type=click.IntRange(13),
            default=256,
            show_default=True,
            help="Pixels of a side.",
        ),
        click.option(
            "--points", type=click.IntRange(1, 2**27 - 1), default=100_000, show_default=True
        ),
        click.option(
            "--scale", type=float, help="How far variants lie apart: fractaldb 0.4, ofdb 0.1."
        ),
        click.option(
            "--patch/--point", default=None, help="3x3 masks (the default), or single pixels."
        ),
        click.option(
            "--colour/--gray", default=None, help="By default as published: all gray but svd."
        ),
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def source() -> None:
    """See what weights a node can start from, make some, or draw the pictures to pretrain on."""


source.add_command(list_)


@source.group()
def fractal() -> None:
    """Draw labelled pictures by formulas."""


@fractal.command(
    epilog="Example: ktg source fractal render --out fractaldb-60 --categories 60 --scale 0.4"
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to make.")
@click.option(
    "--categories", type=click.IntRange(1), default=1000, show_default=True, help="Classes."
)
@click.option(
    "--instances",
    type=click.IntRange(1),
    help="Of each class for svd; for fractaldb, of each of its 25 variants in 4 flips: 10 make 1,000 pictures.",
)
@generator_options
@click.option("--threads", type=click.IntRange(1), help="By default one for each core.")
@click.option("--resume", is_flag=True, help="Go on with a folder begun before.")
@as_json
def render(
    out: Path, categories: int, threads: int | None, resume: bool, as_json: bool, **given: Any
) -> None:
    """Write a folder of pictures for each class, named as in the official FractalDB."""
    from ktg.data.formula.folder import write_folder
    from ktg.data.formula.fractal import settings_of
    from ktg.data.parallel import cores

    formula = generator(categories, **given)
    pictures = formula.classes * formula.instances
    with progress_bar("drawing", pictures) as advance:
        settings = settings_of(formula)
        threads = threads or cores()
        written = write_folder(
            formula, out, settings, resume=resume, threads=threads, progress=advance
        )
    if as_json:
        print_json(
            {
                "folder": str(out),
                "classes": formula.classes,
                "pictures": pictures,
                "written": written,
            }
        )
    else:
        click.echo(
            f"{out}: {formula.classes} classes, {pictures} pictures, {written} of them written now"
        )


@fractal.command(epilog="Example: ktg source fractal sheet -o fractals.png --family svd")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Picture to write: .png, .jpg or .webp.",
)
@click.option("--rows", type=click.IntRange(1), default=4, show_default=True, help="Classes.")
@click.option(
    "--columns", type=click.IntRange(1), default=8, show_default=True, help="Pictures of each."
)
@generator_options
def sheet(out: Path, rows: int, columns: int, **given: Any) -> None:
    """Draw a contact sheet, to see what a generator makes."""
    from PIL import Image

    from ktg.data.formula.sheet import sheet

    if out.suffix.lower() not in _PICTURES:
        raise click.UsageError(
            f"--out {out}: ends in {out.suffix or 'nothing'}; allowed: {', '.join(_PICTURES)}"
        )
    check_writable(out)
    drawn = sheet(generator(rows * columns, **given), rows, columns)
    Image.fromarray(drawn).save(out, optimize=True)
    click.echo(f"{out}: {drawn.shape[1]} x {drawn.shape[0]} pixels")


def generator(classes: int, family: FormulaName, **given: Any) -> "Generator":
    """Return the generator that the options ask for; refuse options that it does not have."""
    from ktg.data.formula.fractal import make_formula

    settings = {}
    for option, value in given.items():
        names = _ONLY.get(option, {family: option})
        if value is not None and family not in names:
            raise click.UsageError(
                f"--{option} is an option of {' and '.join(names)}, not of {family}"
            )
        if value is not None:
            settings[names[family]] = value
    with progress_bar("searching", classes) as advance:
        return make_formula(family, classes, progress=lambda *_: advance(1), **settings)


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error, from the first step on; give the function that takes steps."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, visible=False)
        yield lambda steps: bar.update(task, advance=steps, visible=True)
