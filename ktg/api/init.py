"""Proposes a search space for a folder of images, and writes it as a commented YAML file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktg.api import inputs
from ktg.api.listener import QUIET, Listener
from ktg.errors import UserError, show
from ktg.graph.yaml_files import ENDINGS
from ktg.local import check_ending
from ktg.wording import parse_duration

if TYPE_CHECKING:
    from ktg.proposing.plan import Plan
    from ktg.proposing.space_text import ProposedSpace
    from ktg.proposing.wishes import Wishes

BUDGET = "30m"


@dataclass(frozen=True)
class Proposal:
    """A search space that was written to `file`: as plain data, and the reasons by dotted place.

    training_s: what one training of the target takes here, in seconds.
    """

    file: Path
    space: Mapping[str, Any]
    reasons: Mapping[str, str]
    remarks: tuple[str, ...]
    training_s: float

    def to_json(self) -> dict[str, Any]:
        """Return the proposal as plain data."""
        plain = {**vars(self), "file": str(self.file), "remarks": list(self.remarks)}
        return {**plain, "space": dict(self.space), "reasons": dict(self.reasons)}


def init(
    folder: str | Path,
    output: str | Path | None = None,
    *,
    target: str | None = None,
    weights: Mapping[str, Any] | str | Path = inputs.NO_FILES,
    budget: str = BUDGET,
    size: int | None = None,
    labels: str | None = None,
    name: str | None = None,
    force: bool = False,
    listener: Listener = QUIET,
) -> Proposal:
    """Write a search space for a folder of images (or an .npz): what to search, and why.

    It looks at the images, at this machine and at the weights on it, measures a few real steps, and
    ranks the weights on a sample.

    output: the YAML file; default: the folder's name. target: the model to deploy; default: a small
    one whose weights suit the images. weights: by model, files that stand for `source: imagenet`,
    as in the section `weights`, or a YAML file with that section. budget: wall time of the search,
    such as 30m. size: side of the images in pixels; default: what the budget allows. labels: a
    table of labels in the folder or beside it: see `data.labels`. name: of the experiment; default:
    the folder's. force: overwrite the file.
    """
    path = Path(folder).expanduser()
    title = name_folder(path) if name is None else name
    inputs.check_title(title)
    file = Path(output) if output is not None else Path(f"{title}.yaml")
    check_output(file, force=force)
    plan = plan_folder(path, make_wishes(target, weights, budget, size, labels), listener)
    proposed = write_space(plan, title, budget, file)
    return Proposal(
        file, proposed.plain, proposed.reasons, proposed.remarks, plan.length.training_s
    )


def name_folder(path: Path) -> str:
    """Return what an experiment on a folder or an .npz is called: its own name."""
    place = path.resolve()
    name = place.stem if place.suffix.lower() == ".npz" else place.name
    return name.strip(". ")[:100] or "images"


def check_output(file: Path, *, force: bool) -> None:
    """Raise UserError unless the YAML file can be written."""
    check_ending(file, "a search space is a YAML file", *ENDINGS)
    for there in (file, name_groups(file)):
        if there.exists() and not force:
            problem = "is there already; give --force to overwrite it, or another name"
            raise UserError(f"{there}: {problem}")
    inputs.check_writable(file)


def make_wishes(
    target: str | None,
    weights: Mapping[str, Any] | str | Path,
    budget: str,
    size: int | None,
    labels: str | None,
) -> "Wishes":
    """Return what the user says of a space, checked. Raises UserError."""
    from ktg.graph.parse import read_weights
    from ktg.proposing.wishes import Wishes

    files = read_weights(inputs.read_weights_option(weights))
    if size is not None and not 4 <= size <= 2048:
        raise UserError(f"--size: {size} is no side of images; allowed: 4 to 2048")
    return Wishes(read_budget(budget), target, files, size, labels)


def read_budget(budget: str) -> float:
    """Return the seconds of a budget. Raises UserError for what is no duration."""
    try:
        return parse_duration(budget)
    except ValueError:
        allowed = "give a time such as 90s, 30m or 1h30m"
        raise UserError(f"--budget: {show(budget)} is no duration; {allowed}") from None


def plan_folder(path: Path, wishes: "Wishes", listener: Listener) -> "Plan":
    """Return what to search for a folder of images."""
    from ktg.proposing.hearing import Hearing
    from ktg.proposing.plan import plan_space

    return plan_space(path, wishes, Hearing(listener.status, listener.decoding))


def name_groups(file: Path) -> Path:
    """Return the file of the groups for the file of a space: birds.yaml -> birds.groups.csv."""
    return file.with_suffix(".groups.csv")


def write_space(plan: "Plan", name: str, budget: str, file: Path) -> "ProposedSpace":
    """Write the space of a plan to a file, whole or not at all, and return it.

    Images that belong together are written to a table beside it.
    """
    from ktg.local import write_text
    from ktg.proposing.space_text import make_space

    table = None
    if plan.groups is not None:
        table = name_groups(file.absolute())
        plan.groups.write(table)
    proposed = make_space(plan, name, budget, table)
    write_text(file, proposed.to_yaml(file.absolute().parent))
    return proposed
