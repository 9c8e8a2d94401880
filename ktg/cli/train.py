"""`ktg train`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktg.cli.decoding import Decoding
from ktg.cli.load import checked_graph
from ktg.cli.options import (
    as_json,
    check_device,
    check_store,
    check_writable,
    imagenet_files,
    percent,
    print_json,
    tracking_uri,
    warner,
)
from ktg.errors import UserError
from ktg.graph.yaml_files import name_file_in_errors

if TYPE_CHECKING:
    from rich.console import Console

    from ktg.searching.seeds import OnEpoch
    from ktg.training import EpochMetrics
    from ktg.training.classical import HeadName


@click.command(epilog="Example: ktg train best.yaml --seeds 3")
@click.argument("graph", type=click.Path(path_type=Path))
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many seeds, from train.seed on.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Keep the first seed's target in this file: model.safetensors.",
)
@click.option("--force", is_flag=True, help="Overwrite that file if it is there.")
@click.option(
    "--head",
    type=click.Choice(("logistic", "svm", "trees")),
    help="Train no network: fit this to the features of the target's weights, as a baseline.",
)
@click.option("--device", help="cpu, cuda, cuda:1; default: a GPU if there is one.")
@imagenet_files("--imagenet")
@tracking_uri
@as_json
def train(
    graph: Path,
    seeds: int,
    weights: Path | None,
    force: bool,
    head: "HeadName | None",
    device: str | None,
    imagenet: dict[str, str],
    tracking_uri: str,
    as_json: bool,
) -> None:
    """Train GRAPH on the training and validation splits, then read the test split once.

    The test split is read here, and by `affinity study --test`, and nowhere else. With --weights
    the network of the first seed is kept, not that of the best: choosing by the test split would
    spoil what is measured on it.
    """
    loaded = checked_graph(graph, imagenet)
    if head and weights:
        raise UserError(
            "--weights: with --head no network is trained that could be kept; leave one of the two out"
        )
    check_store(tracking_uri)
    check_device(device)
    if weights is not None:
        check_writable(weights)
        from ktg.exporting.formats import check_weights_file

        check_weights_file(weights, force=force)

    from rich.console import Console

    from ktg.searching.seeds import confirm, confirm_head
    from ktg.tracking import MlflowTracker

    console = Console(stderr=as_json)
    tracker = MlflowTracker(graph.stem, tracking_uri, warn=warner(console))
    with name_file_in_errors(graph), tracker, Decoding(console) as decoding:
        if head:
            confirmed = confirm_head(loaded, head, seeds, tracker, device=device, decoding=decoding)
        else:
            confirmed = confirm(
                loaded, seeds, tracker, device=device, on_epoch=printer(console), decoding=decoding
            )
        if weights is not None:
            from ktg.exporting.trained import write_confirmed

            write_confirmed(weights, loaded, confirmed)
    if as_json:
        print_json(confirmed.to_json() | ({"weights": str(weights)} if weights else {}))
        return
    for run in confirmed.runs:
        loss = "" if run.loss is None else f", loss {run.loss:.4f}"
        click.echo(f"seed {run.seed}: test accuracy {percent(run.accuracy)}{loss}")
    click.echo(f"test accuracy {confirmed.summary()}")
    if weights is not None:
        click.echo(
            f"{weights}: the {'ensemble' if loaded.ensemble else 'target'} of seed {confirmed.runs[0].seed}"
        )


def printer(console: "Console") -> "OnEpoch":
    """Return a function that prints an epoch."""

    def show(seed: int, epoch: "EpochMetrics", epochs: int) -> None:
        accuracy = percent(epoch.nodes[epoch.target].train_accuracy)
        console.print(
            f"seed {seed}, epoch {epoch.number}/{epochs}: training accuracy {accuracy}, "
            f"{epoch.images_per_s:.0f} images/s, {epoch.seconds:.1f} s",
            highlight=False,
        )

    return show
