"""Defines `ktg data`."""

from pathlib import Path
from typing import Any

import click

from ktg.api.data import AUGMENTS, draw_views
from ktg.cli import options
from ktg.cli.screen import Screen, echo


@click.group()
def data() -> None:
    """Look at images."""


@data.command(epilog="Example: ktg data show photos/birds --augment pspnet -o sheet.png")
@click.argument("images")
@click.option("--augment", type=click.Choice(AUGMENTS), help="By default all, one row each.")
@click.option(
    "-o",
    "--output",
    type=options.A_FILE,
    required=True,
    help="Picture to write: .png, .jpg or .webp.",
)
@options.count("--rows", 4, "Views of each image.")
@options.count("--columns", 8, "Images.")
@click.option(
    "--size", type=click.IntRange(4, 2048), help="Side of the images; default: as `size` in `data`."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def show(images: str, output: Path, **settings: Any) -> None:
    """Draw what augmentation makes of training images.

    IMAGES are a folder, an .npz, or a data set known by name. The first row shows them as they are.
    """
    with Screen(stderr=True) as screen:
        drawn = draw_views(images, output, listener=screen.listener, **settings)
    (width, height), shown = drawn
    echo(f"{output}: {width} x {height} pixels; from the top: {', '.join(shown)}")
