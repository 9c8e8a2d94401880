"""Defines `ktg source` and its commands, but for `ktg source pretrain`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg.api.sources import FAMILIES, draw_fractal_sheet, list_sources, render_fractals
from ktg.cli import options
from ktg.cli.screen import Screen, echo, print_json
from ktg.cli.tables import make_table

if TYPE_CHECKING:
    from ktg.api.sources import Available, FormulaName

_HERE = {True: "yes", False: "no", None: ""}
# Options that only some families have, by what their generators call them. An instance means
# another thing to each.
_ONLY = {"instances": {"fractaldb": "masks", "svd": "instances"}}
_ONLY |= {name: {"fractaldb": name, "ofdb": name} for name in ("scale", "patch")}
_ONLY["colour"] = {"fractaldb": "colour", "ofdb": "colour", "svd": "colour"}

generator_options = options.add_options(
    click.option("--family", type=click.Choice(FAMILIES), default="fractaldb", show_default=True),
    options.count("--size", 256, "Pixels of a side.", least=13),
    click.option("--points", type=click.IntRange(1, 2**27 - 1), default=100_000, show_default=True),
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


@click.group()
def source() -> None:
    """See what weights a node can start from, make some, or draw the pictures to pretrain on."""


@source.command("list", epilog="Example: ktg source list --model resnet18")
@click.option("--model", help="Only what this architecture can start from.")
@options.zoo_folder
@options.as_json
def list_(model: str | None, zoo: Path | None, as_json: bool) -> None:
    """List what a node can name as its source, and whether it is on this machine."""
    rows, faults = list_sources(model=model, zoo=zoo)
    if as_json:
        print_json({"sources": [asdict(row) for row in rows], "faults": faults})
        return
    print_sources(rows)
    for fault in faults:
        echo(f"not listed: {fault}", err=True)


@source.group()
def fractal() -> None:
    """Draw labelled pictures by formulas."""


@fractal.command(
    epilog="Example: ktg source fractal render --out fractaldb-60 --categories 60 --scale 0.4"
)
@click.option("--out", type=options.A_FILE, required=True, help="Folder to make.")
@options.count("--categories", 1000, "Classes.")
@options.count(
    "--instances",
    help="Of each class for svd; for fractaldb, of each of its 25 variants in 4 flips: "
    "10 make 1,000 pictures.",
)
@generator_options
@options.count("--threads", help="By default one for each core.")
@options.flag("--resume", help="Go on with a folder begun before.")
@options.as_json
def render(
    out: Path, categories: int, family: "FormulaName", resume: bool, as_json: bool, **given: Any
) -> None:
    """Write a folder of pictures for each class, named as in the official FractalDB."""
    threads, settings = given.pop("threads"), name_settings(family, given)
    with Screen(stderr=True) as screen:
        found = render_fractals(
            out,
            family,
            categories,
            settings,
            threads=threads,
            resume=resume,
            listener=screen.listener,
        )
    if as_json:
        print_json(found)
        return
    written = f"{found['pictures']} pictures, {found['written']} of them written now"
    echo(f"{out}: {found['classes']} classes, {written}")


@fractal.command(epilog="Example: ktg source fractal sheet -o fractals.png --family svd")
@click.option(
    "-o", "--out", type=options.A_FILE, required=True, help="Picture to write: .png, .jpg or .webp."
)
@options.count("--rows", 4, "Classes.")
@options.count("--columns", 8, "Pictures of each.")
@generator_options
def sheet(out: Path, rows: int, columns: int, family: "FormulaName", **given: Any) -> None:
    """Draw a contact sheet, to see what a generator makes."""
    settings = name_settings(family, given)
    with Screen(stderr=True) as screen:
        width, height = draw_fractal_sheet(
            out, family, settings, rows=rows, columns=columns, listener=screen.listener
        )
    echo(f"{out}: {width} x {height} pixels")


def name_settings(family: "FormulaName", given: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given, by the names of a family's generator.

    Raises UsageError for one that the family does not have.
    """
    settings = {}
    for option, value in given.items():
        names = _ONLY.get(option, {family: option})
        if value is not None and family not in names:
            owners = " and ".join(names)
            raise click.UsageError(f"--{option} is an option of {owners}, not of {family}")
        if value is not None:
            settings[names[family]] = value
    return settings


def print_sources(rows: "list[Available]") -> None:
    """Print the sources as a table that fits 80 columns."""
    from rich.text import Text

    columns = ("source", "model", "here", "what it is")
    table = make_table(*columns, fold=columns, whole=("here",), simple=True)
    table.columns[-1].min_width = 20
    for row in rows:
        table.add_row(*map(Text, (row.source, row.model, _HERE[row.here], row.about)))
    Screen().console.print(table)
