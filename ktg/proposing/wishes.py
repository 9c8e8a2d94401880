"""Holds what the user says of a search that is to be proposed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ktg.errors import UserError
from ktg.graph import SourceFile
from ktg.models.names import check_model

SHORTEST_S = 20.0


@dataclass(frozen=True)
class Wishes:
    """What the user says: a target, files by model, seconds, and the side of images in pixels.

    labels: a table of labels, as `data.labels` names it.
    """

    budget_s: float
    target: str | None = None
    files: Mapping[str, SourceFile] = field(default_factory=dict)
    size: int | None = None
    labels: str | None = None


def check_wishes(wishes: Wishes) -> None:
    """Raise UserError for a budget in which nothing could be trained, and what is not there."""
    if wishes.budget_s < SHORTEST_S:
        problem = f"{wishes.budget_s:g} s is too short to train anything"
        raise UserError(f"--budget: {problem}; allowed: at least {SHORTEST_S:g}s")
    if wishes.target is not None:
        check_model(wishes.target, "--target")
    for model, file in wishes.files.items():
        check_model(model, "--weights")
        if not Path(file.path).is_file():
            raise UserError(f"--weights: there is no file {file.path} for {model}")
