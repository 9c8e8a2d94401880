"""Says what a teacher was good for: the target against it and against the target alone.

All were asked about the same images, so that the differences are paired. The target counts as good
as its teacher where more than two points of accuracy below it are ruled out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ktg.graph import Graph
from ktg.graph.canonical import live_nodes, open_edges
from ktg.intervals import Interval, paired_proportion_interval
from ktg.searching.pool import FinishedTraining, count_parameters, unpack

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


def judge_teacher(best: FinishedTraining, alone: FinishedTraining | None) -> TeacherWorth | None:
    """Return what the best of the networks that teach the target of a training was good for.

    alone: the training of the target by itself, if there is one. Returns None where no other
    network teaches the target, for an ensemble, and where nobody has kept who was right.
    """
    graph = best.graph
    if graph.ensemble or not best.said:
        return None
    said = unpack(best.said)
    right = said.right
    known = [name for name in find_teachers(graph) if name in right]
    if not known or graph.target not in right:
        return None
    teacher = max(known, key=lambda name: float(right[name].mean()))
    own = right[graph.target]
    return TeacherWorth(
        teacher=teacher,
        model=graph.nodes[teacher].model,
        basis=f"{len(own):,} validation images, one training each",
        minus_teacher=_compare(own, right[teacher]),
        minus_alone=_compare_with_alone(best, own, alone),
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


def _compare(own: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> Gap:
    return Gap(float(own.mean() - other.mean()), paired_proportion_interval(own, other))


def _compare_with_alone(
    best: FinishedTraining, own: npt.NDArray[np.bool_], alone: FinishedTraining | None
) -> Gap | None:
    """Return the gap to the target alone, None where other images judged it or nobody kept it."""
    if alone is None or alone is best or alone.fold != best.fold or not alone.said:
        return None
    other = unpack(alone.said).right.get(alone.graph.target)
    return None if other is None or len(other) != len(own) else _compare(own, other)


def divide_sizes(graph: Graph, teacher: str, classes: int) -> float | None:
    """Return how many times the target's parameters a teacher has."""
    sizes = [
        count_parameters(replace(graph, nodes={name: graph.nodes[name]}), classes)
        for name in (teacher, graph.target)
    ]
    first, second = sizes
    return first / second if first and second else None
