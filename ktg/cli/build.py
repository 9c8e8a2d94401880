"""`ktg zoo build`."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg.cli.decoding import Decoding
from ktg.cli.live import LiveLine
from ktg.cli.load import named_data
from ktg.cli.options import as_json, check_device, check_store, print_json, tracking_uri, warner
from ktg.cli.pretrain import by_field, plain, say, training_options
from ktg.cli.zoo import chosen_zoo, zoo_option
from ktg.errors import UserError

if TYPE_CHECKING:
    from ktg.graph import Data
    from ktg.pretraining.groups import Groups

_A_FILE = click.Path(path_type=Path)


@click.command(epilog="Example: ktg zoo build imagenet/ --model resnet18 --split 10")
@click.argument("data")
@click.option("--model", required=True, help="The architecture of all.")
@click.option(
    "--split", type=int, help="Simple split: this many blocks of the classes in their order."
)
@click.option(
    "--groups",
    type=_A_FILE,
    help="Super-classes: YAML `bear: [class, ...]`, or CSV with group,class.",
)
@click.option(
    "--wordnet",
    type=_A_FILE,
    help="A hierarchy of lines `child parent`; the classes are ids in it.",
)
@click.option(
    "--ancestor", multiple=True, metavar="NAME=ID", help="With --wordnet: a group; give several."
)
@click.option(
    "--prefix",
    default="",
    help="Begins the names of the entries: DATA-01 ..., or those of the groups.",
)
@training_options
@zoo_option
@tracking_uri
@as_json
def build(
    data: str,
    model: str,
    split: int | None,
    groups: Path | None,
    wordnet: Path | None,
    ancestor: tuple[str, ...],
    prefix: str,
    folder: Path | None,
    tracking_uri: str,
    as_json: bool,
    device: str | None,
    replace: bool,
    **given: Any,
) -> None:
    """Train a source model on each group of classes of DATA, and keep them in the zoo.

    By the published recipe: 30 epochs, SGD, learning rate 0.01, a tenth of it every 7 epochs, the
    best validation epoch is kept. What is there already is not trained again, an interrupted
    training goes on, and several of these commands at once share the work.
    """
    images = named_data(data)
    check_device(device)
    check_store(tracking_uri)
    if sum(way is not None for way in (split, groups, wordnet)) != 1:
        raise click.UsageError("give one of --split, --groups and --wordnet")
    if bool(ancestor) != bool(wordnet):
        raise click.UsageError("--wordnet and --ancestor NAME=ID belong together")

    from rich.console import Console

    from ktg.pretraining.build import build as run
    from ktg.pretraining.build import graphs_of
    from ktg.pretraining.recipe import recipe
    from ktg.tracking import MlflowTracker

    zoo = chosen_zoo(folder)
    zoo.check()
    console = Console(stderr=as_json, highlight=False)
    with Decoding(console) as decoding:
        classes = class_names(images, decoding)
    found = grouped(classes, stem(images), split, groups, wordnet, ancestor)
    named = {f"{prefix}{name}": members for name, members in found.items()}
    graphs = graphs_of(recipe(images, model, "zoo", **by_field(images, given)), named)
    tracker = MlflowTracker("zoo", tracking_uri, warn=warner(console))
    built = []
    with tracker, Decoding(console) as decoding, LiveLine(console) as line:
        for one in run(
            graphs,
            tracker,
            zoo,
            replace=replace,
            device=device,
            decoding=decoding,
            on_model=lambda name: line.about(
                f"{name}/{model} ({list(graphs).index(name) + 1} of {len(graphs)})"
            ),
            on_busy=lambda name: console.print(
                f"{name}: another process is training this; it comes last here"
            ),
        ):
            built.append(one)
            line.rest()
            if not as_json:
                say(one)
    if as_json:
        print_json([plain(one) for one in built])
    else:
        click.echo(
            f"{sum(one.new for one in built)} of {len(built)} entries are new in {zoo.folder}"
        )


def stem(images: "Data") -> str:
    """Return what the blocks of a simple split are called before their number."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", images.name or Path(images.path or "").stem)


def class_names(images: "Data", decoding: Decoding) -> tuple[str, ...]:
    """Return the classes of a data set, which is downloaded for that if it has to be."""
    from ktg.data.open import open_data, summary

    found = summary(images) or open_data(images, progress=decoding)
    return found.classes


def grouped(
    classes: tuple[str, ...],
    stem: str,
    split: int | None,
    groups: Path | None,
    wordnet: Path | None,
    ancestor: tuple[str, ...],
) -> "Groups":
    """Return the groups that the options ask for, checked against the classes of the data."""
    from ktg.pretraining.groups import check_groups, from_hierarchy, read_groups, simple_split

    if split is not None:
        found, where = simple_split(classes, split, stem), "--split"
    elif groups is not None:
        found, where = read_groups(groups), str(groups)
    elif wordnet is not None:
        found, where = from_hierarchy(wordnet, ancestors(ancestor), classes), str(wordnet)
    else:
        found, where = {}, "--groups"
    check_groups(found, classes, where)
    return found


def ancestors(given: tuple[str, ...]) -> dict[str, str]:
    """Return the ids by name of `NAME=ID` words. Raises UserError for a word of another form and a name given twice."""
    found: dict[str, str] = {}
    for word in given:
        name, sign, ancestor = word.partition("=")
        if not (name and sign and ancestor):
            raise UserError(
                f"--ancestor: {word!r} is not of the form NAME=ID, for example dog=n02084071"
            )
        if name in found:
            raise UserError(f"--ancestor: {name!r} is given twice")
        found[name] = ancestor
    return found
