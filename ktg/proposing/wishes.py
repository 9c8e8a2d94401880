"""Holds what the user says of a search that is to be proposed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ktg.errors import UserError
from ktg.graph import SourceFile
from ktg.models.names import check_model, shorten_model

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


def settle_wishes(wishes: Wishes) -> Wishes:
    """Return the wishes with the shortest name of each model, by which weights are found.

    Raises UserError for a budget in which nothing could be trained, for what is not there, and for
    two files of one model.
    """
    if wishes.budget_s < SHORTEST_S:
        problem = f"{wishes.budget_s:g} s is too short to train anything"
        raise UserError(f"--budget: {problem}; allowed: at least {SHORTEST_S:g}s")
    target = wishes.target
    if target is not None:
        check_model(target, "--target")
        target = shorten_model(target)
    files: dict[str, SourceFile] = {}
    for model, file in wishes.files.items():
        check_model(model, "--weights")
        if not Path(file.path).is_file():
            raise UserError(f"--weights: there is no file {file.path} for {model}")
        short = shorten_model(model)
        if short in files:
            problem = f"{files[short].path} and {file.path} are both for {short}"
            raise UserError(f"--weights: {problem}; give one file for a model")
        files[short] = file
    return replace(wishes, target=target, files=files)
