"""`ktg source pretrain`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ktg.cli.decoding import Decoding
from ktg.cli.live import LiveLine
from ktg.cli.load import checked_graph, named_data
from ktg.cli.options import (
    as_json,
    check_device,
    check_store,
    percent,
    print_json,
    tracking_uri,
    warner,
)
from ktg.cli.zoo import chosen_zoo, zoo_option
from ktg.pretraining.presets import NAMES

if TYPE_CHECKING:
    from ktg.graph import Data, Graph
    from ktg.pretraining.pretrain import Pretrained

C = TypeVar("C", bound=Callable[..., Any])

OF_FORMULAS = ("classes", "points", "scale")


def training_options(command: C) -> C:
    """Add the options that take the place of fields of a preset."""
    options = (
        click.option(
            "--size", type=click.IntRange(4, 2048), help="Side in pixels of what the network sees."
        ),
        click.option(
            "--per-class",
            type=click.IntRange(1),
            help="Images of each class; of a formula, for all splits.",
        ),
        click.option("--epochs", type=click.IntRange(1)),
        click.option("--batch-size", type=click.IntRange(1)),
        click.option("--lr", type=click.FloatRange(0, min_open=True), help="Peak learning rate."),
        click.option("--seed", type=click.IntRange(0)),
        click.option("--source", help="Weights to begin with, such as imagenet; default: none."),
        click.option("--device", help="cpu, cuda, cuda:1; default: a GPU if there is one."),
        click.option(
            "--replace", is_flag=True, help="Take the place of entries that were made otherwise."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command(epilog="Example: ktg source pretrain fractaldb --model resnet20 --preset tiny")
@click.argument("data")
@click.option("--model", help="The architecture; needed unless DATA is a graph.")
@click.option(
    "--preset", type=click.Choice(NAMES), help="Default: fractaldb1k for a formula, zoo for images."
)
@click.option("--name", help="What the zoo is to call it; default: the name of DATA.")
@click.option("--classes", type=click.IntRange(2), help="Of a formula.")
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
@click.option("--anew", is_flag=True, help="Do not go on with a training that was interrupted.")
@zoo_option
@tracking_uri
@as_json
def pretrain(
    data: str,
    name: str | None,
    device: str | None,
    replace: bool,
    keep: Any,
    anew: bool,
    folder: Path | None,
    tracking_uri: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Pretrain a network on DATA and keep it in the zoo, as a source for the nodes of a graph.

    DATA is a formula (fractaldb, svd, ofdb, onep), a data set known by name, a folder or an .npz of
    images, or a graph of one node. The same command goes on with a training that was interrupted.
    """
    graph = described_graph(data, **given)
    name = (
        name
        or (graph.data.name if not data.endswith((".yaml", ".yml")) else None)
        or Path(data).stem
    )
    check_device(device)
    check_store(tracking_uri)

    from rich.console import Console

    from ktg.pretraining.pretrain import BusyError, check
    from ktg.pretraining.pretrain import pretrain as run
    from ktg.tracking import MlflowTracker

    check(graph, name)
    zoo = chosen_zoo(folder)
    zoo.check()
    console = Console(stderr=as_json, highlight=False)
    tracker = MlflowTracker("pretraining", tracking_uri, warn=warner(console))
    with tracker, Decoding(console) as decoding, LiveLine(console) as line:
        options: dict[str, Any] = {
            "zoo": zoo,
            "keep": keep,
            "replace": replace,
            "anew": anew,
            "device": device,
        }
        options |= {
            "on_epoch": line.about(f"{name}/{graph.nodes[graph.target].model}"),
            "decoding": decoding,
        }
        try:
            done = run(graph, name, tracker, wait=False, **options)
        except BusyError:
            console.print(f"{name}: another process is training this; waiting for it")
            done = run(graph, name, tracker, **options)
    if as_json:
        print_json(plain(done))
    else:
        say(done)
        card = done.card
        source = card.name if card.name == "fractaldb" else f"zoo/{card.name}"
        click.echo(
            f"Next: a node {{model: {card.model}, source: {source}}} begins with these weights."
        )


def described_graph(data: str, model: str | None, preset: Any, **given: Any) -> "Graph":
    """Return the graph that DATA and the options ask for."""
    from ktg.pretraining.recipe import changed, recipe

    if data.endswith((".yaml", ".yml")):
        if preset is not None:
            raise click.UsageError(
                "--preset: is for data, and a graph says itself how it is trained"
            )
        graph = checked_graph(Path(data))
        return changed(graph, model=model, **by_field(graph.data, given))
    if model is None:
        raise click.UsageError("Missing option '--model'.")
    images = named_data(data)
    return recipe(images, model, preset, **by_field(images, given))


def by_field(images: "Data", given: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given, those of a formula together."""
    from ktg.graph import FORMULAS

    options = {option: value for option, value in given.items() if value is not None}
    formula = {option: options.pop(option) for option in OF_FORMULAS if option in options}
    if images.name in FORMULAS and "per_class" in options:
        formula["instances"] = options.pop("per_class")
    return options | {"formula": formula}


def plain(done: "Pretrained") -> dict[str, Any]:
    """Return an entry as plain data."""
    from ktg.zoo import dump_card

    return dump_card(done.card) | {"new": done.new}


def say(done: "Pretrained") -> None:
    """Print what the zoo has now."""
    card = done.card
    accuracy = "" if card.accuracy is None else f", validation accuracy {percent(card.accuracy)}"
    there = "" if done.new else ", in the zoo already"
    click.echo(
        f"{card.key}: {card.data}{accuracy} (epoch {card.provenance['kept_epoch']} of {card.epochs}){there}"
    )
