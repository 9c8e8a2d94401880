"""`ktg source list`."""

from dataclasses import asdict, dataclass
from pathlib import Path

import click

from ktg.cli.cards import readable
from ktg.cli.options import as_json, percent, print_json
from ktg.cli.zoo import chosen_zoo, shortest_known, zoo_option
from ktg.errors import WeightsError

_HERE = {True: "yes", False: "no", None: ""}


@dataclass(frozen=True)
class Available:
    """A source as a node names it, whether its weights are on this machine (None: it depends), and what it is."""

    source: str
    model: str
    here: bool | None
    about: str


@click.command("list", epilog="Example: ktg source list --model resnet18")
@click.option("--model", help="Only what this architecture can start from.")
@zoo_option
@as_json
def list_(model: str | None, folder: Path | None, as_json: bool) -> None:
    """List what a node can name as its source, and whether it is on this machine."""
    rows, faults = available(shortest_known(model) if model else None, folder)
    if as_json:
        print_json({"sources": [asdict(row) for row in rows], "faults": faults})
        return
    print_rows(rows)
    for fault in faults:
        click.echo(f"not listed: {fault}", err=True)


def available(model: str | None, folder: Path | None) -> tuple[list[Available], list[str]]:
    """Return all sources, or those for one model, and what is wrong with cards that cannot be read."""
    cards, faults = readable(chosen_zoo(folder, reading=True))
    wanted = model or "any"
    rows = [Available("none", wanted, True, "random weights"), imagenet(model)]
    for card in cards:
        if model in (None, card.model):
            source = card.name if card.name == "fractaldb" else f"zoo/{card.name}"
            accuracy = "" if card.accuracy is None else f", {percent(card.accuracy)} right"
            rows.append(Available(source, card.model, True, card.data + accuracy))
    if not any(row.source == "fractaldb" for row in rows):
        command = f"ktg source pretrain fractaldb --model {model or 'MODEL'}"
        rows.insert(2, Available("fractaldb", wanted, False, f"make it: {command}"))
    rows.append(Available("PATH", wanted, None, "a .safetensors or .pth file of yours"))
    return rows, faults


def imagenet(model: str | None) -> Available:
    """Return whether the weights that timm or torchvision publish for a model are in their caches."""
    if model is None:
        return Available(
            "imagenet",
            "any",
            None,
            "published by timm and torchvision; --model says whether it is here",
        )
    from ktg.models.imagenet import cached, published

    try:
        weights = published(model)
    except WeightsError:
        return Available("imagenet", model, False, "none are published for this model")
    file = cached(weights)
    if file is not None:
        return Available("imagenet", model, True, f"cached: {file}")
    return Available("imagenet", model, False, f"downloaded at first use: {weights.name}")


def print_rows(rows: list[Available]) -> None:
    """Print the sources as a table that fits 80 columns."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=SIMPLE_HEAD)
    shown.add_column("source", overflow="fold")
    shown.add_column("model", overflow="fold")
    shown.add_column("here", no_wrap=True)
    shown.add_column("what it is", overflow="fold", min_width=20)
    for row in rows:
        texts = (row.source, row.model, _HERE[row.here], row.about)
        shown.add_row(*map(Text, texts))
    Console(highlight=False).print(shown)
