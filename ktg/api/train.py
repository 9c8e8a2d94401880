"""Trains one graph over several seeds on all but the test split, and reads that split once."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ktg.api import inputs
from ktg.api.auto_nodes import settle_nodes
from ktg.api.listener import QUIET, Listener
from ktg.api.noise import settle_noise
from ktg.errors import UserError

if TYPE_CHECKING:
    from ktg.searching.seeds import OnEpoch as OnEpoch
    from ktg.searching.seeds import SeedResults
    from ktg.training import EpochMetrics as EpochMetrics
    from ktg.training.classical import HeadName as HeadName


def train(
    graph: inputs.GraphLike,
    *,
    seeds: int = 1,
    weights: str | Path | None = None,
    calibrate: bool = True,
    name: str = "train",
    device: str | None = None,
    force: bool = False,
    tracking_uri: str | None = inputs.STORE,
    head: "HeadName | None" = None,
    imagenet: Mapping[str, str] = inputs.NO_FILES,
    listener: Listener = QUIET,
    on_epoch: "OnEpoch | None" = None,
) -> "SeedResults":
    """Train a graph on all but the test split, over several seeds; return its test accuracies.

    weights: write the network of the first seed to this .safetensors file, which must not be there
    unless `force`. calibrate: train the graph once more for them, without the validation split, so
    that their probabilities can be trusted. name: of the experiment, where the graph is no file.
    head: train no network, but fit this classical head to the features of the target's weights.
    imagenet: by model, files that stand for `source: imagenet`.
    on_epoch: called with the seed, each epoch, and how many there are.
    """
    loaded = inputs.read_graph(graph, imagenet)
    with inputs.name_given_file(graph):
        loaded = settle_noise(settle_nodes(loaded, listener), listener)
    if head and weights is not None:
        advice = "leave one of the two out"
        raise UserError(f"--weights: with --head no network is trained to be written; {advice}")
    inputs.check_store(tracking_uri)
    inputs.check_device(device)
    file = None if weights is None else inputs.check_writable(weights)
    if file is not None:
        from ktg.exporting.formats import check_weights_file

        check_weights_file(file, force=force)
    from ktg.searching.seeds import train_head_seeds, train_seeds

    experiment = Path(graph).stem if isinstance(graph, str | Path) else name
    with (
        inputs.name_given_file(graph),
        inputs.open_tracker(experiment, tracking_uri, listener) as tracker,
    ):
        images = listener.decoding
        if head:
            return train_head_seeds(loaded, head, seeds, tracker, device=device, decoding=images)
        confirmed = train_seeds(
            loaded,
            seeds,
            tracker,
            device=device,
            on_epoch=on_epoch,
            decoding=images,
            keep_first=file is not None,
        )
        if file is not None:
            from ktg.exporting.retrain import write_first_seed

            if calibrate:
                listener.say("calibrating: the first seed once more, without the validation split")
            write_first_seed(file, loaded, confirmed, calibrated=calibrate)
    return confirmed
