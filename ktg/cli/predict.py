"""Defines `ktg predict` and `ktg serve`."""

import io
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg import api
from ktg.api.predict import label_files
from ktg.cli import options
from ktg.cli.output import end_with_reader
from ktg.cli.screen import Screen, echo, open_csv, print_json
from ktg.errors import KtgError
from ktg.wording import format_percent

if TYPE_CHECKING:
    from ktg.api.predict import Answer, Labelling, Limit

_REQUEST = """\
{url}/invocations  (Ctrl-C ends it); for example
  (printf '{{"dataframe_split": {{"columns": ["image"], "data": [["'
   base64 < photo.jpg | tr -d '\\n'; printf '"]]}}}}') |
  curl {url}/invocations -H 'Content-Type: application/json' -d @-"""


def unknown_options(command: Any) -> Any:
    """Add the options that let a model decline to answer."""
    share = click.option(
        "--unknown",
        type=click.FloatRange(0, 1, min_open=True),
        metavar="SHARE",
        help="Say `unknown` of images that are not known well enough for this share of the answers "
        "to be right, as it was on images held out from training: 0.95.",
    )
    by = click.option(
        "--unknown-by",
        type=click.Choice(["probability", "energy", "closeness"]),
        default="probability",
        show_default=True,
        help="What decides how well an image is known; closeness: of its features to those of a "
        "class, which finds best what is of another kind altogether.",
    )
    return share(by(command))


@click.command(epilog="Example: ktg predict model.safetensors photos/ --csv > labels.csv")
@click.argument("model", type=options.A_FILE)
@click.argument("images", nargs=-1, required=True)
@click.option(
    "--json", "form", flag_value="json", help="Print one JSON object for each image, a line each."
)
@click.option(
    "--csv", "form", flag_value="csv", help="Print a table with a header, comma-separated."
)
@options.count("--top", 5, "How many classes of each image.")
@unknown_options
@options.count("--batch-size", 64, "Images at once.")
@options.device
def predict(
    model: Path,
    images: tuple[str, ...],
    form: str | None,
    top: int,
    unknown: float | None,
    unknown_by: Any,
    batch_size: int,
    device: str | None,
) -> None:
    """Label IMAGES with MODEL, a .safetensors or .onnx file of `ktg export` or `ktg train`.

    IMAGES are files, folders, patterns, or - for a list of them on standard input, one a line. A
    file that is no readable image is reported and skipped, and the exit code is 1 at the end.
    """
    end_with_reader()
    lists = (read_list() if place == "-" else [place] for place in images)
    found = label_files(
        model,
        itertools.chain.from_iterable(lists),
        batch_size=batch_size,
        unknown=unknown,
        by=unknown_by,
        device=device,
    )
    if found.limit is not None:
        echo(describe_limit(found.limit), err=True)
    show, faults = WRITERS[form or "text"](min(top, len(found.classes))), 0
    try:
        for name, answer in count_answers(found):
            faults += show(name, answer)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if faults:
        others = "the others were labelled" if faults < found.total else "nothing was labelled"
        raise KtgError(f"{faults} of {found.total} could not be read; {others}")


@click.command(epilog="Example: ktg serve model.safetensors --port 5001")
@click.argument("model", type=options.A_FILE)
@click.option("--port", type=click.IntRange(1, 65535), default=5001, show_default=True)
@unknown_options
@options.device
def serve(
    model: Path, port: int, unknown: float | None, unknown_by: Any, device: str | None
) -> None:
    """Answer requests for labels with MODEL over HTTP, for this machine only, until Ctrl-C.

    The server is MLflow's. A request holds image files in base64, in a column `image`; the answer
    has the label, its probability and those of all classes for each, and with --unknown whether it
    is unknown.
    """
    api.serve(
        model,
        port,
        device=device,
        unknown=unknown,
        unknown_by=unknown_by,
        ready=lambda url: echo(_REQUEST.format(url=url)),
    )


def describe_limit(limit: "Limit") -> str:
    """Return where a model declines, and what that did on held-out images."""
    kept = f"{limit.answered} of {limit.images} held-out images would be answered"
    hits = f"{limit.right} of them rightly"
    return f"unknown below a {limit.by} of {limit.threshold:.4g}: {kept}, {hits}"


def count_answers(found: "Labelling") -> Iterator["Answer"]:
    """Yield all answers, with a bar unless the lines run over the same terminal anyway."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield from found.answers
        return
    with Screen(stderr=True) as screen:
        for done, answer in enumerate(found.answers, 1):
            yield answer
            screen.count("labelling", done, found.total)


def write_text(top: int) -> Callable[[str, Any], bool]:
    """Return a function that prints one line for people."""

    def show(name: str, answer: Any) -> bool:
        if report_fault(name, answer):
            return True
        labels = answer.top(top)
        ranked = ", ".join(f"{printable(label)} {format_percent(share)}" for label, share in labels)
        unknown = "" if answer.known else "unknown; perhaps "
        echo(f"{printable(name)}: {unknown}{ranked}")
        return False

    return show


def write_json(top: int) -> Callable[[str, Any], bool]:
    """Return a function that prints one line of JSON, for images that cannot be read too."""

    def show(name: str, answer: Any) -> bool:
        wrong = report_fault(name, answer)
        found: dict[str, Any] = {"file": name}
        if wrong:
            found["error"] = str(answer)
        else:
            labels = [{"label": label, "probability": share} for label, share in answer.top(top)]
            found |= {"label": answer.label, "probability": answer.probability, "top": labels}
            found |= {} if answer.known else {"unknown": True}
        print_json(found, indent=None)
        return wrong

    return show


def write_csv(top: int) -> Callable[[str, Any], bool]:
    """Return a function that prints one row: the file, then the best labels and probabilities."""
    write = open_csv()
    places = ["", *(f"_{place}" for place in range(2, top + 1))]
    columns = ("label", "probability")
    write(["file", *(f"{column}{place}" for place in places for column in columns)])

    def show(name: str, answer: Any) -> bool:
        if report_fault(name, answer):
            return True
        labels = answer.top(top)
        if not answer.known:
            labels = [("unknown", labels[0][1]), *labels[: top - 1]]
        write([name, *(cell for label, p in labels for cell in (label, f"{p:.6f}"))])
        return False

    return show


WRITERS: dict[str, Callable[[int], Callable[[str, Any], bool]]] = {
    "text": write_text,
    "json": write_json,
    "csv": write_csv,
}


def report_fault(name: str, answer: Any) -> bool:
    """Return whether an image could not be read; if so say it on standard error."""
    if not isinstance(answer, Exception):
        return False
    echo(f"ktg: {printable(name)}: {answer}", err=True)
    return True


def printable(name: str) -> str:
    """Return a name, escaped where it holds what a terminal would obey instead of showing."""
    return name if name.isprintable() else repr(name)


def read_list() -> Iterator[str]:
    """Yield the lines of standard input: names of files, UTF-8 or not."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    return (line.rstrip("\r\n") for line in sys.stdin if line.strip())
