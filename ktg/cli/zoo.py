"""Defines `ktg zoo` and its commands, but for `ktg zoo build`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg.api import zoo as entries
from ktg.cli import options
from ktg.cli.screen import Screen, echo, print_json
from ktg.cli.tables import make_table
from ktg.errors import KtgError
from ktg.wording import format_percent

if TYPE_CHECKING:
    from rich.table import Table

    from ktg.api.zoo import Entry

_NAMED_CLASSES = 20
_NOT_LISTED = ("version", "name", "model", "classes", "provenance")


@click.group()
def zoo() -> None:
    """Keep pretrained networks, to be named by nodes as `source: zoo/NAME`.

    An entry is a NAME and a model: one name can have weights for several architectures.
    """


@zoo.command("list", epilog="Example: ktg zoo list --model resnet18")
@click.option("--model", help="Only the entries for this architecture.")
@options.zoo_folder
@options.as_json
def list_(model: str | None, zoo: Path | None, as_json: bool) -> None:
    """List the entries of the zoo."""
    found = entries.list_entries(model=model, zoo=zoo)
    if as_json:
        print_json(found.to_json())
        return
    if found.entries:
        Screen().console.print(draw_entries(found.entries))
    else:
        what = f"has nothing for {found.model}" if found.model else "is empty"
        echo(f"The zoo {what}; `ktg zoo build`, `add` and `pull` fill it.")
    shipped = sum(bool(entry.get("shipped")) for entry in found.entries)
    more = f", and {shipped} that came with ktg" if shipped else ""
    echo(f"{format_count(len(found.entries) - shipped)} in {found.folder}{more}")
    for fault in found.faults:
        echo(f"not listed: {fault}", err=True)


@zoo.command("show", epilog="Example: ktg zoo show animals")
@click.argument("name")
@click.option("--model", help="Only the entry for this architecture.")
@options.zoo_folder
@options.as_json
def show_(name: str, model: str | None, zoo: Path | None, as_json: bool) -> None:
    """Show the cards of NAME."""
    found = entries.show_entries(name, model=model, zoo=zoo)
    if as_json:
        print_json(found)
        return
    for number, entry in enumerate(found):
        echo("\n" * (number > 0) + "\n".join(describe_entry(entry)))


@zoo.command(
    epilog="Example: ktg zoo add fractaldb FractalDB-1000_res18.pth --model resnet18 --licence MIT"
)
@click.argument("name")
@click.argument("file", type=options.A_FILE)
@click.option("--model", required=True, help="The architecture of the weights.")
@click.option(
    "--model-arg",
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument of its constructor; give several.",
)
@options.file("--classes", help="Text file with the name of a class on each line.")
@options.file(
    "--images",
    help="Labelled images of classes that the head knows: normalisation and padding are chosen by "
    "them, where you do not say these.",
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
@options.flag("--replace", help="Replace an entry of this name and model.")
@options.zoo_folder
@options.as_json
def add(name: str, file: Path, as_json: bool, **given: Any) -> None:
    """Import FILE, a .safetensors or .pth of weights, as the entry NAME.

    It is checked against the architecture, never run as code, and kept as .safetensors.
    """
    entry = entries.add_entry(name, file, **given)
    if as_json:
        print_json(entry)
        return
    for trial in entry.get("tried", ()):
        mean, std = (", ".join(f"{x:g}" for x in trial[what]) for what in ("mean", "std"))
        padding = ", ".join(f"{key}: {value}" for key, value in trial["model_args"].items())
        echo(f"{trial['accuracy']:.1%} right with mean {mean}; std {std}; {padding or 'as it is'}")
    classes = entry.get("classes", [])
    head = f"{len(classes)} classes" if classes else "no head"
    size, use = f"{entry['bytes'] / 1e6:.1f} MB", f"use it as `source: zoo/{entry['name']}`"
    echo(f"{entries.entry_key(entry)}: {size}, {head}; {use}")


@zoo.command(epilog="Example: ktg zoo remove animals --model resnet18")
@click.argument("name")
@click.option("--model", help="The architecture; not needed where NAME has one only.")
@options.flag("--all", "every", help="All architectures of NAME.")
@options.zoo_folder
@options.as_json
def remove(name: str, model: str | None, every: bool, zoo: Path | None, as_json: bool) -> None:
    """Remove the entry NAME: its card and its weights."""
    removed = entries.remove_entries(name, model=model, every=every, zoo=zoo)
    if as_json:
        print_json({"removed": removed})
    else:
        echo(f"removed {', '.join(removed)}")


@zoo.command(epilog="Example: ktg zoo verify")
@click.argument("name", required=False)
@options.zoo_folder
@options.as_json
def verify(name: str | None, zoo: Path | None, as_json: bool) -> None:
    """Check every card, or those of NAME, and the hash of every file of weights."""
    found = entries.verify_entries(name, zoo=zoo)
    problems, checked = found["problems"], f"{format_count(len(found['checked']))} checked"
    if as_json:
        print_json(found)
    for problem in problems if not as_json else ():
        echo(problem)
    if problems:
        raise KtgError(f"{found['zoo']}: {len(problems)} found wrong, {checked}")
    if not as_json:
        echo(f"{found['zoo']}: nothing wrong, {checked}")


@zoo.command(epilog="Example: ktg zoo pull https://example.org/zoo animals fish")
@click.argument("source")
@click.argument("names", nargs=-1, metavar="[NAME | NAME/MODEL]...")
@options.flag("--replace", help="Replace entries with other weights.")
@options.zoo_folder
@options.tracking_uri
@options.as_json
def pull(source: str, names: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Copy entries of the zoo at SOURCE, all of them unless some are named.

    Every file is checked by its hash. SOURCE is a folder, the http(s) address of such a folder, or
    a model in the registry of an MLflow store: models:/NAME/VERSION, models:/NAME/latest or
    models:/NAME@ALIAS.
    """
    with Screen(stderr=True) as screen:
        folder, pulled = entries.pull_entries(source, names, progress=screen.transfer, **given)
    if as_json:
        print_json(pulled)
        return
    for entry in pulled:
        size = f"{entry['bytes'] / 1e6:.1f} MB" if entry["new"] else "is here already"
        echo(f"{entries.entry_key(entry)}: {size}")
    new = sum(entry["new"] for entry in pulled)
    echo(f"{new} of {format_count(len(pulled))} new in {folder}")


