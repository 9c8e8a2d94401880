"""`ktg predict`."""

import csv
import itertools
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg.cli.options import check_device, percent
from ktg.errors import KtgError, UserError

if TYPE_CHECKING:
    from ktg.exporting.classifier import Classifier, Prediction
    from ktg.exporting.pixels import PictureError

    Answer = tuple[str, Prediction | PictureError]


@click.command(epilog="Example: ktg predict model.safetensors photos/ --csv > labels.csv")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True)
@click.option(
    "--json", "form", flag_value="json", help="Print one JSON object for each image, a line each."
)
@click.option(
    "--csv", "form", flag_value="csv", help="Print a table with a header, comma-separated."
)
@click.option(
    "--top",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="How many classes of each image.",
)
@click.option(
    "--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Images at once."
)
@click.option("--device", help="cpu, cuda, cuda:1; default: a GPU if there is one.")
def predict(
    model: Path,
    images: tuple[str, ...],
    form: str | None,
    top: int,
    batch_size: int,
    device: str | None,
) -> None:
    """Label IMAGES with MODEL, a .safetensors or .onnx file of `ktg export` or `ktg train`.

    IMAGES are files, folders, patterns, or - for a list of them on standard input, one a line. A
    file that is no readable image is reported and skipped, and the exit code is 1 at the end.
    """
    check_device(device)
    # Of Pillow about files; whatever keeps one from being decoded is reported in one line anyway.
    warnings.filterwarnings("ignore", module=r"PIL\b")

    from ktg.exporting.classifier import load
    from ktg.exporting.image_files import find_images

    places = itertools.chain.from_iterable(
        _listed() if place == "-" else [place] for place in images
    )
    classifier = load(model, device)
    found = list(find_images(places))
    if not found:
        raise UserError("no images are named: standard input was empty")
    faults = 0
    show = WRITERS[form or "text"](min(top, len(classifier.classes)))
    try:
        for name, answer in bar(answers(classifier, found, batch_size), len(found)):
            faults += show(name, answer)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if faults:
        others = "the others were labelled" if faults < len(found) else "nothing was labelled"
        raise KtgError(f"{faults} of {len(found)} could not be read; {others}")


def answers(
    classifier: "Classifier", found: list[tuple[str, "PictureError | None"]], batch_size: int
) -> Iterator["Answer"]:
    """Yield the answer for every image in order; those whose fault is known already are not opened."""
    rest = classifier.stream((name for name, fault in found if fault is None), batch_size)
    for name, fault in found:
        yield name, fault if fault is not None else next(rest)


def bar(every: Iterable["Answer"], total: int) -> Iterator["Answer"]:
    """Yield all, beside a progress bar on standard error where lines do not run over the same terminal anyway."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield from every
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(every, "labelling", total, console=Console(stderr=True), transient=True)


def text(top: int) -> Callable[[str, Any], bool]:
    """Return a function that prints one line for people."""

    def show(name: str, answer: Any) -> bool:
        if fault(name, answer):
            return True
        ranked = ", ".join(f"{plain(label)} {percent(share)}" for label, share in answer.top(top))
        click.echo(f"{plain(name)}: {ranked}")
        return False

    return show


def as_json(top: int) -> Callable[[str, Any], bool]:
    """Return a function that prints one line of JSON; images that cannot be read are in it too."""

    def show(name: str, answer: Any) -> bool:
        wrong = fault(name, answer)
        found = (
            {"file": name, "error": str(answer)}
            if wrong
            else {
                "file": name,
                "label": answer.label,
                "probability": answer.probability,
                "top": [{"label": label, "probability": share} for label, share in answer.top(top)],
            }
        )
        click.echo(json.dumps(found, ensure_ascii=False))
        return wrong

    return show


def as_csv(top: int) -> Callable[[str, Any], bool]:
    """Return a function that prints one row: the file, then the most probable classes with their probabilities."""
    rows = csv.writer(sys.stdout, lineterminator="\n")
    places = ["", *(f"_{place}" for place in range(2, top + 1))]
    rows.writerow(
        ["file", *(f"{column}{place}" for place in places for column in ("label", "probability"))]
    )

    def show(name: str, answer: Any) -> bool:
        if fault(name, answer):
            return True
        rows.writerow(
            [name, *(cell for label, share in answer.top(top) for cell in (label, f"{share:.6f}"))]
        )
        return False

    return show


WRITERS: dict[str, Callable[[int], Callable[[str, Any], bool]]] = {
    "text": text,
    "json": as_json,
    "csv": as_csv,
}


def fault(name: str, answer: Any) -> bool:
    """Whether an image could not be read; if so say it on standard error."""
    if not isinstance(answer, Exception):
        return False
    click.echo(f"ktg: {plain(name)}: {answer}", err=True)
    return True


def plain(name: str) -> str:
    """Return a name as it is, or escaped where it holds what a terminal would obey instead of showing."""
    return name if name.isprintable() else repr(name)


def _listed() -> Iterator[str]:
    """Yield the lines of standard input."""
    return (line.rstrip("\r\n") for line in sys.stdin if line.strip())
