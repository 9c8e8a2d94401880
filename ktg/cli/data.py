"""`ktg data`."""

from pathlib import Path
from typing import get_args

import click

from ktg.cli.decoding import Decoding
from ktg.cli.options import check_writable
from ktg.errors import UserError
from ktg.graph import Data
from ktg.graph.spec import AugmentName

_PICTURES = (".png", ".jpg", ".jpeg", ".webp")


@click.group()
def data() -> None:
    """Look at images."""


@data.command(epilog="Example: ktg data show photos/birds --augment pspnet -o sheet.png")
@click.argument("images")
@click.option(
    "--augment", type=click.Choice(get_args(AugmentName)), help="By default all, one row each."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="Picture to write: .png, .jpg or .webp.",
)
@click.option(
    "--rows", type=click.IntRange(1), default=4, show_default=True, help="Views of each image."
)
@click.option("--columns", type=click.IntRange(1), default=8, show_default=True, help="Images.")
@click.option(
    "--size", type=click.IntRange(4, 2048), help="Side of the images; default: as `size` in `data`."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def show(
    images: str,
    augment: AugmentName | None,
    output: Path,
    rows: int,
    columns: int,
    size: int | None,
    seed: int,
) -> None:
    """Draw what augmentation makes of training images: a folder, an .npz, or a data set known by name.

    The first row shows the images as they are.
    """
    spec = named(images, size)
    if output.suffix.lower() not in _PICTURES:
        raise UserError(
            f"-o: {output} ends in {output.suffix or 'nothing'}; allowed: {', '.join(_PICTURES)}"
        )
    check_writable(output)

    import torch
    from PIL import Image
    from rich.console import Console

    from ktg.data.augment.sheet import sheet
    from ktg.data.open import open_data
    from ktg.local import atomic_write

    with Decoding(Console(stderr=True)) as decoding:
        train = open_data(spec, progress=decoding).train
    shown = [place * len(train) // columns for place in range(min(columns, len(train)))]
    pixels = torch.from_numpy(train.read(shown)).permute(0, 3, 1, 2).contiguous()
    names: list[AugmentName] = [
        "none",
        *([augment] * rows if augment else get_args(AugmentName)[1:]),
    ]
    drawn = sheet(pixels, names, seed)
    with atomic_write(output) as temporary:
        Image.fromarray(drawn).save(
            temporary, format=Image.registered_extensions()[output.suffix.lower()]
        )
    click.echo(
        f"{output}: {drawn.shape[1]} x {drawn.shape[0]} pixels; from the top: {', '.join(dict.fromkeys(names))}"
    )


def named(images: str, size: int | None) -> Data:
    """Return the description of a folder or .npz where there is one, else of the data set of that name."""
    from ktg.data.set_names import check_name

    if Path(images).exists():
        return Data(path=str(Path(images).absolute()), size=size)
    if "/" in images or images.endswith(".npz"):
        raise UserError(f"{images}: there is no such folder or .npz file")
    check_name(images)
    return Data(name=images, size=size)
