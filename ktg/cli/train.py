"""Defines `ktg train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg import api
from ktg.cli import options
from ktg.cli.screen import Screen, echo, print_json
from ktg.wording import format_percent

if TYPE_CHECKING:
    from ktg.api.train import EpochMetrics, OnEpoch


@click.command(epilog="Example: ktg train best.yaml --seeds 3")
@click.argument("graph", type=options.A_FILE)
@options.count("--seeds", 1, "How many seeds, from train.seed on.")
@options.file("--weights", help="Keep the first seed's target in this file: model.safetensors.")
@options.calibrate
@options.flag("--force", help="Overwrite that file if it is there.")
@click.option(
    "--head",
    type=click.Choice(("logistic", "svm", "trees")),
    help="Train no network: fit this to the features of the target's weights, as a baseline.",
)
@options.device
@options.imagenet("--imagenet")
@options.tracking_uri
@options.as_json
def train(graph: Path, weights: Path | None, as_json: bool, **given: Any) -> None:
    """Train GRAPH on the training and validation splits, then read the test split once.

    Nothing is chosen by the test split. With --weights the network of the first seed is kept, not
    that of the best: choosing by the test split would spoil what is measured on it.
    """
    with Screen(stderr=as_json) as screen:
        given |= {"listener": screen.listener, "on_epoch": make_epoch_printer(screen)}
        results = api.train(graph, weights=weights, **given)
    if as_json:
        print_json(results.to_json() | ({"weights": str(weights)} if weights else {}))
        return
    for run in results.runs:
        loss = "" if run.loss is None else f", loss {run.loss:.4f}"
        echo(f"seed {run.seed}: test accuracy {format_percent(run.accuracy)}{loss}")
    echo(f"test accuracy {results.summary()}")
    if weights is not None and results.first is not None:
        what = "ensemble" if results.first.graph.ensemble else "target"
        echo(f"{weights}: the {what} of seed {results.runs[0].seed}")


def make_epoch_printer(screen: Screen) -> "OnEpoch":
    """Return a function that prints an epoch."""

    def show(seed: int, epoch: "EpochMetrics", epochs: int) -> None:
        accuracy = epoch.nodes[epoch.target].train_accuracy
        told = "" if accuracy is None else f"training accuracy {format_percent(accuracy)}, "
        speed = f"{epoch.images_per_s:.0f} images/s, {epoch.seconds:.1f} s"
        text = f"seed {seed}, epoch {epoch.number}/{epochs}: {told}{speed}"
        screen.console.print(text, highlight=False)

    return show
