"""Defines `ktg data`: what augmentation makes of images, and what is dirty among them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg.api.data import AUGMENTS, DOUBTFUL, draw_views
from ktg.api.data import audit as audit_data
from ktg.cli import options
from ktg.cli.screen import Screen, echo, print_json
from ktg.cli.tables import make_table

if TYPE_CHECKING:
    from ktg.api.data import Audit

_SHOWN = 3


@click.group()
def data() -> None:
    """Look at images, and for dirt among them."""


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


@data.command(epilog="Example: ktg data audit photos/birds -o sheet.html --write labels.csv")
@click.argument("images", metavar="DATA")
@options.file("-o", "--output", help="Draw what is found as an HTML page: sheet.html.")
@options.file("--write", help="Write a table of all labels, which `data.labels` reads: labels.csv.")
@click.option(
    "--doubtful",
    type=click.Choice(DOUBTFUL),
    default="keep",
    show_default=True,
    help="With --write: what becomes of doubtful labels of train and val images; weigh: all labels "
    "count as much as they are believed.",
)
@options.flag("--force", help="Overwrite these files if they are there.")
@click.option("--model", help="What looks at the images; default: the best network at hand.")
@click.option("--source", help="Its weights; default: imagenet.")
@click.option("--input-size", type=click.IntRange(4, 2048), help="Its size of images, in pixels.")
@options.imagenet("--weights", "--imagenet")
@options.device
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the folds.")
@options.as_json
def audit(images: str, write: Path | None, as_json: bool, **given: Any) -> None:
    """Look for twins, leaks between splits, strangers, and labels that are probably wrong.

    DATA is a folder, an .npz, a data set known by name, or a graph or search space. Nothing is
    changed. The images are looked at once, by a pretrained network if there is one, and test images
    too: as they are, and never to choose by them.
    """
    weights = given.pop("imagenet")
    with Screen(stderr=as_json) as screen:
        found = audit_data(images, labels=write, weights=weights, listener=screen.listener, **given)
    if as_json:
        print_json({"data": images} | found.to_json())
        return
    print_audit(found, screen)
    for file in (given["output"], write):
        if file is not None:
            echo(f"written: {file}")


def print_audit(found: "Audit", screen: Screen) -> None:
    """Print how much was found, the first of each kind, and what it means."""
    said = found.to_json()
    images = ", ".join(f"{count} {split}" for split, count in said["images"].items())
    echo(f"{images} images, seen by {found.seen_by}")
    table = make_table("what", "found", "first", right=["found"], fold=["first"], simple=True)
    for name, count in said["counts"].items():
        table.add_row(name, str(count), ", ".join(_list_first(said, name)))
    screen.console.print(table)
    for sentence in found.sentences:
        echo(f"{sentence}.")
    if said["doubtful"]:
        echo(
            f"Of the labels of train and val about {100 * found.doubts.noise:.0f} % are wrong, by "
            "estimate; clean labels of hard classes look like some per cent."
        )


def _list_first(said: dict[str, Any], kind: str) -> list[str]:
    """Return the first finds of a kind as texts."""
    if kind == "strangers":
        return [one["file"] for one in said["strangers"][:_SHOWN]]
    if kind == "doubtful labels":
        some = said["doubtful"][:_SHOWN]
        return [f"{one['file']} ({one['label']}: {one['proposed']}?)" for one in some]
    groups = [group for group in said["twins"] if _is_of_kind(group, kind)][:_SHOWN]
    return [" = ".join(one["file"] for one in group["images"][:_SHOWN]) for group in groups]


def _is_of_kind(group: dict[str, Any], kind: str) -> bool:
    """Return whether twins are counted under this name."""
    if kind == "leaks":
        return bool(group["leak"])
    if kind == "twins with different labels":
        return len({image["label"] for image in group["images"]}) > 1
    return bool(group["exact"]) == (kind == "exact twins")
