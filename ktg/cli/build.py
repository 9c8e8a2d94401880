"""Defines `ktg zoo build`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg.api.pretrain import build_zoo, dump_pretrained
from ktg.api.zoo import open_zoo
from ktg.cli import options
from ktg.cli.pretrain import print_entry, training_options
from ktg.cli.screen import Screen, echo, print_json

if TYPE_CHECKING:
    from ktg.api.pretrain import Pretrained


@click.command(epilog="Example: ktg zoo build imagenet/ --model resnet18 --split 10")
@click.argument("data")
@click.option("--model", required=True, help="The architecture of all.")
@click.option(
    "--split", type=int, help="Simple split: this many blocks of the classes in their order."
)
@options.file("--groups", help="Super-classes: YAML `bear: [class, ...]`, or CSV with group,class.")
@options.file("--wordnet", help="A hierarchy of lines `child parent`; the classes are ids in it.")
@click.option(
    "--ancestor",
    "ancestors",
    multiple=True,
    metavar="NAME=ID",
    help="With --wordnet: a group; give several.",
)
@click.option(
    "--prefix",
    default="",
    help="Begins the names of the entries: DATA-01 ..., or those of the groups.",
)
@training_options
@options.zoo_folder
@options.tracking_uri
@options.as_json
def build(data: str, zoo: Path | None, as_json: bool, **given: Any) -> None:
    """Train a source model on each group of classes of DATA, and keep them in the zoo.

    The recipe is the published one: 30 epochs, SGD, learning rate 0.01, a tenth of it every 7
    epochs, the best validation epoch is kept. What is there already is not trained again, an
    interrupted training goes on, and several of these commands at once share the work.
    """
    with Screen(stderr=as_json) as screen:

        def show(entry: "Pretrained") -> None:
            screen.clear()
            if not as_json:
                print_entry(entry)

        built = build_zoo(
            data, zoo=zoo, listener=screen.listener, on_model=screen.epochs, on_entry=show, **given
        )
    if as_json:
        print_json([dump_pretrained(one) for one in built])
        return
    new = sum(one.new for one in built)
    echo(f"{new} of {len(built)} entries are new in {open_zoo(zoo).folder}")
