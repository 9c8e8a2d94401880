"""`ktg zoo`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ktg.cli.cards import counted, described, plain, readable, table
from ktg.cli.options import as_json, print_json, tracking_uri
from ktg.cli.transfer import transfer_bar
from ktg.errors import KtgError, UserError

if TYPE_CHECKING:
    from ktg.zoo import Zoo

C = TypeVar("C", bound=Callable[..., Any])


def zoo_option(command: C) -> C:
    """Add the option that says which zoo."""
    return click.option(
        "--zoo",
        "folder",
        type=click.Path(path_type=Path),
        help="Folder of the zoo; default: $KTG_ZOO, else ~/.local/share/ktg/zoo.",
    )(command)


def chosen_zoo(folder: Path | None, *, reading: bool = False) -> "Zoo":
    """Return the zoo that the user means. Raises UserError when one is to be read that is not there."""
    from ktg.zoo import Zoo, default_zoo

    if folder is None:
        return default_zoo()
    if reading and not folder.exists():
        raise UserError(f"--zoo: there is no folder {folder}")
    return Zoo(folder.expanduser().absolute())


@click.group()
def zoo() -> None:
    """Keep pretrained networks, to be named by nodes as `source: zoo/NAME`.

    An entry is a NAME and a model: one name can have weights for several architectures.
    """


@zoo.command("list", epilog="Example: ktg zoo list --model resnet18")
@click.option("--model", help="Only the entries for this architecture.")
@zoo_option
@as_json
def list_(model: str | None, folder: Path | None, as_json: bool) -> None:
    """List the entries of the zoo."""
    place = chosen_zoo(folder, reading=True)
    wanted = shortest_known(model) if model else None
    cards, faults = readable(place)
    cards = [card for card in cards if wanted in (None, card.model)]
    if as_json:
        print_json(
            {
                "zoo": str(place.folder),
                "entries": [plain(place, card) for card in cards],
                "faults": faults,
            }
        )
        return
    if cards:
        from rich.console import Console

        Console(highlight=False).print(table(cards))
    else:
        what = f"has nothing for {wanted}" if wanted else "is empty"
        click.echo(f"The zoo {what}; `ktg zoo build`, `add` and `pull` fill it.")
    click.echo(f"{counted(len(cards))} in {place.folder}")
    for fault in faults:
        click.echo(f"not listed: {fault}", err=True)


@zoo.command("show", epilog="Example: ktg zoo show animals")
@click.argument("name")
@click.option("--model", help="Only the entry for this architecture.")
@zoo_option
@as_json
def show_(name: str, model: str | None, folder: Path | None, as_json: bool) -> None:
    """Show the cards of NAME."""
    place = chosen_zoo(folder, reading=True)
    cards = [place.get(name, shortest_known(model))] if model else place.named(name)
    if as_json:
        print_json([plain(place, card) for card in cards])
        return
    for number, card in enumerate(cards):
        click.echo("\n" * (number > 0) + "\n".join(described(place, card)))


@zoo.command(
    epilog="Example: ktg zoo add fractaldb FractalDB-1000_res18.pth --model resnet18 --licence MIT"
)
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--model", required=True, help="The architecture of the weights.")
@click.option(
    "--model-arg",
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument of its constructor; give several.",
)
@click.option(
    "--classes",
    type=click.Path(path_type=Path),
    help="Text file with the name of a class on each line.",
)
@click.option("--data", help="What it was trained on, for a reader.")
@click.option(
    "--mean",
    help="Of the input in [0, 1], one number or three: 0.2,0.2,0.2; default: the model's own.",
)
@click.option("--std", help="Likewise.")
@click.option(
    "--input-size", type=click.IntRange(4, 2048), help="Pixels of a side; default: the model's own."
)
@click.option(
    "--accuracy", type=click.FloatRange(0, 1), help="Share of validation images it gets right."
)
@click.option("--epochs", type=click.IntRange(0), help="Epochs of training.")
@click.option("--licence", help="Under which licence it may be used.")
@click.option("--origin", help="Where it comes from: an address, a paper.")
@click.option("--replace", is_flag=True, help="Take the place of an entry of this name and model.")
@zoo_option
@as_json
def add(
    name: str, file: Path, folder: Path | None, replace: bool, as_json: bool, **given: Any
) -> None:
    """Import FILE, a .safetensors or .pth of weights, as the entry NAME.

    It is checked against the architecture, never run as code, and kept as .safetensors.
    """
    from ktg.cli.importing import imported

    place = chosen_zoo(folder)
    card = imported(place, name, file, replace=replace, **given)
    if as_json:
        print_json(plain(place, card))
    else:
        head = f"{len(card.classes)} classes" if card.classes else "no head"
        click.echo(
            f"{card.key}: {card.bytes / 1e6:.1f} MB, {head}; use it as `source: zoo/{card.name}`"
        )


@zoo.command(epilog="Example: ktg zoo remove animals --model resnet18")
@click.argument("name")
@click.option("--model", help="The architecture; not needed where NAME has one only.")
@click.option("--all", "every", is_flag=True, help="All architectures of NAME.")
@zoo_option
@as_json
def remove(name: str, model: str | None, every: bool, folder: Path | None, as_json: bool) -> None:
    """Remove the entry NAME: its card and its weights."""
    place = chosen_zoo(folder, reading=True)
    models = [key.partition("/")[2] for key in place.listing(name)]
    if len(models) > 1 and not model and not every:
        raise UserError(
            f"{name} is there for {', '.join(models)}; give --model, or --all to remove it for all"
        )
    gone = place.remove(name, shortest_known(model) if model else None)
    if as_json:
        print_json({"removed": gone})
    else:
        click.echo(f"removed {', '.join(gone)}")


@zoo.command(epilog="Example: ktg zoo verify")
@click.argument("name", required=False)
@zoo_option
@as_json
def verify(name: str | None, folder: Path | None, as_json: bool) -> None:
    """Check every card, or those of NAME, and the hash of every file of weights."""
    place = chosen_zoo(folder, reading=True)
    problems = place.verify(name)
    checked = place.listing(name)
    if as_json:
        print_json({"zoo": str(place.folder), "checked": checked, "problems": problems})
    for problem in problems if not as_json else ():
        click.echo(problem)
    if problems:
        raise KtgError(
            f"{place.folder}: {len(problems)} found wrong, {counted(len(checked))} checked"
        )
    if not as_json:
        click.echo(f"{place.folder}: nothing wrong, {counted(len(checked))} checked")


@zoo.command(epilog="Example: ktg zoo pull https://example.org/zoo animals fish")
@click.argument("source")
@click.argument("names", nargs=-1, metavar="[NAME | NAME/MODEL]...")
@click.option("--replace", is_flag=True, help="Take the place of entries with other weights.")
@zoo_option
@tracking_uri
@as_json
def pull(
    source: str,
    names: tuple[str, ...],
    replace: bool,
    folder: Path | None,
    tracking_uri: str,
    as_json: bool,
) -> None:
    """Copy entries of the zoo at SOURCE, all of them unless some are named; every file is checked by its hash.

    SOURCE is a folder, the http(s) address of such a folder, or a model in the registry of an
    MLflow store: models:/NAME/VERSION, models:/NAME/latest or models:/NAME@ALIAS.
    """
    from ktg.zoo import pull as run

    place = chosen_zoo(folder)
    with transfer_bar() as progress:
        pulled = run(
            place, source, names, replace=replace, tracking_uri=tracking_uri, progress=progress
        )
    if as_json:
        print_json([plain(place, one.card) | {"new": one.new} for one in pulled])
        return
    for one in pulled:
        click.echo(
            f"{one.card.key}: {f'{one.card.bytes / 1e6:.1f} MB' if one.new else 'is here already'}"
        )
    click.echo(f"{sum(one.new for one in pulled)} of {counted(len(pulled))} new in {place.folder}")


@zoo.command(epilog="Example: ktg zoo push animals models:/animals")
@click.argument("name")
@click.argument("target")
@click.option("--model", help="Only the entry for this architecture.")
@zoo_option
@tracking_uri
@as_json
def push(
    name: str, target: str, model: str | None, folder: Path | None, tracking_uri: str, as_json: bool
) -> None:
    """Store NAME as a new version of TARGET, models:/NAME in the registry of an MLflow store."""
    from ktg.zoo import push as run

    place = chosen_zoo(folder, reading=True)
    wanted = shortest_known(model) if model else None
    address = run(place, name, target, model=wanted, tracking_uri=tracking_uri)
    if as_json:
        print_json({"address": address})
    else:
        click.echo(f"{address}; get it elsewhere with `ktg zoo pull {address} --tracking-uri ...`")


def shortest_known(model: str) -> str:
    """Return the shortest name of a model. Raises SpecError where there is no such model."""
    from ktg.models.names import check_model, shortest

    check_model(model, "--model")
    return shortest(model)
