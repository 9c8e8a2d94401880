"""`ktg affinity`."""

import click

from ktg.cli.affinity.correlate import correlate
from ktg.cli.affinity.rank import rank
from ktg.cli.affinity.study import study


@click.group()
def affinity() -> None:
    """Ask which pretrained weights suit a data set, and how far to trust the answer."""


for _command in (rank, correlate, study):
    affinity.add_command(_command)
