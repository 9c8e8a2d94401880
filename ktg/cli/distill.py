"""Defines `ktg distill`."""

from typing import Any

import click

from ktg import api
from ktg.cli import options
from ktg.cli.screen import Screen, echo, print_json
from ktg.cli.train import make_epoch_printer


@click.command(epilog="Example: ktg distill quickstart --out small")
@click.argument("experiment")
@options.file("--out", help="Folder for model, graph and teachers; default: EXPERIMENT-distilled.")
@options.count("--seeds", 3, "Trainings of each of the two, from the search's seed on.")
@click.option("--budget", help="Wall time such as 10m: no further seed is begun after it.")
@options.flag("--force", help="Overwrite what is in that folder; teachers in it are used again.")
@options.device
@options.tracking_uri
@options.as_json
def distill(experiment: str, as_json: bool, **given: Any) -> None:
    """Teach the ensemble of EXPERIMENT's last search to its target, and keep what is better.

    The greedy ensemble of all trainings (see the search's end, or its report) becomes one teacher:
    each member is trained once more and frozen. The target learns from them, on images without
    labels too where the best graph has some, and beside it alone for as long. The better on the
    validation images is written as model.safetensors and best.yaml. The test split stays closed:
    `ktg train best.yaml` reads it.
    """
    with Screen(stderr=as_json) as screen:
        show = make_epoch_printer(screen)
        found = api.distill(experiment, listener=screen.listener, on_epoch=show, **given)
    if as_json:
        print_json(found.to_json())
        return
    echo(found.sentence)
