"""Defines `ktg init`."""

import shlex
from pathlib import Path
from typing import Any

import click

from ktg import api
from ktg.api.init import BUDGET
from ktg.cli import options
from ktg.cli.screen import Screen, print_json

target = click.option("--target", help="The model to deploy; default: a small one that suits.")
size = options.count(
    "--size", help="Side of the images in pixels; default: what the budget allows.", least=4
)
labels = click.option(
    "--labels", metavar="FILE", help="A table of labels in the folder or beside it: labels.csv."
)


@click.command(epilog="Example: ktg init photos/birds --budget 30m")
@click.argument("folder", type=options.A_FILE)
@options.file("-o", "--output", help="The file to write; default: the folder's name, .yaml.")
@target
@options.imagenet("--weights")
@click.option(
    "--budget", default=BUDGET, show_default=True, help="Wall time of the search: 90s, 30m, 2h."
)
@size
@labels
@click.option("--name", help="Name of the experiment; default: the folder's.")
@options.flag("--force", help="Overwrite the file if it is there.")
@options.as_json
def init(folder: Path, imagenet: dict[str, Any], as_json: bool, **given: Any) -> None:
    """Write a search space for FOLDER, of a folder for each class, with a reason for each choice.

    It looks at the images, at this machine and at the weights on it (the zoo, the caches of timm
    and torchvision, --weights), measures a few real steps, and ranks the weights on a sample.
    """
    with Screen(stderr=as_json) as screen:
        proposal = api.init(folder, weights=imagenet, listener=screen.listener, **given)
        screen.clear()
        if as_json:
            print_json(proposal.to_json())
            return
        for remark in proposal.remarks[1:]:
            screen.say(remark)
        for place, why in proposal.reasons.items():
            screen.say(f"  {place}: {why}")
        command = shlex.join(["ktg", "search", str(proposal.file)])
        screen.say(f"\n{proposal.file} is written. Next:\n  {command}")
