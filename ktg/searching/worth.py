"""Says what a teacher was good for: the target against it and against the target alone.

All were asked about the same images, so that the differences are paired. The target counts as good
as its teacher where more than two points of accuracy below it are ruled out.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ktg.errors import KtgError
from ktg.graph import Graph
from ktg.graph.canonical import live_nodes, open_edges
from ktg.intervals import Interval, paired_interval, paired_proportion_interval
from ktg.searching.pool import count_parameters, unpack
from ktg.searching.trial import FinishedTrial

Rights = npt.NDArray[np.bool_]  # (trainings, images): whether each was classified rightly
MARGIN = 0.02  # of accuracy: what a student may lack and still be called as good
_FRACTIONS = (
    "half",
    *(f"a {word}" for word in ("third", "quarter", "fifth", "sixth", "seventh")),
    *("an eighth", "a ninth", "a tenth"),
)
_SMALLER = 1.5  # times the target's parameters from which on a teacher's size is worth a word


@dataclass(frozen=True)
class Gap:
    """A difference of two accuracies on the same images, and its interval for other images."""

    difference: float
    interval: Interval

    @property
    def words(self) -> str:
        """The difference and its interval, in points."""
        low, high = (f"{100 * end:+.2f}" for end in self.interval)
        return f"{100 * self.difference:+.2f} points, 95 % {low} to {high}"


@dataclass(frozen=True)
class TeacherWorth:
    """The target of a graph against the best of its teachers, and against itself alone.

    basis: the images and trainings that it rests on. minus_alone: None where the target alone was
    not trained, or not on the same images.
    times_parameters: the teacher's, in those of the target; None where one cannot be built here.
    """

    teacher: str
    model: str
    basis: str
    minus_teacher: Gap
    minus_alone: Gap | None
    times_parameters: float | None

    @property
    def sentence(self) -> str:
        """What the teacher was good for, in words."""
        low, high = self.minus_teacher.interval
        size = describe_size(self.times_parameters)
        teacher = f"its teacher {self.teacher} ({self.model})"
        if low > 0:
            said = f"The target is better than {teacher}{size}"
        elif low > -MARGIN:
            said = f"The target is as good as {teacher}{size}"
        elif high < 0:
            said = f"The target is worse than {teacher}{size}"
        else:
            said = f"That the target is as good as {teacher} is not proven"
        alone = f"; minus the target alone {self.minus_alone.words}" if self.minus_alone else ""
        return f"{said}: {self.minus_teacher.words}{alone} (accuracy; {self.basis})."

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        plain = dict(vars(self))
        for name in ("minus_teacher", "minus_alone"):
            gap = plain[name]
            plain[name], plain[f"{name}_interval"] = (
                (None, None) if gap is None else (gap.difference, gap.interval)
            )
        return {**plain, "sentence": self.sentence}


def judge_teacher(
    best: FinishedTrial, alone: FinishedTrial | None, repeats: Iterable[FinishedTrial] = ()
) -> TeacherWorth | None:
    """Return what the best of the networks that teach the target of a training was good for.

    alone: the training of the target by itself, if there is one. repeats: the trainings of a race;
    where several new seeds are known of both graphs, these say it. Returns None where no other
    network teaches the target, for an ensemble, and where nobody has kept who was right.
    """
    graph = best.graph
    if graph.ensemble or not best.said:
        return None
    said = unpack(best.said)
    known = [name for name in find_teachers(graph) if name in said.right]
    if not known or graph.target not in said.right:
        return None
    own, other = _pair_trainings(best, alone, list(repeats))
    teacher = max(known, key=lambda name: float(own[name].mean()))
    images, trainings = len(said.labels), len(own[teacher])
    times = "one training" if trainings == 1 else f"{trainings} trainings"
    return TeacherWorth(
        teacher=teacher,
        model=graph.nodes[teacher].model,
        basis=f"{images:,} validation images, {times} each",
        minus_teacher=_compare(own[graph.target], own[teacher]),
        minus_alone=None if other is None else _compare(own[graph.target], other),
        times_parameters=divide_sizes(graph, teacher, int(said.labels.max()) + 1),
    )


def find_teachers(graph: Graph) -> list[str]:
    """Return the live nodes from which an open edge leads to the target."""
    pairs = open_edges(graph)
    return [name for name in live_nodes(graph) if (name, graph.target) in pairs]


def write_right(right: str, taught_by: Mapping[str, str]) -> str:
    """Return which images were classified rightly as text: the target's line, then a teacher's."""
    return "\n".join([right, *(f"{name} {own}" for name, own in taught_by.items())])


def read_right(text: str) -> dict[str, Any]:
    r"""Return what `write_right` wrote, as the fields of a `ktg.searching.seed_queue.SeedRun`.

    >>> read_right("110\nn1 111")
    {'right': '110', 'taught_by': {'n1': '111'}}
    """
    first, *others = text.strip().split("\n")
    pairs = (line.rpartition(" ") for line in others)
    return {"right": first, "taught_by": {name: own for name, _, own in pairs}}


def describe_size(times: float | None) -> str:
    """Return how small the target is beside a teacher of so many times its parameters.

    >>> describe_size(6.8), describe_size(23.4), describe_size(1.1)
    (' at a seventh of its size', ' at 1/23 of its size', '')
    """
    if times is None or times < _SMALLER:
        return ""
    whole = round(times)
    known = _FRACTIONS[whole - 2] if whole - 2 < len(_FRACTIONS) else f"1/{whole}"
    return f" at {known} of its size"


def _pair_trainings(
    best: FinishedTrial, alone: FinishedTrial | None, repeats: Sequence[FinishedTrial]
) -> tuple[dict[str, Rights], Rights | None]:
    """Return who was right by node in trainings of the best, and alone with the same seeds.

    Each table is (trainings, images): of new seeds where several are known, else of the one
    training. The second one is None where other images judged it, or nobody kept it.
    """
    own = _read_raced(best, best, repeats)
    other = {} if alone is None or alone is best else _read_raced(alone, best, repeats)
    shared = sorted(own.keys() & other.keys()) if alone else sorted(own)
    if len(shared) < 2:
        own, shared = {best.seed: unpack(best.said).right}, [best.seed]
        comparable = alone is not None and alone is not best and alone.fold == best.fold
        other = {best.seed: unpack(alone.said).right} if comparable and alone and alone.said else {}
    tables = {name: np.stack([own[seed][name] for seed in shared]) for name in own[shared[0]]}
    target = alone.graph.target if alone else ""
    if any(target not in other.get(seed, {}) for seed in shared):
        return tables, None
    found = np.stack([other[seed][target] for seed in shared])
    return tables, found if found.shape == tables[best.graph.target].shape else None


def _read_raced(
    one: FinishedTrial, best: FinishedTrial, repeats: Sequence[FinishedTrial]
) -> dict[int, Mapping[str, Rights]]:
    """Return by new seed who was right in a graph's trainings, on the images that judged `best`."""
    found = {}
    for run in repeats:
        if run.race_of == one.number and run.fold == best.fold and run.said:
            with suppress(KtgError):  # one damaged file must not keep the others back
                found[run.seed] = unpack(run.said).right
    return found


def _compare(own: Rights, other: Rights) -> Gap:
    """Return the gap of two tables (trainings, images) of who was right."""
    table = own.astype(float) - other
    several = len(table) > 1
    interval = paired_interval(table) if several else paired_proportion_interval(own[0], other[0])
    return Gap(float(table.mean()), interval)


def divide_sizes(graph: Graph, teacher: str, classes: int) -> float | None:
    """Return how many times the target's parameters a teacher has."""
    sizes = [
        count_parameters(replace(graph, nodes={name: graph.nodes[name]}), classes)
        for name in (teacher, graph.target)
    ]
    first, second = sizes
    return first / second if first and second else None
