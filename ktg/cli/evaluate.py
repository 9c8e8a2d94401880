"""Defines `ktg evaluate`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktg import api
from ktg.cli import options
from ktg.cli.predict import printable
from ktg.cli.screen import Screen, echo, make_console, open_csv, print_json
from ktg.cli.tables import make_table
from ktg.errors import KtgError
from ktg.wording import format_percent

if TYPE_CHECKING:
    from ktg.api.evaluate import Evaluated

MOST_WRONG = 10


@click.command(epilog="Example: ktg evaluate model.safetensors photos/birds --split test")
@click.argument("model", type=options.A_FILE)
@click.argument("folder", type=options.A_FILE)
@click.option(
    "--json", "form", flag_value="json", help="Print all figures, and the wrong images, as JSON."
)
@click.option(
    "--csv", "form", flag_value="csv", help="Print one line per image, comma-separated, instead."
)
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    help="Which split of FOLDER; default: test, where there are splits.",
)
@click.option(
    "--labels",
    metavar="FILE",
    help="A table of labels in FOLDER or beside it; default: the model's own, for its own data.",
)
@options.count("--batch-size", 64, "Images at once.")
@options.device
def evaluate(
    model: Path,
    folder: Path,
    form: str | None,
    split: str | None,
    labels: str | None,
    batch_size: int,
    device: str | None,
) -> None:
    """Measure MODEL, a .safetensors or .onnx file of ktg, on the labelled images in FOLDER.

    FOLDER has one folder for each class, named like it, or a table of labels, or is an .npz; not
    all classes need be there. An image that cannot be read is reported and left out, and the exit
    code is 1 at the end.
    """
    with Screen(stderr=True) as screen:
        found = api.evaluate(
            model,
            folder,
            split=split,
            labels=labels,
            batch_size=batch_size,
            device=device,
            listener=screen.listener,
        )
    if form == "json":
        print_json(found.to_json())
    elif form == "csv":
        write_csv(found)
    else:
        print_evaluated(found)
    for file, why in found.unreadable.items():
        echo(f"ktg: {printable(file)}: {why}", err=True)
    if found.unreadable:
        total = len(found.answers) + len(found.unreadable)
        left = f"{len(found.unreadable)} of {total} could not be read"
        raise KtgError(f"{left}; the figures are of the others")


def write_csv(found: "Evaluated") -> None:
    """Print one row for each image."""
    write = open_csv()
    write(["file", "label", "predicted", "probability"])
    for answer in found.answers:
        write([answer.file, answer.label, answer.predicted, f"{answer.probability:.6f}"])


def print_evaluated(found: "Evaluated") -> None:
    """Print the figures, a table of the classes, and the surest mistakes."""
    images = len(found.answers)
    auroc = "" if found.auroc is None else f", AUROC {found.auroc:.4f}"
    echo(f"{printable(found.place)}: {images} {'image' if images == 1 else 'images'}")
    echo(
        f"accuracy {format_percent(found.accuracy)}, balanced "
        f"{format_percent(found.balanced_accuracy)}, macro F1 {format_percent(found.macro_f1)}, "
        f"loss {found.loss:.4f}, calibration error {format_percent(found.calibration_error)}{auroc}"
    )
    print_classes(found)
    for answer in found.wrong[:MOST_WRONG]:
        said = f"{printable(answer.predicted)} {format_percent(answer.probability)}"
        echo(f"{printable(answer.file)}: is {printable(answer.label)}, said {said}")
    more = len(found.wrong) - MOST_WRONG
    if more > 0:
        echo(f"and {more} more that are wrong; --json lists them all")


def print_classes(found: "Evaluated") -> None:
    """Print a table of the classes that have images, and name those that have none."""
    taken: dict[str, Counter[str]] = {name: Counter() for name in found.classes}
    for answer in found.wrong:
        taken[answer.label][answer.predicted] += 1
    figures = ("images", "precision", "recall", "F1")
    table = make_table(
        "class", *figures, "taken for", right=figures, fold=("class", "taken for"), simple=True
    )
    for name, scores in found.classes.items():
        if not scores.support:
            continue
        shares = (scores.precision, scores.recall, scores.f1)
        others = [f"{printable(other)} {count}" for other, count in taken[name].most_common()]
        table.add_row(
            printable(name),
            str(scores.support),
            *(format_percent(share) for share in shares if share is not None),
            ", ".join(others[:3]) + (", ..." if len(others) > 3 else ""),
        )
    make_console().print(table)
    absent = [printable(name) for name, scores in found.classes.items() if not scores.support]
    if absent:
        echo(f"no images of: {', '.join(absent)}")
