"""`ktg train`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktg.cli.decoding import Decoding
from ktg.cli.load import checked_graph
from ktg.cli.options import as_json, check_device, check_store, percent, print_json, tracking_uri, warner
from ktg.files import naming

if TYPE_CHECKING:
    from rich.console import Console

    from ktg.confirm import OnEpoch
    from ktg.engine import Epoch


@click.command(epilog="Example: ktg train best.yaml --seeds 3")
@click.argument("graph", type=click.Path(path_type=Path))
@click.option(
    "--seeds", type=click.IntRange(1), default=1, show_default=True, help="How many seeds, from train.seed on."
)
@click.option("--device", help="cpu, cuda, cuda:1; default: a GPU if there is one.")
@tracking_uri
@as_json
def train(graph: Path, seeds: int, device: str | None, tracking_uri: str, as_json: bool) -> None:
    """Train GRAPH on the training and validation splits, then read the test split once.

    This is the only command that reads the test split.
    """
    loaded = checked_graph(graph)
    check_store(tracking_uri)
    check_device(device)

    from rich.console import Console

    from ktg.confirm import confirm
    from ktg.tracking import MlflowTracker

    console = Console(stderr=as_json)
    tracker = MlflowTracker(graph.stem, tracking_uri, warn=warner(console))
    with naming(graph), tracker, Decoding(console) as decoding:
        confirmed = confirm(loaded, seeds, tracker, device=device, on_epoch=printer(console), decoding=decoding)
    if as_json:
        print_json(confirmed.to_json())
        return
    for run in confirmed.runs:
        click.echo(f"seed {run.seed}: test accuracy {percent(run.accuracy)}, loss {run.loss:.4f}")
    click.echo(f"test accuracy {confirmed.summary()}")


def printer(console: "Console") -> "OnEpoch":
    """Return a function that prints an epoch."""

    def show(seed: int, epoch: "Epoch", epochs: int) -> None:
        accuracy = percent(epoch.nodes[epoch.target].train_accuracy)
        console.print(
            f"seed {seed}, epoch {epoch.number}/{epochs}: training accuracy {accuracy}, "
            f"{epoch.images_per_s:.0f} images/s, {epoch.seconds:.1f} s",
            highlight=False,
        )

    return show
