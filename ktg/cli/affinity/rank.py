"""`ktg affinity rank`."""

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from ktg.cli.affinity.asked import asked, checked_score, measure_all, with_imagenet
from ktg.cli.affinity.asked import distances as class_distances
from ktg.cli.affinity.correlate import folder
from ktg.cli.affinity.figures import brief, labelled
from ktg.cli.options import (
    as_json,
    check_device,
    check_store,
    imagenet_files,
    print_json,
    tracking_uri,
    warner,
)
from ktg.graph.spec import DEFAULT_SCORE, ScoreName

if TYPE_CHECKING:
    from rich.console import Console

    from ktg.affinity.ranking import Measured


@click.command(
    epilog="Example: ktg affinity rank photos/ --among resnet18@imagenet --among resnet18@birds.pth"
)
@click.argument("data")
@click.option(
    "--among",
    multiple=True,
    metavar="MODEL@SOURCE",
    help="A candidate; give several. Default: the search space's.",
)
@click.option("--score", default=DEFAULT_SCORE, show_default=True, help="The score to sort by.")
@click.option(
    "--sample",
    type=click.IntRange(2),
    default=2000,
    show_default=True,
    help="Training images to look at.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the sample."
)
@click.option(
    "--embeddings",
    type=click.Path(path_type=Path),
    help="Word vectors (word2vec or GloVe, as text), which say for the score emd how far names of classes are apart.",
)
@click.option(
    "--distances",
    type=click.Path(path_type=Path),
    help="A CSV of distances instead: a row for each source class, a column for each class of the data.",
)
@click.option("--device", help="cpu, cuda, cuda:1; default: a GPU if there is one.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Draw the ranking into this folder, as SVG.",
)
@imagenet_files("--weights", "--imagenet")
@tracking_uri
@as_json
def rank(
    data: str,
    among: tuple[str, ...],
    score: str,
    sample: int,
    seed: int,
    embeddings: Path | None,
    distances: Path | None,
    device: str | None,
    output: Path | None,
    imagenet: dict[str, str],
    tracking_uri: str,
    as_json: bool,
) -> None:
    """Sort pretrained weights by how well they seem to suit DATA, without training.

    DATA is a folder, an .npz, a data set known by name, or a graph or search space (its data and
    its sources). Only training images are looked at.
    """
    chosen = checked_score(score)
    given, candidates = with_imagenet(asked(data), imagenet, among)
    check_device(device)
    check_store(tracking_uri)
    into = folder(output) if output else None

    from rich.console import Console

    from ktg.affinity.plots import ranking
    from ktg.affinity.ranking import BASELINES, ordered
    from ktg.affinity.record import EXPERIMENT, record, recorded, table
    from ktg.tracking import MlflowTracker

    console = Console(stderr=as_json, highlight=False)
    tell = warner(console)
    distance = class_distances(given, embeddings, distances, tell)
    tracker = MlflowTracker(EXPERIMENT, tracking_uri, warn=tell)
    with tracker, recorded(tracker, data, score) as run:
        found, failed = measure_all(given, candidates, sample, seed, device, distance, console)
        found = {name: found[name] for name in ordered(found, chosen)}
        panels = {name: [one.value(name) for one in found.values()] for name in (score, *BASELINES)}
        chart = ranking(f"Pretrained weights for {data}, by {score}", list(found), panels)
        record(tracker, run, found, failed, chart)
    if into:
        (into / "ranking.svg").write_bytes(chart)
    if as_json:
        print_json({"data": data, "score": score} | table(found, failed))
    else:
        print_ranking(found, failed, score, console)


def print_ranking(
    found: "dict[str, Measured]", failed: dict[str, str], score: str, console: "Console"
) -> None:
    """Print the candidates, the best first, with baselines; then all other scores; then what could not be had."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from ktg.affinity.ranking import BASELINES

    columns = list(dict.fromkeys((score, *BASELINES)))
    shown = Table(title=f"By {score}, beside the baselines", title_justify="left", box=SIMPLE_HEAD)
    shown.add_column("")
    shown.add_column("candidate", overflow="fold")
    for column in (*columns, "seconds"):
        shown.add_column(column.replace("_", "\n"), justify="right", no_wrap=True)
    for place, (name, one) in enumerate(found.items(), 1):
        seconds = f"{one.forward_s + sum(one.score_s.values()):.1f}"
        shown.add_row(
            str(place),
            name.replace("@", "\n@"),
            *(brief(one.value(column)) for column in columns),
            seconds,
        )
    console.print(shown)
    rest = Table(title="All scores", title_justify="left", box=SIMPLE_HEAD)
    rest.add_column("score")
    for place in range(1, len(found) + 1):
        rest.add_column(str(place), justify="right")
    reasons: dict[str, list[str]] = {}
    for name in get_args(ScoreName):
        for place, one in enumerate(found.values(), 1):
            if name in one.not_applicable:
                reasons.setdefault(f"{name} {one.not_applicable[name]}", []).append(str(place))
        if name not in columns and any(name in one.scores for one in found.values()):
            rest.add_row(labelled(name), *(brief(one.value(name)) for one in found.values()))
    console.print(rest)
    for reason, places in reasons.items():
        console.print(f"Not applicable to {', '.join(places)}: {reason}.")
    for name, reason in failed.items():
        console.print(f"Not measured: {name}: {reason}", style="yellow", markup=False)
    layers = ", ".join(
        f"{place} {one.layer} {'x'.join(map(str, one.dimensions))}"
        for place, one in enumerate(found.values(), 1)
    )
    console.print(f"Feature maps: {layers}; {next(iter(found.values())).images} training images.")
