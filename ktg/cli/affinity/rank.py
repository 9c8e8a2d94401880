"""Defines `ktg affinity rank`."""

from typing import TYPE_CHECKING, Any

import click

from ktg.api.affinity import DEFAULT_SCORE, SCORES, record_ranking
from ktg.cli import options
from ktg.cli.affinity.figures import format_score, label_score
from ktg.cli.screen import Screen, print_json
from ktg.cli.tables import make_table

if TYPE_CHECKING:
    from rich.table import Table

    from ktg.api.affinity import Measured, Ranking


@click.command(
    epilog="Example: ktg affinity rank photos/ --among resnet18@imagenet --among resnet18@birds.pth"
)
@click.argument("data")
@options.among
@click.option("--score", default=DEFAULT_SCORE, show_default=True, help="The score to sort by.")
@options.count("--sample", 2000, "Training images to look at.", least=2)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the sample."
)
@options.file(
    "--embeddings",
    help="Word vectors (word2vec or GloVe, as text), which say for the score emd how far "
    "names of classes are apart.",
)
@options.file(
    "--distances",
    help="A CSV of distances instead: a row for each source class, a column for "
    "each class of the data.",
)
@options.device
@options.file("-o", "--output", help="Draw the ranking into this folder, as SVG.")
@options.imagenet("--weights", "--imagenet")
@options.tracking_uri
@options.as_json
def rank(data: str, as_json: bool, **given: Any) -> None:
    """Sort pretrained weights by how well they seem to suit DATA, without training.

    DATA is a folder, an .npz, a data set known by name, or a graph or search space (its data and
    its sources). Only training images are looked at.
    """
    with Screen(stderr=as_json) as screen:
        found = record_ranking(data, listener=screen.listener, **given)
    if as_json:
        print_json({"data": data} | found.to_json())
    else:
        print_ranking(found, screen)


def print_ranking(ranking: "Ranking", screen: Screen) -> None:
    """Print the candidates, the best first, with baselines; then all other scores and problems."""
    found, console = ranking.found, screen.console
    console.print(draw_ranking(ranking))
    console.print(draw_other_scores(found, ranking.columns))
    reasons: dict[str, list[str]] = {}
    for score in SCORES:
        for place, one in enumerate(found.values(), 1):
            if score in one.not_applicable:
                reasons.setdefault(f"{score} {one.not_applicable[score]}", []).append(str(place))
    for reason, places in reasons.items():
        console.print(f"Not applicable to {', '.join(places)}: {reason}.")
    for name, reason in ranking.failed.items():
        console.print(f"Not measured: {name}: {reason}", style="yellow")
    layers = ", ".join(
        f"{place} {one.layer} {'x'.join(map(str, one.dimensions))}"
        for place, one in enumerate(found.values(), 1)
    )
    console.print(f"Feature maps: {layers}; {next(iter(found.values())).images} training images.")


def draw_ranking(ranking: "Ranking") -> "Table":
    """Return the candidates with the score they are sorted by, and the baselines."""
    title = f"By {ranking.score}, beside the baselines"
    figures = [column.replace("_", "\n") for column in (*ranking.columns, "seconds")]
    columns, names = ("", "candidate", *figures), ("candidate",)
    table = make_table(*columns, title=title, right=figures, fold=names, whole=figures, simple=True)
    for place, (name, one) in enumerate(ranking.found.items(), 1):
        seconds = f"{one.forward_s + sum(one.score_s.values()):.1f}"
        cells = [format_score(one.value(column)) for column in ranking.columns]
        table.add_row(str(place), name.replace("@", "\n@"), *cells, seconds)
    return table


def draw_other_scores(found: "dict[str, Measured]", columns: list[str]) -> "Table":
    """Return the scores that are not among `columns`, a column for each candidate's place."""
    places = [str(place) for place in range(1, len(found) + 1)]
    table = make_table("score", *places, title="All scores", right=places, simple=True)
    for name in SCORES:
        if name not in columns and any(name in one.scores for one in found.values()):
            table.add_row(
                label_score(name), *(format_score(one.value(name)) for one in found.values())
            )
    return table
