"""Defines `ktg source pretrain`."""

from typing import TYPE_CHECKING, Any

import click

from ktg import api
from ktg.api.pretrain import PRESETS, dump_pretrained
from ktg.cli import options
from ktg.cli.screen import Screen, echo, print_json
from ktg.wording import format_percent

if TYPE_CHECKING:
    from ktg.api.pretrain import Pretrained

training_options = options.add_options(
    click.option(
        "--size", type=click.IntRange(4, 2048), help="Side in pixels of what the network sees."
    ),
    options.count("--per-class", help="Images of each class; of a formula, for all splits."),
    options.count("--epochs"),
    options.count("--batch-size"),
    click.option("--lr", type=click.FloatRange(0, min_open=True), help="Peak learning rate."),
    options.count("--seed", least=0),
    click.option("--source", help="Weights to begin with, such as imagenet; default: none."),
    options.device,
    options.flag("--replace", help="Replace entries that were made otherwise."),
)


@click.command(epilog="Example: ktg source pretrain fractaldb --model resnet20 --preset tiny")
@click.argument("data")
@click.option("--model", help="The architecture; needed unless DATA is a graph.")
@click.option(
    "--preset",
    type=click.Choice(PRESETS),
    help="Default: fractaldb1k for a formula, zoo for images.",
)
@click.option("--name", help="Name of the entry in the zoo; default: the name of DATA.")
@options.count("--classes", help="Of a formula.", least=2)
@click.option("--points", type=click.IntRange(1, 2**27 - 1), help="Of a formula: in each picture.")
@click.option("--scale", type=float, help="Of fractaldb and ofdb: how far variants lie apart.")
@training_options
@click.option(
    "--keep",
    type=click.Choice(["last", "best"]),
    default="last",
    show_default=True,
    help="Weights to keep.",
)
@options.flag("--anew", help="Start again where a training was interrupted, instead of going on.")
@options.zoo_folder
@options.tracking_uri
@options.as_json
def pretrain(data: str, as_json: bool, **given: Any) -> None:
    """Pretrain a network on DATA and keep it in the zoo, as a source for the nodes of a graph.

    DATA is a formula (fractaldb, svd, ofdb, onep), a data set known by name, a folder or an .npz of
    images, or a graph of one node. The same command goes on with a training that was interrupted.
    """
    with Screen(stderr=as_json) as screen:
        done = api.pretrain(data, listener=screen.listener, on_model=screen.epochs, **given)
    if as_json:
        print_json(dump_pretrained(done))
        return
    print_entry(done)
    card = done.card
    source = card.name if card.name == "fractaldb" else f"zoo/{card.name}"
    node = f"{{model: {card.model}, source: {source}}}"
    echo(f"Next: a node {node} begins with these weights.")


def print_entry(done: "Pretrained") -> None:
    """Print what the zoo has now."""
    card = done.card
    accuracy = (
        "" if card.accuracy is None else f", validation accuracy {format_percent(card.accuracy)}"
    )
    epoch = f"(epoch {card.provenance['kept_epoch']} of {card.epochs})"
    there = "" if done.new else ", in the zoo already"
    echo(f"{card.key}: {card.data}{accuracy} {epoch}{there}")