@zoo.command(epilog="Example: ktg zoo push animals models:/animals")
@click.argument("name")
@click.argument("target")
@click.option("--model", help="Only the entry for this architecture.")
@options.zoo_folder
@options.tracking_uri
@options.as_json
def push(name: str, target: str, as_json: bool, **given: Any) -> None:
    """Store NAME as a new version of TARGET, models:/NAME in the registry of an MLflow store."""
    address = entries.push_entries(name, target, **given)
    if as_json:
        print_json({"address": address})
    else:
        echo(f"{address}; get it elsewhere with `ktg zoo pull {address} --tracking-uri ...`")


def format_count(number: int) -> str:
    """Return a number of entries in words."""
    return f"{number} {'entry' if number == 1 else 'entries'}"


def draw_entries(found: "list[Entry]") -> "Table":
    """Return the entries as a table that fits 80 columns."""
    figures, names = ("classes", "accuracy"), ("name", "model")
    columns = (*names, *figures, "trained on")
    table = make_table(*columns, right=figures, fold=names, whole=figures, simple=True)
    table.columns[-1].min_width = 20
    for entry in found:
        accuracy = format_percent(entry["accuracy"]) if "accuracy" in entry else ""
        classes = str(len(entry.get("classes", [])) or "no head")
        table.add_row(entry["name"], entry["model"], classes, accuracy, entry["data"])
    return table


def describe_entry(entry: "Entry") -> list[str]:
    """Return an entry as lines for a reader."""
    lines = [f"zoo/{entry['name']} for {entry['model']}"]
    for field, value in entry.items():
        if field not in _NOT_LISTED:
            lines.append(f"  {field.replace('_', ' '):<13} {format_field(field, value)}")
    classes = entry.get("classes", [])
    named = ", ".join(classes[:_NAMED_CLASSES]) + ", ..." * (len(classes) > _NAMED_CLASSES)
    head = f"{len(classes)}: {named}" if classes else "none: no head"
    lines.append(f"  {'classes':<13} {head}")
    return lines + [f"  {key:<13} {value}" for key, value in entry.get("provenance", {}).items()]


def format_field(field: str, value: Any) -> str:
    """Return a field of a card as text."""
    if isinstance(value, dict):
        return ", ".join(f"{key}={one}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return format_percent(value) if field == "accuracy" else str(value)
